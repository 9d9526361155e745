/* SPDX-License-Identifier: MIT */
/* The new process: it asks, takes what comes, and says when it serves. */
#include "base/clock.h"
#include "takeover/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	HEAD_MAX = 2048,    /* bytes of the head, and of the body of a refusal */
	BUSY_S = 15,        /* how long a busy process is asked again */
	BUSY_WAIT_MS = 100, /* between two questions */
};

static const char request[] = "POST " TAKEOVER_PATH " HTTP/1.1\r\n"
                              "Host: docker-socket-proxy\r\n"
                              "Connection: Upgrade\r\n"
                              "Upgrade: " TAKEOVER_PROTOCOL "\r\n"
                              "\r\n";

/* ── Asking ──────────────────────────────────────────────────────────────── */

/* Whoever listens there: root, or the user that this process is. */
static int check_peer(int connection, int *ret_process, const char *path, char error[FAULT_MAX])
{
	struct ucred peer = {.pid = 0};
	socklen_t len = sizeof(peer);

	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		return fault_set(error, NOWHERE, "--takeover: cannot tell who listens at '%s': %s",
		        path, strerrordesc_np(errno));
	}
	if (peer.uid != 0 && peer.uid != geteuid()) {
		return fault_set(error, NOWHERE,
		        "--takeover: user %u listens at '%s': sockets are taken from root and from "
		        "the own user alone",
		        peer.uid, path);
	}
	*ret_process = peer.pid;
	return 0;
}

static int connect_to(const char *path, char error[FAULT_MAX])
{
	const struct timeval wait = {.tv_sec = TAKEOVER_STEP_S};
	const union address address = address_of_path(slice_of(path));
	const int fd = address_connect(&address, &wait);

	return fd >= 0 ? fd
	               : fault_set(error, NOWHERE,
	                         "--takeover: cannot connect to the admin listener at '%s': %s",
	                         path, strerrordesc_np(-fd));
}

/*
 * Up to the empty line, a byte at a time: behind it come records with descriptors, which a longer
 * read would lose. True if it is whole.
 */
static bool read_head(int connection, struct text *head)
{
	while (!head->overflow) {
		char byte;
		if (recv(connection, &byte, 1, 0) != 1) {
			return false;
		}
		text_add_char(head, byte);
		if (head->len >= 4 && memcmp(head->ptr + head->len - 4, "\r\n\r\n", 4) == 0) {
			return true;
		}
	}
	return false;
}

/* What a refusal says: {"message":"…"}. */
static struct slice read_refusal(int connection, struct text *body)
{
	static const char front[] = "{\"message\":\"";
	char byte;

	while (!body->overflow && recv(connection, &byte, 1, 0) == 1 && byte != '\n') {
		text_add_char(body, byte);
	}
	const struct slice text = text_slice(body);
	if (text.len < sizeof(front) + 1 || memcmp(text.ptr, front, sizeof(front) - 1) != 0) {
		return SLICE("it does not say why");
	}
	return (struct slice){text.ptr + sizeof(front) - 1, text.len - sizeof(front) - 1};
}

int takeover_switch(int connection, const char *path, char error[FAULT_MAX])
{
	char memory[2][HEAD_MAX];
	struct text head = text_over(memory[0], HEAD_MAX);
	struct text body = text_over(memory[1], HEAD_MAX);
	const ssize_t len = (ssize_t)sizeof(request) - 1;

	if (send(connection, request, (size_t)len, MSG_NOSIGNAL) != len ||
	        !read_head(connection, &head) || head.len < sizeof("HTTP/1.1 101") - 1) {
		return fault_set(error, NOWHERE,
		        "--takeover: the process at '%s' does not answer: %s", path,
		        strerrordesc_np(errno));
	}
	const struct slice status = {head.ptr + sizeof("HTTP/1.1 ") - 1, 3};
	if (slice_equal(status, SLICE("101"))) {
		return 0;
	}
	(void)fault_set(error, NOWHERE,
	        "--takeover: the process at '%s' refuses with status %.*s: %s", path,
	        SLICE_FMT(status), text_show(read_refusal(connection, &body)).text);
	return slice_equal(status, SLICE("503")) ? -EAGAIN : -EINVAL;
}

/* A connection after the 101, or as takeover_switch(). */
static int ask_once(const char *path, int *ret_process, char error[FAULT_MAX])
{
	const int connection = connect_to(path, error);

	if (connection < 0) {
		return -EINVAL;
	}
	int failed = check_peer(connection, ret_process, path, error);
	if (failed == 0) {
		failed = takeover_switch(connection, path, error);
	}
	if (failed < 0) {
		(void)close(connection);
		return failed;
	}
	return connection;
}

/* ── Taking ──────────────────────────────────────────────────────────────── */

/* The descriptor beside a message; -1: there is none. Any further one would have been cut off. */
static int descriptor_of(struct msghdr *message)
{
	const struct cmsghdr *rights = CMSG_FIRSTHDR(message);

	return rights != NULL && rights->cmsg_level == SOL_SOCKET &&
	                       rights->cmsg_type == SCM_RIGHTS &&
	                       rights->cmsg_len == CMSG_LEN(sizeof(int))
	               ? *(const int *)(const void *)CMSG_DATA(rights)
	               : -1;
}

/* 0, or -errno and no descriptor is open. */
static int receive(int connection, struct takeover_record *record, int *ret_fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control;
	struct iovec bytes = {.iov_base = record, .iov_len = sizeof(*record)};
	struct msghdr message = {
	        .msg_iov = &bytes,
	        .msg_iovlen = 1,
	        .msg_control = control.bytes,
	        .msg_controllen = sizeof(control.bytes),
	};
	const ssize_t n = recvmsg(connection, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);

	*ret_fd = n > 0 ? descriptor_of(&message) : -1;
	if (n == (ssize_t)sizeof(*record) && (message.msg_flags & MSG_CTRUNC) == 0) {
		return 0;
	}
	const int error = n < 0 ? -errno : -EPROTO;
	if (*ret_fd >= 0) {
		(void)close(*ret_fd);
	}
	*ret_fd = -1;
	return error;
}

static int option(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

/* Whether it is what its record says: the service manager's, or one to which clients connect. */
static bool is_sound(struct taken_socket *taken)
{
	socklen_t len = sizeof(taken->address);

	if (taken->kind == TAKEOVER_NOTIFY) {
		return option(taken->fd, SO_TYPE) == SOCK_DGRAM &&
		       option(taken->fd, SO_DOMAIN) == AF_UNIX;
	}
	if (option(taken->fd, SO_TYPE) != SOCK_STREAM || option(taken->fd, SO_ACCEPTCONN) != 1 ||
	        getsockname(taken->fd, &taken->address.any, &len) < 0) {
		return false;
	}
	const int family = taken->address.any.sa_family;
	return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

/* 0 or -EPROTO; `fd` is the list's, or closed. */
static int keep(struct taken *taken, const struct takeover_record *record, int fd)
{
	struct taken_socket *socket = &taken->list[taken->count];

	if (fd < 0 || taken->count == TAKEOVER_SOCKETS_MAX || record->kind < TAKEOVER_LISTENER ||
	        record->kind > TAKEOVER_NOTIFY || record->name[TAKEOVER_NAME_MAX] != '\0') {
		if (fd >= 0) {
			(void)close(fd);
		}
		return -EPROTO;
	}
	*socket = (struct taken_socket){.fd = fd, .kind = (enum takeover_kind)record->kind};
	struct text name = text_over(socket->name, TAKEOVER_NAME_MAX);
	text_add(&name, slice_of(record->name));
	taken->count++;
	if (socket->kind == TAKEOVER_NOTIFY) {
		taken->watchdog_ns = record->number > INT64_MAX ? 0 : (int64_t)record->number;
	}
	return is_sound(socket) ? 0 : -EPROTO;
}

int takeover_take(struct taken *taken)
{
	struct takeover_record record;

	for (unsigned i = 0; i <= TAKEOVER_SOCKETS_MAX; i++) {
		int fd = -1;
		int error = receive(taken->connection, &record, &fd);
		if (error == 0 && record.kind == TAKEOVER_END && fd < 0) {
			return record.number == taken->count ? 0 : -EPROTO;
		}
		error = error == 0 ? keep(taken, &record, fd) : error;
		if (error < 0) {
			return error;
		}
	}
	return -EPROTO;
}

struct taken *takeover_ask(const char *path, char error[FAULT_MAX])
{
	const int64_t until_ns = clock_monotonic_ns() + BUSY_S * NS_PER_S;
	const struct timespec pause = {.tv_nsec = BUSY_WAIT_MS * NS_PER_MS};
	struct taken *taken = calloc(1, sizeof(*taken));

	if (taken == NULL) {
		(void)fault_memory(error);
		return NULL;
	}
	for (;;) {
		taken->connection = ask_once(path, &taken->process, error);
		if (taken->connection != -EAGAIN || clock_monotonic_ns() > until_ns) {
			break;
		}
		(void)nanosleep(&pause, NULL);
	}
	const int failed = taken->connection < 0 ? taken->connection : takeover_take(taken);
	if (failed == 0) {
		return taken;
	}
	if (taken->connection >= 0) {
		(void)fault_set(error, NOWHERE,
		        "--takeover: the process at '%s' did not hand over its sockets: %s", path,
		        strerrordesc_np(-failed));
	}
	takeover_free(taken);
	return NULL;
}

/* ── The end ─────────────────────────────────────────────────────────────── */

bool takeover_finish(struct taken *taken, char error[FAULT_MAX])
{
	struct takeover_record record = {.kind = TAKEOVER_READY};

	for (unsigned i = 0; i < taken->count; i++) {
		if (taken->list[i].used) {
			takeover_set(&record, i);
		}
	}
	int failed = takeover_send(taken->connection, &record, -1);
	if (failed == 0) {
		/* Not recvmsg(), which the sandbox refuses: no descriptor comes in any more. */
		const ssize_t n = recv(taken->connection, &record, sizeof(record), MSG_WAITALL);
		failed = n == (ssize_t)sizeof(record) ? 0 : n < 0 ? -errno : -EPIPE;
	}
	if (failed == 0 && record.kind == TAKEOVER_GO) {
		return true;
	}
	(void)fault_set(error, NOWHERE, "process %d did not say that it accepts no more: %s",
	        taken->process, strerrordesc_np(failed == 0 ? EPROTO : -failed));
	return false;
}

void takeover_close(struct taken *taken)
{
	if (taken == NULL) {
		return;
	}
	for (unsigned i = 0; i < taken->count; i++) {
		if (taken->list[i].fd >= 0) {
			(void)close(taken->list[i].fd);
			taken->list[i].fd = -1;
		}
	}
	if (taken->connection >= 0) {
		(void)close(taken->connection);
		taken->connection = -1;
	}
}

void takeover_free(struct taken *taken)
{
	takeover_close(taken);
	free(taken);
}
