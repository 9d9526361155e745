/* SPDX-License-Identifier: MIT */
#include "audit/record.h"

#include "base/clock.h"
#include "base/visible.h"

/* ── Strings ─────────────────────────────────────────────────────────────── */

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
			s = slice_behind(s, visible_add_next(&part, s));
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
	if (record->has_engines) {
		add_word(line, SLICE(",\"engine\":"), record->engine);
		add_word(line, SLICE(",\"member\":"), record->member);
	}
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
