/* SPDX-License-Identifier: MIT */
#include "upstream/upstream.h"

#include "base/clock.h"

enum {
	IDLE_MAX = 64, /* per thread */
	IDLE_SECONDS = 60,
	CONNECTIONS_KEPT = 16,
};

void upstream_init(struct upstream *upstream, struct loop *loop, const struct transport *transport,
        const union address *address, unsigned max, atomic_uint *open)
{
	*upstream = (struct upstream){
	        .loop = loop,
	        .transport = transport,
	        .address = *address,
	        .open = open,
	};
	pool_init(&upstream->connections, sizeof(struct engine_connection), max, CONNECTIONS_KEPT);
	list_init(&upstream->idle);
	timer_queue_init(loop, &upstream->idle_queue, IDLE_SECONDS * NS_PER_S);
}

void upstream_done(struct upstream *upstream)
{
	pool_done(&upstream->connections);
}

static void leave_idle(struct engine_connection *connection)
{
	list_remove(&connection->link);
	timer_stop(&connection->idle_timer);
	connection->home->idle_count--;
}

static void retire_idle(struct engine_connection *connection)
{
	leave_idle(connection);
	upstream_retire(connection);
}

/* Unexpected bytes, or the end: the connection cannot be used again. The event may also be a late
 * one, for bytes that the last borrower has read. */
static void idle_notified(struct stream *stream)
{
	if (!stream_is_quiet(stream)) {
		retire_idle(CONTAINER_OF(stream, struct engine_connection, stream));
	}
}

static void idle_expired(struct timer *timer)
{
	retire_idle(CONTAINER_OF(timer, struct engine_connection, idle_timer));
}

static void free_deferred(struct task *task)
{
	struct engine_connection *connection =
	        CONTAINER_OF(task, struct engine_connection, deferred_free);

	pool_give(&connection->home->connections, connection);
}

void upstream_close_idle(struct upstream *upstream)
{
	while (!list_empty(&upstream->idle)) {
		retire_idle(CONTAINER_OF(upstream->idle.next, struct engine_connection, link));
	}
}

void upstream_move(struct upstream *upstream, const union address *address)
{
	upstream->address = *address;
	upstream_close_idle(upstream);
}

void upstream_use(struct upstream *upstream, const struct transport *transport)
{
	if (upstream->transport != transport) {
		upstream->transport = transport;
		upstream_close_idle(upstream);
	}
}

static int open_connection(struct upstream *upstream, struct engine_connection **ret_connection)
{
	if (upstream->address.any.sa_family == AF_UNSPEC) {
		return -EADDRNOTAVAIL;
	}
	struct engine_connection *connection = pool_take(&upstream->connections);
	if (connection == NULL) {
		return -ENOBUFS;
	}
	const int error = upstream->transport->connect(upstream->transport, &connection->stream,
	        upstream->loop, &upstream->address, idle_notified);
	if (error < 0) {
		pool_give(&upstream->connections, connection);
		return error;
	}
	(void)atomic_fetch_add_explicit(upstream->open, 1, memory_order_relaxed);
	connection->home = upstream;
	connection->reused = false;
	list_init(&connection->link);
	timer_init(&connection->idle_timer, idle_expired);
	task_init(&connection->deferred_free, free_deferred);
	*ret_connection = connection;
	return 0;
}

static struct engine_connection *take_idle(struct upstream *upstream, enum upstream_wish wish)
{
	while (wish != UPSTREAM_FRESH && !list_empty(&upstream->idle)) {
		struct engine_connection *connection =
		        CONTAINER_OF(upstream->idle.next, struct engine_connection, link);
		leave_idle(connection);
		if (wish == UPSTREAM_ANY || stream_is_quiet(&connection->stream)) {
			connection->reused = true;
			return connection;
		}
		upstream_retire(connection);
	}
	return NULL;
}

int upstream_borrow(struct upstream *upstream, enum upstream_wish wish, stream_notify *notify,
        void *borrower, struct engine_connection **ret_connection)
{
	struct engine_connection *connection = take_idle(upstream, wish);
	const int error = connection == NULL ? open_connection(upstream, &connection) : 0;

	if (connection == NULL) {
		return error;
	}
	connection->stream.notify = notify;
	connection->borrower = borrower;
	*ret_connection = connection;
	return 0;
}

void upstream_return(struct engine_connection *connection)
{
	struct upstream *home = connection->home;

	if (home->idle_count == IDLE_MAX || connection->stream.peer_done ||
	        (connection->stream.readable && !stream_is_quiet(&connection->stream))) {
		upstream_retire(connection);
		return;
	}
	connection->stream.notify = idle_notified;
	connection->borrower = NULL;
	stream_ignore_room(&connection->stream);
	list_prepend(&home->idle, &connection->link);
	home->idle_count++;
	timer_start(home->loop, &home->idle_queue, &connection->idle_timer);
}

void upstream_retire(struct engine_connection *connection)
{
	if (connection != NULL) {
		stream_close(&connection->stream);
		(void)atomic_fetch_sub_explicit(connection->home->open, 1, memory_order_relaxed);
		loop_put_off(connection->home->loop, &connection->deferred_free);
	}
}
