/* SPDX-License-Identifier: MIT */
/*
 * exchange — what must be remembered of one request until its response is complete.
 * Private to session/.
 */
#ifndef SESSION_EXCHANGE_H
#define SESSION_EXCHANGE_H

#include "audit/audit.h"
#include "docker/docker.h"
#include "session/snapshot.h"

enum {
	EXCHANGE_PROTOCOL_MAX = 32, /* bytes of an Upgrade that is sent on; longer ones are not */
	EXCHANGE_INTERIM_MAX = 100, /* 1xx responses to one request; the Engine sends one at most */
};

struct exchange {
	struct adoption *adoption; /* of the snapshot by which it is judged */
	unsigned traits;           /* of the operation: enum docker_trait */
	bool upgrade;              /* Upgrade was sent on, as `protocol` */
	bool to_head;              /* it is a HEAD request */
	bool safe;          /* GET or HEAD, and the operation changes nothing: may be sent twice */
	bool keep_client;   /* the client connection can go on after it */
	bool keep_engine;   /* the Engine's as well */
	bool old_client;    /* HTTP/1.0: knows no chunks and no 1xx */
	bool end_told;      /* the Engine knows that the client sends no more */
	bool dialled_again; /* it was retried once */
	bool probe;         /* GET /health: the response says whether a connection can be had */
	/* Bytes before the buffer's `ready` that are the whole request, or 0. */
	uint32_t replay_len;
	unsigned learned;       /* its number for learn_served(), or 0 */
	unsigned interim_count; /* 1xx responses so far */
	unsigned protocol_len;
	char protocol[EXCHANGE_PROTOCOL_MAX];
	int64_t dial_since_ns;      /* when dialling began, monotonic */
	struct audit_record record; /* last, for the words in it need not be cleared */
};

#endif
