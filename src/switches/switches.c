/* SPDX-License-Identifier: MIT */
#include "switches/switches.h"

#include <errno.h>
#include <stdio.h>

/* ── The table ───────────────────────────────────────────────────────────── */

enum { POST = DOCKER_SECTION_COUNT, OPENS = SWITCH_OPENS, CLOSES = SWITCH_CLOSES };

static const struct switch_row rows[SWITCHES_COUNT] = {
#define SECTION(name, segment, switch_name, on)                                                    \
	{.variable = (switch_name), .kind = SWITCH_SECTION, .on_by_default = (on)},
#include "docker/sections.def"
#undef SECTION
        {.variable = "POST", .kind = SWITCH_POST},
#define METHOD(name) {.variable = #name, .kind = SWITCH_METHOD},
#define FORMER(...)
#define SWITCH(name, what, ...)                                                                    \
	{.variable = #name,                                                                        \
	        .kind = SWITCH_OPERATIONS,                                                         \
	        .effects = (what),                                                                 \
	        .operations = {__VA_ARGS__}},
#include "switches/switches.def"
#undef METHOD
#undef SWITCH
#undef FORMER
};

static const struct {
	const char *name;
	const char *variable;
} former_names[] = {
#define METHOD(...)
#define SWITCH(...)
#define FORMER(name, variable) {#name, #variable},
#include "switches/switches.def"
#undef METHOD
#undef SWITCH
#undef FORMER
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

const char *switches_former_name(unsigned number)
{
	const char *name = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(former_names); i++) {
		if (strcmp(former_names[i].variable, switches_row(number)->variable) == 0) {
			name = former_names[i].name;
		}
	}
	return name;
}

bool switches_is_name(struct slice name)
{
	bool found = switches_find(name) < SWITCHES_COUNT;

	for (unsigned i = 0; !found && i < ARRAY_LEN(former_names); i++) {
		found = slice_equal(name, slice_of(former_names[i].name));
	}
	return found;
}

bool switches_read_value(struct slice text, enum switch_value *ret_value)
{
	static const char *const words[][5] = {
	        {"0", "false", "no", "off", ""},
	        {"1", "true", "yes", "on", NULL},
	};

	for (unsigned on = 0; on < 2; on++) {
		for (unsigned i = 0; i < ARRAY_LEN(words[on]) && words[on][i] != NULL; i++) {
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

	if (value == SWITCH_UNSET && rows[number].kind == SWITCH_METHOD) {
		return switches->values[POST] == SWITCH_ON;
	}
	return value == SWITCH_UNSET ? rows[number].on_by_default : value == SWITCH_ON;
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

/* `row->variable` is the method. */
static void set_method(struct switch_rule *rule, const struct switch_row *row)
{
	rule->methods = &row->variable;
	rule->method_count = 1;
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

/* Any method with POST; without it GET and HEAD, or the method of the row `more`. */
static struct switch_rule section_rule(
        enum docker_section section, bool post, const struct switch_row *more)
{
	static const char *const reads[] = {"GET", "HEAD"};
	struct switch_rule rule = rule_of(&rows[section], true);
	const char *beside = more != NULL ? more->variable : post ? rows[POST].variable : NULL;

	rule.section = section;
	if (more != NULL) {
		set_method(&rule, more);
	} else if (!post) {
		rule.methods = reads;
		rule.method_count = ARRAY_LEN(reads);
	}
	(void)snprintf(rule.text, sizeof(rule.text), "%s=1%s%s%s", rows[section].variable,
	        beside != NULL ? " and " : "", beside != NULL ? beside : "",
	        beside != NULL ? "=1" : "");
	return rule;
}

/* The rules under construction. */
struct list {
	const struct switches *switches;
	struct switch_rule *rules;
	unsigned count;
};

static void list_closing(struct list *list, unsigned number)
{
	const struct switch_row *row = &rows[number];
	const bool off = list->switches->values[number] == SWITCH_OFF;

	if (!off || (row->effects & CLOSES) == 0) {
		return;
	}
	list->rules[list->count++] = rule_of(row, false);
}

/* Without POST nothing allows the method. */
static void list_method(struct list *list, unsigned number)
{
	const struct switch_row *row = &rows[number];
	const bool off = list->switches->values[number] == SWITCH_OFF;

	if (!off || row->kind != SWITCH_METHOD || !switches_is_on(list->switches, POST)) {
		return;
	}
	struct switch_rule *rule = &list->rules[list->count++];
	*rule = rule_of(row, false);
	set_method(rule, row);
}

static void list_opening(struct list *list, unsigned number)
{
	if ((rows[number].effects & OPENS) != 0 && switches_is_on(list->switches, number)) {
		list->rules[list->count++] = rule_of(&rows[number], true);
	}
}

static void list_attach(struct list *list, unsigned number)
{
	if (rows[number].kind == SWITCH_POST && !switches_is_on(list->switches, POST) &&
	        switches_is_on(list->switches, DOCKER_SECTION_CONTAINERS)) {
		list->rules[list->count++] = attach_rule();
	}
}

static void list_section(struct list *list, unsigned number)
{
	const enum docker_section section = (enum docker_section)number;
	const bool post = switches_is_on(list->switches, POST);

	if (rows[number].kind != SWITCH_SECTION || !switches_is_on(list->switches, number)) {
		return;
	}
	list->rules[list->count++] = section_rule(section, post, NULL);
	for (unsigned more = 0; !post && more < SWITCHES_COUNT; more++) {
		if (rows[more].kind == SWITCH_METHOD && switches_is_on(list->switches, more)) {
			list->rules[list->count++] = section_rule(section, post, &rows[more]);
		}
	}
}

unsigned switches_list_rules(
        const struct switches *switches, struct switch_rule rules[SWITCHES_RULES_MAX])
{
	static void (*const steps[])(struct list *, unsigned) = {
	        list_closing, list_method, list_opening, list_attach, list_section};
	struct list list = {.switches = switches, .rules = rules};

	for (unsigned step = 0; step < ARRAY_LEN(steps); step++) {
		for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
			steps[step](&list, number);
		}
	}
	return list.count;
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

/* The narrowest switch that has this effect on `operation`; NULL: none. */
static const struct switch_row *finest(const char *operation, enum switch_effects effect)
{
	const struct switch_row *best = NULL;

	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const struct switch_row *row = &rows[number];
		if ((row->effects & effect) != 0 && has_operation(row, operation) &&
		        (best == NULL || count_operations(row) <= count_operations(best))) {
			best = row;
		}
	}
	return best;
}

/* What a request that writes needs: POST, or the switch of its method, which opens less. */
static unsigned method_switch(const struct docker_request *request)
{
	const unsigned number = switches_find(request->method);

	return number < SWITCHES_COUNT && rows[number].kind == SWITCH_METHOD ? number : POST;
}

static void add_setting(struct text *text, const char *variable, bool *first)
{
	text_add_format(text, "%s%s=1", *first ? "" : " and ", variable);
	*first = false;
}

/* The settings that open the section and the method, and what is closed in it. */
static void advise_section(const struct switches *switches, const struct docker_request *request,
        const struct switch_row *closed, struct text *text)
{
	const enum docker_section section = docker_id_section(request->id);
	const unsigned method = method_switch(request);
	const bool writes =
	        !docker_id_is_read_method(request->id) ||
	        strcmp(docker_operation_name(request->served_id), "container.attach_ws") == 0;
	bool first = true;

	if (closed != NULL) {
		add_setting(text, closed->variable, &first);
	}
	if (!switches_is_on(switches, section)) {
		add_setting(text, rows[section].variable, &first);
	}
	if (writes && !switches_is_on(switches, method)) {
		add_setting(text, rows[method].variable, &first);
	}
}

/* What is missing: "set ALLOW_START=1, or CONTAINERS=1 and POST=1". */
void switches_advise(const void *context, const struct docker_request *request, struct text *text)
{
	const struct switches *switches = context;
	/* What no row fits must be allowed as what the Engine would serve it by. */
	const char *operation = docker_operation_name(request->served_id);
	const struct switch_row *opening = finest(docker_operation_name(request->id), SWITCH_OPENS);
	const struct switch_row *closing = finest(operation, SWITCH_CLOSES);
	const bool closed = closing != NULL && switches->values[closing - rows] == SWITCH_OFF;

	if (docker_id_section(request->id) == DOCKER_SECTION_NONE) {
		text_add_format(
		        text, "use POLICY or CONFIG instead of switches: no switch allows it");
		return;
	}
	if (closed && (closing->effects & OPENS) != 0) {
		text_add_format(text, "set %s=1", closing->variable);
		return;
	}
	text_add_format(text, "set ");
	if (opening != NULL) {
		text_add_format(text, "%s=1, or ", opening->variable);
	}
	advise_section(switches, request, closed ? closing : NULL, text);
}

static int add_rule(struct policy *policy, const struct switch_rule *rule, char error[FAULT_MAX])
{
	const struct policy_match match = {
	        .operations = rule->operations,
	        .operation_count = rule->operation_count,
	        .methods = rule->methods,
	        .method_count = rule->method_count,
	        .sections = rule->section == DOCKER_SECTION_NONE ? 0 : UINT64_C(1) << rule->section,
	};

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
	policy_set_advisor(*ret_policy, switches_advise, switches);
	return policy_compile(*ret_policy, error);
}
