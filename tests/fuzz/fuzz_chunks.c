/* SPDX-License-Identifier: MIT */
/*
 * Chunk framing. The first byte of an input says how it is cut; the rest is
 * the body, behind a request head if there is one. In any pieces the same
 * comes out, in place; what comes out is read as the same data.
 */
#include "feed.h"
#include "fuzz.h"

static struct slice output_of(const struct fed_body *body)
{
	return (struct slice){body->bytes, body->len};
}

static void check_same(const struct fed_body *a, const struct fed_body *b)
{
	ASSERT(!a->overtook && !b->overtook);
	ASSERT(a->progress == b->progress);
	ASSERT(a->consumed == b->consumed);
	ASSERT(a->data == b->data);
	ASSERT(slice_equal(output_of(a), output_of(b)));
}

/* The same in pieces of other sizes, and with data that goes past. */
static void check_cuts(const struct fed_body *whole, struct slice bytes, size_t cut, bool bare)
{
	struct fed_body pieces;

	for (unsigned way = 0; way < 4; way++) {
		const size_t step = way & 1 ? SIZE_MAX / 2 : feed_step(bytes.len);
		feed_body(&pieces, bytes, cut, step, bare, way & 2);
		check_same(whole, &pieces);
		fed_body_done(&pieces);
	}
}

/* Read again, what was written has the same data, and no other spelling. */
static void check_rewritten(const struct fed_body *framed, const struct fed_body *bare)
{
	struct fed_body again;

	ASSERT(framed->data == bare->data && bare->data == bare->len);
	feed_body(&again, output_of(framed), 0, SIZE_MAX / 2, false, false);
	ASSERT(again.progress == (framed->progress == HTTP_DONE ? HTTP_DONE : HTTP_MORE));
	ASSERT(slice_equal(output_of(&again), output_of(framed)));
	fed_body_done(&again);
	feed_body(&again, output_of(framed), 0, SIZE_MAX / 2, true, false);
	ASSERT(slice_equal(output_of(&again), output_of(bare)));
	fed_body_done(&again);
}

/* GET, POST, PUT, HEAD, OPTIONS: no hexadecimal digits. */
static bool is_method_start(char c)
{
	return c == 'G' || c == 'P' || c == 'H' || c == 'O';
}

static struct slice skip_head(struct slice bytes)
{
	const char *end = bytes.len > 0 ? memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) : NULL;
	if (end == NULL || !is_method_start(bytes.ptr[0])) {
		return bytes;
	}
	return slice_between(end + 4, bytes.ptr + bytes.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fed_body framed;
	struct fed_body bare;

	if (len == 0) {
		return 0;
	}
	const bool has_head = bytes[0] >= 'A';
	const struct slice input = {
	        (const char *)bytes + (has_head ? 0 : 1), len - (has_head ? 0 : 1)};
	const struct slice body = skip_head(input);
	feed_body(&framed, body, 0, SIZE_MAX / 2, false, false);
	feed_body(&bare, body, 0, SIZE_MAX / 2, true, false);
	check_cuts(&framed, body, bytes[0], false);
	check_cuts(&bare, body, bytes[0], true);
	check_rewritten(&framed, &bare);
	fed_body_done(&framed);
	fed_body_done(&bare);
	return 0;
}
