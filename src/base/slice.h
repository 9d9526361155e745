/* SPDX-License-Identifier: MIT */
/*
 * slice — a borrowed run of bytes: pointer and length, never NUL-terminated.
 *
 * A slice owns nothing. A function that returns one says what it is a part of
 * and how long that lives. Slices are passed by value everywhere.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include "base/ascii.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *ptr;
	size_t len;
};

/* A string literal as a slice. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
/* The same where only a constant will do: in tables. */
#define SLICE_INIT(literal)                                                                        \
	{                                                                                          \
		"" literal, sizeof(literal) - 1                                                    \
	}
/* For printf's "%.*s". */
#define SLICE_FMT(s) (int)(s).len, (s).ptr

static inline struct slice slice_of(const char *string)
{
	return (struct slice){string, strlen(string)};
}

static inline struct slice slice_between(const char *begin, const char *end)
{
	return (struct slice){begin, (size_t)(end - begin)};
}

/* What is left of it without its first `len` bytes. */
static inline struct slice slice_behind(struct slice s, size_t len)
{
	return (struct slice){s.ptr + len, s.len - len};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* Equal without regard to ASCII case. */
bool slice_equal_nocase(struct slice a, struct slice b);

bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_starts_with_nocase(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);
/* Cut `prefix` off the front; false when it is not there. */
bool slice_skip(struct slice *s, struct slice prefix);
/* "192.0.2.1" of "192.0.2.1:80": up to the last `separator`; all of it without one. */
struct slice slice_before_last(const char *string, char separator);

/* Drop spaces and tabs (RFC 9110 §5.6.3 OWS) from both ends. */
struct slice slice_trim(struct slice s);

/*
 * Cut the next element of a list off the front of `rest`, at `separator`;
 * false when nothing is left. An empty element is an element.
 */
bool slice_next(struct slice *rest, char separator, struct slice *ret_element);

/*
 * Plain decimal digits, nothing else, no overflow: 0 and *ret_value, or
 * -EINVAL (not digits, or none) or -ERANGE (over `max`).
 */
int slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value)
        __attribute__((warn_unused_result));

#endif
