/* SPDX-License-Identifier: MIT */
#include "audit/record.h"

#include "base/clock.h"

/* ── Strings ─────────────────────────────────────────────────────────────── */

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
        {0x200b, 0x200f},
        {0x2028, 0x202e},
        {0x2060, 0x2069},
        {0xfeff, 0xfeff},
        {REPLACEMENT, REPLACEMENT},
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

static void add_escape(struct text *text, uint32_t point)
{
	static const char hex[] = "0123456789abcdef";
	const char escape[] = {'\\', 'u', hex[point >> 12 & 15], hex[point >> 8 & 15],
	        hex[point >> 4 & 15], hex[point & 15]};

	text_add(text, (struct slice){escape, sizeof(escape)});
}

/* The next character of `s`, which does not stand for itself in JSON or in ASCII. Returns its
 * bytes. */
static size_t add_other(struct text *text, struct slice s)
{
	const unsigned char first = (unsigned char)s.ptr[0];

	if (first == 0) {
		add_escape(text, REPLACEMENT); /* many readers end a string at NUL */
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

/* `s` in as many bytes as `most` at most, cut between two characters. */
static void add_characters(struct text *line, struct slice s, size_t most)
{
	struct text part = text_over(line->ptr + line->len, most);

	while (s.len > 0) {
		const struct text before = part;
		const size_t plain = text_json_plain(s);
		const size_t room = part.cap - part.len;
		const size_t taken = plain < room ? plain : room;
		text_add(&part, (struct slice){s.ptr, taken});
		s = slice_behind(s, taken);
		if (s.len > 0 && taken == plain) {
			s = slice_behind(s, add_other(&part, s));
		}
		if (part.overflow || (s.len > 0 && part.len == part.cap)) {
			line->len += part.overflow ? before.len + taken : part.len;
			text_add(line, SLICE("..."));
			return;
		}
	}
	line->len += part.len;
}

static void add_value(struct text *line, struct slice label, struct slice value, size_t most)
{
	text_add(line, label);
	if (value.len == 0) {
		text_add(line, SLICE("null"));
		return;
	}
	text_add_char(line, '"');
	if (LIKELY(value.len <= most && text_json_plain(value) == value.len)) {
		text_add(line, value);
	} else {
		add_characters(line, value, most);
	}
	text_add_char(line, '"');
}

static void add_word(struct text *line, struct slice label, const char *word)
{
	add_value(line, label, word == NULL ? (struct slice){NULL, 0} : slice_of(word),
	        RECORD_WORD_MAX);
}

/* ── Time and numbers ────────────────────────────────────────────────────── */

static void add_time(struct text *line, struct record_clock *clock, int64_t time_ns)
{
	enum { START_LEN = sizeof("{\"time\":\"2026-01-31T12:34:56.") - 1 };
	const int64_t second = time_ns / NS_PER_S;

	if (second != clock->second) {
		char memory[64];
		struct text start = text_over(memory, sizeof(memory));
		text_add(&start, SLICE("{\"time\":\""));
		clock_add_timestamp(&start, time_ns);
		(void)text_keep(clock->start, START_LEN, text_slice(&start));
		clock->second = second;
	}
	text_add(line, (struct slice){clock->start, START_LEN});
	text_add_digits(line, (uint64_t)(time_ns % NS_PER_S / NS_PER_MS), 3);
}

void record_add_id(uint64_t id, struct text *text)
{
	static const char hex[] = "0123456789abcdef";
	char *at = text_take(text, RECORD_ID_LEN);

	for (unsigned i = RECORD_ID_LEN; at != NULL && i > 0; i--) {
		at[i - 1] = hex[id & 15];
		id >>= 4;
	}
}

/* Milliseconds, with three digits of a fraction. */
static void add_duration(struct text *line, int64_t duration_ns)
{
	const uint64_t us = duration_ns > 0 ? (uint64_t)duration_ns / 1000 : 0;

	text_add_u64(line, us / 1000);
	text_add_char(line, '.');
	text_add_digits(line, us % 1000, 3);
}

static void add_numbers(struct text *line, const struct record *record)
{
	if (!record->has_ended) {
		text_add(line, SLICE(",\"status\":null,\"ms\":null,\"bytes\":null}"));
		return;
	}
	text_add(line, SLICE(",\"status\":"));
	if (record->status == 0) {
		text_add(line, SLICE("null"));
	} else {
		text_add_u64(line, record->status);
	}
	text_add(line, SLICE(",\"ms\":"));
	add_duration(line, record->duration_ns);
	text_add(line, SLICE(",\"bytes\":"));
	text_add_u64(line, record->bytes);
	text_add_char(line, '}');
}

/* ── The line ────────────────────────────────────────────────────────────── */

void record_write(const struct record *record, struct record_clock *clock, struct text *line)
{
	char memory[128];
	struct text peer = text_over(memory, sizeof(memory));

	ASSERT(line->cap - line->len >= RECORD_LINE_MAX);
	if (record->caller != NULL) {
		caller_add_name(record->caller, &peer);
	}
	add_time(line, clock, record->time_ns);
	text_add(line, SLICE("Z\",\"id\":\""));
	record_add_id(record->id, line);
	add_word(line, SLICE("\",\"client\":"), record->client);
	add_value(line, SLICE(",\"peer\":"), text_slice(&peer), RECORD_WORD_MAX);
	add_word(line, SLICE(",\"listener\":"), record->listener);
	add_word(line, SLICE(",\"operation\":"), record->operation);
	add_value(line, SLICE(",\"target\":"), record->target, RECORD_TARGET_MAX);
	add_word(line, SLICE(",\"policy\":"), record->policy);
	add_value(line, SLICE(",\"rule\":"),
	        record->rule == NULL ? (struct slice){NULL, 0} : slice_of(record->rule),
	        RECORD_RULE_MAX);
	add_word(line, SLICE(",\"verdict\":"), verdict_word(record->verdict));
	add_value(line, SLICE(",\"reason\":"), record->reason, RECORD_REASON_MAX);
	add_numbers(line, record);
	ASSERT(!line->overflow);
}
