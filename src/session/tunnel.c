/* SPDX-License-Identifier: MIT */
#include "session/state.h"

/* A direction is over; the first one says who ended the tunnel. */
static enum next direction_ended(struct session *session, struct flow *flow, enum ender ender)
{
	struct audit_record *record = &session->exchange->record;

	flow->complete = true;
	record->ender = record->ender == ENDER_NOBODY ? ender : record->ender;
	return NEXT_WAIT;
}

/* One direction; an end is passed on as soon as all before it is sent. */
static enum next pump_tunnel(
        struct session *session, struct flow *flow, struct stream *source, struct stream *sink)
{
	if (flow->complete) {
		return NEXT_WAIT;
	}
	const enum flow_result result = flow_move(flow, &session->worker->lender, source, sink);
	const bool lost = result == FLOW_SOURCE_LOST || result == FLOW_SINK_LOST;
	const bool from_client = source == &session->client;
	if (lost && from_client && sink->peer_done) { /* the Engine left; its last words remain */
		return direction_ended(session, flow, ENDER_ENGINE);
	}
	if (result == FLOW_SOURCE_END || (lost && !from_client && source->hangup)) {
		stream_finish(sink);
		return direction_ended(session, flow, from_client ? ENDER_CLIENT : ENDER_ENGINE);
	}
	/* The client is gone, and the Engine does not take the bytes that wait for it. */
	return result == FLOW_WAIT && from_client && source->broken ? NEXT_CLOSE
	                                                            : next_after(session, result);
}

enum next session_step_tunnel(struct session *session)
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
		session_record(session);
		return session_linger(session);
	}
	return next_sooner(down, up);
}
