/* SPDX-License-Identifier: MIT */
#include "recall/recall.h"

#include "base/bytes16.h"

#include <stdlib.h>

enum {
	PLACES_BITS = 4,
	PLACES = 1 << PLACES_BITS,
	HASHED_MAX = 64, /* bytes of a head that decide about its place: the target is in there */
};

struct recall {
	struct recalled places[PLACES];
};

/* ── Places ──────────────────────────────────────────────────────────────── */

/* Which head it is, well enough to tell those apart that come in turns: what is found is compared.
 */
static uint64_t hash_head(struct slice bytes)
{
	const size_t len = bytes.len < HASHED_MAX ? bytes.len : HASHED_MAX;
	uint64_t hash = 0;

	for (size_t at = 0; at + sizeof(hash) <= len; at += sizeof(hash)) {
		hash = (hash ^ bytes8_load(bytes.ptr + at)) * 0x9e3779b97f4a7c15U;
		hash ^= hash >> 32;
	}
	return hash * 0x9e3779b97f4a7c15U;
}

static struct recalled *place_of(struct recall *recall, uint64_t hash)
{
	return &recall->places[hash >> (64 - PLACES_BITS)];
}

struct recall *recall_new(void)
{
	return calloc(1, sizeof(struct recall));
}

void recall_free(struct recall *recall)
{
	free(recall);
}

/* ── Copies ──────────────────────────────────────────────────────────────── */

/* Bytes that were copied, and slices of them that follow. */
struct copy {
	struct slice from;
	char *to;
	bool failed; /* a slice is of other bytes */
};

static struct copy copy_bytes(struct slice from, char to[RECALL_HEAD_MAX])
{
	(void)text_keep(to, RECALL_HEAD_MAX, from);
	return (struct copy){.from = from, .to = to};
}

/* The same slice of the copy. */
static struct slice copied(struct copy *copy, struct slice s)
{
	const uintptr_t offset = (uintptr_t)s.ptr - (uintptr_t)copy->from.ptr;

	if (s.ptr == NULL) {
		return s;
	}
	if (offset > copy->from.len || s.len > copy->from.len - offset) {
		copy->failed = true;
		return (struct slice){NULL, 0};
	}
	return (struct slice){copy->to + offset, s.len};
}

static struct http_head copy_head(
        struct copy *copy, const struct http_head *from, struct http_field *fields)
{
	struct http_head head = *from;

	head.fields = fields;
	head.upgrade = copied(copy, from->upgrade);
	for (unsigned i = 0; i < from->field_count; i++) {
		fields[i] = from->fields[i];
		fields[i].name = copied(copy, from->fields[i].name);
		fields[i].value = copied(copy, from->fields[i].value);
	}
	return head;
}

/* Whole or not at all. */
static struct slice kept_lines(const struct text *lines)
{
	return lines->overflow ? (struct slice){NULL, 0} : text_slice(lines);
}

static bool fits(struct slice bytes, const struct http_head *head)
{
	return bytes.len <= RECALL_HEAD_MAX && head->field_count <= RECALL_FIELDS_MAX;
}

static bool is_front(struct slice bytes, const char *head, size_t len)
{
	return len > 0 && bytes.len >= len && memcmp(bytes.ptr, head, len) == 0;
}

/* ── Requests ────────────────────────────────────────────────────────────── */

/* Fields that every client sends, with values that are no secret. */
static bool is_plain(const struct http_field *field)
{
	static const struct slice plain[] = {
	        SLICE_INIT("user-agent"), SLICE_INIT("accept-encoding"), SLICE_INIT("accept")};

	if (field->known != HTTP_NAME_OTHER) {
		return field->known == HTTP_NAME_HOST || field->known == HTTP_NAME_CONNECTION ||
		       field->known == HTTP_NAME_VIA;
	}
	for (unsigned i = 0; i < ARRAY_LEN(plain); i++) {
		if (slice_equal_nocase(field->name, plain[i])) {
			return true;
		}
	}
	return false;
}

static bool may_keep(struct slice bytes, const struct http_request *head)
{
	if (!fits(bytes, &head->head) || head->head.framing != HTTP_NO_BODY ||
	        (!slice_equal(head->method, SLICE("GET")) &&
	                !slice_equal(head->method, SLICE("HEAD")))) {
		return false;
	}
	for (unsigned i = 0; i < head->head.field_count; i++) {
		if (!is_plain(&head->head.fields[i])) {
			return false;
		}
	}
	return true;
}

struct recalled *recall_find(struct recall *recall, struct slice bytes)
{
	if (recall == NULL) {
		return NULL;
	}
	struct recalled *place = place_of(recall, hash_head(bytes));
	return is_front(bytes, place->bytes, place->len) ? place : NULL;
}

void recall_route(const struct recalled *recalled, struct docker_request *ret_request)
{
	ret_request->id = recalled->id;
	ret_request->served_id = recalled->served_id;
	ret_request->method = recalled->head.method;
	ret_request->version = recalled->version;
	ret_request->path = recalled->path;
	ret_request->bare = recalled->bare;
	ret_request->name = recalled->name;
}

/* A path that was spelt anew is of other bytes: then nothing is remembered. */
static void fill(struct recalled *place, struct slice bytes, const struct http_request *head,
        const struct docker_request *request)
{
	struct copy copy = copy_bytes(bytes, place->bytes);

	place->head = (struct http_request){
	        .head = copy_head(&copy, &head->head, place->fields),
	        .method = copied(&copy, head->method),
	        .path = copied(&copy, head->path),
	        .query = copied(&copy, head->query),
	        .host = copied(&copy, head->host),
	};
	place->id = request->id;
	place->served_id = request->served_id;
	place->version = request->version;
	place->path = copied(&copy, request->path);
	place->bare = copied(&copy, request->bare);
	place->name = copied(&copy, request->name);
	place->len = copy.failed ? 0 : bytes.len;
	if (!copy.failed) {
		struct text lines = text_over(place->lines, sizeof(place->lines));
		http_request_add_lines(&lines, &place->head.head);
		place->head.head.lines = kept_lines(&lines);
	}
}

void recall_keep(struct recall *recall, struct slice bytes, const struct http_request *head,
        const struct docker_request *request)
{
	if (recall == NULL || !may_keep(bytes, head)) {
		return;
	}
	const uint64_t hash = hash_head(bytes);
	struct recalled *place = place_of(recall, hash);
	if (place->seen == hash + bytes.len) {
		place->last.len = 0;
		fill(place, bytes, head, request);
	}
	place->seen = hash + bytes.len;
}

/* ── Responses ───────────────────────────────────────────────────────────── */

const struct recalled_response *recall_response(
        const struct recalled *recalled, struct slice bytes, bool to_head)
{
	if (recalled == NULL) {
		return NULL;
	}
	const struct recalled_response *last = &recalled->last;
	return last->to_head == to_head && is_front(bytes, last->bytes, last->len) ? last : NULL;
}

void recall_keep_response(struct recalled *recalled, struct slice bytes, bool to_head,
        const struct http_response *response)
{
	if (recalled == NULL || response->status < 200 || !fits(bytes, &response->head)) {
		return;
	}
	struct recalled_response *last = &recalled->last;
	struct copy copy = copy_bytes(bytes, last->bytes);
	last->response = (struct http_response){
	        .head = copy_head(&copy, &response->head, last->fields),
	        .status = response->status,
	        .reason = copied(&copy, response->reason),
	};
	last->to_head = to_head;
	last->len = copy.failed ? 0 : bytes.len;
	if (!copy.failed) {
		struct text lines = text_over(last->lines, sizeof(last->lines));
		http_response_add_lines(&lines, &last->response.head);
		last->response.head.lines = kept_lines(&lines);
	}
}
