/* SPDX-License-Identifier: MIT */
/*
 * A response that is narrowed to the objects of a scope, or redacted: its body goes from the buffer
 * of `down`, which has its framing taken out, through the narrower and the redactor into a buffer
 * of its own. Nothing is sent until the first of it could be read, and until all of it could where
 * it fits that buffer: then the proxy can still respond itself. Only of an endless response the
 * head goes out at once, because clients wait for it.
 */
#include "session/state.h"

enum {
	TURNS = 16,
	/* Between the head and the body: the field of the framing, the empty line, a chunk size. */
	FRONT_MAX = 64,
	/* Behind the body: the end of a chunk, and of all chunks. */
	BACK_MAX = sizeof("\r\n0\r\n\r\n") - 1,
	ROOM_MIN = 4096, /* of a buffer that is worth to be used */
};

static bool is_error(const struct http_response *response)
{
	return response->status >= 400;
}

static bool redacts(const struct exchange *exchange, const struct http_response *response)
{
	const struct redaction *redaction = exchange->redaction;

	if (redaction == NULL) {
		return false;
	}
	return is_error(response) ? redaction->errors != 0 && response->status >= redaction->errors
	                          : redaction->answers;
}

static bool narrows(const struct exchange *exchange, const struct http_response *response)
{
	return exchange->narrows != NULL && !is_error(response);
}

bool session_rewrites_body(const struct session *session, const struct http_response *response)
{
	const struct http_head *head = &response->head;

	if (head->framing == HTTP_NO_BODY ||
	        (head->framing == HTTP_LENGTH && head->content_length == 0)) {
		return false;
	}
	return redacts(session->exchange, response) || narrows(session->exchange, response);
}

bool session_holds_response(const struct session *session)
{
	return session->exchange->rewriting != NULL && session->exchange->rewriting->held;
}

void session_end_rewriting(struct session *session)
{
	struct rewriting *rewriting = session->exchange->rewriting;

	if (UNLIKELY(rewriting != NULL)) {
		flow_reset(&rewriting->out, &session->worker->lender);
		if (rewriting->narrower != NULL) {
			pool_give(&session->worker->narrower_pool, rewriting->narrower);
		}
		pool_give(&session->worker->rewriting_pool, rewriting);
		session->exchange->rewriting = NULL;
	}
}

/* ── The beginning ───────────────────────────────────────────────────────── */

bool session_unframe_response(struct http_response *response)
{
	response->head.has_length = false;
	response->head.has_chunked = false;
	return http_response_is_json(response);
}

static void append(struct buffer *buffer, struct slice s)
{
	struct text text = text_over(buffer_tail(buffer), buffer_room(buffer));

	text_add(&text, s);
	ASSERT(!text.overflow);
	buffer_append(buffer, text.len);
}

/* Room for what comes next, and a chunk size in front of it that is filled in when it is known. */
static bool begin_part(struct session *session, struct rewriting *rewriting, struct slice head)
{
	static const char front[FRONT_MAX];
	struct flow_lender *lender = &session->worker->lender;
	struct flow *out = &rewriting->out;

	if (!buffer_borrow(&lender->buffers, &out->buffer)) {
		return false;
	}
	buffer_make_room(&lender->buffers, out->buffer);
	const bool full = buffer_room(out->buffer) < head.len + ROOM_MIN;
	if ((full || session->down.way == FLOW_LARGE) && !buffer_is_large(out->buffer) &&
	        !buffer_grow(&lender->buffers, &out->buffer) && full) {
		return false;
	}
	append(out->buffer, head);
	append(out->buffer, (struct slice){front, sizeof(front)});
	rewriting->head_len = head.len;
	return true;
}

/* What the body goes through. False without memory. */
static bool set_up(struct session *session, const struct http_response *response)
{
	const struct exchange *exchange = session->exchange;
	struct rewriting *rewriting = exchange->rewriting;

	rewriting->out = (struct flow){.buffer = NULL};
	rewriting->held = true;
	rewriting->bare = exchange->old_client;
	rewriting->ended = false;
	rewriting->narrowed = (struct slice){"", 0};
	rewriting->redacts = redacts(exchange, response);
	if (rewriting->redacts) {
		redactor_begin(&rewriting->redactor, exchange->redaction, exchange->top_as_usual);
	}
	rewriting->narrower = NULL;
	if (!narrows(exchange, response)) {
		return true;
	}
	rewriting->narrower = pool_take(&session->worker->narrower_pool);
	if (rewriting->narrower != NULL) {
		scope_narrower_begin(rewriting->narrower, exchange->narrows);
	}
	return rewriting->narrower != NULL;
}

enum next session_begin_rewriting(struct session *session, const struct http_response *response)
{
	struct exchange *exchange = session->exchange;
	struct slice head = buffer_to_send(session->down.buffer);

	exchange->rewriting = pool_take(&session->worker->rewriting_pool);
	if (exchange->rewriting == NULL || !set_up(session, response)) {
		return session_starve(session);
	}
	head.len -= strlen("\r\n"); /* the framing goes in front of the empty line */
	if (!begin_part(session, exchange->rewriting, head)) {
		return session_starve(session);
	}
	buffer_drop_to_send(session->down.buffer);
	session->down.chunks.bare = true;
	return session_enter(session, SESSION_RELAY);
}

/* ── Parts ───────────────────────────────────────────────────────────────── */

/* Bytes of the body that stand in the part. */
static size_t part_len(const struct rewriting *rewriting)
{
	return flow_unjudged(&rewriting->out).len - rewriting->head_len - FRONT_MAX;
}

static void add_size(struct text *text, size_t len)
{
	text_add_format(text, "%zx\r\n", len);
}

/* What stands between the head and the body. */
static void add_front(struct text *text, const struct rewriting *rewriting, size_t len)
{
	const bool whole = rewriting->held && rewriting->ended;
	const bool chunked = !whole && !rewriting->bare;

	if (rewriting->held && whole) {
		text_add_format(text, "Content-Length: %zu\r\n\r\n", len);
	} else if (rewriting->held) {
		text_add(text,
		        chunked ? SLICE("Transfer-Encoding: chunked\r\n\r\n") : SLICE("\r\n"));
	}
	if (chunked && len > 0) {
		add_size(text, len);
	}
}

static void add_back(struct buffer *buffer, const struct rewriting *rewriting, size_t len)
{
	if (rewriting->bare || (rewriting->held && rewriting->ended)) {
		return;
	}
	if (len > 0) {
		append(buffer, SLICE("\r\n"));
	}
	if (rewriting->ended) {
		append(buffer, SLICE("0\r\n\r\n"));
	}
}

/* The part is sent as it stands. */
static void end_part(struct rewriting *rewriting)
{
	struct buffer *buffer = rewriting->out.buffer;
	const size_t len = part_len(rewriting);
	char memory[FRONT_MAX];
	struct text front = text_over(memory, sizeof(memory));

	add_front(&front, rewriting, len);
	add_back(buffer, rewriting, len);
	/* In front of the body, where there is no head; behind the head, once for each response. */
	const size_t gap = FRONT_MAX - front.len;
	const bool headed = rewriting->head_len > 0;
	struct text place =
	        text_over(buffer_judged_in_place(buffer) + rewriting->head_len + (headed ? 0 : gap),
	                front.len);
	text_add(&place, text_slice(&front));
	if (headed) {
		buffer_cut(buffer, rewriting->head_len + front.len, gap);
	} else {
		buffer_skip(buffer, gap);
	}
	const size_t all = buffer_to_judge(buffer).len;
	buffer_keep(buffer, all, all);
	rewriting->held = false;
}

/* ── Rewriting ───────────────────────────────────────────────────────────── */

static struct redact_result copy_bytes(struct slice in, char *out, size_t room)
{
	const size_t len = in.len < room ? in.len : room;
	struct text text = text_over(out, room);

	text_add(&text, (struct slice){in.ptr, len});
	return (struct redact_result){.consumed = len, .produced = len};
}

/* Bytes as they go out, as far as there is room. */
static struct redact_result rewrite_bytes(struct rewriting *rewriting, struct slice in)
{
	struct buffer *buffer = rewriting->out.buffer;
	const size_t room = buffer_room(buffer) - BACK_MAX;
	char *out = buffer_tail(buffer);
	const struct redact_result result =
	        rewriting->redacts ? redactor_rewrite(&rewriting->redactor, in, out, room)
	                           : copy_bytes(in, out, room);

	buffer_append(buffer, result.produced);
	return result;
}

/* More of the body through the narrower. False without memory. */
static bool narrow_body(struct session *session, struct rewriting *rewriting)
{
	struct pool *pool = &session->worker->inspect_pool;
	struct inspect_memory *memory = pool_take(pool);

	if (memory == NULL) {
		return false;
	}
	struct json_document document = inspect_document(memory);
	struct buffer *body = session->down.buffer;
	buffer_sent(body, scope_narrow(rewriting->narrower, buffer_to_send(body), &document,
	                          &rewriting->narrowed));
	pool_give(pool, memory);
	return true;
}

/* All that was read, through the narrower and on, as far as there is room: FLOW_COMPLETE. */
static enum flow_result fill_narrowed(struct session *session, struct rewriting *rewriting)
{
	for (;;) {
		const struct redact_result result = rewrite_bytes(rewriting, rewriting->narrowed);
		rewriting->narrowed = slice_behind(rewriting->narrowed, result.consumed);
		if (result.bad) {
			return FLOW_REFUSED;
		}
		if (rewriting->narrowed.len > 0 || flow_is_sent(&session->down)) {
			return FLOW_COMPLETE;
		}
		if (!narrow_body(session, rewriting)) {
			return FLOW_NO_MEMORY;
		}
	}
}

static enum flow_result fill_directly(struct session *session, struct rewriting *rewriting)
{
	if (flow_is_sent(&session->down)) {
		return FLOW_COMPLETE;
	}
	struct buffer *body = session->down.buffer;
	const struct redact_result result = rewrite_bytes(rewriting, buffer_to_send(body));
	buffer_sent(body, result.consumed);
	return result.bad ? FLOW_REFUSED : FLOW_COMPLETE;
}

/* Whether the body may end where it does. */
static bool is_whole(const struct rewriting *rewriting)
{
	return (!rewriting->redacts || redactor_may_end(&rewriting->redactor)) &&
	       (rewriting->narrower == NULL || scope_narrower_may_end(rewriting->narrower));
}

/* Whether something of what was read still waits for room. */
static bool is_waiting(const struct session *session, const struct rewriting *rewriting)
{
	return rewriting->narrowed.len > 0 || !flow_is_sent(&session->down);
}

bool session_is_between_records(const struct session *session)
{
	const struct rewriting *rewriting = session->exchange->rewriting;

	return !rewriting->held && !is_waiting(session, rewriting) &&
	       flow_is_sent(&rewriting->out) && flow_unjudged(&rewriting->out).len == 0 &&
	       is_whole(rewriting);
}

/* FLOW_REFUSED: the body cannot be read. */
static enum flow_result fill_part(struct session *session, struct rewriting *rewriting)
{
	const enum flow_result filled = rewriting->narrower == NULL
	                                        ? fill_directly(session, rewriting)
	                                        : fill_narrowed(session, rewriting);

	if (filled != FLOW_COMPLETE) {
		return filled;
	}
	rewriting->ended = !is_waiting(session, rewriting) && session->down.complete;
	return rewriting->ended && !is_whole(rewriting) ? FLOW_REFUSED : FLOW_COMPLETE;
}

/* Whether what stands in the part goes out, though more may come. */
static bool is_due(
        const struct session *session, const struct rewriting *rewriting, enum flow_result taken)
{
	const bool endless = (session->exchange->traits & DOCKER_STREAM) != 0;

	if (rewriting->ended || is_waiting(session, rewriting)) { /* or there is no more room */
		return true;
	}
	if (rewriting->held) {
		return endless && taken == FLOW_WAIT;
	}
	return part_len(rewriting) > 0;
}

static enum flow_result take_more(struct session *session, struct rewriting *rewriting)
{
	return is_waiting(session, rewriting) ? FLOW_COMPLETE
	                                      : flow_take(&session->down, &session->worker->lender,
	                                                &session->engine->stream);
}

/* Read and rewrite, until a part is due: FLOW_COMPLETE. */
static enum flow_result make_part(struct session *session, struct rewriting *rewriting)
{
	enum flow_result taken = FLOW_COMPLETE;

	for (unsigned turn = 0; turn < TURNS; turn++) {
		taken = take_more(session, rewriting);
		if (taken == FLOW_COMPLETE) {
			taken = fill_part(session, rewriting);
		}
		if (taken != FLOW_COMPLETE && taken != FLOW_WAIT) {
			/* Nobody looks at the rest, not even at its buffer. */
			flow_drop(&session->down, &session->worker->lender);
			return taken;
		}
		if (is_due(session, rewriting, taken)) {
			end_part(rewriting);
			return FLOW_COMPLETE;
		}
		if (taken == FLOW_WAIT) {
			return FLOW_WAIT;
		}
	}
	return FLOW_YIELD;
}

enum flow_result session_rewrite(struct session *session)
{
	struct rewriting *rewriting = session->exchange->rewriting;
	struct flow *out = &rewriting->out;

	for (unsigned turn = 0; turn < TURNS; turn++) {
		if (flow_unjudged(out).len == 0) { /* no part is being made */
			const enum flow_result sent = flow_send(out, &session->client, false);
			if (sent != FLOW_COMPLETE || rewriting->ended) {
				return sent;
			}
			if (!begin_part(session, rewriting, SLICE(""))) {
				return FLOW_NO_MEMORY;
			}
		}
		const enum flow_result made = make_part(session, rewriting);
		if (made == FLOW_WAIT && !rewriting->held) {
			flow_reset(out, &session->worker->lender); /* it is empty */
		}
		if (made != FLOW_COMPLETE) {
			return made;
		}
	}
	return FLOW_YIELD;
}
