/* SPDX-License-Identifier: MIT */
/*
 * The Engines beside that of `upstream`: the key `engines` of the file. It is read before all that
 * names Engines.
 */
#include "config/options.h"

#include "engines/read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* An entry that is being read. */
struct entry_reader {
	struct reader *reader;
	char *error;
	struct config_engine *engine;
	struct engine_row *row;
	unsigned number;
};

/* ── Addresses ───────────────────────────────────────────────────────────── */

const struct yaml_shape config_engine_address_shape = {
        .words = "the Engine's address, unix:///PATH, tcp://HOST:PORT or tls://HOST:PORT"};

int config_read_engine_address(
        struct reader *reader, const struct yaml_node *node, struct config_engine *ret_engine)
{
	if (yaml_expect(node, YAML_TEXT, config_engine_address_shape.words, reader->error) < 0) {
		return -EINVAL;
	}
	const char *problem = config_read_engine(reader, node->text.ptr, ret_engine);
	return problem == NULL
	               ? 0
	               : fault_set(reader->error, node->place, "address: %s is not accepted: %s",
	                         yaml_found(node).text, problem);
}

/* It is read before `tls`, which depends on it. */
static int read_address(void *context, const struct yaml_node *node)
{
	(void)context, (void)node;
	return 0;
}

static int read_tls(void *context, const struct yaml_node *node)
{
	struct entry_reader *entry = context;

	return config_read_engine_tls(entry->reader, entry->engine, node);
}

/* ── Names in TLS ────────────────────────────────────────────────────────── */

static int add_server(struct entry_reader *entry, const struct yaml_node *node)
{
	struct engine_row *row = entry->row;

	if (yaml_expect(node, YAML_TEXT, "a DNS name", entry->error) < 0) {
		return -EINVAL;
	}
	const char *problem = engine_server_problem(node->text);
	if (problem != NULL) {
		return fault_set(entry->error, node->place, "sni: %s is not accepted: %s",
		        yaml_found(node).text, problem);
	}
	if (row->server_count == ENGINE_SERVERS_MAX) {
		return fault_set(entry->error, node->place, "'sni' has more than %d names",
		        ENGINE_SERVERS_MAX);
	}
	row->servers[row->server_count++] = node->text.ptr;
	return 0;
}

static int read_sni(void *context, const struct yaml_node *node)
{
	struct entry_reader *entry = context;
	const struct yaml_node *name = node->kind == YAML_LIST ? node->first : node;

	if (name == NULL) {
		return fault_set(entry->error, node->place,
		        "'sni' is a DNS name or a list of them; found an empty list");
	}
	for (; name != NULL; name = node->kind == YAML_LIST ? name->next : NULL) {
		if (add_server(entry, name) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* ── Groups ──────────────────────────────────────────────────────────────── */

static int add_member(struct entry_reader *entry, const struct yaml_node *node)
{
	const struct engines *engines = &entry->reader->config->engines;
	struct engine_row *row = entry->row;
	unsigned engine = 0;

	if (engine_name_read(node, engines, &engine, entry->error) < 0) {
		return -EINVAL;
	}
	if (engine == entry->number) {
		return fault_set(entry->error, node->place, "the group '%s' is a member of itself",
		        row->name);
	}
	for (unsigned i = 0; i < row->member_count; i++) {
		if (row->members[i] == engine) {
			return fault_set(entry->error, node->place, "'%s' is a member twice",
			        engines->list[engine].name);
		}
	}
	if (row->member_count == ENGINE_MEMBERS_MAX) {
		return fault_set(entry->error, node->place, "a group has at most %d members",
		        ENGINE_MEMBERS_MAX);
	}
	row->members[row->member_count++] = (uint16_t)engine;
	return 0;
}

static int read_members(void *context, const struct yaml_node *node)
{
	struct entry_reader *entry = context;

	if (yaml_expect(node, YAML_LIST, "a list of Engines, such as [node-a, node-b]",
	            entry->error) < 0) {
		return -EINVAL;
	}
	for (const struct yaml_node *name = node->first; name != NULL; name = name->next) {
		if (add_member(entry, name) < 0) {
			return -EINVAL;
		}
	}
	if (entry->row->member_count < ENGINE_MEMBERS_MIN) {
		return fault_set(entry->error, node->place,
		        "'members' has at least %d Engines: the first, and those that stand in for "
		        "it",
		        ENGINE_MEMBERS_MIN);
	}
	return 0;
}

/* When all entries are read: a group of groups would have no order. */
static int check_members(struct reader *reader, const struct engine_row *rows)
{
	const struct config *config = reader->config;

	for (unsigned i = 1; i < config->engine_count; i++) {
		for (unsigned j = 0; j < rows[i].member_count; j++) {
			const struct engine_row *member = &rows[rows[i].members[j]];
			if (member->member_count > 0) {
				return fault_set(reader->error, config_engine_at(config, i)->place,
				        "'%s', a member of '%s', is a group itself: name its "
				        "members",
				        member->name, rows[i].name);
			}
		}
	}
	return 0;
}

/* ── An entry ────────────────────────────────────────────────────────────── */

static const struct yaml_shape sni_name_shape = {
        .words = "the name for which TLS clients ask when they mean this Engine"};
static const struct yaml_shape sni_shape = {
        .kind = YAML_SHAPE_LIST,
        .words = "the names for which TLS clients ask when they mean this Engine",
        .item = &sni_name_shape,
        .other = &sni_name_shape,
};
static const struct yaml_shape members_shape = {
        .kind = YAML_SHAPE_LIST,
        .words = "the Engines of a group, in the order in which they are asked",
        .item = &engine_name_shape,
};

static const struct yaml_key engine_keys[] = {
        {"address", read_address, &config_engine_address_shape},
        {"tls", read_tls, &config_engine_tls_shape},
        {"sni", read_sni, &sni_shape},
        {"members", read_members, &members_shape},
};
static const struct yaml_shape engine_shape = {
        YAML_KEYS(engine_keys),
        .words = "an Engine",
        .name = "engine",
        .other = &config_engine_address_shape,
};
const struct yaml_shape config_engines_shape = {
        .kind = YAML_SHAPE_NAMES,
        .words = "a map of Engines by their names, such as node-a: tcp://10.0.0.1:2375",
        .item = &engine_shape,
};

/* "engines.node-a", for messages. */
static const char *option_of(struct config *config, const char *name)
{
	char memory[sizeof("engines.") + ENGINE_NAME_MAX];

	(void)snprintf(memory, sizeof(memory), "engines.%s", name);
	return arena_copy(&config->arena, slice_of(memory));
}

static int check_entry(const struct entry_reader *entry, const struct yaml_node *node)
{
	const bool has_address = entry->engine->text != NULL;
	const bool is_group = yaml_find(node, "members") != NULL;

	if (has_address && is_group) {
		return fault_set(entry->error, node->place,
		        "'%s' has an 'address' and 'members': it is an Engine or a group",
		        entry->row->name);
	}
	return has_address || is_group
	               ? 0
	               : fault_set(entry->error, node->place,
	                         "'%s' needs an 'address', or 'members' if it is a group",
	                         entry->row->name);
}

/* A map, or the address alone. */
static int read_entry(struct entry_reader *entry, const struct yaml_node *node)
{
	struct config *config = entry->reader->config;
	const struct yaml_node *address =
	        node->kind == YAML_TEXT ? node : yaml_find(node, "address");

	if (node->kind == YAML_LIST) {
		return fault_set(entry->error, node->place,
		        "'%s' is a list: a group is {members: [node-a, node-b]}", entry->row->name);
	}
	if (address != NULL &&
	        config_read_engine_address(entry->reader, address, entry->engine) < 0) {
		return -EINVAL;
	}
	entry->engine->name = entry->row->name;
	entry->engine->place = node->place;
	entry->engine->option = option_of(config, entry->row->name);
	if (address != node && yaml_read_map(node, &engine_shape, entry, entry->error) < 0) {
		return -EINVAL;
	}
	if (check_entry(entry, node) < 0) {
		return -EINVAL;
	}
	entry->engine->member_count = entry->row->member_count;
	entry->engine->members = entry->row->members;
	return arena_check(&config->arena, entry->error);
}

/* ── The map ─────────────────────────────────────────────────────────────── */

static int check_name(struct reader *reader, const struct yaml_node *node)
{
	const char *problem = engine_name_problem(node->key);

	if (problem != NULL) {
		return fault_set(reader->error, node->place, "engines: '%s' is not accepted: %s",
		        text_show(node->key).text, problem);
	}
	return slice_equal(node->key, SLICE(ENGINE_DEFAULT_NAME))
	               ? fault_set(reader->error, node->place,
	                         "engines: '" ENGINE_DEFAULT_NAME
	                         "' is the Engine of 'upstream': call this one otherwise")
	               : 0;
}

/* Names of all, so that groups can name Engines that come later. */
static int read_names(struct reader *reader, const struct yaml_node *map, struct engine_row *rows)
{
	struct config *config = reader->config;

	rows[ENGINE_DEFAULT].name = ENGINE_DEFAULT_NAME;
	for (const struct yaml_node *node = map->first; node != NULL; node = node->next) {
		if (check_name(reader, node) < 0) {
			return -EINVAL;
		}
		rows[config->engine_count++].name = node->key.ptr;
	}
	config->engines.count = config->engine_count;
	config->engines.list = rows;
	return engines_index(&config->engines, &config->arena) < 0
	               ? arena_fault(&config->arena, reader->error)
	               : 0;
}

static int read_entries(struct reader *reader, const struct yaml_node *map, struct engine_row *rows)
{
	unsigned number = ENGINE_DEFAULT;

	for (const struct yaml_node *node = map->first; node != NULL; node = node->next) {
		number++;
		struct entry_reader entry = {
		        .reader = reader,
		        .error = reader->error,
		        .engine = &reader->config->more_engines[number - 1],
		        .row = &rows[number],
		        .number = number,
		};
		if (read_entry(&entry, node) < 0) {
			return -EINVAL;
		}
	}
	return check_members(reader, rows);
}

/* Two Engines with one name in TLS: neither is meant for certain. */
static int check_servers(struct reader *reader)
{
	const struct engines *engines = &reader->config->engines;

	for (unsigned i = 1; i < engines->count; i++) {
		const struct engine_row *row = &engines->list[i];
		for (unsigned j = 0; j < row->server_count; j++) {
			const unsigned first =
			        engines_find_server(engines, slice_of(row->servers[j]));
			if (first != i) {
				return fault_set(reader->error,
				        config_engine_at(reader->config, i)->place,
				        "'%s' and '%s' both have the name '%s' in 'sni'",
				        engines->list[first].name, row->name, row->servers[j]);
			}
		}
	}
	return 0;
}

int config_read_engines(struct reader *reader, const struct yaml_node *map, bool has_default)
{
	struct config *config = reader->config;

	if (yaml_expect(map, YAML_MAP, config_engines_shape.words, reader->error) < 0) {
		return -EINVAL;
	}
	const unsigned count = yaml_count(map);
	if (count == 0 || count > ENGINES_MAX) {
		return fault_set(
		        reader->error, map->place, "'engines' has 1 to %d entries", ENGINES_MAX);
	}
	struct engine_row *rows = arena_take(&config->arena, (count + 1) * sizeof(*rows));
	config->more_engines = arena_take(&config->arena, count * sizeof(*config->more_engines));
	if (rows == NULL || config->more_engines == NULL) {
		return arena_fault(&config->arena, reader->error);
	}
	config->has_engines = true;
	config->engines.has_default = has_default;
	if (read_names(reader, map, rows) < 0 || read_entries(reader, map, rows) < 0) {
		return -EINVAL;
	}
	/* Again, with the names in TLS. */
	return engines_index(&config->engines, &config->arena) < 0
	               ? arena_fault(&config->arena, reader->error)
	               : check_servers(reader);
}

/* ── What they come to ───────────────────────────────────────────────────── */

/* Containers and files of this machine are those of the Engine of `upstream`. */
static int check_without_default(struct reader *reader)
{
	const struct config *config = reader->config;

	if (config->host_root != NULL) {
		return fault_set(reader->error, config->host_root_place,
		        "%s is for the Engine of 'upstream', which is not given: its host's files "
		        "are seen there",
		        config->host_root_option);
	}
	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct client *client = &config->clients.list[i];
		if (match_asks_container(&client->match)) {
			return fault_set(reader->error, client->place,
			        "'%s' is known by a container of the Engine of 'upstream', which "
			        "is not given",
			        client->name);
		}
	}
	return config->api_key == NULL
	               ? 0
	               : fault_set(reader->error, NOWHERE,
	                         "API_KEY is for the Engine of 'upstream', which is not given");
}

static bool has_default(const struct config_engine *engine)
{
	for (unsigned i = 0; i < engine->member_count; i++) {
		if (engine->members[i] == ENGINE_DEFAULT) {
			return true;
		}
	}
	return false;
}

bool config_same_address(const struct config_engine *a, const struct config_engine *b)
{
	if (a->path != NULL || b->path != NULL) {
		return a->path != NULL && b->path != NULL && config_same_place(a->text, b->text);
	}
	return a->port == b->port && a->host != NULL && b->host != NULL &&
	       strcasecmp(a->host, b->host) == 0;
}

/*
 * What is for the Engine of `upstream` alone would not reach the same Engine under another name:
 * links in sources of binds would not be followed, and requests would go without the key.
 */
static int check_second_names(struct reader *reader)
{
	const struct config *config = reader->config;
	const char *option = config->host_root != NULL ? config->host_root_option : "API_KEY";

	if (config->host_root == NULL && config->api_key == NULL) {
		return 0;
	}
	for (unsigned i = 1; i < config->engine_count; i++) {
		const struct config_engine *engine = config_engine_at(config, i);
		if (has_default(engine)) {
			return fault_set(reader->error, engine->place,
			        "%s is for requests to the Engine 'default' itself: it cannot be a "
			        "member of the group '%s'",
			        option, engine->name);
		}
		if (engine->member_count == 0 && config_same_address(engine, &config->engine)) {
			return fault_set(reader->error, engine->place,
			        "%s is for requests to the Engine 'default' itself: '%s' is the "
			        "same Engine, without it; name it 'default'",
			        option, engine->name);
		}
	}
	return 0;
}

int config_finish_engines(struct reader *reader)
{
	struct config *config = reader->config;

	if (config->has_engines && config->verb == CONFIG_LEARN) {
		return fault_set(reader->error, config_engine_at(config, 1)->place,
		        "'learn' records the requests to one Engine: leave 'engines' out of the "
		        "file that it reads");
	}
	if (!config->has_engines || config->engines.has_default) {
		return config->has_engines ? check_second_names(reader) : 0;
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		struct config_listener *listener = &config->listeners[i];
		if (listener->engine == ENGINE_DEFAULT) {
			listener->engine = ENGINE_NONE;
		}
	}
	return check_without_default(reader);
}
