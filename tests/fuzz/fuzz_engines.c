/* SPDX-License-Identifier: MIT */
/*
 * The front of a path that names an Engine. Whatever a lenient reader makes of a path, who decodes
 * its escapes, takes backslashes for slashes and drops empty and dot segments: it
 * finds /engines/NAME in front only if the path is spelt so, or is refused. And what is left of a
 * path that is accepted leads to the same canonical path as if it had come alone.
 */
#include "docker/docker.h"
#include "engines/engines.h"
#include "fuzz.h"

enum { PATH_MAX_LEN = 8 * 1024 };

/* ── A lenient reader ────────────────────────────────────────────────────── */

static int digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

static size_t decode(struct slice s, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '%' && i + 2 < s.len && digit(s.ptr[i + 1]) >= 0 &&
		        digit(s.ptr[i + 2]) >= 0) {
			c = (char)(digit(s.ptr[i + 1]) * 16 + digit(s.ptr[i + 2]));
			i += 2;
		}
		out[len++] = c == '\\' ? '/' : c;
	}
	return len;
}

/* The first segment that is left of it. */
static struct slice first_segment(struct slice path)
{
	struct slice segment = SLICE("");

	while (slice_next(&path, '/', &segment)) {
		if (segment.len > 0 && !slice_equal(segment, SLICE(".")) &&
		        !slice_equal(segment, SLICE(".."))) {
			return segment;
		}
	}
	return SLICE("");
}

/* ── Properties ──────────────────────────────────────────────────────────── */

static struct docker_request whole;
static struct docker_request alone;

static void check_plain(struct slice path)
{
	static char once[PATH_MAX_LEN];
	const struct slice decoded = {once, decode(path, once)};

	ASSERT(!slice_equal(first_segment(decoded), SLICE("engines")));
}

static void check_named(struct slice path, struct slice name, struct slice rest)
{
	const size_t front = sizeof("/engines/") - 1 + name.len;

	ASSERT(slice_starts_with(path, SLICE("/engines/")));
	ASSERT(engine_name_problem(name) == NULL);
	ASSERT(name.ptr == path.ptr + sizeof("/engines/") - 1);
	ASSERT(rest.len > 0 && rest.ptr[0] == '/');
	ASSERT(front == path.len ? rest.len == 1 : slice_equal(rest, slice_behind(path, front)));

	/* The front is canonical: routing all of it finds the same rest, or refuses both. */
	const struct docker_target as_whole = {SLICE("GET"), path, {NULL, 0}, false};
	const struct docker_target as_rest = {SLICE("GET"), rest, {NULL, 0}, false};
	const enum docker_error error = docker_route(&as_whole, &whole);
	if (docker_route(&as_rest, &alone) == DOCKER_OK && error == DOCKER_OK) {
		ASSERT(slice_starts_with(whole.path, SLICE("/engines/")));
		ASSERT(slice_starts_with(alone.path, SLICE("/")));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct slice path = {(const char *)bytes, len};
	struct slice name;
	struct slice rest;

	if (len == 0 || len > PATH_MAX_LEN) {
		return 0;
	}
	switch (engines_split(path, &name, &rest)) {
	case ENGINE_PATH_PLAIN:
		ASSERT(slice_equal(rest, path));
		check_plain(path);
		break;
	case ENGINE_PATH_NAMED:
		check_named(path, name, rest);
		break;
	case ENGINE_PATH_LIST:
		ASSERT(slice_equal(path, SLICE("/engines")));
		break;
	case ENGINE_PATH_AMBIGUOUS:
		break;
	}
	return 0;
}
