/* SPDX-License-Identifier: MIT */
/*
 * serve — the verbs `run` and `learn`: from a checked configuration to the last response.
 *
 * The server opens sockets, gives up privileges, and starts threads. Each thread has
 * its own listeners, sessions and connections to the Engine. Threads share only the
 * snapshot and struct worker_shared.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "config/config.h"

/*
 * Serve until SIGTERM or SIGINT. Takes over `config`, which is on the heap. Returns EXIT_SUCCESS or
 * EXIT_FAILURE.
 */
int serve(struct config *config);

#endif
