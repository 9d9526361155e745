/* SPDX-License-Identifier: MIT */
/*
 * Section switches in the environment: CONTAINERS=1 and its like.
 */
#include "base/nearest.h"
#include "config/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *value_of(const char *variable)
{
	const char *value = getenv(variable);

	return value == NULL || value[0] == '\0' ? NULL : value;
}

/* Values that are no switch's are an error even where another option counts before them. */
static int read_switches(struct reader *reader)
{
	struct config *config = reader->config;

	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const char *variable = switches_row(number)->variable;
		const char *value = value_of(variable);
		enum switch_value read = SWITCH_UNSET;
		if (value == NULL) {
			continue;
		}
		if (!switches_read_value(slice_of(value), &read)) {
			return fault_set(reader->error, NOWHERE,
			        "%s: '%s' is not accepted: " SWITCHES_ACCEPTED, variable,
			        text_show(slice_of(value)).text);
		}
		config->switches.values[number] = (uint8_t)read;
		config->switch_name = config->switch_name != NULL ? config->switch_name : variable;
	}
	return 0;
}

/* ── Slips of the hand ───────────────────────────────────────────────────── */

/* A variable that was probably meant for a switch: ALLOW_LOG=0, CONTAINER=1, LOGS=1. */
struct slip {
	const char *variable; /* with its value; NULL: there is none */
	struct slice meant;   /* empty: no switch is near */
	bool certain;         /* by its first letters it can be nothing else */
};

static bool is_option(struct slice name)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (slice_equal(name, slice_of(config_options[i].variable))) {
			return true;
		}
	}
	return false;
}

/* DELETE=1 is what POST=1 opens too. */
static bool is_other_method(struct slice name)
{
	return slice_equal(name, SLICE("DELETE")) || slice_equal(name, SLICE("PUT")) ||
	       slice_equal(name, SLICE("PATCH"));
}

static struct slice meant_switch(struct slice name)
{
	struct nearest nearest = nearest_to(name);

	if (is_other_method(name)) {
		return SLICE("POST");
	}
	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const struct slice variable = slice_of(switches_row(number)->variable);
		struct slice action = variable;
		if (slice_skip(&action, SLICE("ALLOW_")) && slice_equal(name, action)) {
			return variable;
		}
		nearest_try(&nearest, variable);
	}
	return nearest.best;
}

/* Only a value that a switch can have makes a name that is near to one suspicious. */
static bool is_slip(const char *variable, struct slip *ret_slip)
{
	struct slice value = slice_of(variable);
	struct slice name = value;
	enum switch_value read = SWITCH_UNSET;

	if (!slice_next(&value, '=', &name) || !switches_read_value(value, &read) ||
	        is_option(name) || switches_find(name) < SWITCHES_COUNT) {
		return false;
	}
	*ret_slip = (struct slip){
	        .variable = variable,
	        .meant = meant_switch(name),
	        .certain = slice_starts_with(name, SLICE("ALLOW_")) ||
	                   slice_starts_with(name, SLICE("LIBPOD_")),
	};
	return ret_slip->meant.len > 0 || ret_slip->certain;
}

/* One that is certain, or else any. */
static struct slip find_slip(void)
{
	struct slip found = {.variable = NULL};
	struct slip slip;

	for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
		if (is_slip(*variable, &slip) && (found.variable == NULL || slip.certain)) {
			found = slip;
		}
	}
	return found;
}

/*
 * Who sets a switch wants less than everything. A mistyped one stops the start
 * where nothing else says what clients may do, and where other switches do and
 * it can be nothing but one of them. Elsewhere it is worth a line.
 */
static int check_names(struct reader *reader)
{
	struct config *config = reader->config;
	const struct slip slip = find_slip();
	const bool by_switches = config->switch_name != NULL;
	const bool by_policy =
	        config->file != NULL || (config->policy_name != NULL && !by_switches);
	char remedy[128] = "docs/compatibility.md lists them";

	if (slip.variable == NULL || config->verb == CONFIG_LEARN ||
	        config->verb == CONFIG_HEALTHCHECK) {
		return 0;
	}
	if (slip.meant.len > 0) {
		(void)snprintf(remedy, sizeof(remedy), "did you mean %.*s?", SLICE_FMT(slip.meant));
	}
	if (!by_policy && (!by_switches || slip.certain)) {
		return fault_set(reader->error, NOWHERE, "%s is no section switch; %s%s",
		        text_show(slice_of(slip.variable)).text, remedy,
		        by_switches ? ""
		                    : " Nothing else says what clients may do: set a switch, or "
		                      "POLICY (open, if everything is meant)");
	}
	if (config->warning[0] == '\0') {
		(void)snprintf(config->warning, CONFIG_WARNING_MAX,
		        "%.64s changes nothing: it is no section switch; %s",
		        text_show(slice_of(slip.variable)).text, remedy);
	}
	return 0;
}

/* ── Switches beside other settings ──────────────────────────────────────── */

/* A file has policies of its own, for each listener: which should count cannot be guessed. */
static int refuse_file(struct reader *reader)
{
	const struct config *config = reader->config;
	const bool by_variable = config->file == getenv("CONFIG");

	return fault_set(reader->error, NOWHERE,
	        "%s and %s both say what clients may do: unset the section switches and write "
	        "their "
	        "rules into the file (docker-socket-proxy convert does), or leave the file out",
	        config->switch_name, by_variable ? "CONFIG" : "--config");
}

static void warn_of_policy(struct config *config, bool by_flag)
{
	(void)snprintf(config->warning, CONFIG_WARNING_MAX,
	        by_flag ? "%s %.64s counts before %s and what other section switches are in "
	                  "the environment"
	                : "%s=%.64s does not count: %s and what other section switches are "
	                  "in the environment replace it",
	        config->policy_option, config->policy_name, config->switch_name);
}

static int use_switches(struct reader *reader)
{
	struct config *config = reader->config;
	const bool by_flag =
	        config->policy_name != NULL && strcmp(config->policy_option, "--policy") == 0;

	if (config->switch_name == NULL) {
		return 0;
	}
	if (config->file != NULL) {
		return refuse_file(reader);
	}
	if (config->policy_name != NULL) {
		warn_of_policy(config, by_flag);
	}
	if (by_flag) {
		config->switch_name = NULL;
		return 0;
	}
	config->policy_name = "switches";
	config->policy_option = config->switch_name;
	if (config->listener_count == 0) {
		config_give(reader, offsetof(struct config, port), "2375");
	}
	return 0;
}

int config_read_switches(struct reader *reader)
{
	if (read_switches(reader) < 0 || use_switches(reader) < 0) {
		return -EINVAL;
	}
	return check_names(reader);
}
