/* SPDX-License-Identifier: MIT */
/*
 * meter — what is counted of sessions, where there is an admin listener.
 *
 * Exchanges are counted when they end. Bytes of those that last are counted as they go, or a
 * download of an hour would be a step at its end.
 */
#include "session/state.h"

/* Count what is new of `total`. */
static void count_rest(meter_counter *counter, uint64_t *counted, uint64_t total)
{
	if (total > *counted) {
		meter_add(counter, total - *counted);
		*counted = total;
	}
}

static void count_in(struct session *session)
{
	struct exchange *exchange = session->exchange;
	const uint64_t moved = exchange->counts_body ? session->up.data : 0;

	count_rest(&session->worker->meter->bytes_in, &exchange->counted_in,
	        exchange->judged_len + moved);
}

void session_meter_forward(struct session *session, uint64_t judged_len)
{
	struct exchange *exchange = session->exchange;

	if (session->worker->meter == NULL) {
		return;
	}
	exchange->counts_body = true;
	exchange->judged_len = judged_len;
	if ((exchange->traits & (DOCKER_STREAM | DOCKER_HIJACK | DOCKER_BUILD)) != 0) {
		exchange->streams = true;
		meter_count_stream(session->worker->meter,
		        exchange->client == NULL ? 0 : exchange->client->metric, 1);
	}
}

void sessions_count_bytes(struct worker *worker)
{
	for (struct list *at = worker->sessions.next; at != &worker->sessions; at = at->next) {
		struct session *session = CONTAINER_OF(at, struct session, link);
		struct exchange *exchange = session->exchange;
		if (exchange == NULL) {
			continue;
		}
		count_in(session);
		if (session_responds(session)) {
			count_rest(&worker->meter->bytes_out, &exchange->counted_out,
			        session->down.data);
		}
	}
}

void session_meter(struct session *session)
{
	struct exchange *exchange = session->exchange;
	struct meter *meter = session->worker->meter;

	/* Health checks are no requests for the Engine. */
	if (meter == NULL || exchange->probe) {
		return;
	}
	const struct meter_labels labels = {
	        .listener = session->listener,
	        .client = exchange->client == NULL ? 0 : exchange->client->metric,
	        .policy = exchange->policy,
	        .operation = exchange->operation,
	        .verdict = outcome_verdict(exchange->record.outcome, exchange->record.observed),
	};
	session->known = labels.client;
	const enum meter_kind kind = docker_endpoint(exchange->operation - 1) == NULL
	                                     ? METER_OTHER
	                                     : meter_kind_of(exchange->traits);
	meter_count_request(
	        meter, &labels, kind, session->worker->loop.now_ns - exchange->record.started_ns);
	count_in(session);
	count_rest(&meter->bytes_out, &exchange->counted_out, exchange->record.bytes);
	if (exchange->streams) {
		meter_count_stream(meter, labels.client, -1);
	}
}
