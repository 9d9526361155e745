/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include "address/address.h"
#include "base/clock.h"
#include "config/options.h"
#include "inspect/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static int read_defaults(struct reader *reader)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct config_option *option = &config_options[i];

		if (option->fallback != NULL && !config_is_given(reader, option) &&
		        config_read_value(reader, option, "default", option->fallback) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

void config_warn(struct config *config, const char *format, ...)
{
	struct config_warning **end = &config->warnings;
	char text[CONFIG_WARNING_MAX];
	va_list arguments;

	while (*end != NULL) {
		end = &(*end)->next;
	}
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	struct config_warning *warning = arena_take(&config->arena, sizeof(*warning));
	const char *copy = arena_copy(&config->arena, slice_of(text));
	if (warning != NULL && copy != NULL) {
		warning->text = copy;
		*end = warning;
	}
}

/* ── Put together ────────────────────────────────────────────────────────── */

static void add_port(struct config *config, const char *host)
{
	enum { ADDRESS_MAX = sizeof("tcp://127.0.0.1:65535") };
	char *address = arena_take(&config->arena, ADDRESS_MAX);

	if (address == NULL) {
		return;
	}
	(void)snprintf(address, ADDRESS_MAX, "%s://%s:%u", config->tls_cert != NULL ? "tls" : "tcp",
	        host, config->port);
	config->listeners[config->listener_count++] =
	        (struct config_listener){.address = address, .mode = CONFIG_SOCKET_MODE};
}

static void add_default_listeners(struct config *config)
{
	if (!config->loopback_only) {
		add_port(config, config->ipv4_only ? "0.0.0.0" : "*");
		return;
	}
	add_port(config, "127.0.0.1");
	if (!config->ipv4_only && address_has_ip6_loopback((uint16_t)config->port)) {
		add_port(config, "[::1]");
	}
}

/* Whether the socket of an Engine is in the folder, or is the folder. */
static bool holds_socket(const struct config *config, struct slice directory)
{
	for (unsigned i = 0; i < config->engine_count; i++) {
		const char *path = config_engine_at(config, i)->path;
		if (path != NULL && path_is_below(slice_of(path), directory)) {
			return true;
		}
	}
	return path_holds_engine(directory);
}

/* Whoever mounts the folder of the Engine's socket has the Engine itself. */
static int check_workspace(struct reader *reader)
{
	const struct config *config = reader->config;
	struct slice rest = slice_of(config->workspace != NULL ? config->workspace : "");
	struct slice directory;

	while (rest.len > 0 && slice_next(&rest, ',', &directory)) {
		directory = slice_trim(directory);
		directory.len -= slice_ends_with(directory, SLICE("/"));
		if (holds_socket(config, directory)) {
			return fault_set(reader->error, NOWHERE,
			        "%s: '%s' is not accepted: the Engine's socket is there: whoever "
			        "mounts it is root on the host",
			        config->workspace_option, text_show(directory).text);
		}
	}
	return 0;
}

static int open_host_root(struct reader *reader)
{
	struct config *config = reader->config;

	if (config->host_root == NULL || config->verb == CONFIG_HEALTHCHECK) {
		return 0;
	}
	config->host_root_fd = open(config->host_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (config->host_root_fd >= 0) {
		return 0;
	}
	return fault_set(reader->error, config->host_root_place,
	        "%s: '%.512s' cannot be opened: %s; give the folder in which the proxy sees the "
	        "host's files: /host with '-v /:/host:ro,rslave', or / on the host itself",
	        config->host_root_option, text_show(slice_of(config->host_root)).text,
	        strerrordesc_np(errno));
}

static void warn_of_port_without_use(const struct reader *reader)
{
	struct config *config = reader->config;

	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (reader->given[i] && config_options[i].member == offsetof(struct config, port)) {
			config_warn(config, "PORT=%u does not count: listener addresses are given",
			        config->port);
		}
	}
}

/* Whether a command asks for no settings: it has to work whatever else is wrong with them. */
static bool is_for_itself(enum config_verb verb)
{
	return verb == CONFIG_HELP || verb == CONFIG_VERSION || verb == CONFIG_CONVERT ||
	       verb == CONFIG_HASH_KEY || verb == CONFIG_CERTS || verb == CONFIG_SCHEMA ||
	       verb == CONFIG_VERIFY_AUDIT || verb == CONFIG_STATUS || verb == CONFIG_RELOAD;
}

/* What is given, in the order of what counts. */
static int read_given(struct reader *reader)
{
	struct config *config = reader->config;

	if (config_read_environment(reader) < 0) {
		return -EINVAL;
	}
	config->policies = policy_set_new();
	if (config->policies == NULL) {
		return fault_memory(reader->error);
	}
	policy_set_written_in(config->policies, config->file);
	if (config->workspace != NULL) {
		policy_set_workspace(config->policies, slice_of(config->workspace));
	}
	if (config->file != NULL && config_read_file(reader) < 0) {
		return -EINVAL;
	}
	return config_read_keys(reader) < 0 ? -EINVAL : config_check_environment(reader);
}

/* What is not given; and what all of it comes to. */
static int complete(struct reader *reader)
{
	struct config *config = reader->config;

	if (config->listener_count > 0) {
		warn_of_port_without_use(reader);
	}
	if (read_defaults(reader) < 0) {
		return -EINVAL;
	}
	config->listens_by_default = config->listener_count == 0;
	if (config->listens_by_default) {
		add_default_listeners(config);
	}
	if (config_make_transports(reader) < 0 || config_complete_engines(reader) < 0 ||
	        config_finish_engines(reader) < 0 || open_host_root(reader) < 0 ||
	        config_check_loop(reader) < 0 || config_check_admin(reader) < 0 ||
	        config_check_audit(reader) < 0 || check_workspace(reader) < 0 ||
	        config_choose_policy(reader) < 0 || config_own_scopes(reader) < 0) {
		return -EINVAL;
	}
	config_spread_limits(config);
	config_review(config);
	return arena_check(&config->arena, reader->error);
}

int config_read(int argc, char *const argv[], struct config *ret_config, char error[FAULT_MAX])
{
	struct reader reader = {.config = ret_config, .error = error};

	*ret_config = (struct config){.argc = argc,
	        .argv = argv,
	        .read_ns = clock_realtime_ns(),
	        .verb = CONFIG_RUN,
	        .engine = {.name = ENGINE_DEFAULT_NAME},
	        .engine_count = 1};
	error[0] = '\0';
	if (config_read_arguments(&reader, argc, argv) < 0) {
		return -EINVAL;
	}
	if (is_for_itself(ret_config->verb)) {
		return 0;
	}
	return read_given(&reader) < 0 ? -EINVAL : complete(&reader);
}

const struct policy *config_policy(const struct config *config, unsigned number)
{
	if (number < config->listener_count) {
		return config->listeners[number].policy;
	}
	number -= config->listener_count;
	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct policy *policy = config->clients.list[i].policy;
		if (policy != NULL && number-- == 0) {
			return policy;
		}
	}
	return NULL;
}

const struct config_engine *config_engine_at(const struct config *config, unsigned number)
{
	return number == ENGINE_DEFAULT ? &config->engine : &config->more_engines[number - 1];
}

const struct client *config_find_client(const struct config *config, struct slice name)
{
	for (unsigned i = 0; i < config->clients.count; i++) {
		if (slice_equal(name, slice_of(config->clients.list[i].name))) {
			return &config->clients.list[i];
		}
	}
	return NULL;
}

void config_free(struct config *config)
{
	if (config->host_root != NULL && config->host_root_fd >= 0) {
		(void)close(config->host_root_fd);
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		tls_free(config->listeners[i].transport);
	}
	for (unsigned i = 0; i < config->engine_count; i++) {
		tls_free(config_engine_at(config, i)->transport);
	}
	tls_free(config->admin.listener.transport);
	policy_set_free(config->policies);
	arena_free(&config->arena);
	*config = (struct config){.verb = CONFIG_RUN};
}
