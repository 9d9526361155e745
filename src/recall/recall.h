/* SPDX-License-Identifier: MIT */
/*
 * recall — heads that came before, with what was read in them.
 *
 * A program that asks the Engine for the same thing again sends the same head again, and within a
 * second the Engine's head is the same again. What http/ and docker/ read in a head depends on its
 * bytes alone: a head with the bytes of an earlier one is compared with it, and not read again. Who
 * sent it, what it may do and what becomes of it are no part of that, and are decided each time.
 *
 * Remembered are requests with GET and HEAD and the last response to each. A request is left out if
 * it has a body, or a field other than those that every client sends: values of others may be
 * secret, and whoever guesses one could see by the time that it is remembered. No byte of a
 * client's key is remembered, only its place and its length: the same head with another key of that
 * length is found too, and says that key. A head is remembered when it is read for the second time
 * and the one in its place did not come in between, so that heads that never come again cost
 * little.
 *
 * Not for several threads. All memory is taken at once, and touched as it is used.
 */
#ifndef RECALL_RECALL_H
#define RECALL_RECALL_H

#include "docker/docker.h"
#include "http/http.h"

enum {
	RECALL_HEAD_MAX = 512,  /* bytes of a head; longer ones are not remembered */
	RECALL_FIELDS_MAX = 20, /* fields of one */
};

/* The last response to a request. */
struct recalled_response {
	size_t len; /* of its head; 0: there is none */
	bool to_head;
	struct http_response response; /* slices of `bytes`, and of `lines` */
	struct http_field fields[RECALL_FIELDS_MAX];
	char bytes[RECALL_HEAD_MAX];
	char lines[RECALL_HEAD_MAX];
};

/* The key of a client in a head. */
struct recalled_key {
	size_t at, len;  /* the bytes that are not remembered; `len` 0: there is none */
	size_t value_at; /* where the value begins that ends with them */
	unsigned field;
};

/* A request that was read. */
struct recalled {
	size_t len;    /* of its head; 0: there is none */
	uint64_t seen; /* which head came here last; 0: this one */
	/* Slices of `bytes` and of `lines`, but for the value with a key: recall_find(). */
	struct http_request head;
	/* docker_route(): slices of `bytes`. */
	unsigned id, served_id;
	struct docker_version version;
	struct slice path, bare, name;
	struct recalled_key key;
	struct http_field fields[RECALL_FIELDS_MAX];
	char bytes[RECALL_HEAD_MAX];
	char lines[RECALL_HEAD_MAX];
	struct recalled_response last;
};

struct recall;

/* NULL without memory. */
struct recall *recall_new(void) MUST_USE;
/* `recall` may be NULL, here and below: then nothing is remembered. */
void recall_free(struct recall *recall);

/*
 * The request whose whole head stands at the front of `bytes`, if it is remembered; else NULL.
 * What it says is valid until the next recall_find() or recall_keep(), and the value with a key,
 * which is a slice of `bytes`, until those change; the pointer until recall_free(), for
 * recall_response().
 */
struct recalled *recall_find(struct recall *recall, struct slice bytes);
/* As docker_route() for the path of the head. */
void recall_route(const struct recalled *recalled, struct docker_request *ret_request);
/* The head `bytes` was read: `head` is what http_request_parse(), `request` what docker_route()
 * made of it. */
void recall_keep(struct recall *recall, struct slice bytes, const struct http_request *head,
        const struct docker_request *request);

/*
 * The response whose whole head stands at the front of `bytes`, if the last one to that request had
 * the same; else NULL. Valid until the next recall_keep_response(). `recalled` may be NULL, here
 * and below.
 */
const struct recalled_response *recall_response(
        const struct recalled *recalled, struct slice bytes, bool to_head);
/* The same as recall_keep(), of http_response_parse(). */
void recall_keep_response(struct recalled *recalled, struct slice bytes, bool to_head,
        const struct http_response *response);

#endif
