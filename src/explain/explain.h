/* SPDX-License-Identifier: MIT */
/*
 * explain — says what a configuration means: the verbs `check` and `explain`.
 *
 * Both print on standard output for people and for scripts, ask no Engine and
 * return the exit code of the process.
 */
#ifndef EXPLAIN_EXPLAIN_H
#define EXPLAIN_EXPLAIN_H

#include "config/config.h"

/* Listeners, policies, and what each policy allows. 0. */
int explain_configuration(const struct config *config);
/*
 * The verdict over config->request. The first line is `allow OPERATION` or
 * `deny OPERATION`; 0 when it is allowed, 1 when not, 2 when there is no request to judge.
 */
int explain_request(const struct config *config);

#endif
