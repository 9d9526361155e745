/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include "base/ascii.h"
#include "base/bytes16.h"

#include <stdarg.h>
#include <stdio.h>

unsigned text_digits_of(uint64_t value)
{
	unsigned digits = 1;

	for (uint64_t limit = 10; value >= limit && digits < 20; limit *= 10) {
		digits++; /* 2^64 has 20 */
	}
	return digits;
}

static SELDOM void add_json_byte(struct text *text, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\') {
		text_add_char(text, '\\');
		text_add_char(text, (char)c);
	} else if (c < 0x20 || c == 0x7f) {
		const char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
		text_add(text, (struct slice){escape, sizeof(escape)});
	} else {
		text_add_char(text, c < 0x80 ? (char)c : '?');
	}
}

/* Whether bytes stand for themselves in a string of JSON, a bit for each: 1 for those that do not.
 */
static inline unsigned special_bits(bytes16 bytes)
{
	return bytes16_bits(
	        (bytes16)((bytes < 0x20) | (bytes >= 0x7f) | (bytes == '"') | (bytes == '\\')));
}

/* Of `len` bytes, which `bits` are about: those in front of the first that is special. */
static inline size_t plain_before(unsigned bits, size_t len)
{
	return bits == 0 ? len : (size_t)__builtin_ctz(bits);
}

/* Of 8 to 15 bytes: the first eight and the last eight, some of them twice. */
static inline size_t copy_halves(char *to, struct slice s)
{
	const bytes16 bytes = bytes16_halves(s.ptr, s.ptr + s.len - 8);
	const unsigned bits = special_bits(bytes);
	const unsigned low = bits & 0xff;

	memcpy(to, &bytes, 8);
	memcpy(to + s.len - 8, (const char *)&bytes + 8, 8);
	return low != 0 ? plain_before(low, 8) : s.len - 8 + plain_before(bits >> 8, 8);
}

/* The same of 4 to 7 bytes. */
static inline size_t copy_quarters(char *to, struct slice s)
{
	char both[8];

	memcpy(both, s.ptr, 4);
	memcpy(both + 4, s.ptr + s.len - 4, 4);
	const unsigned bits = special_bits(bytes16_halves(both, both));
	const unsigned low = bits & 0xf;
	memcpy(to, both, 4);
	memcpy(to + s.len - 4, both + 4, 4);
	return low != 0 ? plain_before(low, 4) : s.len - 4 + plain_before(bits >> 4 & 0xf, 4);
}

static inline size_t copy_few(char *to, struct slice s)
{
	size_t len = 0;

	while (len < s.len && s.ptr[len] >= 0x20 && s.ptr[len] < 0x7f && s.ptr[len] != '"' &&
	        s.ptr[len] != '\\') {
		to[len] = s.ptr[len];
		len++;
	}
	return len;
}

size_t text_copy_plain(char *to, struct slice s)
{
	enum { STEP = sizeof(bytes16) };

	if (s.len < STEP) {
		return s.len >= STEP / 2   ? copy_halves(to, s)
		       : s.len >= STEP / 4 ? copy_quarters(to, s)
		                           : copy_few(to, s);
	}
	/* The last step reaches back to bytes that are known to be plain. */
	for (size_t len = 0; len < s.len; len += STEP) {
		const size_t at = len + STEP <= s.len ? len : s.len - STEP;
		const bytes16 bytes = bytes16_load(s.ptr + at);
		const unsigned bits = special_bits(bytes);
		memcpy(to + at, &bytes, STEP);
		if (bits != 0) {
			return at + plain_before(bits, STEP);
		}
	}
	return s.len;
}

void text_add_encoded(struct text *text, struct slice s, const char *also)
{
	for (size_t i = 0; i < s.len; i++) {
		const char c = s.ptr[i];
		if (ascii_is_alnum(c) ||
		        (c != '\0' && (strchr("-._~", c) != NULL || strchr(also, c) != NULL))) {
			text_add_char(text, c);
		} else {
			text_add_format(text, "%%%02X", (unsigned char)c);
		}
	}
}

void text_add_json(struct text *text, struct slice s)
{
	for (;;) {
		s = slice_behind(s, text_add_plain(text, s));
		if (s.len == 0 || text->overflow) {
			return;
		}
		add_json_byte(text, (unsigned char)s.ptr[0]);
		s = slice_behind(s, 1);
	}
}

struct text_shown text_show(struct slice value)
{
	enum { ESCAPE_MAX = 6 }; /* bytes that one byte becomes at most */
	struct text_shown shown;
	struct text text = text_over(shown.text, sizeof(shown.text) - sizeof("..."));
	size_t i = 0;

	while (i < value.len && text.cap - text.len >= ESCAPE_MAX) {
		text_add_json(&text, (struct slice){value.ptr + i++, 1});
	}
	text.cap = sizeof(shown.text) - 1;
	text_add(&text, i < value.len ? SLICE("...") : SLICE(""));
	shown.text[text.len] = '\0';
	return shown;
}

void text_add_format(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	const size_t room = text->cap - text->len;
	const int n = vsnprintf(text->ptr + text->len, room, format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= room) {
		text->overflow = true;
		text->cap = text->len;
		return;
	}
	text->len += (size_t)n;
}
