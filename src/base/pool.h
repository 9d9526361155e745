/* SPDX-License-Identifier: MIT */
/*
 * pool — objects of one size, lent and given back, never more than a ceiling.
 *
 * This is the only memory the data path takes after start-up. Given-back
 * objects are kept for the next borrower up to `keep`; the rest goes back to
 * the system, so that a burst leaves nothing behind. One thread per pool.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/check.h"

#include <stddef.h>

struct pool {
	size_t object_size; /* bytes */
	unsigned max;       /* objects lent at the same time */
	unsigned keep;      /* free objects kept at most */
	unsigned lent;
	unsigned kept;
	void *free; /* kept objects, linked through their first word */
};

/* object_size is at least a pointer's. */
void pool_init(struct pool *pool, size_t object_size, unsigned max, unsigned keep);
/* Give the kept objects back to the system. Every lent one must be home. */
void pool_done(struct pool *pool);

/* An object with undefined content, or NULL at the ceiling or without memory. */
void *pool_take(struct pool *pool) MUST_USE;
/* NULL is fine. */
void pool_give(struct pool *pool, void *object);

#endif
