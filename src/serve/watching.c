/* SPDX-License-Identifier: MIT */
/*
 * watching — `watch: true`: reload when the configuration or a file that it names has changed.
 *
 * Events only say when to look: the files and their folders are watched, and in a folder much may
 * happen that is no change. What has changed is told by the files themselves (stat(2)), through all
 * symbolic links: editors that rename, the swap of ..data by Kubernetes, and writes in place are
 * the same. A reload waits until two looks see the same, so that a file that is being written is
 * not read by halves; if it is all the same, the next change reads it again.
 */
#include "base/clock.h"
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FNV_PRIME = 16777619,
	LOOK_MS = 200,
	CLOCK_STEP_MS = 20, /* times of files are those of the last tick */
	LOOKS_MAX = 50,     /* a file that changes for ever is read all the same */
	EVENTS = IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM |
	         IN_DELETE | IN_MOVE_SELF | IN_DELETE_SELF,
};

/* ── What the files are ──────────────────────────────────────────────────── */

struct view {
	uint32_t state;
	int64_t changed_ns; /* the last change of any file, since 1970 */
};

static void add_file(void *context, const char *file)
{
	struct view *view = context;
	struct stat found = {.st_ino = 0};
	const int error = stat(file, &found) < 0 ? errno : 0;
	const int64_t changed_ns = found.st_ctim.tv_sec * NS_PER_S + found.st_ctim.tv_nsec;
	const int64_t facts[] = {error, (int64_t)found.st_dev, (int64_t)found.st_ino, found.st_size,
	        found.st_mtim.tv_sec, found.st_mtim.tv_nsec, changed_ns};

	for (unsigned i = 0; i < ARRAY_LEN(facts); i++) {
		const uint64_t fact = (uint64_t)facts[i];
		view->state = (view->state ^ (uint32_t)fact ^ (uint32_t)(fact >> 32)) *
		              (uint32_t)FNV_PRIME;
	}
	view->changed_ns = changed_ns > view->changed_ns ? changed_ns : view->changed_ns;
}

static struct view look(const struct server *server)
{
	struct view view = {.state = 0};

	config_each_file(server_config(server), add_file, &view);
	return view;
}

/* The configuration was read before anything was watched. A file that has changed since, or perhaps
 * just before, by the clock of files, is not the one that was read. */
static void look_first(struct server *server)
{
	struct watching *watching = &server->watching;
	const struct view view = look(server);
	const int64_t read_ns = server_config(server)->read_ns - CLOCK_STEP_MS * NS_PER_MS;

	watching->seen = view.state;
	watching->loaded = view.changed_ns < read_ns ? view.state : ~view.state;
}

/* ── Events ──────────────────────────────────────────────────────────────── */

static void look_later(struct server *server)
{
	struct watching *watching = &server->watching;

	timer_start(worker_loop(server->threads[0]->worker), &watching->queue, &watching->timer);
}

static void look_due(struct timer *timer)
{
	struct server *server = CONTAINER_OF(timer, struct server, watching.timer);
	struct watching *watching = &server->watching;
	const uint32_t state = look(server).state;

	timer_stop(timer);
	if (state != watching->seen && ++watching->looks < LOOKS_MAX) {
		watching->seen = state;
		look_later(server);
	} else if (state != watching->loaded && !server->stopping) {
		watching->looks = 0;
		watching->loaded = watching->seen = state;
		log_line(LOG_INFO, "a file of the configuration has changed: reading it again");
		server_reload(server, NULL);
	} else {
		watching->looks = 0;
	}
}

static void something_happened(struct watch *watch, uint32_t events)
{
	struct server *server = CONTAINER_OF(watch, struct server, watching.watch);
	char memory[4096];

	(void)events;
	while (read(watch->fd, memory, sizeof(memory)) > 0) {
	}
	if (list_empty(&server->watching.timer.link)) {
		look_later(server);
	}
}

/* The file itself too: one that is mounted by itself has its folder elsewhere. */
static void watch_file(void *context, const char *file)
{
	struct server *server = context;
	const struct slice folder = slice_before_last(file, '/');
	const int fd = server->watching.watch.fd;
	char path[4096 + 1];

	(void)snprintf(path, sizeof(path), "%.*s%s", SLICE_FMT(folder),
	        folder.len > 0   ? ""
	        : file[0] == '/' ? "/"
	                         : ".");
	(void)inotify_add_watch(fd, file, EVENTS);
	if (inotify_add_watch(fd, path, EVENTS | IN_ONLYDIR) < 0) {
		log_line(LOG_WARNING,
		        "watch: changes in %.512s will not be seen: %s; send SIGHUP for them", path,
		        strerrordesc_np(errno));
	}
}

/* ── Life ────────────────────────────────────────────────────────────────── */

void watching_init(struct server *server)
{
	server->watching.watch.fd = -1;
}

void watching_end(struct server *server)
{
	if (server->watching.watch.fd >= 0) {
		(void)close(server->watching.watch.fd);
		server->watching.watch.fd = -1;
	}
}

void watching_begin(struct server *server)
{
	struct watching *watching = &server->watching;
	struct loop *loop = worker_loop(server->threads[0]->worker);

	watching_end(server);
	if (!server_config(server)->watch) {
		return;
	}
	if (watching->queue.duration_ns == 0) {
		timer_queue_init(loop, &watching->queue, LOOK_MS * NS_PER_MS);
		timer_init(&watching->timer, look_due);
		look_first(server);
	}
	watching->watch = (struct watch){
	        .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .ready = something_happened};
	if (watching->watch.fd < 0 || loop_add(loop, &watching->watch, EPOLLIN) < 0) {
		log_line(LOG_ERR, "watch: changes of files will not be seen: %s; send SIGHUP",
		        strerrordesc_np(errno));
		watching_end(server);
		return;
	}
	config_each_file(server_config(server), watch_file, server);
	/* What has changed since the files were read is seen by the next look. */
	look_later(server);
}
