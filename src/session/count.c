/* SPDX-License-Identifier: MIT */
/*
 * count — what clients have at once, and what they are refused.
 *
 * A connection counts for its host, until a request tells whose it is; then for the client. What a
 * request takes, its exchange holds until session_deliver() or session_record().
 */
#include "session/state.h"

enum {
	KEPT_SHARE = 8, /* an eighth of all connections is for hosts that have none */
	FEW = 64,       /* connections of a host that takes no descriptors away from others */
};

/* ── Connections ─────────────────────────────────────────────────────────── */

/* Whether the last eighth of all descriptors is in use: requests take a second one each. */
static bool is_scarce(const struct worker_shared *shared)
{
	const unsigned used =
	        atomic_load_explicit(&shared->connections, memory_order_relaxed) +
	        atomic_load_explicit(&shared->engine_connections, memory_order_relaxed);

	return used > shared->max_descriptors - shared->max_descriptors / KEPT_SHARE;
}

bool session_may_dial(const struct session *session)
{
	return session->exchange->upstream->idle_count > 0 ||
	       account_references(session->host) <= FEW || !is_scarce(session->worker->shared) ||
	       upstreams_close_oldest(&session->worker->upstreams);
}

/* `before`: connections of all hosts before this one. */
static enum outcome admit_connection(
        const struct worker *worker, unsigned before, struct account *host)
{
	const unsigned most = worker->shared->max_connections;
	const struct limits *widest = worker->adoption->snapshot->widest;
	const uint64_t most_here = widest == NULL ? 0 : widest->of[LIMIT_CONNECTIONS].value;

	if (before >= most) {
		return OUTCOME_TOO_MANY_CONNECTIONS;
	}
	if (account_references(host) > 1 &&
	        (before >= most - most / KEPT_SHARE || is_scarce(worker->shared))) {
		return OUTCOME_CROWDED;
	}
	return account_count(host, LIMIT_CONNECTIONS, most_here) ? OUTCOME_FORWARDED
	                                                         : OUTCOME_LIMIT_CONNECTIONS;
}

void session_report_refusal(struct worker *worker, const struct denial *denial)
{
	static const struct verdict none = {.allowed = false};
	struct denial refusal = *denial;

	refusal.query = SLICE("");
	refusal.verdict = &none;
	denials_report(&worker->shared->denials, worker->loop.now_ns, &refusal);
}

static void explain_connection(
        const struct worker *worker, enum outcome outcome, struct text *reason)
{
	if (outcome == OUTCOME_LIMIT_CONNECTIONS) {
		limit_add_refusal(worker->adoption->snapshot->widest, LIMIT_CONNECTIONS,
		        SLICE("this address"), reason);
	} else {
		text_add(reason, slice_of(outcome_text(outcome)));
	}
}

/* At the ceiling of all connections it is nobody's own doing: the log has that once a second. */
static void report_connection(struct worker *worker, const struct caller *caller,
        struct account *host, enum outcome outcome, const char *reason)
{
	const struct denial denial = {
	        .caller = caller,
	        .method = SLICE(""), /* nothing was read */
	        .path = SLICE(""),
	        .outcome = outcome,
	        .reason = reason,
	        .listener = worker->adoption->snapshot->listeners[caller->listener].number,
	};

	if (outcome == OUTCOME_LIMIT_CONNECTIONS) {
		accounts_refuse(worker->shared->accounts, host, LIMIT_CONNECTIONS);
	}
	meter_count_limit(worker->meter, 0,
	        outcome == OUTCOME_LIMIT_CONNECTIONS ? LIMIT_CONNECTIONS : METER_MAX_CONNECTIONS);
	if (outcome != OUTCOME_TOO_MANY_CONNECTIONS) {
		session_report_refusal(worker, &denial);
	}
}

/* Clients that speak TLS get an alert, and no response. */
static void record_connection(struct worker *worker, const struct caller *caller,
        enum outcome outcome, struct slice reason)
{
	const struct snapshot_listener *listener =
	        &worker->adoption->snapshot->listeners[caller->listener];
	const struct refused refused = {
	        .caller = caller,
	        .listener = listener,
	        .verdict = outcome_verdict(outcome, false),
	        .status = listener->is_tls ? 0 : outcome_status(outcome),
	        .reason = reason,
	};

	session_record_refused(worker, &refused);
}

enum outcome session_count(struct worker *worker, const struct caller *caller,
        struct account **ret_host, struct text *reason)
{
	struct worker_shared *shared = worker->shared;
	const unsigned before = atomic_fetch_add(&shared->connections, 1);
	struct account *host = accounts_take_host(shared->accounts, caller, worker->loop.now_ns);
	const enum outcome outcome = admit_connection(worker, before, host);

	if (outcome == OUTCOME_FORWARDED) {
		*ret_host = host;
		return outcome;
	}
	explain_connection(worker, outcome, reason);
	report_connection(worker, caller, host, outcome, reason->ptr);
	record_connection(worker, caller, outcome, text_slice(reason));
	accounts_give(shared->accounts, host);
	(void)atomic_fetch_sub(&shared->connections, 1);
	return outcome;
}

void session_uncount(struct worker *worker, struct account *host, struct account *account)
{
	account_uncount(account, LIMIT_CONNECTIONS);
	if (account != host) {
		accounts_give(worker->shared->accounts, account);
	}
	accounts_give(worker->shared->accounts, host);
	(void)atomic_fetch_sub(&worker->shared->connections, 1);
}

/* Let the connection count for another account. False: that has as many as it may. */
static bool move_connection(struct session *session, struct account *account, uint64_t most)
{
	struct accounts *accounts = session->worker->shared->accounts;

	if (!account_count(account, LIMIT_CONNECTIONS, most)) {
		return false;
	}
	if (account != session->host) {
		accounts_keep(accounts, account);
	}
	account_uncount(session->account, LIMIT_CONNECTIONS);
	if (session->account != session->host) {
		accounts_give(accounts, session->account);
	}
	session->account = account;
	return true;
}

/* The first request tells whose the connection is; a later one may be somebody else's. */
static bool settle_connection(
        struct session *session, struct account *account, const struct limits *limits)
{
	const uint64_t most = limits == NULL ? 0 : limits->of[LIMIT_CONNECTIONS].value;
	const bool settled = session->settled;

	session->settled = true;
	if (account != session->account) {
		return move_connection(session, account, most);
	}
	/* At the host it was counted already, with those of clients that were not known yet. */
	return settled || most == 0 || account_held(account, LIMIT_CONNECTIONS) <= most;
}

/* ── Requests ────────────────────────────────────────────────────────────── */

static unsigned wanted(const struct gate_decision *decision)
{
	const struct docker_endpoint *endpoint = docker_endpoint(decision->request->served_id);
	const unsigned traits =
	        endpoint == NULL || decision->action == GATE_RESPOND ? 0 : endpoint->traits;

	return 1U << LIMIT_RATE | 1U << LIMIT_REQUESTS |
	       ((traits & (DOCKER_STREAM | DOCKER_HIJACK)) != 0 ? 1U << LIMIT_STREAMS : 0) |
	       ((traits & DOCKER_BUILD) != 0 ? 1U << LIMIT_BUILDS : 0);
}

/* A body without a length is measured as it comes. */
static bool is_too_long(const struct gate_decision *decision, uint64_t most)
{
	return decision->action != GATE_RESPOND && decision->head->head.framing == HTTP_LENGTH &&
	       decision->head->head.content_length > most;
}

static struct account *account_of(const struct session *session, const struct client *client)
{
	return client == NULL || client->account == NULL ? session->host : client->account;
}

/* The exchange knows its sender. */
static void admit(struct exchange *exchange, const struct client *client)
{
	const struct limits *limits =
	        client == NULL ? exchange->adoption->snapshot->limits : client->limits;
	const uint64_t body_max = limits == NULL ? 0 : limits->of[LIMIT_BODY].value;

	exchange->admitted = true;
	exchange->client = client;
	exchange->record.client = client == NULL ? NULL : client->name;
	exchange->limits = limits;
	exchange->body_max = body_max == 0 ? UINT64_MAX : body_max;
}

/* Of the sender's limits. LIMIT_COUNT; or the limit that was reached. */
static enum limit take_own(struct session *session, const struct gate_decision *decision,
        struct account *account, struct refusal *refusal)
{
	struct exchange *exchange = session->exchange;

	refusal->limits = exchange->limits;
	if (!settle_connection(session, account, exchange->limits)) {
		return LIMIT_CONNECTIONS;
	}
	if (is_too_long(decision, exchange->body_max)) {
		return LIMIT_BODY;
	}
	return holding_take(&exchange->holdings[0], account, exchange->limits, wanted(decision),
	        session->worker->loop.now_ns, &refusal->wait_ns);
}

/* The same of the limits of all clients together. */
static enum limit take_of_total(
        struct session *session, const struct gate_decision *decision, struct refusal *refusal)
{
	struct exchange *exchange = session->exchange;

	refusal->total = true;
	refusal->limits = exchange->adoption->snapshot->total_limits;
	return holding_take(&exchange->holdings[1], &session->worker->shared->accounts->total,
	        refusal->limits, wanted(decision), session->worker->loop.now_ns, &refusal->wait_ns);
}

bool session_take(
        struct session *session, const struct gate_decision *decision, struct refusal *ret_refusal)
{
	struct account *account = account_of(session, decision->client);

	*ret_refusal = (struct refusal){.limits = NULL};
	admit(session->exchange, decision->client);
	ret_refusal->limit = take_own(session, decision, account, ret_refusal);
	if (ret_refusal->limit == LIMIT_COUNT && session_snapshot(session)->total_limits != NULL) {
		ret_refusal->limit = take_of_total(session, decision, ret_refusal);
	}
	if (ret_refusal->limit == LIMIT_COUNT) {
		return true;
	}
	accounts_refuse(session->worker->shared->accounts, account, ret_refusal->limit);
	meter_count_limit(session->worker->meter,
	        decision->client == NULL ? 0 : decision->client->metric, ret_refusal->limit);
	return false;
}

void session_release(struct exchange *exchange)
{
	for (unsigned i = 0; i < ARRAY_LEN(exchange->holdings); i++) {
		holding_give(&exchange->holdings[i]);
	}
}

void session_keep_holding(struct exchange *exchange)
{
	for (unsigned i = 0; i < ARRAY_LEN(exchange->holdings); i++) {
		holding_keep(&exchange->holdings[i]);
	}
}

void session_add_refusal(
        const struct client *client, const struct refusal *refusal, struct text *text)
{
	char memory[CLIENT_NAME_MAX + 32];
	struct text who = text_over(memory, sizeof(memory));

	if (refusal->total) {
		text_add(&who, SLICE("all clients together"));
	} else if (client == NULL) {
		text_add(&who, SLICE("this address"));
	} else {
		text_add_format(&who, "client '%s'", client->name);
	}
	limit_add_refusal(refusal->limits, refusal->limit, text_slice(&who), text);
}
