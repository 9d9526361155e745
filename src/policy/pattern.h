/* SPDX-License-Identifier: MIT */
/*
 * pattern — patterns over whole paths. Private to policy/.
 *
 * PCRE2 in byte mode, compiled to machine code where the system lets it, with
 * a limit of the work that one match may take. A compiled pattern is immutable.
 */
#ifndef POLICY_PATTERN_H
#define POLICY_PATTERN_H

#include "policy/policy.h"

struct pattern;
/* How much work a match may be; one for all patterns. */
struct pattern_limits;

enum pattern_result {
	PATTERN_NO_MATCH,
	PATTERN_MATCH,
	PATTERN_LIMIT, /* the limit was hit: the result is unknown */
};

/* NULL without memory. */
struct pattern_limits *pattern_limits_new(void) MUST_USE;
void pattern_limits_free(struct pattern_limits *limits);

/*
 * 0; -ENOMEM; or -EINVAL and in `problem` the end of a sentence that tells what is wrong. A pattern
 * that wants an API version is refused unless it `sees_version`.
 */
int pattern_compile(const char *pattern, bool sees_version, struct pattern **ret_pattern,
        char *problem, size_t problem_max) MUST_USE;
void pattern_free(struct pattern *pattern);

/* Whether the pattern fits the whole of `path`. */
enum pattern_result pattern_match(const struct pattern *pattern,
        const struct pattern_limits *limits, struct policy_scratch *scratch, struct slice path);
/* Whether it can fit a path that begins with `prefix`. */
bool pattern_can_begin(const struct pattern *pattern, const struct pattern_limits *limits,
        struct policy_scratch *scratch, struct slice prefix);
/* Whether it can fit a path that begins with an API version. */
bool pattern_can_begin_with_version(const struct pattern *pattern,
        const struct pattern_limits *limits, struct policy_scratch *scratch);

#endif
