/* SPDX-License-Identifier: MIT */
/*
 * pool — objects of one size, lent and given back, never more than a ceiling.
 *
 * This is the only memory the data path takes after start-up. It comes in
 * slabs: pages of the system that hold objects of this pool alone, so that no
 * object of another kind keeps them. Given-back objects are kept for the next
 * borrower, and pool_trim() gives slabs of which nothing is lent back to the
 * system: call it now and then, and a burst leaves nothing behind. One thread
 * per pool.
 *
 *   slab    | header | home, object | home, object | … |
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/check.h"
#include "base/list.h"

#include <stddef.h>

/* Bytes of a slab that an object of its own size leaves no room for. */
enum { POOL_OVERHEAD = 48 };

struct pool {
	size_t object_size; /* bytes */
	unsigned max;       /* objects lent at the same time */
	unsigned keep;      /* free objects at hand, at most: to be lent first */
	unsigned lent;
	unsigned kept;
	void *free;            /* those at hand, linked through their first word */
	size_t slab_size;      /* bytes, whole pages */
	unsigned slab_objects; /* in each */
	unsigned slab_count;
	struct list slabs; /* that have free objects; those without a lent one last */
};

/* object_size is at least a pointer's. */
void pool_init(struct pool *pool, size_t object_size, unsigned max, unsigned keep);
/* Give all memory back to the system. Every lent object must be home. */
void pool_done(struct pool *pool);

/* An object with undefined content, or NULL at the ceiling or without memory. */
void *pool_take(struct pool *pool) MUST_USE;
/* NULL is fine. */
void pool_give(struct pool *pool, void *object);

/* Give up to `most` slabs of which nothing is lent back to the system; how many there were. */
unsigned pool_trim(struct pool *pool, unsigned most);

#endif
