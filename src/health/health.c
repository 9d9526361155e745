/* SPDX-License-Identifier: MIT */
#include "health/health.h"

#include "address/address.h"
#include "base/clock.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	TIMEOUT_S = 5,
	ANSWER_MAX = 4096, /* bytes */
	SHOWN_MAX = 1024,  /* bytes of the answer's body */
	TARGETS_MAX = 2,
};

struct answer {
	char bytes[ANSWER_MAX];
	size_t len;
};

/* All interfaces and `localhost` are loopback, of either version. */
static bool means_loopback(struct slice text, const union address *address)
{
	return address_is_any(address) || slice_starts_with(text, SLICE("tcp://localhost:"));
}

/* Where an address leads, in the order to try; 0: it is not an address. */
static unsigned find_targets(struct slice text, union address targets[TARGETS_MAX])
{
	union address *first = &targets[0];

	if (address_parse(text, first) != NULL) {
		return 0;
	}
	if (!means_loopback(text, first)) {
		return 1;
	}
	/* The port is at the same place in both. */
	targets[1] = (union address){.ip6 = {.sin6_family = AF_INET6,
	                                     .sin6_port = first->ip6.sin6_port,
	                                     .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
	first->ip4 = (struct sockaddr_in){.sin_family = AF_INET,
	        .sin_port = first->ip6.sin6_port,
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return TARGETS_MAX;
}

/* Let the next call on the socket wait until `deadline` at most; -ETIMEDOUT: it has passed. */
static int limit_wait(int fd, int64_t deadline)
{
	const int64_t left = deadline - clock_monotonic_ns();

	if (left <= 0) {
		return -ETIMEDOUT;
	}
	/* Zero would mean for ever. */
	const struct timeval wait = {
	        .tv_sec = left / NS_PER_S,
	        .tv_usec = left % NS_PER_S / 1000 + 1,
	};
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

static int connect_to(const union address *target, int64_t deadline)
{
	const int fd = socket(target->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -errno;
	}
	int r = limit_wait(fd, deadline);
	if (r == 0 && connect(fd, &target->any, address_len(target)) < 0) {
		r = wait_errno();
	}
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}

static int send_request(int fd, int64_t deadline)
{
	const struct slice request =
	        SLICE("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
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

static int read_answer(int fd, struct answer *answer, int64_t deadline)
{
	while (answer->len < sizeof(answer->bytes)) {
		const int r = limit_wait(fd, deadline);
		if (r < 0) {
			return r;
		}
		const ssize_t n = recv(
		        fd, answer->bytes + answer->len, sizeof(answer->bytes) - answer->len, 0);
		if (n == 0) {
			break;
		}
		if (n < 0 && errno != EINTR) {
			return wait_errno();
		}
		answer->len += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* The status of "HTTP/1.1 200 OK", or 0 when that is not what it looks like. */
static unsigned answer_status(const struct answer *answer)
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

/* The body on one line, with nothing in it that a terminal would act upon. */
static void print_body(const char *address, unsigned status, struct answer *answer)
{
	const char *head_end = memmem(answer->bytes, answer->len, "\r\n\r\n", 4);
	struct slice body = {answer->bytes, 0};

	if (head_end != NULL) {
		body = slice_between(head_end + 4, answer->bytes + answer->len);
	}
	body.len = body.len < SHOWN_MAX ? body.len : SHOWN_MAX;
	for (char *c = answer->bytes; c < answer->bytes + answer->len; c++) {
		*c = *c >= 0x20 && *c < 0x7f ? *c : ' ';
	}
	body = slice_trim(body);
	(void)fprintf(stderr, "unhealthy: %s answers %u: %.*s\n", address, status, SLICE_FMT(body));
}

static int judge_answer(const char *address, int fd, int64_t deadline)
{
	struct answer answer = {.len = 0};
	int r = send_request(fd, deadline);

	if (r == 0) {
		r = read_answer(fd, &answer, deadline);
	}
	const unsigned status = answer_status(&answer);
	if (r < 0) {
		(void)fprintf(stderr, "unhealthy: no whole answer from %s within %d seconds: %s\n",
		        address, TIMEOUT_S, strerrordesc_np(-r));
	} else if (status == 0) {
		(void)fprintf(
		        stderr, "unhealthy: what answers at %s does not speak HTTP\n", address);
	} else if (status != 200) {
		print_body(address, status, &answer);
	}
	return r == 0 && status == 200 ? 0 : 1;
}

int health_check(const char *address)
{
	const int64_t deadline = clock_monotonic_ns() + TIMEOUT_S * NS_PER_S;
	union address targets[TARGETS_MAX];
	const unsigned count = find_targets(slice_of(address), targets);
	int first_error = 0;

	if (count == 0) {
		(void)fprintf(stderr,
		        "healthcheck: '%s' is neither tcp://HOST:PORT nor unix:///PATH\n", address);
		return 1;
	}
	for (unsigned i = 0; i < count; i++) {
		const int fd = connect_to(&targets[i], deadline);
		if (fd >= 0) {
			const int code = judge_answer(address, fd, deadline);
			(void)close(fd);
			return code;
		}
		first_error = first_error < 0 ? first_error : fd;
	}
	(void)fprintf(stderr, "unhealthy: cannot connect to %s: %s\n", address,
	        strerrordesc_np(-first_error));
	return 1;
}
