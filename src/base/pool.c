/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include <stdint.h>
#include <sys/mman.h>

/* What is not lent, and what stands between objects, is out of bounds to AddressSanitizer. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN
#endif
#ifdef POOL_ASAN
#include <sanitizer/asan_interface.h>
#define FORBID(memory, size) ASAN_POISON_MEMORY_REGION(memory, size)
#define ALLOW(memory, size)  ASAN_UNPOISON_MEMORY_REGION(memory, size)
#else
#define FORBID(memory, size) ((void)(memory), (void)(size))
#define ALLOW(memory, size)  ((void)(memory), (void)(size))
#endif

enum { PAGE = 4096, ALIGNMENT = 16 };

struct slab {
	struct list link;
	void *free; /* its objects that are neither lent nor at hand, linked as those */
	unsigned used;
};

/* In front of each object. */
struct slot {
	struct slab *home;
	uint64_t unused; /* objects are aligned to 16 bytes */
};

_Static_assert(sizeof(struct slab) + sizeof(struct slot) == POOL_OVERHEAD, "see pool.h");
_Static_assert(sizeof(struct slot) == ALIGNMENT && sizeof(struct slab) % ALIGNMENT == 0,
        "objects are aligned");

static size_t round_up(size_t size, size_t to)
{
	return (size + to - 1) / to * to;
}

static size_t slot_size(const struct pool *pool)
{
	return sizeof(struct slot) + round_up(pool->object_size, ALIGNMENT);
}

void pool_init(struct pool *pool, size_t object_size, unsigned max, unsigned keep)
{
	ASSERT(object_size >= sizeof(void *));
	*pool = (struct pool){.object_size = object_size, .max = max, .keep = keep};
	pool->slab_size = round_up(sizeof(struct slab) + slot_size(pool), PAGE);
	pool->slab_objects = (unsigned)((pool->slab_size - sizeof(struct slab)) / slot_size(pool));
	pool->rest = pool->slab_size - sizeof(struct slab) - pool->slab_objects * slot_size(pool);
	list_init(&pool->slabs);
}

/* ── Lists of free objects ───────────────────────────────────────────────── */

static void push(const struct pool *pool, void **list, void *object)
{
	*(void **)object = *list;
	*list = object;
	FORBID(object, pool->object_size);
}

/* NULL: there is none. */
static void *pop(const struct pool *pool, void **list)
{
	void *object = *list;

	if (object != NULL) {
		ALLOW(object, pool->object_size);
		*list = *(void **)object;
		__builtin_prefetch(*list, 1); /* the next one will be read here */
	}
	return object;
}

/* ── Slabs ───────────────────────────────────────────────────────────────── */

/*
 * Where the first object of the next slab stands. A cache has few places for lines at the same
 * offset in a page: what is left of a slab shifts its objects against those of other slabs.
 */
static size_t next_start(struct pool *pool)
{
	const size_t shift = pool->shift;

	pool->shift = shift + CACHE_LINE <= pool->rest ? shift + CACHE_LINE : 0;
	return sizeof(struct slab) + shift;
}

static struct slab *new_slab(struct pool *pool)
{
	const size_t start = next_start(pool);
	char *memory = mmap(
	        NULL, pool->slab_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		return NULL;
	}
	struct slab *slab = (struct slab *)(void *)memory;
	*slab = (struct slab){.used = 0};
	list_init(&slab->link);
	list_prepend(&pool->slabs, &slab->link);
	for (unsigned i = pool->slab_objects; i-- > 0;) {
		struct slot *slot = (struct slot *)(void *)(memory + start + i * slot_size(pool));
		slot->home = slab;
		push(pool, &slab->free, slot + 1);
		FORBID(slot, slot_size(pool));
	}
	pool->slab_count++;
	return slab;
}

static void *take_from_slab(struct pool *pool)
{
	struct slab *slab = list_empty(&pool->slabs)
	                            ? new_slab(pool)
	                            : CONTAINER_OF(pool->slabs.next, struct slab, link);

	if (slab == NULL) {
		return NULL;
	}
	slab->used++;
	void *object = pop(pool, &slab->free);
	if (slab->free == NULL) {
		list_remove(&slab->link);
	}
	return object;
}

static struct slab *home_of(void *object)
{
	struct slot *slot = (struct slot *)object - 1;

	ALLOW(slot, sizeof(*slot));
	struct slab *slab = slot->home;
	FORBID(slot, sizeof(*slot));
	return slab;
}

static void give_to_slab(struct pool *pool, void *object)
{
	struct slab *slab = home_of(object);
	const bool was_full = slab->free == NULL;

	push(pool, &slab->free, object);
	slab->used--;
	if (slab->used == 0) {
		list_remove(&slab->link);
		list_append(&pool->slabs, &slab->link);
	} else if (was_full) {
		list_prepend(&pool->slabs, &slab->link);
	}
}

unsigned pool_trim(struct pool *pool, unsigned most)
{
	unsigned count = 0;

	while (pool->free != NULL) {
		give_to_slab(pool, pop(pool, &pool->free));
	}
	pool->kept = 0;
	while (count < most && !list_empty(&pool->slabs)) {
		struct slab *slab = CONTAINER_OF(pool->slabs.prev, struct slab, link);
		if (slab->used > 0) {
			break;
		}
		list_remove(&slab->link);
		ALLOW(slab, pool->slab_size);
		(void)munmap(slab, pool->slab_size);
		pool->slab_count--;
		count++;
	}
	return count;
}

void pool_done(struct pool *pool)
{
	ASSERT(pool->lent == 0);
	(void)pool_trim(pool, UINT32_MAX);
	ASSERT(pool->slab_count == 0);
}

/* ── Lending ─────────────────────────────────────────────────────────────── */

void *pool_take(struct pool *pool)
{
	if (pool->lent == pool->max) {
		return NULL;
	}
	void *object = pop(pool, &pool->free);
	if (object != NULL) {
		pool->kept--;
	} else {
		object = take_from_slab(pool);
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
		give_to_slab(pool, object);
		return;
	}
	push(pool, &pool->free, object);
	pool->kept++;
}
