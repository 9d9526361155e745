/* SPDX-License-Identifier: MIT */
/*
 * policy — rules → verdict.
 *
 * A policy is a list of rules. The first rule that fits a request decides; if no
 * rule fits, the request is denied. A policy is built once, at start-up, from YAML,
 * from a preset or from section switches, and then compiled. A compiled policy is
 * immutable and shared by all threads. Compiling writes the rules into a table by
 * request id, so that a decision is one look-up. Only rules with a path pattern are
 * tried at run time, and only for operations whose paths they can fit.
 *
 * Judging is pure: no I/O, no clock.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/fault.h"
#include "base/slice.h"
#include "base/text.h"
#include "docker/docker.h"
#include "engines/engines.h"
#include "inspect/inspect.h"
#include "scope/scope.h"
#include "redact/redact.h"

enum {
	POLICY_NAME_MAX = 64,    /* bytes */
	POLICY_RULES_MAX = 1000, /* of one policy, with the rules of the policies that it extends */
	POLICY_PATTERN_MAX = 1024, /* bytes of a path pattern */
	POLICY_EXTENDS_MAX = 32,   /* names in one policy's `extends` */
	POLICY_DEPTH_MAX = 8,      /* policies that extend each other in a row */
};

/*
 * All policies of a configuration. It always contains `open`, which allows everything, and
 * `deny`, which allows nothing. A preset is read when it is first used. Owns its memory.
 */
struct policy_set;
struct policy;

/* ── Judging ─────────────────────────────────────────────────────────────── */

struct verdict {
	bool allowed;  /* the request is forwarded */
	bool observed; /* enforcing would deny the request; the policy only observes */
	const struct policy *policy; /* the policy with the deciding rule; if no rule fitted, the
	                                judging policy */
	const char *rule;            /* the deciding rule as written; NULL: no rule fitted */
	struct place place;          /* of the rule; if no rule fitted, of the policy */
};

/* Memory for matching patterns; one for each thread that judges. NULL without memory. */
struct policy_scratch;
struct policy_scratch *policy_scratch_new(void) MUST_USE;
void policy_scratch_free(struct policy_scratch *scratch);

/* The policy must be compiled. */
struct verdict policy_judge(const struct policy *policy, const struct docker_request *request,
        struct policy_scratch *scratch);

/* How a policy looks into the requests of an operation. */
struct inspection {
	const struct inspect_operation *operation; /* NULL: not into the query and the body */
	const struct constraints *constraints;
	const char *block;                     /* "create"; "scope", if only the scope counts */
	struct place place;                    /* of it */
	const struct scope *scope;             /* NULL: none */
	const struct scope_operation *scoping; /* NULL under a scope: the operation is refused */
};
/*
 * NULL: no block and no scope does. A policy's own block holds in place of those of the policies
 * that it extends, for all operations that they allow. The policy must be compiled.
 */
const struct inspection *policy_inspection(const struct policy *policy, unsigned id);
/*
 * What is hidden in the answers of an operation; NULL: nothing. It is what the policy asks for
 * together with all policies that it extends. The policy must be compiled.
 */
const struct redaction *policy_redaction(const struct policy *policy, unsigned id);
/* The same for all operations: what was asked for. NULL: nothing. */
const struct redact_wishes *policy_wishes(const struct policy *policy);
/*
 * Append the operations that the policy allows, and whose answers may show what it hides elsewhere,
 * because they are bytes of programs, files and logs. The policy must be compiled.
 */
void policy_add_unredacted(const struct policy *policy, struct text *text);
/* Whether a block constrains the operation, or what the operation acts on. */
bool policy_covers(const struct policy *policy, unsigned id);
/* The scope, with the labels of the policies that it extends; NULL: none. */
const struct scope *policy_scope(const struct policy *policy);
/* Whether it refuses requests of the id, whatever the rules say. */
bool policy_scope_refuses(const struct policy *policy, unsigned id);
/* The Engines for which it is written; NULL: it does not say. With those of the policies that it
 * extends; the policy must be compiled. */
const struct engine_set *policy_engines(const struct policy *policy);
/* Whether it is the policy of policy_learning(). */
bool policy_learns(const struct policy *policy);
/* The block of that kind; NULL: there is none. */
const struct constraints *policy_block(const struct policy *policy, enum inspect_block block);

const char *policy_name(const struct policy *policy);
/* The number that policy_set_number() gave it; 0: none. `policy` may be NULL. */
unsigned policy_number(const struct policy *policy);
bool policy_observes(const struct policy *policy);
struct place policy_place(const struct policy *policy);
/* The `costs` of a preset; NULL: none. */
const char *policy_costs(const struct policy *policy);

/* The verdicts of a policy for a request id, over all paths and methods. */
enum policy_grant {
	POLICY_NEVER,
	POLICY_SOMETIMES, /* a path pattern decides, or the method of an unknown request */
	POLICY_ALWAYS,
};
enum policy_grant policy_grant_of(const struct policy *policy, unsigned id);
/* Whether requests of the id are allowed that fit no path or method of a rule. */
bool policy_allows_rest(const struct policy *policy, unsigned id);

/*
 * The weight of allowing this operation, to compare policies by the sum of their
 * weights. An operation that writes weighs more than all that only read together;
 * one that is enough to become root weighs four times as much as one that writes.
 */
unsigned policy_weight_of(unsigned id);

/*
 * Find the next rule with a `versioned_path` in `policy` itself, without the policies that it
 * extends. *at is the position, 0 at first. False if there is no further rule.
 */
bool policy_next_versioned(
        const struct policy *policy, unsigned *at, struct place *ret_place) MUST_USE;

/* ── Advice ──────────────────────────────────────────────────────────────── */

/*
 * Append what would allow a request, as the end of a sentence after "To allow it, ",
 * without a full stop: "set CONTAINERS=1 and POST=1". Append nothing if nothing
 * would allow it.
 */
typedef void policy_advisor(
        const void *context, const struct docker_request *request, struct text *text);

/* Replace the general advice, which is about presets and YAML. */
void policy_set_advisor(struct policy *policy, policy_advisor *advisor, const void *context);
/*
 * Append what would allow `request`, as an advisor does: the setting, or the rule for
 * the configuration file, and presets that allow the request and everything that the
 * policy allows. Presets for the same app (dozzle, dozzle-actions) come first, then
 * those that open the least. The policy must be compiled. Pure.
 */
void policy_advise(
        const struct policy *policy, const struct docker_request *request, struct text *text);
/*
 * The same to be pasted: YAML, with a comment that says where it belongs, and the variable with its
 * value. Nothing is appended where there is none. The policy must be compiled.
 */
void policy_add_remedy(const struct policy *policy, const struct docker_request *request,
        struct text *yaml, struct text *variable);
/*
 * Append a whole configuration file that allows `request` and everything that the
 * policy allows: "{policy: mine, policies: …}". Append nothing if there is a file, or
 * if other settings than the name of a policy decide.
 */
void policy_add_file(
        const struct policy *policy, const struct docker_request *request, struct text *text);
/*
 * Append the sentences for the client: "container.create is not allowed by policy
 * 'traefik' (presets/traefik.yaml:7). To allow it, …"
 */
void policy_add_denial(const struct policy *policy, const struct docker_request *request,
        const struct verdict *verdict, struct text *text);
/* Append a pattern that fits only `path`, to be put between single quotes in YAML. */
void policy_add_pattern(struct slice path, struct text *text);
/* Whether a rule with the method and path of this unknown request can fit it. */
bool policy_method_tells(const struct docker_request *request);
/* Append "presets/traefik.yaml:7" or "built in". */
void policy_add_place(struct place place, struct text *text);

/* Whether a pattern can fit a path that begins with an API version, or is not a valid pattern. */
bool policy_pattern_sees_version(const char *pattern);

/*
 * Append the operations that the policy allows, that are enough to become root on the host and
 * that no block of it constrains: at most `most` names, and how many more there are; and the keys
 * of blocks that open as much, with `sees_host` as for constraints_add_root(). Nothing, if there
 * are none. The policy must be compiled.
 */
void policy_add_root(const struct policy *policy, unsigned most, bool sees_host, struct text *text);

/* ── Review ──────────────────────────────────────────────────────────────── */

/* Mark a compiled policy, and all policies that it extends, as used by a listener. */
void policy_use(const struct policy *policy);
bool policy_is_used(const struct policy *policy);
/*
 * Called for each rule of a compiled policy that never decides. `before` is the earlier rule that
 * decides instead; NULL: several earlier rules together.
 */
typedef void policy_idle_rule(
        void *context, const char *rule, struct place place, const char *before);
void policy_list_idle_rules(const struct policy *policy, policy_idle_rule *found, void *context);

/* ── Building ────────────────────────────────────────────────────────────── */

/*
 * The conditions of a rule; all that are given must fit. An unknown request is
 * fitted by the operation `unknown`, by `*`, by `sections` and by paths; by methods
 * alone only if the rule denies.
 */
struct policy_match {
	/* Globs for operation names: `*` stands for any characters except dots, at the end of a
	 * glob for dots too; `*` alone fits every request. NULL: no condition. */
	const char *const *operations;
	const unsigned
	        *operation_lines; /* the line of each operation; NULL: the line of the rule */
	unsigned operation_count;
	/* Sections, as bits 1 << enum docker_section, for known and unknown requests; 0: no
	 * condition. */
	uint64_t sections;
	const char *const *methods; /* as in the request line; NULL: no condition */
	const unsigned *method_lines;
	unsigned method_count;
	const char *path; /* PCRE2 for the whole decoded path without version; NULL: no condition */
	const char *versioned_path; /* the same for docker_versioned_path(); NULL: no condition */
};

/* Append the rule as in a file, in one line: "allow: [container.list]". */
void policy_write_rule(struct text *text, bool allow, const struct policy_match *match);

/*
 * Functions that fail return -EINVAL and set `error`; the set can then only be freed. Strings are
 * copied, except `file` of a place, which must outlive the set. NULL: there is no memory.
 */
struct policy_set *policy_set_new(void) MUST_USE;
/* The configuration file is `file`; advice names it. */
void policy_set_written_in(struct policy_set *set, const char *file);
/* What $WORKSPACE stands for in policies that are read later: valid paths, separated by commas. */
void policy_set_workspace(struct policy_set *set, struct slice paths);
/* What policies that are read later may name; it must outlive the set. */
void policy_set_engines(struct policy_set *set, const struct engines *engines);
void policy_set_free(struct policy_set *set);
/*
 * Find the policy or preset called `name`. It is compiled only if policy_compile()
 * was called. `place` is the place of the name, for the fault.
 */
int policy_set_find(struct policy_set *set, struct slice name, struct place place,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;

/* The compiled policy after `policy`, or the first for NULL; NULL at the end. */
const struct policy *policy_set_next(const struct policy_set *set, const struct policy *policy);
/* Give each compiled policy the number of its name, before it judges. */
void policy_set_number(
        struct policy_set *set, unsigned (*number)(void *context, const char *name), void *context);

int policy_new(struct policy_set *set, struct slice name, struct place place,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;
/* Constrain bodies; `constraints` is in the arena of the set. */
void policy_constrain(
        struct policy *policy, enum inspect_block block, const struct constraints *constraints);
/* Keep requests to the objects of a scope, which is in the arena of the set. */
void policy_scope_to(struct policy *policy, const struct scope *scope);
/* The policy is for requests to these Engines; they are in the arena of the set. */
void policy_limit_to(struct policy *policy, const struct engine_set *engines);
/* create: any: no block of that kind holds, whatever the policies have that it extends. */
void policy_lift(struct policy *policy, enum inspect_block block);
/* Hide what one word of `redact:` says, in answers: "env". */
int policy_redact(struct policy *policy, struct slice word, struct place place,
        char error[FAULT_MAX]) MUST_USE;
/* mode: observe: denied requests are forwarded and recorded. */
void policy_observe(struct policy *policy);
/* `text` is the rule in messages: "allow: [container.*]", "CONTAINERS=1". */
int policy_add_rule(struct policy *policy, bool allow, const struct policy_match *match,
        const char *text, struct place place, char error[FAULT_MAX]) MUST_USE;
/* Try the rules of `name` after the rules of `policy`. */
int policy_extend(struct policy *policy, struct slice name, struct place place,
        char error[FAULT_MAX]) MUST_USE;
/*
 * Make a policy called `name` (any characters) that allows what one of `members` allows: names of
 * policies, separated by commas, or nothing. With several members, a member with a deny rule is an
 * error, because their order would decide. The policy observes if all members observe.
 */
int policy_unite(struct policy_set *set, struct slice name, struct slice members,
        struct place place, struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;
/*
 * Make a policy called `open` for learning: it allows every request, and its blocks find all that
 * a body asks for.
 */
int policy_learning(
        struct policy_set *set, struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;
/* Resolve `extends` and make the tables. Add nothing after that. A second call does nothing. */
int policy_compile(struct policy *policy, char error[FAULT_MAX]) MUST_USE;

#endif
