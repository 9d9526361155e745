/* SPDX-License-Identifier: MIT */
/* query — the few keys of a query that are understood. */
#include "docker/path.h"

/* ── Reading ─────────────────────────────────────────────────────────────── */

enum docker_error query_check(struct slice query)
{
	if (query.len == 0) {
		return DOCKER_OK;
	}
	if (memchr(query.ptr, ';', query.len) != NULL) {
		return DOCKER_BAD_SEMICOLON;
	}
	const char *end = query.ptr + query.len;
	const char *at = memchr(query.ptr, '%', query.len);
	while (at != NULL) {
		if (path_escaped_byte(slice_between(at, end)) < 0) {
			return DOCKER_BAD_ESCAPE;
		}
		at = memchr(at + 3, '%', (size_t)(end - at - 3));
	}
	return DOCKER_OK;
}

/* Whether `encoded`, decoded as a form's key, is `key`. */
static bool is_key(struct slice encoded, const char *key)
{
	while (encoded.len > 0 && *key != '\0') {
		const bool is_escape = encoded.ptr[0] == '%';
		const int byte = is_escape               ? path_escaped_byte(encoded)
		                 : encoded.ptr[0] == '+' ? ' '
		                                         : (unsigned char)encoded.ptr[0];
		if (byte != (unsigned char)*key) {
			return false;
		}
		encoded = slice_behind(encoded, is_escape ? 3 : 1);
		key++;
	}
	return encoded.len == 0 && *key == '\0';
}

/* The value of the next `key`; false when there is none any more. */
static bool next_value(struct slice *query, const char *key, struct slice *ret_value)
{
	struct slice pair;

	while (slice_next(query, '&', &pair)) {
		struct slice name = pair;
		if (pair.len > 0 && slice_next(&pair, '=', &name) && is_key(name, key)) {
			*ret_value = pair;
			return true;
		}
	}
	return false;
}

bool query_has(struct slice query, const char *key)
{
	struct slice value;

	return next_value(&query, key, &value) && value.ptr != NULL && value.len > 0;
}

bool query_repeats(struct slice query, const char *key)
{
	struct slice value;
	unsigned count = 0;

	while (count < 2 && next_value(&query, key, &value)) {
		count++;
	}
	return count == 2;
}

/* ── Showing ─────────────────────────────────────────────────────────────── */

/* The first value of `key`, as it came; len 0: there is none. */
static struct slice value_of(struct slice query, const char *key)
{
	struct slice value = {NULL, 0};

	return key != NULL && next_value(&query, key, &value) ? value : (struct slice){NULL, 0};
}

/* Decoded where that is a byte of a name of an image or container, so that it can end no field of a
 * log; cut where it is long. */
static void add_plain(struct slice value, struct text *text)
{
	while (value.len > 0 && !text->overflow) {
		const bool is_escape = value.ptr[0] == '%';
		const char raw = value.ptr[0] == '+' ? ' ' : value.ptr[0];
		const char c = is_escape ? (char)path_escaped_byte(value) : raw;
		text_add_encoded(text, (struct slice){&c, 1}, "/:@");
		value = slice_behind(value, is_escape ? 3 : 1);
	}
}

void docker_add_name(unsigned id, struct slice query, struct text *text)
{
	const struct docker_endpoint *endpoint = docker_endpoint(id);

	if (endpoint != NULL) {
		add_plain(value_of(query, endpoint->name), text);
	}
}

void docker_add_image(unsigned id, struct slice query, struct text *text)
{
	const struct docker_endpoint *endpoint = docker_endpoint(id);
	const struct slice image =
	        endpoint == NULL ? (struct slice){NULL, 0} : value_of(query, endpoint->image);

	if (image.len == 0) {
		return;
	}
	add_plain(image, text);
	const struct slice tag = value_of(query, endpoint->tag);
	if (tag.len > 0) { /* of a digest the algorithm stands in front: sha256:… */
		const bool is_digest = memchr(tag.ptr, ':', tag.len) != NULL ||
		                       memmem(tag.ptr, tag.len, "%3", 2) != NULL;
		text_add(text, is_digest ? SLICE("@") : SLICE(":"));
		add_plain(tag, text);
	}
}

/* ── Endless responses ───────────────────────────────────────────────────── */

/* Of the spellings that the Engine and podman take only the usual ones. */
static bool is_on(struct slice value)
{
	return slice_equal(value, SLICE("1")) || slice_equal_nocase(value, SLICE("true"));
}

bool docker_is_endless(unsigned id, struct slice query)
{
	const struct docker_endpoint *endpoint = docker_endpoint(id);

	if (endpoint == NULL || !endpoint->endless ||
	        (endpoint->if_on != NULL && !is_on(value_of(query, endpoint->if_on))) ||
	        (endpoint->unless_given != NULL && query_has(query, endpoint->unless_given))) {
		return false;
	}
	struct slice rest = query;
	struct slice value;
	return endpoint->unless_off == NULL || !next_value(&rest, endpoint->unless_off, &value) ||
	       is_on(value);
}

/* ── Parameters ──────────────────────────────────────────────────────────── */

/* The escapes were checked when the request was routed. */
static struct slice decode(struct slice value, struct text *memory)
{
	const size_t start = memory->len;

	while (value.len > 0) {
		const bool is_escape = value.ptr[0] == '%';
		const char raw = value.ptr[0] == '+' ? ' ' : value.ptr[0];
		text_add_char(memory, is_escape ? (char)path_escaped_byte(value) : raw);
		value = slice_behind(value, is_escape ? 3 : 1);
	}
	return slice_behind(text_slice(memory), start);
}

bool docker_next_parameter(
        struct slice *query, struct text *memory, struct slice *ret_name, struct slice *ret_value)
{
	struct slice pair = {"", 0};
	struct slice name = {"", 0};

	while (pair.len == 0) { /* "&&" is nothing */
		if (query->len == 0 || !slice_next(query, '&', &pair)) {
			return false;
		}
	}
	(void)slice_next(&pair, '=', &name);
	*ret_name = decode(name, memory);
	*ret_value = decode(pair.ptr == NULL ? (struct slice){"", 0} : pair, memory);
	return !memory->overflow;
}
