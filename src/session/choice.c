/* SPDX-License-Identifier: MIT */
/*
 * choice — by which connections a request is served: once for each request.
 *
 * An exchange asks one Engine for all it needs: the look-ups of its judgement, the request itself,
 * and the request once more after a connection that had died. None of them looks for the Engine a
 * second time, so that none can find another one. A group moves on to another member only while
 * nothing was sent to the one before.
 */
#include "pulse/pulse.h"
#include "session/state.h"

static const struct snapshot_engine *named_engine(const struct session *session, unsigned number)
{
	return &session_snapshot(session)->engines[number];
}

/* The member that served the connection's last request to this group; ENGINE_NONE: none that is
 * up. */
static unsigned kept_member(const struct session *session, const struct snapshot_engine *group)
{
	for (unsigned i = 0; session->group_id == group->id && i < group->member_count; i++) {
		const struct snapshot_engine *member = named_engine(session, group->members[i]);
		if (member->id == session->member_id) {
			return member->pulse != NULL && pulse_is_avoided(member->pulse)
			               ? ENGINE_NONE
			               : group->members[i];
		}
	}
	return ENGINE_NONE;
}

/* Have the exchange ask this member from now on. False without memory: it asks whom it asked
 * before. */
static bool use(struct session *session, const struct snapshot_engine *group, unsigned member)
{
	struct exchange *exchange = session->exchange;
	struct upstream *upstream = worker_reach(session->worker, exchange->adoption, member);

	if (upstream == NULL) {
		return false;
	}
	if (group->member_count > 0) {
		session->group_id = group->id;
		session->member_id = named_engine(session, member)->id;
	}
	exchange->member = member;
	exchange->upstream = upstream;
	exchange->looked_up_at = 0;
	return true;
}

/* The member of a group that is asked; an Engine is its own. */
static unsigned choose_member(const struct session *session, unsigned number)
{
	const struct snapshot_engine *engine = named_engine(session, number);

	if (LIKELY(engine->member_count == 0)) {
		return number;
	}
	const unsigned kept = kept_member(session, engine);
	return kept != ENGINE_NONE ? kept
	                           : snapshot_choose_member(session_snapshot(session), engine, 0);
}

bool session_choose(struct session *session, unsigned number)
{
	struct exchange *exchange = session->exchange;

	ASSERT(exchange->upstream == NULL || exchange->engine == number);
	if (exchange->upstream != NULL) {
		return true;
	}
	exchange->engine = number;
	return use(session, named_engine(session, number), choose_member(session, number));
}

bool session_stays(const struct session *session)
{
	const struct exchange *exchange = session->exchange;
	const unsigned now = exchange->upstream->generation + 1;

	return exchange->looked_up_at == 0 || exchange->looked_up_at == now;
}

/* The members that the exchange has tried, with the one that it has now. */
static unsigned tried_members(const struct exchange *exchange, const struct snapshot_engine *group)
{
	unsigned tried = exchange->tried;

	for (unsigned i = 0; i < group->member_count; i++) {
		tried |= group->members[i] == exchange->member ? 1U << i : 0;
	}
	return tried;
}

/* Answers are the former member's: another one may have other objects of the same names. */
static bool has_answers(const struct session *session)
{
	const struct scope_answers *answers = session_answers(session);

	return answers != NULL && answers->count > 0;
}

bool session_may_move(const struct session *session)
{
	const struct exchange *exchange = session->exchange;
	const struct snapshot_engine *group = named_engine(session, exchange->engine);

	/* Dialled again: a connection died with the request, which that member may have had. */
	return group->member_count > 0 && !has_answers(session) && !exchange->dialled_again &&
	       snapshot_choose_member(session_snapshot(session), group,
	               tried_members(exchange, group)) != ENGINE_NONE;
}

bool session_move(struct session *session, int error, bool tls)
{
	struct exchange *exchange = session->exchange;
	const enum pulse_trouble trouble = pulse_trouble_of(error, tls);
	const struct snapshot_engine *group = named_engine(session, exchange->engine);

	pulse_failed(named_engine(session, exchange->member)->pulse, trouble);
	if (!pulse_may_move(trouble) || !session_may_move(session)) {
		return false;
	}
	const unsigned tried = tried_members(exchange, group);
	const unsigned next = snapshot_choose_member(session_snapshot(session), group, tried);
	if (!use(session, group, next)) {
		return false;
	}
	exchange->tried = tried;
	session_release_engine(session, false);
	return true;
}
