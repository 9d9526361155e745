/* SPDX-License-Identifier: MIT */
/*
 * The records of one thread: lines, each in one piece, one behind the other, so that the writer
 * writes many of them as they are. One that would not fit stands at the beginning of the memory.
 *
 * The memory is large for a writer that waits for its disk. As long as it keeps up, only the front
 * is used, and the rest of it is never touched. A head that merely turned round there would
 * have the writer's place in front of it, and no more room than that if the writer then lags. So
 * the thread begins anew when it finds the queue empty: the number of the beginning goes up, the
 * writer finds its place from it, and all of the memory is free.
 */
#include "base/clock.h"
#include "trail/internal.h"

#include <stdlib.h>
#include <sys/eventfd.h>

enum {
	COLLECT_MS = 20,       /* from the first record to the writer's turn */
	STUCK_S = 1,           /* a writer that takes nothing for so long */
	HURRY_LEN = 384 << 10, /* bytes that do not wait for the timer */
	FRONT_LEN = 384 << 10, /* bytes of the memory that are used, if that is enough */
	LINE_MAX_LEN = RECORD_LINE_MAX + 1, /* with its newline */
};

static uint32_t place_of(uint64_t position)
{
	return (uint32_t)position;
}

/* The first place since the thread has begun anew. */
static uint64_t beginning_of(uint64_t position)
{
	return position & ~(uint64_t)UINT32_MAX;
}

/* ── The writer's end ────────────────────────────────────────────────────── */

/*
 * What stands between `*position` and `end`, up to where the memory turns round. If the thread has
 * begun anew meanwhile, all before that was taken.
 */
static struct slice piece(const struct trail_queue *queue, uint64_t *position, uint64_t end)
{
	const bool is_behind = beginning_of(*position) != beginning_of(end);

	if (is_behind || (end < *position && place_of(*position) == queue->used_to)) {
		*position = beginning_of(end);
	}
	const uint32_t to = end < *position ? queue->used_to : place_of(end);
	return (struct slice){queue->bytes + place_of(*position), to - (size_t)place_of(*position)};
}

bool queue_is_empty(const struct trail_queue *queue)
{
	const uint64_t head = atomic_load_explicit(&queue->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	return piece(queue, &tail, head).len == 0;
}

struct slice queue_show(struct trail_queue *queue)
{
	const uint64_t head = atomic_load_explicit(&queue->head, memory_order_acquire);
	const struct slice lines = piece(queue, &queue->shown, head);

	if (lines.len > 0) { /* in a line of cache that the thread may look at */
		queue->shown += lines.len;
	}
	return lines;
}

struct slice queue_lines(const struct trail_queue *queue)
{
	uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	return piece(queue, &tail, queue->shown);
}

void queue_drop(struct trail_queue *queue, size_t len)
{
	uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	(void)piece(queue, &tail, queue->shown);
	atomic_store_explicit(&queue->tail, tail + len, memory_order_release);
}

/* ── The thread's end ────────────────────────────────────────────────────── */

static uint64_t head_of(const struct trail_queue *queue)
{
	return atomic_load_explicit(&queue->head, memory_order_relaxed);
}

static void set_head(struct trail_queue *queue, uint64_t head)
{
	atomic_store_explicit(&queue->head, head, memory_order_release);
}

/* A writer that has not looked since the thread began anew will find its place at the beginning. */
static void see_tail(struct trail_queue *queue)
{
	const uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
	const uint64_t beginning = beginning_of(head_of(queue));

	queue->tail_seen = beginning_of(tail) == beginning ? tail : beginning;
}

/* Whether `lines` of any length fit behind the head, which may not come up to the tail. */
static bool fits_here(const struct trail_queue *queue, unsigned lines)
{
	const uint64_t head = head_of(queue);
	const uint32_t end = head < queue->tail_seen ? place_of(queue->tail_seen) : queue->size;

	return end - place_of(head) > (uint64_t)lines * LINE_MAX_LEN;
}

/* The same at the beginning of the memory, once the head has turned there. */
static bool fits_there(const struct trail_queue *queue, unsigned lines)
{
	return head_of(queue) >= queue->tail_seen &&
	       place_of(queue->tail_seen) > (uint64_t)lines * LINE_MAX_LEN;
}

/* Whether they fit. What fits once does so until it is used: the writer only gives room. */
static bool has_room(struct trail_queue *queue, unsigned lines)
{
	if (!fits_here(queue, lines) && !fits_there(queue, lines)) {
		see_tail(queue);
	}
	return fits_here(queue, lines) || fits_there(queue, lines);
}

/* The next record stands at the beginning of the memory, and others behind it. */
static void turn_round(struct trail_queue *queue)
{
	const uint64_t head = head_of(queue);

	queue->used_to = place_of(head);
	set_head(queue, beginning_of(head));
}

static bool is_empty(const struct trail_queue *queue)
{
	return queue->tail_seen == head_of(queue);
}

/* The writer has taken all: the next record stands at the beginning of the memory, and alone. */
static void begin_anew(struct trail_queue *queue)
{
	const uint64_t head = beginning_of(head_of(queue)) + UINT32_MAX + 1;

	queue->tail_seen = head;
	queue->hurried = false;
	set_head(queue, head);
}

bool trail_wants(const struct trail_queue *queue)
{
	return atomic_load_explicit(&queue->trail->wanted, memory_order_relaxed);
}

bool trail_denies(const struct trail_queue *queue)
{
	return queue->trail->settings.denies;
}

/* The timer finds that the writer is stuck; that it is not any more is seen at once. */
static bool is_stuck(struct trail_queue *queue)
{
	if (UNLIKELY(queue->stuck)) {
		see_tail(queue);
		queue->stuck = queue->tail_seen == queue->stuck_at;
	}
	return queue->stuck;
}

bool trail_reserve(struct trail_queue *queue)
{
	const struct trail *trail = queue->trail;

	if (is_stuck(queue) || !atomic_load_explicit(&trail->works, memory_order_relaxed) ||
	        !has_room(queue, queue->reserved + 2)) {
		return false;
	}
	queue->reserved++;
	return true;
}

void trail_release(struct trail_queue *queue)
{
	ASSERT(queue->reserved > 0);
	queue->reserved--;
}

/*
 * Under load the queue is empty only between two records, after a turn of the writer. So behind the
 * front it is looked at before each record, up to that turn. A writer that takes nothing does not
 * write to its line of cache either, so that a look costs little.
 */
static void stay_in_front(struct trail_queue *queue)
{
	see_tail(queue);
	if (is_empty(queue)) {
		begin_anew(queue);
	}
}

struct text trail_begin(struct trail_queue *queue)
{
	if (UNLIKELY(place_of(head_of(queue)) > FRONT_LEN)) {
		stay_in_front(queue);
	}
	if (UNLIKELY(!has_room(queue, 1 + queue->reserved))) {
		trail_lose(queue->trail, 1);
		return (struct text){.ptr = NULL};
	}
	if (!fits_here(queue, 1 + queue->reserved)) {
		turn_round(queue);
	}
	return text_over(queue->bytes + place_of(head_of(queue)), RECORD_LINE_MAX);
}

static uint32_t used(const struct trail_queue *queue)
{
	const uint32_t head = place_of(head_of(queue));
	const uint32_t tail = place_of(queue->tail_seen);

	return head >= tail ? head - tail : queue->used_to - tail + head;
}

static void hurry(struct trail_queue *queue)
{
	see_tail(queue);
	if (used(queue) > HURRY_LEN) {
		queue->hurried = true;
		trail_wake(queue->trail);
	}
}

void trail_end(struct trail_queue *queue, const struct text *line)
{
	const uint64_t head = head_of(queue);

	queue->bytes[place_of(head) + line->len] = '\n';
	set_head(queue, head + line->len + 1);
	if (list_empty(&queue->timer.link)) {
		queue->stuck_at = UINT64_MAX; /* the writer was not asked yet */
		timer_start(queue->loop, &queue->timers, &queue->timer);
	} else if (UNLIKELY(used(queue) > HURRY_LEN) && !queue->hurried) {
		hurry(queue);
	}
}

/* ── The timer ───────────────────────────────────────────────────────────── */

static void watch_writer(struct trail_queue *queue)
{
	if (queue->tail_seen != queue->stuck_at || is_empty(queue)) {
		queue->stuck_at = queue->tail_seen;
		queue->stuck_ns = queue->loop->now_ns;
	}
	queue->stuck = queue->loop->now_ns - queue->stuck_ns > STUCK_S * NS_PER_S;
}

static void timer_expired(struct timer *timer)
{
	struct trail_queue *queue = CONTAINER_OF(timer, struct trail_queue, timer);

	see_tail(queue);
	queue->hurried = false;
	watch_writer(queue);
	if (!is_empty(queue)) {
		trail_wake(queue->trail);
		timer_start(queue->loop, &queue->timers, timer);
		return;
	}
	timer_stop(timer);
	begin_anew(queue);
}

/* ── Life ────────────────────────────────────────────────────────────────── */

struct trail_queue *queue_new(struct trail *trail, struct loop *loop, uint32_t size)
{
	struct trail_queue *queue = aligned_alloc(64, sizeof(*queue));
	char *bytes = calloc(1, size);

	if (queue == NULL || bytes == NULL) {
		free(queue);
		free(bytes);
		return NULL;
	}
	*queue = (struct trail_queue){
	        .trail = trail, .size = size, .bytes = bytes, .loop = loop, .stuck_at = UINT64_MAX};
	timer_queue_init(loop, &queue->timers, COLLECT_MS * NS_PER_MS);
	timer_init(&queue->timer, timer_expired);
	return queue;
}

void queue_free(struct trail_queue *queue)
{
	if (queue != NULL) {
		free(queue->bytes);
		free(queue);
	}
}
