/* SPDX-License-Identifier: MIT */
/* The verb healthcheck. */
#include "health/health.h"

#include "base/clock.h"
#include "health/client.h"
#include "health/target.h"

#include <stdio.h>
#include <unistd.h>

enum { TIMEOUT_S = 5 };

static int judge_answer(const char *address, int fd, int64_t deadline)
{
	const struct slice request =
	        SLICE("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	struct client_answer answer;
	const int r = client_ask(fd, request, CLIENT_ALL, &answer, deadline);

	if (r < 0) {
		(void)fprintf(stderr, "unhealthy: no whole answer from %s within %d seconds: %s\n",
		        address, TIMEOUT_S, strerrordesc_np(-r));
	} else if (answer.status == 0) {
		(void)fprintf(
		        stderr, "unhealthy: what answers at %s does not speak HTTP\n", address);
	} else if (answer.status != 200) {
		client_print_refusal("unhealthy", address, &answer);
	}
	return r == 0 && answer.status == 200 ? 0 : 1;
}

static int check(const char *address)
{
	const int64_t deadline = clock_monotonic_ns() + TIMEOUT_S * NS_PER_S;
	const struct targets targets = targets_of(slice_of(address));

	if (targets.count == 0) {
		(void)fprintf(stderr,
		        "healthcheck: '%s' is neither tcp://HOST:PORT nor unix:///PATH\n", address);
		return 1;
	}
	const int fd = client_connect(targets.addresses, targets.count, deadline);
	if (fd < 0) {
		(void)fprintf(stderr, "unhealthy: cannot connect to %s: %s\n", address,
		        strerrordesc_np(-fd));
		return 1;
	}
	const int code = judge_answer(address, fd, deadline);
	(void)close(fd);
	return code;
}

static int check_server(void)
{
	struct arena arena = {.chunks = NULL};
	struct config config = {.listener_count = 0};
	char error[FAULT_MAX];
	int code = 1;

	if (config_of_server(&arena, &config, error) == 0) {
		code = check(config.listeners[0].address);
	} else {
		(void)fprintf(stderr,
		        "healthcheck: where the proxy listens cannot be read: %s; healthcheck ADDR "
		        "needs no configuration\n",
		        error);
	}
	config_free(&config);
	arena_free(&arena);
	return code;
}

int health_check(const char *address)
{
	return address != NULL ? check(address) : check_server();
}
