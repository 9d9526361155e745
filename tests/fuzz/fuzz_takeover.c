/* SPDX-License-Identifier: MIT */
/*
 * A hand-over with another process that sends anything. By the first byte, this process is
 *
 *   the old one: READY comes in pieces, and is whole when all of it is there
 *   the new one: an answer comes, and records with descriptors of all kinds beside them. What is
 *                taken is what its record says, and no descriptor stays open.
 */
#include "fuzz.h"
#include "input.h"

#include "takeover/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	INPUT_MAX = 32 * 1024,
	PASSED_TWO = 6, /* descriptors in one message, which no process of ours sends */
};

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\n\r\n"

/* ── Descriptors ─────────────────────────────────────────────────────────── */

static int listening(int family)
{
	const struct sockaddr any = {.sa_family = (sa_family_t)family};
	struct sockaddr_in loopback = {
	        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int bound = family == AF_UNIX
	                          ? bind(fd, &any, sizeof(any.sa_family))
	                          : bind(fd, (struct sockaddr *)&loopback, sizeof(loopback));

	ASSERT(fd >= 0 && bound == 0 && listen(fd, 1) == 0);
	return fd;
}

/* Of each kind one: what is handed over, and what is not. */
static const int *kinds(void)
{
	static int list[PASSED_TWO];

	if (list[0] == 0) {
		list[0] = listening(AF_INET);
		list[1] = listening(AF_UNIX);
		list[2] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		list[3] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		list[4] = eventfd(0, EFD_CLOEXEC);
		list[5] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	}
	return list;
}

/* The number that the next descriptor would have. */
static int lowest(void)
{
	const int fd = eventfd(0, EFD_CLOEXEC);

	ASSERT(fd >= 0 && close(fd) == 0);
	return fd;
}

/* ── The other process ───────────────────────────────────────────────────── */

static void send_bytes(int to, struct slice bytes, unsigned kind)
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr aligned;
	} control = {.bytes = ""};
	struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes.ptr, .iov_len = bytes.len};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	const size_t count = kind == PASSED_TWO ? 2 : kind < PASSED_TWO ? 1 : 0;

	if (count > 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(rights), &kinds()[kind == PASSED_TWO ? 0 : kind],
		        count * sizeof(int));
	}
	if (bytes.len > 0) {
		(void)sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* A record, whose fields the input says; or its next bytes. */
static void send_message(int to, struct input *input)
{
	const unsigned how = next(input);
	const unsigned kind = how % 8;

	if ((how & 8) != 0) {
		send_bytes(to, next_bytes(input, 1 + next(input)), kind);
		return;
	}
	struct takeover_record record = {.kind = next(input) % 9, .number = next(input)};
	const struct slice name = next_bytes(input, (how & 16) != 0 ? next(input) + 1 : 4);
	memcpy(record.name, name.ptr, name.len);
	send_bytes(to, (struct slice){(const char *)&record, sizeof(record)}, kind);
}

/* ── The new process ─────────────────────────────────────────────────────── */

static void check_socket(const struct taken_socket *socket)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	ASSERT(socket->kind >= TAKEOVER_LISTENER && socket->kind <= TAKEOVER_NOTIFY);
	ASSERT(memchr(socket->name, '\0', sizeof(socket->name)) != NULL);
	ASSERT(getsockopt(socket->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0);
	ASSERT((listens == 1) == (socket->kind != TAKEOVER_NOTIFY));
}

static void be_new(struct input *input, bool switches)
{
	struct taken *taken = calloc(1, sizeof(*taken));
	char error[FAULT_MAX];
	int pair[2];

	ASSERT(taken != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	taken->connection = pair[0];
	if (switches) {
		send_bytes(pair[1], SLICE(SWITCHING), PASSED_TWO + 1);
	}
	while (input->len > 0) {
		send_message(pair[1], input);
	}
	ASSERT(shutdown(pair[1], SHUT_WR) == 0);
	int failed = takeover_switch(taken->connection, "/run/admin.sock", error);
	ASSERT(failed == 0 || memchr(error, '\0', FAULT_MAX) != NULL);
	failed = failed == 0 ? takeover_take(taken) : failed;
	ASSERT(taken->count <= TAKEOVER_SOCKETS_MAX);
	for (unsigned i = 0; failed == 0 && i < taken->count; i++) {
		check_socket(&taken->list[i]);
	}
	takeover_free(taken);
	ASSERT(close(pair[1]) == 0);
}

/* ── The old process ─────────────────────────────────────────────────────── */

static void be_old(struct input *input)
{
	struct takeover_record ready;
	size_t len = 0, sent = 0;
	int pair[2];
	int result = -EAGAIN;

	ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	while (result == -EAGAIN && input->len > 0) {
		const struct slice bytes = next_bytes(input, 1 + next(input));
		send_bytes(pair[1], bytes, PASSED_TWO + 1);
		sent += bytes.len;
		result = takeover_receive(pair[0], &ready, &len);
		ASSERT((result == 0) == (sent >= sizeof(ready)));
	}
	ASSERT(close(pair[1]) == 0);
	if (result == -EAGAIN) {
		ASSERT(takeover_receive(pair[0], &ready, &len) == -EPIPE);
	}
	for (unsigned i = 0; result == 0 && i < TAKEOVER_SOCKETS_MAX; i++) {
		(void)takeover_has(&ready, i);
	}
	ASSERT(close(pair[0]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};

	if (size == 0 || size > INPUT_MAX) {
		return 0;
	}
	(void)kinds();
	const int before = lowest();
	const unsigned how = next(&input);
	if ((how & 1) != 0) {
		be_old(&input);
	} else {
		be_new(&input, (how & 2) != 0);
	}
	ASSERT(lowest() == before);
	return 0;
}
