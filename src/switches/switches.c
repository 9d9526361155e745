/* SPDX-License-Identifier: MIT */
#include "switches/switches.h"

#include <errno.h>
#include <stdio.h>

/* ── The table ───────────────────────────────────────────────────────────── */

enum { POST = DOCKER_SECTION_COUNT };

static const struct switch_row rows[SWITCHES_COUNT] = {
#define SECTION(name, segment, switch_name, on)                                                    \
	{.variable = (switch_name), .kind = SWITCH_SECTION, .preset = (on)},
#include "docker/sections.def"
#undef SECTION
        {.variable = "POST", .kind = SWITCH_POST},
#define ACTION(name, ...) {.variable = #name, .kind = SWITCH_ACTION, .operations = {__VA_ARGS__}},
#define DETAIL(name, ...)
#include "switches/switches.def"
#undef ACTION
#undef DETAIL
#define ACTION(name, ...)
#define DETAIL(name, ...) {.variable = #name, .kind = SWITCH_DETAIL, .operations = {__VA_ARGS__}},
#include "switches/switches.def"
#undef ACTION
#undef DETAIL
};

const struct switch_row *switches_row(unsigned number)
{
	ASSERT(number < SWITCHES_COUNT);
	return &rows[number];
}

unsigned switches_find(struct slice name)
{
	unsigned number = 0;

	while (number < SWITCHES_COUNT && !slice_equal(name, slice_of(rows[number].variable))) {
		number++;
	}
	return number;
}

bool switches_read_value(struct slice text, enum switch_value *ret_value)
{
	static const char *const words[][4] = {
	        {"0", "false", "no", "off"},
	        {"1", "true", "yes", "on"},
	};

	for (unsigned on = 0; on < 2; on++) {
		for (unsigned i = 0; i < ARRAY_LEN(words[on]); i++) {
			if (slice_equal_nocase(text, slice_of(words[on][i]))) {
				*ret_value = on ? SWITCH_ON : SWITCH_OFF;
				return true;
			}
		}
	}
	return false;
}

bool switches_is_on(const struct switches *switches, unsigned number)
{
	const enum switch_value value = switches->values[number];

	return value == SWITCH_UNSET ? rows[number].preset : value == SWITCH_ON;
}

/* ── Rules ───────────────────────────────────────────────────────────────── */

static unsigned count_operations(const struct switch_row *row)
{
	unsigned count = 0;

	while (count < SWITCHES_OPERATIONS_MAX && row->operations[count] != NULL) {
		count++;
	}
	return count;
}

static struct switch_rule rule_of(const struct switch_row *row, bool allow)
{
	struct switch_rule rule = {
	        .allow = allow,
	        .operations = row->operations,
	        .operation_count = count_operations(row),
	        .section = DOCKER_SECTION_NONE,
	        .row = row,
	};

	(void)snprintf(rule.text, sizeof(rule.text), "%s=%d", row->variable, allow);
	return rule;
}

/* GET …/attach/ws is the one GET that writes: to a container's standard input. */
static struct switch_rule attach_rule(void)
{
	static const char *const operations[] = {"container.attach_ws"};
	struct switch_rule rule = rule_of(&rows[POST], false);

	rule.operations = operations;
	rule.operation_count = ARRAY_LEN(operations);
	return rule;
}

static struct switch_rule section_rule(enum docker_section section, bool post)
{
	struct switch_rule rule = rule_of(&rows[section], true);

	rule.section = section;
	rule.reads_only = !post;
	(void)snprintf(rule.text, sizeof(rule.text), "%s=1%s", rows[section].variable,
	        post ? " and POST=1" : "");
	return rule;
}

/* The rules that one switch makes: none or one. */
static unsigned list_rule(
        const struct switches *switches, unsigned number, struct switch_rule *ret_rule)
{
	const struct switch_row *row = &rows[number];

	switch (row->kind) {
	case SWITCH_DETAIL:
		*ret_rule = rule_of(row, false);
		return switches->values[number] == SWITCH_OFF;
	case SWITCH_ACTION:
		*ret_rule = rule_of(row, true);
		return switches_is_on(switches, number);
	case SWITCH_POST:
		*ret_rule = attach_rule();
		return !switches_is_on(switches, POST) &&
		       switches_is_on(switches, DOCKER_SECTION_CONTAINERS);
	case SWITCH_SECTION:
		*ret_rule =
		        section_rule((enum docker_section)number, switches_is_on(switches, POST));
		return switches_is_on(switches, number);
	}
	ASSERT(false); /* every kind is above */
	return 0;
}

unsigned switches_list_rules(
        const struct switches *switches, struct switch_rule rules[SWITCHES_RULES_MAX])
{
	static const enum switch_kind order[] = {
	        SWITCH_DETAIL, SWITCH_ACTION, SWITCH_POST, SWITCH_SECTION};
	unsigned count = 0;

	for (unsigned kind = 0; kind < ARRAY_LEN(order); kind++) {
		for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
			if (rows[number].kind == order[kind]) {
				count += list_rule(switches, number, &rules[count]);
			}
		}
	}
	return count;
}

/* ── The policy ──────────────────────────────────────────────────────────── */

static bool has_operation(const struct switch_row *row, const char *operation)
{
	for (unsigned i = 0; i < count_operations(row); i++) {
		if (strcmp(row->operations[i], operation) == 0) {
			return true;
		}
	}
	return false;
}

/* The narrowest switch that opens or closes `operation`; NULL: none. */
static const struct switch_row *finest(const char *operation, enum switch_kind kind)
{
	const struct switch_row *best = NULL;

	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const struct switch_row *row = &rows[number];
		if (row->kind == kind && has_operation(row, operation) &&
		        (best == NULL || count_operations(row) <= count_operations(best))) {
			best = row;
		}
	}
	return best;
}

static void add_setting(struct text *text, const char *variable, bool *first)
{
	text_add_format(text, "%s%s=1", *first ? "" : " and ", variable);
	*first = false;
}

/* What is missing: "set ALLOW_START=1, or CONTAINERS=1 and POST=1". */
static void advise(const void *context, const struct docker_request *request, struct text *text)
{
	const struct switches *switches = context;
	const enum docker_section section = docker_id_section(request->id);
	/* What no row fits must be allowed as what the Engine would serve it by. */
	const char *operation = docker_operation_name(request->served_id);
	const struct switch_row *action = finest(docker_operation_name(request->id), SWITCH_ACTION);
	const struct switch_row *detail = finest(operation, SWITCH_DETAIL);
	const bool writes = !docker_id_is_read_method(request->id) ||
	                    strcmp(operation, "container.attach_ws") == 0;
	bool first = true;

	if (section == DOCKER_SECTION_NONE) {
		text_add_format(text, "use POLICY or CONFIG in place of switches: none opens it");
		return;
	}
	text_add_format(text, "set ");
	if (action != NULL) {
		text_add_format(text, "%s=1, or ", action->variable);
	}
	if (detail != NULL && switches->values[detail - rows] == SWITCH_OFF) {
		add_setting(text, detail->variable, &first);
	}
	if (!switches_is_on(switches, section)) {
		add_setting(text, rows[section].variable, &first);
	}
	if (writes && !switches_is_on(switches, POST)) {
		add_setting(text, "POST", &first);
	}
}

static int add_rule(struct policy *policy, const struct switch_rule *rule, char error[FAULT_MAX])
{
	static const char *const reads[] = {"GET", "HEAD"};
	struct policy_match match = {
	        .operations = rule->operations,
	        .operation_count = rule->operation_count,
	};

	if (rule->section != DOCKER_SECTION_NONE) {
		match = (struct policy_match){
		        .sections = UINT64_C(1) << rule->section,
		        .methods = rule->reads_only ? reads : NULL,
		        .method_count = rule->reads_only ? ARRAY_LEN(reads) : 0,
		};
	}
	return policy_add_rule(policy, rule->allow, &match, rule->text, NOWHERE, error);
}

int switches_build(struct policy_set *set, const struct switches *switches,
        struct policy **ret_policy, char error[FAULT_MAX])
{
	struct switch_rule rules[SWITCHES_RULES_MAX];
	const unsigned count = switches_list_rules(switches, rules);

	if (policy_new(set, SLICE("switches"), NOWHERE, ret_policy, error) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < count; i++) {
		if (add_rule(*ret_policy, &rules[i], error) < 0) {
			return -EINVAL;
		}
	}
	policy_set_advisor(*ret_policy, advise, switches);
	return policy_compile(*ret_policy, error);
}
