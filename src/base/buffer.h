/* SPDX-License-Identifier: MIT */
/*
 * buffer — bytes on their way from one stream to another.
 *
 *   0        start       ready    raw         end        size
 *   | headroom | to be sent | gap | to be judged | room     |
 *
 * Read bytes are appended at `end`. Whoever judges them moves them, in place,
 * from the second run to the first; whoever sends advances `start`. The
 * headroom lets a head that was written anew, and may have grown, stand
 * directly before the body bytes that came with the old one.
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
	BUFFER_SMALL_SIZE = 20 * 1024, /* 16 KiB of data and what stands before them */
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

static inline size_t buffer_room(const struct buffer *buffer)
{
	return buffer->size - buffer->end;
}

/* Forget everything. */
void buffer_reset(struct buffer_lender *lender, struct buffer *buffer);
/* With nothing to send: move the bytes to judge to the front, for more room behind them. */
void buffer_compact(struct buffer_lender *lender, struct buffer *buffer);
/*
 * Replace the first `judged` bytes to judge by `sent`, which then stands ready
 * to be sent; there must be nothing to send yet. False when the headroom does
 * not suffice.
 */
bool buffer_replace(struct buffer *buffer, size_t judged, struct slice sent) MUST_USE;

#endif
