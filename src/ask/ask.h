/* SPDX-License-Identifier: MIT */
/*
 * ask — a question of the proxy's own to an Engine, and its response.
 *
 * The response is read whole, or piece by piece as it comes. The connection is one of the thread's
 * to that Engine, and is returned if the response allows it. A connection that was used before may
 * have ended before it had the question: the question is then asked once more, which changes
 * nothing.
 */
#ifndef ASK_ASK_H
#define ASK_ASK_H

#include "flow/flow.h"
#include "upstream/upstream.h"

/* What the questions of one thread share. */
struct asker {
	struct loop *loop;
	struct upstream *upstream; /* the default Engine */
	struct flow_lender *lender;
	struct http_field *fields;         /* HTTP_FIELDS_MAX; used within a call */
	const char *via;                   /* of its questions; NULL: none */
	struct timer_queue deadline_queue; /* from the question to its whole response */
	struct timer_queue retry_queue;    /* while the Engine's accept queue is full */
};

enum ask_state {
	ASK_NOTHING, /* nothing was asked, or the question was ended */
	ASK_WAITING, /* in pieces: the head is there if `status` is, and bytes may be: ask_bytes()
	              */
	ASK_ANSWERED,
	ASK_UNREACHABLE, /* there is no connection: `error` says why */
	ASK_CUT,         /* the connection ended too early */
	ASK_MALFORMED,   /* the response cannot be read */
	ASK_TOO_LARGE,   /* its body is longer than `most` */
	ASK_FULL,        /* there is no buffer for all of it */
	ASK_LATE,        /* it did not come in time */
	ASK_NO_MEMORY,
};

struct ask;
/*
 * The state has changed, or bytes have come. Never within a call of a function of this header. May
 * end the question, and ask another one if the state is not ASK_WAITING.
 */
typedef void ask_notify(struct ask *ask);

struct ask {
	struct asker *asker;
	struct upstream *upstream; /* the Engine that is asked; it is in use until the end */
	ask_notify *notify;
	enum ask_state state;
	int error;       /* a negative errno of ASK_UNREACHABLE */
	bool tls;        /* of ASK_UNREACHABLE: TLS is at fault */
	unsigned status; /* of the response; 0: its head is not there yet */
	size_t most;     /* bytes of a body that is read whole; 0: in pieces, without an end */
	struct engine_connection *engine;
	struct flow question; /* until the head of the response is there */
	struct flow flow;     /* the response */
	struct http_scan scan;
	size_t question_len;
	/* How long a connection may take; ask_begin() sets it, and the caller may shorten it. */
	int64_t dial_patience_ns;
	int64_t since_ns; /* of waiting for the connection or for a place in the queue, monotonic */
	bool sent;        /* the whole question */
	bool again;       /* it was asked again once */
	bool keep;        /* the connection stays open */
	struct timer deadline;
	struct timer retry;
	struct task told; /* of an end within ask_send() */
	bool sending;     /* within ask_send() */
};

void asker_init(struct asker *asker, struct loop *loop, struct upstream *upstream,
        struct flow_lender *lender, struct http_field *fields);

/* Make `ask` one that was not begun, so that it may be ended. */
void ask_init(struct ask *ask, struct asker *asker);
/*
 * Begin `ask`, whose memory may be anything, or which has ended. *ret_text is memory for the whole
 * request to the Engine `upstream`, to which the caller appends. False without memory.
 */
bool ask_begin(struct ask *ask, struct asker *asker, struct upstream *upstream, ask_notify *notify,
        struct text *ret_text) MUST_USE;
/* Append the fields that each question has: by its Via, a question that comes back is refused. */
void ask_add_fields(const struct asker *asker, struct text *text);
/* Send what was appended: `len` bytes. `most`: see struct ask. */
void ask_send(struct ask *ask, size_t len, size_t most);
/* End it: the response is of no use any more. Its memory may go; that of a question in pieces at
 * the end of the loop's turn. */
void ask_end(struct ask *ask);

/* In pieces: the response may take any time. */
void ask_forever(struct ask *ask);
/* The body of ASK_ANSWERED; in pieces, the bytes that have come. Valid until ask_took(). */
struct slice ask_bytes(const struct ask *ask);
/* In pieces: the first `len` of them were used. */
void ask_took(struct ask *ask, size_t len);

#endif
