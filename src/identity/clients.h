/* SPDX-License-Identifier: MIT */
/*
 * clients — the entries of `clients:`: who is known, and by which policy each is judged.
 *
 * The first entry whose every condition holds is the client. Pure.
 */
#ifndef IDENTITY_CLIENTS_H
#define IDENTITY_CLIENTS_H

#include "engines/engines.h"
#include "identity/match.h"

enum {
	CLIENTS_COUNT_MAX = 1000,
	CLIENT_NAME_MAX = 64,
	CLIENTS_KNOWN_MAX = 4, /* of a host */
};

struct account;
struct limits;
struct policy;
struct scope;

struct client {
	const char *name;
	unsigned number; /* among all clients */
	struct place place;
	struct match match;
	const struct policy *policy;      /* compiled; NULL: that of the listener */
	const struct engine_set *engines; /* for requests to which the entry holds; NULL: all */
	/* By the index of the listener: the scope of the policy, with the client as the owner;
	 * NULL: no policy has a scope. */
	const struct scope *const *scopes;
	int64_t until_s;             /* the entry ends, in seconds since 1970; INT64_MAX: never */
	const struct limits *limits; /* NULL: none */
	bool has_limits;             /* the entry names some itself */
	struct account *account;     /* of what it has, while it is served; else NULL */
	unsigned metric;             /* the number of its name, for metrics, while it is served */
};

/* Immutable. */
struct clients {
	unsigned count;
	const struct client *list;
	bool has_keys;       /* an entry asks for a key: those of requests are not forwarded */
	bool has_ends;       /* an entry ends */
	bool has_containers; /* an entry asks for the client's container */
	bool must_be_known;  /* who is no client is not judged by the policy of the listener */
};

/* The fault of a name of a client, as the end of a sentence; NULL if it has none. */
const char *client_name_problem(struct slice name);

/* What keys of a host are compared at all: see attempts.h. */
struct slowdown {
	bool slowed; /* only those of the known clients */
	unsigned known_count;
	uint32_t known[CLIENTS_KNOWN_MAX]; /* client_hash() of them; the oldest make room */
};

/* Whether the key of the client is compared. */
bool client_may_present(const struct client *client, const struct slowdown *slowdown);

/* Of its name. */
uint32_t client_hash(const struct client *client);

enum identified {
	IDENTIFIED_NOBODY,    /* no entry holds: the policy of the listener judges */
	IDENTIFIED_CLIENT,    /* `client` is set */
	IDENTIFIED_BAD_KEY,   /* the key of the request is none of a client that it could be */
	IDENTIFIED_NO_KEY,    /* a client must be known, and is not: a key can make it known */
	IDENTIFIED_UNKNOWN,   /* the container of the sender decides */
	IDENTIFIED_ELSEWHERE, /* entries for other Engines hold, and no other */
};

/* Whether the entry fits nobody any more. */
bool client_has_ended(const struct client *client, int64_t now_s);
/* Append the end of the entry, 2027-01-31T18:00:00Z; nothing if it has none. */
void client_add_until(const struct client *client, struct text *text);

/* Find the client. An entry for other Engines than the one that the request means does not hold. */
enum identified clients_find(const struct clients *clients, const struct sender *sender,
        const struct client **ret_client);
/* The same from the entry with the index `*from` on, which becomes the next one: the client that
 * the sender would be without the entries in front. */
enum identified clients_find_from(const struct clients *clients, const struct sender *sender,
        unsigned *from, const struct client **ret_client);
/*
 * Append what the sender lacks to be a client, for the log: "ci: key; office: cidr 192.0.2.0/24".
 * Entries beyond the memory of `text` are left out.
 */
void clients_add_tried(
        const struct clients *clients, const struct sender *sender, struct text *text);
/* The first entry that holds and has the key of the sender as a condition, of whichever Engine;
 * NULL: none. */
const struct client *clients_find_key(const struct clients *clients, const struct sender *sender);
/* Whether the key of the sender is right, of an entry for other Engines. */
bool clients_know_key(const struct clients *clients, const struct sender *sender);
/* Whether the sender presents what is kept of a key in place of the key. */
bool clients_keep(const struct clients *clients, const struct sender *sender);
/* Append by what clients are known, for the sender: "key, cidr". */
void clients_add_kinds(const struct clients *clients, struct text *text);
/* Whether a key could make the sender a client that comes before `client`; NULL: any client. Not
 * whether another key could: false for a client that is known by its key. */
bool clients_want_key(
        const struct clients *clients, const struct sender *sender, const struct client *client);

#endif
