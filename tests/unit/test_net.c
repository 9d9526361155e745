/* SPDX-License-Identifier: MIT */
/* The event loop by a clock of the test's own, and streams over real sockets. */
#include "cases.h"

#include "base/clock.h"
#include "net/loop.h"
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static struct loop loop;
static char seen[256]; /* what happened, a letter each */

static void note(char letter)
{
	const size_t len = strlen(seen);

	assert_true(len < sizeof(seen) - 1);
	seen[len] = letter;
}

static void expect_seen(const char *wanted)
{
	assert_string_equal(seen, wanted);
	memset(seen, 0, sizeof(seen));
}

static int begin(void **state)
{
	(void)state;
	memset(seen, 0, sizeof(seen));
	return loop_init(&loop);
}

static int end(void **state)
{
	(void)state;
	loop_done(&loop);
	return 0;
}

/* ── Timers ──────────────────────────────────────────────────────────────── */

struct lettered_timer {
	struct timer timer;
	char letter;
	struct timer_queue *again; /* to be started there when it expires */
};

static void timer_expired(struct timer *timer)
{
	struct lettered_timer *lettered = CONTAINER_OF(timer, struct lettered_timer, timer);

	note(lettered->letter);
	if (lettered->again != NULL) {
		timer_start(&loop, lettered->again, timer);
	}
}

static struct lettered_timer lettered_timer(char letter)
{
	return (struct lettered_timer){.letter = letter};
}

static void pass(int64_t ns)
{
	loop.now_ns += ns;
	loop_end_turn(&loop);
}

static void timers_expire_when_they_should(void **state)
{
	struct lettered_timer a = lettered_timer('a');
	struct lettered_timer b = lettered_timer('b');
	struct lettered_timer c = lettered_timer('c');
	struct timer_queue slow;
	struct timer_queue fast;

	(void)state;
	timer_queue_init(&loop, &slow, 100);
	timer_queue_init(&loop, &fast, 10);
	timer_init(&a.timer, timer_expired);
	timer_init(&b.timer, timer_expired);
	timer_init(&c.timer, timer_expired);
	timer_start(&loop, &slow, &a.timer);
	pass(50);
	timer_start(&loop, &slow, &b.timer);
	timer_start(&loop, &fast, &c.timer);
	pass(9);
	expect_seen("");
	pass(1);
	expect_seen("c");
	pass(39);
	expect_seen("");
	pass(1);
	expect_seen("a");
	pass(49);
	expect_seen("");
	pass(1);
	expect_seen("b");
	pass(1000);
	expect_seen("");
}

static void one_that_is_stopped_or_started_anew_does_not(void **state)
{
	struct lettered_timer a = lettered_timer('a');
	struct lettered_timer b = lettered_timer('b');
	struct timer_queue queue;

	(void)state;
	timer_queue_init(&loop, &queue, 100);
	timer_init(&a.timer, timer_expired);
	timer_init(&b.timer, timer_expired);
	timer_start(&loop, &queue, &a.timer);
	timer_start(&loop, &queue, &b.timer);
	pass(60);
	timer_stop(&a.timer);
	timer_start(&loop, &queue, &b.timer);
	pass(60);
	expect_seen("");
	pass(40);
	expect_seen("b");
}

static void one_that_starts_itself_anew_comes_again(void **state)
{
	struct lettered_timer a = lettered_timer('a');
	struct timer_queue queue;

	(void)state;
	timer_queue_init(&loop, &queue, 100);
	timer_init(&a.timer, timer_expired);
	a.again = &queue;
	timer_start(&loop, &queue, &a.timer);
	pass(250);
	expect_seen("a");
	pass(99);
	expect_seen("");
	pass(1);
	expect_seen("a");
	timer_stop(&a.timer);
}

static void stop_loop(struct timer *timer)
{
	(void)timer;
	loop_stop(&loop);
}

/* Neither before its time nor by asking all the time whether it has come. */
static void the_loop_sleeps_until_the_next(void **state)
{
	struct timer_queue queue;
	struct timer_queue later;
	struct timer timer;
	struct timer other;
	const int64_t before_ns = clock_monotonic_ns();
	struct timespec cpu_before;
	struct timespec cpu_after;

	(void)state;
	timer_queue_init(&loop, &later, INT64_MAX / 2);
	timer_queue_init(&loop, &queue, 30 * NS_PER_MS + 1);
	timer_init(&timer, stop_loop);
	timer_init(&other, stop_loop);
	timer_start(&loop, &queue, &timer);
	timer_start(&loop, &later, &other);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_before);
	assert_int_equal(loop_run(&loop), 0);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_after);
	assert_true(clock_monotonic_ns() - before_ns >= 30 * NS_PER_MS + 1);
	const int64_t cpu_ns = (cpu_after.tv_sec - cpu_before.tv_sec) * NS_PER_S +
	                       cpu_after.tv_nsec - cpu_before.tv_nsec;
	assert_true(cpu_ns < 15 * NS_PER_MS);
}

/* ── Tasks ───────────────────────────────────────────────────────────────── */

struct lettered_task {
	struct task task;
	char letter;
	struct lettered_task *next; /* to be put off by this one */
	bool stops;
};

static void run_task(struct task *task)
{
	const struct lettered_task *lettered = CONTAINER_OF(task, struct lettered_task, task);

	note(lettered->letter);
	if (lettered->next != NULL) {
		loop_put_off(&loop, &lettered->next->task);
	}
	if (lettered->stops) {
		loop_stop(&loop);
	}
}

static void what_is_put_off_runs_once_at_the_end_of_the_turn(void **state)
{
	struct lettered_task a = {.letter = 'a'};
	struct lettered_task b = {.letter = 'b', .next = &b};

	(void)state;
	task_init(&a.task, run_task);
	task_init(&b.task, run_task);
	loop_put_off(&loop, &a.task);
	loop_put_off(&loop, &b.task);
	loop_put_off(&loop, &a.task);
	expect_seen("");
	pass(0);
	expect_seen("ba");
	pass(0);
	expect_seen("b"); /* what it put off then belonged to this turn */
	list_remove(&b.task.link);
	pass(0);
	expect_seen("");
}

static void what_was_put_off_last_runs_before_the_loop_ends(void **state)
{
	struct lettered_task b = {.letter = 'b'};
	struct lettered_task a = {.letter = 'a', .next = &b, .stops = true};

	(void)state;
	task_init(&a.task, run_task);
	task_init(&b.task, run_task);
	loop_put_off(&loop, &a.task);
	assert_int_equal(loop_run(&loop), 0);
	expect_seen("ab");
}

/* ── Rounds ──────────────────────────────────────────────────────────────── */

struct walker {
	struct watch watch;
	struct task task;
	char letter;
	int peer;
};

/* In lower case while others wait in the round, then in upper case. */
static void walk(struct walker *walker)
{
	note(loop_comes_to(&loop, ROUND_LAST) ? walker->letter
	                                      : (char)(walker->letter - 'a' + 'A'));
	if (loop_comes_to(&loop, ROUND_LAST)) {
		loop_put_off_to_round(&loop, &walker->task, loop.round + 1);
	} else {
		loop_stop(&loop);
	}
}

static void walk_on(struct task *task)
{
	walk(CONTAINER_OF(task, struct walker, task));
}

static void walker_ready(struct watch *watch, uint32_t events)
{
	char byte;

	assert_true((events & EPOLLIN) != 0);
	assert_int_equal(read(watch->fd, &byte, 1), 1);
	walk(CONTAINER_OF(watch, struct walker, watch));
}

static void open_walkers(struct walker *walkers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int ends[2];
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		walkers[i] = (struct walker){.watch = {.fd = ends[0], .ready = walker_ready},
		        .letter = (char)('a' + (int)(i % 26)),
		        .peer = ends[1]};
		task_init(&walkers[i].task, walk_on);
		assert_int_equal(loop_add(&loop, &walkers[i].watch, EPOLLIN), 0);
		assert_int_equal(write(ends[1], "x", 1), 1);
	}
}

static void close_walkers(struct walker *walkers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		(void)close(walkers[i].watch.fd);
		(void)close(walkers[i].peer);
	}
}

static void several_events_are_handled_in_rounds(void **state)
{
	struct walker walkers[3];

	(void)state;
	open_walkers(walkers, 3);
	assert_int_equal(loop_run(&loop), 0);
	expect_seen("abcabcabcABC");
	close_walkers(walkers, 3);
}

static void one_that_is_alone_is_handled_at_once(void **state)
{
	struct walker walkers[1];

	(void)state;
	open_walkers(walkers, 1);
	assert_int_equal(loop_run(&loop), 0);
	expect_seen("A");
	close_walkers(walkers, 1);
}

/* 33 of them: those of the first 32 are over before the last one's begins, which is alone. */
static void a_round_has_so_many_events(void **state)
{
	struct walker walkers[33];

	(void)state;
	open_walkers(walkers, 33);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(strlen(seen), 4 * 32 + 1);
	assert_int_equal(seen[4 * 32], 'G');
	assert_int_equal(seen[3 * 32], 'A');
	close_walkers(walkers, 33);
}

/* ── Descriptors ─────────────────────────────────────────────────────────── */

struct pair {
	struct watch watches[2];
	int peers[2];
};

static struct pair pair;

/* The first of the two that has news closes both: the other's event is stale. */
static void close_both(struct watch *watch, uint32_t events)
{
	(void)watch;
	assert_true((events & EPOLLIN) != 0);
	note('x');
	for (unsigned i = 0; i < 2; i++) {
		(void)close(pair.watches[i].fd);
		pair.watches[i].fd = -1;
	}
	loop_stop(&loop);
}

static void a_stale_event_is_nobodys(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		int ends[2];
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		pair.watches[i] = (struct watch){.fd = ends[0], .ready = close_both};
		pair.peers[i] = ends[1];
		assert_int_equal(loop_add(&loop, &pair.watches[i], EPOLLIN), 0);
		assert_int_equal(write(ends[1], "x", 1), 1);
	}
	assert_int_equal(loop_run(&loop), 0);
	expect_seen("x");
	(void)close(pair.peers[0]);
	(void)close(pair.peers[1]);
}

static void what_the_kernel_does_not_watch_is_an_error(void **state)
{
	struct watch watch = {.fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};

	(void)state;
	assert_int_equal(loop_add(&loop, &watch, EPOLLIN), -EPERM);
	assert_int_equal(dup2(loop.epoll, watch.fd), watch.fd);
	assert_int_equal(loop_change(&loop, &watch, EPOLLIN), -EINVAL);
	(void)close(watch.fd);
	(void)close(loop.epoll);
	assert_int_equal(loop_run(&loop), -EBADF);
	assert_int_equal(loop_init(&loop), 0);
}

static void a_watch_that_is_removed_hears_nothing(void **state)
{
	struct lettered_task a = {.letter = 'a', .stops = true};
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pair.watches[0] = (struct watch){.fd = ends[0], .ready = close_both};
	assert_int_equal(loop_add(&loop, &pair.watches[0], EPOLLIN), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	loop_remove(&loop, &pair.watches[0]);
	task_init(&a.task, run_task);
	loop_put_off(&loop, &a.task);
	assert_int_equal(loop_run(&loop), 0);
	expect_seen("a");
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* ── Plain streams ───────────────────────────────────────────────────────── */

static struct stream stream;
static int peer; /* the other end, which waits */

static void heard(struct stream *of)
{
	(void)of;
	loop_stop(&loop);
}

/* One turn: what the kernel has to report, at once. */
static void turn(void)
{
	loop.stopped = false;
	struct lettered_task stop = {.letter = '.', .stops = true};

	task_init(&stop.task, run_task);
	loop_put_off(&loop, &stop.task);
	assert_int_equal(loop_run(&loop), 0);
	memset(seen, 0, sizeof(seen));
}

/* Wait for news. */
static void await_news(void)
{
	loop.stopped = false;
	assert_int_equal(loop_run(&loop), 0);
}

static void open_unix(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(
	        transport_plain.accept(&transport_plain, &stream, &loop, ends[0], heard), 0);
	peer = ends[1];
}

static void open_tcp(void)
{
	union address address = {
	        .ip4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(address.ip4);
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, &address.any, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, &address.any, &len), 0);
	assert_int_equal(
	        transport_plain.connect(&transport_plain, &stream, &loop, &address, heard), 0);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	(void)close(listener);
	assert_false(stream.established);
	await_news();
	assert_int_equal(stream_handshake(&stream), 0);
	assert_true(stream.established);
}

static void close_stream(void)
{
	stream_close(&stream);
	assert_false(stream_is_open(&stream));
	(void)close(peer);
}

static void a_short_read_empties_the_socket(void **state)
{
	char bytes[16];

	(void)state;
	open_unix();
	assert_int_equal(stream_read(&stream, bytes, sizeof(bytes)), -EAGAIN);
	assert_true(stream_is_quiet(&stream));
	assert_int_equal(write(peer, "12345", 5), 5);
	assert_false(stream_is_quiet(&stream));
	await_news();
	assert_true(stream.readable);
	assert_int_equal(stream_read(&stream, bytes, 2), 2);
	assert_true(stream.readable); /* there may be more */
	assert_int_equal(stream_read(&stream, bytes, 3), 3);
	assert_true(stream.readable);
	assert_int_equal(stream_read(&stream, bytes, 1), -EAGAIN);
	assert_false(stream.readable);
	assert_int_equal(write(peer, "6", 1), 1);
	await_news();
	assert_int_equal(stream_read(&stream, bytes, sizeof(bytes)), 1);
	assert_false(stream.readable);
	close_stream();
}

/* The kernel reports it once: what was read before must not make it forgotten. */
static void the_end_stays_to_be_read(void **state)
{
	char bytes[16];

	(void)state;
	open_unix();
	assert_int_equal(write(peer, "12", 2), 2);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	await_news();
	assert_true(stream.peer_done);
	assert_false(stream.hangup);
	assert_false(stream.broken);
	assert_int_equal(stream_read(&stream, bytes, sizeof(bytes)), 2);
	assert_true(stream.readable);
	assert_int_equal(stream_read(&stream, bytes, sizeof(bytes)), 0);
	assert_false(stream_is_quiet(&stream));
	close_stream();
}

static void a_peer_that_is_gone_is_a_hangup(void **state)
{
	(void)state;
	open_unix();
	(void)close(peer);
	await_news();
	assert_true(stream.peer_done);
	assert_true(stream.hangup);
	assert_false(stream.broken);
	assert_int_equal(stream_write(&stream, SLICE("x"), false), -EPIPE);
	peer = -1;
	close_stream();
}

static void a_reset_is_broken(void **state)
{
	const struct linger none = {.l_onoff = 1};
	char byte;

	(void)state;
	open_tcp();
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	(void)close(peer);
	await_news();
	assert_true(stream.hangup);
	assert_true(stream.broken);
	assert_true(stream.writable);
	assert_int_equal(stream_read(&stream, &byte, 1), -ECONNRESET);
	peer = -1;
	close_stream();
}

static void a_reset_on_close_is_one_to_the_peer(void **state)
{
	char byte;

	(void)state;
	open_tcp();
	stream_reset_on_close(&stream);
	stream_close(&stream);
	assert_int_equal(read(peer, &byte, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	close_stream();
}

static void an_end_that_is_written_leaves_the_other_half(void **state)
{
	char byte;

	(void)state;
	open_tcp();
	stream_finish(&stream);
	assert_int_equal(read(peer, &byte, 1), 0);
	assert_int_equal(write(peer, "x", 1), 1);
	await_news();
	assert_int_equal(stream_read(&stream, &byte, 1), 1);
	close_stream();
}

/* Write until there is no room; bytes. */
static size_t fill_up(void)
{
	static char bytes[64 * 1024];
	size_t total = 0;
	ssize_t n;

	while ((n = stream_write(&stream, (struct slice){bytes, sizeof(bytes)}, false)) > 0) {
		total += (size_t)n;
		assert_int_equal(stream.writable, (size_t)n == sizeof(bytes));
	}
	assert_int_equal(n, -EAGAIN);
	return total;
}

static void drain_peer(size_t total)
{
	static char bytes[64 * 1024];

	while (total > 0) {
		const ssize_t n = read(peer, bytes, total < sizeof(bytes) ? total : sizeof(bytes));
		assert_true(n > 0);
		total -= (size_t)n;
	}
}

static void room_is_waited_for(void **state)
{
	(void)state;
	open_unix();
	assert_false(stream.watches_room);
	const size_t total = fill_up();
	assert_false(stream.writable);
	assert_true(stream.watches_room);
	assert_int_equal(stream_write(&stream, SLICE("x"), false), -EAGAIN);
	drain_peer(total);
	await_news();
	assert_true(stream.writable);
	assert_int_equal(stream_write(&stream, SLICE("x"), false), 1);
	stream_ignore_room(&stream);
	assert_false(stream.watches_room);
	drain_peer(1);
	drain_peer(fill_up());
	close_stream();
}

static bool peer_has_bytes(void)
{
	struct pollfd polled = {.fd = peer, .events = POLLIN};

	return poll(&polled, 1, 0) == 1;
}

static void what_is_held_back_is_pushed(void **state)
{
	char bytes[4];

	(void)state;
	open_tcp();
	assert_int_equal(stream_write(&stream, SLICE("ab"), true), 2);
	assert_false(peer_has_bytes());
	stream_push(&stream);
	assert_int_equal(read(peer, bytes, sizeof(bytes)), 2);
	assert_int_equal(stream_write(&stream, SLICE("ab"), false), 2);
	assert_int_equal(read(peer, bytes, sizeof(bytes)), 2);
	close_stream();
}

static void pages_pass_through_a_pipe(void **state)
{
	int ends[2];
	char bytes[4];

	(void)state;
	open_tcp();
	assert_true(stream_can_splice(&stream, &stream));
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(stream_splice_from(&stream, ends[1], 4), -EAGAIN);
	assert_int_equal(write(peer, "abcd", 4), 4);
	await_news();
	assert_int_equal(stream_splice_from(&stream, ends[1], 9), 4);
	assert_true(stream.readable); /* it may have fallen short for the pipe's sake */
	assert_int_equal(stream_splice_from(&stream, ends[1], 9), -EAGAIN);
	assert_false(stream.readable);
	assert_int_equal(stream_splice_to(&stream, ends[0], 2, true), 2);
	assert_false(peer_has_bytes());
	assert_int_equal(stream_splice_to(&stream, ends[0], 2, false), 2);
	assert_int_equal(read(peer, bytes, 4), 4);
	assert_true(stream.writable);
	(void)close(ends[0]);
	(void)close(ends[1]);
	close_stream();
}

static void only_unix_sockets_that_were_dialled_take_pages(void **state)
{
	union address address = address_of_path(SLICE("/tmp/nobody-listens-here.sock"));

	(void)state;
	open_tcp();
	assert_false(stream.takes_pages);
	close_stream();
	assert_int_equal(transport_plain.connect(&transport_plain, &stream, &loop, &address, heard),
	        -ENOENT);
	turn();
}

#define IN_LOOP(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        IN_LOOP(timers_expire_when_they_should),
	        IN_LOOP(one_that_is_stopped_or_started_anew_does_not),
	        IN_LOOP(one_that_starts_itself_anew_comes_again),
	        IN_LOOP(the_loop_sleeps_until_the_next),
	        IN_LOOP(what_is_put_off_runs_once_at_the_end_of_the_turn),
	        IN_LOOP(what_was_put_off_last_runs_before_the_loop_ends),
	        IN_LOOP(several_events_are_handled_in_rounds),
	        IN_LOOP(one_that_is_alone_is_handled_at_once),
	        IN_LOOP(a_round_has_so_many_events),
	        IN_LOOP(a_stale_event_is_nobodys),
	        IN_LOOP(what_the_kernel_does_not_watch_is_an_error),
	        IN_LOOP(a_watch_that_is_removed_hears_nothing),
	        IN_LOOP(a_short_read_empties_the_socket),
	        IN_LOOP(the_end_stays_to_be_read),
	        IN_LOOP(a_peer_that_is_gone_is_a_hangup),
	        IN_LOOP(a_reset_is_broken),
	        IN_LOOP(a_reset_on_close_is_one_to_the_peer),
	        IN_LOOP(an_end_that_is_written_leaves_the_other_half),
	        IN_LOOP(room_is_waited_for),
	        IN_LOOP(what_is_held_back_is_pushed),
	        IN_LOOP(pages_pass_through_a_pipe),
	        IN_LOOP(only_unix_sockets_that_were_dialled_take_pages),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as the program does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
