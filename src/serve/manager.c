/* SPDX-License-Identifier: MIT */
/* What the service manager is told: that the program serves, that all of its threads live, that it
 * stops. */
#include "base/clock.h"
#include "base/log.h"
#include "serve/internal.h"

#include <stdio.h>

enum {
	STATUS_SECONDS = 10,
	BEAT_LEAST_MS = 10, /* a shorter watchdog would keep the program busy */
};

/* ── Status ──────────────────────────────────────────────────────────────── */

/* One line for `systemctl status`, if it has changed. */
static void tell_status(struct server *server, const char *before)
{
	struct manager *manager = &server->manager;
	const unsigned connections = atomic_load(&server->shared.connections);
	char lines[256];

	if (manager->told_connections == connections) {
		return;
	}
	manager->told_connections = connections;
	(void)snprintf(lines, sizeof(lines),
	        "%sSTATUS=%u of at most %u connections, %u listener%s, %u worker%s", before,
	        connections, server->shared.max_connections, server_config(server)->listener_count,
	        server_config(server)->listener_count == 1 ? "" : "s", server->thread_count,
	        server->thread_count == 1 ? "" : "s");
	notify_send(&manager->notifier, lines, before[0] != '\0');
}

static void status_due(struct timer *timer)
{
	struct server *server = CONTAINER_OF(timer, struct server, manager.status);

	tell_status(server, "");
	timer_start(worker_loop(server->threads[0]->worker), &server->manager.status_queue, timer);
}

/* ── Watchdog ────────────────────────────────────────────────────────────── */

/*
 * Every half of the interval all threads are asked, through their inboxes, and the last one that
 * answers says that the program lives. While a thread does not answer, nobody is asked again.
 */
static void beat_due(struct timer *timer)
{
	struct server *server = CONTAINER_OF(timer, struct server, manager.beat);
	struct manager *manager = &server->manager;

	if (atomic_load(&manager->silent) == 0) {
		atomic_store(&manager->silent, server->thread_count);
		for (unsigned i = 0; i < server->thread_count; i++) {
			inbox_post(&server->threads[i]->inbox, INBOX_BEAT, server);
		}
	} else {
		log_line(LOG_ERR,
		        "%u of %u workers do not answer: the watchdog of the service is not told "
		        "that the program lives",
		        atomic_load(&manager->silent), server->thread_count);
	}
	timer_start(worker_loop(server->threads[0]->worker), &manager->beat_queue, timer);
}

void thread_beat(struct thread *thread, void *message)
{
	struct server *server = message;

	(void)thread;
	if (atomic_fetch_sub(&server->manager.silent, 1) == 1) {
		notify_send(&server->manager.notifier, "WATCHDOG=1", false);
	}
}

/* ── Life ────────────────────────────────────────────────────────────────── */

void manager_ready(struct server *server)
{
	struct manager *manager = &server->manager;
	struct loop *loop = worker_loop(server->threads[0]->worker);
	const int64_t half_ns = manager->notifier.watchdog_ns / 2;
	const int64_t least_ns = BEAT_LEAST_MS * NS_PER_MS;

	if (manager->notifier.fd < 0) {
		return;
	}
	manager->told_connections = UINT32_MAX;
	tell_status(server, "READY=1\n");
	if (half_ns > 0) { /* the former process may have said so a while ago */
		notify_send(&manager->notifier, "WATCHDOG=1", false);
	}
	timer_queue_init(loop, &manager->status_queue, STATUS_SECONDS * NS_PER_S);
	timer_init(&manager->status, status_due);
	timer_start(loop, &manager->status_queue, &manager->status);
	if (half_ns > 0) {
		timer_queue_init(
		        loop, &manager->beat_queue, half_ns > least_ns ? half_ns : least_ns);
		timer_init(&manager->beat, beat_due);
		timer_start(loop, &manager->beat_queue, &manager->beat);
	}
}

void manager_leave(struct server *server, int process)
{
	struct manager *manager = &server->manager;
	char line[32];

	if (manager->notifier.fd < 0) {
		return;
	}
	timer_stop(&manager->status);
	if (manager->notifier.watchdog_ns > 0) {
		timer_stop(&manager->beat);
	}
	if (process > 0) {
		(void)snprintf(line, sizeof(line), "MAINPID=%d", process);
		notify_send(&manager->notifier, line, true);
	}
	notify_close(&manager->notifier);
}

void manager_reloading(struct server *server)
{
	char lines[64];

	(void)snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%lld",
	        (long long)(clock_monotonic_ns() / 1000));
	notify_send(&server->manager.notifier, lines, false);
}

void manager_reloaded(struct server *server)
{
	notify_send(&server->manager.notifier, "READY=1", false);
}

void manager_stopping(struct server *server)
{
	struct manager *manager = &server->manager;

	if (manager->notifier.fd < 0) {
		return;
	}
	timer_stop(&manager->status);
	if (manager->notifier.watchdog_ns > 0) {
		timer_stop(&manager->beat); /* threads end one after the other */
	}
	notify_send(&manager->notifier, "STOPPING=1\nSTATUS=Stopping", true);
}
