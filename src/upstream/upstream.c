/* SPDX-License-Identifier: MIT */
#include "upstream/upstream.h"

#include "base/clock.h"

#include <stdlib.h>

enum {
	IDLE_MAX = 64, /* per Engine and thread */
	IDLE_SECONDS = 60,
	CONNECTIONS_KEPT = 16,
};

/* ── What the Engines of a thread share ──────────────────────────────────── */

void upstreams_init(struct upstreams *all, struct loop *loop, unsigned max, unsigned idle_max,
        atomic_uint *open)
{
	*all = (struct upstreams){.loop = loop, .open = open, .idle_max = idle_max};
	pool_init(&all->connections, sizeof(struct engine_connection), max + idle_max,
	        CONNECTIONS_KEPT);
	timer_queue_init(loop, &all->idle_queue, IDLE_SECONDS * NS_PER_S);
}

void upstreams_done(struct upstreams *all)
{
	pool_done(&all->connections);
}

static void leave_idle(struct engine_connection *connection)
{
	list_remove(&connection->link);
	timer_stop(&connection->idle_timer);
	connection->home->idle_count--;
	connection->home->all->idle_count--;
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

bool upstreams_close_oldest(struct upstreams *all)
{
	if (list_empty(&all->idle_queue.timers)) {
		return false;
	}
	idle_expired(CONTAINER_OF(all->idle_queue.timers.next, struct timer, link));
	return true;
}

void upstreams_close_idle(struct upstreams *all)
{
	while (upstreams_close_oldest(all)) {
	}
}

/* ── One Engine ──────────────────────────────────────────────────────────── */

static void unref(struct upstream *upstream)
{
	if (--upstream->references == 0) {
		free(upstream);
	}
}

struct upstream *upstream_new(
        struct upstreams *all, const struct transport *transport, const union address *address)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));

	if (upstream == NULL) {
		return NULL;
	}
	upstream->all = all;
	upstream->transport = transport;
	upstream->address = *address;
	upstream->users = upstream->references = 1;
	list_init(&upstream->idle);
	return upstream;
}

struct upstream *upstream_join(struct upstream *upstream)
{
	ASSERT(upstream->users > 0);
	upstream->users++;
	upstream->references++;
	return upstream;
}

static void close_idle(struct upstream *upstream)
{
	while (!list_empty(&upstream->idle)) {
		retire_idle(CONTAINER_OF(upstream->idle.next, struct engine_connection, link));
	}
}

void upstream_leave(struct upstream *upstream)
{
	if (upstream == NULL) {
		return;
	}
	if (--upstream->users == 0) {
		close_idle(upstream);
	}
	unref(upstream);
}

/* What was made before is of a former generation, also what is lent at the moment. */
static void renew(struct upstream *upstream)
{
	upstream->generation++;
	close_idle(upstream);
}

void upstream_move(struct upstream *upstream, const union address *address)
{
	upstream->address = *address;
	renew(upstream);
}

void upstream_use(struct upstream *upstream, const struct transport *transport)
{
	if (upstream->transport != transport) {
		upstream->transport = transport;
		renew(upstream);
	}
}

void upstream_pass(struct upstream *upstream)
{
	upstream->passing = true;
	close_idle(upstream);
}

/* ── Borrowing ───────────────────────────────────────────────────────────── */

static void free_deferred(struct task *task)
{
	struct engine_connection *connection =
	        CONTAINER_OF(task, struct engine_connection, deferred_free);
	struct upstream *home = connection->home;

	pool_give(&home->all->connections, connection);
	unref(home);
}

static int open_connection(struct upstream *upstream, struct engine_connection **ret_connection)
{
	struct upstreams *all = upstream->all;

	if (upstream->address.any.sa_family == AF_UNSPEC) {
		return -EADDRNOTAVAIL;
	}
	struct engine_connection *connection = pool_take(&all->connections);
	if (connection == NULL) {
		return -ENOBUFS;
	}
	const int error = upstream->transport->connect(upstream->transport, &connection->stream,
	        all->loop, &upstream->address, idle_notified);
	if (error < 0) {
		pool_give(&all->connections, connection);
		return error;
	}
	(void)atomic_fetch_add_explicit(all->open, 1, memory_order_relaxed);
	upstream->open++;
	upstream->references++;
	connection->home = upstream;
	connection->generation = upstream->generation;
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
	ASSERT(upstream->users > 0);
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

/* Whether the connection may be lent again. */
static bool is_of_use(const struct engine_connection *connection)
{
	const struct upstream *home = connection->home;

	return home->users > 0 && !home->passing && connection->generation == home->generation &&
	       home->idle_count < IDLE_MAX && !connection->stream.peer_done &&
	       (!connection->stream.readable || stream_is_quiet(&connection->stream));
}

void upstream_return(struct engine_connection *connection)
{
	struct upstream *home = connection->home;
	struct upstreams *all = home->all;

	if (!is_of_use(connection)) {
		upstream_retire(connection);
		return;
	}
	if (UNLIKELY(all->idle_count >= all->idle_max) && !upstreams_close_oldest(all)) {
		upstream_retire(connection);
		return;
	}
	connection->stream.notify = idle_notified;
	connection->borrower = NULL;
	stream_ignore_room(&connection->stream);
	list_prepend(&home->idle, &connection->link);
	home->idle_count++;
	all->idle_count++;
	timer_start(all->loop, &all->idle_queue, &connection->idle_timer);
}

void upstream_retire(struct engine_connection *connection)
{
	if (connection != NULL) {
		struct upstreams *all = connection->home->all;
		stream_close(&connection->stream);
		(void)atomic_fetch_sub_explicit(all->open, 1, memory_order_relaxed);
		connection->home->open--;
		loop_put_off(all->loop, &connection->deferred_free);
	}
}
