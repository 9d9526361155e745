/* SPDX-License-Identifier: MIT */
/*
 * arena — memory that is allocated piece by piece and freed as a whole.
 *
 * For data that is read once at start-up: configuration, policies. The caller
 * limits the size (bytes of a file, number of rules). Without memory the program
 * ends, so that the functions never return NULL.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	size_t used;                /* bytes used in the newest chunk */
};

/* `size` zeroed bytes, aligned for any type. */
void *arena_take(struct arena *arena, size_t size) __attribute__((returns_nonnull));
/* A copy of `s`, terminated by a NUL. */
char *arena_copy(struct arena *arena, struct slice s) __attribute__((returns_nonnull));
void arena_free(struct arena *arena);

#endif
