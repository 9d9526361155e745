/* SPDX-License-Identifier: MIT */
/*
 * client — a blocking HTTP client: one connection, one request, one answer.
 *
 * Every call that waits takes a deadline on the monotonic clock, in
 * nanoseconds, and returns -ETIMEDOUT when it passes.
 */
#ifndef HEALTH_CLIENT_H
#define HEALTH_CLIENT_H

#include "base/check.h"
#include "base/slice.h"

#include <stdint.h>
#include <sys/types.h>

enum { CLIENT_ANSWER_MAX = 4096 }; /* bytes of a head and what is kept of a body */

union address;

struct client_answer {
	char bytes[CLIENT_ANSWER_MAX];
	size_t len;
	unsigned status; /* 0: what came is not HTTP */
};

/* How much of an answer is waited for. */
enum client_extent {
	CLIENT_HEAD, /* up to the end of its head; a part of the body may have come with it */
	CLIENT_ALL,  /* up to the end of the connection, or until the memory is full */
};

/* A connection to the first of the addresses that accepts one; otherwise the errno of the first,
 * negative. */
int client_connect(const union address *addresses, unsigned count, int64_t deadline) MUST_USE;
/* Send `request` and read its answer; 0 or -errno. */
int client_ask(int fd, struct slice request, enum client_extent extent,
        struct client_answer *ret_answer, int64_t deadline) MUST_USE;
/* Bytes read, 0 at the end, or -errno. */
ssize_t client_read(int fd, char *memory, size_t len, int64_t deadline) MUST_USE;

/* The part of the answer behind its head; empty without a whole head. */
struct slice client_body(const struct client_answer *answer);
/* "ADDRESS answers STATUS: BODY" on standard error: one line, with nothing in it that a terminal
 * acts upon. */
void client_print_refusal(const char *who, const char *address, const struct client_answer *answer);

#endif
