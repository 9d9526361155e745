/* SPDX-License-Identifier: MIT */
#include "audit/record.h"

#include "base/clock.h"
#include "base/visible.h"

/* ── Strings ─────────────────────────────────────────────────────────────── */

/* `s` in as many bytes as `most` at most, cut between two characters: what has more than plain
 * bytes, or too many of them. */
static SELDOM struct text add_others(struct text line, struct slice s, size_t most)
{
	struct text part = text_over(line.ptr + line.len, most);

	while (s.len > 0) {
		s = slice_behind(s, text_add_plain(&part, s));
		const struct text before = part;
		if (s.len > 0 && part.len < part.cap) {
			s = slice_behind(s, visible_add_next(&part, s));
		}
		if (part.overflow || (s.len > 0 && part.len == part.cap)) {
			line.len += part.overflow ? before.len : part.len;
			text_add(&line, SLICE("..."));
			return line;
		}
	}
	line.len += part.len;
	return line;
}

PART void add_characters(struct text *line, struct slice s, size_t most)
{
	const size_t before = line->len;

	if (UNLIKELY(s.len > most || text_add_plain(line, s) < s.len)) {
		line->len = before;
		*line = add_others(*line, s, most);
	}
}

PART void add_value(struct text *line, struct slice value, size_t most)
{
	if (value.len == 0) {
		text_add(line, SLICE("null"));
		return;
	}
	text_add_char(line, '"');
	add_characters(line, value, most);
	text_add_char(line, '"');
}

PART void add_word(struct text *line, const char *word)
{
	add_value(line, word == NULL ? (struct slice){NULL, 0} : slice_of(word), RECORD_WORD_MAX);
}

/* ── Time and numbers ────────────────────────────────────────────────────── */

PART void add_time(struct text *line, struct record_clock *clock, int64_t time_ns)
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

PART void add_id(struct text *text, uint64_t id)
{
	static const char hex[] = "0123456789abcdef";
	char *at = text_take(text, RECORD_ID_LEN);

	for (unsigned i = RECORD_ID_LEN; at != NULL && i > 0; i--) {
		at[i - 1] = hex[id & 15];
		id >>= 4;
	}
}

void record_add_id(uint64_t id, struct text *text)
{
	add_id(text, id);
}

/* Milliseconds, with three digits of a fraction. */
PART void add_duration(struct text *line, int64_t duration_ns)
{
	const uint64_t us = duration_ns > 0 ? (uint64_t)duration_ns / 1000 : 0;

	text_add_u64(line, us / 1000);
	text_add_char(line, '.');
	text_add_digits(line, us % 1000, 3);
}

PART void add_numbers(struct text *line, const struct record *record)
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

/*
 * Labels are added here, where their length is known when this is compiled: they cost no call.
 * `line` is a copy of *ret_line that nothing points to, so that its length stays in a register.
 */
void record_write(const struct record *record, struct record_clock *clock, struct text *ret_line)
{
	struct text line = *ret_line;

	ASSERT(line.cap - line.len >= RECORD_LINE_MAX);
	add_time(&line, clock, record->time_ns);
	text_add(&line, SLICE("Z\",\"id\":\""));
	add_id(&line, record->id);
	text_add(&line, SLICE("\",\"client\":"));
	add_word(&line, record->client);
	text_add(&line, SLICE(",\"peer\":"));
	add_value(&line, record->peer, RECORD_WORD_MAX);
	text_add(&line, SLICE(",\"listener\":"));
	add_word(&line, record->listener);
	if (record->has_engines) {
		text_add(&line, SLICE(",\"engine\":"));
		add_word(&line, record->engine);
		text_add(&line, SLICE(",\"member\":"));
		add_word(&line, record->member);
	}
	text_add(&line, SLICE(",\"operation\":"));
	add_word(&line, record->operation);
	text_add(&line, SLICE(",\"target\":"));
	add_value(&line, record->target, RECORD_TARGET_MAX);
	text_add(&line, SLICE(",\"policy\":"));
	add_word(&line, record->policy);
	text_add(&line, SLICE(",\"rule\":"));
	add_value(&line, record->rule == NULL ? (struct slice){NULL, 0} : slice_of(record->rule),
	        RECORD_RULE_MAX);
	text_add(&line, SLICE(",\"verdict\":"));
	add_word(&line, verdict_word(record->verdict));
	text_add(&line, SLICE(",\"reason\":"));
	add_value(&line, record->reason, RECORD_REASON_MAX);
	add_numbers(&line, record);
	ASSERT(!line.overflow);
	*ret_line = line;
}
