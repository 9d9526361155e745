/* SPDX-License-Identifier: MIT */
/*
 * shell — the one line of `sh -c` that a health check is:
 *
 *     TOOL WORD... [>/dev/null] [2>&1] [| grep [-q] WORD] [|| exit N]
 *
 * No variables, no patterns, no second command: anything else is refused in a
 * sentence that says what to write instead.
 */
#ifndef HEALTH_SHELL_H
#define HEALTH_SHELL_H

#include "base/check.h"

#include <stdbool.h>

/* `sh -c LINE`; the exit code of the process. */
int shell_run(int argc, char *argv[]);

#endif
