/* SPDX-License-Identifier: MIT */
/*
 * sandbox — gives away every privilege that forwarding does not need.
 *
 * Called once, after the listeners are bound and before threads exist and the
 * first byte of a client is read. Only main calls it.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "base/check.h"

/*
 * Root takes the group of `socket_path` and becomes 65532:65532; where that
 * would lose the socket (or nothing is there to tell), it stays root and the
 * log says why. Anyone else stays that. no_new_privs is set in every case.
 * 0, or -errno after having logged what failed: the caller must not serve.
 */
int sandbox_enter(const char *socket_path) MUST_USE;

#endif
