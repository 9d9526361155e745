/* SPDX-License-Identifier: MIT */
/*
 * notify — what the service manager is told (sd_notify(3), sd_watchdog_enabled(3)).
 *
 * NOTIFY_SOCKET is the path of a datagram socket, or the name of an abstract one after '@'.
 */
#ifndef SYSTEMD_NOTIFY_H
#define SYSTEMD_NOTIFY_H

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct notifier {
	int fd;              /* connected; -1: nobody wants to know */
	int64_t watchdog_ns; /* a longer silence than this ends the process; 0: never */
};

/*
 * Connect to NOTIFY_SOCKET and remove its variables from the environment. Call it before
 * privileges are dropped and threads exist. If the socket cannot be opened, a line in the log says
 * so, and the notifier tells nobody.
 */
void notify_open(struct notifier *ret_notifier);
/*
 * Send lines such as "READY=1". From any thread. If the manager does not read, they are lost: at
 * once, or with `patient` after 100 ms.
 */
void notify_send(const struct notifier *notifier, const char *lines, bool patient);
void notify_close(struct notifier *notifier);

#endif
