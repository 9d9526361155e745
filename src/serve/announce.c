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
		        "%s: policy 'open': everyone who reaches it may do everything: access to "
		        "the Engine is root on the host",
		        listener->address);
	} else if (strcmp(name, "deny") == 0) {
		log_line(LOG_WARNING,
		        "%s: policy 'deny': every request is denied; --policy NAME, POLICY or a "
		        "'policy' of the listener allows some",
		        listener->address);
	} else {
		log_line(policy_observes(listener->policy) ? LOG_WARNING : LOG_NOTICE,
		        "%s: policy '%s'%s", listener->address, name,
		        policy_observes(listener->policy)
		                ? ", mode observe: what it denies is let through and recorded"
		                : "");
	}
	if (listener->browsers) {
		log_line(LOG_WARNING,
		        "%s: browsers: true: pages of any site can make requests in the name of "
		        "whoever opens them",
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
		log_line(LOG_NOTICE, "learning: everything is allowed, whatever policy is given; "
		                     "SIGINT (Ctrl-C) or SIGTERM ends it and prints the policy");
	}
	if (config->api_key != NULL) {
		log_line(LOG_NOTICE, "API_KEY is added to forwarded requests as x-api-key; it does "
		                     "not authenticate clients");
	}
}
