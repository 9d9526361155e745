/* SPDX-License-Identifier: MIT */
/*
 * peer — the process at the other end of a unix socket, and its container.
 *
 * A pid means a process until the process ends; then another may get it. The process that connected
 * is compared with the one that has the pid: by its pidfd (SO_PEERPIDFD, Linux 6.5); on an older
 * kernel by the time of its start, which must not be behind that of the connection.
 */
#ifndef CONTAINERS_PEER_H
#define CONTAINERS_PEER_H

#include "identity/container.h"

#include <stdint.h>
#include <sys/types.h>

struct peer {
	int fd;           /* of the connection */
	pid_t pid;        /* as SO_PEERCRED says it */
	int64_t since_ns; /* when the connection was accepted, CLOCK_MONOTONIC */
};

/* Whether the process that connected has its pid still. */
bool peer_is_there(const struct peer *peer);
/* The same by the time of its start, for kernels without SO_PEERPIDFD. */
bool peer_began_before(const struct peer *peer);
/* The id of the container of the process that connected, with a NUL. False: it is in none, or has
 * ended. */
bool peer_find(const struct peer *peer, char id[CONTAINER_ID_LEN + 1]);
/*
 * Whether the process that connected is in the same group of a container as the process `first`.
 * Who may make groups can give a group the name of a container, but not its place.
 */
bool peer_is_with(const struct peer *peer, pid_t first);

#endif
