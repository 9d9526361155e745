/* SPDX-License-Identifier: MIT */
/*
 * text — writes bytes into memory of a fixed size, never past its end.
 *
 * If bytes do not fit, `overflow` is set and nothing more is written: the caller
 * checks once, at the end. For heads, log lines and messages.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/check.h"
#include "base/slice.h"

struct text {
	char *ptr;
	size_t len; /* bytes written */
	size_t cap; /* bytes available */
	bool overflow;
};

static inline struct text text_over(char *memory, size_t cap)
{
	return (struct text){.ptr = memory, .cap = cap};
}

static inline struct slice text_slice(const struct text *text)
{
	return (struct slice){text->ptr, text->len};
}

/* Reserve `len` bytes, which the caller must write next. NULL if they do not fit. */
PART char *text_take(struct text *text, size_t len)
{
	if (UNLIKELY(len > text->cap - text->len)) {
		text->overflow = true;
		text->cap = text->len;
		return NULL;
	}
	char *at = text->ptr + text->len;
	text->len += len;
	return at;
}

PART void text_add(struct text *text, struct slice s)
{
	char *at = text_take(text, s.len);

	if (LIKELY(at != NULL && s.len > 0)) {
		memcpy(at, s.ptr, s.len);
	}
}

PART void text_add_char(struct text *text, char c)
{
	text_add(text, (struct slice){&c, 1});
}

/* Copy as much of `s` as fits into memory of `cap` bytes. Returns the bytes copied. */
static inline size_t text_keep(char *memory, size_t cap, struct slice s)
{
	struct text text = text_over(memory, cap);

	text_add(&text, (struct slice){s.ptr, s.len < cap ? s.len : cap});
	return text.len;
}

/* Decimal, exactly `digits` digits: zeros in front, or only the last ones. */
PART void text_add_digits(struct text *text, uint64_t value, unsigned digits)
{
	char *at = text_take(text, digits);

	for (unsigned i = digits; at != NULL && i > 0; i--) {
		at[i - 1] = (char)('0' + value % 10);
		value /= 10;
	}
}

/* Digits of a number in decimal. */
unsigned text_digits_of(uint64_t value);
PART void text_add_u64(struct text *text, uint64_t value)
{
	text_add_digits(text, value, value < 10 ? 1 : text_digits_of(value));
}
/* Append `s` as RFC 3986 §2.1 encodes it: %2F. Its unreserved bytes (§2.3), and those of `also`,
 * stay as they are. */
void text_add_encoded(struct text *text, struct slice s, const char *also);
/* Append `s` as the content of a JSON string (RFC 8259 §7). Quotes, backslashes and control bytes
 * are escaped. Bytes from 0x80 on become '?', because their encoding is unknown. */
void text_add_json(struct text *text, struct slice s);
/* Copy `s` to memory of as many bytes. Returns how many at its front stand for themselves in a
 * string of JSON: bytes are written behind those, too, and mean nothing. */
size_t text_copy_plain(char *to, struct slice s);
/* Append the bytes at the front of `s` that stand for themselves in such a string, as far as they
 * fit. Returns how many that are; nothing overflows. */
PART size_t text_add_plain(struct text *text, struct slice s)
{
	const size_t room = text->cap - text->len;
	const size_t len = text_copy_plain(
	        text->ptr + text->len, (struct slice){s.ptr, s.len < room ? s.len : room});

	text->len += len;
	return len;
}
/* A value of a user or a peer, escaped and cut for one line of a terminal or a log. */
struct text_shown {
	char text[256];
};
struct text_shown text_show(struct slice value);
/* As printf. Slow: not for the path of a request. */
void text_add_format(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
