/* SPDX-License-Identifier: MIT */
#include "session/state.h"

#include "learn/learn.h"

#include <errno.h>
#include <unistd.h>

/* ── States ──────────────────────────────────────────────────────────────── */

enum next session_enter(struct session *session, enum session_state state)
{
	struct worker *worker = session->worker;
	struct timer_queue *deadline = &worker->deadlines[state];

	session->state = state;
	if (deadline->duration_ns > 0) {
		timer_start(&worker->loop, deadline, &session->deadline);
	} else {
		timer_stop(&session->deadline);
	}
	return NEXT_AGAIN;
}

void session_release_engine(struct session *session, bool reusable)
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

/* The Engine responds with 404 to a path and with 405 to a method that it does not serve. */
static bool is_served(const struct audit_record *record)
{
	return record->outcome == OUTCOME_FORWARDED && record->status != 404 &&
	       record->status != 405;
}

void session_record(struct session *session)
{
	struct exchange *exchange = session->exchange;

	if (exchange == NULL) {
		return;
	}
	if (exchange->record.status == 0 && exchange->record.outcome == OUTCOME_FORWARDED) {
		exchange->record.outcome = OUTCOME_ABANDONED;
	}
	if (exchange->learned > 0 && is_served(&exchange->record)) {
		learn_served(session->worker->shared->learn, exchange->learned);
	}
	session_note_engine(session);
	audit_write(&session->worker->audit, &exchange->record, session_peer(session));
	session_meter(session);
	if (UNLIKELY(session->worker->trail != NULL)) {
		session_record_end(session);
	}
	session_release(exchange);
	session_end_lookup(session);
	session_end_search(session);
	session_end_rewriting(session);
	session_forget(exchange);
	if (exchange->renewed != NULL) {
		worker_leave(session->worker, exchange->renewed);
	}
	worker_leave(session->worker, exchange->adoption);
	pool_give(&session->worker->exchange_pool, exchange);
	session->exchange = NULL;
}

enum next session_starve(struct session *session)
{
	struct worker *worker = session->worker;
	const struct audit_record unread = {
	        .method = "-",
	        .method_len = 1,
	        .path = "-",
	        .path_len = 1,
	        .started_ns = worker->loop.now_ns,
	        .outcome = OUTCOME_NO_MEMORY,
	};

	if (session->exchange != NULL) {
		session->exchange->record.outcome = OUTCOME_NO_MEMORY;
	} else {
		audit_write(&worker->audit, &unread, session_peer(session));
		session_record_unread(session);
	}
	return NEXT_CLOSE;
}

static void free_deferred(struct task *task)
{
	struct session *session = CONTAINER_OF(task, struct session, deferred_free);
	struct worker *worker = session->worker;

	list_remove(&session->link);
	certificate_free(session->certificate);
	pool_give(&worker->session_pool, session);
	if (worker->leaving && list_empty(&worker->sessions)) {
		worker_end(worker);
	}
}

/* In the middle of a response that ends with the connection: only a reset says that it is cut. */
static bool must_reset(const struct session *session)
{
	const struct flow *down = &session->down;

	return session->exchange != NULL &&
	       (session->state == SESSION_RELAY || session->state == SESSION_DELIVER) &&
	       (down->framing == HTTP_UNTIL_CLOSE || down->chunks.bare);
}

/* Who ended an exchange whose response did not come to its end. */
static void note_ender(struct session *session)
{
	struct audit_record *record = &session->exchange->record;
	const struct stream *engine = session->engine == NULL ? NULL : &session->engine->stream;

	if (record->ender == ENDER_NOBODY && record->outcome == OUTCOME_FORWARDED) {
		record->ender = engine != NULL && engine->broken ? ENDER_ENGINE : ENDER_CLIENT;
	}
}

void session_close(struct session *session)
{
	struct worker *worker = session->worker;

	if (!stream_is_open(&session->client)) {
		return;
	}
	const bool cut = must_reset(session);
	if (session->exchange != NULL && session_responds(session)) {
		session->exchange->record.bytes = session->down.data;
		note_ender(session);
	}
	session_end_handshake(session);
	session_record(session);
	found_leave(session->found);
	session->found = NULL;
	session_release_engine(session, false);
	flow_reset(&session->up, &worker->lender);
	flow_reset(&session->down, &worker->lender);
	timer_stop(&session->deadline);
	list_remove(&session->again.link);
	if (cut) {
		stream_reset_on_close(&session->client);
	}
	stream_close(&session->client);
	session_uncount(worker, session->host, session->account);
	meter_count_connection(worker->meter, session->listener, -1);
	loop_put_off(&worker->loop, &session->deferred_free);
}

/* ── The machine ─────────────────────────────────────────────────────────── */

static enum next (*const steps[SESSION_STATES])(struct session *) = {
#define STATE(name, step, round, deadline_ns, expired, dismissed)                                  \
	[SESSION_##name] = session_step_##step,
#include "session/states.def"
#undef STATE
};

/* In which round of a turn the step of a state runs, at the earliest. */
static const enum loop_round rounds[SESSION_STATES] = {
#define STATE(name, step, round, deadline_ns, expired, dismissed) [SESSION_##name] = ROUND_##round,
#include "session/states.def"
#undef STATE
};

/* Who moves many bytes, or rewrites them, lets others go first. */
static enum loop_round round_of(const struct session *session)
{
	const bool is_bulk = session->up.way != FLOW_SMALL || session->down.way != FLOW_SMALL;
	const bool rewrites = session->exchange != NULL && session->exchange->rewriting != NULL;

	return UNLIKELY(is_bulk || rewrites) ? ROUND_LAST : rounds[session->state];
}

void session_run(struct session *session)
{
	static const enum loop_round named[] = {
	        [NEXT_LAST] = ROUND_LAST, [NEXT_WRITE] = ROUND_WRITE, [NEXT_JUDGE] = ROUND_JUDGE};
	struct loop *loop = &session->worker->loop;
	enum next next = NEXT_AGAIN;

	while (next == NEXT_AGAIN) {
		const enum loop_round round = round_of(session);
		if (loop_comes_to(loop, round)) {
			loop_put_off_to_round(loop, &session->again, round);
			return;
		}
		next = steps[session->state](session);
	}
	if (next == NEXT_CLOSE) {
		session_close(session);
	} else if (next == NEXT_YIELD) {
		loop_put_off(loop, &session->again);
	} else if (next != NEXT_WAIT) {
		loop_put_off_to_round(loop, &session->again, named[next]);
	}
}

static void client_notified(struct stream *stream)
{
	session_run(CONTAINER_OF(stream, struct session, client));
}

void session_engine_notified(struct stream *stream)
{
	session_run(CONTAINER_OF(stream, struct engine_connection, stream)->borrower);
}

static void session_again(struct task *task)
{
	session_run(CONTAINER_OF(task, struct session, again));
}

/* What happens in a state when its deadline passes, and when the proxy ends. */
struct ending {
	enum next next;
	enum outcome outcome; /* FORWARDED: there is no local response */
	bool ends_response;   /* with a proper end, if it is one that goes on for ever */
};

static const struct {
	struct ending expired, dismissed;
} endings[SESSION_STATES] = {
#define STAY                                                                                       \
	{                                                                                          \
		NEXT_WAIT, OUTCOME_FORWARDED, false                                                \
	}
#define CLOSE                                                                                      \
	{                                                                                          \
		NEXT_CLOSE, OUTCOME_FORWARDED, false                                               \
	}
#define END                                                                                        \
	{                                                                                          \
		NEXT_CLOSE, OUTCOME_FORWARDED, true                                                \
	}
#define STEP                                                                                       \
	{                                                                                          \
		NEXT_AGAIN, OUTCOME_FORWARDED, false                                               \
	}
#define LOCAL(name)                                                                                \
	{                                                                                          \
		NEXT_AGAIN, OUTCOME_##name, false                                                  \
	}
#define STATE(name, step, round, deadline_ns, expired, dismissed)                                  \
	[SESSION_##name] = {expired, dismissed},
#include "session/states.def"
#undef STATE
#undef STAY
#undef CLOSE
#undef END
#undef STEP
#undef LOCAL
};

static void end_state(struct session *session, const struct ending *ending)
{
	if (ending->ends_response && session_is_endless(session)) {
		session->exchange->ends_here = true; /* as soon as a record is whole */
		session_run(session);
		return;
	}
	const enum next next = ending->outcome == OUTCOME_FORWARDED
	                               ? ending->next
	                               : session_respond(session, ending->outcome);

	if (next == NEXT_CLOSE) {
		if (session->exchange != NULL) {
			session->exchange->record.ender = ENDER_PROXY;
		}
		session_close(session);
	} else if (next == NEXT_AGAIN) {
		session_run(session);
	}
}

static SELDOM void deadline_expired(struct timer *timer)
{
	struct session *session = CONTAINER_OF(timer, struct session, deadline);
	const struct ending *ending = &endings[session->state].expired;

	if (session->state == SESSION_DIAL && session_move(session, -ETIMEDOUT, false)) {
		(void)session_start_dialling(session);
		session_run(session);
		return;
	}
	if (ending->outcome != OUTCOME_FORWARDED) {
		session->up.complete = false;
	}
	end_state(session, ending);
}

/* ── Another snapshot ────────────────────────────────────────────────────── */

bool session_settle(struct session *session)
{
	const struct snapshot *snapshot = session->worker->adoption->snapshot;
	const unsigned number = snapshot_find_listener(snapshot, session->listener_id);

	if (number == snapshot->listener_count ||
	        snapshot->listeners[number].is_tls != (session->client.tls != NULL)) {
		return false;
	}
	session->caller.listener = number;
	session->met = NULL; /* of another snapshot */
	return true;
}

void sessions_adopt(struct worker *worker)
{
	for (struct list *at = worker->sessions.next; at != &worker->sessions; at = at->next) {
		struct session *session = CONTAINER_OF(at, struct session, link);
		if (session->exchange == NULL && stream_is_open(&session->client) &&
		        session->state != SESSION_LINGER && !session_settle(session)) {
			session_close(session);
		}
	}
}

bool sessions_judge_again(struct worker *worker)
{
	bool later = false;

	for (struct list *at = worker->sessions.next; at != &worker->sessions; at = at->next) {
		struct session *session = CONTAINER_OF(at, struct session, link);
		if (session->exchange != NULL && session_judge_again(session)) {
			later = true;
		}
	}
	return later;
}

/* ── Beginning ───────────────────────────────────────────────────────────── */

/* A session whose stream is not open yet; NULL without memory. */
static struct session *session_new(
        struct worker *worker, const struct caller *caller, struct account *host)
{
	struct session *session = pool_take(&worker->session_pool);

	if (session == NULL) {
		return NULL;
	}
	*session = (struct session){
	        .worker = worker,
	        .caller = *caller,
	        .host = host,
	        .account = host,
	        .since_ns = worker->loop.now_ns,
	};
	timer_init(&session->deadline, deadline_expired);
	task_init(&session->again, session_again);
	task_init(&session->deferred_free, free_deferred);
	list_init(&session->link);
	struct text peer = text_over(session->peer, sizeof(session->peer));
	caller_add_name(caller, &peer);
	session->peer_len = (unsigned)peer.len;
	return session;
}

/* 0, or -errno and `fd` is closed. */
static int open_client(struct session *session, int fd)
{
	const struct snapshot_listener *listener = session_listener(session);
	const struct transport *transport = listener->transport;

	session->listener_id = listener->id;
	session->trust = listener->trust;
	return transport->accept(
	        transport, &session->client, &session->worker->loop, fd, client_notified);
}

static void begin(struct session *session)
{
	struct worker *worker = session->worker;

	list_append(&worker->sessions, &session->link);
	worker_trim_later(worker);
	worker_watch_ends(worker);
	worker_watch_bytes(worker);
	session->listener = session_listener(session)->number;
	meter_count_connection(worker->meter, session->listener, 1);
	if (session->client.established) {
		(void)session_enter(session, SESSION_IDLE);
	} else {
		session_begin_handshake(session);
	}
}

int session_open(struct worker *worker, int fd, const struct caller *caller, struct account *host)
{
	struct session *session = session_new(worker, caller, host);
	int error = -ENOMEM;

	if (session == NULL) {
		(void)close(fd);
	} else {
		error = open_client(session, fd);
	}
	if (error < 0) {
		pool_give(&worker->session_pool, session);
		session_uncount(worker, host, host);
		return error;
	}
	begin(session);
	return 0;
}

/* ── Clients whose time is over ──────────────────────────────────────────── */

void sessions_end_clients(struct worker *worker, int64_t now_s)
{
	for (struct list *at = worker->sessions.next; at != &worker->sessions; at = at->next) {
		struct session *session = CONTAINER_OF(at, struct session, link);
		struct exchange *exchange = session->exchange;
		if (exchange != NULL && exchange->client != NULL &&
		        client_has_ended(exchange->client, now_s)) {
			exchange->record.outcome = OUTCOME_CLIENT_ENDED;
			session_close(session);
		}
	}
}

/* ── Stopping ────────────────────────────────────────────────────────────── */

void sessions_wake_idle(struct worker *worker)
{
	struct list *at = worker->sessions.next;

	while (at != &worker->sessions) {
		struct session *session = CONTAINER_OF(at, struct session, link);
		at = at->next;
		if (session->state == SESSION_IDLE && stream_is_open(&session->client)) {
			session_run(session);
		}
	}
}

static void close_lingering(struct worker *worker)
{
	struct list *at = worker->sessions.next;

	while (at != &worker->sessions) {
		struct session *session = CONTAINER_OF(at, struct session, link);
		at = at->next;
		if (session->state == SESSION_LINGER) {
			session_close(session);
		}
	}
}

void sessions_stop(struct worker *worker)
{
	if (list_empty(&worker->sessions)) {
		worker_end(worker);
		return;
	}
	sessions_wake_idle(worker);
	close_lingering(worker);
}

void sessions_dismiss(struct worker *worker)
{
	for (struct list *at = worker->sessions.next; at != &worker->sessions; at = at->next) {
		struct session *session = CONTAINER_OF(at, struct session, link);
		if (stream_is_open(&session->client)) {
			end_state(session, &endings[session->state].dismissed);
		}
	}
}

void sessions_abort(struct worker *worker)
{
	static const struct ending aborted = {NEXT_CLOSE, OUTCOME_FORWARDED, false};

	for (struct list *at = worker->sessions.next; at != &worker->sessions; at = at->next) {
		end_state(CONTAINER_OF(at, struct session, link), &aborted);
	}
}
