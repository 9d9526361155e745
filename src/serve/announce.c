/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "serve/internal.h"

#include <string.h>

/* Which policy holds where, and what is dangerous about it. */
static void announce_policy(const struct config_listener *listener)
{
	const char *name = policy_name(listener->policy);

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
		log_line(policy_observes(listener->policy) ? LOG_WARNING : LOG_NOTICE,
		        "%s: policy '%s'%s", listener->address, name,
		        policy_observes(listener->policy) ? ", mode observe: requests that it "
		                                            "denies are forwarded and recorded"
		                                          : "");
	}
	if (listener->browsers) {
		log_line(LOG_WARNING,
		        "%s: browsers: true: a page of any site can send requests through the "
		        "browser of the user who opens the page",
		        listener->address);
	}
}

void announce(const struct server *server)
{
	const struct config *config = server_config(server);

	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		log_line(LOG_NOTICE,
		        "docker-socket-proxy " VERSION
		        ": listening on %s, forwarding to unix://%s, %u worker%s",
		        listener->address, config->socket_path, server->thread_count,
		        server->thread_count == 1 ? "" : "s");
		announce_policy(listener);
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
