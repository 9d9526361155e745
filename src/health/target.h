/* SPDX-License-Identifier: MIT */
/*
 * target — where a check may go: in the container of a proxy to the listeners
 * of that proxy, and nowhere else.
 */
#ifndef HEALTH_TARGET_H
#define HEALTH_TARGET_H

#include "address/address.h"
#include "base/fault.h"

#include <stdbool.h>

enum {
	TARGETS_MAX = 2,
	TARGET_NAME_MAX = 300, /* bytes of tcp://HOST:PORT or unix:///PATH */
};

struct targets {
	union address addresses[TARGETS_MAX]; /* in the order to try */
	unsigned count;
	char name[TARGET_NAME_MAX]; /* the address in words */
};

/*
 * Where `address` leads, tcp://HOST:PORT or unix:///PATH: all interfaces and
 * `localhost` mean loopback, IPv4 first. NULL: the first listener of the proxy.
 *
 * If process 1 is the proxy (or an init in front of it), the address must be
 * one of its listeners. Its configuration is made of its command line, which
 * everyone may read, and of the environment and the files here. If process 1
 * is another program, the environment alone says where the proxy listens, and
 * only with `own` must the address be one of these listeners.
 *
 * 0, or -EINVAL and the end of a sentence.
 */
int targets_find(
        const char *address, bool own, struct targets *ret_targets, char error[FAULT_MAX]) MUST_USE;

/*
 * Where the admin listener of a running proxy is, and by which certificate it is known.
 *
 * `address` NULL: that of ADMIN, or of the configuration `file` (NULL: CONFIG, or the default one),
 * or of the proxy that is process 1. *ret_certificate is the file of its own certificate, if the
 * configuration told; the caller frees it. 0, or -EINVAL and a sentence.
 */
int targets_find_admin(const char *address, const char *file, struct targets *ret_targets,
        char **ret_certificate, char error[FAULT_MAX]) MUST_USE;

#endif
