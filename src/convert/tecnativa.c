/* SPDX-License-Identifier: MIT */
/*
 * Tecnativa's and linuxserver's proxies: HAProxy with rules that look at
 * variables. What they come to is worked out by switches/, from the values as
 * HAProxy reads them; where the two differ from this program it is said here.
 */
#include "convert/sources.h"

#include "switches/switches.h"

#include <errno.h>
#include <stdio.h>

struct flavour {
	const char *policy;
	bool details;           /* knows ALLOW_LOGS and its like, closed until they are 1 */
	bool podman;            /* knows libpod and its switches */
	bool actions_need_post; /* ALLOW_START alone opens nothing */
	bool words_switch_ipv6; /* DISABLE_IPV6 may be a word */
};

static const struct flavour tecnativa = {
        .policy = "tecnativa",
        .actions_need_post = true,
        .words_switch_ipv6 = true,
};
static const struct flavour linuxserver = {
        .policy = "linuxserver",
        .details = true,
        .podman = true,
};

struct switched {
	const struct flavour *flavour;
	const struct input *input;
	struct draft *draft;
	struct switches switches;
	const struct setting *settings[SWITCHES_COUNT]; /* where each was given */
};

/* ── Values ──────────────────────────────────────────────────────────────── */

/* A whole number other than 0 is true for HAProxy, anything else false. */
static bool is_true(const char *value)
{
	const char *digits = value + (value[0] == '-' || value[0] == '+');
	bool zero = true;

	for (const char *c = digits; *c != '\0'; c++) {
		if (*c < '0' || *c > '9') {
			return false;
		}
		zero = zero && *c == '0';
	}
	return !zero;
}

static bool is_known(const struct flavour *flavour, unsigned number)
{
	const struct switch_row *row = switches_row(number);
	const bool libpod = strncmp(row->variable, "LIBPOD_", 7) == 0;

	if (row->kind == SWITCH_METHOD || row->effects == (SWITCH_OPENS | SWITCH_CLOSES)) {
		return false;
	}
	if (row->effects == SWITCH_CLOSES) {
		return flavour->details;
	}
	return flavour->podman || (!libpod && strcmp(row->variable, "ALLOW_PAUSE") != 0 &&
	                                  strcmp(row->variable, "ALLOW_UNPAUSE") != 0);
}

/* A word that is not said to be off, and that HAProxy did not read as on. */
static void doubt_word(struct switched *switched, const struct setting *setting)
{
	enum switch_value meant = SWITCH_ON;
	const bool number = setting->value[strspn(setting->value, "+-0123456789")] == '\0';

	const bool word = switches_read_value(slice_of(setting->value), &meant);
	if (!number && (!word || meant == SWITCH_ON)) {
		draft_say(switched->draft, DRAFT_DOUBT,
		        "%s=%s was closed: the original reads only numbers, and this word as 0. "
		        "So it is closed here. If it was meant to be open, convert again with "
		        "%s=1.",
		        setting->name, setting->value, setting->name);
	}
}

static void read_switch(struct switched *switched, const struct setting *setting)
{
	const unsigned number = switches_find(slice_of(setting->name));

	if (number == SWITCHES_COUNT) {
		return;
	}
	if (!is_known(switched->flavour, number)) {
		draft_say(switched->draft, DRAFT_DOUBT,
		        "%s=%s did nothing: the original does not know it.", setting->name,
		        setting->value);
		return;
	}
	switched->settings[number] = setting;
	switched->switches.values[number] = is_true(setting->value) ? SWITCH_ON : SWITCH_OFF;
	doubt_word(switched, setting);
}

static void read_switches(struct switched *switched)
{
	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const bool known = is_known(switched->flavour, number);
		const struct switch_row *row = switches_row(number);
		const bool closes =
		        row->kind == SWITCH_METHOD || (row->effects & SWITCH_CLOSES) != 0;
		/* What the original does not know, it does not allow; nor does it close that. */
		if (!known || closes) {
			switched->switches.values[number] =
			        closes && !known ? SWITCH_UNSET : SWITCH_OFF;
		}
	}
	for (unsigned i = 0; i < switched->input->count; i++) {
		if (switched->input->settings[i].kind == SETTING_VARIABLE) {
			read_switch(switched, &switched->input->settings[i]);
		}
	}
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

static int write_section(struct switched *switched, const struct switch_rule *rule)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/%.*s(/.*)?",
	        SLICE_FMT(docker_section_segment(rule->section)));
	const struct draft_rule written = {
	        .allow = true,
	        .methods = rule->methods,
	        .method_count = rule->method_count,
	        .path = path,
	        .place = place_of(switched, rule->row),
	};
	return draft_rule(switched->draft, &written);
}

/* The operations that the original opens with it: without podman only the Engine's own. */
static int write_operations(struct switched *switched, const struct switch_rule *rule)
{
	const char *operations[SWITCHES_OPERATIONS_MAX];
	struct draft_rule written = {
	        .allow = rule->allow,
	        .operations = operations,
	        .place = place_of(switched, rule->row),
	};

	for (unsigned i = 0; i < rule->operation_count; i++) {
		if (switched->flavour->podman || strncmp(rule->operations[i], "libpod.", 7) != 0) {
			operations[written.operation_count++] = rule->operations[i];
		}
	}
	return draft_rule(switched->draft, &written);
}

/* Whether a rule of switches/ holds in the original; what does not is remarked on. */
static bool holds(struct switched *switched, const struct switch_rule *rule)
{
	const struct switches *switches = &switched->switches;
	const bool post = switches_is_on(switches, DOCKER_SECTION_COUNT);

	switch (rule->row->kind) {
	case SWITCH_SECTION:
		return true;
	case SWITCH_POST:
		return false; /* GET …/attach/ws passes: convert_note_attach() */
	case SWITCH_METHOD:
		return true;
	case SWITCH_OPERATIONS:
		if (!rule->allow) {
			return switches_is_on(switches, DOCKER_SECTION_CONTAINERS) ||
			       switches_is_on(switches, DOCKER_SECTION_LIBPOD_CONTAINERS) ||
			       switches_is_on(switches, DOCKER_SECTION_LIBPOD_PODS);
		}
		if (switched->flavour->actions_need_post && !post) {
			draft_say(switched->draft, DRAFT_DOUBT,
			        "%s=1 opened nothing: the original wants POST=1 too. If it was "
			        "meant to be open, add the rule allow: [%s].",
			        rule->row->variable, rule->operations[0]);
			return false;
		}
		return true;
	}
	ASSERT(false); /* every kind is above */
	return false;
}

static int write_rules(struct switched *switched)
{
	struct switch_rule rules[SWITCHES_RULES_MAX];
	const unsigned count = switches_list_rules(&switched->switches, rules);

	for (unsigned i = 0; i < count; i++) {
		const struct switch_rule *rule = &rules[i];
		const bool section = rule->row->kind == SWITCH_SECTION;
		if (!holds(switched, rule)) {
			continue;
		}
		draft_say(switched->draft, DRAFT_REMARK, "%s%s", rule->text,
		        rule->allow ? "" : ", or not set");
		if ((section ? write_section(switched, rule) : write_operations(switched, rule)) <
		        0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* ── Addresses ───────────────────────────────────────────────────────────── */

static bool is_without_ipv6(const struct switched *switched)
{
	const struct setting *setting = input_find(switched->input, NULL, "DISABLE_IPV6");
	static const char *const words[] = {"1", "true", "yes"};
	bool off = false;

	for (unsigned i = 0; setting != NULL && i < ARRAY_LEN(words); i++) {
		off = off ||
		      ((i == 0 || switched->flavour->words_switch_ipv6) &&
		              slice_equal_nocase(slice_of(setting->value), slice_of(words[i])));
	}
	return off;
}

static int write_addresses(struct switched *switched)
{
	const struct input *input = switched->input;
	const struct setting *level = input_find(input, NULL, "LOG_LEVEL");
	const struct draft_listener listener = {
	        .address = is_without_ipv6(switched) ? "tcp://0.0.0.0:2375" : "tcp://*:2375",
	        .policy = switched->flavour->policy,
	        .place = {input->file, 1},
	};

	if (level != NULL) {
		draft_say(switched->draft, DRAFT_NOTE,
		        "LOG_LEVEL=%s goes on as a variable of the environment.", level->value);
	}
	if (draft_listener(switched->draft, &listener) < 0) {
		return -EINVAL;
	}
	return draft_upstream(switched->draft,
	        input_value(input, NULL, "SOCKET_PATH", "/var/run/docker.sock"),
	        input_place(input, NULL, "SOCKET_PATH"));
}

static int convert(const struct flavour *flavour, const struct input *input, struct draft *draft)
{
	struct switched *switched = arena_take(&draft->arena, sizeof(*switched));

	*switched = (struct switched){.flavour = flavour, .input = input, .draft = draft};
	draft_say(draft, DRAFT_NOTE,
	        "The original compares how a path begins, in any letter case: CONTAINERS=1 also "
	        "passed /containersfoo and /containers/../secrets on. That is not carried over.");
	if (write_addresses(switched) < 0 || draft_policy(draft, flavour->policy) < 0) {
		return -EINVAL;
	}
	read_switches(switched);
	if (write_rules(switched) < 0 || draft_compile(draft) < 0) {
		return -EINVAL;
	}
	convert_note_attach(draft);
	return 0;
}

int convert_tecnativa(struct input *input, struct draft *draft)
{
	return convert(&tecnativa, input, draft);
}

int convert_linuxserver(struct input *input, struct draft *draft)
{
	return convert(&linuxserver, input, draft);
}
