/* SPDX-License-Identifier: MIT */
/*
 * revoke — requests in progress that another configuration does not allow any more.
 *
 * A request ends under the snapshot that judged it. A stream would keep for days what was taken
 * away: streams are judged again as soon as there is another snapshot, and every other request once
 * it has lasted as long as no short one does. The gate itself judges, with what was kept of the
 * head.
 */
#include "base/clock.h"
#include "session/state.h"

#include <stdlib.h>

enum { SHORT_S = 10 }; /* a request that takes longer is judged again, too */

/* ── What is kept ────────────────────────────────────────────────────────── */

void session_keep(struct session *session, const struct gate_decision *decision)
{
	struct exchange *exchange = session->exchange;
	const struct http_request *head = decision->head;
	const struct key *key = decision->sender.key;
	const struct slice parts[] = {head->path, head->query.ptr == NULL ? SLICE("") : head->query,
	        key == NULL ? SLICE("") : key->text};
	const size_t len = parts[0].len + parts[1].len + parts[2].len;

	exchange->forwarded = true;
	exchange->scope = decision->scope;
	exchange->has_body = head->head.framing == HTTP_CHUNKED || head->head.content_length > 0;
	exchange->has_query = head->query.ptr != NULL;
	exchange->of_browser =
	        session_listener(session)->gate.browsers && http_check_browser(head) != HTTP_OK;
	exchange->kept = len <= EXCHANGE_KEPT_MAX ? exchange->kept_here : malloc(len);
	if (exchange->kept == NULL) {
		return;
	}
	struct text text = text_over(exchange->kept, len);
	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		text_add(&text, parts[i]);
	}
	exchange->path_len = (unsigned)parts[0].len;
	exchange->query_len = (unsigned)parts[1].len;
	exchange->key_len = (unsigned)parts[2].len;
}

void session_forget(struct exchange *exchange)
{
	if (exchange->key_len > 0) {
		explicit_bzero(exchange->kept + exchange->path_len + exchange->query_len,
		        exchange->key_len);
	}
	if (exchange->kept != exchange->kept_here) {
		free(exchange->kept);
	}
}

/* ── Judging ─────────────────────────────────────────────────────────────── */

/* The question of `ask()` in request.c, as far as it is asked of a request in progress. */
static struct gate_decision ask(const struct session *session, const struct caller *caller,
        const struct snapshot_listener *listener, struct inspect_memory *memory)
{
	struct exchange *exchange = session->exchange;
	const char *query = exchange->kept + exchange->path_len;
	struct key key;

	key_present((struct slice){query + exchange->query_len, exchange->key_len}, &key);
	const struct gate_kept kept = {
	        .method = {exchange->record.method, exchange->record.method_len},
	        .path = {exchange->kept, exchange->path_len},
	        .query = {exchange->has_query ? query : NULL, exchange->query_len},
	        .has_body = exchange->has_body,
	        .key = exchange->key_len > 0 ? &key : NULL,
	};
	const struct gate_question question = {
	        .caller = caller,
	        .container = session->found == NULL || session->whereabouts == WHEREABOUTS_NOWHERE
	                             ? NULL
	                             : &session->found->container,
	        .container_asked = session->found != NULL || session->was_nowhere,
	        .now_s = loop_realtime_ns(&session->worker->loop) / NS_PER_S,
	        .server_name = session_server_name(session, &listener->gate),
	        .memory = memory,
	        .kept = &kept,
	};
	struct gate_decision decision =
	        gate_decide_again(&listener->gate, &question, &session->worker->gate);
	decision.sender.key = NULL; /* it ends here */
	return decision;
}

/*
 * Whether the Engine that has the request is the one that it would go to: of the same name, at the
 * same place. Another one may have another one's name now.
 */
static bool keeps_engine(
        const struct exchange *exchange, const struct snapshot *next, unsigned number)
{
	const struct snapshot_engine *former = exchange->adoption->snapshot->engines;
	const struct snapshot_engine *engine = &next->engines[number];
	const unsigned member = snapshot_find_engine(next, former[exchange->member].id);
	bool keeps = exchange->engine == exchange->member;

	if (engine->id != former[exchange->engine].id || member == next->engine_count) {
		return false;
	}
	for (unsigned i = 0; i < engine->member_count; i++) {
		keeps = keeps || engine->members[i] == member;
	}
	return keeps;
}

/* Why the decision ends the request; NULL: it does not. */
static const char *find_reason(const struct exchange *exchange, const struct snapshot *next,
        const struct gate_decision *decision)
{
	if (decision->action == GATE_NEED_CALLER) {
		return "the reloaded configuration depends on the container of the client, which "
		       "is not known";
	}
	if (decision->action == GATE_RESPOND && decision->outcome == OUTCOME_DENIED) {
		return "the reloaded configuration denies the operation to the client";
	}
	if (decision->action == GATE_RESPOND &&
	        (decision->outcome == OUTCOME_ENGINE_DENIED ||
	                decision->outcome == OUTCOME_ENGINE_UNNAMED)) {
		return "the reloaded configuration does not have the Engine for the client";
	}
	if (decision->action != GATE_FORWARD) {
		return "the reloaded configuration does not know the client";
	}
	if (!keeps_engine(exchange, next, decision->engine)) {
		return "the reloaded configuration has the Engine at another address";
	}
	if (!scope_equal(exchange->scope, decision->scope)) {
		return "the reloaded configuration has another scope for the client";
	}
	return redaction_equal(exchange->redaction, decision->redaction)
	               ? NULL
	               : "the reloaded configuration hides other values of the response";
}

/* The client that the request has now is that of the snapshot of today. */
static void renew(struct session *session, const struct client *client)
{
	struct exchange *exchange = session->exchange;

	if (exchange->renewed != NULL) {
		worker_leave(session->worker, exchange->renewed);
	}
	exchange->renewed = worker_enter(session->worker);
	exchange->client = client;
}

static const char *judge(
        struct session *session, const struct snapshot_listener *listener, unsigned number)
{
	struct pool *pool = &session->worker->inspect_pool;
	struct caller caller = session->caller;

	caller.listener = number;
	struct gate_decision decision = ask(session, &caller, listener, NULL);
	if (decision.action == GATE_NEED_MEMORY) {
		struct inspect_memory *memory = pool_take(pool);
		if (memory == NULL) {
			return "there is no memory to judge it again";
		}
		inspect_paths_begin(&memory->paths);
		decision = ask(session, &caller, listener, memory);
		pool_give(pool, memory);
	}
	const char *reason =
	        find_reason(session->exchange, session->worker->adoption->snapshot, &decision);
	if (reason == NULL) {
		renew(session, decision.client);
	}
	return reason;
}

/* Why the request ends; NULL: it goes on. */
static const char *judge_again(struct session *session)
{
	const struct exchange *exchange = session->exchange;
	const struct snapshot *snapshot = session->worker->adoption->snapshot;
	const unsigned number = snapshot_find_listener(snapshot, session->listener_id);
	const struct snapshot_listener *listener = &snapshot->listeners[number];

	if (number == snapshot->listener_count ||
	        listener->is_tls != (session->client.tls != NULL)) {
		return "the reloaded configuration has no such listener";
	}
	if (session->trust != listener->trust && !session_trust_again(session)) {
		return "the reloaded configuration does not accept the certificate of the client";
	}
	if (exchange->of_browser && !listener->gate.browsers) {
		return "the reloaded configuration does not accept browsers";
	}
	return exchange->kept == NULL ? "there was no memory to judge it again"
	                              : judge(session, listener, number);
}

bool session_judge_again(struct session *session)
{
	struct exchange *exchange = session->exchange;
	struct worker *worker = session->worker;
	const struct adoption *last =
	        exchange->renewed != NULL ? exchange->renewed : exchange->adoption;
	const bool streams = (exchange->traits & (DOCKER_STREAM | DOCKER_HIJACK)) != 0;
	const int64_t age_ns = worker->loop.now_ns - exchange->record.started_ns;

	if (last == worker->adoption || session->state == SESSION_RESPOND) {
		return false;
	}
	if (!exchange->forwarded || (!streams && age_ns < SHORT_S * NS_PER_S)) {
		return true;
	}
	const char *reason = judge_again(session);
	if (reason != NULL) {
		exchange->record.outcome = OUTCOME_REVOKED;
		exchange->record.reason = reason;
		(void)atomic_fetch_add(&worker->shared->revoked, 1);
		session_close(session);
	}
	return false;
}
