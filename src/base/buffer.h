/* SPDX-License-Identifier: MIT */
/*
 * buffer — bytes on their way from one stream to another.
 *
 *   0        start       ready    raw         end        size
 *   | headroom | to be sent | gap | to be judged | room     |
 *
 * Reading appends bytes at `end`. Judging moves bytes in place from the run "to
 * be judged" to the run "to be sent". Sending advances `start`. A rewritten head
 * may be longer than the received head: the headroom lets it stand directly
 * before the body bytes that arrived with the received head. Only the functions
 * below move the cursors (tools/check-source.py enforces it).
 *
 * A buffer is lent while bytes are in flight and returned when it is empty: an
 * idle connection has no buffer. There are three sizes: small buffers for ordinary
 * messages, large buffers for large heads and for streams that fill a small one, and
 * buffers for a whole head and body that must be judged together.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/pool.h"
#include "base/slice.h"

enum {
	/* Five pages: 16 KiB of data, a head or framing before the data, and 1 KiB by which the
	 * pool shifts buffers against each other. */
	BUFFER_SMALL_SIZE = 19 * 1024 - POOL_OVERHEAD,
	BUFFER_LARGE_SIZE = 256 * 1024,
};

struct buffer {
	uint32_t size; /* bytes in `bytes` */
	uint32_t start;
	uint32_t ready;
	uint32_t raw;
	uint32_t end;
	char bytes[];
};

struct buffer_lender {
	struct pool small;
	struct pool large;
	struct pool whole;
	uint32_t headroom; /* bytes */
};

/*
 * `headroom`: bytes by which a rewritten head may be longer than the received
 * head. `large_size`: bytes of a large buffer, at least BUFFER_LARGE_SIZE. `max`:
 * ceiling for the number of small buffers, `max_large` for that of large ones. Without
 * buffer_lender_hold(), none is held.
 */
void buffer_lender_init(struct buffer_lender *lender, uint32_t headroom, uint32_t large_size,
        unsigned max, unsigned max_large);
/* `whole_size`: bytes of a buffer for a whole message. `max`: ceiling for their number. */
void buffer_lender_hold(struct buffer_lender *lender, uint32_t whole_size, unsigned max);
void buffer_lender_done(struct buffer_lender *lender);

/* Lend a small buffer if *buffer is NULL. False without memory. */
bool buffer_borrow(struct buffer_lender *lender, struct buffer **buffer) MUST_USE;
/* Exchange *buffer for a large buffer with the same content. False without memory, at
 * the ceiling, or if the buffer is already large. */
bool buffer_grow(struct buffer_lender *lender, struct buffer **buffer) MUST_USE;
/* The same, for a buffer that holds a whole message. False also at the ceiling. */
bool buffer_hold(struct buffer_lender *lender, struct buffer **buffer) MUST_USE;
/* Return *buffer and set it to NULL. *buffer may be NULL. */
void buffer_return(struct buffer_lender *lender, struct buffer **buffer);

/* ── Content ─────────────────────────────────────────────────────────────── */

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

/* Whether no bytes are left to send. */
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

/* `len` bytes were written at the tail; they are now to be judged. */
static inline void buffer_append(struct buffer *buffer, size_t len)
{
	ASSERT(len <= buffer_room(buffer));
	buffer->end += (uint32_t)len;
}

/*
 * Make room behind the bytes to judge: move them to the front, but not over bytes
 * to send.
 */
void buffer_make_room(struct buffer_lender *lender, struct buffer *buffer);

/* ── Judging ─────────────────────────────────────────────────────────────── */

/* The bytes to judge, to be rewritten in place. */
static inline char *buffer_judged_in_place(struct buffer *buffer)
{
	return buffer->bytes + buffer->raw;
}

/* Whether the next judged bytes can be kept: they continue the run of bytes to send, or that run is
 * empty. If not, the bytes to send must be sent first. */
static inline bool buffer_can_keep(const struct buffer *buffer)
{
	return buffer->ready == buffer->raw || buffer_is_sent(buffer);
}

/* The first `judged` of the bytes to judge are judged. The first `kept` of these are to be sent,
 * the others are dropped. */
static inline void buffer_keep(struct buffer *buffer, size_t judged, size_t kept)
{
	ASSERT(buffer_can_keep(buffer) && kept <= judged && judged <= buffer->end - buffer->raw);
	if (buffer_is_sent(buffer)) {
		buffer->start = buffer->ready = buffer->raw;
	}
	buffer->ready += (uint32_t)kept;
	buffer->raw += (uint32_t)judged;
}

/* Drop the first `judged` of the bytes to judge. */
static inline void buffer_skip(struct buffer *buffer, size_t judged)
{
	ASSERT(judged <= buffer->end - buffer->raw);
	buffer->raw += (uint32_t)judged;
}

/*
 * Move the bytes behind the first `judged` on, so that `len` bytes, which do not fit in front of
 * them, do. False if there is no room.
 */
bool buffer_make_front(struct buffer *buffer, size_t judged, size_t len) MUST_USE;

/*
 * Replace the first `judged` of the bytes to judge by `head` and `body`, which are then to be
 * sent; neither is in the buffer. No other bytes may be waiting to be sent. False if there is no
 * room: neither the headroom nor the rest of the buffer is enough.
 */
static inline bool buffer_replace(
        struct buffer *buffer, size_t judged, struct slice head, struct slice body)
{
	const size_t len = head.len + body.len;

	ASSERT(buffer_is_sent(buffer) && buffer->raw + judged <= buffer->end);
	if (UNLIKELY(len > buffer->raw + judged) && !buffer_make_front(buffer, judged, len)) {
		return false;
	}
	const uint32_t cut = buffer->raw + (uint32_t)judged;
	buffer->start = cut - (uint32_t)len;
	memcpy(buffer->bytes + buffer->start, head.ptr, head.len);
	if (UNLIKELY(body.ptr != NULL)) {
		memcpy(buffer->bytes + cut - body.len, body.ptr, body.len);
	}
	buffer->ready = cut;
	buffer->raw = cut;
	return true;
}

/*
 * Remove `len` of the bytes to judge, `offset` bytes behind the first: framing, between what stays.
 */
void buffer_cut(struct buffer *buffer, size_t offset, size_t len);

/* ── Sending ─────────────────────────────────────────────────────────────── */

/* The first `len` of the bytes to send were sent. */
static inline void buffer_sent(struct buffer *buffer, size_t len)
{
	ASSERT(len <= buffer->ready - buffer->start);
	buffer->start += (uint32_t)len;
}

/* Send the last `len` sent bytes again. No byte may have been appended, kept or skipped since they
 * were sent. */
static inline void buffer_unsend(struct buffer *buffer, size_t len)
{
	ASSERT(len <= buffer->ready);
	buffer->start = buffer->ready - (uint32_t)len;
}

/* ── Dropping content ────────────────────────────────────────────────────── */

/* Drop the bytes to send. */
static inline void buffer_drop_to_send(struct buffer *buffer)
{
	buffer->start = buffer->ready;
}

/* Drop the bytes to judge. Bytes that are kept later continue the run of bytes to send. */
void buffer_drop_to_judge(struct buffer_lender *lender, struct buffer *buffer);

#endif
