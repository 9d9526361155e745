/* SPDX-License-Identifier: MIT */
/* tool — wget, curl, nc and sh, as far as health checks use them. Private to health/. */
#ifndef HEALTH_TOOL_H
#define HEALTH_TOOL_H

#include <stdbool.h>

/* "wget" of "/usr/bin/wget". */
const char *tool_name(const char *program);
/* Whether `program`, a path or not, is wget, curl or nc. */
bool tool_exists(const char *program);
/* Run the tool that argv[0] names: one request. `wanted`: what the body of the response has to
 * contain, which is then not printed; NULL: nothing. 0, or 1 and a line on standard error. */
int tool_run(int argc, char *argv[], const char *wanted);

/*
 * `sh -c LINE`, where LINE is one health check; the exit code of the process:
 *
 *     TOOL WORD... [>/dev/null] [2>&1] [| grep [-q] WORD] [|| exit N]
 *
 * No variables, no patterns, no second command: anything else is refused in a sentence that says
 * what to write instead.
 */
int shell_run(int argc, char *argv[]);

#endif
