/* SPDX-License-Identifier: MIT */
/*
 * Routing. What is routed has a canonical path that routes to the same again,
 * and that the Engine reads as we do: Go's URL decoding gives the path that was
 * judged, its cleaning changes nothing, its router finds the same endpoint, its
 * query parser the same operation. Those four are written here anew, from what
 * they are documented to do. An input is a request line: method, target.
 */
#include "docker/docker.h"
#include "fuzz.h"

#include <stdlib.h>

enum { TARGET_MAX = 16 * 1024 };

/* ── The Engine's reading ────────────────────────────────────────────────── */

static int digit(char c)
{
	const char *const digits = "0123456789abcdefABCDEF";
	const char *found = c == '\0' ? NULL : strchr(digits, c);

	if (found == NULL) {
		return -1;
	}
	return (int)(found - digits < 16 ? found - digits : found - digits - 6);
}

/* url.PathUnescape and url.QueryUnescape; the length, or -1 for an error. */
static long go_unescape(struct slice s, bool is_query, char *out)
{
	long len = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '%') {
			if (i + 2 >= s.len || digit(s.ptr[i + 1]) < 0 || digit(s.ptr[i + 2]) < 0) {
				return -1;
			}
			c = (char)(digit(s.ptr[i + 1]) * 16 + digit(s.ptr[i + 2]));
			i += 2;
		} else if (c == '+' && is_query) {
			c = ' ';
		}
		out[len++] = c;
	}
	return len;
}

/* path.Clean, and the slash at the end that gorilla/mux keeps. */
static size_t go_clean(struct slice path, char *out)
{
	const bool has_slash = path.len > 1 && path.ptr[path.len - 1] == '/';
	size_t len = 0;
	struct slice segment;

	while (slice_next(&path, '/', &segment)) {
		if (slice_equal(segment, SLICE("..")) && len > 0) {
			len = (size_t)((char *)memrchr(out, '/', len) - out);
		} else if (segment.len > 0 && !slice_equal(segment, SLICE(".")) &&
		           !slice_equal(segment, SLICE(".."))) {
			out[len++] = '/';
			memcpy(out + len, segment.ptr, segment.len);
			len += segment.len;
		}
	}
	if (len == 0 || has_slash) {
		out[len++] = '/';
	}
	return len;
}

/* One pattern of the Engine's router, where ".*" stands for each parameter. */
static bool mux_fits(const char *pattern, struct slice path)
{
	const char *open = strchr(pattern, '{');
	if (open == NULL) {
		return slice_equal(slice_of(pattern), path);
	}
	const struct slice front = slice_between(pattern, open);
	const char *close = strchr(open, '}') + 1;
	const char *second = strchr(close, '{');
	const struct slice back = second == NULL ? slice_of(close) : slice_between(close, second);
	if (!slice_starts_with(path, front) || path.len < front.len + back.len) {
		return false;
	}
	const struct slice rest = {path.ptr + front.len, path.len - front.len};
	return second == NULL ? slice_ends_with(rest, back)
	                      : memmem(rest.ptr, rest.len, back.ptr, back.len) != NULL;
}

/* What is behind the version, of which podman takes more spellings than the Engine. */
static struct slice mux_behind_version(struct slice path)
{
	const char *const letters =
	        "0123456789.-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t at = 2;

	while (at < path.len && memchr(letters, path.ptr[at], strlen(letters)) != NULL) {
		at++;
	}
	const bool has = slice_starts_with(path, SLICE("/v")) && path.len > 2 &&
	                 path.ptr[2] >= '0' && path.ptr[2] <= '9' &&
	                 (at == path.len || path.ptr[at] == '/');
	return has ? (struct slice){path.ptr + at, path.len - at} : path;
}

/* Podman has a router for each first digit of a version. */
static bool mux_has(const struct docker_endpoint *endpoint, char first_digit)
{
	return endpoint->before == 0 || endpoint->body ||
	       (unsigned)(first_digit - '0') < endpoint->before / 100;
}

/* The one pattern of the Engine for a container's parts where names hold no slashes comes first. */
static bool mux_is_checkpoint(struct slice path)
{
	const struct slice words[] = {
	        SLICE(""), SLICE("containers"), {0}, SLICE("checkpoints"), {0}};
	struct slice segment;
	size_t i = 0;

	while (slice_next(&path, '/', &segment)) {
		if (i == ARRAY_LEN(words) || (words[i].ptr != NULL ? !slice_equal(segment, words[i])
		                                                   : segment.len == 0)) {
			return false;
		}
		i++;
	}
	return i == ARRAY_LEN(words);
}

/* The first endpoint of a method that fits. */
static const struct docker_endpoint *mux_route_as(
        struct slice method, char first_digit, struct slice path)
{
	const bool is_checkpoint = mux_is_checkpoint(path);

	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const struct docker_endpoint *endpoint = docker_endpoint(id);
		const bool passes = strcmp(endpoint->operation, "container.remove") == 0
		                            ? !is_checkpoint
		                            : mux_has(endpoint, first_digit);
		if (passes && slice_equal(slice_of(endpoint->method), method) &&
		        mux_fits(endpoint->path, path)) {
			return endpoint;
		}
	}
	return NULL;
}

/* The first endpoint that the Engine would serve this by; below /debug it asks for no method. */
static const struct docker_endpoint *mux_route(
        struct slice method, char first_digit, struct slice path)
{
	const bool is_debug =
	        slice_starts_with(path, SLICE("/debug/")) && !slice_equal(method, SLICE("OPTIONS"));
	const struct docker_endpoint *as_get =
	        is_debug ? mux_route_as(SLICE("GET"), first_digit, path) : NULL;

	return as_get != NULL ? as_get : mux_route_as(method, first_digit, path);
}

/* url.ParseQuery, then Get(key) != "". */
static bool go_query_has(struct slice query, struct slice key)
{
	static char decoded[TARGET_MAX];
	struct slice pair;

	while (slice_next(&query, '&', &pair)) {
		const char *equals = pair.len > 0 ? memchr(pair.ptr, '=', pair.len) : NULL;
		const char *end = pair.ptr + pair.len;
		const struct slice name = equals == NULL ? pair : slice_between(pair.ptr, equals);
		const long len = pair.len > 0 ? go_unescape(name, true, decoded) : -1;
		if (len >= 0 && slice_equal((struct slice){decoded, (size_t)len}, key)) {
			return equals != NULL && equals + 1 < end;
		}
	}
	return false;
}

/* ── Properties ──────────────────────────────────────────────────────────── */

static struct docker_request first;
static struct docker_request second;

static void check_same(void)
{
	ASSERT(first.id == second.id);
	ASSERT(first.served_id == second.served_id);
	ASSERT(slice_equal(first.path, second.path));
	ASSERT(slice_equal(first.bare, second.bare));
	ASSERT(first.version.major == second.version.major);
	ASSERT(first.version.minor == second.version.minor);
	ASSERT(first.version.patch == second.version.patch);
	ASSERT((first.name.ptr == NULL) == (second.name.ptr == NULL));
	ASSERT(first.name.ptr == NULL || slice_equal(first.name, second.name));
}

/* The bytes of a canonical path can stand in a request line, and mean themselves. */
static void check_bytes(struct slice path)
{
	ASSERT(path.len > 0 && path.len <= DOCKER_PATH_MAX);
	for (size_t i = 0; i < path.len; i++) {
		ASSERT(path.ptr[i] > ' ' && path.ptr[i] < 0x7f);
		ASSERT(strchr("?#\"<>\\^`{|}", path.ptr[i]) == NULL);
	}
}

static void check_engine(struct slice method)
{
	static char decoded[TARGET_MAX];
	static char cleaned[TARGET_MAX];
	const long len = go_unescape(first.path, false, decoded);

	ASSERT(len > 0);
	const struct slice path = {decoded, (size_t)len};
	ASSERT(slice_equal(path, (struct slice){cleaned, go_clean(path, cleaned)}));
	const struct slice bare = mux_behind_version(path);
	ASSERT(slice_equal(bare.len > 0 ? bare : SLICE("/"), first.bare));
	/* What no row fits is served by the row that it was found to be served by, or by none. */
	const struct docker_endpoint *endpoint = docker_endpoint(first.served_id);
	const char first_digit = bare.len < path.len ? path.ptr[2] : '9';
	const struct docker_endpoint *served = mux_route(method, first_digit, first.bare);
	ASSERT((served == NULL) == (endpoint == NULL));
	ASSERT(served == NULL || strcmp(served->path, endpoint->path) == 0);
	ASSERT(first.id == first.served_id || docker_endpoint(first.id) == NULL);
}

static void check_query(const struct docker_target *target)
{
	const bool pull = strcmp(docker_operation_name(first.id), "image.pull") == 0;
	const bool import = strcmp(docker_operation_name(first.id), "image.import") == 0;

	const bool restore =
	        strcmp(docker_operation_name(first.id), "container.start_from_checkpoint") == 0;
	const bool start = strcmp(docker_operation_name(first.id), "container.start") == 0;

	if (pull || import) {
		ASSERT(go_query_has(target->query, SLICE("fromImage")) == pull);
	}
	if (restore || start) {
		ASSERT((go_query_has(target->query, SLICE("checkpoint")) ||
		               go_query_has(target->query, SLICE("checkpoint-dir"))) == restore);
	}
}

static void check(struct docker_target target)
{
	const enum docker_error error = docker_route(&target, &first);

	if (error != DOCKER_OK) {
		ASSERT(docker_error_text(error) != NULL);
		return;
	}
	ASSERT(first.id < docker_id_count());
	if (slice_equal(first.path, SLICE("*"))) {
		return;
	}
	check_bytes(first.path);
	check_engine(target.method);
	check_query(&target);
	const struct docker_target canonical = {
	        target.method, first.path, target.query, target.has_body};
	ASSERT(docker_route(&canonical, &second) == DOCKER_OK);
	check_same();
}

/* ── Input ───────────────────────────────────────────────────────────────── */

/* In memory of exactly its size, so that a read behind it is seen. */
static struct slice copy_of(struct slice bytes)
{
	char *copy = malloc(bytes.len > 0 ? bytes.len : 1);

	ASSERT(copy != NULL);
	memcpy(copy, bytes.ptr, bytes.len);
	return (struct slice){copy, bytes.len};
}

static void free_copy(struct slice bytes)
{
	free((void *)(uintptr_t)bytes.ptr);
}

static struct slice cut_version(struct slice target)
{
	const char *version = target.len > 0 ? memmem(target.ptr, target.len, " HTTP/", 6) : NULL;

	return version == NULL ? target : slice_between(target.ptr, version);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct slice rest = {(const char *)bytes, len};
	struct slice method;

	if (len == 0 || len > TARGET_MAX || !slice_next(&rest, ' ', &method) || rest.ptr == NULL) {
		return 0;
	}
	struct slice path = cut_version(rest);
	struct slice query = {NULL, 0};
	const char *mark = path.len > 0 ? memchr(path.ptr, '?', path.len) : NULL;
	if (mark != NULL) {
		query = copy_of(slice_between(mark + 1, path.ptr + path.len));
		path = slice_between(path.ptr, mark);
	}
	path = copy_of(path);
	check((struct docker_target){method, path, query, false});
	check((struct docker_target){method, path, query, true});
	free_copy(path);
	free_copy(query);
	return 0;
}
