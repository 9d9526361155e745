/* SPDX-License-Identifier: MIT */
/*
 * reload — the configuration is read again while the program serves.
 *
 * Policies with many patterns take tens of milliseconds to compile, and files may be slow to read.
 * Therefore a thread of its own reads, and ends; the first thread gets the result as a message. All
 * of it is checked first: an error changes nothing.
 */
#include "base/clock.h"
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct server *server_of(struct reload *reload)
{
	return CONTAINER_OF(reload, struct server, reload);
}

/* ── Reading, in the thread of the reader ────────────────────────────────── */

static void see_standard_input(void *context, const char *file)
{
	bool *found = context;

	*found = *found || strcmp(file, "-") == 0;
}

/* Standard input has been read to its end: what it said would be gone. */
static bool can_be_read_again(const struct config *config, char error[FAULT_MAX])
{
	bool found = false;

	config_each_file(config, see_standard_input, &found);
	if (found) {
		(void)fault_set(error, NOWHERE,
		        "the configuration came from standard input, which cannot be read again: "
		        "name a file, or restart the program");
	}
	return !found;
}

/* NULL after an error. */
static struct config *read_config(const struct server *server, char error[FAULT_MAX])
{
	const struct config *former = server_config(server);
	struct config *config = calloc(1, sizeof(*config));

	if (config == NULL) {
		(void)fault_memory(error);
		return NULL;
	}
	if (config_read(former->argc, former->argv, config, error) < 0 ||
	        config_check_change(former, config, error) < 0 ||
	        confine_check(&server->confinement, config, error) < 0) {
		config_free(config);
		free(config);
		return NULL;
	}
	return config;
}

static struct snapshot *read_snapshot(struct server *server, char error[FAULT_MAX])
{
	const struct config *former = server_config(server);
	struct config *config =
	        can_be_read_again(former, error) ? read_config(server, error) : NULL;
	struct snapshot *snapshot = NULL;

	if (config == NULL) {
		return NULL;
	}
	snapshot = snapshot_new(config, server->shared.accounts, server->snapshot);
	if (snapshot == NULL) {
		(void)fault_memory(error);
		return NULL;
	}
	resolver_look_up(snapshot);
	return snapshot;
}

/* The snapshot of the server stays while a reload is in progress. */
static void *read_again(void *argument)
{
	struct reload *reload = argument;
	struct server *server = server_of(reload);

	reload->snapshot = read_snapshot(server, reload->error);
	inbox_post(&server->threads[0]->inbox, INBOX_RELOADED, server);
	return NULL;
}

/* While sockets are handed over, none is opened or closed. */
static bool may_begin(const struct server *server)
{
	return server->reload.state == RELOAD_NONE && !server->stopping && !handing_goes_on(server);
}

/* ── One reload ──────────────────────────────────────────────────────────── */

static void tell(struct list *wishes, const struct reload *reload, const char *error)
{
	wishes_tell(wishes, error == NULL, error != NULL ? error : reload->report);
}

/* For operators. */
static void note(struct reload *reload, const char *error)
{
	(void)snprintf(reload->fault, sizeof(reload->fault), "%s", error == NULL ? "" : error);
	reload->fault_ns = clock_realtime_ns();
}

static void end(struct server *server, const char *error)
{
	struct reload *reload = &server->reload;

	note(reload, error);
	reload->state = RELOAD_NONE;
	snapshot_unref(reload->former);
	reload->former = NULL;
	manager_reloaded(server);
	watching_begin(server);
	if (server->shared.metrics != NULL) {
		metrics_reloaded(server->shared.metrics, error == NULL);
	}
	settle();
	admin_changed(server->admin);
	tell(&reload->wishes, reload, error);
	if (reload->again && may_begin(server)) {
		loop_put_off(worker_loop(server->threads[0]->worker), &reload->next);
	}
}

static void fail(struct server *server)
{
	log_line(LOG_ERR, "the configuration was not reloaded, and the former one stays: %s",
	        server->reload.error);
	end(server, server->reload.error);
}

static void begin(struct server *server)
{
	struct reload *reload = &server->reload;

	reload->state = RELOAD_READING;
	reload->again = false;
	reload->snapshot = NULL;
	reload->began_ns = clock_monotonic_ns();
	while (!list_empty(&reload->later)) {
		struct list *wish = reload->later.next;
		list_remove(wish);
		list_append(&reload->wishes, wish);
	}
	manager_reloading(server);
	const int error = pthread_create(&reload->reader, NULL, read_again, reload);
	if (error != 0) {
		(void)fault_set(reload->error, NOWHERE, "cannot start a thread: %s",
		        strerrordesc_np(error));
		fail(server);
	}
}

static void begin_next(struct task *task)
{
	struct server *server = CONTAINER_OF(task, struct server, reload.next);

	if (may_begin(server)) {
		begin(server);
	}
}

void server_reload(struct server *server, struct wish *wish)
{
	struct reload *reload = &server->reload;

	if (wish != NULL) {
		list_append(&reload->later, &wish->link);
	}
	if (may_begin(server)) {
		begin(server);
	} else {
		reload->again = true;
	}
}

void reload_continue(struct server *server)
{
	if (server->reload.again && may_begin(server)) {
		begin(server);
	}
}

void reload_abandon(struct server *server)
{
	tell(&server->reload.later, &server->reload,
	        "another process has taken over: ask that one");
}

/* The reader has ended. */
void thread_reloaded(struct thread *thread, void *message)
{
	struct server *server = message;
	struct reload *reload = &server->reload;

	(void)thread;
	(void)pthread_join(reload->reader, NULL);
	reload->state = RELOAD_ADOPTING;
	if (reload->snapshot == NULL) {
		fail(server);
		return;
	}
	struct snapshot *snapshot = reload->snapshot;
	reload->snapshot = NULL;
	atomic_store(&server->shared.revoked, 0);
	reload->former = snapshot_ref(server->snapshot);
	if (!server_adopt(server, snapshot, reload->error)) {
		fail(server);
	}
}

/* A line that either of both levels shows is shown. */
static void report(struct server *server)
{
	struct reload *reload = &server->reload;
	const struct config *config = server_config(server);
	const struct config *former = snapshot_config(reload->former);
	const unsigned revoked = atomic_load(&server->shared.revoked);
	char ended[80] = "";
	const int64_t us = (clock_monotonic_ns() - reload->began_ns) / 1000;

	if (config->log_level >= LOG_NOTICE) {
		log_set_level(config->log_level);
	}
	if (revoked > 0) {
		(void)snprintf(ended, sizeof(ended),
		        "; ended %u request%s in progress that it does not allow", revoked,
		        revoked == 1 ? "" : "s");
	}
	(void)snprintf(reload->report, sizeof(reload->report),
	        "reloaded %s in %lld.%lld ms: %u listener%s (%u before), %u client%s (%u before)%s",
	        config->file != NULL ? config->file : "all files that options name",
	        (long long)(us / 1000), (long long)(us % 1000 / 100), config->listener_count,
	        config->listener_count == 1 ? "" : "s", former->listener_count,
	        config->clients.count, config->clients.count == 1 ? "" : "s", former->clients.count,
	        ended);
	log_line(LOG_NOTICE, "%s", reload->report);
	log_set_level(config->log_level);
	for (const struct config_warning *w = config->warnings; w != NULL; w = w->next) {
		log_line(LOG_WARNING, "%s", w->text);
	}
}

void thread_adopted(struct thread *thread, void *message)
{
	struct server *server = message;

	(void)thread;
	if (server->reload.state == RELOAD_ADOPTING) {
		report(server);
		resolver_adopt(server);
		prober_begin(server);
		listeners_finish(server->reload.former, server->snapshot);
		end(server, NULL);
	}
}

/* ── The start and the end ───────────────────────────────────────────────── */

void reload_init(struct server *server)
{
	list_init(&server->reload.wishes);
	list_init(&server->reload.later);
	task_init(&server->reload.next, begin_next);
}

struct review {
	const char *first; /* that cannot be read; NULL: all can */
	int error;
};

static void try_file(void *context, const char *file)
{
	struct review *review = context;
	const int fd = strcmp(file, "-") == 0 ? -1 : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd >= 0) {
		(void)close(fd);
	} else if (review->first == NULL) {
		review->first = file;
		review->error = strcmp(file, "-") == 0 ? 0 : errno;
	}
}

void reload_review(const struct server *server)
{
	struct review review = {.first = NULL};

	config_each_file(server_config(server), try_file, &review);
	if (review.first == NULL) {
		return;
	}
	log_line(LOG_NOTICE, "the configuration cannot be reloaded (SIGHUP): '%.512s' %s%s",
	        review.first,
	        review.error == 0 ? "is standard input, which cannot be read again"
	                          : "cannot be read any more: ",
	        review.error == 0        ? ""
	        : review.error == EACCES ? "the program gave up root, and its user, 65532, must "
	                                   "be able to read it"
	                                 : strerrordesc_np(review.error));
}

void reload_end(struct server *server)
{
	struct reload *reload = &server->reload;

	if (reload->state == RELOAD_READING) {
		(void)pthread_join(reload->reader, NULL);
		snapshot_unref(reload->snapshot);
	}
	snapshot_unref(reload->former);
	tell(&reload->wishes, reload, "the program is stopping");
	tell(&reload->later, reload, "the program is stopping");
}
