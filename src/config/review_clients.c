/* SPDX-License-Identifier: MIT */
/* What `clients:` hardly means so: a warning each, at the start and by `check`. */
#include "address/address.h"
#include "base/clock.h"
#include "config/options.h"

#include <arpa/inet.h>

/* ── Listeners ───────────────────────────────────────────────────────────── */

static bool is_tcp(const struct config_listener *listener)
{
	return slice_starts_with(slice_of(listener->address), SLICE("tcp://"));
}

/* Whether other machines, or other containers, reach it. */
static bool is_exposed(const struct config_listener *listener)
{
	union address address;

	if (!is_tcp(listener) || address_parse(slice_of(listener->address), &address) != NULL) {
		return false;
	}
	if (address.any.sa_family == AF_INET) {
		return (ntohl(address.ip4.sin_addr.s_addr) >> 24) != IN_LOOPBACKNET;
	}
	return !IN6_IS_ADDR_LOOPBACK(&address.ip6.sin6_addr);
}

static void review_listener(struct config *config, const struct config_listener *listener)
{
	if (config->clients.has_keys && is_exposed(listener)) {
		config_warn(config,
		        "%s: keys of clients are sent there as they are: whoever sees the packets "
		        "can use them; tls:// encrypts them, and only clients should share a "
		        "network "
		        "without it",
		        listener->address);
	}
	if (!config->clients.must_be_known && is_exposed(listener) &&
	        strcmp(policy_name(listener->policy), "open") == 0) {
		config_warn(config,
		        "%s: policy 'open', though there are clients: whoever is none of them may "
		        "do "
		        "everything",
		        listener->address);
	}
}

/* ── Entries ─────────────────────────────────────────────────────────────── */

/* Users are known at unix sockets, addresses at others, certificates where they are asked for. Of a
 * socket that systemd opens nothing more is known yet. */
static bool can_hold_at(const struct client *client, const struct config *config, unsigned number)
{
	const struct match *match = &client->match;
	const struct config_listener *listener = &config->listeners[number];
	const bool has_user = match_has(match, CONDITION_UID) || match_has(match, CONDITION_GID);
	const bool is_unix = address_path(listener->address) != NULL;

	return match_is_at(match, number) && !(is_unix && match_has(match, CONDITION_CIDR)) &&
	       !(match_asks_certificate(match) && listener->tls.ca == NULL) &&
	       !((is_tcp(listener) || address_is_tls(listener->address)) && has_user);
}

static bool can_hold(const struct client *client, const struct config *config)
{
	bool can = false;

	for (unsigned i = 0; !can && i < config->listener_count; i++) {
		can = can_hold_at(client, config, i);
	}
	return can;
}

/* An earlier entry that holds for everybody for whom `client` does; NULL: none is known to. */
static const struct client *hides(const struct config *config, const struct client *client)
{
	for (const struct client *earlier = config->clients.list; earlier < client; earlier++) {
		if (earlier->until_s >= client->until_s &&
		        match_covers(&earlier->match, &client->match) &&
		        engine_set_covers(earlier->engines, client->engines)) {
			return earlier;
		}
	}
	return NULL;
}

/* Whether the gate lets it have an Engine there. */
static bool has_engine_at(const struct config *config, const struct client *client, unsigned number)
{
	const struct config_listener *listener = &config->listeners[number];
	const struct engine_set *of_policy =
	        policy_engines(client->policy != NULL ? client->policy : listener->policy);
	bool has = false;

	if (client->engines == NULL && of_policy == NULL) {
		return listener->engine != ENGINE_NONE;
	}
	for (unsigned i = config->engines.has_default ? 0 : 1; !has && i < config->engine_count;
	        i++) {
		has = (client->engines == NULL || engine_set_has(client->engines, i)) &&
		      (of_policy == NULL || engine_set_has(of_policy, i));
	}
	return has;
}

static bool has_engine(const struct config *config, const struct client *client)
{
	bool has = !config->has_engines;

	for (unsigned i = 0; !has && i < config->listener_count; i++) {
		has = can_hold_at(client, config, i) && has_engine_at(config, client, i);
	}
	return has;
}

static void review_client(struct config *config, const struct client *client)
{
	const struct client *earlier = hides(config, client);
	const char *file = client->place.file;
	const unsigned line = client->place.line;

	if (!can_hold(client, config)) {
		config_warn(config,
		        "%.128s:%u: client '%s' fits nobody: 'uid' and 'gid' are known at unix "
		        "sockets, "
		        "'cidr' at TCP sockets, 'cert' at tls:// with a 'client_ca', and no "
		        "listener of the entry has all that it asks for",
		        file, line, client->name);
	} else if (client_has_ended(client, clock_realtime_ns() / NS_PER_S)) {
		config_warn(config, "%.128s:%u: client '%s' has ended: 'until' has passed", file,
		        line, client->name);
	} else if (earlier != NULL) {
		config_warn(config,
		        "%.128s:%u: client '%s' fits nobody: '%s' comes before it and fits "
		        "everybody "
		        "whom it fits",
		        file, line, client->name, earlier->name);
	} else if (!has_engine(config, client)) {
		config_warn(config,
		        client->engines == NULL
		                ? "%.128s:%u: client '%s' may use no Engine: neither it nor its "
		                  "policy has 'engines', and no listener of the entry has an Engine"
		                : "%.128s:%u: client '%s' may use no Engine: 'engines' of the "
		                  "entry and of its policy have none in common",
		        file, line, client->name);
	}
}

/* ── Containers that clients make ────────────────────────────────────────── */

/* The block that keeps containers in bounds which the policy allows to create. NULL: it allows
 * none, or without bounds: its clients are root anyway. */
static const struct constraints *bounds_of(const struct policy *policy)
{
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		if (strcmp(docker_operation_name(id), "container.create") == 0 &&
		        policy_grant_of(policy, id) != POLICY_NEVER && policy_covers(policy, id)) {
			return policy_inspection(policy, id)->constraints;
		}
	}
	return NULL;
}

static bool may_label(const void *context, struct slice name)
{
	return constraints_allow_label(context, name);
}

/* Whether `other` allows something that `policy` does not, or without a block. */
static bool allows_more(const struct policy *other, const struct policy *policy)
{
	bool more = false;

	for (unsigned id = 0; !more && id < docker_id_count(); id++) {
		const enum policy_grant grant = policy_grant_of(other, id);
		more = grant > policy_grant_of(policy, id) ||
		       (grant != POLICY_NEVER && policy_covers(policy, id) &&
		               !policy_covers(other, id));
	}
	return more;
}

/* A client for which a container counts that clients of `policy` may create, and that may do more
 * than these. NULL: there is none. */
static const struct client *find_role(
        const struct config *config, const struct policy *policy, const struct constraints *bounds)
{
	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct client *client = &config->clients.list[i];
		if (match_asks_container(&client->match) &&
		        !match_has(&client->match, CONDITION_KEY) &&
		        !match_asks_certificate(&client->match) &&
		        match_can_be_made(&client->match, may_label, bounds) &&
		        allows_more(client->policy, policy)) {
			return client;
		}
	}
	return NULL;
}

static void review_maker(struct config *config, const struct policy *policy)
{
	const struct constraints *bounds = bounds_of(policy);
	const struct client *role = bounds == NULL ? NULL : find_role(config, policy, bounds);

	if (role != NULL) {
		config_warn(config,
		        "%.128s:%u: client '%s' may do more than policy '%s', which may create "
		        "containers that count as this client: forbid their labels ('labels' in "
		        "the block 'create'), or add a key to the entry",
		        role->place.file, role->place.line, role->name, policy_name(policy));
	}
}

/* Whether a listener, or one of the first `count` clients, has the policy. */
static bool is_reviewed(const struct config *config, const struct policy *policy, unsigned count)
{
	bool is = false;

	for (unsigned i = 0; i < config->listener_count; i++) {
		is = is || config->listeners[i].policy == policy;
	}
	for (unsigned i = 0; !is && i < count; i++) {
		is = config->clients.list[i].policy == policy;
	}
	return is;
}

static void review_makers(struct config *config)
{
	for (unsigned i = 0; i < config->listener_count; i++) {
		bool seen = false;
		for (unsigned j = 0; j < i; j++) {
			seen = seen || config->listeners[j].policy == config->listeners[i].policy;
		}
		if (!seen) {
			review_maker(config, config->listeners[i].policy);
		}
	}
	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct policy *policy = config->clients.list[i].policy;
		if (policy != NULL && !is_reviewed(config, policy, i)) {
			review_maker(config, policy);
		}
	}
}

/* ── Limits ──────────────────────────────────────────────────────────────── */

/* Each count is a part of the one before: one that is larger is never reached. */
static void review_limits(struct config *config, const struct limits *limits)
{
	static const enum limit counts[] = {
	        LIMIT_CONNECTIONS, LIMIT_REQUESTS, LIMIT_STREAMS, LIMIT_BUILDS};
	const struct limit_setting *least = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		const struct limit_setting *setting = &limits->of[counts[i]];
		if (setting->value == 0) {
			continue;
		}
		if (least != NULL && setting->value > least->value) {
			config_warn(config,
			        "%.128s:%u: limits: '%s: %.*s' never counts: '%s: %.*s' is reached "
			        "before",
			        setting->place.file, setting->place.line, limit_key(counts[i]),
			        SLICE_FMT(setting->text),
			        limit_key((enum limit)(least - limits->of)),
			        SLICE_FMT(least->text));
			continue;
		}
		least = setting;
	}
}

static void review_connections(struct config *config, const struct limits *limits)
{
	const struct limit_setting *setting = &limits->of[LIMIT_CONNECTIONS];

	if (setting->value > config->max_connections) {
		config_warn(config,
		        "%.128s:%u: limits: 'connections: %.*s' never counts: all clients together "
		        "have %u (--max-connections)",
		        setting->place.file, setting->place.line, SLICE_FMT(setting->text),
		        config->max_connections);
	}
}

void config_review_clients(struct config *config)
{
	for (unsigned i = 0; config->clients.count > 0 && i < config->listener_count; i++) {
		review_listener(config, &config->listeners[i]);
	}
	if (config->clients.has_containers) {
		review_makers(config);
	}
	review_limits(config, &config->limits);
	review_limits(config, &config->total_limits);
	review_connections(config, &config->limits);
	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct client *client = &config->clients.list[i];
		review_client(config, client);
		if (client->limits != NULL && client->has_limits) {
			review_limits(config, client->limits);
			review_connections(config, client->limits);
		}
	}
}
