/* SPDX-License-Identifier: MIT */
#include "session/state.h"

#include "base/clock.h"
#include "learn/learn.h"

#include <errno.h>

enum { DIAL_TIMEOUT_S = 10 };

/* ── IDLE and HEAD: a request comes in ───────────────────────────────────── */

/* At the end idle sessions are closed, but not in front of a request that has come already. */
static enum next wait_for_request(const struct session *session)
{
	return session->worker->stopping && stream_is_quiet(&session->client) ? NEXT_CLOSE
	                                                                      : NEXT_WAIT;
}

enum next session_step_idle(struct session *session)
{
	if (flow_unjudged(&session->up).len == 0) {
		const ssize_t n = flow_read(
		        &session->up, &session->worker->lender, &session->client, SIZE_MAX);
		if (n == -EAGAIN) {
			flow_release(&session->up, &session->worker->lender);
			return wait_for_request(session);
		}
		if (n <= 0) {
			return NEXT_CLOSE;
		}
	}
	session->scan = (struct http_scan){0};
	return session_enter(session, SESSION_HEAD);
}

static void note_request(struct exchange *exchange, const struct http_request *request)
{
	struct audit_record *record = &exchange->record;

	record->method_len = (unsigned)text_keep(record->method, AUDIT_METHOD_MAX, request->method);
	record->path_len = (unsigned)text_keep(record->path, AUDIT_PATH_MAX, request->path);
	exchange->to_head = slice_equal(request->method, SLICE("HEAD"));
	exchange->safe = exchange->to_head || slice_equal(request->method, SLICE("GET"));
	exchange->old_client = request->head.minor_version == 0;
	exchange->keep_client = request->head.keep_alive;
}

static enum next start_dialling(struct session *session)
{
	session->exchange->dial_since_ns = session->worker->loop.now_ns;
	return session_enter(session, SESSION_DIAL);
}

enum next session_probe(struct session *session)
{
	session->exchange->record.quiet = true;
	session->exchange->probe = true;
	return start_dialling(session);
}

/* The head is written anew in front of the body bytes that came with it. */
static enum next forward(
        struct session *session, const struct http_request *request, struct slice path)
{
	struct worker *worker = session->worker;
	struct exchange *exchange = session->exchange;
	const char *key = worker->settings->api_key;
	const struct http_request_options options = {
	        .api_key = key == NULL ? (struct slice){NULL, 0} : slice_of(key),
	        .upgrade = exchange->upgrade,
	        /* The Engine reads no body there: what it finds behind the head is standard input.
	         */
	        .drop_body = (exchange->traits & DOCKER_ATTACH) != 0,
	};
	struct text text = text_over(worker->scratch, worker->scratch_len);

	http_request_write(&text, request, path, &options);
	flow_start(&session->up, request->head.framing, request->head.content_length);
	if (text.overflow ||
	        !buffer_replace(session->up.buffer, session->scan.head_len, text_slice(&text))) {
		return session_refuse(session, HTTP_BAD_TOO_LARGE);
	}
	session->up.drop = options.drop_body;
	exchange->replay_len = session->up.complete ? (uint32_t)text.len : 0;
	return start_dialling(session);
}

/* Whether the request may be looked at at all, whoever sends it. */
static enum http_error admit(const struct session *session, const struct http_request *request)
{
	const enum http_error error = http_check_type(request);

	return error != HTTP_OK || session->listener->browsers ? error
	                                                       : http_check_browser(request);
}

/* What is asked for, in worker->request. */
static enum docker_error route(struct session *session, const struct http_request *request)
{
	const struct http_head *head = &request->head;
	const struct docker_target target = {
	        .method = request->method,
	        .path = request->path,
	        .query = request->query,
	        .has_body = head->framing == HTTP_CHUNKED || head->content_length > 0,
	};
	struct docker_request *routed = &session->worker->request;
	const enum docker_error error = docker_route(&target, routed);

	if (error == DOCKER_OK) {
		struct exchange *exchange = session->exchange;
		const struct docker_endpoint *endpoint = docker_endpoint(routed->id);
		exchange->record.operation = docker_operation_name(routed->id);
		exchange->traits = endpoint == NULL ? 0 : endpoint->traits;
		exchange->safe = exchange->safe && (exchange->traits & DOCKER_WRITE) == 0;
		exchange->upgrade =
		        (exchange->traits & DOCKER_HIJACK) != 0 && head->upgrade.ptr != NULL;
	}
	return error;
}

/* The answer is ours: the request's body, if any, is all that is still to be read of it. */
static void keep_here(struct session *session, const struct http_request *request)
{
	flow_start(&session->up, request->head.framing, request->head.content_length);
	buffer_skip(session->up.buffer, session->scan.head_len);
}

static enum next answer_here(struct session *session, const struct http_request *request)
{
	keep_here(session, request);
	return session->worker->stopping
	               ? session_respond_error(session, 503, "the proxy is shutting down")
	               : session_probe(session);
}

static bool is_health(const struct session *session)
{
	return session->exchange->safe &&
	       slice_equal(session->worker->request.path, SLICE("/health"));
}

/* Whether the policy of the listener lets it through. */
static enum next judge(struct session *session, const struct http_request *request)
{
	struct worker *worker = session->worker;
	const struct policy *policy = session->listener->policy;
	const struct verdict verdict = policy_judge(policy, &worker->request, worker->judging);

	if (session->listener->learns) {
		learn_note(worker->settings->learn, session->client_name, &worker->request);
	}
	session->exchange->record.policy = policy_name(policy);
	session->exchange->record.observed = verdict.observed;
	if (!verdict.allowed || verdict.observed) {
		denials_report(worker->settings->denials, worker->loop.now_ns, session->client_name,
		        policy, &worker->request, &verdict);
	}
	if (verdict.allowed) {
		return forward(session, request, worker->request.path);
	}
	keep_here(session, request);
	return session_respond_denied(session, &verdict);
}

/* The order of the checks: head, who, what, verdict. */
static enum next judge_request(struct session *session)
{
	struct worker *worker = session->worker;
	struct http_request request;
	const struct slice head = {flow_unjudged(&session->up).ptr, session->scan.head_len};
	enum http_error error = http_request_parse(head, worker->fields, &request);

	if (session_exchange(session) == NULL) {
		return NEXT_CLOSE;
	}
	if (error != HTTP_OK) {
		return session_refuse(session, error);
	}
	note_request(session->exchange, &request);
	error = admit(session, &request);
	if (error != HTTP_OK) {
		return session_reject(session, http_error_status(error), http_error_text(error));
	}
	const enum docker_error bad = route(session, &request);
	if (bad != DOCKER_OK) {
		return session_reject(session, 400, docker_error_text(bad));
	}
	return worker->stopping || is_health(session) ? answer_here(session, &request)
	                                              : judge(session, &request);
}

enum next session_step_head(struct session *session)
{
	struct worker *worker = session->worker;
	const unsigned max_head = worker->settings->max_head;

	for (;;) {
		const struct slice bytes = flow_unjudged(&session->up);
		const enum http_progress progress = http_scan_head(&session->scan, bytes);
		const size_t head_len = progress == HTTP_DONE ? session->scan.head_len : bytes.len;
		if (progress == HTTP_BAD) {
			return session_refuse(session, session->scan.error);
		}
		if (head_len > max_head) {
			return session_refuse(session, HTTP_BAD_TOO_LARGE);
		}
		if (progress == HTTP_DONE) {
			return judge_request(session);
		}
		const ssize_t n =
		        flow_read(&session->up, &worker->lender, &session->client, SIZE_MAX);
		if (n == -EAGAIN) {
			return NEXT_WAIT;
		}
		if (n <= 0) {
			return NEXT_CLOSE;
		}
	}
}

/* ── DIAL ────────────────────────────────────────────────────────────────── */

static enum upstream_wish wish_of(const struct exchange *exchange)
{
	if (exchange->dialled_again || exchange->probe) {
		return UPSTREAM_FRESH;
	}
	return exchange->safe && exchange->replay_len > 0 ? UPSTREAM_ANY : UPSTREAM_ALIVE;
}

/* 0 when the Engine's connection can be used, -EAGAIN when it has to be waited for. */
static int dial(struct session *session)
{
	if (session->engine == NULL) {
		const int error =
		        upstream_borrow(&session->worker->upstream, wish_of(session->exchange),
		                session_engine_notified, session, &session->engine);
		if (error < 0) {
			return error;
		}
	}
	return stream_handshake(&session->engine->stream);
}

/* Until the connection is there, or, without one, until there may be room in the Engine's queue. */
static enum next wait_to_dial(struct session *session)
{
	const struct exchange *exchange = session->exchange;
	const enum session_state state = session->engine != NULL ? SESSION_DIAL : SESSION_QUEUE;
	const int64_t waited_ns = session->worker->loop.now_ns - exchange->dial_since_ns;

	if (state == SESSION_QUEUE && (exchange->probe || waited_ns > DIAL_TIMEOUT_S * NS_PER_S)) {
		return session_respond_dial(session, -EAGAIN);
	}
	if (state == SESSION_QUEUE || session->state != state) {
		(void)session_enter(session, state);
	}
	return NEXT_WAIT;
}

enum next session_step_dial(struct session *session)
{
	const int error = dial(session);

	if (error == -EAGAIN) {
		return wait_to_dial(session);
	}
	if (error < 0) {
		return session_respond_dial(session, error);
	}
	if (session->exchange->probe) {
		return session_respond_healthy(session);
	}
	session->scan = (struct http_scan){0};
	return session_enter(session, SESSION_REPLY);
}

/* A reused connection died before the answer began: once more, on a new one. */
bool session_may_replay(const struct session *session)
{
	const struct exchange *exchange = session->exchange;

	return session->engine->reused && exchange->replay_len > 0 && exchange->safe &&
	       !exchange->dialled_again && flow_unjudged(&session->down).len == 0;
}

enum next session_replay(struct session *session)
{
	session_release_engine(session, false);
	flow_reset(&session->down, &session->worker->lender);
	buffer_unsend(session->up.buffer, session->exchange->replay_len);
	session->exchange->dialled_again = true;
	return start_dialling(session);
}
