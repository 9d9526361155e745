/* SPDX-License-Identifier: MIT */
/* listing — the streams of one worker, for those who operate the program. */
#include "session/state.h"

#include "base/log.h"

/* ── What a stream is about ──────────────────────────────────────────────── */

/* Behind the version. */
static struct slice bare(struct slice path)
{
	struct slice rest = path;
	struct slice version;

	if (!slice_skip(&rest, SLICE("/v")) || rest.len == 0 || rest.ptr[0] < '0' ||
	        rest.ptr[0] > '9') {
		return path;
	}
	(void)slice_next(&rest, '/', &version);
	return rest.len == 0 ? path : (struct slice){rest.ptr - 1, rest.len + 1};
}

/* The name in the path, as it was sent; else what the query names. */
static struct slice target_of(const struct exchange *exchange)
{
	const struct audit_record *record = &exchange->record;
	const struct docker_endpoint *endpoint = docker_endpoint(exchange->operation - 1);
	const char *brace = endpoint == NULL ? NULL : strchr(endpoint->path, '{');
	struct slice rest = bare((struct slice){record->path, record->path_len});
	struct slice name = {"", 0};

	if (record->image_len > 0) {
		return (struct slice){record->image, record->image_len};
	}
	if (record->name_len > 0) {
		return (struct slice){record->name, record->name_len};
	}
	if (brace != NULL && slice_skip(&rest, slice_between(endpoint->path, brace))) {
		(void)slice_next(&rest, '/', &name);
	}
	return name;
}

/* ── Listing ─────────────────────────────────────────────────────────────── */

static void describe(const struct session *session, struct session_stream *ret_stream)
{
	const struct exchange *exchange = session->exchange;
	const bool responds = session_responds(session);

	ret_stream->id = exchange->id;
	ret_stream->started_ns = exchange->record.started_ns;
	ret_stream->operation = exchange->record.operation;
	ret_stream->client = exchange->client == NULL ? 0 : exchange->client->metric;
	ret_stream->listener = session->listener;
	ret_stream->to_engine =
	        exchange->judged_len + (exchange->counts_body ? session->up.data : 0);
	ret_stream->to_client = responds ? session->down.data : 0;
	ret_stream->peer_len = (unsigned)text_keep(
	        ret_stream->peer, sizeof(ret_stream->peer), session_peer(session));
	ret_stream->target_len = (unsigned)text_keep(
	        ret_stream->target, sizeof(ret_stream->target), target_of(exchange));
}

static bool is_stream(const struct session *session)
{
	return session->exchange != NULL && session->exchange->streams;
}

static unsigned client_of(const struct session *session)
{
	const struct exchange *exchange = session->exchange;

	return exchange != NULL && exchange->client != NULL ? exchange->client->metric
	                                                    : session->known;
}

void sessions_list(const struct worker *worker, struct session_listing *ret_listing)
{
	memset(ret_listing->connections, 0, sizeof(ret_listing->connections));
	ret_listing->count = 0;
	ret_listing->idle = worker->upstreams.idle_count;
	for (const struct list *at = worker->sessions.next; at != &worker->sessions;
	        at = at->next) {
		const struct session *session = CONTAINER_OF(at, struct session, link);
		ret_listing->connections[client_of(session)]++;
		if (is_stream(session) && ret_listing->count < STREAMS_LISTED_MAX) {
			describe(session, &ret_listing->streams[ret_listing->count++]);
		}
	}
}

/* ── Ending one ──────────────────────────────────────────────────────────── */

static void end(struct session *session)
{
	struct exchange *exchange = session->exchange;

	log_line(LOG_NOTICE, "an operator ended the stream %016llx: %s of %s",
	        (unsigned long long)exchange->id, exchange->record.operation,
	        exchange->client != NULL ? exchange->client->name : "no known client");
	exchange->record.outcome = OUTCOME_CLOSED_BY_OPERATOR;
	session_close(session);
}

bool session_end_stream(struct worker *worker, uint64_t id)
{
	for (struct list *at = worker->sessions.next; at != &worker->sessions; at = at->next) {
		struct session *session = CONTAINER_OF(at, struct session, link);
		if (is_stream(session) && session->exchange->id == id) {
			end(session);
			return true;
		}
	}
	return false;
}
