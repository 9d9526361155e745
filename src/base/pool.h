/* SPDX-License-Identifier: MIT */
/*
 * pool — objects of one size, lent and returned, up to a ceiling.
 *
 * The data path allocates from pools only. A pool takes memory from the system in
 * slabs: whole pages with objects of this pool only. Returned objects are reused.
 * pool_trim() returns slabs without lent objects to the system; regular calls
 * free the memory of a burst. A pool belongs to one thread.
 *
 *   slab    | header | shift | home, object | home, object | … | rest without shift |
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/check.h"
#include "base/list.h"

#include <stddef.h>

/* Bytes of a slab that are not available if the slab holds one object. */
enum { POOL_OVERHEAD = 48 };

struct pool {
	size_t object_size; /* bytes */
	unsigned max;       /* objects lent at the same time */
	unsigned keep;      /* ceiling for `kept` */
	unsigned lent;
	unsigned kept;
	void *free;            /* the kept objects, linked through their first word; lent first */
	size_t slab_size;      /* bytes, whole pages */
	unsigned slab_objects; /* in each */
	size_t rest;           /* bytes of a slab that are in no object */
	size_t shift;          /* of the objects of the next slab; at most `rest` */
	unsigned slab_count;
	struct list slabs; /* with free objects; slabs without lent objects are last */
};

/* `object_size` is at least sizeof(void *). */
void pool_init(struct pool *pool, size_t object_size, unsigned max, unsigned keep);
/* Return all memory to the system. No object may be lent. */
void pool_done(struct pool *pool);

/* Lend an object with undefined content; NULL at the ceiling or without memory. */
void *pool_take(struct pool *pool) MUST_USE;
/* Return an object; `object` may be NULL. */
void pool_give(struct pool *pool, void *object);

/* Return up to `most` slabs without lent objects to the system. Returns their number. */
unsigned pool_trim(struct pool *pool, unsigned most);

#endif
