/* SPDX-License-Identifier: MIT */
/*
 * options — options.def as a table, and the functions that the readers of command
 * line, environment and file share. Private to config/.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include "base/slice.h"
#include "config/config.h"
#include "yaml/yaml.h"

enum option_type {
	OPTION_FILE,
	OPTION_POLICY,
	OPTION_OPERATIONS,
	OPTION_FOLDER,
	OPTION_KEYS,
	OPTION_PEM,
	OPTION_TEXT,
	OPTION_PATHS, /* the values of these six flags are never empty */
	OPTION_ADDRESSES,
	OPTION_BIND,
	OPTION_SWITCH,
	OPTION_SOCKET,
	OPTION_DOCKER_HOST,
	OPTION_ADMIN,
	OPTION_AUDIT,
	OPTION_SECRET,
	OPTION_NUMBER,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FORMAT,
};

/* When the value of an option can change. */
enum option_change {
	OPTION_START, /* at the next start */
	OPTION_LIVE,  /* while the program runs */
};

struct config_option {
	const char *flag; /* NULL: environment only */
	const char *variable;
	const char *fallback; /* the default, as text; NULL: none */
	const char *argument; /* name of the value in --help */
	const char *help;
	size_t member; /* offset in struct config */
	enum option_type type;
	enum option_change change;
	unsigned min;
	unsigned max;
};

/* The number of rows. */
enum {
#define OPTION(...) +1
	CONFIG_OPTION_COUNT = 0
#include "config/options.def"
#undef OPTION
};

extern const struct config_option config_options[CONFIG_OPTION_COUNT];

/* Parts of the file. */
extern const struct yaml_shape config_policy_name_shape;
extern const struct yaml_shape config_listener_tls_shape;
extern const struct yaml_shape config_engine_tls_shape;
extern const struct yaml_shape config_engine_address_shape;
extern const struct yaml_shape config_engines_shape;
extern const struct yaml_shape config_clients_shape;
extern const struct yaml_shape config_admin_shape;
extern const struct yaml_shape config_audit_shape;
extern const struct yaml_shape config_label_prefix_shape;

struct reader {
	struct config *config;
	char *error;
	bool given[CONFIG_OPTION_COUNT];
	bool verb_given;
};

/* Set the error "NAME: 'VALUE' is not accepted: ACCEPTED". Returns -EINVAL. */
int config_refuse(struct reader *reader, const char *name, const char *value, const char *accepted);
/* Set the member of the option; `name` is the option's name in messages. */
int config_read_value(struct reader *reader, const struct config_option *option, const char *name,
        const char *value) MUST_USE;
/* Parse an address of the Engine. NULL, or the fault as the end of a sentence. */
const char *config_read_engine(
        struct reader *reader, const char *value, struct config_engine *ret_engine) MUST_USE;
/* The same of the file. 0; or -EINVAL. */
int config_read_engine_address(struct reader *reader, const struct yaml_node *node,
        struct config_engine *ret_engine) MUST_USE;
/* Read `engines` of the file, before all that names Engines. `has_default`: there is one of
 * `upstream` too. 0; or -EINVAL. */
int config_read_engines(
        struct reader *reader, const struct yaml_node *map, bool has_default) MUST_USE;
/* Check what belongs to the Engine of `upstream` alone, and set the Engine of listeners that name
 * none; after all listeners and clients. 0; or -EINVAL. */
int config_finish_engines(struct reader *reader) MUST_USE;
/* Decide whether TLS is spoken with each Engine, and make the transports; after all settings. */
int config_complete_engines(struct reader *reader) MUST_USE;
/* Read `upstream.tls` of the file. */
int config_read_engine_tls(
        struct reader *reader, struct config_engine *engine, const struct yaml_node *map) MUST_USE;
/* Parse an address of the admin listener. NULL, or the fault as the end of a sentence. */
const char *config_read_admin(const char *value, struct config_admin *ret_admin) MUST_USE;
/* Read `admin` of the file. 0; or -EINVAL. */
int config_read_admin_map(struct reader *reader, const struct yaml_node *map) MUST_USE;
/* Check that the admin listener is neither a listener nor the Engine; after all listeners. */
int config_check_admin(struct reader *reader) MUST_USE;
/* Read `audit` of the file. 0; or -EINVAL. */
int config_read_audit_map(struct reader *reader, const struct yaml_node *map) MUST_USE;
/* Check that the record has a place of its own; after all settings. */
int config_check_audit(struct reader *reader) MUST_USE;
/* Whether two addresses are one: the same socket, or the same port of this machine. */
bool config_same_place(const char *a, const char *b);
/* Whether two Engines, of which each has an address or is a group, are at the same one. */
bool config_same_address(const struct config_engine *a, const struct config_engine *b);
/* The Engine whose address is that of a listener; NULL: there is none. */
const struct config_engine *config_engine_behind(const struct config *config, const char *listener);
/* Read a mode in octal, as chmod(1) takes it. */
int config_read_mode(
        const struct yaml_node *node, unsigned *ret_mode, char error[FAULT_MAX]) MUST_USE;
/* Check that no listener is the Engine; after all listeners. */
int config_check_loop(struct reader *reader) MUST_USE;
/* Read the command line: verb, options, and arguments of the verb. */
int config_read_arguments(struct reader *reader, int argc, char *const argv[]) MUST_USE;
/* Set config->host_root. */
int config_set_host_root(
        struct reader *reader, const char *name, const char *value, struct place place) MUST_USE;
/* Add a listener, for the caller to fill. */
int config_add_listener(struct reader *reader, const char *name, const char *address,
        struct config_listener **ret_listener) MUST_USE;
/* Read the variables of options and the section switches; after the command line. */
int config_read_environment(struct reader *reader) MUST_USE;
/*
 * Check for variables that are meant to restrict and that the program does not read. -EINVAL if
 * ignoring them would leave something open, else a warning. After the file.
 */
int config_check_environment(struct reader *reader) MUST_USE;
/* Find and compile the policy called `names`; several names, separated by commas, are united. */
int config_find_policy(struct reader *reader, struct slice names, struct place place,
        struct policy **ret_policy) MUST_USE;
/* Set config->policy and the policy of listeners that have none; the last step. */
int config_choose_policy(struct reader *reader) MUST_USE;
/* Warn of settings that are probably a mistake; after all other steps. */
void config_review(struct config *config);
/* Let the label PREFIX.policy of a client's container name its policy; `policies` of the file may
 * be NULL. After the other clients of the file, which come first. */
int config_read_label_prefix(struct reader *reader, const struct yaml_node *prefix,
        const struct yaml_node *policies) MUST_USE;
/* Read `limits` of the file. 0; or -EINVAL. */
int config_read_limits(struct reader *reader, const struct yaml_node *map) MUST_USE;
/* Give each client the limits that its entry leaves out; after all clients. */
void config_spread_limits(struct config *config);
/* Read the clients of the file; after listeners and policies. */
int config_read_clients(struct reader *reader, const struct yaml_node *list) MUST_USE;
/* Make room for `more` entries. 0; or -EINVAL. */
int config_reserve_clients(struct reader *reader, unsigned more) MUST_USE;
/* The next entry, for which room was made; it needs its conditions. NULL after a fault. */
struct client *config_add_client(
        struct reader *reader, struct slice name, struct place place) MUST_USE;
/* Warn of what the clients hardly mean so. */
void config_review_clients(struct config *config);
/* The last entry is whole: whether its key is its own. 0; or -EINVAL. */
int config_finish_client(struct reader *reader, const struct client *client) MUST_USE;
/* Read what a file of keys holds. 0; or -EINVAL. */
int config_parse_keys(struct reader *reader, struct slice bytes) MUST_USE;
/* Read the key `tls` of a listener. */
int config_read_listener_tls(struct reader *reader, struct config_listener *listener,
        const struct yaml_node *map) MUST_USE;
/* Make the transports of listeners that speak TLS; when all listeners are known. */
int config_make_transports(struct reader *reader) MUST_USE;
/* Read CLIENT_KEYS_FILE, if it is given; after the file. */
int config_read_keys(struct reader *reader) MUST_USE;
/* Make each client the owner in the scopes by which it is judged; after all policies. */
int config_own_scopes(struct reader *reader) MUST_USE;
/* Add a sentence to config->warnings. Without memory, config->arena records the failure. */
void config_warn(struct config *config, const char *format, ...) PRINTF_LIKE(2, 3);
/* Use CONFIG_DEFAULT_FILE if no file is named and this file exists. */
void config_use_default_file(struct config *config);
/* Whether this option, another row of its member, or the member in the file was given. */
bool config_is_given(const struct reader *reader, const struct config_option *option);
/* Set a member to a valid value, unless it was given. */
void config_give(struct reader *reader, size_t member, const char *value);
/* Read reader->config->file. Values that were given before stay. */
int config_read_file(struct reader *reader) MUST_USE;

#endif
