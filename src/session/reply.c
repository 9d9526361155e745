/* SPDX-License-Identifier: MIT */
#include "session/state.h"

#include <errno.h>

enum { RESPONSE_FIRST_READ = 4096 }; /* bytes; measured: the head and what came with it */

/* ── REPLY: the request goes out, the head of the response comes in ──────── */

/*
 * Something behind this request is still of use: a whole head, since the client
 * asked for more before it ended, or what a tunnel is to carry.
 */
static bool more_waits(const struct session *session)
{
	const struct slice bytes = flow_unjudged(&session->up);
	struct http_scan scan = {0};

	if ((session->exchange->traits & DOCKER_HIJACK) != 0) {
		return bytes.len > 0;
	}
	return http_scan_head(&scan, bytes) == HTTP_DONE;
}

/* What stands behind the request, as far as it fits, up to the client's end. */
static enum next read_ahead(struct session *session)
{
	session->exchange->replay_len = 0; /* reading moves what a replay would send */
	const ssize_t n =
	        flow_read(&session->up, &session->worker->lender, &session->client, SIZE_MAX);
	if (n == 0) {
		session->client_ended = true;
	}
	if (n >= 0) {
		return NEXT_AGAIN;
	}
	return n == -ENOBUFS ? NEXT_WAIT : next_after_read(session, n);
}

/* The end stands behind all that was sent, so more than a few bytes of that hide it. */
static bool must_read_ahead(const struct session *session)
{
	const struct stream *client = &session->client;

	return !session->client_ended && client->readable &&
	       (client->peer_done || !session_may_replay(session));
}

/*
 * The client's end during a response: the proxy passes it on to the Engine. As
 * without the proxy, the Engine then stops work that has no reader, and sends
 * what it had begun. The end is not passed on while further requests wait in
 * the buffer; bytes that fill the buffer and hold no request do not hide it.
 */
static enum next look_for_end(struct session *session)
{
	if (session->client.hangup) {
		return NEXT_CLOSE; /* gone altogether: no client is left to respond to */
	}
	const enum next reading = must_read_ahead(session) ? read_ahead(session) : NEXT_WAIT;
	if (reading != NEXT_WAIT || !session->client.peer_done) {
		return reading;
	}
	if (!session->exchange->end_told && !more_waits(session)) {
		session->exchange->end_told = true;
		stream_finish(&session->engine->stream);
	}
	return NEXT_WAIT;
}

static SELDOM enum next request_malformed(struct session *session)
{
	if ((session->exchange->traits & DOCKER_ATTACH) != 0) {
		/* Raw bytes sent early: held until the response says what they are. */
		return NEXT_WAIT;
	}
	return session->state == SESSION_REPLY
	               ? session_refuse(session, OUTCOME_MALFORMED, http_error_text(HTTP_BAD_CHUNK))
	               : NEXT_CLOSE;
}

static enum next pump_request(struct session *session)
{
	if (flow_is_over(&session->up)) {
		return look_for_end(session);
	}
	enum flow_result result = flow_move(
	        &session->up, &session->worker->lender, &session->client, &session->engine->stream);
	if (result == FLOW_READY && session_comes_to(session, ROUND_WRITE)) {
		return NEXT_WRITE;
	}
	if (result == FLOW_READY) {
		result = flow_send(&session->up, &session->engine->stream, false);
	}
	if (result == FLOW_COMPLETE) {
		return look_for_end(session);
	}
	if (result == FLOW_SINK_LOST) { /* the response may have arrived all the same */
		flow_drop(&session->up, &session->worker->lender);
		return NEXT_AGAIN;
	}
	if (result == FLOW_WAIT && session->client.broken) {
		return NEXT_CLOSE; /* the rest of the body will never come */
	}
	if (UNLIKELY(result == FLOW_TOO_LARGE)) {
		return session->state == SESSION_REPLY ? session_refuse_body(session) : NEXT_CLOSE;
	}
	return result == FLOW_MALFORMED ? request_malformed(session) : next_after(session, result);
}

/* The buffer of the request is needed no more once the response has begun. */
static void forget_request(struct session *session)
{
	session->exchange->replay_len = 0;
	if (session->up.complete) {
		flow_release(&session->up, &session->worker->lender);
	}
}

static bool write_response_head(struct session *session, const struct http_response *response,
        enum http_connection connection, bool bare)
{
	struct text text = text_over(session->worker->scratch, session->worker->scratch_len);

	http_response_write(&text, response, connection, bare);
	return !text.overflow && buffer_replace(session->down.buffer, session->scan.head_len,
	                                 text_slice(&text), (struct slice){NULL, 0});
}

static SELDOM enum next open_tunnel(struct session *session, const struct http_response *response)
{
	const bool attach = (session->exchange->traits & DOCKER_ATTACH) != 0;
	const enum http_connection connection =
	        response->status == 101 ? HTTP_CONNECTION_UPGRADE : HTTP_CONNECTION_KEEP;

	if (!session->up.complete && !attach) {
		return session_respond(session, OUTCOME_ENGINE_TOO_EARLY);
	}
	if (!write_response_head(session, response, connection, false)) {
		return session_respond(session, OUTCOME_ENGINE_HEAD_TOO_LARGE);
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
	return (exchange->traits & (DOCKER_ATTACH | DOCKER_EXEC)) != 0 && response->status == 200 &&
	       response->head.framing == HTTP_UNTIL_CLOSE &&
	       docker_is_raw_stream(http_field_value(&response->head, HTTP_NAME_CONTENT_TYPE));
}

static SELDOM enum next relay_interim(struct session *session, const struct http_response *response)
{
	if (++session->exchange->interim_count > EXCHANGE_INTERIM_MAX) {
		return session_respond(session, OUTCOME_ENGINE_INTERIM);
	}
	if (session->exchange->old_client) { /* RFC 9110 §15.2: 1.0 has no interim responses */
		buffer_skip(session->down.buffer, session->scan.head_len);
	} else if (!write_response_head(session, response, HTTP_CONNECTION_KEEP, false)) {
		return session_respond(session, OUTCOME_ENGINE_HEAD_TOO_LARGE);
	}
	session->scan = (struct http_scan){0};
	return NEXT_YIELD; /* an Engine that sends nothing else must not keep the others waiting */
}

/* What becomes of both connections behind the response. */
static void settle_connections(
        struct session *session, const struct http_response *response, bool bare)
{
	struct exchange *exchange = session->exchange;

	exchange->keep_engine = response->head.keep_alive;
	exchange->keep_client =
	        exchange->keep_client && response->head.framing != HTTP_UNTIL_CLOSE && !bare &&
	        !session->worker->leaving &&
	        (session->up.complete ||
	                (response->head.keep_alive && (exchange->traits & DOCKER_ATTACH) == 0));
}

static enum next relay_response(struct session *session, struct http_response *response)
{
	struct exchange *exchange = session->exchange;
	const bool rewritten = session_rewrites(session, response);
	const bool bare = exchange->old_client && (response->head.has_chunked || rewritten);

	settle_connections(session, response, bare);
	if (UNLIKELY(rewritten) && !session_unframe_response(response)) {
		return session_respond(session, OUTCOME_ENGINE_UNREADABLE);
	}
	if (!write_response_head(session, response, session_connection(exchange), bare)) {
		return session_respond(session, OUTCOME_ENGINE_HEAD_TOO_LARGE);
	}
	flow_start(&session->down, response->head.framing, response->head.content_length);
	session->down.chunks.bare = bare;
	return UNLIKELY(rewritten) ? session_begin_rewriting(session, response)
	                           : session_enter(session, SESSION_RELAY);
}

/* Whether the protocol that a 101 names is one of those that the request did (RFC 9110 §7.8). */
static bool is_asked_for(const struct exchange *exchange, struct slice protocol)
{
	struct slice asked = {exchange->protocol, exchange->upgrade ? exchange->protocol_len : 0};
	struct slice one;

	while (protocol.len > 0 && slice_next(&asked, ',', &one)) {
		if (slice_equal_nocase(slice_trim(one), protocol)) {
			return true;
		}
	}
	return false;
}

/* The head of the response. False: it is malformed. */
static bool read_response(struct session *session, const struct recalled_response *recalled,
        struct http_response *ret_response)
{
	struct exchange *exchange = session->exchange;
	const struct slice head = {flow_unjudged(&session->down).ptr, session->scan.head_len};

	if (recalled != NULL) {
		*ret_response = recalled->response;
		return true;
	}
	const enum http_error error = http_response_parse(
	        head, session->worker->gate.fields, exchange->to_head, ret_response);
	if (error == HTTP_OK) {
		recall_keep_response(exchange->recalled, head, exchange->to_head, ret_response);
	}
	return error == HTTP_OK;
}

static enum next judge_response(struct session *session, const struct recalled_response *recalled)
{
	struct http_response response;

	if (!read_response(session, recalled, &response)) {
		return session_respond(session, OUTCOME_ENGINE_MALFORMED);
	}
	if (response.status == 101 && !is_asked_for(session->exchange, response.head.upgrade)) {
		return session_respond(session, OUTCOME_ENGINE_PROTOCOL);
	}
	session->exchange->record.status = response.status;
	session->exchange->record.responded_ns = session->worker->loop.now_ns;
	if (is_tunnel(session->exchange, &response)) {
		return open_tunnel(session, &response);
	}
	return response.status < 200 ? relay_interim(session, &response)
	                             : relay_response(session, &response);
}

static SELDOM enum next response_ended(struct session *session)
{
	if (session_may_replay(session)) {
		return session_replay(session);
	}
	return session_respond_closed(session);
}

static enum http_progress find_response_head(
        struct session *session, struct slice bytes, const struct recalled_response *recalled)
{
	if (recalled == NULL) {
		return http_scan_head(&session->scan, bytes);
	}
	session->scan.head_len = recalled->len;
	return HTTP_DONE;
}

static enum next read_response_head(struct session *session)
{
	struct worker *worker = session->worker;
	const struct exchange *exchange = session->exchange;

	for (;;) {
		const struct slice bytes = flow_unjudged(&session->down);
		const struct recalled_response *recalled =
		        recall_response(exchange->recalled, bytes, exchange->to_head);
		const enum http_progress progress = find_response_head(session, bytes, recalled);
		if (progress == HTTP_DONE && session->scan.head_len <= worker->max_head) {
			forget_request(session);
			return judge_response(session, recalled);
		}
		if (progress != HTTP_MORE || bytes.len > worker->max_head) {
			return session_respond(session, OUTCOME_ENGINE_HEAD);
		}
		const size_t most = bytes.len == 0 ? RESPONSE_FIRST_READ : SIZE_MAX;
		const ssize_t n =
		        flow_read(&session->down, &worker->lender, &session->engine->stream, most);
		if (n == -EAGAIN) {
			flow_release(&session->down, &worker->lender);
			return NEXT_WAIT;
		}
		if (n == -ENOMEM || n == -ENOBUFS) {
			return session_starve(session);
		}
		if (n <= 0) {
			return response_ended(session);
		}
		if (session_comes_to(session, ROUND_JUDGE)) {
			return NEXT_JUDGE;
		}
	}
}

enum next session_step_reply(struct session *session)
{
	/* What was read of the response in the first round is looked at first. */
	const bool has_read = session->worker->loop.round == ROUND_JUDGE &&
	                      flow_unjudged(&session->down).len > 0 && flow_is_over(&session->up);
	const enum next sending = has_read ? NEXT_WAIT : pump_request(session);

	if (sending >= NEXT_LAST) {
		return sending;
	}
	/* An interim response may still wait for the client. */
	const enum flow_result interim = flow_send(&session->down, &session->client, false);
	if (interim != FLOW_COMPLETE) {
		return interim == FLOW_WAIT ? sending : NEXT_CLOSE;
	}
	const enum next reading = read_response_head(session);
	return next_sooner(reading, sending);
}

/* ── RELAY: the body of the response ─────────────────────────────────────── */

static enum next response_complete(struct session *session)
{
	session->exchange->record.bytes = session->down.data;
	if (flow_is_over(&session->up)) {
		return session_finish(session);
	}
	if (!session->exchange->keep_client || !session->exchange->keep_engine) {
		session_record(session);
		return session_linger(session);
	}
	return session_enter(session, SESSION_DRAIN);
}

static SELDOM enum next response_broken(struct session *session, enum outcome outcome)
{
	if (UNLIKELY(session_holds_response(session))) {
		return session_respond(session, OUTCOME_ENGINE_UNREADABLE);
	}
	session->exchange->record.outcome = outcome;
	if (session->exchange->end_told) { /* the Engine stops work that has no reader */
		session->exchange->record.ender = ENDER_CLIENT;
	}
	return NEXT_CLOSE; /* without an end, which says so */
}

/*
 * Whether this end is that of a response which ends with the connection. The Engine that closes on
 * bytes of the request it has not read ends its connection with an error (unix(7), ECONNRESET);
 * with a request that is wholly sent an error cuts the response.
 */
static bool ends_response(const struct session *session, enum flow_result result)
{
	return session->down.framing == HTTP_UNTIL_CLOSE && session->exchange->rewriting == NULL &&
	       (result == FLOW_SOURCE_END ||
	               (result == FLOW_SOURCE_LOST && !flow_is_over(&session->up)));
}

static enum flow_result move_response(struct session *session)
{
	if (UNLIKELY(session->exchange->rewriting != NULL)) {
		return session_rewrite(session);
	}
	const enum flow_result result = flow_move(&session->down, &session->worker->lender,
	        &session->engine->stream, &session->client);

	/* The Engine's connection is still needed for a request that is not over. */
	return result == FLOW_READY && !flow_is_over(&session->up)
	               ? flow_send(&session->down, &session->client, false)
	               : result;
}

bool session_is_endless(const struct session *session)
{
	const struct exchange *exchange = session->exchange;

	return exchange->kept != NULL && exchange->operation > 0 &&
	       exchange->record.status == 200 &&
	       docker_is_endless(exchange->operation - 1,
	               (struct slice){exchange->kept + exchange->path_len, exchange->query_len});
}

/* The proxy stops in the middle of an endless response: whether it ended here, between two records.
 * Both connections end with it. */
static bool end_here(struct session *session)
{
	struct exchange *exchange = session->exchange;

	if ((exchange->rewriting != NULL && !session_is_between_records(session)) ||
	        !flow_end(&session->down, &session->worker->lender)) {
		return false;
	}
	exchange->keep_client = exchange->keep_engine = false;
	exchange->record.ender = ENDER_PROXY;
	return true;
}

static enum next pump_response(struct session *session)
{
	const enum flow_result result = move_response(session);

	if (UNLIKELY(session->exchange->ends_here) &&
	        (result == FLOW_WAIT || result == FLOW_YIELD) && end_here(session)) {
		return NEXT_AGAIN;
	}
	if (result == FLOW_READY) {
		return session_deliver(session);
	}
	if (result == FLOW_COMPLETE || ends_response(session, result)) {
		return response_complete(session);
	}
	if (result == FLOW_SOURCE_END || result == FLOW_SOURCE_LOST) {
		return response_broken(session, OUTCOME_ENGINE_CUT_SHORT);
	}
	if (UNLIKELY(result == FLOW_REFUSED)) {
		return response_broken(session, OUTCOME_ENGINE_UNREADABLE);
	}
	return result == FLOW_MALFORMED ? response_broken(session, OUTCOME_ENGINE_CHUNKS)
	                                : next_after(session, result);
}

enum next session_step_relay(struct session *session)
{
	const enum next receiving = pump_response(session);

	if (receiving >= NEXT_LAST) {
		return receiving;
	}
	return next_sooner(receiving, pump_request(session));
}

enum next session_step_drain(struct session *session)
{
	if (session->engine->stream.peer_done) {
		flow_drop(&session->up, &session->worker->lender);
	}
	const enum next sending = pump_request(session);
	if (sending == NEXT_CLOSE || sending == NEXT_YIELD || !flow_is_over(&session->up)) {
		return sending;
	}
	return session_finish(session);
}
