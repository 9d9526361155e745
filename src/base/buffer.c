/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

/* Free buffers kept per size: as many as are in use at the same time on an ordinary day. */
enum {
	SMALL_KEPT = 16,
	LARGE_KEPT = 2,
};

void buffer_lender_init(
        struct buffer_lender *lender, uint32_t headroom, uint32_t large_size, unsigned max)
{
	ASSERT(headroom < BUFFER_SMALL_SIZE / 2 && large_size >= BUFFER_LARGE_SIZE);
	pool_init(&lender->small, BUFFER_SMALL_SIZE, max, SMALL_KEPT);
	pool_init(&lender->large, large_size, max, LARGE_KEPT);
	lender->headroom = headroom;
}

void buffer_lender_done(struct buffer_lender *lender)
{
	pool_done(&lender->small);
	pool_done(&lender->large);
}

static void reset(const struct buffer_lender *lender, struct buffer *buffer)
{
	buffer->start = buffer->ready = buffer->raw = buffer->end = lender->headroom;
}

static struct buffer *take(struct buffer_lender *lender, struct pool *pool)
{
	struct buffer *buffer = pool_take(pool);

	if (buffer != NULL) {
		buffer->size = (uint32_t)(pool->object_size - sizeof(*buffer));
		reset(lender, buffer);
	}
	return buffer;
}

static struct pool *home_of(struct buffer_lender *lender, const struct buffer *buffer)
{
	const bool small = buffer->size + sizeof(*buffer) == lender->small.object_size;

	return small ? &lender->small : &lender->large;
}

bool buffer_borrow(struct buffer_lender *lender, struct buffer **buffer)
{
	if (*buffer == NULL) {
		*buffer = take(lender, &lender->small);
	}
	return *buffer != NULL;
}

bool buffer_grow(struct buffer_lender *lender, struct buffer **buffer)
{
	const struct buffer *old = *buffer;

	if (home_of(lender, old) == &lender->large) {
		return false;
	}
	struct buffer *large = take(lender, &lender->large);
	if (large == NULL) {
		return false;
	}
	large->start = old->start;
	large->ready = old->ready;
	large->raw = old->raw;
	large->end = old->end;
	memcpy(large->bytes + old->start, old->bytes + old->start, old->end - old->start);
	buffer_return(lender, buffer);
	*buffer = large;
	return true;
}

void buffer_return(struct buffer_lender *lender, struct buffer **buffer)
{
	if (*buffer != NULL) {
		pool_give(home_of(lender, *buffer), *buffer);
		*buffer = NULL;
	}
}

void buffer_make_room(struct buffer_lender *lender, struct buffer *buffer)
{
	const uint32_t len = buffer->end - buffer->raw;

	if (!buffer_is_sent(buffer)) {
		return;
	}
	if (len > 0 && buffer->raw > lender->headroom) {
		memmove(buffer->bytes + lender->headroom, buffer->bytes + buffer->raw, len);
	}
	if (len == 0 || buffer->raw > lender->headroom) {
		reset(lender, buffer);
		buffer->end += len;
	}
}

void buffer_drop_to_judge(struct buffer_lender *lender, struct buffer *buffer)
{
	buffer->end = buffer->raw = buffer->ready;
	if (buffer_is_sent(buffer)) {
		reset(lender, buffer);
	}
}

bool buffer_replace(struct buffer *buffer, size_t judged, struct slice sent)
{
	const uint32_t cut = buffer->raw + (uint32_t)judged;

	ASSERT(buffer_is_sent(buffer) && cut <= buffer->end);
	if (sent.len > cut) {
		return false;
	}
	buffer->start = cut - (uint32_t)sent.len;
	memcpy(buffer->bytes + buffer->start, sent.ptr, sent.len);
	buffer->ready = cut;
	buffer->raw = cut;
	return true;
}
