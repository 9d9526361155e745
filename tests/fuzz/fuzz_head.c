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
	ASSERT(slice_equal(recalled->head.host, whole->request.host));
	ASSERT(recalled->head.head.keep_alive == whole->request.head.keep_alive);
	ASSERT(recalled->head.head.minor_version == whole->request.head.minor_version);
	const struct slice written = write_head(&whole->request, first_memory);
	ASSERT(slice_equal(write_head(&recalled->head, second_memory), written));
	const struct docker_target target = {.method = whole->request.method,
	        .path = whole->request.path,
	        .query = whole->request.query};
	ASSERT(docker_route(&target, &routed) == DOCKER_OK && routed.id == recalled->id);
	ASSERT(routed.served_id == recalled->served_id);
	ASSERT(slice_equal(routed.path, recalled->path) &&
	        slice_equal(routed.bare, recalled->bare));
	ASSERT(slice_equal(routed.name, recalled->name));
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
		        recall, (struct slice){input.ptr, whole->len}, &whole->request, &routed);
	}
	check_recalled(recall, whole, input);
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
	feed_done(&whole);
	feed_done(&pieces);
	return 0;
}
