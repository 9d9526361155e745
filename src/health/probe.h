/* SPDX-License-Identifier: MIT */
/* probe — one request to a listener, and whether its response is a good one. Blocking. */
#ifndef HEALTH_PROBE_H
#define HEALTH_PROBE_H

#include "health/target.h"

struct probe {
	const char *who; /* in front of messages on standard error */
	const char *method;
	struct slice path;
	const char *wanted;  /* the body has to contain it, and is not printed; NULL: nothing */
	unsigned timeout_s;  /* for everything */
	unsigned bad_status; /* a response with this status or a higher one is a failure */
	bool connect_only;   /* send no request */
	bool print;          /* the body, to standard output */
};

/* The exit code of the process: 0, or 1 and a line on standard error, which only a body without
 * `wanted` does not have. */
int probe_run(const struct probe *probe, const struct targets *targets);

#endif
