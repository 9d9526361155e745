/* SPDX-License-Identifier: MIT */
/*
 * passed — sockets that the service manager opened and passed to this process
 * (sd_listen_fds(3)).
 *
 * They are the descriptors from 3 on. LISTEN_FDS is their number, LISTEN_PID the process that they
 * are for, LISTEN_FDNAMES their names, separated by colons. Several may have the same name.
 */
#ifndef SYSTEMD_PASSED_H
#define SYSTEMD_PASSED_H

#include "address/address.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/text.h"

enum { PASSED_MAX = 32 };

struct passed_socket {
	int fd;            /* closed on exec; -1: it was closed */
	struct slice name; /* of the environment of the program; "unknown" without LISTEN_FDNAMES */
	union address address; /* to which it is bound */
	unsigned listener;     /* for the caller */
};

struct passed {
	unsigned count;
	struct passed_socket list[PASSED_MAX];
	long other; /* LISTEN_PID, if it is another process; else 0 */
};

/*
 * Take the sockets over and remove the variables from the environment. Call it before threads
 * exist. 0, and `count` is 0 if none were passed; or -EINVAL with a sentence in `error`: the
 * variables contradict each other, or a descriptor is not a listening stream socket of TCP or unix.
 */
int passed_take(struct passed *ret_passed, char error[FAULT_MAX]) MUST_USE;
/* Close those that are open. */
void passed_close(struct passed *passed);
/* Append the number by which list[i] was passed, its name and address: 3 ('api',
 * tcp://127.0.0.1:3277). */
void passed_add(const struct passed *passed, unsigned i, struct text *text);

#endif
