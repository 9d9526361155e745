/* SPDX-License-Identifier: MIT */
/*
 * arena — memory that is allocated piece by piece and freed as a whole.
 *
 * For the data of a configuration and its policies. If an allocation fails, the arena
 * remembers it, so that a caller of several allocations checks once, after the last.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/fault.h"
#include "base/slice.h"

enum { ARENA_MAX = 64 * 1024 * 1024 }; /* bytes of one arena */

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	size_t used;                /* bytes used in the newest chunk */
	size_t total;               /* bytes of all chunks */
	int error; /* of the first failed allocation: -ENOMEM or -E2BIG; 0: none failed */
};

/* `size` zeroed bytes, aligned for any type. NULL without memory or beyond ARENA_MAX. */
void *arena_take(struct arena *arena, size_t size) MUST_USE;
/* A copy of `s`, terminated by a NUL; NULL as above. */
char *arena_copy(struct arena *arena, struct slice s) MUST_USE;
/* An allocation failed: write the sentence about it. Returns -EINVAL, for the caller to return. */
int arena_fault(const struct arena *arena, char fault[FAULT_MAX]);
/* The same if an allocation has failed before; else 0. */
int arena_check(const struct arena *arena, char fault[FAULT_MAX]) MUST_USE;
void arena_free(struct arena *arena);

#endif
