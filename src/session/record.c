/* SPDX-License-Identifier: MIT */
/*
 * record — what audit records say of requests: audit/record.h.
 *
 * A record is written when its exchange ends. With `on_failure: deny` a place for it is kept before
 * the request is forwarded, and that of a stream is written when it begins, too.
 */
#include "base/clock.h"
#include "session/state.h"

enum { REFUSED_PER_S = 1 }; /* records of refused connections, of one thread */

/* ── What is kept while the request is understood ────────────────────────── */

void session_note_reason(struct session *session, struct slice reason)
{
	struct exchange *exchange = session->exchange;

	if (session_is_recorded(session)) {
		exchange->reason_len =
		        (unsigned)text_keep(exchange->reason, EXCHANGE_REASON_MAX, reason);
	}
}

/* Of a request that no row fits, its path says more than a name in it. */
void session_note_target(struct session *session, const struct gate_decision *decision)
{
	struct exchange *exchange = session->exchange;
	const struct audit_record *record = &exchange->record;
	const struct slice name = decision->request->name;
	const struct slice named = {record->name, record->name_len};
	const struct slice image = {record->image, record->image_len};
	const bool is_known = docker_endpoint(decision->request->id) != NULL;
	const struct slice target = !is_known       ? decision->request->path
	                            : name.len > 0  ? name
	                            : named.len > 0 ? named
	                                            : image;

	exchange->target_len = (unsigned)text_keep(exchange->target, EXCHANGE_TARGET_MAX, target);
}

void session_note_observed(struct session *session, const struct gate_decision *decision)
{
	char memory[EXCHANGE_REASON_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (session_is_recorded(session)) {
		gate_add_denial(decision, &text);
		session_note_reason(session, text_slice(&text));
	}
}

/* ── Records ─────────────────────────────────────────────────────────────── */

/* Of a request that was not understood, its path is all there is. */
static struct slice target_of(const struct exchange *exchange)
{
	const struct audit_record *record = &exchange->record;
	const struct slice path = {record->path, record->path_len};

	if (record->operation != NULL) {
		return (struct slice){exchange->target, exchange->target_len};
	}
	return slice_equal(path, SLICE("-")) ? SLICE("") : path;
}

/* Why a response ended in its midst; NULL: it did not, or nothing else is to be said. */
static const char *ending_of(const struct exchange *exchange)
{
	const enum outcome outcome = exchange->record.outcome;

	return exchange->reason_len > 0 && outcome_status(outcome) == 0 ? outcome_text(outcome)
	                                                                : NULL;
}

static struct slice reason_of(const struct exchange *exchange)
{
	const char *text = exchange->record.reason != NULL ? exchange->record.reason
	                                                   : outcome_text(exchange->record.outcome);

	if (exchange->reason_len > 0 || text == NULL) {
		return (struct slice){exchange->reason, exchange->reason_len};
	}
	return slice_of(text);
}

static void push(struct worker *worker, const struct record *record)
{
	struct text line = trail_begin(worker->trail);

	if (LIKELY(line.ptr != NULL)) {
		record_write(record, &worker->record_clock, &line);
		trail_end(worker->trail, &line);
	}
}

/* Why the response ended, and then what would have been denied. */
static SELDOM void push_ending(struct worker *worker, const struct record *record, const char *why)
{
	char memory[RECORD_REASON_MAX];
	struct text both = text_over(memory, sizeof(memory));
	struct record ending = *record;

	text_add_format(&both, "%s; %.*s", why, SLICE_FMT(record->reason));
	ending.reason = text_slice(&both);
	push(worker, &ending);
}

/* Without Engines that have names, the snapshot need not be looked at. */
void session_note_engine(struct session *session)
{
	struct exchange *exchange = session->exchange;
	const bool is_member = exchange->upstream != NULL && exchange->engine != exchange->member;

	exchange->record.engine = NULL;
	exchange->record.member = NULL;
	if (UNLIKELY(exchange->named > 0 || is_member)) {
		const struct snapshot_engine *engines = session_snapshot(session)->engines;
		exchange->record.engine =
		        exchange->named > 0 ? engines[exchange->named - 1].name : NULL;
		exchange->record.member = is_member ? engines[exchange->member].name : NULL;
	}
}

static void write_record(struct session *session, bool has_ended)
{
	const struct exchange *exchange = session->exchange;
	const struct audit_record *said = &exchange->record;
	const char *ending = ending_of(exchange);
	const struct record record = {
	        .time_ns = loop_realtime_ns(&session->worker->loop),
	        .id = exchange->id,
	        .peer = session_peer(session),
	        .client = said->client,
	        .listener = session_listener(session)->label,
	        .has_engines = session_listener(session)->gate.engines != NULL,
	        .engine = said->engine,
	        .member = said->member,
	        .operation = said->operation,
	        .target = target_of(exchange),
	        .policy = said->policy,
	        .rule = exchange->rule,
	        .verdict = outcome_verdict(said->outcome, said->observed),
	        .reason = reason_of(exchange),
	        .has_ended = has_ended,
	        .status = said->status,
	        .duration_ns = session->worker->loop.now_ns - said->started_ns,
	        .bytes = said->bytes,
	};

	if (UNLIKELY(ending != NULL)) {
		push_ending(session->worker, &record, ending);
	} else {
		push(session->worker, &record);
	}
}

bool session_may_forward(struct session *session)
{
	struct trail_queue *trail = session->worker->trail;

	if (!trail_denies(trail)) {
		return true;
	}
	session->exchange->recorded = trail_reserve(trail);
	return session->exchange->recorded;
}

void session_record_begin(struct session *session)
{
	const unsigned lasting = DOCKER_STREAM | DOCKER_HIJACK | DOCKER_BUILD;

	if (session->exchange->recorded && (session->exchange->traits & lasting) != 0) {
		session_note_engine(session);
		write_record(session, false);
	}
}

void session_record_end(struct session *session)
{
	struct exchange *exchange = session->exchange;

	if (exchange->recorded) {
		trail_release(session->worker->trail);
	}
	/* Health checks are no requests for the Engine. */
	if (session_is_recorded(session) && !exchange->probe) {
		write_record(session, true);
	}
}

void session_record_unread(struct session *session)
{
	if (session_is_recorded(session)) {
		const struct record record = {
		        .time_ns = loop_realtime_ns(&session->worker->loop),
		        .id = session->worker->next_id++,
		        .peer = session_peer(session),
		        .listener = session_listener(session)->label,
		        .verdict = VERDICT_ERROR,
		        .reason = slice_of(outcome_text(OUTCOME_NO_MEMORY)),
		        .has_ended = true,
		};
		push(session->worker, &record);
	}
}

void session_record_refused(struct worker *worker, const struct refused *refused)
{
	char memory[1024];
	char name[ADDRESS_NAME_MAX];
	struct text reason = text_over(memory, sizeof(memory));
	struct text peer = text_over(name, sizeof(name));

	if (worker->trail == NULL || !trail_wants(worker->trail) ||
	        !quota_take(&worker->refused_records, REFUSED_PER_S, worker->loop.now_ns)) {
		return;
	}
	const unsigned left_out = quota_left_out(&worker->refused_records);
	text_add(&reason, refused->reason);
	if (left_out > 0) {
		text_add_format(
		        &reason, " (%u refused connections before it have no record)", left_out);
	}
	caller_add_name(refused->caller, &peer);
	const struct record record = {
	        .time_ns = loop_realtime_ns(&worker->loop),
	        .id = worker->next_id++,
	        .peer = text_slice(&peer),
	        .listener = refused->listener == NULL ? NULL : refused->listener->label,
	        .verdict = refused->verdict,
	        .reason = text_slice(&reason),
	        .has_ended = true,
	        .status = refused->status,
	};
	push(worker, &record);
}
