/* SPDX-License-Identifier: MIT */
/* Lines of requests on their way to standard error, which here is a pipe that the test reads. */
#include "capture.h"
#include "cases.h"

#include "audit/audit.h"
#include "base/clock.h"

#include <stdlib.h>

enum { LINES_MANY = 2000 };

static struct loop loop;
static struct audit audit;
static struct capture capture;

static int begin(void **state)
{
	(void)state;
	capture_begin(&capture);
	assert_int_equal(loop_init(&loop), 0);
	audit_init(&audit, &loop);
	return 0;
}

static int end(void **state)
{
	(void)state;
	audit_done(&audit);
	capture_end(&capture);
	loop_done(&loop);
	return 0;
}

static void write_line(bool quiet)
{
	struct audit_record record = {
	        .method = "GET",
	        .method_len = 3,
	        .path = "/containers/json",
	        .path_len = 16,
	        .status = 200,
	        .started_ns = loop.now_ns,
	        .quiet = quiet,
	        .operation = "container.list",
	};

	audit_write(&audit, &record, SLICE("192.0.2.1:4711"));
}

/* What has come; how many lines it is. */
static unsigned lines(void)
{
	unsigned count = 0;

	capture_read(&capture);
	for (const char *at = capture.said; (at = strchr(at, '\n')) != NULL; at++) {
		count++;
	}
	return count;
}

static void pass(int64_t ns)
{
	loop.now_ns += ns;
	loop_end_turn(&loop);
}

static void lines_wait_for_company(void **state)
{
	(void)state;
	write_line(false);
	write_line(false);
	assert_int_equal(lines(), 0);
	pass(50 * NS_PER_MS);
	assert_int_equal(lines(), 2);
	assert_non_null(strstr(capture.said, "method=GET path=/containers/json"));
	assert_non_null(strstr(capture.said, "status=200"));
	assert_non_null(strstr(capture.said, "op=container.list"));
	pass(NS_PER_S);
	assert_int_equal(lines(), 0);
}

static void many_do_not_wait(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		write_line(false);
	}
	assert_in_range(lines(), 1, 100);
}

static void a_quiet_one_is_for_debugging(void **state)
{
	(void)state;
	write_line(true);
	pass(NS_PER_S);
	assert_int_equal(lines(), 0);
	log_setup(LOG_DEBUG, LOG_TEXT);
	write_line(true);
	pass(NS_PER_S);
	assert_int_equal(lines(), 1);
}

/* Nobody reads: lines are lost, whole ones, and that is said once somebody reads again. */
static void what_nobody_reads_is_lost_and_counted(void **state)
{
	unsigned got = 0;
	unsigned lost = 0;

	(void)state;
	for (unsigned i = 0; i < LINES_MANY; i++) {
		write_line(false);
	}
	for (unsigned rounds = 0; rounds < 100 && lost == 0; rounds++) {
		got += lines();
		const char *words = strstr(capture.said, " lines of the log were lost");
		if (words != NULL) {
			while (words[-1] >= '0' && words[-1] <= '9') {
				words--;
			}
			lost = (unsigned)strtoul(words, NULL, 10);
			got--;
		}
		pass(50 * NS_PER_MS);
	}
	assert_true(lost > 0);
	assert_int_equal(got + lost, LINES_MANY);
	assert_false(log_flush());
}

#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CAPTURED(lines_wait_for_company),
	        CAPTURED(many_do_not_wait),
	        CAPTURED(a_quiet_one_is_for_debugging),
	        CAPTURED(what_nobody_reads_is_lost_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
