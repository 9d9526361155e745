/* SPDX-License-Identifier: MIT */
/*
 * Chunk framing: what uploads and streamed answers look like on the other
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
        {"no data", BYTES("0\r\n\r\n"), BYTES("0\r\n\r\n"), BYTES(""), 0},
        {"two chunks", BYTES("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
                BYTES("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), BYTES("hello world"), 0},
        {"upper case and zeros", BYTES("000A\r\n0123456789\r\n000\r\n\r\n"),
                BYTES("a\r\n0123456789\r\n0\r\n\r\n"), BYTES("0123456789"), 0},
        {"two digits", BYTES("1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"),
                BYTES("1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"),
                BYTES("abcdefghijklmnopqrstuvwxyz"), 0},
        {"sixteen digits", BYTES("0000000000000001\r\na\r\n0000000000000000\r\n\r\n"),
                BYTES("1\r\na\r\n0\r\n\r\n"), BYTES("a"), 0},
        {"extensions", BYTES("5;a=b;c;d=\"x;\\\"\t\xc3\xa4\"\r\nhello\r\n0;last=1\r\n\r\n"),
                BYTES("5\r\nhello\r\n0\r\n\r\n"), BYTES("hello"), 0},
        {"trailers",
                BYTES("1\r\na\r\n0\r\nX-A: \"b\\\" c;=:\r\nContent-Length: 99\r\nX-E:\r\n\r\n"),
                BYTES("1\r\na\r\n0\r\n\r\n"), BYTES("a"), 0},
        {"CRLF as data", BYTES("9\r\n\r\n0\r\n\r\nxy\r\n0\r\n\r\n"),
                BYTES("9\r\n\r\n0\r\n\r\nxy\r\n0\r\n\r\n"), BYTES("\r\n0\r\n\r\nxy"), 0},
        {"a request behind it", BYTES("1\r\na\r\n0\r\n\r\nGET /"), BYTES("1\r\na\r\n0\r\n\r\n"),
                BYTES("a"), 5},
};

static const struct slice bad[] = {
        BYTES("\r\n"),
        BYTES("0x5\r\n"),
        BYTES("+5\r\n"),
        BYTES("-5\r\n"),
        BYTES(" 5\r\n"),
        BYTES("5 \r\n"),
        BYTES("5\t\r\n"),
        BYTES("5 ;a\r\n"),
        BYTES("g\r\n"),
        BYTES("5.0\r\n"),
        BYTES("5\0\r\n"),
        BYTES("00000000000000005\r\n"),
        BYTES("10000000000000005\r\n"),
        BYTES("8000000000000000\r\n"),
        BYTES("ffffffffffffffff\r\n"),
        BYTES("5\n"),
        BYTES("5\rhello"),
        BYTES("5\r\r\n"),
        BYTES("5;\r\n"),
        BYTES("5;=b\r\n"),
        BYTES("5;a=\r\n"),
        BYTES("5; a\r\n"),
        BYTES("5;a\n"),
        BYTES("5;a\rb"),
        BYTES("5;a=\x01"),
        BYTES("5;a=\"b\r\n"),
        BYTES("5;a=\"b\"c\r\n"),
        BYTES("5;a=\"\\\r\n"),
        BYTES("5\r\nhello\n"),
        BYTES("5\r\nhello0\r\n"),
        BYTES("5\r\nhello\r0"),
        BYTES("5\r\nhello\r\n\r\n"),
        BYTES("5\r\nhello\r\nzz"),
        BYTES("0\n"),
        BYTES("0\r\n\n"),
        BYTES("0\r\n\rX"),
        BYTES("0\r\nX-A: b\n"),
        BYTES("0\r\nX-A: b\rc"),
        BYTES("0\r\nX-A: b\r\n c"),
        BYTES("0\r\nX-A : b"),
        BYTES("0\r\n: b"),
        BYTES("0\r\nGET /"),
        BYTES("0\r\nX-A: \0"),
        BYTES("0\r\nX-A: \x7f"),
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
