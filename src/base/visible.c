/* SPDX-License-Identifier: MIT */
#include "base/visible.h"

enum { REPLACEMENT = 0xfffd };

/* A character of UTF-8. */
struct character {
	unsigned len;
	uint32_t point;
};

/* How each first byte of several begins: RFC 3629 section 4. */
static const struct lead {
	unsigned char mask, bits;
	unsigned char len;
	uint32_t least; /* a smaller one would be written in fewer bytes */
} leads[] = {
        {0xe0, 0xc0, 2, 0x80},
        {0xf0, 0xe0, 3, 0x800},
        {0xf8, 0xf0, 4, 0x10000},
};

static bool is_valid(uint32_t point, uint32_t least)
{
	return point >= least && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

/* The character at the front of `s`, whose first byte is above 0x7f. What is none is one byte. */
static struct character read_character(struct slice s)
{
	const struct character none = {1, REPLACEMENT};
	const unsigned char first = (unsigned char)s.ptr[0];

	for (unsigned i = 0; i < ARRAY_LEN(leads); i++) {
		const struct lead *lead = &leads[i];
		if ((first & lead->mask) != lead->bits || s.len < lead->len) {
			continue;
		}
		uint32_t point = first & (unsigned char)~lead->mask;
		bool whole = true;
		for (unsigned at = 1; at < lead->len; at++) {
			const unsigned char byte = (unsigned char)s.ptr[at];
			whole = whole && (byte & 0xc0) == 0x80;
			point = point << 6 | (byte & 0x3f);
		}
		return whole && is_valid(point, lead->least) ? (struct character){lead->len, point}
		                                             : none;
	}
	return none;
}

/* Characters that move or hide what stands around them: controls, zero width, directions of
 * writing, line separators. */
static const struct {
	uint32_t first, last;
} obeyed[] = {
        {0x80, 0x9f},
        {0xad, 0xad},
        {0x61c, 0x61c},
        {0x180e, 0x180e},
        {0x200b, 0x200f},
        {0x2028, 0x202e},
        {0x2060, 0x206f},
        {0xfeff, 0xfeff},
        {0xfff9, REPLACEMENT},
        {0xe0000, 0xe0fff},
};

static bool is_obeyed(uint32_t point)
{
	for (unsigned i = 0; i < ARRAY_LEN(obeyed); i++) {
		if (point >= obeyed[i].first && point <= obeyed[i].last) {
			return true;
		}
	}
	return false;
}

/* Of UTF-16. */
static void add_unit(struct text *text, uint32_t unit)
{
	static const char hex[] = "0123456789abcdef";
	const char escape[] = {'\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15],
	        hex[unit >> 4 & 15], hex[unit & 15]};

	text_add(text, (struct slice){escape, sizeof(escape)});
}

/* Those above 0xffff are two (RFC 8259 section 7). */
static void add_escape(struct text *text, uint32_t point)
{
	if (point > 0xffff) {
		add_unit(text, 0xd800 + ((point - 0x10000) >> 10));
		add_unit(text, 0xdc00 + ((point - 0x10000) & 0x3ff));
	} else {
		add_unit(text, point);
	}
}

size_t visible_add_next(struct text *text, struct slice s)
{
	const unsigned char first = (unsigned char)s.ptr[0];

	if (first == 0) {
		add_escape(text, REPLACEMENT); /* many readers end a string at NUL */
		return 1;
	}
	if (first == '\n') {
		text_add(text, SLICE("\\n"));
		return 1;
	}
	if (first < 0x80) {
		text_add_json(text, (struct slice){s.ptr, 1});
		return 1;
	}
	const struct character character = read_character(s);
	if (is_obeyed(character.point)) {
		add_escape(text, character.point);
	} else {
		text_add(text, (struct slice){s.ptr, character.len});
	}
	return character.len;
}

void visible_add(struct text *text, struct slice s)
{
	while (s.len > 0) {
		s = slice_behind(s, text_add_plain(text, s));
		if (s.len > 0) {
			s = slice_behind(s, visible_add_next(text, s));
		}
	}
}
