/* SPDX-License-Identifier: MIT */
/*
 * slice — borrowed bytes: pointer and length, not NUL-terminated.
 *
 * A slice owns nothing. A function that returns a slice documents whose bytes they
 * are and how long they live. Slices are passed by value.
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
/* The same as an initializer, for tables. */
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

/* `s` without its first `len` bytes. */
static inline struct slice slice_behind(struct slice s, size_t len)
{
	return (struct slice){s.ptr + len, s.len - len};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

/* Whether all bytes are below 0x80. */
bool slice_is_ascii(struct slice s);

/* Equal, ignoring ASCII case. */
bool slice_equal_nocase(struct slice a, struct slice b);

bool slice_starts_with_nocase(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);
/* Remove `prefix` from the front of *s. False if *s does not begin with it. */
bool slice_skip(struct slice *s, struct slice prefix);
/* The part of `string` before its last `separator`, such as "192.0.2.1" of "192.0.2.1:80"; the
 * whole string if there is no separator. */
struct slice slice_before_last(const char *string, char separator);

/* `s` without spaces and tabs (OWS, RFC 9110 §5.6.3) at both ends. */
struct slice slice_trim(struct slice s);

/*
 * Remove the next element of a list from the front of *rest, up to `separator`.
 * False if *rest is at its end. An element may be empty.
 */
bool slice_next(struct slice *rest, char separator, struct slice *ret_element);

/* Whether the whole of `s` is what `pattern` stands for, where a star stands for any bytes. */
bool slice_fits(struct slice pattern, struct slice s);

/*
 * Parse decimal digits. 0 and *ret_value; -EINVAL if `s` is empty or has another
 * byte; -ERANGE if the value is above `max`.
 */
int slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value)
        __attribute__((warn_unused_result));

#endif
