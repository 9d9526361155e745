/* SPDX-License-Identifier: MIT */
/* What containers.c and search.c share. */
#ifndef CONTAINERS_INTERNAL_H
#define CONTAINERS_INTERNAL_H

#include "base/pool.h"
#include "containers/collection.h"
#include "containers/containers.h"
#include "containers/read.h"

enum {
	NETWORKS_MAX = 1024,
	NODE_BRIDGES_MAX = 64, /* containers in further ones are not found */
	NETWORK_ID_MAX = 64,
	ADDRESSES_MAX = 8192, /* of containers; further ones are not found */
};

struct address_entry {
	struct network address; /* with all its bits */
	char id[CONTAINER_ID_LEN];
};

/* A bridge of a swarm whose addresses on this node only its containers tell. */
struct node_bridge {
	char id[NETWORK_ID_MAX + 1];
	bool told; /* by the last list, with all addresses that there may be in it */
};

struct containers {
	struct asker *asker;
	struct pool *inspect_pool;
	const char *api_key;
	containers_notify *notify;
	void *owner;
	struct pool found_pool;
	struct list found;    /* those in use */
	struct list searches; /* that go on */
	struct timer_queue pause_queue;
	struct inspected inspected; /* while it is read */
	struct collection events, networks, list;
	bool complained;        /* about pids that are not seen */
	unsigned networks_due;  /* the number of the question whose answer is up to date */
	unsigned list_due;      /* the same for the list */
	unsigned starts;        /* containers that have started */
	unsigned network_count; /* after those of /networks, those of bridges of the node */
	unsigned told_count;    /* those of /networks */
	unsigned node_bridge_count;
	unsigned address_count;
	struct engine_network network_list[NETWORKS_MAX];
	struct node_bridge node_bridges[NODE_BRIDGES_MAX];
	struct address_entry address_list[ADDRESSES_MAX];
};

/* The container that alone has the address, by the last list; false: none, or several. */
bool containers_find(const struct containers *containers, const union address *address,
        char id[CONTAINER_ID_LEN + 1]);
/* The list is wrong about the container. */
void containers_forget(struct containers *containers, struct slice id);
/* Keep what was inspected. NULL without memory. */
struct found *containers_keep(struct containers *containers);

#endif
