/* SPDX-License-Identifier: MIT */
/*
 * switches — the variables of Tecnativa's and linuxserver's proxies, as a policy.
 *
 *   CONTAINERS=1     GET and HEAD below /containers; any method with POST=1
 *   DELETE=0         not with this method, although POST=1
 *   ALLOW_START=1    this action, whatever CONTAINERS and POST are
 *   ALLOW_LOGS=0     not this one, although CONTAINERS=1
 *
 * switches.def and docker/sections.def list all switches. The switches become a
 * short list of rules, of which the first that fits decides. The rules make a
 * policy, and `convert` prints them.
 */
#ifndef SWITCHES_SWITCHES_H
#define SWITCHES_SWITCHES_H

#include "base/check.h"
#include "base/slice.h"
#include "docker/docker.h"
#include "policy/policy.h"

enum {
	SWITCHES_METHODS = 0
#define METHOD(...) +1
#define SWITCH(...)
#define FORMER(...)
#include "switches/switches.def"
#undef METHOD
#undef SWITCH
#undef FORMER
	,
	SWITCHES_OF_OPERATIONS = 0
#define METHOD(...)
#define SWITCH(...) +1
#define FORMER(...)
#include "switches/switches.def"
#undef METHOD
#undef SWITCH
#undef FORMER
	,
	SWITCHES_COUNT = DOCKER_SECTION_COUNT + 1 + SWITCHES_METHODS + SWITCHES_OF_OPERATIONS,
	/* Each switch may deny and allow, and a section allow each method. */
	SWITCHES_RULES_MAX = 2 * SWITCHES_COUNT + DOCKER_SECTION_COUNT * SWITCHES_METHODS,
	SWITCHES_OPERATIONS_MAX = 9, /* of one row of switches.def */
};

enum switch_kind {
	SWITCH_SECTION,
	SWITCH_POST,
	SWITCH_METHOD,
	SWITCH_OPERATIONS,
};

/* The effects of a switch of operations; bits. */
enum switch_effects {
	SWITCH_OPENS = 1 << 0,
	SWITCH_CLOSES = 1 << 1,
};

enum switch_value {
	SWITCH_UNSET = 0,
	SWITCH_OFF,
	SWITCH_ON,
};

/* A row of the table, by a number below SWITCHES_COUNT; the number of a section is its enum. */
struct switch_row {
	const char *variable;
	enum switch_kind kind;
	bool on_by_default;                              /* for sections: the value if not set */
	unsigned effects;                                /* bits of enum switch_effects */
	const char *operations[SWITCHES_OPERATIONS_MAX]; /* up to the first NULL */
};

const struct switch_row *switches_row(unsigned number);
/* The number of the switch called `name`; SWITCHES_COUNT if there is none. */
unsigned switches_find(struct slice name);
/* The former name of the switch; NULL: none. */
const char *switches_former_name(unsigned number);
/* Whether `name` is the name or former name of a switch. */
bool switches_is_name(struct slice name);

/* The value of each switch: an enum switch_value by number. */
struct switches {
	uint8_t values[SWITCHES_COUNT];
};

/* 1, true, yes, on; 0, false, no, off, empty; in any letter case. False for any other text. */
bool switches_read_value(struct slice text, enum switch_value *ret_value) MUST_USE;
/* The end of a sentence that refuses another value. */
#define SWITCHES_ACCEPTED "give 1, true, yes or on to open, 0, false, no or off to close"

bool switches_is_on(const struct switches *switches, unsigned number);

struct switch_rule {
	const char *const *
	        operations; /* count 0: the rule is for a section; without a section, for methods */
	const struct switch_row *row; /* the switch that made the rule */
	const char *const *methods;   /* NULL: any */
	unsigned operation_count;
	enum docker_section section;
	unsigned method_count;
	bool allow;
	char text[64]; /* "CONTAINERS=1 and POST=1" */
};

/* Write the rules in their order. Returns their number. */
unsigned switches_list_rules(
        const struct switches *switches, struct switch_rule rules[SWITCHES_RULES_MAX]);

/* What would allow a request, as a policy_advisor; `context` is the switches. */
void switches_advise(const void *context, const struct docker_request *request, struct text *text);

/* The policy called `switches`, compiled; `switches` must outlive it. */
int switches_build(struct policy_set *set, const struct switches *switches,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;

#endif
