/* SPDX-License-Identifier: MIT */
/*
 * Requests. In any pieces the same comes out; what is written from an accepted
 * head is accepted, says the same, and is written the same again.
 */
#include "feed.h"
#include "fuzz.h"

/* Written heads may have these fields more than the head they come from. */
enum { FIELDS_ADDED = 4 };

static char first_memory[FEED_HEAD_MAX * 2];
static char second_memory[FEED_HEAD_MAX * 2];

static struct slice write_head(const struct http_request *request, char *memory)
{
	struct text text = text_over(memory, sizeof(first_memory));
	const struct http_request_options options = {.upgrade = request->head.upgrade.ptr != NULL};

	http_request_write(&text, request, request->path, &options);
	ASSERT(!text.overflow);
	return text_slice(&text);
}

static void check_same(const struct http_request *a, const struct http_request *b)
{
	ASSERT(slice_equal(a->method, b->method));
	ASSERT(slice_equal(a->path, b->path));
	ASSERT((a->query.ptr == NULL) == (b->query.ptr == NULL));
	ASSERT(a->query.len == b->query.len);
	ASSERT(a->query.len == 0 || slice_equal(a->query, b->query));
	ASSERT(a->head.framing == b->head.framing);
	ASSERT(a->head.has_length == b->head.has_length);
	ASSERT(a->head.has_chunked == b->head.has_chunked);
	ASSERT(a->head.content_length == b->head.content_length);
	ASSERT((a->head.upgrade.ptr == NULL) == (b->head.upgrade.ptr == NULL));
}

static void check_rewritten(const struct http_request *request)
{
	static struct feed again;
	const struct slice written = write_head(request, first_memory);

	if (request->head.field_count > HTTP_FIELDS_MAX - FIELDS_ADDED ||
	        written.len > FEED_HEAD_MAX) {
		return;
	}
	feed_request(&again, written, SIZE_MAX / 2);
	ASSERT(again.error == HTTP_OK && again.len == written.len);
	check_same(request, &again.request);
	ASSERT(slice_equal(again.request.host, SLICE("localhost")));
	ASSERT(slice_equal(write_head(&again.request, second_memory), written));
	feed_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct feed whole;
	static struct feed pieces;
	const struct slice input = {(const char *)bytes, len};

	feed_request(&whole, input, SIZE_MAX / 2);
	feed_request(&pieces, input, feed_step(len));
	ASSERT(whole.error == pieces.error);
	ASSERT(whole.incomplete == pieces.incomplete);
	ASSERT(whole.len == pieces.len);
	if (whole.error == HTTP_OK && !whole.incomplete) {
		check_same(&whole.request, &pieces.request);
		for (unsigned named = 0; named < 2; named++) {
			ASSERT(http_check_site(&whole.request, named) ==
			        http_check_site(&pieces.request, named));
		}
		check_rewritten(&whole.request);
	}
	feed_done(&whole);
	feed_done(&pieces);
	return 0;
}
