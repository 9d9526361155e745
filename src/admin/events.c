/* SPDX-License-Identifier: MIT */
/*
 * events — GET /api/events: audit records as they are made, as server-sent events
 * (https://html.spec.whatwg.org, "Server-sent events").
 *
 *   event: record   data: the line of the record
 *   event: state    data: {}; something of /api/state has changed, at most one a second
 *   event: lost     data: {"lost":N}; so many records were made that this reader did not read
 *
 * Records wait in the trail's memory for all readers together. A reader has one piece of them, and
 * its place there, so that a slow one costs the others nothing.
 */
#include "admin/internal.h"
#include "audit/record.h"

#include "base/clock.h"

#include <errno.h>

enum {
	WATCHERS_MAX = 32,
	ALIVE_TICKS = 15,
	FRAME_MAX = RECORD_LINE_MAX + 128, /* with a frame about lost ones in front */
	PIECES_PER_TURN = 16,
};

/* ── Frames ──────────────────────────────────────────────────────────────── */

static void add_data(struct text *text, struct slice event, struct slice data)
{
	text_add(text, SLICE("event: "));
	text_add(text, event);
	text_add(text, SLICE("\ndata: "));
	text_add(text, data);
	text_add(text, SLICE("\n\n"));
}

static void add_lost(struct text *text, uint64_t lost)
{
	char memory[64];
	struct text data = text_over(memory, sizeof(memory));

	text_add(&data, SLICE("{\"lost\":"));
	text_add_u64(&data, lost);
	text_add(&data, SLICE("}"));
	add_data(text, SLICE("lost"), text_slice(&data));
}

/* As many records as there are and have room. */
static void add_records(struct admin_connection *connection, struct text *text)
{
	char memory[RECORD_LINE_MAX];
	bool found = true;

	while (found && text->cap - text->len >= FRAME_MAX) {
		struct text line = text_over(memory, sizeof(memory));
		uint64_t lost = 0;
		found = trail_next(
		        connection->admin->settings.trail, &connection->cursor, &line, &lost);
		if (lost > 0) {
			add_lost(text, lost);
		}
		if (found) {
			add_data(text, SLICE("record"), text_slice(&line));
		}
	}
}

static void add_news(struct admin_connection *connection, struct text *text)
{
	if (connection->tells_alive) {
		text_add(text, SLICE(": alive\n\n"));
	}
	if (connection->tells_state) {
		add_data(text, SLICE("state"), SLICE("{}"));
	}
	connection->tells_alive = connection->tells_state = false;
	add_records(connection, text);
}

/* Put what there is to tell into `out`, behind what stands there. False: there is nothing. */
static bool fill(struct admin_connection *connection, struct text *out)
{
	char *size = connection->chunked ? text_take(out, ADMIN_CHUNK_SIZE_LEN) : NULL;
	struct text piece = text_over(out->ptr + out->len, out->cap - out->len - 2);

	add_news(connection, &piece);
	if (piece.len == 0) {
		return false;
	}
	out->len += piece.len;
	if (size != NULL) {
		admin_set_chunk_size(size, piece.len);
		text_add(out, SLICE("\r\n"));
	}
	connection->out_len = out->len;
	connection->out_sent = 0;
	return true;
}

/* ── A watcher ───────────────────────────────────────────────────────────── */

static void tick_later(struct admin *admin)
{
	timer_start(admin->loop, &admin->tick_queue, &admin->tick);
}

enum admin_next admin_begin_events(struct admin_connection *connection)
{
	struct admin *admin = connection->admin;
	struct text text = text_over(connection->out, sizeof(connection->out));

	if (admin->watchers == WATCHERS_MAX) {
		return admin_send_message(connection, 503, "32 connections watch already");
	}
	connection->keep = false; /* it has no end */
	admin_add_head(connection, &text, 200, "text/event-stream", NULL);
	if (connection->to_head) {
		connection->out_len = text.len;
		connection->out_sent = 0;
		connection->is_whole = true;
		return admin_enter(connection, ADMIN_SEND);
	}
	if (!trail_watch(admin->settings.trail, &connection->cursor)) {
		return ADMIN_CLOSE;
	}
	connection->watches = connection->tells_alive = true;
	if (admin->watchers++ == 0) {
		tick_later(admin);
	}
	(void)fill(connection, &text);
	return admin_enter(connection, ADMIN_EVENTS);
}

void admin_end_events(struct admin_connection *connection)
{
	struct admin *admin = connection->admin;

	if (!connection->watches) {
		return;
	}
	connection->watches = false;
	trail_unwatch(admin->settings.trail);
	if (--admin->watchers == 0) {
		timer_stop(&admin->tick);
	}
}

/* A watcher sends nothing; its end is its only news. */
static enum admin_next look_for_end(struct admin_connection *connection)
{
	const ssize_t n = stream_read(&connection->stream, connection->in, sizeof(connection->in));

	return n == -EAGAIN ? ADMIN_WAIT : ADMIN_CLOSE;
}

enum admin_next admin_step_events(struct admin_connection *connection)
{
	for (unsigned i = 0; i < PIECES_PER_TURN; i++) {
		const enum admin_next sent = admin_send_out(connection);
		if (sent != ADMIN_AGAIN) {
			return sent;
		}
		/* The deadline is for a piece. */
		(void)admin_enter(connection, ADMIN_EVENTS);
		struct text text = text_over(connection->out, sizeof(connection->out));
		if (!fill(connection, &text)) {
			connection->out_len = connection->out_sent = 0;
			return look_for_end(connection);
		}
	}
	return ADMIN_YIELD;
}

/* ── All watchers ────────────────────────────────────────────────────────── */

static void run_watchers(struct admin *admin)
{
	struct list *at = admin->connections.next;

	while (at != &admin->connections) {
		struct admin_connection *connection =
		        CONTAINER_OF(at, struct admin_connection, link);
		at = at->next;
		if (connection->state == ADMIN_EVENTS) {
			admin_run(connection);
		}
	}
}

void admin_changed(struct admin *admin)
{
	if (admin != NULL) {
		admin->changed = true;
	}
}

void admin_show_records(struct admin *admin)
{
	if (admin != NULL) {
		admin->changed = true;
		run_watchers(admin);
	}
}

void admin_tick(struct timer *timer)
{
	struct admin *admin = CONTAINER_OF(timer, struct admin, tick);
	const unsigned activity = admin->settings.server->activity(admin->settings.context);
	const bool changed = admin->changed || activity != admin->activity;
	const bool alive = ++admin->ticks % ALIVE_TICKS == 0;

	admin->changed = false;
	admin->activity = activity;
	for (struct list *at = admin->connections.next; at != &admin->connections; at = at->next) {
		struct admin_connection *connection =
		        CONTAINER_OF(at, struct admin_connection, link);
		connection->tells_state = connection->tells_state || changed;
		connection->tells_alive = connection->tells_alive || alive;
	}
	tick_later(admin);
	if (changed || alive) {
		run_watchers(admin);
	}
}
