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
	const struct policy *policy; /* the policy in which it is written */
	const char *text;
	struct place place;
	bool allow;
	unsigned methods; /* bits of policy_method_bit(); 0: any */
	struct pattern *path;
	const char *plain_path;         /* the path, if the pattern fits exactly one; else NULL */
	struct pattern *versioned_path; /* sees the API version, which clients choose */
	uint64_t *fits;                 /* a bit for each request id that it can fit */
};

/* One name of `extends`. */
struct extension {
	struct extension *next;
	struct slice name;
	struct place place;
};

/* A rule to try for a request id, and the conditions that the id does not decide. */
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
	const struct constraints *blocks[INSPECT_BLOCK_COUNT]; /* its own; NULL: none */
	const struct scope *own_scope;                         /* NULL: none */
	const struct engine_set *own_engines;                  /* NULL: none are named */
	bool lifts[INSPECT_BLOCK_COUNT]; /* an inherited block of that kind does not hold */
	struct redact_wishes *wishes;    /* its own; NULL: none */
	bool observe;
	bool learns;
	unsigned number;         /* of its name, for metrics */
	bool used;               /* see policy_use() */
	bool in_configuration;   /* written in the configuration file */
	policy_advisor *advisor; /* NULL: the general one */
	const void *advisor_context;
	/* Presets that allow everything that the policy allows, by number from 1, nearest first;
	 * 0 is the end. */
	const uint8_t *alternatives;
	/* By request id: rules to try, up to one without conditions, or NULL. NULL: not compiled.
	 */
	const struct step *const *steps;
	/* Those that hold, with the blocks of policies that it extends. */
	const struct constraints *held[INSPECT_BLOCK_COUNT];
	const struct engine_set *engines;     /* with those of policies that it extends */
	const struct scope *scope;            /* with those of policies that it extends */
	const struct inspection *inspections; /* by request id; NULL: no block holds */
	const struct redact_plan *plan;       /* of what is hidden; NULL: nothing */
	const struct redaction *redactions; /* by request id, `plan` NULL: nothing; NULL: nothing */
	const struct policy *seen_by;       /* the last policy whose compilation visited this one */
};

struct policy_set {
	struct arena arena;
	struct policy *policies, **policies_end;
	struct pattern_limits *limits;
	const char *file;              /* the configuration file; NULL: none */
	const struct engines *engines; /* NULL: there is one alone */
	struct slice workspace;        /* see struct inspect_setting */
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

/* Whether a file may call a policy so: 1 to POLICY_NAME_MAX letters, digits, '-', '_' and '.'. */
bool policy_is_name(struct slice name);

/* The policy called `name`, without reading presets; NULL: none. */
struct policy *policy_find_made(const struct policy_set *set, struct slice name);

/* Add a policy without rules to the set; the name is not checked. 0, or -EINVAL and `error`. */
int policy_make(struct policy_set *set, struct slice name, struct place place,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;

/* Whether `name` is `stem`, a dash and more. */
bool policy_is_variant(struct slice name, struct slice stem);

/* Whether `path` fits only itself as a pattern, and needs no quotes in YAML. */
bool policy_is_plain(struct slice path);

/* Find the presets that can replace `policy`; the last step of compiling. Without memory, the arena
 * of the set records the failure. */
void policy_find_alternatives(struct policy *policy);

/* Add the request ids that an operation glob fits; -EINVAL if it fits none. */
int operation_glob_add(
        const char *glob, struct place place, uint64_t *ids, char error[FAULT_MAX]) MUST_USE;

#endif
