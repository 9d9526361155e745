/* SPDX-License-Identifier: MIT */
/*
 * Records for those who watch now: the last ones, in memory that the newest overwrite. Each watcher
 * has its own place in there, so that one who reads slowly misses records, learns how many, and
 * holds nobody up.
 */
#include "trail/internal.h"

#include <stdlib.h>

enum { FEED_SIZE = 512 << 10, ALIGNMENT = 8 };

struct entry {
	uint32_t len; /* 0: the next one stands at the beginning of the memory */
	char bytes[];
};

void feed_init(struct feed *feed)
{
	(void)pthread_mutex_init(&feed->lock, NULL);
	feed->tell_fd = -1;
}

void feed_done(struct feed *feed)
{
	free(feed->bytes);
	feed->bytes = NULL;
	(void)pthread_mutex_destroy(&feed->lock);
}

static struct entry *entry_at(const struct feed *feed, uint64_t position)
{
	return (struct entry *)(void *)(feed->bytes + position % FEED_SIZE);
}

static size_t entry_len(size_t len)
{
	return (sizeof(struct entry) + len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint64_t next_round(uint64_t position)
{
	return (position / FEED_SIZE + 1) * FEED_SIZE;
}

/* The position of the entry at `position` or, where the memory is left out to its end, of the next
 * one. */
static uint64_t settle(const struct feed *feed, uint64_t position)
{
	return position != feed->next && entry_at(feed, position)->len == 0 ? next_round(position)
	                                                                    : position;
}

/* Forget the oldest until `position` can be written up to. */
static void forget(struct feed *feed, uint64_t position)
{
	while (feed->first != feed->next && position - feed->first > FEED_SIZE) {
		const uint64_t at = settle(feed, feed->first);
		if (at != feed->first) {
			feed->first = at;
			continue;
		}
		feed->first += entry_len(entry_at(feed, at)->len);
		feed->first_number++;
	}
}

static void add(struct feed *feed, struct slice line)
{
	const size_t len = entry_len(line.len);

	if (FEED_SIZE - feed->next % FEED_SIZE < len) {
		const uint64_t round = next_round(feed->next);
		forget(feed, round);
		entry_at(feed, feed->next)->len = 0;
		feed->next = round;
	}
	forget(feed, feed->next + len);
	struct entry *entry = entry_at(feed, feed->next);
	entry->len = (uint32_t)text_keep(entry->bytes, line.len, line);
	feed->next += len;
	feed->next_number++;
	if (feed->first_number + 1 == feed->next_number) {
		feed->first = feed->next - len;
	}
}

void feed_add(struct feed *feed, struct slice lines)
{
	struct slice line;

	if (atomic_load_explicit(&feed->watchers, memory_order_relaxed) == 0) {
		return;
	}
	(void)pthread_mutex_lock(&feed->lock);
	while (feed->bytes != NULL && lines.len > 0 && slice_next(&lines, '\n', &line)) {
		add(feed, line);
	}
	(void)pthread_mutex_unlock(&feed->lock);
}

/* ── Watchers ────────────────────────────────────────────────────────────── */

void trail_set_watcher(struct trail *trail, void (*tell)(void *context), void *context, int tell_fd)
{
	trail->feed.tell = tell;
	trail->feed.context = context;
	trail->feed.tell_fd = tell_fd;
}

bool trail_watch(struct trail *trail, struct trail_cursor *ret_cursor)
{
	struct feed *feed = &trail->feed;

	(void)pthread_mutex_lock(&feed->lock);
	if (feed->bytes == NULL) {
		feed->bytes = malloc(FEED_SIZE);
		feed->first = feed->next = 0;
		feed->first_number = feed->next_number = 0;
	}
	*ret_cursor = (struct trail_cursor){feed->next, feed->next_number};
	const bool watches = feed->bytes != NULL;
	(void)pthread_mutex_unlock(&feed->lock);
	if (watches) {
		(void)atomic_fetch_add(&feed->watchers, 1);
		atomic_store(&trail->wanted, true);
	}
	return watches;
}

void trail_unwatch(struct trail *trail)
{
	struct feed *feed = &trail->feed;

	if (atomic_fetch_sub(&feed->watchers, 1) > 1) {
		return;
	}
	atomic_store(&trail->wanted, trail->verbs != NULL);
	(void)pthread_mutex_lock(&feed->lock);
	free(feed->bytes);
	feed->bytes = NULL;
	(void)pthread_mutex_unlock(&feed->lock);
}

bool trail_next(
        struct trail *trail, struct trail_cursor *cursor, struct text *line, uint64_t *ret_lost)
{
	struct feed *feed = &trail->feed;

	(void)pthread_mutex_lock(&feed->lock);
	*ret_lost = 0;
	/* A reader who is a whole round behind has the number of the first record and not its
	 * place. */
	if (cursor->number < feed->first_number || cursor->position < feed->first) {
		*ret_lost = feed->first_number - cursor->number;
		*cursor = (struct trail_cursor){feed->first, feed->first_number};
	}
	const bool found = cursor->number < feed->next_number;
	if (found) {
		const uint64_t at = settle(feed, cursor->position);
		const struct entry *entry = entry_at(feed, at);
		text_add(line, (struct slice){entry->bytes, entry->len});
		*cursor = (struct trail_cursor){at + entry_len(entry->len), cursor->number + 1};
	}
	(void)pthread_mutex_unlock(&feed->lock);
	return found;
}
