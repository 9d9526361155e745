/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ── Making ──────────────────────────────────────────────────────────────── */

/* 0 or -errno. */
static int make_thread(struct server *server)
{
	struct thread *thread = calloc(1, sizeof(*thread));

	if (thread == NULL) {
		return -ENOMEM;
	}
	const int error = worker_new(&server->shared, server->snapshot, &thread->worker);
	if (error < 0) {
		free(thread);
		return error;
	}
	thread->server = server;
	server->threads[server->thread_count++] = thread;
	acceptors_init(&thread->acceptors, thread->worker, &server->shared);
	return inbox_init(&thread->inbox, worker_loop(thread->worker));
}

bool threads_make(struct server *server)
{
	const unsigned count = sizing_threads(server_config(server));

	for (unsigned i = 0; i < count; i++) {
		const int error = make_thread(server);
		if (error < 0) {
			log_line(LOG_CRIT, "cannot start a worker: %s", strerrordesc_np(-error));
			return false;
		}
		if (!listeners_open(server)) {
			return false;
		}
	}
	passed_close(&server->passed);
	return true;
}

void threads_free(struct server *server)
{
	for (unsigned i = 0; i < server->thread_count; i++) {
		struct thread *thread = server->threads[i];
		acceptors_done(&thread->acceptors);
		inbox_done(&thread->inbox);
		worker_free(thread->worker);
		free(thread);
	}
	server->thread_count = 0;
}

/* ── Running ─────────────────────────────────────────────────────────────── */

static void *run(void *argument)
{
	struct thread *thread = argument;
	const int error = worker_run(thread->worker);

	if (error < 0) {
		log_line(LOG_CRIT, "a worker failed: %s", strerrordesc_np(-error));
		_exit(EXIT_FAILURE);
	}
	return NULL;
}

static void join(struct server *server, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		(void)pthread_join(server->threads[i]->id, NULL);
	}
}

bool threads_start(struct server *server)
{
	for (unsigned i = 1; i < server->thread_count; i++) {
		struct thread *thread = server->threads[i];
		const int error = pthread_create(&thread->id, NULL, run, thread);
		if (error != 0) {
			log_line(LOG_CRIT, "cannot start a thread: %s", strerrordesc_np(error));
			threads_stop(server);
			join(server, i);
			return false;
		}
	}
	return true;
}

void threads_run(struct server *server)
{
	(void)run(server->threads[0]);
	join(server, server->thread_count);
}

/* ── Messages ────────────────────────────────────────────────────────────── */

void threads_stop(struct server *server)
{
	for (unsigned i = 0; i < server->thread_count; i++) {
		inbox_post(&server->threads[i]->inbox, INBOX_STOP, server);
	}
}

void thread_stop(struct thread *thread, void *message)
{
	(void)message;
	acceptors_close(&thread->acceptors);
	worker_stop(thread->worker);
}

/* For a message that owns nothing. */
void message_keep(void *message)
{
	(void)message;
}

/* One for each thread, or none: false without memory. */
static bool make_adoptions(
        unsigned count, struct snapshot *snapshot, struct adoption *adoptions[THREADS_MAX])
{
	for (unsigned i = 0; i < count; i++) {
		adoptions[i] = adoption_new(snapshot);
		if (adoptions[i] == NULL) {
			while (i > 0) {
				adoption_free(adoptions[--i]);
			}
			return false;
		}
	}
	return true;
}

bool threads_adopt(struct server *server, struct snapshot *snapshot)
{
	struct adoption *adoptions[THREADS_MAX];

	if (!make_adoptions(server->thread_count, snapshot, adoptions)) {
		return false;
	}
	atomic_store(&server->reload.behind, server->thread_count);
	for (unsigned i = 0; i < server->thread_count; i++) {
		inbox_post(&server->threads[i]->inbox, INBOX_ADOPT, adoptions[i]);
	}
	return true;
}

void thread_adopt(struct thread *thread, void *message)
{
	struct adoption *adoption = message;
	struct server *server = thread->server;

	acceptors_adopt(&thread->acceptors, adoption->snapshot);
	worker_adopt(thread->worker, adoption);
	if (atomic_fetch_sub(&server->reload.behind, 1) == 1) {
		inbox_post(&server->threads[0]->inbox, INBOX_ADOPTED, server);
	}
}

void message_free_adoption(void *message)
{
	adoption_free(message);
}
