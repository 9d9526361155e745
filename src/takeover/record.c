/* SPDX-License-Identifier: MIT */
/* Records between two processes, with descriptors beside them (unix(7), SCM_RIGHTS). */
#include "takeover/takeover.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

int takeover_send(int connection, const struct takeover_record *record, int passed)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = {.bytes = ""};
	struct iovec bytes = {.iov_base = (void *)(uintptr_t)record, .iov_len = sizeof(*record)};
	struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

	if (passed >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int));
		*(int *)(void *)CMSG_DATA(rights) = passed;
	}
	/* The sandbox allows these flags and no others. */
	const ssize_t n = sendmsg(connection, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		return -errno;
	}
	/* The kernel takes so short a message whole or not at all. */
	return n == (ssize_t)sizeof(*record) ? 0 : -EIO;
}

int takeover_receive(int connection, struct takeover_record *record, size_t *len)
{
	while (*len < sizeof(*record)) {
		const ssize_t n = recv(
		        connection, (char *)record + *len, sizeof(*record) - *len, MSG_DONTWAIT);
		if (n <= 0) {
			return n == 0 ? -EPIPE : -errno;
		}
		*len += (size_t)n;
	}
	return 0;
}
