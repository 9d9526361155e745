/* SPDX-License-Identifier: MIT */
/*
 * internal — the three barriers, each in its file. Private to sandbox/.
 */
#ifndef SANDBOX_INTERNAL_H
#define SANDBOX_INTERNAL_H

#include "base/text.h"
#include "sandbox/sandbox.h"

enum { SANDBOX_ABI_WHOLE = 6 }; /* of Landlock: all that is used here */

/*
 * Whether the error of a first question says that the kernel does not have what was asked for:
 * not built in, not begun at the boot, not known to it yet, or refused by a filter around us.
 */
bool kernel_lacks(int error);

/* ── user.c ──────────────────────────────────────────────────────────────── */

/* As sandbox_enter() says. 0, or -errno after a line in the log. */
int user_leave_root(const struct sandbox *sandbox, const char *socket_path) MUST_USE;
/* Root that stays keeps what reads files and opens sockets of others. 0 or -errno. */
int user_drop_capabilities(void) MUST_USE;

/* ── landlock.c ──────────────────────────────────────────────────────────── */

/* Make the set of rules, as far as the kernel has Landlock: sandbox->abi and ->ruleset. */
void landlock_prepare(struct sandbox *sandbox);
/* Hold the process to the rules, if there are any. 0 or -errno; no_new_privs is set. */
int landlock_enforce(struct sandbox *sandbox) MUST_USE;
/* What holds, for the line of the log: "Landlock ABI 7 (files, TCP)". */
void landlock_describe(const struct sandbox *sandbox, struct text *text);

/* ── filter.c ────────────────────────────────────────────────────────────── */

/* Allow the system calls of calls.def alone. 0; -ENOSYS: the kernel has no filters; or another
 * -errno. no_new_privs is set. */
int filter_load(void) MUST_USE;

#endif
