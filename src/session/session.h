/* SPDX-License-Identifier: MIT */
/*
 * session — one client connection, from accept to close.
 *
 * A session reads a request, asks the other folders about it one after the
 * other, and relays the response. It is the only place that calls them, so that
 * the order of the steps can be read here. A worker is what the sessions of one
 * thread share: the event loop, memory, connections to the Engine, log lines.
 * Workers share nothing but a snapshot of the configuration and what counts for
 * all of them.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "audit/denials.h"
#include "identity/identity.h"
#include "session/snapshot.h"

struct worker;

/* What all workers share, whatever configuration holds. Must outlive them. */
struct worker_shared {
	atomic_uint connections;  /* of clients */
	unsigned max_connections; /* fixed, like all that is sized by it */
	struct denials denials;
	struct learn *learn; /* NULL: requests are not recorded */
};

/*
 * A worker that serves by that snapshot first, of which it takes a reference;
 * buffers are made by its sizes. 0 and *ret_worker, or -errno.
 */
int worker_new(struct worker_shared *shared, struct snapshot *snapshot,
        struct worker **ret_worker) MUST_USE;
void worker_free(struct worker *worker);

/*
 * The functions below are to be called in the worker's thread, or before it runs.
 */

/* The loop it runs in: what is watched there is served in its thread. */
struct loop *worker_loop(struct worker *worker);
/* Serve until worker_stop() was called and the last session has ended. 0 or -errno. */
int worker_run(struct worker *worker) MUST_USE;
/* Judge requests by another snapshot from now on, which has the same listeners and sizes; those
 * under way keep theirs. */
void worker_adopt(struct worker *worker, struct adoption *adoption);
/* Finish what is short, close everything after the grace. Nothing is accepted any more. */
void worker_stop(struct worker *worker);

/*
 * Serve the client behind the socket `fd`, which is the session's from now on. The connection is
 * counted in shared->connections already; it is not any more once it has closed. 0, or -errno:
 * there is no memory, or no event loop that takes it, and the connection is closed.
 */
int session_open(struct worker *worker, int fd, const struct caller *caller) MUST_USE;

#endif
