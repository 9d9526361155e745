/* SPDX-License-Identifier: MIT */
#include "flow/flow.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
	MOVES_PER_TURN = 16,
	/* Measured, docs/performance.md: below, copying is cheaper, and above, into TCP. */
	SPLICE_MIN = 8 * 1024,
	/* More than the 64 KiB of a new pipe, for uploads: fewer turns. */
	PIPE_BYTES = 256 * 1024,
	/* Enough for what stands between two chunks, and little of the second is copied. */
	FRAMING_READ = 64,
	SPLICE_MAX = 60 * 1024,
	SHORT_MAX = 4 * 1024,
	RECORD_MAX = 16 * 1024, /* bytes of plaintext in a record of TLS, RFC 8446 5.1 */
};

void flow_start(struct flow *flow, enum http_framing framing, uint64_t length)
{
	flow->framing = framing;
	flow->remaining = length;
	flow->chunks = (struct http_chunks){0};
	flow->data = 0;
	flow->most = UINT64_MAX;
	flow->too_large = false;
	flow->drop = false;
	flow->way = FLOW_SMALL;
	flow->complete = framing == HTTP_NO_BODY || (framing == HTTP_LENGTH && length == 0);
}

static void close_pipe(const struct pipe *pipe)
{
	(void)close(pipe->read_end);
	(void)close(pipe->write_end);
}

void flow_lender_done(struct flow_lender *lender)
{
	while (lender->pipe_count > 0) {
		close_pipe(&lender->pipes[--lender->pipe_count]);
	}
	buffer_lender_done(&lender->buffers);
}

static int borrow_pipe(struct flow *flow, struct flow_lender *lender)
{
	int ends[2];

	if (flow->pipe.open) {
		return 0;
	}
	if (lender->pipe_count > 0) {
		flow->pipe = lender->pipes[--lender->pipe_count];
		return 0;
	}
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		return -ENOMEM;
	}
	flow->pipe = (struct pipe){.open = true, .read_end = ends[0], .write_end = ends[1]};
	/* Refused where a user has many pipes; they get tiny ones then: copying is cheaper. */
	if (fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) < 0) {
		close_pipe(&flow->pipe);
		flow->pipe.open = false;
		return -ENOMEM;
	}
	return 0;
}

static void return_pipe(struct flow *flow, struct flow_lender *lender)
{
	if (!flow->pipe.open) {
		return;
	}
	if (flow->piped == 0 && lender->pipe_count < PIPES_KEPT) {
		lender->pipes[lender->pipe_count++] = flow->pipe;
	} else {
		close_pipe(&flow->pipe);
	}
	flow->pipe.open = false;
	flow->piped = 0;
}

void flow_reset(struct flow *flow, struct flow_lender *lender)
{
	return_pipe(flow, lender);
	buffer_return(&lender->buffers, &flow->buffer);
	flow->way = FLOW_SMALL;
}

void flow_release(struct flow *flow, struct flow_lender *lender)
{
	if (flow->piped == 0) {
		return_pipe(flow, lender);
	}
	if (flow->buffer != NULL && buffer_is_empty(flow->buffer)) {
		buffer_return(&lender->buffers, &flow->buffer);
	}
}

void flow_drop(struct flow *flow, struct flow_lender *lender)
{
	return_pipe(flow, lender);
	flow->drop = true;
	if (flow->buffer != NULL) {
		buffer_drop_to_send(flow->buffer);
	}
}

/* ── Sending ─────────────────────────────────────────────────────────────── */

/* Data that comes next and needs no look: how much, or 0. */
static uint64_t opaque(const struct flow *flow)
{
	if (flow->framing == HTTP_CHUNKED) {
		return http_chunks_opaque(&flow->chunks);
	}
	return flow->framing == HTTP_LENGTH ? flow->remaining : 0;
}

/*
 * The cheapest way for what comes next. Measured, docs/performance.md: into a
 * unix socket splicing pays at any length, into TCP for a body of one piece.
 */
static enum flow_way choose_way(
        const struct flow *flow, const struct stream *source, const struct stream *sink)
{
	const uint64_t run = opaque(flow);
	const bool splicing = flow->way == FLOW_SPLICED || flow->way == FLOW_FRAMED;

	if (run >= SPLICE_MIN && !flow->drop && stream_can_splice(source, sink) &&
	        (sink->takes_pages ||
	                (flow->data + run <= SPLICE_MAX && flow->way != FLOW_LARGE))) {
		return FLOW_SPLICED;
	}
	if (flow->way == FLOW_LARGE || run > SPLICE_MAX) {
		return FLOW_LARGE;
	}
	return run == 0 && splicing && sink->takes_pages ? FLOW_FRAMED : FLOW_SMALL;
}

static int send_buffer(struct flow *flow, struct stream *sink, bool more)
{
	struct buffer *buffer = flow->buffer;

	while (buffer != NULL && !buffer_is_sent(buffer)) {
		const ssize_t n = stream_write(sink, buffer_to_send(buffer), more);
		if (n < 0) {
			return (int)n;
		}
		buffer_sent(buffer, (size_t)n);
	}
	return 0;
}

static int send_pipe(struct flow *flow, struct stream *sink, bool more)
{
	while (flow->piped > 0) {
		const ssize_t n = stream_splice_to(sink, flow->pipe.read_end, flow->piped, more);
		if (n <= 0) {
			return n == 0 ? -EPIPE : (int)n;
		}
		flow->piped -= (size_t)n;
	}
	return 0;
}

enum flow_result flow_send(struct flow *flow, struct stream *sink, bool more)
{
	int error = send_buffer(flow, sink, more);

	if (error == 0 && flow->piped > 0) {
		error = send_pipe(flow, sink, more);
	}
	if (error < 0) {
		return error == -EAGAIN ? FLOW_WAIT : FLOW_SINK_LOST;
	}
	return FLOW_COMPLETE;
}

/* ── Judging ─────────────────────────────────────────────────────────────── */

static bool judge_chunks(struct flow *flow)
{
	struct buffer *buffer = flow->buffer;
	const struct http_chunks_result result = http_chunks_rewrite(
	        &flow->chunks, buffer_judged_in_place(buffer), buffer_to_judge(buffer).len);

	flow->data += result.data;
	/* The size of a chunk comes in front of it. */
	flow->too_large = flow->data > flow->most ||
	                  http_chunks_opaque(&flow->chunks) > flow->most - flow->data;
	buffer_keep(buffer, result.consumed, flow->drop || flow->too_large ? 0 : result.produced);
	flow->complete = result.progress == HTTP_DONE && !flow->too_large;
	return result.progress != HTTP_BAD && !flow->too_large;
}

static void judge_plain(struct flow *flow)
{
	size_t len = flow_unjudged(flow).len;

	if (flow->framing == HTTP_LENGTH) {
		len = len > flow->remaining ? (size_t)flow->remaining : len;
		flow->remaining -= len;
		flow->complete = flow->remaining == 0;
	}
	buffer_keep(flow->buffer, len, flow->drop ? 0 : len);
	flow->data += len;
}

/* False on malformed chunks. */
static bool judge(struct flow *flow)
{
	if (flow->framing == HTTP_CHUNKED) {
		return judge_chunks(flow);
	}
	judge_plain(flow);
	return true;
}

void flow_skip(struct flow *flow, struct flow_lender *lender)
{
	flow_drop(flow, lender);
	if (!flow->complete && flow_unjudged(flow).len > 0 && !judge(flow)) {
		flow->complete = false;
	}
}

/* ── Reading ─────────────────────────────────────────────────────────────── */

static int make_room(struct flow *flow, struct flow_lender *lender)
{
	if (!buffer_borrow(&lender->buffers, &flow->buffer)) {
		return -ENOMEM;
	}
	struct buffer *buffer = flow->buffer;
	buffer_make_room(&lender->buffers, buffer);
	const bool full = buffer_room(buffer) == 0;
	if ((!full && flow->way != FLOW_LARGE) || buffer_is_large(buffer)) {
		return full ? -ENOBUFS : 0;
	}
	/* Where all large ones are lent, a stream goes on through what it has. */
	return buffer_grow(&lender->buffers, &flow->buffer) || !full ? 0 : -ENOMEM;
}

ssize_t flow_read(struct flow *flow, struct flow_lender *lender, struct stream *source, size_t most)
{
	if (!source->readable) {
		return -EAGAIN;
	}
	const int error = make_room(flow, lender);
	if (error < 0) {
		return error;
	}
	const size_t room = buffer_room(flow->buffer);
	const size_t wanted = room < most ? room : most;
	const ssize_t n = stream_read(source, buffer_tail(flow->buffer), wanted);
	if (n > 0) {
		buffer_append(flow->buffer, (size_t)n);
	}
	return n;
}

static ssize_t read_pipe(struct flow *flow, struct stream *source)
{
	const ssize_t n = stream_splice_from(source, flow->pipe.write_end, (size_t)opaque(flow));
	if (n <= 0) {
		return n;
	}
	flow->piped += (size_t)n;
	flow->data += (uint64_t)n;
	if (flow->framing == HTTP_CHUNKED) {
		http_chunks_skip(&flow->chunks, (uint64_t)n);
	} else {
		flow->remaining -= (uint64_t)n;
		flow->complete = flow->remaining == 0;
	}
	return n;
}

/*
 * Fill a large buffer. TLS gives one record of up to 16 KiB at a time; to send each by itself took
 * eight times as many calls. What ends the reading is met again by the next.
 */
static ssize_t read_large(struct flow *flow, struct flow_lender *lender, struct stream *source)
{
	const ssize_t first = flow_read(flow, lender, source, SIZE_MAX);
	ssize_t n = first;

	while (n > 0 && source->readable && buffer_room(flow->buffer) >= RECORD_MAX) {
		n = flow_read(flow, lender, source, SIZE_MAX);
	}
	return first;
}

/* More of the message, by the way that was chosen; by a buffer where that is not to be had. */
static ssize_t fill(
        struct flow *flow, struct flow_lender *lender, struct stream *source, enum flow_way way)
{
	if (way == FLOW_SPLICED) {
		if (flow_unjudged(flow).len == 0 && source->readable &&
		        borrow_pipe(flow, lender) == 0) {
			flow->way = way;
			return read_pipe(flow, source);
		}
		way = opaque(flow) > SPLICE_MAX ? FLOW_LARGE : FLOW_SMALL;
	}
	flow->way = way;
	const ssize_t n = way == FLOW_LARGE ? read_large(flow, lender, source)
	                                    : flow_read(flow, lender, source,
	                                              way == FLOW_FRAMED ? FRAMING_READ : SIZE_MAX);
	if (n > 0 && buffer_room(flow->buffer) == 0) {
		flow->way = FLOW_LARGE;
	} else if (n > 0 && way == FLOW_LARGE && n < BUFFER_SMALL_SIZE) {
		flow->way = FLOW_SMALL;
	}
	return n;
}

/* ── Ending ──────────────────────────────────────────────────────────────── */

static bool append_last_chunk(struct flow *flow, struct flow_lender *lender)
{
	const struct slice last = SLICE("0\r\n\r\n");

	if (make_room(flow, lender) < 0 || buffer_room(flow->buffer) < last.len) {
		return false;
	}
	struct text text = text_over(buffer_tail(flow->buffer), last.len);
	text_add(&text, last);
	buffer_append(flow->buffer, text.len);
	return judge(flow) && flow->complete;
}

bool flow_end(struct flow *flow, struct flow_lender *lender)
{
	if (flow->complete || !flow_is_sent(flow) || flow_unjudged(flow).len > 0) {
		return false;
	}
	if (flow->framing == HTTP_CHUNKED) {
		return http_chunks_may_end(&flow->chunks) && append_last_chunk(flow, lender);
	}
	flow->complete = flow->framing == HTTP_UNTIL_CLOSE;
	return flow->complete;
}

/* ── Gathering ───────────────────────────────────────────────────────────── */

/* Take the framing out of what was read last. False on malformed chunks. */
static bool unframe(struct flow *flow, size_t head_len)
{
	const size_t at = head_len + (size_t)flow->data;
	const size_t len = flow_unjudged(flow).len - at;

	if (flow->framing == HTTP_LENGTH) {
		const size_t part = len > flow->remaining ? (size_t)flow->remaining : len;
		flow->data += part;
		flow->remaining -= part;
		flow->complete = flow->remaining == 0;
		return true;
	}
	const struct http_chunks_result result =
	        http_chunks_rewrite(&flow->chunks, buffer_judged_in_place(flow->buffer) + at, len);
	flow->data += result.produced;
	buffer_cut(flow->buffer, head_len + (size_t)flow->data, result.consumed - result.produced);
	flow->complete = result.progress == HTTP_DONE;
	return result.progress != HTTP_BAD;
}

/* Room for more of the message, in a larger buffer if it must be. */
static bool has_room(struct flow *flow, struct flow_lender *lender)
{
	buffer_make_room(&lender->buffers, flow->buffer);
	return buffer_room(flow->buffer) > 0 || buffer_hold(&lender->buffers, &flow->buffer);
}

enum flow_result flow_gather(struct flow *flow, struct flow_lender *lender, struct stream *source,
        size_t head_len, size_t most)
{
	flow->chunks.bare = true;
	for (;;) {
		if (!unframe(flow, head_len)) {
			return FLOW_MALFORMED;
		}
		if (flow->data > most) {
			return FLOW_TOO_LARGE;
		}
		if (flow->complete) {
			return FLOW_COMPLETE;
		}
		if (!has_room(flow, lender)) {
			return FLOW_FULL;
		}
		const ssize_t n = flow_read(flow, lender, source, SIZE_MAX);
		if (n <= 0) {
			return n == 0         ? FLOW_SOURCE_END
			       : n == -EAGAIN ? FLOW_WAIT
			                      : FLOW_SOURCE_LOST;
		}
	}
}

/* ── Moving ──────────────────────────────────────────────────────────────── */

static enum flow_result read_failed(
        struct flow *flow, struct flow_lender *lender, struct stream *sink, ssize_t n)
{
	stream_push(sink);
	if (n == 0) {
		return FLOW_SOURCE_END;
	}
	if (n == -ENOMEM || n == -ENOBUFS) {
		return FLOW_NO_MEMORY;
	}
	if (n != -EAGAIN) {
		return FLOW_SOURCE_LOST;
	}
	return_pipe(flow, lender);
	flow_release(flow, lender);
	return FLOW_WAIT;
}

/* A chunk's data is spliced, and the few bytes that end it come next. */
static bool awaits_framing(const struct flow *flow)
{
	return flow->piped > 0 && flow->framing == HTTP_CHUNKED && opaque(flow) == 0;
}

/* What was in order before it is sent. */
static enum flow_result misjudged(struct flow *flow, struct stream *sink)
{
	if (flow->too_large) {
		return FLOW_TOO_LARGE;
	}
	return flow_send(flow, sink, false) == FLOW_WAIT ? FLOW_WAIT : FLOW_MALFORMED;
}

/* A longer end would leave the processor's caches before it is sent. */
static bool has_short_end(const struct flow *flow)
{
	return flow->piped == 0 && flow->buffer != NULL && !buffer_is_sent(flow->buffer) &&
	       buffer_to_send(flow->buffer).len <= SHORT_MAX;
}

enum flow_result flow_move(
        struct flow *flow, struct flow_lender *lender, struct stream *source, struct stream *sink)
{
	for (unsigned moves = 0; moves < MOVES_PER_TURN; moves++) {
		bool blocked = false;
		if (UNLIKELY(flow->too_large)) {
			return FLOW_TOO_LARGE;
		}
		if (!flow->complete && flow_unjudged(flow).len > 0) {
			blocked = !buffer_can_keep(flow->buffer);
			if (!blocked && !judge(flow)) {
				return misjudged(flow, sink);
			}
		}
		if (flow->complete) {
			return has_short_end(flow) ? FLOW_READY : flow_send(flow, sink, false);
		}
		const enum flow_way way = choose_way(flow, source, sink);
		const bool more = source->readable && !sink->takes_pages &&
		                  (way == FLOW_SPLICED || awaits_framing(flow));
		const enum flow_result sent = flow_send(flow, sink, more);
		if (sent != FLOW_COMPLETE) {
			return sent;
		}
		if (blocked) {
			continue;
		}
		const ssize_t n = fill(flow, lender, source, way);
		if (n <= 0) {
			return read_failed(flow, lender, sink, n);
		}
	}
	return FLOW_YIELD;
}

/* ── Taking ──────────────────────────────────────────────────────────────── */

/* As fill() reads into buffers; a function of its own, so that fill() stays a part of flow_move().
 */
static ssize_t read_body(struct flow *flow, struct flow_lender *lender, struct stream *source)
{
	if (opaque(flow) > SPLICE_MAX) {
		flow->way = FLOW_LARGE;
	}
	const ssize_t n = flow_read(flow, lender, source, SIZE_MAX);
	if (n > 0 && buffer_room(flow->buffer) == 0) {
		flow->way = FLOW_LARGE;
	}
	return n;
}

enum flow_result flow_take(struct flow *flow, struct flow_lender *lender, struct stream *source)
{
	for (;;) {
		/* Half a line of framing is judged when what is in front of it was taken. */
		if (!flow->complete && flow_unjudged(flow).len > 0 &&
		        buffer_can_keep(flow->buffer) && !judge(flow)) {
			return FLOW_MALFORMED;
		}
		if (flow->complete || !flow_is_sent(flow)) {
			return FLOW_COMPLETE;
		}
		const ssize_t n = read_body(flow, lender, source);
		if (n == -EAGAIN) {
			flow_release(flow, lender);
			return FLOW_WAIT;
		}
		if (n == -ENOMEM || n == -ENOBUFS) {
			return FLOW_NO_MEMORY;
		}
		if (n < 0 || (n == 0 && flow->framing != HTTP_UNTIL_CLOSE)) {
			return n == 0 ? FLOW_SOURCE_END : FLOW_SOURCE_LOST;
		}
		flow->complete = n == 0;
	}
}
