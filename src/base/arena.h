/* SPDX-License-Identifier: MIT */
/*
 * arena — memory that is taken piece by piece and given back as a whole.
 *
 * For what is read once at start-up: configuration, policies. Whoever fills
 * one has a ceiling of his own (bytes of a file, number of rules). Without
 * memory there is nothing to start, so that the program ends then, and nobody
 * has to ask whether a piece was given.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* the newest first */
	size_t used;                /* bytes of the newest */
};

/* Zeroed, aligned for anything. */
void *arena_take(struct arena *arena, size_t size) __attribute__((returns_nonnull));
/* With a NUL behind it. */
char *arena_copy(struct arena *arena, struct slice s) __attribute__((returns_nonnull));
void arena_free(struct arena *arena);

#endif
