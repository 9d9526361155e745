/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include <stdlib.h>

void pool_init(struct pool *pool, size_t object_size, unsigned max, unsigned keep)
{
	ASSERT(object_size >= sizeof(void *));
	*pool = (struct pool){.object_size = object_size, .max = max, .keep = keep};
}

void pool_done(struct pool *pool)
{
	ASSERT(pool->lent == 0);
	while (pool->free != NULL) {
		void **object = pool->free;
		pool->free = *object;
		free(object);
	}
	pool->kept = 0;
}

void *pool_take(struct pool *pool)
{
	if (pool->lent == pool->max) {
		return NULL;
	}
	void **object = pool->free;
	if (object != NULL) {
		pool->free = *object;
		pool->kept--;
	} else {
		object = malloc(pool->object_size);
		if (object == NULL) {
			return NULL;
		}
	}
	pool->lent++;
	return object;
}

void pool_give(struct pool *pool, void *object)
{
	if (object == NULL) {
		return;
	}
	ASSERT(pool->lent > 0);
	pool->lent--;
	if (pool->kept == pool->keep) {
		free(object);
		return;
	}
	*(void **)object = pool->free;
	pool->free = object;
	pool->kept++;
}
