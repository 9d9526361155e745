/* SPDX-License-Identifier: MIT */
/* caller — the container of the client is searched, between the head of a request and the verdict.
 */
#include "session/state.h"

#include "base/clock.h"

void session_end_search(struct session *session)
{
	struct search *search = session->exchange->search;

	if (search != NULL) {
		search_end(search);
		pool_give(&session->worker->search_pool, search);
		session->exchange->search = NULL;
	}
}

static void searched(struct search *search)
{
	session_run(CONTAINER_OF(search->caller, struct session, caller));
}

enum next session_find_container(struct session *session, const struct gate_decision *decision)
{
	struct worker *worker = session->worker;

	if (session->exchange == NULL && session_exchange(session) == NULL) {
		return session_starve(session);
	}
	struct containers *containers = worker_containers(worker);
	struct search *search = containers == NULL ? NULL : pool_take(&worker->search_pool);
	if (search == NULL) {
		return session_starve(session);
	}
	session->exchange->search = search;
	session_note_request(session, decision);
	/* What fails from here on ends the connection, for the request is not read to its end. */
	session->exchange->keep_client = false;
	search_begin(search, containers, searched, &session->caller, session->client.watch.fd,
	        session->since_ns);
	(void)session_enter(session, SESSION_CALLER);
	return NEXT_WAIT;
}

/* Whether it was found in this container. */
static bool was_in(const struct session *session, struct slice id)
{
	return session->found != NULL && slice_equal(session->found->container.id, id);
}

/* Whether the container ran already when the connection was accepted. */
static bool is_older(const struct found *found, const struct session *session)
{
	const int64_t age_ns = session->worker->loop.now_ns - session->since_ns;

	return found->started_ns < clock_realtime_ns() - age_ns;
}

/*
 * A connection does not go from one container to another: what comes from it was sent by the first,
 * although the address is that of another one now. The first may be one that cannot be told apart.
 */
static bool is_other(const struct session *session, const struct found *found)
{
	return session->found != NULL ? !was_in(session, found->container.id)
	                              : session->was_nowhere && is_older(found, session);
}

/* Keep what was found; NULL: nothing. */
static void settle(struct session *session, struct found *found)
{
	const bool is_stranger = found != NULL && is_other(session, found);

	session->whereabouts =
	        found == NULL || is_stranger ? WHEREABOUTS_NOWHERE : WHEREABOUTS_CONTAINER;
	session->was_nowhere = session->was_nowhere || found == NULL;
	if (is_stranger) {
		found_leave(found);
	} else if (found != NULL) {
		found_leave(session->found);
		session->found = found;
	}
}

enum next session_step_caller(struct session *session)
{
	const struct search *search = session->exchange->search;

	if (search->result == SEARCH_GOES_ON) {
		return session->client.hangup ? NEXT_CLOSE : NEXT_WAIT;
	}
	if (search->result == SEARCH_FAILED) {
		return session_respond_asked(
		        session, 0, search->why, search->error, OUTCOME_CALLER_FAILED);
	}
	settle(session, search->found);
	session_end_search(session);
	return session_judge(session);
}

/* ── What has changed since ──────────────────────────────────────────────── */

/* The container of the session has stopped, if it is not one that has started since. */
static void stopped(struct session *session, int64_t at_ns)
{
	struct exchange *exchange = session->exchange;

	if (at_ns != 0 && at_ns < session->found->started_ns) {
		return;
	}
	session->whereabouts = WHEREABOUTS_UNKNOWN;
	if (exchange != NULL && exchange->client != NULL &&
	        match_asks_container(&exchange->client->match)) {
		exchange->record.outcome = OUTCOME_CLIENT_STOPPED;
		session_close(session);
	}
}

static void change(
        struct session *session, enum containers_change change, struct slice id, int64_t at_ns)
{
	switch (change) {
	case CONTAINERS_STARTED:
		if (session->whereabouts == WHEREABOUTS_NOWHERE) {
			session->whereabouts = WHEREABOUTS_UNKNOWN;
		}
		break;
	case CONTAINERS_CHANGED:
		if (was_in(session, id)) {
			session->whereabouts = WHEREABOUTS_UNKNOWN;
		}
		break;
	case CONTAINERS_STOPPED:
		if (was_in(session, id)) {
			stopped(session, at_ns);
		}
		break;
	case CONTAINERS_LOST:
		session->whereabouts = WHEREABOUTS_UNKNOWN;
		break;
	}
}

void sessions_change_containers(
        void *owner, enum containers_change what, struct slice id, int64_t at_ns)
{
	struct worker *worker = owner;

	for (struct list *at = worker->sessions.next; at != &worker->sessions; at = at->next) {
		change(CONTAINER_OF(at, struct session, link), what, id, at_ns);
	}
}
