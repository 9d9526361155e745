/* SPDX-License-Identifier: MIT */
/*
 * draft — the configuration that is being written. Private to convert/.
 *
 * Every rule is added twice: as YAML to the text, and to a policy. The policy
 * finds errors while the place in the input is known, and gives verdicts.
 */
#ifndef CONVERT_DRAFT_H
#define CONVERT_DRAFT_H

#include "base/arena.h"
#include "base/text.h"
#include "policy/policy.h"

#include <stdio.h>

struct draft {
	struct arena arena;
	char *memory;     /* of the parts */
	struct text head; /* comments in front of everything */
	struct text listeners;
	struct text upstream;
	struct text policies;
	struct text warnings;
	struct policy_set *set;
	struct policy *policy; /* to which rules are added */
	unsigned rule_count;   /* of that policy */
	char *error;
};

void draft_new(struct draft *ret_draft, char error[FAULT_MAX]);
void draft_free(struct draft *draft);

/* Where a comment is written, and whether it is also a warning. */
enum draft_comment {
	DRAFT_NOTE,    /* in front of everything */
	DRAFT_CAUTION, /* likewise, and a warning */
	DRAFT_LOST,    /* likewise, as NOT CONVERTED, and a warning */
	DRAFT_REMARK,  /* in front of the next rule */
	DRAFT_DOUBT,   /* likewise, and a warning */
	DRAFT_DROPPED, /* likewise, as NOT CONVERTED, and a warning */
};
void draft_say(struct draft *draft, enum draft_comment comment, const char *format, ...)
        PRINTF_LIKE(3, 4);

/* `place`: of the address in the input, or of the setting that it is made from. */
struct draft_listener {
	const char *address;
	const char *policy; /* its name */
	unsigned mode;      /* of a unix socket's file; 0: none is written */
	struct place place;
};
int draft_listener(struct draft *draft, const struct draft_listener *listener) MUST_USE;
/* The path of the Engine's socket. */
int draft_upstream(struct draft *draft, const char *path, struct place place) MUST_USE;
/* The rules that follow belong to the policy `name`. */
int draft_policy(struct draft *draft, const char *name) MUST_USE;
/* Operations alone, or methods and paths. */
int draft_rule(struct draft *draft, bool allow, const struct policy_match *match,
        struct place place) MUST_USE;
/*
 * The policy is complete; a policy without rules denies everything. Adds a comment if the policy
 * allows GET …/attach/ws and denies POST …/attach.
 */
int draft_compile(struct draft *draft) MUST_USE;
/* -EINVAL: the result is too long. */
int draft_check_size(struct draft *draft) MUST_USE;
void draft_print(const struct draft *draft, FILE *output, FILE *warnings);

/* A host and a port as a listener's address; no host, "*" and "::" are all interfaces. */
const char *draft_tcp_address(struct draft *draft, struct slice host, struct slice port);
bool draft_is_loopback(struct slice host);
bool draft_is_port(struct slice port);

#endif
