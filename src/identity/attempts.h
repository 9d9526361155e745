/* SPDX-License-Identifier: MIT */
/*
 * attempts — keys that were not accepted, by the host that presented them.
 *
 * A host may present ATTEMPTS_BURST wrong keys, then one a second; the hosts of an IPv6 network of
 * 64 bits count as one. A key that was accepted from the host before is accepted all the same, so
 * that nobody who shares an address with an attacker is locked out. One table for all workers, with
 * a lock that a connection takes when it presents its first key, and for each wrong one.
 */
#ifndef IDENTITY_ATTEMPTS_H
#define IDENTITY_ATTEMPTS_H

#include "identity/clients.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	ATTEMPTS_BURST = 10,
	ATTEMPTS_SETS = 256,
	ATTEMPTS_WAYS = 4, /* hosts of one set; the one that was seen first makes room */
};

struct attempts_entry {
	struct caller caller;     /* its host and, at a unix socket, its user count */
	int64_t seen_ns;          /* 0: the entry is free */
	int64_t debt_ns;          /* wrong keys that time has not forgiven, one second for each */
	struct slowdown slowdown; /* as attempts_look() returns it */
};

struct attempts {
	pthread_mutex_t lock;
	atomic_uint misses; /* so far; 0: nobody is slowed down */
	struct attempts_entry entries[ATTEMPTS_SETS][ATTEMPTS_WAYS];
};

void attempts_init(struct attempts *attempts);
/* Whether the host of the caller must wait, and whose keys are accepted all the same. */
struct slowdown attempts_look(
        struct attempts *attempts, int64_t now_ns, const struct caller *caller);
/* The caller presented a wrong key. */
void attempts_missed(struct attempts *attempts, int64_t now_ns, const struct caller *caller);
/* The key of `client` was accepted. */
void attempts_met(struct attempts *attempts, int64_t now_ns, const struct caller *caller,
        const struct client *client);

#endif
