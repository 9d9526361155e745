/* SPDX-License-Identifier: MIT */
/*
 * A path pattern, a line break, a path. Policies leave a pattern out for
 * operations whose paths begin in a way that it cannot fit: so whatever fits
 * must have been possible from each of its beginnings but the empty one.
 */
#include "fuzz.h"
#include "policy/pattern.h"

#include <string.h>

enum { PATTERN_MAX = 256 };

static void check(const struct pattern *pattern, struct slice path)
{
	struct pattern_limits *limits = pattern_limits_new();
	struct policy_scratch *scratch = policy_scratch_new();
	const enum pattern_result result = pattern_match(pattern, limits, scratch, path);

	for (size_t len = 1; result == PATTERN_MATCH && len <= path.len; len++) {
		ASSERT(pattern_can_begin(pattern, limits, scratch, (struct slice){path.ptr, len}));
	}
	policy_scratch_free(scratch);
	pattern_limits_free(limits);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const uint8_t *cut = len > 0 ? memchr(bytes, '\n', len) : NULL;
	const size_t pattern_len = cut == NULL ? 0 : (size_t)(cut - bytes);
	char text[PATTERN_MAX];
	char problem[256] = "";
	struct pattern *pattern = NULL;

	if (pattern_len == 0 || pattern_len >= sizeof(text) ||
	        memchr(bytes, '\0', pattern_len) != NULL) {
		return 0;
	}
	memcpy(text, bytes, pattern_len);
	text[pattern_len] = '\0';
	if (pattern_compile(text, len % 2 == 0, &pattern, problem, sizeof(problem)) < 0) {
		ASSERT(problem[0] != '\0' && strnlen(problem, sizeof(problem)) < sizeof(problem));
		return 0;
	}
	check(pattern, (struct slice){(const char *)cut + 1, len - pattern_len - 1});
	pattern_free(pattern);
	return 0;
}
