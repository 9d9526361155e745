/* SPDX-License-Identifier: MIT */
/*
 * exchange — the state of one request until its response is complete.
 * Private to session/.
 */
#ifndef SESSION_EXCHANGE_H
#define SESSION_EXCHANGE_H

#include "audit/audit.h"
#include "docker/docker.h"
#include "limits/accounts.h"
#include "session/snapshot.h"

struct lookup;
struct search;
struct rewriting;

enum {
	EXCHANGE_PROTOCOL_MAX = 32, /* bytes of an Upgrade that is forwarded; a longer one is not */
	EXCHANGE_KEPT_MAX = 512, /* bytes of target and key; for longer ones memory is allocated */
	EXCHANGE_TARGET_MAX = 256,
	EXCHANGE_REASON_MAX = 768,
	EXCHANGE_INTERIM_MAX = 100, /* 1xx responses to one request; the Engine sends one at most */
};

struct exchange {
	struct adoption *adoption; /* of the snapshot by which the request was judged */
	struct adoption *renewed;  /* of the last snapshot that allowed it again; NULL: none did */
	/* That sent the request, as `renewed` or else `adoption` has it; NULL: none. */
	const struct client *client;
	/* The Engine that the request means, a number of the snapshot; the member of it that is
	 * asked, the same if it is no group; NULL: none was chosen yet. */
	unsigned engine, member;
	struct upstream *upstream;
	/* Generation of `upstream` at the first look-up, and one; 0: it was asked about nothing. */
	unsigned looked_up_at;
	unsigned tried; /* members of the group that could not be reached: bits, by their places */
	unsigned named; /* for records: number of the Engine that the request names, and one; 0:
	                   none */
	const struct scope *scope;         /* by which it was judged; NULL: none */
	const struct redaction *redaction; /* what the response hides; NULL: nothing */
	const struct scope *narrows;       /* objects that the response keeps; NULL: all */
	struct rewriting *rewriting;       /* of the body of the response; NULL: it is relayed */
	unsigned traits;                   /* of the operation: enum docker_trait */
	bool upgrade;                      /* Upgrade was forwarded, as `protocol` */
	bool to_head;                      /* the method is HEAD */
	bool safe;          /* GET or HEAD, and the operation only reads: may be sent again */
	bool keep_client;   /* the client's connection stays open after it */
	bool keep_engine;   /* the Engine's connection stays open after it */
	bool old_client;    /* HTTP/1.0: no chunks, no 1xx responses */
	bool end_told;      /* the client's end was passed on to the Engine */
	bool dialled_again; /* the request was sent again once */
	bool gathered;      /* the whole body was read, and stands behind the head */
	bool top_as_usual;  /* of `redaction`: redactor_begin() */
	bool probe;         /* GET /health: the response says whether a connection can be had */
	bool admitted;      /* the limits were asked */
	bool forwarded;     /* it was judged for the last time, and kept */
	bool has_body;      /* the head announces one */
	bool has_query;
	bool of_browser;             /* only a listener with `browsers` takes it */
	bool streams;                /* counted in the metric `streams` */
	bool ends_here;              /* the proxy stops: end the response between two records */
	unsigned retry_s;            /* Retry-After of a local response, or 0 */
	const struct limits *limits; /* of the sender; NULL: none */
	uint64_t body_max;           /* bytes; 0: the limits were not asked */
	struct holding holdings[2];  /* of the sender's account, and of that of all clients */
	/* Bytes before the buffer's `ready` that are the whole request, or 0. */
	uint32_t replay_len;
	unsigned learned;          /* its number for learn_served(), or 0 */
	unsigned interim_count;    /* 1xx responses so far */
	struct recalled *recalled; /* the same head that came before; NULL: it was read */
	struct lookup *lookup;     /* NULL: the Engine was asked about no object */
	struct search *search;     /* of the client's container; NULL: none goes on */
	unsigned protocol_len;
	char protocol[EXCHANGE_PROTOCOL_MAX];
	/* For metrics: what the record has as words, as numbers; and bytes that were counted. */
	unsigned operation;  /* request id, and one; 0: not understood */
	unsigned policy;     /* policy_number() */
	bool counts_body;    /* the flow of the client moves the body of this request */
	uint64_t judged_len; /* of a body that was judged: it is not in that flow any more */
	uint64_t counted_in, counted_out;
	uint64_t id;      /* the same in all that is said of the request: record_add_id() */
	const char *rule; /* that decided, also of an allowed request; NULL: none did */
	bool recorded;    /* a place for its audit record is kept */
	unsigned target_len;
	unsigned reason_len;
	/* What judging it again needs: path, query and key, one behind the other. */
	char *kept; /* NULL: there was no memory */
	unsigned path_len, query_len, key_len;
	/* Last, for the words in it need not be cleared; nor what stands behind it. */
	struct audit_record record;
	char kept_here[EXCHANGE_KEPT_MAX];
	/* For audit records, where somebody wants them: what the operation is about, and the
	 * sentence that its sender got, both cut. */
	char target[EXCHANGE_TARGET_MAX];
	char reason[EXCHANGE_REASON_MAX];
};

#endif
