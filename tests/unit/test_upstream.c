/* SPDX-License-Identifier: MIT */
/* Dialling, over real sockets: what connects, what is refused, what never responds. */
#include "cases.h"

#include "base/clock.h"
#include "upstream/upstream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { POOL_MAX = 4 };

struct dialling {
	struct loop loop;
	struct upstreams all;
	struct upstream *upstream;
	atomic_uint open;
	struct engine_connection *connection;
	struct timer deadline;
	struct timer_queue deadlines;
	int result;
	bool expired;
};

static struct dialling dialling;

static void notified(struct stream *stream)
{
	dialling.result = stream_handshake(stream);
	if (dialling.result != -EAGAIN) {
		loop_stop(&dialling.loop);
	}
}

static void expired(struct timer *timer)
{
	(void)timer;
	dialling.expired = true;
	loop_stop(&dialling.loop);
}

static void begin(const union address *address, unsigned max, int64_t patience_ns)
{
	dialling = (struct dialling){0};
	assert_int_equal(loop_init(&dialling.loop), 0);
	upstreams_init(&dialling.all, &dialling.loop, max, 0, &dialling.open);
	dialling.all.idle_max = max;
	dialling.upstream = upstream_new(&dialling.all, &transport_plain, address);
	assert_non_null(dialling.upstream);
	timer_queue_init(&dialling.loop, &dialling.deadlines, patience_ns);
	timer_init(&dialling.deadline, expired);
	timer_start(&dialling.loop, &dialling.deadlines, &dialling.deadline);
}

/* What upstream_borrow() or, later, stream_handshake() says. */
static int dial(void)
{
	const int error = upstream_borrow(
	        dialling.upstream, UPSTREAM_FRESH, notified, NULL, &dialling.connection);

	if (error < 0) {
		return error;
	}
	dialling.result = stream_handshake(&dialling.connection->stream);
	if (dialling.result == -EAGAIN) {
		assert_int_equal(loop_run(&dialling.loop), 0);
	}
	return dialling.result;
}

static void end(void)
{
	upstream_retire(dialling.connection);
	upstream_leave(dialling.upstream);
	timer_stop(&dialling.deadline);
	loop_stop(&dialling.loop);
	assert_int_equal(loop_run(&dialling.loop), 0); /* what was put off */
	assert_int_equal(atomic_load(&dialling.open), 0);
	upstreams_done(&dialling.all);
	loop_done(&dialling.loop);
}

/* A listening socket on loopback that lets `backlog` connections wait. */
static int listening(int backlog, union address *ret_address)
{
	socklen_t len = sizeof(*ret_address);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*ret_address = (union address){
	        .ip4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &ret_address->any, address_len(ret_address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, &ret_address->any, &len), 0);
	return fd;
}

static void a_tcp_address_is_dialled(void **state)
{
	union address address;
	const int fd = listening(1, &address);
	char byte = 0;

	(void)state;
	begin(&address, POOL_MAX, 10 * NS_PER_S);
	assert_int_equal(dial(), 0);
	const int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	assert_int_equal(stream_write(&dialling.connection->stream, SLICE("x"), false), 1);
	assert_int_equal(read(peer, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_false(dialling.connection->stream.takes_pages);
	end();
	assert_int_equal(read(peer, &byte, 1), 0);
	(void)close(peer);
	(void)close(fd);
}

static void a_connection_is_reused(void **state)
{
	union address address;
	const int fd = listening(1, &address);

	(void)state;
	begin(&address, POOL_MAX, 10 * NS_PER_S);
	assert_int_equal(dial(), 0);
	const struct engine_connection *first = dialling.connection;
	upstream_return(dialling.connection);
	assert_int_equal(upstream_borrow(dialling.upstream, UPSTREAM_ALIVE, notified, NULL,
	                         &dialling.connection),
	        0);
	assert_ptr_equal(dialling.connection, first);
	assert_true(dialling.connection->reused);
	assert_int_equal(stream_handshake(&dialling.connection->stream), 0);
	end();
	(void)close(fd);
}

static void a_refusal_is_reported(void **state)
{
	union address address;

	(void)state;
	(void)close(listening(1, &address));
	begin(&address, POOL_MAX, 10 * NS_PER_S);
	assert_int_equal(dial(), -ECONNREFUSED);
	end();
}

/* With the queue full, the kernel drops what asks for more: as a host does that is not there. */
static void one_that_never_responds_is_waited_for(void **state)
{
	union address address;
	const int fd = listening(0, &address);
	int waiting[3];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(waiting); i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(waiting[i], &address.any, address_len(&address));
	}
	begin(&address, POOL_MAX, 100 * NS_PER_MS);
	assert_int_equal(dial(), -EAGAIN);
	assert_true(dialling.expired);
	assert_int_equal(stream_write(&dialling.connection->stream, SLICE("x"), false), -EAGAIN);
	end();
	for (unsigned i = 0; i < ARRAY_LEN(waiting); i++) {
		(void)close(waiting[i]);
	}
	(void)close(fd);
}

static void a_unix_socket_is_dialled_at_once(void **state)
{
	union address address = {.path = {.sun_family = AF_UNIX}};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	(void)snprintf(address.path.sun_path, sizeof(address.path.sun_path),
	        "/tmp/test-upstream-%d.sock", getpid());
	assert_int_equal(bind(fd, &address.any, address_len(&address)), 0);
	begin(&address, POOL_MAX, 10 * NS_PER_S);
	assert_int_equal(dial(), -ECONNREFUSED); /* nobody listens yet */
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(dial(), 0);
	assert_true(dialling.connection->stream.takes_pages);
	struct engine_connection *first = dialling.connection;
	assert_int_equal(dial(), -EAGAIN); /* the queue is full */
	assert_ptr_equal(dialling.connection, first);
	end();
	(void)unlink(address.path.sun_path);
	(void)close(fd);
}

static void a_pool_without_more_is_not_the_engines_queue(void **state)
{
	union address address;
	const int fd = listening(1, &address);

	(void)state;
	begin(&address, 0, 10 * NS_PER_S);
	assert_int_equal(dial(), -ENOBUFS);
	end();
	(void)close(fd);
}

/* ── Several Engines ─────────────────────────────────────────────────────── */

enum { ENGINES = 2 };

static struct upstream *engines[ENGINES];
static int listeners[ENGINES];

static void begin_fleet(unsigned idle_max)
{
	dialling = (struct dialling){0};
	assert_int_equal(loop_init(&dialling.loop), 0);
	upstreams_init(&dialling.all, &dialling.loop, 100, idle_max, &dialling.open);
	for (unsigned i = 0; i < ENGINES; i++) {
		union address address;
		listeners[i] = listening(100, &address);
		engines[i] = upstream_new(&dialling.all, &transport_plain, &address);
		assert_non_null(engines[i]);
	}
}

static struct engine_connection *borrow(struct upstream *upstream)
{
	struct engine_connection *connection = NULL;

	assert_int_equal(upstream_borrow(upstream, UPSTREAM_ANY, notified, NULL, &connection), 0);
	assert_ptr_equal(connection->home, upstream);
	return connection;
}

static void run_deferred(void)
{
	loop_end_turn(&dialling.loop);
}

static void end_fleet(void)
{
	for (unsigned i = 0; i < ENGINES; i++) {
		upstream_leave(engines[i]);
		(void)close(listeners[i]);
	}
	run_deferred();
	assert_int_equal(atomic_load(&dialling.open), 0);
	assert_int_equal(dialling.all.idle_count, 0);
	upstreams_done(&dialling.all);
	loop_done(&dialling.loop);
}

static void a_connection_comes_back_to_its_engine(void **state)
{
	(void)state;
	begin_fleet(8);
	struct engine_connection *a = borrow(engines[0]);
	struct engine_connection *b = borrow(engines[1]);
	upstream_return(b);
	upstream_return(a);
	assert_ptr_equal(borrow(engines[1]), b);
	assert_ptr_equal(borrow(engines[0]), a);
	assert_true(a->reused && b->reused);
	assert_int_equal(engines[0]->open, 1);
	upstream_retire(a);
	upstream_retire(b);
	assert_int_equal(engines[0]->open, 0);
	end_fleet();
}

static void the_oldest_idle_connection_of_all_makes_room(void **state)
{
	struct engine_connection *connections[4];

	(void)state;
	begin_fleet(3);
	for (unsigned i = 0; i < ARRAY_LEN(connections); i++) {
		connections[i] = borrow(engines[i % ENGINES]);
	}
	for (unsigned i = 0; i < ARRAY_LEN(connections); i++) {
		upstream_return(connections[i]);
	}
	assert_int_equal(dialling.all.idle_count, 3);
	assert_int_equal(engines[0]->idle_count, 1);
	assert_int_equal(engines[1]->idle_count, 2);
	assert_ptr_equal(borrow(engines[0]), connections[2]);
	upstream_retire(connections[2]);
	assert_true(upstreams_close_oldest(&dialling.all));
	assert_ptr_equal(borrow(engines[1]), connections[3]);
	upstream_return(connections[3]);
	end_fleet();
}

/* Also those that are lent while the address changes. */
static void no_connection_to_a_former_address_is_kept(void **state)
{
	(void)state;
	begin_fleet(8);
	struct engine_connection *idle = borrow(engines[0]);
	struct engine_connection *lent = borrow(engines[0]);
	upstream_return(idle);
	upstream_move(engines[0], &engines[1]->address);
	assert_int_equal(engines[0]->idle_count, 0);
	upstream_return(lent);
	assert_int_equal(engines[0]->idle_count, 0);
	run_deferred();
	struct engine_connection *fresh = borrow(engines[0]);
	assert_false(fresh->reused);
	upstream_return(fresh);
	assert_int_equal(engines[0]->idle_count, 1);
	end_fleet();
}

static void an_engine_that_is_removed_keeps_nothing(void **state)
{
	(void)state;
	begin_fleet(8);
	struct engine_connection *idle = borrow(engines[0]);
	struct engine_connection *lent = borrow(engines[0]);
	upstream_return(idle);
	struct upstream *shared = upstream_join(engines[0]);
	upstream_leave(shared);
	assert_int_equal(engines[0]->idle_count, 1); /* somebody may still borrow */
	upstream_leave(engines[0]);
	engines[0] = NULL;
	assert_int_equal(dialling.all.idle_count, 0);
	run_deferred();
	upstream_return(lent); /* its Engine is there until this one is gone */
	assert_int_equal(dialling.all.idle_count, 0);
	end_fleet();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_tcp_address_is_dialled),
	        cmocka_unit_test(a_connection_is_reused),
	        cmocka_unit_test(a_refusal_is_reported),
	        cmocka_unit_test(one_that_never_responds_is_waited_for),
	        cmocka_unit_test(a_unix_socket_is_dialled_at_once),
	        cmocka_unit_test(a_pool_without_more_is_not_the_engines_queue),
	        cmocka_unit_test(a_connection_comes_back_to_its_engine),
	        cmocka_unit_test(the_oldest_idle_connection_of_all_makes_room),
	        cmocka_unit_test(no_connection_to_a_former_address_is_kept),
	        cmocka_unit_test(an_engine_that_is_removed_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
