/* SPDX-License-Identifier: MIT */
#include "policy/internal.h"
#include "policy/presets.h"

enum { PRESETS_MAX = UINT8_MAX };

/* A compiled preset, and how well it could take the place of the policy that denies. */
struct candidate {
	const struct policy *policy;
	unsigned distance; /* what it would open besides, and what would be lost */
	bool related;      /* made for the same app: dozzle and dozzle-actions */
	uint8_t number;    /* from 1 */
};

/* ── Which presets allow what ────────────────────────────────────────────── */

/* A lost operation weighs as much as one to write with: either is not what was wanted. */
static unsigned distance_of(const struct policy *preset, const struct policy *policy)
{
	enum { LOST = 1000 };
	unsigned distance = 0;

	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const bool after = policy_grant_of(preset, id) == POLICY_ALWAYS;
		const bool before = policy_grant_of(policy, id) != POLICY_NEVER;
		if (after != before) {
			distance += before ? LOST : policy_weight_of(id);
		}
	}
	return distance;
}

static struct candidate candidate_of(
        const struct policy *preset, unsigned number, const struct policy *policy)
{
	return (struct candidate){
	        .policy = preset,
	        .related = policy_is_variant(slice_of(preset->name), slice_of(policy->name)) ||
	                   policy_is_variant(slice_of(policy->name), slice_of(preset->name)),
	        .distance = distance_of(preset, policy),
	        .number = (uint8_t)number,
	};
}

/* Nobody should become root to list secrets: then the rule alone is the better advice. */
static bool is_near(const struct candidate *candidate)
{
	enum { FAR = 25 * 1000 };

	return candidate->related || candidate->distance < FAR;
}

static bool is_better(const struct candidate *a, const struct candidate *b)
{
	return a->related != b->related ? a->related : a->distance < b->distance;
}

/* Sealed presets, the most fitting first; how many. */
static unsigned collect(struct policy_set *set, const struct policy *policy,
        struct candidate candidates[PRESETS_MAX])
{
	const unsigned max = policy_preset_count < PRESETS_MAX ? policy_preset_count : PRESETS_MAX;
	const struct place nowhere = {NULL, 0};
	char error[FAULT_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < max; i++) {
		struct policy *preset = NULL;
		if (policy_set_find(
		            set, slice_of(policy_presets[i].name), nowhere, &preset, error) < 0 ||
		        policy_compile(preset, error) < 0) {
			continue; /* the unit tests see to it that this does not happen */
		}
		const struct candidate candidate = candidate_of(preset, i + 1, policy);
		unsigned at = count++;
		for (; at > 0 && is_better(&candidate, &candidates[at - 1]); at--) {
			candidates[at] = candidates[at - 1];
		}
		candidates[at] = candidate;
	}
	return count;
}

static struct advice advice_for(
        unsigned id, const struct candidate *candidates, unsigned candidate_count)
{
	struct advice advice = {{0}};
	unsigned count = 0;

	for (unsigned i = 0; i < candidate_count && count < ADVICE_MAX; i++) {
		if (is_near(&candidates[i]) &&
		        policy_grant_of(candidates[i].policy, id) == POLICY_ALWAYS) {
			advice.presets[count++] = candidates[i].number;
		}
	}
	return advice;
}

static const struct advice *make_advice(const struct policy *policy)
{
	struct candidate candidates[PRESETS_MAX];
	struct policy_set *presets = policy_set_new(); /* of their own: they are not kept */
	struct advice *advice =
	        arena_take(&policy->set->arena, docker_id_count() * sizeof(advice[0]));
	const unsigned count = collect(presets, policy, candidates);

	for (unsigned id = 0; id < docker_id_count(); id++) {
		advice[id] = advice_for(id, candidates, count);
	}
	policy_set_free(presets);
	return advice;
}

/* Made by whoever asks first: most proxies deny nothing for days. */
static struct advice advice_of(const struct policy *policy, unsigned id)
{
	struct policy_set *set = policy->set;

	(void)pthread_mutex_lock(&set->advice_lock);
	if (policy->advice == NULL) {
		/* Of a compiled policy this alone is written later, and only under the lock. */
		((struct policy *)policy)->advice = make_advice(policy);
	}
	const struct advice advice = policy->advice[id];
	(void)pthread_mutex_unlock(&set->advice_lock);
	return advice;
}

/* ── What would allow a request ──────────────────────────────────────────── */

static void add_presets(const struct policy *policy, unsigned id, struct text *text)
{
	const struct advice advice = advice_of(policy, id);

	if (advice.presets[0] == 0) {
		return;
	}
	text_add(text, SLICE("use a preset that does ("));
	for (unsigned i = 0; i < ADVICE_MAX && advice.presets[i] != 0; i++) {
		text_add_format(text, "%s%s", i > 0 ? ", " : "",
		        policy_presets[advice.presets[i] - 1].name);
	}
	text_add(text, SLICE("), or "));
}

/* Whether a path means the same as a pattern and as plain YAML. */
static bool is_plain(struct slice path)
{
	for (size_t i = 0; i < path.len; i++) {
		const char c = path.ptr[i];
		if (!ascii_is_alnum(c) && c != '/' && c != '-' && c != '_') {
			return false;
		}
	}
	return true;
}

void policy_add_pattern(struct slice path, struct text *text)
{
	for (size_t i = 0; i < path.len; i++) {
		const unsigned char byte = (unsigned char)path.ptr[i];
		if (byte <= ' ' || byte >= 0x7f || byte == '\'') {
			text_add_format(text, "\\x%02x", byte);
		} else {
			text_add(text, strchr("\\^$.[]|()?*+{}#-", byte) != NULL ? SLICE("\\")
			                                                         : SLICE(""));
			text_add_char(text, (char)byte);
		}
	}
}

bool policy_method_tells(const struct docker_request *request)
{
	const struct docker_endpoint *served = docker_endpoint(request->served_id);

	return policy_method_bit(request->method) != 0 &&
	       (served == NULL || slice_equal(request->method, slice_of(served->method)));
}

/* A rule for what no row fits: nothing but this path. */
static void add_path_rule(const struct docker_request *request, struct text *text)
{
	const bool served = request->served_id != request->id;

	if (policy_method_tells(request)) {
		text_add_format(text, "{methods: [%.*s]", SLICE_FMT(request->method));
	} else {
		text_add_format(text, "{operations: [unknown%s%s]", served ? ", " : "",
		        served ? docker_operation_name(request->served_id) : "");
	}
	if (is_plain(request->bare)) {
		text_add_format(text, ", path: %.*s}", SLICE_FMT(request->bare));
	} else {
		text_add(text, SLICE(", path: '"));
		policy_add_pattern(request->bare, text);
		text_add(text, SLICE("'}"));
	}
}

static void add_rule(const struct docker_request *request, struct text *text)
{
	enum { SHOWN_MAX = 128 }; /* bytes of a path */

	text_add(text, SLICE("allow: "));
	if (!docker_id_is_unknown(request->id)) {
		text_add_format(text, "[%s]", docker_operation_name(request->id));
	} else if (request->bare.len <= SHOWN_MAX) {
		add_path_rule(request, text);
	} else {
		text_add(text, SLICE("{operations: [unknown], path: PATTERN}"));
	}
}

/* What a policy of one's own has to start from so that nothing is lost. */
static void add_extension(const struct policy *policy, struct text *text)
{
	if (policy->rule_count > 0 || policy->extension_count > 0) {
		text_add_format(text, "extends: [%s], ", policy->name);
	}
}

void policy_advise(
        const struct policy *policy, const struct docker_request *request, struct text *text)
{
	if (policy->advisor != NULL) {
		policy->advisor(policy->advisor_context, request, text);
		return;
	}
	add_presets(policy, request->id, text);
	if (policy->place.file != NULL && policy->in_configuration) {
		text_add_format(text, "write in front of the rules of '%s' in %s: - ", policy->name,
		        policy->place.file);
		add_rule(request, text);
	} else {
		text_add(text, SLICE("write a policy: {"));
		add_extension(policy, text);
		text_add(text, SLICE("rules: [{"));
		add_rule(request, text);
		text_add(text, SLICE("}]}"));
	}
}

/* ── The denial ──────────────────────────────────────────────────────────── */

void policy_add_place(struct place place, struct text *text)
{
	if (place.file == NULL) {
		text_add(text, SLICE("built in"));
	} else {
		text_add_format(text, "%s:%u", place.file, place.line);
	}
}

void policy_add_denial(const struct policy *policy, const struct docker_request *request,
        const struct verdict *verdict, struct text *text)
{
	char memory[1024];
	struct text advice = text_over(memory, sizeof(memory));

	if (docker_id_is_unknown(request->id)) {
		text_add(text, SLICE("a request that is unknown to the proxy"));
	} else {
		text_add(text, slice_of(docker_operation_name(request->id)));
	}
	text_add_format(text, " is not allowed by policy '%s' (", policy->name);
	policy_add_place(verdict->place, text);
	if (verdict->rule != NULL) {
		text_add_format(text, ", %s", verdict->rule);
	}
	text_add(text, SLICE(")."));
	policy_advise(policy, request, &advice);
	if (advice.len > 0) {
		text_add(text, SLICE(" To allow it, "));
		text_add(text, text_slice(&advice));
		text_add(text, SLICE("."));
	}
}
