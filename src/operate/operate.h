/* SPDX-License-Identifier: MIT */
/*
 * operate — the verbs status and reload: an operator asks a running proxy, at its admin listener.
 *
 * Everything here is blocking: requests of a process of its own. What the proxy tells of clients
 * was sent by them: nothing of it reaches the terminal but printable characters.
 */
#ifndef OPERATE_OPERATE_H
#define OPERATE_OPERATE_H

#include "config/config.h"

/* The exit codes: 0; 1 and a line on standard error, if it did not work; 2, if it was asked for
 * wrongly. */
int operate_status(const struct config *config);
int operate_reload(const struct config *config);

#endif
