/* SPDX-License-Identifier: MIT */
#include "session/state.h"

#include "base/clock.h"
#include "net/tls.h"
#include "pulse/pulse.h"
#include "upstream/diagnosis.h"

#include <errno.h>

enum { MESSAGE_MAX = 4096 };

/* ── Local responses ──────────────────────────────────────────────────── */

struct exchange *session_exchange(struct session *session)
{
	struct exchange *exchange = pool_take(&session->worker->exchange_pool);

	ASSERT(session->exchange == NULL);
	if (exchange != NULL) {
		memset(exchange, 0, offsetof(struct exchange, record.method));
		exchange->record.method[0] = exchange->record.path[0] = '-';
		exchange->record.method_len = exchange->record.path_len = 1;
		exchange->record.started_ns = session->worker->loop.now_ns;
		exchange->id = session->worker->next_id++;
		exchange->adoption = worker_enter(session->worker);
		session->exchange = exchange;
	}
	return exchange;
}

/*
 * The same for a head that is malformed or incomplete. Its method counts:
 * a response to HEAD has no body, and the log is where its sender finds the reason.
 */
static struct exchange *exchange_unread(struct session *session)
{
	struct exchange *exchange = session->exchange;

	if (exchange == NULL && (exchange = session_exchange(session)) != NULL) {
		struct audit_record *record = &exchange->record;
		const struct slice method = http_method_sent(flow_unjudged(&session->up));
		exchange->to_head = slice_equal(method, SLICE("HEAD"));
		if (method.len > 0) {
			record->method_len =
			        (unsigned)text_keep(record->method, AUDIT_METHOD_MAX, method);
		}
	}
	return exchange;
}

enum http_connection session_connection(const struct exchange *exchange)
{
	if (!exchange->keep_client) {
		return HTTP_CONNECTION_CLOSE;
	}
	return exchange->old_client ? HTTP_CONNECTION_KEEP_ALIVE : HTTP_CONNECTION_KEEP;
}

/* Where a local response goes: behind what is half sent, a 1xx. NULL without memory. */
static struct buffer *response_buffer(struct session *session)
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

bool session_continue(struct session *session)
{
	struct buffer *buffer = response_buffer(session);
	const struct slice interim = SLICE("HTTP/1.1 100 Continue\r\n\r\n");

	if (buffer == NULL) {
		return false;
	}
	struct text text = text_over(buffer_tail(buffer), buffer_room(buffer));
	text_add(&text, interim);
	buffer_append(buffer, text.len);
	buffer_keep(buffer, text.len, text.len);
	/* What does not fit into the socket goes in front of the response. */
	return flow_send(&session->down, &session->client, false) != FLOW_SINK_LOST;
}

/*
 * Respond with `json`, or, when its ptr is NULL, with `message` as the Engine
 * would. The connection goes on only if the request is wholly read.
 */
static enum next respond(
        struct session *session, enum outcome outcome, struct slice json, struct slice message)
{
	struct exchange *exchange = exchange_unread(session);
	const unsigned status = outcome_status(outcome);

	session_release_engine(session, false);
	flow_skip(&session->up, &session->worker->lender);
	struct buffer *buffer = exchange == NULL ? NULL : response_buffer(session);
	if (buffer == NULL) {
		return session_starve(session);
	}
	exchange->keep_client =
	        exchange->keep_client && session->up.complete && !session->worker->leaving;
	const enum http_connection connection = session_connection(exchange);
	struct text text = text_over(buffer_tail(buffer), buffer_room(buffer));
	exchange->record.bytes =
	        json.ptr != NULL
	                ? http_json_write(&text, status, json, exchange->to_head, connection)
	                : http_error_write(&text, status, message,
	                          exchange->retry_s > 0 ? exchange->retry_s : HTTP_RETRY_AFTER,
	                          exchange->to_head, connection);
	if (text.overflow) {
		return NEXT_CLOSE;
	}
	buffer_append(buffer, text.len);
	buffer_keep(buffer, text.len, text.len);
	exchange->record.status = status;
	exchange->record.outcome = outcome;
	session_note_reason(session, message);
	return session_enter(session, SESSION_RESPOND);
}

enum next session_say(struct session *session, enum outcome outcome, struct slice message)
{
	return respond(session, outcome, (struct slice){NULL, 0}, message);
}

enum next session_respond_json(struct session *session, enum outcome outcome, struct slice json)
{
	enum { HEAD_MAX = 1024 };
	struct buffer_lender *lender = &session->worker->lender.buffers;
	const struct buffer *buffer = response_buffer(session);

	if (buffer == NULL) {
		return session_starve(session);
	}
	if (buffer_room(buffer) < json.len + HEAD_MAX &&
	        !buffer_hold(lender, &session->down.buffer)) {
		return session_respond(session, OUTCOME_TOO_MANY_BODIES);
	}
	return respond(session, outcome, json, SLICE(""));
}

enum next session_respond(struct session *session, enum outcome outcome)
{
	return session_say(session, outcome, slice_of(outcome_text(outcome)));
}

enum next session_refuse(struct session *session, enum outcome outcome, const char *reason)
{
	struct exchange *exchange = exchange_unread(session);

	session->up.complete = false;
	if (exchange != NULL) {
		exchange->keep_client = false;
		exchange->record.reason = reason;
	}
	return session_say(
	        session, outcome, slice_of(reason != NULL ? reason : outcome_text(outcome)));
}

enum next session_respond_denied(struct session *session, const struct gate_decision *decision)
{
	char memory[MESSAGE_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (decision->outcome == OUTCOME_NOT_FOUND) {
		gate_add_missing(decision, &text);
	} else if (decision->outcome == OUTCOME_ENGINE_UNNAMED) {
		gate_add_unnamed(decision, &text);
	} else {
		gate_add_denial(decision, &text);
	}
	return session_say(session, decision->outcome, text_slice(&text));
}

/* What becomes of a request for which there is no connection. */
static const struct {
	int error; /* positive errno; 0: any other */
	enum outcome outcome;
} dial_outcomes[] = {
        {EAGAIN, OUTCOME_ENGINE_BUSY},
        {ETIMEDOUT, OUTCOME_ENGINE_SLOW},
        {EMFILE, OUTCOME_NO_RESOURCES},
        {ENFILE, OUTCOME_NO_RESOURCES},
        {ENOMEM, OUTCOME_NO_RESOURCES},
        {ENOBUFS, OUTCOME_NO_RESOURCES},
        {0, OUTCOME_ENGINE_UNREACHABLE},
};

static enum outcome dial_outcome(int error)
{
	unsigned i = 0;

	while (dial_outcomes[i].error != 0 && dial_outcomes[i].error != -error) {
		i++;
	}
	return dial_outcomes[i].outcome;
}

static enum next respond_unhealthy(struct session *session, struct slice diagnosis)
{
	char memory[MESSAGE_MAX];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, SLICE("{\"status\":\"unhealthy\",\"reason\":\""));
	text_add_json(&text, diagnosis);
	text_add(&text, SLICE("\"}"));
	return respond(session, OUTCOME_UNHEALTHY, text_slice(&text), SLICE(""));
}

/*
 * Why an Engine cannot be asked. Whoever may use one of several knows it by its name: where it is,
 * and of a group which member it is, the log alone says.
 */
struct diagnosis {
	struct text log, client;
	char log_memory[MESSAGE_MAX / 2];
	char client_memory[MESSAGE_MAX / 2];
};

/* Of the Engine of `upstream` all is said to everybody. */
static bool is_hidden(const struct session *session)
{
	return session->exchange->engine != ENGINE_DEFAULT;
}

/* "Engine 'node-1' of 'web': ". */
static void begin_diagnosis(
        const struct session *session, unsigned number, struct diagnosis *diagnosis)
{
	const struct snapshot_engine *engines = session_snapshot(session)->engines;

	diagnosis->log = text_over(diagnosis->log_memory, sizeof(diagnosis->log_memory));
	diagnosis->client = text_over(diagnosis->client_memory, sizeof(diagnosis->client_memory));
	if (is_hidden(session)) {
		text_add_format(&diagnosis->log, "Engine '%s'", engines[number].name);
		if (session->exchange->engine != number) {
			text_add_format(&diagnosis->log, " of '%s'", session_engine(session)->name);
		}
		text_add(&diagnosis->log, SLICE(": "));
	}
}

static void end_diagnosis(const struct session *session, struct diagnosis *diagnosis)
{
	if (!is_hidden(session)) {
		text_add(&diagnosis->client, text_slice(&diagnosis->log));
	}
}

/* What TLS says about the Engine's connection, if it failed. */
static bool explain_tls(const struct session *session, struct diagnosis *diagnosis)
{
	const struct snapshot_engine *engine = session_member(session);

	if (session->engine == NULL || !tls_failed(&session->engine->stream)) {
		return false;
	}
	text_add_format(&diagnosis->log,
	        "cannot speak TLS with the Engine at %s, expected as '%s': ", engine->text,
	        engine->tls_name);
	tls_explain(&session->engine->stream, &diagnosis->log);
	if (is_hidden(session)) {
		text_add_format(&diagnosis->client,
		        "cannot speak TLS with the Engine '%s': ", session_engine(session)->name);
		tls_explain(&session->engine->stream, &diagnosis->client);
	}
	return true;
}

static void log_diagnosis(struct worker *worker, struct slice diagnosis)
{
	if (worker->loop.now_ns >=
	        worker->next_diagnosis_ns) { /* each request has its line anyway */
		worker->next_diagnosis_ns = worker->loop.now_ns + NS_PER_S;
		log_line(LOG_ERR, "%.*s", SLICE_FMT(diagnosis));
	}
}

enum next session_respond_closed(struct session *session)
{
	struct diagnosis diagnosis;

	begin_diagnosis(session, session->exchange->member, &diagnosis);
	if (!explain_tls(session, &diagnosis)) {
		return session_respond(session, OUTCOME_ENGINE_CLOSED);
	}
	end_diagnosis(session, &diagnosis);
	log_diagnosis(session->worker, text_slice(&diagnosis.log));
	return session_say(session, OUTCOME_ENGINE_UNREACHABLE, text_slice(&diagnosis.client));
}

/* The same by its name. */
static void diagnose_named(const struct session *session, int error, struct text *text)
{
	const enum pulse_trouble trouble = pulse_trouble_of(error, false);

	text_add_format(text, "cannot connect to the Engine '%s': %s",
	        session_engine(session)->name,
	        trouble == TROUBLE_NONE ? outcome_text(dial_outcome(error)) : pulse_text(trouble));
}

/* Why it cannot be reached, at the address where it is now. */
static void diagnose(
        const struct session *session, unsigned number, int error, struct diagnosis *diagnosis)
{
	const struct adoption *adoption = session->exchange->adoption;
	const struct snapshot_engine *engine = &adoption->snapshot->engines[number];
	const struct upstream *upstream = adoption->upstreams[number];

	upstream_diagnose(&diagnosis->log, upstream == NULL ? &engine->address : &upstream->address,
	        engine->text, -error);
	if (is_hidden(session)) {
		diagnose_named(session, error, &diagnosis->client);
	}
}

enum next session_respond_dial(struct session *session, unsigned number, int error)
{
	struct worker *worker = session->worker;
	struct diagnosis diagnosis;

	begin_diagnosis(session, number, &diagnosis);
	if (!explain_tls(session, &diagnosis)) {
		diagnose(session, number, error, &diagnosis);
	}
	end_diagnosis(session, &diagnosis);
	meter_count_connect_failure(worker->meter);
	if (session->exchange->probe) {
		return respond_unhealthy(session, text_slice(&diagnosis.client));
	}
	log_diagnosis(worker, text_slice(&diagnosis.log));
	return session_say(session, dial_outcome(error), text_slice(&diagnosis.client));
}

enum next session_respond_healthy(struct session *session)
{
	return respond(session, OUTCOME_HEALTHY, SLICE("{\"status\":\"healthy\"}"), SLICE(""));
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

/* Whether the Engine's connection can carry another request. */
static bool is_reusable(const struct session *session)
{
	const struct exchange *exchange = session->exchange;

	return exchange->keep_engine && !session->client_ended && !exchange->end_told &&
	       !session->up.drop && flow_unjudged(&session->down).len == 0;
}

enum next session_deliver(struct session *session)
{
	session->exchange->record.bytes = session->down.data;
	session_release(session->exchange);
	session_release_engine(session, is_reusable(session));
	return session_enter(session, SESSION_DELIVER);
}

enum next session_step_deliver(struct session *session)
{
	const enum flow_result result = flow_send(&session->down, &session->client, false);

	if (result == FLOW_WAIT) {
		session_keep_holding(session->exchange);
	}
	if (result != FLOW_COMPLETE) {
		return next_after(session, result);
	}
	return session_comes_to(session, ROUND_LAST) ? NEXT_LAST : session_finish(session);
}

/* The exchange is over on both sides. */
enum next session_finish(struct session *session)
{
	const bool more = flow_unjudged(&session->up).len > 0;
	const bool keep = session->exchange->keep_client && (more || !session->client_ended);
	const bool reusable = is_reusable(session);

	ASSERT(flow_is_sent(&session->up)); /* the rest would go into the next request */

	session_record(session);
	session_release_engine(session, reusable);
	flow_reset(&session->down, &session->worker->lender);
	if (!keep || !session_settle(session)) {
		return session_linger(session);
	}
	session->up.way = FLOW_SMALL;
	flow_release(&session->up, &session->worker->lender);
	return session_enter(session, SESSION_IDLE);
}

enum next session_step_respond(struct session *session)
{
	const enum flow_result result = flow_send(&session->down, &session->client, false);

	return result == FLOW_COMPLETE ? session_finish(session) : next_after(session, result);
}

/*
 * A close with unread bytes resets the connection, and the client loses what it
 * has not read of the response (RFC 9112 §9.6).
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
