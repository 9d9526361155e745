/* SPDX-License-Identifier: MIT */
/* internal — names and series. Private to metrics/. */
#ifndef METRICS_INTERNAL_H
#define METRICS_INTERNAL_H

#include "metrics/meter.h"
#include "metrics/metrics.h"
#include "pulse/pulse.h"

#include <dirent.h>
#include <pthread.h>

enum {
	NAME_NONE,  /* "": nobody, no policy, not understood */
	NAME_OTHER, /* "other" */
	NAMES_FIRST,
	DENIALS_MAX = METRICS_SERIES_MAX,
};

/* The names of one label. They are never freed before the end. */
struct names {
	unsigned count;
	uint32_t hashes[METRICS_NAMES_MAX];
	char *list[METRICS_NAMES_MAX];
};

/* The first VERDICTS series are those of "other". */
struct series {
	uint64_t key;
	unsigned next_denial; /* with the same client, policy and operation; 0: none */
};

struct denial_series {
	uint64_t key;   /* of the series, without listener and verdict */
	unsigned first; /* of the series that it is the sum of */
};

/* What is read of the process. */
struct process {
	int statm;  /* descriptor; -1: none */
	DIR *files; /* of descriptors; NULL: none */
	int64_t started_ns;
};

struct metrics {
	pthread_mutex_t lock; /* of names and series: taken for the first request of a series, for a
	                         snapshot, and to render */
	struct names names[METRICS_LABELS];
	unsigned series_count;
	struct series series[METRICS_SERIES_MAX];
	unsigned denial_count;
	struct denial_series denials[DENIALS_MAX];
	unsigned *operations; /* by request id: the first id of the same operation */
	unsigned operation_count;
	struct meter *meters;
	struct process process;
	_Atomic uint64_t reloads[2]; /* failed, succeeded */
	_Atomic int64_t reloaded_ns; /* realtime */
	_Atomic uint64_t audit_lost;
	atomic_bool reload_failed;
	atomic_bool audit_fails;
	atomic_bool engine_up;
	atomic_bool no_engine; /* of `upstream` */
	struct pulses *pulses; /* NULL: none are shown */
};

/* ── series.c ────────────────────────────────────────────────────────────── */

/* A number for each combination of labels; never 0. */
static inline uint64_t series_key(const struct meter_labels *labels)
{
	return UINT64_C(1) << 63 | (uint64_t)labels->listener << 48 |
	       (uint64_t)labels->client << 32 | (uint64_t)labels->policy << 16 |
	       (uint64_t)labels->operation << 2 | (uint64_t)labels->verdict;
}
struct meter_labels series_labels(uint64_t key);
/* The number of the series, which may be new. Takes the lock. */
unsigned series_find(struct metrics *metrics, const struct meter_labels *labels);
/* "": there is none. Under the lock. */
struct slice series_name(const struct metrics *metrics, enum metrics_label label, unsigned number);

/* Zeroed memory of which only what is touched takes room: calloc() reuses memory, and clears all of
 * it. NULL without memory. */
void *series_map(size_t size);
void series_unmap(void *memory, size_t size);

/* ── process.c ───────────────────────────────────────────────────────────── */

void process_open(struct process *process);
void process_close(struct process *process);
int64_t process_cpu_us(void);
/* Bytes; 0: not known. */
uint64_t process_memory(const struct process *process, bool resident);
uint64_t process_files(const struct process *process);
uint64_t process_files_max(void);

#endif
