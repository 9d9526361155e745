/* SPDX-License-Identifier: MIT */
#include "serve/internal.h"

#include "base/clock.h"
#include "net/tls.h"
#include "pulse/pulse.h"

#include <stdlib.h>

_Static_assert((int)SNAPSHOT_LISTENERS_MAX == (int)CONFIG_LISTENERS_MAX,
        "each listener of a configuration has its place in a snapshot");

/* A snapshot with the configuration it was made of, whose policies and strings it uses. */
struct configured {
	struct snapshot snapshot;
	struct config *config;
	struct accounts *accounts; /* in which its clients have theirs */
	struct snapshot_engine *engines;
	uint16_t *engines_by_id;
	struct pulses *pulses;  /* NULL: the health of no Engine is watched */
	struct pulse **watched; /* those of all Engines, NULL in the place of a group */
};

static struct configured *configured_of(struct snapshot *snapshot)
{
	return CONTAINER_OF(snapshot, struct configured, snapshot);
}

static void free_config(struct config *config)
{
	config_free(config);
	free(config);
}

static void take_accounts(struct config *config, struct accounts *accounts)
{
	for (unsigned i = 0; i < config->clients.count; i++) {
		struct client *client = &config->client_list[i];
		client->account =
		        accounts_take_client(accounts, client->name, clock_monotonic_ns());
	}
}

static void give_accounts(struct config *config, struct accounts *accounts)
{
	for (unsigned i = 0; i < config->clients.count; i++) {
		accounts_give(accounts, config->clients.list[i].account);
	}
}

static void give_pulses(struct configured *configured)
{
	for (unsigned i = 0; configured->watched != NULL && i < configured->config->engine_count;
	        i++) {
		pulses_give(configured->pulses, configured->watched[i]);
	}
	free(configured->watched);
}

static void free_configured(struct snapshot *snapshot)
{
	struct configured *configured = configured_of(snapshot);

	give_accounts(configured->config, configured->accounts);
	give_pulses(configured);
	free_config(configured->config);
	free(configured->engines);
	free(configured->engines_by_id);
	free(configured);
}

static void set_listener(struct snapshot_listener *ret_listener, const struct config *config,
        const struct config_listener *listener)
{
	*ret_listener = (struct snapshot_listener){
	        .gate = {.policy = listener->policy,
	                .clients = config->clients.count > 0 ? &config->clients : NULL,
	                .engines = config->has_engines ? &config->engines : NULL,
	                .engine = listener->engine,
	                .browsers = listener->browsers,
	                .sees_host = config->host_root != NULL,
	                .max_head = config->max_head},
	        .transport = listener->transport != NULL ? listener->transport : &transport_plain,
	        .address = listener->address,
	        .label = listener->name != NULL ? listener->name : listener->address,
	        .is_tls = listener->transport != NULL,
	};
}

/* ── Limits ──────────────────────────────────────────────────────────────── */

static const struct limits *if_any(const struct limits *limits)
{
	return limits_any(limits) ? limits : NULL;
}

/* The wider of two limits for connections; NULL is the widest. */
static const struct limits *wider(const struct limits *a, const struct limits *b)
{
	if (a == NULL || b == NULL || b->of[LIMIT_CONNECTIONS].value == 0) {
		return NULL;
	}
	return a->of[LIMIT_CONNECTIONS].value < b->of[LIMIT_CONNECTIONS].value ? b : a;
}

static void set_limits(struct snapshot *snapshot, const struct config *config)
{
	snapshot->limits = if_any(&config->limits);
	snapshot->total_limits = if_any(&config->total_limits);
	snapshot->has_limits = snapshot->limits != NULL || snapshot->total_limits != NULL;
	snapshot->widest = wider(&config->limits, &config->limits);
	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct limits *limits = config->clients.list[i].limits;
		snapshot->has_limits = snapshot->has_limits || limits != NULL;
		snapshot->widest = wider(snapshot->widest, limits);
	}
}

/* ── Listeners ───────────────────────────────────────────────────────────── */

/* The listener of the former snapshot that has the same address; NULL: none. */
static const struct snapshot_listener *find_former(
        const struct snapshot *former, const char *address)
{
	for (unsigned i = 0; former != NULL && i < former->listener_count; i++) {
		if (strcmp(former->listeners[i].address, address) == 0) {
			return &former->listeners[i];
		}
	}
	return NULL;
}

static const struct transport *tls_of(const struct snapshot_listener *listener)
{
	return listener->is_tls ? listener->transport : NULL;
}

/* What stays the same keeps its number; the rest gets new ones. */
static void number_listeners(struct snapshot *snapshot, const struct snapshot *former)
{
	snapshot->numbers = former == NULL ? 0 : former->numbers;
	for (unsigned i = 0; i < snapshot->listener_count; i++) {
		struct snapshot_listener *listener = &snapshot->listeners[i];
		const struct snapshot_listener *same = find_former(former, listener->address);
		const bool trusts = same != NULL && tls_same_trust(tls_of(same), tls_of(listener));
		listener->id = same != NULL ? same->id : ++snapshot->numbers;
		listener->trust = trusts ? same->trust : ++snapshot->numbers;
	}
}

/* ── Engines ─────────────────────────────────────────────────────────────── */

static bool same_word(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Whether requests that mean one may be served by connections to the other. */
static bool is_same_engine(const struct config_engine *a, const struct config_engine *b)
{
	const bool is_group = a->member_count > 0;

	return is_group == (b->member_count > 0) &&
	       (is_group || (same_word(a->path, b->path) && same_word(a->host, b->host) &&
	                            a->port == b->port && a->is_tls == b->is_tls &&
	                            same_word(a->tls.name, b->tls.name)));
}

/* The Engine of the former snapshot that this one is; NULL: none. */
static const struct snapshot_engine *find_former_engine(
        const struct snapshot *former, const struct config_engine *engine)
{
	const struct config *config = former == NULL ? NULL : snapshot_config(former);
	const unsigned number = config == NULL || !config->has_engines
	                                ? ENGINE_NONE
	                                : engines_find(&config->engines, slice_of(engine->name));

	return number != ENGINE_NONE && is_same_engine(config_engine_at(config, number), engine)
	               ? &former->engines[number]
	               : NULL;
}

/* What stays the same keeps its id, and the address of its name, of which the resolver tells more.
 */
static void set_engine(struct snapshot *snapshot, struct snapshot_engine *ret_engine,
        const struct config_engine *engine, const struct snapshot *former)
{
	const bool is_default = ret_engine == snapshot->engines;
	const struct snapshot_engine *default_engine = former == NULL ? NULL : &former->engines[0];
	const struct snapshot_engine *same =
	        is_default ? default_engine : find_former_engine(former, engine);
	unsigned id = 0;

	if (!is_default) {
		id = same != NULL ? same->id : ++snapshot->numbers;
	}
	*ret_engine = (struct snapshot_engine){
	        .id = id,
	        .name = is_default ? ENGINE_DEFAULT_NAME : engine->name,
	        .text = engine->text != NULL ? engine->text
	                : is_default         ? ENGINE_DEFAULT_NAME
	                                     : engine->name,
	        .tls_name = engine->tls.name,
	        .transport = engine->transport != NULL ? engine->transport : &transport_plain,
	        .address = engine->is_name && same != NULL ? same->address : engine->address,
	        .member_count = engine->member_count,
	        .members = engine->members,
	};
}

static int compare_ids(const void *a, const void *b, void *engines)
{
	const struct snapshot_engine *list = engines;
	const unsigned id_a = list[*(const uint16_t *)a].id;
	const unsigned id_b = list[*(const uint16_t *)b].id;

	return id_a < id_b ? -1 : id_a > id_b;
}

/* After the listeners have their numbers. False without memory. */
static bool set_engines(struct configured *configured, const struct snapshot *former)
{
	struct snapshot *snapshot = &configured->snapshot;
	const unsigned count = configured->config->engine_count;

	configured->engines = calloc(count, sizeof(*configured->engines));
	configured->engines_by_id = calloc(count, sizeof(*configured->engines_by_id));
	if (configured->engines == NULL || configured->engines_by_id == NULL) {
		return false;
	}
	snapshot->engines = configured->engines;
	snapshot->engines_by_id = configured->engines_by_id;
	snapshot->engine_count = count;
	for (unsigned i = 0; i < count; i++) {
		configured->engines_by_id[i] = (uint16_t)i;
		set_engine(snapshot, &configured->engines[i],
		        config_engine_at(configured->config, i), former);
	}
	configured->engines[0].api_key = configured->config->api_key;
	qsort_r(configured->engines_by_id, count, sizeof(*configured->engines_by_id), compare_ids,
	        configured->engines);
	return true;
}

void snapshot_place(struct snapshot *snapshot, unsigned number, const union address *address)
{
	configured_of(snapshot)->engines[number].address = *address;
}

bool snapshot_watch(struct snapshot *snapshot, struct pulses *pulses)
{
	struct configured *configured = configured_of(snapshot);

	if (!configured->config->has_engines) {
		return true;
	}
	configured->pulses = pulses;
	configured->watched = calloc(snapshot->engine_count, sizeof(struct pulse *));
	if (configured->watched == NULL) {
		return false;
	}
	for (unsigned i = configured->config->engines.has_default ? 0 : 1;
	        i < snapshot->engine_count; i++) {
		struct snapshot_engine *engine = &configured->engines[i];
		if (engine->member_count > 0) {
			continue;
		}
		engine->pulse = pulses_take(pulses, engine->name, engine->text);
		configured->watched[i] = engine->pulse;
		if (engine->pulse == NULL) {
			return false;
		}
	}
	return true;
}

void snapshot_show_pulses(struct snapshot *snapshot, struct pulses *pulses)
{
	const struct configured *configured = configured_of(snapshot);

	pulses_show(pulses, configured->watched,
	        configured->watched == NULL ? 0 : snapshot->engine_count);
}

/* ── Metrics ─────────────────────────────────────────────────────────────── */

static unsigned number_policy(void *context, const char *name)
{
	return metrics_name(context, METRICS_POLICY, name);
}

/* A listener is known by its name, or by its address if it has none. */
void snapshot_number(struct snapshot *snapshot, struct metrics *metrics)
{
	struct config *config = configured_of(snapshot)->config;

	if (metrics == NULL) {
		return;
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		snapshot->listeners[i].number = metrics_name(metrics, METRICS_LISTENER,
		        listener->name != NULL ? listener->name : listener->address);
	}
	for (unsigned i = 0; i < config->clients.count; i++) {
		config->client_list[i].metric =
		        metrics_name(metrics, METRICS_CLIENT, config->client_list[i].name);
	}
	policy_set_number(config->policies, number_policy, metrics);
}

struct snapshot *snapshot_new(
        struct config *config, struct accounts *accounts, const struct snapshot *former)
{
	struct configured *configured = calloc(1, sizeof(*configured));

	if (configured == NULL || accounts == NULL) {
		free(configured);
		free_config(config);
		return NULL;
	}
	configured->config = config;
	configured->accounts = accounts;
	take_accounts(config, accounts);
	configured->snapshot = (struct snapshot){
	        .references = 1,
	        .free = free_configured,
	        .has_keys = config->clients.has_keys,
	        .has_containers = config->clients.has_containers,
	        .has_ends = config->clients.has_ends,
	        .host_root = config->host_root_fd,
	        .max_head = config->max_head,
	        .head_timeout = config->head_timeout,
	        .shutdown_grace = config->shutdown_grace,
	        .drain_timeout = config->drain_timeout,
	        .listener_count = config->listener_count,
	};
	set_limits(&configured->snapshot, config);
	for (unsigned i = 0; i < config->listener_count; i++) {
		set_listener(&configured->snapshot.listeners[i], config, &config->listeners[i]);
	}
	number_listeners(&configured->snapshot, former);
	if (!set_engines(configured, former)) {
		free_configured(&configured->snapshot);
		return NULL;
	}
	return &configured->snapshot;
}

const struct config *snapshot_config(const struct snapshot *snapshot)
{
	return CONTAINER_OF(snapshot, const struct configured, snapshot)->config;
}
