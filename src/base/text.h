/* SPDX-License-Identifier: MIT */
/*
 * text — writes bytes into memory of a fixed size; never past its end.
 *
 * What does not fit sets `overflow` and writes nothing more: the caller checks
 * once, at the end. Used for heads, log lines and messages.
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

/* Where the next `len` bytes go, which the caller writes at once; NULL when they do not fit. */
static inline char *text_take(struct text *text, size_t len)
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

static inline void text_add(struct text *text, struct slice s)
{
	char *at = text_take(text, s.len);

	if (LIKELY(at != NULL && s.len > 0)) {
		memcpy(at, s.ptr, s.len);
	}
}

/* Copy as much of `s` as fits into memory of `cap` bytes; how many that were. */
static inline size_t text_keep(char *memory, size_t cap, struct slice s)
{
	struct text text = text_over(memory, cap);

	text_add(&text, (struct slice){s.ptr, s.len < cap ? s.len : cap});
	return text.len;
}

void text_add_char(struct text *text, char c);
void text_add_u64(struct text *text, uint64_t value);
/* Decimal, with zeros in front up to `digits`. */
void text_add_padded(struct text *text, uint64_t value, unsigned digits);
/* As the inside of a JSON string (RFC 8259 §7): quotes, backslashes and control bytes escaped,
 * bytes of 0x80 and above replaced by '?', since their encoding is unknown. */
void text_add_json(struct text *text, struct slice s);
/* Foreign text for one line of a terminal or a log: escaped, and cut if it is long. */
struct text_shown {
	char text[256];
};
struct text_shown text_show(struct slice value);
/* printf; for cold paths. */
void text_add_format(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
