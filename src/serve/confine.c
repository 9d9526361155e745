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

/* Others than the program replace these files: all of /etc, and where symbolic links lead. */
static void allow_names(struct sandbox *sandbox, const struct config *config)
{
	if (config->engine.is_name) {
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

static void allow_engine(struct sandbox *sandbox, const struct config *config)
{
	enum { DNS_PORT = 53 };

	if (config->engine.path != NULL) {
		return;
	}
	sandbox_allow_connect(sandbox, config->engine.port);
	if (config->engine.is_name) {
		sandbox_allow_connect(sandbox, DNS_PORT);
	}
}

/* ── The whole ───────────────────────────────────────────────────────────── */

static void (*const rows[])(struct sandbox *sandbox, const struct config *config) = {
        allow_settings,
        allow_processes,
        allow_names,
        allow_listeners,
        allow_engine,
        allow_audit,
};

bool confine(const struct config *config)
{
	struct sandbox sandbox;

	sandbox_prepare(&sandbox, config->sandbox, config->file != NULL);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		rows[i](&sandbox, config);
	}
	return sandbox_enter(&sandbox, config->engine.path) == 0;
}
