/* SPDX-License-Identifier: MIT */
/*
 * The text for Prometheus, a piece at a time.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/ and OpenMetrics 1.0. They differ in
 * the family of a counter, which OpenMetrics names without _total, and in its last line.
 */
#include "metrics/internal.h"

#include "base/log.h"
#include "docker/docker.h"
#include "metrics/buckets.h"

#include <string.h>

enum metric_type {
	COUNTER,
	GAUGE,
	HISTOGRAM,
};

/* A row of metrics.def. */
struct metric {
	const char *name;
	enum metric_type type;
	const char *labels; /* separated by commas */
	unsigned (*count)(const struct metrics *metrics);
	/* Append the samples of an item, or none. */
	void (*add)(const struct metrics *metrics, const struct metric *metric, unsigned item,
	        struct text *text);
	const char *help;
};

/* ── Samples ─────────────────────────────────────────────────────────────── */

/* Of a label; RFC 8259 needs more escapes than the format, but no name has such bytes. */
static void add_label(struct text *text, struct slice name, struct slice value, bool first)
{
	text_add_char(text, first ? '{' : ',');
	text_add(text, name);
	text_add(text, SLICE("=\""));
	for (size_t i = 0; i < value.len; i++) {
		const char c = value.ptr[i];
		if (c == '"' || c == '\\') {
			text_add_char(text, '\\');
		}
		text_add(text, c == '\n' ? SLICE("\\n") : (struct slice){&value.ptr[i], 1});
	}
	text_add_char(text, '"');
}

/* The name with its labels, up to the value. */
static void begin(struct text *text, const struct metric *metric, const struct slice *values)
{
	struct slice labels = slice_of(metric->labels);
	struct slice label;
	unsigned i = 0;

	text_add(text, slice_of(metric->name));
	while (labels.len > 0 && slice_next(&labels, ',', &label)) {
		add_label(text, label, values[i], i == 0);
		i++;
	}
	text_add(text, i > 0 ? SLICE("} ") : SLICE(" "));
}

static void add_sample(
        struct text *text, const struct metric *metric, const struct slice *values, uint64_t value)
{
	begin(text, metric, values);
	text_add_u64(text, value);
	text_add_char(text, '\n');
}

/* Seconds with six digits behind the point. */
static void add_seconds(struct text *text, uint64_t us)
{
	text_add_u64(text, us / 1000000);
	text_add_char(text, '.');
	text_add_digits(text, us % 1000000, 6);
}

static uint64_t get(const meter_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The sum of the counters at this offset, of all meters. */
static uint64_t sum_at(const struct metrics *metrics, size_t offset)
{
	uint64_t sum = 0;

	for (const struct meter *meter = metrics->meters; meter != NULL; meter = meter->next) {
		sum += get((const meter_counter *)(const void *)((const char *)meter + offset));
	}
	return sum;
}

#define SUM(metrics, counter) sum_at(metrics, offsetof(struct meter, counter))

/* ── Requests ────────────────────────────────────────────────────────────── */

static struct slice operation_name(unsigned operation)
{
	return operation == 0 ? SLICE("") : slice_of(docker_operation_name(operation - 1));
}

static bool is_other(unsigned series)
{
	return series < VERDICT_WORDS;
}

static unsigned count_requests(const struct metrics *metrics)
{
	return metrics->series_count;
}

static void add_requests(const struct metrics *metrics, const struct metric *metric, unsigned item,
        struct text *text)
{
	const struct meter_labels labels = series_labels(metrics->series[item].key);
	const uint64_t count = SUM(metrics, requests[item]);
	const struct slice values[] = {
	        series_name(metrics, METRICS_LISTENER, labels.listener),
	        series_name(metrics, METRICS_CLIENT, labels.client),
	        series_name(metrics, METRICS_POLICY, labels.policy),
	        is_other(item) ? SLICE("other") : operation_name(labels.operation),
	        slice_of(verdict_word(labels.verdict)),
	};

	if (count > 0) {
		add_sample(text, metric, values, count);
	}
}

static unsigned count_denials(const struct metrics *metrics)
{
	return metrics->denial_count;
}

static void add_denials(const struct metrics *metrics, const struct metric *metric, unsigned item,
        struct text *text)
{
	const struct denial_series *denial = &metrics->denials[item];
	const struct meter_labels labels = series_labels(denial->key);
	const struct slice values[] = {
	        series_name(metrics, METRICS_CLIENT, labels.client),
	        series_name(metrics, METRICS_POLICY, labels.policy),
	        item == 0 ? SLICE("other") : operation_name(labels.operation),
	};
	uint64_t count = 0;

	for (unsigned i = denial->first; i != 0; i = metrics->series[i].next_denial) {
		count += SUM(metrics, requests[i]);
	}
	if (count > 0) {
		add_sample(text, metric, values, count);
	}
}

static unsigned count_durations(const struct metrics *metrics)
{
	(void)metrics;
	return METER_KINDS;
}

static const char *const kind_words[] = {
#define KIND(name, word) word,
#include "metrics/kinds.def"
#undef KIND
};

static void add_bucket(struct text *text, const struct metric *metric, unsigned kind,
        unsigned bucket, uint64_t count)
{
	text_add(text, slice_of(metric->name));
	text_add(text, SLICE("_bucket"));
	add_label(text, SLICE("kind"), slice_of(kind_words[kind]), true);
	text_add(text, SLICE(",le=\""));
	text_add(text, bucket == METER_BUCKETS ? SLICE("+Inf") : slice_of(buckets[bucket].text));
	text_add(text, SLICE("\"} "));
	text_add_u64(text, count);
	text_add_char(text, '\n');
}

static void add_durations(const struct metrics *metrics, const struct metric *metric, unsigned item,
        struct text *text)
{
	uint64_t count = 0;

	for (unsigned i = 0; i <= METER_BUCKETS; i++) {
		count += SUM(metrics, durations[item][i]);
		add_bucket(text, metric, item, i, count);
	}
	text_add_format(text, "%s_sum{kind=\"%s\"} ", metric->name, kind_words[item]);
	add_seconds(text, SUM(metrics, duration_ns[item]) / 1000);
	text_add_format(text, "\n%s_count{kind=\"%s\"} ", metric->name, kind_words[item]);
	text_add_u64(text, count);
	text_add_char(text, '\n');
}

/* ── Gauges and counters by a name ───────────────────────────────────────── */

static unsigned count_connections(const struct metrics *metrics)
{
	return metrics->names[METRICS_LISTENER].count;
}

/* Each listener, whether it has connections or not; "other" if it has. */
static void add_connections(const struct metrics *metrics, const struct metric *metric,
        unsigned item, struct text *text)
{
	const struct slice name = series_name(metrics, METRICS_LISTENER, item);
	const uint64_t count = SUM(metrics, connections[item]);

	if (item >= NAMES_FIRST || count > 0) {
		add_sample(text, metric, &name, count);
	}
}

static unsigned count_streams(const struct metrics *metrics)
{
	return metrics->names[METRICS_CLIENT].count;
}

static void add_streams(const struct metrics *metrics, const struct metric *metric, unsigned item,
        struct text *text)
{
	const struct slice name = series_name(metrics, METRICS_CLIENT, item);
	const uint64_t count = SUM(metrics, streams[item]);

	if (item != NAME_OTHER || count > 0) {
		add_sample(text, metric, &name, count);
	}
}

static unsigned count_limits(const struct metrics *metrics)
{
	return metrics->names[METRICS_CLIENT].count;
}

static void add_limits(const struct metrics *metrics, const struct metric *metric, unsigned item,
        struct text *text)
{
	for (unsigned i = 0; i < METER_LIMITS; i++) {
		const struct slice values[] = {
		        series_name(metrics, METRICS_CLIENT, item),
		        i < LIMIT_COUNT ? slice_of(limit_key((enum limit)i))
		                        : SLICE("max_connections"),
		};
		const uint64_t count = SUM(metrics, limits[item][i]);
		if (count > 0) {
			add_sample(text, metric, values, count);
		}
	}
}

#define COUNT(rows, items)                                                                         \
	static unsigned count_##rows(const struct metrics *metrics)                                \
	{                                                                                          \
		(void)metrics;                                                                     \
		return (items);                                                                    \
	}

/* ── Engines ─────────────────────────────────────────────────────────────── */

COUNT(engines_up, pulses_count(metrics->pulses))

/* Nothing of one that was not asked yet. */
static void add_engines_up(const struct metrics *metrics, const struct metric *metric,
        unsigned item, struct text *text)
{
	struct pulse_sample sample;

	if (pulses_sample(metrics->pulses, item, &sample) && sample.view.state != PULSE_UNKNOWN) {
		const struct slice name = slice_of(sample.name);
		add_sample(text, metric, &name, sample.view.state == PULSE_UP);
	}
}

COUNT(engine_failures, pulses_count(metrics->pulses))

static void add_engine_failures(const struct metrics *metrics, const struct metric *metric,
        unsigned item, struct text *text)
{
	struct pulse_sample sample;

	if (pulses_sample(metrics->pulses, item, &sample)) {
		const struct slice name = slice_of(sample.name);
		add_sample(text, metric, &name, sample.failures);
	}
}

/* ── Those with a few fixed values ───────────────────────────────────────── */

COUNT(handshakes, METER_HANDSHAKES)

static void add_handshakes(const struct metrics *metrics, const struct metric *metric,
        unsigned item, struct text *text)
{
	static const char *const words[] = {
	        [METER_HANDSHAKE_OK] = "ok",
	        [METER_HANDSHAKE_FAILED] = "failed",
	        [METER_HANDSHAKE_UNFINISHED] = "unfinished",
	        [METER_HANDSHAKE_PLAIN] = "plain_http",
	};
	const struct slice word = slice_of(words[item]);

	add_sample(text, metric, &word, SUM(metrics, handshakes[item]));
}

COUNT(bytes, 2)

static void add_bytes(const struct metrics *metrics, const struct metric *metric, unsigned item,
        struct text *text)
{
	const struct slice word = item == 0 ? SLICE("in") : SLICE("out");

	add_sample(
	        text, metric, &word, item == 0 ? SUM(metrics, bytes_in) : SUM(metrics, bytes_out));
}

COUNT(reloads, 2)

static void add_reloads(const struct metrics *metrics, const struct metric *metric, unsigned item,
        struct text *text)
{
	const struct slice word = item == 0 ? SLICE("failed") : SLICE("ok");

	add_sample(text, metric, &word, atomic_load(&metrics->reloads[item]));
}

/* ── Single numbers ──────────────────────────────────────────────────────── */

static const struct slice no_values[1] = {{"", 0}};

#define SINGLE(rows, value)                                                                        \
	COUNT(rows, 1)                                                                             \
	static void add_##rows(const struct metrics *metrics, const struct metric *metric,         \
	        unsigned item, struct text *text)                                                  \
	{                                                                                          \
		(void)metrics, (void)item;                                                         \
		add_sample(text, metric, no_values, (value));                                      \
	}

COUNT(upstream_up, atomic_load(&metrics->no_engine) ? 0 : 1)

/* Nothing where all Engines have names. */
static void add_upstream_up(const struct metrics *metrics, const struct metric *metric,
        unsigned item, struct text *text)
{
	(void)item;
	add_sample(text, metric, no_values, atomic_load(&metrics->engine_up));
}

SINGLE(connect_failures, SUM(metrics, connect_failures))
SINGLE(audit_lost, atomic_load(&metrics->audit_lost))
SINGLE(log_lost, log_lost())
SINGLE(resident, process_memory(&metrics->process, true))
SINGLE(virtual, process_memory(&metrics->process, false))
SINGLE(open_files, process_files(&metrics->process))
SINGLE(max_files, process_files_max())

#define SINGLE_TIME(rows, us)                                                                      \
	COUNT(rows, 1)                                                                             \
	static void add_##rows(const struct metrics *metrics, const struct metric *metric,         \
	        unsigned item, struct text *text)                                                  \
	{                                                                                          \
		(void)metrics, (void)item;                                                         \
		begin(text, metric, no_values);                                                    \
		add_seconds(text, (uint64_t)(us));                                                 \
		text_add_char(text, '\n');                                                         \
	}

SINGLE_TIME(reloaded, atomic_load(&metrics->reloaded_ns) / 1000)
SINGLE_TIME(cpu, process_cpu_us())
SINGLE_TIME(started, metrics->process.started_ns / 1000)

COUNT(build, 1)

static void add_build(const struct metrics *metrics, const struct metric *metric, unsigned item,
        struct text *text)
{
	const struct slice version = SLICE(VERSION);

	(void)metrics, (void)item;
	add_sample(text, metric, &version, 1);
}

/* ── Families ────────────────────────────────────────────────────────────── */

#define METRIC(name, type, labels, rows, help) {name, type, labels, count_##rows, add_##rows, help},
static const struct metric metric_rows[] = {
#include "metrics/metrics.def"
};
#undef METRIC

static void add_family(struct text *text, const struct metric *metric, enum metrics_format format)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	struct slice name = slice_of(metric->name);

	if (format == METRICS_OPENMETRICS && metric->type == COUNTER) {
		name.len -= sizeof("_total") - 1;
	}
	text_add_format(text, "# HELP %.*s %s\n# TYPE %.*s %s\n", SLICE_FMT(name), metric->help,
	        SLICE_FMT(name), types[metric->type]);
}

/* An item is written whole or not at all. */
static bool add_item(const struct metrics *metrics, const struct metrics_page *page,
        const struct metric *metric, struct text *text)
{
	struct text with = *text;

	if (page->item == 0) {
		add_family(&with, metric, page->format);
	}
	if (page->item < metric->count(metrics)) {
		metric->add(metrics, metric, page->item, &with);
	}
	if (!with.overflow) {
		*text = with;
	}
	return !with.overflow;
}

static bool render(struct metrics *metrics, struct metrics_page *page, struct text *text)
{
	while (page->metric < ARRAY_LEN(metric_rows)) {
		const struct metric *metric = &metric_rows[page->metric];
		if (!add_item(metrics, page, metric, text)) {
			return false;
		}
		if (++page->item >= metric->count(metrics)) {
			page->item = 0;
			page->metric++;
		}
	}
	return true;
}

bool metrics_render(struct metrics *metrics, struct metrics_page *page, struct text *text)
{
	(void)pthread_mutex_lock(&metrics->lock);
	const bool whole = render(metrics, page, text);
	(void)pthread_mutex_unlock(&metrics->lock);
	if (!whole) {
		return false;
	}
	if (page->format == METRICS_OPENMETRICS) {
		text_add(text, SLICE("# EOF\n"));
	}
	return !text->overflow;
}
