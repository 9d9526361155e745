/* SPDX-License-Identifier: MIT */
#include "session/state.h"

#include "base/clock.h"
#include "hostfs/hostfs.h"
#include "learn/learn.h"

#include <errno.h>

enum {
	REFUSAL_MAX = 640,       /* bytes of the sentence about a limit */
	ENGINE_WORDS_LEN = 1024, /* bytes of a sentence about an Engine that is denied */
};

/* ── IDLE and HEAD: a request comes in ───────────────────────────────────── */

/* At the end idle sessions are closed, but not in front of a request that has come already, or is
 * on its way: a client whose new connection ends without a response takes that for a failure. */
static enum next wait_for_request(const struct session *session)
{
	const struct worker *worker = session->worker;

	if (!worker->stopping ||
	        worker->loop.now_ns - session->since_ns < SESSION_NEWCOMER_S * NS_PER_S) {
		return NEXT_WAIT;
	}
	if (stream_is_quiet(&session->client)) {
		return NEXT_CLOSE;
	}
	return session->client.readable ? NEXT_AGAIN : NEXT_WAIT;
}

enum next session_step_idle(struct session *session)
{
	if (http_is_before_head(flow_unjudged(&session->up))) {
		const ssize_t n = flow_read(
		        &session->up, &session->worker->lender, &session->client, SIZE_MAX);
		if (n == -EAGAIN) {
			flow_release(&session->up, &session->worker->lender);
			return wait_for_request(session);
		}
		if (n <= 0) {
			return next_after_read(session, n);
		}
		if (UNLIKELY(http_is_before_head(flow_unjudged(&session->up)))) {
			return NEXT_AGAIN;
		}
	}
	session->scan = (struct http_scan){0};
	return session_enter(session, SESSION_HEAD);
}

/* What must be remembered of the request when the scratch is gone. */
static void note_head(struct exchange *exchange, const struct http_request *head)
{
	struct audit_record *record = &exchange->record;

	record->method_len = (unsigned)text_keep(record->method, AUDIT_METHOD_MAX, head->method);
	record->path_len = (unsigned)text_keep(record->path, AUDIT_PATH_MAX, head->path);
	exchange->to_head = slice_equal(head->method, SLICE("HEAD"));
	exchange->safe = exchange->to_head || slice_equal(head->method, SLICE("GET"));
	exchange->old_client = head->head.minor_version == 0;
	exchange->keep_client = head->head.keep_alive;
}

/* Of the query only what the catalogue knows to be no secret. */
static void note_subject(struct audit_record *record, unsigned id, struct slice query)
{
	struct text name = text_over(record->name, AUDIT_NAME_MAX);
	struct text image = text_over(record->image, AUDIT_NAME_MAX);

	docker_add_name(id, query, &name);
	docker_add_image(id, query, &image);
	record->name_len = (unsigned)name.len;
	record->image_len = (unsigned)image.len;
}

/* Keep the protocol that the client asks for, to compare it with the protocol of a 101. */
static bool keep_protocol(struct exchange *exchange, struct slice protocol)
{
	exchange->protocol_len =
	        (unsigned)text_keep(exchange->protocol, EXCHANGE_PROTOCOL_MAX, protocol);
	return protocol.ptr != NULL && exchange->protocol_len == protocol.len;
}

static void note_operation(struct session *session, const struct gate_decision *decision)
{
	struct exchange *exchange = session->exchange;
	const struct docker_endpoint *endpoint = docker_endpoint(decision->request->id);
	const bool has_names = session_listener(session)->gate.engines != NULL;

	exchange->record.operation = docker_operation_name(decision->request->id);
	exchange->operation = decision->request->id + 1;
	exchange->traits = endpoint == NULL ? 0 : endpoint->traits;
	exchange->redaction = decision->redaction;
	exchange->narrows = decision->narrows;
	exchange->top_as_usual = decision->top_as_usual;
	exchange->named = has_names && decision->engine <= ENGINES_MAX ? decision->engine + 1 : 0;
	exchange->safe = exchange->safe && (exchange->traits & DOCKER_WRITE) == 0;
	exchange->upgrade = (exchange->traits & DOCKER_HIJACK) != 0 &&
	                    keep_protocol(exchange, decision->head->head.upgrade);
	if (decision->head->query.len > 0) {
		note_subject(&exchange->record, decision->request->id, decision->head->query);
	}
	if (UNLIKELY(session->worker->trail != NULL)) {
		session_note_target(session, decision);
	}
}

/* The name of the Engine that the request means; NULL: none, or there is one alone. */
static const char *engine_of(const struct session *session, const struct gate_decision *decision)
{
	const struct snapshot_listener *listener = session_listener(session);

	return listener->gate.engines == NULL || decision->engine >= ENGINE_ANY
	               ? NULL
	               : session_snapshot(session)->engines[decision->engine].name;
}

/* It was not judged, since its sender may not use the Engine, or it means none. */
static bool is_of_engine(const struct gate_decision *decision)
{
	return decision->outcome == OUTCOME_ENGINE_DENIED ||
	       decision->outcome == OUTCOME_ENGINE_UNNAMED;
}

/* What operators are told of it, and its sender is not. */
struct engine_words {
	char reason[ENGINE_WORDS_LEN];
	struct text advice, remedy;
	char advice_memory[ENGINE_WORDS_LEN];
	char remedy_memory[ENGINE_WORDS_LEN];
};

static SELDOM void find_engine_words(const struct session *session,
        const struct gate_decision *decision, struct engine_words *words)
{
	const struct gate_config *gate = &session_listener(session)->gate;
	struct text reason = text_over(words->reason, sizeof(words->reason) - 1);

	words->advice = text_over(words->advice_memory, sizeof(words->advice_memory));
	words->remedy = text_over(words->remedy_memory, sizeof(words->remedy_memory));
	gate_add_engine_reason(gate, decision, &reason);
	words->reason[reason.len] = '\0';
	gate_advise_engine(gate, decision, &words->advice);
	gate_add_engine_remedy(gate, decision, &words->remedy);
	if (words->remedy.overflow) { /* too long to be pasted is no help */
		words->remedy.len = 0;
	}
}

static void note_denial(struct session *session, const struct gate_decision *decision)
{
	struct worker *worker = session->worker;
	const struct docker_request *request = decision->request;
	struct denial denial = {
	        .caller = &session->caller,
	        .client = decision->client,
	        .clients = decision->clients,
	        .sender = &decision->sender,
	        .method = decision->head->method,
	        .path = request != NULL && !decision->by_path ? request->path
	                                                      : decision->head->path,
	        .query = decision->head->query,
	        .policy = decision->policy,
	        .request = request,
	        .findings = decision->findings,
	        .verdict = &decision->verdict,
	        .outcome = decision->outcome,
	        .reason = decision->reason,
	        .engine = engine_of(session, decision),
	        .listener = session->listener,
	        .id = session->exchange->id,
	};
	struct engine_words words;

	if (is_of_engine(decision)) {
		find_engine_words(session, decision, &words);
		denial.reason = words.reason;
		denial.advice = text_slice(&words.advice);
		denial.remedy = text_slice(&words.remedy);
	}
	denials_report(&worker->shared->denials, worker->loop.now_ns, &denial);
}

/* What the log says in one word of a verdict that no rule explains; NULL: a rule does. */
static const char *reason_of(const struct gate_decision *decision)
{
	if (decision->outcome == OUTCOME_NOT_FOUND) {
		return decision->scope == NULL ? "no such object"
		                               : "not in the scope of the policy";
	}
	return decision->findings == NULL ? NULL : "denied by a block of the policy";
}

static void note_verdict(struct session *session, const struct gate_decision *decision)
{
	struct worker *worker = session->worker;
	const struct verdict *verdict = &decision->verdict;

	if (worker->shared->learn != NULL && policy_observes(decision->policy)) {
		session->exchange->learned = learn_note(worker->shared->learn, &session->caller,
		        decision->client, decision->request, decision->findings);
	}
	session->exchange->client = decision->client;
	session->exchange->record.client = decision->client == NULL ? NULL : decision->client->name;
	session->exchange->record.policy = policy_name(decision->policy);
	session->exchange->policy = policy_number(decision->policy);
	session->exchange->record.observed = verdict->observed;
	session->exchange->rule = verdict->rule;
	if (!verdict->allowed || verdict->observed) {
		session->exchange->record.rule = verdict->rule;
		session->exchange->record.reason = reason_of(decision);
		note_denial(session, decision);
	}
	if (UNLIKELY(verdict->observed)) {
		session_note_observed(session, decision);
	}
}

/* Keep account of the key that the request presented. One that made nobody a client is a miss, even
 * if the sender is a client by other conditions: it may be a guess. */
static void note_key(struct session *session, const struct gate_decision *decision)
{
	struct attempts *attempts = &session->worker->shared->attempts;
	const int64_t now_ns = session->worker->loop.now_ns;
	const struct client *client = decision->client;
	const bool by_key = client != NULL && match_has(&client->match, CONDITION_KEY);

	if (decision->outcome == OUTCOME_SLOWED) {
		return;
	}
	if (by_key && client != session->met) {
		attempts_met(attempts, now_ns, &session->caller, client);
		session->met = client;
	} else if (decision->outcome == OUTCOME_BAD_KEY ||
	           (!by_key && decision->sender.key != NULL && decision->wants_key &&
	                   !decision->elsewhere)) {
		attempts_missed(attempts, now_ns, &session->caller);
	}
}

static void note(struct session *session, const struct gate_decision *decision)
{
	if (decision->clients != NULL) {
		note_key(session, decision);
	}
	note_head(session->exchange, decision->head);
	session->exchange->recalled = decision->recalled;
	/* A denial: the user of the browser may not have caused it, and a HEAD shows no reason. */
	if (decision->outcome == OUTCOME_BROWSER || decision->outcome == OUTCOME_NO_KEY ||
	        decision->outcome == OUTCOME_BAD_KEY || decision->outcome == OUTCOME_SLOWED ||
	        is_of_engine(decision)) {
		note_denial(session, decision);
	}
	if (decision->request != NULL) {
		note_operation(session, decision);
	}
	if (decision->policy != NULL) {
		note_verdict(session, decision);
	} else if (decision->client != NULL) { /* known, and no policy was asked */
		session->exchange->client = decision->client;
		session->exchange->record.client = decision->client->name;
	}
}

/* ── Forwarding ──────────────────────────────────────────────────────────── */

/* GET /health: a dial without a request. */
static SELDOM enum next probe(struct session *session, const struct gate_decision *decision)
{
	session->exchange->record.quiet = true;
	session->exchange->probe = true;
	if (decision->engine == ENGINE_NONE) { /* the proxy alone is asked about */
		return session_respond_healthy(session);
	}
	return session_choose(session, decision->engine) ? session_start_dialling(session)
	                                                 : session_starve(session);
}

/* Put the head that is sent in place of the received one, and the body that was judged. */
static bool replace_request(struct session *session, const struct http_request *request,
        struct slice head, struct slice body)
{
	struct flow *up = &session->up;

	if (body.ptr == NULL) {
		flow_start(up, request->head.framing, request->head.content_length);
		return buffer_replace(up->buffer, session->scan.head_len, head, body);
	}
	const size_t received = session->scan.head_len + (size_t)up->data;
	flow_start(up, HTTP_LENGTH, 0);
	return buffer_replace(up->buffer, received, head, body) ||
	       (buffer_hold(&session->worker->lender.buffers, &up->buffer) &&
	               buffer_replace(up->buffer, received, head, body));
}

/*
 * The mark by which a request that comes back is known: two proxies that are each other's Engine
 * would forward it for ever. A request that came over TCP and goes to a unix socket, which is what
 * nearly all do, needs none: if that socket is another proxy's, it is that proxy which marks it.
 */
static struct slice mark_of(const struct session *session)
{
	const char *via = session->worker->shared->via;
	const struct slice none = {NULL, 0};
	const bool from_unix = session->caller.address.any.sa_family == AF_UNIX;
	const bool to_unix = session_engine(session)->address.any.sa_family == AF_UNIX;

	return (to_unix && !from_unix) || via[0] == '\0' ? none
	                                                 : (struct slice){via, SESSION_VIA_LEN};
}

/* The response is local: only the rest of the request's body, if any, is still to be read. */
static void keep_here(struct session *session, const struct http_head *head)
{
	if (session->exchange->gathered) {
		const size_t body_len = (size_t)session->up.data;
		flow_start(&session->up, HTTP_LENGTH, 0);
		buffer_skip(session->up.buffer, session->scan.head_len + body_len);
		return;
	}
	flow_start(&session->up, head->framing, head->content_length);
	buffer_skip(session->up.buffer, session->scan.head_len);
}

/* The head is written anew in front of the body bytes that came with it. */
static enum next forward(struct session *session, const struct gate_decision *decision)
{
	struct worker *worker = session->worker;
	struct exchange *exchange = session->exchange;
	const struct http_request *head = decision->head;

	if (!session_choose(session, decision->engine)) {
		return session_starve(session);
	}
	const char *key = session_engine(session)->api_key;
	const struct slice body = decision->body;
	const struct http_request_options options = {
	        .hide_keys = session_listener(session)->gate.clients != NULL &&
	                     session_listener(session)->gate.clients->has_keys,
	        .api_key = key == NULL ? (struct slice){NULL, 0} : slice_of(key),
	        .via = mark_of(session),
	        .upgrade = exchange->upgrade,
	        /* The Engine reads no body there: what it finds behind the head is standard input.
	         */
	        .drop_body = (exchange->traits & DOCKER_ATTACH) != 0,
	        .has_body = body.ptr != NULL,
	        .body_len = body.len,
	};
	struct text text = text_over(worker->scratch, worker->scratch_len);

	if (UNLIKELY(worker->trail != NULL) && !session_may_forward(session)) {
		keep_here(session, &head->head);
		return session_respond(session, OUTCOME_AUDIT_FAILED);
	}
	session_keep(session, decision); /* the head is replaced */
	http_request_write(&text, head, decision->request->path, &options);
	if (text.overflow || !replace_request(session, head, text_slice(&text), body)) {
		return session_refuse(
		        session, OUTCOME_TOO_LARGE, http_error_text(HTTP_BAD_TOO_LARGE));
	}
	session->up.drop = options.drop_body;
	if (UNLIKELY(exchange->body_max > 0) && !options.drop_body) {
		session->up.most = exchange->body_max;
	}
	exchange->replay_len = session->up.complete ? (uint32_t)(text.len + body.len) : 0;
	session_meter_forward(session, body.len);
	if (UNLIKELY(worker->trail != NULL)) {
		session_record_begin(session);
	}
	return session_start_dialling(session);
}

static SELDOM enum next respond_loop(struct session *session, const struct gate_decision *decision)
{
	const struct snapshot *snapshot = session_snapshot(session);
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	/* One of several is known by its name: who may use it is not asked yet. */
	text_add_format(&text,
	        "%s: %.256s. Give the address at which the Engine itself listens (--upstream)",
	        outcome_text(OUTCOME_LOOP),
	        decision->engine == ENGINE_DEFAULT ? snapshot->engines[0].text : "see 'engines'");
	return session_say(session, OUTCOME_LOOP, text_slice(&text));
}

/* A request that was understood, and is not forwarded. */
static SELDOM enum next respond(struct session *session, const struct gate_decision *decision)
{
	keep_here(session, &decision->head->head);
	if (decision->outcome == OUTCOME_DENIED || decision->outcome == OUTCOME_KEY_WANTED ||
	        decision->outcome == OUTCOME_NOT_FOUND ||
	        decision->outcome == OUTCOME_ENGINE_UNNAMED) {
		return session_respond_denied(session, decision);
	}
	if (decision->outcome == OUTCOME_LOOP) {
		return respond_loop(session, decision);
	}
	if (session->worker->stopping) {
		return session_respond(session, OUTCOME_STOPPING);
	}
	if (decision->outcome == OUTCOME_ENGINES) {
		return session_respond_engines(session, decision);
	}
	return decision->outcome == OUTCOME_HEALTHY ? probe(session, decision)
	                                            : session_respond(session, decision->outcome);
}

void session_note_request(struct session *session, const struct gate_decision *decision)
{
	note_head(session->exchange, decision->head);
	note_operation(session, decision);
}

static enum next act(struct session *session, const struct gate_decision *decision)
{
	if (decision->head == NULL) {
		return session_refuse(session, decision->outcome, decision->reason);
	}
	if (session->exchange == NULL && session_exchange(session) == NULL) {
		return session_starve(session);
	}
	note(session, decision);
	if (decision->request == NULL) {
		return session_refuse(session, decision->outcome, decision->reason);
	}
	/* A request that came before the end is served within the grace: its client may not ask
	 * again. */
	if (decision->action == GATE_RESPOND || session->worker->dismissing) {
		return respond(session, decision);
	}
	ASSERT(decision->action == GATE_FORWARD);
	return forward(session, decision);
}

/* The client waits for a sign that its body is wanted (RFC 9110 section 10.1.1). */
static SELDOM bool ask_for_body(struct session *session, const struct http_request *head)
{
	const struct slice expect = http_other_value(&head->head, SLICE("expect"));

	if (head->head.minor_version == 0 || !slice_equal_nocase(expect, SLICE("100-continue"))) {
		return true;
	}
	return session_continue(session);
}

static SELDOM enum next await_body(struct session *session, const struct gate_decision *decision)
{
	const struct http_head *head = &decision->head->head;

	if (session->exchange == NULL && session_exchange(session) == NULL) {
		return session_starve(session);
	}
	if (!ask_for_body(session, decision->head)) {
		return session_starve(session);
	}
	note_head(session->exchange, decision->head);
	flow_start(&session->up, head->framing, head->content_length);
	return session_enter(session, SESSION_BODY);
}

static struct slice pseudonym_of(const struct worker_shared *shared)
{
	const size_t skipped = shared->via[0] == '\0' ? SESSION_VIA_LEN : SESSION_PROTOCOL_LEN;

	return (struct slice){shared->via + skipped, SESSION_VIA_LEN - skipped};
}

/* The gate decides on what was read. */
static struct gate_decision ask(struct session *session, struct inspect_memory *memory)
{
	const struct exchange *exchange = session->exchange;
	const struct slice bytes = flow_unjudged(&session->up);
	const bool whole = exchange != NULL && exchange->gathered;
	const struct snapshot_listener *listener = session_listener(session);
	const bool has_keys = listener->gate.clients != NULL && listener->gate.clients->has_keys;
	struct loop *loop = &session->worker->loop;
	const struct gate_question question = {
	        .caller = &session->caller,
	        .slowdown = has_keys ? attempts_look(&session->worker->shared->attempts,
	                                       loop->now_ns, &session->caller)
	                             : (struct slowdown){.slowed = false},
	        .container = session->whereabouts == WHEREABOUTS_CONTAINER
	                             ? &session->found->container
	                             : NULL,
	        .container_asked = session->whereabouts != WHEREABOUTS_UNKNOWN,
	        .now_s = listener->gate.clients == NULL ? 0 : loop_realtime_ns(loop) / NS_PER_S,
	        .pseudonym = pseudonym_of(session->worker->shared),
	        .server_name = session_server_name(session, &listener->gate),
	        .bytes = bytes,
	        .scan = &session->scan,
	        .body = {whole ? bytes.ptr + session->scan.head_len : NULL,
	                whole ? (size_t)session->up.data : 0},
	        .memory = memory,
	        .answers = exchange == NULL ? NULL : session_answers(session),
	};

	return gate_decide(&listener->gate, &question, &session->worker->gate);
}

/* Whether the request counts, and was not counted before a wait. One that was not routed ends its
 * connection. */
static bool is_counted(const struct session *session, const struct gate_decision *decision)
{
	const bool is_probe = decision->outcome == OUTCOME_HEALTHY && !decision->by_path;

	return decision->request != NULL && !is_probe && decision->action != GATE_NEED_CALLER &&
	       (session->exchange == NULL || !session->exchange->admitted);
}

/* Seconds, rounded up. */
static unsigned seconds_of(int64_t wait_ns)
{
	return (unsigned)((wait_ns + NS_PER_S - 1) / NS_PER_S);
}

/* The key counts as one of every request. */
static SELDOM void note_refusal(struct session *session, const struct gate_decision *decision,
        enum outcome outcome, const char *reason)
{
	const struct denial denial = {
	        .caller = &session->caller,
	        .client = decision->client,
	        .method = decision->head->method,
	        .path = decision->request->path,
	        .outcome = outcome,
	        .reason = reason,
	        .listener = session->listener,
	        .id = session->exchange->id,
	};

	if (decision->clients != NULL) {
		note_key(session, decision);
	}
	session_note_request(session, decision);
	session_report_refusal(session->worker, &denial);
}

/* A limit was reached. */
static SELDOM enum next refuse(struct session *session, const struct gate_decision *decision,
        const struct refusal *refusal)
{
	const enum outcome outcome = limit_outcome(refusal->limit);
	char memory[REFUSAL_MAX] = "";
	struct text text = text_over(memory, sizeof(memory) - 1);

	session_add_refusal(decision->client, refusal, &text);
	note_refusal(session, decision, outcome, memory);
	session->exchange->retry_s = seconds_of(refusal->wait_ns);
	keep_here(session, &decision->head->head);
	if (refusal->limit == LIMIT_CONNECTIONS) {
		session->exchange->keep_client = false;
	}
	return session_say(session, outcome, text_slice(&text));
}

enum next session_refuse_body(struct session *session)
{
	struct exchange *exchange = session->exchange;
	const struct audit_record *record = &exchange->record;
	const struct refusal refusal = {.limits = exchange->limits, .limit = LIMIT_BODY};
	char memory[REFUSAL_MAX] = "";
	struct text text = text_over(memory, sizeof(memory) - 1);
	const struct denial denial = {
	        .caller = &session->caller,
	        .client = exchange->client,
	        .method = {record->method, record->method_len},
	        .path = {record->path, record->path_len},
	        .outcome = OUTCOME_LIMIT_BODY,
	        .reason = memory,
	        .listener = session->listener,
	        .id = exchange->id,
	};

	accounts_refuse(session->worker->shared->accounts, session->account, LIMIT_BODY);
	meter_count_limit(session->worker->meter,
	        exchange->client == NULL ? 0 : exchange->client->metric, LIMIT_BODY);
	session_add_refusal(exchange->client, &refusal, &text);
	session_report_refusal(session->worker, &denial);
	session->up.complete = false;
	exchange->keep_client = false;
	return session_say(session, OUTCOME_LIMIT_BODY, text_slice(&text));
}

static enum next follow(struct session *session, const struct gate_decision *decision)
{
	struct refusal refusal;

	if (UNLIKELY(session_snapshot(session)->has_limits) && is_counted(session, decision)) {
		if (session->exchange == NULL && session_exchange(session) == NULL) {
			return session_starve(session);
		}
		if (!session_take(session, decision, &refusal)) {
			return refuse(session, decision, &refusal);
		}
	}
	if (decision->action == GATE_NEED_BODY) {
		return await_body(session, decision);
	}
	if (decision->action == GATE_NEED_CALLER) {
		return session_find_container(session, decision);
	}
	return decision->action == GATE_NEED_LOOKUP ? session_look_up(session, decision)
	                                            : act(session, decision);
}

/* The gate looks into the request. */
static SELDOM enum next ask_with_memory(struct session *session)
{
	struct pool *pool = &session->worker->inspect_pool;
	struct inspect_memory *memory = pool_take(pool);

	if (memory == NULL) {
		return session_starve(session);
	}
	inspect_paths_begin(&memory->paths);
	struct gate_decision decision = ask(session, memory);
	if (decision.action == GATE_NEED_PATHS) {
		hostfs_answer(session_snapshot(session)->host_root, &memory->paths);
		decision = ask(session, memory);
	}
	const enum next next = follow(session, &decision);
	pool_give(pool, memory);
	return next;
}

enum next session_judge(struct session *session)
{
	if (session->exchange != NULL && session->exchange->gathered) {
		return ask_with_memory(session);
	}
	const struct gate_decision decision = ask(session, NULL);
	return decision.action == GATE_NEED_MEMORY ? ask_with_memory(session)
	                                           : follow(session, &decision);
}

enum next session_step_head(struct session *session)
{
	struct worker *worker = session->worker;

	if (UNLIKELY(session->trust != session_listener(session)->trust) &&
	        !session_trust_again(session)) {
		return NEXT_CLOSE;
	}
	for (;;) {
		const struct gate_decision decision = ask(session, NULL);
		if (decision.action == GATE_NEED_MEMORY) {
			return ask_with_memory(session);
		}
		if (decision.action != GATE_NEED_HEAD) {
			return follow(session, &decision);
		}
		const ssize_t n =
		        flow_read(&session->up, &worker->lender, &session->client, SIZE_MAX);
		if (n == -ENOMEM) {
			return session_refuse(session, OUTCOME_TOO_MANY_HEADS, NULL);
		}
		if (n <= 0) {
			return next_after_read(session, n);
		}
	}
}

/* ── BODY ────────────────────────────────────────────────────────────────── */

/* What becomes of a body that cannot be read whole. */
static const struct {
	enum flow_result result;
	enum outcome outcome;
} body_outcomes[] = {
        {FLOW_MALFORMED, OUTCOME_BODY_MALFORMED},
        {FLOW_TOO_LARGE, OUTCOME_BODY_TOO_LARGE},
        {FLOW_FULL, OUTCOME_TOO_MANY_BODIES},
};

static SELDOM enum next give_up_body(struct session *session, enum flow_result result)
{
	for (unsigned i = 0; i < ARRAY_LEN(body_outcomes); i++) {
		if (body_outcomes[i].result == result) {
			return session_refuse(session, body_outcomes[i].outcome, NULL);
		}
	}
	return next_after(session, result);
}

enum next session_step_body(struct session *session)
{
	const uint64_t limit = session->exchange->body_max;
	const uint64_t most = limit > 0 && limit < INSPECT_BODY_MAX ? limit : INSPECT_BODY_MAX;
	const enum flow_result result = flow_gather(&session->up, &session->worker->lender,
	        &session->client, session->scan.head_len, most);

	if (result == FLOW_TOO_LARGE && most == limit) {
		return session_refuse_body(session);
	}
	if (result != FLOW_COMPLETE) {
		return give_up_body(session, result);
	}
	session->exchange->gathered = true;
	return session_judge(session);
}
