/* SPDX-License-Identifier: MIT */
/*
 * The file of --config: design and names are documented in docs/configuration.md.
 */
#include "config/config.h"

#include "address/address.h"
#include "base/file.h"
#include "config/options.h"
#include "engines/read.h"
#include "policy/load.h"
#include "yaml/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct file_reader {
	struct reader *reader;
	char *error;
	struct config_listener *listener;                        /* being read */
	struct config_engine engine;                             /* that of the file */
	const struct yaml_node *clients;                         /* NULL: there are none */
	const struct yaml_node *label_prefix;                    /* NULL: there is none */
	const struct yaml_node *policy_of[CONFIG_LISTENERS_MAX]; /* where listeners name theirs */
};

const struct yaml_shape config_policy_name_shape = {.words = "the name of a policy or preset"};

/* ── listeners ───────────────────────────────────────────────────────────── */

static int read_listener_address(void *context, const struct yaml_node *node)
{
	(void)context, (void)node; /* it was read before the other keys */
	return 0;
}

static int read_listener_policy(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	file->policy_of[file->listener - file->reader->config->listeners] = node;
	return yaml_expect(node, YAML_TEXT, config_policy_name_shape.words, file->error);
}

/* "0660", "660". */
int config_read_mode(const struct yaml_node *node, unsigned *ret_mode, char error[FAULT_MAX])
{
	unsigned mode = 0;
	bool good = node->kind == YAML_TEXT && (node->text.len == 3 || node->text.len == 4);

	for (size_t i = 0; good && i < node->text.len; i++) {
		good = node->text.ptr[i] >= '0' && node->text.ptr[i] <= '7';
		mode = mode * 8 + (unsigned)(node->text.ptr[i] - '0');
	}
	if (!good || mode > 0777) {
		return fault_set(error, node->place,
		        "'mode' is the mode of the socket's file in octal, such as \"0660\"; found "
		        "%s",
		        yaml_found(node).text);
	}
	*ret_mode = mode;
	return 0;
}

static int read_mode(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;
	unsigned mode = 0;

	if (config_read_mode(node, &mode, file->error) < 0) {
		return -EINVAL;
	}
	if (address_passed(file->listener->address) != NULL) {
		return fault_set(file->error, node->place,
		        "'mode' has no effect on '%s': the socket unit has SocketMode= for it",
		        file->listener->address);
	}
	if (address_path(file->listener->address) == NULL) {
		return fault_set(file->error, node->place,
		        "'mode' is for addresses that are unix sockets; this one is '%s'",
		        file->listener->address);
	}
	file->listener->mode = mode;
	return 0;
}

static int read_browsers(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	if (node->kind == YAML_TEXT && slice_equal(node->text, SLICE("true"))) {
		file->listener->browsers = true;
	} else if (node->kind != YAML_TEXT || !slice_equal(node->text, SLICE("false"))) {
		return fault_set(file->error, node->place, "'browsers' is true or false; found %s",
		        yaml_found(node).text);
	}
	return 0;
}

/* What `clients:` call the listener. */
static int read_listener_name(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;
	const struct config *config = file->reader->config;

	if (yaml_expect(node, YAML_TEXT, "the name of a listener", file->error) < 0) {
		return -EINVAL;
	}
	const char *problem = client_name_problem(node->text);
	if (problem != NULL) {
		return fault_set(file->error, node->place, "name: %s is not accepted: %s",
		        yaml_found(node).text, problem);
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		const char *other = config->listeners[i].name;
		if (other != NULL && slice_equal(node->text, slice_of(other))) {
			return fault_set(file->error, node->place,
			        "two listeners have the name '%s'", other);
		}
	}
	file->listener->name = node->text.ptr;
	return 0;
}

static int read_listener_tls(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	return config_read_listener_tls(file->reader, file->listener, node);
}

static int read_listener_engine(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;
	const struct config *config = file->reader->config;

	return config->has_engines ? engine_name_read(node, &config->engines,
	                                     &file->listener->engine, file->error)
	                           : fault_set(file->error, node->place,
	                                     "'engine' names one of 'engines' at the top of the "
	                                     "file, which is not there");
}

static const struct yaml_shape address_shape = {
        .words = "tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH or fd://NAME"};
static const struct yaml_shape listener_name_shape = {.words = "what clients call the listener"};
static const struct yaml_shape mode_shape = {
        .words = "mode of the socket's file in octal, such as \"0660\""};
static const struct yaml_shape browsers_shape = {
        .words = "accept requests of browsers", .choices = "true false"};

static const struct yaml_key listener_keys[] = {
        {"address", read_listener_address, &address_shape},
        {"name", read_listener_name, &listener_name_shape},
        {"policy", read_listener_policy, &config_policy_name_shape},
        {"engine", read_listener_engine, &engine_name_shape},
        {"mode", read_mode, &mode_shape},
        {"browsers", read_browsers, &browsers_shape},
        {"tls", read_listener_tls, &config_listener_tls_shape},
};

static const struct yaml_shape listener_shape = {
        YAML_KEYS(listener_keys),
        .words = "a listener",
        .name = "listener",
        .required = "address",
};
static const struct yaml_shape listeners_shape = {
        .kind = YAML_SHAPE_LIST,
        .words = "a list of listeners, such as - address: tcp://*:3277",
        .item = &listener_shape,
};

/* The message of an option, with the place in front: FILE:LINE: address: '…' is not accepted: … */
static int add_listener(struct file_reader *file, const struct yaml_node *address)
{
	char option[640];

	(void)snprintf(option, sizeof(option), "%.512s:%u: address", address->place.file,
	        address->place.line);
	if (config_add_listener(file->reader, option, address->text.ptr, &file->listener) < 0) {
		return -EINVAL;
	}
	file->listener->place = address->place;
	return 0;
}

static int read_listener(struct file_reader *file, const struct yaml_node *map)
{
	const struct yaml_node *address = yaml_find(map, "address");

	if (map->kind == YAML_MAP && address == NULL) {
		return fault_set(file->error, map->place,
		        "a listener needs an 'address': tcp://HOST:PORT, tls://HOST:PORT, "
		        "unix:///PATH or fd://NAME");
	}
	if (address != NULL &&
	        (yaml_expect(address, YAML_TEXT, address_shape.words, file->error) < 0 ||
	                add_listener(file, address) < 0)) {
		return -EINVAL;
	}
	return yaml_read_map(map, &listener_shape, file, file->error);
}

static int read_listeners(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;
	struct config *config = file->reader->config;
	struct config_listener given[CONFIG_LISTENERS_MAX];
	const unsigned given_count = config->listener_count;

	if (yaml_expect(node, YAML_LIST, listeners_shape.words, file->error) < 0) {
		return -EINVAL;
	}
	if (node->first == NULL) {
		return fault_set(file->error, node->place,
		        "'listeners' is an empty list; remove the key to listen on PORT on all "
		        "interfaces");
	}
	/* The file's own are held to the same rules, whether they count or not. */
	for (unsigned i = 0; i < given_count; i++) {
		given[i] = config->listeners[i];
	}
	config->listener_count = 0;
	for (const struct yaml_node *map = node->first; map != NULL; map = map->next) {
		if (read_listener(file, map) < 0) {
			return -EINVAL;
		}
	}
	for (unsigned i = 0; i < given_count; i++) {
		config->listeners[i] = given[i];
		config->listener_count = given_count;
		file->policy_of[i] = NULL;
	}
	return 0;
}

/* ── upstream ────────────────────────────────────────────────────────────── */

static int read_upstream_address(void *context, const struct yaml_node *node)
{
	(void)context, (void)node; /* it was read before the other keys */
	return 0;
}

static int read_upstream_tls(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	return config_read_engine_tls(file->reader, &file->engine, node);
}

static const struct yaml_key upstream_keys[] = {
        {"address", read_upstream_address, &config_engine_address_shape},
        {"tls", read_upstream_tls, &config_engine_tls_shape},
};

static const struct yaml_shape upstream_shape = {
        YAML_KEYS(upstream_keys),
        .words = "upstream",
        .name = "upstream",
        .other = &config_engine_address_shape,
};

/* A map, or the address alone. */
static int read_upstream_map(struct file_reader *file, const struct yaml_node *node)
{
	const struct yaml_node *address =
	        node->kind == YAML_TEXT ? node : yaml_find(node, "address");

	if (address != NULL &&
	        config_read_engine_address(file->reader, address, &file->engine) < 0) {
		return -EINVAL;
	}
	file->engine.option = "upstream.address";
	return address == node ? 0 : yaml_read_map(node, &upstream_shape, file, file->error);
}

static int read_upstream(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;
	struct config *config = file->reader->config;

	if (read_upstream_map(file, node) < 0) {
		return -EINVAL;
	}
	if (config->engine.text == NULL) {
		config->engine = file->engine;
	}
	return 0;
}

/* ── engines ─────────────────────────────────────────────────────────────── */

static int read_engines(void *context, const struct yaml_node *node)
{
	(void)context, (void)node; /* it was read before the other keys, which name Engines */
	return 0;
}

/* The Engine of `upstream` is there if something gives it: there is no default beside `engines`. */
static int read_engines_first(struct file_reader *file, const struct yaml_node *root)
{
	struct config *config = file->reader->config;
	const struct yaml_node *engines = yaml_find(root, "engines");
	const bool has_default = config->engine.text != NULL || yaml_find(root, "upstream") != NULL;

	if (engines == NULL) {
		return 0;
	}
	if (config_read_engines(file->reader, engines, has_default) < 0) {
		return -EINVAL;
	}
	policy_set_engines(config->policies, &config->engines);
	return 0;
}

/* ── policies ────────────────────────────────────────────────────────────── */

static const struct yaml_shape policies_shape = {
        .kind = YAML_SHAPE_NAMES,
        .words = "a map of policies by their names",
        .item = &policy_shape,
};

static int read_policies(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;
	struct policy *policy;

	if (yaml_expect(node, YAML_MAP, policies_shape.words, file->error) < 0) {
		return -EINVAL;
	}
	for (const struct yaml_node *body = node->first; body != NULL; body = body->next) {
		if (policy_load(file->reader->config->policies, body->key, body, &policy,
		            file->error) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_policy(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;
	struct config *config = file->reader->config;

	if (yaml_expect(node, YAML_TEXT, config_policy_name_shape.words, file->error) < 0) {
		return -EINVAL;
	}
	if (config->policy_name == NULL) {
		config->policy_name = node->text.ptr;
		config->policy_place = node->place;
	}
	return 0;
}

/* Unused policies must be valid, too. */
static int compile_policies(struct file_reader *file, const struct yaml_node *root)
{
	const struct yaml_node *policies = yaml_find(root, "policies");
	struct policy_set *set = file->reader->config->policies;
	struct policy *policy;

	for (const struct yaml_node *body = policies != NULL ? policies->first : NULL; body != NULL;
	        body = body->next) {
		if (policy_set_find(set, body->key, body->place, &policy, file->error) < 0 ||
		        policy_compile(policy, file->error) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int find_listener_policies(struct file_reader *file)
{
	struct config *config = file->reader->config;

	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct yaml_node *name = file->policy_of[i];
		struct policy *policy = NULL;
		if (name == NULL) {
			continue;
		}
		if (config_find_policy(file->reader, name->text, name->place, &policy) < 0) {
			return -EINVAL;
		}
		config->listeners[i].policy = policy;
	}
	return 0;
}

/* ── host_root ───────────────────────────────────────────────────────────── */

static const struct yaml_shape host_root_shape = {
        .words = "the folder in which the proxy sees the host's files"};

static int read_host_root(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	if (yaml_expect(node, YAML_TEXT, host_root_shape.words, file->error) < 0) {
		return -EINVAL;
	}
	return file->reader->config->host_root != NULL
	               ? 0
	               : config_set_host_root(
	                         file->reader, "host_root", node->text.ptr, node->place);
}

/* ── The log ─────────────────────────────────────────────────────────────── */

static const struct yaml_shape watch_shape = {
        .words = "reload when the file, or one that it names, has changed",
        .choices = "true false"};

static int read_watch(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;
	const bool is_text = node->kind == YAML_TEXT;

	file->reader->config->watch = is_text && slice_equal(node->text, SLICE("true"));
	if (file->reader->config->watch || (is_text && slice_equal(node->text, SLICE("false")))) {
		return 0;
	}
	return fault_set(file->error, node->place, "'watch' is true or false; found %s",
	        yaml_found(node).text);
}

static const struct yaml_shape log_level_shape = {.words = "lowest severity to log",
        .choices = "debug info notice warning warn err error crit alert emerg"};

static int read_log_level(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;
	enum log_level level;

	if (node->kind != YAML_TEXT || log_level_parse(node->text, &level) < 0) {
		return fault_set(file->error, node->place,
		        "'log_level' is debug, info, notice, warning, err, crit, alert or emerg; "
		        "found %s",
		        yaml_found(node).text);
	}
	config_give(file->reader, offsetof(struct config, log_level), node->text.ptr);
	return 0;
}

/* ── clients ─────────────────────────────────────────────────────────────── */

/* They name listeners and policies, which are read first. */
static int read_clients_later(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	file->clients = node;
	return 0;
}

static int read_label_prefix_later(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	file->label_prefix = node;
	return 0;
}

/* ── limits ──────────────────────────────────────────────────────────────── */

static int read_limits(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	return config_read_limits(file->reader, node);
}

/* ── admin ───────────────────────────────────────────────────────────────── */

static int read_admin(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	return config_read_admin_map(file->reader, node);
}

/* ── audit ───────────────────────────────────────────────────────────────── */

static int read_audit(void *context, const struct yaml_node *node)
{
	struct file_reader *file = context;

	return config_read_audit_map(file->reader, node);
}

/* ── The file ────────────────────────────────────────────────────────────── */

static const struct yaml_key root_keys[] = {
        {"listeners", read_listeners, &listeners_shape},
        {"upstream", read_upstream, &upstream_shape},
        {"engines", read_engines, &config_engines_shape},
        {"policies", read_policies, &policies_shape},
        {"policy", read_policy, &config_policy_name_shape},
        {"host_root", read_host_root, &host_root_shape},
        {"log_level", read_log_level, &log_level_shape},
        {"limits", read_limits, &limits_shape},
        {"admin", read_admin, &config_admin_shape},
        {"audit", read_audit, &config_audit_shape},
        {"clients", read_clients_later, &config_clients_shape},
        {"label_prefix", read_label_prefix_later, &config_label_prefix_shape},
        {"watch", read_watch, &watch_shape},
};

static const struct yaml_shape root_shape = {
        YAML_KEYS(root_keys),
        .words = "the configuration",
        .name = "configuration",
};

void config_print_schema(void)
{
	yaml_write_schema(stdout, "docker-socket-proxy " VERSION, &root_shape);
}

/* Where it cannot be looked for, reading it fails and says why: what it closes stays closed. */
void config_use_default_file(struct config *config)
{
	struct stat found;

	if (config->file == NULL &&
	        (stat(CONFIG_DEFAULT_FILE, &found) == 0 || (errno != ENOENT && errno != ENOTDIR))) {
		config->file = CONFIG_DEFAULT_FILE;
		config->file_option = CONFIG_DEFAULT_FILE;
	}
}

static int read_tree(struct file_reader *file, struct slice bytes)
{
	struct config *config = file->reader->config;
	const struct yaml_node *root = NULL;

	if (yaml_read(bytes, config->file, &config->arena, &root, file->error) < 0 ||
	        read_engines_first(file, root) < 0 ||
	        yaml_read_map(root, &root_shape, file, file->error) < 0) {
		return -EINVAL;
	}
	if (compile_policies(file, root) < 0 || find_listener_policies(file) < 0) {
		return -EINVAL;
	}
	if (file->clients != NULL && config_read_clients(file->reader, file->clients) < 0) {
		return -EINVAL;
	}
	return file->label_prefix == NULL
	               ? 0
	               : config_read_label_prefix(
	                         file->reader, file->label_prefix, yaml_find(root, "policies"));
}

/* By which operators know whether it is the file that they think of. */
static void note_hash(struct config *config, struct slice bytes)
{
	struct text text = text_over(config->file_sha256, sizeof(config->file_sha256) - 1);
	struct key_hash hash;

	key_hash_make(bytes, NULL, &hash);
	key_hash_add(&hash, &text);
}

int config_read_file(struct reader *reader)
{
	struct file_reader file = {.reader = reader, .error = reader->error};
	const size_t max = YAML_SIZE_MAX + 1;
	char *bytes = malloc(max);

	if (bytes == NULL) {
		return fault_memory(reader->error);
	}
	const ssize_t len = file_read(reader->config->file, bytes, max);
	int code = 0;
	if (len < 0) {
		code = fault_set(reader->error, NOWHERE, "%.512s: cannot be read: %s",
		        reader->config->file, file_problem(reader->config->file, len));
	} else {
		note_hash(reader->config, (struct slice){bytes, (size_t)len});
		code = read_tree(&file, (struct slice){bytes, (size_t)len});
	}
	free(bytes);
	return code;
}
