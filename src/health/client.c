/* SPDX-License-Identifier: MIT */
#include "health/client.h"

#include "address/address.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

enum { SHOWN_MAX = 1024 }; /* bytes of an answer's body */

/* ── Waiting ─────────────────────────────────────────────────────────────── */

/* The time up to `deadline`, or -ETIMEDOUT: it has passed. */
static int time_left(int64_t deadline, struct timeval *ret_wait)
{
	const int64_t left = deadline - clock_monotonic_ns();

	if (left <= 0) {
		return -ETIMEDOUT;
	}
	ret_wait->tv_sec = left / NS_PER_S;
	ret_wait->tv_usec = left % NS_PER_S / 1000 + 1; /* 0 would mean for ever */
	return 0;
}

/* Let the next call on the socket wait until `deadline` at most; -ETIMEDOUT: it has passed. */
static int limit_wait(int fd, int64_t deadline)
{
	struct timeval wait;
	const int r = time_left(deadline, &wait);

	if (r < 0) {
		return r;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
	        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0) {
		return -errno;
	}
	return 0;
}

/* What errno says after a call that limit_wait() limited. */
static int wait_errno(void)
{
	return errno == EAGAIN || errno == EINPROGRESS ? -ETIMEDOUT : -errno;
}

/* ── Connecting ──────────────────────────────────────────────────────────── */

static int connect_to(const union address *address, int64_t deadline)
{
	struct timeval wait;
	const int r = time_left(deadline, &wait);
	const int fd = r < 0 ? r : address_connect(address, &wait);

	return fd == -EAGAIN || fd == -EINPROGRESS ? -ETIMEDOUT : fd;
}

int client_connect(const union address *addresses, unsigned count, int64_t deadline)
{
	int first_error = -EADDRNOTAVAIL;

	for (unsigned i = 0; i < count; i++) {
		const int fd = connect_to(&addresses[i], deadline);
		if (fd >= 0) {
			return fd;
		}
		first_error = i == 0 ? fd : first_error;
	}
	return first_error;
}

/* ── Asking ──────────────────────────────────────────────────────────────── */

static int send_request(int fd, struct slice request, int64_t deadline)
{
	const int r = limit_wait(fd, deadline);

	if (r < 0) {
		return r;
	}
	/* A fresh connection takes this much at once. */
	const ssize_t n = send(fd, request.ptr, request.len, MSG_NOSIGNAL);
	if (n < 0) {
		return wait_errno();
	}
	return (size_t)n == request.len ? 0 : -EIO;
}

ssize_t client_read(int fd, char *memory, size_t len, int64_t deadline)
{
	for (;;) {
		const int r = limit_wait(fd, deadline);
		if (r < 0) {
			return r;
		}
		const ssize_t n = recv(fd, memory, len, 0);
		if (n >= 0 || errno != EINTR) {
			return n >= 0 ? n : wait_errno();
		}
	}
}

/* The end of the head, or NULL. */
static const char *head_end(const struct client_answer *answer)
{
	const char *end = memmem(answer->bytes, answer->len, "\r\n\r\n", 4);

	return end == NULL ? NULL : end + 4;
}

/* The status of "HTTP/1.1 200 OK", or 0 when that is not what it looks like. */
static unsigned read_status(const struct client_answer *answer)
{
	const struct slice bytes = {answer->bytes, answer->len};
	uint64_t status;

	if (bytes.len < sizeof("HTTP/1.1 200") - 1 || !slice_starts_with(bytes, SLICE("HTTP/1.")) ||
	        bytes.ptr[8] != ' ' ||
	        slice_to_u64((struct slice){bytes.ptr + 9, 3}, 999, &status) < 0) {
		return 0;
	}
	return (unsigned)status;
}

static int read_answer(
        int fd, enum client_extent extent, struct client_answer *answer, int64_t deadline)
{
	while (answer->len < sizeof(answer->bytes) &&
	        (extent == CLIENT_ALL || head_end(answer) == NULL)) {
		const ssize_t n = client_read(fd, answer->bytes + answer->len,
		        sizeof(answer->bytes) - answer->len, deadline);
		if (n <= 0) {
			return (int)n;
		}
		answer->len += (size_t)n;
	}
	return 0;
}

int client_ask(int fd, struct slice request, enum client_extent extent,
        struct client_answer *ret_answer, int64_t deadline)
{
	ret_answer->len = 0;
	int r = send_request(fd, request, deadline);
	if (r == 0) {
		r = read_answer(fd, extent, ret_answer, deadline);
	}
	ret_answer->status = read_status(ret_answer);
	return r;
}

/* ── Answers ─────────────────────────────────────────────────────────────── */

struct slice client_body(const struct client_answer *answer)
{
	const char *begin = head_end(answer);

	return begin == NULL ? (struct slice){answer->bytes, 0}
	                     : slice_between(begin, answer->bytes + answer->len);
}

void client_print_refusal(const char *who, const char *address, const struct client_answer *answer)
{
	char shown[SHOWN_MAX] = "";
	const struct slice body = {shown, text_keep(shown, sizeof(shown), client_body(answer))};

	for (size_t i = 0; i < body.len; i++) {
		shown[i] = shown[i] >= 0x20 && shown[i] < 0x7f ? shown[i] : ' ';
	}
	(void)fprintf(stderr, "%s: %s answers %u: %.*s\n", who, address, answer->status,
	        SLICE_FMT(slice_trim(body)));
}
