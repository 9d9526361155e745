/* SPDX-License-Identifier: MIT */
#include "serve/internal.h"

#include "base/clock.h"
#include "net/tls.h"

#include <stdlib.h>

_Static_assert((int)SNAPSHOT_LISTENERS_MAX == (int)CONFIG_LISTENERS_MAX,
        "each listener of a configuration has its place in a snapshot");

/* A snapshot with the configuration it was made of, whose policies and strings it uses. */
struct configured {
	struct snapshot snapshot;
	struct config *config;
	struct accounts *accounts; /* in which its clients have theirs */
};

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

static void free_configured(struct snapshot *snapshot)
{
	struct configured *configured = CONTAINER_OF(snapshot, struct configured, snapshot);

	give_accounts(configured->config, configured->accounts);
	free_config(configured->config);
	free(configured);
}

static void set_listener(struct snapshot_listener *ret_listener, const struct config *config,
        const struct config_listener *listener)
{
	*ret_listener = (struct snapshot_listener){
	        .gate = {.policy = listener->policy,
	                .clients = config->clients.count > 0 ? &config->clients : NULL,
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

/* ── Metrics ─────────────────────────────────────────────────────────────── */

static unsigned number_policy(void *context, const char *name)
{
	return metrics_name(context, METRICS_POLICY, name);
}

/* A listener is known by its name, or by its address if it has none. */
void snapshot_number(struct snapshot *snapshot, struct metrics *metrics)
{
	struct config *config = CONTAINER_OF(snapshot, struct configured, snapshot)->config;

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
	        .engine_transport = config->engine.transport != NULL ? config->engine.transport
	                                                             : &transport_plain,
	        .engine = config->engine.address,
	        .engine_name = config->engine.tls.name,
	        .engine_text = config->engine.text,
	        .api_key = config->api_key,
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
	if (former != NULL && config->engine.is_name) {
		configured->snapshot.engine = former->engine; /* the resolver tells the rest */
	}
	return &configured->snapshot;
}

const struct config *snapshot_config(const struct snapshot *snapshot)
{
	return CONTAINER_OF(snapshot, const struct configured, snapshot)->config;
}
