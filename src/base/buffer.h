/* SPDX-License-Identifier: MIT */
/*
 * buffer — bytes on their way from one stream to another.
 *
 *   0        start       ready    raw         end        size
 *   | headroom | to be sent | gap | to be judged | room     |
 *
 * Read bytes are appended at `end`. Judging moves bytes, in place, from the
 * second run to the first; sending advances `start`. The headroom lets a
 * rewritten head, which may be longer, stand directly before the body bytes
 * that came with the original head. Only the verbs below move the cursors
 * (tools/check-source.py).
 *
 * A buffer is lent while bytes are in flight and given back when empty: an
 * idle connection has none. There are two sizes: small ones for ordinary
 * messages, large ones for streams that fill the small one and for big heads.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/pool.h"
#include "base/slice.h"

enum {
	/* Five pages: 16 KiB of data and what stands before them. */
	BUFFER_SMALL_SIZE = 20 * 1024 - POOL_OVERHEAD,
	BUFFER_LARGE_SIZE = 256 * 1024,
};

struct buffer {
	uint32_t size; /* bytes behind this struct */
	uint32_t start;
	uint32_t ready;
	uint32_t raw;
	uint32_t end;
	char bytes[];
};

struct buffer_lender {
	struct pool small;
	struct pool large;
	uint32_t headroom; /* bytes */
};

/*
 * `headroom` is what a rewritten head may be longer than the received one;
 * `large_size` at least BUFFER_LARGE_SIZE; at most `max` buffers of each size.
 */
void buffer_lender_init(
        struct buffer_lender *lender, uint32_t headroom, uint32_t large_size, unsigned max);
void buffer_lender_done(struct buffer_lender *lender);

/* Make sure that *buffer is there; false without memory. */
bool buffer_borrow(struct buffer_lender *lender, struct buffer **buffer) MUST_USE;
/* Exchange *buffer for a large one with the same content; false without memory or when it is large.
 */
bool buffer_grow(struct buffer_lender *lender, struct buffer **buffer) MUST_USE;
/* Give it back and null it; NULL is fine. */
void buffer_return(struct buffer_lender *lender, struct buffer **buffer);

/* ── What is in it ───────────────────────────────────────────────────────── */

static inline struct slice buffer_to_send(const struct buffer *buffer)
{
	return slice_between(buffer->bytes + buffer->start, buffer->bytes + buffer->ready);
}

static inline struct slice buffer_to_judge(const struct buffer *buffer)
{
	return slice_between(buffer->bytes + buffer->raw, buffer->bytes + buffer->end);
}

static inline bool buffer_is_empty(const struct buffer *buffer)
{
	return buffer->start == buffer->ready && buffer->raw == buffer->end;
}

/* Nothing in it is to be sent. */
static inline bool buffer_is_sent(const struct buffer *buffer)
{
	return buffer->start == buffer->ready;
}

static inline size_t buffer_room(const struct buffer *buffer)
{
	return buffer->size - buffer->end;
}

static inline bool buffer_is_large(const struct buffer *buffer)
{
	return buffer->size >= BUFFER_LARGE_SIZE / 2;
}

/* ── Reading ─────────────────────────────────────────────────────────────── */

/* Where buffer_room() bytes may be written. */
static inline char *buffer_tail(struct buffer *buffer)
{
	return buffer->bytes + buffer->end;
}

/* `len` bytes were written at the tail, and are to be judged. */
static inline void buffer_append(struct buffer *buffer, size_t len)
{
	ASSERT(len <= buffer_room(buffer));
	buffer->end += (uint32_t)len;
}

/*
 * Make room behind the bytes to judge by moving them to the front, as far as
 * nothing stands there that is to be sent.
 */
void buffer_make_room(struct buffer_lender *lender, struct buffer *buffer);

/* ── Judging ─────────────────────────────────────────────────────────────── */

/* The bytes to judge, to be rewritten in place. */
static inline char *buffer_judged_in_place(struct buffer *buffer)
{
	return buffer->bytes + buffer->raw;
}

/* What is ready and what is judged next make one run: else what is ready must be sent first. */
static inline bool buffer_can_keep(const struct buffer *buffer)
{
	return buffer->ready == buffer->raw || buffer_is_sent(buffer);
}

/* Of the bytes to judge the first `judged` are used up, and `kept` of them, at their front, are to
 * be sent. */
static inline void buffer_keep(struct buffer *buffer, size_t judged, size_t kept)
{
	ASSERT(buffer_can_keep(buffer) && kept <= judged && judged <= buffer->end - buffer->raw);
	if (buffer_is_sent(buffer)) {
		buffer->start = buffer->ready = buffer->raw;
	}
	buffer->ready += (uint32_t)kept;
	buffer->raw += (uint32_t)judged;
}

/* Of the bytes to judge the first `judged` go nowhere. */
static inline void buffer_skip(struct buffer *buffer, size_t judged)
{
	ASSERT(judged <= buffer->end - buffer->raw);
	buffer->raw += (uint32_t)judged;
}

/*
 * Replace the first `judged` bytes to judge by `sent`, which then stands ready
 * to be sent; there must be nothing to send yet. False when the headroom does
 * not suffice.
 */
bool buffer_replace(struct buffer *buffer, size_t judged, struct slice sent) MUST_USE;

/* ── Sending ─────────────────────────────────────────────────────────────── */

/* The first `len` bytes to send have left. */
static inline void buffer_sent(struct buffer *buffer, size_t len)
{
	ASSERT(len <= buffer->ready - buffer->start);
	buffer->start += (uint32_t)len;
}

/* The last `len` bytes that were sent are to be sent once more; nothing was read, kept or skipped
 * since. */
static inline void buffer_unsend(struct buffer *buffer, size_t len)
{
	ASSERT(len <= buffer->ready);
	buffer->start = buffer->ready - (uint32_t)len;
}

/* ── Giving up what is in it ─────────────────────────────────────────────── */

/* What is to be sent goes nowhere. */
static inline void buffer_drop_to_send(struct buffer *buffer)
{
	buffer->start = buffer->ready;
}

/* What is to be judged goes nowhere: what is kept from now on stands behind what is to be sent. */
void buffer_drop_to_judge(struct buffer_lender *lender, struct buffer *buffer);

#endif
