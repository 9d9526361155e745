/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>

enum { CHUNK_SIZE = 16 * 1024 - 64 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	alignas(max_align_t) char bytes[];
};

/* 0 or -errno. */
static int add_chunk(struct arena *arena, size_t least)
{
	const size_t size = least > CHUNK_SIZE ? least : CHUNK_SIZE;

	if (size > ARENA_MAX - arena->total) {
		return -E2BIG;
	}
	struct arena_chunk *chunk = calloc(1, sizeof(*chunk) + size);
	if (chunk == NULL) {
		return -ENOMEM;
	}
	chunk->next = arena->chunks;
	chunk->size = size;
	arena->chunks = chunk;
	arena->used = 0;
	arena->total += size;
	return 0;
}

void *arena_take(struct arena *arena, size_t size)
{
	const size_t alignment = alignof(max_align_t);
	const size_t rounded = (size + alignment - 1) / alignment * alignment;

	ASSERT(rounded >= size);
	if (arena->chunks == NULL || arena->chunks->size - arena->used < rounded) {
		const int error = add_chunk(arena, rounded);
		if (error < 0) {
			arena->error = error;
			return NULL;
		}
	}
	void *piece = arena->chunks->bytes + arena->used;
	arena->used += rounded;
	return piece;
}

char *arena_copy(struct arena *arena, struct slice s)
{
	char *copy = arena_take(arena, s.len + 1);

	if (copy != NULL && s.len > 0) {
		memcpy(copy, s.ptr, s.len);
	}
	return copy;
}

int arena_fault(const struct arena *arena, char fault[FAULT_MAX])
{
	if (arena->error == -E2BIG) {
		return fault_set(fault, NOWHERE,
		        "the configuration needs more than %d MiB of memory: it has too many "
		        "policies with too many rules",
		        ARENA_MAX / 1024 / 1024);
	}
	return fault_memory(fault);
}

int arena_check(const struct arena *arena, char fault[FAULT_MAX])
{
	return arena->error == 0 ? 0 : arena_fault(arena, fault);
}

void arena_free(struct arena *arena)
{
	while (arena->chunks != NULL) {
		struct arena_chunk *chunk = arena->chunks;
		arena->chunks = chunk->next;
		free(chunk);
	}
	*arena = (struct arena){.chunks = NULL};
}
