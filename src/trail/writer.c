/* SPDX-License-Identifier: MIT */
/*
 * The writer's thread. It writes what is in the queues as it stands there, a piece of each in turn.
 *
 * What cannot be written stays in the queue: with `denies` for as long as it takes, and no request
 * is forwarded meanwhile; otherwise for a moment, and then it is lost and counted, so that a disk
 * that is full costs records and not memory.
 */
#include "base/clock.h"
#include "base/log.h"
#include "trail/internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
#define MAY_UNSHARE false
#else
#define MAY_UNSHARE true
#endif

enum {
	LOOK_MS = 1000, /* at the file's name, and at the room on its disk */
	RETRY_MS = 250,
	PATIENCE_S = 1, /* with a reader who does not read */
	KEEP_S = 2,     /* what cannot be written */
	END_S = 2,      /* to write the rest */
	/* Bytes that are written of all queues before each has its turn again: a queue has to move
	 * within a second (queue.c). */
	ROUND_MAX = 256 << 10,
	PIECE_MIN = 16 << 10,
	/* Bytes of one turn: then output and disk are looked at, and whether the program stops.
	 * Less than the room that a disk must have (file.c). */
	TURN_MAX = 512 << 10,
};

/* ── Failing ─────────────────────────────────────────────────────────────── */

void trail_lose(struct trail *trail, uint64_t count)
{
	(void)atomic_fetch_add(&trail->lost, count);
	for (uint64_t i = 0; i < count; i++) {
		metrics_audit_lost(trail->settings.metrics);
	}
}

static void set_works(struct trail *trail, bool works)
{
	atomic_store(&trail->works, works);
	metrics_audit_works(trail->settings.metrics, works);
}

/* The log has it once, when it begins. */
static void fail(struct trail *trail, struct slice why)
{
	if (!atomic_load(&trail->works)) {
		return;
	}
	set_works(trail, false);
	log_line(LOG_ERR, "audit: '%.512s' cannot be written: %.*s; %s",
	        trail->settings.target.text, SLICE_FMT(why),
	        trail->settings.denies
	                ? "requests are refused until it can (audit.on_failure: deny)"
	                : "records will be lost (audit.on_failure: continue)");
}

static void begin_failing(struct trail *trail)
{
	if (trail->failing_ns == 0) {
		trail->failing_ns = clock_monotonic_ns();
	}
}

static bool has_failed_for(const struct trail *trail, int64_t seconds)
{
	return trail->failing_ns != 0 &&
	       clock_monotonic_ns() - trail->failing_ns > seconds * NS_PER_S;
}

static void fail_with(struct trail *trail, int error)
{
	begin_failing(trail);
	if (error != EAGAIN) {
		fail(trail, slice_of(strerrordesc_np(error)));
	} else if (has_failed_for(trail, PATIENCE_S)) {
		fail(trail, SLICE("nobody reads it"));
	}
}

static void recover(struct trail *trail)
{
	trail->failing_ns = 0;
	trail->output.waits = false;
	if (!atomic_load(&trail->works)) {
		set_works(trail, true);
		log_line(LOG_NOTICE, "audit: '%.512s' is written again",
		        trail->settings.target.text);
	}
}

static uint64_t count_lines(struct slice lines)
{
	struct slice line;
	uint64_t count = 0;

	while (lines.len > 0 && slice_next(&lines, '\n', &line)) {
		count++;
	}
	return count;
}

/* ── What waits ──────────────────────────────────────────────────────────── */

bool trail_is_empty(const struct trail *trail)
{
	bool empty = trail->own.len == 0;

	for (unsigned i = 0; i < trail->queue_count; i++) {
		empty = empty && queue_is_empty(trail->queues[i]);
	}
	return empty;
}

/* Those who watch see a record before it is written, for a write may take long. */
static void show(struct trail *trail)
{
	bool any = false;

	for (unsigned i = 0; i < trail->queue_count; i++) {
		struct slice lines;
		while ((lines = queue_show(trail->queues[i])).len > 0) {
			feed_add(&trail->feed, lines);
			any = true;
		}
	}
	if (any && trail->feed.tell != NULL && atomic_load(&trail->feed.watchers) > 0) {
		trail->feed.tell(trail->feed.context);
	}
}

static struct slice lines_of(const struct trail *trail, unsigned source)
{
	return source == trail->queue_count ? text_slice(&trail->own)
	                                    : queue_lines(trail->queues[source]);
}

/* The output waits with the next line, of which it may have a part. */
static bool has_line(const struct output *output)
{
	return output->skip > 0 || output->pending > 0;
}

/* It has a part. */
static bool has_begun(const struct output *output)
{
	return output->skip > 0 || (output->pending > 0 && output->pending < output->message_len);
}

static struct slice first_of(struct slice lines)
{
	const char *end = memchr(lines.ptr, '\n', lines.len);

	return slice_between(lines.ptr, end + 1);
}

static struct slice piece_of(const struct trail *trail, struct slice lines)
{
	if (lines.len <= PIECE_MIN) {
		return lines;
	}
	ASSERT(trail->queue_count > 0); /* the own line is shorter */
	const size_t share = ROUND_MAX / trail->queue_count;
	const size_t most = share < PIECE_MIN ? PIECE_MIN : share;
	const char *end = lines.len <= most ? NULL : memrchr(lines.ptr, '\n', most);

	return end == NULL ? lines : slice_between(lines.ptr, end + 1);
}

/* The lines that are written next, in one piece; len 0: there are none. Each source has its turn,
 * behind the line that has begun. */
static struct slice next_lines(struct trail *trail)
{
	const unsigned sources = trail->queue_count + 1;
	struct slice lines = {NULL, 0};

	if (has_line(&trail->output)) {
		return first_of(lines_of(trail, trail->source));
	}
	for (unsigned i = 0; i < sources && lines.len == 0; i++) {
		trail->source = (trail->source + 1) % sources;
		lines = lines_of(trail, trail->source);
	}
	return piece_of(trail, lines);
}

static void drop(struct trail *trail, size_t len)
{
	if (trail->source < trail->queue_count) {
		queue_drop(trail->queues[trail->source], len);
	} else if (len > 0) {
		trail->lost_told = trail->own_tells;
		trail->own.len = 0;
	}
}

/* ── The own line ────────────────────────────────────────────────────────── */

/* It says how many records were lost; otherwise it is one of those that were made. */
static bool own_is_gap(const struct trail *trail)
{
	return trail->own.len > 0 && trail->own_tells > trail->lost_told;
}

static bool own_is_out(const struct trail *trail)
{
	return trail->source == trail->queue_count && has_line(&trail->output);
}

static void write_gap(struct trail *trail, uint64_t lost)
{
	char memory[160];
	struct text why = text_over(memory, sizeof(memory));

	text_add_u64(&why, lost - trail->lost_told);
	text_add(&why, SLICE(" records before this one were lost: they could not be written"));
	const struct record record = {
	        .time_ns = clock_realtime_ns(),
	        .reason = text_slice(&why),
	        .verdict = VERDICT_ERROR,
	        .has_ended = true,
	};
	trail->own.len = 0;
	record_write(&record, &trail->clock, &trail->own);
	text_add_char(&trail->own, '\n');
	trail->own_tells = lost;
}

/* A gap in the record says of itself that it is one. As long as that waits, it counts what comes.
 */
static void tell_lost(struct trail *trail)
{
	const uint64_t lost = atomic_load(&trail->lost);
	const bool is_free = trail->own.len == 0 || (own_is_gap(trail) && !own_is_out(trail));
	const uint64_t told = trail->own.len == 0 ? trail->lost_told : trail->own_tells;

	if (is_free && lost != told) {
		write_gap(trail, lost);
	}
}

/* The line of which the output has a part becomes the own one. A gap that this was to tell of is
 * told later; another record is lost. */
static void keep_begun(struct trail *trail)
{
	const struct slice line = first_of(lines_of(trail, trail->source));

	if (trail->source == trail->queue_count) {
		return;
	}
	if (trail->own.len > 0 && !own_is_gap(trail)) {
		trail_lose(trail, 1);
	}
	trail->own.len = 0;
	text_add(&trail->own, line);
	drop(trail, line.len);
	trail->own_tells = trail->lost_told;
	trail->source = trail->queue_count;
}

/* ── Giving up ───────────────────────────────────────────────────────────── */

/* What is in the queues. How many lines that is. */
static uint64_t drop_all(struct trail *trail)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < trail->queue_count; i++) {
		struct slice lines;
		while ((lines = queue_lines(trail->queues[i])).len > 0) {
			count += count_lines(lines);
			queue_drop(trail->queues[i], lines.len);
		}
	}
	return count;
}

/* What comes now is kept as long. */
static void give_up(struct trail *trail)
{
	if (has_begun(&trail->output)) {
		keep_begun(trail);
	} else {
		trail->output.pending = 0;
	}
	trail_lose(trail, drop_all(trail));
	tell_lost(trail);
	trail->failing_ns = clock_monotonic_ns();
}

/* ── Opening ─────────────────────────────────────────────────────────────── */

static bool may_try(struct trail *trail)
{
	const int64_t now_ns = clock_monotonic_ns();

	if (now_ns - trail->tried_ns < RETRY_MS * NS_PER_MS) {
		return false;
	}
	trail->tried_ns = now_ns;
	return true;
}

/* Whether somebody can still find the open file. */
static bool has_name(const struct output *output)
{
	struct stat status;

	return fstat(output->fd, &status) == 0 && status.st_nlink > 0;
}

/* ── The end of the chain ────────────────────────────────────────────────── */

/* Another process may have written behind the last line: one that takes over from this one. */
static void follow_chain(struct trail *trail)
{
	char memory[RECORD_LINE_MAX];

	if (trail->output.size == trail->chain_size) {
		return;
	}
	const struct slice last = file_last_line(&trail->output, memory);
	if (last.len > 0) {
		chain_set(&trail->chain, last);
	}
}

/* What another process has written into a file that lost its name is in front of what comes now.
 * Nobody writes there once another file can have the name: see lock_file(). */
static void end_chain(struct trail *trail)
{
	if (!trail->settings.chained || trail->verbs != &output_file || trail->output.fd < 0) {
		return;
	}
	file_lock(&trail->output);
	follow_chain(trail);
	file_unlock(&trail->output);
}

/* ── Another file or reader ──────────────────────────────────────────────── */

/* As long as it cannot be had, what is open stays, if somebody can find it. */
static void open_again(struct trail *trail)
{
	struct output *former = &trail->output;
	char memory[512];
	struct text why = text_over(memory, sizeof(memory));
	struct output output = {
	        .target = former->target,
	        .fd = -1,
	        .contended_ns = former->contended_ns,
	};
	const int error = trail->verbs->open(&output, &why);

	if (error == 0) {
		end_chain(trail);
		output_close(former);
		*former = output;
		trail->is_stale = false;
		trail->chain_size = UINT64_MAX;
		return;
	}
	if (former->fd >= 0 && trail->verbs == &output_file && has_name(former)) {
		if (!trail->is_stale) {
			log_line(LOG_ERR,
			        "audit: '%.512s' cannot be opened: %.*s; records go on into the "
			        "file that had this name",
			        trail->settings.target.text, SLICE_FMT(text_slice(&why)));
		}
		trail->is_stale = true;
		return;
	}
	output_close(former);
	begin_failing(trail);
	fail(trail, text_slice(&why));
}

/* lock_file() looks at the name before a piece is written. */
static bool will_look(const struct trail *trail)
{
	return trail->verbs == &output_file && !trail->is_stale && !trail_is_empty(trail);
}

static void look(struct trail *trail)
{
	const bool asked = atomic_exchange(&trail->reopening, false);
	const bool open = trail->output.fd >= 0;

	if ((open && !asked && (will_look(trail) || trail->verbs->is_current(&trail->output))) ||
	        trail->settings.target.kind == TRAIL_OUTPUT) {
		return;
	}
	if (asked || (open && !trail->is_stale) || may_try(trail)) {
		open_again(trail);
	}
}

/* For the first time. 0, or -errno: it is not waited for. */
static int open_first(struct trail *trail, struct text *ret_text)
{
	struct output *output = &trail->output;
	const int error = trail->verbs->open(output, ret_text);
	const bool is_file = trail->verbs == &output_file;

	if (error < 0 && is_file && error != -ENOSPC && error != -EDQUOT) {
		return error;
	}
	if (error < 0) {
		begin_failing(trail);
		fail(trail, text_slice(ret_text));
	}
	return 0;
}

/* ── Writing ─────────────────────────────────────────────────────────────── */

/* Into `bytes`, as many of the lines as fit, each with the hash of the one before. */
static struct slice chain_lines(struct trail *trail, struct slice lines)
{
	struct slice rest = lines;
	struct slice line;
	struct chain chain = trail->chain;

	trail->bytes.len = 0;
	while (rest.len > 0 &&
	        trail->bytes.cap - trail->bytes.len >= RECORD_LINE_MAX + CHAIN_FIELD_MAX &&
	        slice_next(&rest, '\n', &line)) {
		const size_t begin = trail->bytes.len;
		chain_add(&chain, line, &trail->bytes);
		chain_set(&chain, slice_behind(text_slice(&trail->bytes), begin));
		text_add_char(&trail->bytes, '\n');
	}
	return text_slice(&trail->bytes);
}

/* `written` with hashes is how much of the lines without. */
static size_t keep_chain(struct trail *trail, struct slice lines, struct slice written)
{
	struct slice rest = lines;
	struct slice line;
	struct slice plain;

	while (written.len > 0 && slice_next(&written, '\n', &line)) {
		chain_set(&trail->chain, line);
		(void)slice_next(&rest, '\n', &plain);
	}
	return lines.len - rest.len;
}

static ssize_t write_chained(struct trail *trail, struct slice lines)
{
	const bool is_file = trail->verbs == &output_file;

	if (is_file) {
		follow_chain(trail);
	}
	const struct slice chained = chain_lines(trail, lines);
	const ssize_t n = trail->verbs->write(&trail->output, chained);
	const size_t plain =
	        n <= 0 ? 0 : keep_chain(trail, lines, (struct slice){chained.ptr, (size_t)n});
	if (is_file) {
		trail->chain_size = trail->output.size;
	}
	return n < 0 ? n : (ssize_t)plain;
}

/* With the lock, the file is the one of that name: another process may have had the next one since
 * look(), and written there. False: it cannot be opened. */
static bool lock_file(struct trail *trail)
{
	file_lock(&trail->output);
	if (trail->is_stale || trail->verbs->is_current(&trail->output)) {
		return true;
	}
	file_unlock(&trail->output);
	open_again(trail);
	if (trail->output.fd < 0) {
		return false;
	}
	file_lock(&trail->output);
	return true;
}

/* Bytes of the lines that were written, or -errno. */
static ssize_t write_lines(struct trail *trail, struct slice lines)
{
	const bool is_file = trail->verbs == &output_file;

	if (is_file && !lock_file(trail)) {
		return 0;
	}
	const ssize_t n = trail->settings.chained ? write_chained(trail, lines)
	                                          : trail->verbs->write(&trail->output, lines);
	if (is_file) {
		file_unlock(&trail->output);
	}
	return n;
}

static void note_failure(struct trail *trail, int error)
{
	fail_with(trail, error);
	trail->output.waits = error == EAGAIN;
	if (error != EAGAIN && trail->verbs == &output_socket) {
		output_close(&trail->output);
	}
}

static bool has_no_room(const struct trail *trail)
{
	return trail->verbs == &output_file && trail->output.fd >= 0 &&
	       file_is_full(&trail->output);
}

/* Of the next lines. False: there are none, or they have to wait. */
static bool write_piece(struct trail *trail, size_t *written)
{
	tell_lost(trail);
	const struct slice lines = next_lines(trail);
	if (lines.len == 0 || trail->output.fd < 0) {
		return false;
	}
	const ssize_t n = write_lines(trail, lines);
	if (n < 0) {
		note_failure(trail, (int)-n);
		return false;
	}
	*written += (size_t)n;
	drop(trail, (size_t)n);
	/* With little room left the next record might not fit: see look_at_room(). */
	if (n > 0 && !(trail->failing_ns != 0 && trail->settings.denies && has_no_room(trail))) {
		recover(trail);
	}
	return true;
}

/* ── Turns ───────────────────────────────────────────────────────────────── */

/* A disk is known to be full before a record does not fit, and to have room without one. */
static void look_at_room(struct trail *trail)
{
	const bool asks = trail->settings.denies || trail->failing_ns != 0;

	if (asks && has_no_room(trail)) {
		fail_with(trail, ENOSPC);
	} else if (trail->output.fd >= 0 && trail->failing_ns != 0 && trail_is_empty(trail)) {
		recover(trail);
	}
}

static void write_all(struct trail *trail)
{
	size_t written = 0;

	do {
		show(trail);
	} while (write_piece(trail, &written) && written < TURN_MAX);
	trail->is_behind = written >= TURN_MAX;
}

static void turn(struct trail *trail)
{
	if (trail->verbs == NULL) { /* nothing is kept */
		show(trail);
		(void)drop_all(trail);
		return;
	}
	look(trail);
	write_all(trail);
	if (!trail->settings.denies && has_failed_for(trail, KEEP_S)) {
		give_up(trail);
	}
	look_at_room(trail);
}

static void wait(struct trail *trail)
{
	struct pollfd ready[] = {{.fd = trail->wake, .events = POLLIN},
	        {.fd = trail->output.waits ? trail->output.fd : -1, .events = POLLOUT}};
	const int patience = trail->verbs == NULL     ? -1
	                     : trail->failing_ns != 0 ? RETRY_MS
	                     : trail->is_behind       ? 0
	                                              : LOOK_MS;
	eventfd_t count;

	(void)poll(ready, ARRAY_LEN(ready), patience);
	if ((ready[0].revents & POLLIN) != 0) {
		(void)eventfd_read(trail->wake, &count);
	}
}

static void write_until_stopped(struct trail *trail)
{
	int64_t until_ns = INT64_MAX;

	for (;;) {
		const bool stopping = atomic_load(&trail->stopping);
		if (stopping && until_ns == INT64_MAX) {
			until_ns = clock_monotonic_ns() + END_S * NS_PER_S;
		} else if (stopping && (trail_is_empty(trail) || clock_monotonic_ns() > until_ns)) {
			return;
		} else {
			wait(trail);
		}
		turn(trail);
	}
}

/* ── The thread ──────────────────────────────────────────────────────────── */

static void close_between(int low, int high)
{
	if (high - low > 1) {
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	}
}

/*
 * Leave the descriptors of the process: where two threads share them, the kernel counts references
 * to the file in each call that has a descriptor, so that every request would pay for this thread.
 * It keeps what it uses and the standard descriptors, and nothing that another thread opens, or
 * believes to have closed.
 *
 * close_range(2) alone is used, because Docker's filter of system calls refuses unshare(2). Before
 * Linux 5.9, or where a filter refuses it, the descriptors stay shared, which costs only time. So
 * they do under ThreadSanitizer, to which one number in two tables is one file.
 */
static void leave_descriptors(const struct trail *trail)
{
	const int wake = trail->wake;
	const int tell = trail->feed.tell_fd > STDERR_FILENO ? trail->feed.tell_fd : STDERR_FILENO;
	const int low = wake < tell ? wake : tell;
	const int high = wake < tell ? tell : wake;

	if (MAY_UNSHARE && close_range((unsigned)high + 1, UINT_MAX, CLOSE_RANGE_UNSHARE) == 0) {
		close_between(STDERR_FILENO, low);
		close_between(low, high);
	}
}

/*
 * The output is opened and closed here, from the first time on: its number means something else, or
 * nothing, to the other threads. If one of them had opened it, it would stay open there after
 * rotation, and a reader would not see the end of it.
 */
void *writer_run(void *argument)
{
	struct writer_start *start = argument;
	struct trail *trail = start->trail;

	leave_descriptors(trail);
	const int error = trail->verbs == NULL ? 0 : open_first(trail, start->ret_text);
	start->error = error;
	(void)sem_post(&start->begun); /* and `start` is gone */
	if (error == 0) {
		write_until_stopped(trail);
	}
	if (trail->settings.target.kind != TRAIL_OUTPUT) {
		output_close(&trail->output);
	}
	return NULL;
}
