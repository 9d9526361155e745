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
	assert_int_equal(lines_of(path), 0);

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
	FRONT = 416 << 10,
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

/* ── The writer, with two queues that are full ───────────────────────────── */

struct full {
	char path[32];
	struct loop loop;
	struct trail *trail;
	struct trail_queue *queues[2];
	unsigned told;
	sem_t written;
};

static void write_named(struct trail_queue *queue, char name)
{
	struct text line = trail_begin(queue);

	if (line.ptr != NULL) {
		memset(line.ptr, name, LINE_LEN);
		line.len = LINE_LEN;
		trail_end(queue, &line);
	}
}

static void fill_named(struct trail_queue *queue, char name)
{
	for (uint32_t len = 0; len + 4 * RECORD_LINE_MAX < queue->size; len += LINE_LEN + 1) {
		write_named(queue, name);
	}
}

static void start_full(struct full *full, bool chained, void (*tell)(void *context))
{
	struct trail_settings settings = {.queues_max = 2, .chained = chained};
	char memory[256];
	struct text why = text_over(memory, sizeof(memory));
	struct trail_cursor cursor;

	*full = (struct full){.path = "/tmp/trail-XXXXXX"};
	(void)close(mkstemp(full->path));
	assert_null(trail_read_target(full->path, &settings.target));
	full->trail = trail_new(&settings);
	assert_non_null(full->trail);
	assert_int_equal(loop_init(&full->loop), 0);
	assert_int_equal(sem_init(&full->written, 0, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		full->queues[i] = trail_add_queue(full->trail, &full->loop);
		assert_non_null(full->queues[i]);
		fill_named(full->queues[i], (char)('a' + i));
	}
	assert_int_equal(trail_lost(full->trail), 0);
	trail_set_watcher(full->trail, tell, full, -1);
	assert_true(trail_watch(full->trail, &cursor));
	assert_int_equal(trail_start(full->trail, &why), 0);
	trail_wake(full->trail);
}

/* What was written: `a` and `b` by the queue, `{` for what the writer says itself. */
static struct slice end_full(struct full *full, char *lines, size_t size)
{
	struct text text = text_over(lines, size);
	char line[RECORD_LINE_MAX + 128];

	trail_unwatch(full->trail);
	assert_true(trail_free(full->trail));
	loop_done(&full->loop);
	FILE *file = fopen(full->path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		text_add_char(&text, line[0]);
	}
	(void)fclose(file);
	(void)unlink(full->path);
	assert_false(text.overflow);
	return text_slice(&text);
}

static void say_nothing(void *context)
{
	(void)context;
}

static void each_queue_has_its_turn(void **state)
{
	enum { TURN_MOST = (128 << 10) / LINE_LEN + 1 };
	static char memory[MANY];

	(void)state;
	for (unsigned chained = 0; chained < 2; chained++) {
		struct full full;
		start_full(&full, chained > 0, say_nothing);
		const struct slice lines = end_full(&full, memory, sizeof(memory));
		unsigned behind = 0;
		for (size_t i = 1; i < lines.len / 2; i++) {
			behind = lines.ptr[i] == lines.ptr[i - 1] ? behind + 1 : 0;
			assert_true(behind <= TURN_MOST);
		}
	}
}

/* In the writer's thread: between two writes a record comes, and another one is lost. */
static void lose_one(void *context)
{
	enum { TIMES = 20 };
	struct full *full = context;

	if (full->told++ < TIMES) {
		write_named(full->queues[1], 'b');
		trail_lose(full->trail, 1);
	} else if (full->told == TIMES + 1) {
		(void)sem_post(&full->written);
	}
}

static void gaps_do_not_keep_the_others_from_being_written(void **state)
{
	static char memory[MANY];
	struct full full;

	(void)state;
	start_full(&full, false, lose_one);
	assert_int_equal(sem_wait(&full.written), 0);
	const struct slice lines = end_full(&full, memory, sizeof(memory));
	unsigned gaps = 0;
	for (size_t i = 0; i < lines.len; i++) {
		gaps += lines.ptr[i] == '{';
		assert_true(i < 2 || lines.ptr[i] != '{' || lines.ptr[i - 1] != '{');
	}
	assert_true(gaps > 1);
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
	        cmocka_unit_test(each_queue_has_its_turn),
	        cmocka_unit_test(gaps_do_not_keep_the_others_from_being_written),
	        cmocka_unit_test(a_thread_that_takes_meanwhile_gets_every_line_once),
	        cmocka_unit_test(no_trail_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
