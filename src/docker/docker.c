/* SPDX-License-Identifier: MIT */
#include "docker/docker.h"

#include "base/check.h"

static const struct {
	const char *method;
	const char *first; /* segment behind version and libpod */
	const char *last;  /* how the path ends; the name between them may hold slashes */
	enum docker_hijack hijack;
} endpoints[] = {
        {"POST", "/containers/", "/attach", DOCKER_HIJACK_ATTACH},
        {"GET", "/containers/", "/attach/ws", DOCKER_HIJACK_UPGRADE},
        {"POST", "/exec/", "/start", DOCKER_HIJACK_EXEC_START},
        {"POST", "/session", "", DOCKER_HIJACK_UPGRADE},
        {"POST", "/grpc", "", DOCKER_HIJACK_UPGRADE},
};

static struct slice without(struct slice path, size_t len)
{
	return (struct slice){path.ptr + len, path.len - len};
}

/* /v[0-9.]+ in front of a slash, as the Engine's router has it, and podman's /libpod behind it. */
static struct slice behind_prefix(struct slice path)
{
	if (slice_starts_with(path, SLICE("/v"))) {
		size_t at = 2;
		while (at < path.len &&
		        ((path.ptr[at] >= '0' && path.ptr[at] <= '9') || path.ptr[at] == '.')) {
			at++;
		}
		if (at > 2 && at < path.len && path.ptr[at] == '/') {
			path = without(path, at);
		}
	}
	const struct slice libpod = SLICE("/libpod");
	if (slice_starts_with(path, SLICE("/libpod/"))) {
		path = without(path, libpod.len);
	}
	return path;
}

enum docker_hijack docker_hijack_of(struct slice method, struct slice path)
{
	const struct slice rest = behind_prefix(path);

	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		const struct slice first = slice_of(endpoints[i].first);
		const struct slice last = slice_of(endpoints[i].last);
		const bool fits = last.len > 0 ? rest.len > first.len + last.len &&
		                                         slice_starts_with(rest, first) &&
		                                         slice_ends_with(rest, last)
		                               : slice_equal(rest, first);
		if (fits && slice_equal(method, slice_of(endpoints[i].method))) {
			return endpoints[i].hijack;
		}
	}
	return DOCKER_HIJACK_NONE;
}
