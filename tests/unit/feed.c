/* SPDX-License-Identifier: MIT */
#include "feed.h"

#include <stdlib.h>

static char *copy_of(struct slice bytes)
{
	char *copy = malloc(bytes.len > 0 ? bytes.len : 1);

	ASSERT(copy != NULL);
	if (bytes.len > 0) {
		memcpy(copy, bytes.ptr, bytes.len);
	}
	return copy;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ── Heads ───────────────────────────────────────────────────────────────── */

static enum http_progress scan_copy(struct http_scan *scan, struct slice bytes)
{
	char *copy = copy_of(bytes);
	const enum http_progress progress = http_scan_head(scan, (struct slice){copy, bytes.len});

	free(copy);
	return progress;
}

static void scan(struct feed *feed, struct slice bytes, size_t step)
{
	struct http_scan scan = {0};
	enum http_progress progress = HTTP_MORE;
	size_t len = 0;

	while (progress == HTTP_MORE && len < bytes.len && len < FEED_HEAD_MAX) {
		len = smaller(len + step, smaller(bytes.len, FEED_HEAD_MAX));
		progress = scan_copy(&scan, (struct slice){bytes.ptr, len});
	}
	feed->bytes = NULL;
	feed->len = 0;
	feed->error = scan.error;
	feed->incomplete = progress == HTTP_MORE;
	if (progress == HTTP_MORE && len == FEED_HEAD_MAX) {
		feed->error = HTTP_BAD_TOO_LARGE;
	}
	if (progress == HTTP_DONE) {
		feed->len = scan.head_len;
		feed->bytes = copy_of((struct slice){bytes.ptr, feed->len});
	}
}

void feed_request(struct feed *feed, struct slice bytes, size_t step)
{
	scan(feed, bytes, step);
	if (feed->bytes != NULL) {
		feed->error = http_request_parse(
		        (struct slice){feed->bytes, feed->len}, feed->fields, &feed->request);
	}
}

void feed_response(struct feed *feed, struct slice bytes, size_t step, bool to_head)
{
	scan(feed, bytes, step);
	if (feed->bytes != NULL) {
		feed->error = http_response_parse((struct slice){feed->bytes, feed->len},
		        feed->fields, to_head, &feed->response);
	}
}

void feed_free(struct feed *feed)
{
	free(feed->bytes);
	feed->bytes = NULL;
}

/* ── Bodies ──────────────────────────────────────────────────────────────── */

static void append(struct fed_body *body, const char *bytes, size_t len)
{
	memcpy(body->bytes + body->len, bytes, len);
	body->len += len;
}

/* Data that needs no look goes past; says how much. */
static size_t pass_opaque(struct fed_body *body, struct http_chunks *chunks, struct slice piece)
{
	const uint64_t opaque = http_chunks_opaque(chunks);
	const size_t len = opaque < piece.len ? (size_t)opaque : piece.len;

	append(body, piece.ptr, len);
	body->data += len;
	http_chunks_skip(chunks, len);
	return len;
}

/* One call with the bytes from `consumed` up to `end`. */
static void rewrite_piece(
        struct fed_body *body, struct http_chunks *chunks, struct slice bytes, size_t end)
{
	const struct slice piece = {bytes.ptr + body->consumed, end - body->consumed};
	char *copy = copy_of(piece);
	const struct http_chunks_result result = http_chunks_rewrite(chunks, copy, piece.len);

	body->overtook |= result.produced > result.consumed || result.consumed > piece.len;
	append(body, copy, result.produced);
	body->consumed += result.consumed;
	body->data += result.data;
	body->progress = result.progress;
	free(copy);
}

void feed_body(
        struct fed_body *body, struct slice bytes, size_t first, size_t step, bool bare, bool skip)
{
	struct http_chunks chunks = {.bare = bare};
	size_t end = 0;

	*body = (struct fed_body){.progress = HTTP_MORE, .bytes = malloc(bytes.len + 1)};
	ASSERT(body->bytes != NULL);
	while (body->progress == HTTP_MORE && end < bytes.len) {
		end = smaller(end == 0 && first > 0 ? first : end + step, bytes.len);
		if (skip) {
			body->consumed += pass_opaque(body, &chunks,
			        (struct slice){bytes.ptr + body->consumed, end - body->consumed});
		}
		rewrite_piece(body, &chunks, bytes, end);
	}
}

void fed_body_done(struct fed_body *body)
{
	free(body->bytes);
	body->bytes = NULL;
}
