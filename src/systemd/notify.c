/* SPDX-License-Identifier: MIT */
#include "systemd/notify.h"

#include "address/address.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* The address of NOTIFY_SOCKET, and its length; 0: it is none. */
static socklen_t parse_address(const char *value, union address *ret_address)
{
	const struct slice text = slice_of(value);

	if (text.len == 0 || text.len >= sizeof(ret_address->path.sun_path) ||
	        (text.ptr[0] != '/' && text.ptr[0] != '@')) {
		return 0;
	}
	*ret_address = address_of_path(text);
	if (text.ptr[0] != '@') {
		return address_len(ret_address);
	}
	/* unix(7): the name of an abstract socket begins with NUL and has no end but the length. */
	ret_address->path.sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + text.len);
}

static int connect_to(const char *value)
{
	const struct timeval wait = {.tv_usec = 100 * 1000};
	union address address;
	const socklen_t len = parse_address(value, &address);

	if (len == 0) {
		return -EINVAL;
	}
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
	        connect(fd, &address.any, len) == 0) {
		return fd;
	}
	const int error = -errno;
	if (fd >= 0) {
		(void)close(fd);
	}
	return error;
}

/* WATCHDOG_USEC, if it is meant for this process. */
static int64_t read_watchdog(void)
{
	const char *process = getenv("WATCHDOG_PID");
	const char *interval = getenv("WATCHDOG_USEC");
	uint64_t pid = (uint64_t)getpid();
	uint64_t us = 0;

	if (interval == NULL ||
	        (process != NULL && slice_to_u64(slice_of(process), INT32_MAX, &pid) < 0) ||
	        slice_to_u64(slice_of(interval), INT64_MAX / 1000, &us) < 0) {
		return 0;
	}
	return pid == (uint64_t)getpid() ? (int64_t)us * 1000 : 0;
}

void notify_open(struct notifier *ret_notifier)
{
	static const char *const variables[] = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"};
	const char *value = getenv("NOTIFY_SOCKET");

	*ret_notifier = (struct notifier){.fd = -1};
	if (value != NULL && value[0] != '\0') {
		ret_notifier->fd = connect_to(value);
		ret_notifier->watchdog_ns = read_watchdog();
	}
	if (value != NULL && ret_notifier->fd < -1) {
		log_line(LOG_WARNING,
		        "NOTIFY_SOCKET: '%s' cannot be told that the proxy serves: %s",
		        text_show(slice_of(value)).text,
		        ret_notifier->fd == -EINVAL ? "it is neither a path nor a name after '@'"
		                                    : strerrordesc_np(-ret_notifier->fd));
	}
	for (unsigned i = 0; i < ARRAY_LEN(variables); i++) {
		/* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
		(void)unsetenv(variables[i]);
	}
	if (ret_notifier->fd < 0) {
		*ret_notifier = (struct notifier){.fd = -1};
	}
}

void notify_send(const struct notifier *notifier, const char *lines, bool patient)
{
	const int flags = MSG_NOSIGNAL | (patient ? 0 : MSG_DONTWAIT);

	if (notifier->fd >= 0) {
		(void)send(notifier->fd, lines, strlen(lines), flags);
	}
}

void notify_close(struct notifier *notifier)
{
	if (notifier->fd >= 0) {
		(void)close(notifier->fd);
		notifier->fd = -1;
	}
}
