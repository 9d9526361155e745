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
	handing_init(server);
	return true;
}

void threads_free(struct server *server)
{
	for (unsigned i = 0; i < server->thread_count; i++) {
		struct thread *thread = server->threads[i];
		acceptors_done(&thread->acceptors);
		inbox_done(&thread->inbox);
		worker_free(thread->worker);
		free(thread->part.listing);
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
	survey_leave(thread);
	return NULL;
}

static void join(struct server *server, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		(void)pthread_join(server->threads[i]->id, NULL);
	}
}

/* A thread has no sessions any more. The first stays for the admin listener until none has. */
static void worker_ended(struct worker *worker, struct worker_shared *shared)
{
	struct server *server = CONTAINER_OF(shared, struct server, shared);

	if (worker != server->threads[0]->worker) {
		loop_stop(worker_loop(worker));
	}
	if (atomic_fetch_sub(&server->serving, 1) == 1) {
		inbox_post(&server->threads[0]->inbox, INBOX_ENDED, server);
	}
}

void thread_ended(struct thread *thread, void *message)
{
	(void)message;
	loop_stop(worker_loop(thread->worker));
}

bool threads_start(struct server *server)
{
	atomic_store(&server->serving, server->thread_count);
	server->shared.ended = worker_ended;
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

/* To all threads. */
static void post(struct server *server, enum inbox_kind kind)
{
	for (unsigned i = 0; i < server->thread_count; i++) {
		inbox_post(&server->threads[i]->inbox, kind, server);
	}
}

void threads_drain(struct server *server)
{
	post(server, INBOX_DRAIN);
}

void thread_drain(struct thread *thread, void *message)
{
	(void)message;
	acceptors_hand_over(&thread->acceptors);
	worker_drain(thread->worker);
}

void threads_retire(struct server *server)
{
	post(server, INBOX_RETIRE);
}

void thread_retire(struct thread *thread, void *message)
{
	(void)message;
	acceptors_hand_over(&thread->acceptors);
	worker_retire(thread->worker);
}

void threads_look(struct server *server)
{
	post(server, INBOX_LOOK);
}

void thread_look(struct thread *thread, void *message)
{
	(void)message;
	acceptors_look(&thread->acceptors);
}

/* For a message that owns nothing. */
void message_keep(void *message)
{
	(void)message;
}

struct handover *handover_new(struct snapshot *snapshot)
{
	struct handover *handover = calloc(1, sizeof(*handover));
	struct adoption *adoption = adoption_new(snapshot);

	if (handover == NULL || adoption == NULL) {
		adoption_free(adoption);
		free(handover);
		return NULL;
	}
	handover->adoption = adoption;
	for (unsigned i = 0; i < ARRAY_LEN(handover->fds); i++) {
		handover->fds[i] = -1;
	}
	return handover;
}

void handover_free(struct handover *handover)
{
	if (handover == NULL) {
		return;
	}
	for (unsigned i = 0; i < ARRAY_LEN(handover->fds); i++) {
		if (handover->fds[i] >= 0) {
			(void)close(handover->fds[i]);
		}
	}
	adoption_free(handover->adoption);
	free(handover);
}

/* One for each thread. */
static bool make_handovers(const struct server *server, struct snapshot *snapshot,
        struct handover *handovers[THREADS_MAX], char error[FAULT_MAX])
{
	for (unsigned i = 0; i < server->thread_count; i++) {
		handovers[i] = handover_new(snapshot);
		if (handovers[i] == NULL) {
			(void)fault_memory(error);
			return false;
		}
	}
	return listeners_prepare(server, snapshot, handovers, error);
}

bool threads_adopt(struct server *server, struct snapshot *snapshot, char error[FAULT_MAX])
{
	struct handover *handovers[THREADS_MAX] = {NULL};

	if (!make_handovers(server, snapshot, handovers, error)) {
		for (unsigned i = 0; i < server->thread_count; i++) {
			handover_free(handovers[i]);
		}
		return false;
	}
	atomic_store(&server->reload.behind, server->thread_count);
	for (unsigned i = 0; i < server->thread_count; i++) {
		inbox_post(&server->threads[i]->inbox, INBOX_ADOPT, handovers[i]);
	}
	return true;
}

/* Accept at the listeners that are new. */
static void open_new(struct thread *thread, struct handover *handover)
{
	const struct snapshot *snapshot = handover->adoption->snapshot;

	for (unsigned i = 0; i < snapshot->listener_count; i++) {
		const int fd = handover->fds[i];
		handover->fds[i] = -1;
		const int error =
		        fd < 0 ? 0 : acceptors_add(&thread->acceptors, fd, snapshot, i, false);
		if (error < 0) {
			log_line(LOG_ERR, "a worker cannot accept connections at %s: %s",
			        snapshot->listeners[i].address, strerrordesc_np(-error));
		}
	}
}

void thread_adopt(struct thread *thread, void *message)
{
	struct handover *handover = message;
	struct server *server = thread->server;
	const struct snapshot *snapshot = handover->adoption->snapshot;

	acceptors_leave(&thread->acceptors, snapshot);
	acceptors_adopt(&thread->acceptors, snapshot);
	open_new(thread, handover);
	worker_adopt(thread->worker, handover->adoption);
	handover->adoption = NULL;
	handover_free(handover);
	if (atomic_fetch_sub(&server->reload.behind, 1) == 1) {
		inbox_post(&server->threads[0]->inbox, INBOX_ADOPTED, server);
	}
}

void message_free_handover(void *message)
{
	handover_free(message);
}
