/* SPDX-License-Identifier: MIT */
/* A pattern as a rule: the operations that it plainly names, otherwise the pattern itself. */
#include "convert/pattern.h"
#include "convert/sources.h"

#include <errno.h>

enum {
	OPERATIONS_MAX = 64,
	PROBE_MAX = 512, /* bytes of a path that is tried */
};

/* ── Operations ──────────────────────────────────────────────────────────── */

/* A policy that has only the pattern, and memory for its verdicts. */
struct trial {
	struct policy *policy;
	struct policy_scratch *scratch;
	struct docker_request request;
};

/* Whether the pattern fits a path that is made of a part of a row's path, with or without version.
 */
static bool fits(struct trial *trial, const char *method, const char *front, struct slice part,
        const char *name, const char *end)
{
	static const char *const versions[] = {"", "/v1.41", "/v4.0.0"};
	bool allowed = false;

	for (unsigned i = 0; !allowed && i < ARRAY_LEN(versions); i++) {
		char memory[PROBE_MAX];
		struct text path = text_over(memory, sizeof(memory));
		text_add_format(&path, "%s%s", versions[i], front);
		for (const char *at = part.ptr; at < part.ptr + part.len; at++) {
			text_add(&path, *at == '{' ? slice_of(name) : (struct slice){at, 1});
			at = *at == '{' ? strchr(at, '}') : at;
		}
		text_add(&path, slice_of(end));
		const struct docker_target target = {
		        .method = slice_of(method), .path = text_slice(&path)};
		allowed = docker_route(&target, &trial->request) == DOCKER_OK &&
		          policy_judge(trial->policy, &trial->request, trial->scratch).allowed;
	}
	return allowed;
}

/* Whether the pattern fits every path of the row, as far as these names show. */
static bool fits_row(struct trial *trial, const struct docker_endpoint *row)
{
	static const char *const names[] = {"a", "0a.B_c-d", "%20!$&'()+,;=:@[]~%c3%a9", "a/b"};
	const bool slashes = strstr(row->path, "...}") != NULL;
	bool all = true;

	for (unsigned i = 0; all && i < ARRAY_LEN(names) - !slashes; i++) {
		all = fits(trial, row->method, "", slice_of(row->path), names[i], "");
	}
	return all;
}

/* Whether the pattern also fits a path beside the row that no row fits. */
static bool fits_more(struct trial *trial, const struct docker_endpoint *row)
{
	const struct slice path = slice_of(row->path);
	const char *last = strrchr(row->path, '/');
	const char *second = strchr(row->path + 1, '/');
	const bool slashes = strstr(row->path, "...}") != NULL;
	const struct slice first_off = second != NULL ? slice_of(second) : SLICE("");

	return fits(trial, row->method, "/foo", path, "a", "") ||
	       fits(trial, row->method, "/foo", first_off, "a", "") ||
	       (!slashes && fits(trial, row->method, "", path, "a", "/foo")) ||
	       (!slashes && strchr(row->path, '{') != NULL &&
	               fits(trial, row->method, "", path, "a/b", "")) ||
	       (last[1] != '{' &&
	               fits(trial, row->method, "", slice_between(row->path, last), "a", "/foo")) ||
	       (last[1] != '{' && fits(trial, row->method, "", path, "a", "foo"));
}

/* Mark the rows of a method that the pattern fits; false: there is none, or it fits other paths. */
static bool mark_rows(struct trial *trial, const char *method, bool *marks)
{
	bool any = false;

	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const struct docker_endpoint *row = docker_endpoint(id);
		if (strcmp(row->method, method) != 0 || !fits_row(trial, row)) {
			continue;
		}
		if (fits_more(trial, row)) {
			return false;
		}
		marks[id] = any = true;
	}
	return any;
}

/* Whether the rule has the method. */
static bool has_method(const struct pattern_rule *rule, const char *method)
{
	unsigned i = 0;

	while (i < rule->method_count && strcmp(rule->methods[i], method) != 0) {
		i++;
	}
	return i < rule->method_count;
}

/*
 * Add the operation of a marked row. False: the operation has another row with a method of the
 * rule, and that row is not marked. *more: the operation has other methods, so that the rule must
 * name its methods.
 */
static bool add_operation(const struct pattern_rule *rule, const bool *marks, unsigned id,
        struct policy_match *match, const char **operations, bool *more)
{
	const char *name = docker_operation_name(id);
	bool listed = false;

	for (unsigned i = 0; i < match->operation_count; i++) {
		listed = listed || strcmp(operations[i], name) == 0;
	}
	for (unsigned other = 0; other < docker_endpoint_count; other++) {
		const bool same = strcmp(docker_operation_name(other), name) == 0;
		const bool asked = has_method(rule, docker_endpoint(other)->method);
		*more = *more || (same && !asked);
		if (same && asked && !marks[other]) {
			return false;
		}
	}
	if (!listed && match->operation_count == OPERATIONS_MAX) {
		return false;
	}
	if (!listed) {
		operations[match->operation_count++] = name;
	}
	return true;
}

/* The operations that, with the methods of the rule, are exactly the requests that the pattern
 * fits; none if there are no such operations. */
static void find_operations(struct draft *draft, struct trial *trial,
        const struct pattern_rule *rule, const char **operations, struct policy_match *ret_match)
{
	bool *marks =
	        check_memory(arena_take(&draft->arena, docker_endpoint_count * sizeof(*marks)));
	bool plain = true;
	bool more = false;

	*ret_match = (struct policy_match){.operations = operations};
	for (unsigned i = 0; plain && i < rule->method_count; i++) {
		plain = mark_rows(trial, rule->methods[i], marks);
	}
	for (unsigned id = 0; plain && id < docker_endpoint_count; id++) {
		plain = !marks[id] || add_operation(rule, marks, id, ret_match, operations, &more);
	}
	ret_match->operation_count = plain ? ret_match->operation_count : 0;
	ret_match->methods = more ? rule->methods : NULL;
	ret_match->method_count = more ? rule->method_count : 0;
}

/* ── Rules ───────────────────────────────────────────────────────────────── */

static void remark(
        struct draft *draft, const struct pattern_rule *rule, const struct pattern_traits *traits)
{
	if (traits->ungrouped) {
		draft_say(draft, DRAFT_DOUBT,
		        "The original was looser: without parentheses around a|b, '^' belongs only "
		        "to the first alternative and '$' only to the last. %s therefore also "
		        "fitted "
		        "paths that only begin or end like one alternative. Here each alternative "
		        "is "
		        "a whole path.",
		        rule->pattern);
	}
	if (traits->backslash) {
		draft_say(draft, DRAFT_DROPPED,
		        "\\\\ in %s is a backslash in the path itself, and no path has one: the "
		        "pattern never fitted there, and stays closed. If a shell, for example, "
		        "was "
		        "meant to remove one backslash, convert again with a single backslash.",
		        rule->pattern);
	}
}

/* Use `path` if the pattern sees no version without its prefix: the Engine treats all versions
 * alike. */
static void cut_version(struct draft *draft, struct policy_match *match)
{
	const char *path = pattern_without_version(&draft->arena, match->versioned_path);

	if (!policy_pattern_sees_version(path)) {
		match->path = path;
		match->versioned_path = NULL;
	}
}

/* A policy that has only this rule. */
static int open_trial(struct draft *draft, const struct policy_match *match, struct place place,
        struct policy_set *set, struct trial *ret_trial)
{
	ret_trial->scratch = check_memory(policy_scratch_new());
	return policy_new(set, SLICE("trial"), NOWHERE, &ret_trial->policy, draft->error) < 0 ||
	                       policy_add_rule(
	                               ret_trial->policy, true, match, "", place, draft->error) < 0
	               ? -EINVAL
	               : policy_compile(ret_trial->policy, draft->error);
}

/* Write the operations that the pattern names, otherwise the pattern. */
static int write_pattern(struct draft *draft, const struct pattern_rule *rule)
{
	struct policy_match match = {.methods = rule->methods,
	        .method_count = rule->method_count,
	        .versioned_path = rule->pattern};
	const char *operations[OPERATIONS_MAX];
	struct policy_match named;
	struct policy_set *set = check_memory(policy_set_new());
	struct trial *trial = check_memory(arena_take(&draft->arena, sizeof(*trial)));

	int code = open_trial(draft, &match, rule->place, set, trial);
	if (code == 0) {
		find_operations(draft, trial, rule, operations, &named);
		cut_version(draft, &match);
		code = draft_rule(
		        draft, true, named.operation_count > 0 ? &named : &match, rule->place);
	}
	policy_scratch_free(trial->scratch);
	policy_set_free(set);
	return code;
}

int convert_pattern_rule(struct draft *draft, const struct pattern_rule *rule)
{
	struct pattern_traits traits;
	const char *problem = strlen(rule->pattern) > POLICY_PATTERN_MAX
	                              ? "it is too long"
	                              : pattern_read(rule->pattern, &traits);

	if (problem != NULL) {
		draft_say(draft, DRAFT_DROPPED, "%s: %s. What it allowed is denied.", rule->pattern,
		        problem);
		return 0;
	}
	remark(draft, rule, &traits);
	return write_pattern(draft, rule);
}
