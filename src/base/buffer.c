/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

/* Free buffers kept per size: as many as are in use at the same time on an ordinary day. */
enum {
	SMALL_KEPT = 64,
	LARGE_KEPT = 2,
	WHOLE_KEPT = 1,
};

void buffer_lender_init(struct buffer_lender *lender, uint32_t headroom, uint32_t large_size,
        unsigned max, unsigned max_large)
{
	ASSERT(headroom < BUFFER_SMALL_SIZE / 2 && large_size >= BUFFER_LARGE_SIZE);
	pool_init(&lender->small, BUFFER_SMALL_SIZE, max, SMALL_KEPT);
	pool_init(&lender->large, large_size, max_large, LARGE_KEPT);
	lender->headroom = headroom;
	pool_init(&lender->whole, large_size + 1, 0, 0); /* until buffer_lender_hold() */
}

void buffer_lender_hold(struct buffer_lender *lender, uint32_t whole_size, unsigned max)
{
	ASSERT(whole_size > lender->large.object_size && lender->whole.lent == 0);
	pool_init(&lender->whole, whole_size, max, WHOLE_KEPT);
}

void buffer_lender_done(struct buffer_lender *lender)
{
	pool_done(&lender->small);
	pool_done(&lender->large);
	pool_done(&lender->whole);
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
	const size_t size = buffer->size + sizeof(*buffer);

	if (size == lender->small.object_size) {
		return &lender->small;
	}
	return size == lender->large.object_size ? &lender->large : &lender->whole;
}

bool buffer_borrow(struct buffer_lender *lender, struct buffer **buffer)
{
	if (*buffer == NULL) {
		*buffer = take(lender, &lender->small);
	}
	return *buffer != NULL;
}

/* Exchange *buffer for one of `pool` with the same content. */
static bool exchange(struct buffer_lender *lender, struct buffer **buffer, struct pool *pool)
{
	const struct buffer *old = *buffer;

	if (home_of(lender, old)->object_size >= pool->object_size) {
		return false;
	}
	struct buffer *larger = take(lender, pool);
	if (larger == NULL) {
		return false;
	}
	larger->start = old->start;
	larger->ready = old->ready;
	larger->raw = old->raw;
	larger->end = old->end;
	memcpy(larger->bytes + old->start, old->bytes + old->start, old->end - old->start);
	buffer_return(lender, buffer);
	*buffer = larger;
	return true;
}

bool buffer_grow(struct buffer_lender *lender, struct buffer **buffer)
{
	return exchange(lender, buffer, &lender->large);
}

bool buffer_hold(struct buffer_lender *lender, struct buffer **buffer)
{
	return exchange(lender, buffer, &lender->whole);
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

void buffer_cut(struct buffer *buffer, size_t offset, size_t len)
{
	char *at = buffer->bytes + buffer->raw + offset;

	ASSERT(offset + len <= buffer->end - buffer->raw);
	memmove(at, at + len, buffer->end - buffer->raw - offset - len);
	buffer->end -= (uint32_t)len;
}

bool buffer_make_front(struct buffer *buffer, size_t judged, size_t len)
{
	const size_t cut = buffer->raw + judged;
	const size_t more = len - cut;

	if (more > buffer_room(buffer)) {
		return false;
	}
	memmove(buffer->bytes + cut + more, buffer->bytes + cut, buffer->end - cut);
	buffer->raw += (uint32_t)more;
	buffer->end += (uint32_t)more;
	return true;
}
