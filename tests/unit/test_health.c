/* SPDX-License-Identifier: MIT */
/*
 * The verb healthcheck against a server that says what the test tells it to:
 * what decides over restarts of a container.
 */
#include "cases.h"

#include "health/health.h"

#include "base/check.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEALTHY "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"status\":\"healthy\"}"

static const char request[] = "GET /health HTTP/1.0\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
static char said[4096];

/* The exit code; what it wrote to standard error is in `said`. */
static int check(const char *address)
{
	FILE *file = tmpfile();
	const int err = dup(STDERR_FILENO);

	assert_non_null(file);
	assert_true(err >= 0);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	const int code = health_check(address);
	assert_true(dup2(err, STDERR_FILENO) >= 0);
	(void)close(err);
	rewind(file);
	said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
	(void)fclose(file);
	return code;
}

/* Accept once, read one request, which has to be the right one, and send `response`. */
static pid_t serve_once(int listener, struct slice response)
{
	const pid_t child = fork();

	assert_true(child >= 0);
	if (child > 0) {
		(void)close(listener);
		return child;
	}
	char got[sizeof(request)];
	size_t len = 0;
	const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (len < sizeof(request) - 1) {
		const ssize_t n = read(fd, got + len, sizeof(request) - 1 - len);
		if (n <= 0) {
			end_child(1);
		}
		len += (size_t)n;
	}
	end_child(memcmp(got, request, len) == 0 &&
	                          write(fd, response.ptr, response.len) == (ssize_t)response.len
	                  ? 0
	                  : 1);
}

/* A listener on loopback; its port. */
static int listen_tcp(int family, unsigned *ret_port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr_in in4 = {
	        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const void *address = family == AF_INET ? (const void *)&in4 : (const void *)&in6;
	socklen_t len = family == AF_INET ? sizeof(in4) : sizeof(in6);

	if (fd < 0 || bind(fd, address, len) < 0) {
		return -1; /* a machine without IPv6 */
	}
	assert_int_equal(listen(fd, 1), 0);
	len = sizeof(in6);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in6, &len), 0);
	*ret_port = ntohs(in6.sin6_port); /* at the same place in both */
	return fd;
}

static void expect_served(pid_t server)
{
	int status;

	assert_int_equal(waitpid(server, &status, 0), server);
	assert_int_equal(status, 0);
}

/* Check a server on 127.0.0.1 that gives this response. */
static int check_response(struct slice response, unsigned *ret_port)
{
	char address[64];
	const int listener = listen_tcp(AF_INET, ret_port);

	assert_true(listener >= 0);
	const pid_t server = serve_once(listener, response);
	(void)snprintf(address, sizeof(address), "tcp://127.0.0.1:%u", *ret_port);
	const int code = check(address);
	expect_served(server);
	return code;
}

static void two_hundred_is_healthy_and_silent(void **state)
{
	unsigned port;

	(void)state;
	assert_int_equal(check_response(SLICE(HEALTHY), &port), 0);
	assert_string_equal(said, "");
}

static void another_status_is_shown_with_its_reason_on_one_line(void **state)
{
	unsigned port;
	char wanted[256];

	(void)state;
	assert_int_equal(check_response(SLICE("HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\n"
	                                      "{\"message\":\"Engine\x1b[31m down\"}\n"),
	                         &port),
	        1);
	(void)snprintf(wanted, sizeof(wanted),
	        "unhealthy: tcp://127.0.0.1:%u responds with 503: {\"message\":\"Engine [31m "
	        "down\"}\n",
	        port);
	assert_string_equal(said, wanted);
}

static void what_is_no_http_is_not_healthy(void **state)
{
	static const char *const responses[] = {"", "H", "HTTP/1.1 20", "HTTP/1.1 2OO OK\r\n\r\n",
	        "SSH-2.0-OpenSSH 200\r\n", "HTTP/1.1x200 OK\r\n\r\n"};
	unsigned port;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(responses); i++) {
		assert_int_equal(check_response(slice_of(responses[i]), &port), 1);
		assert_non_null(strstr(said, "does not speak HTTP\n"));
	}
}

static void all_interfaces_means_loopback_of_either_version(void **state)
{
	static const char *const hosts[] = {"", "*", "localhost", "0.0.0.0", "[::]"};
	static const int families[] = {AF_INET, AF_INET6};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(hosts) * ARRAY_LEN(families); i++) {
		char address[64];
		unsigned port;
		const int listener = listen_tcp(families[i % 2], &port);
		if (listener < 0) {
			continue;
		}
		const pid_t server = serve_once(listener, SLICE(HEALTHY));
		(void)snprintf(address, sizeof(address), "tcp://%s:%u", hosts[i / 2], port);
		assert_int_equal(check(address), 0);
		expect_served(server);
	}
}

static void a_unix_socket_is_asked_too(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char folder[] = "/tmp/test-health-XXXXXX";
	char text[64];
	const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
	assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	const pid_t server = serve_once(listener, SLICE(HEALTHY));
	(void)snprintf(text, sizeof(text), "unix://%s/s", folder);
	assert_int_equal(check(text), 0);
	expect_served(server);
	assert_int_equal(unlink(address.sun_path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void nobody_listening_is_said(void **state)
{
	char address[64];
	char wanted[128];
	unsigned port;
	const int listener = listen_tcp(AF_INET, &port);

	(void)state;
	assert_int_equal(close(listener), 0);
	(void)snprintf(address, sizeof(address), "tcp://127.0.0.1:%u", port);
	(void)snprintf(wanted, sizeof(wanted),
	        "unhealthy: %s cannot be connected to: Connection refused\n", address);
	assert_int_equal(check(address), 1);
	assert_string_equal(said, wanted);
}

static void what_is_no_address_is_said(void **state)
{
	static const char *const addresses[] = {"", "tcp://", "tcp://localhost",
	        "tcp://localhost:x", "tcp://example.org:1", "unix://", "http://localhost:1"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(addresses); i++) {
		assert_int_equal(check(addresses[i]), 1);
		assert_non_null(strstr(
		        said, "is neither tcp://HOST:PORT, tls://HOST:PORT nor unix:///PATH\n"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(two_hundred_is_healthy_and_silent),
	        cmocka_unit_test(another_status_is_shown_with_its_reason_on_one_line),
	        cmocka_unit_test(what_is_no_http_is_not_healthy),
	        cmocka_unit_test(all_interfaces_means_loopback_of_either_version),
	        cmocka_unit_test(a_unix_socket_is_asked_too),
	        cmocka_unit_test(nobody_listening_is_said),
	        cmocka_unit_test(what_is_no_address_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
