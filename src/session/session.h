/* SPDX-License-Identifier: MIT */
/*
 * session — one client connection, from accept to close.
 *
 * A session reads a request, asks the other folders about it one after the
 * other, and relays the answer. It is the only place that calls them, so that
 * the order of the steps can be read here. A worker is a thread with the
 * sessions it has accepted; workers share nothing but the configuration and
 * the count of connections.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "net/stream.h"
#include "policy/policy.h"

#include <stdatomic.h>
#include <stdbool.h>

struct loop;
struct worker;

/* What a worker needs to know; must outlive it. */
struct worker_settings {
	const struct transport *engine_transport;
	union address engine;     /* its address */
	const char *api_key;      /* NULL: none */
	unsigned max_connections; /* of all workers together */
	unsigned max_head;        /* bytes */
	unsigned head_timeout;    /* seconds */
	unsigned shutdown_grace;  /* seconds */
	atomic_uint *connections; /* of all workers */
	struct denials *denials;  /* likewise */
	struct learn *learn;      /* likewise; NULL: nobody takes notes */
};

/* A listening descriptor, and what holds for those who connect there. */
struct worker_listener {
	const struct policy *policy; /* compiled */
	const struct transport *transport;
	int fd;
	bool learns;   /* what is asked for there is noted */
	bool browsers; /* their requests are forwarded as anybody's */
};

/*
 * A worker that serves `count` listeners, whose descriptors it closes when it
 * stops. 0 and *ret_worker, or -errno.
 */
int worker_new(const struct worker_settings *settings, const struct worker_listener *listeners,
        unsigned count, struct worker **ret_worker) MUST_USE;
/* Serve until worker_stop() was called and the last session has ended. 0 or -errno. */
int worker_run(struct worker *worker) MUST_USE;
/*
 * From any thread: accept no more, finish what is short, close everything
 * after the grace.
 */
void worker_stop(struct worker *worker);
void worker_free(struct worker *worker);
/* The loop it runs in: what is watched there is served in its thread. */
struct loop *worker_loop(struct worker *worker);

#endif
