/* SPDX-License-Identifier: MIT */
/*
 * What a configuration needs inside the sandbox: files that a reload reads again, names of DNS,
 * /proc, ports, folders of unix sockets. Each is a row; sandbox/ does not know what a configuration
 * is.
 */
#include "sandbox/sandbox.h"
#include "serve/internal.h"

#include <arpa/inet.h>

/* ── Files ───────────────────────────────────────────────────────────────── */

static void allow_one(void *context, const char *file)
{
	if (strcmp(file, "-") != 0) {
		sandbox_allow_file(context, file);
	}
}

static void allow_settings(struct sandbox *sandbox, const struct config *config)
{
	if (config->file == NULL) {
		/* One that is written later, and a reload would find. */
		sandbox_allow_file(sandbox, CONFIG_DEFAULT_FILE);
	}
	config_each_file(config, allow_one, sandbox);
}

/* Whether processes can be at the other end of a unix socket, made here or passed. */
static bool has_unix_clients(const struct config *config)
{
	for (unsigned i = 0; i < config->listener_count; i++) {
		const char *address = config->listeners[i].address;
		if (address_path(address) != NULL || address_passed(address) != NULL) {
			return true;
		}
	}
	return false;
}

/* containers/ reads the cgroup of such a process. */
static void allow_processes(struct sandbox *sandbox, const struct config *config)
{
	if (has_unix_clients(config)) {
		sandbox_allow_folder(sandbox, "/proc");
	}
}

static bool has_names(const struct config *config)
{
	bool found = false;

	for (unsigned i = 0; i < config->engine_count; i++) {
		found = found || config_engine_at(config, i)->is_name;
	}
	return found;
}

/* Others than the program replace these files: all of /etc, and where symbolic links lead. */
static void allow_names(struct sandbox *sandbox, const struct config *config)
{
	if (has_names(config)) {
		sandbox_allow_folder(sandbox, "/etc");
		sandbox_allow_file(sandbox, "/etc/hosts");
		sandbox_allow_file(sandbox, "/etc/resolv.conf");
	}
}

/* ── Sockets ─────────────────────────────────────────────────────────────── */

static void allow_listener(struct sandbox *sandbox, const char *address)
{
	union address parsed;

	if (address_path(address) != NULL) {
		sandbox_allow_socket(sandbox, address_path(address));
	} else if (address_passed(address) == NULL &&
	           address_parse(slice_of(address), &parsed) == NULL) {
		/* At the same place in addresses of IPv4 and IPv6. */
		sandbox_allow_bind(sandbox, ntohs(parsed.ip4.sin_port));
	}
}

static void allow_listeners(struct sandbox *sandbox, const struct config *config)
{
	if (config->file !=
	        NULL) { /* a reload may add listeners in the folder of the image for them */
		sandbox_allow_socket(sandbox, "/run/docker-socket-proxy/NAME");
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		allow_listener(sandbox, config->listeners[i].address);
	}
	if (config->admin.listener.address != NULL) {
		allow_listener(sandbox, config->admin.listener.address);
	}
}

/* The file is opened again after it was rotated. */
static void allow_audit(struct sandbox *sandbox, const struct config *config)
{
	if (config->audit.target.kind == TRAIL_FILE) {
		sandbox_allow_record(sandbox, config->audit.target.path);
	}
}

/* Sockets of all Engines but the default one, by which the user is chosen. */
static void allow_engines(struct sandbox *sandbox, const struct config *config)
{
	enum { DNS_PORT = 53 };

	for (unsigned i = 0; i < config->engine_count; i++) {
		const struct config_engine *engine = config_engine_at(config, i);
		if (engine->path == NULL && engine->host != NULL) {
			sandbox_allow_connect(sandbox, engine->port);
		} else if (i != ENGINE_DEFAULT) {
			sandbox_allow_engine(sandbox, engine->path);
		}
	}
	if (has_names(config)) {
		sandbox_allow_connect(sandbox, DNS_PORT);
	}
}

/* ── The whole ───────────────────────────────────────────────────────────── */

static void (*const rows[])(struct sandbox *sandbox, const struct config *config) = {
        allow_settings,
        allow_processes,
        allow_names,
        allow_listeners,
        allow_engines,
        allow_audit,
};

/* What a reload may count on. */
static void note(
        struct confinement *confinement, const struct sandbox *sandbox, const struct config *config)
{
	*confinement = (struct confinement){
	        .limits_files = sandbox->abi > 0,
	        .limits_ports = sandbox->abi >= SANDBOX_ABI_TCP,
	        .resolves = has_names(config),
	};
	for (unsigned i = 0; i < config->engine_count; i++) {
		const uint16_t port = config_engine_at(config, i)->port;
		confinement->ports[port / 64] |= UINT64_C(1) << (port % 64);
	}
}

/* NULL, or what the sandbox does not let the Engine be reached by. */
static const char *find_barrier(
        const struct confinement *confinement, const struct config_engine *engine)
{
	const bool has_port = (confinement->ports[engine->port / 64] >> (engine->port % 64)) & 1;

	if (confinement->limits_ports && engine->host != NULL && !has_port) {
		return "connect to this port";
	}
	return confinement->limits_files && engine->is_name && !confinement->resolves
	               ? "look names up"
	               : NULL;
}

int confine_check(
        const struct confinement *confinement, const struct config *next, char error[FAULT_MAX])
{
	for (unsigned i = 0; i < next->engine_count; i++) {
		const struct config_engine *engine = config_engine_at(next, i);
		const char *barrier = find_barrier(confinement, engine);
		if (barrier != NULL) {
			return fault_set(error, engine->place,
			        "the Engine '%s' is at %s: the sandbox, which was entered at the "
			        "start, does not let the program %s, because no Engine needed it "
			        "then; restart the program, or let another process take over",
			        engine->name, engine->text, barrier);
		}
	}
	return 0;
}

bool confine(struct server *server)
{
	const struct config *config = server_config(server);
	struct sandbox sandbox;

	sandbox_prepare(&sandbox, config->sandbox, config->file != NULL);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		rows[i](&sandbox, config);
	}
	note(&server->confinement, &sandbox, config);
	return sandbox_enter(&sandbox, config->engine.path) == 0;
}
