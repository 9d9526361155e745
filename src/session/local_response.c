/* SPDX-License-Identifier: MIT */
#include "session/state.h"

#include "base/clock.h"
#include "upstream/diagnosis.h"

#include <errno.h>

enum { MESSAGE_MAX = 4096 };

/* ── Local responses ──────────────────────────────────────────────────── */

struct exchange *session_exchange(struct session *session)
{
	if (session->exchange == NULL) {
		session->exchange = pool_take(&session->worker->exchange_pool);
		if (session->exchange != NULL) {
			*session->exchange = (struct exchange){
			        .record = {.method = "-",
			                .path = "-",
			                .method_len = 1,
			                .path_len = 1,
			                .started_ns = session->worker->loop.now_ns},
			};
		}
	}
	return session->exchange;
}

enum http_connection session_connection(const struct exchange *exchange)
{
	if (!exchange->keep_client) {
		return HTTP_CONNECTION_CLOSE;
	}
	return exchange->old_client ? HTTP_CONNECTION_KEEP_ALIVE : HTTP_CONNECTION_KEEP;
}

/* Where an local response goes: behind what is half sent, a 1xx. NULL without memory. */
static struct buffer *answer_buffer(struct session *session)
{
	struct buffer_lender *lender = &session->worker->lender.buffers;
	struct buffer *buffer = NULL;

	if (buffer_borrow(lender, &session->down.buffer)) {
		flow_start(&session->down, HTTP_NO_BODY, 0);
		buffer = session->down.buffer;
		buffer_drop_to_judge(lender, buffer);
	}
	return buffer;
}

/*
 * Answer with `json`, or, when its ptr is NULL, with `reason` as the Engine
 * would. The connection goes on only if the request is wholly read.
 */
static enum next answer(
        struct session *session, unsigned status, struct slice json, struct slice reason)
{
	struct exchange *exchange = session_exchange(session);

	session_release_engine(session, false);
	flow_skip(&session->up, &session->worker->lender);
	struct buffer *buffer = exchange == NULL ? NULL : answer_buffer(session);
	if (buffer == NULL) {
		return NEXT_CLOSE;
	}
	exchange->keep_client =
	        exchange->keep_client && session->up.complete && !session->worker->stopping;
	const enum http_connection connection = session_connection(exchange);
	struct text text = text_over(buffer_tail(buffer), buffer_room(buffer));
	exchange->record.bytes =
	        json.ptr != NULL
	                ? http_json_write(&text, status, json, exchange->to_head, connection)
	                : http_error_write(&text, status, reason, exchange->to_head, connection);
	if (text.overflow) {
		return NEXT_CLOSE;
	}
	buffer_append(buffer, text.len);
	buffer_keep(buffer, text.len, text.len);
	exchange->record.status = status;
	return session_enter(session, SESSION_RESPOND);
}

enum next session_respond_error(struct session *session, unsigned status, const char *reason)
{
	struct exchange *exchange = session_exchange(session);

	if (exchange != NULL) {
		exchange->record.reason = reason;
	}
	return answer(session, status, (struct slice){NULL, 0}, slice_of(reason));
}

/* A request that is not understood: where it ends is unknown, so the connection ends. */
enum next session_refuse(struct session *session, enum http_error error)
{
	struct exchange *exchange = session_exchange(session);

	if (exchange != NULL) {
		exchange->to_head = false;
	}
	return session_reject(session, http_error_status(error), http_error_text(error));
}

enum next session_reject(struct session *session, unsigned status, const char *reason)
{
	struct exchange *exchange = session_exchange(session);

	session->up.complete = false;
	if (exchange != NULL) {
		exchange->keep_client = false;
	}
	return session_respond_error(session, status, reason);
}

enum next session_respond_denied(struct session *session, const struct verdict *verdict)
{
	char memory[MESSAGE_MAX];
	struct text text = text_over(memory, sizeof(memory));

	policy_add_denial(session->listener->policy, &session->worker->request, verdict, &text);
	session->exchange->record.reason = "denied";
	return answer(session, 403, (struct slice){NULL, 0}, text_slice(&text));
}

/* What becomes of a request for which there is no connection. */
static const struct dial_outcome {
	int error; /* positive errno; 0: any other */
	unsigned status;
	const char *reason;
} dial_outcomes[] = {
        {EAGAIN, 504, "the Engine's queue is full"},
        {ETIMEDOUT, 504, "the Engine did not take the connection in time"},
        {EMFILE, 503, "the proxy is out of descriptors"},
        {ENFILE, 503, "the proxy is out of descriptors"},
        {ENOMEM, 503, "the proxy is out of memory"},
        {ENOBUFS, 503, "the proxy is out of memory"},
        {0, 502, "the Engine is unreachable"},
};

static const struct dial_outcome *dial_outcome(int error)
{
	const struct dial_outcome *outcome = dial_outcomes;

	while (outcome->error != 0 && outcome->error != -error) {
		outcome++;
	}
	return outcome;
}

static enum next answer_unhealthy(struct session *session, struct slice diagnosis)
{
	char memory[MESSAGE_MAX];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, SLICE("{\"status\":\"unhealthy\",\"reason\":\""));
	text_add_json(&text, diagnosis);
	text_add(&text, SLICE("\"}"));
	return answer(session, 503, text_slice(&text), SLICE(""));
}

enum next session_respond_dial(struct session *session, int error)
{
	struct worker *worker = session->worker;
	const struct dial_outcome *outcome = dial_outcome(error);
	char memory[MESSAGE_MAX / 2];
	struct text text = text_over(memory, sizeof(memory));

	upstream_diagnose(&text, &worker->settings->engine, -error);
	if (session->exchange->probe) {
		return answer_unhealthy(session, text_slice(&text));
	}
	if (worker->loop.now_ns >=
	        worker->next_diagnosis_ns) { /* each request has its line anyway */
		worker->next_diagnosis_ns = worker->loop.now_ns + NS_PER_S;
		log_line(LOG_ERR, "%.*s", SLICE_FMT(text_slice(&text)));
	}
	session->exchange->record.reason = outcome->reason;
	return answer(session, outcome->status, (struct slice){NULL, 0}, text_slice(&text));
}

enum next session_respond_healthy(struct session *session)
{
	return answer(session, 200, SLICE("{\"status\":\"healthy\"}"), SLICE(""));
}

/* ── The end of an exchange ──────────────────────────────────────────────── */

enum next session_linger(struct session *session)
{
	session_release_engine(session, false);
	flow_reset(&session->up, &session->worker->lender);
	flow_reset(&session->down, &session->worker->lender);
	stream_finish(&session->client);
	return session->client_ended ? NEXT_CLOSE : session_enter(session, SESSION_LINGER);
}

/* The exchange is over on both sides. */
enum next session_finish(struct session *session)
{
	const bool more = flow_unjudged(&session->up).len > 0;
	const bool keep = session->exchange->keep_client && (more || !session->client_ended);
	const bool reusable = session->exchange->keep_engine && !session->client_ended &&
	                      !session->exchange->end_told && !session->up.drop &&
	                      flow_unjudged(&session->down).len == 0;

	ASSERT(flow_is_sent(&session->up)); /* the rest would go into the next request */

	session_record(session);
	session_release_engine(session, reusable);
	flow_reset(&session->down, &session->worker->lender);
	if (!keep) {
		return session_linger(session);
	}
	flow_release(&session->up, &session->worker->lender);
	return session_enter(session, SESSION_IDLE);
}

enum next session_step_respond(struct session *session)
{
	const enum flow_result result = flow_send(&session->down, &session->client, false);

	return result == FLOW_COMPLETE ? session_finish(session) : next_after(result);
}

/*
 * Closing with unread bytes would reset the connection and take the answer
 * away that the client has not read yet (RFC 9112 §9.6).
 */
enum next session_step_linger(struct session *session)
{
	char nowhere[16 * 1024];

	for (unsigned i = 0; i < 64; i++) {
		const ssize_t n = stream_read(&session->client, nowhere, sizeof(nowhere));
		if (n == -EAGAIN) {
			return NEXT_WAIT;
		}
		if (n <= 0) {
			return NEXT_CLOSE;
		}
	}
	return NEXT_YIELD;
}
