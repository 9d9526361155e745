/* SPDX-License-Identifier: MIT */
/*
 * flow — one direction of a session: read, judge the framing, send.
 *
 * A flow moves a message body, or raw bytes, from one stream to another, as
 * cheaply as the sizes allow: what fits a small buffer goes through one, the
 * data of medium responses and of uploads is spliced through a pipe, and long
 * responses go through large buffers.
 */
#ifndef FLOW_FLOW_H
#define FLOW_FLOW_H

#include "base/buffer.h"
#include "http/http.h"
#include "net/stream.h"

enum { PIPES_KEPT = 16 };

struct pipe {
	bool open;
	int read_end;
	int write_end;
};

/* The lender of buffers and pipes; one for each thread. */
struct flow_lender {
	struct buffer_lender buffers;
	struct pipe pipes[PIPES_KEPT]; /* empty pipes */
	unsigned pipe_count;
};

/* The ways of moving bytes. */
enum flow_way {
	FLOW_SMALL,   /* copied through a small buffer */
	FLOW_LARGE,   /* copied through a large buffer */
	FLOW_SPLICED, /* spliced through a pipe: data of the body that needs no judging */
	FLOW_FRAMED,  /* copied a few at a time: framing between two spliced chunks */
};

struct flow {
	struct buffer *buffer; /* NULL while nothing is in flight */
	struct pipe pipe;      /* not open while nothing is in flight */
	size_t piped;          /* bytes in the pipe */
	enum http_framing framing;
	uint64_t remaining; /* HTTP_LENGTH: bytes of the body that are not judged yet */
	struct http_chunks chunks;
	uint64_t data;     /* judged bytes of the body */
	uint64_t most;     /* more than these make flow_move() fail, if the body is chunked */
	bool too_large;    /* they were more */
	bool complete;     /* the end of the body was judged */
	bool drop;         /* the body is read and dropped */
	enum flow_way way; /* of the last bytes */
};

enum flow_result {
	FLOW_WAIT,       /* for an event of either stream */
	FLOW_YIELD,      /* it can continue after other sessions */
	FLOW_READY,      /* flow_move(): all that is left is to send the short end of the message */
	FLOW_COMPLETE,   /* everything is sent */
	FLOW_SOURCE_END, /* the source ended before the body did, or a raw stream ended */
	FLOW_SOURCE_LOST, /* reading failed */
	FLOW_SINK_LOST,   /* writing failed */
	FLOW_MALFORMED,   /* the chunk framing is malformed */
	FLOW_FULL,        /* flow_gather(): no buffer for the whole message is free */
	FLOW_TOO_LARGE,   /* the body is larger than `most`: the rest of it was not sent */
	FLOW_REFUSED,     /* session_rewrite(): the body cannot be read */
	FLOW_NO_MEMORY,
};

void flow_lender_done(struct flow_lender *lender);

/* Start a new message with this framing; bytes in the buffer stay. */
void flow_start(struct flow *flow, enum http_framing framing, uint64_t length);
/* Return the buffer and the pipe, with all bytes in flight. */
void flow_reset(struct flow *flow, struct flow_lender *lender);

/* Drop the bytes in flight, and read and drop the rest of the message. */
void flow_drop(struct flow *flow, struct flow_lender *lender);

/* The same, and judge the bytes that were already read: the message may be complete then. */
void flow_skip(struct flow *flow, struct flow_lender *lender);

/* Move what is there, or comes at once. The end of a message, if it is short, is left to
 * flow_send(): the caller says when. */
enum flow_result flow_move(struct flow *flow, struct flow_lender *lender, struct stream *source,
        struct stream *sink) MUST_USE;
/*
 * Send the bytes that are ready: FLOW_COMPLETE, FLOW_WAIT or FLOW_SINK_LOST. `more`:
 * further bytes follow directly, so that the kernel may hold these back.
 */
enum flow_result flow_send(struct flow *flow, struct stream *sink, bool more) MUST_USE;
/* Read up to `most` bytes and append them to the bytes to judge. The result of stream_read(), or
 * -ENOMEM, or -ENOBUFS if the buffer cannot grow. */
ssize_t flow_read(
        struct flow *flow, struct flow_lender *lender, struct stream *source, size_t most) MUST_USE;

/*
 * End the message here, as if the source had: with the last chunk, or where the message ends with
 * the connection. False: it is in the middle of a chunk, has a length, or has bytes that are not
 * sent yet.
 */
bool flow_end(struct flow *flow, struct flow_lender *lender) MUST_USE;

/*
 * Read the whole body of a message, which was started, behind the `head_len` bytes of its head,
 * and take its framing out. All of it stays to be judged: the head, `flow->data` bytes of the
 * body, and what follows the message. FLOW_COMPLETE when the body is whole.
 */
enum flow_result flow_gather(struct flow *flow, struct flow_lender *lender, struct stream *source,
        size_t head_len, size_t most) MUST_USE;

/*
 * Read more of the body of a message for somebody who takes it from buffer_to_send() and gives the
 * sink something else; `chunks.bare` is set. FLOW_COMPLETE: there are bytes to take, or none will
 * follow (`complete`).
 */
enum flow_result flow_take(
        struct flow *flow, struct flow_lender *lender, struct stream *source) MUST_USE;

/* The bytes to judge: read and not part of the judged message. */
static inline struct slice flow_unjudged(const struct flow *flow)
{
	return flow->buffer == NULL ? (struct slice){"", 0} : buffer_to_judge(flow->buffer);
}

/* Whether no judged byte is left to send. */
static inline bool flow_is_sent(const struct flow *flow)
{
	return flow->piped == 0 && (flow->buffer == NULL || buffer_is_sent(flow->buffer));
}

/* Whether the message is complete and sent, so that the sink is free for another. */
static inline bool flow_is_over(const struct flow *flow)
{
	return flow->complete && flow_is_sent(flow);
}

/* Return the buffer if it is empty. */
void flow_release(struct flow *flow, struct flow_lender *lender);

#endif
