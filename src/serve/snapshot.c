/* SPDX-License-Identifier: MIT */
#include "serve/internal.h"

#include <stdlib.h>

_Static_assert((int)SNAPSHOT_LISTENERS_MAX == (int)CONFIG_LISTENERS_MAX,
        "each listener of a configuration has its place in a snapshot");

/* A snapshot with the configuration it was made of, whose policies and strings it uses. */
struct configured {
	struct snapshot snapshot;
	struct config *config;
};

static void free_config(struct config *config)
{
	config_free(config);
	free(config);
}

static void free_configured(struct snapshot *snapshot)
{
	struct configured *configured = CONTAINER_OF(snapshot, struct configured, snapshot);

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
	};
}

struct snapshot *snapshot_new(struct config *config)
{
	struct configured *configured = calloc(1, sizeof(*configured));

	if (configured == NULL) {
		free_config(config);
		return NULL;
	}
	configured->config = config;
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
	        .listener_count = config->listener_count,
	};
	for (unsigned i = 0; i < config->listener_count; i++) {
		set_listener(&configured->snapshot.listeners[i], config, &config->listeners[i]);
	}
	return &configured->snapshot;
}

const struct config *snapshot_config(const struct snapshot *snapshot)
{
	return CONTAINER_OF(snapshot, const struct configured, snapshot)->config;
}
