/* SPDX-License-Identifier: MIT */
#include "health/probe.h"

#include "base/clock.h"
#include "health/secure.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum {
	US_PER_S = 1000 * 1000,
	REQUEST_MAX = 2560,
	RESPONSE_MAX = 4096, /* bytes of a head and what is kept of a body */
	SHOWN_MAX = 1024,    /* bytes of a body in a message */
};

struct response {
	const struct probe *probe;
	const char *target; /* in messages */
	int fd;
	struct secure *secure;    /* NULL: the target does not speak TLS */
	int64_t deadline;         /* on the monotonic clock, in ns */
	char bytes[RESPONSE_MAX]; /* head, and the body as far as it is here */
	size_t len;
};

/* ── Waiting ─────────────────────────────────────────────────────────────── */

/* The time up to `deadline`, or -ETIMEDOUT. */
static int time_left(int64_t deadline, struct timeval *ret_wait)
{
	const int64_t left = deadline - clock_monotonic_ns();
	const int64_t us = left / 1000 + 1; /* 0 would mean for ever */

	*ret_wait = (struct timeval){us / US_PER_S, us % US_PER_S};
	return left > 0 ? 0 : -ETIMEDOUT;
}

static int connect_to_any(const struct targets *targets, int64_t deadline)
{
	int first_error = -EADDRNOTAVAIL;

	for (unsigned i = 0; i < targets->count; i++) {
		struct timeval wait;
		int r = time_left(deadline, &wait);
		r = r < 0 ? r : address_connect(&targets->addresses[i], &wait);
		if (r >= 0) {
			return r;
		}
		r = r == -EAGAIN || r == -EINPROGRESS ? -ETIMEDOUT : r;
		first_error = i == 0 ? r : first_error;
	}
	return first_error;
}

/* Bytes read, 0 at the end of the connection, or -errno. */
static ssize_t read_some(const struct response *response, char *memory, size_t len)
{
	for (;;) {
		struct timeval wait;
		const int r = time_left(response->deadline, &wait);
		if (r < 0) {
			return r;
		}
		(void)setsockopt(response->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
		if (response->secure != NULL) {
			return secure_read(response->secure, memory, len);
		}
		const ssize_t n = recv(response->fd, memory, len, 0);
		if (n >= 0 || errno != EINTR) {
			return n >= 0 ? n : errno == EAGAIN ? -ETIMEDOUT : -errno;
		}
	}
}

/* ── The response ────────────────────────────────────────────────────────── */

static int fail(const struct response *response, const char *problem, int error)
{
	(void)fprintf(stderr, "%s: %s %s%s%s\n", response->probe->who, response->target, problem,
	        error != 0 ? ": " : "", error != 0 ? strerrordesc_np(error) : "");
	return 1;
}

/* What came behind the head; ptr NULL: the head is not complete. */
static struct slice body_of(const struct response *response)
{
	const char *end = memmem(response->bytes, response->len, "\r\n\r\n", 4);

	return end == NULL ? (struct slice){NULL, 0}
	                   : slice_between(end + 4, response->bytes + response->len);
}

/* Up to the end of the head or, with `whole`, of the connection or the memory. 0, or -errno. */
static int receive(struct response *response, bool whole)
{
	while (response->len < RESPONSE_MAX && (whole || body_of(response).ptr == NULL)) {
		const ssize_t n = read_some(
		        response, response->bytes + response->len, RESPONSE_MAX - response->len);
		if (n <= 0) {
			return (int)n;
		}
		response->len += (size_t)n;
	}
	return 0;
}

/* The status of "HTTP/1.1 200 OK"; 0: it is not HTTP. */
static unsigned status_of(const struct response *response)
{
	const struct slice line = {response->bytes, response->len};
	uint64_t status = 0;

	if (line.len < sizeof("HTTP/1.1 200") - 1 || !slice_starts_with(line, SLICE("HTTP/1.")) ||
	        line.ptr[8] != ' ' ||
	        slice_to_u64((struct slice){line.ptr + 9, 3}, 999, &status) < 0) {
		return 0;
	}
	return (unsigned)status;
}

/* One line, with nothing in it that a terminal acts upon. */
static int refuse(const struct response *response, unsigned status)
{
	char shown[SHOWN_MAX] = "";
	const struct slice body = {shown, text_keep(shown, sizeof(shown), body_of(response))};

	for (size_t i = 0; i < body.len; i++) {
		shown[i] = shown[i] >= 0x20 && shown[i] < 0x7f ? shown[i] : ' ';
	}
	(void)fprintf(stderr, "%s: %s responds with %u: %.*s\n", response->probe->who,
	        response->target, status, SLICE_FMT(slice_trim(body)));
	return 1;
}

/* What has come of the body, and what still comes. */
static int print_body(const struct response *response)
{
	struct slice part = body_of(response);
	char memory[RESPONSE_MAX];
	ssize_t n = 0;

	do {
		if (fwrite(part.ptr, 1, part.len, stdout) != part.len) {
			return 1;
		}
		n = read_some(response, memory, sizeof(memory));
		part = (struct slice){memory, n > 0 ? (size_t)n : 0};
	} while (n > 0);
	return n == 0 && fflush(stdout) == 0 ? 0 : 1;
}

static int judge(struct response *response)
{
	const struct probe *probe = response->probe;
	const unsigned status = status_of(response);
	const bool bad = status >= probe->bad_status;
	const int r = bad || probe->wanted != NULL ? receive(response, true) : 0;
	const struct slice body = body_of(response);

	if (status == 0 || body.ptr == NULL) {
		return fail(response, "does not speak HTTP", 0);
	}
	if (r < 0) {
		return fail(response, "sends no complete response", -r);
	}
	if (bad) {
		return refuse(response, status);
	}
	if (probe->wanted != NULL) {
		return memmem(body.ptr, body.len, probe->wanted, strlen(probe->wanted)) == NULL;
	}
	return probe->print ? print_body(response) : 0;
}

/* ── The request ─────────────────────────────────────────────────────────── */

static int ask(struct response *response)
{
	char memory[REQUEST_MAX];
	struct text request = text_over(memory, sizeof(memory));

	/* An HTTP/1.0 client is sent no chunks. */
	text_add_format(&request, "%s %.*s HTTP/1.0\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
	        response->probe->method, SLICE_FMT(response->probe->path));
	if (request.overflow) {
		return fail(response, "is not checked: the path is too long", 0);
	}
	/* A fresh connection takes this much at once. */
	const ssize_t sent = response->secure != NULL
	                             ? secure_write(response->secure, request.ptr, request.len)
	                             : send(response->fd, request.ptr, request.len, MSG_NOSIGNAL);
	if (sent != (ssize_t)request.len) {
		return fail(response, "takes no request", errno);
	}
	const int r = receive(response, false);
	if (r == -EKEYREJECTED) {
		return 0; /* it demands a certificate, and is well */
	}
	return r < 0 ? fail(response, "sends no complete response", -r) : judge(response);
}

/* Over TLS, if the target speaks it. */
static int ask_target(struct response *response)
{
	if (!address_is_tls(response->target)) {
		return ask(response);
	}
	response->secure = secure_new(response->fd);
	if (response->secure == NULL) {
		return fail(response, "does not speak TLS 1.3", 0);
	}
	const int code = ask(response);
	secure_free(response->secure);
	return code;
}

int probe_run(const struct probe *probe, const struct targets *targets)
{
	struct response response = {
	        .probe = probe,
	        .target = targets->name,
	        .deadline = clock_monotonic_ns() + probe->timeout_s * NS_PER_S,
	};

	response.fd = connect_to_any(targets, response.deadline);
	if (response.fd < 0) {
		return fail(&response, "cannot be connected to", -response.fd);
	}
	const int code = probe->connect_only ? 0 : ask_target(&response);
	(void)close(response.fd);
	return code;
}
