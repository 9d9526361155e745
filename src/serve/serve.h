/* SPDX-License-Identifier: MIT */
/*
 * serve — the verbs `run` and `learn`: from a checked configuration to the last response.
 *
 * Sockets are opened, privileges are given up, and each thread gets its own
 * listeners, sessions and connections to the Engine. Threads share nothing but
 * the configuration and what counts for all of them together.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "config/config.h"

/*
 * Serve until SIGTERM or SIGINT. The configuration, on the heap, is the function's from now on.
 * EXIT_SUCCESS or EXIT_FAILURE.
 */
int serve(struct config *config);

#endif
