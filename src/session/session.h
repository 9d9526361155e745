/* SPDX-License-Identifier: MIT */
/*
 * session — one client connection, from accept to close.
 *
 * A session reads a request, asks the other folders about it one after the
 * other, and relays the answer. It is the only place that calls them, so that
 * the order of the steps can be read here. A worker is what the sessions of one
 * thread share: the event loop, memory, connections to the Engine, log lines.
 * Workers share nothing but the settings and what counts for all of them.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "base/check.h"
#include "gate/gate.h"
#include "net/stream.h"

#include <stdatomic.h>
#include <stdbool.h>

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

/* What holds for those who connect at a listener. */
struct worker_listener {
	struct gate_config gate;
	const struct transport *transport; /* of what is accepted there */
	bool learns;                       /* what is asked for there is noted */
};

/* 0 and *ret_worker, or -errno. */
int worker_new(const struct worker_settings *settings, struct worker **ret_worker) MUST_USE;
void worker_free(struct worker *worker);

/*
 * The functions below are to be called in the worker's thread, or before it runs.
 */

/* The loop it runs in: what is watched there is served in its thread. */
struct loop *worker_loop(struct worker *worker);
/* Serve until worker_stop() was called and the last session has ended. 0 or -errno. */
int worker_run(struct worker *worker) MUST_USE;
/* Finish what is short, close everything after the grace. Nothing is accepted any more. */
void worker_stop(struct worker *worker);

/*
 * Serve the client behind the socket `fd`, which is the session's from now on. The connection is
 * counted in settings->connections already; it is not any more once it has closed.
 */
void session_open(struct worker *worker, int fd, const struct caller *caller,
        const struct worker_listener *listener);

#endif
