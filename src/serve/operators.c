/* SPDX-License-Identifier: MIT */
/* The admin listener: its socket, and what it gets of the server and lets it do. */
#include "base/log.h"
#include "net/listener.h"
#include "serve/internal.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* `shared` as in listener_open(). A descriptor, or -errno after a log line. */
static int open_socket(const struct config_listener *listener, bool shared)
{
	const int fd = listener_open(listener->address, listener->mode, shared);
	char memory[512];
	struct text why = text_over(memory, sizeof(memory));

	if (fd < 0) {
		listener_explain(listener->address, fd, &why);
		log_line(LOG_CRIT, "cannot listen on %s, the admin listener: %.*s",
		        listener->address, SLICE_FMT(text_slice(&why)));
	}
	return fd;
}

/* SO_REUSEPORT would hide that another program listens there. */
static bool is_free(const struct config_listener *listener)
{
	const bool is_unix = address_path(listener->address) != NULL;
	const int fd = is_unix ? -1 : open_socket(listener, false);

	if (fd >= 0) {
		(void)close(fd);
	}
	return is_unix || fd >= 0;
}

bool admin_listen(struct server *server)
{
	const struct config_listener *listener = &server_config(server)->admin.listener;

	if (listener->address == NULL) {
		return true;
	}
	const int taken = taken_find(server, TAKEOVER_ADMIN, listener->address, 0);
	if (taken >= 0) {
		taken_use(server, taken);
		server->admin_socket = fcntl(taken, F_DUPFD_CLOEXEC, 0);
	} else {
		server->admin_socket = is_free(listener) ? open_socket(listener, true) : -1;
	}
	return server->admin_socket >= 0;
}

/* ── What the server does for operators ──────────────────────────────────── */

static void reload(void *context, struct wish *wish)
{
	log_line(LOG_INFO, "admin listener: reading the configuration again");
	server_reload(context, wish);
}

static void close_stream(void *context, struct wish *wish)
{
	survey_close_stream(context, wish);
}

static void look(void *context, struct wish *wish)
{
	survey_look(context, wish);
}

static struct admin_document *take(void *context)
{
	return survey_take(context);
}

static unsigned activity(void *context)
{
	const struct server *server = context;

	return atomic_load(&server->shared.connections) * 31 +
	       atomic_load(&server->shared.engine_connections);
}

static const struct admin_server functions = {
        .reload = reload,
        .close_stream = close_stream,
        .look = look,
        .take = take,
        .activity = activity,
};

/* ── Life ────────────────────────────────────────────────────────────────── */

bool admin_begin(struct server *server)
{
	const struct config *config = server_config(server);
	const struct config_admin *admin = &config->admin;
	struct worker *worker = server->threads[0]->worker;

	if (admin->listener.address == NULL) {
		return true;
	}
	const struct admin_settings settings = {
	        .fd = server->admin_socket,
	        .transport = admin->listener.transport != NULL ? admin->listener.transport
	                                                       : &transport_plain,
	        .is_guarded = address_path(admin->listener.address) == NULL,
	        .is_tls = admin->listener.transport != NULL,
	        .keys = admin->keys,
	        .key_count = admin->key_count,
	        .metrics = server->shared.metrics,
	        .trail = server->shared.trail,
	        .upstream = server_has_engine(server) ? worker_upstream(worker) : NULL,
	        .engine_text = server->snapshot->engines[0].text,
	        .hand_over = handing_begin,
	        .server = &functions,
	        .context = server,
	};
	server->admin_socket = -1; /* it is the admin listener's now */
	survey_begin(server);
	const int error = admin_new(worker_loop(worker), &settings, &server->admin);
	if (error < 0) {
		log_line(LOG_CRIT, "cannot serve %s, the admin listener: %s",
		        admin->listener.address, strerrordesc_np(-error));
		return false;
	}
	/* What it points to is part of this configuration, whichever is adopted later. */
	server->admin_snapshot = snapshot_ref(server->snapshot);
	return true;
}

void admin_remove(const struct server *server)
{
	const struct snapshot *snapshot =
	        server->admin != NULL ? server->admin_snapshot : server->snapshot;
	const bool listens = server->admin != NULL || server->admin_socket >= 0;
	const char *path =
	        listens ? address_path(snapshot_config(snapshot)->admin.listener.address) : NULL;

	if (path != NULL && !handing_is_over(server) && !taken_has_file(server, path)) {
		/* The folder may be closed to us now. */
		(void)unlink(path);
	}
}
