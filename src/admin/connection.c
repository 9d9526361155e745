/* SPDX-License-Identifier: MIT */
/*
 * connection — the state machine of a connection to the admin listener.
 *
 * HANDSHAKE → IDLE → HEAD → PROBE or AWAIT → SEND → IDLE or LINGER. Every state has a deadline.
 */
#include "admin/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { HANDSHAKES_MS = 1 }; /* for steps of handshakes, in a turn of the loop */

enum admin_next admin_enter(struct admin_connection *connection, enum admin_state state)
{
	connection->state = state;
	timer_start(connection->admin->loop, &connection->admin->deadlines[state],
	        &connection->deadline);
	return ADMIN_AGAIN;
}

/* ── Steps ───────────────────────────────────────────────────────────────── */

/* A step of a handshake takes as long as a hundred requests of clients: they are served in between.
 */
static bool has_time(struct admin *admin)
{
	if (admin->handshake_turn_ns != admin->loop->now_ns) {
		admin->handshake_turn_ns = admin->loop->now_ns;
		admin->handshake_ns = 0;
	}
	return admin->handshake_ns < HANDSHAKES_MS * NS_PER_MS;
}

/* Once a second: a port scan has thousands. */
static void report_handshake(struct admin_connection *connection)
{
	struct admin *admin = connection->admin;
	char memory[512];
	struct text reason = text_over(memory, sizeof(memory));

	if (admin->loop->now_ns < admin->next_line_ns || tls_met_nobody(&connection->stream)) {
		return;
	}
	admin->next_line_ns = admin->loop->now_ns + NS_PER_S;
	tls_explain(&connection->stream, &reason);
	log_line(LOG_NOTICE, "admin listener: no TLS: %.*s", SLICE_FMT(text_slice(&reason)));
}

static enum admin_next step_handshake(struct admin_connection *connection)
{
	struct admin *admin = connection->admin;

	if (!has_time(admin)) {
		return ADMIN_YIELD;
	}
	const int64_t began_ns = clock_monotonic_ns();
	const int error = stream_handshake(&connection->stream);
	admin->handshake_ns += clock_monotonic_ns() - began_ns;
	if (error == -EAGAIN) {
		return ADMIN_WAIT;
	}
	if (error == 0) {
		return admin_enter(connection, ADMIN_IDLE);
	}
	/* OpenSSL has sent its alert: the client reads it if this is no reset. */
	report_handshake(connection);
	tls_abandon(&connection->stream);
	stream_finish(&connection->stream);
	return admin_enter(connection, ADMIN_LINGER);
}

static enum admin_next step_head(struct admin_connection *connection)
{
	const ssize_t n = stream_read(&connection->stream, connection->in + connection->in_len,
	        sizeof(connection->in) - connection->in_len);

	if (n <= 0) {
		return n == -EAGAIN ? ADMIN_WAIT : ADMIN_CLOSE;
	}
	connection->in_len += (size_t)n;
	if (connection->state == ADMIN_IDLE) {
		(void)admin_enter(connection, ADMIN_HEAD);
	}
	const struct slice bytes = {connection->in, connection->in_len};
	switch (http_scan_head(&connection->scan, bytes)) {
	case HTTP_DONE:
		return admin_judge(
		        connection, (struct slice){bytes.ptr, connection->scan.head_len});
	case HTTP_BAD:
		return admin_refuse(connection, http_error_status(connection->scan.error),
		        http_error_text(connection->scan.error));
	case HTTP_MORE:
		break;
	}
	return connection->in_len < sizeof(connection->in)
	               ? ADMIN_AGAIN
	               : admin_refuse(connection, 431, "the head is larger than 8 KiB");
}

static void run(struct admin_connection *connection);

static void engine_notified(struct stream *stream)
{
	run(CONTAINER_OF(stream, struct engine_connection, stream)->borrower);
}

/* 0, -EAGAIN, or what is wrong with the Engine. The default one alone counts: one of a fleet that
 * is down makes no front useless. */
static int probe(struct admin_connection *connection)
{
	struct admin *admin = connection->admin;

	if (admin->settings.upstream == NULL) {
		return 0;
	}
	if (connection->engine == NULL) {
		const int error = upstream_borrow(admin->settings.upstream, UPSTREAM_FRESH,
		        engine_notified, connection, &connection->engine);
		if (error == -EAGAIN) {
			timer_start(admin->loop, &admin->retry_queue, &connection->retry);
		}
		if (error < 0) {
			return error;
		}
	}
	return stream_handshake(&connection->engine->stream);
}

static enum admin_next end_probe(struct admin_connection *connection, int error)
{
	const enum admin_next next = admin_answer(connection, error);

	timer_stop(&connection->retry);
	upstream_retire(connection->engine);
	connection->engine = NULL;
	return next;
}

static enum admin_next step_probe(struct admin_connection *connection)
{
	const int error = probe(connection);

	return error == -EAGAIN ? ADMIN_WAIT : end_probe(connection, error);
}

/* What the client sends meanwhile is not read; the wish leads on. */
static enum admin_next step_await(struct admin_connection *connection)
{
	(void)connection;
	return ADMIN_WAIT;
}

static enum admin_next end_response(struct admin_connection *connection)
{
	connection->in_len = connection->out_len = connection->out_sent = 0;
	connection->scan = (struct http_scan){0};
	connection->to_head = false;
	admin_document_leave(connection->document);
	connection->document = NULL;
	if (connection->keep && !connection->admin->handed) {
		(void)admin_enter(connection, ADMIN_IDLE);
		return ADMIN_YIELD;
	}
	stream_finish(&connection->stream);
	return admin_enter(connection, ADMIN_LINGER);
}

enum admin_next admin_send_out(struct admin_connection *connection)
{
	while (connection->out_sent < connection->out_len) {
		const struct slice rest = {connection->out + connection->out_sent,
		        connection->out_len - connection->out_sent};
		const ssize_t n = stream_write(&connection->stream, rest, !connection->is_whole);
		if (n < 0) {
			return n == -EAGAIN ? ADMIN_WAIT : ADMIN_CLOSE;
		}
		connection->out_sent += (size_t)n;
	}
	return ADMIN_AGAIN;
}

static enum admin_next step_send(struct admin_connection *connection)
{
	const enum admin_next sent = admin_send_out(connection);

	if (sent != ADMIN_AGAIN) {
		return sent;
	}
	if (connection->is_whole) {
		return end_response(connection);
	}
	admin_fill(connection);
	return ADMIN_YIELD;
}

/* A close over unread bytes is a reset, by which the client would lose the response. */
static enum admin_next step_linger(struct admin_connection *connection)
{
	const ssize_t n = stream_read(&connection->stream, connection->in, sizeof(connection->in));

	if (n == -EAGAIN) {
		return ADMIN_WAIT;
	}
	return n > 0 ? ADMIN_YIELD : ADMIN_CLOSE;
}

static enum admin_next (*const steps[ADMIN_STATES])(struct admin_connection *) = {
        [ADMIN_HANDSHAKE] = step_handshake,
        [ADMIN_IDLE] = step_head,
        [ADMIN_HEAD] = step_head,
        [ADMIN_PROBE] = step_probe,
        [ADMIN_AWAIT] = step_await,
        [ADMIN_SEND] = step_send,
        [ADMIN_EVENTS] = admin_step_events,
        [ADMIN_LINGER] = step_linger,
};

/* After `next`, until there is something to wait for. */
static void proceed(struct admin_connection *connection, enum admin_next next)
{
	while (next == ADMIN_AGAIN) {
		next = steps[connection->state](connection);
	}
	if (next == ADMIN_CLOSE) {
		admin_close(connection);
	} else if (next == ADMIN_YIELD) {
		loop_put_off(connection->admin->loop, &connection->again);
	}
}

static void run(struct admin_connection *connection)
{
	proceed(connection, ADMIN_AGAIN);
}

void admin_run(struct admin_connection *connection)
{
	run(connection);
}

/* ── Events ──────────────────────────────────────────────────────────────── */

static void client_notified(struct stream *stream)
{
	run(CONTAINER_OF(stream, struct admin_connection, stream));
}

static void run_again(struct task *task)
{
	run(CONTAINER_OF(task, struct admin_connection, again));
}

static void retry_expired(struct timer *timer)
{
	run(CONTAINER_OF(timer, struct admin_connection, retry));
}

/* An Engine that does not respond is an answer, too. */
static enum admin_next end_state(struct admin_connection *connection)
{
	if (connection->state == ADMIN_PROBE) {
		return end_probe(connection, connection->engine == NULL ? -EAGAIN : -ETIMEDOUT);
	}
	return connection->state == ADMIN_AWAIT ? admin_give_up_errand(connection) : ADMIN_CLOSE;
}

static void deadline_expired(struct timer *timer)
{
	struct admin_connection *connection =
	        CONTAINER_OF(timer, struct admin_connection, deadline);

	proceed(connection, end_state(connection));
}

/* ── Life ────────────────────────────────────────────────────────────────── */

static void free_deferred(struct task *task)
{
	free(CONTAINER_OF(task, struct admin_connection, deferred_free));
}

void admin_close(struct admin_connection *connection)
{
	struct admin *admin = connection->admin;

	if (!stream_is_open(&connection->stream)) {
		return;
	}
	upstream_retire(connection->engine);
	connection->engine = NULL;
	admin_end_events(connection);
	timer_stop(&connection->deadline);
	timer_stop(&connection->retry);
	wish_forget(&connection->wish);
	admin_document_leave(connection->document);
	connection->document = NULL;
	list_remove(&connection->again.link);
	list_remove(&connection->link);
	admin->count--;
	stream_close(&connection->stream);
	loop_put_off(admin->loop, &connection->deferred_free);
}

/* The oldest makes room, so that nobody is locked out by connections that say nothing. Those that
 * watch have a ceiling of their own. */
static void make_room(struct admin *admin)
{
	struct list *at = admin->connections.next;

	if (admin->count < CONNECTIONS_MAX) {
		return;
	}
	while (CONTAINER_OF(at, struct admin_connection, link)->watches) {
		at = at->next;
	}
	admin_close(CONTAINER_OF(at, struct admin_connection, link));
}

void admin_open(struct admin *admin, int fd)
{
	struct admin_connection *connection = malloc(sizeof(*connection));

	if (connection == NULL) {
		(void)close(fd);
		return;
	}
	memset(connection, 0, offsetof(struct admin_connection, in));
	connection->admin = admin;
	timer_init(&connection->deadline, deadline_expired);
	timer_init(&connection->retry, retry_expired);
	task_init(&connection->again, run_again);
	task_init(&connection->deferred_free, free_deferred);
	list_init(&connection->link);
	list_init(&connection->wish.link);
	const struct transport *transport = admin->settings.transport;
	if (transport->accept(transport, &connection->stream, admin->loop, fd, client_notified) <
	        0) {
		free(connection);
		return;
	}
	make_room(admin);
	list_append(&admin->connections, &connection->link);
	admin->count++;
	(void)admin_enter(
	        connection, connection->stream.established ? ADMIN_IDLE : ADMIN_HANDSHAKE);
}
