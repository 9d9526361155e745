/* SPDX-License-Identifier: MIT */
/*
 * The records of one thread. A record is a length and its bytes, in one piece; one that would not
 * fit in front of the end of the memory stands at its beginning.
 */
#include "base/clock.h"
#include "trail/internal.h"

#include <stdlib.h>
#include <sys/eventfd.h>

enum {
	COLLECT_MS = 20,      /* from the first record to the writer's turn */
	STUCK_S = 1,          /* a writer that takes nothing for so long */
	HURRY_LEN = 64 << 10, /* bytes that do not wait for the timer */
	ALIGNMENT = 8,
};

/* In front of the bytes of a record. */
struct entry {
	uint32_t len; /* 0: the next one stands at the beginning of the memory */
	char bytes[];
};

enum {
	ENTRY_MAX = (sizeof(struct entry) + RECORD_LINE_MAX + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT
};

static struct entry *entry_at(const struct trail_queue *queue, uint64_t position)
{
	return (struct entry *)(void *)(queue->bytes + position % queue->size);
}

static size_t entry_len(size_t len)
{
	return (sizeof(struct entry) + len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint64_t next_round(const struct trail_queue *queue, uint64_t position)
{
	return (position / queue->size + 1) * queue->size;
}

/* ── The writer's end ────────────────────────────────────────────────────── */

struct slice queue_first(struct trail_queue *queue)
{
	const uint64_t head = atomic_load_explicit(&queue->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	if (tail != head && entry_at(queue, tail)->len == 0) {
		tail = next_round(queue, tail);
		atomic_store_explicit(&queue->tail, tail, memory_order_release);
	}
	if (tail == head) {
		return (struct slice){NULL, 0};
	}
	const struct entry *entry = entry_at(queue, tail);
	return (struct slice){entry->bytes, entry->len};
}

void queue_drop(struct trail_queue *queue, struct slice line)
{
	const uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	atomic_store_explicit(&queue->tail, tail + entry_len(line.len), memory_order_release);
}

/* ── The thread's end ────────────────────────────────────────────────────── */

static uint64_t head_of(const struct trail_queue *queue)
{
	return atomic_load_explicit(&queue->head, memory_order_relaxed);
}

static void see_tail(struct trail_queue *queue)
{
	queue->tail_seen = atomic_load_explicit(&queue->tail, memory_order_acquire);
}

/* Whether `entries` of any length fit, wherever the memory ends. */
static bool has_room(const struct trail_queue *queue, unsigned entries)
{
	const uint64_t wanted = ((uint64_t)entries + 1) * ENTRY_MAX;

	return head_of(queue) + wanted - queue->tail_seen <= queue->size;
}

static bool make_room(struct trail_queue *queue, unsigned entries)
{
	if (!has_room(queue, entries)) {
		see_tail(queue);
	}
	return has_room(queue, entries);
}

/* The rest of the memory is left out. */
static void turn_round(struct trail_queue *queue)
{
	const uint64_t head = head_of(queue);

	entry_at(queue, head)->len = 0;
	atomic_store_explicit(&queue->head, next_round(queue, head), memory_order_release);
}

bool trail_wants(const struct trail_queue *queue)
{
	return atomic_load_explicit(&queue->trail->wanted, memory_order_relaxed);
}

bool trail_denies(const struct trail_queue *queue)
{
	return queue->trail->settings.denies;
}

bool trail_reserve(struct trail_queue *queue)
{
	const struct trail *trail = queue->trail;

	if (queue->stuck || !atomic_load_explicit(&trail->works, memory_order_relaxed) ||
	        !make_room(queue, queue->reserved + 2)) {
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

struct text trail_begin(struct trail_queue *queue)
{
	if (UNLIKELY(!make_room(queue, 1 + queue->reserved))) {
		trail_lose(queue->trail, 1);
		return (struct text){.ptr = NULL};
	}
	if (queue->size - head_of(queue) % queue->size < ENTRY_MAX) {
		turn_round(queue);
	}
	return text_over(entry_at(queue, head_of(queue))->bytes, RECORD_LINE_MAX);
}

void trail_end(struct trail_queue *queue, const struct text *line)
{
	const uint64_t head = head_of(queue);

	entry_at(queue, head)->len = (uint32_t)line->len;
	atomic_store_explicit(&queue->head, head + entry_len(line->len), memory_order_release);
	if (list_empty(&queue->timer.link)) {
		queue->stuck_at = UINT64_MAX; /* the writer was not asked yet */
		timer_start(queue->loop, &queue->timers, &queue->timer);
	} else if (UNLIKELY(head - queue->tail_seen > HURRY_LEN) && !queue->hurried) {
		queue->hurried = true;
		trail_wake(queue->trail);
	}
}

/* ── The timer ───────────────────────────────────────────────────────────── */

static void watch_writer(struct trail_queue *queue)
{
	if (queue->tail_seen != queue->stuck_at || queue->tail_seen == head_of(queue)) {
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
	if (queue->tail_seen != head_of(queue)) {
		trail_wake(queue->trail);
		timer_start(queue->loop, &queue->timers, timer);
		return;
	}
	timer_stop(timer);
	/* While little waits, little of the memory is touched. */
	if (head_of(queue) % queue->size > 0) {
		turn_round(queue);
	}
}

/* ── Life ────────────────────────────────────────────────────────────────── */

struct trail_queue *queue_new(struct trail *trail, struct loop *loop, size_t size)
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
