/* SPDX-License-Identifier: MIT */
/*
 * health — ask a running proxy for its health.
 *
 * The image has no shell, no wget and no curl, yet compose files check their
 * proxy with them. The program is all of them (links in the image): it has the
 * options that health checks have, and reaches its own listeners alone.
 * Everything here is blocking: one request in a process of its own.
 */
#ifndef HEALTH_HEALTH_H
#define HEALTH_HEALTH_H

#include <stdbool.h>

/*
 * The verb `healthcheck`: GET /health at `address`, tcp://HOST:PORT (where HOST
 * means all interfaces, at loopback, IPv4 first) or unix:///PATH. With /engines/NAME
 * behind the port: GET /engines/NAME/health. NULL: at the
 * first listener of the program that is process 1, or of the environment where
 * that is another program. In the container of a proxy the address must be one
 * of its listeners. The exit code of the process: 0 when the status is 200
 * within five seconds, otherwise 1 and one line on standard error.
 */
int health_check(const char *address);

/* Whether the program was started under the name of a tool that it stands in for: wget, curl, nc,
 * sh, healthcheck. */
bool health_is_tool(const char *program);
/* Do what that tool does in a health check; the exit code of the process. */
int health_run_tool(int argc, char *argv[]);

#endif
