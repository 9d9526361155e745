/* SPDX-License-Identifier: MIT */
/*
 * errand — what operators let the server do: POST requests, which are answered when it is done.
 */
#include "admin/internal.h"

#include "base/ascii.h"

#include <stdlib.h>

enum { ANSWER_MAX = 8192 }; /* a report has 1 KiB, of which each byte may be escaped */

/* ── Who may send them ───────────────────────────────────────────────────── */

/*
 * A page of another site can make a browser send a form and simple fields without asking this
 * listener first; not these (https://fetch.spec.whatwg.org, "CORS-safelisted request-header").
 */
const char *admin_find_fault(const struct http_request *request)
{
	const struct slice type = http_field_value(&request->head, HTTP_NAME_CONTENT_TYPE);
	struct slice rest = type.ptr == NULL ? SLICE("") : type;
	struct slice media = SLICE("");

	if (slice_next(&rest, ';', &media) &&
	        slice_equal_nocase(slice_trim(media), SLICE("application/json"))) {
		return NULL;
	}
	for (unsigned i = 0; i < request->head.field_count; i++) {
		if (slice_starts_with_nocase(request->head.fields[i].name, SLICE("x-"))) {
			return NULL;
		}
	}
	return "a page of another site could send this: add 'Content-Type: application/json'";
}

/* ── Documents ───────────────────────────────────────────────────────────── */

void admin_document_leave(struct admin_document *document)
{
	if (document != NULL && --document->references == 0) {
		free(document);
	}
}

static void add_piece(struct admin_connection *connection, struct text *out)
{
	const struct admin_document *document = connection->document;
	const size_t room = out->cap - out->len;
	const size_t rest = document->len - connection->document_sent;
	const struct slice piece = {
	        document->bytes + connection->document_sent, rest < room ? rest : room};

	text_add(out, piece);
	connection->document_sent += piece.len;
	connection->is_whole = connection->document_sent == document->len;
	connection->out_len = out->len;
	connection->out_sent = 0;
}

void admin_fill_document(struct admin_connection *connection)
{
	struct text text = text_over(connection->out, sizeof(connection->out));

	add_piece(connection, &text);
}

static void send_document(struct admin_connection *connection, struct admin_document *document)
{
	struct text text = text_over(connection->out, sizeof(connection->out));

	admin_document_leave(connection->document);
	connection->document = document;
	connection->document_sent = connection->to_head ? document->len : 0;
	admin_add_head(connection, &text, 200, "application/json", &document->len);
	add_piece(connection, &text);
	(void)admin_enter(connection, ADMIN_SEND);
}

/* ── The answer ──────────────────────────────────────────────────────────── */

static void answer_reload(struct admin_connection *connection, bool ok, const char *report)
{
	char memory[ANSWER_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (!ok) {
		(void)admin_send_message(
		        connection, connection->admin->stopping ? 503 : 422, report);
		return;
	}
	text_add(&text, SLICE("{\"result\":\"ok\",\"message\":\""));
	text_add_json(&text, slice_of(report));
	text_add(&text, SLICE("\"}\n"));
	(void)admin_send_json(connection, 200, text_slice(&text));
}

static void answer_close(struct admin_connection *connection, bool ok, const char *why)
{
	if (ok) {
		(void)admin_send_json(connection, 204, SLICE(""));
	} else {
		(void)admin_send_message(connection, why == NULL ? 404 : 503,
		        why == NULL ? "there is no such stream, or it has ended" : why);
	}
}

/* It may come from within a call of the server: the connection goes on at the end of the turn. */
static void done(struct wish *wish, bool ok, const char *text)
{
	struct admin_connection *connection = CONTAINER_OF(wish, struct admin_connection, wish);
	const struct admin_settings *settings = &connection->admin->settings;

	if (connection->route == ROUTE_RELOAD) {
		answer_reload(connection, ok, text);
	} else if (connection->route == ROUTE_CLOSE) {
		answer_close(connection, ok, text);
	} else if (ok) {
		send_document(connection, settings->server->take(settings->context));
	} else {
		(void)admin_send_message(connection, 503, text);
	}
	loop_put_off(connection->admin->loop, &connection->again);
}

/* ── The question ────────────────────────────────────────────────────────── */

/* Sixteen hexadecimal digits; another text is the number of no stream. */
void admin_note_stream(struct admin_connection *connection, struct slice path)
{
	struct slice rest = path;
	uint64_t id = 0;

	(void)slice_skip(&rest, SLICE("/api/streams/"));
	rest.len -= sizeof("/close") - 1;
	bool good = rest.len == 16;
	for (size_t i = 0; good && i < rest.len; i++) {
		const int digit = ascii_hex_value(rest.ptr[i]);
		good = digit >= 0;
		id = id << 4 | (uint64_t)(digit & 15);
	}
	connection->wish.about = good ? id : 0;
}

enum admin_next admin_run_errand(struct admin_connection *connection)
{
	const struct admin_settings *settings = &connection->admin->settings;
	struct wish *wish = &connection->wish;

	if (connection->admin->stopping && connection->route == ROUTE_RELOAD) {
		return admin_send_message(connection, 503, "the proxy is shutting down");
	}
	(void)admin_enter(connection, ADMIN_AWAIT);
	wish_init(wish, done);
	if (connection->route == ROUTE_RELOAD) {
		settings->server->reload(settings->context, wish);
	} else if (connection->route == ROUTE_CLOSE) {
		settings->server->close_stream(settings->context, wish);
	} else {
		settings->server->look(settings->context, wish);
	}
	return ADMIN_WAIT;
}

enum admin_next admin_give_up_errand(struct admin_connection *connection)
{
	wish_forget(&connection->wish);
	return admin_send_message(
	        connection, 504, "it takes longer than a minute; the log will say how it ended");
}
