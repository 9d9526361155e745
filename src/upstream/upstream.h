/* SPDX-License-Identifier: MIT */
/*
 * upstream — connections to Engines: dial, reuse, retire.
 *
 * `struct upstreams` is what all Engines of a thread share, `struct upstream` is one of them. A
 * connection belongs to the Engine it was made to for as long as it lives, and is lent to one
 * request at a time. An idle connection is kept for 60 s (the Engine closes it after 300 s), and is
 * closed as soon as the Engine closes it, when there are too many of them, and when its Engine has
 * another address or is not in use any more.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "address/address.h"
#include "base/pool.h"
#include "net/stream.h"

#include <stdatomic.h>

struct upstreams {
	struct loop *loop;
	atomic_uint *open;       /* connections, with those of other threads */
	struct pool connections; /* of all Engines */
	struct timer_queue
	        idle_queue; /* of all Engines: the one that is idle longest comes first */
	unsigned idle_count, idle_max;
};

struct upstream {
	struct upstreams *all;
	const struct transport *transport;
	union address address;
	struct list idle; /* the last used connection first */
	unsigned idle_count;
	unsigned open;       /* connections */
	bool passing;        /* none is kept */
	unsigned generation; /* of address and transport; connections of former ones are not kept */
	/* Who may borrow, and connections whose memory is in use; the last one frees it. */
	unsigned users, references;
};

struct engine_connection {
	struct stream stream;
	struct upstream *home;
	void *borrower; /* for the notify function of the stream */
	bool reused;    /* it was used for another request before */
	unsigned generation;
	struct list link;
	struct timer idle_timer;
	struct task deferred_free; /* at the end of the turn */
};

/* ── What the Engines of a thread share ──────────────────────────────────── */

/* At most `max` connections are lent, and `idle_max` idle. They are counted in `open`, as those of
 * other threads are. */
void upstreams_init(struct upstreams *all, struct loop *loop, unsigned max, unsigned idle_max,
        atomic_uint *open);
/* No connection may be open, and no Engine in use. */
void upstreams_done(struct upstreams *all);
/* Close the idle connections. */
void upstreams_close_idle(struct upstreams *all);
/* Close the connection that is idle longest, of whichever Engine. False: there is none. */
bool upstreams_close_oldest(struct upstreams *all);

/* ── One Engine ──────────────────────────────────────────────────────────── */

/* With one user, who ends that with upstream_leave(). `transport` must last until there is another
 * one, or no user. NULL without memory. */
struct upstream *upstream_new(struct upstreams *all, const struct transport *transport,
        const union address *address) MUST_USE;
/* One more user. */
struct upstream *upstream_join(struct upstream *upstream);
/* One user less. Without users nothing is borrowed, idle connections close, and those that are lent
 * close when they come back. `upstream` may be NULL. */
void upstream_leave(struct upstream *upstream);
/* Connect to another address from now on, and close the idle connections to the former one. */
void upstream_move(struct upstream *upstream, const union address *address);
/* Connect by another transport from now on, and close the idle connections of the former one. */
void upstream_use(struct upstream *upstream, const struct transport *transport);

/* No further request begins here: close the idle connections, and those that are lent when they
 * come back. */
void upstream_pass(struct upstream *upstream);

enum upstream_wish {
	UPSTREAM_ANY,   /* an idle connection, which the Engine may have closed, or a new one */
	UPSTREAM_ALIVE, /* an idle connection that stream_is_quiet(), or a new one */
	UPSTREAM_FRESH, /* a new connection */
};

/*
 * Borrow a connection. It can be used when stream_handshake() returns 0. Returns 0;
 * -EAGAIN if the accept queue of the Engine is full (try again later); -ENOBUFS if
 * the pool is at its ceiling; -EADDRNOTAVAIL if the Engine's name has no address; or another -errno
 * of connect(2).
 */
int upstream_borrow(struct upstream *upstream, enum upstream_wish wish, stream_notify *notify,
        void *borrower, struct engine_connection **ret_connection) MUST_USE;
/* Return a connection whose request and response are complete, for reuse. */
void upstream_return(struct engine_connection *connection);
/* Close a borrowed connection. `connection` may be NULL. */
void upstream_retire(struct engine_connection *connection);

#endif
