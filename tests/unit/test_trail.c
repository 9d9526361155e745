/* SPDX-License-Identifier: MIT */
/* The start of a trail, its end where the writer hangs, and the queue of a thread. What is written,
 * and where, is in tests/wire/test_audit.py. */
#include "cases.h"

#include "trail/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands for a disk that hangs: the writer waits here. */
struct hang {
	sem_t begun, ended;
};

static void hang(void *context)
{
	struct hang *hang = context;

	assert_int_equal(sem_post(&hang->begun), 0);
	assert_int_equal(sem_wait(&hang->ended), 0);
}

static void write_line(struct trail_queue *queue)
{
	struct text line = trail_begin(queue);

	assert_non_null(line.ptr);
	text_add(&line, SLICE("{\"time\":\"now\"}"));
	trail_end(queue, &line);
}

static unsigned lines_of(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned count = 0;

	assert_non_null(file);
	for (int c = getc(file); c != EOF; c = getc(file)) {
		count += c == '\n';
	}
	(void)fclose(file);
	return count;
}

/* Whatever it uses must be there when the disk comes back. The sanitizers see whether it is. */
static void a_writer_that_hangs_keeps_what_it_uses(void **state)
{
	char path[] = "/tmp/trail-XXXXXX";
	const int fd = mkstemp(path);
	struct metrics *metrics = metrics_new();
	struct trail_settings settings = {.queues_max = 1, .metrics = metrics};
	char memory[256];
	struct text why = text_over(memory, sizeof(memory));
	struct trail_cursor cursor;
	struct hang gate;
	struct loop loop;

	(void)state;
	assert_true(fd >= 0 && metrics != NULL);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(sem_init(&gate.begun, 0, 0), 0);
	assert_int_equal(sem_init(&gate.ended, 0, 0), 0);
	assert_null(trail_read_target(path, &settings.target));
	struct trail *trail = trail_new(&settings);
	assert_non_null(trail);
	struct trail_queue *queue = trail_add_queue(trail, &loop);
	assert_non_null(queue);
	trail_set_watcher(trail, hang, &gate, -1);
	assert_true(trail_watch(trail, &cursor));
	assert_int_equal(trail_start(trail, &why), 0);
	write_line(queue);
	trail_wake(trail);
	assert_int_equal(sem_wait(&gate.begun), 0);
	write_line(queue); /* is still to be written */
	assert_false(trail_free(trail));
	assert_int_equal(lines_of(path), 1);

	trail_unwatch(trail);
	assert_int_equal(sem_post(&gate.ended), 0);
	assert_int_equal(pthread_join(trail->thread, NULL), 0);
	assert_int_equal(lines_of(path), 2);
	trail->runs = false;
	assert_true(trail_free(trail));
	loop_done(&loop);
	metrics_free(metrics);
	(void)close(fd);
	(void)unlink(path);
}

static struct trail *new_trail(const char *path)
{
	struct trail_settings settings = {.queues_max = 1};

	assert_null(trail_read_target(path, &settings.target));
	struct trail *trail = trail_new(&settings);
	assert_non_null(trail);
	return trail;
}

/* Whether a descriptor of this thread is the file. */
static bool is_open_as(int fd, const char *path)
{
	struct stat open_file;
	struct stat named;

	assert_int_equal(stat(path, &named), 0);
	return fstat(fd, &open_file) == 0 && open_file.st_ino == named.st_ino &&
	       open_file.st_dev == named.st_dev;
}

/* The number of the output is that of another file here, unless the kernel has no close_range(2).
 */
static void the_end_closes_no_file_of_another_thread(void **state)
{
	char path[] = "/tmp/trail-XXXXXX";
	const int fd = mkstemp(path);
	const int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct trail *trail = new_trail(path);
	char memory[256];
	struct text why = text_over(memory, sizeof(memory));

	(void)state;
	assert_true(fd >= 0 && other >= 0);
	(void)close(fd);
	assert_int_equal(trail_start(trail, &why), 0);
	const int number = trail->output.fd;
	const bool is_shared = is_open_as(number, path);
	const bool is_free = fcntl(number, F_GETFD) < 0;
	assert_true(!is_free || dup2(other, number) == number);
	assert_true(trail_free(trail));
	assert_int_equal(fcntl(number, F_GETFD) >= 0, !is_shared);
	if (is_free) {
		(void)close(number);
	}
	(void)close(other);
	(void)unlink(path);
}

static void a_start_that_fails_says_why_and_leaves_no_thread(void **state)
{
	struct trail *trail = new_trail("/tmp");
	char memory[256];
	struct text why = text_over(memory, sizeof(memory));

	(void)state;
	assert_int_equal(trail_start(trail, &why), -EISDIR);
	assert_true(slice_equal(text_slice(&why), SLICE("it is a directory: give a file in it")));
	assert_false(trail->runs);
	assert_true(trail_free(trail));
}

/* ── The queue: the test is both threads ─────────────────────────────────── */

enum {
	LINE_LEN = 350,
	NUMBER_LEN = 8, /* of which the first bytes say which one it is */
	FRONT = 224 << 10,
	MANY = 20000, /* lines, many times the memory of a queue */
};

struct two_ends {
	struct loop loop;
	struct trail *trail;
	struct trail_queue *queue;
	unsigned written, taken;
};

static void open_ends(struct two_ends *ends, bool denies)
{
	const struct trail_settings settings = {.queues_max = 1, .denies = denies};

	*ends = (struct two_ends){.trail = trail_new(&settings)};
	assert_int_equal(loop_init(&ends->loop), 0);
	assert_non_null(ends->trail);
	ends->queue = trail_add_queue(ends->trail, &ends->loop);
	assert_non_null(ends->queue);
}

static void close_ends(struct two_ends *ends)
{
	assert_true(trail_free(ends->trail));
	loop_done(&ends->loop);
}

/* Each line says which one it is. False: there is no room. */
static bool write_one(struct two_ends *ends, size_t len)
{
	struct text line = trail_begin(ends->queue);

	if (line.ptr == NULL) {
		return false;
	}
	text_add_digits(&line, ends->written, NUMBER_LEN);
	memset(line.ptr + line.len, '.', len - line.len);
	line.len = len;
	trail_end(ends->queue, &line);
	ends->written++;
	return true;
}

static void check_line(struct two_ends *ends, struct slice line)
{
	char memory[NUMBER_LEN];
	struct text number = text_over(memory, sizeof(memory));

	text_add_digits(&number, ends->taken++, NUMBER_LEN);
	assert_memory_equal(line.ptr, memory, NUMBER_LEN);
	assert_int_equal(line.ptr[line.len - 1], '.');
}

/* At most so many lines. */
static void take(struct two_ends *ends, unsigned count)
{
	struct slice lines;
	struct slice line;

	do {
		while (queue_show(ends->queue).len > 0) {
		}
		lines = queue_lines(ends->queue);
		const size_t len = lines.len;
		while (count > 0 && lines.len > 0 && slice_next(&lines, '\n', &line)) {
			check_line(ends, line);
			count--;
		}
		queue_drop(ends->queue, len - lines.len);
	} while (count > 0 && !queue_is_empty(ends->queue));
}

/* Lines to a writer that takes all whenever it is woken. How often that is. */
static unsigned write_to_a_quick_writer(struct two_ends *ends)
{
	unsigned wakes = 0;
	eventfd_t count;

	for (unsigned i = 0; i < MANY; i++) {
		assert_true(write_one(ends, LINE_LEN));
		if (eventfd_read(ends->trail->wake, &count) == 0) {
			take(ends, MANY);
			wakes++;
		}
	}
	return wakes;
}

static void fill(struct two_ends *ends)
{
	while (write_one(ends, LINE_LEN)) {
	}
}

static void a_writer_that_keeps_up_leaves_most_of_the_memory_alone(void **state)
{
	struct two_ends ends;

	(void)state;
	open_ends(&ends, false);
	const unsigned wakes = write_to_a_quick_writer(&ends);
	assert_in_range(wakes, 1, MANY * (LINE_LEN + 1) / (FRONT / 2));
	for (uint32_t i = FRONT; i < ends.queue->size; i++) {
		assert_int_equal(ends.queue->bytes[i], 0);
	}
	close_ends(&ends);
}

static void all_of_the_memory_is_for_a_writer_that_stops(void **state)
{
	struct two_ends ends;

	(void)state;
	open_ends(&ends, false);
	(void)write_to_a_quick_writer(&ends);
	take(&ends, MANY);
	fill(&ends);
	assert_int_equal(trail_lost(ends.trail), 1);
	assert_true((ends.written - ends.taken) * (LINE_LEN + 1) >
	            ends.queue->size - 3 * RECORD_LINE_MAX);
	take(&ends, UINT_MAX);
	assert_int_equal(ends.taken, ends.written);
	close_ends(&ends);
}

static void a_writer_that_lags_gets_every_line_once(void **state)
{
	struct two_ends ends;

	(void)state;
	open_ends(&ends, false);
	for (unsigned i = 0; i < 4 * MANY; i++) {
		const size_t len = 16 + i * 7919 % (RECORD_LINE_MAX - 16);
		(void)write_one(&ends, len);
		take(&ends, i / MANY % 2 == 0 ? i % 2 : i % 3);
	}
	assert_true(trail_lost(ends.trail) > 0);
	take(&ends, UINT_MAX);
	assert_int_equal(ends.taken, ends.written);
	close_ends(&ends);
}

static void places_are_kept_whatever_the_writer_does(void **state)
{
	enum { PLACES = 200 };
	struct two_ends ends;

	(void)state;
	open_ends(&ends, true);
	for (unsigned i = 0; i < PLACES / 2; i++) {
		assert_true(trail_reserve(ends.queue));
	}
	(void)write_to_a_quick_writer(&ends);
	for (unsigned i = 0; i < PLACES / 2; i++) {
		assert_true(trail_reserve(ends.queue));
	}
	fill(&ends);
	assert_false(trail_reserve(ends.queue));
	for (unsigned i = 0; i < PLACES; i++) {
		trail_release(ends.queue);
		assert_true(write_one(&ends, RECORD_LINE_MAX));
	}
	take(&ends, UINT_MAX);
	assert_int_equal(ends.taken, ends.written);
	close_ends(&ends);
}

/* Two threads: what the one writes is what the other takes. */
struct taker {
	struct two_ends *ends;
	atomic_bool ended;
};

static void *take_until_ended(void *argument)
{
	struct taker *taker = argument;
	bool ended = false;

	while (!ended || !queue_is_empty(taker->ends->queue)) {
		ended = atomic_load(&taker->ended);
		take(taker->ends, UINT_MAX);
	}
	return NULL;
}

static void a_thread_that_takes_meanwhile_gets_every_line_once(void **state)
{
	struct two_ends ends;
	struct taker taker = {.ends = &ends};
	pthread_t thread;

	(void)state;
	open_ends(&ends, false);
	assert_int_equal(pthread_create(&thread, NULL, take_until_ended, &taker), 0);
	for (unsigned i = 0; i < 20 * MANY; i++) {
		(void)write_one(&ends, 16 + i * 7919 % (i / MANY % 2 == 0 ? 512 : 4000));
	}
	atomic_store(&taker.ended, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(ends.taken, ends.written);
	close_ends(&ends);
}

static void no_trail_is_no_trouble(void **state)
{
	(void)state;
	assert_true(trail_free(NULL));
	trail_reopen(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_writer_that_hangs_keeps_what_it_uses),
	        cmocka_unit_test(the_end_closes_no_file_of_another_thread),
	        cmocka_unit_test(a_start_that_fails_says_why_and_leaves_no_thread),
	        cmocka_unit_test(a_writer_that_keeps_up_leaves_most_of_the_memory_alone),
	        cmocka_unit_test(all_of_the_memory_is_for_a_writer_that_stops),
	        cmocka_unit_test(a_writer_that_lags_gets_every_line_once),
	        cmocka_unit_test(places_are_kept_whatever_the_writer_does),
	        cmocka_unit_test(a_thread_that_takes_meanwhile_gets_every_line_once),
	        cmocka_unit_test(no_trail_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
