/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "base/check.h"

#include <stdalign.h>
#include <stdlib.h>

enum { CHUNK_SIZE = 16 * 1024 - 64 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	alignas(max_align_t) char bytes[];
};

static void add_chunk(struct arena *arena, size_t least)
{
	const size_t size = least > CHUNK_SIZE ? least : CHUNK_SIZE;
	struct arena_chunk *chunk = calloc(1, sizeof(*chunk) + size);

	ASSERT(chunk != NULL);
	chunk->next = arena->chunks;
	chunk->size = size;
	arena->chunks = chunk;
	arena->used = 0;
}

void *arena_take(struct arena *arena, size_t size)
{
	const size_t alignment = alignof(max_align_t);
	const size_t rounded = (size + alignment - 1) / alignment * alignment;

	ASSERT(rounded >= size);
	if (arena->chunks == NULL || arena->chunks->size - arena->used < rounded) {
		add_chunk(arena, rounded);
	}
	void *piece = arena->chunks->bytes + arena->used;
	arena->used += rounded;
	return piece;
}

char *arena_copy(struct arena *arena, struct slice s)
{
	char *copy = arena_take(arena, s.len + 1);

	if (s.len > 0) {
		memcpy(copy, s.ptr, s.len);
	}
	return copy;
}

void arena_free(struct arena *arena)
{
	while (arena->chunks != NULL) {
		struct arena_chunk *chunk = arena->chunks;
		arena->chunks = chunk->next;
		free(chunk);
	}
	arena->used = 0;
}
