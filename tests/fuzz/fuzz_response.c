/* SPDX-License-Identifier: MIT */
/* Responses, to HEAD and to others: the same properties as fuzz_head.c. */
#include "feed.h"
#include "fuzz.h"
#include "recall/recall.h"

enum { FIELDS_ADDED = 4 };

static char first_memory[FEED_HEAD_MAX * 2];
static char second_memory[FEED_HEAD_MAX * 2];

static struct slice write_head(const struct http_response *response, char *memory)
{
	struct text text = text_over(memory, sizeof(first_memory));
	const bool upgrade = response->head.upgrade.ptr != NULL;

	http_response_write(
	        &text, response, upgrade ? HTTP_CONNECTION_UPGRADE : HTTP_CONNECTION_KEEP, false);
	ASSERT(!text.overflow);
	return text_slice(&text);
}

static void check_same(const struct http_response *a, const struct http_response *b)
{
	ASSERT(a->status == b->status);
	ASSERT(slice_equal(a->reason, b->reason));
	ASSERT(a->head.framing == b->head.framing);
	ASSERT(a->head.has_length == b->head.has_length);
	ASSERT(a->head.has_chunked == b->head.has_chunked);
	ASSERT(a->head.content_length == b->head.content_length);
	ASSERT((a->head.upgrade.ptr == NULL) == (b->head.upgrade.ptr == NULL));
}

static void check_rewritten(const struct http_response *response, bool to_head)
{
	static struct feed again;
	const struct slice written = write_head(response, first_memory);

	if (response->head.field_count > HTTP_FIELDS_MAX - FIELDS_ADDED ||
	        written.len > FEED_HEAD_MAX) {
		return;
	}
	feed_response(&again, written, SIZE_MAX / 2, to_head);
	ASSERT(again.error == HTTP_OK && again.len == written.len);
	check_same(response, &again.response);
	ASSERT(slice_equal(write_head(&again.response, second_memory), written));
	feed_free(&again);
}

static void check_recalled(
        const struct recalled *recalled, const struct feed *whole, struct slice input, bool to_head)
{
	const struct recalled_response *last = recall_response(recalled, input, to_head);

	if (last == NULL) {
		return;
	}
	ASSERT(whole->error == HTTP_OK && !whole->incomplete && whole->len == last->len);
	check_same(&last->response, &whole->response);
	ASSERT(last->response.head.keep_alive == whole->response.head.keep_alive);
	const struct slice written = write_head(&whole->response, first_memory);
	ASSERT(slice_equal(write_head(&last->response, second_memory), written));
}

/* What the input before left is there, too. */
static void check_recall(const struct feed *whole, struct slice input, bool to_head)
{
	static struct recalled recalled;

	check_recalled(&recalled, whole, input, to_head);
	if (whole->error == HTTP_OK && !whole->incomplete) {
		recall_keep_response(&recalled, (struct slice){whole->bytes, whole->len}, to_head,
		        &whole->response);
		ASSERT(recalled.last.len == whole->len || whole->response.status < 200 ||
		        whole->len > RECALL_HEAD_MAX ||
		        whole->response.head.field_count > RECALL_FIELDS_MAX);
	}
	check_recalled(&recalled, whole, input, to_head);
}

static void check(struct slice input, bool to_head)
{
	static struct feed whole;
	static struct feed pieces;

	feed_response(&whole, input, SIZE_MAX / 2, to_head);
	feed_response(&pieces, input, feed_step(input.len), to_head);
	ASSERT(whole.error == pieces.error);
	ASSERT(whole.incomplete == pieces.incomplete);
	ASSERT(whole.len == pieces.len);
	if (whole.error == HTTP_OK && !whole.incomplete) {
		check_same(&whole.response, &pieces.response);
		ASSERT(!to_head || whole.response.head.framing == HTTP_NO_BODY);
		check_rewritten(&whole.response, to_head);
	}
	check_recall(&whole, input, to_head);
	feed_free(&whole);
	feed_free(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct slice input = {(const char *)bytes, len};

	check(input, false);
	check(input, true);
	return 0;
}
