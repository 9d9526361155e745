/* SPDX-License-Identifier: MIT */
/*
 * The admin listener: the key `admin` of the file, and ADMIN, which replaces its address.
 */
#include "config/options.h"

#include "address/address.h"

#include <errno.h>

#define ADDRESS_WANTED "unix:///PATH, tcp://HOST:PORT or tls://HOST:PORT"
#define KEY_WANTED     "what 'docker-socket-proxy hash-key' prints"

static const struct yaml_shape address_shape = {.words = ADDRESS_WANTED};
static const struct yaml_shape mode_shape = {
        .words = "mode of the socket's file in octal, such as \"0600\""};
static const struct yaml_shape key_shape = {.words = KEY_WANTED};

const char *config_read_admin(const char *value, struct config_admin *ret_admin)
{
	union address parsed;
	const char *problem =
	        address_passed(value) != NULL
	                ? "the admin listener opens its socket itself: " ADDRESS_WANTED
	                : address_parse(slice_of(value), &parsed);

	ret_admin->listener.address = value;
	ret_admin->listener.mode = CONFIG_ADMIN_MODE;
	return problem;
}

/* ── The file ────────────────────────────────────────────────────────────── */

struct admin_reader {
	struct reader *reader;
	struct config_admin *admin; /* that of the file */
};

static int read_address(void *context, const struct yaml_node *node)
{
	(void)context, (void)node; /* it was read before the other keys */
	return 0;
}

static int read_mode(void *context, const struct yaml_node *node)
{
	struct admin_reader *file = context;
	struct config_listener *listener = &file->admin->listener;

	if (address_path(listener->address) == NULL) {
		return fault_set(file->reader->error, node->place,
		        "'mode' is for an address that is a unix socket; this one is '%s'",
		        listener->address);
	}
	return config_read_mode(node, &listener->mode, file->reader->error);
}

static int read_tls(void *context, const struct yaml_node *node)
{
	struct admin_reader *file = context;

	return config_read_listener_tls(file->reader, &file->admin->listener, node);
}

static int read_key(
        struct admin_reader *file, const struct yaml_node *node, struct key_hash *ret_hash)
{
	if (yaml_expect(node, YAML_TEXT, key_shape.words, file->reader->error) < 0) {
		return -EINVAL;
	}
	const char *problem = key_hash_read(node->text, ret_hash);
	/* It may be the key itself by mistake: nothing of it is shown. */
	return problem == NULL ? 0
	                       : fault_set(file->reader->error, node->place,
	                                 "key_sha256: the value is not accepted: %s", problem);
}

/* One hash, or a list of them. */
static int read_keys(void *context, const struct yaml_node *node)
{
	struct admin_reader *file = context;
	struct config_admin *admin = file->admin;
	const bool is_list = node->kind == YAML_LIST;
	const unsigned count = is_list ? yaml_count(node) : 1;

	if (address_path(admin->listener.address) != NULL) {
		return fault_set(file->reader->error, node->place,
		        "'key_sha256' is for tcp:// and tls:// addresses: the 'mode' of '%s' says "
		        "who may use it",
		        admin->listener.address);
	}
	if (count == 0 || count > CONFIG_ADMIN_KEYS_MAX) {
		return fault_set(file->reader->error, node->place,
		        "'key_sha256' has 1 to %d hashes; found %u", CONFIG_ADMIN_KEYS_MAX, count);
	}
	struct arena *arena = &file->reader->config->arena;
	struct key_hash *keys = arena_take(arena, count * sizeof(*keys));
	if (keys == NULL) {
		return arena_fault(arena, file->reader->error);
	}
	admin->keys = keys;
	for (const struct yaml_node *key = is_list ? node->first : node; key != NULL;
	        key = is_list ? key->next : NULL) {
		if (read_key(file, key, &keys[admin->key_count++]) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static const struct yaml_shape keys_shape = {
        .kind = YAML_SHAPE_LIST, .words = KEY_WANTED, .item = &key_shape, .other = &key_shape};

static const struct yaml_key admin_keys[] = {
        {"address", read_address, &address_shape},
        {"mode", read_mode, &mode_shape},
        {"key_sha256", read_keys, &keys_shape},
        {"tls", read_tls, &config_listener_tls_shape},
};

const struct yaml_shape config_admin_shape = {
        YAML_KEYS(admin_keys),
        .words = "the admin listener",
        .name = "admin",
        .required = "address",
};

int config_read_admin_map(struct reader *reader, const struct yaml_node *map)
{
	struct config *config = reader->config;
	struct config_admin admin = {.option = "admin.address"};
	struct admin_reader file = {.reader = reader, .admin = &admin};
	const struct yaml_node *address = yaml_find(map, "address");

	if (map->kind == YAML_MAP && address == NULL) {
		return fault_set(
		        reader->error, map->place, "'admin' needs an 'address': " ADDRESS_WANTED);
	}
	if (address != NULL) {
		if (yaml_expect(address, YAML_TEXT, ADDRESS_WANTED, reader->error) < 0) {
			return -EINVAL;
		}
		const char *problem = config_read_admin(address->text.ptr, &admin);
		if (problem != NULL) {
			return fault_set(reader->error, address->place,
			        "address: %s is not accepted: %s", yaml_found(address).text,
			        problem);
		}
		admin.listener.place = address->place;
	}
	if (yaml_read_map(map, &config_admin_shape, &file, reader->error) < 0) {
		return -EINVAL;
	}
	if (config->admin.listener.address == NULL) {
		config->admin = admin;
	} else {
		/* ADMIN gives another address: its keys and certificate stay. */
		config->admin.keys = admin.keys;
		config->admin.key_count = admin.key_count;
		config->admin.listener.tls = admin.listener.tls;
		config->admin.listener.tls_place = admin.listener.tls_place;
	}
	return 0;
}

/* ── Collisions ──────────────────────────────────────────────────────────── */

int config_check_admin(struct reader *reader)
{
	const struct config *config = reader->config;
	const struct config_admin *admin = &config->admin;
	const char *address = admin->listener.address;

	if (address == NULL) {
		return 0;
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		if (config_same_place(address, config->listeners[i].address)) {
			return fault_set(reader->error, admin->listener.place,
			        "%s: '%s' is the address of a listener for clients, '%s': give the "
			        "admin listener one of its own",
			        admin->option, address, config->listeners[i].address);
		}
	}
	const struct config_engine *engine = config_engine_behind(config, address);
	return engine == NULL ? 0
	                      : fault_set(reader->error, admin->listener.place,
	                                "%s: '%s' is the Engine's address (%s)", admin->option,
	                                address, engine->option);
}
