/* SPDX-License-Identifier: MIT */
/*
 * policy — rules → verdict.
 *
 * A policy is a list of rules; the first that fits a request decides, and
 * nothing fits → deny. It is built once at start-up, from YAML, from a preset
 * or from section switches, and sealed: a sealed policy is immutable and any
 * number of threads may judge with it. Rules that name operations are worked
 * out into a table by request id when the policy is sealed, so that a decision
 * is one look-up; only rules with a path pattern are tried at run time.
 *
 * Judging is pure: no I/O, no clock, no memory.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/check.h"
#include "base/slice.h"
#include "base/text.h"
#include "docker/docker.h"

enum {
	POLICY_NAME_MAX = 64,      /* bytes */
	POLICY_RULES_MAX = 1000,   /* of one policy, extended ones counted */
	POLICY_PATTERN_MAX = 1024, /* bytes of a path pattern */
	POLICY_EXTENDS_MAX = 16,
	POLICY_ERROR_MAX = 1024, /* bytes of a message */
};

/* Where something was written; file NULL: nowhere, the program made it. */
struct policy_place {
	const char *file;
	unsigned line;
};

/* All policies of a configuration, presets among them once they are asked for. Owns its memory. */
struct policy_set;
struct policy;

/* ── Judging ─────────────────────────────────────────────────────────────── */

struct verdict {
	bool allowed;  /* forward it */
	bool observed; /* it would be denied, and the policy only observes */
	const struct policy
	        *policy;           /* in which the deciding rule is written; else the judging one */
	const char *rule;          /* the deciding rule as written; NULL: none fitted */
	struct policy_place place; /* of the rule; else of the policy */
};

struct verdict policy_judge(const struct policy *policy, const struct docker_request *request);

const char *policy_name(const struct policy *policy);

/* ── Building ────────────────────────────────────────────────────────────── */

/* What a rule fits: every condition that is given must hold. */
struct policy_match {
	const char *const *operations; /* globs over operation names; NULL: any */
	unsigned operation_count;
	/* Requests no row fits, and those of rows, that belong to these sections: bit
	 * 1 << enum docker_section; 0: any. */
	uint64_t sections;
	const char *const *methods; /* as in the request line; NULL: any */
	unsigned method_count;
	const char *path; /* PCRE2 over the whole decoded path, version removed; NULL: any */
};

/* Functions that fail return -EINVAL and leave a sentence in `error`. Strings are copied. */
struct policy_set *policy_set_new(void) MUST_USE;
void policy_set_free(struct policy_set *set);
/* NULL: no policy and no preset is called that. A preset is read when it is first asked for. */
struct policy *policy_set_find(struct policy_set *set, struct slice name);

int policy_new(struct policy_set *set, struct slice name, struct policy_place place,
        struct policy **ret_policy, char error[POLICY_ERROR_MAX]) MUST_USE;
/* A denial is recorded and let through. */
void policy_observe(struct policy *policy);
/* `text` is what messages call the rule: "allow: [container.*]", "CONTAINERS=1". */
int policy_add_rule(struct policy *policy, bool allow, const struct policy_match *match,
        const char *text, struct policy_place place, char error[POLICY_ERROR_MAX]) MUST_USE;
/* The rules of `name` are tried after the policy's own. */
int policy_extend(struct policy *policy, struct slice name, struct policy_place place,
        char error[POLICY_ERROR_MAX]) MUST_USE;
/* Resolve `extends` and make the tables; after it nothing may be added. */
int policy_seal(struct policy *policy, char error[POLICY_ERROR_MAX]) MUST_USE;

#endif
