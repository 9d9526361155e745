/* SPDX-License-Identifier: MIT */
/*
 * target — where a check may go: to the listeners of the program with which
 * the container runs, and nowhere else.
 */
#ifndef HEALTH_TARGET_H
#define HEALTH_TARGET_H

#include "address/address.h"
#include "config/config.h"

enum { TARGETS_MAX = 2 };

struct targets {
	union address addresses[TARGETS_MAX]; /* in the order to try */
	unsigned count;
};

/*
 * Where tcp://HOST:PORT or unix:///PATH leads: all interfaces and `localhost`
 * mean loopback, IPv4 first. Count 0: it is not an address.
 */
struct targets targets_of(struct slice address);
/* Those of them at which a listener of `config` accepts. */
struct targets targets_own(const struct targets *targets, const struct config *config);

/*
 * What process 1 serves: its command line, which everyone may read, together
 * with the environment and the files here, which are its own as well. Where
 * process 1 is another program (an init, a host), the environment alone. 0, or
 * -EINVAL and a sentence. `arena` keeps the command line.
 */
int config_of_server(
        struct arena *arena, struct config *ret_config, char error[FAULT_MAX]) MUST_USE;

#endif
