/* SPDX-License-Identifier: MIT */
/* pattern — regular expressions of Go in PCRE2. Private to convert/. */
#ifndef CONVERT_PATTERN_H
#define CONVERT_PATTERN_H

#include "base/arena.h"
#include "base/check.h"

#include <stdbool.h>

struct pattern_traits {
	bool ungrouped; /* has "a|b" outside of groups: "^a|b$" anchors each alternative on one side
	                   only */
	bool backslash; /* fits only paths with a backslash, and there are none */
};

/*
 * NULL if the expression means the same in Go and in PCRE2; otherwise the reason, as the end of a
 * sentence. Unmatched brackets are not found here, but when the expression is compiled.
 */
const char *pattern_read(const char *expression, struct pattern_traits *ret_traits) MUST_USE;

/*
 * The expression without the API versions that plainly precede it or its alternatives:
 * "(/v1\.\d+)?/(info|version)" → "/(info|version)". The text lives in `arena`.
 */
const char *pattern_without_version(struct arena *arena, const char *expression);

#endif
