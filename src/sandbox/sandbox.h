/* SPDX-License-Identifier: MIT */
/*
 * sandbox — drops every privilege that forwarding does not need.
 *
 * Entered once, after the listeners are bound and before threads exist and the first byte of a
 * client is read; threads inherit it. There are three barriers: the user (user.c), Landlock, which
 * holds files, TCP, abstract sockets and signals to a list (landlock.c), and seccomp, which holds
 * system calls to the list calls.def (filter.c). What the kernel lacks is left out, and the log
 * says so; every other failure ends the start. docs/sandbox.md is for users. Only serve/ calls it.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	SANDBOX_ABI_TCP = 4, /* of Landlock: it restricts TCP */
	SANDBOX_GROUPS_MAX = 32,
};

struct sandbox {
	bool on;
	bool binds_anywhere; /* TCP sockets may be bound to any port */
	int abi;             /* of Landlock; 0: the kernel has none */
	int ruleset;         /* a descriptor; -1: none */
	int error;           /* the first failure, -errno, which ends the start */
	/* Of the sockets of further Engines. */
	unsigned group_count;
	unsigned groups[SANDBOX_GROUPS_MAX];
};

/* With `on` false, all that follows is the user and no_new_privs. `binds_anywhere`: a reload may
 * open TCP ports that are not known yet, and Landlock takes no rule later. */
void sandbox_prepare(struct sandbox *ret_sandbox, bool on, bool binds_anywhere);

/*
 * What may still be used inside, to be said before sandbox_enter(). A path that is not there is
 * left out. NULL is none.
 */

/* The file may be read, also when it is replaced: with it all files in its folder and below, and
 * those in the folder that symbolic links lead to. Of a folder of the system (/, /etc, /run, …)
 * only the file itself. */
void sandbox_allow_file(struct sandbox *sandbox, const char *path);
/* All files below the folder may be read. */
void sandbox_allow_folder(struct sandbox *sandbox, const char *path);
/* The file of a unix socket may be made and removed, with it any in its folder. */
void sandbox_allow_socket(struct sandbox *sandbox, const char *path);
/* The file may be made, read and appended to, also when another one takes its name: with it any in
 * its folder and below. */
void sandbox_allow_record(struct sandbox *sandbox, const char *path);
/* TCP sockets may be bound to the port, or connect to it at any address. */
void sandbox_allow_bind(struct sandbox *sandbox, uint16_t port);
void sandbox_allow_connect(struct sandbox *sandbox, uint16_t port);
/* The unix socket of a further Engine can be opened, if its group may: for the others root does not
 * stay. */
void sandbox_allow_engine(struct sandbox *sandbox, const char *path);

/*
 * If the process is root, it takes the group of `socket_path` and becomes 65532:65532. If it could
 * not open the socket then, or the socket does not exist, it stays root and the log says why; it
 * keeps the capabilities to read files and to open sockets then. `socket_path` NULL: no socket has
 * to be opened. Any other user is kept. Then no_new_privs is set, and Landlock and seccomp begin to
 * hold. 0, or -errno after a line in the log: the caller must not serve.
 */
int sandbox_enter(struct sandbox *sandbox, const char *socket_path) MUST_USE;
/* If it is not entered. */
void sandbox_abandon(struct sandbox *sandbox);

#endif
