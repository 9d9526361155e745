/* SPDX-License-Identifier: MIT */
#include "containers/internal.h"

#include "base/clock.h"

#include <stdlib.h>

enum { PAUSE_MS = 150 };

/* ── Addresses ───────────────────────────────────────────────────────────── */

bool containers_find(const struct containers *containers, const union address *address,
        char id[CONTAINER_ID_LEN + 1])
{
	const struct address_entry *found = NULL;

	for (unsigned i = 0; i < containers->address_count; i++) {
		const struct address_entry *entry = &containers->address_list[i];
		if (!network_has(&entry->address, address)) {
			continue;
		}
		if (found != NULL && memcmp(found->id, entry->id, sizeof(entry->id)) != 0) {
			return false;
		}
		found = entry;
	}
	if (found != NULL) {
		const struct slice name = {found->id, sizeof(found->id)};
		id[text_keep(id, CONTAINER_ID_LEN, name)] = '\0';
	}
	return found != NULL;
}

void containers_forget(struct containers *containers, struct slice id)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < containers->address_count; i++) {
		const struct address_entry *entry = &containers->address_list[i];
		if (!slice_equal(id, (struct slice){entry->id, sizeof(entry->id)})) {
			containers->address_list[kept++] = *entry;
		}
	}
	containers->address_count = kept;
}

/* ── What was found ──────────────────────────────────────────────────────── */

static bool is_same(const struct container *a, const struct container *b)
{
	if (a->label_count != b->label_count || !slice_equal(a->id, b->id) ||
	        !slice_equal(a->name, b->name) || !slice_equal(a->image, b->image)) {
		return false;
	}
	for (unsigned i = 0; i < a->label_count; i++) {
		if (!slice_equal(a->labels[i].name, b->labels[i].name) ||
		        !slice_equal(a->labels[i].value, b->labels[i].value)) {
			return false;
		}
	}
	return true;
}

struct found *containers_keep(struct containers *containers)
{
	const struct inspected *inspected = &containers->inspected;

	for (struct list *at = containers->found.next; at != &containers->found; at = at->next) {
		struct found *found = CONTAINER_OF(at, struct found, link);
		if (found->started_ns == inspected->started_ns &&
		        is_same(&found->container, &inspected->container)) {
			found->users++;
			return found;
		}
	}
	struct found *found = pool_take(&containers->found_pool);
	if (found != NULL) {
		container_copy(&found->container, &inspected->container);
		found->started_ns = inspected->started_ns;
		found->users = 1;
		found->home = containers;
		list_init(&found->link);
		list_append(&containers->found, &found->link);
	}
	return found;
}

void found_leave(struct found *found)
{
	if (found != NULL && --found->users == 0) {
		list_remove(&found->link);
		pool_give(&found->home->found_pool, found);
	}
}

/* ── Questions that are asked for all ────────────────────────────────────── */

/* Let all searches go on. */
static void wake(struct containers *containers)
{
	for (struct list *at = containers->searches.next; at != &containers->searches;
	        at = at->next) {
		struct search *search = CONTAINER_OF(at, struct search, link);
		loop_put_off(containers->asker->loop, &search->again);
	}
}

static void changed(struct containers *containers, enum containers_change change, struct slice id,
        int64_t at_ns)
{
	containers->notify(containers->owner, change, id, at_ns);
}

/* What searches have learned of the container, or of all if `id` is empty, is of no use. */
static void spoil(struct containers *containers, struct slice id)
{
	for (struct list *at = containers->searches.next; at != &containers->searches;
	        at = at->next) {
		struct search *search = CONTAINER_OF(at, struct search, link);
		search->stale =
		        search->stale || id.len == 0 || slice_equal(id, slice_of(search->id));
	}
}

static void renew_networks(struct containers *containers)
{
	containers->networks_due = collection_next(&containers->networks);
}

static void lose(struct containers *containers)
{
	renew_networks(containers);
	containers->address_count = 0;
	spoil(containers, SLICE(""));
	changed(containers, CONTAINERS_LOST, SLICE(""), 0);
}

static void take_start(struct containers *containers, const struct event *event)
{
	containers->starts++;
	containers->list_due = collection_next(&containers->list); /* two may have an address now */
	changed(containers, CONTAINERS_STARTED, event->id, event->ns);
	wake(containers);
}

static void take_change(
        struct containers *containers, enum containers_change change, const struct event *event)
{
	containers_forget(containers, event->id);
	spoil(containers, event->id);
	changed(containers, change, event->id, event->ns);
}

static void take_event(struct collection *events, const struct json_node *object)
{
	struct containers *containers = CONTAINER_OF(events, struct containers, events);
	struct event event;

	if (object == NULL || !read_event(object, &event)) {
		lose(containers);
		return;
	}
	switch (event.kind) {
	case EVENT_STARTED:
		take_start(containers, &event);
		break;
	case EVENT_CHANGED:
		take_change(containers, CONTAINERS_CHANGED, &event);
		break;
	case EVENT_STOPPED:
		take_change(containers, CONTAINERS_STOPPED, &event);
		break;
	case EVENT_NETWORKS:
		renew_networks(containers);
		break;
	case EVENT_OTHER:
		break;
	}
}

static void events_begun(struct collection *events)
{
	wake(CONTAINER_OF(events, struct containers, events));
}

static void events_ended(struct collection *events)
{
	struct containers *containers = CONTAINER_OF(events, struct containers, events);

	lose(containers);
	wake(containers);
}

static void networks_begun(struct collection *networks)
{
	struct containers *containers = CONTAINER_OF(networks, struct containers, networks);

	containers->network_count = 0;
	containers->told_count = 0;
	containers->node_bridge_count = 0;
}

static void take_network(struct collection *networks, const struct json_node *object)
{
	struct containers *containers = CONTAINER_OF(networks, struct containers, networks);

	if (object == NULL) {
		return;
	}
	containers->network_count += read_networks(object, NETWORKS_MAX - containers->network_count,
	        containers->network_list + containers->network_count);
	containers->told_count = containers->network_count;
	const struct slice bridge = read_node_bridge(object);
	if (bridge.len > 0 && bridge.len <= NETWORK_ID_MAX &&
	        containers->node_bridge_count < NODE_BRIDGES_MAX) {
		struct node_bridge *kept =
		        &containers->node_bridges[containers->node_bridge_count++];
		kept->id[text_keep(kept->id, NETWORK_ID_MAX, bridge)] = '\0';
		kept->told = false;
	}
}

static void networks_ended(struct collection *networks)
{
	struct containers *containers = CONTAINER_OF(networks, struct containers, networks);

	if (networks->result != ASK_ANSWERED) {
		renew_networks(containers);
	}
	wake(containers);
}

static void list_begun(struct collection *list)
{
	struct containers *containers = CONTAINER_OF(list, struct containers, list);

	containers->address_count = 0;
	containers->network_count = containers->told_count;
	for (unsigned i = 0; i < containers->node_bridge_count; i++) {
		containers->node_bridges[i].told = false;
	}
}

/* NULL: the container has its endpoint in another network. */
static struct node_bridge *find_node_bridge(
        struct containers *containers, const struct json_node *endpoint)
{
	const struct slice id = read_network_id(endpoint);

	for (unsigned i = 0; i < containers->node_bridge_count; i++) {
		if (slice_equal(id, slice_of(containers->node_bridges[i].id))) {
			return &containers->node_bridges[i];
		}
	}
	return NULL;
}

/* Each container of a bridge tells the same network. False: there is no room for another one. */
static bool learn_network(struct containers *containers, const struct engine_network *network)
{
	for (unsigned i = containers->told_count; i < containers->network_count; i++) {
		const struct engine_network *known = &containers->network_list[i];
		if (network_covers(&known->subnet, &network->subnet) &&
		        network_covers(&network->subnet, &known->subnet)) {
			return true;
		}
	}
	if (containers->network_count == NETWORKS_MAX) {
		return false;
	}
	containers->network_list[containers->network_count++] = *network;
	return true;
}

/* What the endpoint of a container says of its bridge: the network, or its own address alone. */
static void learn(
        struct containers *containers, struct node_bridge *bridge, const struct json_node *endpoint)
{
	struct engine_network networks[2];
	const unsigned subnets = read_subnets(endpoint, networks);
	bool told = subnets > 0;

	for (unsigned i = 0; i < subnets; i++) {
		told = learn_network(containers, &networks[i]) && told;
	}
	bridge->told = bridge->told || told;
	if (subnets == 0) {
		struct network addresses[2];
		const unsigned count = read_addresses(endpoint, addresses);
		for (unsigned i = 0; i < count; i++) {
			(void)learn_network(
			        containers, &(struct engine_network){.subnet = addresses[i]});
		}
	}
}

static void take_container(struct collection *list, const struct json_node *object)
{
	struct containers *containers = CONTAINER_OF(list, struct containers, list);
	const struct slice id = object == NULL ? SLICE("") : read_id(object);
	const struct json_node *endpoints = id.len == 0 ? NULL : read_endpoints(object);
	const struct json_node *endpoint = endpoints == NULL ? NULL : json_first(endpoints);
	struct network addresses[2];

	for (; endpoint != NULL; endpoint = json_next(endpoints, endpoint)) {
		const unsigned count = read_addresses(endpoint, addresses);
		struct node_bridge *bridge = find_node_bridge(containers, endpoint);
		if (bridge != NULL) {
			learn(containers, bridge, endpoint);
		}
		for (unsigned i = 0; i < count && containers->address_count < ADDRESSES_MAX; i++) {
			struct address_entry *entry =
			        &containers->address_list[containers->address_count++];
			entry->address = addresses[i];
			(void)text_keep(entry->id, sizeof(entry->id), id);
		}
	}
}

static void list_ended(struct collection *list)
{
	wake(CONTAINER_OF(list, struct containers, list));
}

/* {"type":["container","network"],"event":[…]}, the events of the table in read.c. */
#define EVENTS                                                                                     \
	"/events?filters=%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%2C%22event%22%3A"   \
	"%5B%22start%22%2C%22die%22%2C%22destroy%22%2C%22rename%22%2C%22connect%22%2C%22"          \
	"disconnect%22%2C%22create%22%5D%7D&since="

static const struct collection_verbs events_verbs = {
        "/events", EVENTS, true, events_begun, take_event, events_ended};
static const struct collection_verbs networks_verbs = {
        "/networks", "/networks", false, networks_begun, take_network, networks_ended};
static const struct collection_verbs list_verbs = {
        "/containers/json", "/containers/json", false, list_begun, take_container, list_ended};

/* ── Life ────────────────────────────────────────────────────────────────── */

static void init_collection(struct containers *containers, struct collection *collection,
        const struct collection_verbs *verbs)
{
	collection->verbs = verbs;
	collection->asker = containers->asker;
	collection->inspect_pool = containers->inspect_pool;
	collection->api_key = containers->api_key;
}

struct containers *containers_new(struct asker *asker, struct pool *inspect_pool,
        const char *api_key, unsigned max, containers_notify *notify, void *owner)
{
	struct containers *containers = calloc(1, sizeof(*containers));

	if (containers == NULL) {
		return NULL;
	}
	containers->asker = asker;
	containers->inspect_pool = inspect_pool;
	containers->api_key = api_key;
	containers->notify = notify;
	containers->owner = owner;
	containers->networks_due = 1;
	pool_init(&containers->found_pool, sizeof(struct found), max, 1);
	list_init(&containers->found);
	list_init(&containers->searches);
	timer_queue_init(asker->loop, &containers->pause_queue, PAUSE_MS * NS_PER_MS);
	init_collection(containers, &containers->events, &events_verbs);
	init_collection(containers, &containers->networks, &networks_verbs);
	init_collection(containers, &containers->list, &list_verbs);
	return containers;
}

void containers_stop(struct containers *containers)
{
	if (containers != NULL) {
		collection_end(&containers->events);
		collection_end(&containers->networks);
		collection_end(&containers->list);
	}
}

void containers_free(struct containers *containers)
{
	if (containers != NULL) {
		containers_stop(containers);
		pool_done(&containers->found_pool);
		free(containers);
	}
}

bool containers_trim(struct containers *containers)
{
	(void)pool_trim(&containers->found_pool, UINT32_MAX);
	return containers->found_pool.slab_count > 0;
}
