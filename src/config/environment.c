/* SPDX-License-Identifier: MIT */
/*
 * The variables of the environment: those of options, and the section switches,
 * CONTAINERS=1 and its like.
 */
#include "config/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int read_options(struct reader *reader)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct config_option *option = &config_options[i];
		const char *value = getenv(option->variable);

		if (value == NULL || value[0] == '\0' || config_is_given(reader, option)) {
			continue;
		}
		reader->given[i] = true;
		if (config_read_value(reader, option, option->variable, value) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* ── Switches ────────────────────────────────────────────────────────────── */

/* A value that is no switch's is an error even where another option counts before it. */
static int read_switch(
        struct reader *reader, unsigned number, const char *variable, const char *value)
{
	struct config *config = reader->config;
	enum switch_value read = SWITCH_UNSET;

	if (!switches_read_value(slice_of(value), &read)) {
		return fault_set(reader->error, NOWHERE,
		        "%s: '%s' is not accepted: " SWITCHES_ACCEPTED, variable,
		        text_show(slice_of(value)).text);
	}
	if (config->switches.values[number] == SWITCH_UNSET) {
		config->switches.values[number] = (uint8_t)read;
	}
	config->switch_name = config->switch_name != NULL ? config->switch_name : variable;
	return 0;
}

/* A name that the switch had once. */
static int read_former_switch(struct reader *reader, unsigned number)
{
	const char *former = switches_former_name(number);
	const char *value = former != NULL ? getenv(former) : NULL;

	if (value == NULL) {
		return 0;
	}
	config_warn(reader->config, "%s is the former name of %s; its value is used", former,
	        switches_row(number)->variable);
	return read_switch(reader, number, former, value);
}

/* One that is there and empty counts as 0: who names it wants less than everything. */
static int read_switches(struct reader *reader)
{
	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const char *variable = switches_row(number)->variable;
		const char *value = getenv(variable);
		if ((value != NULL && read_switch(reader, number, variable, value) < 0) ||
		        read_former_switch(reader, number) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* ── Switches beside other settings ──────────────────────────────────────── */

/* A file has policies of its own, for each listener: which should count cannot be guessed. */
static int refuse_file(struct reader *reader)
{
	const struct config *config = reader->config;

	return fault_set(reader->error, NOWHERE,
	        "%s and %s both say what clients may do: unset the section switches and write "
	        "their rules into the file (docker-socket-proxy convert does), or do not "
	        "use a file",
	        config->switch_name, config->file_option);
}

static void warn_of_policy(struct config *config, bool by_flag)
{
	config_warn(config,
	        by_flag ? "%s %.64s overrides %s and all other section switches in the "
	                  "environment"
	                : "%s=%.64s does not count: %s and the other section switches in "
	                  "the environment replace it",
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

int config_read_environment(struct reader *reader)
{
	if (read_options(reader) < 0) {
		return -EINVAL;
	}
	config_use_default_file(reader->config);
	return read_switches(reader) < 0 ? -EINVAL : use_switches(reader);
}
