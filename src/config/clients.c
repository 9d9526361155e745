/* SPDX-License-Identifier: MIT */
/*
 * The clients: `clients:` of the file, and CLIENT_KEYS_FILE.
 */
#include "config/options.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* An entry that is being read. */
struct client_reader {
	struct reader *reader;
	char *error;
	struct client *client;
	struct match_names names;
};

/* ── The list ────────────────────────────────────────────────────────────── */

/* Make room for `more` entries. */
static int reserve(struct reader *reader, unsigned more)
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
	if (count > 0) {
		memcpy(list, config->client_list, count * sizeof(*list));
	}
	config->client_list = list;
	config->clients.list = list;
	return 0;
}

/* The next entry, for which room was made. NULL after a fault. */
static struct client *add_client(struct reader *reader, struct slice name, struct place place)
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
	        .name = arena_copy(&config->arena, name), .place = place, .until_s = INT64_MAX};
	return client->name == NULL ? NULL : client;
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

	if (yaml_expect(node, YAML_TEXT, "the name of a policy or preset", reader->error) < 0 ||
	        config_find_policy(reader->reader, node->text, node->place, &policy) < 0) {
		return -EINVAL;
	}
	reader->client->policy = policy;
	return 0;
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

static const struct yaml_key client_keys[] = {
        {"name", read_name},
        {"match", read_match},
        {"policy", read_policy},
        {"until", read_until},
        {"limits", NULL},
};

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
	if (yaml_expect(name, YAML_TEXT, "the name of a client", reader->error) < 0) {
		return -EINVAL;
	}
	reader->client = add_client(reader->reader, name->text, map->place);
	if (reader->client == NULL) {
		return -EINVAL;
	}
	return yaml_read_map(
	        map, "a client", client_keys, ARRAY_LEN(client_keys), reader, reader->error);
}

int config_read_clients(struct reader *reader, const struct yaml_node *list)
{
	struct config *config = reader->config;
	const char *names[CONFIG_LISTENERS_MAX];
	struct client_reader clients = {
	        .reader = reader, .error = reader->error, .names = {names, config->listener_count}};

	if (yaml_expect(list, YAML_LIST, "a list of clients", reader->error) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		names[i] = config->listeners[i].name;
	}
	if (reserve(reader, yaml_count(list)) < 0) {
		return -EINVAL;
	}
	for (const struct yaml_node *map = list->first; map != NULL; map = map->next) {
		if (read_entry(&clients, map) < 0) {
			return -EINVAL;
		}
		config->clients.has_keys = config->clients.has_keys ||
		                           match_has(&clients.client->match, CONDITION_KEY);
		config->clients.has_containers = config->clients.has_containers ||
		                                 match_asks_container(&clients.client->match);
		config->clients.has_ends =
		        config->clients.has_ends || clients.client->until_s != INT64_MAX;
	}
	return 0;
}

/* ── Labels that choose a policy ─────────────────────────────────────────── */

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

int config_read_label_prefix(struct reader *reader, const struct yaml_node *prefix,
        const struct yaml_node *policies)
{
	struct config *config = reader->config;
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	if (yaml_expect(prefix, YAML_TEXT, "the prefix of a label, such as docker-socket-proxy",
	            reader->error) < 0) {
		return -EINVAL;
	}
	text_add_format(&text, "%.*s.policy", SLICE_FMT(prefix->text));
	const char *label = arena_copy(&config->arena, text_slice(&text));
	if (text.overflow || policies == NULL || label == NULL) {
		return fault_set(reader->error, prefix->place,
		        policies == NULL ? "'label_prefix' lets labels choose among the 'policies' "
		                           "of the file, and there are none"
		                         : "'label_prefix' is too long");
	}
	if (reserve(reader, yaml_count(policies)) < 0) {
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

/* ── The file of keys ────────────────────────────────────────────────────── */

/* "name:key", where the key may be its hash. */
static int read_key_line(
        struct reader *reader, struct hasher *hasher, struct slice line, struct place place)
{
	const char *colon = memchr(line.ptr, ':', line.len);
	struct key_hash hash;

	if (colon == NULL) {
		return fault_set(reader->error, place,
		        "a line is 'name:key', or 'name:HASH' with the line that "
		        "'docker-socket-proxy hash-key' prints");
	}
	const struct slice text = slice_between(colon + 1, line.ptr + line.len);
	const bool hashed = key_hash_read(text, &hash) == NULL;
	const char *problem = hashed ? NULL : key_problem(text);
	if (problem != NULL) {
		return fault_set(reader->error, place, "the key of '%s' is not accepted: %s",
		        text_show(slice_between(line.ptr, colon)).text, problem);
	}
	if (!hashed && !key_hash_make(hasher, text, NULL, &hash)) {
		return fault_memory(reader->error);
	}
	struct client *client = add_client(reader, slice_between(line.ptr, colon), place);
	if (client == NULL || match_key(&hash, place, &reader->config->arena, &client->match) < 0) {
		return client == NULL ? -EINVAL
		                      : arena_fault(&reader->config->arena, reader->error);
	}
	return 0;
}

static int read_key_lines(struct reader *reader, struct hasher *hasher, struct slice bytes)
{
	struct place place = {reader->config->keys_file, 0};
	struct slice line;

	while (slice_next(&bytes, '\n', &line)) {
		place.line++;
		line.len -= slice_ends_with(line, SLICE("\r"));
		line = slice_trim(line);
		if (line.len > 0 && line.ptr[0] != '#' &&
		        read_key_line(reader, hasher, line, place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static unsigned count_lines(struct slice bytes)
{
	unsigned count = 0;
	struct slice line;

	while (slice_next(&bytes, '\n', &line)) {
		count++;
	}
	return count;
}

int config_read_keys(struct reader *reader)
{
	enum { KEYS_SIZE_MAX = 1024 * 1024 };
	struct config *config = reader->config;
	const unsigned before = config->clients.count;

	if (config->keys_file == NULL) {
		return 0;
	}
	char *bytes = malloc(KEYS_SIZE_MAX + 1);
	struct hasher *hasher = hasher_new();
	const ssize_t len =
	        bytes == NULL ? -ENOMEM : file_read(config->keys_file, bytes, KEYS_SIZE_MAX + 1);
	const struct slice text = {bytes, len < 0 ? 0 : (size_t)len};
	int code;
	if (hasher == NULL || bytes == NULL) {
		code = fault_memory(reader->error);
	} else if (len < 0 || len > KEYS_SIZE_MAX) {
		code = fault_set(reader->error, NOWHERE, "%s: '%s' cannot be read: %s",
		        config->keys_option, text_show(slice_of(config->keys_file)).text,
		        len < 0 ? strerrordesc_np((int)-len) : "it is longer than 1 MiB");
	} else if (reserve(reader, count_lines(text)) < 0) {
		code = -EINVAL;
	} else {
		code = read_key_lines(reader, hasher, text);
	}
	if (code == 0 && config->clients.count == before) {
		code = fault_set(reader->error, NOWHERE,
		        "%s: '%s' has no key: a line is 'name:key'", config->keys_option,
		        text_show(slice_of(config->keys_file)).text);
	}
	if (bytes != NULL) {
		explicit_bzero(bytes, KEYS_SIZE_MAX + 1);
	}
	hasher_free(hasher);
	free(bytes);
	config->clients.has_keys = true;
	config->clients.must_be_known = true;
	return code;
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

int config_own_scopes(struct reader *reader)
{
	struct config *config = reader->config;

	const bool any = any_scope(config);

	for (unsigned i = 0; any && i < config->clients.count; i++) {
		own_scopes(config, &config->client_list[i]);
	}
	return arena_check(&config->arena, reader->error);
}
