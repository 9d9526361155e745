/* SPDX-License-Identifier: MIT */
/*
 * state — a session as a struct: its states, and the step of each state.
 * Private to session/.
 *
 * A step does what is possible without waiting, and returns how to continue. Only
 * session_enter() changes the state.
 */
#ifndef SESSION_STATE_H
#define SESSION_STATE_H

#include "identity/certificate.h"
#include "net/tls.h"
#include "redact/redact.h"
#include "session/exchange.h"
#include "session/worker.h"

#include <errno.h>

/* Of a client, as far as it can be told. */
enum whereabouts {
	WHEREABOUTS_UNKNOWN, /* not asked yet, or something has changed since */
	WHEREABOUTS_NOWHERE, /* in no container */
	WHEREABOUTS_CONTAINER,
};

struct session {
	struct stream client;
	struct worker *worker;
	enum session_state state;
	bool client_ended;                /* the end of the client's direction was read */
	struct engine_connection *engine; /* NULL: none is borrowed */
	struct exchange *exchange;        /* NULL between requests */
	struct flow up;        /* client → Engine; its buffer also holds the next requests */
	struct flow down;      /* Engine → client */
	struct http_scan scan; /* of the head that is being read */
	struct timer deadline;
	struct task again;         /* to continue after NEXT_YIELD, or in another round */
	struct task deferred_free; /* at the end of the turn */
	struct list link;          /* of worker->sessions */
	struct caller caller;
	char peer[ADDRESS_NAME_MAX]; /* its name, for log lines and records; peer_len bytes */
	unsigned peer_len;
	unsigned listener_id;            /* of the caller's listener: see snapshot.h */
	unsigned trust;                  /* by which its certificate was verified last */
	const struct client *met;        /* whose key was accepted last; compared, not read */
	struct certificate *certificate; /* that of `caller`; NULL: none */
	int64_t since_ns;                /* when the connection was accepted, monotonic */
	struct found *found;             /* where the client was found last; NULL: nowhere so far */
	enum whereabouts whereabouts;    /* of the client now */
	bool was_nowhere;                /* a search has found no container */
	bool settled;                    /* a request has told whose the connection is */
	struct account *host;
	struct account *account;      /* for which the connection counts */
	unsigned listener;            /* number of its name, for metrics */
	unsigned group_id, member_id; /* of the last request to a group; 0: none so far */
	unsigned known;               /* number of the client that sent the last request; 0: none */
};

/* How the session continues after a step; the sooner, the greater. */
enum next {
	NEXT_WAIT,  /* for an event */
	NEXT_YIELD, /* after the other sessions */
	NEXT_LAST,  /* in that round of the turn, which is still to come */
	NEXT_WRITE,
	NEXT_JUDGE,
	NEXT_AGAIN, /* now: the state has changed, or more can be done */
	NEXT_CLOSE,
};

static inline enum next next_sooner(enum next a, enum next b)
{
	return a > b ? a : b;
}

static inline bool session_comes_to(const struct session *session, enum loop_round round)
{
	return loop_comes_to(&session->worker->loop, round);
}

/* Memory is short: the connection closes, and the log says so. */
enum next session_starve(struct session *session) SELDOM;

/* How a session continues after a read of `n` <= 0, unless the state treats the result differently.
 */
static inline enum next next_after_read(struct session *session, ssize_t n)
{
	if (n == -EAGAIN) {
		return NEXT_WAIT;
	}
	return n == -ENOMEM || n == -ENOBUFS ? session_starve(session) : NEXT_CLOSE;
}

/* The same after flow_move(). */
static inline enum next next_after(struct session *session, enum flow_result result)
{
	if (result == FLOW_WAIT) {
		return NEXT_WAIT;
	}
	if (result == FLOW_NO_MEMORY) {
		return session_starve(session);
	}
	return result == FLOW_YIELD ? NEXT_YIELD : NEXT_CLOSE;
}

/* The snapshot of the request in progress; if there is none, of the next request. */
static inline const struct snapshot *session_snapshot(const struct session *session)
{
	return session->exchange != NULL ? session->exchange->adoption->snapshot
	                                 : session->worker->adoption->snapshot;
}

/* Its client, as log lines and records name it. */
static inline struct slice session_peer(const struct session *session)
{
	return (struct slice){session->peer, session->peer_len};
}

/* Whether bytes of the Engine's response go out, or have gone. */
static inline bool session_responds(const struct session *session)
{
	return session->state == SESSION_RELAY || session->state == SESSION_DELIVER ||
	       session->state == SESSION_TUNNEL;
}

/* The settings of the client's listener in this snapshot. */
static inline const struct snapshot_listener *session_listener(const struct session *session)
{
	return &session_snapshot(session)->listeners[session->caller.listener];
}

/* The Engine or group that the request in progress means; the default one before it is known. */
static inline const struct snapshot_engine *session_engine(const struct session *session)
{
	return &session_snapshot(session)->engines[session->exchange->engine];
}

/* The name by which the client named its Engine in TLS; empty: by none, or it does not count. */
static inline struct slice session_server_name(
        const struct session *session, const struct gate_config *gate)
{
	return LIKELY(gate->engines == NULL) ? SLICE("") : tls_server_name(&session->client);
}

/* The Engine that is asked for it: the same, or a member of the group. */
static inline const struct snapshot_engine *session_member(const struct session *session)
{
	return &session_snapshot(session)->engines[session->exchange->member];
}

/* ── choice.c: which Engine ──────────────────────────────────────────────── */

/* The request means the Engine `number` of its snapshot: choose the connections by which it is
 * asked, unless that was done. False without memory. */
bool session_choose(struct session *session, unsigned number) MUST_USE;
/* Whether the Engine is where it was when it was asked about the request's objects: elsewhere other
 * objects may have their names. */
bool session_stays(const struct session *session);
/* Whether another member of its group may have the request, to which nothing was sent yet. */
bool session_may_move(const struct session *session);
/*
 * The Engine cannot be reached: `error` is a negative errno of upstream_borrow() or
 * stream_handshake(), `tls` whether TLS is at fault. Note it, and choose another member of the
 * group. False: there is none, none may have the request, or there is no memory; the exchange stays
 * with the former one and its connection.
 */
bool session_move(struct session *session, int error, bool tls) MUST_USE;

/* ── engines.c: GET /engines ─────────────────────────────────────────────── */

enum next session_respond_engines(
        struct session *session, const struct gate_decision *decision) SELDOM;

/* ── caller.c: the container of the client ───────────────────────────────── */

/* Search it, and judge again. */
enum next session_find_container(struct session *session, const struct gate_decision *decision);
enum next session_step_caller(struct session *session);
void session_end_search(struct session *session);

/* ── count.c: limits ─────────────────────────────────────────────────────── */

/* Why a request is refused. */
struct refusal {
	const struct limits *limits;
	enum limit limit;
	bool total;      /* the limits are those of all clients together */
	int64_t wait_ns; /* until the rate allows another request; 0: not known */
};

/* Take what the request needs of the limits, once it is routed and its sender found. False: it is
 * refused. */
bool session_take(struct session *session, const struct gate_decision *decision,
        struct refusal *ret_refusal) MUST_USE;
/* Give back what the exchange holds of limits. */
void session_release(struct exchange *exchange);
/* Hold it again: a client that does not take its response counts until it does. */
void session_keep_holding(struct exchange *exchange) SELDOM;
/* Append the sentence about a refusal. */
void session_add_refusal(
        const struct client *client, const struct refusal *refusal, struct text *text);
/* A line in the log, once a minute, about a refusal for which no policy was asked. */
void session_report_refusal(struct worker *worker, const struct denial *denial) SELDOM;
/* Whether a further connection to the Engine may be made for the session. */
bool session_may_dial(const struct session *session) MUST_USE;
/* The connection ends: it was counted at `account`. */
void session_uncount(struct worker *worker, struct account *host, struct account *account);

/* ── session.c ───────────────────────────────────────────────────────────── */

/* Change the state and arm its deadline; NEXT_AGAIN. */
enum next session_enter(struct session *session, enum session_state state);
/* Give up the Engine's connection: return it for reuse, or close it. */
void session_release_engine(struct session *session, bool reusable);
/* Log the current exchange, if there is one, and end it. */
void session_record(struct session *session);
void session_close(struct session *session);
/*
 * No request is in progress: the next one is judged by the snapshot of today. False: it has no such
 * listener any more, and the connection is to be closed.
 */
bool session_settle(struct session *session) MUST_USE;
/* Continue after a wait. */
void session_run(struct session *session);
/* The notify function of the borrowed Engine connection. */
void session_engine_notified(struct stream *stream);

/* ── local_response.c: local responses, and the end of an exchange ───────── */

/* Begin an exchange; NULL without memory. */
struct exchange *session_exchange(struct session *session);
/* Send 100 (Continue). False without memory, or if the client is gone. */
bool session_continue(struct session *session);
/* What a response says of the connection to the client. */
enum http_connection session_connection(const struct exchange *exchange);
/* Respond with {"message": …} as the row of the outcome says. */
enum next session_respond(struct session *session, enum outcome outcome) SELDOM;
/* The same with another message. */
enum next session_say(struct session *session, enum outcome outcome, struct slice message) SELDOM;
/*
 * The same to a request that must not be looked at: the connection ends with the
 * response. `reason` is a literal that says it more exactly; NULL: the row's text does.
 */
enum next session_refuse(struct session *session, enum outcome outcome, const char *reason) SELDOM;
/* Respond with a document; one that is longer than a small buffer takes one for a whole message. */
enum next session_respond_json(
        struct session *session, enum outcome outcome, struct slice json) SELDOM;
/* Respond with 403 and what would allow the request, or with the Engine's 404. */
enum next session_respond_denied(
        struct session *session, const struct gate_decision *decision) SELDOM;
/*
 * No connection to the Engine `number` can be had, and what helps; `error` is a negative
 * errno of upstream_borrow() or stream_handshake(). To GET /health that is its response.
 */
enum next session_respond_dial(struct session *session, unsigned number, int error) SELDOM;
/* The Engine ended the connection before its response: 502, with the reason if TLS has one. */
enum next session_respond_closed(struct session *session) SELDOM;
/* The response to GET /health: a connection can be had. */
enum next session_respond_healthy(struct session *session) SELDOM;
/*
 * The whole response is there, and what is left of it is short: let it go out. The Engine has
 * nothing more to do with the request, so that its connection and what counts for limits are given
 * back before the client can know.
 */
enum next session_deliver(struct session *session);
enum next session_step_deliver(struct session *session);
/* Request and response are complete: continue with the next request, or end. */
enum next session_finish(struct session *session);
/* End the proxy's direction, and wait for the client to close. */
enum next session_linger(struct session *session) SELDOM;
enum next session_step_respond(struct session *session);
enum next session_step_linger(struct session *session);

/* ── meter.c: metrics ─────────────────────────────────────────────────────── */

/* The exchange ends: count it. */
void session_meter(struct session *session);
/* The request is forwarded; `judged_len`: bytes of a body that the gate has judged, or 0. */
void session_meter_forward(struct session *session, uint64_t judged_len);

/* ── record.c: audit records ─────────────────────────────────────────────── */

/* Whether somebody wants them now. */
static inline bool session_is_recorded(const struct session *session)
{
	const struct trail_queue *trail = session->worker->trail;

	return UNLIKELY(trail != NULL) && trail_wants(trail);
}
/* Keep the names of the Engine and the member, if there are several Engines. */
void session_note_engine(struct session *session);
/* Keep what the sender is told, and what the operation is about. */
void session_note_reason(struct session *session, struct slice reason);
void session_note_target(struct session *session, const struct gate_decision *decision);
/* The same of what a policy that only observes would have told. */
void session_note_observed(struct session *session, const struct gate_decision *decision);
/* The request is about to be forwarded. False: not without its record, which cannot be written. */
bool session_may_forward(struct session *session) MUST_USE;
/* It is forwarded: if it is a stream, write that it begins. */
void session_record_begin(struct session *session);
/* The exchange ends. */
void session_record_end(struct session *session);
/* A connection closes without memory for an exchange. */
void session_record_unread(struct session *session);
/* A connection that is refused, or ended, before its next request. */
struct refused {
	const struct caller *caller;
	const struct snapshot_listener *listener;
	enum verdict_word verdict;
	unsigned status; /* 0: it got no response */
	struct slice reason;
};
/* Write a record of it, of a few in a second: anybody can have thousands refused. The next record
 * says how many have none. */
void session_record_refused(struct worker *worker, const struct refused *refused) SELDOM;

/* ── handshake.c: TLS ────────────────────────────────────────────────────── */

/* The connection begins with a handshake. */
void session_begin_handshake(struct session *session);
enum next session_step_handshake(struct session *session);
/* Other files than those that verified the client hold now. False: they do not accept it; the log
 * has a line. */
bool session_trust_again(struct session *session) MUST_USE;
/* The connection closes before its handshake is over. */
void session_end_handshake(struct session *session);

/* ── request.c: from the first byte to a connection to the Engine ────────── */

enum next session_step_idle(struct session *session);
enum next session_step_head(struct session *session);
enum next session_step_body(struct session *session);
/* The body is longer than the limit of its sender: 413. */
enum next session_refuse_body(struct session *session) SELDOM;
enum next session_step_dial(struct session *session);
/* Let the gate decide on a request whose head is whole, and do what it says. */
enum next session_judge(struct session *session);
/* Remember what the log says of a request, before the gate has decided on it. */
void session_note_request(struct session *session, const struct gate_decision *decision);
/* Dial the Engine, for a look-up or for the request. */
enum next session_start_dialling(struct session *session);
/* A reused connection died before the response began: whether the request may be sent again. */
bool session_may_replay(const struct session *session);
enum next session_replay(struct session *session) SELDOM;

/* ── lookup.c: what the Engine knows of an object ────────────────────────── */

/* Ask the Engine about the object of the decision, and judge again. */
enum next session_look_up(struct session *session, const struct gate_decision *decision);
enum next session_step_lookup(struct session *session);
/* Not session_stays(): the request is refused. */
enum next session_respond_moved(struct session *session) SELDOM;
/* The Engine `number` did not answer a question of the proxy's own: `why` and `error` as in struct
 * ask; `failed` if nothing more exact can be said. */
enum next session_respond_asked(struct session *session, unsigned number, enum ask_state why,
        int error, enum outcome failed) SELDOM;
/* The answers of the Engine so far; NULL: none. */
const struct scope_answers *session_answers(const struct session *session);
/* Forget them. */
void session_end_lookup(struct session *session);
size_t session_lookup_size(void);

/* ── reply.c: the rest of the request, and the response ──────────────────── */

/* Whether the response has no end of its own, so that the proxy may end it when it stops. */
bool session_is_endless(const struct session *session);
enum next session_step_reply(struct session *session);
enum next session_step_relay(struct session *session);
enum next session_step_drain(struct session *session);

/* ── revoke.c: what another configuration does not allow any more ────────── */

/* The request is forwarded: keep what is needed to judge it again. */
void session_keep(struct session *session, const struct gate_decision *decision);
/* Forget it. */
void session_forget(struct exchange *exchange);
/*
 * The worker has another snapshot. A request in progress that it does not allow ends, if it is a
 * stream or has lasted long; the log says why. True: it has to be looked at again later.
 */
bool session_judge_again(struct session *session);

/* ── rewriting.c: a response that is narrowed or redacted ────────────────── */

/* The body of a response on its way, and what goes out in its place. */
struct rewriting {
	struct scope_narrower *narrower; /* NULL: all of it stays */
	struct slice narrowed; /* what the narrower let through, and is not rewritten yet */
	bool redacts;          /* the redactor is in use */
	struct redactor redactor;
	struct flow out; /* of `out` only the buffer is in use */
	size_t head_len; /* bytes of the head without its framing */
	bool held;       /* nothing of the response was sent yet */
	bool bare;       /* the client knows no chunks */
	bool ended;      /* the body is whole */
};

/* The same as session_rewrites(), where the exchange narrows or redacts. */
bool session_rewrites_body(const struct session *session, const struct http_response *response);
/* Whether the body of the response, whose head was parsed, is narrowed or redacted. */
static inline bool session_rewrites(
        const struct session *session, const struct http_response *response)
{
	const struct exchange *exchange = session->exchange;

	return UNLIKELY(exchange->redaction != NULL || exchange->narrows != NULL) &&
	       session_rewrites_body(session, response);
}
/* Take what the head says of its framing away; false: the body cannot be read. */
bool session_unframe_response(struct http_response *response);
/* The head of the response is written, and the body begun: continue in RELAY. */
enum next session_begin_rewriting(struct session *session, const struct http_response *response);
/* As flow_move() of the response. */
enum flow_result session_rewrite(struct session *session);
/* Whether a local response may still take the place of the Engine's. */
bool session_holds_response(const struct session *session);
/* Whether what was sent of the body, which is rewritten, ends with a whole record. */
bool session_is_between_records(const struct session *session);
void session_end_rewriting(struct session *session);

/* ── tunnel.c: raw bytes ─────────────────────────────────────────────────── */

enum next session_step_tunnel(struct session *session);

#endif
