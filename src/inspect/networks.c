/* SPDX-License-Identifier: MIT */
/* networks — checks of networks and ports. */
#include "inspect/check.h"

#include <arpa/inet.h>

/* "web" of "container:web"; empty, if the mode is another one. */
static struct slice container_of_mode(struct slice mode)
{
	return slice_skip(&mode, SLICE("container:")) ? mode : (struct slice){"", 0};
}

CHECK(NAMESPACE)
{
	check_PREFIXED(walk, row, value);
	walk_refer_container(walk, value, container_of_mode(text_of(value)));
}

/* Three networks are everybody's: each Engine has them, without labels. */
static bool is_everybodys(struct slice network)
{
	return network.len == 0 || container_of_mode(network).len > 0 ||
	       word_is_in(network, "default bridge host none");
}

static void refer_network(struct walk *walk, struct slice network)
{
	if (!is_everybodys(network)) {
		walk_refer(walk, SCOPE_NETWORK, network);
	}
}

/*
 * The Engine looks for the networks of a container by name, again at each start: another one of
 * that name may be there then, even if the body has the id. NetworkID of an endpoint counts before
 * its name. ptr NULL: there is none to name.
 */
static struct slice id_to_pin(struct walk *walk, struct slice network)
{
	struct slice id = {"", 0};

	if (walk->view == NULL || is_everybodys(network) ||
	        walk_look(walk, SCOPE_NETWORK, network, &id) != SCOPE_OWN) {
		return (struct slice){NULL, 0};
	}
	return id;
}

static void add_id(struct slice id, struct text *text)
{
	text_add(text, SLICE("\"NetworkID\":"));
	json_write_text(id, text);
}

/* An endpoint, or a null in its place, gets the id of its network, unless it names one. */
static bool pin(struct walk *walk, const struct json_node *endpoint, struct slice id)
{
	const struct json_node *member =
	        endpoint->type == JSON_OBJECT ? json_member(endpoint, SLICE("NetworkID")) : NULL;
	char memory[2 * SCOPE_ID_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (id.ptr == NULL || text_of(member).len > 0) {
		return true;
	}
	add_id(id, &text);
	if (member == NULL) {
		return walk_add(walk, endpoint, text_slice(&text));
	}
	walk->nodes[member - walk->nodes].type = JSON_STRING;
	return walk_redirect(walk, member, SLICE(""), id, SLICE(""));
}

static void pin_endpoint(struct walk *walk, const struct row *row, const struct json_node *endpoint)
{
	if (!pin(walk, endpoint, id_to_pin(walk, endpoint->name))) {
		walk_find(walk, row, endpoint->name, "is one network too many in this body");
	}
}

/* The endpoint of a container that does not run yet is kept until it does. */
void pin_connection(struct walk *walk, const struct json_node *connection)
{
	const struct slice id = id_to_pin(walk, walk->request->name);
	const struct json_node *endpoint = json_member(connection, SLICE("EndpointConfig"));
	char memory[2 * SCOPE_ID_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (id.ptr == NULL) {
		return;
	}
	text_add(&text, SLICE("\"EndpointConfig\":{"));
	add_id(id, &text);
	text_add(&text, SLICE("}"));
	const bool pinned = endpoint == NULL ? walk_add(walk, connection, text_slice(&text))
	                                     : pin(walk, endpoint, id);
	ASSERT(pinned); /* it is the only one */
}

/* Append `"NetworkingConfig":{"EndpointsConfig":{"NAME":{"NetworkID":"ID"}}}` from a level on. */
static void add_endpoint(unsigned level, struct slice network, struct slice id, struct text *text)
{
	if (level == 0) {
		text_add(text, SLICE("\"NetworkingConfig\":{"));
	}
	if (level <= 1) {
		text_add(text, SLICE("\"EndpointsConfig\":{"));
	}
	json_write_text(network, text);
	text_add(text, SLICE(":{"));
	add_id(id, text);
	text_add(text, (struct slice){"}}}", 3 - level});
}

/* The network of NetworkMode has an endpoint even if the body names none. */
static void pin_mode(struct walk *walk, const struct row *row, struct slice network)
{
	static const char *const names[] = {"NetworkingConfig", "EndpointsConfig"};
	const struct slice id = id_to_pin(walk, network);
	const struct json_node *at = walk->frames[0].node;
	char memory[4 * SCOPE_ID_MAX];
	struct text text = text_over(memory, sizeof(memory));
	unsigned level = 0;

	if (id.ptr == NULL || walk->frames[0].row->type != TYPE_CONTAINER) {
		return;
	}
	while (level < ARRAY_LEN(names) && at->type == JSON_OBJECT) {
		const struct json_node *member = json_member(at, slice_of(names[level]));
		if (member == NULL) {
			break;
		}
		at = member;
		level++;
	}
	for (const struct json_node *each = json_first(at);
	        level == ARRAY_LEN(names) && each != NULL; each = json_next(at, each)) {
		struct slice other = {"", 0};
		if (walk_look(walk, SCOPE_NETWORK, each->name, &other) == SCOPE_OWN &&
		        slice_equal(other, id)) {
			return; /* pinned by its own endpoint */
		}
	}
	/* The Engine puts the name in place of a full id, but not of a part of it. */
	add_endpoint(level, slice_starts_with(id, network) ? id : network, id, &text);
	if (text.overflow || !walk_add(walk, at, text_slice(&text))) {
		walk_find(walk, row, network, "is one network too many in this body");
	}
}

/* A container that names no network is in the bridge network. */
static void require_network(struct walk *walk, const struct row *row, struct slice network)
{
	const bool standard = network.len == 0 || slice_equal(network, SLICE("default"));

	if (memchr(network.ptr, ',', network.len) != NULL) { /* podman takes it for several */
		walk_find(walk, row, network, "has a comma");
		return;
	}
	require_word(walk, row, standard ? SLICE("bridge") : network);
	if (!standard) {
		refer_network(walk, network);
	}
}

CHECK(MODE)
{
	require_network(walk, row, text_of(value));
	pin_mode(walk, row, text_of(value));
	walk_refer_container(walk, value, container_of_mode(text_of(value)));
}

CHECK(SECRET_ID)
{
	(void)row;
	walk_refer(walk, SCOPE_SECRET, text_of(value));
}

CHECK(CONFIG_ID)
{
	(void)row;
	walk_refer(walk, SCOPE_CONFIG, text_of(value));
}

/* Each step of a build looks for the network again: only an id is the same one then. */
CHECK(BUILD_MODE)
{
	const struct slice mode = text_of(value);
	const struct slice container = container_of_mode(mode);
	const bool everybodys = mode.len == 0 || word_is_in(mode, "default bridge host none");
	struct slice id;

	check_WORD(walk, row, value);
	if (walk->view != NULL && !everybodys &&
	        walk_look(walk, container.len > 0 ? SCOPE_CONTAINER : SCOPE_NETWORK,
	                container.len > 0 ? container : mode, &id) == SCOPE_OWN &&
	        !slice_equal(id, container.len > 0 ? container : mode)) {
		walk_find(walk, row, mode, "is a name: under a scope, give the full id");
	}
}

/*
 * The Engine lets two networks have one name, which nobody can use from then on. It looks for the
 * network of a container at each start: when this one is gone, its name may begin another's id.
 */
CHECK(NEW_NETWORK)
{
	const struct scope_object object = {SCOPE_NETWORK, text_of(value)};

	if (walk->view == NULL || object.reference.len == 0) {
		return;
	}
	if (docker_is_hexadecimal(object.reference)) {
		walk_find(walk, row, object.reference,
		        "could be the beginning of an id: under a scope, give a name with "
		        "another character than 0 to 9 and a to f");
	} else if (scope_look_for_name(walk->view, object) == SCOPE_FOREIGN) {
		walk_find(walk, row, object.reference,
		        "is the name of a network that is not in the scope");
	}
}

/* The id of a network takes the place of the text that names it. */
static void put_id(
        struct walk *walk, const struct row *row, const struct json_node *value, struct slice id)
{
	if (id.ptr != NULL && !walk_redirect(walk, value, SLICE(""), id, SLICE(""))) {
		walk_find(walk, row, text_of(value), "is one network too many in this body");
	}
}

CHECK(NETWORK_ID)
{
	const struct slice network = text_of(value);

	if (network.len > 0) {
		require_network(walk, row, network);
		put_id(walk, row, value, id_to_pin(walk, network));
	}
}

CHECK(TEMPLATE)
{
	check_CLOSED(walk, row, value);
	walk_refer(walk, SCOPE_NETWORK, text_of(value));
}

/* "db:database" */
CHECK(LINK)
{
	struct slice rest = text_of(value);
	struct slice container = rest;

	require_word(walk, row, rest);
	(void)slice_next(&rest, ':', &container);
	if (rest.ptr == NULL) {
		walk_refer_alone(walk, value);
	} else {
		walk_refer_container(walk, value, container);
	}
}

CHECK(MEMBER)
{
	(void)row;
	walk_refer_container(walk, value, text_of(value));
}

CHECK(NETWORK)
{
	require_network(walk, row, value->name);
	pin_endpoint(walk, row, value);
}

/*
 * Append an address of a port in its canonical spelling. False: it is no address. The Engine then
 * takes all addresses, as it does for an empty one.
 */
static bool add_address(struct slice address, struct text *text)
{
	char memory[INET6_ADDRSTRLEN];
	struct text copy = text_over(memory, sizeof(memory));
	struct in_addr short_one;
	struct in6_addr long_one;
	const char *name = NULL;

	text_add(&copy, address.len > 0 ? address : SLICE("0.0.0.0"));
	text_add_char(&copy, '\0');
	if (copy.overflow || strlen(memory) + 1 != copy.len) {
		return false;
	}
	if (inet_pton(AF_INET, memory, &short_one) == 1) {
		name = inet_ntop(AF_INET, &short_one, memory, sizeof(memory));
	} else if (inet_pton(AF_INET6, memory, &long_one) == 1) {
		/* The Engine reads ::ffff:127.0.0.1 as 127.0.0.1. */
		name = IN6_IS_ADDR_V4MAPPED(&long_one)
		               ? inet_ntop(AF_INET, &long_one.s6_addr[12], memory, sizeof(memory))
		               : inet_ntop(AF_INET6, &long_one, memory, sizeof(memory));
	}
	text_add(text, slice_of(name == NULL ? "" : name));
	return name != NULL;
}

void require_port(struct walk *walk, const struct row *row, struct slice address, struct slice port)
{
	char memory[INSPECT_WORD_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (!add_address(address, &text)) {
		walk_find(walk, row, address, "is not an IP address");
		return;
	}
	text_add(&text, SLICE(":"));
	text_add(&text, port.len > 0 ? port : SLICE("0"));
	if (text.overflow || !allows(walk, row, text_slice(&text))) {
		walk_find(walk, row, text_slice(&text), NULL);
	}
}

/* "127.0.0.1:8080"; without a port, the Engine chooses one. */
CHECK(PORT)
{
	if (value->type != JSON_FALSE) {
		require_port(walk, row, text_of(json_member(value, SLICE("HostIp"))),
		        text_of(json_member(value, SLICE("HostPort"))));
	}
}

/* The ports of a service are published on all addresses of a node, or of all nodes. */
CHECK(PUBLISHED)
{
	const struct json_node *port = json_member(value, SLICE("PublishedPort"));

	require_port(walk, row, SLICE(""),
	        port == NULL || port->type != JSON_NUMBER ? SLICE("0") : port->text);
}

/* The Engine splits the words at other blanks too. */
static bool has_odd_blank(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < ' ' || text.ptr[i] > '~') {
			return true;
		}
	}
	return false;
}

/* "172.30.0.1 db db.internal" is db:172.30.0.1 and db.internal:172.30.0.1 in a container. */
CHECK(HOSTS)
{
	struct slice rest = text_of(value);
	struct slice address = {"", 0};
	struct slice name;

	if (set_of(walk, row->key)->any) {
		return;
	}
	if (has_odd_blank(rest)) {
		walk_find(walk, row, rest, "is not an address and names in ASCII");
		return;
	}
	while (slice_next(&rest, ' ', &name)) {
		char memory[INSPECT_WORD_MAX];
		struct text text = text_over(memory, sizeof(memory));
		text_add_format(&text, "%.*s:%.*s", SLICE_FMT(name), SLICE_FMT(address));
		if (address.len == 0) {
			address = name;
		} else if (name.len > 0 &&
		           (text.overflow || !allows(walk, row, text_slice(&text)))) {
			walk_find(walk, row, text_slice(&text), NULL);
		}
	}
}

/*
 * A swarm takes the id of a network, and its beginning, for its name: docker service create sends
 * the id of the network that the user names. The Engine is asked what the word stands for; the name
 * decides, and the full id is sent, so that the network is the one that was asked about. The name
 * is told to nobody who has no more than the beginning of an id.
 */
static void require_network_of_id(
        struct walk *walk, const struct row *row, const struct json_node *value)
{
	const struct slice word = text_of(value);
	struct slice id = {"", 0};
	struct slice name = {"", 0};
	const enum scope_answer answer = scope_look_for_network(walk->engine, word, &id, &name);

	if (answer == SCOPE_OWN && name.len > 0 && allows(walk, row, name)) {
		put_id(walk, row, value, id);
	} else if (answer == SCOPE_OWN && name.len > 0 && slice_equal(word, id)) {
		walk_find(walk, row, name, NULL);
	} else if (answer == SCOPE_OWN || (answer != SCOPE_UNKNOWN && !allows(walk, row, word))) {
		walk_find(walk, row, word, NULL);
	}
}

/* Nobody can ask the Engine: what may be an id of the host's network must be written. */
static void require_network_as_text(
        struct walk *walk, const struct row *row, const struct json_node *value)
{
	const struct slice word = text_of(value);
	const bool named = set_names(set_of(walk, row->key), word);

	if (word.len > 0 && word_may_be_network_id(word) && !named &&
	        !allows(walk, row, SLICE("host"))) {
		walk_find(walk, row, word, NULL);
	} else {
		check_NEEDED(walk, row, value);
	}
}

CHECK(ATTACHMENT)
{
	const struct slice word = text_of(value);

	if (walk->engine == NULL) {
		require_network_as_text(walk, row, value);
	} else if (word.len > 0 && word_may_be_network_id(word) && !set_of(walk, row->key)->all) {
		require_network_of_id(walk, row, value);
	} else {
		check_NEEDED(walk, row, value);
		put_id(walk, row, value, id_to_pin(walk, word));
	}
}

static bool has_elements(const struct json_node *object, const char *name)
{
	const struct json_node *list = object == NULL ? NULL : json_member(object, slice_of(name));

	return list != NULL && list->type == JSON_ARRAY && json_first(list) != NULL;
}

/* Tasks of a service that names no network are in the bridge network. */
CHECK(SERVICE)
{
	(void)row;
	if (!has_elements(value, "Networks") &&
	        !has_elements(json_member(value, SLICE("TaskTemplate")), "Networks") &&
	        !allows(walk, &network_row, SLICE("bridge"))) {
		walk_find_in(walk, &network_row, "TaskTemplate/Networks", SLICE("bridge"), NULL);
	}
}
