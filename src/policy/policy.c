/* SPDX-License-Identifier: MIT */
#include "policy/policy.h"

#include "policy/internal.h"
#include "policy/presets.h"

#include <errno.h>
#include <stdlib.h>

unsigned policy_method_bit(struct slice method)
{
	const enum docker_method number = docker_method_of(method);

	return number == DOCKER_METHOD_OTHER ? 0 : 1U << number;
}

/* ── The set ─────────────────────────────────────────────────────────────── */

int policy_make(struct policy_set *set, struct slice name, struct place place,
        struct policy **ret_policy, char error[FAULT_MAX])
{
	struct policy *policy = arena_take(&set->arena, sizeof(*policy));
	const char *copy = arena_copy(&set->arena, name);

	if (policy == NULL || copy == NULL) {
		(void)arena_fault(&set->arena, error);
		return -EINVAL;
	}
	policy->set = set;
	policy->name = copy;
	policy->place = place;
	policy->rules_end = &policy->rules;
	policy->extensions_end = &policy->extensions;
	*set->policies_end = policy;
	set->policies_end = &policy->next;
	*ret_policy = policy;
	return 0;
}

static int add_built_ins(struct policy_set *set)
{
	static const char *const everything[] = {"*"};
	const struct policy_match match = {.operations = everything, .operation_count = 1};
	const struct place nowhere = {.file = NULL};
	struct policy *deny = NULL;
	struct policy *open = NULL;
	char error[FAULT_MAX];

	if (policy_make(set, SLICE("deny"), nowhere, &deny, error) < 0 ||
	        policy_make(set, SLICE("open"), nowhere, &open, error) < 0) {
		return -EINVAL;
	}
	open->costs = "Access to the Engine is root on the host.";
	return policy_add_rule(open, true, &match, "allow: ['*']", nowhere, error);
}

struct policy_set *policy_set_new(void)
{
	struct policy_set *set = calloc(1, sizeof(*set));

	if (set == NULL) {
		return NULL;
	}
	set->policies_end = &set->policies;
	set->limits = pattern_limits_new();
	if (set->limits == NULL || add_built_ins(set) < 0) {
		policy_set_free(set);
		return NULL;
	}
	return set;
}

void policy_set_written_in(struct policy_set *set, const char *file)
{
	set->file = file;
}

void policy_set_workspace(struct policy_set *set, struct slice paths)
{
	set->workspace = paths;
}

void policy_set_engines(struct policy_set *set, const struct engines *engines)
{
	set->engines = engines;
}

static void free_patterns(struct rule *rule)
{
	pattern_free(rule->path);
	pattern_free(rule->versioned_path);
}

void policy_set_free(struct policy_set *set)
{
	if (set == NULL) {
		return;
	}
	for (struct policy *policy = set->policies; policy != NULL; policy = policy->next) {
		for (struct rule *rule = policy->rules; rule != NULL; rule = rule->next) {
			free_patterns(rule);
		}
	}
	pattern_limits_free(set->limits);
	arena_free(&set->arena);
	free(set);
}

const struct policy *policy_set_next(const struct policy_set *set, const struct policy *policy)
{
	policy = policy == NULL ? set->policies : policy->next;
	while (policy != NULL && policy->steps == NULL) {
		policy = policy->next;
	}
	return policy;
}

void policy_set_number(
        struct policy_set *set, unsigned (*number)(void *context, const char *name), void *context)
{
	for (struct policy *policy = set->policies; policy != NULL; policy = policy->next) {
		if (policy->steps != NULL) {
			policy->number = number(context, policy->name);
		}
	}
}

unsigned policy_number(const struct policy *policy)
{
	return policy == NULL ? 0 : policy->number;
}

struct policy *policy_find_made(const struct policy_set *set, struct slice name)
{
	for (struct policy *policy = set->policies; policy != NULL; policy = policy->next) {
		if (slice_equal(name, slice_of(policy->name))) {
			return policy;
		}
	}
	return NULL;
}

/* ── A policy ────────────────────────────────────────────────────────────── */

bool policy_is_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		const char c = name.ptr[i];
		if (!ascii_is_alnum(c) && c != '-' && c != '_' && (c != '.' || i == 0)) {
			return false;
		}
	}
	return name.len > 0 && name.len <= POLICY_NAME_MAX;
}

int policy_new(struct policy_set *set, struct slice name, struct place place,
        struct policy **ret_policy, char error[FAULT_MAX])
{
	const struct text_shown shown = text_show(name);

	if (!policy_is_name(name)) {
		return fault_set(error, place,
		        "'%s' is no name for a policy: give 1 to %d letters, digits, '-', '_' "
		        "and '.'",
		        shown.text, POLICY_NAME_MAX);
	}
	const struct policy *made = policy_find_made(set, name);
	if (made != NULL && made->place.file != NULL) {
		return fault_set(error, place,
		        "policy '%s' is defined twice; the first is at %s:%u", shown.text,
		        made->place.file, made->place.line);
	}
	if (made != NULL) {
		return fault_set(
		        error, place, "policy '%s' is built in: choose another name", shown.text);
	}
	const struct policy_preset *preset = policy_find_preset(name);
	if (preset != NULL && preset->file != place.file) {
		return fault_set(error, place, "'%s' is a preset: choose another name", shown.text);
	}
	return policy_make(set, name, place, ret_policy, error);
}

void policy_observe(struct policy *policy)
{
	ASSERT(policy->steps == NULL);
	policy->observe = true;
}

void policy_constrain(
        struct policy *policy, enum inspect_block block, const struct constraints *constraints)
{
	ASSERT(policy->steps == NULL);
	policy->blocks[block] = constraints;
}

void policy_scope_to(struct policy *policy, const struct scope *scope)
{
	ASSERT(policy->steps == NULL);
	policy->own_scope = scope;
}

void policy_limit_to(struct policy *policy, const struct engine_set *engines)
{
	ASSERT(policy->steps == NULL);
	policy->own_engines = engines;
}

void policy_lift(struct policy *policy, enum inspect_block block)
{
	ASSERT(policy->steps == NULL);
	policy->lifts[block] = true;
}

static int fail_wish(int code, struct slice word, struct place place, char error[FAULT_MAX])
{
	char memory[FAULT_MAX / 2];
	struct text words = text_over(memory, sizeof(memory));

	if (code == -ENOSPC) {
		return fault_set(error, place, "'redact' has more than %d patterns for labels",
		        REDACT_LABELS_MAX);
	}
	redact_add_words(&words);
	return fault_set(error, place, "'%s' is not accepted in 'redact': give %.*s",
	        text_show(word).text, SLICE_FMT(text_slice(&words)));
}

int policy_redact(
        struct policy *policy, struct slice word, struct place place, char error[FAULT_MAX])
{
	struct arena *arena = &policy->set->arena;
	const char *copy = arena_copy(arena, word);

	ASSERT(policy->steps == NULL);
	if (policy->wishes == NULL) {
		policy->wishes = arena_take(arena, sizeof(*policy->wishes));
	}
	if (copy == NULL || policy->wishes == NULL) {
		return arena_fault(arena, error);
	}
	const int code = redact_wish(policy->wishes, (struct slice){copy, word.len});
	return code == 0 ? 0 : fail_wish(code, word, place, error);
}

void policy_set_advisor(struct policy *policy, policy_advisor *advisor, const void *context)
{
	policy->advisor = advisor;
	policy->advisor_context = context;
}

int policy_extend(
        struct policy *policy, struct slice name, struct place place, char error[FAULT_MAX])
{
	struct arena *arena = &policy->set->arena;

	ASSERT(policy->steps == NULL);
	if (policy->extension_count == POLICY_EXTENDS_MAX) {
		return fault_set(error, place, "policy '%s' extends more than %d others",
		        policy->name, POLICY_EXTENDS_MAX);
	}
	struct extension *extension = arena_take(arena, sizeof(*extension));
	const char *copy = arena_copy(arena, name);
	if (extension == NULL || copy == NULL) {
		return arena_fault(arena, error);
	}
	extension->name = (struct slice){copy, name.len};
	extension->place = place;
	*policy->extensions_end = extension;
	policy->extensions_end = &extension->next;
	policy->extension_count++;
	return 0;
}

bool policy_next_versioned(const struct policy *policy, unsigned *at, struct place *ret_place)
{
	unsigned number = 0;

	for (const struct rule *rule = policy->rules; rule != NULL; rule = rule->next, number++) {
		if (number >= *at && rule->versioned_path != NULL) {
			*ret_place = rule->place;
			*at = number + 1;
			return true;
		}
	}
	return false;
}

/* ── A rule ──────────────────────────────────────────────────────────────── */

static size_t id_words(void)
{
	return (docker_id_count() + 63) / 64;
}

/* Where word `i` of a rule is written. */
static struct place place_of_word(struct place rule, const unsigned *lines, unsigned i)
{
	return (struct place){rule.file, lines == NULL ? rule.line : lines[i]};
}

static int fail_method(const char *method, struct place place, char error[FAULT_MAX])
{
	char memory[128];
	struct text all = text_over(memory, sizeof(memory));

	for (unsigned i = 0; i < DOCKER_METHOD_OTHER; i++) {
		text_add_format(&all, " %s", docker_method_name((enum docker_method)i));
	}
	return fault_set(error, place, "'%s' is not accepted as a method: give one of%.*s",
	        text_show(slice_of(method)).text, SLICE_FMT(text_slice(&all)));
}

static int read_methods(struct rule *rule, const struct policy_match *match, struct place place,
        char error[FAULT_MAX])
{
	for (unsigned i = 0; i < match->method_count; i++) {
		const unsigned bit = policy_method_bit(slice_of(match->methods[i]));
		if (bit == 0) {
			return fail_method(match->methods[i],
			        place_of_word(place, match->method_lines, i), error);
		}
		rule->methods |= bit;
	}
	return 0;
}

bool policy_pattern_sees_version(const char *text)
{
	struct pattern_limits *limits = pattern_limits_new();
	struct policy_scratch *scratch = policy_scratch_new();
	struct pattern *pattern = NULL;
	char problem[512];

	const bool sees = pattern_compile(text, true, &pattern, problem, sizeof(problem)) < 0 ||
	                  pattern_can_begin_with_version(pattern, limits, scratch);
	pattern_free(pattern);
	policy_scratch_free(scratch);
	pattern_limits_free(limits);
	return sees;
}

static int read_pattern(const char *text, bool sees_version, struct place place,
        struct pattern **ret_pattern, char error[FAULT_MAX])
{
	char problem[512];

	if (text == NULL) {
		return 0;
	}
	if (strlen(text) > POLICY_PATTERN_MAX) {
		return fault_set(error, place, "the path pattern is longer than %d bytes",
		        POLICY_PATTERN_MAX);
	}
	const int code = pattern_compile(text, sees_version, ret_pattern, problem, sizeof(problem));
	if (code == -ENOMEM) {
		return fault_memory(error);
	}
	return code == 0 ? 0
	                 : fault_set(error, place, "the path pattern '%.256s' is not accepted: %s",
	                           text, problem);
}

bool policy_is_plain(struct slice path)
{
	for (size_t i = 0; i < path.len; i++) {
		const char c = path.ptr[i];
		if (!ascii_is_alnum(c) && c != '/' && c != '-' && c != '_') {
			return false;
		}
	}
	return true;
}

/*
 * Ids by the operations that are given; without any, all of the catalogue, and
 * the unknown too unless the rule allows by methods alone: to allow the unknown
 * must be said, to deny it need not.
 */
static int read_operations(struct rule *rule, const struct policy_match *match, struct place place,
        char error[FAULT_MAX])
{
	const bool unknown = !rule->allow || match->path != NULL || match->versioned_path != NULL ||
	                     match->sections != 0;

	for (unsigned i = 0; i < match->operation_count; i++) {
		if (operation_glob_add(match->operations[i],
		            place_of_word(place, match->operation_lines, i), rule->fits,
		            error) < 0) {
			return -EINVAL;
		}
	}
	for (unsigned id = 0; match->operation_count == 0 && id < docker_id_count(); id++) {
		if (unknown || !docker_id_is_unknown(id)) {
			id_add(rule->fits, id);
		}
	}
	return 0;
}

static bool is_in_sections(unsigned id, uint64_t sections)
{
	const enum docker_section section = docker_id_section(id);

	return sections == 0 ||
	       (section < DOCKER_SECTION_NONE && (sections >> (unsigned)section & 1) != 0);
}

static bool method_can_fit(const struct rule *rule, unsigned id)
{
	const struct docker_endpoint *endpoint = docker_endpoint(id);

	if (rule->methods == 0) {
		return true;
	}
	const unsigned reading = policy_method_bit(SLICE("GET")) | policy_method_bit(SLICE("HEAD"));
	const unsigned options = policy_method_bit(SLICE("OPTIONS"));
	if (endpoint == NULL && !docker_id_is_unknown(id)) {
		return (rule->methods & options) != 0;
	}
	if (endpoint == NULL) {
		const unsigned others = ~(reading | options);
		return (rule->methods & (docker_id_is_read_method(id) ? reading : others)) != 0;
	}
	const unsigned bit = policy_method_bit(slice_of(endpoint->method));
	return bit == 0 || (rule->methods & bit) != 0;
}

/* Take the ids away that the other conditions rule out; false when none is left. */
static bool narrow(struct rule *rule, uint64_t sections)
{
	bool any = false;

	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (!is_in_sections(id, sections) || !method_can_fit(rule, id)) {
			rule->fits[id / 64] &= ~(UINT64_C(1) << (id % 64));
		}
		any = any || id_is_in(rule->fits, id);
	}
	return any;
}

/* What the rule fits; its patterns are made here, also where it fails. */
static int read_match(struct rule *rule, const struct policy_match *match, char error[FAULT_MAX])
{
	struct arena *arena = &rule->policy->set->arena;
	const struct place place = rule->place;

	if (read_methods(rule, match, place, error) < 0 ||
	        read_operations(rule, match, place, error) < 0 ||
	        read_pattern(match->path, false, place, &rule->path, error) < 0 ||
	        read_pattern(match->versioned_path, true, place, &rule->versioned_path, error) <
	                0) {
		return -EINVAL;
	}
	if (match->path != NULL && policy_is_plain(slice_of(match->path))) {
		rule->plain_path = arena_copy(arena, slice_of(match->path));
	}
	if (!narrow(rule, match->sections)) {
		return fault_set(error, place,
		        "this rule can never fit: no request for its operations has one of its "
		        "methods; remove the methods");
	}
	return arena_check(arena, error);
}

int policy_add_rule(struct policy *policy, bool allow, const struct policy_match *match,
        const char *text, struct place place, char error[FAULT_MAX])
{
	struct arena *arena = &policy->set->arena;

	ASSERT(policy->steps == NULL);
	if (policy->rule_count == POLICY_RULES_MAX) {
		return fault_set(error, place, "policy '%s' has more than %d rules", policy->name,
		        POLICY_RULES_MAX);
	}
	struct rule *rule = arena_take(arena, sizeof(*rule));
	const char *copy = arena_copy(arena, slice_of(text));
	uint64_t *fits = arena_take(arena, id_words() * sizeof(fits[0]));
	if (rule == NULL || copy == NULL || fits == NULL) {
		return arena_fault(arena, error);
	}
	*rule = (struct rule){
	        .policy = policy, .text = copy, .place = place, .allow = allow, .fits = fits};
	if (read_match(rule, match, error) < 0) {
		free_patterns(rule);
		return -EINVAL;
	}
	*policy->rules_end = rule;
	policy->rules_end = &rule->next;
	policy->rule_count++;
	return 0;
}
