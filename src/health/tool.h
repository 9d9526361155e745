/* SPDX-License-Identifier: MIT */
/*
 * tool — what is left of wget, curl and nc: one question to a listener of our
 * own, and an exit code.
 */
#ifndef HEALTH_TOOL_H
#define HEALTH_TOOL_H

#include "base/check.h"

#include <stdbool.h>

/* Whether `name` is wget, curl or nc. */
bool tool_exists(const char *name);
/* Run the tool that argv[0] names (a path or not). `wanted`: what the body of the answer has to
 * contain, which is then not printed; NULL: nothing. 0, or 1 and a line on standard error. */
int tool_run(int argc, char *argv[], const char *wanted);

/* "wget" of "/usr/bin/wget". */
const char *tool_name(const char *program);

#endif
