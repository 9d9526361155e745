/* SPDX-License-Identifier: MIT */
/*
 * upstream — connections to the Engine: dial, reuse, retire.
 *
 * One per thread. A connection is lent to one request at a time. Idle ones are
 * kept for a minute, well under the 300 s after which the Engine closes them,
 * and leave as soon as the Engine lets go of them.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "address/address.h"
#include "base/pool.h"
#include "net/stream.h"

struct upstream {
	struct loop *loop;
	const struct transport *transport;
	union address address;
	struct pool connections;
	struct list idle; /* the last used one first */
	unsigned idle_count;
	struct timer_queue idle_queue;
};

struct engine_connection {
	struct stream stream;
	struct upstream *home;
	void *borrower; /* whom the stream's notify serves */
	bool reused;    /* it has carried a request before */
	struct list link;
	struct timer idle_timer;
	struct task deferred_free; /* at the end of the turn */
};

/* `transport` must outlive it. */
void upstream_init(struct upstream *upstream, struct loop *loop, const struct transport *transport,
        const union address *address, unsigned max);
/* Every connection must be home. */
void upstream_done(struct upstream *upstream);
/* Close the idle connections. */
void upstream_close_idle(struct upstream *upstream);

enum upstream_wish {
	UPSTREAM_ANY,   /* an idle one will do; it may turn out to be dead */
	UPSTREAM_ALIVE, /* an idle one only if the kernel says that it lives */
	UPSTREAM_FRESH, /* a new one */
};

/*
 * Borrow a connection, which can be used once stream_handshake() says 0. 0, or
 * -EAGAIN (the Engine's accept queue is full: try again shortly), or -ENOBUFS
 * (our own pool gives no more), or another -errno of connect(2).
 */
int upstream_borrow(struct upstream *upstream, enum upstream_wish wish, stream_notify *notify,
        void *borrower, struct engine_connection **ret_connection) MUST_USE;
/* Back for the next request: nothing of this one is left in it. */
void upstream_return(struct engine_connection *connection);
/* Close it. NULL is fine. */
void upstream_retire(struct engine_connection *connection);

#endif
