/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "serve/internal.h"

#include <stdio.h>
#include <string.h>

/* "; enough to become root on the host: …" */
static void add_root(const struct policy *policy, bool sees_host, struct text *text)
{
	enum { SHOWN = 5 };

	text_add(text, SLICE("; enough to become root on the host: "));
	const size_t before = text->len;
	policy_add_root(policy, SHOWN, sees_host, text);
	if (text->len == before) {
		text->len = 0;
	}
}

/* Who is judged by the policy of a listener. */
static const char *judged_there(const struct config *config)
{
	if (config->clients.must_be_known) {
		return "everybody who reaches this listener with a key of the file";
	}
	return config->clients.count > 0 ? "everybody who reaches this listener and is no client"
	                                 : "every client that reaches this listener";
}

static bool allows_something(const struct policy *policy)
{
	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (policy_grant_of(policy, id) != POLICY_NEVER) {
			return true;
		}
	}
	return false;
}

static bool any_client_is_served(const struct config *config)
{
	bool any = false;

	for (unsigned i = 0; !any && i < config->clients.count; i++) {
		const struct policy *policy = config->clients.list[i].policy;
		any = policy != NULL && allows_something(policy);
	}
	return any;
}

/* A policy that has something to say about what it allows. */
static void announce_policy(
        const char *whose, const struct policy *policy, const char *judged, bool sees_host)
{
	char memory[512];
	struct text root = text_over(memory, sizeof(memory));

	if (strcmp(policy_name(policy), "open") == 0) {
		log_line(LOG_WARNING,
		        "%s: policy 'open': %s may do everything and is root on the host", whose,
		        judged);
		return;
	}
	add_root(policy, sees_host, &root);
	log_line(policy_observes(policy) ? LOG_WARNING : LOG_NOTICE, "%s: policy '%s'%s%.*s", whose,
	        policy_name(policy),
	        policy_observes(policy) ? ", mode observe: requests that it denies are forwarded "
	                                  "and recorded"
	                                : "",
	        SLICE_FMT(text_slice(&root)));
}

static void announce_listener(const struct config *config, const struct config_listener *listener)
{
	if (strcmp(policy_name(listener->policy), "deny") != 0) {
		announce_policy(listener->address, listener->policy, judged_there(config),
		        config->host_root != NULL);
	} else if (any_client_is_served(config)) {
		log_line(LOG_NOTICE, "%s: policy 'deny': only clients are served",
		        listener->address);
	} else {
		log_line(LOG_WARNING,
		        "%s: policy 'deny': every request is denied; --policy NAME, POLICY or a "
		        "'policy' of the listener allows some",
		        listener->address);
	}
	if (listener->browsers) {
		log_line(LOG_WARNING,
		        "%s: browsers: true: a page of any site can send requests through the "
		        "browser of the user who opens the page",
		        listener->address);
	}
}

/* Who is known by what, and what becomes of others. */
static void announce_clients(const struct config *config)
{
	enum { SHOWN = 32 };
	const struct clients *clients = &config->clients;
	char memory[CLIENT_NAME_MAX + sizeof("client ''")];
	char kinds[128];
	struct text text = text_over(kinds, sizeof(kinds));

	if (clients->count == 0) {
		return;
	}
	clients_add_kinds(clients, &text);
	log_line(LOG_NOTICE, "%u client%s, known by %.*s; %s", clients->count,
	        clients->count == 1 ? "" : "s", SLICE_FMT(text_slice(&text)),
	        clients->must_be_known ? "everybody else gets a 401"
	                               : "the policy of the listener judges everybody else");
	for (unsigned i = 0; i < clients->count && i < SHOWN; i++) {
		const struct client *client = &clients->list[i];
		(void)snprintf(memory, sizeof(memory), "client '%s'", client->name);
		if (client->policy != NULL) {
			announce_policy(memory, client->policy, "it", config->host_root != NULL);
		}
	}
	if (clients->count > SHOWN) {
		log_line(LOG_NOTICE, "%u more clients: docker-socket-proxy check lists them",
		        clients->count - SHOWN);
	}
}

/* The addresses of passed sockets, in parentheses; nothing for another listener. */
static void add_sockets(const struct passed *passed, unsigned listener, struct text *text)
{
	for (unsigned i = 0; i < passed->count; i++) {
		if (passed->list[i].listener == listener) {
			text_add(text, text->len == 0 ? SLICE(" (") : SLICE(", "));
			address_add(&passed->list[i].address, text);
		}
	}
	if (text->len > 0) {
		text_add_char(text, ')');
	}
}

static void announce_admin(const struct config_admin *admin)
{
	const char *address = admin->listener.address;

	if (address == NULL) {
		return;
	}
	const bool by_key = admin->key_count > 0;
	const bool by_certificate = admin->listener.tls.ca != NULL;
	log_line(LOG_NOTICE, "admin listener on %s: %s", address,
	        address_path(address) != NULL ? "its mode says who may use it"
	        : by_key || by_certificate
	                ? "all but /, /metrics, /health and /ready needs a key or a certificate"
	                : "/metrics, /health and /ready alone, because there is no key");
}

/* Where requests go that name no Engine. */
static void add_destination(
        const struct config *config, const struct config_listener *listener, struct text *text)
{
	if (listener->engine == ENGINE_NONE) {
		text_add(text, SLICE("the Engine that each request names"));
		return;
	}
	const struct config_engine *engine = config_engine_at(config, listener->engine);
	if (engine->member_count > 0) {
		text_add_format(text, "the group '%s'", engine->name);
		return;
	}
	text_add_format(text, "%.512s%s", engine->text, engine->is_tls ? " with TLS" : "");
}

void announce(const struct server *server)
{
	const struct config *config = server_config(server);

	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		char memory[512];
		struct text sockets = text_over(memory, sizeof(memory));
		char destination_memory[640];
		struct text destination = text_over(destination_memory, sizeof(destination_memory));
		add_sockets(&server->passed, i, &sockets);
		add_destination(config, listener, &destination);
		log_line(LOG_NOTICE,
		        "docker-socket-proxy " VERSION
		        ": listening on %s%.*s%s, forwarding to %.*s, %u worker%s",
		        listener->address, SLICE_FMT(text_slice(&sockets)),
		        sockets.len > 0 && config_listener_is_tls(listener) ? " with TLS" : "",
		        SLICE_FMT(text_slice(&destination)), server->thread_count,
		        server->thread_count == 1 ? "" : "s");
		announce_listener(config, listener);
	}
	announce_clients(config);
	announce_admin(&config->admin);
	if (config->verb == CONFIG_LEARN) {
		log_line(LOG_NOTICE,
		        "learning: every request is allowed, regardless of the policy; "
		        "SIGINT (Ctrl-C) or SIGTERM ends it and prints the policy");
	}
	if (config->api_key != NULL) {
		log_line(LOG_NOTICE, "API_KEY is added to forwarded requests as x-api-key; it does "
		                     "not authenticate clients");
	}
}
