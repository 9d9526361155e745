/* SPDX-License-Identifier: MIT */
/*
 * internal — the steps of the new process, each of which reads what another process sends. Private
 * to takeover/.
 */
#ifndef TAKEOVER_INTERNAL_H
#define TAKEOVER_INTERNAL_H

#include "takeover/takeover.h"

/* Ask for the sockets at `connection`, to whoever listens at `path`. 0; -EAGAIN if it is busy; or
 * -EINVAL. In both of these cases `error` says why. */
int takeover_switch(int connection, const char *path, char error[FAULT_MAX]) MUST_USE;
/* Take what comes over taken->connection, up to END: 0 or -errno. */
int takeover_take(struct taken *taken) MUST_USE;

#endif
