/* SPDX-License-Identifier: MIT */
/*
 * What the stand-in Engine, the floor and the load generator share: a body that both ends can
 * compute, a message that is sent without building it whole, and a reader of chunked framing.
 *
 * Everything here trusts its peer: these programs speak to each other on loopback, never to
 * anybody else.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define BODY_CHUNK   32768 /* dockerd and the docker client both write tars in 32 KiB chunks */
#define BLOCK_CHUNKS 8
#define BLOCK_BODY   (BODY_CHUNK * BLOCK_CHUNKS)
#define SCRATCH_SIZE (256 * 1024)

_Noreturn static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
	exit(1);
}

static inline void *must_alloc(size_t size)
{
	void *memory = calloc(1, size);

	if (memory == NULL) {
		die("calloc");
	}
	return memory;
}

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t parse_number(const char *option, const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (end == text || *end != '\0') {
		fprintf(stderr, "%s: \"%s\" is not a number\n", option, text);
		exit(2);
	}
	return value;
}

/* 10,000 connections need more than the usual soft limit of 1,024 descriptors. */
static inline void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* ---- The body: byte i of any body is pattern[i % BODY_CHUNK], so either end can check it. ---- */

static unsigned char pattern[BODY_CHUNK];

static inline void pattern_init(void)
{
	uint32_t state = 2463534242u;

	for (size_t i = 0; i < sizeof(pattern); i++) {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		pattern[i] = (unsigned char)('!' + state % 94);
	}
}

static inline bool pattern_matches(uint64_t offset, const char *data, size_t length)
{
	while (length > 0) {
		size_t start = offset % BODY_CHUNK;
		size_t part = length < BODY_CHUNK - start ? length : BODY_CHUNK - start;

		if (memcmp(data, pattern + start, part) != 0) {
			return false;
		}
		data += part;
		offset += part;
		length -= part;
	}
	return true;
}

/* ---- A message: a head, one block sent `blocks` times over, a tail. ---- */

struct message {
	const char *head;
	size_t head_length;
	const char *block;
	size_t block_length;
	uint64_t blocks;
	const char *tail;
	size_t tail_length;
};

struct sending {
	const struct message *message;
	uint64_t left;     /* pieces not sent yet: head, each block, tail */
	size_t piece_sent; /* bytes of the current piece already sent */
};

enum sent { SENT_ALL, SENT_BLOCKED, SENT_FAILED };

static inline void sending_start(struct sending *sending, const struct message *message)
{
	sending->message = message;
	sending->left = message->blocks + 2;
	sending->piece_sent = 0;
}

static inline const char *sending_piece(const struct sending *sending, size_t *length)
{
	const struct message *message = sending->message;

	if (sending->left == message->blocks + 2) {
		*length = message->head_length;
		return message->head;
	}
	if (sending->left == 1) {
		*length = message->tail_length;
		return message->tail;
	}
	*length = message->block_length;
	return message->block;
}

static inline enum sent sending_go_on(struct sending *sending, int fd)
{
	while (sending->left > 0) {
		size_t length;
		const char *piece = sending_piece(sending, &length);

		if (sending->piece_sent < length) {
			ssize_t sent = send(fd, piece + sending->piece_sent,
			        length - sending->piece_sent, MSG_NOSIGNAL);

			if (sent < 0 && errno == EAGAIN) {
				return SENT_BLOCKED;
			}
			if (sent < 0) {
				return SENT_FAILED;
			}
			sending->piece_sent += (size_t)sent;
		}
		if (sending->piece_sent == length) {
			sending->left--;
			sending->piece_sent = 0;
		}
	}
	return SENT_ALL;
}

/* BLOCK_BODY bytes of body, plain or as BLOCK_CHUNKS chunks. */
static inline char *block_make(bool chunked, size_t *length)
{
	char *block = must_alloc(BLOCK_BODY + BLOCK_CHUNKS * 8);
	char *end = block;

	for (int i = 0; i < BLOCK_CHUNKS; i++) {
		if (chunked) {
			end = mempcpy(end, "8000\r\n", 6);
		}
		end = mempcpy(end, pattern, BODY_CHUNK);
		if (chunked) {
			end = mempcpy(end, "\r\n", 2);
		}
	}
	*length = (size_t)(end - block);
	return block;
}

/* ---- Reading a body, of known length or chunked. ---- */

enum body_state { BODY_DATA, BODY_SIZE, BODY_SIZE_END, BODY_DATA_END, BODY_TRAILER, BODY_DONE };

struct body {
	enum body_state state;
	bool chunked;
	bool check;    /* compare with the pattern */
	bool broken;   /* framing or (with check) content is not what was sent */
	int line;      /* bytes of the current trailer line */
	uint64_t left; /* of the body, or of the current chunk */
	uint64_t read; /* decoded bytes so far */
};

static inline void body_start(struct body *body, bool chunked, uint64_t length, bool check)
{
	*body = (struct body){.chunked = chunked, .left = length, .check = check};
	if (chunked) {
		body->state = BODY_SIZE;
	} else if (length == 0) {
		body->state = BODY_DONE;
	}
}

static inline size_t body_take_data(struct body *body, const char *data, size_t length)
{
	size_t part = length < body->left ? length : (size_t)body->left;

	if (body->check && !pattern_matches(body->read, data, part)) {
		body->broken = true;
	}
	body->read += part;
	body->left -= part;
	if (body->left == 0) {
		body->state = body->chunked ? BODY_DATA_END : BODY_DONE;
	}
	return part;
}

static inline void body_take_size_digit(struct body *body, char c)
{
	if (c >= '0' && c <= '9') {
		body->left = body->left * 16 + (uint64_t)(c - '0');
	} else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
		body->left = body->left * 16 + (uint64_t)((c | 32) - 'a' + 10);
	} else if (c == '\r') {
		body->state = BODY_SIZE_END;
	} else {
		body->broken = true;
	}
}

static inline void body_take_framing(struct body *body, char c)
{
	switch (body->state) {
	case BODY_SIZE:
		body_take_size_digit(body, c);
		break;
	case BODY_SIZE_END:
		body->state = body->left > 0 ? BODY_DATA : BODY_TRAILER;
		body->line = 0;
		break;
	case BODY_DATA_END:
		if (c == '\n') {
			body->state = BODY_SIZE;
			body->left = 0;
		}
		break;
	case BODY_TRAILER:
		if (c == '\n' && body->line == 0) {
			body->state = BODY_DONE;
		} else if (c == '\n') {
			body->line = 0;
		} else if (c != '\r') {
			body->line++;
		}
		break;
	case BODY_DATA:
	case BODY_DONE:
		break;
	}
}

/* Returns how many of the bytes belonged to this body. */
static inline size_t body_feed(struct body *body, const char *data, size_t length)
{
	size_t used = 0;

	while (used < length && body->state != BODY_DONE && !body->broken) {
		if (body->state == BODY_DATA) {
			used += body_take_data(body, data + used, length - used);
		} else {
			body_take_framing(body, data[used++]);
		}
	}
	return used;
}

/* ---- Heads. ---- */

/* The length of the head with its empty line, or 0 while it is not complete. */
static inline size_t head_length(const char *data, size_t length)
{
	const char *end = memmem(data, length, "\r\n\r\n", 4);

	return end == NULL ? 0 : (size_t)(end - data) + 4;
}

struct framing {
	bool chunked;
	bool close;
	uint64_t length;
	bool has_length;
};

static inline bool line_starts(const char *line, const char *end, const char *name, size_t length)
{
	return (size_t)(end - line) > length && strncasecmp(line, name, length) == 0;
}

/* Only the three fields that say where a message ends; `head` is complete. */
static inline struct framing head_framing(const char *head, size_t length)
{
	struct framing framing = {0};
	const char *end = head + length;
	const char *line = memchr(head, '\n', length);

	for (; line != NULL && ++line < end; line = memchr(line, '\n', (size_t)(end - line))) {
		char first = *line | 32;

		if (first == 'c' && line_starts(line, end, "content-length:", 15)) {
			framing.length = strtoull(line + 15, NULL, 10);
			framing.has_length = true;
		} else if (first == 't' && line_starts(line, end, "transfer-encoding:", 18)) {
			framing.chunked = true;
		} else if (first == 'c' && line_starts(line, end, "connection:", 11)) {
			framing.close = strncasecmp(line + 11, " close", 6) == 0;
		}
	}
	return framing;
}

#endif
