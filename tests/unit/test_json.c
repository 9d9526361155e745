/* SPDX-License-Identifier: MIT */
/* Which documents are read, what from them, and how they are written. */
#include "cases.h"

#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

enum { BYTES_MAX = 1 << 20 };

static struct json_document document;
static char *bytes;
static char written[BYTES_MAX];

static int begin(void **state)
{
	(void)state;
	document.nodes = malloc(JSON_NODES_MAX * sizeof(document.nodes[0]));
	document.marks = malloc(JSON_MARKS_MAX * sizeof(document.marks[0]));
	document.strings = malloc(BYTES_MAX);
	return document.nodes == NULL || document.marks == NULL || document.strings == NULL;
}

static int end(void **state)
{
	(void)state;
	free(document.nodes);
	free(document.marks);
	free(document.strings);
	free(bytes);
	return 0;
}

static enum json_error read_bytes(struct slice text)
{
	/* A copy of its own, so that sanitizers see what is read behind it. */
	free(bytes);
	bytes = malloc(text.len > 0 ? text.len : 1);
	assert_non_null(bytes);
	memcpy(bytes, text.ptr, text.len);
	return json_read(&document, (struct slice){bytes, text.len});
}

static const struct json_node *read_document(const char *text)
{
	const enum json_error error = read_bytes(slice_of(text));

	if (error != JSON_OK) {
		fail_msg("%s: refused: %s", text, json_error_text(error));
	}
	return document.nodes;
}

/* What is there must be there. */
static const struct json_node *present(const struct json_node *node)
{
	if (node == NULL) {
		fail_msg("a node is missing");
		abort();
	}
	return node;
}

static struct slice write_document(void)
{
	struct text text = text_over(written, sizeof(written));

	json_write(document.nodes, &text);
	assert_false(text.overflow);
	return text_slice(&text);
}

static void what_is_read_is_written_in_one_way(void **state)
{
	static const struct {
		const char *read;
		const char *written;
	} rows[] = {
	        {"null", "null"},
	        {" \t\r\n true \n", "true"},
	        {"false", "false"},
	        {"0", "0"},
	        {"-0", "-0"},
	        {"-12.50e+3", "-12.50e+3"},
	        {"1E5", "1E5"},
	        {"\"\"", "\"\""},
	        {"\"a b\"", "\"a b\""},
	        {"[]", "[]"},
	        {"{}", "{}"},
	        {" [ 1 , [ ] , { } , [ 2 ] ] ", "[1,[],{},[2]]"},
	        {"{ \"a\" : { \"b\" : [ null , true ] } , \"c\" : \"d\" }",
	                "{\"a\":{\"b\":[null,true]},\"c\":\"d\"}"},
	        {"{\"\":1}", "{\"\":1}"},
	        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
	        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"",
	                "\"A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
	        {"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\\ud800\\udc00\\udbff\\udfff\"",
	                "\"\x7f\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF"
	                "\xBF\""},
	        {"\"\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xF0\x90\x80\x80 "
	         "\xF4\x8F\xBF\xBF\"",
	                "\"\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 "
	                "\xF0\x90\x80\x80 "
	                "\xF4\x8F\xBF\xBF\""},
	        {"{\"\\u0050rivileged\":true}", "{\"Privileged\":true}"},
	        {"{\"a\":1,\"b\":2,\"ab\":3}", "{\"a\":1,\"b\":2,\"ab\":3}"},
	        {"[{\"a\":1},{\"a\":2},{\"A\":3}]", "[{\"a\":1},{\"a\":2},{\"A\":3}]"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		(void)read_document(rows[i].read);
		assert_slice(rows[i].read, write_document(), slice_of(rows[i].written));
	}
}

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
	static const struct {
		enum json_error error;
		struct slice bytes;
	} rows[] = {
	        {JSON_BAD_EMPTY, SLICE_INIT("")},
	        {JSON_BAD_EMPTY, SLICE_INIT(" \n")},
	        {JSON_BAD_BYTE_ORDER_MARK, SLICE_INIT("\xEF\xBB\xBF{}")},
	        {JSON_BAD_VALUE, SLICE_INIT("tru")},
	        {JSON_BAD_VALUE, SLICE_INIT("True")},
	        {JSON_BAD_VALUE, SLICE_INIT("nul")},
	        {JSON_BAD_VALUE, SLICE_INIT("'a'")},
	        {JSON_BAD_VALUE, SLICE_INIT("// a\n1")},
	        {JSON_BAD_VALUE, SLICE_INIT("\0")},
	        {JSON_BAD_VALUE, SLICE_INIT("NaN")},
	        {JSON_BAD_VALUE, SLICE_INIT("+1")},
	        {JSON_BAD_VALUE, SLICE_INIT("[,1]")},
	        {JSON_BAD_VALUE, SLICE_INIT("[1,]")},
	        {JSON_BAD_VALUE, SLICE_INIT("\x0B"
	                                    "1")},
	        {JSON_BAD_NAME, SLICE_INIT("{a:1}")},
	        {JSON_BAD_NAME, SLICE_INIT("{\"a\":1,}")},
	        {JSON_BAD_NAME, SLICE_INIT("{1:1}")},
	        {JSON_BAD_COLON, SLICE_INIT("{\"a\" 1}")},
	        {JSON_BAD_COLON, SLICE_INIT("{\"a\"}")},
	        {JSON_BAD_SEPARATOR, SLICE_INIT("[1 2]")},
	        {JSON_BAD_SEPARATOR, SLICE_INIT("[1}")},
	        {JSON_BAD_SEPARATOR, SLICE_INIT("{\"a\":1]")},
	        {JSON_BAD_SEPARATOR, SLICE_INIT("[truefalse]")},
	        {JSON_BAD_TRAILING, SLICE_INIT("{} {}")},
	        {JSON_BAD_TRAILING, SLICE_INIT("{}x")},
	        {JSON_BAD_TRAILING, SLICE_INIT("{}\0")},
	        {JSON_BAD_TRAILING, SLICE_INIT("1]")},
	        {JSON_BAD_CUT, SLICE_INIT("{")},
	        {JSON_BAD_CUT, SLICE_INIT("[1")},
	        {JSON_BAD_CUT, SLICE_INIT("[1,")},
	        {JSON_BAD_CUT, SLICE_INIT("{\"a")},
	        {JSON_BAD_CUT, SLICE_INIT("{\"a\"")},
	        {JSON_BAD_CUT, SLICE_INIT("{\"a\":")},
	        {JSON_BAD_CUT, SLICE_INIT("\"a\\")},
	        {JSON_BAD_NUMBER, SLICE_INIT("01")},
	        {JSON_BAD_NUMBER, SLICE_INIT("-")},
	        {JSON_BAD_NUMBER, SLICE_INIT("-01")},
	        {JSON_BAD_NUMBER, SLICE_INIT("1.")},
	        {JSON_BAD_NUMBER, SLICE_INIT("1.e3")},
	        {JSON_BAD_NUMBER, SLICE_INIT("1e")},
	        {JSON_BAD_NUMBER, SLICE_INIT("1e+")},
	        {JSON_BAD_TRAILING, SLICE_INIT("0x10")},
	        {JSON_BAD_CONTROL, SLICE_INIT("\"a\nb\"")},
	        {JSON_BAD_CONTROL, SLICE_INIT("\"a\0\"")},
	        {JSON_BAD_CONTROL, SLICE_INIT("\"\x1f\"")},
	        {JSON_BAD_ESCAPE, SLICE_INIT("\"\\x41\"")},
	        {JSON_BAD_ESCAPE, SLICE_INIT("\"\\0\"")},
	        {JSON_BAD_ESCAPE, SLICE_INIT("\"\\\0\"")},
	        {JSON_BAD_ESCAPE, SLICE_INIT("\"\\'\"")},
	        {JSON_BAD_ESCAPE, SLICE_INIT("\"\\u00g0\"")},
	        {JSON_BAD_ESCAPE, SLICE_INIT("\"\\u00\"")},
	        {JSON_BAD_ESCAPE, SLICE_INIT("\"\\u 041\"")},
	        {JSON_BAD_SURROGATE, SLICE_INIT("\"\\ud800\"")},
	        {JSON_BAD_SURROGATE, SLICE_INIT("\"\\udc00\"")},
	        {JSON_BAD_SURROGATE, SLICE_INIT("\"\\ud800\\u0041\"")},
	        {JSON_BAD_SURROGATE, SLICE_INIT("\"\\ud800x\\udc00\"")},
	        {JSON_BAD_SURROGATE, SLICE_INIT("\"\\udc00\\ud800\"")},
	        {JSON_BAD_SURROGATE, SLICE_INIT("\"\\ud800\\ud800\"")},
	        {JSON_BAD_NUL, SLICE_INIT("\"a\\u0000\"")},
	        {JSON_BAD_NUL, SLICE_INIT("{\"a\\u0000\":1}")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\x80\"")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xC1\xBF\"")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xC2\"")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xC2")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xE0\x9F\xBF\"")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xED\xA0\x80\"")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xE2\x82\"")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xF0\x8F\xBF\xBF\"")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xF4\x90\x80\x80\"")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xF5\x80\x80\x80\"")},
	        {JSON_BAD_UTF8, SLICE_INIT("\"\xFF\"")},
	        {JSON_BAD_NAME_BYTE, SLICE_INIT("{\"a\\n\":1}")},
	        {JSON_BAD_NAME_BYTE, SLICE_INIT("{\"a\x7f\":1}")},
	        {JSON_BAD_REPEATED, SLICE_INIT("{\"a\":1,\"a\":1}")},
	        {JSON_BAD_REPEATED, SLICE_INIT("{\"\":1,\"\":2}")},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const enum json_error error = read_bytes(rows[i].bytes);
		if (error != rows[i].error) {
			fail_msg("row %u, %s: got '%s', wanted '%s'", i,
			        text_show(rows[i].bytes).text, json_error_text(error),
			        json_error_text(rows[i].error));
		}
	}
}

static void the_place_of_what_is_refused_is_known(void **state)
{
	(void)state;
	assert_int_equal(read_bytes(SLICE("{\"a\": tru}")), JSON_BAD_VALUE);
	assert_int_equal(document.error_at, 6);
}

/* `count` times `begin`, then as often `end`. */
static struct slice nested(const char *begin_with, const char *end_with, unsigned count)
{
	struct text text = text_over(written, sizeof(written));

	for (unsigned i = 0; i < count; i++) {
		text_add(&text, slice_of(begin_with));
	}
	for (unsigned i = 0; i < count; i++) {
		text_add(&text, slice_of(end_with));
	}
	assert_false(text.overflow);
	return text_slice(&text);
}

static void there_is_a_ceiling_on_depth(void **state)
{
	(void)state;
	assert_int_equal(read_bytes(nested("[", "]", JSON_DEPTH_MAX)), JSON_OK);
	assert_int_equal(document.count, JSON_DEPTH_MAX);
	assert_slice("deep", write_document(), nested("[", "]", JSON_DEPTH_MAX));
	assert_int_equal(read_bytes(nested("[", "]", JSON_DEPTH_MAX + 1)), JSON_BAD_DEPTH);
	assert_int_equal(read_bytes(nested("{\"a\":", "}", JSON_DEPTH_MAX + 1)), JSON_BAD_DEPTH);
}

/* An array of so many zeros. */
static struct slice zeros(unsigned count)
{
	struct text text = text_over(written, sizeof(written));

	for (unsigned i = 0; i < count; i++) {
		text_add(&text, i == 0 ? SLICE("[0") : SLICE(",0"));
	}
	text_add(&text, SLICE("]"));
	assert_false(text.overflow);
	return text_slice(&text);
}

static void there_is_a_ceiling_on_values(void **state)
{
	(void)state;
	assert_int_equal(read_bytes(zeros(JSON_NODES_MAX - 1)), JSON_OK);
	assert_int_equal(document.nodes[0].size, JSON_NODES_MAX);
	assert_int_equal(read_bytes(zeros(JSON_NODES_MAX)), JSON_BAD_TOO_MANY);
}

/* So many members that their names meet in the table. */
static void many_names_may_be_alike(void **state)
{
	struct text text = text_over(written, sizeof(written));

	(void)state;
	for (unsigned i = 0; i < JSON_NODES_MAX - 2; i++) {
		text_add_format(&text, "%s\"name-%u\":0", i == 0 ? "{" : ",", i);
	}
	const size_t len = text.len;
	text_add(&text, SLICE("}"));
	assert_int_equal(read_bytes(text_slice(&text)), JSON_OK);
	text.len = len;
	text_add(&text, SLICE(",\"NAME-4711\":0}"));
	assert_int_equal(read_bytes(text_slice(&text)), JSON_OK);
	assert_true(document.nodes->ambiguous);
	text.len = len;
	text_add(&text, SLICE(",\"name-4711\":0}"));
	assert_false(text.overflow);
	assert_int_equal(read_bytes(text_slice(&text)), JSON_BAD_REPEATED);
}

static void members_are_found_in_any_case(void **state)
{
	const struct json_node *root = read_document("{\"a\":{\"privileged\":1},\"Image\":\"b\"}");

	(void)state;
	const struct json_node *image = present(json_member(root, SLICE("image")));
	assert_non_null(image);
	assert_slice("image", image->text, SLICE("b"));
	assert_null(json_member(root, SLICE("Privileged")));
	assert_null(json_member(root, SLICE("Imag")));
	assert_non_null(json_member(present(json_member(root, SLICE("A"))), SLICE("Privileged")));
	assert_null(json_member(image, SLICE("a")));
}

/* Go would take it in two ways if the object were a struct, and in one if it is a map. */
static void an_object_that_is_no_struct_is_marked(void **state)
{
	static const struct {
		const char *text;
		bool ambiguous;
	} rows[] = {
	        {"{}", false}, {"{\"a\":1,\"b\":2}", false},
	        {"{\"HostConfig\":{},\"hostconfig\":{}}", true},
	        {"{\"a\":1,\"b\":2,\"\\u0041\":3}", true}, {"{\"Ho\xC5\xBFtConfig\":{}}", true},
	        {"{\"Ho\\u017ftConfig\":{}}", true}, {"{\"Networ\xE2\x84\xAAMode\":1}", true},
	        {"{\"a\":{\"b\":1,\"B\":2}}", false}, /* it is the one in it */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		if (read_document(rows[i].text)->ambiguous != rows[i].ambiguous) {
			fail_msg("%s: is %sambiguous", rows[i].text,
			        rows[i].ambiguous ? "not " : "");
		}
	}
	assert_true(read_document("{\"a\":{\"b\":1,\"B\":2}}")[1].ambiguous);
}

static void what_a_container_holds_comes_in_its_order(void **state)
{
	const struct json_node *root = read_document("[1,[2,3],{},4]");
	const struct json_node *at = present(json_first(root));

	(void)state;
	assert_slice("first", at->text, SLICE("1"));
	at = present(json_next(root, at));
	assert_int_equal(at->type, JSON_ARRAY);
	assert_int_equal(at->size, 3);
	at = present(json_next(root, at));
	assert_int_equal(at->type, JSON_OBJECT);
	assert_null(json_first(at));
	at = present(json_next(root, at));
	assert_slice("last", at->text, SLICE("4"));
	assert_null(json_next(root, at));
}

static void numbers_that_fit_are_integers(void **state)
{
	static const struct {
		const char *text;
		bool fits;
		int64_t value;
	} rows[] = {
	        {"0", true, 0},
	        {"-0", true, 0},
	        {"512", true, 512},
	        {"9223372036854775807", true, INT64_MAX},
	        {"-9223372036854775808", true, INT64_MIN},
	        {"9223372036854775808", false, 0},
	        {"-9223372036854775809", false, 0},
	        {"99999999999999999999", false, 0},
	        {"1.0", false, 0},
	        {"1e3", false, 0},
	        {"\"1\"", false, 0},
	        {"true", false, 0},
	};
	int64_t value;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const struct json_node *node = read_document(rows[i].text);
		assert_that(rows[i].text, json_integer(node, &value) == rows[i].fits);
		assert_that(rows[i].text, !rows[i].fits || value == rows[i].value);
	}
}

/* ── Many documents in a row ─────────────────────────────────────────────── */

/* The objects of a stream that comes `step` bytes at a time, with '|' between them. */
static void splits(const char *stream, size_t step, const char *wanted)
{
	char memory[16];
	char said[128];
	struct text text = text_over(said, sizeof(said));
	struct json_splitter splitter;
	struct slice object;

	json_splitter_begin(&splitter, memory, sizeof(memory));
	for (size_t at = 0; at < strlen(stream); at += step) {
		const size_t rest = strlen(stream) - at;
		struct slice in = {stream + at, rest < step ? rest : step};
		while (in.len > 0) {
			in = slice_behind(in, json_split(&splitter, in, &object));
			text_add(&text, object);
			text_add(&text, object.len > 0 ? SLICE("|") : SLICE(""));
		}
	}
	assert_slice(stream, text_slice(&text), slice_of(wanted));
}

static void objects_of_a_stream_are_found_wherever_it_is_cut(void **state)
{
	(void)state;
	for (size_t step = 1; step < 20; step++) {
		splits("", step, "");
		splits("[]", step, "");
		splits("[{},{\"a\":1}]", step, "{}|{\"a\":1}|");
		splits("{\"a\":[{}]}\n{\"b\":{}}\n", step, "{\"a\":[{}]}|{\"b\":{}}|");
		splits("{\"}\":\"{\\\"}\"}{}", step, "{\"}\":\"{\\\"}\"}|{}|");
		splits("{\"\\\\\":1}{}", step, "{\"\\\\\":1}|{}|");
		/* 17 bytes do not fit */
		splits("{\"a\":\"123456789\"}{}", step, "{}|");
		splits("{\"a\":\"12345678\"}{}", step, "{\"a\":\"12345678\"}|{}|");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(objects_of_a_stream_are_found_wherever_it_is_cut),
	        cmocka_unit_test(what_is_read_is_written_in_one_way),
	        cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
	        cmocka_unit_test(the_place_of_what_is_refused_is_known),
	        cmocka_unit_test(there_is_a_ceiling_on_depth),
	        cmocka_unit_test(there_is_a_ceiling_on_values),
	        cmocka_unit_test(many_names_may_be_alike),
	        cmocka_unit_test(members_are_found_in_any_case),
	        cmocka_unit_test(an_object_that_is_no_struct_is_marked),
	        cmocka_unit_test(what_a_container_holds_comes_in_its_order),
	        cmocka_unit_test(numbers_that_fit_are_integers),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
