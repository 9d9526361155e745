/* SPDX-License-Identifier: MIT */
/* Ceilings of names and series, and the text in pieces. What a scrape says of real requests is in
 * tests/wire/test_metrics.py. */
#include "cases.h"
#include "docker/docker.h"
#include "metrics/meter.h"
#include "pulse/pulse.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE_MAX = 2 * 1024 * 1024 };

/* The whole text, rendered in pieces of `piece` bytes; the caller frees it. */
static char *page(struct metrics *metrics, enum metrics_format format, size_t piece)
{
	char *bytes = calloc(1, PAGE_MAX);
	struct metrics_page page = {.format = format};
	size_t len = 0;
	bool whole = false;

	assert_non_null(bytes);
	while (!whole) {
		assert_true(len + piece < PAGE_MAX);
		struct text text = text_over(bytes + len, piece);
		whole = metrics_render(metrics, &page, &text);
		assert_true(text.len > 0);
		len += text.len;
	}
	return bytes;
}

static void has(struct metrics *metrics, const char *line)
{
	char *text = page(metrics, METRICS_PROMETHEUS, PAGE_MAX / 2);

	if (strstr(text, line) == NULL) {
		fail_msg("no '%s' in\n%s", line, text);
	}
	free(text);
}

/* The sum of the samples of a metric. */
static unsigned long sum_of(const char *text, const char *name)
{
	unsigned long sum = 0;

	for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name)) {
		unsigned long value = 0;
		for (const char *digit = strstr(at, "} ") + 2; *digit != '\n'; digit++) {
			value = value * 10 + (unsigned long)(*digit - '0');
		}
		sum += value;
	}
	return sum;
}

static void count(struct meter *meter, unsigned client, enum verdict_word verdict)
{
	const struct meter_labels labels = {.client = client, .operation = 1, .verdict = verdict};

	meter_count_request(meter, &labels, METER_READ, 1000);
}

static void a_name_keeps_its_number(void **state)
{
	struct metrics *metrics = metrics_new();
	const unsigned number = metrics_name(metrics, METRICS_CLIENT, "ci");

	(void)state;
	assert_int_equal(metrics_name(metrics, METRICS_CLIENT, "ci"), number);
	assert_int_not_equal(metrics_name(metrics, METRICS_CLIENT, "ops"), number);
	assert_int_equal(metrics_name(metrics, METRICS_CLIENT, NULL), 0);
	assert_int_equal(metrics_name(NULL, METRICS_CLIENT, "ci"), 0);
	metrics_free(metrics);
}

static void names_beyond_the_ceiling_are_others(void **state)
{
	struct metrics *metrics = metrics_new();
	struct meter *meter = metrics_add_meter(metrics);
	char name[32];
	unsigned last = 0;

	(void)state;
	for (unsigned i = 0; i < METRICS_NAMES_MAX + 10; i++) {
		(void)snprintf(name, sizeof(name), "client-%u", i);
		last = metrics_name(metrics, METRICS_CLIENT, name);
	}
	assert_int_equal(metrics_name(metrics, METRICS_CLIENT, "one more"), last);
	count(meter, last, VERDICT_ALLOW);
	has(metrics, "client=\"other\",policy=\"\",operation=\"");
	metrics_free(metrics);
}

static void series_beyond_the_ceiling_are_one_for_each_verdict(void **state)
{
	struct metrics *metrics = metrics_new();
	struct meter *meters[] = {metrics_add_meter(metrics), metrics_add_meter(metrics)};
	const char *const other = "{listener=\"other\",client=\"other\",policy=\"other\",operation="
	                          "\"other\",verdict=\"";
	char line[256];

	(void)state;
	char name[32];
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "client-%u", i);
		const unsigned client = metrics_name(metrics, METRICS_CLIENT, name);
		for (unsigned operation = 1; operation <= 50; operation++) {
			const struct meter_labels labels = {
			        .client = client, .operation = operation, .verdict = VERDICT_DENY};
			meter_count_request(meters[i % 2], &labels, METER_READ, 1);
			meter_count_request(meters[i % 2], &labels, METER_READ, 1);
		}
	}
	char *text = page(metrics, METRICS_PROMETHEUS, METRICS_PIECE_MIN);
	(void)snprintf(line, sizeof(line), "requests_total%sdeny\"} ", other);
	assert_non_null(strstr(text, line));
	assert_true(sum_of(text, "requests_total{") == 100 * 50 * 2);
	assert_true(sum_of(text, "denials_total{") == 100 * 50 * 2);
	assert_non_null(strstr(
	        text, "denials_total{client=\"other\",policy=\"other\",operation=\"other\"} "));
	free(text);
	metrics_free(metrics);
}

static void engines_are_shown_once_something_is_known_of_them(void **state)
{
	struct metrics *metrics = metrics_new();
	struct pulses *pulses = pulses_new();
	struct pulse *const list[] = {pulses_take(pulses, "node-a", "tcp://10.0.0.1:2375"),
	        pulses_take(pulses, "node-b", "tcp://10.0.0.2:2375"),
	        pulses_take(pulses, "node-c", "tcp://10.0.0.3:2375")};

	(void)state;
	pulse_connected(list[0]);
	pulse_failed(list[1], TROUBLE_REFUSED);
	metrics_show_engines(metrics, pulses);
	pulses_show(pulses, list, 3);
	has(metrics, "engine_up{engine=\"node-a\"} 1\n");
	has(metrics, "engine_up{engine=\"node-b\"} 0\n");
	has(metrics, "engine_connect_failures_total{engine=\"node-b\"} 1\n");
	has(metrics, "engine_connect_failures_total{engine=\"node-c\"} 0\n");
	char *text = page(metrics, METRICS_PROMETHEUS, METRICS_PIECE_MIN);
	assert_null(strstr(text, "engine_up{engine=\"node-c\"}"));
	free(text);
	for (unsigned i = 0; i < 3; i++) {
		pulses_give(pulses, list[i]);
	}
	metrics_free(metrics);
	pulses_free(pulses);
}

static void workers_add_up(void **state)
{
	struct metrics *metrics = metrics_new();
	struct meter *meters[] = {metrics_add_meter(metrics), metrics_add_meter(metrics)};
	const unsigned ci = metrics_name(metrics, METRICS_CLIENT, "ci");

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		count(meters[i % 2], ci, VERDICT_DENY);
	}
	meter_count_connection(meters[0], 0, 1);
	meter_count_stream(meters[0], ci, 1);
	meter_count_stream(meters[1], ci, 1);
	meter_count_stream(meters[0], ci, -1);
	has(metrics, "verdict=\"deny\"} 5\n");
	has(metrics, "denials_total{client=\"ci\",policy=\"\",operation=\"");
	has(metrics, "streams{client=\"ci\"} 1\n");
	has(metrics, "_bucket{kind=\"read\",le=\"0.0005\"} 5\n");
	metrics_free(metrics);
}

/* The worker remembers the series of its last request. */
static void series_by_turns_are_counted_each(void **state)
{
	struct metrics *metrics = metrics_new();
	struct meter *meter = metrics_add_meter(metrics);
	const unsigned ci = metrics_name(metrics, METRICS_CLIENT, "ci");

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		count(meter, ci, i % 3 == 0 ? VERDICT_ALLOW : VERDICT_DENY);
	}
	has(metrics, "verdict=\"allow\"} 3\n");
	has(metrics, "verdict=\"deny\"} 4\n");
	metrics_free(metrics);
}

static void pieces_are_the_same_text(void **state)
{
	struct metrics *metrics = metrics_new();
	struct meter *meter = metrics_add_meter(metrics);
	static const char *const changing[] = {"process_", "\n# HELP process_cpu"};

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "client-%u", i);
		count(meter, metrics_name(metrics, METRICS_CLIENT, name), VERDICT_ALLOW);
	}
	for (unsigned format = 0; format < 2; format++) {
		char *whole = page(metrics, (enum metrics_format)format, PAGE_MAX / 2);
		char *pieces = page(metrics, (enum metrics_format)format, METRICS_PIECE_MIN);
		const char *end = strstr(whole, changing[1]);
		assert_non_null(end);
		assert_memory_equal(whole, pieces, (size_t)(end - whole));
		free(whole);
		free(pieces);
	}
	metrics_free(metrics);
}

static void what_is_rare_is_told_from_any_thread(void **state)
{
	struct metrics *metrics = metrics_new();

	(void)state;
	assert_true(metrics_reload_is_well(metrics));
	metrics_reloaded(metrics, false);
	assert_false(metrics_reload_is_well(metrics));
	metrics_reloaded(metrics, true);
	assert_true(metrics_reload_is_well(metrics) && metrics_reload_is_well(NULL));
	assert_true(metrics_audit_is_well(metrics));
	metrics_audit_works(metrics, false);
	assert_false(metrics_audit_is_well(metrics));
	metrics_audit_lost(metrics);
	metrics_reloaded(NULL, true);
	metrics_audit_lost(NULL);
	metrics_audit_works(NULL, true);
	metrics_engine_answered(NULL, true);
	has(metrics, "config_reloads_total{result=\"failed\"} 1\n");
	has(metrics, "config_reloads_total{result=\"ok\"} 1\n");
	has(metrics, "audit_lost_total 1\n");
	metrics_free(metrics);
	metrics_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_name_keeps_its_number),
	        cmocka_unit_test(names_beyond_the_ceiling_are_others),
	        cmocka_unit_test(series_beyond_the_ceiling_are_one_for_each_verdict),
	        cmocka_unit_test(engines_are_shown_once_something_is_known_of_them),
	        cmocka_unit_test(workers_add_up),
	        cmocka_unit_test(series_by_turns_are_counted_each),
	        cmocka_unit_test(pieces_are_the_same_text),
	        cmocka_unit_test(what_is_rare_is_told_from_any_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
