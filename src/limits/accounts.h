/* SPDX-License-Identifier: MIT */
/*
 * accounts — what each client has at this moment, of all that is limited.
 *
 * Who is a client has an account by its name, everybody else by the host: an address, the first 64
 * bits of an IPv6 address, or the user of a unix socket. One table for all workers. Finding an
 * account takes a lock, once for each connection; counting takes none. A host without connections
 * is forgotten when its place is needed and its rate has recovered. If no place is left, further
 * hosts share one account: they have less than they may, never more.
 */
#ifndef LIMITS_ACCOUNTS_H
#define LIMITS_ACCOUNTS_H

#include "base/list.h"
#include "identity/identity.h"
#include "limits/limits.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	ACCOUNTS_MAX = 4096,
	ACCOUNT_OWNER_MAX = 72, /* bytes; longer names of clients are cut */
};

struct account {
	atomic_uint held[LIMIT_COUNT]; /* at this moment; of counts */
	/* The rate: the time, monotonic, up to which requests have been paid for. */
	_Atomic int64_t paid_ns;
	atomic_ullong refused[LIMIT_COUNT]; /* so far; of clients, and of all others together */
	/* Under the lock of the table. */
	atomic_uint references;
	struct list idle;
	struct account *next; /* with the same hash */
	unsigned owner_len;   /* 0: never in use */
	char owner[ACCOUNT_OWNER_MAX];
	bool is_client;
};

struct accounts {
	pthread_mutex_t lock;
	uint32_t seed;         /* of hashes: which owners have the same one cannot be foreseen */
	unsigned count;        /* of `list` in use, or used before */
	struct list idle;      /* accounts without references; the first was left first */
	struct account others; /* hosts beyond ACCOUNTS_MAX */
	struct account total;  /* all clients together */
	struct account *heads[ACCOUNTS_MAX];
	struct account list[ACCOUNTS_MAX];
};

/* NULL without memory. */
struct accounts *accounts_new(void) MUST_USE;
/* `accounts` may be NULL. */
void accounts_free(struct accounts *accounts);

/* Find or make the account of a client, or of the caller's host; it stays until accounts_give(). */
struct account *accounts_take_client(
        struct accounts *accounts, const char *name, int64_t now_ns) MUST_USE;
struct account *accounts_take_host(
        struct accounts *accounts, const struct caller *caller, int64_t now_ns) MUST_USE;
/* A further reference to an account that has one. */
void accounts_keep(struct accounts *accounts, struct account *account);
void accounts_give(struct accounts *accounts, struct account *account);

/* Count one. False: `most` are counted already; 0: any number may be. */
bool account_count(struct account *account, enum limit limit, uint64_t most) MUST_USE;
void account_uncount(struct account *account, enum limit limit);
/* How many are counted. */
unsigned account_held(const struct account *account, enum limit limit);
/* Of a host: how many connections it has. */
unsigned account_references(const struct account *account);
/* Note that something was refused, for metrics. */
void accounts_refuse(struct accounts *accounts, struct account *account, enum limit limit);

/* What a request has of an account, until it ends. */
struct holding {
	struct account *account;
	unsigned limits; /* bits 1 << enum limit; 0: nothing, and `account` is not read */
	unsigned given;  /* what holding_give() has given back */
};

/*
 * Take of `limits`, which may be NULL, those of the bits `wanted`, with the account. LIMIT_COUNT;
 * or the limit that was reached: what was taken before it is held all the same. `*ret_wait_ns`:
 * after which time the rate allows another request; 0: not known.
 */
enum limit holding_take(struct holding *holding, struct account *account,
        const struct limits *limits, unsigned wanted, int64_t now_ns,
        int64_t *ret_wait_ns) MUST_USE;
void holding_give(struct holding *holding);
/* Hold again what was given back, whatever the limits say: it lasts after all. */
void holding_keep(struct holding *holding);

#endif
