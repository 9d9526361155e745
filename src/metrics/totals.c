/* SPDX-License-Identifier: MIT */
/* totals — what all workers have counted together, as numbers. */
#include "metrics/internal.h"

#include <stdlib.h>

_Static_assert((int)VERDICT_WORDS == 4, "metrics_tally.counts has one for each");

static uint64_t sum(const struct metrics *metrics, size_t offset)
{
	uint64_t total = 0;

	for (const struct meter *meter = metrics->meters; meter != NULL; meter = meter->next) {
		const meter_counter *counter =
		        (const meter_counter *)(const void *)((const char *)meter + offset);
		total += atomic_load_explicit(counter, memory_order_relaxed);
	}
	return total;
}

#define SUM(metrics, counter) sum(metrics, offsetof(struct meter, counter))

/* ── Requests ────────────────────────────────────────────────────────────── */

static bool is_same(const struct metrics_tally *a, const struct metrics_tally *b)
{
	return a->client == b->client && a->policy == b->policy && a->operation == b->operation;
}

static int in_order(const void *left, const void *right)
{
	const struct metrics_tally *a = left;
	const struct metrics_tally *b = right;

	if (a->client != b->client) {
		return a->client < b->client ? -1 : 1;
	}
	if (a->policy != b->policy) {
		return a->policy < b->policy ? -1 : 1;
	}
	return a->operation < b->operation ? -1 : a->operation > b->operation;
}

static void add(struct metrics_tally *tally, const struct metrics_tally *more)
{
	for (unsigned verdict = 0; verdict < VERDICT_WORDS; verdict++) {
		tally->counts[verdict] += more->counts[verdict];
	}
}

/* One for each of the sorted ones that are the same. */
static unsigned join(struct metrics_tally *list, unsigned count)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++) {
		if (kept > 0 && is_same(&list[kept - 1], &list[i])) {
			add(&list[kept - 1], &list[i]);
		} else {
			list[kept++] = list[i];
		}
	}
	return kept;
}

unsigned metrics_tally(struct metrics *metrics, struct metrics_tally *ret_list)
{
	unsigned count = 0;

	(void)pthread_mutex_lock(&metrics->lock);
	for (unsigned i = 0; i < metrics->series_count; i++) {
		const struct meter_labels labels = series_labels(metrics->series[i].key);
		const uint64_t requests = SUM(metrics, requests[i]);
		if (requests == 0) {
			continue;
		}
		ret_list[count] = (struct metrics_tally){
		        .client = labels.client,
		        .policy = labels.client == NAME_NONE ? labels.policy : NAME_NONE,
		        .operation = labels.operation,
		};
		ret_list[count++].counts[labels.verdict] = requests;
	}
	(void)pthread_mutex_unlock(&metrics->lock);
	qsort(ret_list, count, sizeof(*ret_list), in_order);
	return join(ret_list, count);
}

/* ── Others ──────────────────────────────────────────────────────────────── */

const char *metrics_name_of(struct metrics *metrics, enum metrics_label label, unsigned number)
{
	(void)pthread_mutex_lock(&metrics->lock);
	const struct slice name = series_name(metrics, label, number);
	(void)pthread_mutex_unlock(&metrics->lock);
	return name.ptr;
}

uint64_t metrics_connections(const struct metrics *metrics, unsigned listener)
{
	return SUM(metrics, connections[listener]);
}

uint64_t metrics_streams(const struct metrics *metrics, unsigned client)
{
	return SUM(metrics, streams[client]);
}

uint64_t metrics_all_streams(const struct metrics *metrics)
{
	const unsigned count = metrics->names[METRICS_CLIENT].count;
	uint64_t total = 0;

	for (unsigned client = 0; client < count; client++) {
		total += metrics_streams(metrics, client);
	}
	return total;
}

uint64_t metrics_limit(const struct metrics *metrics, unsigned client, unsigned limit)
{
	return SUM(metrics, limits[client][limit]);
}

uint64_t metrics_connect_failures(const struct metrics *metrics)
{
	return SUM(metrics, connect_failures);
}

uint64_t metrics_reloads(const struct metrics *metrics, bool ok)
{
	return atomic_load(&metrics->reloads[ok]);
}

int64_t metrics_started_ns(const struct metrics *metrics)
{
	return metrics->process.started_ns;
}

int64_t metrics_loaded_ns(const struct metrics *metrics)
{
	return atomic_load(&metrics->reloaded_ns);
}
