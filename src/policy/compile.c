/* SPDX-License-Identifier: MIT */
#include "policy/internal.h"

#include <errno.h>

/* The rules of a policy and of all it extends, in the order in which they are tried. */
struct order {
	const struct rule *rules[POLICY_RULES_MAX];
	unsigned count;
};

/* A policy whose extensions are being walked. */
struct visit {
	const struct policy *policy;
	const struct extension *next;
};

struct walk {
	struct policy *root; /* which is compiled */
	struct order order;
	struct redact_wishes wishes;                      /* of all */
	const struct policy *owners[INSPECT_BLOCK_COUNT]; /* of the blocks that hold */
	struct visit stack[POLICY_DEPTH_MAX];
	unsigned depth;
};

/* ── extends ─────────────────────────────────────────────────────────────── */

static bool is_on_stack(const struct walk *walk, const struct policy *policy)
{
	for (unsigned i = 0; i < walk->depth; i++) {
		if (walk->stack[i].policy == policy) {
			return true;
		}
	}
	return false;
}

/* A block holds in place of those that its policy extends. Of two beside each other, neither does.
 */
static int hold(struct walk *walk, const struct policy *policy, enum inspect_block block,
        struct place place, char error[FAULT_MAX])
{
	const struct policy *owner = walk->owners[block];

	const bool has_none = policy->blocks[block] == NULL && !policy->lifts[block];

	if (has_none || (owner != NULL && is_on_stack(walk, owner))) {
		return 0;
	}
	if (owner != NULL) {
		return fault_set(error, place,
		        "'%s' and '%s' both have a '%s' block: write one in a policy that extends "
		        "them",
		        owner->name, policy->name, inspect_block_name(block));
	}
	walk->owners[block] = policy;
	walk->root->held[block] = policy->blocks[block];
	return 0;
}

static int hold_blocks(
        struct walk *walk, const struct policy *policy, struct place place, char error[FAULT_MAX])
{
	for (unsigned block = 0; block < INSPECT_BLOCK_COUNT; block++) {
		if (hold(walk, policy, (enum inspect_block)block, place, error) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* Policies that POLICY and ALLOW put together have no name of their own: "agent,dozzle". */
static const char *find_owner(const struct walk *walk)
{
	unsigned i = 0;

	while (i + 1 < walk->depth && !policy_is_name(slice_of(walk->stack[i].policy->name))) {
		i++;
	}
	return walk->stack[i].policy->name;
}

/* The scopes of all that a policy extends hold together: no policy opens another one's. */
static int hold_scope(struct walk *walk, const struct policy *policy, char error[FAULT_MAX])
{
	struct policy *root = walk->root;

	return policy->own_scope == NULL
	               ? 0
	               : scope_join(root->scope, policy->own_scope, find_owner(walk),
	                         &root->set->arena, &root->scope, error);
}

/* So do their Engines. */
static int hold_engines(
        struct walk *walk, const struct policy *policy, struct place place, char error[FAULT_MAX])
{
	struct policy *root = walk->root;

	if (policy->own_engines == NULL) {
		return 0;
	}
	if (engine_set_join(root->engines, policy->own_engines, &root->set->arena, &root->engines) <
	        0) {
		return arena_fault(&root->set->arena, error);
	}
	return engine_set_is_empty(root->engines)
	               ? fault_set(error, place,
	                         "policy '%s' has no Engine in its 'engines' that all policies "
	                         "name which it extends: put the rules that they share into a "
	                         "policy without 'engines'",
	                         root->name)
	               : 0;
}

static int enter(
        struct walk *walk, struct policy *policy, struct place place, char error[FAULT_MAX])
{
	if (walk->depth == POLICY_DEPTH_MAX) {
		return fault_set(error, place,
		        "more than %d policies extend each other in a row at '%s'",
		        POLICY_DEPTH_MAX, policy->name);
	}
	policy->seen_by = walk->root;
	if (policy->wishes != NULL && redact_unite(&walk->wishes, policy->wishes) < 0) {
		return fault_set(error, place,
		        "policy '%s' has more than %d patterns for labels in 'redact', with those "
		        "it extends",
		        walk->root->name, REDACT_LABELS_MAX);
	}
	for (const struct rule *rule = policy->rules; rule != NULL; rule = rule->next) {
		if (walk->order.count == POLICY_RULES_MAX) {
			return fault_set(error, place,
			        "policy '%s' has more than %d rules with those it extends",
			        walk->root->name, POLICY_RULES_MAX);
		}
		walk->order.rules[walk->order.count++] = rule;
	}
	walk->stack[walk->depth++] = (struct visit){policy, policy->extensions};
	return hold_scope(walk, policy, error) < 0 || hold_engines(walk, policy, place, error) < 0
	               ? -EINVAL
	               : hold_blocks(walk, policy, place, error);
}

/* A policy that is reached twice has nothing to add: its rules were tried already. */
static int extend(struct walk *walk, const struct extension *extension, char error[FAULT_MAX])
{
	struct policy *policy = NULL;

	if (policy_set_find(walk->root->set, extension->name, extension->place, &policy, error) <
	        0) {
		return -EINVAL;
	}
	if (is_on_stack(walk, policy)) {
		return fault_set(error, extension->place,
		        "policy '%s' extends itself: it is reached from '%s'", policy->name,
		        walk->stack[walk->depth - 1].policy->name);
	}
	return policy->seen_by == walk->root ? 0 : enter(walk, policy, extension->place, error);
}

static int collect(struct walk *walk, char error[FAULT_MAX])
{
	int code = enter(walk, walk->root, walk->root->place, error);

	while (code == 0 && walk->depth > 0) {
		struct visit *visit = &walk->stack[walk->depth - 1];
		const struct extension *extension = visit->next;
		if (extension == NULL) {
			walk->depth--;
			continue;
		}
		visit->next = extension->next;
		code = extend(walk, extension, error);
	}
	return code;
}

/* ── The table ───────────────────────────────────────────────────────────── */

/* Whether the pattern can fit what no row fits: of a section the first segment is known. */
static bool can_be_of_section(const struct pattern *pattern, const struct pattern_limits *limits,
        enum docker_section section, struct policy_scratch *scratch)
{
	char memory[64];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, SLICE("/"));
	if (section < DOCKER_SECTION_NONE) {
		text_add(&text, docker_section_segment(section));
	}
	ASSERT(!text.overflow);
	return pattern_can_begin(pattern, limits, scratch, text_slice(&text));
}

/* The part of the paths of a row that is the same in all of them. */
static struct slice literal_part(const struct docker_endpoint *endpoint, bool *ret_whole)
{
	const char *brace = strchr(endpoint->path, '{');

	*ret_whole = brace == NULL;
	return brace == NULL ? slice_of(endpoint->path) : slice_between(endpoint->path, brace);
}

/* Whether a pattern fits the bare paths of an id; PATTERN_LIMIT: it depends on the path. */
static enum pattern_result pattern_result_of_id(const struct pattern *pattern,
        const struct pattern_limits *limits, unsigned id, struct policy_scratch *scratch)
{
	const struct docker_endpoint *endpoint = docker_endpoint(id);
	bool whole;

	if (endpoint == NULL) {
		return can_be_of_section(pattern, limits, docker_id_section(id), scratch)
		               ? PATTERN_LIMIT
		               : PATTERN_NO_MATCH;
	}
	const struct slice literal = literal_part(endpoint, &whole);
	if (whole) {
		return pattern_match(pattern, limits, scratch, literal);
	}
	return pattern_can_begin(pattern, limits, scratch, literal) ? PATTERN_LIMIT
	                                                            : PATTERN_NO_MATCH;
}

/* ── Plain paths ─────────────────────────────────────────────────────────── */

/* Whether a request of one of the rule's methods for its one path has this id, which is no row's:
 * with an API version in front, at most rows are added. */
static bool reaches_unknown(const struct rule *rule, unsigned id)
{
	struct docker_request request;

	for (unsigned method = 0; method <= DOCKER_METHOD_OTHER; method++) {
		const struct docker_target target = {
		        .method = slice_of(docker_method_name((enum docker_method)method)),
		        .path = slice_of(rule->plain_path)};
		const unsigned bit = policy_method_bit(target.method);
		if ((rule->methods == 0 || (rule->methods & bit) != 0) &&
		        docker_route(&target, &request) == DOCKER_OK && request.id == id) {
			return true;
		}
	}
	return false;
}

/* Of a path that is plain it is known which ids its requests can have. */
static bool can_have_id(const struct rule *rule, unsigned id)
{
	if (rule->plain_path == NULL) {
		return true;
	}
	return id < docker_endpoint_count ? docker_has_path(id, slice_of(rule->plain_path))
	                                  : reaches_unknown(rule, id);
}

/* ── Both patterns ───────────────────────────────────────────────────────── */

/* What is certain of a pattern that sees the version, since clients choose it: nothing, or no. */
static enum pattern_result versioned_result_of_id(const struct pattern *pattern,
        const struct pattern_limits *limits, unsigned id, struct policy_scratch *scratch)
{
	return pattern_can_begin_with_version(pattern, limits, scratch) ||
	                       pattern_result_of_id(pattern, limits, id, scratch) !=
	                               PATTERN_NO_MATCH
	               ? PATTERN_LIMIT
	               : PATTERN_NO_MATCH;
}

/* Of both patterns of a rule. */
static enum pattern_result path_result_of_id(
        const struct rule *rule, unsigned id, struct policy_scratch *scratch)
{
	const struct pattern_limits *limits = rule->policy->set->limits;
	const enum pattern_result path =
	        rule->path == NULL ? PATTERN_MATCH
	                           : pattern_result_of_id(rule->path, limits, id, scratch);

	if (path == PATTERN_NO_MATCH || !can_have_id(rule, id)) {
		return PATTERN_NO_MATCH;
	}
	if (rule->versioned_path == NULL) {
		return path;
	}
	return versioned_result_of_id(rule->versioned_path, limits, id, scratch);
}

static bool asks_method(const struct rule *rule, unsigned id)
{
	const struct docker_endpoint *endpoint = docker_endpoint(id);

	if (rule->methods == 0) {
		return false;
	}
	return endpoint == NULL ? docker_id_is_unknown(id)
	                        : policy_method_bit(slice_of(endpoint->method)) == 0;
}

/* The steps of one id into `steps`; how many. */
static unsigned plan(const struct order *order, unsigned id, struct policy_scratch *scratch,
        struct step steps[POLICY_RULES_MAX + 1])
{
	unsigned count = 0;

	for (unsigned i = 0; i < order->count; i++) {
		const struct rule *rule = order->rules[i];
		const enum pattern_result path = id_is_in(rule->fits, id)
		                                         ? path_result_of_id(rule, id, scratch)
		                                         : PATTERN_NO_MATCH;
		if (path == PATTERN_NO_MATCH) {
			continue;
		}
		const struct step step = {rule, asks_method(rule, id), path == PATTERN_LIMIT};
		steps[count++] = step;
		if (step_is_last(&step)) {
			return count;
		}
	}
	steps[count++] = (struct step){NULL, false, false};
	return count;
}

/* The steps of every id; NULL: one was not given its memory. */
static const struct step **make_table(
        const struct order *order, struct policy_scratch *scratch, struct arena *arena)
{
	const struct step **table = arena_take(arena, docker_id_count() * sizeof(struct step *));
	struct step steps[POLICY_RULES_MAX + 1];

	for (unsigned id = 0; table != NULL && id < docker_id_count(); id++) {
		const unsigned count = plan(order, id, scratch, steps);
		struct step *kept = arena_take(arena, count * sizeof(steps[0]));
		if (kept == NULL) {
			return NULL;
		}
		for (unsigned i = 0; i < count; i++) {
			kept[i] = steps[i];
		}
		table[id] = kept;
	}
	return table;
}

static bool looks_inside(const struct policy *policy)
{
	bool any = policy->scope != NULL;

	for (unsigned block = 0; block < INSPECT_BLOCK_COUNT; block++) {
		any = any || policy->held[block] != NULL;
	}
	return any;
}

/* The block that looks into an operation; under a scope, one that lets everything else through. */
static void inspect_by_block(const struct policy *policy, unsigned id,
        const struct constraints *const open[INSPECT_BLOCK_COUNT], struct inspection *inspection)
{
	const struct inspect_operation *operation = inspect_operation_of(id);

	if (operation == NULL || (!inspect_operation_reads_body(operation) &&
	                                 !inspect_operation_reads_query(operation))) {
		return;
	}
	const enum inspect_block block = inspect_operation_block(operation);
	if (policy->held[block] != NULL) {
		inspection->operation = operation;
		inspection->constraints = policy->held[block];
		inspection->block = inspect_block_name(block);
		inspection->place = constraints_place(policy->held[block]);
	} else if (policy->scope != NULL) {
		inspection->operation = operation;
		inspection->constraints = open[block];
	}
}

/* What is made must be stamped, or it is not made. */
static void inspect_by_scope(
        const struct policy *policy, unsigned id, struct inspection *inspection)
{
	const struct scope_operation *scoping = scope_operation_of(id);
	const bool readable = inspection->operation != NULL &&
	                      inspect_operation_reads_body(inspection->operation);

	inspection->scope = policy->scope;
	if (scoping != NULL && (readable || !scope_stamps_body(scoping))) {
		inspection->scoping = scoping;
	}
	if (inspection->block == NULL) {
		inspection->block = "scope";
		inspection->place = policy->scope->place;
	}
}

/* How to look into the requests of every id. Without memory, the arena remembers it. */
static const struct inspection *make_inspections(const struct policy *policy, struct arena *arena)
{
	const struct constraints *open[INSPECT_BLOCK_COUNT] = {NULL};
	struct inspection *inspections =
	        looks_inside(policy) ? arena_take(arena, docker_id_count() * sizeof(inspections[0]))
	                             : NULL;

	for (unsigned block = 0; policy->scope != NULL && block < INSPECT_BLOCK_COUNT; block++) {
		open[block] = constraints_open((enum inspect_block)block, arena);
	}
	for (unsigned id = 0; inspections != NULL && id < docker_id_count(); id++) {
		inspect_by_block(policy, id, open, &inspections[id]);
		if (policy->scope != NULL) {
			inspect_by_scope(policy, id, &inspections[id]);
		}
	}
	return inspections;
}

/* What is hidden for every id. Without memory, the arena remembers it. */
static const struct redaction *make_redactions(
        struct policy *policy, const struct redact_wishes *wishes, struct arena *arena)
{
	struct redact_plan *plan = wishes->kinds == 0 ? NULL : arena_take(arena, sizeof(*plan));
	struct redaction *redactions =
	        plan == NULL ? NULL : arena_take(arena, docker_id_count() * sizeof(redactions[0]));

	if (redactions == NULL) {
		return NULL;
	}
	plan->wishes = *wishes;
	redact_plan_make(plan);
	policy->plan = plan;
	for (unsigned id = 0; id < docker_id_count(); id++) {
		const struct docker_endpoint *endpoint = docker_endpoint(id);
		const bool reads = endpoint == NULL || (endpoint->traits & DOCKER_WRITE) == 0;
		if (!redaction_of(plan, docker_operation_name(id), reads, &redactions[id])) {
			redactions[id].plan = NULL;
		}
	}
	return redactions;
}

int policy_compile(struct policy *policy, char error[FAULT_MAX])
{
	struct walk walk = {.root = policy};

	if (policy->steps != NULL) {
		return 0;
	}
	if (collect(&walk, error) < 0) {
		return -EINVAL;
	}
	struct policy_scratch *scratch = policy_scratch_new();
	if (scratch == NULL) {
		return fault_memory(error);
	}
	policy->steps = make_table(&walk.order, scratch, &policy->set->arena);
	policy_scratch_free(scratch);
	policy->inspections = make_inspections(policy, &policy->set->arena);
	policy->redactions = make_redactions(policy, &walk.wishes, &policy->set->arena);
	if (policy->steps != NULL) {
		policy_find_alternatives(policy);
	}
	return arena_check(&policy->set->arena, error);
}
