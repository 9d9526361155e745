/* SPDX-License-Identifier: MIT */
/*
 * diagnosis — the cause and the remedy if the Engine cannot be reached.
 *
 * Not for the path of a successful request: it makes system calls on the file system.
 */
#ifndef UPSTREAM_DIAGNOSIS_H
#define UPSTREAM_DIAGNOSIS_H

#include "address/address.h"
#include "base/text.h"

/*
 * Append one or two sentences about a connection to `engine` that failed with
 * `error` (a positive errno). They name the path. If the file is not a socket, they say so for
 * every error (EACCES, ECONNREFUSED or ENOTSOCK): Docker makes a directory, root:root 0755, if the
 * source of a bind mount does not exist. Otherwise the content is:
 *   EACCES        owner, group and mode of the socket; uid, gid and groups of this process; the
 *                 exact `--group-add GID` or `--user UID:GID` to add. If a directory of the path
 *                 cannot be searched, the same for this directory
 *   ENOENT        the file does not exist: the Engine is down, or the socket is not mounted
 *   ECONNREFUSED  no program listens. If the file is a stale bind mount (its inode has no link,
 *                 because the Engine was restarted and made a new socket): restart the container,
 *                 or mount the directory instead of the file
 *   EAGAIN        that the Engine's queue is full
 *   ETIMEDOUT     that the Engine did not accept the connection in time
 *   EMFILE, ENFILE, ENOMEM, ENOBUFS  the resource that the proxy lacks
 *   anything else strerror
 * Over TCP the sentences name the address as the configuration has it, `name`, and what to look at
 * on the Engine's host. AF_UNSPEC: the name has no address.
 */
void upstream_diagnose(struct text *text, const union address *engine, const char *name, int error);

#endif
