/* SPDX-License-Identifier: MIT */
/*
 * pattern — a peer's regular expression becomes one for paths without an API
 * version.
 *
 * Peers hold a pattern against the whole path, API version included; a path
 * rule here sees the path behind it, because the Engine does the same with and
 * without one. So a path is to be let through if the original lets it through
 * in either spelling. To get there the alternatives and optional groups that a
 * pattern begins with are multiplied out, and whatever stands for the version
 * is cut off the front of each: "(/v1\.\d+)?/(info|version)" becomes "/info"
 * and "/version".
 *
 * What cannot be understood is left as it is. It then fits fewer paths than it
 * did, never more.
 */
#ifndef CONVERT_PATTERN_H
#define CONVERT_PATTERN_H

#include "base/arena.h"
#include "base/check.h"
#include "base/slice.h"

enum {
	PATTERN_ALTERNATIVES_MAX = 256,
	PATTERN_LEN_MAX = 4096, /* bytes */
};

struct pattern {
	const char *alternatives[PATTERN_ALTERNATIVES_MAX]; /* each to fit a whole path */
	unsigned count;
	bool ungrouped; /* had "a|b" outside of any group: anchored as "^a" and "b$" */
	bool wide;      /* had ".*" where the version is */
	bool unclear;   /* its beginning was not understood, and left as it was */
};

/*
 * `expression` in the syntax that Go and PCRE2 share. Strings of the result
 * live in `arena`. False: brackets do not match, it is too long or has too many alternatives.
 */
bool pattern_read(
        struct arena *arena, struct slice expression, struct pattern *ret_pattern) MUST_USE;

/*
 * Whether `alternative` fits exactly the paths of a row of the catalogue:
 * "/containers/[^/]+/json" those of "/containers/{id}/json".
 */
bool pattern_is_row(struct slice alternative, struct slice row_path);

#endif
