/* SPDX-License-Identifier: MIT */
#include "audit/audit.h"

#include "base/clock.h"

#include <limits.h>

enum {
	FLUSH_AT = 4096, /* bytes: a pipe that is ready takes PIPE_BUF at once */
	FLUSH_MS = 50,
	LINE_MAX_BYTES = 1024,
};

_Static_assert(FLUSH_AT <= PIPE_BUF, "a write must not block");

static void flush_expired(struct timer *timer)
{
	audit_flush(CONTAINER_OF(timer, struct audit, timer));
}

void audit_init(struct audit *audit, struct loop *loop)
{
	audit->loop = loop;
	audit->lost = 0;
	audit->second = -1;
	audit->pending = text_over(audit->memory, sizeof(audit->memory));
	timer_queue_init(loop, &audit->queue, FLUSH_MS * NS_PER_MS);
	timer_init(&audit->timer, flush_expired);
}

/* Whole lines, as many as are sure not to block; at least one. */
static size_t batch_len(const struct text *pending)
{
	if (pending->len <= FLUSH_AT) {
		return pending->len;
	}
	const char *end = memrchr(pending->ptr, '\n', FLUSH_AT);
	return end == NULL ? FLUSH_AT : (size_t)(end - pending->ptr) + 1;
}

static void report_lost(struct audit *audit)
{
	if (audit->lost > 0 && audit->pending.len == 0 &&
	        log_line(LOG_WARNING, "%lu request lines were lost: standard error is not read",
	                audit->lost)) {
		audit->lost = 0;
	}
}

void audit_flush(struct audit *audit)
{
	struct text *pending = &audit->pending;

	timer_stop(&audit->timer);
	while (pending->len > 0) {
		const size_t n = log_write((struct slice){pending->ptr, batch_len(pending)});
		if (n == 0) {
			break;
		}
		pending->len -= n;
		memmove(pending->ptr, pending->ptr + n, pending->len);
	}
	report_lost(audit);
	if (pending->len > 0 || audit->lost > 0) {
		timer_start(audit->loop, &audit->queue, &audit->timer);
	}
}

/* Formatting a date costs as much as parsing a request, so it is done once a second. */
static void add_time(struct audit *audit, struct text *line)
{
	const int64_t now_ns = clock_realtime_ns();

	if (now_ns / NS_PER_S != audit->second) {
		struct text stamp = text_over(audit->stamp, sizeof(audit->stamp));
		clock_add_timestamp(&stamp, now_ns);
		audit->second = now_ns / NS_PER_S;
	}
	text_add(line, (struct slice){audit->stamp, sizeof("2026-01-31T12:34:56.") - 1});
	text_add_padded(line, (uint64_t)(now_ns % NS_PER_S / NS_PER_MS), 3);
}

static void add_ms(struct text *line, int64_t duration_ns)
{
	const uint64_t us = duration_ns > 0 ? (uint64_t)duration_ns / 1000 : 0;

	text_add_u64(line, us / 1000);
	text_add(line, SLICE("."));
	text_add_padded(line, us % 1000, 3);
}

struct line_words {
	struct slice level, method, path, status, bytes, ms, client, operation, policy, observed,
	        outcome, reason, reason_end, end;
};

static const struct line_words text_words = {
        .level = SLICE_INIT("Z info "),
        .method = SLICE_INIT("method="),
        .path = SLICE_INIT(" path="),
        .status = SLICE_INIT(" status="),
        .bytes = SLICE_INIT(" bytes="),
        .ms = SLICE_INIT(" ms="),
        .client = SLICE_INIT(" client="),
        .operation = SLICE_INIT(" op="),
        .policy = SLICE_INIT(" policy="),
        .observed = SLICE_INIT(" would=deny"),
        .outcome = SLICE_INIT(""), /* people have the reason */
        .reason = SLICE_INIT(" reason=\""),
        .reason_end = SLICE_INIT("\""),
        .end = SLICE_INIT("\n"),
};

static const struct line_words json_words = {
        .level = SLICE_INIT("Z\",\"level\":\"info\",\"message\":\"request\","),
        .method = SLICE_INIT("\"method\":\""),
        .path = SLICE_INIT("\",\"path\":\""),
        .status = SLICE_INIT("\",\"status\":"),
        .bytes = SLICE_INIT(",\"bytes\":"),
        .ms = SLICE_INIT(",\"ms\":"),
        .client = SLICE_INIT(",\"client\":\""),
        .operation = SLICE_INIT("\",\"op\":\""),
        .policy = SLICE_INIT("\",\"policy\":\""),
        .observed = SLICE_INIT("\",\"would\":\"deny"),
        .outcome = SLICE_INIT("\",\"outcome\":\""),
        .reason = SLICE_INIT("\",\"reason\":\""),
        .reason_end = SLICE_INIT(""),
        .end = SLICE_INIT("\"}\n"),
};

static void add_word(struct text *line, struct slice label, const char *word)
{
	if (word != NULL) {
		text_add(line, label);
		text_add(line, slice_of(word));
	}
}

/* `open` judges by not judging: only other policies are worth the bytes. */
static void add_verdict(
        struct text *line, const struct line_words *words, const struct audit_record *record)
{
	add_word(line, words->operation, record->operation);
	if (record->policy != NULL && strcmp(record->policy, "open") != 0) {
		add_word(line, words->policy, record->policy);
	}
	if (record->observed) {
		text_add(line, words->observed);
	}
}

/* What the proxy itself made of it; nothing where the Engine's answer was relayed. */
static void add_outcome(
        struct text *line, const struct line_words *words, const struct audit_record *record)
{
	const char *text = outcome_text(record->outcome);
	const char *reason = record->reason != NULL ? record->reason : text;

	if (record->outcome == OUTCOME_FORWARDED) {
		return;
	}
	if (reason != NULL) {
		text_add(line, words->reason);
		text_add_json(line, slice_of(reason));
		text_add(line, words->reason_end);
	}
	if (words->outcome.len > 0) {
		add_word(line, words->outcome, outcome_word(record->outcome));
	}
}

static void add_line(struct audit *audit, struct text *line, const struct audit_record *record,
        const struct caller *caller)
{
	const bool json = log_form() == LOG_JSON;
	const struct line_words *words = json ? &json_words : &text_words;

	text_add(line, json ? SLICE("{\"time\":\"") : SLICE(""));
	add_time(audit, line);
	text_add(line, words->level);
	text_add(line, words->method);
	text_add(line, (struct slice){record->method, record->method_len});
	text_add(line, words->path);
	text_add_json(line, (struct slice){record->path, record->path_len});
	text_add(line, words->status);
	text_add_u64(line, record->status);
	text_add(line, words->bytes);
	text_add_u64(line, record->bytes);
	text_add(line, words->ms);
	add_ms(line, audit->loop->now_ns - record->started_ns);
	text_add(line, words->client);
	caller_add_name(caller, line);
	add_verdict(line, words, record);
	add_outcome(line, words, record);
	text_add(line, words->end);
}

void audit_write(
        struct audit *audit, const struct audit_record *record, const struct caller *caller)
{
	struct text *pending = &audit->pending;

	if (!log_enabled(record->quiet ? LOG_DEBUG : LOG_INFO)) {
		return;
	}
	if (pending->cap - pending->len < 2 * LINE_MAX_BYTES) {
		audit_flush(audit);
	}
	const size_t before = pending->len;
	add_line(audit, pending, record, caller);
	if (pending->overflow) {
		*pending = text_over(audit->memory, sizeof(audit->memory));
		pending->len = before;
		audit->lost++;
	}
	if (before == 0) {
		timer_start(audit->loop, &audit->queue, &audit->timer);
	}
	if (before < FLUSH_AT && pending->len >= FLUSH_AT) {
		audit_flush(audit);
	}
}
