/* SPDX-License-Identifier: MIT */
/*
 * handing — the old process of a hand-over: gives its listening sockets away, and goes on until the
 * new one says that it serves.
 *
 * NONE → SENDING → WAITING → OVER, or back to NONE whatever fails before. Nothing here waits: it
 * happens in the loop of the first thread, between the sessions of clients.
 *
 * A signal that stops this process does not wait for the other one. Once that has all sockets, it
 * will serve whatever becomes of this process: the files are left to it, and so is the service
 * manager, before it says READY.
 */
#include "base/clock.h"
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                "Connection: Upgrade\r\n"
                                "Upgrade: " TAKEOVER_PROTOCOL "\r\n"
                                "\r\n";

static struct server *server_of(struct handing *handing)
{
	return CONTAINER_OF(handing, struct server, handing);
}

static struct loop *loop_of(struct server *server)
{
	return worker_loop(server->threads[0]->worker);
}

/* ── What is handed over ─────────────────────────────────────────────────── */

/* Threads share sockets: each is handed over once. False: there are too many. */
static bool add(struct handing *handing, enum takeover_kind kind, int fd, const char *name)
{
	struct stat found;

	if (fd < 0 || fstat(fd, &found) < 0) {
		return true;
	}
	for (unsigned i = 0; i < handing->count; i++) {
		if (handing->list[i].number == found.st_ino) {
			return true;
		}
	}
	if (handing->count == TAKEOVER_SOCKETS_MAX) {
		return false;
	}
	handing->list[handing->count++] = (struct handed){kind, fd, found.st_ino, name};
	return true;
}

/* The name with which the service manager passed the socket. */
static const char *name_of_passed(const struct server *server, int fd, char *memory)
{
	union address address = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t len = sizeof(address);
	struct text name = text_over(memory, TAKEOVER_NAME_MAX);

	(void)getsockname(fd, &address.any, &len);
	for (unsigned i = 0; i < server->passed.count; i++) {
		const struct passed_socket *socket = &server->passed.list[i];
		if (memcmp(&socket->address, &address, address_len(&address)) == 0) {
			text_add(&name, socket->name);
			break;
		}
	}
	memory[name.len] = '\0';
	return memory;
}

static bool add_thread(struct handing *handing, const struct thread *thread)
{
	const struct acceptors *acceptors = &thread->acceptors;

	for (unsigned i = 0; i < acceptors->count; i++) {
		const struct acceptor *acceptor = &acceptors->list[i];
		const struct snapshot *snapshot = thread->server->snapshot;
		const unsigned number = snapshot_find_listener(snapshot, acceptor->id);
		const bool known = number < snapshot->listener_count;
		if (known &&
		        !add(handing, acceptor->is_passed ? TAKEOVER_PASSED : TAKEOVER_LISTENER,
		                acceptor->watch.fd, snapshot->listeners[number].address)) {
			return false;
		}
	}
	return true;
}

/* No thread opens or closes a socket meanwhile: reloads wait for the end of a hand-over. */
static bool collect(struct server *server)
{
	struct handing *handing = &server->handing;

	handing->count = 0;
	handing->list = calloc(TAKEOVER_SOCKETS_MAX, sizeof(handing->list[0]));
	if (handing->list == NULL) {
		return false;
	}
	for (unsigned i = 0; i < server->thread_count; i++) {
		if (!add_thread(handing, server->threads[i])) {
			return false;
		}
	}
	return add(handing, TAKEOVER_ADMIN, admin_socket(server->admin), "admin") &&
	       add(handing, TAKEOVER_NOTIFY, server->manager.notifier.fd, "notify");
}

/* ── The end of an attempt ───────────────────────────────────────────────── */

static void let_go(struct handing *handing)
{
	timer_stop(&handing->deadline);
	if (handing->watch.fd >= 0) {
		loop_remove(loop_of(server_of(handing)), &handing->watch);
		(void)close(handing->watch.fd);
		handing->watch.fd = -1;
	}
	free(handing->list);
	handing->list = NULL;
}

static void fail(struct handing *handing, const char *what, int error)
{
	struct server *server = server_of(handing);

	if (handing_is_over(server)) { /* this process stops in any case */
		log_line(LOG_ERR,
		        "process %d has the listening sockets, and does not serve: %s: %s",
		        handing->process, what, strerrordesc_np(-error));
		let_go(handing);
		return;
	}
	log_line(LOG_ERR,
	        "the hand-over to process %d failed, and this one goes on: %s: %s; the log of that "
	        "process says why it ended",
	        handing->process, what, strerrordesc_np(-error));
	let_go(handing);
	handing->state = HANDING_NONE;
	threads_look(server);
	reload_continue(server);
}

static void too_late(struct timer *timer)
{
	fail(CONTAINER_OF(timer, struct handing, deadline), "it does not say that it serves",
	        -ETIMEDOUT);
}

/* ── The other process serves ────────────────────────────────────────────── */

/* Of a socket that was handed over; NULL: it has none of this process. */
static const char *file_of(const struct server *server, const struct handed *handed)
{
	if (handed->kind == TAKEOVER_LISTENER) {
		return address_path(handed->name);
	}
	return handed->kind == TAKEOVER_ADMIN
	               ? address_path(
	                         snapshot_config(server->admin_snapshot)->admin.listener.address)
	               : NULL;
}

/* The files of sockets that the other process does not use. */
static void remove_unused(const struct server *server)
{
	const struct handing *handing = &server->handing;

	for (unsigned i = 0; i < handing->count; i++) {
		const char *path = file_of(server, &handing->list[i]);
		if (path != NULL && !takeover_has(&handing->ready, i)) {
			(void)unlink(path);
		}
	}
}

static unsigned count_used(const struct handing *handing)
{
	unsigned used = 0;

	for (unsigned i = 0; i < handing->count; i++) {
		used += takeover_has(&handing->ready, i) ? 1 : 0;
	}
	return used;
}

/* From now on, files, operators and the service manager are the other process's. */
static void leave(struct server *server)
{
	server->handing.state = HANDING_OVER;
	server->stopping = true;
	release_end(server);
	prober_end(server);
	watching_end(server);
	reload_abandon(server);
	admin_hand_over(server->admin);
	manager_leave(server, server->handing.process);
}

static void end_well(struct handing *handing)
{
	struct server *server = server_of(handing);
	const struct takeover_record go = {.kind = TAKEOVER_GO};
	const bool stops = handing_is_over(server);

	log_line(LOG_NOTICE,
	        "process %d has taken over, with %u of %u sockets; connections and streams of this "
	        "one may continue for %u s",
	        handing->process, count_used(handing), handing->count,
	        stops ? server_config(server)->shutdown_grace
	              : server_config(server)->drain_timeout);
	remove_unused(server);
	if (!stops) {
		leave(server);
		threads_drain(server);
	}
	const int error = takeover_send(handing->watch.fd, &go, -1);
	if (error < 0) { /* it serves all the same */
		log_line(LOG_WARNING, "process %d cannot be told that this one accepts no more: %s",
		        handing->process, strerrordesc_np(-error));
	}
	let_go(handing);
}

/* ── Sending and waiting ─────────────────────────────────────────────────── */

static int send_head(struct handing *handing)
{
	const size_t len = sizeof(switching) - 1;
	const ssize_t n = send(handing->watch.fd, switching, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n != (ssize_t)len) {
		return n < 0 ? -errno : -EIO;
	}
	handing->switched = true;
	return 0;
}

static int send_one(struct handing *handing)
{
	const struct handed *handed = &handing->list[handing->sent];
	struct takeover_record record = {.kind = (uint32_t)handed->kind};
	struct server *server = server_of(handing);
	char memory[TAKEOVER_NAME_MAX + 1];
	const char *name = handed->kind == TAKEOVER_PASSED
	                           ? name_of_passed(server, handed->fd, memory)
	                           : handed->name;
	struct text text = text_over(record.name, TAKEOVER_NAME_MAX);

	text_add(&text, slice_of(name));
	if (handed->kind == TAKEOVER_NOTIFY) {
		record.number = (uint64_t)server->manager.notifier.watchdog_ns;
	}
	const int error = takeover_send(handing->watch.fd, &record, handed->fd);
	handing->sent += error == 0 ? 1 : 0;
	return error;
}

/* 0 when all is sent. */
static int send_all(struct handing *handing)
{
	const struct takeover_record end = {.kind = TAKEOVER_END, .number = handing->count};
	int error = handing->switched ? 0 : send_head(handing);

	while (error == 0 && handing->sent < handing->count) {
		error = send_one(handing);
	}
	return error == 0 ? takeover_send(handing->watch.fd, &end, -1) : error;
}

/* 0: all is sent, and the other process is waited for. */
static int send_rest(struct handing *handing)
{
	struct loop *loop = loop_of(server_of(handing));
	const int error = send_all(handing);

	if (error < 0) {
		return error;
	}
	handing->state = HANDING_WAITING;
	timer_start(loop, &handing->ready_queue, &handing->deadline);
	return loop_change(loop, &handing->watch, EPOLLIN);
}

static void go_on_sending(struct handing *handing)
{
	const int error = send_rest(handing);

	if (error < 0 && error != -EAGAIN) {
		fail(handing, "it does not take them", error);
	}
}

static void go_on_waiting(struct handing *handing)
{
	const int error = takeover_receive(handing->watch.fd, &handing->ready, &handing->ready_len);

	if (error == -EAGAIN) {
		return;
	}
	if (error == 0 && handing->ready.kind == TAKEOVER_READY) {
		end_well(handing);
	} else {
		fail(handing, "it has left", error == 0 ? -EPROTO : error);
	}
}

bool handing_stop(struct server *server)
{
	struct handing *handing = &server->handing;

	if (handing->state == HANDING_SENDING) {
		(void)send_rest(handing); /* it may fit now */
	}
	if (handing->state == HANDING_SENDING) {
		log_line(LOG_WARNING,
		        "the hand-over to process %d ends: it has taken %u of %u sockets",
		        handing->process, handing->sent, handing->count);
		let_go(handing);
		handing->state = HANDING_NONE;
	}
	if (handing->state == HANDING_WAITING) {
		log_line(LOG_NOTICE,
		        "process %d has the listening sockets, and does not say yet that it "
		        "serves: their files are left to it",
		        handing->process);
		leave(server);
	}
	return handing_is_over(server);
}

static void connection_ready(struct watch *watch, uint32_t events)
{
	struct handing *handing = CONTAINER_OF(watch, struct handing, watch);

	(void)events;
	if (handing->state == HANDING_SENDING) {
		go_on_sending(handing);
	} else {
		go_on_waiting(handing);
	}
}

/* ── Beginning ───────────────────────────────────────────────────────────── */

/* Why it cannot begin; NULL: it can. */
static const char *find_reason(const struct server *server)
{
	if (server->stopping) {
		return "the process is stopping";
	}
	if (handing_goes_on(server)) {
		return "another hand-over is in progress";
	}
	if (server_config(server)->verb == CONFIG_LEARN) {
		return "the process is learning: what it has learned is not handed over";
	}
	return server->reload.state == RELOAD_NONE ? NULL : "a reload is in progress";
}

unsigned handing_begin(void *context, int fd, int process, const char **ret_message)
{
	struct server *server = context;
	struct handing *handing = &server->handing;
	struct loop *loop = loop_of(server);
	const bool may_wait = server->reload.state != RELOAD_NONE && !server->stopping;

	*ret_message = find_reason(server);
	if (*ret_message != NULL) {
		(void)close(fd);
		return may_wait ? 503 : 409;
	}
	handing->watch = (struct watch){.fd = fd, .ready = connection_ready};
	handing->process = process;
	handing->switched = false;
	handing->sent = 0;
	handing->ready_len = 0;
	if (!collect(server) || loop_add(loop, &handing->watch, EPOLLOUT) < 0) {
		*ret_message = "there is no memory, or there are too many sockets";
		(void)close(fd);
		handing->watch.fd = -1;
		let_go(handing);
		return 409;
	}
	handing->state = HANDING_SENDING;
	timer_start(loop, &handing->step_queue, &handing->deadline);
	log_line(LOG_NOTICE, "process %d asks for the listening sockets: %u", process,
	        handing->count);
	return 0;
}

/* ── Life ────────────────────────────────────────────────────────────────── */

void handing_init(struct server *server)
{
	struct handing *handing = &server->handing;
	struct loop *loop = loop_of(server);

	handing->watch.fd = -1;
	timer_queue_init(loop, &handing->ready_queue, TAKEOVER_READY_S * NS_PER_S);
	timer_queue_init(loop, &handing->step_queue, TAKEOVER_STEP_S * NS_PER_S);
	timer_init(&handing->deadline, too_late);
}

void handing_end(struct server *server)
{
	struct handing *handing = &server->handing;

	if (handing->list != NULL) {
		(void)close(handing->watch.fd);
		free(handing->list);
	}
}
