/* SPDX-License-Identifier: MIT */
/* pattern — what a regular expression of Go says to PCRE2. Private to convert/. */
#ifndef CONVERT_PATTERN_H
#define CONVERT_PATTERN_H

#include "base/arena.h"
#include "base/check.h"

#include <stdbool.h>

struct pattern_traits {
	bool ungrouped; /* has "a|b" outside of any group: "^a|b$" anchors each on one side only */
	bool backslash; /* wants a backslash in the path, which none has */
};

/*
 * Whether Go and PCRE2 read the expression alike: NULL, or the end of a sentence that says why
 * not. Brackets that do not match are left to whoever compiles it.
 */
const char *pattern_read(const char *expression, struct pattern_traits *ret_traits) MUST_USE;

/*
 * Without the API versions that are plainly written in front of it or of its alternatives:
 * "(/v1\.\d+)?/(info|version)" → "/(info|version)". The text lives in `arena`.
 */
const char *pattern_without_version(struct arena *arena, const char *expression);

#endif
