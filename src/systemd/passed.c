/* SPDX-License-Identifier: MIT */
#include "systemd/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST = 3 }; /* SD_LISTEN_FDS_START */

/* ── One socket ──────────────────────────────────────────────────────────── */

/* An option of the socket that is a whole number; -1: it is no socket. */
static int option(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

/* Why clients cannot connect to it, as the end of a sentence; NULL: they can. */
static const char *socket_problem(int fd, const union address *address)
{
	const int family = address->any.sa_family;

	if (option(fd, SO_TYPE) < 0) {
		return "it is not a socket: the socket unit may have ListenStream= only";
	}
	if (option(fd, SO_TYPE) != SOCK_STREAM ||
	        (family != AF_INET && family != AF_INET6 && family != AF_UNIX)) {
		return "it is not a stream socket of TCP or unix: the socket unit may have "
		       "ListenStream= only";
	}
	if (option(fd, SO_ACCEPTCONN) != 1) {
		return "it does not listen: the socket unit must have Accept=no";
	}
	return NULL;
}

static int take_socket(
        int fd, struct slice name, struct passed_socket *ret_socket, char error[FAULT_MAX])
{
	socklen_t len = sizeof(ret_socket->address);

	*ret_socket = (struct passed_socket){.fd = fd, .name = name};
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		return fault_set(error, NOWHERE,
		        "LISTEN_FDS: descriptor %d was not passed: it is not open", fd);
	}
	(void)getsockname(fd, &ret_socket->address.any, &len);
	const char *problem = socket_problem(fd, &ret_socket->address);
	if (problem != NULL) {
		return fault_set(error, NOWHERE, "LISTEN_FDS: descriptor %d ('%s'): %s", fd,
		        text_show(name).text, problem);
	}
	return 0;
}

/* ── The variables ───────────────────────────────────────────────────────── */

/* The value of a variable, which is then removed; empty: it is not set. */
static struct slice take_variable(const char *name)
{
	const char *value = getenv(name);
	const struct slice text = slice_of(value != NULL ? value : "");

	/* One thread; the bytes stay. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	(void)unsetenv(name);
	return text;
}

static int take_all(
        struct passed *passed, unsigned count, struct slice names, char error[FAULT_MAX])
{
	const bool named = names.len > 0;
	struct slice name = SLICE("unknown");

	for (unsigned i = 0; i < count; i++) {
		if (named && !slice_next(&names, ':', &name)) {
			return fault_set(error, NOWHERE,
			        "LISTEN_FDNAMES has %u names, but LISTEN_FDS=%u", i, count);
		}
		if (take_socket(FIRST + (int)i, name, &passed->list[i], error) < 0) {
			return -EINVAL;
		}
		passed->count++;
	}
	return named && names.ptr != NULL
	               ? fault_set(error, NOWHERE,
	                         "LISTEN_FDNAMES has more names than LISTEN_FDS=%u", count)
	               : 0;
}

int passed_take(struct passed *ret_passed, char error[FAULT_MAX])
{
	const struct slice process = take_variable("LISTEN_PID");
	const struct slice sockets = take_variable("LISTEN_FDS");
	const struct slice names = take_variable("LISTEN_FDNAMES");
	uint64_t pid = 0;
	uint64_t count = 0;

	*ret_passed = (struct passed){.count = 0};
	if (sockets.len == 0) {
		return 0;
	}
	if (slice_to_u64(process, INT32_MAX, &pid) < 0) {
		return fault_set(error, NOWHERE,
		        "LISTEN_PID: '%s' is not the number of a process; the manager of the "
		        "service sets it together with LISTEN_FDS",
		        text_show(process).text);
	}
	if (pid != (uint64_t)getpid()) {
		ret_passed->other = (long)pid;
		return 0;
	}
	if (slice_to_u64(sockets, PASSED_MAX, &count) < 0) {
		return fault_set(error, NOWHERE,
		        "LISTEN_FDS: '%s' is not a number of sockets: at most %d are accepted",
		        text_show(sockets).text, PASSED_MAX);
	}
	return take_all(ret_passed, (unsigned)count, names, error);
}

void passed_close(struct passed *passed)
{
	for (unsigned i = 0; i < passed->count; i++) {
		if (passed->list[i].fd >= 0) {
			(void)close(passed->list[i].fd);
			passed->list[i].fd = -1;
		}
	}
}

void passed_add(const struct passed *passed, unsigned i, struct text *text)
{
	const struct passed_socket *socket = &passed->list[i];

	text_add_format(text, "%u ('%s', ", FIRST + i, text_show(socket->name).text);
	address_add(&socket->address, text);
	text_add_char(text, ')');
}
