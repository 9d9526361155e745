/* SPDX-License-Identifier: MIT */
#include "base/text.h"
#include "docker/catalogue.h"
#include "docker/path.h"

/* ── Sections ────────────────────────────────────────────────────────────── */

/* Bytes of the first segment of `path`, its slash in front included. */
static size_t segment_length(struct slice path)
{
	const char *next = path.len > 1 ? memchr(path.ptr + 1, '/', path.len - 1) : NULL;

	return next == NULL ? path.len : (size_t)(next - path.ptr);
}

/* The section that `path` belongs to, and how many bytes name it: 0 for none. */
static enum docker_section section_of(struct slice path, size_t *ret_len)
{
	size_t len = segment_length(path);

	if (slice_equal((struct slice){path.ptr, len}, SLICE("/libpod"))) {
		len += segment_length(slice_behind(path, len));
	}
	const enum docker_section section =
	        len > 1 ? catalogue_section((struct slice){path.ptr + 1, len - 1})
	                : DOCKER_SECTION_NONE;
	*ret_len = section == DOCKER_SECTION_NONE ? 0 : len;
	return section;
}

/* ── Patterns ────────────────────────────────────────────────────────────── */

/* The last place of `needle` in `s`, which is not at its front; s.len: there is none. */
static size_t find_last(struct slice s, struct slice needle)
{
	for (size_t at = s.len; at > needle.len; at--) {
		const char *begin = s.ptr + at - needle.len;
		if (memcmp(begin, needle.ptr, needle.len) == 0) {
			return at - needle.len;
		}
	}
	return s.len;
}

/*
 * How many bytes of `path` the parameter at `pattern` takes. `tail` is what
 * the pattern has behind it: of a name with slashes all up to the tail
 * belongs to it, for the Engine's router is greedy.
 */
static size_t parameter_length(struct slice path, const char *tail, bool has_slashes)
{
	if (!has_slashes) {
		const char *slash = path.len > 0 ? memchr(path.ptr, '/', path.len) : NULL;
		return slash == NULL ? path.len : (size_t)(slash - path.ptr);
	}
	const size_t literal_len = strcspn(tail, "{");
	if (tail[literal_len] != '\0') {
		return find_last(path, (struct slice){tail, literal_len});
	}
	return path.len > literal_len ? path.len - literal_len : path.len;
}

/* Who may have slashes in a name. */
enum names {
	NAMES_AS_WRITTEN,   /* "{name...}" */
	NAMES_WITH_SLASHES, /* all, as in the Engine's router; there they may even be empty */
};

/* Not empty, no slash at its end, and none hidden where there may be none. */
static bool is_name(struct slice name, bool has_slashes)
{
	if (name.len == 0 || name.ptr[name.len - 1] == '/') {
		return false;
	}
	return has_slashes || memchr(name.ptr, PATH_HIDDEN_SLASH, name.len) == NULL;
}

/* Whether `path` fits `pattern`; *ret_name is the first parameter. */
static bool fits(const char *pattern, struct slice path, enum names names, struct slice *ret_name)
{
	bool has_name = false;

	*ret_name = (struct slice){NULL, 0};
	while (*pattern != '\0') {
		const size_t literal_len = strcspn(pattern, "{");
		if (!slice_starts_with(path, (struct slice){pattern, literal_len})) {
			return false;
		}
		pattern += literal_len;
		path = slice_behind(path, literal_len);
		if (*pattern == '\0') {
			break;
		}
		const char *tail = strchr(pattern, '}') + 1;
		const bool has_slashes = names == NAMES_WITH_SLASHES || tail[-2] == '.';
		const struct slice name = {path.ptr, parameter_length(path, tail, has_slashes)};
		if (names == NAMES_AS_WRITTEN && !is_name(name, has_slashes)) {
			return false;
		}
		if (!has_name) {
			*ret_name = name;
			has_name = true;
		}
		pattern = tail;
		path = slice_behind(path, name.len);
	}
	return path.len == 0;
}

bool docker_has_path(unsigned id, struct slice path)
{
	struct slice name;

	return fits(docker_endpoint(id)->path, path, NAMES_WITH_SLASHES, &name);
}

/* Whether a pattern with this tail can fit `path`. */
static bool may_end(struct slice path, const char *tail)
{
	return tail[CATALOGUE_TAIL - 1] == '}' ||
	       (path.len >= CATALOGUE_TAIL &&
	               memcmp(path.ptr + path.len - CATALOGUE_TAIL, tail, CATALOGUE_TAIL) == 0);
}

/* By the first digit of the major, since podman's router looks no further; no Engine has two. */
static bool is_older(const struct docker_version *version, unsigned than)
{
	unsigned major = version->major;

	while (major > 9) {
		major /= 10;
	}
	return version->parts > 0 &&
	       (major < than / 100 || (major == than / 100 && version->minor < than % 100));
}

/* What a row asks for besides method and path. */
static bool meets_conditions(const struct docker_endpoint *endpoint,
        const struct docker_target *target, const struct docker_version *version)
{
	if (endpoint->query != NULL && !query_has(target->query, endpoint->query)) {
		return false;
	}
	if (endpoint->body && !target->has_body) {
		return false;
	}
	return endpoint->before == 0 || is_older(version, endpoint->before);
}

/* The id of the first row that fits, or of what no row fits. */
static unsigned find_row(const struct docker_target *target, const struct path *path,
        enum names names, struct slice *ret_name)
{
	size_t section_len = 0;
	const enum docker_method method = docker_method_of(target->method);
	const enum docker_section section = section_of(path->rest, &section_len);
	const struct slice rest = slice_behind(path->rest, section_len);

	for (unsigned row = catalogue_group(section); catalogue_keys[row].section == section;
	        row++) {
		if (catalogue_keys[row].method != method ||
		        !may_end(path->rest, catalogue_keys[row].tail)) {
			continue;
		}
		const struct docker_endpoint *endpoint = docker_endpoint(row);
		if (fits(endpoint->path + section_len, rest, names, ret_name) &&
		        meets_conditions(endpoint, target, &path->version)) {
			return row;
		}
	}
	*ret_name = (struct slice){NULL, 0};
	return catalogue_unknown(section, method);
}

/* ── Routing ─────────────────────────────────────────────────────────────── */

/* The Engine has one path that may end in a slash and means the same without. */
static void drop_slash(struct path *path)
{
	if (slice_equal(path->rest, SLICE("/networks/"))) {
		path->rest.len--;
		path->decoded.len--;
	}
}

/*
 * An escaped slash must be part of a name. A reader that decodes first and
 * splits at slashes later must find the same name.
 */
static enum docker_error reveal(
        const struct docker_target *target, struct path *path, struct docker_request *request)
{
	struct slice name;

	if (!path->has_hidden_slash) {
		return DOCKER_OK;
	}
	path_reveal(path, request->decoded);
	const unsigned id = find_row(target, path, NAMES_AS_WRITTEN, &name);
	return id == request->id && id < docker_endpoint_count && name.len == request->name.len
	               ? DOCKER_OK
	               : DOCKER_BAD_SLASH;
}

static bool has_same_path(unsigned row, unsigned other)
{
	return strcmp(docker_endpoint(row)->path, docker_endpoint(other)->path) == 0;
}

/*
 * The keys of the query that decide between the rows of one path must be there
 * once: the Engine takes the first value, podman the last.
 */
static bool is_decided_twice(const struct docker_target *target, unsigned id)
{
	unsigned row = id;

	while (row < docker_endpoint_count && has_same_path(row, id)) {
		const char *key = docker_endpoint(row)->query;
		if (key != NULL && query_repeats(target->query, key)) {
			return true;
		}
		row--; /* in front of the first there is none: not below the count */
	}
	return false;
}

/* The row by which the Engine serves what no row fits; the id again if there is none. */
static unsigned find_served(
        const struct docker_target *target, const struct path *path, unsigned id)
{
	struct docker_target asked = *target;
	struct slice name;

	/* Up to 27 it asks for no method there. */
	if (slice_starts_with(path->rest, SLICE("/debug/")) &&
	        docker_method_of(target->method) != DOCKER_METHOD_OPTIONS) {
		asked.method = SLICE("GET");
	}
	const unsigned row = find_row(&asked, path, NAMES_WITH_SLASHES, &name);
	return row < docker_endpoint_count ? row : id;
}

static enum docker_error route_path(
        const struct docker_target *target, struct path *path, struct docker_request *request)
{
	enum docker_error error = path_parse(target->path, request->decoded, path);

	if (error != DOCKER_OK) {
		return error;
	}
	drop_slash(path);
	request->id = find_row(target, path, NAMES_AS_WRITTEN, &request->name);
	error = reveal(target, path, request);
	if (error == DOCKER_OK) {
		error = path_check_segments(path->decoded);
	}
	if (error == DOCKER_OK && is_decided_twice(target, request->id)) {
		error = DOCKER_BAD_REPEATED_KEY;
	}
	if (error == DOCKER_OK && path->has_high_byte && request->id >= docker_endpoint_count) {
		error = DOCKER_BAD_BYTE;
	}
	request->served_id = request->id;
	if (error == DOCKER_OK && request->id >= docker_endpoint_count) {
		request->served_id = find_served(target, path, request->id);
	}
	return error;
}

/* OPTIONS of the server itself (RFC 9110 section 9.3.7). */
static enum docker_error route_server(struct docker_request *request)
{
	request->id = request->served_id =
	        catalogue_unknown(DOCKER_SECTION_NONE, DOCKER_METHOD_OPTIONS);
	request->version = (struct docker_version){0};
	request->path = request->bare = SLICE("*");
	request->name = (struct slice){NULL, 0};
	return DOCKER_OK;
}

enum docker_error docker_route(
        const struct docker_target *target, struct docker_request *ret_request)
{
	struct path path;

	ret_request->method = target->method;
	enum docker_error error = query_check(target->query);
	if (error != DOCKER_OK) {
		return error;
	}
	if (slice_equal(target->path, SLICE("*")) &&
	        slice_equal(target->method, SLICE("OPTIONS"))) {
		return route_server(ret_request);
	}
	error = route_path(target, &path, ret_request);
	if (error != DOCKER_OK) {
		return error;
	}
	ret_request->version = path.version;
	ret_request->bare = path.rest.len > 0 ? path.rest : SLICE("/");
	return path_encode(&path, ret_request->encoded, &ret_request->path);
}

struct slice docker_versioned_path(
        const struct docker_request *request, char memory[DOCKER_PATH_MAX])
{
	const struct slice path = request->path;
	struct text text = text_over(memory, DOCKER_PATH_MAX);

	/* A path that came in its canonical spelling has no escapes: encoded and decoded are one.
	 */
	if (request->version.parts == 0 ||
	        request->bare.ptr + request->bare.len == path.ptr + path.len) {
		return request->version.parts == 0 ? request->bare : path;
	}
	const size_t version_len = segment_length(path);
	text_add(&text, (struct slice){path.ptr, version_len});
	text_add(&text, version_len < path.len ? request->bare : SLICE(""));
	ASSERT(!text.overflow); /* the canonical path is no shorter */
	return text_slice(&text);
}

bool docker_replace_name(struct docker_request *request, struct slice name)
{
	const char *pattern = docker_endpoint(request->served_id)->path;
	const size_t version_len = request->version.parts > 0 ? segment_length(request->path) : 0;
	const size_t before = version_len + (size_t)(strchr(pattern, '{') - pattern);
	const struct slice rest = slice_behind(request->path, before);
	const char *slash = memchr(rest.ptr, '/', rest.len);
	char memory[DOCKER_PATH_MAX];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, (struct slice){request->path.ptr, before});
	text_add(&text, name);
	text_add(&text, slash == NULL ? SLICE("") : slice_between(slash, rest.ptr + rest.len));
	if (text.overflow) {
		return false;
	}
	request->path = (struct slice){request->encoded,
	        text_keep(request->encoded, sizeof(request->encoded), text_slice(&text))};
	return true;
}
