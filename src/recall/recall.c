/* SPDX-License-Identifier: MIT */
#include "recall/recall.h"

#include "base/bytes16.h"

#include <stdlib.h>

enum {
	PLACES_BITS = 4,
	PLACES = 1 << PLACES_BITS,
	PLACED_MAX = 128, /* bytes of the request line that decide about the place of a head */
};

struct recall {
	struct recalled places[PLACES];
};

/* ── Places ──────────────────────────────────────────────────────────────── */

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
	return hash ^ hash >> 32;
}

static uint64_t hash_more(uint64_t hash, struct slice bytes)
{
	while (bytes.len >= sizeof(hash)) {
		hash = mix(hash, bytes8_load(bytes.ptr));
		bytes = slice_behind(bytes, sizeof(hash));
	}
	while (bytes.len > 0) {
		hash = mix(hash, (unsigned char)bytes.ptr[0]);
		bytes = slice_behind(bytes, 1);
	}
	return hash;
}

/* The request line alone decides, so that a head has the place that it has with another key. */
static struct recalled *place_of(struct recall *recall, struct slice bytes)
{
	struct slice line = {bytes.ptr, bytes.len < PLACED_MAX ? bytes.len : PLACED_MAX};
	const char *end = line.len > 0 ? memchr(line.ptr, '\r', line.len) : NULL;

	line.len = end != NULL ? (size_t)(end - line.ptr) : line.len;
	return &recall->places[hash_more(0, line) >> (64 - PLACES_BITS)];
}

/* Which head it is. A key is no part of it: a number that is made of a key says something about it.
 */
static uint64_t hash_head(struct slice bytes, const struct recalled_key *key)
{
	const uint64_t hash = hash_more(bytes.len, (struct slice){bytes.ptr, key->at});

	return hash_more(hash, slice_behind(bytes, key->at + key->len));
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

/* Whether `s` is a part of `bytes`; where it begins there. */
static bool find_part(struct slice bytes, struct slice s, size_t *ret_at)
{
	*ret_at = (uintptr_t)s.ptr - (uintptr_t)bytes.ptr;
	return *ret_at <= bytes.len && s.len <= bytes.len - *ret_at;
}

/* The same slice of the copy. */
static struct slice copied(struct copy *copy, struct slice s)
{
	size_t at;

	if (s.ptr == NULL) {
		return s;
	}
	if (!find_part(copy->from, s, &at)) {
		copy->failed = true;
		return (struct slice){NULL, 0};
	}
	return (struct slice){copy->to + at, s.len};
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

/* ── Keys ────────────────────────────────────────────────────────────────── */

/* Whether a head with any such bytes in this place is read the same way: they are printable, so
 * that none ends the line, and have no blank at an end, which would be trimmed. */
static bool is_key(struct slice s)
{
	const unsigned char span = '~' - ' ';
	size_t at = 0;

	if (s.len == 0 || s.ptr[0] == ' ' || s.ptr[s.len - 1] == ' ') {
		return false;
	}
	for (; at + sizeof(bytes16) <= s.len; at += sizeof(bytes16)) {
		if (bytes16_bits(bytes16_load(s.ptr + at) - (unsigned char)' ' > span) != 0) {
			return false;
		}
	}
	while (at < s.len && (unsigned char)(s.ptr[at] - ' ') <= span) {
		at++;
	}
	return at == s.len;
}

/* The key of a head with at most one. False: there are more, or one of other bytes. */
static bool find_key(struct slice bytes, const struct http_head *head, struct recalled_key *ret_key)
{
	*ret_key = (struct recalled_key){0};
	for (unsigned i = 0; head->has_key && i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		const struct slice key = http_client_key(field);
		if (key.ptr == NULL) {
			continue;
		}
		if (ret_key->len > 0 || !is_key(key) || !find_part(bytes, key, &ret_key->at) ||
		        !find_part(bytes, field->value, &ret_key->value_at)) {
			return false;
		}
		ret_key->len = key.len;
		ret_key->field = i;
	}
	return true;
}

/* As is_front(), with any key in the place of the one that is not remembered. */
static bool is_front_around(struct slice bytes, const struct recalled *recalled)
{
	const struct recalled_key *key = &recalled->key;
	const size_t behind = key->at + key->len;

	return bytes.len >= recalled->len && memcmp(bytes.ptr, recalled->bytes, key->at) == 0 &&
	       memcmp(bytes.ptr + behind, recalled->bytes + behind, recalled->len - behind) == 0 &&
	       is_key((struct slice){bytes.ptr + key->at, key->len});
}

/* ── Requests ────────────────────────────────────────────────────────────── */

/* Fields that every client sends, with values that are no secret, and those with a key, of which no
 * byte is kept. */
static bool is_plain(const struct http_field *field)
{
	static const struct slice plain[] = {
	        SLICE_INIT("user-agent"), SLICE_INIT("accept-encoding"), SLICE_INIT("accept")};

	if (field->known != HTTP_NAME_OTHER) {
		return field->known == HTTP_NAME_HOST || field->known == HTTP_NAME_CONNECTION ||
		       field->known == HTTP_NAME_VIA || http_client_key(field).ptr != NULL;
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
	struct recalled *place = place_of(recall, bytes);
	const struct recalled_key *key = &place->key;
	if (!(key->len > 0 ? is_front_around(bytes, place)
	                   : is_front(bytes, place->bytes, place->len))) {
		return NULL;
	}
	if (key->len > 0) {
		place->fields[key->field].value.ptr = bytes.ptr + key->value_at;
	}
	place->seen = 0; /* another head must come twice without this one in between */
	return place;
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
        const struct docker_request *request, const struct recalled_key *key)
{
	struct copy copy = copy_bytes(bytes, place->bytes);

	memset(place->bytes + key->at, 0, key->len);
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
	place->key = *key;
	place->len = bytes.len;
	if (copy.failed) {
		place->key.len = 0;
		place->len = 0;
	} else {
		struct text lines = text_over(place->lines, sizeof(place->lines));
		http_request_add_lines(&lines, &place->head.head);
		place->head.head.lines = kept_lines(&lines);
	}
}

void recall_keep(struct recall *recall, struct slice bytes, const struct http_request *head,
        const struct docker_request *request)
{
	struct recalled_key key;

	if (recall == NULL || !may_keep(bytes, head) || !find_key(bytes, &head->head, &key)) {
		return;
	}
	struct recalled *place = place_of(recall, bytes);
	const uint64_t hash = hash_head(bytes, &key);
	if (place->seen == hash) {
		place->last.len = 0;
		fill(place, bytes, head, request, &key);
	}
	place->seen = hash;
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
