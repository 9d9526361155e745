/* SPDX-License-Identifier: MIT */
#include "policy/internal.h"

/* A pattern that is too hard for this path fits it where it denies, and not where it allows. */
static bool pattern_fits(const struct rule *rule, const struct pattern *pattern, struct slice path,
        struct policy_scratch *scratch)
{
	switch (pattern_match(pattern, rule->policy->set->limits, scratch, path)) {
	case PATTERN_MATCH:
		return true;
	case PATTERN_NO_MATCH:
		return false;
	case PATTERN_LIMIT:
		break;
	}
	return !rule->allow;
}

static bool versioned_path_fits(const struct rule *rule, const struct docker_request *request,
        struct policy_scratch *scratch)
{
	char memory[DOCKER_PATH_MAX];

	return pattern_fits(
	        rule, rule->versioned_path, docker_versioned_path(request, memory), scratch);
}

static bool path_fits(const struct rule *rule, const struct docker_request *request,
        struct policy_scratch *scratch)
{
	return (rule->path == NULL || pattern_fits(rule, rule->path, request->bare, scratch)) &&
	       (rule->versioned_path == NULL || versioned_path_fits(rule, request, scratch));
}

static bool step_fits(const struct step *step, const struct docker_request *request,
        struct policy_scratch *scratch)
{
	if (step->ask_method && (step->rule->methods & policy_method_bit(request->method)) == 0) {
		return false;
	}
	return !step->ask_path || path_fits(step->rule, request, scratch);
}

static struct verdict judge_as(const struct policy *policy, unsigned id,
        const struct docker_request *request, struct policy_scratch *scratch)
{
	ASSERT(policy->steps != NULL && id < docker_id_count());
	const struct step *step = policy->steps[id];
	while (step->rule != NULL && !step_fits(step, request, scratch)) {
		step++;
	}
	const struct rule *rule = step->rule;
	const bool allow = rule != NULL && rule->allow;
	return (struct verdict){
	        .allowed = allow || policy->observe,
	        .observed = !allow && policy->observe,
	        .policy = rule != NULL ? rule->policy : policy,
	        .rule = rule != NULL ? rule->text : NULL,
	        .place = rule != NULL ? rule->place : policy->place,
	};
}

struct verdict policy_judge(const struct policy *policy, const struct docker_request *request,
        struct policy_scratch *scratch)
{
	const struct verdict verdict = judge_as(policy, request->id, request, scratch);

	/* What no row fits may be one to the Engine: it must be allowed as that too. */
	if (request->served_id == request->id || !verdict.allowed || verdict.observed) {
		return verdict;
	}
	return judge_as(policy, request->served_id, request, scratch);
}

const struct redaction *policy_redaction(const struct policy *policy, unsigned id)
{
	const struct redaction *redactions = policy->redactions;

	return redactions == NULL || redactions[id].plan == NULL ? NULL : &redactions[id];
}

const struct redact_wishes *policy_wishes(const struct policy *policy)
{
	return policy->plan == NULL ? NULL : &policy->plan->wishes;
}

const struct inspection *policy_inspection(const struct policy *policy, unsigned id)
{
	const struct inspection *inspections = policy->inspections;

	return inspections == NULL || inspections[id].block == NULL ? NULL : &inspections[id];
}

const struct scope *policy_scope(const struct policy *policy)
{
	return policy->scope;
}

bool policy_scope_refuses(const struct policy *policy, unsigned id)
{
	return policy->scope != NULL && policy->inspections[id].scoping == NULL;
}

const struct engine_set *policy_engines(const struct policy *policy)
{
	return policy->engines;
}

bool policy_learns(const struct policy *policy)
{
	return policy->learns;
}

const struct constraints *policy_block(const struct policy *policy, enum inspect_block block)
{
	return policy->held[block];
}

bool policy_allows_rest(const struct policy *policy, unsigned id)
{
	ASSERT(policy->steps != NULL && id < docker_id_count());
	const struct step *step = policy->steps[id];

	while (!step_is_last(step)) {
		step++;
	}
	return step->rule != NULL && step->rule->allow;
}

enum policy_grant policy_grant_of(const struct policy *policy, unsigned id)
{
	ASSERT(policy->steps != NULL && id < docker_id_count());
	const struct step *step = policy->steps[id];
	const bool asked = !step_is_last(step);
	bool sometimes = false;

	if (policy_allows_rest(policy, id)) {
		/* What stands in front of it takes something away, unless all of it allows. */
		return asked ? POLICY_SOMETIMES : POLICY_ALWAYS;
	}
	for (; !step_is_last(step); step++) {
		sometimes = sometimes || step->rule->allow;
	}
	return sometimes ? POLICY_SOMETIMES : POLICY_NEVER;
}

unsigned policy_weight_of(unsigned id)
{
	enum { READ = 1, LEAK = 10, WRITE = 1000, ROOT = 4000 };
	const struct docker_endpoint *endpoint = docker_endpoint(id);

	if (endpoint != NULL && (endpoint->traits & DOCKER_ROOT) != 0) {
		return ROOT;
	}
	if (endpoint == NULL || (endpoint->traits & DOCKER_WRITE) != 0) {
		return WRITE;
	}
	return (endpoint->traits & DOCKER_LEAK) != 0 ? LEAK : READ;
}

const char *policy_name(const struct policy *policy)
{
	return policy->name;
}

bool policy_observes(const struct policy *policy)
{
	return policy->observe;
}

struct place policy_place(const struct policy *policy)
{
	return policy->place;
}

const char *policy_costs(const struct policy *policy)
{
	return policy->costs;
}
