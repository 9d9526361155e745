/* SPDX-License-Identifier: MIT */
/*
 * arena — memory that is taken piece by piece and given back as a whole.
 *
 * A configuration and its policies are made of such pieces. The arena remembers that a piece was
 * not given, so that whoever takes several asks once, behind the last of them.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/fault.h"
#include "base/slice.h"

enum { ARENA_MAX = 64 * 1024 * 1024 }; /* bytes of one arena */

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* the newest first */
	size_t used;                /* bytes of the newest */
	size_t total;               /* bytes of all */
	int error; /* why a piece was not given: -ENOMEM, -E2BIG; 0: none was refused */
};

/* Zeroed, aligned for anything. NULL without memory, or beyond ARENA_MAX. */
void *arena_take(struct arena *arena, size_t size) MUST_USE;
/* With a NUL behind it; NULL as above. */
char *arena_copy(struct arena *arena, struct slice s) MUST_USE;
/* A piece was not given: the sentence that says why. -EINVAL, to be returned. */
int arena_fault(const struct arena *arena, char fault[FAULT_MAX]);
/* The same if a piece was not given at any time before; else 0. */
int arena_check(const struct arena *arena, char fault[FAULT_MAX]) MUST_USE;
void arena_free(struct arena *arena);

#endif
