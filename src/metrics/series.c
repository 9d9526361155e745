/* SPDX-License-Identifier: MIT */
#include "metrics/internal.h"

#include "base/hash.h"
#include "docker/docker.h"

#include <stdlib.h>
#include <sys/mman.h>

/* ── Names ───────────────────────────────────────────────────────────────── */

static unsigned find_name(const struct names *names, struct slice name, uint32_t hash)
{
	for (unsigned i = NAMES_FIRST; i < names->count; i++) {
		if (names->hashes[i] == hash && slice_equal(slice_of(names->list[i]), name)) {
			return i;
		}
	}
	return NAME_NONE;
}

/* Without memory it is one of the others. */
static unsigned add_name(struct names *names, struct slice name, uint32_t hash)
{
	if (names->count == METRICS_NAMES_MAX) {
		return NAME_OTHER;
	}
	char *copy = strndup(name.ptr, name.len);
	if (copy == NULL) {
		return NAME_OTHER;
	}
	names->hashes[names->count] = hash;
	names->list[names->count] = copy;
	return names->count++;
}

unsigned metrics_name(struct metrics *metrics, enum metrics_label label, const char *name)
{
	if (metrics == NULL || name == NULL) {
		return NAME_NONE;
	}
	struct slice text = slice_of(name);
	text.len = text.len < METRICS_NAME_MAX ? text.len : METRICS_NAME_MAX;
	const uint32_t hash = hash_bytes(HASH_START, text);

	(void)pthread_mutex_lock(&metrics->lock);
	unsigned number = find_name(&metrics->names[label], text, hash);
	if (number == NAME_NONE) {
		number = add_name(&metrics->names[label], text, hash);
	}
	(void)pthread_mutex_unlock(&metrics->lock);
	return number;
}

struct slice series_name(const struct metrics *metrics, enum metrics_label label, unsigned number)
{
	if (number == NAME_NONE) {
		return SLICE("");
	}
	return number == NAME_OTHER ? SLICE("other") : slice_of(metrics->names[label].list[number]);
}

/* ── Series ──────────────────────────────────────────────────────────────── */

struct meter_labels series_labels(uint64_t key)
{
	return (struct meter_labels){
	        .listener = key >> 48 & 0x7fff,
	        .client = key >> 32 & 0xffff,
	        .policy = key >> 16 & 0xffff,
	        .operation = key >> 2 & 0x3fff,
	        .verdict = (enum verdict_word)(key & 3),
	};
}

/* Let the series be a part of the sum of its denials. */
static void add_denial(struct metrics *metrics, unsigned number)
{
	struct series *series = &metrics->series[number];
	struct meter_labels labels = series_labels(series->key);
	unsigned i = 0;

	labels.listener = 0;
	const uint64_t key = series_key(&labels);
	while (i < metrics->denial_count && metrics->denials[i].key != key) {
		i++;
	}
	if (i == metrics->denial_count) {
		metrics->denials[metrics->denial_count++] = (struct denial_series){.key = key};
	}
	series->next_denial = metrics->denials[i].first;
	metrics->denials[i].first = number;
}

static unsigned find_or_add(struct metrics *metrics, const struct meter_labels *labels)
{
	const uint64_t key = series_key(labels);

	for (unsigned i = VERDICT_WORDS; i < metrics->series_count; i++) {
		if (metrics->series[i].key == key) {
			return i;
		}
	}
	if (metrics->series_count == METRICS_SERIES_MAX) {
		return labels->verdict; /* of "other" */
	}
	metrics->series[metrics->series_count].key = key;
	if (labels->verdict == VERDICT_DENY) {
		add_denial(metrics, metrics->series_count);
	}
	return metrics->series_count++;
}

unsigned series_find(struct metrics *metrics, const struct meter_labels *labels)
{
	struct meter_labels own = *labels;

	/* Several rows of the catalogue may be one operation. */
	if (own.operation > 0) {
		own.operation = 1 + metrics->operations[own.operation - 1];
	}
	(void)pthread_mutex_lock(&metrics->lock);
	const unsigned number = find_or_add(metrics, &own);
	(void)pthread_mutex_unlock(&metrics->lock);
	return number;
}

/* ── Life ────────────────────────────────────────────────────────────────── */

void *series_map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void series_unmap(void *memory, size_t size)
{
	if (memory != NULL) {
		(void)munmap(memory, size);
	}
}

static bool find_operations(struct metrics *metrics)
{
	const unsigned count = docker_id_count();

	metrics->operations = calloc(count, sizeof(*metrics->operations));
	for (unsigned id = 0; metrics->operations != NULL && id < count; id++) {
		unsigned first = 0;
		while (strcmp(docker_operation_name(first), docker_operation_name(id)) != 0) {
			first++;
		}
		metrics->operations[id] = first;
	}
	return metrics->operations != NULL;
}

/* Those that are counted beyond the ceiling, one for each verdict. */
static void add_others(struct metrics *metrics)
{
	for (unsigned i = 0; i < VERDICT_WORDS; i++) {
		const struct meter_labels labels = {
		        NAME_OTHER, NAME_OTHER, NAME_OTHER, 0, (enum verdict_word)i};
		metrics->series[i].key = series_key(&labels);
	}
	metrics->series_count = VERDICT_WORDS;
	metrics->denials[0] = (struct denial_series){
	        .key = metrics->series[VERDICT_DENY].key, .first = VERDICT_DENY};
	metrics->denial_count = 1;
}

struct metrics *metrics_new(void)
{
	struct metrics *metrics = series_map(sizeof(*metrics));

	if (metrics == NULL || !find_operations(metrics)) {
		series_unmap(metrics, sizeof(*metrics));
		return NULL;
	}
	(void)pthread_mutex_init(&metrics->lock, NULL);
	for (unsigned i = 0; i < METRICS_LABELS; i++) {
		metrics->names[i].count = NAMES_FIRST;
	}
	add_others(metrics);
	process_open(&metrics->process);
	atomic_init(&metrics->reloaded_ns, metrics->process.started_ns);
	return metrics;
}

void metrics_free(struct metrics *metrics)
{
	if (metrics == NULL) {
		return;
	}
	while (metrics->meters != NULL) {
		struct meter *meter = metrics->meters;
		metrics->meters = meter->next;
		series_unmap(meter, sizeof(*meter));
	}
	for (unsigned i = 0; i < METRICS_LABELS; i++) {
		for (unsigned k = NAMES_FIRST; k < metrics->names[i].count; k++) {
			free(metrics->names[i].list[k]);
		}
	}
	process_close(&metrics->process);
	(void)pthread_mutex_destroy(&metrics->lock);
	free(metrics->operations);
	series_unmap(metrics, sizeof(*metrics));
}
