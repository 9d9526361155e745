/* SPDX-License-Identifier: MIT */
/* buckets — the limits of request_duration_seconds. Private to metrics/. */
#ifndef METRICS_BUCKETS_H
#define METRICS_BUCKETS_H

#include "metrics/meter.h"

/* From what the proxy itself takes, through what the Engine takes, to builds and streams. `text`:
 * as OpenMetrics writes the number. */
static const struct {
	int64_t most_ns;
	const char *text;
} buckets[METER_BUCKETS] = {
        {INT64_C(500000), "0.0005"},
        {INT64_C(1000000), "0.001"},
        {INT64_C(2500000), "0.0025"},
        {INT64_C(5000000), "0.005"},
        {INT64_C(10000000), "0.01"},
        {INT64_C(50000000), "0.05"},
        {INT64_C(100000000), "0.1"},
        {INT64_C(500000000), "0.5"},
        {INT64_C(1000000000), "1.0"},
        {INT64_C(5000000000), "5.0"},
        {INT64_C(10000000000), "10.0"},
        {INT64_C(60000000000), "60.0"},
        {INT64_C(600000000000), "600.0"},
        {INT64_C(3600000000000), "3600.0"},
};

#endif
