/* SPDX-License-Identifier: MIT */
/*
 * clock — the two clocks of the program, in nanoseconds.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/text.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* Never goes back; for deadlines and durations. */
int64_t clock_monotonic_ns(void);
/* Since 1970, UTC; for people. */
int64_t clock_realtime_ns(void);
/* RFC 3339 with milliseconds: 2026-01-31T12:34:56.789Z. */
void clock_add_timestamp(struct text *text, int64_t realtime_ns);

#endif
