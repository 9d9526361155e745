/* SPDX-License-Identifier: MIT */
/*
 * feed — hands bytes to the parsers as a connection does: in pieces.
 *
 * Every piece is handed over in a block of memory of exactly its size, so that
 * AddressSanitizer sees a read behind it. Used by the unit tests and fuzzers.
 */
#ifndef TESTS_FEED_H
#define TESTS_FEED_H

#include "http/http.h"

/* The ceiling that a connection has for a head: the default of --max-head. */
enum { FEED_HEAD_MAX = 256 * 1024 };

/* Pieces to cut `len` bytes into: single bytes, unless that would take long. */
static inline size_t feed_step(size_t len)
{
	return len < 512 ? 1 : len / 7;
}

struct feed {
	char *bytes; /* the head; what is parsed borrows from it */
	size_t len;
	bool incomplete; /* the bytes ended before the head did */
	enum http_error error;
	struct http_field fields[HTTP_FIELDS_MAX];
	struct http_request request;
	struct http_response response;
};

/* Scan and parse the head at the front of `bytes`, which come `step` at a time. */
void feed_request(struct feed *feed, struct slice bytes, size_t step);
void feed_response(struct feed *feed, struct slice bytes, size_t step, bool to_head);
void feed_free(struct feed *feed);

struct fed_body {
	enum http_progress progress;
	char *bytes; /* what came out */
	size_t len;
	size_t consumed;
	uint64_t data;
	bool overtook; /* the output was longer than the input at some time */
};

/* Rewrite the chunked body at the front of `bytes`: first `first` bytes, then `step` at a time.
 * `skip`: data bytes go past the rewriting, as spliced ones do. */
void feed_body(
        struct fed_body *body, struct slice bytes, size_t first, size_t step, bool bare, bool skip);
void fed_body_done(struct fed_body *body);

#endif
