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

/* ALLOW_LOG=0 was meant to close something: who mistyped it must not get a proxy that leaves it
 * open. */
static bool looks_like_a_switch(struct slice name)
{
	return slice_starts_with(name, SLICE("ALLOW_")) ||
	       slice_starts_with(name, SLICE("LIBPOD_"));
}

static int refuse_unknown(struct reader *reader, struct slice name)
{
	struct nearest nearest = nearest_to(name);

	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		nearest_try(&nearest, slice_of(switches_row(number)->variable));
	}
	const bool meant = nearest.best.ptr != NULL;
	const struct slice help = meant ? nearest.best : SLICE("docs/compatibility.md");
	return fault_set(reader->error, NOWHERE,
	        meant ? "%s: there is no such section switch; did you mean '%.*s'?"
	              : "%s: there is no such section switch: unset it, or see %.*s for those "
	                "that there are",
	        text_show(name).text, SLICE_FMT(help));
}

static int refuse_unknown_switches(struct reader *reader)
{
	for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
		const struct slice text = slice_of(*variable);
		const char *equals = strchr(*variable, '=');
		if (equals == NULL || equals[1] == '\0') {
			continue;
		}
		const struct slice name = slice_between(text.ptr, equals);
		if (looks_like_a_switch(name) && switches_find(name) == SWITCHES_COUNT) {
			return refuse_unknown(reader, name);
		}
	}
	return 0;
}

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

/* What people set beside the switches in the belief that it is one: LOGS=1, DELETE=1. */
static void warn_of_strangers(struct config *config)
{
	static const char *const methods[] = {"DELETE", "PUT", "PATCH"};

	for (unsigned i = 0; i < ARRAY_LEN(methods); i++) {
		if (value_of(methods[i]) != NULL) {
			(void)snprintf(config->warning, CONFIG_WARNING_MAX,
			        "%s is no section switch: POST is for every method but GET and "
			        "HEAD",
			        methods[i]);
		}
	}
	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const char *variable = switches_row(number)->variable;
		const char *rest = variable + strlen("ALLOW_");
		if (slice_starts_with(slice_of(variable), SLICE("ALLOW_")) &&
		        value_of(rest) != NULL) {
			(void)snprintf(config->warning, CONFIG_WARNING_MAX,
			        "%s is no section switch: did you mean %s?", rest, variable);
		}
	}
}

int config_read_switches(struct reader *reader)
{
	struct config *config = reader->config;
	const bool by_flag =
	        config->policy_name != NULL && strcmp(config->policy_option, "--policy") == 0;

	if (read_switches(reader) < 0 || refuse_unknown_switches(reader) < 0) {
		return -EINVAL;
	}
	if (config->switch_name == NULL) {
		return 0;
	}
	if (config->file != NULL) {
		return refuse_file(reader);
	}
	if (config->policy_name != NULL) {
		warn_of_policy(config, by_flag);
	} else {
		warn_of_strangers(config);
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
