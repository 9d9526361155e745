/* SPDX-License-Identifier: MIT */
/*
 * handshake — a connection over TLS, until its first request.
 *
 * A signature takes as long as a hundred requests, and the client chooses a group with which an
 * exchange of keys takes ten times that. Therefore a thread takes steps of handshakes for a short
 * time in a turn, at least one, and serves everybody else in between. Memory for requests is taken
 * when the handshake is over.
 */
#include "base/clock.h"
#include "net/tls.h"
#include "session/state.h"

#include <stdio.h>

enum {
	/* At the same time in one thread. Beyond it an old one makes room: clients complete theirs
	 * in milliseconds, and who holds one open longer than others is none. */
	HANDSHAKES_MAX = 512,
	TURN_MS = 1,      /* for steps, in a turn of the loop */
	LINES_PER_S = 10, /* a port scan has thousands */
};

/* ── The log ─────────────────────────────────────────────────────────────── */

/* `listener`: that of the client today, or NULL if it is gone. */
static void report_at(const struct snapshot_listener *listener, struct session *session,
        const char *what, struct slice reason)
{
	struct worker *worker = session->worker;
	char more[64] = "";

	if (!quota_take(&worker->handshake_lines, LINES_PER_S, worker->loop.now_ns)) {
		return;
	}
	const unsigned left_out = quota_left_out(&worker->handshake_lines);
	if (left_out > 0) {
		(void)snprintf(more, sizeof(more), " (%u others were not logged)", left_out);
	}
	log_line(LOG_NOTICE, "%s: %s %.*s: %.*s%s",
	        listener == NULL ? "a former listener" : listener->address, what,
	        SLICE_FMT(session_peer(session)), SLICE_FMT(reason), more);
}

static void report(struct session *session, struct slice reason)
{
	/* After a reload another listener has the number of one that is gone. */
	const struct snapshot *snapshot = session_snapshot(session);
	const unsigned number = snapshot_find_listener(snapshot, session->listener_id);
	const bool is_gone = number == snapshot->listener_count;
	const struct refused refused = {
	        .caller = &session->caller,
	        .listener = is_gone ? NULL : &snapshot->listeners[number],
	        .verdict = VERDICT_ERROR,
	        .reason = is_gone ? SLICE("its listener is gone") : reason,
	};

	report_at(refused.listener, session, "no TLS with", refused.reason);
	session_record_refused(session->worker, &refused);
}

/* ── Beginning and end ───────────────────────────────────────────────────── */

static struct session *of_deadline(struct list *link)
{
	return CONTAINER_OF(CONTAINER_OF(link, struct timer, link), struct session, deadline);
}

/*
 * Who makes room for a newcomer: the oldest handshake of its own host. If that has none, the oldest
 * of a host with several connections, so that one host cannot crowd out others, however fast it
 * comes again.
 */
static struct session *who_makes_room(const struct session *newcomer)
{
	struct list *timers = &newcomer->worker->deadlines[SESSION_HANDSHAKE].timers;
	struct session *chosen = of_deadline(timers->next);
	bool several = false;

	for (struct list *at = timers->next; at != timers; at = at->next) {
		struct session *session = of_deadline(at);
		if (session->host == newcomer->host) {
			return session;
		}
		if (!several && account_references(session->host) > 1) {
			several = true;
			chosen = session;
		}
	}
	return chosen;
}

void session_begin_handshake(struct session *session)
{
	struct worker *worker = session->worker;

	if (worker->handshakes == HANDSHAKES_MAX) {
		session_close(who_makes_room(session));
	}
	worker->handshakes++;
	(void)session_enter(session, SESSION_HANDSHAKE);
}

/* The handshake is over, well or not. */
static void leave(struct session *session)
{
	session->worker->handshakes--;
	session->state = SESSION_IDLE;
}

void session_end_handshake(struct session *session)
{
	if (session->state == SESSION_HANDSHAKE) {
		leave(session);
		meter_count_handshake(session->worker->meter, METER_HANDSHAKE_UNFINISHED);
		report(session, session->worker->handshakes + 1 == HANDSHAKES_MAX
		                        ? SLICE("too many handshakes are in progress")
		                        : SLICE("it did not complete the handshake in time"));
	}
}

/* ── Other files ─────────────────────────────────────────────────────────── */

bool session_trust_again(struct session *session)
{
	const struct snapshot *snapshot = session->worker->adoption->snapshot;
	const struct snapshot_listener *listener =
	        &snapshot->listeners[snapshot_find_listener(snapshot, session->listener_id)];
	char memory[256];
	struct text why = text_over(memory, sizeof(memory));

	if (listener->is_tls && !tls_accepts_again(listener->transport, &session->client, &why)) {
		const struct refused refused = {
		        .caller = &session->caller,
		        .listener = listener,
		        .verdict = VERDICT_DENY,
		        .reason = text_slice(&why),
		};
		report_at(listener, session, "ended the connection of", text_slice(&why));
		session_record_refused(session->worker, &refused);
		return false;
	}
	session->trust = listener->trust;
	return true;
}

/* ── HANDSHAKE ───────────────────────────────────────────────────────────── */

/* Whether this turn has time for a further step. */
static bool has_time(struct worker *worker)
{
	if (worker->handshake_turn_ns != worker->loop.now_ns) {
		worker->handshake_turn_ns = worker->loop.now_ns;
		worker->handshake_ns = 0;
	}
	return worker->handshake_ns < TURN_MS * NS_PER_MS;
}

static int take_step(struct session *session)
{
	const int64_t began_ns = clock_monotonic_ns();
	const int error = stream_handshake(&session->client);

	session->worker->handshake_ns += clock_monotonic_ns() - began_ns;
	return error;
}

/* What the client proved to be. */
static enum next welcome(struct session *session)
{
	const struct x509_st *peer = tls_peer_certificate(&session->client);

	if (peer != NULL) {
		session->certificate = certificate_new(peer);
		if (session->certificate == NULL) {
			return session_starve(session);
		}
		session->caller.certificate = session->certificate;
	}
	meter_count_handshake(session->worker->meter, METER_HANDSHAKE_OK);
	return session_enter(session, SESSION_IDLE);
}

/* OpenSSL has sent its alert. The client reads it if the connection does not close over bytes that
 * nobody read. */
static enum next turn_away(struct session *session)
{
	char memory[512];
	struct text reason = text_over(memory, sizeof(memory));
	const bool http = tls_met_http(&session->client);

	meter_count_handshake(session->worker->meter, http ? METER_HANDSHAKE_PLAIN
	                                              : tls_met_nobody(&session->client)
	                                                      ? METER_HANDSHAKE_UNFINISHED
	                                                      : METER_HANDSHAKE_FAILED);
	tls_explain(&session->client, &reason);
	if (tls_met_nobody(&session->client)) {
		log_line(LOG_DEBUG, "%s: a connection ended without a byte",
		        session_listener(session)->address);
	} else if (!http) {
		report(session, text_slice(&reason));
	}
	tls_abandon(&session->client);
	return http ? session_refuse(session, OUTCOME_PLAIN_HTTP, NULL) : session_linger(session);
}

enum next session_step_handshake(struct session *session)
{
	if (!has_time(session->worker)) {
		return NEXT_YIELD;
	}
	const int error = take_step(session);
	if (error == -EAGAIN) {
		return NEXT_WAIT;
	}
	leave(session);
	return error == 0 ? welcome(session) : turn_away(session);
}
