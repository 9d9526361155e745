/* SPDX-License-Identifier: MIT */
#include "policy/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

enum {
	/* Steps of backtracking; ordinary patterns take some dozen. A path has at most 4096
	 * bytes: `.*` may go back over each of them, and a group may nest for each. */
	MATCH_LIMIT = 20000,
	DEPTH_LIMIT = 10000,
	HEAP_LIMIT_KIB = 4096,
	REASON_MAX = 160, /* bytes of a message of PCRE2 */
};

static const uint32_t compile_options = PCRE2_ANCHORED | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY |
                                        PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C;

static pcre2_code *code_of(const struct pattern *pattern)
{
	return (pcre2_code *)(uintptr_t)pattern;
}

struct pattern_limits *pattern_limits_new(void)
{
	pcre2_match_context *context = pcre2_match_context_create(NULL);

	if (context != NULL) {
		(void)pcre2_set_match_limit(context, MATCH_LIMIT);
		(void)pcre2_set_depth_limit(context, DEPTH_LIMIT);
		(void)pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
	}
	return (struct pattern_limits *)context;
}

void pattern_limits_free(struct pattern_limits *limits)
{
	pcre2_match_context_free((pcre2_match_context *)limits);
}

struct policy_scratch *policy_scratch_new(void)
{
	return (struct policy_scratch *)pcre2_match_data_create(1, NULL);
}

void policy_scratch_free(struct policy_scratch *scratch)
{
	pcre2_match_data_free((pcre2_match_data *)scratch);
}

/* ── Compiling ───────────────────────────────────────────────────────────── */

/* A mistake that compiles, or NULL. */
static const char *trap_in(const char *pattern)
{
	if (pattern[0] == '\0') {
		return "it is empty and fits no path";
	}
	if (strstr(pattern, "(*") != NULL) { /* (*ACCEPT) would end the match in front of our \z */
		return "verbs, (*...), are not supported";
	}
	return NULL;
}

/* 0, -EINVAL with a problem, or -ENOMEM. */
static int compile(const char *pattern, pcre2_code **ret_code, char *problem, size_t problem_max)
{
	int number = 0;
	PCRE2_SIZE offset = 0;

	*ret_code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, compile_options,
	        &number, &offset, NULL);
	if (*ret_code != NULL) {
		return 0;
	}
	PCRE2_UCHAR reason[REASON_MAX] = "";
	(void)pcre2_get_error_message(number, reason, sizeof(reason));
	(void)snprintf(
	        problem, problem_max, "at byte %zu: %s", (size_t)offset + 1, (const char *)reason);
	return number == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EINVAL;
}

/* Grouped, so that an alternation stays inside; it was compiled alone before, so that no bracket
 * of it closes ours. */
static int compile_grouped(
        const char *pattern, pcre2_code **ret_code, char *problem, size_t problem_max)
{
	char grouped[2048];
	const int len = snprintf(grouped, sizeof(grouped), "\\A(?:%s)\\z", pattern);

	if (len < 0 || (size_t)len >= sizeof(grouped)) {
		(void)snprintf(problem, problem_max, "it is too long");
		return -EINVAL;
	}
	return compile(grouped, ret_code, problem, problem_max);
}

/* Finding out what a pattern can fit, before it is machine code. */
struct trial {
	const pcre2_code *code;
	pcre2_match_data *data;
	bool without_memory; /* some answers are guesses */
};

/* Whether some path that begins with these bytes can fit. */
static bool can_begin(struct trial *trial, const char *bytes, size_t len)
{
	const int count = pcre2_match(
	        trial->code, (PCRE2_SPTR)bytes, len, 0, PCRE2_PARTIAL_HARD, trial->data, NULL);

	trial->without_memory = trial->without_memory || count == PCRE2_ERROR_NOMEMORY;
	return count != PCRE2_ERROR_NOMATCH;
}

/* Whether all paths that can fit begin with /v and a digit or a dot: none does that is left when
 * its version is removed, and a rule that denies them would deny nothing. */
static bool wants_version(struct trial *trial)
{
	if (!can_begin(trial, "/v1", 3) && !can_begin(trial, "/v.", 3)) {
		return false;
	}
	for (unsigned byte = 1; byte <= UINT8_MAX; byte++) {
		const bool of_version = (byte >= '0' && byte <= '9') || byte == '.';
		const char other[] = {'/', (char)byte};
		const char behind_v[] = {'/', 'v', (char)byte};
		if ((byte != 'v' && can_begin(trial, other, sizeof(other))) ||
		        (!of_version && can_begin(trial, behind_v, sizeof(behind_v)))) {
			return false;
		}
	}
	return true;
}

/* -EINVAL with what makes a pattern that compiles fit no path; -ENOMEM; 0: nothing does. */
static int check_use(const pcre2_code *code, bool sees_version, char *problem, size_t problem_max)
{
	struct trial trial = {.code = code, .data = pcre2_match_data_create(1, NULL)};
	const char *fault = NULL;

	if (trial.data == NULL) {
		return -ENOMEM;
	}
	if (!can_begin(&trial, "/", 1)) { /* `containers/json` cannot have been meant */
		fault = "it fits no path: paths begin with a slash";
	} else if (!sees_version && wants_version(&trial)) {
		fault = "leave out the API version: it is removed before paths are compared, but "
		        "for 'versioned_path'";
	}
	pcre2_match_data_free(trial.data);
	(void)snprintf(problem, problem_max, "%s", fault != NULL ? fault : "");
	return trial.without_memory ? -ENOMEM : fault != NULL ? -EINVAL : 0;
}

int pattern_compile(const char *pattern, bool sees_version, struct pattern **ret_pattern,
        char *problem, size_t problem_max)
{
	const char *trap = trap_in(pattern);
	pcre2_code *code = NULL;

	if (trap != NULL) {
		(void)snprintf(problem, problem_max, "%s", trap);
		return -EINVAL;
	}
	int error = compile(pattern, &code, problem, problem_max);
	pcre2_code_free(code);
	error = error < 0 ? error : compile_grouped(pattern, &code, problem, problem_max);
	if (error < 0) {
		return error;
	}
	error = check_use(code, sees_version, problem, problem_max);
	if (error < 0) {
		pcre2_code_free(code);
		return error;
	}
	/* Where the system grants no executable memory, the interpreter does the same. */
	(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	*ret_pattern = (struct pattern *)code;
	return 0;
}

void pattern_free(struct pattern *pattern)
{
	pcre2_code_free((pcre2_code *)pattern);
}

/* ── Matching ────────────────────────────────────────────────────────────── */

static int match(const struct pattern *pattern, const struct pattern_limits *limits,
        struct policy_scratch *scratch, struct slice path, uint32_t options)
{
	return pcre2_match(code_of(pattern), (PCRE2_SPTR)path.ptr, path.len, 0, options,
	        (pcre2_match_data *)scratch, (pcre2_match_context *)(uintptr_t)limits);
}

enum pattern_result pattern_match(const struct pattern *pattern,
        const struct pattern_limits *limits, struct policy_scratch *scratch, struct slice path)
{
	const int count = match(pattern, limits, scratch, path, 0);

	if (count == PCRE2_ERROR_NOMATCH) {
		return PATTERN_NO_MATCH;
	}
	return count < 0 ? PATTERN_LIMIT : PATTERN_MATCH;
}

/*
 * What would need more bytes to be decided matches in part, or wholly; what no
 * byte can save does not match at all.
 */
bool pattern_can_begin(const struct pattern *pattern, const struct pattern_limits *limits,
        struct policy_scratch *scratch, struct slice prefix)
{
	return match(pattern, limits, scratch, prefix, PCRE2_PARTIAL_HARD) != PCRE2_ERROR_NOMATCH;
}

bool pattern_can_begin_with_version(const struct pattern *pattern,
        const struct pattern_limits *limits, struct policy_scratch *scratch)
{
	char prefix[] = "/v1";

	while (prefix[2] <= '9' && !pattern_can_begin(pattern, limits, scratch, slice_of(prefix))) {
		prefix[2]++;
	}
	return prefix[2] <= '9';
}
