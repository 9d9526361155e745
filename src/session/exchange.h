/* SPDX-License-Identifier: MIT */
/*
 * exchange — what must be remembered of one request until its answer is over.
 * Private to session/.
 */
#ifndef SESSION_EXCHANGE_H
#define SESSION_EXCHANGE_H

#include "audit/audit.h"
#include "docker/docker.h"

struct exchange {
	struct audit_record record;
	unsigned traits;    /* of the operation: enum docker_trait */
	bool upgrade;       /* Upgrade was sent on */
	bool to_head;       /* it is a HEAD request */
	bool safe;          /* GET or HEAD, and the operation changes nothing: may be sent twice */
	bool keep_client;   /* the client connection can go on after it */
	bool keep_engine;   /* the Engine's as well */
	bool old_client;    /* HTTP/1.0: knows no chunks and no 1xx */
	bool end_told;      /* the Engine knows that the client sends no more */
	bool dialled_again; /* it was retried once */
	bool probe;         /* GET /health: whether a connection can be had is the answer */
	unsigned interims;  /* 1xx answers of the Engine so far */
	/* Bytes before the buffer's `ready` that are the whole request, or 0. */
	uint32_t replay_len;
	int64_t dial_since_ns; /* when dialling began, monotonic */
};

#endif
