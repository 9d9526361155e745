/* SPDX-License-Identifier: MIT */
#include "serve/serve.h"

#include "base/log.h"
#include "learn/learn.h"
#include "sandbox/sandbox.h"
#include "serve/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ── Learning ────────────────────────────────────────────────────────────── */

/* Whether what is asked for there is noted. */
static bool learns(const struct config *config, const struct config_listener *listener)
{
	return config->verb == CONFIG_LEARN || policy_observes(listener->policy);
}

static void print_learned(const struct server *server)
{
	const struct config *config = server->config;
	struct learn_listener listeners[CONFIG_LISTENERS_MAX];
	unsigned count = 0;

	if (server->settings.learn == NULL) {
		return;
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		if (learns(config, listener)) {
			listeners[count++] =
			        (struct learn_listener){listener->address, listener->mode};
		}
	}
	const struct learn_setting setting = {
	        .listeners = listeners,
	        .listener_count = count,
	        .other_count = config->listener_count - count,
	        .socket_path = config->socket_path,
	};
	learn_print(server->settings.learn, &setting, config->policies, stdout);
}

/* ── Serving ─────────────────────────────────────────────────────────────── */

/* False: without memory. */
static bool set_up(struct server *server, const struct config *config)
{
	bool learning = false;

	server->config = config;
	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		server->listeners[i] = (struct worker_listener){
		        .gate = {.policy = listener->policy,
		                .browsers = listener->browsers,
		                .max_head = config->max_head},
		        .transport = &transport_plain,
		        .learns = learns(config, listener),
		};
		learning = learning || server->listeners[i].learns;
	}
	denials_init(&server->denials);
	server->settings = (struct worker_settings){
	        .engine_transport = &transport_plain,
	        .engine = address_of_path(slice_of(config->socket_path)),
	        .api_key = config->api_key,
	        .max_connections = sizing_connections(config),
	        .max_head = config->max_head,
	        .head_timeout = config->head_timeout,
	        .shutdown_grace = config->shutdown_grace,
	        .connections = &server->connections,
	        .denials = &server->denials,
	        .learn = learning ? learn_new() : NULL,
	};
	return !learning || server->settings.learn != NULL;
}

static bool run(struct server *server)
{
	signals_block(server);
	if (!listeners_are_free(server->config) || !threads_make(server) ||
	        !signals_watch(server) || sandbox_enter(server->config->socket_path) < 0 ||
	        !threads_run(server)) {
		return false;
	}
	denials_finish(&server->denials);
	log_line(LOG_NOTICE, "stopped");
	print_learned(server);
	return true;
}

int serve(const struct config *config)
{
	struct server *server = calloc(1, sizeof(*server));
	if (server == NULL || !set_up(server, config)) {
		log_line(LOG_CRIT, "cannot start: out of memory");
		free(server);
		return EXIT_FAILURE;
	}
	const bool served = run(server);
	threads_free(server);
	signals_done(server);
	learn_free(server->settings.learn);
	free(server);
	return served ? EXIT_SUCCESS : EXIT_FAILURE;
}
