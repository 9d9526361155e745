/* SPDX-License-Identifier: MIT */
/*
 * flow — one direction of a connection: read, judge the framing, send.
 *
 * A flow moves a message body, or raw bytes, from one stream to another, as
 * cheaply as the sizes allow: what fits a small buffer goes through one, the
 * data of medium responses and of uploads is spliced through a pipe, and long
 * responses go through large buffers.
 */
#ifndef SESSION_FLOW_H
#define SESSION_FLOW_H

#include "base/buffer.h"
#include "http/http.h"
#include "net/stream.h"

enum { PIPES_KEPT = 16 };

struct pipe {
	bool open;
	int read_end;
	int write_end;
};

/* What a flow borrows; one per thread. */
struct flow_lender {
	struct buffer_lender buffers;
	struct pipe pipes[PIPES_KEPT]; /* empty ones */
	unsigned pipe_count;
};

/* The ways that bytes can go. */
enum flow_way {
	FLOW_SMALL,   /* copied through a small buffer */
	FLOW_LARGE,   /* copied through a large one */
	FLOW_SPLICED, /* through a pipe: data of the body that needs no look */
	FLOW_FRAMED,  /* a few bytes: what stands between two chunks that are spliced */
};

struct flow {
	struct buffer *buffer; /* NULL while nothing is in flight */
	struct pipe pipe;      /* not open likewise */
	size_t piped;          /* bytes in the pipe */
	enum http_framing framing;
	uint64_t remaining; /* HTTP_LENGTH: bytes of the body still to come */
	struct http_chunks chunks;
	uint64_t data;     /* bytes of body that were judged */
	bool complete;     /* the end of the body was judged */
	bool drop;         /* the body is read, but goes nowhere */
	enum flow_way way; /* of the last bytes; large only if they were many */
};

enum flow_result {
	FLOW_WAIT,        /* for either stream */
	FLOW_YIELD,       /* it could go on, but others should have their turn */
	FLOW_COMPLETE,    /* all is sent */
	FLOW_SOURCE_END,  /* the source ended before the body did, or a raw stream ended */
	FLOW_SOURCE_LOST, /* reading failed */
	FLOW_SINK_LOST,   /* writing failed */
	FLOW_MALFORMED,   /* the chunk framing is none */
	FLOW_NO_MEMORY,
};

void flow_lender_done(struct flow_lender *lender);

/* A new message of that framing; bytes in the buffer stay. */
void flow_start(struct flow *flow, enum http_framing framing, uint64_t length);
/* Give back what is borrowed, and with it what is in flight. */
void flow_reset(struct flow *flow, struct flow_lender *lender);

/* What is on its way, and all that is still to come of the message, goes nowhere. */
void flow_drop(struct flow *flow, struct flow_lender *lender);

/* The same, and of what was read already the message is taken: it may be complete then. */
void flow_skip(struct flow *flow, struct flow_lender *lender);

enum flow_result flow_move(struct flow *flow, struct flow_lender *lender, struct stream *source,
        struct stream *sink) MUST_USE;
/*
 * Only send what is ready: FLOW_COMPLETE, FLOW_WAIT or FLOW_SINK_LOST. `more`:
 * let the kernel hold it back for what follows at once.
 */
enum flow_result flow_send(struct flow *flow, struct stream *sink, bool more) MUST_USE;
/* Read up to `most` bytes behind those to be judged: stream_read(), or -ENOMEM, or -ENOBUFS
 * when the buffer cannot grow. */
ssize_t flow_read(
        struct flow *flow, struct flow_lender *lender, struct stream *source, size_t most) MUST_USE;

/* Bytes that were read and belong to what follows. */
static inline struct slice flow_unjudged(const struct flow *flow)
{
	return flow->buffer == NULL ? (struct slice){"", 0} : buffer_to_judge(flow->buffer);
}

/* All that is to be sent of the message so far is sent. */
static inline bool flow_is_sent(const struct flow *flow)
{
	return flow->piped == 0 && (flow->buffer == NULL || buffer_is_sent(flow->buffer));
}

/* The message is over, and all of it is sent: only then is the sink free for another. */
static inline bool flow_is_over(const struct flow *flow)
{
	return flow->complete && flow_is_sent(flow);
}

/* Give the buffer back when nothing is in it. */
void flow_release(struct flow *flow, struct flow_lender *lender);

#endif
