/* SPDX-License-Identifier: MIT */
/*
 * internal — a policy and its rules as they are stored. Private to policy/.
 */
#ifndef POLICY_INTERNAL_H
#define POLICY_INTERNAL_H

#include "base/arena.h"
#include "policy/pattern.h"
#include "policy/policy.h"

struct rule {
	struct rule *next;
	const struct policy *policy; /* in which it is written */
	const char *text;
	struct place place;
	bool allow;
	unsigned methods; /* bits of policy_method_bit(); 0: any */
	struct pattern *path;
	const char *plain_path;         /* the path, where the pattern fits one alone; NULL: more */
	struct pattern *versioned_path; /* sees the API version, which clients choose */
	uint64_t *fits;                 /* a bit for each request id that it can concern */
};

/* One name of `extends`. */
struct extension {
	struct extension *next;
	struct slice name;
	struct place place;
};

/* A rule that is to be tried for an id, and what its id leaves open. */
struct step {
	const struct rule *rule; /* NULL: no rule fits */
	bool ask_method;
	bool ask_path;
};

/* Nothing is tried behind it. */
static inline bool step_is_last(const struct step *step)
{
	return step->rule == NULL || (!step->ask_method && !step->ask_path);
}

struct policy {
	struct policy *next; /* of the set */
	struct policy_set *set;
	const char *name;
	struct place place;
	const char *costs;
	struct rule *rules, **rules_end;
	struct extension *extensions, **extensions_end;
	unsigned rule_count;
	unsigned extension_count;
	bool observe;
	bool used;               /* see policy_use() */
	bool in_configuration;   /* written by the user, who can add to it */
	policy_advisor *advisor; /* NULL: the general one */
	const void *advisor_context;
	/* Numbers, from 1, of presets that allow all that it does, the nearest first; 0 ends them.
	 */
	const uint8_t *alternatives;
	/* By request id: up to a rule that asks nothing, or to none. NULL: not compiled. */
	const struct step *const *steps;
	const struct policy *seen_by; /* the last policy whose compilation came by here */
};

struct policy_set {
	struct arena arena;
	struct policy *policies, **policies_end;
	struct pattern_limits *limits;
	const char *file; /* in which policies are written and named; NULL: there is none */
};

static inline bool id_is_in(const uint64_t *ids, unsigned id)
{
	return (ids[id / 64] >> (id % 64) & 1) != 0;
}

static inline void id_add(uint64_t *ids, unsigned id)
{
	ids[id / 64] |= UINT64_C(1) << (id % 64);
}

/* A bit for each method that rules may name; 0: it is none of them. */
unsigned policy_method_bit(struct slice method);

/* The policy called `name`, without presets that are not loaded yet; NULL: there is none. */
struct policy *policy_find_made(const struct policy_set *set, struct slice name);

/* A policy without a rule, added to the set; the name is not checked. 0, or -EINVAL and a fault. */
int policy_make(struct policy_set *set, struct slice name, struct place place,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;

/* Whether `name` is `stem` and something behind a dash. */
bool policy_is_variant(struct slice name, struct slice stem);

/* Whether a path means the same as a pattern and as plain YAML. */
bool policy_is_plain(struct slice path);

/* Note the presets that could take the place of `policy`, which is compiled otherwise. Its arena
 * knows whether there was memory for them. */
void policy_find_alternatives(struct policy *policy);

/* Add the ids that an operation glob fits; -EINVAL when it fits none. */
int operation_glob_add(
        const char *glob, struct place place, uint64_t *ids, char error[FAULT_MAX]) MUST_USE;

#endif
