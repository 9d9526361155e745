/* SPDX-License-Identifier: MIT */
/*
 * policy — rules → verdict.
 *
 * A policy is a list of rules; the first that fits a request decides, and
 * nothing fits → deny. It is built once at start-up, from YAML, from a preset
 * or from section switches, and compiled: a compiled policy is immutable and any
 * number of threads may judge with it. Rules are worked out into a table by
 * request id when the policy is compiled, so that a decision is one look-up; only
 * rules with a path pattern are tried at run time, and only for the operations
 * whose paths they can fit.
 *
 * Judging is pure: no I/O, no clock.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/fault.h"
#include "base/slice.h"
#include "base/text.h"
#include "docker/docker.h"

enum {
	POLICY_NAME_MAX = 64,      /* bytes */
	POLICY_RULES_MAX = 1000,   /* of one policy, extended ones counted */
	POLICY_PATTERN_MAX = 1024, /* bytes of a path pattern */
	POLICY_EXTENDS_MAX = 32,   /* names in one policy's `extends` */
	POLICY_DEPTH_MAX = 8,      /* policies that extend each other in a row */
};

/*
 * All policies of a configuration. `open`, which allows everything,
 * and `deny`, which allows nothing, are always there; presets are read when they are first asked
 * for. Owns its memory.
 */
struct policy_set;
struct policy;

/* ── Judging ─────────────────────────────────────────────────────────────── */

struct verdict {
	bool allowed;  /* forward it */
	bool observed; /* it would be denied, and the policy only observes */
	const struct policy
	        *policy;    /* in which the deciding rule is written; else the judging one */
	const char *rule;   /* the deciding rule as written; NULL: none fitted */
	struct place place; /* of the rule; else of the policy */
};

/* What matching a pattern needs to write to: one for each thread that judges. NULL: no memory. */
struct policy_scratch;
struct policy_scratch *policy_scratch_new(void) MUST_USE;
void policy_scratch_free(struct policy_scratch *scratch);

/* The policy must be compiled. */
struct verdict policy_judge(const struct policy *policy, const struct docker_request *request,
        struct policy_scratch *scratch);

const char *policy_name(const struct policy *policy);
bool policy_observes(const struct policy *policy);
struct place policy_place(const struct policy *policy);
/* What a preset gives away, as the preset says it; NULL: nothing is said. */
const char *policy_costs(const struct policy *policy);

/* What a policy makes of a request id, whatever path and method it may have. */
enum policy_grant {
	POLICY_NEVER,
	POLICY_SOMETIMES, /* a path pattern decides, or the method of an unknown request */
	POLICY_ALWAYS,
};
enum policy_grant policy_grant_of(const struct policy *policy, unsigned id);
/* Whether requests of the id are allowed that fit no path or method of a rule. */
bool policy_allows_rest(const struct policy *policy, unsigned id);

/*
 * What allowing one more operation gives away, to compare policies by their
 * sums: what changes something counts for more than all that only reads, and what is
 * enough to become root for four of those.
 */
unsigned policy_weight_of(unsigned id);

/*
 * Where the next rule of `policy` itself, not of what it extends, has a `versioned_path`;
 * `at` counts rules and begins with 0. False: none is left.
 */
bool policy_next_versioned(
        const struct policy *policy, unsigned *at, struct place *ret_place) MUST_USE;

/* ── Advice ──────────────────────────────────────────────────────────────── */

/*
 * What would allow a request, to go on after "To allow it, " and without a full
 * stop: "set CONTAINERS=1 and POST=1". Nothing: there is no way.
 */
typedef void policy_advisor(
        const void *context, const struct docker_request *request, struct text *text);

/* In place of the general advice, which is about presets and YAML. */
void policy_set_advisor(struct policy *policy, policy_advisor *advisor, const void *context);
/*
 * Write what would allow `request`, as an advisor does: the presets that allow it
 * and all that the policy allows, those for the same app (dozzle, dozzle-actions) and those
 * that open the least first; then what to set, or to write into the configuration file.
 * The policy must be compiled. Pure.
 */
void policy_advise(
        const struct policy *policy, const struct docker_request *request, struct text *text);
/*
 * Write a whole configuration file that allows `request` and all that the policy
 * does: "{policy: mine, policies: …}". Nothing where there is a file already, or where other
 * settings than a policy's name decide.
 */
void policy_add_file(
        const struct policy *policy, const struct docker_request *request, struct text *text);
/*
 * Write the sentences a client gets: "container.create is not allowed by policy
 * 'traefik' (presets/traefik.yaml:7). To allow it, …"
 */
void policy_add_denial(const struct policy *policy, const struct docker_request *request,
        const struct verdict *verdict, struct text *text);
/* Write a pattern that fits `path` alone, to stand between single quotes of YAML. */
void policy_add_pattern(struct slice path, struct text *text);
/* Whether a rule with the method and the path of a request that no row fits reaches it. */
bool policy_method_tells(const struct docker_request *request);
/* Write "presets/traefik.yaml:7", or "built in". */
void policy_add_place(struct place place, struct text *text);

/* Whether a pattern can fit a path that begins with an API version, or is none at all. */
bool policy_pattern_sees_version(const char *pattern);

/* ── Review ──────────────────────────────────────────────────────────────── */

/* Note that requests are judged by `policy`, and so by all that it extends; compiled ones alone. */
void policy_use(const struct policy *policy);
bool policy_is_used(const struct policy *policy);
/*
 * A rule of a compiled policy that never decides. `before` is one that decides in its place; NULL:
 * it fits nothing that the rules before it leave.
 */
typedef void policy_idle_rule(
        void *context, const char *rule, struct place place, const char *before);
void policy_list_idle_rules(const struct policy *policy, policy_idle_rule *found, void *context);

/* ── Building ────────────────────────────────────────────────────────────── */

/*
 * What a rule fits: every condition that is given must hold. Requests that no
 * row of the catalogue fits are reached by the operation `unknown`, by `*`
 * alone, by `sections` and by paths; and where a rule denies, also by methods
 * alone.
 */
struct policy_match {
	/* Globs over operation names: `*` is any run of characters but dots, at the end of dots
	 * as well; `*` alone: all there is. NULL: any. */
	const char *const *operations;
	const unsigned *operation_lines; /* where each is written; NULL: all where the rule is */
	unsigned operation_count;
	/* Requests no row fits, and those of rows, that belong to these sections: bit
	 * 1 << enum docker_section; 0: any. */
	uint64_t sections;
	const char *const *methods; /* as in the request line; NULL: any */
	const unsigned *method_lines;
	unsigned method_count;
	const char *path; /* PCRE2 over the whole decoded path, version removed; NULL: any */
	const char *versioned_path; /* the same over docker_versioned_path(); NULL: any */
};

/* Write the rule as it stands in a file, in one line: "allow: [container.list]". */
void policy_write_rule(struct text *text, bool allow, const struct policy_match *match);

/*
 * Functions that fail return -EINVAL and leave a fault in `error`; the set can then only be freed.
 * Strings are copied, but `file` of a place, which must stay. NULL: there is no memory.
 */
struct policy_set *policy_set_new(void) MUST_USE;
/* Policies are written and named in the configuration file `file`, which advice then names. */
void policy_set_written_in(struct policy_set *set, const char *file);
void policy_set_free(struct policy_set *set);
/*
 * The policy or preset called `name`; not yet compiled unless policy_compile() was
 * called on it. `place` is where the name is written.
 */
int policy_set_find(struct policy_set *set, struct slice name, struct place place,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;

/* The compiled policy behind `policy`, or the first one for NULL; NULL at the end. */
const struct policy *policy_set_next(const struct policy_set *set, const struct policy *policy);

int policy_new(struct policy_set *set, struct slice name, struct place place,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;
/* A denial is recorded and let through. */
void policy_observe(struct policy *policy);
/* `text` is what messages call the rule: "allow: [container.*]", "CONTAINERS=1". */
int policy_add_rule(struct policy *policy, bool allow, const struct policy_match *match,
        const char *text, struct place place, char error[FAULT_MAX]) MUST_USE;
/* The rules of `name` are tried after the policy's own. */
int policy_extend(struct policy *policy, struct slice name, struct place place,
        char error[FAULT_MAX]) MUST_USE;
/*
 * A policy that is called `name`, whatever characters it has, and allows what any of `members`
 * allows: names with commas between them, or none. Of several none may have a rule that denies,
 * for then their order would decide. It observes when all of them do.
 */
int policy_unite(struct policy_set *set, struct slice name, struct slice members,
        struct place place, struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;
/* Resolve `extends` and make the tables; after it nothing may be added. Compiling twice is fine. */
int policy_compile(struct policy *policy, char error[FAULT_MAX]) MUST_USE;

#endif
