/* SPDX-License-Identifier: MIT */
/*
 * meter — what one worker counts. Only its thread writes: plain stores, which others may read at
 * any time. Nothing is counted where there is no admin listener: then `meter` is NULL.
 */
#ifndef METRICS_METER_H
#define METRICS_METER_H

#include "base/check.h"
#include "limits/limits.h"
#include "metrics/metrics.h"
#include "outcome/outcome.h"

#include <stdatomic.h>

/* Of a series: what requests are counted by. */
struct meter_labels {
	unsigned listener, client, policy; /* metrics_name() */
	unsigned operation;                /* request id of docker/, and one; 0: not understood */
	enum verdict_word verdict;
};

/* What operations are told apart by where their duration is concerned. */
enum meter_kind {
#define KIND(name, word) METER_##name,
#include "metrics/kinds.def"
#undef KIND
	METER_KINDS,
};

enum meter_handshake {
	METER_HANDSHAKE_OK,
	METER_HANDSHAKE_FAILED,     /* TLS failed: certificate, version, cipher */
	METER_HANDSHAKE_UNFINISHED, /* the client left, or took too long */
	METER_HANDSHAKE_PLAIN,      /* the client spoke HTTP without TLS */
	METER_HANDSHAKES,
};

enum {
	METER_BUCKETS = 14,                  /* of a duration, without +Inf */
	METER_MAX_CONNECTIONS = LIMIT_COUNT, /* not a limit of one client: --max-connections */
	METER_LIMITS,
	METER_SLOTS = 2 * METRICS_SERIES_MAX,
};

typedef _Atomic uint64_t meter_counter;

/* Where the count of a series is. Only the thread of the meter looks here. */
struct meter_slot {
	uint64_t key; /* 0: free */
	unsigned series;
};

/* Most of it is never touched, and so takes no memory. What each request counts stands in front. */
struct meter {
	struct metrics *metrics;
	struct meter *next;
	struct meter_slot last; /* of the last request: the next one is often alike */
	meter_counter bytes_in, bytes_out;
	meter_counter connect_failures;
	meter_counter handshakes[METER_HANDSHAKES];
	meter_counter durations[METER_KINDS][METER_BUCKETS + 1];
	meter_counter duration_ns[METER_KINDS];
	meter_counter requests[METRICS_SERIES_MAX];
	meter_counter connections[METRICS_NAMES_MAX]; /* by listener */
	meter_counter streams[METRICS_NAMES_MAX];     /* by client */
	meter_counter limits[METRICS_NAMES_MAX][METER_LIMITS];
	unsigned slots_used;
	struct meter_slot slots[METER_SLOTS];
};

/* No read-modify-write: nobody else writes. Gauges go back by adding -1, modulo 2^64. */
static inline void meter_add(meter_counter *counter, uint64_t value)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + value,
	        memory_order_relaxed);
}

/* A request has ended. */
void meter_count_request(struct meter *meter, const struct meter_labels *labels,
        enum meter_kind kind, int64_t duration_ns);
/* `traits` of docker/; not of a request without an operation. */
enum meter_kind meter_kind_of(unsigned traits);

static inline void meter_count_connection(struct meter *meter, unsigned listener, int change)
{
	if (meter != NULL) {
		meter_add(&meter->connections[listener], (uint64_t)(int64_t)change);
	}
}

static inline void meter_count_stream(struct meter *meter, unsigned client, int change)
{
	if (meter != NULL) {
		meter_add(&meter->streams[client], (uint64_t)(int64_t)change);
	}
}

static inline void meter_count_limit(struct meter *meter, unsigned client, unsigned limit)
{
	if (meter != NULL) {
		meter_add(&meter->limits[client][limit], 1);
	}
}

static inline void meter_count_handshake(struct meter *meter, enum meter_handshake result)
{
	if (meter != NULL) {
		meter_add(&meter->handshakes[result], 1);
	}
}

static inline void meter_count_connect_failure(struct meter *meter)
{
	if (meter != NULL) {
		meter_add(&meter->connect_failures, 1);
	}
}

#endif
