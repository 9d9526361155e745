/* SPDX-License-Identifier: MIT */
#include "policy/internal.h"
#include "policy/presets.h"
#include "yaml/write.h"

enum { PATH_SHOWN_MAX = 128 }; /* bytes of a path in advice */

#define ROOT_WORDS "enough to become root on the host"

/* What a policy allows, by request id, and a preset that could take its place. */
struct grants {
	uint64_t *some; /* at least for some paths */
	uint64_t *all;
};

struct candidate {
	unsigned distance; /* what it would open besides */
	uint8_t number;    /* from 1 */
	bool related;      /* made for the same app: dozzle and dozzle-actions */
};

static bool is_root(unsigned id)
{
	const struct docker_endpoint *endpoint = docker_endpoint(id);

	return endpoint != NULL && (endpoint->traits & DOCKER_ROOT) != 0;
}

static bool preset_is_root(const struct policy_preset *preset)
{
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		if (policy_preset_allows(preset, id) && is_root(id)) {
			return true;
		}
	}
	return false;
}

/* ── Which presets could take the place of a policy ──────────────────────── */

static bool is_related(const struct policy_preset *preset, const struct policy *policy)
{
	const struct slice a = slice_of(preset->name);
	const struct slice b = slice_of(policy->name);

	return policy_is_variant(a, b) || policy_is_variant(b, a);
}

static unsigned word_count(void)
{
	return (docker_endpoint_count + 63) / 64;
}

/* False without memory. */
static bool find_grants(const struct policy *policy, struct grants *ret_grants)
{
	struct arena *arena = &policy->set->arena;
	const struct grants grants = {
	        .some = arena_take(arena, word_count() * sizeof(uint64_t)),
	        .all = arena_take(arena, word_count() * sizeof(uint64_t)),
	};

	if (grants.some == NULL || grants.all == NULL) {
		return false;
	}
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const enum policy_grant grant = policy_grant_of(policy, id);
		if (grant != POLICY_NEVER) {
			id_add(grants.some, id);
		}
		if (grant == POLICY_ALWAYS) {
			id_add(grants.all, id);
		}
	}
	*ret_grants = grants;
	return true;
}

/* No preset allows what no row fits, so that a policy which does has no better. */
static bool allows_the_unknown(const struct policy *policy)
{
	for (unsigned id = docker_endpoint_count; id < docker_id_count(); id++) {
		if (policy_grant_of(policy, id) != POLICY_NEVER) {
			return true;
		}
	}
	return false;
}

/* What the preset would open besides; false where something would be lost. */
static bool measure(
        const struct policy_preset *preset, const struct grants *grants, unsigned *ret_distance)
{
	*ret_distance = 0;
	for (unsigned i = 0; i < word_count(); i++) {
		if ((grants->some[i] & ~preset->allows[i]) != 0) {
			return false;
		}
		for (uint64_t opened = preset->allows[i] & ~grants->all[i]; opened != 0;
		        opened &= opened - 1) {
			*ret_distance +=
			        policy_weight_of(i * 64 + (unsigned)__builtin_ctzll(opened));
		}
	}
	return true;
}

/* A preset for another app is advised only if it is not enough to become root and opens little. */
static bool is_near(const struct candidate *candidate)
{
	enum { FAR = 25 * 1000 };

	return candidate->related ||
	       (candidate->distance < FAR &&
	               !preset_is_root(&policy_presets[candidate->number - 1]));
}

static bool is_better(const struct candidate *a, const struct candidate *b)
{
	return a->related != b->related ? a->related : a->distance < b->distance;
}

void policy_find_alternatives(struct policy *policy)
{
	struct candidate found[UINT8_MAX];
	uint8_t *numbers = arena_take(&policy->set->arena, policy_preset_count + 1);
	const bool none = allows_the_unknown(policy);
	struct grants grants;
	unsigned count = 0;

	ASSERT(policy_preset_count < UINT8_MAX);
	if (numbers == NULL || !find_grants(policy, &grants)) {
		return;
	}
	for (unsigned i = 0; i < policy_preset_count && !none; i++) {
		struct candidate candidate = {
		        .number = (uint8_t)(i + 1),
		        .related = is_related(&policy_presets[i], policy),
		};
		if (!measure(&policy_presets[i], &grants, &candidate.distance) ||
		        !is_near(&candidate)) {
			continue;
		}
		unsigned at = count++;
		for (; at > 0 && is_better(&candidate, &found[at - 1]); at--) {
			found[at] = found[at - 1];
			numbers[at] = numbers[at - 1];
		}
		found[at] = candidate;
		numbers[at] = candidate.number;
	}
	policy->alternatives = numbers;
}

void policy_add_place(struct place place, struct text *text)
{
	if (place.file == NULL) {
		text_add(text, SLICE("built in"));
	} else {
		text_add_format(text, "%s:%u", place.file, place.line);
	}
}

/* ── What would allow a request ──────────────────────────────────────────── */

/* "use the preset dozzle-actions or dozzle-shell (enough to become root on the host)"; or nothing.
 */
static void add_presets(const struct policy *policy, unsigned id, struct text *text)
{
	enum { SHOWN_MAX = 2 };
	unsigned count = 0;

	if (docker_endpoint(id) == NULL) {
		return; /* no preset allows it */
	}
	for (const uint8_t *number = policy->alternatives; *number != 0 && count < SHOWN_MAX;
	        number++) {
		const struct policy_preset *preset = &policy_presets[*number - 1];
		if (id_is_in(preset->allows, id)) {
			text_add_format(text, "%s%s%s", count++ == 0 ? "use the preset " : " or ",
			        preset->name,
			        preset_is_root(preset) && !is_root(id) ? " (" ROOT_WORDS ")" : "");
		}
	}
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
	const char *const operations[] = {"unknown", docker_operation_name(request->served_id)};
	char pattern_memory[4 * PATH_SHOWN_MAX + 1]; /* \xNN for a byte, and a NUL */
	struct text pattern = text_over(pattern_memory, sizeof(pattern_memory));
	char method_memory[sizeof("OPTIONS")];
	struct text method = text_over(method_memory, sizeof(method_memory));
	const char *const methods[] = {method_memory};
	struct policy_match match = {
	        .operations = operations, .methods = methods, .path = pattern_memory};

	policy_add_pattern(request->bare, &pattern);
	text_add_char(&pattern, '\0');
	if (policy_method_tells(request)) {
		match.method_count = 1;
		text_add(&method, request->method);
		text_add_char(&method, '\0');
	} else {
		match.operation_count = request->served_id != request->id ? 2 : 1;
	}
	policy_write_rule(text, true, &match);
}

static void add_rule(const struct docker_request *request, struct text *text)
{
	const char *operation = docker_operation_name(request->id);
	const struct policy_match match = {.operations = &operation, .operation_count = 1};

	if (!docker_id_is_unknown(request->id)) {
		policy_write_rule(text, true, &match);
	} else if (request->bare.len <= PATH_SHOWN_MAX) {
		add_path_rule(request, text);
	} else {
		text_add(text, SLICE("allow: {operations: [unknown], path: PATTERN}"));
	}
}

/* A policy of one's own that loses nothing: {extends: [traefik], rules: [{allow: [image.list]}]} */
static void add_policy(
        const struct policy *policy, const struct docker_request *request, struct text *text)
{
	text_add(text, SLICE("{"));
	if (policy->rule_count > 0 || policy->extension_count > 0) {
		text_add_format(text, "extends: [%s], ", policy->name);
	}
	text_add(text, SLICE("rules: [{"));
	add_rule(request, text);
	text_add(text, SLICE("}]}"));
}

/* For a policy that stands in the configuration file. */
static void advise_rule(
        const struct policy *policy, const struct docker_request *request, struct text *text)
{
	text_add_format(text, "add as the first rule of policy '%s' in %s: - ", policy->name,
	        policy->place.file);
	add_rule(request, text);
	text_add(text, is_root(request->id) ? SLICE("  # " ROOT_WORDS) : SLICE(""));
}

/* For a preset that is used beside a configuration file. */
static void advise_policy(
        const struct policy *policy, const struct docker_request *request, struct text *text)
{
	const size_t before = text->len;

	add_presets(policy, request->id, text);
	text_add_format(text,
	        "%sadd the policy 'mine' to 'policies' in %s and use it in place of '%s': "
	        "mine: ",
	        text->len > before ? ", or " : "", policy->set->file, policy->name);
	add_policy(policy, request, text);
	text_add(text, is_root(request->id) ? SLICE("  # " ROOT_WORDS) : SLICE(""));
}

/* For a preset that the environment or the command line chose. */
static void advise_operation(
        const struct policy *policy, const struct docker_request *request, struct text *text)
{
	char memory[256];
	struct text presets = text_over(memory, sizeof(memory));

	add_presets(policy, request->id, &presets);
	text_add_format(text, "set ALLOW=%s%s", docker_operation_name(request->id),
	        presets.len > 0 ? ", or " : "");
	text_add(text, text_slice(&presets));
	text_add(text, is_root(request->id) ? SLICE("; that is " ROOT_WORDS) : SLICE(""));
}

void policy_add_file(
        const struct policy *policy, const struct docker_request *request, struct text *text)
{
	if (policy->advisor != NULL || policy->set->file != NULL || policy->in_configuration ||
	        policy_scope_refuses(policy, request->id)) {
		return;
	}
	text_add(text, SLICE("{policy: mine, policies: {mine: "));
	add_policy(policy, request, text);
	text_add(text, SLICE("}}"));
}

/* What no row fits needs a rule of its own, and so a file. */
static void advise_configuration(
        const struct policy *policy, const struct docker_request *request, struct text *text)
{
	text_add(text, SLICE("set CONFIG, in place of POLICY, to a file with: "));
	policy_add_file(policy, request, text);
}

/* No rule opens what the scope refuses. */
static void advise_scope(const struct policy *policy, struct text *text)
{
	text_add(text, SLICE("use a policy without the scope ("));
	policy_add_place(policy->scope->place, text);
	text_add(text, SLICE("), which refuses this operation whatever the rules allow"));
}

void policy_advise(
        const struct policy *policy, const struct docker_request *request, struct text *text)
{
	if (policy->advisor != NULL) {
		policy->advisor(policy->advisor_context, request, text);
	} else if (policy_scope_refuses(policy, request->id)) {
		advise_scope(policy, text);
	} else if (policy->in_configuration) {
		advise_rule(policy, request, text);
	} else if (policy->set->file != NULL) {
		advise_policy(policy, request, text);
	} else if (docker_id_is_unknown(request->id)) {
		advise_configuration(policy, request, text);
	} else {
		advise_operation(policy, request, text);
	}
}

/* ── The same to be pasted ───────────────────────────────────────────────── */

/* Of "set CONTAINERS=1 and POST=1, or …" the variables of the first way, one a line. */
static void add_variables(struct slice advice, struct text *variable)
{
	struct slice rest = advice;

	if (!slice_skip(&rest, SLICE("set "))) {
		return;
	}
	const char *end = memmem(rest.ptr, rest.len, ", or ", sizeof(", or ") - 1);
	rest.len = end == NULL ? rest.len : (size_t)(end - rest.ptr);
	while (rest.len > 0) {
		const char *and = memmem(rest.ptr, rest.len, " and ", sizeof(" and ") - 1);
		const size_t len = and == NULL ? rest.len : (size_t)(and-rest.ptr);
		text_add(variable, (struct slice){rest.ptr, len});
		rest = slice_behind(rest, and == NULL ? rest.len : len + sizeof(" and ") - 1);
		text_add(variable, rest.len > 0 ? SLICE("\n") : SLICE(""));
	}
}

/* "# the first rule of policy 'ci' (proxy.yaml:7)" and the rule. */
static void add_rule_to_paste(
        const struct policy *policy, const struct docker_request *request, struct text *yaml)
{
	char memory[512];
	struct text where = text_over(memory, sizeof(memory));

	text_add_format(&where, "the first rule of policy '%s' (", policy->name);
	policy_add_place(policy->place, &where);
	text_add(&where, SLICE(")"));
	yaml_add_comment(yaml, "", text_slice(&where));
	text_add(yaml, SLICE("- "));
	add_rule(request, yaml);
	text_add(yaml, is_root(request->id) ? SLICE("  # " ROOT_WORDS) : SLICE(""));
}

static void add_policy_to_paste(
        const struct policy *policy, const struct docker_request *request, struct text *yaml)
{
	char memory[512];
	struct text where = text_over(memory, sizeof(memory));

	text_add_format(&where, "a policy in 'policies' of %.256s, to be used in place of '%s'",
	        policy->set->file, policy->name);
	yaml_add_comment(yaml, "", text_slice(&where));
	text_add(yaml, SLICE("mine: "));
	add_policy(policy, request, yaml);
	text_add(yaml, is_root(request->id) ? SLICE("  # " ROOT_WORDS) : SLICE(""));
}

void policy_add_remedy(const struct policy *policy, const struct docker_request *request,
        struct text *yaml, struct text *variable)
{
	char memory[512];
	struct text advice = text_over(memory, sizeof(memory));

	if (policy->advisor != NULL) {
		policy->advisor(policy->advisor_context, request, &advice);
		add_variables(text_slice(&advice), variable);
	} else if (policy_scope_refuses(policy, request->id)) {
		return;
	} else if (policy->in_configuration) {
		add_rule_to_paste(policy, request, yaml);
	} else if (policy->set->file != NULL) {
		add_policy_to_paste(policy, request, yaml);
	} else if (docker_id_is_unknown(request->id)) {
		text_add(yaml, SLICE("# a file for CONFIG, in place of POLICY\n"));
		policy_add_file(policy, request, yaml);
	} else {
		text_add_format(variable, "ALLOW=%s", docker_operation_name(request->id));
	}
}

/* ── The denial ──────────────────────────────────────────────────────────── */

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
	if (slice_starts_with(slice_of(docker_operation_name(request->id)), SLICE("buildkit."))) {
		text_add(text,
		        SLICE(" Nothing looks into BuildKit's sessions: a policy allows all that "
		              "a build does there, or nothing."));
	}
}
