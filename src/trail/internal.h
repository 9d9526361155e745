/* SPDX-License-Identifier: MIT */
/* internal — the parts of a trail. Private to trail/. */
#ifndef TRAIL_INTERNAL_H
#define TRAIL_INTERNAL_H

#include "audit/record.h"
#include "trail/trail.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/types.h>

/* ── chain.c ─────────────────────────────────────────────────────────────── */

enum {
	CHAIN_DIGEST_LEN = 32,
	CHAIN_HEX_LEN = 2 * CHAIN_DIGEST_LEN,
	/* ,"prev":"…" in front of the brace that ends a line */
	CHAIN_FIELD_MAX = 9 + CHAIN_HEX_LEN + 1,
};

/* What the next line says of the one before. */
struct chain {
	bool known; /* there is a line before */
	unsigned char digest[CHAIN_DIGEST_LEN];
};

/* The line, without its newline, is the last one. */
void chain_set(struct chain *chain, struct slice line);
bool chain_equal(const struct chain *a, const struct chain *b);
/* Append a line, as record_write() makes it, with the hash. */
void chain_add(const struct chain *chain, struct slice line, struct text *text);
/* What a line says of the one before; false: nothing. */
bool chain_read(struct slice line, struct chain *ret_chain) MUST_USE;
void chain_add_hex(const struct chain *chain, struct text *text);

/* ── queue.c ─────────────────────────────────────────────────────────────── */

/* The gaps are meant: see below. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct trail_queue {
	struct trail *trail;
	uint32_t size;
	char *bytes;
	/* Of the thread that fills it. */
	uint64_t tail_seen;
	unsigned reserved; /* places */
	bool hurried;      /* the writer was told before the timer was due */
	uint64_t stuck_at; /* where the writer was at the last look */
	int64_t stuck_ns;  /* since when */
	bool stuck;
	struct loop *loop;
	struct timer_queue timers;
	struct timer timer; /* runs while records wait */
	/* Of the memory, before the head turned round to its beginning. The writer reads it only
	 * while what stands there is its own. */
	uint32_t used_to;
	/*
	 * Where the next record will stand, and where the oldest one stands; equal: there is none.
	 * The lower half is the place in the memory. The upper half counts how often the thread
	 * has begun anew: see queue.c.
	 * Lines of cache of their own: the one is written by the thread, the other by the writer.
	 */
	_Alignas(CACHE_LINE) _Atomic uint64_t head;
	_Alignas(CACHE_LINE) _Atomic uint64_t tail;
	uint64_t shown; /* of the writer: those who watch have what stands before it */
};

struct trail_queue *queue_new(struct trail *trail, struct loop *loop, uint32_t size) MUST_USE;
void queue_free(struct trail_queue *queue);
/* In the writer's thread: whole lines with their newlines, in one piece; len 0: there are none.
 * New ones, once: those who watch see them before they are taken. */
struct slice queue_show(struct trail_queue *queue);
/* The oldest of those that were shown; the same again until they are dropped. */
struct slice queue_lines(const struct trail_queue *queue);
/* So many bytes of these were taken. */
void queue_drop(struct trail_queue *queue, size_t len);
bool queue_is_empty(const struct trail_queue *queue);

/* ── feed.c ──────────────────────────────────────────────────────────────── */

struct feed {
	pthread_mutex_t lock;
	atomic_uint watchers;
	char *bytes; /* NULL: nobody watches */
	/* Positions, and the numbers of the records there. */
	uint64_t first, next;
	uint64_t first_number, next_number;
	void (*tell)(void *context);
	void *context;
	int tell_fd; /* that `tell` writes to; -1: none */
};

void feed_init(struct feed *feed);
void feed_done(struct feed *feed);
/* In the writer's thread: whole lines. */
void feed_add(struct feed *feed, struct slice lines);

/* ── Targets ─────────────────────────────────────────────────────────────── */

/* What records are written to. In the writer's thread. */
struct output {
	const struct trail_target *target;
	int fd; /* -1: not open */
	bool is_datagram;
	bool waits;   /* for a reader: poll for POLLOUT */
	bool is_torn; /* a line was written in part, and could not be cut off */
	bool is_locked;
	uint64_t size;        /* of a file, as this process has left it */
	int64_t contended_ns; /* when its lock was waited for in vain; 0: it was not */
	dev_t device;
	ino_t inode;
	size_t skip;    /* bytes of the next line that standard output has taken */
	size_t pending; /* bytes of `message` that a socket has not taken */
	size_t message_len;
	char message[RECORD_LINE_MAX + 128]; /* of the next line */
};

/* How each kind is opened and written. */
struct output_verbs {
	/* 0, or -errno and *ret_text says why. */
	int (*open)(struct output *output, struct text *ret_text);
	/* Whether it is still what its path names. */
	bool (*is_current)(const struct output *output);
	/*
	 * Write some of `lines`, whole lines with their newlines. Bytes of the lines that were
	 * written whole, or -errno. -EAGAIN: wait for POLLOUT. What was written of the next line
	 * is known to the output, if the same lines come again.
	 */
	ssize_t (*write)(struct output *output, struct slice lines);
};

extern const struct output_verbs output_file, output_stdout, output_socket;

void output_close(struct output *output);
/*
 * Between these two, nobody else writes to an open file or cuts it, if its lock can be had; `size`
 * is that of now, and a torn end was cut off.
 */
void file_lock(struct output *output);
void file_unlock(struct output *output);
/* The last whole line of an open file, for the chain; `memory` has RECORD_LINE_MAX. Len 0: there is
 * none, or it is none of ours. */
struct slice file_last_line(const struct output *output, char memory[RECORD_LINE_MAX]);
/* Whether the disk of an open file counts as full. */
bool file_is_full(const struct output *output);

/* ── writer.c ────────────────────────────────────────────────────────────── */

struct trail {
	struct trail_settings settings;
	char *target_text; /* of the target */
	pthread_t thread;
	bool runs;
	int wake; /* an eventfd */
	unsigned queue_count;
	struct trail_queue **queues;
	struct feed feed;
	struct output output;
	const struct output_verbs *verbs; /* NULL: records are kept nowhere */
	atomic_bool wanted, works, stopping, reopening;
	_Atomic uint64_t lost;
	/* Of the writer. */
	struct chain chain;
	uint64_t chain_size; /* of the file whose last line the chain knows; UINT64_MAX: of none */
	uint64_t lost_told;  /* by a record */
	int64_t failing_ns;  /* since when nothing can be written; 0: it can */
	int64_t tried_ns;    /* when it was opened last */
	bool is_behind;      /* the last turn has left something */
	bool is_stale;       /* another file has the name, and cannot be opened */
	struct text bytes;   /* lines with their hashes */
	struct record_clock clock;
	unsigned source; /* whose lines are written: a queue, or `queue_count` for the own line */
	struct text own; /* a line, or nothing */
	uint64_t own_tells; /* the value of `lost` that it says */
};

/* Records could not be kept: count them. From any thread. */
void trail_lose(struct trail *trail, uint64_t count);
/* Whether nothing waits to be written. In the writer's thread, or behind it. */
bool trail_is_empty(const struct trail *trail);
/* Let the writer look at once. */
void trail_wake(const struct trail *trail);
/* How the thread begins. Whoever starts it waits for `begun`, and then has this for itself. */
struct writer_start {
	struct trail *trail;
	struct text *ret_text; /* why the output cannot be opened */
	int error;             /* 0, or -errno: the thread ends */
	sem_t begun;
};

/* The thread; `argument` is a struct writer_start. */
void *writer_run(void *argument);

#endif
