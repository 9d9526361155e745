/* SPDX-License-Identifier: MIT */
/*
 * diagnosis — why the Engine could not be reached, and what helps.
 *
 * Cold path: it looks at the file system and may take a few system calls.
 */
#ifndef UPSTREAM_DIAGNOSIS_H
#define UPSTREAM_DIAGNOSIS_H

#include "address/address.h"
#include "base/text.h"

/*
 * Append one sentence or two about a connection to `engine` that failed with
 * `error` (a positive errno). They name its path. Where the file is no socket, they say so
 * whatever the error (EACCES, ECONNREFUSED or ENOTSOCK): Docker makes a directory, root:root 0755,
 * when the source of a bind mount does not exist. Otherwise they name:
 *   EACCES        the socket's owner, group and mode, who we are (uid, gid and groups), and the
 *                 exact `--group-add GID` / `--user UID:GID` that fixes it; which directory on the
 *                 way is closed when it is not the socket itself
 *   ENOENT        that nothing is there; that the Engine may be down or the volume is not mounted
 *   ECONNREFUSED  that nobody listens; and when the file is a stale bind mount (its inode has no
 *                 link any more: the Engine was restarted and made a new socket), to restart the
 *                 container, and to mount the directory instead of the file
 *   EAGAIN        that the Engine's queue is full
 *   ETIMEDOUT     that the Engine did not accept the connection in time
 *   EMFILE, ENFILE, ENOMEM, ENOBUFS  what it is that the proxy is short of
 *   anything else strerror
 */
void upstream_diagnose(struct text *text, const union address *engine, int error);

#endif
