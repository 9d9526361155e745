/* SPDX-License-Identifier: MIT */
#include "explain/summary.h"

struct slice explain_noun(const char *operation)
{
	return slice_before_last(operation, '.');
}

struct summary explain_summarize(const struct policy *policy, const char *operation)
{
	struct summary summary = {.some = false, .all = true, .covered = true};

	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (strcmp(docker_operation_name(id), operation) != 0) {
			continue;
		}
		const enum policy_grant grant = policy_grant_of(policy, id);
		const struct docker_endpoint *endpoint = docker_endpoint(id);
		const bool refused = policy_scope_refuses(policy, id);
		summary.some = summary.some || (grant != POLICY_NEVER && !refused);
		summary.all = summary.all && grant == POLICY_ALWAYS && !refused;
		summary.covered = summary.covered && policy_covers(policy, id);
		/* An unknown request may do anything. */
		summary.traits |= endpoint != NULL ? endpoint->traits : DOCKER_ROOT;
	}
	return summary;
}

bool explain_is_repeated(unsigned id)
{
	for (unsigned i = 0; i < id; i++) {
		if (strcmp(docker_operation_name(i), docker_operation_name(id)) == 0) {
			return true;
		}
	}
	return false;
}

bool explain_noun_is_repeated(unsigned id)
{
	const struct slice noun = explain_noun(docker_operation_name(id));

	for (unsigned i = 0; i < id; i++) {
		if (slice_equal(explain_noun(docker_operation_name(i)), noun)) {
			return true;
		}
	}
	return false;
}
