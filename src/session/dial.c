/* SPDX-License-Identifier: MIT */
/* dial — the state DIAL: a connection to the Engine of the request, or to another member of its
 * group. */
#include "session/state.h"

#include "base/clock.h"
#include "net/tls.h"
#include "pulse/pulse.h"

#include <errno.h>

enum {
	/* Over all attempts at one member; of one attempt it is the deadline of DIAL. */
	DIAL_TIMEOUT_S = 10,
};

enum next session_start_dialling(struct session *session)
{
	struct worker *worker = session->worker;

	session->exchange->record.dialled_ns = worker->loop.now_ns;
	(void)session_enter(session, SESSION_DIAL);
	if (UNLIKELY(session->exchange->engine != session->exchange->member) &&
	        session_may_move(session)) {
		timer_start(&worker->loop, &worker->move_queue, &session->deadline);
	}
	return NEXT_AGAIN;
}

static enum upstream_wish wish_of(const struct exchange *exchange)
{
	if (exchange->dialled_again || exchange->probe) {
		return UPSTREAM_FRESH;
	}
	return exchange->lookup == NULL && exchange->safe && exchange->replay_len > 0
	               ? UPSTREAM_ANY
	               : UPSTREAM_ALIVE;
}

/* 0 when the Engine's connection can be used, -EAGAIN when it has to be waited for. */
static int dial(struct session *session)
{
	if (session->engine == NULL) {
		if (!session_may_dial(session)) {
			return -EMFILE;
		}
		const int error =
		        upstream_borrow(session->exchange->upstream, wish_of(session->exchange),
		                session_engine_notified, session, &session->engine);
		if (error < 0) {
			return error;
		}
	}
	return stream_handshake(&session->engine->stream);
}

/* There is no connection: another member of a group may have one. */
static SELDOM enum next lose(struct session *session, int error)
{
	const bool tls = session->engine != NULL && tls_is_at_fault(&session->engine->stream);

	return session_move(session, error, tls)
	               ? session_start_dialling(session)
	               : session_respond_dial(session, session->exchange->member, error);
}

/* Until the connection is there, or, without one, until there may be room in the Engine's queue. */
static SELDOM enum next wait_to_dial(struct session *session)
{
	const struct exchange *exchange = session->exchange;
	const int64_t waited_ns = session->worker->loop.now_ns - exchange->record.dialled_ns;
	const bool late = waited_ns >= DIAL_TIMEOUT_S * NS_PER_S;

	if (session->engine == NULL) {
		if (late || exchange->probe) {
			return session_respond_dial(session, exchange->member, -EAGAIN);
		}
		(void)session_enter(session, SESSION_QUEUE);
		return NEXT_WAIT;
	}
	if (late) {
		return lose(session, -ETIMEDOUT);
	}
	/* A timer to move on may have expired, and there was no memory to do so. */
	if (session->state != SESSION_DIAL || list_empty(&session->deadline.link)) {
		(void)session_enter(session, SESSION_DIAL);
	}
	return NEXT_WAIT;
}

enum next session_step_dial(struct session *session)
{
	if (UNLIKELY(session->exchange->looked_up_at > 0) && session->engine == NULL &&
	        !session_stays(session)) {
		return session_respond_moved(session);
	}
	const int error = dial(session);

	if (error == -EAGAIN) {
		return wait_to_dial(session);
	}
	if (error < 0) {
		return lose(session, error);
	}
	pulse_connected(session_member(session)->pulse);
	if (session->exchange->probe) {
		return session_respond_healthy(session);
	}
	session_end_lookup(session);
	session->exchange->record.connected_ns = session->worker->loop.now_ns;
	session->scan = (struct http_scan){0};
	return session_enter(session, SESSION_REPLY);
}

/* A reused connection died before the response began: the request is sent again, on a new one. */
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
	return session_start_dialling(session);
}
