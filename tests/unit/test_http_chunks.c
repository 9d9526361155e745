/* SPDX-License-Identifier: MIT */
/*
 * Chunk framing: what uploads and streamed responses look like on the other
 * side, and that no cut of the input, of which a network makes any, changes it.
 */
#include "cases.h"
#include "feed.h"

#include <stdlib.h>

struct body_case {
	const char *about;
	struct slice in;
	struct slice out;  /* rewritten */
	struct slice data; /* without framing */
	size_t behind;     /* bytes of `in` that belong to the next message */
};

static const struct body_case good[] = {
        {"no data", SLICE_INIT("0\r\n\r\n"), SLICE_INIT("0\r\n\r\n"), SLICE_INIT(""), 0},
        {"two chunks", SLICE_INIT("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
                SLICE_INIT("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), SLICE_INIT("hello world"), 0},
        {"upper case and zeros", SLICE_INIT("000A\r\n0123456789\r\n000\r\n\r\n"),
                SLICE_INIT("a\r\n0123456789\r\n0\r\n\r\n"), SLICE_INIT("0123456789"), 0},
        {"two digits", SLICE_INIT("1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"),
                SLICE_INIT("1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"),
                SLICE_INIT("abcdefghijklmnopqrstuvwxyz"), 0},
        {"sixteen digits", SLICE_INIT("0000000000000001\r\na\r\n0000000000000000\r\n\r\n"),
                SLICE_INIT("1\r\na\r\n0\r\n\r\n"), SLICE_INIT("a"), 0},
        {"extensions", SLICE_INIT("5;a=b;c;d=\"x;\\\"\t\xc3\xa4\"\r\nhello\r\n0;last=1\r\n\r\n"),
                SLICE_INIT("5\r\nhello\r\n0\r\n\r\n"), SLICE_INIT("hello"), 0},
        {"trailers",
                SLICE_INIT(
                        "1\r\na\r\n0\r\nX-A: \"b\\\" c;=:\r\nContent-Length: 99\r\nX-E:\r\n\r\n"),
                SLICE_INIT("1\r\na\r\n0\r\n\r\n"), SLICE_INIT("a"), 0},
        {"CRLF as data", SLICE_INIT("9\r\n\r\n0\r\n\r\nxy\r\n0\r\n\r\n"),
                SLICE_INIT("9\r\n\r\n0\r\n\r\nxy\r\n0\r\n\r\n"), SLICE_INIT("\r\n0\r\n\r\nxy"), 0},
        {"a request behind it", SLICE_INIT("1\r\na\r\n0\r\n\r\nGET /"),
                SLICE_INIT("1\r\na\r\n0\r\n\r\n"), SLICE_INIT("a"), 5},
};

static const struct slice bad[] = {
        SLICE_INIT("\r\n"),
        SLICE_INIT("0x5\r\n"),
        SLICE_INIT("+5\r\n"),
        SLICE_INIT("-5\r\n"),
        SLICE_INIT(" 5\r\n"),
        SLICE_INIT("5 \r\n"),
        SLICE_INIT("5\t\r\n"),
        SLICE_INIT("5 ;a\r\n"),
        SLICE_INIT("g\r\n"),
        SLICE_INIT("5.0\r\n"),
        SLICE_INIT("5\0\r\n"),
        SLICE_INIT("00000000000000005\r\n"),
        SLICE_INIT("10000000000000005\r\n"),
        SLICE_INIT("8000000000000000\r\n"),
        SLICE_INIT("ffffffffffffffff\r\n"),
        SLICE_INIT("5\n"),
        SLICE_INIT("5\rhello"),
        SLICE_INIT("5\r\r\n"),
        SLICE_INIT("5;\r\n"),
        SLICE_INIT("5;=b\r\n"),
        SLICE_INIT("5;a=\r\n"),
        SLICE_INIT("5; a\r\n"),
        SLICE_INIT("5;a\n"),
        SLICE_INIT("5;a\rb"),
        SLICE_INIT("5;a=\x01"),
        SLICE_INIT("5;a=\"b\r\n"),
        SLICE_INIT("5;a=\"b\"c\r\n"),
        SLICE_INIT("5;a=\"\\\r\n"),
        SLICE_INIT("5\r\nhello\n"),
        SLICE_INIT("5\r\nhello0\r\n"),
        SLICE_INIT("5\r\nhello\r0"),
        SLICE_INIT("5\r\nhello\r\n\r\n"),
        SLICE_INIT("5\r\nhello\r\nzz"),
        SLICE_INIT("0\n"),
        SLICE_INIT("0\r\n\n"),
        SLICE_INIT("0\r\n\rX"),
        SLICE_INIT("0\r\nX-A: b\n"),
        SLICE_INIT("0\r\nX-A: b\rc"),
        SLICE_INIT("0\r\nX-A: b\r\n c"),
        SLICE_INIT("0\r\nX-A : b"),
        SLICE_INIT("0\r\n: b"),
        SLICE_INIT("0\r\nGET /"),
        SLICE_INIT("0\r\nX-A: \0"),
        SLICE_INIT("0\r\nX-A: \x7f"),
};

static void check_good(const struct body_case *row, size_t first, size_t step, bool bare, bool skip)
{
	struct fed_body body;

	feed_body(&body, row->in, first, step, bare, skip);
	assert_that(row->about, body.progress == HTTP_DONE);
	assert_that(row->about, !body.overtook);
	assert_that(row->about, body.consumed == row->in.len - row->behind);
	assert_that(row->about, body.data == row->data.len);
	assert_slice(
	        row->about, ((struct slice){body.bytes, body.len}), bare ? row->data : row->out);
	fed_body_done(&body);
}

static void any_cut_gives_the_same_body(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		for (size_t first = 1; first <= good[i].in.len; first++) {
			for (unsigned way = 0; way < 4; way++) {
				check_good(&good[i], first, good[i].in.len, way & 1, way & 2);
				check_good(&good[i], first, 1, way & 1, way & 2);
			}
		}
	}
}

static void malformed_framing_is_refused_and_never_ends(void **state)
{
	const size_t steps[] = {1000, 1, 3};
	struct fed_body body;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (size_t j = 0; j < ARRAY_LEN(steps); j++) {
			feed_body(&body, bad[i], 0, steps[j], false, false);
			assert_that(bad[i].ptr, body.progress == HTTP_BAD);
			assert_that(bad[i].ptr, !body.overtook);
			/* Without "0 CRLF CRLF" the Engine knows that the body is not whole. */
			assert_that(
			        bad[i].ptr, !slice_ends_with((struct slice){body.bytes, body.len},
			                            SLICE("0\r\n\r\n")));
			fed_body_done(&body);
		}
	}
}

static void an_unfinished_body_waits(void **state)
{
	const struct slice whole = SLICE("5;a=\"b\"\r\nhello\r\n0\r\nX-A: b\r\n\r\n");
	struct fed_body body;

	(void)state;
	for (size_t len = 0; len < whole.len; len++) {
		feed_body(&body, (struct slice){whole.ptr, len}, 0, 1, false, false);
		assert_int_equal(body.progress, HTTP_MORE);
		fed_body_done(&body);
	}
}

static enum http_progress feed_long(struct slice start, char fill, size_t count, struct slice end)
{
	struct fed_body body;
	const size_t len = start.len + count + end.len;
	char *bytes = malloc(len);

	assert_non_null(bytes);
	memcpy(bytes, start.ptr, start.len);
	memset(bytes + start.len, fill, count);
	memcpy(bytes + start.len + count, end.ptr, end.len);
	feed_body(&body, (struct slice){bytes, len}, 0, 1000, false, false);
	const enum http_progress progress = body.progress;
	fed_body_done(&body);
	free(bytes);
	return progress;
}

static void lines_nobody_writes_are_refused(void **state)
{
	const struct slice end = SLICE("\r\n\r\n");
	const size_t line = HTTP_CHUNK_LINE_MAX - strlen("0;\r\n");
	const size_t trailer = HTTP_TRAILERS_MAX - strlen("X:\r\n");

	(void)state;
	assert_int_equal(feed_long(SLICE("0;"), 'a', line, end), HTTP_DONE);
	assert_int_equal(feed_long(SLICE("0;"), 'a', line + 1, end), HTTP_BAD);
	assert_int_equal(feed_long(SLICE("0;"), 'a', 100000, SLICE("")), HTTP_BAD);
	assert_int_equal(feed_long(SLICE("0\r\nX:"), 'a', trailer, end), HTTP_DONE);
	assert_int_equal(feed_long(SLICE("0\r\nX:"), 'a', trailer + 1, end), HTTP_BAD);
	assert_int_equal(feed_long(SLICE("0\r\nX:"), 'a', 100000, SLICE("")), HTTP_BAD);
}

static void nothing_moves_when_all_is_canonical(void **state)
{
	char bytes[] = "5\r\nhello\r\n0\r\n\r\n";
	struct http_chunks chunks = {0};

	(void)state;
	const struct http_chunks_result result = http_chunks_rewrite(&chunks, bytes, 15);
	assert_int_equal(result.progress, HTTP_DONE);
	assert_int_equal(result.produced, result.consumed);
	assert_string_equal(bytes, "5\r\nhello\r\n0\r\n\r\n");
}

static void opaque_bytes_are_the_rest_of_the_chunk(void **state)
{
	char bytes[] = "7fffffffffffffff\r\nab\r\n";
	struct http_chunks chunks = {0};

	(void)state;
	assert_int_equal(http_chunks_opaque(&chunks), 0);
	(void)!http_chunks_rewrite(&chunks, bytes, 5).consumed;
	assert_int_equal(http_chunks_opaque(&chunks), 0); /* the size is not whole */
	(void)!http_chunks_rewrite(&chunks, bytes, 20).consumed;
	assert_int_equal(http_chunks_opaque(&chunks), INT64_MAX - 2);
	http_chunks_skip(&chunks, INT64_MAX - 2);
	assert_int_equal(http_chunks_opaque(&chunks), 0);
	assert_int_equal(http_chunks_rewrite(&chunks, bytes + 20, 2).produced, 2);
}

static void after_the_end_nothing_is_used(void **state)
{
	char bytes[] = "0\r\n\r\nrest";
	struct http_chunks chunks = {0};

	(void)state;
	assert_int_equal(http_chunks_rewrite(&chunks, bytes, 9).consumed, 5);
	const struct http_chunks_result again = http_chunks_rewrite(&chunks, bytes + 5, 4);
	assert_int_equal(again.progress, HTTP_DONE);
	assert_int_equal(again.consumed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(any_cut_gives_the_same_body),
	        cmocka_unit_test(malformed_framing_is_refused_and_never_ends),
	        cmocka_unit_test(an_unfinished_body_waits),
	        cmocka_unit_test(lines_nobody_writes_are_refused),
	        cmocka_unit_test(nothing_moves_when_all_is_canonical),
	        cmocka_unit_test(opaque_bytes_are_the_rest_of_the_chunk),
	        cmocka_unit_test(after_the_end_nothing_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
