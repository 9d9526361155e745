/* SPDX-License-Identifier: MIT */
#include "session/session.h"

#include "base/clock.h"
#include "session/exchange.h"
#include "session/worker.h"
#include "upstream/diagnosis.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum session_state {
#define STATE(name, deadline, waits_for) SESSION_##name,
#include "session/states.def"
#undef STATE
	SESSION_STATES,
};

struct session {
	struct stream client;
	struct worker *worker;
	enum session_state state;
	bool client_ended;                /* its end was read: it sends no more */
	struct engine_connection *engine; /* NULL when none is borrowed */
	struct exchange *exchange;        /* NULL between requests */
	struct flow up;        /* client → Engine; its buffer also holds what comes next */
	struct flow down;      /* Engine → client */
	struct http_scan scan; /* of the head that is being read */
	struct timer deadline;
	struct task again;  /* its turn was cut */
	struct task burial; /* it has ended */
	struct list link;   /* of worker->sessions */
	char client_name[PEER_NAME_MAX];
};

/* What a step makes of the session. */
enum next {
	NEXT_WAIT,  /* for an event */
	NEXT_AGAIN, /* the state has changed, or it can go on */
	NEXT_YIELD, /* it can go on after the others */
	NEXT_CLOSE,
};

enum {
	ANSWER_FIRST_READ = 4096, /* bytes; measured: the head and what came with it */
	DIAL_TIMEOUT_S = 10,
	MESSAGE_MAX = 4096,
};

size_t session_size(void)
{
	return sizeof(struct session);
}

/* ── States ──────────────────────────────────────────────────────────────── */

static struct timer_queue *deadline_of(struct worker *worker, enum session_state state)
{
	switch (state) {
	case SESSION_IDLE:
		return &worker->idle;
	case SESSION_HEAD:
		return &worker->head;
	case SESSION_DIAL:
		return &worker->dial;
	case SESSION_DRAIN:
	case SESSION_ANSWER:
		return &worker->drain;
	case SESSION_LINGER:
		return &worker->linger;
	case SESSION_REPLY:
	case SESSION_RELAY:
	case SESSION_TUNNEL:
	case SESSION_STATES:
		return NULL;
	}
	return NULL;
}

static enum next session_enter(struct session *session, enum session_state state)
{
	struct worker *worker = session->worker;
	struct timer_queue *queue = deadline_of(worker, state);

	session->state = state;
	if (queue != NULL) {
		timer_start(&worker->loop, queue, &session->deadline);
	} else {
		timer_stop(&session->deadline);
	}
	return NEXT_AGAIN;
}

static void release_engine(struct session *session, bool reusable)
{
	if (session->engine == NULL) {
		return;
	}
	if (reusable) {
		upstream_return(session->engine);
	} else {
		upstream_retire(session->engine);
	}
	session->engine = NULL;
}

static void record_exchange(struct session *session)
{
	struct exchange *exchange = session->exchange;

	if (exchange == NULL) {
		return;
	}
	audit_write(&session->worker->audit, &exchange->record, session->client_name);
	pool_give(&session->worker->exchange_pool, exchange);
	session->exchange = NULL;
}

static void session_buried(struct task *task)
{
	struct session *session = CONTAINER_OF(task, struct session, burial);
	struct worker *worker = session->worker;

	list_remove(&session->link);
	pool_give(&worker->session_pool, session);
	if (worker->stopping && list_empty(&worker->sessions)) {
		upstream_close_idle(&worker->upstream);
		loop_stop(&worker->loop);
	}
}

static void session_close(struct session *session)
{
	struct worker *worker = session->worker;

	if (session->client.watch.fd < 0) {
		return;
	}
	if (session->exchange != NULL &&
	        (session->state == SESSION_RELAY || session->state == SESSION_TUNNEL)) {
		session->exchange->record.bytes = session->down.data;
	}
	record_exchange(session);
	release_engine(session, false);
	flow_reset(&session->up, &worker->lender);
	flow_reset(&session->down, &worker->lender);
	timer_stop(&session->deadline);
	list_remove(&session->again.link);
	stream_close(&session->client);
	(void)atomic_fetch_sub(worker->settings->connections, 1);
	loop_put_off(&worker->loop, &session->burial);
}

/* ── Answers of our own ──────────────────────────────────────────────────── */

static struct exchange *need_exchange(struct session *session)
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

/*
 * Answer with `json`, or, when its ptr is NULL, with `reason` as the Engine
 * would. The connection goes on only if the request is wholly read.
 */
static enum next answer(
        struct session *session, unsigned status, struct slice json, struct slice reason)
{
	struct worker *worker = session->worker;
	struct exchange *exchange = need_exchange(session);
	const enum http_connection keep = exchange != NULL && exchange->old_client
	                                          ? HTTP_CONNECTION_KEEP_ALIVE
	                                          : HTTP_CONNECTION_KEEP;

	release_engine(session, false);
	flow_drop(&session->up, &session->worker->lender);
	if (exchange == NULL || !buffer_borrow(&worker->lender.buffers, &session->down.buffer)) {
		return NEXT_CLOSE;
	}
	flow_start(&session->down, HTTP_NO_BODY, 0);
	exchange->keep_client = exchange->keep_client && session->up.complete && !worker->stopping;
	const enum http_connection connection =
	        exchange->keep_client ? keep : HTTP_CONNECTION_CLOSE;
	struct text text = text_over(worker->scratch, worker->scratch_len);
	if (json.ptr != NULL) {
		http_json_write(&text, status, json, exchange->to_head, connection);
	} else {
		http_error_write(&text, status, reason, exchange->to_head, connection);
	}
	buffer_reset(&worker->lender.buffers, session->down.buffer);
	if (text.overflow || text.len > buffer_room(session->down.buffer)) {
		return NEXT_CLOSE;
	}
	struct buffer *buffer = session->down.buffer;
	memcpy(buffer->bytes + buffer->start, text.ptr, text.len);
	buffer->ready = buffer->raw = buffer->end = buffer->start + (uint32_t)text.len;
	exchange->record.status = status;
	exchange->record.bytes = exchange->to_head ? 0 : json.ptr != NULL ? json.len : reason.len;
	return session_enter(session, SESSION_ANSWER);
}

/* `reason` must be a literal: the record keeps it. */
static enum next answer_error(struct session *session, unsigned status, const char *reason)
{
	struct exchange *exchange = need_exchange(session);

	if (exchange != NULL) {
		exchange->record.reason = reason;
	}
	return answer(session, status, (struct slice){NULL, 0}, slice_of(reason));
}

/* A request that is not understood: where it ends is unknown, so the connection ends. */
static enum next refuse(struct session *session, enum http_error error)
{
	struct exchange *exchange = need_exchange(session);

	session->up.complete = false;
	if (exchange != NULL) {
		exchange->keep_client = false;
		exchange->to_head = false;
	}
	return answer_error(session, http_error_status(error), http_error_text(error));
}

static enum next answer_unreachable(struct session *session, int error)
{
	struct worker *worker = session->worker;
	char memory[MESSAGE_MAX];
	struct text text = text_over(memory, sizeof(memory));

	upstream_diagnose(&text, worker->settings->socket_path, -error);
	if (worker->loop.now_ns >=
	        worker->next_diagnosis_ns) { /* each request has its line anyway */
		worker->next_diagnosis_ns = worker->loop.now_ns + NS_PER_S;
		log_line(LOG_ERR, "%.*s", SLICE_FMT(text_slice(&text)));
	}
	session->exchange->record.reason = "the Engine is unreachable";
	return answer(session, 502, (struct slice){NULL, 0}, text_slice(&text));
}

static enum next answer_health(struct session *session)
{
	char memory[MESSAGE_MAX];
	struct text text = text_over(memory, sizeof(memory));
	const int error = upstream_probe(&session->worker->upstream);

	session->exchange->record.quiet = true;
	if (error == 0) {
		return answer(session, 200, SLICE("{\"status\":\"healthy\"}"), SLICE(""));
	}
	char reason[MESSAGE_MAX / 2];
	struct text words = text_over(reason, sizeof(reason));
	upstream_diagnose(&words, session->worker->settings->socket_path, -error);
	text_add(&text, SLICE("{\"status\":\"unhealthy\",\"reason\":\""));
	text_add_json(&text, text_slice(&words));
	text_add(&text, SLICE("\"}"));
	return answer(session, 503, text_slice(&text), SLICE(""));
}

/* ── IDLE and HEAD: a request comes in ───────────────────────────────────── */

static enum next step_idle(struct session *session)
{
	if (flow_unjudged(&session->up).len == 0) {
		if (session->worker->stopping) {
			return NEXT_CLOSE;
		}
		const ssize_t n = flow_read(
		        &session->up, &session->worker->lender, &session->client, SIZE_MAX);
		if (n == -EAGAIN) {
			flow_release(&session->up, &session->worker->lender);
			return NEXT_WAIT;
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

	record->method_len = (unsigned)(request->method.len < AUDIT_METHOD_MAX ? request->method.len
	                                                                       : AUDIT_METHOD_MAX);
	memcpy(record->method, request->method.ptr, record->method_len);
	record->path_len =
	        (unsigned)(request->path.len < AUDIT_PATH_MAX ? request->path.len : AUDIT_PATH_MAX);
	memcpy(record->path, request->path.ptr, record->path_len);
	exchange->to_head = slice_equal(request->method, SLICE("HEAD"));
	exchange->safe = exchange->to_head || slice_equal(request->method, SLICE("GET"));
	exchange->old_client = request->head.minor_version == 0;
	exchange->keep_client = request->head.keep_alive;
	exchange->hijack = docker_hijack_of(request->method, request->path);
	exchange->upgrade =
	        exchange->hijack != DOCKER_HIJACK_NONE && request->head.upgrade.ptr != NULL;
}

/* The head is written anew in front of the body bytes that came with it. */
static enum next forward(struct session *session, const struct http_request *request)
{
	struct worker *worker = session->worker;
	struct exchange *exchange = session->exchange;
	const char *key = worker->settings->api_key;
	const struct http_request_options options = {
	        .api_key = key == NULL ? (struct slice){NULL, 0} : slice_of(key),
	        .upgrade = exchange->upgrade,
	        /* The Engine reads no body there: what it finds behind the head is standard input.
	         */
	        .drop_body = exchange->hijack == DOCKER_HIJACK_ATTACH,
	};
	struct text text = text_over(worker->scratch, worker->scratch_len);

	http_request_write(&text, request, &options);
	flow_start(&session->up, request->head.framing, request->head.content_length);
	if (text.overflow ||
	        !buffer_replace(session->up.buffer, session->scan.head_len, text_slice(&text))) {
		return refuse(session, HTTP_BAD_TOO_LARGE);
	}
	session->up.drop = options.drop_body;
	exchange->replay_len = session->up.complete ? (uint32_t)text.len : 0;
	exchange->dial_since_ns = worker->loop.now_ns;
	return session_enter(session, SESSION_DIAL);
}

static bool is_health(const struct http_request *request, const struct exchange *exchange)
{
	return exchange->safe && slice_equal(request->path, SLICE("/health"));
}

static enum next judge_request(struct session *session)
{
	struct worker *worker = session->worker;
	struct http_request request;
	const struct slice head = {flow_unjudged(&session->up).ptr, session->scan.head_len};
	const enum http_error error = http_request_parse(head, worker->fields, &request);

	if (need_exchange(session) == NULL) {
		return NEXT_CLOSE;
	}
	if (error != HTTP_OK) {
		return refuse(session, error);
	}
	note_request(session->exchange, &request);
	if (!worker->stopping && !is_health(&request, session->exchange)) {
		return forward(session, &request);
	}
	flow_start(&session->up, request.head.framing, request.head.content_length);
	session->up.buffer->raw += (uint32_t)session->scan.head_len;
	session->up.buffer->start = session->up.buffer->ready = session->up.buffer->raw;
	return worker->stopping ? answer_error(session, 503, "the proxy is shutting down")
	                        : answer_health(session);
}

static enum next step_head(struct session *session)
{
	struct worker *worker = session->worker;
	const unsigned max_head = worker->settings->max_head;

	for (;;) {
		const struct slice bytes = flow_unjudged(&session->up);
		const enum http_progress progress = http_scan_head(&session->scan, bytes);
		const size_t head_len = progress == HTTP_DONE ? session->scan.head_len : bytes.len;
		if (progress == HTTP_BAD) {
			return refuse(session, session->scan.error);
		}
		if (head_len > max_head) {
			return refuse(session, HTTP_BAD_TOO_LARGE);
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

static void engine_notified(struct stream *stream);

static enum upstream_wish wish_of(const struct exchange *exchange)
{
	if (exchange->dialled_again) {
		return UPSTREAM_FRESH;
	}
	return exchange->safe && exchange->replay_len > 0 ? UPSTREAM_ANY : UPSTREAM_ALIVE;
}

static enum next step_dial(struct session *session)
{
	struct worker *worker = session->worker;
	struct exchange *exchange = session->exchange;
	const int error = upstream_borrow(
	        &worker->upstream, wish_of(exchange), engine_notified, session, &session->engine);

	if (error == -EAGAIN) {
		if (worker->loop.now_ns - exchange->dial_since_ns > DIAL_TIMEOUT_S * NS_PER_S) {
			return answer_error(session, 504,
			        "the Engine does not accept connections: its queue is full");
		}
		timer_start(&worker->loop, &worker->dial, &session->deadline);
		return NEXT_WAIT;
	}
	if (error < 0) {
		return answer_unreachable(session, error);
	}
	session->scan = (struct http_scan){0};
	return session_enter(session, SESSION_REPLY);
}

/* A reused connection died before the answer began: once more, on a new one. */
static bool may_replay(const struct session *session)
{
	const struct exchange *exchange = session->exchange;

	return session->engine->reused && exchange->replay_len > 0 && exchange->safe &&
	       !exchange->dialled_again && flow_unjudged(&session->down).len == 0;
}

static enum next replay(struct session *session)
{
	struct buffer *buffer = session->up.buffer;

	release_engine(session, false);
	flow_reset(&session->down, &session->worker->lender);
	buffer->start = buffer->ready - session->exchange->replay_len;
	session->exchange->dialled_again = true;
	return session_enter(session, SESSION_DIAL);
}

/* ── REPLY: the request goes out, the head of the answer comes in ────────── */

/*
 * The client's end while an answer is under way: the Engine is told, which
 * makes it stop what it does for nobody, and finishes what it had begun, as
 * without us. Requests that wait behind this one keep the end from it.
 */
static enum next look_for_end(struct session *session)
{
	if (session->client_ended || !session->up.complete || !session->client.peer_done) {
		return NEXT_WAIT;
	}
	const ssize_t n =
	        flow_read(&session->up, &session->worker->lender, &session->client, SIZE_MAX);
	if (n == 0) {
		session->client_ended = true;
		if (flow_unjudged(&session->up).len == 0) {
			stream_finish(&session->engine->stream);
		}
		return NEXT_WAIT;
	}
	if (n > 0) {
		return NEXT_AGAIN;
	}
	return n == -EAGAIN || n == -ENOBUFS ? NEXT_WAIT : NEXT_CLOSE;
}

static enum next pump_request(struct session *session)
{
	if (session->up.complete &&
	        (session->up.buffer == NULL ||
	                session->up.buffer->start == session->up.buffer->ready) &&
	        session->up.piped == 0) {
		return look_for_end(session);
	}
	switch (flow_move(&session->up, &session->worker->lender, &session->client,
	        &session->engine->stream)) {
	case FLOW_WAIT:
		return NEXT_WAIT;
	case FLOW_COMPLETE:
		return look_for_end(session);
	case FLOW_YIELD:
		return NEXT_YIELD;
	case FLOW_SINK_LOST:
		flow_drop(&session->up,
		        &session->worker->lender); /* but the answer may wait all the same */
		return NEXT_AGAIN;
	case FLOW_MALFORMED:
		if (session->exchange->hijack == DOCKER_HIJACK_ATTACH) {
			return NEXT_WAIT; /* raw bytes sent early: held until the answer says what
			                     they are */
		}
		return session->state == SESSION_REPLY ? refuse(session, HTTP_BAD_CHUNK)
		                                       : NEXT_CLOSE;
	case FLOW_SOURCE_END:
	case FLOW_SOURCE_LOST:
	case FLOW_NO_MEMORY:
		return NEXT_CLOSE;
	}
	return NEXT_CLOSE;
}

/* The buffer of the request is needed no more once the answer has begun. */
static void forget_request(struct session *session)
{
	session->exchange->replay_len = 0;
	if (session->up.complete) {
		flow_release(&session->up, &session->worker->lender);
	}
}

static bool write_answer_head(struct session *session, const struct http_response *response,
        enum http_connection connection, bool bare)
{
	struct text text = text_over(session->worker->scratch, session->worker->scratch_len);

	http_response_write(&text, response, connection, bare);
	return !text.overflow &&
	       buffer_replace(session->down.buffer, session->scan.head_len, text_slice(&text));
}

static enum next open_tunnel(struct session *session, const struct http_response *response)
{
	const bool attach = session->exchange->hijack == DOCKER_HIJACK_ATTACH;
	const enum http_connection connection =
	        response->status == 101 ? HTTP_CONNECTION_UPGRADE : HTTP_CONNECTION_KEEP;

	if (!session->up.complete && !attach) {
		return answer_error(session, 502,
		        "the Engine took the connection over before it had the request");
	}
	if (!write_answer_head(session, response, connection, false)) {
		return answer_error(session, 502, "the head of the Engine's answer is too large");
	}
	flow_start(&session->down, HTTP_UNTIL_CLOSE, 0);
	flow_start(&session->up, HTTP_UNTIL_CLOSE, 0);
	return session_enter(session, SESSION_TUNNEL);
}

static bool is_tunnel(const struct exchange *exchange, const struct http_response *response)
{
	if (response->status == 101) {
		return true;
	}
	return (exchange->hijack == DOCKER_HIJACK_ATTACH ||
	               exchange->hijack == DOCKER_HIJACK_EXEC_START) &&
	       response->status == 200 && response->head.framing == HTTP_UNTIL_CLOSE &&
	       docker_is_raw_stream(http_field_value(&response->head, HTTP_NAME_CONTENT_TYPE));
}

static enum next relay_interim(struct session *session, const struct http_response *response)
{
	if (session->exchange->old_client) { /* RFC 9110 §15.2: 1.0 knows no interim answers */
		session->down.buffer->raw += (uint32_t)session->scan.head_len;
		session->down.buffer->start = session->down.buffer->ready =
		        session->down.buffer->raw;
	} else if (!write_answer_head(session, response, HTTP_CONNECTION_KEEP, false)) {
		return answer_error(session, 502, "the head of the Engine's answer is too large");
	}
	session->scan = (struct http_scan){0};
	return NEXT_AGAIN;
}

static enum http_connection connection_for(const struct session *session)
{
	if (!session->exchange->keep_client) {
		return HTTP_CONNECTION_CLOSE;
	}
	return session->exchange->old_client ? HTTP_CONNECTION_KEEP_ALIVE : HTTP_CONNECTION_KEEP;
}

static enum next relay_answer(struct session *session, const struct http_response *response)
{
	struct exchange *exchange = session->exchange;
	const enum http_framing framing = response->head.framing;
	const bool bare = exchange->old_client && framing == HTTP_CHUNKED;

	exchange->keep_engine = response->head.keep_alive;
	exchange->keep_client =
	        exchange->keep_client && framing != HTTP_UNTIL_CLOSE && !bare &&
	        !session->worker->stopping &&
	        (session->up.complete ||
	                (response->head.keep_alive && exchange->hijack != DOCKER_HIJACK_ATTACH));
	if (!write_answer_head(session, response, connection_for(session), bare)) {
		return answer_error(session, 502, "the head of the Engine's answer is too large");
	}
	flow_start(&session->down, framing, response->head.content_length);
	session->down.chunks.bare = bare;
	return session_enter(session, SESSION_RELAY);
}

static enum next judge_answer(struct session *session)
{
	struct http_response response;
	const struct slice head = {flow_unjudged(&session->down).ptr, session->scan.head_len};
	const enum http_error error = http_response_parse(
	        head, session->worker->fields, session->exchange->to_head, &response);

	if (error != HTTP_OK || (response.status == 101 && !session->exchange->upgrade)) {
		return answer_error(session, 502, "the Engine's answer is malformed");
	}
	session->exchange->record.status = response.status;
	if (is_tunnel(session->exchange, &response)) {
		return open_tunnel(session, &response);
	}
	return response.status < 200 ? relay_interim(session, &response)
	                             : relay_answer(session, &response);
}

static enum next answer_ended(struct session *session)
{
	if (may_replay(session)) {
		return replay(session);
	}
	return answer_error(session, 502, "the Engine closed the connection without an answer");
}

static enum next read_answer_head(struct session *session)
{
	struct worker *worker = session->worker;

	for (;;) {
		const struct slice bytes = flow_unjudged(&session->down);
		const enum http_progress progress = http_scan_head(&session->scan, bytes);
		if (progress == HTTP_DONE && session->scan.head_len <= worker->settings->max_head) {
			forget_request(session);
			return judge_answer(session);
		}
		if (progress != HTTP_MORE || bytes.len > worker->settings->max_head) {
			return answer_error(session, 502,
			        "the head of the Engine's answer is malformed or too large");
		}
		const size_t most = bytes.len == 0 ? ANSWER_FIRST_READ : SIZE_MAX;
		const ssize_t n =
		        flow_read(&session->down, &worker->lender, &session->engine->stream, most);
		if (n == -EAGAIN) {
			flow_release(&session->down, &worker->lender);
			return NEXT_WAIT;
		}
		if (n == -ENOMEM || n == -ENOBUFS) {
			return NEXT_CLOSE;
		}
		if (n <= 0) {
			return answer_ended(session);
		}
	}
}

static enum next step_reply(struct session *session)
{
	enum next sending = pump_request(session);

	if (sending == NEXT_CLOSE || sending == NEXT_AGAIN) {
		return sending;
	}
	/* An interim answer may still wait for the client. */
	switch (flow_send(&session->down, &session->client, false)) {
	case FLOW_COMPLETE:
		break;
	case FLOW_WAIT:
		return sending;
	case FLOW_YIELD:
	case FLOW_SOURCE_END:
	case FLOW_SOURCE_LOST:
	case FLOW_SINK_LOST:
	case FLOW_MALFORMED:
	case FLOW_NO_MEMORY:
		return NEXT_CLOSE;
	}
	const enum next reading = read_answer_head(session);
	return reading == NEXT_WAIT ? sending : reading;
}

/* ── RELAY: the body of the answer ───────────────────────────────────────── */

static enum next linger(struct session *session)
{
	release_engine(session, false);
	flow_reset(&session->up, &session->worker->lender);
	flow_reset(&session->down, &session->worker->lender);
	stream_finish(&session->client);
	return session->client_ended ? NEXT_CLOSE : session_enter(session, SESSION_LINGER);
}

/* The exchange is over on both sides. */
static enum next finish(struct session *session)
{
	const bool more = flow_unjudged(&session->up).len > 0;
	const bool keep = session->exchange->keep_client && (more || !session->client_ended);
	const bool reusable = session->exchange->keep_engine && !session->client_ended &&
	                      flow_unjudged(&session->down).len == 0 && !session->up.drop;

	record_exchange(session);
	release_engine(session, reusable);
	flow_reset(&session->down, &session->worker->lender);
	if (!keep) {
		return linger(session);
	}
	flow_release(&session->up, &session->worker->lender);
	return session_enter(session, SESSION_IDLE);
}

static enum next answer_complete(struct session *session)
{
	session->exchange->record.bytes = session->down.data;
	if (session->up.complete) {
		return finish(session);
	}
	if (!session->exchange->keep_client || !session->exchange->keep_engine) {
		record_exchange(session);
		return linger(session);
	}
	return session_enter(session, SESSION_DRAIN);
}

static enum next pump_answer(struct session *session)
{
	const bool until_close = session->down.framing == HTTP_UNTIL_CLOSE;

	switch (flow_move(&session->down, &session->worker->lender, &session->engine->stream,
	        &session->client)) {
	case FLOW_WAIT:
		return NEXT_WAIT;
	case FLOW_YIELD:
		return NEXT_YIELD;
	case FLOW_COMPLETE:
		return answer_complete(session);
	case FLOW_SOURCE_END:
	case FLOW_SOURCE_LOST:
		/* Otherwise it is cut short, and closing without an end says so. */
		return until_close ? answer_complete(session) : NEXT_CLOSE;
	case FLOW_SINK_LOST:
	case FLOW_MALFORMED:
	case FLOW_NO_MEMORY:
		return NEXT_CLOSE;
	}
	return NEXT_CLOSE;
}

static enum next step_relay(struct session *session)
{
	const enum next receiving = pump_answer(session);

	if (receiving == NEXT_CLOSE || receiving == NEXT_AGAIN) {
		return receiving;
	}
	const enum next sending = pump_request(session);
	return sending == NEXT_WAIT ? receiving : sending;
}

static enum next step_drain(struct session *session)
{
	if (session->engine->stream.peer_done) {
		flow_drop(&session->up, &session->worker->lender);
	}
	const enum next sending = pump_request(session);
	if (sending == NEXT_CLOSE || sending == NEXT_YIELD || !session->up.complete) {
		return sending;
	}
	return finish(session);
}

/* ── TUNNEL ──────────────────────────────────────────────────────────────── */

/* One direction; an end is passed on as soon as all before it is sent. */
static enum next pump_tunnel(
        struct session *session, struct flow *flow, struct stream *source, struct stream *sink)
{
	if (flow->complete) {
		return NEXT_WAIT;
	}
	switch (flow_move(flow, &session->worker->lender, source, sink)) {
	case FLOW_WAIT:
		return NEXT_WAIT;
	case FLOW_YIELD:
		return NEXT_YIELD;
	case FLOW_SOURCE_END:
		stream_finish(sink);
		flow->complete = true;
		return NEXT_WAIT;
	case FLOW_SOURCE_LOST:
	case FLOW_SINK_LOST:
		if (source == &session->client &&
		        sink->peer_done) { /* the Engine left; its last words remain */
			flow->complete = true;
			return NEXT_WAIT;
		}
		if (source != &session->client && source->hangup) {
			stream_finish(sink);
			flow->complete = true;
			return NEXT_WAIT;
		}
		return NEXT_CLOSE;
	case FLOW_COMPLETE:
	case FLOW_MALFORMED:
	case FLOW_NO_MEMORY:
		return NEXT_CLOSE;
	}
	return NEXT_CLOSE;
}

static enum next step_tunnel(struct session *session)
{
	const enum next down =
	        pump_tunnel(session, &session->down, &session->engine->stream, &session->client);
	if (down == NEXT_CLOSE) {
		return NEXT_CLOSE;
	}
	const enum next up =
	        pump_tunnel(session, &session->up, &session->client, &session->engine->stream);
	if (up == NEXT_CLOSE) {
		return NEXT_CLOSE;
	}
	if (session->down.complete && (session->up.complete || session->engine->stream.hangup)) {
		session->client_ended = session->up.complete && !session->engine->stream.hangup;
		session->exchange->record.bytes = session->down.data;
		record_exchange(session);
		return linger(session);
	}
	return down == NEXT_YIELD || up == NEXT_YIELD ? NEXT_YIELD : NEXT_WAIT;
}

/* ── ANSWER and LINGER: the end ──────────────────────────────────────────── */

static enum next step_answer(struct session *session)
{
	switch (flow_send(&session->down, &session->client, false)) {
	case FLOW_COMPLETE:
		return finish(session);
	case FLOW_WAIT:
		return NEXT_WAIT;
	case FLOW_YIELD:
	case FLOW_SOURCE_END:
	case FLOW_SOURCE_LOST:
	case FLOW_SINK_LOST:
	case FLOW_MALFORMED:
	case FLOW_NO_MEMORY:
		return NEXT_CLOSE;
	}
	return NEXT_CLOSE;
}

/*
 * Closing with unread bytes would reset the connection and take the answer
 * away that the client has not read yet (RFC 9112 §9.6).
 */
static enum next step_linger(struct session *session)
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

/* ── The machine ─────────────────────────────────────────────────────────── */

static enum next (*const steps[SESSION_STATES])(struct session *) = {
        [SESSION_IDLE] = step_idle,
        [SESSION_HEAD] = step_head,
        [SESSION_DIAL] = step_dial,
        [SESSION_REPLY] = step_reply,
        [SESSION_RELAY] = step_relay,
        [SESSION_DRAIN] = step_drain,
        [SESSION_TUNNEL] = step_tunnel,
        [SESSION_ANSWER] = step_answer,
        [SESSION_LINGER] = step_linger,
};

static void session_run(struct session *session)
{
	enum next next = NEXT_AGAIN;

	while (next == NEXT_AGAIN) {
		next = steps[session->state](session);
	}
	if (next == NEXT_CLOSE) {
		session_close(session);
	} else if (next == NEXT_YIELD) {
		loop_put_off(&session->worker->loop, &session->again);
	}
}

static void client_notified(struct stream *stream)
{
	session_run(CONTAINER_OF(stream, struct session, client));
}

static void engine_notified(struct stream *stream)
{
	session_run(CONTAINER_OF(stream, struct engine_connection, stream)->borrower);
}

static void session_again(struct task *task)
{
	session_run(CONTAINER_OF(task, struct session, again));
}

static void deadline_expired(struct timer *timer)
{
	struct session *session = CONTAINER_OF(timer, struct session, deadline);

	if (session->state == SESSION_HEAD) {
		session->up.complete = false;
		(void)need_exchange(session);
		if (answer_error(session, 408,
		            "the head of the request did not arrive in time (--head-timeout)") ==
		        NEXT_CLOSE) {
			session_close(session);
			return;
		}
		session_run(session);
	} else if (session->state == SESSION_DIAL) {
		session_run(session);
	} else {
		session_close(session);
	}
}

void session_open(struct worker *worker, int fd, const union address *peer)
{
	struct session *session = pool_take(&worker->session_pool);
	const int on = 1;

	if (session == NULL) {
		(void)close(fd);
		(void)atomic_fetch_sub(worker->settings->connections, 1);
		return;
	}
	*session = (struct session){.worker = worker};
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on unix sockets */
	(void)setsockopt(
	        fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)); /* finds peers that vanished */
	peer_name(peer, session->client_name);
	timer_init(&session->deadline, deadline_expired);
	task_init(&session->again, session_again);
	task_init(&session->burial, session_buried);
	list_init(&session->link);
	list_append(&worker->sessions, &session->link);
	if (stream_open(&session->client, &worker->loop, fd, client_notified) < 0) {
		session->client.watch.fd = fd;
		session_close(session);
		return;
	}
	(void)session_enter(session, SESSION_IDLE);
}

/* ── Stopping ────────────────────────────────────────────────────────────── */

void sessions_stop(struct worker *worker)
{
	struct list *at = worker->sessions.next;

	if (list_empty(&worker->sessions)) {
		upstream_close_idle(&worker->upstream);
		loop_stop(&worker->loop);
	}
	while (at != &worker->sessions) {
		struct session *session = CONTAINER_OF(at, struct session, link);
		at = at->next;
		if (session->state == SESSION_IDLE) {
			session_run(session);
		} else if (session->state == SESSION_LINGER) {
			session_close(session);
		}
	}
}

void sessions_abort(struct worker *worker)
{
	for (struct list *at = worker->sessions.next; at != &worker->sessions; at = at->next) {
		session_close(CONTAINER_OF(at, struct session, link));
	}
}
