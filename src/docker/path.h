/* SPDX-License-Identifier: MIT */
/*
 * path — the canonical spelling of a path, and what is refused. Private to docker/.
 */
#ifndef DOCKER_PATH_H
#define DOCKER_PATH_H

#include "docker/docker.h"

/* Replaces an escaped slash until it is known to be part of a name. Received control
 * bytes are refused, so that this byte is unambiguous. */
enum { PATH_HIDDEN_SLASH = 0x01 };

struct path {
	struct slice decoded;
	struct slice rest; /* of `decoded`, without the version */
	struct docker_version version;
	struct slice version_suffix; /* "-dev" of podman's "/v5.3.0-dev"; usually empty */
	bool canonical;              /* the received path is the path to forward */
	bool has_hidden_slash;
	bool has_high_byte; /* ≥ 0x80 */
};

/*
 * Decode `raw` once and separate the version. The result points into `raw` if
 * nothing changes, else into `memory`.
 */
enum docker_error path_parse(
        struct slice raw, char memory[DOCKER_PATH_MAX], struct path *ret_path) MUST_USE;
/* Replace each PATH_HIDDEN_SLASH by a slash. */
void path_reveal(struct path *path, char memory[DOCKER_PATH_MAX]);
/* Refuse empty segments and dot segments. */
enum docker_error path_check_segments(struct slice decoded) MUST_USE;
/* The canonical spelling; in `memory` unless the received path is canonical. */
enum docker_error path_encode(
        const struct path *path, char memory[DOCKER_PATH_MAX], struct slice *ret_encoded) MUST_USE;
/* The byte of the escape "%XX" at the front of `s`; -1 if `s` begins with no escape. */
int path_escaped_byte(struct slice s);

/* ── query.c ─────────────────────────────────────────────────────────────── */

/* Refuse a query that two readers can understand in two ways. */
enum docker_error query_check(struct slice query) MUST_USE;
/* Whether `key` has a first value that is not empty, as the Engine reads the query. */
bool query_has(struct slice query, const char *key);
bool query_repeats(struct slice query, const char *key);

#endif
