/* SPDX-License-Identifier: MIT */
/*
 * state — what the program does, as one JSON document for operators.
 *
 * Everything is looked at once, at the beginning; then the text is written in pieces, each an item
 * of a section, with clients served in between. Names of clients, listeners and policies are those
 * of the configuration; paths and targets are what clients sent.
 */
#include "audit/recent.h"
#include "audit/record.h"
#include "base/clock.h"
#include "base/visible.h"
#include "docker/docker.h"
#include "learn/learn.h"
#include "pulse/pulse.h"
#include "serve/internal.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	STREAMS_SHOWN_MAX = 1000,
	PIECE = 16 * 1024,
	NOBODY_ROWS_MAX =
	        METRICS_NAMES_MAX, /* policies by which callers were judged who are no clients */
};

/* A row of `clients`. */
struct row {
	const struct client *client;  /* NULL: callers who are none */
	unsigned number;              /* of its name */
	bool has_counts;              /* what is counted by client alone stands here */
	const char *policy;           /* "": none is known */
	const struct policy *judging; /* NULL: it is not one of this configuration */
	unsigned first, end;          /* of the tallies */
};

struct state {
	struct server *server;
	struct snapshot *snapshot;
	const struct config *config;
	struct metrics *metrics;
	int64_t now_ns, monotonic_ns;
	unsigned row_count, stream_count, denial_count, tally_count;
	unsigned silent, idle;
	struct row *rows;
	struct session_stream *streams; /* the oldest first */
	struct recent_denial *denials;
	struct metrics_tally *tallies;
	unsigned connections[METRICS_NAMES_MAX]; /* of clients */
	unsigned first[METRICS_NAMES_MAX];       /* tally of each client; tally_count: none */
	/* How far it is written. */
	unsigned section, item, part;
};

/* ── Values ──────────────────────────────────────────────────────────────── */

static void add_string(struct text *text, struct slice value)
{
	text_add_char(text, '"');
	visible_add(text, value);
	text_add_char(text, '"');
}

/* Empty ones are null. */
static void add_word(struct text *text, const char *value)
{
	if (value == NULL || value[0] == '\0') {
		text_add(text, SLICE("null"));
	} else {
		add_string(text, slice_of(value));
	}
}

static void add_time(struct text *text, int64_t realtime_ns)
{
	text_add_char(text, '"');
	clock_add_timestamp(text, realtime_ns);
	text_add_char(text, '"');
}

static void add_name(struct text *text, const char *name)
{
	text_add(text, SLICE(",\""));
	text_add(text, slice_of(name));
	text_add(text, SLICE("\":"));
}

static void add_member(struct text *text, const char *name, const char *value)
{
	add_name(text, name);
	add_word(text, value);
}

/* A string, though it may be empty. */
static void add_string_member(struct text *text, const char *name, const char *value)
{
	add_name(text, name);
	add_string(text, slice_of(value));
}

static void add_number(struct text *text, const char *name, uint64_t value)
{
	add_name(text, name);
	text_add_u64(text, value);
}

static void add_time_member(struct text *text, const char *name, int64_t realtime_ns)
{
	add_name(text, name);
	add_time(text, realtime_ns);
}

/* ── The program, its configuration, the Engine ──────────────────────────── */

static void add_not_ready(const struct state *state, bool engine_up, struct text *text)
{
	const struct {
		const char *what;
		bool is_well;
	} parts[] = {
	        {"configuration", metrics_reload_is_well(state->metrics)},
	        {"engine", engine_up},
	        {"audit", metrics_audit_is_well(state->metrics)},
	        {"process", !state->server->stopping},
	};
	bool any = false;

	text_add(text, SLICE(",\"not_ready\":["));
	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		if (!parts[i].is_well) {
			text_add_format(text, "%s\"%s\"", any ? "," : "", parts[i].what);
			any = true;
		}
	}
	text_add_format(text, "],\"ready\":%s", any ? "false" : "true");
}

static void add_configuration(const struct state *state, struct text *text)
{
	const struct config *config = state->config;
	const struct reload *reload = &state->server->reload;

	text_add(text, SLICE(",\"configuration\":{\"file\":"));
	add_word(text, config->file);
	add_member(text, "sha256", config->file_sha256);
	add_time_member(text, "loaded", config->read_ns);
	text_add_format(text, ",\"watch\":%s", config->watch ? "true" : "false");
	text_add(text, SLICE(",\"reloads\":{\"ok\":"));
	text_add_u64(text, metrics_reloads(state->metrics, true));
	add_number(text, "failed", metrics_reloads(state->metrics, false));
	text_add(text, SLICE("},\"last_error\":"));
	if (reload->fault[0] == '\0') {
		text_add(text, SLICE("null}"));
		return;
	}
	text_add(text, SLICE("{\"time\":"));
	add_time(text, reload->fault_ns);
	add_member(text, "text", reload->fault);
	text_add(text, SLICE("}}"));
}

static void add_engine(const struct state *state, bool up, const char *why, struct text *text)
{
	const struct server *server = state->server;

	text_add(text, SLICE(",\"engine\":{\"address\":"));
	add_word(text, state->config->engine.text);
	text_add(text, state->config->engine.text == NULL ? SLICE(",\"up\":null")
	               : up                               ? SLICE(",\"up\":true")
	                                                  : SLICE(",\"up\":false"));
	add_member(text, "version", server->release.version);
	add_member(text, "api_version", server->release.api_version);
	text_add(text, SLICE(",\"connections\":{\"open\":"));
	text_add_u64(text, atomic_load(&server->shared.engine_connections));
	add_number(text, "idle", state->idle);
	text_add(text, SLICE("}"));
	add_number(text, "connect_failures", metrics_connect_failures(state->metrics));
	add_member(text, "error", why);
	text_add(text, SLICE("}"));
}

enum added {
	ADDED_ALL,  /* of the item */
	ADDED_PART, /* more of it follows */
	ADDED_NONE, /* there is no such item: the section has ended */
};

static void add_audit(const struct state *state, struct text *text)
{
	const struct trail *trail = state->server->shared.trail;
	const struct trail_settings *settings = trail == NULL ? NULL : trail_settings(trail);

	if (settings == NULL || settings->target.kind == TRAIL_NOWHERE) {
		text_add(text, SLICE(",\"audit\":null"));
		return;
	}
	text_add(text, SLICE(",\"audit\":{\"path\":"));
	add_string(text, slice_of(settings->target.text));
	text_add(text, trail_works(trail) ? SLICE(",\"works\":true") : SLICE(",\"works\":false"));
	add_number(text, "lost", trail_lost(trail));
	text_add(text, settings->denies ? SLICE(",\"on_failure\":\"deny\"}")
	                                : SLICE(",\"on_failure\":\"continue\"}"));
}

static enum added add_program(const struct state *state, struct text *text)
{
	const char *why = NULL;
	const bool up = admin_engine_is_up(state->server->admin, &why);

	if (state->item > 0) {
		return ADDED_NONE;
	}
	text_add(text, SLICE("{\"version\":\"" VERSION "\""));
	add_number(text, "pid", (uint64_t)getpid());
	add_time_member(text, "started", metrics_started_ns(state->metrics));
	add_time_member(text, "now", state->now_ns);
	add_not_ready(state, up, text);
	text_add(text, SLICE(",\"workers\":{\"count\":"));
	text_add_u64(text, state->server->thread_count);
	add_number(text, "silent", state->silent);
	text_add(text, SLICE("}"));
	add_configuration(state, text);
	add_engine(state, up, why, text);
	add_audit(state, text);
	text_add(text, SLICE(",\"listeners\":["));
	return ADDED_ALL;
}

/* ── Listeners ───────────────────────────────────────────────────────────── */

static enum added add_listener(const struct state *state, struct text *text)
{
	const struct config *config = state->config;

	if (state->item == config->listener_count) {
		text_add(text, SLICE("],\"engines\":["));
		return ADDED_NONE;
	}
	const struct config_listener *listener = &config->listeners[state->item];
	text_add(text, state->item > 0 ? SLICE(",{\"address\":") : SLICE("{\"address\":"));
	add_word(text, listener->address);
	add_member(text, "name", listener->name);
	add_member(text, "policy", policy_name(listener->policy));
	add_number(text, "connections",
	        metrics_connections(
	                state->metrics, state->snapshot->listeners[state->item].number));
	text_add(text, SLICE("}"));
	return ADDED_ALL;
}

/* ── Clients ─────────────────────────────────────────────────────────────── */

static void add_verdicts(const uint64_t counts[VERDICT_WORDS], struct text *text)
{
	text_add(text, SLICE("\"allow\":"));
	text_add_u64(text, counts[VERDICT_ALLOW]);
	add_number(text, "deny", counts[VERDICT_DENY]);
	add_number(text, "would_deny", counts[VERDICT_WOULD_DENY]);
	add_number(text, "error", counts[VERDICT_ERROR]);
}

static void add_requests(const struct state *state, const struct row *row, struct text *text)
{
	uint64_t counts[VERDICT_WORDS] = {0};

	for (unsigned i = row->first; i < row->end; i++) {
		for (unsigned verdict = 0; verdict < VERDICT_WORDS; verdict++) {
			counts[verdict] += state->tallies[i].counts[verdict];
		}
	}
	text_add(text, SLICE(",\"requests\":{"));
	add_verdicts(counts, text);
	text_add(text, SLICE("},\"limits\":{"));
	for (unsigned limit = 0; limit < LIMIT_COUNT; limit++) {
		text_add_format(
		        text, "%s\"%s\":", limit > 0 ? "," : "", limit_key((enum limit)limit));
		text_add_u64(text,
		        row->has_counts ? metrics_limit(state->metrics, row->number, limit) : 0);
	}
	text_add(text, SLICE("},\"operations\":["));
}

static void begin_client(const struct state *state, const struct row *row, struct text *text)
{
	text_add(text, state->item > 0 ? SLICE(",{\"name\":") : SLICE("{\"name\":"));
	add_string(text, slice_of(row->client != NULL ? row->client->name : ""));
	add_string_member(text, "policy", row->policy);
	add_member(text, "mode",
	        row->judging == NULL            ? NULL
	        : policy_observes(row->judging) ? "observe"
	                                        : "enforce");
	add_number(text, "connections", row->has_counts ? state->connections[row->number] : 0);
	add_number(text, "streams",
	        row->has_counts ? metrics_streams(state->metrics, row->number) : 0);
	add_requests(state, row, text);
}

static const char *operation_of(const struct metrics_tally *tally)
{
	return tally->operation == 0 ? "" : docker_operation_name(tally->operation - 1);
}

/* The smallest policy for what it did: for what was forwarded. */
static void add_proposal(const struct state *state, const struct row *row, struct text *text)
{
	enum { PROPOSAL_MAX = 24 * 1024 };
	char memory[PROPOSAL_MAX];
	struct text yaml = text_over(memory, sizeof(memory));
	unsigned ids[1024];
	unsigned count = 0;

	for (unsigned i = row->first; i < row->end && count < ARRAY_LEN(ids); i++) {
		const struct metrics_tally *tally = &state->tallies[i];
		const bool forwarded =
		        tally->counts[VERDICT_ALLOW] + tally->counts[VERDICT_WOULD_DENY] > 0;
		if (forwarded && tally->operation > 0 &&
		        docker_endpoint(tally->operation - 1) != NULL) {
			ids[count++] = tally->operation - 1;
		}
	}
	add_name(text, "proposal");
	if (count > 0) {
		learn_propose(
		        row->client != NULL ? row->client->name : "learned", ids, count, &yaml);
	}
	if (count > 0 && !yaml.overflow) {
		add_string(text, text_slice(&yaml));
	} else {
		text_add(text, SLICE("null"));
	}
}

/* Part 0 is the head, the last the proposal, and those between are operations. */
static enum added add_client(const struct state *state, struct text *text)
{
	if (state->item == state->row_count) {
		text_add(text, SLICE("],\"streams\":["));
		return ADDED_NONE;
	}
	const struct row *row = &state->rows[state->item];
	if (state->part == 0) {
		begin_client(state, row, text);
		return ADDED_PART;
	}
	if (state->part - 1 < row->end - row->first) {
		const struct metrics_tally *tally = &state->tallies[row->first + state->part - 1];
		text_add(text,
		        state->part > 1 ? SLICE(",{\"operation\":") : SLICE("{\"operation\":"));
		add_string(text, slice_of(operation_of(tally)));
		text_add(text, SLICE(","));
		add_verdicts(tally->counts, text);
		text_add(text, SLICE("}"));
		return ADDED_PART;
	}
	text_add(text, SLICE("]"));
	add_proposal(state, row, text);
	text_add(text, SLICE("}"));
	return ADDED_ALL;
}

/* ── Engines ─────────────────────────────────────────────────────────────── */

static void add_up(enum pulse_state known, struct text *text)
{
	text_add(text, known == PULSE_UP     ? SLICE(",\"up\":true")
	               : known == PULSE_DOWN ? SLICE(",\"up\":false")
	                                     : SLICE(",\"up\":null"));
}

static void add_health(const struct pulse *pulse, struct text *text)
{
	const struct pulse_view view = pulse_look(pulse);

	add_up(view.state, text);
	add_name(text, "since");
	if (view.since_ns > 0) {
		add_time(text, view.since_ns);
	} else {
		text_add(text, SLICE("null"));
	}
	add_number(text, "connect_failures", pulse == NULL ? 0 : pulse_failures(pulse));
	add_member(text, "error", pulse_text(view.trouble));
	text_add(text, SLICE(",\"members\":[],\"active\":null"));
}

/* A group is as its member is that requests go to. */
static void add_group(
        const struct snapshot *snapshot, const struct snapshot_engine *group, struct text *text)
{
	const struct snapshot_engine *active =
	        &snapshot->engines[snapshot_choose_member(snapshot, group, 0)];

	add_up(pulse_look(active->pulse).state, text);
	text_add(
	        text, SLICE(",\"since\":null,\"connect_failures\":0,\"error\":null,\"members\":["));
	for (unsigned i = 0; i < group->member_count; i++) {
		text_add(text, i > 0 ? SLICE(",") : SLICE(""));
		add_string(text, slice_of(snapshot->engines[group->members[i]].name));
	}
	text_add(text, SLICE("]"));
	add_member(text, "active", active->name);
}

/* Of those of `engines`; without, the list is empty. */
static enum added add_one_engine(const struct state *state, struct text *text)
{
	const struct snapshot *snapshot = state->snapshot;
	const bool has_default = state->config->engines.has_default;
	const unsigned first = has_default ? 0 : 1;
	const unsigned count = state->config->has_engines ? snapshot->engine_count : 0;
	const unsigned number = state->item + first;

	if (number >= count) {
		text_add(text, SLICE("],\"clients\":["));
		return ADDED_NONE;
	}
	const struct snapshot_engine *engine = &snapshot->engines[number];
	text_add(text, number > first ? SLICE(",{\"name\":") : SLICE("{\"name\":"));
	add_string(text, slice_of(engine->name));
	add_member(text, "address", engine->member_count > 0 ? NULL : engine->text);
	if (engine->member_count > 0) {
		add_group(snapshot, engine, text);
	} else {
		add_health(engine->pulse, text);
	}
	text_add(text, SLICE("}"));
	return ADDED_ALL;
}

/* ── Streams ─────────────────────────────────────────────────────────────── */

static void add_seconds(struct text *text, int64_t ns)
{
	const uint64_t ms = ns > 0 ? (uint64_t)(ns / NS_PER_MS) : 0;

	text_add_u64(text, ms / 1000);
	text_add_char(text, '.');
	text_add_digits(text, ms % 1000, 3);
}

static enum added add_stream(const struct state *state, struct text *text)
{
	if (state->item == state->stream_count) {
		text_add(text, SLICE("],\"streams_total\":"));
		text_add_u64(text, metrics_all_streams(state->metrics));
		text_add(text, SLICE(",\"denials\":["));
		return ADDED_NONE;
	}
	const struct session_stream *stream = &state->streams[state->item];
	const int64_t age_ns = state->monotonic_ns - stream->started_ns;
	text_add_format(text, "%s{\"id\":\"%016llx\"", state->item > 0 ? "," : "",
	        (unsigned long long)stream->id);
	add_string_member(
	        text, "client", metrics_name_of(state->metrics, METRICS_CLIENT, stream->client));
	add_name(text, "peer");
	add_string(text, (struct slice){stream->peer, stream->peer_len});
	add_string_member(text, "listener",
	        metrics_name_of(state->metrics, METRICS_LISTENER, stream->listener));
	add_member(text, "operation", stream->operation);
	add_name(text, "target");
	if (stream->target_len > 0) {
		add_string(text, (struct slice){stream->target, stream->target_len});
	} else {
		text_add(text, SLICE("null"));
	}
	add_time_member(text, "started", state->now_ns - age_ns);
	add_name(text, "seconds");
	add_seconds(text, age_ns);
	text_add(text, SLICE(",\"bytes\":{\"to_engine\":"));
	text_add_u64(text, stream->to_engine);
	add_number(text, "to_client", stream->to_client);
	text_add(text, SLICE("}}"));
	return ADDED_ALL;
}

/* ── Denials ─────────────────────────────────────────────────────────────── */

/* That of the newest, for the audit record. What ended before a request has none. */
static void add_id(struct text *text, uint64_t id)
{
	add_name(text, "id");
	if (id == 0) {
		text_add(text, SLICE("null"));
	} else {
		text_add_char(text, '"');
		record_add_id(id, text);
		text_add_char(text, '"');
	}
}

static enum added add_denial(const struct state *state, struct text *text)
{
	char memory[ADDRESS_NAME_MAX];
	struct text peer = text_over(memory, sizeof(memory));

	if (state->item == state->denial_count) {
		text_add(text, SLICE("]}\n"));
		return ADDED_NONE;
	}
	const struct recent_denial *denial = &state->denials[state->item];
	caller_add_name(&denial->caller, &peer);
	text_add(text, state->item > 0 ? SLICE(",{\"time\":") : SLICE("{\"time\":"));
	add_time(text, denial->at_ns);
	add_id(text, denial->id);
	add_string_member(text, "client", denial->client);
	add_name(text, "peer");
	add_string(text, text_slice(&peer));
	add_string_member(text, "listener",
	        metrics_name_of(state->metrics, METRICS_LISTENER, denial->listener));
	add_member(text, "operation", denial->operation);
	add_member(text, "target", denial->target);
	add_string_member(text, "method", denial->method);
	add_string_member(text, "path", denial->path);
	add_string_member(text, "policy", denial->policy);
	add_member(text, "rule", denial->rule);
	add_string_member(text, "reason", denial->reason);
	add_member(text, "verdict",
	        verdict_word(denial->observed ? VERDICT_WOULD_DENY : VERDICT_DENY));
	add_number(text, "count", denial->count);
	text_add(text, SLICE(",\"allow\":{\"yaml\":"));
	add_word(text, denial->yaml);
	add_member(text, "variable", denial->variable);
	text_add(text, SLICE("}}"));
	return ADDED_ALL;
}

/* ── Writing ─────────────────────────────────────────────────────────────── */

static enum added (*const sections[])(const struct state *state, struct text *text) = {
        add_program,
        add_listener,
        add_one_engine,
        add_client,
        add_stream,
        add_denial,
};

static void advance(struct state *state, enum added added)
{
	if (added == ADDED_PART) {
		state->part++;
		return;
	}
	state->part = 0;
	state->item++;
	if (added == ADDED_NONE) {
		state->item = 0;
		state->section++;
	}
}

bool state_write(struct state *state, struct text *text)
{
	const size_t most = text->len + PIECE;

	while (state->section < ARRAY_LEN(sections) && text->len < most) {
		advance(state, sections[state->section](state, text));
	}
	return state->section == ARRAY_LEN(sections);
}

/* ── Looking ─────────────────────────────────────────────────────────────── */

static bool is_done(const struct part *part)
{
	return atomic_load(&part->state) == PART_DONE && part->closing == 0 &&
	       part->listing != NULL;
}

static int older(const void *a, const void *b)
{
	const struct session_stream *one = a;
	const struct session_stream *other = b;

	return one->started_ns < other->started_ns ? -1 : one->started_ns > other->started_ns;
}

/* False without memory. */
static bool look_at_threads(struct state *state)
{
	const struct server *server = state->server;
	unsigned count = 0;

	state->streams =
	        malloc((size_t)server->thread_count * STREAMS_LISTED_MAX * sizeof(*state->streams));
	if (state->streams == NULL) {
		return false;
	}
	for (unsigned i = 0; i < server->thread_count; i++) {
		const struct part *part = &server->threads[i]->part;
		if (!is_done(part)) {
			state->silent += atomic_load(&part->state) != PART_GONE;
			continue;
		}
		state->idle += part->listing->idle;
		for (unsigned k = 0; k < METRICS_NAMES_MAX; k++) {
			state->connections[k] += part->listing->connections[k];
		}
		for (unsigned k = 0; k < part->listing->count; k++) {
			state->streams[count++] = part->listing->streams[k];
		}
	}
	qsort(state->streams, count, sizeof(*state->streams), older);
	state->stream_count = count < STREAMS_SHOWN_MAX ? count : STREAMS_SHOWN_MAX;
	return true;
}

static const struct policy *find_policy(const struct config *config, const char *name)
{
	const struct policy *policy;

	for (unsigned i = 0; (policy = config_policy(config, i)) != NULL; i++) {
		if (strcmp(policy_name(policy), name) == 0) {
			return policy;
		}
	}
	return NULL;
}

/* The tallies of a client stand together. */
static void find_tallies(const struct state *state, struct row *row, unsigned policy)
{
	unsigned i = state->first[row->number];

	while (i < state->tally_count && state->tallies[i].client == row->number &&
	        state->tallies[i].policy != policy) {
		i++;
	}
	row->first = i;
	while (i < state->tally_count && state->tallies[i].client == row->number &&
	        state->tallies[i].policy == policy) {
		i++;
	}
	row->end = i;
}

static void add_named_rows(struct state *state)
{
	const struct clients *clients = &state->config->clients;

	for (unsigned i = 0; i < clients->count; i++) {
		const struct client *client = &clients->list[i];
		struct row *row = &state->rows[state->row_count++];
		*row = (struct row){
		        .client = client,
		        .number = client->metric,
		        .has_counts = true,
		        .policy = client->policy == NULL ? "" : policy_name(client->policy),
		        .judging = client->policy,
		};
		find_tallies(state, row, 0);
	}
}

/* One for each policy by which callers were judged who are no clients; at least one. */
static void add_other_rows(struct state *state)
{
	unsigned at = 0;

	do {
		const unsigned policy = at < state->tally_count && state->tallies[at].client == 0
		                                ? state->tallies[at].policy
		                                : 0;
		const char *name = metrics_name_of(state->metrics, METRICS_POLICY, policy);
		struct row *row = &state->rows[state->row_count++];
		*row = (struct row){
		        .has_counts = at == 0,
		        .policy = name,
		        .judging = find_policy(state->config, name),
		};
		find_tallies(state, row, policy);
		at = row->end > at ? row->end : at;
	} while (at > 0 && at < state->tally_count && state->tallies[at].client == 0);
}

static bool look_at_clients(struct state *state)
{
	const unsigned count = state->config->clients.count;

	state->tallies = malloc(METRICS_SERIES_MAX * sizeof(*state->tallies));
	state->rows = malloc((count + NOBODY_ROWS_MAX) * sizeof(*state->rows));
	if (state->tallies == NULL || state->rows == NULL) {
		return false;
	}
	state->tally_count = metrics_tally(state->metrics, state->tallies);
	for (unsigned i = 0; i < METRICS_NAMES_MAX; i++) {
		state->first[i] = state->tally_count;
	}
	for (unsigned i = state->tally_count; i > 0; i--) {
		state->first[state->tallies[i - 1].client] = i - 1;
	}
	add_named_rows(state);
	add_other_rows(state);
	return true;
}

static bool look_at_denials(struct state *state)
{
	state->denials = malloc(RECENT_MAX * sizeof(*state->denials));
	if (state->denials == NULL) {
		return false;
	}
	state->denial_count = recent_copy(state->server->shared.denials.recent, state->denials);
	return true;
}

struct state *state_new(struct server *server)
{
	struct state *state = calloc(1, sizeof(*state));

	if (state == NULL) {
		return NULL;
	}
	state->server = server;
	state->snapshot = snapshot_ref(server->snapshot);
	state->config = server_config(server);
	state->metrics = server->shared.metrics;
	state->now_ns = clock_realtime_ns();
	state->monotonic_ns = clock_monotonic_ns();
	if (!look_at_threads(state) || !look_at_clients(state) || !look_at_denials(state)) {
		state_free(state);
		return NULL;
	}
	return state;
}

void state_free(struct state *state)
{
	if (state == NULL) {
		return;
	}
	snapshot_unref(state->snapshot);
	free(state->rows);
	free(state->streams);
	free(state->denials);
	free(state->tallies);
	free(state);
}
