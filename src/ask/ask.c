/* SPDX-License-Identifier: MIT */
#include "ask/ask.h"

#include "base/clock.h"
#include "net/tls.h"

#include <errno.h>

enum {
	DEADLINE_S = 30,
	RETRY_MS = 20,
	DIAL_TIMEOUT_S = 10, /* for a place in the queue, and then for the connection */
};

void asker_init(struct asker *asker, struct loop *loop, struct upstream *upstream,
        struct flow_lender *lender, struct http_field *fields)
{
	*asker = (struct asker){
	        .loop = loop, .upstream = upstream, .lender = lender, .fields = fields};
	timer_queue_init(loop, &asker->deadline_queue, DEADLINE_S * NS_PER_S);
	timer_queue_init(loop, &asker->retry_queue, RETRY_MS * NS_PER_MS);
}

/* ── Telling ─────────────────────────────────────────────────────────────── */

static void step(struct ask *ask);

/* What stands behind the bytes that were told of reports no event. */
static void tell(struct task *task)
{
	struct ask *ask = CONTAINER_OF(task, struct ask, told);
	const bool goes_on = ask->state == ASK_WAITING;

	ask->notify(ask);
	if (goes_on && ask->state == ASK_WAITING) {
		step(ask);
	}
}

/* Never within ask_send(). */
static void tell_now(struct ask *ask)
{
	if (ask->sending) {
		loop_put_off(ask->asker->loop, &ask->told);
	} else {
		ask->notify(ask);
	}
}

/* ── The end ─────────────────────────────────────────────────────────────── */

static void release(struct ask *ask, bool reusable)
{
	if (ask->engine != NULL && reusable) {
		upstream_return(ask->engine);
	} else {
		upstream_retire(ask->engine);
	}
	ask->engine = NULL;
	timer_stop(&ask->retry);
}

/* The buffer of an answer stays, for ask_bytes(). */
static void finish(struct ask *ask, enum ask_state state)
{
	release(ask, state == ASK_ANSWERED && ask->keep);
	timer_stop(&ask->deadline);
	flow_reset(&ask->question, ask->asker->lender);
	if (state != ASK_ANSWERED) {
		flow_reset(&ask->flow, ask->asker->lender);
	}
	ask->state = state;
	tell_now(ask);
}

void ask_end(struct ask *ask)
{
	release(ask, false);
	timer_stop(&ask->deadline);
	flow_reset(&ask->question, ask->asker->lender);
	flow_reset(&ask->flow, ask->asker->lender);
	list_remove(&ask->told.link);
	ask->state = ASK_NOTHING;
}

/* ── The connection ──────────────────────────────────────────────────────── */

static void engine_notified(struct stream *stream)
{
	step(CONTAINER_OF(stream, struct engine_connection, stream)->borrower);
}

static void retry_expired(struct timer *timer)
{
	step(CONTAINER_OF(timer, struct ask, retry));
}

static void deadline_expired(struct timer *timer)
{
	finish(CONTAINER_OF(timer, struct ask, deadline), ASK_LATE);
}

/* 0 when the connection can be used, -EAGAIN when it has to be waited for. */
static int connect_engine(struct ask *ask)
{
	const enum upstream_wish wish = ask->again ? UPSTREAM_FRESH : UPSTREAM_ALIVE;

	if (ask->engine == NULL) {
		const int error =
		        upstream_borrow(ask->upstream, wish, engine_notified, ask, &ask->engine);
		if (error < 0) {
			return error;
		}
		ask->since_ns = ask->asker->loop->now_ns;
	}
	return stream_handshake(&ask->engine->stream);
}

/* Whether it is waited for too long: for the connection, or without one for a place in the Engine's
 * queue. */
static bool is_late(const struct ask *ask)
{
	const int64_t patience_ns =
	        ask->engine == NULL ? DIAL_TIMEOUT_S * NS_PER_S : ask->dial_patience_ns;

	return ask->asker->loop->now_ns - ask->since_ns >= patience_ns;
}

/* Whether the connection can be used; if not, it has to be waited for, or the question has ended.
 */
static bool dial(struct ask *ask)
{
	struct asker *asker = ask->asker;
	const int error = connect_engine(ask);

	if (error == -EAGAIN && !is_late(ask)) {
		timer_start(asker->loop, &asker->retry_queue, &ask->retry);
		return false;
	}
	if (error < 0) {
		/* A full queue is no fault of the Engine; that a connection does not come is. */
		ask->error = error == -EAGAIN && ask->engine != NULL ? -ETIMEDOUT : error;
		ask->tls = ask->engine != NULL && tls_is_at_fault(&ask->engine->stream);
		finish(ask, ASK_UNREACHABLE);
		return false;
	}
	timer_stop(&ask->retry);
	return true;
}

/* ── Asking ──────────────────────────────────────────────────────────────── */

void ask_init(struct ask *ask, struct asker *asker)
{
	*ask = (struct ask){.asker = asker};
	timer_init(&ask->deadline, deadline_expired);
	timer_init(&ask->retry, retry_expired);
	task_init(&ask->told, tell);
}

bool ask_begin(struct ask *ask, struct asker *asker, struct upstream *upstream, ask_notify *notify,
        struct text *ret_text)
{
	ask_init(ask, asker);
	ask->upstream = upstream;
	ask->notify = notify;
	ask->dial_patience_ns = DIAL_TIMEOUT_S * NS_PER_S;
	if (!buffer_borrow(&asker->lender->buffers, &ask->question.buffer)) {
		return false;
	}
	*ret_text = text_over(buffer_tail(ask->question.buffer), buffer_room(ask->question.buffer));
	return true;
}

void ask_add_fields(const struct asker *asker, struct text *text)
{
	if (asker->via != NULL) {
		text_add_format(text, "Via: %s\r\n", asker->via);
	}
}

void ask_send(struct ask *ask, size_t len, size_t most)
{
	struct buffer *buffer = ask->question.buffer;

	buffer_append(buffer, len);
	buffer_keep(buffer, len, len);
	flow_start(&ask->question, HTTP_NO_BODY, 0);
	ask->most = most;
	ask->question_len = len;
	ask->since_ns = ask->asker->loop->now_ns;
	ask->state = ASK_WAITING;
	timer_start(ask->asker->loop, &ask->asker->deadline_queue, &ask->deadline);
	ask->sending = true;
	step(ask);
	ask->sending = false;
}

/* The connection ended. One that was used before may have ended before it had the question. True:
 * the question begins anew; false: it has ended, and its memory may be gone. */
static bool lost(struct ask *ask)
{
	if (!ask->engine->reused || ask->again || ask->status != 0 ||
	        flow_unjudged(&ask->flow).len > 0) {
		finish(ask, ASK_CUT);
		return false;
	}
	release(ask, false);
	flow_reset(&ask->flow, ask->asker->lender);
	buffer_unsend(ask->question.buffer, ask->question_len);
	ask->since_ns = ask->asker->loop->now_ns;
	ask->sent = false;
	ask->again = true;
	return true;
}

/* ── The response ────────────────────────────────────────────────────────── */

enum head {
	HEAD_READ,
	HEAD_NONE, /* it has to be waited for, or the question has ended, and its memory may be gone
	            */
	HEAD_ANEW, /* the question begins anew */
};

static enum head read_head(struct ask *ask)
{
	struct asker *asker = ask->asker;
	struct http_response response;

	while (http_scan_head(&ask->scan, flow_unjudged(&ask->flow)) == HTTP_MORE) {
		const ssize_t n =
		        flow_read(&ask->flow, asker->lender, &ask->engine->stream, SIZE_MAX);
		if (n == -EAGAIN) {
			return HEAD_NONE;
		}
		if (n == 0 || n == -ECONNRESET) {
			return lost(ask) ? HEAD_ANEW : HEAD_NONE;
		}
		if (n < 0) {
			finish(ask, n == -ENOMEM || n == -ENOBUFS ? ASK_NO_MEMORY : ASK_CUT);
			return HEAD_NONE;
		}
	}
	const struct slice head = {flow_unjudged(&ask->flow).ptr, ask->scan.head_len};
	if (ask->scan.error != HTTP_OK ||
	        http_response_parse(head, asker->fields, false, &response) != HTTP_OK ||
	        (response.head.framing != HTTP_LENGTH && response.head.framing != HTTP_CHUNKED)) {
		finish(ask, ASK_MALFORMED);
		return HEAD_NONE;
	}
	flow_reset(&ask->question, asker->lender);
	ask->status = response.status;
	ask->keep = response.head.keep_alive;
	flow_start(&ask->flow, response.head.framing, response.head.content_length);
	if (ask->most == 0) {
		ask->flow.chunks.bare = true;
		buffer_skip(ask->flow.buffer, ask->scan.head_len);
	}
	return HEAD_READ;
}

static enum ask_state state_of(enum flow_result result)
{
	switch (result) {
	case FLOW_MALFORMED:
		return ASK_MALFORMED;
	case FLOW_TOO_LARGE:
		return ASK_TOO_LARGE;
	case FLOW_FULL:
		return ASK_FULL;
	case FLOW_NO_MEMORY:
		return ASK_NO_MEMORY;
	case FLOW_WAIT:
	case FLOW_YIELD:
	case FLOW_READY:
	case FLOW_COMPLETE:
	case FLOW_REFUSED:
	case FLOW_SOURCE_END:
	case FLOW_SOURCE_LOST:
	case FLOW_SINK_LOST:
		break;
	}
	return ASK_CUT;
}

static void read_whole(struct ask *ask)
{
	const enum flow_result result = flow_gather(&ask->flow, ask->asker->lender,
	        &ask->engine->stream, ask->scan.head_len, ask->most);

	if (result == FLOW_WAIT) {
		return;
	}
	if (result == FLOW_COMPLETE) {
		const size_t whole = ask->scan.head_len + (size_t)ask->flow.data;
		ask->keep = ask->keep && flow_unjudged(&ask->flow).len == whole;
	}
	finish(ask, result == FLOW_COMPLETE ? ASK_ANSWERED : state_of(result));
}

/* Bytes that nobody takes stay, and what is behind them is not read. */
static void read_pieces(struct ask *ask)
{
	while (ask->state == ASK_WAITING && flow_is_sent(&ask->flow)) {
		const enum flow_result result =
		        flow_take(&ask->flow, ask->asker->lender, &ask->engine->stream);
		if (result == FLOW_WAIT) {
			return;
		}
		if (result != FLOW_COMPLETE || (ask->flow.complete && flow_is_sent(&ask->flow))) {
			finish(ask, result == FLOW_COMPLETE ? ASK_ANSWERED : state_of(result));
			return;
		}
		if (ask->sending) {
			loop_put_off(ask->asker->loop, &ask->told);
			return;
		}
		ask->notify(ask);
	}
}

/* True: the question begins anew. False: the memory of the question may be gone. */
static bool go_on(struct ask *ask)
{
	if (!dial(ask)) {
		return false;
	}
	if (!ask->sent) {
		const enum flow_result result =
		        flow_send(&ask->question, &ask->engine->stream, false);
		if (result != FLOW_COMPLETE) {
			return result == FLOW_SINK_LOST && lost(ask);
		}
		ask->sent = true;
	}
	if (ask->status == 0) {
		const enum head head = read_head(ask);
		if (head != HEAD_READ) {
			return head == HEAD_ANEW;
		}
		if (ask->most == 0) {
			tell_now(ask);
		}
	}
	if (ask->most > 0) {
		read_whole(ask);
	} else {
		read_pieces(ask);
	}
	return false;
}

static void step(struct ask *ask)
{
	while (go_on(ask)) {
	}
}

struct slice ask_bytes(const struct ask *ask)
{
	if (ask->most > 0) {
		return (struct slice){
		        flow_unjudged(&ask->flow).ptr + ask->scan.head_len, (size_t)ask->flow.data};
	}
	return ask->flow.buffer == NULL ? SLICE("") : buffer_to_send(ask->flow.buffer);
}

void ask_forever(struct ask *ask)
{
	timer_stop(&ask->deadline);
}

void ask_took(struct ask *ask, size_t len)
{
	buffer_sent(ask->flow.buffer, len);
}
