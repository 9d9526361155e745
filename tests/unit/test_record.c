/* SPDX-License-Identifier: MIT */
/* Lines of the audit record: one valid document each, whatever clients send. */
#include "cases.h"

#include "audit/record.h"
#include "base/clock.h"
#include "json/json.h"

#include <stdlib.h>

enum { ROUNDS = 20000, INPUT_MAX = 1500 };

static struct json_node nodes[JSON_NODES_MAX];
static uint32_t marks[JSON_MARKS_MAX];
static char strings[RECORD_LINE_MAX];
static struct json_document document = {.nodes = nodes, .marks = marks, .strings = strings};
static char memory[RECORD_LINE_MAX];
static struct record_clock line_clock;

/* The line of a record, read by another reader than its writer. */
static struct slice write_line(const struct record *record)
{
	struct text line = text_over(memory, sizeof(memory));

	record_write(record, &line_clock, &line);
	assert_false(line.overflow);
	assert_int_equal(json_read(&document, text_slice(&line)), JSON_OK);
	assert_null(memchr(line.ptr, '\n', line.len));
	return text_slice(&line);
}

static struct slice member(const char *name)
{
	const struct json_node *node = json_member(document.nodes, slice_of(name));

	assert_non_null(node);
	return node->text;
}

static bool is_null(const char *name)
{
	return json_member(document.nodes, slice_of(name))->type == JSON_NULL;
}

static void all_fields_in_their_order(void **state)
{
	const struct record record = {
	        .time_ns = INT64_C(1769862896789) * NS_PER_MS,
	        .id = 0xdeadbeef,
	        .peer = SLICE("192.0.2.1:4711"),
	        .client = "ci",
	        .listener = "tcp://0.0.0.0:3277",
	        .operation = "container.remove",
	        .target = SLICE("web"),
	        .policy = "ci",
	        .rule = "allow: [container.*]",
	        .verdict = VERDICT_ALLOW,
	        .has_ended = true,
	        .status = 204,
	        .duration_ns = 1234567,
	        .bytes = 17,
	};

	(void)state;
	assert_slice("line", write_line(&record),
	        SLICE("{\"time\":\"2026-01-31T12:34:56.789Z\",\"id\":\"00000000deadbeef\","
	              "\"client\":"
	              "\"ci\",\"peer\":\"192.0.2.1:4711\",\"listener\":\"tcp://0.0.0.0:3277\","
	              "\"operation\":\"container.remove\",\"target\":\"web\",\"policy\":\"ci\","
	              "\"rule\":\"allow: [container.*]\",\"verdict\":\"allow\",\"reason\":null,"
	              "\"status\":204,\"ms\":1.234,\"bytes\":17}"));
}

static void with_several_engines_it_names_the_one_and_the_member(void **state)
{
	const struct record record = {.has_engines = true, .engine = "web", .member = "node-a"};
	const struct record none = {.has_engines = true};

	(void)state;
	(void)write_line(&record);
	assert_slice("engine", member("engine"), SLICE("web"));
	assert_slice("member", member("member"), SLICE("node-a"));
	(void)write_line(&none);
	assert_true(is_null("engine") && is_null("member"));
}

static void what_is_not_known_is_null(void **state)
{
	const struct record begins = {.peer = SLICE("unix")};
	const struct record ended = {.peer = SLICE("unix"), .has_ended = true};
	static const char *const names[] = {
	        "client", "listener", "operation", "target", "policy", "rule", "reason", "status"};

	(void)state;
	(void)write_line(&ended);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		assert_that(names[i], is_null(names[i]));
	}
	assert_slice("ms", member("ms"), SLICE("0.000"));
	(void)write_line(&begins);
	assert_true(is_null("status") && is_null("ms") && is_null("bytes"));
}

static void the_second_is_that_of_each_line(void **state)
{
	struct record record = {.peer = SLICE("unix"), .time_ns = 5 * NS_PER_S + NS_PER_MS};

	(void)state;
	(void)write_line(&record);
	assert_slice("time", member("time"), SLICE("1970-01-01T00:00:05.001Z"));
	record.time_ns += NS_PER_S;
	(void)write_line(&record);
	assert_slice("time", member("time"), SLICE("1970-01-01T00:00:06.001Z"));
	record.time_ns -= 2 * NS_PER_S; /* the clock was set back */
	(void)write_line(&record);
	assert_slice("time", member("time"), SLICE("1970-01-01T00:00:04.001Z"));
}

/* As it stands between the quotes. */
static struct slice written_target(struct slice target)
{
	const struct record record = {.peer = SLICE("unix"), .target = target};
	const struct slice line = write_line(&record);
	const char *begin = memmem(line.ptr, line.len, SLICE("\"target\":\"").ptr, 10);

	assert_non_null(begin);
	begin += 10;
	const char *end = memmem(begin, (size_t)(line.ptr + line.len - begin), "\",\"policy\"", 10);
	assert_non_null(end);
	return slice_between(begin, end);
}

static void values_of_clients_are_escaped(void **state)
{
	static const struct {
		const char *sent, *written;
	} cases[] = {
	        {"a\nb\r\tc", "a\\nb\\u000d\\u0009c"},
	        {"\",\"verdict\":\"allow\",\"x\":\"",
	                "\\\",\\\"verdict\\\":\\\"allow\\\",\\\"x\\\":\\\""},
	        {"back\\slash", "back\\\\slash"},
	        {"\x1b[2Jclear", "\\u001b[2Jclear"},
	        {"caf\xc3\xa9 \xf0\x9f\x90\xb3", "caf\xc3\xa9 \xf0\x9f\x90\xb3"},
	        {"latin \xe9", "latin \\ufffd"},
	        {"overlong \xc0\xaf", "overlong \\ufffd\\ufffd"},
	        {"surrogate \xed\xa0\x80", "surrogate \\ufffd\\ufffd\\ufffd"},
	        {"cut \xe2\x82", "cut \\ufffd\\ufffd"},
	        {"csi \xc2\x9b", "csi \\u009b"},
	        {"right to left \xe2\x80\xae", "right to left \\u202e"},
	        {"line \xe2\x80\xa8", "line \\u2028"},
	        {"tag \xf3\xa0\x81\x81", "tag \\udb40\\udc41"},
	        {"\x7f", "\\u007f"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		assert_slice(cases[i].sent, written_target(slice_of(cases[i].sent)),
		        slice_of(cases[i].written));
	}
}

static void long_values_are_cut_between_characters(void **state)
{
	char long_one[INPUT_MAX];

	(void)state;
	memset(long_one, 'a', sizeof(long_one));
	const struct slice plain = written_target((struct slice){long_one, RECORD_TARGET_MAX});
	assert_int_equal(plain.len, RECORD_TARGET_MAX);
	const struct slice cut = written_target((struct slice){long_one, RECORD_TARGET_MAX + 1});
	assert_int_equal(cut.len, RECORD_TARGET_MAX + 3);
	assert_true(slice_ends_with(cut, SLICE("a...")));
	memset(long_one + RECORD_TARGET_MAX - 3, '\r', 8);
	const struct slice escape = written_target((struct slice){long_one, RECORD_TARGET_MAX + 5});
	assert_true(slice_ends_with(escape, SLICE("a...")));
	long_one[RECORD_TARGET_MAX - 1] = '"';
	memset(long_one, 'a', RECORD_TARGET_MAX - 1);
	const struct slice quote = written_target((struct slice){long_one, RECORD_TARGET_MAX + 5});
	assert_true(slice_ends_with(quote, SLICE("a...")));
}

static void fill(char *bytes, size_t len, unsigned kind)
{
	for (size_t i = 0; i < len; i++) {
		const int number = rand();
		bytes[i] = kind == 1 ? "\"\\\n,:{}"[number % 7]
		                     : (char)(kind == 0 ? number : number % 96 + 128);
	}
}

/* Random bytes in every value that a client may choose: always one document with the same members,
 * within the ceiling. */
static void whatever_bytes_make_one_line(void **state)
{
	char bytes[3][INPUT_MAX];

	(void)state;
	srand(9);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < 3; i++) {
			fill(bytes[i], INPUT_MAX, (unsigned)rand() % 3);
		}
		bytes[2][INPUT_MAX - 1] = '\0';
		const struct record record = {
		        .peer = SLICE("[2001:db8::1]:4711"),
		        .client = bytes[2],
		        .rule = bytes[2],
		        .target = {bytes[0], (unsigned)rand() % INPUT_MAX},
		        .reason = {bytes[1], (unsigned)rand() % INPUT_MAX},
		        .verdict = VERDICT_DENY,
		        .has_ended = true,
		        .status = 403,
		};
		const struct slice line = write_line(&record);
		assert_in_range(line.len, 1, RECORD_LINE_MAX - 100);
		assert_int_equal(document.nodes->size, 15);
		assert_slice("verdict", member("verdict"), SLICE("deny"));
		assert_slice("status", member("status"), SLICE("403"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_fields_in_their_order),
	        cmocka_unit_test(with_several_engines_it_names_the_one_and_the_member),
	        cmocka_unit_test(what_is_not_known_is_null),
	        cmocka_unit_test(the_second_is_that_of_each_line),
	        cmocka_unit_test(values_of_clients_are_escaped),
	        cmocka_unit_test(long_values_are_cut_between_characters),
	        cmocka_unit_test(whatever_bytes_make_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
