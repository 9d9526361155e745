/* SPDX-License-Identifier: MIT */
/*
 * read — what the Engine says of containers and networks, as values. Pure.
 *
 * The documents are those of GET /containers/json, /containers/{id}/json, /networks and /events.
 * What cannot be read is left out, and then nobody is taken for a container because of it.
 */
#ifndef CONTAINERS_READ_H
#define CONTAINERS_READ_H

#include "address/network.h"
#include "identity/container.h"
#include "json/json.h"

/* An event, as far as it matters. */
enum event_kind {
	EVENT_OTHER,
	EVENT_STARTED,  /* a container has begun, or has an address that it had not */
	EVENT_CHANGED,  /* what is known of the container may be wrong */
	EVENT_STOPPED,  /* the container's processes have ended */
	EVENT_NETWORKS, /* there is another network, or one less */
};

struct event {
	enum event_kind kind;
	struct slice id; /* of the container */
	int64_t ns;      /* when it happened, since 1970; 0: the Engine does not say */
};

/* False: the object is no event. */
bool read_event(const struct json_node *object, struct event *ret_event);

/* A container of which the Engine was asked by its id. */
struct inspected {
	struct container container;
	bool running;
	pid_t pid;          /* of its first process, in the Engine's pid namespace */
	int64_t started_ns; /* since 1970 */
};

/* False: the object is no container, or there is no room for its name, image and labels. */
bool read_inspected(const struct json_node *object, struct inspected *ret_inspected);

/* The id of a container, in a document of it; len 0: there is none. */
struct slice read_id(const struct json_node *object);
/* The networks of a container, in a document of it; NULL: it has none. */
const struct json_node *read_endpoints(const struct json_node *object);
/* The addresses of a container in one of its networks: up to two. Returns how many there are. */
unsigned read_addresses(const struct json_node *endpoint, struct network ret_addresses[2]);

/* A network of addresses in which the Engine's containers are. */
struct engine_network {
	struct network subnet;
	struct network gateway; /* the address of this machine; family 0: there is none */
};

/*
 * The networks of addresses of which a container has an address in one of its networks: up to two,
 * of IPv4 and of IPv6. Returns how many the Engine says.
 */
unsigned read_subnets(const struct json_node *endpoint, struct engine_network ret_networks[2]);
/* The id of the network in which a container has an endpoint; len 0: the Engine does not say. */
struct slice read_network_id(const struct json_node *endpoint);
/*
 * The id of a bridge that has other addresses on each node of a swarm. The list of a manager does
 * not tell them: only the containers of the node do. len 0: the network is no such one.
 */
struct slice read_node_bridge(const struct json_node *object);

/*
 * The networks of addresses of an Engine's network, up to `most`, if its containers are reached
 * through a bridge of this machine: in others an address may be that of a stranger. Returns how
 * many there are.
 */
unsigned read_networks(
        const struct json_node *object, unsigned most, struct engine_network *ret_networks);

#endif
