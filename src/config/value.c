/* SPDX-License-Identifier: MIT */
/* What the value of an option may be, by its type. */
#include "address/address.h"
#include "config/options.h"
#include "inspect/inspect.h"
#include "switches/bind.h"

#include <errno.h>

const struct config_option config_options[CONFIG_OPTION_COUNT] = {
#define OPTION(                                                                                    \
        target, on_line, in_environment, kind, when, default_text, least, most, value, text)       \
	{                                                                                          \
	        .flag = (on_line),                                                                 \
	        .variable = (in_environment),                                                      \
	        .fallback = (default_text),                                                        \
	        .argument = (value),                                                               \
	        .help = (text),                                                                    \
	        .member = offsetof(struct config, target),                                         \
	        .type = OPTION_##kind,                                                             \
	        .change = OPTION_##when,                                                           \
	        .min = (least),                                                                    \
	        .max = (most),                                                                     \
	},
#include "config/options.def"
#undef OPTION
};

int config_refuse(struct reader *reader, const char *name, const char *value, const char *accepted)
{
	return fault_set(reader->error, NOWHERE, "%s: '%s' is not accepted: %s", name,
	        text_show(slice_of(value)).text, accepted);
}

/* ── What is given ───────────────────────────────────────────────────────── */

bool config_is_given(const struct reader *reader, const struct config_option *option)
{
	const struct config *config = reader->config;

	/* Beside `engines` there may be none of `upstream`. */
	if (option->type == OPTION_SOCKET &&
	        (config->engine.text != NULL ||
	                (config->has_engines && !config->engines.has_default))) {
		return true;
	}
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (reader->given[i] && config_options[i].member == option->member) {
			return true;
		}
	}
	return false;
}

void config_give(struct reader *reader, size_t member, const char *value)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct config_option *option = &config_options[i];
		if (option->member == member && !config_is_given(reader, option)) {
			reader->given[i] = true;
			const int code = config_read_value(reader, option, option->variable, value);
			ASSERT(code == 0);
		}
	}
}

/* A value, and how its option is called where it was given. */
struct given {
	const struct config_option *option;
	const char *name;
	const char *value;
	void *member; /* of struct config */
};

/* ── Words and numbers ───────────────────────────────────────────────────── */

static int read_file(struct reader *reader, const struct given *given)
{
	reader->config->file = given->value;
	reader->config->file_option = given->name;
	return 0;
}

static int read_number(struct reader *reader, const struct given *given)
{
	const struct config_option *option = given->option;
	uint64_t number;

	if (slice_to_u64(slice_of(given->value), option->max, &number) < 0 ||
	        number < option->min) {
		return fault_set(reader->error, NOWHERE,
		        "%s: '%s' is not accepted: %s is a whole number from %u to %u", given->name,
		        text_show(slice_of(given->value)).text, option->argument, option->min,
		        option->max);
	}
	*(unsigned *)given->member = (unsigned)number;
	return 0;
}

static int read_switch(struct reader *reader, const struct given *given)
{
	enum switch_value on;

	if (!switches_read_value(slice_of(given->value), &on)) {
		return config_refuse(reader, given->name, given->value,
		        "give 1, true, yes or on, or 0, false, no or off");
	}
	*(bool *)given->member = on == SWITCH_ON;
	return 0;
}

static int read_log_level(struct reader *reader, const struct given *given)
{
	return log_level_parse(slice_of(given->value), given->member) == 0
	               ? 0
	               : config_refuse(reader, given->name, given->value,
	                         "give debug, info, notice, warning, err, crit, alert or emerg");
}

static int read_log_format(struct reader *reader, const struct given *given)
{
	const struct slice value = slice_of(given->value);
	const bool json = slice_equal_nocase(value, SLICE("json"));

	if (!json && !slice_equal_nocase(value, SLICE("text"))) {
		return config_refuse(reader, given->name, given->value, "give text or json");
	}
	reader->config->log_format = json ? LOG_JSON : LOG_TEXT;
	return 0;
}

static int read_policy(struct reader *reader, const struct given *given)
{
	reader->config->policy_name = given->value;
	reader->config->policy_option = given->name;
	return 0;
}

/* What it names is looked up where policies are made. */
static int read_operations(struct reader *reader, const struct given *given)
{
	reader->config->allow = given->value;
	reader->config->allow_option = given->name;
	return 0;
}

static const char *path_problem(struct slice path)
{
	if (slice_equal(path, SLICE("/"))) {
		return "it is the whole host: whoever mounts it is root there";
	}
	return word_is_path(path) ? NULL
	                          : "give absolute paths on the Engine's host, without '.', '..', "
	                            "empty segments and colons, separated by commas";
}

static int read_paths(struct reader *reader, const struct given *given)
{
	struct slice rest = slice_of(given->value);
	struct slice path;

	while (slice_next(&rest, ',', &path)) {
		const char *problem = path_problem(slice_trim(path));
		if (problem != NULL) {
			return fault_set(reader->error, NOWHERE,
			        "%s: '%s' in '%s' is not accepted: %s", given->name,
			        text_show(path).text, text_show(slice_of(given->value)).text,
			        problem);
		}
	}
	reader->config->workspace = given->value;
	reader->config->workspace_option = given->name;
	return 0;
}

/* It is opened when all settings are known. */
int config_set_host_root(
        struct reader *reader, const char *name, const char *value, struct place place)
{
	struct config *config = reader->config;

	if (value[0] != '/') {
		return fault_set(reader->error, place,
		        "%s: '%s' is not accepted: give the absolute path of the folder in which "
		        "the proxy sees the host's files, such as /host",
		        name, text_show(slice_of(value)).text);
	}
	config->host_root = value;
	config->host_root_fd = -1;
	config->host_root_option = name;
	config->host_root_place = place;
	return 0;
}

static int read_folder(struct reader *reader, const struct given *given)
{
	return config_set_host_root(reader, given->name, given->value, NOWHERE);
}

/* It is read behind the file, whose clients come first. */
static int read_keys(struct reader *reader, const struct given *given)
{
	reader->config->keys_file = given->value;
	reader->config->keys_option = given->name;
	return 0;
}

/* What it means is decided when all settings are known. */
static int read_text(struct reader *reader, const struct given *given)
{
	(void)reader;
	*(const char **)given->member = given->value;
	return 0;
}

/* A field value (RFC 9110 §5.5); its text never appears in a message. */
static int read_secret(struct reader *reader, const struct given *given)
{
	const struct slice secret = slice_of(given->value);

	if (secret.len > CONFIG_API_KEY_MAX) {
		return fault_set(reader->error, NOWHERE,
		        "%s: its value has %zu bytes; at most %d are accepted", given->name,
		        secret.len, CONFIG_API_KEY_MAX);
	}
	if (slice_trim(secret).len != secret.len) {
		return fault_set(reader->error, NOWHERE,
		        "%s: its value begins or ends with a space or a tab", given->name);
	}
	for (size_t i = 0; i < secret.len; i++) {
		const unsigned char c = (unsigned char)secret.ptr[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return fault_set(reader->error, NOWHERE,
			        "%s: byte %zu of its value is a control byte (0x%02x), which a "
			        "header field cannot carry",
			        given->name, i + 1, (unsigned)c);
		}
	}
	reader->config->api_key = given->value;
	return 0;
}

/* ── Addresses ───────────────────────────────────────────────────────────── */

int config_add_listener(struct reader *reader, const char *name, const char *address,
        struct config_listener **ret_listener)
{
	struct config *config = reader->config;
	union address parsed;
	const char *passed = address_passed(address);
	const char *problem = passed != NULL ? address_passed_problem(slice_of(passed))
	                                     : address_parse(slice_of(address), &parsed);

	if (problem != NULL) {
		return config_refuse(reader, name, address, problem);
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		if (strcmp(config->listeners[i].address, address) == 0) {
			return config_refuse(reader, name, address, "it is given twice");
		}
	}
	if (config->listener_count == CONFIG_LISTENERS_MAX) {
		return fault_set(reader->error, NOWHERE, "%s: there are more than %d addresses",
		        name, CONFIG_LISTENERS_MAX);
	}
	*ret_listener = &config->listeners[config->listener_count++];
	**ret_listener = (struct config_listener){.address = address, .mode = CONFIG_SOCKET_MODE};
	return 0;
}

/* One, as a flag; in the variable a list. */
static int read_listeners(struct reader *reader, const struct given *given)
{
	struct slice rest = slice_of(given->value);
	struct slice element;
	struct config_listener *listener;

	if (given->name == given->option->flag) {
		return config_add_listener(reader, given->name, given->value, &listener);
	}
	if (rest.len >= CONFIG_LISTEN_MAX) {
		return fault_set(reader->error, NOWHERE, "%s: it is longer than %d bytes",
		        given->name, CONFIG_LISTEN_MAX - 1);
	}
	while (slice_next(&rest, ',', &element)) {
		const char *address = arena_copy(&reader->config->arena, slice_trim(element));
		if (address == NULL) {
			return arena_fault(&reader->config->arena, reader->error);
		}
		if (config_add_listener(reader, given->name, address, &listener) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* Tecnativa's BIND_CONFIG. */
static int read_bind(struct reader *reader, const struct given *given)
{
	struct config_listener *listener = NULL;
	struct bind bind;
	struct slice word;
	const char *problem = bind_read(slice_of(given->value), &bind, &word);

	if (problem != NULL) {
		return fault_set(reader->error, NOWHERE, "%s: '%s' in '%s' is not accepted: %s",
		        given->name, text_show(word).text, text_show(slice_of(given->value)).text,
		        problem);
	}
	for (unsigned i = 0; i < bind.count; i++) {
		const char *address =
		        arena_copy(&reader->config->arena, slice_of(bind.addresses[i]));
		if (address == NULL) {
			return arena_fault(&reader->config->arena, reader->error);
		}
		if (config_add_listener(reader, given->name, address, &listener) < 0) {
			return -EINVAL;
		}
		ASSERT(listener != NULL);
		listener->mode = bind.has_mode ? bind.mode : listener->mode;
	}
	return 0;
}

static int read_engine(struct reader *reader, const struct given *given)
{
	struct config_engine *engine = &reader->config->engine;
	const char *problem = config_read_engine(reader, given->value, engine);

	engine->option = given->name;
	return problem != NULL ? config_refuse(reader, given->name, given->value, problem) : 0;
}

/* docker knows no bare path. */
static int read_docker_host(struct reader *reader, const struct given *given)
{
	if (given->value[0] == '/') {
		return config_refuse(reader, given->name, given->value,
		        "give unix:///PATH or tcp://HOST:PORT, as docker takes it, or set "
		        "SOCKET_PATH, which overrides DOCKER_HOST");
	}
	return read_engine(reader, given);
}

static int read_admin(struct reader *reader, const struct given *given)
{
	struct config_admin *admin = &reader->config->admin;
	const char *problem = config_read_admin(given->value, admin);

	admin->option = given->name;
	return problem != NULL ? config_refuse(reader, given->name, given->value, problem) : 0;
}

static int read_audit(struct reader *reader, const struct given *given)
{
	struct config_audit *audit = &reader->config->audit;
	const char *problem = trail_read_target(given->value, &audit->target);

	audit->option = given->name;
	return problem != NULL ? config_refuse(reader, given->name, given->value, problem) : 0;
}

/* ── By type ─────────────────────────────────────────────────────────────── */

int config_read_value(struct reader *reader, const struct config_option *option, const char *name,
        const char *value)
{
	static int (*const readers[])(struct reader *, const struct given *) = {
	        [OPTION_FILE] = read_file,
	        [OPTION_POLICY] = read_policy,
	        [OPTION_OPERATIONS] = read_operations,
	        [OPTION_FOLDER] = read_folder,
	        [OPTION_KEYS] = read_keys,
	        [OPTION_PEM] = read_text,
	        [OPTION_TEXT] = read_text,
	        [OPTION_PATHS] = read_paths,
	        [OPTION_ADDRESSES] = read_listeners,
	        [OPTION_BIND] = read_bind,
	        [OPTION_SWITCH] = read_switch,
	        [OPTION_SOCKET] = read_engine,
	        [OPTION_DOCKER_HOST] = read_docker_host,
	        [OPTION_ADMIN] = read_admin,
	        [OPTION_AUDIT] = read_audit,
	        [OPTION_SECRET] = read_secret,
	        [OPTION_NUMBER] = read_number,
	        [OPTION_LOG_LEVEL] = read_log_level,
	        [OPTION_LOG_FORMAT] = read_log_format,
	};
	const struct given given = {
	        .option = option,
	        .name = name,
	        .value = value,
	        .member = (char *)reader->config + option->member,
	};

	return readers[option->type](reader, &given);
}
