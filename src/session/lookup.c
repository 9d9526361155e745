/* SPDX-License-Identifier: MIT */
/* lookup — the Engine is asked about an object, between the head of a request and the request. */
#include "session/state.h"

#include <errno.h>

struct lookup {
	bool asking;      /* a question is on its way, or waits for a connection */
	bool sent;        /* the whole question */
	struct flow flow; /* the question, then the response */
	struct http_scan scan;
	unsigned status; /* of the response; 0: its head is not there yet */
	bool keep;       /* the Engine's connection stays open */
	struct scope_answers answers;
};

size_t session_lookup_size(void)
{
	return sizeof(struct lookup);
}

bool session_is_asking(const struct session *session)
{
	const struct lookup *lookup = session->exchange->lookup;

	return lookup != NULL && lookup->asking;
}

const struct scope_answers *session_answers(const struct session *session)
{
	const struct lookup *lookup = session->exchange->lookup;

	return lookup == NULL ? NULL : &lookup->answers;
}

void session_end_lookup(struct session *session)
{
	struct lookup *lookup = session->exchange->lookup;

	if (lookup != NULL) {
		flow_reset(&lookup->flow, &session->worker->lender);
		pool_give(&session->worker->lookup_pool, lookup);
		session->exchange->lookup = NULL;
	}
}

/* ── The question ────────────────────────────────────────────────────────── */

static struct lookup *begin(struct session *session)
{
	struct exchange *exchange = session->exchange;

	if (exchange->lookup == NULL) {
		exchange->lookup = pool_take(&session->worker->lookup_pool);
		if (exchange->lookup != NULL) {
			memset(exchange->lookup, 0, offsetof(struct lookup, answers.list));
		}
	}
	return exchange->lookup;
}

/* The question into the flow's buffer. False: it does not fit. */
static bool write_question(struct session *session, const struct gate_decision *decision)
{
	struct lookup *lookup = session->exchange->lookup;
	struct worker *worker = session->worker;
	const char *key = session_snapshot(session)->api_key;
	struct buffer *buffer = lookup->flow.buffer;
	struct text text = text_over(buffer_tail(buffer), buffer_room(buffer));
	struct text field = text_over(worker->scratch, worker->scratch_len);

	if (key != NULL) {
		text_add_format(&field, "x-api-key: %s\r\n", key);
	}
	if (!scope_write_request(decision->scope, decision->object, text_slice(&field),
	            &lookup->answers, &text)) {
		return false;
	}
	buffer_append(buffer, text.len);
	buffer_keep(buffer, text.len, text.len);
	return true;
}

enum next session_look_up(struct session *session, const struct gate_decision *decision)
{
	if (session->exchange == NULL && session_exchange(session) == NULL) {
		return session_starve(session);
	}
	struct lookup *lookup = begin(session);
	if (lookup == NULL ||
	        !buffer_borrow(&session->worker->lender.buffers, &lookup->flow.buffer)) {
		return session_starve(session);
	}
	session_note_request(session, decision);
	/* What fails from here on ends the connection, for the request is not read to its end. */
	session->exchange->keep_client = false;
	flow_start(&lookup->flow, HTTP_NO_BODY, 0);
	lookup->scan = (struct http_scan){0};
	lookup->status = 0;
	lookup->sent = false;
	lookup->asking = true;
	if (!write_question(session, decision)) {
		return session_refuse(session, OUTCOME_TOO_MANY_OBJECTS, NULL);
	}
	return session_start_dialling(session);
}

/* ── The response ────────────────────────────────────────────────────────── */

static enum next fail(struct session *session)
{
	return session_refuse(session, OUTCOME_LOOKUP_FAILED, NULL);
}

/* The connection ended. One that was used before may have ended before it had the question, which
 * changes nothing when it is asked twice. */
static enum next lost(struct session *session)
{
	struct lookup *lookup = session->exchange->lookup;

	if (!session->engine->reused || session->exchange->dialled_again || lookup->status != 0 ||
	        flow_unjudged(&lookup->flow).len > 0) {
		return fail(session);
	}
	session_release_engine(session, false);
	session->exchange->dialled_again = true;
	return session_start_dialling(session);
}

static enum next after(struct session *session, enum flow_result result)
{
	if (result == FLOW_WAIT) {
		return NEXT_WAIT;
	}
	if (result == FLOW_NO_MEMORY) {
		return session_starve(session);
	}
	return result == FLOW_FULL ? session_refuse(session, OUTCOME_TOO_MANY_BODIES, NULL)
	                           : fail(session);
}

/* The head of the response. NEXT_AGAIN: it is there. */
static enum next read_head(struct session *session)
{
	struct lookup *lookup = session->exchange->lookup;
	struct worker *worker = session->worker;
	struct http_response response;

	while (http_scan_head(&lookup->scan, flow_unjudged(&lookup->flow)) == HTTP_MORE) {
		const ssize_t n = flow_read(
		        &lookup->flow, &worker->lender, &session->engine->stream, SIZE_MAX);
		if (n <= 0) {
			return n == 0 || n == -ECONNRESET ? lost(session)
			                                  : next_after_read(session, n);
		}
	}
	const struct slice head = {flow_unjudged(&lookup->flow).ptr, lookup->scan.head_len};
	if (lookup->scan.error != HTTP_OK ||
	        http_response_parse(head, worker->gate.fields, false, &response) != HTTP_OK ||
	        (response.head.framing != HTTP_LENGTH && response.head.framing != HTTP_CHUNKED)) {
		return fail(session);
	}
	lookup->status = response.status;
	lookup->keep = response.head.keep_alive;
	flow_start(&lookup->flow, response.head.framing, response.head.content_length);
	return NEXT_AGAIN;
}

static bool read_answer(struct session *session)
{
	struct lookup *lookup = session->exchange->lookup;
	struct pool *pool = &session->worker->inspect_pool;
	struct inspect_memory *memory = pool_take(pool);
	const struct policy *policy = session_listener(session)->gate.policy;

	if (memory == NULL) {
		return false;
	}
	struct json_document document = {
	        .nodes = memory->nodes, .marks = memory->marks, .strings = memory->strings};
	const struct slice body = {flow_unjudged(&lookup->flow).ptr + lookup->scan.head_len,
	        (size_t)lookup->flow.data};
	const bool read = scope_read_response(
	        policy_scope(policy), lookup->status, body, &document, &lookup->answers);
	pool_give(pool, memory);
	return read;
}

/* The body of the response, and what it says. */
static enum next read_body(struct session *session)
{
	struct lookup *lookup = session->exchange->lookup;
	const enum flow_result result = flow_gather(&lookup->flow, &session->worker->lender,
	        &session->engine->stream, lookup->scan.head_len, INSPECT_BODY_MAX);

	if (result != FLOW_COMPLETE) {
		return after(session, result);
	}
	const size_t whole = lookup->scan.head_len + (size_t)lookup->flow.data;
	const bool reusable = lookup->keep && flow_unjudged(&lookup->flow).len == whole;
	if (!read_answer(session)) {
		return fail(session);
	}
	lookup->asking = false;
	flow_reset(&lookup->flow, &session->worker->lender);
	session_release_engine(session, reusable);
	session->exchange->dialled_again = false;
	return session_judge(session);
}

enum next session_step_lookup(struct session *session)
{
	struct lookup *lookup = session->exchange->lookup;

	if (session->client.hangup) {
		return NEXT_CLOSE;
	}
	if (!lookup->sent) {
		const enum flow_result result =
		        flow_send(&lookup->flow, &session->engine->stream, false);
		if (result != FLOW_COMPLETE) {
			return result == FLOW_SINK_LOST ? lost(session) : after(session, result);
		}
		lookup->sent = true;
	}
	const enum next head = lookup->status == 0 ? read_head(session) : NEXT_AGAIN;
	return head == NEXT_AGAIN && lookup->status != 0 ? read_body(session) : head;
}
