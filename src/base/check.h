/* SPDX-License-Identifier: MIT */
/*
 * check — attributes and assertions of the whole program.
 *
 * ASSERT() states an invariant of this program's own code. It stays on in the
 * release: a process between clients and root must not continue in a state that
 * its code excludes. Faults of a peer or of the system are never asserted; they
 * are return values.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

#define MUST_USE            __attribute__((warn_unused_result))
#define NO_RETURN           __attribute__((noreturn))
#define PRINTF_LIKE(f, a)   __attribute__((format(printf, f, a)))
/* It runs seldom: the code that calls it is kept apart from the code that runs for each request. */
#define SELDOM              __attribute__((cold))
/* Always inlined, so that what its caller has as a struct text or the like stays in registers. */
#define PART                static inline __attribute__((always_inline))
#define CACHE_LINE          64 /* bytes, of the processors of today */
#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define ARRAY_LEN(array)    (sizeof(array) / sizeof((array)[0]))

/* The object of `type` whose `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define ASSERT(condition)                                                                          \
	do {                                                                                       \
		if (UNLIKELY(!(condition))) {                                                      \
			check_failed(__FILE__, __LINE__, #condition);                              \
		}                                                                                  \
	} while (0)

/* Write one line to stderr and abort. */
void check_failed(const char *file, int line, const char *condition) NO_RETURN SELDOM;
/*
 * For a command that prints its result and ends: `memory`, or, if that is NULL, write one line to
 * stderr and end with EXIT_FAILURE.
 */
void *check_memory(void *memory) __attribute__((returns_nonnull));

#endif
