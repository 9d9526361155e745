/* SPDX-License-Identifier: MIT */
/* The clients: `clients:` of the file. */
#include "config/options.h"

#include "base/clock.h"
#include "engines/read.h"

#include <errno.h>
#include <stdio.h>

/* An entry that is being read. */
struct client_reader {
	struct reader *reader;
	char *error;
	struct client *client;
	struct match_names names;
};

/* ── The list ────────────────────────────────────────────────────────────── */

int config_reserve_clients(struct reader *reader, unsigned more)
{
	struct config *config = reader->config;
	const unsigned count = config->clients.count;

	if (more > CLIENTS_COUNT_MAX - count) {
		return fault_set(reader->error, NOWHERE, "there are more than %d clients",
		        CLIENTS_COUNT_MAX);
	}
	struct client *list = arena_take(&config->arena, (count + more + 1) * sizeof(*list));
	if (list == NULL) {
		return arena_fault(&config->arena, reader->error);
	}
	for (unsigned i = 0; i < count; i++) {
		list[i] = config->client_list[i];
	}
	config->client_list = list;
	config->clients.list = list;
	return 0;
}

struct client *config_add_client(struct reader *reader, struct slice name, struct place place)
{
	struct config *config = reader->config;
	const char *problem = client_name_problem(name);

	if (problem != NULL) {
		(void)fault_set(reader->error, place, "name: '%s' is not accepted: %s",
		        text_show(name).text, problem);
		return NULL;
	}
	for (unsigned i = 0; i < config->clients.count; i++) {
		if (slice_equal(name, slice_of(config->client_list[i].name))) {
			(void)fault_set(reader->error, place, "two clients have the name '%.*s'",
			        SLICE_FMT(name));
			return NULL;
		}
	}
	struct client *client = &config->client_list[config->clients.count++];
	*client = (struct client){
	        .name = arena_copy(&config->arena, name),
	        .number = config->clients.count,
	        .place = place,
	        .until_s = INT64_MAX,
	};
	return client->name == NULL ? NULL : client;
}

/* Whether an entry is known by nothing but a key. */
static bool has_only_key(const struct client *client)
{
	return client->match.kinds == 1U << CONDITION_KEY;
}

int config_finish_client(struct reader *reader, const struct client *client)
{
	struct clients *clients = &reader->config->clients;

	for (const struct client *earlier = clients->list; has_only_key(client) && earlier < client;
	        earlier++) {
		if (has_only_key(earlier) && match_covers(&earlier->match, &client->match) &&
		        engine_set_covers(earlier->engines, client->engines)) {
			return fault_set(reader->error, client->place,
			        "the clients '%s' and '%s' have the same key: a key names one "
			        "client%s",
			        earlier->name, client->name,
			        client->engines == NULL ? "" : " of an Engine");
		}
	}
	clients->has_keys = clients->has_keys || match_has(&client->match, CONDITION_KEY);
	clients->has_containers = clients->has_containers || match_asks_container(&client->match);
	clients->has_ends = clients->has_ends || client->until_s != INT64_MAX;
	return 0;
}

/* ── An entry of the file ────────────────────────────────────────────────── */

static int read_name(void *context, const struct yaml_node *node)
{
	(void)context, (void)node; /* it was read before the other keys */
	return 0;
}

static int read_match(void *context, const struct yaml_node *node)
{
	struct client_reader *reader = context;

	return match_read(node, &reader->names, &reader->reader->config->arena,
	        &reader->client->match, reader->error);
}

static int read_policy(void *context, const struct yaml_node *node)
{
	struct client_reader *reader = context;
	struct policy *policy = NULL;

	if (yaml_expect(node, YAML_TEXT, config_policy_name_shape.words, reader->error) < 0 ||
	        config_find_policy(reader->reader, node->text, node->place, &policy) < 0) {
		return -EINVAL;
	}
	reader->client->policy = policy;
	return 0;
}

static int read_engines(void *context, const struct yaml_node *node)
{
	struct client_reader *reader = context;
	struct config *config = reader->reader->config;

	return engine_set_read(node, config->has_engines ? &config->engines : NULL, &config->arena,
	        &reader->client->engines, reader->error);
}

static int read_until(void *context, const struct yaml_node *node)
{
	struct client_reader *reader = context;

	if (node->kind == YAML_TEXT && clock_read(node->text, &reader->client->until_s, NULL)) {
		return 0;
	}
	return fault_set(reader->error, node->place,
	        "'until' is a time in UTC, such as 2027-01-31T18:00:00Z; found %s",
	        yaml_found(node).text);
}

static int read_limits(void *context, const struct yaml_node *node)
{
	struct client_reader *reader = context;
	struct limits *limits = arena_take(&reader->reader->config->arena, sizeof(*limits));

	if (limits == NULL) {
		return arena_fault(&reader->reader->config->arena, reader->error);
	}
	reader->client->limits = limits;
	reader->client->has_limits = true;
	return limits_read_map(node, LIMITS_ENTRY, limits, reader->error);
}

static const struct yaml_shape name_shape = {.words = "the name of a client"};
static const struct yaml_shape until_shape = {
        .words = "the end of the entry, a time in UTC, such as 2027-01-31T18:00:00Z"};

static const struct yaml_key client_keys[] = {
        {"name", read_name, &name_shape},
        {"match", read_match, &match_shape},
        {"policy", read_policy, &config_policy_name_shape},
        {"engines", read_engines, &engine_set_shape},
        {"until", read_until, &until_shape},
        {"limits", read_limits, &limits_entry_shape},
};

static const struct yaml_shape client_shape = {
        YAML_KEYS(client_keys),
        .words = "a client",
        .name = "client",
        .required = "name match policy",
};
const struct yaml_shape config_clients_shape = {
        .kind = YAML_SHAPE_LIST, .words = "a list of clients", .item = &client_shape};

static int read_entry(struct client_reader *reader, const struct yaml_node *map)
{
	static const char example[] = "a client, such as {name: ci, match: {cidr: 192.0.2.0/24}, "
	                              "policy: read-only}";
	const struct yaml_node *name = yaml_find(map, "name");

	if (yaml_expect(map, YAML_MAP, example, reader->error) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < 3; i++) {
		if (yaml_find(map, client_keys[i].name) == NULL) {
			return fault_set(reader->error, map->place, "a client needs a '%s': %s",
			        client_keys[i].name, example + sizeof("a client, such as ") - 1);
		}
	}
	if (yaml_expect(name, YAML_TEXT, name_shape.words, reader->error) < 0) {
		return -EINVAL;
	}
	reader->client = config_add_client(reader->reader, name->text, map->place);
	if (reader->client == NULL) {
		return -EINVAL;
	}
	return yaml_read_map(map, &client_shape, reader, reader->error) < 0
	               ? -EINVAL
	               : config_finish_client(reader->reader, reader->client);
}

int config_read_clients(struct reader *reader, const struct yaml_node *list)
{
	struct config *config = reader->config;
	const char *names[CONFIG_LISTENERS_MAX];
	struct client_reader clients = {
	        .reader = reader, .error = reader->error, .names = {names, config->listener_count}};

	if (yaml_expect(list, YAML_LIST, config_clients_shape.words, reader->error) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		names[i] = config->listeners[i].name;
	}
	if (config_reserve_clients(reader, yaml_count(list)) < 0) {
		return -EINVAL;
	}
	for (const struct yaml_node *map = list->first; map != NULL; map = map->next) {
		if (read_entry(&clients, map) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* ── Labels that choose a policy ─────────────────────────────────────────── */

enum { LABEL_PREFIX_MAX = 128 };

/* A client without an entry: the label of its container names the policy. */
static int add_labelled(struct reader *reader, struct slice label, const struct yaml_node *policy)
{
	struct config *config = reader->config;
	struct client *client = &config->client_list[config->clients.count];
	struct policy *chosen = NULL;
	char memory[CLIENT_NAME_MAX + 256];
	struct text name = text_over(memory, sizeof(memory));

	text_add_format(&name, "label:%.*s", SLICE_FMT(policy->key));
	*client = (struct client){.name = arena_copy(&config->arena, text_slice(&name)),
	        .place = policy->place,
	        .until_s = INT64_MAX};
	if (config_find_policy(reader, policy->key, policy->place, &chosen) < 0) {
		return -EINVAL;
	}
	client->policy = chosen;
	config->clients.count++;
	const struct container_label wanted = {label, policy->key};
	return client->name == NULL || match_label(wanted, policy->place, &config->arena,
	                                       &client->match) < 0
	               ? arena_fault(&config->arena, reader->error)
	               : 0;
}

/* NULL; or the fault. Words by which YAML means a value that is no text are refused: who writes one
 * wants no labels to count. */
static const char *prefix_problem(struct slice prefix)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off"};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		if (slice_equal_nocase(prefix, slice_of(words[i]))) {
			return "'label_prefix' is the prefix of a label: leave it out if no label "
			       "chooses";
		}
	}
	for (size_t i = 0; i < prefix.len; i++) {
		const char c = prefix.ptr[i];
		if (!ascii_is_alnum(c) && c != '-' && c != '_' && c != '.' && c != '/') {
			return "'label_prefix' has letters, digits, '-', '_', '.' and '/'";
		}
	}
	return prefix.len > LABEL_PREFIX_MAX ? "'label_prefix' is too long" : NULL;
}

const struct yaml_shape config_label_prefix_shape = {
        .words = "the prefix of a label, such as docker-socket-proxy"};

int config_read_label_prefix(
        struct reader *reader, const struct yaml_node *prefix, const struct yaml_node *policies)
{
	struct config *config = reader->config;
	char memory[LABEL_PREFIX_MAX + sizeof(".policy")];
	struct text text = text_over(memory, sizeof(memory));

	if (yaml_expect(prefix, YAML_TEXT, config_label_prefix_shape.words, reader->error) < 0) {
		return -EINVAL;
	}
	const char *problem = policies == NULL ? "'label_prefix' lets labels choose among the "
	                                         "'policies' of the file, and there are none"
	                                       : prefix_problem(prefix->text);
	if (problem != NULL) {
		return fault_set(reader->error, prefix->place, "%s", problem);
	}
	text_add_format(&text, "%.*s.policy", SLICE_FMT(prefix->text));
	const char *label = arena_copy(&config->arena, text_slice(&text));
	if (label == NULL) {
		return arena_fault(&config->arena, reader->error);
	}
	if (config_reserve_clients(reader, yaml_count(policies)) < 0) {
		return -EINVAL;
	}
	for (const struct yaml_node *node = policies->first; node != NULL; node = node->next) {
		if (add_labelled(reader, slice_of(label), node) < 0) {
			return -EINVAL;
		}
	}
	config->clients.has_containers = true;
	return 0;
}

/* ── Limits ──────────────────────────────────────────────────────────────── */

int config_read_limits(struct reader *reader, const struct yaml_node *map)
{
	struct config *config = reader->config;
	const struct yaml_node *total = yaml_find(map, "total");

	if (limits_read_map(map, LIMITS_EACH, &config->limits, reader->error) < 0) {
		return -EINVAL;
	}
	return total == NULL
	               ? 0
	               : limits_read_map(total, LIMITS_TOTAL, &config->total_limits, reader->error);
}

/* Without memory, the arena remembers it. */
static void inherit(struct config *config, struct client *client)
{
	struct limits *limits = arena_take(&config->arena, sizeof(*limits));

	if (limits == NULL) {
		return;
	}
	*limits = client->limits != NULL ? *client->limits : config->limits;
	limits_inherit(limits, &config->limits);
	client->limits = limits_any(limits) ? limits : NULL;
}

void config_spread_limits(struct config *config)
{
	for (unsigned i = 0; i < config->clients.count; i++) {
		struct client *client = &config->client_list[i];
		if (client->limits != NULL || limits_any(&config->limits)) {
			inherit(config, client);
		}
	}
}

/* ── Scopes ──────────────────────────────────────────────────────────────── */

static bool any_scope(const struct config *config)
{
	const struct policy *policy;

	for (unsigned i = 0; (policy = config_policy(config, i)) != NULL; i++) {
		if (policy_scope(policy) != NULL) {
			return true;
		}
	}
	return false;
}

/* Without memory, the arena remembers it. */
static void own_scopes(struct config *config, struct client *client)
{
	struct arena *arena = &config->arena;
	const struct scope **scopes =
	        arena_take(arena, config->listener_count * sizeof(const struct scope *));

	client->scopes = scopes;
	for (unsigned i = 0; scopes != NULL && i < config->listener_count; i++) {
		const struct policy *policy =
		        client->policy != NULL ? client->policy : config->listeners[i].policy;
		const struct scope *scope = policy_scope(policy);
		if (i > 0 && client->policy != NULL) {
			scopes[i] = scopes[0];
		} else {
			scopes[i] =
			        scope == NULL ? NULL : scope_for_owner(scope, client->name, arena);
		}
	}
}

/* Who is no client is the owner by the name of the policy: no client may be called so. */
static int check_owners(struct reader *reader)
{
	const struct config *config = reader->config;

	for (unsigned i = 0; i < config->listener_count && !config->clients.must_be_known; i++) {
		const struct policy *policy = config->listeners[i].policy;
		const struct scope *scope = policy_scope(policy);
		const struct client *client =
		        config_find_client(config, slice_of(policy_name(policy)));
		if (scope != NULL && scope->owned && client != NULL) {
			return fault_set(reader->error, client->place,
			        "client '%s' has the name of the policy of %s, by which 'owner: "
			        "true' "
			        "knows who is no client: call one of them otherwise",
			        client->name, config->listeners[i].address);
		}
	}
	return 0;
}

int config_own_scopes(struct reader *reader)
{
	struct config *config = reader->config;

	const bool any = any_scope(config);

	for (unsigned i = 0; any && i < config->clients.count; i++) {
		own_scopes(config, &config->client_list[i]);
	}
	return check_owners(reader) < 0 ? -EINVAL : arena_check(&config->arena, reader->error);
}
