/* SPDX-License-Identifier: MIT */
#include "admin/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ACCEPTS_PER_TURN = 4, /* a handshake costs as much as a hundred requests of clients */
	PAUSE_MS = 100,
	RETRY_MS = 20,
	TICK_S = 1,
};

static const int64_t durations_ns[ADMIN_STATES] = {
        [ADMIN_HANDSHAKE] = 10 * NS_PER_S,
        [ADMIN_IDLE] = 120 * NS_PER_S, /* longer than Prometheus waits between two scrapes */
        [ADMIN_HEAD] = 10 * NS_PER_S,
        [ADMIN_PROBE] = 2 * NS_PER_S, /* less than Prometheus waits for a scrape */
        [ADMIN_AWAIT] = 60 * NS_PER_S,
        [ADMIN_SEND] = 30 * NS_PER_S,
        [ADMIN_EVENTS] = 60 * NS_PER_S, /* for one piece; longer than between two signs of life */
        [ADMIN_LINGER] = 2 * NS_PER_S,
};

/* ── Accepting ───────────────────────────────────────────────────────────── */

/* Without descriptors or memory: look away for a moment instead of spinning. */
static void pause_accepting(struct admin *admin)
{
	loop_remove(admin->loop, &admin->watch);
	timer_start(admin->loop, &admin->pause_queue, &admin->pause);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct admin *admin = CONTAINER_OF(watch, struct admin, watch);

	(void)events;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		const int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			admin_open(admin, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		           errno == ENOBUFS) {
			pause_accepting(admin);
			return;
		} else if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO) {
			return;
		}
	}
}

static void pause_expired(struct timer *timer)
{
	struct admin *admin = CONTAINER_OF(timer, struct admin, pause);

	if (loop_add(admin->loop, &admin->watch, EPOLLIN) < 0) {
		timer_start(admin->loop, &admin->pause_queue, timer);
	}
}

/* ── Life ────────────────────────────────────────────────────────────────── */

int admin_new(struct loop *loop, const struct admin_settings *settings, struct admin **ret_admin)
{
	struct admin *admin = calloc(1, sizeof(*admin));

	if (admin == NULL) {
		(void)close(settings->fd);
		return -ENOMEM;
	}
	admin->settings = *settings;
	admin->loop = loop;
	admin->watch = (struct watch){.fd = settings->fd, .ready = listener_ready};
	list_init(&admin->connections);
	for (unsigned i = 0; i < ADMIN_STATES; i++) {
		timer_queue_init(loop, &admin->deadlines[i], durations_ns[i]);
	}
	timer_queue_init(loop, &admin->pause_queue, PAUSE_MS * NS_PER_MS);
	timer_queue_init(loop, &admin->retry_queue, RETRY_MS * NS_PER_MS);
	timer_queue_init(loop, &admin->tick_queue, TICK_S * NS_PER_S);
	timer_init(&admin->tick, admin_tick);
	timer_init(&admin->pause, pause_expired);
	const int error = loop_add(loop, &admin->watch, EPOLLIN);
	if (error < 0) {
		admin_free(admin);
		return error;
	}
	*ret_admin = admin;
	return 0;
}

bool admin_engine_is_up(const struct admin *admin, const char **ret_why)
{
	*ret_why = admin->engine_why;
	return admin->engine_up;
}

void admin_stopping(struct admin *admin)
{
	if (admin != NULL) {
		admin->stopping = true;
	}
}

void admin_free(struct admin *admin)
{
	if (admin == NULL) {
		return;
	}
	struct list *at = admin->connections.next;
	while (at != &admin->connections) {
		struct admin_connection *connection =
		        CONTAINER_OF(at, struct admin_connection, link);
		at = at->next;
		admin_close(connection);
		list_remove(&connection->deferred_free.link);
		free(connection);
	}
	if (admin->watch.fd >= 0) {
		(void)close(admin->watch.fd);
	}
	free(admin);
}
