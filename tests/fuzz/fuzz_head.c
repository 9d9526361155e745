/* SPDX-License-Identifier: MIT */
/*
 * Requests. In any pieces the same comes out; what is written from an accepted
 * head is accepted, says the same, and is written the same again. A head that is remembered says
 * what it says when it is read.
 */
#include "docker/docker.h"
#include "feed.h"
#include "fuzz.h"
#include "recall/recall.h"

/* Written heads may have these fields more than the head they come from. */
enum { FIELDS_ADDED = 4 };

static char first_memory[FEED_HEAD_MAX * 2];
static char second_memory[FEED_HEAD_MAX * 2];

static struct slice write_head(const struct http_request *request, bool hide_keys, char *memory)
{
	struct text text = text_over(memory, sizeof(first_memory));
	const struct http_request_options options = {
	        .upgrade = request->head.upgrade.ptr != NULL, .hide_keys = hide_keys};

	http_request_write(&text, request, request->path, &options);
	ASSERT(!text.overflow);
	return text_slice(&text);
}

/* Also when one of them is of nothing. */
static bool is_same(struct slice a, struct slice b)
{
	return (a.ptr == NULL) == (b.ptr == NULL) && a.len == b.len &&
	       (a.len == 0 || slice_equal(a, b));
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
	const struct slice written = write_head(request, false, first_memory);

	if (request->head.field_count > HTTP_FIELDS_MAX - FIELDS_ADDED ||
	        written.len > FEED_HEAD_MAX) {
		return;
	}
	feed_request(&again, written, SIZE_MAX / 2);
	ASSERT(again.error == HTTP_OK && again.len == written.len);
	check_same(request, &again.request);
	ASSERT(slice_equal(again.request.host, SLICE("localhost")));
	ASSERT(slice_equal(write_head(&again.request, false, second_memory), written));
	feed_free(&again);
}

static void check_same_fields(const struct http_head *a, const struct http_head *b)
{
	ASSERT(a->field_count == b->field_count && a->has_key == b->has_key);
	for (unsigned i = 0; i < a->field_count; i++) {
		ASSERT(slice_equal(a->fields[i].name, b->fields[i].name));
		ASSERT(is_same(a->fields[i].value, b->fields[i].value));
		ASSERT(a->fields[i].known == b->fields[i].known);
		ASSERT(a->fields[i].connection_named == b->fields[i].connection_named);
	}
}

/* What earlier inputs left is there, too. */
static void check_recalled(struct recall *recall, const struct feed *whole, struct slice input)
{
	const struct recalled *recalled = recall_find(recall, input);
	static struct docker_request routed;

	if (recalled == NULL) {
		return;
	}
	ASSERT(whole->error == HTTP_OK && !whole->incomplete && whole->len == recalled->len);
	check_same(&recalled->head, &whole->request);
	ASSERT(is_same(recalled->head.host, whole->request.host));
	ASSERT(recalled->head.head.keep_alive == whole->request.head.keep_alive);
	ASSERT(recalled->head.head.minor_version == whole->request.head.minor_version);
	for (unsigned hide_keys = 0; hide_keys < 2; hide_keys++) {
		const struct slice written = write_head(&whole->request, hide_keys, first_memory);
		ASSERT(slice_equal(write_head(&recalled->head, hide_keys, second_memory), written));
	}
	check_same_fields(&recalled->head.head, &whole->request.head);
	const struct docker_target target = {.method = whole->request.method,
	        .path = whole->request.path,
	        .query = whole->request.query};
	ASSERT(docker_route(&target, &routed) == DOCKER_OK && routed.id == recalled->id);
	ASSERT(routed.served_id == recalled->served_id);
	ASSERT(is_same(routed.path, recalled->path) && is_same(routed.bare, recalled->bare));
	ASSERT(is_same(routed.name, recalled->name));
}

/* Some of those that must be remembered, so that the comparison is not of nothing. */
static bool is_plain(const struct http_request *request, size_t len)
{
	return slice_equal(request->method, SLICE("GET")) &&
	       slice_equal(request->path, SLICE("/_ping")) && request->host.len > 0 &&
	       request->head.field_count == 1 && request->head.framing == HTTP_NO_BODY &&
	       len <= RECALL_HEAD_MAX;
}

static void check_recall(const struct feed *whole, struct slice input)
{
	static struct recall *recall;
	static struct docker_request routed;
	const struct docker_target target = {.method = whole->request.method,
	        .path = whole->request.path,
	        .query = whole->request.query};

	recall = recall == NULL ? recall_new() : recall;
	check_recalled(recall, whole, input);
	if (whole->error != HTTP_OK || whole->incomplete ||
	        docker_route(&target, &routed) != DOCKER_OK) {
		return;
	}
	for (unsigned turn = 0; turn < 2; turn++) {
		recall_keep(
		        recall, (struct slice){whole->bytes, whole->len}, &whole->request, &routed);
	}
	check_recalled(recall, whole, input);
	ASSERT(recall_find(recall, input) != NULL || !is_plain(&whole->request, whole->len));
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
	check_recall(&whole, input);
	feed_free(&whole);
	feed_free(&pieces);
	return 0;
}
