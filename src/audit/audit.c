/* SPDX-License-Identifier: MIT */
#include "audit/audit.h"

#include "base/clock.h"

enum {
	FLUSH_MS = 50,
	RULE_SHOWN_MAX = 256,
};

static void flush_expired(struct timer *timer)
{
	struct audit *audit = CONTAINER_OF(timer, struct audit, timer);

	timer_stop(timer);
	if (log_flush()) {
		timer_start(audit->loop, &audit->queue, timer);
	}
}

void audit_init(struct audit *audit, struct loop *loop)
{
	audit->loop = loop;
	audit->second = -1;
	timer_queue_init(loop, &audit->queue, FLUSH_MS * NS_PER_MS);
	timer_init(&audit->timer, flush_expired);
}

void audit_done(struct audit *audit)
{
	timer_stop(&audit->timer);
	(void)log_flush();
}

PART void add_ms(struct text *line, int64_t duration_ns)
{
	const uint64_t us = duration_ns > 0 ? (uint64_t)duration_ns / 1000 : 0;

	/* No wait for a connection, and no dialling: most requests. */
	if (us == 0) {
		text_add(line, SLICE("0.000"));
		return;
	}
	text_add_u64(line, us / 1000);
	text_add(line, SLICE("."));
	text_add_digits(line, us % 1000, 3);
}

/* What stands in front of a value, padded so that copying it needs no loop. */
struct label {
	unsigned len;   /* 0: the form does not have it */
	char bytes[48]; /* three registers */
};
#define LABEL(text)                                                                                \
	{                                                                                          \
		sizeof(text) - 1, text                                                             \
	}

struct line_labels {
	struct label method, path, status, bytes, ms, wait, connect, first, client, identity,
	        engine, member, operation, name, image, policy, observed, rule, ender, reason,
	        reason_end, outcome, end;
};

/* People have the reason, and the line of a denial. */
static const struct line_labels text_labels = {
        .method = LABEL("method="),
        .path = LABEL(" path="),
        .status = LABEL(" status="),
        .bytes = LABEL(" bytes="),
        .ms = LABEL(" ms="),
        .wait = LABEL(" wait="),
        .connect = LABEL(" connect="),
        .first = LABEL(" first="),
        .client = LABEL(" client="),
        .identity = LABEL(" identity="),
        .engine = LABEL(" engine="),
        .member = LABEL(" member="),
        .operation = LABEL(" op="),
        .name = LABEL(" name="),
        .image = LABEL(" image="),
        .policy = LABEL(" policy="),
        .observed = LABEL(" would=deny"),
        .ender = LABEL(" end="),
        .reason = LABEL(" reason=\""),
        .reason_end = LABEL("\""),
        .end = LABEL("\n"),
};

static const struct line_labels json_labels = {
        .method = LABEL("\"message\":\"request\",\"method\":\""),
        .path = LABEL("\",\"path\":\""),
        .status = LABEL("\",\"status\":"),
        .bytes = LABEL(",\"bytes\":"),
        .ms = LABEL(",\"ms\":"),
        .wait = LABEL(",\"wait_ms\":"),
        .connect = LABEL(",\"connect_ms\":"),
        .first = LABEL(",\"first_ms\":"),
        .client = LABEL(",\"client\":\""),
        .identity = LABEL("\",\"identity\":\""),
        .engine = LABEL("\",\"engine\":\""),
        .member = LABEL("\",\"member\":\""),
        .operation = LABEL("\",\"op\":\""),
        .name = LABEL("\",\"name\":\""),
        .image = LABEL("\",\"image\":\""),
        .policy = LABEL("\",\"policy\":\""),
        .observed = LABEL("\",\"would\":\"deny"),
        .rule = LABEL("\",\"rule\":\""),
        .ender = LABEL("\",\"end\":\""),
        .reason = LABEL("\",\"reason\":\""),
        .outcome = LABEL("\",\"outcome\":\""),
        .end = LABEL("\"}\n"),
};

PART void add_label(struct text *line, const struct label *label)
{
	char *at = text_take(line, sizeof(label->bytes));

	if (LIKELY(at != NULL)) {
		memcpy(at, label->bytes, sizeof(label->bytes));
		line->len -= sizeof(label->bytes) - label->len;
	}
}

PART void add_word(struct text *line, const struct label *label, struct slice word)
{
	if (word.len > 0 && label->len > 0) {
		add_label(line, label);
		text_add(line, word);
	}
}

static SELDOM void make_start(struct audit *audit, const struct line_labels *labels, int64_t now_ns)
{
	struct text start = text_over(audit->start, sizeof(audit->start));

	log_begin(&start, LOG_INFO, now_ns);
	add_label(&start, &labels->method);
	audit->start_len = start.len;
	audit->fraction = strchr(audit->start, '.') + 1;
	audit->second = now_ns / NS_PER_S;
}

/* Formatting a date costs as much as parsing a request, so what stands in front of the method is
 * made once a second. Only the milliseconds are written for each line. */
PART void add_start(struct audit *audit, const struct line_labels *labels, struct text *line)
{
	/* Of now, and not of the turn: the lines of all workers are in the order of time. */
	const int64_t now_ns = clock_realtime_ns();

	if (UNLIKELY(now_ns / NS_PER_S != audit->second)) {
		make_start(audit, labels, now_ns);
	}
	struct text fraction = text_over(audit->fraction, 3);
	text_add_digits(&fraction, (uint64_t)(now_ns % NS_PER_S / NS_PER_MS), 3);
	text_add(line, (struct slice){audit->start, audit->start_len});
}

static struct slice word_of(const char *word)
{
	return word == NULL ? (struct slice){NULL, 0} : slice_of(word);
}

static SELDOM struct text add_engines(
        struct text line, const struct line_labels *labels, const struct audit_record *record)
{
	add_word(&line, &labels->engine, slice_of(record->engine));
	add_word(&line, &labels->member, word_of(record->member));
	return line;
}

/* At most so many bytes of it, escaped. */
static struct text add_text(struct text line, struct slice s, size_t most)
{
	text_add_json(&line, (struct slice){s.ptr, s.len < most ? s.len : most});
	return line;
}

/* `open` judges by not judging: only other policies are worth the bytes. */
PART void add_verdict(
        struct text *line, const struct line_labels *labels, const struct audit_record *record)
{
	add_word(line, &labels->identity, word_of(record->client));
	if (UNLIKELY(record->engine != NULL)) {
		*line = add_engines(*line, labels, record);
	}
	add_word(line, &labels->operation, word_of(record->operation));
	add_word(line, &labels->name, (struct slice){record->name, record->name_len});
	add_word(line, &labels->image, (struct slice){record->image, record->image_len});
	if (record->policy != NULL && strcmp(record->policy, "open") != 0) {
		add_word(line, &labels->policy, slice_of(record->policy));
	}
	if (record->observed) {
		add_label(line, &labels->observed);
	}
	if (record->rule != NULL && labels->rule.len > 0) {
		add_label(line, &labels->rule);
		*line = add_text(*line, slice_of(record->rule), RULE_SHOWN_MAX);
	}
}

static SELDOM struct text add_local(
        struct text line, const struct line_labels *labels, const struct audit_record *record)
{
	const char *text = outcome_text(record->outcome);
	const char *reason = record->reason != NULL ? record->reason : text;

	if (reason != NULL) {
		add_label(&line, &labels->reason);
		text_add_json(&line, slice_of(reason));
		add_label(&line, &labels->reason_end);
	}
	add_word(&line, &labels->outcome, slice_of(outcome_word(record->outcome)));
	return line;
}

/* Who ended the exchange before its end, and the outcome of a local response. */
PART void add_outcome(
        struct text *line, const struct line_labels *labels, const struct audit_record *record)
{
	const enum ender ender =
	        record->ender != ENDER_NOBODY ? record->ender : outcome_ender(record->outcome);

	add_word(line, &labels->ender, word_of(ender_word(ender)));
	if (record->outcome != OUTCOME_FORWARDED) {
		*line = add_local(*line, labels, record);
	}
}

/* From one time to the next, if it came to that. */
PART void add_phase(
        struct text *line, const struct label *label, int64_t since_ns, int64_t until_ns)
{
	if (until_ns != 0) {
		add_label(line, label);
		add_ms(line, until_ns - since_ns);
	}
}

PART void add_times(struct text *line, const struct line_labels *labels,
        const struct audit_record *record, int64_t now_ns)
{
	add_label(line, &labels->ms);
	add_ms(line, now_ns - record->started_ns);
	add_phase(line, &labels->wait, record->started_ns, record->dialled_ns);
	add_phase(line, &labels->connect, record->dialled_ns, record->connected_ns);
	add_phase(line, &labels->first, record->connected_ns, record->responded_ns);
}

struct line {
	struct audit *audit;
	const struct audit_record *record;
	struct slice peer;
};

PART void add_path(struct text *line, struct slice path)
{
	const size_t plain = text_add_plain(line, path);

	if (UNLIKELY(plain < path.len)) {
		*line = add_text(*line, slice_behind(path, plain), SIZE_MAX);
	}
}

/* `line` is a copy of *ret_line that nothing points to: see record_write(). */
static void add_line(void *context, struct text *ret_line)
{
	const struct line *what = context;
	const struct audit_record *record = what->record;
	const struct line_labels *labels = log_form() == LOG_JSON ? &json_labels : &text_labels;
	struct text line = *ret_line;

	add_start(what->audit, labels, &line);
	text_add(&line, (struct slice){record->method, record->method_len});
	add_label(&line, &labels->path);
	add_path(&line, (struct slice){record->path, record->path_len});
	add_label(&line, &labels->status);
	text_add_u64(&line, record->status);
	add_label(&line, &labels->bytes);
	text_add_u64(&line, record->bytes);
	add_times(&line, labels, record, what->audit->loop->now_ns);
	add_label(&line, &labels->client);
	text_add(&line, what->peer);
	add_verdict(&line, labels, record);
	add_outcome(&line, labels, record);
	add_label(&line, &labels->end);
	*ret_line = line;
}

void audit_write(struct audit *audit, const struct audit_record *record, struct slice peer)
{
	struct line line = {audit, record, peer};

	if (log_enabled(record->quiet ? LOG_DEBUG : LOG_INFO) && log_append(add_line, &line)) {
		timer_start(audit->loop, &audit->queue, &audit->timer);
	}
}
