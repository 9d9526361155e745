/* SPDX-License-Identifier: MIT */
/* review — what is allowed to be written, and does nothing. */
#include "policy/internal.h"

/* ── Policies ────────────────────────────────────────────────────────────── */

/* Mark what the marked ones extend; whether there was any. */
static bool spread(struct policy_set *set)
{
	bool any = false;

	for (const struct policy *policy = set->policies; policy != NULL; policy = policy->next) {
		const struct extension *extension = policy->used ? policy->extensions : NULL;
		for (; extension != NULL; extension = extension->next) {
			struct policy *extended = policy_find_made(set, extension->name);
			if (extended != NULL && !extended->used) {
				extended->used = true;
				any = true;
			}
		}
	}
	return any;
}

void policy_use(const struct policy *policy)
{
	for (struct policy *used = policy->set->policies; used != NULL; used = used->next) {
		used->used = used->used || used == policy;
	}
	while (spread(policy->set)) {
	}
}

bool policy_is_used(const struct policy *policy)
{
	return policy->used;
}

/* ── Operations ──────────────────────────────────────────────────────────── */

bool policy_covers(const struct policy *policy, unsigned id)
{
	const struct inspect_operation *operation = inspect_operation_of(id);

	return operation != NULL && policy->held[inspect_operation_block(operation)] != NULL;
}

static bool is_root(const struct policy *policy, unsigned id)
{
	const struct docker_endpoint *endpoint = docker_endpoint(id);

	return endpoint != NULL && (endpoint->traits & DOCKER_ROOT) != 0 &&
	       policy_grant_of(policy, id) != POLICY_NEVER && !policy_covers(policy, id) &&
	       !policy_scope_refuses(policy, id);
}

/* Whether an earlier row of the same operation is one too. */
static bool is_listed(const struct policy *policy, unsigned id)
{
	for (unsigned i = 0; i < id; i++) {
		if (is_root(policy, i) &&
		        strcmp(docker_operation_name(i), docker_operation_name(id)) == 0) {
			return true;
		}
	}
	return false;
}

/* A request that no row fits may do anything. */
static bool allows_unknown(const struct policy *policy)
{
	for (unsigned id = docker_endpoint_count; id < docker_id_count(); id++) {
		if (docker_id_is_unknown(id) && !docker_id_is_read_method(id) &&
		        policy_grant_of(policy, id) != POLICY_NEVER &&
		        !policy_scope_refuses(policy, id)) {
			return true;
		}
	}
	return false;
}

/* Whether the policy allows an operation that the block constrains. */
static bool is_in_use(const struct policy *policy, enum inspect_block block)
{
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const struct inspect_operation *operation = inspect_operation_of(id);
		if (operation != NULL && inspect_operation_block(operation) == block &&
		        policy_grant_of(policy, id) != POLICY_NEVER) {
			return true;
		}
	}
	return false;
}

/* The keys of its blocks that open as much as no block would. */
static void add_root_keys(
        const struct policy *policy, bool sees_host, struct text *text, size_t start)
{
	for (unsigned i = 0; i < INSPECT_BLOCK_COUNT; i++) {
		const enum inspect_block block = (enum inspect_block)i;
		if (policy->held[block] == NULL || !is_in_use(policy, block)) {
			continue;
		}
		const size_t before = text->len;
		text_add(text, before > start ? SLICE(", ") : SLICE(""));
		const size_t keys = text->len;
		constraints_add_root(policy->held[block], sees_host, text);
		text->len = text->len == keys ? before : text->len;
	}
}

void policy_add_root(const struct policy *policy, unsigned most, bool sees_host, struct text *text)
{
	const size_t start = text->len;
	unsigned count = 0;

	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		if (!is_root(policy, id) || is_listed(policy, id)) {
			continue;
		}
		if (count++ < most) {
			text_add(text, count == 1 ? SLICE("") : SLICE(", "));
			text_add(text, slice_of(docker_operation_name(id)));
		}
	}
	if (count > most) {
		text_add_format(text, " and %u more", count - most);
	}
	if (allows_unknown(policy)) {
		text_add(text, text->len > start ? SLICE(", unknown") : SLICE("unknown"));
	}
	add_root_keys(policy, sees_host, text, start);
}

/* Whether the policy allows an operation whose answers it cannot redact. */
static bool is_unredacted(const struct policy *policy, unsigned id)
{
	const struct docker_endpoint *endpoint = docker_endpoint(id);

	return endpoint != NULL && policy_grant_of(policy, id) != POLICY_NEVER &&
	       redact_answer_of(endpoint->operation, (endpoint->traits & DOCKER_WRITE) == 0) ==
	               REDACT_BYTES;
}

static bool is_told(const struct policy *policy, unsigned id)
{
	for (unsigned i = 0; i < id; i++) {
		if (is_unredacted(policy, i) &&
		        strcmp(docker_operation_name(i), docker_operation_name(id)) == 0) {
			return true;
		}
	}
	return false;
}

void policy_add_unredacted(const struct policy *policy, struct text *text)
{
	const size_t start = text->len;

	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		if (is_unredacted(policy, id) && !is_told(policy, id)) {
			text_add(text, text->len > start ? SLICE(", ") : SLICE(""));
			text_add(text, slice_of(docker_operation_name(id)));
		}
	}
}

/* ── Rules ───────────────────────────────────────────────────────────────── */

static bool is_tried(const struct policy *policy, const struct rule *rule)
{
	for (unsigned id = 0; id < docker_id_count(); id++) {
		const struct step *step = policy->steps[id];
		while (step->rule != rule && !step_is_last(step)) {
			step++;
		}
		if (step->rule == rule) {
			return true;
		}
	}
	return false;
}

/* The rule that decides in place of this one; NULL: it fits nothing that the API has. */
static const struct rule *find_before(const struct policy *policy, const struct rule *rule)
{
	for (unsigned id = 0; id < docker_id_count(); id++) {
		const struct step *step = policy->steps[id];
		while (!step_is_last(step)) {
			step++;
		}
		if (id_is_in(rule->fits, id) && step->rule != NULL) {
			return step->rule;
		}
	}
	return NULL;
}

void policy_list_idle_rules(const struct policy *policy, policy_idle_rule *found, void *context)
{
	for (const struct rule *rule = policy->rules; rule != NULL; rule = rule->next) {
		if (is_tried(policy, rule)) {
			continue;
		}
		const struct rule *before = rule->path == NULL && rule->versioned_path == NULL
		                                    ? find_before(policy, rule)
		                                    : NULL;
		found(context, rule->text, rule->place, before != NULL ? before->text : NULL);
	}
}
