/* SPDX-License-Identifier: MIT */
/*
 * upstream — connections to the Engine: dial, reuse, retire.
 *
 * One for each thread. A connection is lent to one request at a time. An idle
 * connection is kept for 60 s (the Engine closes it after 300 s), and is closed as
 * soon as the Engine closes it.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "address/address.h"
#include "base/pool.h"
#include "net/stream.h"

#include <stdatomic.h>

struct upstream {
	struct loop *loop;
	const struct transport *transport;
	union address address;
	struct pool connections;
	atomic_uint *open;
	struct list idle; /* the last used connection first */
	unsigned idle_count;
	struct timer_queue idle_queue;
};

struct engine_connection {
	struct stream stream;
	struct upstream *home;
	void *borrower; /* for the notify function of the stream */
	bool reused;    /* it was used for another request before */
	struct list link;
	struct timer idle_timer;
	struct task deferred_free; /* at the end of the turn */
};

/* `transport` must last until there is another one. Connections are counted in `open`, as those of
 * other threads are. */
void upstream_init(struct upstream *upstream, struct loop *loop, const struct transport *transport,
        const union address *address, unsigned max, atomic_uint *open);
/* No connection may be lent. */
void upstream_done(struct upstream *upstream);
/* Connect to another address from now on, and close the idle connections to the former one. */
void upstream_move(struct upstream *upstream, const union address *address);
/* Connect by another transport from now on, and close the idle connections of the former one. */
void upstream_use(struct upstream *upstream, const struct transport *transport);
/* Close the idle connections. */
void upstream_close_idle(struct upstream *upstream);

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
