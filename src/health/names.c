/* SPDX-License-Identifier: MIT */
/* The names under which the program is started. */
#include "health/health.h"

#include "health/shell.h"
#include "health/tool.h"

#include <string.h>

static bool is(const char *program, const char *name)
{
	return strcmp(tool_name(program), name) == 0;
}

bool health_is_tool(const char *program)
{
	return is(program, "sh") || is(program, "healthcheck") || tool_exists(tool_name(program));
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
