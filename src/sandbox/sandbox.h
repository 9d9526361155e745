/* SPDX-License-Identifier: MIT */
/*
 * sandbox — drops every privilege that forwarding does not need.
 *
 * Called once, after the listeners are bound and before threads exist and the
 * first byte of a client is read. Only serve/ calls it.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "base/check.h"

/*
 * If the process is root, it takes the group of `socket_path` and becomes
 * 65532:65532. If it could not open the socket then, or the socket does not
 * exist, it stays root and the log says why. `socket_path` NULL: no socket has to be opened. Any
 * other user is kept. no_new_privs is set in every case. 0, or -errno after a line in the log: the
 * caller must not serve.
 */
int sandbox_enter(const char *socket_path) MUST_USE;

#endif
