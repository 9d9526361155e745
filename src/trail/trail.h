/* SPDX-License-Identifier: MIT */
/*
 * trail — the way of audit records (audit/record.h) from the threads that serve to where they are
 * kept, and to those who watch them.
 *
 * Each thread has a queue of its own, which it alone fills and the writer alone empties: no lock,
 * and no atomic read-modify-write. The writer is a thread of its own, the only one that waits for
 * a disk or a reader. docs/audit.md says what is guaranteed; the files are:
 *
 * queue.c   the records of one thread: bounded, with places that are kept for those to come
 * writer.c  the thread: takes records from all queues, chains and writes them
 * file.c    a file: opened, found again after rotation, its torn end cut off
 * socket.c  a unix socket or syslog
 * chain.c   the hash of the line before, in each line
 * feed.c    records for those who watch now (/api/events)
 * verify.c  the verb `verify-audit`
 */
#ifndef TRAIL_TRAIL_H
#define TRAIL_TRAIL_H

#include "base/check.h"
#include "base/text.h"
#include "metrics/metrics.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct trail;
struct trail_queue;

/* ── Where records are kept ──────────────────────────────────────────────── */

enum trail_kind {
	TRAIL_NOWHERE, /* they are only for those who watch */
	TRAIL_FILE,
	TRAIL_OUTPUT, /* standard output */
	TRAIL_SOCKET, /* a unix socket, of datagrams or a stream: a line each */
	TRAIL_SYSLOG, /* the same, with the head that syslog daemons want */
};

struct trail_target {
	enum trail_kind kind;
	const char *text; /* as the configuration has it */
	const char *path; /* in `text`; "-" for standard output */
};

/* Read where records go. NULL, or the fault as the end of a sentence. */
const char *trail_read_target(const char *text, struct trail_target *ret_target) MUST_USE;

struct trail_settings {
	struct trail_target target;
	bool denies;  /* without its record no request is forwarded */
	bool chained; /* each line has the hash of the one before */
	unsigned queues_max;
	struct metrics *metrics; /* NULL: there are none */
};

/* ── Life ────────────────────────────────────────────────────────────────── */

/* NULL without memory or a descriptor. Nothing is opened, no thread runs. Of the settings, the text
 * of the target is copied. */
struct trail *trail_new(const struct trail_settings *settings) MUST_USE;
/* Open what is to be written and start the writer. 0, or -errno and *ret_text says why. A disk
 * that is full, or a socket that nobody has opened yet, is waited for. */
int trail_start(struct trail *trail, struct text *ret_text) MUST_USE;
/*
 * All queues are filled no more: write what is in them, for a moment at most, and end. `trail` may
 * be NULL. False: the writer waits for a disk, and nothing is freed. When the disk comes back, the
 * writer goes on with the trail and with all that this was given (metrics, who watches), so that
 * the process has to end with them in place.
 */
bool trail_free(struct trail *trail) MUST_USE;
/* Open the file or socket again soon. From any thread. `trail` may be NULL. */
void trail_reopen(struct trail *trail);

/* From any thread. */
bool trail_works(const struct trail *trail);
/* Records that could not be kept, since the start. */
uint64_t trail_lost(const struct trail *trail);
const struct trail_settings *trail_settings(const struct trail *trail);

/* ── A queue: in its thread ──────────────────────────────────────────────── */

/* A queue for the thread of the loop, before it runs. NULL without memory. */
struct trail_queue *trail_add_queue(struct trail *trail, struct loop *loop) MUST_USE;
/* Whether anybody wants records now. */
bool trail_wants(const struct trail_queue *queue);
/* Whether requests are forwarded only with a record. */
bool trail_denies(const struct trail_queue *queue);
/*
 * A request is about to be forwarded: keep a place for the record of its end, and leave one for
 * that of its beginning. False: the record could not be written. Only where trail_denies().
 */
bool trail_reserve(struct trail_queue *queue) MUST_USE;
/* The place is needed no more. */
void trail_release(struct trail_queue *queue);
/*
 * Memory for the next line, of RECORD_LINE_MAX bytes; `ptr` NULL: the queue is full, and the record
 * is lost and counted. Whoever has reserved a place finds it.
 */
struct text trail_begin(struct trail_queue *queue);
/* The line is whole, without a newline. */
void trail_end(struct trail_queue *queue, const struct text *line);

/* ── Watching: in one thread alone ───────────────────────────────────────── */

/* How far somebody has read. */
struct trail_cursor {
	uint64_t position;
	uint64_t number; /* of the next record */
};

/*
 * Before trail_start(): `tell` is called in the writer's thread when there are new records. Of the
 * descriptors of the process it may use `tell_fd` (-1: none) and the standard ones: the writer may
 * have no others.
 */
void trail_set_watcher(
        struct trail *trail, void (*tell)(void *context), void *context, int tell_fd);
/* Somebody watches from now on. False without memory. */
bool trail_watch(struct trail *trail, struct trail_cursor *ret_cursor) MUST_USE;
/* One of those who watched does no more. */
void trail_unwatch(struct trail *trail);
/*
 * Append the next record to `line`, which has room for RECORD_LINE_MAX. False: there is none.
 * *ret_lost is how many records were overwritten before they were read.
 */
bool trail_next(struct trail *trail, struct trail_cursor *cursor, struct text *line,
        uint64_t *ret_lost) MUST_USE;

/* ── Verifying ───────────────────────────────────────────────────────────── */

/* The verb: files in the order in which they were written. The exit status: 0; 1 for a chain that
 * is broken; 2 for a file that cannot be read. */
int trail_verify(unsigned count, const char *const files[]);

#endif
