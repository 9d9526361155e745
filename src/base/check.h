/* SPDX-License-Identifier: MIT */
/*
 * check — attributes and assertions the whole program shares.
 *
 * ASSERT() states an invariant of our own code. It stays on in release: a
 * process that stands between clients and root must not go on in a state its
 * author thought impossible. Faults of the peer and of the world are never
 * asserted; they are values.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

#define MUST_USE            __attribute__((warn_unused_result))
#define NO_RETURN           __attribute__((noreturn))
#define PRINTF_LIKE(f, a)   __attribute__((format(printf, f, a)))
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
void check_failed(const char *file, int line, const char *condition) NO_RETURN;
/*
 * For a command that prints its result and ends: `memory`, or, if that is NULL, write one line to
 * stderr and end with EXIT_FAILURE.
 */
void *check_memory(void *memory) __attribute__((returns_nonnull));

#endif
