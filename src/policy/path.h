/* SPDX-License-Identifier: MIT */
/*
 * path — patterns over whole paths. Private to policy/.
 *
 * PCRE2 in byte mode, compiled to machine code where the system lets it, with
 * a limit of the work that one match may take. A compiled pattern is immutable.
 */
#ifndef POLICY_PATH_H
#define POLICY_PATH_H

#include "policy/policy.h"

struct path_pattern;
/* How much work a match may be; one for all patterns. */
struct path_limits;

enum path_answer {
	PATH_FITS_NOT,
	PATH_FITS,
	PATH_TOO_HARD, /* the limit was hit: nobody knows */
};

/* NULL without memory. */
struct path_limits *path_limits_new(void) MUST_USE;
void path_limits_free(struct path_limits *limits);

/* 0, or -EINVAL and in `problem` the end of a sentence that tells what is wrong. */
int path_compile(const char *pattern, struct path_pattern **ret_pattern, char *problem,
        size_t problem_max) MUST_USE;
void path_free(struct path_pattern *pattern);

/* Whether the pattern fits the whole of `path`. */
enum path_answer path_match(const struct path_pattern *pattern, const struct path_limits *limits,
        struct policy_scratch *scratch, struct slice path);
/* Whether it can fit a path that begins with `prefix`. */
bool path_can_begin(const struct path_pattern *pattern, const struct path_limits *limits,
        struct policy_scratch *scratch, struct slice prefix);

#endif
