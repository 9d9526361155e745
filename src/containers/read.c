/* SPDX-License-Identifier: MIT */
#include "containers/read.h"

#include "base/clock.h"

/* NULL: there is none of this type. */
static const struct json_node *find(
        const struct json_node *root, const char *path, enum json_type type)
{
	const struct json_node *node = json_find(root, path);

	return node != NULL && node->type == type ? node : NULL;
}

static struct slice find_text(const struct json_node *node, const char *path)
{
	const struct json_node *text = find(node, path, JSON_STRING);

	return text == NULL ? (struct slice){"", 0} : text->text;
}

/* ── Events ──────────────────────────────────────────────────────────────── */

static const struct {
	struct slice type, action;
	enum event_kind kind;
	const char *id; /* where the id of the container is; NULL: there is none */
} events[] = {
        {SLICE_INIT("container"), SLICE_INIT("start"), EVENT_STARTED, "Actor/ID"},
        {SLICE_INIT("container"), SLICE_INIT("die"), EVENT_STOPPED, "Actor/ID"},
        {SLICE_INIT("container"), SLICE_INIT("destroy"), EVENT_STOPPED, "Actor/ID"},
        {SLICE_INIT("container"), SLICE_INIT("rename"), EVENT_CHANGED, "Actor/ID"},
        {SLICE_INIT("network"), SLICE_INIT("connect"), EVENT_STARTED, "Actor/Attributes/container"},
        {SLICE_INIT("network"), SLICE_INIT("disconnect"), EVENT_CHANGED,
                "Actor/Attributes/container"},
        {SLICE_INIT("network"), SLICE_INIT("create"), EVENT_NETWORKS, NULL},
        {SLICE_INIT("network"), SLICE_INIT("destroy"), EVENT_NETWORKS, NULL},
};

bool read_event(const struct json_node *object, struct event *ret_event)
{
	const struct slice type = find_text(object, "Type");
	const struct slice action = find_text(object, "Action");
	const struct json_node *ns = find(object, "timeNano", JSON_NUMBER);

	*ret_event = (struct event){.kind = EVENT_OTHER, .id = {"", 0}};
	if (ns != NULL && !json_integer(ns, &ret_event->ns)) {
		return false;
	}
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (slice_equal(type, events[i].type) && slice_equal(action, events[i].action)) {
			ret_event->kind = events[i].kind;
			ret_event->id = events[i].id == NULL ? ret_event->id
			                                     : find_text(object, events[i].id);
		}
	}
	return type.len > 0 && action.len > 0;
}

/* ── Containers ──────────────────────────────────────────────────────────── */

struct slice read_id(const struct json_node *object)
{
	const struct slice id = find_text(object, "Id");

	return id.len == CONTAINER_ID_LEN ? id : (struct slice){"", 0};
}

const struct json_node *read_endpoints(const struct json_node *object)
{
	return find(object, "NetworkSettings/Networks", JSON_OBJECT);
}

unsigned read_addresses(const struct json_node *endpoint, struct network ret_addresses[2])
{
	static const char *const members[] = {"IPAddress", "GlobalIPv6Address"};
	unsigned count = 0;

	for (unsigned i = 0; i < 2; i++) {
		const struct slice text = find_text(endpoint, members[i]);
		if (text.len > 0 && network_parse(text, &ret_addresses[count]) == NULL) {
			count++;
		}
	}
	return count;
}

static bool keep_labels(struct container *container, const struct json_node *labels)
{
	const struct json_node *label = labels == NULL ? NULL : json_first(labels);

	for (; label != NULL; label = json_next(labels, label)) {
		if (container->label_count == CONTAINER_LABELS_MAX || label->type != JSON_STRING) {
			return false;
		}
		struct container_label *kept = &container->labels[container->label_count++];
		if (!container_keep(container, label->name, &kept->name) ||
		        !container_keep(container, label->text, &kept->value)) {
			return false;
		}
	}
	return true;
}

static bool keep_facts(struct container *container, const struct json_node *object)
{
	struct slice name = find_text(object, "Name");

	(void)slice_skip(&name, SLICE("/"));
	container_begin(container);
	return container_keep(container, read_id(object), &container->id) &&
	       container_keep(container, name, &container->name) &&
	       container_keep(container, find_text(object, "Config/Image"), &container->image) &&
	       keep_labels(container, find(object, "Config/Labels", JSON_OBJECT));
}

/* Of a container that has never run, the Engine says the year 1. */
static bool read_start(const struct json_node *object, int64_t *ret_ns)
{
	int64_t seconds;
	unsigned ns;

	if (!clock_read(find_text(object, "State/StartedAt"), &seconds, &ns) ||
	        seconds >= INT64_MAX / NS_PER_S) {
		return false;
	}
	*ret_ns = seconds * NS_PER_S + ns;
	return true;
}

bool read_inspected(const struct json_node *object, struct inspected *ret_inspected)
{
	const struct json_node *pid = find(object, "State/Pid", JSON_NUMBER);
	int64_t number = 0;

	if (pid != NULL && (!json_integer(pid, &number) || number < 0 || number > INT32_MAX)) {
		return false;
	}
	ret_inspected->pid = (pid_t)number;
	ret_inspected->running = find(object, "State/Running", JSON_TRUE) != NULL &&
	                         read_start(object, &ret_inspected->started_ns);
	return read_id(object).len > 0 && keep_facts(&ret_inspected->container, object);
}

/* ── Networks ────────────────────────────────────────────────────────────── */

/* A gateway may be missing. */
static bool read_network(const struct json_node *config, struct engine_network *ret_network)
{
	const struct slice subnet = find_text(config, "Subnet");
	const struct slice gateway = find_text(config, "Gateway");

	*ret_network = (struct engine_network){.gateway = {.family = 0}};
	if (gateway.len > 0 && network_parse(gateway, &ret_network->gateway) != NULL) {
		return false;
	}
	return subnet.len > 0 && network_parse(subnet, &ret_network->subnet) == NULL;
}

unsigned read_networks(
        const struct json_node *object, unsigned most, struct engine_network *ret_networks)
{
	const struct slice driver = find_text(object, "Driver");
	const struct json_node *list = find(object, "IPAM/Config", JSON_ARRAY);
	unsigned count = 0;

	if (!slice_equal(driver, SLICE("bridge")) && !slice_equal(driver, SLICE("overlay"))) {
		return 0;
	}
	for (const struct json_node *node = list == NULL ? NULL : json_first(list);
	        node != NULL && count < most; node = json_next(list, node)) {
		count += read_network(node, &ret_networks[count]);
	}
	return count;
}

/* The length of a prefix; 0: the Engine does not say. */
static unsigned read_bits(const struct json_node *endpoint, const char *member, unsigned most)
{
	const struct json_node *number = find(endpoint, member, JSON_NUMBER);
	int64_t bits = 0;

	return number != NULL && json_integer(number, &bits) && bits > 0 && bits <= most
	               ? (unsigned)bits
	               : 0;
}

/* As read_network(), from the three members that an endpoint has for a family of addresses. */
static bool read_subnet(const struct json_node *endpoint, const char *const members[3],
        struct engine_network *ret_network)
{
	const struct slice address = find_text(endpoint, members[0]);
	const struct slice gateway = find_text(endpoint, members[2]);

	*ret_network = (struct engine_network){.gateway = {.family = 0}};
	if (address.len == 0 || network_parse(address, &ret_network->subnet) != NULL) {
		return false;
	}
	if (gateway.len > 0 && network_parse(gateway, &ret_network->gateway) != NULL) {
		return false;
	}
	ret_network->subnet.bits = read_bits(endpoint, members[1], ret_network->subnet.bits);
	return ret_network->subnet.bits > 0;
}

unsigned read_subnets(const struct json_node *endpoint, struct engine_network ret_networks[2])
{
	static const char *const members[][3] = {
	        {"IPAddress", "IPPrefixLen", "Gateway"},
	        {"GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway"},
	};
	unsigned count = 0;

	for (unsigned i = 0; i < 2; i++) {
		count += read_subnet(endpoint, members[i], &ret_networks[count]);
	}
	return count;
}

struct slice read_network_id(const struct json_node *endpoint)
{
	return find_text(endpoint, "NetworkID");
}

struct slice read_node_bridge(const struct json_node *object)
{
	const struct json_node *config = find(object, "IPAM/Config", JSON_ARRAY);

	return slice_equal(find_text(object, "Driver"), SLICE("bridge")) &&
	                       slice_equal(find_text(object, "Scope"), SLICE("swarm")) &&
	                       (config == NULL || json_first(config) == NULL)
	               ? find_text(object, "Id")
	               : (struct slice){"", 0};
}
