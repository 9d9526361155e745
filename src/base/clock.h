/* SPDX-License-Identifier: MIT */
/*
 * clock — the two clocks of the program, in nanoseconds.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/text.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* CLOCK_MONOTONIC: for deadlines and durations. */
int64_t clock_monotonic_ns(void);
/* CLOCK_REALTIME: since 1970, UTC; for timestamps in the log. */
int64_t clock_realtime_ns(void);
/* Append RFC 3339 with milliseconds: 2026-01-31T12:34:56.789Z. */
void clock_add_timestamp(struct text *text, int64_t realtime_ns);
/*
 * Read a time in UTC of RFC 3339, 2027-01-31T18:00:00Z, as seconds since 1970. A fraction of a
 * second may stand there if `ret_ns`, for its nanoseconds, is not NULL. False: it is another text,
 * or there is no such time, or it is before 1970.
 */
bool clock_read(struct slice text, int64_t *ret_seconds, unsigned *ret_ns);

#endif
