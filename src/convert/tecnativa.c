/* SPDX-License-Identifier: MIT */
/*
 * Tecnativa's and linuxserver's proxies: HAProxy with rules that depend on
 * variables. switches/ makes the rules from the values as HAProxy reads them;
 * this file has the differences between these proxies and this program.
 */
#include "convert/sources.h"

#include "switches/bind.h"
#include "switches/switches.h"

#include <errno.h>

const struct known_setting convert_switched_settings[] = {
        {.variable = "BIND_CONFIG"},
        {.variable = "DISABLE_IPV6"},
        {.variable = "SOCKET_PATH"},
        {.variable = "LOG_LEVEL", .note = "goes on as a variable of the environment"},
        {.variable = "PUID"},
        {.variable = "PGID"},
        {.variable = "TZ"},
        {.flag = NULL},
};

/* In lists of names (without "ALLOW_") each name has a space on both sides. */
struct flavour {
	const char *policy;
	const char *details;    /* closed until they are 1 */
	const char *actions;    /* they only open */
	bool methods;           /* has DELETE, PUT and PATCH, which POST does not open */
	bool podman;            /* knows libpod and its switches */
	bool actions_need_post; /* ALLOW_START alone opens nothing */
	bool words_switch_ipv6; /* DISABLE_IPV6 may be a word */
};

static const struct flavour tecnativa = {
        .policy = "tecnativa",
        .details = "",
        .actions = " RESTARTS START STOP ",
        .actions_need_post = true,
        .words_switch_ipv6 = true,
};
/* The flavour of a file that has a variable of the newest template. */
static const struct flavour tecnativa_newest = {
        .policy = "tecnativa",
        .details = " ARCHIVE ATTACH EXEC EXPORT KILL LOGS ",
        .actions = " RESTARTS START STOP PAUSE UNPAUSE ",
        .methods = true,
        .actions_need_post = true,
        .words_switch_ipv6 = true,
};
static const struct flavour linuxserver = {
        .policy = "linuxserver",
        .details = " ARCHIVE CHANGES EXPORT LOGS TOP ",
        .actions = " RESTARTS START STOP PAUSE UNPAUSE ",
        .podman = true,
};

struct switched {
	const struct flavour *flavour;
	const struct input *input;
	struct draft *draft;
	struct switches switches;
	const struct setting *settings[SWITCHES_COUNT]; /* as given */
};

/* ── Values ──────────────────────────────────────────────────────────────── */

/* To HAProxy a whole number other than 0 is true, and anything else is false. */
static bool is_true(const char *value)
{
	const char *digits = value + (value[0] == '-' || value[0] == '+');

	return strspn(digits, "0123456789") == strlen(digits) &&
	       strspn(digits, "0") < strlen(digits);
}

static bool is_listed(const char *variable, const char *names)
{
	struct slice name = slice_of(variable);
	const char *found = slice_skip(&name, SLICE("ALLOW_")) ? strstr(names, name.ptr) : NULL;

	while (found != NULL && (found[-1] != ' ' || found[name.len] != ' ')) {
		found = strstr(found + 1, name.ptr);
	}
	return found != NULL;
}

static bool is_detail(const struct flavour *flavour, const struct switch_row *row)
{
	return is_listed(row->variable, flavour->details);
}

static bool is_known(const struct flavour *flavour, const struct switch_row *row)
{
	if (strncmp(row->variable, "LIBPOD_", 7) == 0) {
		return flavour->podman;
	}
	if (row->kind != SWITCH_OPERATIONS) {
		return row->kind != SWITCH_METHOD || flavour->methods;
	}
	return is_detail(flavour, row) || is_listed(row->variable, flavour->actions);
}

/* Remark on a word that does not mean off, and that HAProxy reads as 0. */
static void doubt_word(struct switched *switched, const struct setting *setting)
{
	enum switch_value meant = SWITCH_ON;
	const bool number = setting->value[strspn(setting->value, "+-0123456789")] == '\0';

	const bool word = switches_read_value(slice_of(setting->value), &meant);
	if (!number && (!word || meant == SWITCH_ON)) {
		draft_say(switched->draft, DRAFT_DOUBT,
		        "%s=%s was closed: the original reads numbers, and any word as 0. It is "
		        "closed here too. To open it, convert again with %s=1.",
		        setting->name, setting->value, setting->name);
	}
}

/* A variable that the original does not know opens nothing; what it is meant to close is closed. */
static int read_unknown(struct switched *switched, const struct setting *setting, unsigned number)
{
	static const char *const everything[] = {"*"};
	const struct policy_match all = {.operations = everything, .operation_count = 1};
	enum switch_value value = SWITCH_OFF;
	const bool word = switches_read_value(slice_of(setting->value), &value);
	const bool opens = word && value == SWITCH_ON;

	if (number < SWITCHES_COUNT) {
		draft_say(switched->draft, DRAFT_DROPPED,
		        "%s=%s: it did nothing: the original does not know it.%s", setting->name,
		        setting->value, opens ? "" : " What it is meant to close is closed here.");
		switched->switches.values[number] =
		        opens ? switched->switches.values[number] : SWITCH_OFF;
		return 0;
	}
	if (opens || !word) {
		return 0; /* no switch: note_settings() names every such setting */
	}
	draft_say(switched->draft, DRAFT_DROPPED,
	        "%s=%s: it is meant to close something unknown. Therefore everything is denied: "
	        "find "
	        "out what it means, then remove the rule deny: ['*'].",
	        setting->name, setting->value);
	return draft_rule(switched->draft, false, &all, setting->place);
}

/* Rows that are closed until they are 1. */
static bool is_closed_at_first(const struct flavour *flavour, const struct switch_row *row)
{
	return row->kind == SWITCH_METHOD || is_detail(flavour, row);
}

/* 1 opens no detail, and 0 closes no action: both then follow their section and POST. */
static enum switch_value value_of(
        const struct flavour *flavour, const struct switch_row *row, bool on)
{
	if (on) {
		return is_detail(flavour, row) ? SWITCH_UNSET : SWITCH_ON;
	}
	return row->kind != SWITCH_OPERATIONS || is_detail(flavour, row) ? SWITCH_OFF
	                                                                 : SWITCH_UNSET;
}

static int read_setting(struct switched *switched, const struct setting *setting)
{
	const unsigned number = switches_find(slice_of(setting->name));
	const bool on = is_true(setting->value);

	if (setting->kind != SETTING_VARIABLE || input_known(switched->input, setting) != NULL) {
		return 0;
	}
	if (number == SWITCHES_COUNT || !is_known(switched->flavour, switches_row(number))) {
		return read_unknown(switched, setting, number);
	}
	switched->settings[number] = setting;
	doubt_word(switched, setting);
	switched->switches.values[number] =
	        (uint8_t)value_of(switched->flavour, switches_row(number), on);
	return 0;
}

static int read_settings(struct switched *switched)
{
	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const struct switch_row *row = switches_row(number);
		const bool known = is_known(switched->flavour, row);
		const bool can_close =
		        row->kind == SWITCH_METHOD || (row->effects & SWITCH_CLOSES) != 0;
		/* A switch that the original does not know neither allows nor denies. */
		if (known ? is_closed_at_first(switched->flavour, row) : !can_close) {
			switched->switches.values[number] = SWITCH_OFF;
		}
	}
	for (unsigned i = 0; i < switched->input->count; i++) {
		if (read_setting(switched, &switched->input->settings[i]) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* ── Rules ───────────────────────────────────────────────────────────────── */

static struct place place_of(const struct switched *switched, const struct switch_row *row)
{
	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		if (switches_row(number) == row && switched->settings[number] != NULL) {
			return switched->settings[number]->place;
		}
	}
	return (struct place){switched->input->file, 1};
}

/* Without podman's operations if the original does not know podman. */
static int write_rule(struct switched *switched, const struct switch_rule *rule)
{
	const char *operations[SWITCHES_OPERATIONS_MAX];
	char path[128];
	struct policy_match match = {.operations = operations,
	        .methods = rule->methods,
	        .method_count = rule->method_count};

	for (unsigned i = 0; i < rule->operation_count; i++) {
		if (switched->flavour->podman || strncmp(rule->operations[i], "libpod.", 7) != 0) {
			operations[match.operation_count++] = rule->operations[i];
		}
	}
	if (rule->section != DOCKER_SECTION_NONE) {
		(void)snprintf(path, sizeof(path), "/%.*s(/.*)?",
		        SLICE_FMT(docker_section_segment(rule->section)));
		match.path = path;
	}
	return draft_rule(switched->draft, rule->allow, &match, place_of(switched, rule->row));
}

/* Whether the original has a rule of switches/; otherwise a remark says so. */
static bool holds(struct switched *switched, const struct switch_rule *rule)
{
	const struct switches *switches = &switched->switches;

	if (rule->row->kind == SWITCH_POST) {
		return false; /* GET …/attach/ws passes: draft_compile() */
	}
	if (rule->row->kind == SWITCH_OPERATIONS && rule->allow &&
	        switched->flavour->actions_need_post &&
	        !switches_is_on(switches, DOCKER_SECTION_COUNT)) {
		draft_say(switched->draft, DRAFT_DOUBT,
		        "%s=1 opened nothing: the original needs POST=1 too. To open it, add the "
		        "rule allow: [%s].",
		        rule->row->variable, rule->operations[0]);
		return false;
	}
	return true;
}

static int write_rules(struct switched *switched)
{
	struct switch_rule rules[SWITCHES_RULES_MAX];
	const unsigned count = switches_list_rules(&switched->switches, rules);

	for (unsigned i = 0; i < count; i++) {
		const struct switch_rule *rule = &rules[i];
		if (!holds(switched, rule)) {
			continue;
		}
		draft_say(switched->draft, DRAFT_REMARK, "%s%s", rule->text,
		        rule->allow ? "" : ", or not set");
		if (write_rule(switched, rule) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* ── Addresses ───────────────────────────────────────────────────────────── */

static bool is_without_ipv6(const struct switched *switched)
{
	const char *value = input_value(switched->input, "DISABLE_IPV6", "0");
	enum switch_value word = SWITCH_OFF;

	return strcmp(value, "1") == 0 ||
	       (switched->flavour->words_switch_ipv6 &&
	               switches_read_value(slice_of(value), &word) && word == SWITCH_ON &&
	               strcasecmp(value, "on") != 0);
}

static int write_listeners(struct switched *switched)
{
	const struct input *input = switched->input;
	struct draft_listener listener = {
	        .address = is_without_ipv6(switched) ? "tcp://0.0.0.0:2375" : "tcp://*:2375",
	        .policy = switched->flavour->policy,
	        .place = input_place(input, "BIND_CONFIG"),
	};
	const char *words = input_value(input, "BIND_CONFIG", NULL);
	struct bind bind;
	struct slice word;

	if (words == NULL) {
		return draft_listener(switched->draft, &listener);
	}
	const char *problem = bind_read(slice_of(words), &bind, &word);
	if (problem != NULL) {
		draft_say(switched->draft, DRAFT_LOST,
		        "BIND_CONFIG=%s: '%s': %s. The listener is on 127.0.0.1, so that no other "
		        "client can connect.",
		        words, text_show(word).text, problem);
		listener.address = "tcp://127.0.0.1:2375";
		return draft_listener(switched->draft, &listener);
	}
	for (unsigned i = 0; i < bind.count; i++) {
		const bool file = slice_starts_with(slice_of(bind.addresses[i]), SLICE("unix://"));
		listener.address = bind.addresses[i];
		listener.mode = file && bind.has_mode ? bind.mode : 0;
		if (draft_listener(switched->draft, &listener) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* Whether a variable is given that only the newest template knows. */
static bool is_newest(const struct input *input)
{
	bool newest = false;

	for (unsigned i = 0; !newest && i < input->count; i++) {
		const unsigned number = switches_find(slice_of(input->settings[i].name));
		newest = number < SWITCHES_COUNT && !is_known(&tecnativa, switches_row(number)) &&
		         is_known(&tecnativa_newest, switches_row(number));
	}
	return newest;
}

static int convert(const struct flavour *flavour, const struct input *input, struct draft *draft)
{
	struct switched *switched = check_memory(arena_take(&draft->arena, sizeof(*switched)));

	*switched = (struct switched){.flavour = flavour, .input = input, .draft = draft};
	draft_say(draft, DRAFT_NOTE,
	        "The original compares the beginning of a path, in any letter case: CONTAINERS=1 "
	        "also "
	        "allowed /containersfoo and /containers/../secrets. Such paths are not converted.");
	if (write_listeners(switched) < 0 ||
	        draft_upstream(draft, input_value(input, "SOCKET_PATH", "/var/run/docker.sock"),
	                input_place(input, "SOCKET_PATH")) < 0 ||
	        draft_policy(draft, flavour->policy) < 0 || read_settings(switched) < 0 ||
	        write_rules(switched) < 0) {
		return -EINVAL;
	}
	return draft_compile(draft);
}

int convert_tecnativa(struct input *input, struct draft *draft)
{
	const bool newest = is_newest(input);

	if (newest) {
		draft_say(draft, DRAFT_CAUTION,
		        "It has variables that only the newest template knows, such as DELETE and "
		        "ALLOW_EXEC, and is converted as that template: what these variables close "
		        "is closed until they are 1.");
	}
	return convert(newest ? &tecnativa_newest : &tecnativa, input, draft);
}

int convert_linuxserver(struct input *input, struct draft *draft)
{
	return convert(&linuxserver, input, draft);
}
