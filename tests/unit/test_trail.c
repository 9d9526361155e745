/* SPDX-License-Identifier: MIT */
/* The end of a trail whose writer hangs. What is written, and where, is in
 * tests/wire/test_audit.py. */
#include "cases.h"

#include "trail/internal.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
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
	trail_set_watcher(trail, hang, &gate);
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
	        cmocka_unit_test(no_trail_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
