/* SPDX-License-Identifier: MIT */
/*
 * metrics — what the program counts, as text for Prometheus.
 *
 * Each worker has a meter of its own (meter.h), which it alone writes: counting takes no lock and
 * no atomic read-modify-write. Whoever renders the text reads all meters.
 *
 * Values of labels come from the configuration and the catalogue alone, so that no client can make
 * series. They are numbers while they are counted: a name gets its number when a snapshot is made,
 * and keeps it for the life of the process. So series outlive snapshots, and counters never go
 * back. Names beyond METRICS_NAMES_MAX of a label, and series beyond METRICS_SERIES_MAX, are
 * counted as "other".
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "base/check.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	METRICS_NAMES_MAX = 1200,  /* of one label; more than a configuration has clients */
	METRICS_SERIES_MAX = 4096, /* of requests_total */
	METRICS_NAME_MAX = 128,    /* bytes of a name; a longer one is cut */
	METRICS_PIECE_MIN = 4096,  /* bytes of memory for metrics_render() */
};

struct metrics;
struct meter;
struct pulses;

/* NULL without memory. In the process as it starts: what is read of /proc is opened here. */
struct metrics *metrics_new(void) MUST_USE;
/* Meters too. `metrics` may be NULL. */
void metrics_free(struct metrics *metrics);

/* A meter for one thread, before the thread runs. NULL without memory. */
struct meter *metrics_add_meter(struct metrics *metrics) MUST_USE;

enum metrics_label {
	METRICS_LISTENER,
	METRICS_CLIENT,
	METRICS_POLICY,
	METRICS_LABELS,
};
/* The number of a name, from any thread; 0 for NULL, which is nobody's. `metrics` may be NULL. */
unsigned metrics_name(struct metrics *metrics, enum metrics_label label, const char *name);

/* ── What is rare, from any thread; `metrics` may be NULL ────────────────── */

/* The configuration was reloaded, or it could not be. */
void metrics_reloaded(struct metrics *metrics, bool ok);
/* Whether the last reload succeeded; true if there was none. */
bool metrics_reload_is_well(const struct metrics *metrics);
/* The Engine accepted a connection, or it did not. */
void metrics_engine_answered(struct metrics *metrics, bool up);
/* There is no Engine of `upstream`, for this whole process: nothing can be said of it. */
void metrics_have_no_engine(struct metrics *metrics);
/* Show the Engines of `pulses`, which must outlive the metrics. Before they are rendered. */
void metrics_show_engines(struct metrics *metrics, struct pulses *pulses);
/* An audit record could not be written; and whether records can be written now. */
void metrics_audit_lost(struct metrics *metrics);
void metrics_audit_works(struct metrics *metrics, bool works);
bool metrics_audit_is_well(const struct metrics *metrics);

/* ── Numbers for operators; `metrics` is not NULL ────────────────────────── */

/* Requests of a client for an operation, by enum verdict_word. */
struct metrics_tally {
	unsigned client;    /* number of its name; 0: none */
	unsigned policy;    /* of who is no client; else 0: of whichever policy */
	unsigned operation; /* request id, and one; 0: not understood */
	uint64_t counts[4];
};

/* Add up, in the order of clients, policies and operations; there is room for METRICS_SERIES_MAX.
 * Returns how many. */
unsigned metrics_tally(struct metrics *metrics, struct metrics_tally *ret_list);
/* The name with this number; "": nobody's. It stays for the life of the process. */
const char *metrics_name_of(struct metrics *metrics, enum metrics_label label, unsigned number);
/* Connections at a listener, streams of a client, how often a client reached a limit. */
uint64_t metrics_connections(const struct metrics *metrics, unsigned listener);
uint64_t metrics_streams(const struct metrics *metrics, unsigned client);
uint64_t metrics_all_streams(const struct metrics *metrics);
uint64_t metrics_limit(const struct metrics *metrics, unsigned client, unsigned limit);
uint64_t metrics_connect_failures(const struct metrics *metrics);
uint64_t metrics_reloads(const struct metrics *metrics, bool ok);
int64_t metrics_started_ns(const struct metrics *metrics); /* since 1970 */
int64_t metrics_loaded_ns(const struct metrics *metrics);

/* ── The text ────────────────────────────────────────────────────────────── */

enum metrics_format {
	METRICS_PROMETHEUS,  /* text format 0.0.4 */
	METRICS_OPENMETRICS, /* OpenMetrics 1.0 */
};

/* How far the text was written; zeroed but for the format. */
struct metrics_page {
	enum metrics_format format;
	unsigned metric; /* row of metrics.def */
	unsigned item;   /* of its samples */
};

/*
 * Append the next lines of the text, as many as fit; there is room for METRICS_PIECE_MIN at least.
 * True when the text is whole. One piece of 16 KiB takes some 50 µs, so that whoever renders can
 * serve others in between.
 */
bool metrics_render(struct metrics *metrics, struct metrics_page *page, struct text *text);

#endif
