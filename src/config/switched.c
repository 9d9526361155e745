/* SPDX-License-Identifier: MIT */
/*
 * Section switches in the environment: CONTAINERS=1 and its like.
 */
#include "config/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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
			(void)snprintf(reader->error, CONFIG_ERROR_MAX,
			        "%s: '%s' is not accepted: " SWITCHES_ACCEPTED, variable,
			        text_show(slice_of(value)).text);
			return -EINVAL;
		}
		config->switches.values[number] = (uint8_t)read;
		config->switch_name = config->switch_name != NULL ? config->switch_name : variable;
	}
	return 0;
}

/* A file has policies of its own, for each listener: which should count cannot be guessed. */
static int refuse_file(struct reader *reader)
{
	const struct config *config = reader->config;
	const bool by_variable = config->file == getenv("CONFIG");

	(void)snprintf(reader->error, CONFIG_ERROR_MAX,
	        "%s and %s both say what clients may do: unset the section switches and write their "
	        "rules into the file (docker-socket-proxy convert does), or leave the file out",
	        config->switch_name, by_variable ? "CONFIG" : "--config");
	return -EINVAL;
}

int config_read_switches(struct reader *reader)
{
	struct config *config = reader->config;
	const bool by_flag = config->policy_name != NULL &&
	                     strcmp(config->policy_option, "--policy") == 0;

	if (read_switches(reader) < 0) {
		return -EINVAL;
	}
	if (config->switch_name == NULL) {
		return 0;
	}
	if (config->file != NULL) {
		return refuse_file(reader);
	}
	if (config->policy_name != NULL) {
		(void)snprintf(config->warning, CONFIG_WARNING_MAX,
		        by_flag ? "%s %.64s counts before %s and what other section switches are in "
		                  "the environment"
		                : "%s=%.64s does not count: %s and what other section switches are "
		                  "in the environment replace it",
		        config->policy_option, config->policy_name, config->switch_name);
	}
	if (by_flag) {
		config->switch_name = NULL;
		return 0;
	}
	config->policy_name = "switches";
	config->policy_option = config->switch_name;
	config_give(reader, offsetof(struct config, port), "2375");
	return 0;
}
