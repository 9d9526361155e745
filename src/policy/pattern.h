/* SPDX-License-Identifier: MIT */
/*
 * pattern — regular expressions for whole paths. Private to policy/.
 *
 * PCRE2 on bytes, compiled to machine code if the system permits it, with a limit
 * for the work of one match. A compiled pattern is immutable.
 */
#ifndef POLICY_PATTERN_H
#define POLICY_PATTERN_H

#include "policy/policy.h"

struct pattern;
/* The limit for the work of a match, shared by all patterns. */
struct pattern_limits;

enum pattern_result {
	PATTERN_NO_MATCH,
	PATTERN_MATCH,
	PATTERN_LIMIT, /* the limit was reached: unknown */
};

/* NULL without memory. */
struct pattern_limits *pattern_limits_new(void) MUST_USE;
void pattern_limits_free(struct pattern_limits *limits);

/*
 * 0; -ENOMEM; or -EINVAL and the end of a sentence in `problem`. Unless `sees_version`, a pattern
 * that requires an API version is refused.
 */
int pattern_compile(const char *pattern, bool sees_version, struct pattern **ret_pattern,
        char *problem, size_t problem_max) MUST_USE;
void pattern_free(struct pattern *pattern);

/* Whether the pattern fits the whole of `path`. */
enum pattern_result pattern_match(const struct pattern *pattern,
        const struct pattern_limits *limits, struct policy_scratch *scratch, struct slice path);
/* Whether the pattern can fit a path that begins with `prefix`. */
bool pattern_can_begin(const struct pattern *pattern, const struct pattern_limits *limits,
        struct policy_scratch *scratch, struct slice prefix);
/* Whether the pattern can fit a path that begins with an API version. */
bool pattern_can_begin_with_version(const struct pattern *pattern,
        const struct pattern_limits *limits, struct policy_scratch *scratch);

#endif
