/* SPDX-License-Identifier: MIT */
/* unite — one policy that allows what any of several allows. */
#include "policy/internal.h"

#include <errno.h>

/* A rule that denies and can decide, or NULL. The policy is compiled. */
static const struct rule *find_denial(const struct policy *policy)
{
	for (unsigned id = 0; id < docker_id_count(); id++) {
		const struct step *step = policy->steps[id];
		while (!step_is_last(step) && step->rule->allow) {
			step++;
		}
		if (step->rule != NULL && !step->rule->allow) {
			return step->rule;
		}
	}
	return NULL;
}

/* Rules are tried one policy after the other: a denial would close what a later one opens. */
static int check_denials(const struct policy *member, struct place place, char error[FAULT_MAX])
{
	const struct rule *rule = find_denial(member);
	char memory[FAULT_MAX / 2];
	struct text where = text_over(memory, sizeof(memory));

	if (rule == NULL) {
		return 0;
	}
	policy_add_place(rule->place, &where);
	return fault_set(error, place,
	        "'%s' cannot be united with other policies, because it has a deny rule (%.*s): "
	        "write a policy that extends them in the intended order",
	        member->name, SLICE_FMT(text_slice(&where)));
}

/* What one of them allows on some Engines would be allowed on those of the others. */
static int check_engines(const struct policy *member, struct place place, char error[FAULT_MAX])
{
	return member->engines == NULL
	               ? 0
	               : fault_set(error, place,
	                         "'%s' cannot be united with other policies, because it has "
	                         "'engines': give each client entries of their own for them",
	                         member->name);
}

int policy_unite(struct policy_set *set, struct slice name, struct slice members,
        struct place place, struct policy **ret_policy, char error[FAULT_MAX])
{
	const bool several = members.len > 0 && memchr(members.ptr, ',', members.len) != NULL;
	struct policy *united = NULL;
	struct slice element;
	bool observe = true;

	if (policy_make(set, name, place, &united, error) < 0) {
		return -EINVAL;
	}
	while (slice_next(&members, ',', &element)) {
		struct policy *member = NULL;
		if (policy_set_find(set, slice_trim(element), place, &member, error) < 0 ||
		        policy_compile(member, error) < 0 ||
		        (several && (check_denials(member, place, error) < 0 ||
		                            check_engines(member, place, error) < 0)) ||
		        policy_extend(united, slice_of(member->name), place, error) < 0) {
			return -EINVAL;
		}
		observe = observe && member->observe;
	}
	united->observe = observe && united->extension_count > 0;
	*ret_policy = united;
	return 0;
}
