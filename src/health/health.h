/* SPDX-License-Identifier: MIT */
/*
 * health — asks a running proxy how it is: the verb `healthcheck`.
 *
 * For images that have no shell and no curl. Blocking, one request, a process
 * of its own.
 */
#ifndef HEALTH_HEALTH_H
#define HEALTH_HEALTH_H

/*
 * GET /health at `address`: tcp://HOST:PORT (where HOST means all interfaces,
 * loopback is asked, IPv4 first) or unix:///PATH. The exit code of the process:
 * 0 when the answer is 200 within five seconds, otherwise 1 and one line on
 * standard error.
 */
int health_check(const char *address);

#endif
