/* SPDX-License-Identifier: MIT */
/*
 * taken — the new process of a hand-over: the sockets that it got, and which of them its own
 * configuration uses.
 *
 * A socket is found by the address to which it is bound, whatever the former configuration called
 * it: a port may speak TLS now.
 */
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ── Taking ──────────────────────────────────────────────────────────────── */

/* What the service manager is told, and how often, goes on; unless it has told this process, too.
 */
static void take_notifier(struct server *server)
{
	struct notifier *notifier = &server->manager.notifier;

	for (unsigned i = 0; i < server->taken->count; i++) {
		struct taken_socket *socket = &server->taken->list[i];
		if (socket->kind == TAKEOVER_NOTIFY && notifier->fd < 0) {
			notifier->fd = socket->fd;
			socket->fd = -1;
			socket->used = true;
		}
	}
	if (notifier->watchdog_ns == 0) {
		notifier->watchdog_ns = server->taken->watchdog_ns;
	}
}

bool taken_ask(struct server *server)
{
	const char *address = server_config(server)->takeover;
	char error[FAULT_MAX];

	if (address == NULL) {
		return true;
	}
	server->taken = takeover_ask(address_path(address), error);
	if (server->taken == NULL) {
		log_line(LOG_CRIT, "%s", error);
		return false;
	}
	take_notifier(server);
	return true;
}

void taken_pass(struct server *server)
{
	for (unsigned i = 0; i < server->taken->count; i++) {
		struct taken_socket *socket = &server->taken->list[i];
		if (socket->kind == TAKEOVER_PASSED && server->passed.count < PASSED_MAX) {
			server->passed.list[server->passed.count++] = (struct passed_socket){
			        .fd = socket->fd,
			        .name = slice_of(socket->name),
			        .address = socket->address,
			};
			socket->fd = -1;
			socket->used = true;
		}
	}
}

/* ── Finding ─────────────────────────────────────────────────────────────── */

/* All interfaces are :: where there is IPv6, else 0.0.0.0. */
static bool is_bound_to(const union address *bound, const union address *wanted)
{
	if (bound->any.sa_family == AF_INET && wanted->any.sa_family == AF_INET6 &&
	        address_is_any(bound) && address_is_any(wanted)) {
		return bound->ip4.sin_port == wanted->ip6.sin6_port &&
		       !address_has_ip6_loopback(ntohs(wanted->ip6.sin6_port));
	}
	return bound->any.sa_family == wanted->any.sa_family &&
	       (bound->any.sa_family == AF_UNIX
	                       ? strcmp(bound->path.sun_path, wanted->path.sun_path) == 0
	                       : memcmp(bound, wanted, address_len(wanted)) == 0);
}

int taken_find(
        const struct server *server, enum takeover_kind kind, const char *address, unsigned n)
{
	union address wanted;

	if (server->taken == NULL || server->taken->connection < 0 ||
	        address_parse(slice_of(address), &wanted) != NULL) {
		return -1;
	}
	for (unsigned i = 0; i < server->taken->count; i++) {
		const struct taken_socket *socket = &server->taken->list[i];
		if (socket->kind == kind && socket->fd >= 0 &&
		        is_bound_to(&socket->address, &wanted) && n-- == 0) {
			return socket->fd;
		}
	}
	return -1;
}

void taken_use(struct server *server, int fd)
{
	for (unsigned i = 0; i < server->taken->count; i++) {
		if (server->taken->list[i].fd == fd) {
			server->taken->list[i].used = true;
		}
	}
}

/* ── Files ───────────────────────────────────────────────────────────────── */

bool taken_has_file(const struct server *server, const char *path)
{
	const struct taken *taken = server->taken;

	for (unsigned i = 0; taken != NULL && taken->connection >= 0 && i < taken->count; i++) {
		const struct taken_socket *socket = &taken->list[i];
		if (socket->kind != TAKEOVER_NOTIFY && socket->address.any.sa_family == AF_UNIX &&
		        strcmp(socket->address.path.sun_path, path) == 0) {
			return true;
		}
	}
	return false;
}

/* False after a log line. */
static bool set_mode(struct server *server, const struct config_listener *listener)
{
	const char *path = address_path(listener->address);
	struct stat found;

	if (path == NULL || !taken_has_file(server, path)) {
		return true;
	}
	if (lstat(path, &found) < 0 || !S_ISSOCK(found.st_mode)) {
		log_line(LOG_CRIT,
		        "the socket of %s was taken over, and its file is gone: restart the "
		        "program for it",
		        listener->address);
		return false;
	}
	for (unsigned i = 0; i < server->taken->count; i++) {
		struct taken_socket *socket = &server->taken->list[i];
		if (socket->kind == TAKEOVER_NOTIFY || socket->address.any.sa_family != AF_UNIX ||
		        strcmp(socket->address.path.sun_path, path) != 0 ||
		        (found.st_mode & 0777U) == listener->mode) {
			continue;
		}
		if (chmod(path, listener->mode) < 0) {
			log_line(LOG_CRIT, "cannot change the mode of %s to %04o: %s", path,
			        listener->mode, strerrordesc_np(errno));
			return false;
		}
		socket->mode = found.st_mode & 0777U;
		break;
	}
	return true;
}

bool taken_set_modes(struct server *server)
{
	const struct config *config = server_config(server);

	for (unsigned i = 0; server->taken != NULL && i < config->listener_count; i++) {
		if (!set_mode(server, &config->listeners[i])) {
			return false;
		}
	}
	return server->taken == NULL || config->admin.listener.address == NULL ||
	       set_mode(server, &config->admin.listener);
}

void taken_reset_modes(struct server *server)
{
	for (unsigned i = 0; server->taken != NULL && i < server->taken->count; i++) {
		const struct taken_socket *socket = &server->taken->list[i];
		if (socket->mode != 0) {
			(void)chmod(socket->address.path.sun_path, socket->mode);
		}
	}
}

/* ── The end ─────────────────────────────────────────────────────────────── */

void taken_finish(struct server *server)
{
	char error[FAULT_MAX];
	unsigned used = 0;

	if (server->taken == NULL) {
		return;
	}
	for (unsigned i = 0; i < server->taken->count; i++) {
		used += server->taken->list[i].used ? 1 : 0;
	}
	if (takeover_finish(server->taken, error)) {
		log_line(LOG_NOTICE, "took over from process %d: %u of %u sockets",
		        server->taken->process, used, server->taken->count);
	} else {
		log_line(LOG_WARNING, "%s; this process serves all the same", error);
	}
	takeover_close(server->taken); /* the names of passed sockets stay in use */
}
