/* SPDX-License-Identifier: MIT */
#include "metrics/internal.h"

#include "base/clock.h"
#include "docker/docker.h"
#include "metrics/buckets.h"

enum { SLOTS_USED_MAX = METER_SLOTS / 4 * 3 };

_Static_assert((METER_SLOTS & (METER_SLOTS - 1)) == 0, "a power of two, for the mask");

struct meter *metrics_add_meter(struct metrics *metrics)
{
	struct meter *meter = series_map(sizeof(*meter));

	if (meter != NULL) {
		meter->metrics = metrics;
		meter->next = metrics->meters;
		metrics->meters = meter;
	}
	return meter;
}

/* ── Requests ────────────────────────────────────────────────────────────── */

/* The slot of the key, or the free one that it gets. */
static struct meter_slot *find_slot(struct meter *meter, uint64_t key)
{
	uint64_t i = key * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	while (meter->slots[i & (METER_SLOTS - 1)].key != key &&
	        meter->slots[i & (METER_SLOTS - 1)].key != 0) {
		i++;
	}
	return &meter->slots[i & (METER_SLOTS - 1)];
}

/* The first request of a series in this thread. */
static unsigned fill_slot(
        struct meter *meter, struct meter_slot *slot, const struct meter_labels *labels)
{
	if (meter->slots_used == SLOTS_USED_MAX) {
		return labels->verdict; /* of "other" */
	}
	meter->slots_used++;
	slot->key = series_key(labels);
	slot->series = series_find(meter->metrics, labels);
	return slot->series;
}

static unsigned series_of(struct meter *meter, const struct meter_labels *labels)
{
	const uint64_t key = series_key(labels);

	if (key != meter->last.key) {
		struct meter_slot *slot = find_slot(meter, key);
		meter->last.series =
		        LIKELY(slot->key != 0) ? slot->series : fill_slot(meter, slot, labels);
		meter->last.key = key;
	}
	return meter->last.series;
}

static unsigned bucket_of(int64_t duration_ns)
{
	unsigned i = 0;

	while (i < METER_BUCKETS && duration_ns > buckets[i].most_ns) {
		i++;
	}
	return i;
}

void meter_count_request(struct meter *meter, const struct meter_labels *labels,
        enum meter_kind kind, int64_t duration_ns)
{
	meter_add(&meter->requests[series_of(meter, labels)], 1);
	meter_add(&meter->durations[kind][bucket_of(duration_ns)], 1);
	meter_add(&meter->duration_ns[kind], duration_ns > 0 ? (uint64_t)duration_ns : 0);
}

enum meter_kind meter_kind_of(unsigned traits)
{
	if ((traits & DOCKER_BUILD) != 0) {
		return METER_BUILD;
	}
	if ((traits & (DOCKER_STREAM | DOCKER_HIJACK)) != 0) {
		return METER_STREAM;
	}
	return (traits & DOCKER_WRITE) != 0 ? METER_WRITE : METER_READ;
}

/* ── What is rare ────────────────────────────────────────────────────────── */

void metrics_reloaded(struct metrics *metrics, bool ok)
{
	if (metrics == NULL) {
		return;
	}
	(void)atomic_fetch_add(&metrics->reloads[ok], 1);
	atomic_store(&metrics->reload_failed, !ok);
	if (ok) {
		atomic_store(&metrics->reloaded_ns, clock_realtime_ns());
	}
}

bool metrics_reload_is_well(const struct metrics *metrics)
{
	return metrics == NULL || !atomic_load(&metrics->reload_failed);
}

void metrics_engine_answered(struct metrics *metrics, bool up)
{
	if (metrics != NULL) {
		atomic_store(&metrics->engine_up, up);
	}
}

void metrics_have_no_engine(struct metrics *metrics)
{
	if (metrics != NULL) {
		atomic_store(&metrics->no_engine, true);
	}
}

void metrics_show_engines(struct metrics *metrics, struct pulses *pulses)
{
	if (metrics != NULL) {
		metrics->pulses = pulses;
	}
}

void metrics_audit_lost(struct metrics *metrics)
{
	if (metrics != NULL) {
		(void)atomic_fetch_add(&metrics->audit_lost, 1);
	}
}

void metrics_audit_works(struct metrics *metrics, bool works)
{
	if (metrics != NULL) {
		atomic_store(&metrics->audit_fails, !works);
	}
}

bool metrics_audit_is_well(const struct metrics *metrics)
{
	return metrics == NULL || !atomic_load(&metrics->audit_fails);
}
