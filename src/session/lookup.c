/* SPDX-License-Identifier: MIT */
/* lookup — the Engine is asked about an object, between the head of a request and the request. */
#include "session/state.h"

#include "ask/ask.h"

struct lookup {
	struct session *session;
	const struct scope *scope; /* of the question; NULL: every object is the client's */
	struct ask ask;
	struct scope_answers answers;
};

size_t session_lookup_size(void)
{
	return sizeof(struct lookup);
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
		ask_end(&lookup->ask);
		pool_give(&session->worker->lookup_pool, lookup);
		session->exchange->lookup = NULL;
	}
}

/* ── The question ────────────────────────────────────────────────────────── */

static void answered(struct ask *ask)
{
	session_run(CONTAINER_OF(ask, struct lookup, ask)->session);
}

static struct lookup *begin(struct session *session)
{
	struct exchange *exchange = session->exchange;

	if (exchange->lookup == NULL) {
		exchange->lookup = pool_take(&session->worker->lookup_pool);
		if (exchange->lookup != NULL) {
			memset(exchange->lookup, 0, offsetof(struct lookup, answers.list));
			exchange->lookup->session = session;
		}
	}
	return exchange->lookup;
}

/* False: the question does not fit. */
static bool write_question(
        struct session *session, const struct gate_decision *decision, struct text *text)
{
	struct worker *worker = session->worker;
	const char *key = session_engine(session)->api_key;
	struct text fields = text_over(worker->scratch, worker->scratch_len);

	ask_add_fields(&worker->asker, &fields);
	if (key != NULL) {
		text_add_format(&fields, "x-api-key: %s\r\n", key);
	}
	return scope_write_request(decision->scope, decision->object, text_slice(&fields),
	        &session->exchange->lookup->answers, text);
}

enum next session_look_up(struct session *session, const struct gate_decision *decision)
{
	struct text text;

	if (session->exchange == NULL && session_exchange(session) == NULL) {
		return session_starve(session);
	}
	struct lookup *lookup = session_choose(session, decision->engine) ? begin(session) : NULL;
	if (lookup == NULL || !ask_begin(&lookup->ask, &session->worker->asker,
	                              session->exchange->upstream, answered, &text)) {
		return session_starve(session);
	}
	session_note_request(session, decision);
	/* What fails from here on ends the connection, for the request is not read to its end. */
	session->exchange->keep_client = false;
	lookup->scope = decision->scope;
	if (!session_stays(session)) {
		return session_respond_moved(session);
	}
	session->exchange->looked_up_at = session->exchange->upstream->generation + 1;
	if (session_may_move(session)) {
		lookup->ask.dial_patience_ns = session->worker->move_queue.duration_ns;
	}
	if (!write_question(session, decision, &text)) {
		return session_refuse(session, OUTCOME_TOO_MANY_OBJECTS, NULL);
	}
	(void)session_enter(session, SESSION_LOOKUP);
	ask_send(&lookup->ask, text.len, INSPECT_BODY_MAX);
	return NEXT_WAIT;
}

/* ── The response ────────────────────────────────────────────────────────── */

static bool read_answer(struct session *session)
{
	struct lookup *lookup = session->exchange->lookup;
	struct pool *pool = &session->worker->inspect_pool;
	struct inspect_memory *memory = pool_take(pool);

	if (memory == NULL) {
		return false;
	}
	struct json_document document = inspect_document(memory);
	const bool read = scope_read_response(lookup->scope, lookup->ask.status,
	        ask_bytes(&lookup->ask), &document, &lookup->answers);
	pool_give(pool, memory);
	return read;
}

enum next session_respond_asked(struct session *session, unsigned number, enum ask_state why,
        int error, enum outcome failed)
{
	switch (why) {
	case ASK_UNREACHABLE:
		return session_respond_dial(session, number, error);
	case ASK_FULL:
		return session_refuse(session, OUTCOME_TOO_MANY_BODIES, NULL);
	case ASK_LATE:
		return session_refuse(session, OUTCOME_LOOKUP_TIMEOUT, NULL);
	case ASK_NO_MEMORY:
		return session_starve(session);
	case ASK_NOTHING:
	case ASK_WAITING:
	case ASK_ANSWERED:
	case ASK_CUT:
	case ASK_MALFORMED:
	case ASK_TOO_LARGE:
		break;
	}
	return session_refuse(session, failed, NULL);
}

enum next session_respond_moved(struct session *session)
{
	return session_refuse(session, OUTCOME_LOOKUP_FAILED,
	        "the Engine has moved to another address since it described an object that the "
	        "request names: send the request again");
}

enum next session_step_lookup(struct session *session)
{
	struct ask *ask = &session->exchange->lookup->ask;

	if (session->client.hangup) {
		return NEXT_CLOSE;
	}
	if (ask->state == ASK_WAITING) {
		return NEXT_WAIT;
	}
	if (ask->state == ASK_UNREACHABLE) {
		scope_withdraw_request(&session->exchange->lookup->answers);
		if (session_move(session, ask->error, ask->tls)) {
			ask_end(ask);
			return session_judge(session);
		}
	}
	if (ask->state != ASK_ANSWERED || !read_answer(session)) {
		return session_respond_asked(session, session->exchange->member, ask->state,
		        ask->error, OUTCOME_LOOKUP_FAILED);
	}
	ask_end(ask);
	return session_judge(session);
}
