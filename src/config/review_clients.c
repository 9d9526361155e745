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
		        match_covers(&earlier->match, &client->match)) {
			return earlier;
		}
	}
	return NULL;
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
