/* SPDX-License-Identifier: MIT */
/*
 * path — the one spelling of a path, and what must not be in one. Private to docker/.
 */
#ifndef DOCKER_PATH_H
#define DOCKER_PATH_H

#include "docker/docker.h"

/* Stands for a slash that came escaped, until it is known that a name holds it;
 * control bytes are refused, so that nothing else can look like it. */
enum { PATH_HIDDEN_SLASH = 0x01 };

struct path {
	struct slice decoded;
	struct slice rest; /* of `decoded`, behind the version */
	struct docker_version version;
	struct slice version_suffix; /* "-dev" of podman's "/v5.3.0-dev"; most have none */
	bool canonical;              /* it came in the spelling in which it is sent on */
	bool has_hidden_slash;
	bool has_high_byte; /* ≥ 0x80 */
};

/*
 * Decode `raw`, once; what needs no change stays where it is, the rest is
 * written to `memory`. Cuts the version off.
 */
enum docker_error path_parse(
        struct slice raw, char memory[DOCKER_PATH_MAX], struct path *ret_path) MUST_USE;
/* Hidden slashes become slashes. */
void path_reveal(struct path *path, char memory[DOCKER_PATH_MAX]);
/* Whether there are empty or dot segments. */
enum docker_error path_check_segments(struct slice decoded) MUST_USE;
/* The canonical spelling, written to `memory` unless the path came in it. */
enum docker_error path_encode(
        const struct path *path, char memory[DOCKER_PATH_MAX], struct slice *ret_encoded) MUST_USE;
/* The byte that "%XX" at the front of `s` stands for; -1 if it is none. */
int path_escaped_byte(struct slice s);

/* ── query.c ─────────────────────────────────────────────────────────────── */

/* Refuses what readers of a query could disagree on. */
enum docker_error query_check(struct slice query) MUST_USE;
/* Whether the first value of `key` is there and not empty, as the Engine reads it. */
bool query_has(struct slice query, const char *key);
bool query_repeats(struct slice query, const char *key);

#endif
