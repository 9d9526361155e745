/* SPDX-License-Identifier: MIT */
/*
 * state — a session from the inside: its states, and the steps of each.
 * Private to session/.
 *
 * A step does what can be done without waiting and says how to go on. Only
 * session_enter() changes the state.
 */
#ifndef SESSION_STATE_H
#define SESSION_STATE_H

#include "session/exchange.h"
#include "session/worker.h"

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
	struct task again;         /* its turn was cut */
	struct task deferred_free; /* at the end of the turn */
	struct list link;          /* of worker->sessions */
	struct caller caller;
};

/* What a step makes of the session. */
enum next {
	NEXT_WAIT,  /* for an event */
	NEXT_AGAIN, /* the state has changed, or it can go on */
	NEXT_YIELD, /* it can go on after the others */
	NEXT_CLOSE,
};

/* How it goes on after a flow stopped, where the state makes nothing else of the result. */
static inline enum next next_after(enum flow_result result)
{
	if (result == FLOW_WAIT) {
		return NEXT_WAIT;
	}
	return result == FLOW_YIELD ? NEXT_YIELD : NEXT_CLOSE;
}

/* By which the request is judged that is under way, or the next one. */
static inline const struct snapshot *session_snapshot(const struct session *session)
{
	return session->exchange != NULL ? session->exchange->adoption->snapshot
	                                 : session->worker->adoption->snapshot;
}

/* What it says of the listener where the client came in. */
static inline const struct snapshot_listener *session_listener(const struct session *session)
{
	return &session_snapshot(session)->listeners[session->caller.listener];
}

/* ── session.c ───────────────────────────────────────────────────────────── */

/* Change the state and arm its deadline; NEXT_AGAIN. */
enum next session_enter(struct session *session, enum session_state state);
/* Give the Engine's connection back: for others, or to be closed. */
void session_release_engine(struct session *session, bool reusable);
/* Write the line of the current exchange, if there is one, and end it. */
void session_record(struct session *session);
/* The stream of the borrowed Engine connection has news. */
void session_engine_notified(struct stream *stream);

/* ── local_response.c: local responses, and the end of an exchange ────────────── */

/* Begin an exchange; NULL without memory. */
struct exchange *session_exchange(struct session *session);
/* What a response says of the connection to the client. */
enum http_connection session_connection(const struct exchange *exchange);
/* Respond with {"message": …} as the row of the outcome says. */
enum next session_respond(struct session *session, enum outcome outcome);
/*
 * The same to a request that must not be looked at: the connection ends with the
 * response. `reason` is a literal that says it more exactly; NULL: the row's text does.
 */
enum next session_refuse(struct session *session, enum outcome outcome, const char *reason);
/* 403 and what would allow it. */
enum next session_respond_denied(struct session *session, const struct gate_decision *decision);
/*
 * No connection to the Engine can be had, and what helps; `error` is a negative
 * errno of upstream_borrow() or stream_handshake(). To GET /health that is its response.
 */
enum next session_respond_dial(struct session *session, int error);
/* The response to GET /health: a connection can be had. */
enum next session_respond_healthy(struct session *session);
/* Both sides are done: the next request, or the end. */
enum next session_finish(struct session *session);
/* Say that nothing more comes, and wait for the client to close. */
enum next session_linger(struct session *session);
enum next session_step_respond(struct session *session);
enum next session_step_linger(struct session *session);

/* ── request.c: from the first byte to a connection to the Engine ────────── */

enum next session_step_idle(struct session *session);
enum next session_step_head(struct session *session);
enum next session_step_dial(struct session *session);
/* A reused connection died before the response began: whether the request may be sent again. */
bool session_may_replay(const struct session *session);
enum next session_replay(struct session *session);

/* ── reply.c: the rest of the request, and the response ──────────────────── */

enum next session_step_reply(struct session *session);
enum next session_step_relay(struct session *session);
enum next session_step_drain(struct session *session);

/* ── tunnel.c: raw bytes ─────────────────────────────────────────────────── */

enum next session_step_tunnel(struct session *session);

#endif
