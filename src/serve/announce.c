/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "serve/internal.h"

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

/* Which policy holds where, and what is dangerous about it. */
static void announce_policy(const struct config_listener *listener, bool sees_host)
{
	const char *name = policy_name(listener->policy);
	char memory[512];
	struct text root = text_over(memory, sizeof(memory));

	if (strcmp(name, "open") == 0) {
		log_line(LOG_WARNING,
		        "%s: policy 'open': every client that reaches this listener may do "
		        "everything and is root on the host",
		        listener->address);
	} else if (strcmp(name, "deny") == 0) {
		log_line(LOG_WARNING,
		        "%s: policy 'deny': every request is denied; --policy NAME, POLICY or a "
		        "'policy' of the listener allows some",
		        listener->address);
	} else {
		add_root(listener->policy, sees_host, &root);
		log_line(policy_observes(listener->policy) ? LOG_WARNING : LOG_NOTICE,
		        "%s: policy '%s'%s%.*s", listener->address, name,
		        policy_observes(listener->policy) ? ", mode observe: requests that it "
		                                            "denies are forwarded and recorded"
		                                          : "",
		        SLICE_FMT(text_slice(&root)));
	}
	if (listener->browsers) {
		log_line(LOG_WARNING,
		        "%s: browsers: true: a page of any site can send requests through the "
		        "browser of the user who opens the page",
		        listener->address);
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

void announce(const struct server *server)
{
	const struct config *config = server_config(server);

	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		char memory[512];
		struct text sockets = text_over(memory, sizeof(memory));
		add_sockets(&server->passed, i, &sockets);
		log_line(LOG_NOTICE,
		        "docker-socket-proxy " VERSION
		        ": listening on %s%.*s, forwarding to %s, %u worker%s",
		        listener->address, SLICE_FMT(text_slice(&sockets)), config->engine.text,
		        server->thread_count, server->thread_count == 1 ? "" : "s");
		announce_policy(listener, config->host_root != NULL);
	}
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
