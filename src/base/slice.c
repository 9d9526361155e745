/* SPDX-License-Identifier: MIT */
#include "base/slice.h"

#include <errno.h>

bool slice_is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] >= 0x80) {
			return false;
		}
	}
	return true;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
	if (a.len != b.len) {
		return false;
	}
	for (size_t i = 0; i < a.len; i++) {
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i])) {
			return false;
		}
	}
	return true;
}

bool slice_starts_with_nocase(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_equal_nocase((struct slice){s.ptr, prefix.len}, prefix);
}

bool slice_skip(struct slice *s, struct slice prefix)
{
	const bool found = slice_starts_with(*s, prefix);

	*s = found ? slice_behind(*s, prefix.len) : *s;
	return found;
}

struct slice slice_before_last(const char *string, char separator)
{
	const char *cut = strrchr(string, separator);

	return cut == NULL ? slice_of(string) : slice_between(string, cut);
}

bool slice_ends_with(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len &&
	       memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && is_blank(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
		s.len--;
	}
	return s;
}

bool slice_next(struct slice *rest, char separator, struct slice *ret_element)
{
	if (rest->ptr == NULL) {
		return false;
	}
	const char *cut = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
	if (cut == NULL) {
		*ret_element = *rest;
		*rest = (struct slice){NULL, 0};
		return true;
	}
	*ret_element = slice_between(rest->ptr, cut);
	*rest = slice_between(cut + 1, rest->ptr + rest->len);
	return true;
}

/* Of the stars that came before, only the last one ever has to stand for more. */
bool slice_fits(struct slice pattern, struct slice s)
{
	size_t p = 0;
	size_t w = 0;
	size_t star = SIZE_MAX; /* place of the last star */
	size_t resume = 0;      /* of s: where that star ends so far */

	while (w < s.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			resume = w;
		} else if (p < pattern.len && pattern.ptr[p] == s.ptr[w]) {
			p++;
			w++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			w = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*') {
		p++;
	}
	return p == pattern.len;
}

int slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (s.len == 0) {
		return -EINVAL;
	}
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_digit(s.ptr[i])) {
			return -EINVAL;
		}
	}
	for (size_t i = 0; i < s.len; i++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		        __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value) ||
		        value > max) {
			return -ERANGE;
		}
	}
	*ret_value = value;
	return 0;
}
