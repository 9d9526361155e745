/* SPDX-License-Identifier: MIT */
#include "serve/serve.h"

#include "audit/recent.h"
#include "base/clock.h"
#include "base/log.h"
#include "learn/learn.h"
#include "serve/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ── Learning ────────────────────────────────────────────────────────────── */

static bool any_policy_observes(const struct config *config)
{
	const struct policy *policy;

	for (unsigned i = 0; (policy = config_policy(config, i)) != NULL; i++) {
		if (policy_observes(policy)) {
			return true;
		}
	}
	return false;
}

/* With clients, who can come to any listener, all listeners are printed; else those that recorded.
 */
static unsigned list_listeners(
        const struct config *config, struct text *tls, struct learn_listener *ret_listeners)
{
	unsigned count = 0;

	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		const bool records = policy_observes(listener->policy);
		if (records || config->clients.count > 0) {
			const size_t before = tls->len;
			if (listener->tls.pair_count > 0 && listener->tls_place.file != NULL) {
				config_add_listener_tls(&listener->tls, tls);
			}
			ret_listeners[count++] = (struct learn_listener){listener->address,
			        listener->name, listener->mode, records,
			        slice_behind(text_slice(tls), before)};
		}
	}
	return count;
}

static void print_learned(const struct server *server)
{
	const struct config *config = server_config(server);
	struct learn_listener listeners[CONFIG_LISTENERS_MAX];
	enum { TLS_TEXT_MAX = 64 * 1024 };

	if (server->shared.learn == NULL) {
		return;
	}
	char *memory = check_memory(malloc(TLS_TEXT_MAX));
	struct text tls = text_over(memory, TLS_TEXT_MAX);
	const unsigned count = list_listeners(config, &tls, listeners);
	const size_t before = tls.len;
	if (config->engine.is_tls && config->engine.tls_place.file != NULL) {
		config_add_engine_tls(&config->engine.tls, &tls);
	}
	const struct learn_setting setting = {
	        .listeners = listeners,
	        .listener_count = count,
	        .other_count = config->listener_count - count,
	        .engine = config->engine.text,
	        .tls = slice_behind(text_slice(&tls), before),
	};
	learn_print(server->shared.learn, &setting, stdout);
	free(memory);
}

/* Whether notes can be taken where a policy wants it; false: without memory. */
static bool provide_notes(struct server *server, const struct config *config)
{
	if (server->shared.learn == NULL && any_policy_observes(config)) {
		server->shared.learn = learn_new();
		return server->shared.learn != NULL;
	}
	return true;
}

/* ── The mark ────────────────────────────────────────────────────────────── */

/* It need not be secret, only another one in each process. */
static void make_via(char via[static SESSION_VIA_LEN + 1])
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
		number = (uint64_t)clock_realtime_ns() ^ ((uint64_t)getpid() << 32);
	}
	(void)snprintf(via, SESSION_VIA_LEN + 1, SESSION_VIA "%016" PRIx64, number);
}

/* ── Serving ─────────────────────────────────────────────────────────────── */

struct server *server_new(struct config *config)
{
	struct server *server = calloc(1, sizeof(*server));
	struct accounts *accounts = accounts_new();
	const bool counts = config->admin.listener.address != NULL;
	struct metrics *metrics = counts ? metrics_new() : NULL;
	struct recent *recent = counts ? recent_new() : NULL;
	struct pulses *pulses = pulses_new();
	struct snapshot *snapshot = snapshot_new(config, accounts, NULL);

	if (server == NULL || snapshot == NULL || pulses == NULL ||
	        !snapshot_watch(snapshot, pulses) ||
	        (counts && (metrics == NULL || recent == NULL))) {
		recent_free(recent);
		metrics_free(metrics);
		snapshot_unref(snapshot);
		pulses_free(pulses);
		accounts_free(accounts);
		free(server);
		return NULL;
	}
	server->shared.accounts = accounts;
	server->shared.metrics = metrics;
	server->snapshot = snapshot;
	server->pulses = pulses;
	snapshot_number(snapshot, metrics);
	metrics_show_engines(metrics, pulses);
	snapshot_show_pulses(snapshot, pulses);
	reload_init(server);
	survey_init(server);
	watching_init(server);
	server->signal_watch.fd = -1;
	server->manager.notifier.fd = -1;
	server->admin_socket = -1;
	server->handing.watch.fd = -1;
	server->told = -1;
	server->shared.max_descriptors = sizing_descriptors();
	server->shared.max_connections = config->max_connections;
	if (server->shared.max_connections > server->shared.max_descriptors) {
		server->shared.max_connections = server->shared.max_descriptors;
	}
	server->shared.max_bodies = sizing_bodies(config);
	server->shared.max_large = sizing_large(config);
	denials_init(&server->shared.denials);
	server->shared.denials.recent = recent;
	attempts_init(&server->shared.attempts);
	make_via(server->shared.via);
	if (!provide_notes(server, snapshot_config(snapshot)) || !auditing_make(server)) {
		(void)server_free(server);
		return NULL;
	}
	return server;
}

bool server_free(struct server *server)
{
	watching_end(server);
	handing_end(server);
	reload_end(server);
	survey_end(server);
	resolver_end(server);
	if (server->admin_socket >= 0) {
		(void)close(server->admin_socket);
	}
	admin_free(server->admin);
	/* It tells threads of records, counts, and has its settings from the configuration. */
	if (!trail_free(server->shared.trail)) {
		return false;
	}
	threads_free(server);
	metrics_free(server->shared.metrics);
	recent_free(server->shared.denials.recent);
	passed_close(&server->passed);
	takeover_free(server->taken);
	if (server->told >= 0) {
		(void)close(server->told);
	}
	notify_close(&server->manager.notifier);
	signals_done(server);
	learn_free(server->shared.learn);
	snapshot_unref(server->admin_snapshot);
	snapshot_unref(server->snapshot);
	pulses_free(server->pulses);
	accounts_free(server->shared.accounts);
	free(server);
	return true;
}

bool server_adopt(struct server *server, struct snapshot *snapshot, char error[FAULT_MAX])
{
	struct learn *former = server->shared.learn;

	snapshot_number(snapshot, server->shared.metrics);
	const bool notes = snapshot_watch(snapshot, server->pulses) &&
	                   provide_notes(server, snapshot_config(snapshot));
	if (!notes) {
		(void)fault_memory(error);
	}
	if (!notes || !threads_adopt(server, snapshot, error)) {
		if (former == NULL) { /* so that no thread has seen one */
			learn_free(server->shared.learn);
			server->shared.learn = NULL;
		}
		snapshot_unref(snapshot);
		return false;
	}
	snapshot_show_pulses(snapshot, server->pulses);
	snapshot_unref(server->snapshot);
	server->snapshot = snapshot;
	return true;
}

/* Everything that can fail; false: the log says why. */
static bool start(struct server *server)
{
	signals_block(server);
	notify_open(&server->manager.notifier);
	resolver_look_up(server->snapshot);
	if (taken_ask(server) && listeners_take_passed(server) && listeners_are_free(server) &&
	        admin_listen(server) && threads_make(server) && admin_begin(server) &&
	        listeners_avoid_engines(server) && signals_watch(server) &&
	        taken_set_modes(server) && confine(server) && auditing_start(server) &&
	        resolver_start(server) && threads_start(server)) {
		taken_finish(server);
		return true;
	}
	taken_reset_modes(server);
	listeners_remove(server);
	admin_remove(server);
	return false;
}

/* Whoever started this process, and waits for that, is told that it serves. */
static void tell_starter(struct server *server)
{
	if (server->told >= 0) {
		(void)!write(server->told, "+", 1);
		(void)close(server->told);
		server->told = -1;
	}
}

/*
 * The process that is to serve, and the end of the one between: it ends at once, so that the
 * service manager becomes the parent. systemd kills a main process that is not its child as soon as
 * it has asked it to stop, and does not see when it fails. Whether this process is to serve.
 */
static bool begin_orphan(int end)
{
	char byte;
	const pid_t child = fork();

	if (child != 0) {
		_exit(child > 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	return read(end, &byte, 1) == 1; /* the one between has ended */
}

/* Lets the orphan of the process `between` begin, once it is one; whether it says that it serves.
 */
static bool await_orphan(pid_t between, int end)
{
	int status;
	char byte;

	return waitpid(between, &status, 0) == between && status == 0 &&
	       send(end, "+", 1, MSG_NOSIGNAL) == 1 && read(end, &byte, 1) == 1;
}

/*
 * ExecReload= of systemd.service(5) must end, and what it starts goes on as the main process: an
 * orphan serves, and this process ends when that does or has said that it serves. Returns true in
 * the orphan, with the descriptor to say so, and false in this process. *ret_status: of this
 * process.
 */
static bool begin_child(int *ret_told, int *ret_status)
{
	int ends[2];

	*ret_status = EXIT_FAILURE;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		log_line(LOG_CRIT, "cannot start: %s", strerrordesc_np(errno));
		return false;
	}
	const pid_t between = fork();
	if (between == 0) {
		(void)close(ends[0]);
		*ret_told = ends[1];
		return begin_orphan(ends[1]);
	}
	(void)close(ends[1]);
	if (between > 0 && await_orphan(between, ends[0])) {
		*ret_status = EXIT_SUCCESS;
	}
	(void)close(ends[0]);
	return false;
}

/* Whether systemd runs this as a command beside the main process, as ExecReload= is. */
static bool is_beside_main(const struct config *config)
{
	return config->takeover != NULL && getenv("MAINPID") != NULL;
}

static bool run(struct server *server)
{
	if (!start(server)) {
		return false;
	}
	announce(server);
	reload_review(server);
	watching_begin(server);
	prober_begin(server);
	manager_ready(server);
	settle();
	tell_starter(server);
	threads_run(server);
	admin_remove(server);
	denials_finish(&server->shared.denials);
	log_line(LOG_NOTICE, "stopped");
	print_learned(server);
	return true;
}

int serve(struct config *config)
{
	int told = -1;
	int status = EXIT_FAILURE;

	if (is_beside_main(config) && !begin_child(&told, &status)) {
		return status;
	}
	struct server *server = server_new(config);
	if (server == NULL) {
		log_line(LOG_CRIT, "cannot start: out of memory");
		return EXIT_FAILURE;
	}
	server->told = told;
	status = run(server) ? EXIT_SUCCESS : EXIT_FAILURE;
	if (!server_free(server)) {
		/* Not exit(), which frees what libraries have. */
		(void)fflush(stdout);
		_exit(status);
	}
	return status;
}
