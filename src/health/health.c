/* SPDX-License-Identifier: MIT */
/* The verb healthcheck, and the names under which the program is started. */
#include "health/health.h"

#include "address/address.h"
#include "health/probe.h"
#include "health/tool.h"

#include <stdio.h>
#include <string.h>

enum { TIMEOUT_S = 5 };

int health_check(const char *address)
{
	char front[512] = "";
	char path[sizeof("/engines//health") + ADDRESS_ENGINE_MAX] = "";
	struct slice host;
	struct slice name;
	const bool is_named = address != NULL && address_split_engine(address, &host, &name) &&
	                      host.len < sizeof(front);

	if (is_named) {
		(void)snprintf(front, sizeof(front), "%.*s", SLICE_FMT(host));
		(void)snprintf(path, sizeof(path), "/engines/%.*s/health", SLICE_FMT(name));
	}
	const struct probe probe = {
	        .who = "unhealthy",
	        .method = "GET",
	        .path = is_named ? slice_of(path) : SLICE("/health"),
	        .timeout_s = TIMEOUT_S,
	        .bad_status = 201,
	};
	struct targets targets;
	char error[FAULT_MAX];

	if (targets_find(is_named ? front : address, false, &targets, error) < 0) {
		(void)fprintf(stderr, "healthcheck: %s\n", error);
		return 1;
	}
	return probe_run(&probe, &targets);
}

static bool is(const char *program, const char *name)
{
	return strcmp(tool_name(program), name) == 0;
}

bool health_is_tool(const char *program)
{
	return is(program, "sh") || is(program, "healthcheck") || tool_exists(program);
}

int health_run_tool(int argc, char *argv[])
{
	if (is(argv[0], "sh")) {
		return shell_run(argc, argv);
	}
	if (is(argv[0], "healthcheck")) {
		return health_check(argc > 1 ? argv[1] : NULL);
	}
	return tool_run(argc, argv, NULL);
}
