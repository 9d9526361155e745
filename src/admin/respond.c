/* SPDX-License-Identifier: MIT */
#include "admin/internal.h"

#include "base/clock.h"
#include "net/tls.h"
#include "takeover/takeover.h"
#include "upstream/diagnosis.h"

enum {
	MESSAGE_MAX = 8192, /* of a sentence of 1 KiB, each byte may be escaped */
	CHUNK_END_LEN = sizeof("\r\n0\r\n\r\n") - 1,
};

enum method {
	METHOD_GET, /* and HEAD */
	METHOD_POST,
};

static const struct {
	const char *path;
	enum method method;
	bool open;
} routes[] = {
#define ROUTE(name, path, open, method) {path, METHOD_##method, open},
#include "admin/routes.def"
#undef ROUTE
};

/* ── Writing ─────────────────────────────────────────────────────────────── */

void admin_add_head(struct admin_connection *connection, struct text *text, unsigned status,
        const char *type, const size_t *length)
{
	text_add_format(text, "HTTP/1.1 %u %s\r\n", status, http_reason(status));
	if (status != 204) {
		text_add_format(text, "Content-Type: %s\r\n", type);
	}
	text_add(text, SLICE("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"));
	if (status == 401) {
		text_add(text, SLICE("WWW-Authenticate: Bearer realm=\"docker-socket-proxy\"\r\n"));
	}
	if (status == 405) {
		text_add(text, routes[connection->route].method == METHOD_POST
		                       ? SLICE("Allow: POST\r\n")
		                       : SLICE("Allow: GET, HEAD\r\n"));
	}
	if (length != NULL && status != 204) { /* RFC 9110 section 8.6 */
		text_add_format(text, "Content-Length: %zu\r\n", *length);
	} else if (connection->chunked) {
		text_add(text, SLICE("Transfer-Encoding: chunked\r\n"));
	}
	if (!connection->keep) {
		text_add(text, SLICE("Connection: close\r\n"));
	}
	text_add(text, SLICE("\r\n"));
}

enum admin_next admin_send_json(
        struct admin_connection *connection, unsigned status, struct slice json)
{
	struct text text = text_over(connection->out, sizeof(connection->out));

	ASSERT(json.ptr != NULL);
	admin_add_head(connection, &text, status, "application/json", &json.len);
	if (!connection->to_head) {
		text_add(&text, json);
	}
	connection->out_len = text.len;
	connection->out_sent = 0;
	connection->is_whole = true;
	return text.overflow ? ADMIN_CLOSE : admin_enter(connection, ADMIN_SEND);
}

enum admin_next admin_send_message(
        struct admin_connection *connection, unsigned status, const char *message)
{
	char memory[MESSAGE_MAX];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, SLICE("{\"message\":\""));
	text_add_json(&text, slice_of(message));
	text_add(&text, SLICE("\"}\n"));
	return admin_send_json(connection, status, text_slice(&text));
}

enum admin_next admin_refuse(
        struct admin_connection *connection, unsigned status, const char *message)
{
	connection->keep = false;
	return admin_send_message(connection, status, message);
}

/* ── /metrics ────────────────────────────────────────────────────────────── */

/* The size of a chunk, where room was left for it. */
void admin_set_chunk_size(char *at, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	struct text text = text_over(at, ADMIN_CHUNK_SIZE_LEN);

	for (unsigned shift = 16; shift > 0; shift -= 4) {
		text_add_char(&text, digits[size >> (shift - 4) & 15]);
	}
	text_add(&text, SLICE("\r\n"));
}

static void add_piece(struct admin_connection *connection, struct text *out)
{
	char *size = connection->chunked ? text_take(out, ADMIN_CHUNK_SIZE_LEN) : NULL;
	struct text piece = text_over(out->ptr + out->len, out->cap - out->len - CHUNK_END_LEN);

	connection->is_whole =
	        metrics_render(connection->admin->settings.metrics, &connection->page, &piece);
	out->len += piece.len;
	if (size != NULL) {
		admin_set_chunk_size(size, piece.len);
		text_add(out, connection->is_whole ? SLICE("\r\n0\r\n\r\n") : SLICE("\r\n"));
	}
}

void admin_fill(struct admin_connection *connection)
{
	if (connection->document != NULL) {
		admin_fill_document(connection);
		return;
	}
	if (connection->route == ROUTE_DASHBOARD) {
		admin_fill_page(connection);
		return;
	}
	struct text text = text_over(connection->out, sizeof(connection->out));

	add_piece(connection, &text);
	connection->out_len = text.len;
	connection->out_sent = 0;
}

static enum admin_next send_metrics(struct admin_connection *connection)
{
	struct text text = text_over(connection->out, sizeof(connection->out));

	/* Before the head, which says so: without chunks only the end of the connection ends it. */
	connection->keep = connection->keep && connection->chunked;
	admin_add_head(connection, &text, 200,
	        connection->page.format == METRICS_OPENMETRICS
	                ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	                : "text/plain; version=0.0.4; charset=utf-8",
	        NULL);
	connection->is_whole = connection->to_head;
	if (!connection->to_head) {
		add_piece(connection, &text);
	}
	connection->out_len = text.len;
	connection->out_sent = 0;
	return admin_enter(connection, ADMIN_SEND);
}

/* A weight of nothing but zeros: not acceptable (RFC 9110 section 12.4.2). */
static bool is_refused(struct slice parameters)
{
	struct slice parameter;
	bool refused = false;

	while (parameters.len > 0 && slice_next(&parameters, ';', &parameter)) {
		parameter = slice_trim(parameter);
		if (!slice_starts_with_nocase(parameter, SLICE("q="))) {
			continue;
		}
		refused = parameter.len > 2;
		for (size_t i = 2; i < parameter.len; i++) {
			refused = refused && (parameter.ptr[i] == '0' || parameter.ptr[i] == '.');
		}
	}
	return refused;
}

/* OpenMetrics for whoever asks for it. */
static enum metrics_format format_of(const struct http_request *request)
{
	struct slice ranges = http_other_value(&request->head, SLICE("accept"));
	struct slice range;

	while (ranges.ptr != NULL && ranges.len > 0 && slice_next(&ranges, ',', &range)) {
		struct slice type = {"", 0};
		(void)slice_next(&range, ';', &type);
		if (slice_equal_nocase(slice_trim(type), SLICE("application/openmetrics-text")) &&
		        !is_refused(range)) {
			return METRICS_OPENMETRICS;
		}
	}
	return METRICS_PROMETHEUS;
}

/* ── /health and /ready ──────────────────────────────────────────────────── */

static void add_reason(const struct admin_connection *connection, int error, struct text *text)
{
	const struct admin_settings *settings = &connection->admin->settings;

	if (connection->engine != NULL && tls_failed(&connection->engine->stream)) {
		text_add_format(
		        text, "cannot speak TLS with the Engine at %s: ", settings->engine_text);
		tls_explain(&connection->engine->stream, text);
		return;
	}
	upstream_diagnose(text, &settings->upstream->address, settings->engine_text, -error);
}

static enum admin_next send_health(struct admin_connection *connection, int error)
{
	char reason[MESSAGE_MAX / 2];
	char memory[MESSAGE_MAX];
	struct text why = text_over(reason, sizeof(reason));
	struct text text = text_over(memory, sizeof(memory));

	if (error == 0) {
		return admin_send_json(connection, 200, SLICE("{\"status\":\"healthy\"}"));
	}
	add_reason(connection, error, &why);
	text_add(&text, SLICE("{\"status\":\"unhealthy\",\"reason\":\""));
	text_add_json(&text, text_slice(&why));
	text_add(&text, SLICE("\"}"));
	return admin_send_json(connection, 503, text_slice(&text));
}

/* In words alone: /ready is open to everybody. */
static enum admin_next send_ready(struct admin_connection *connection, int error)
{
	const struct admin *admin = connection->admin;
	const struct {
		const char *what;
		const char *else_word;
		bool is_well;
		bool is_absent; /* several Engines, and none of `upstream` */
	} parts[] = {
	        {"configuration", "failed", metrics_reload_is_well(admin->settings.metrics), false},
	        {"engine", "failed", error == 0, admin->settings.upstream == NULL},
	        {"audit", "failed", metrics_audit_is_well(admin->settings.metrics), false},
	        {"process", "draining", !admin->stopping, false},
	};
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));
	bool ready = true;

	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		ready = ready && parts[i].is_well;
	}
	text_add_format(&text, "{\"ready\":%s", ready ? "true" : "false");
	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		text_add_format(&text, ",\"%s\":", parts[i].what);
		if (parts[i].is_absent) {
			text_add(&text, SLICE("null"));
		} else {
			text_add_format(
			        &text, "\"%s\"", parts[i].is_well ? "ok" : parts[i].else_word);
		}
	}
	text_add(&text, SLICE("}"));
	return admin_send_json(connection, ready ? 200 : 503, text_slice(&text));
}

static void note_engine(struct admin_connection *connection, int error)
{
	struct admin *admin = connection->admin;
	struct text why = text_over(admin->engine_why, sizeof(admin->engine_why) - 1);

	if (admin->settings.upstream == NULL) {
		metrics_have_no_engine(admin->settings.metrics);
	} else {
		metrics_engine_answered(admin->settings.metrics, error == 0);
	}
	admin->engine_up = error == 0;
	if (error != 0) {
		add_reason(connection, error, &why);
	}
	admin->engine_why[why.len] = '\0';
}

enum admin_next admin_answer(struct admin_connection *connection, int error)
{
	note_engine(connection, error);
	if (connection->route == ROUTE_STATE) {
		return admin_run_errand(connection);
	}
	if (connection->route == ROUTE_METRICS) {
		return send_metrics(connection);
	}
	return connection->route == ROUTE_HEALTH ? send_health(connection, error)
	                                         : send_ready(connection, error);
}

/* ── Judging ─────────────────────────────────────────────────────────────── */

/* A star of the pattern stands for one segment. */
static bool fits(const char *pattern, struct slice path)
{
	const char *star = strchr(pattern, '*');
	const struct slice front = star == NULL ? slice_of(pattern) : slice_between(pattern, star);
	const struct slice back = star == NULL ? SLICE("") : slice_of(star + 1);

	if (star == NULL || path.len <= front.len + back.len) {
		return slice_equal(path, front);
	}
	const struct slice segment = {path.ptr + front.len, path.len - front.len - back.len};
	return slice_starts_with(path, front) && slice_ends_with(path, back) &&
	       memchr(segment.ptr, '/', segment.len) == NULL;
}

static enum route find_route(struct slice path)
{
	unsigned i = 0;

	while (i < ROUTES && !fits(routes[i].path, path)) {
		i++;
	}
	return (enum route)i;
}

static bool has_method(const struct admin_connection *connection, struct slice method)
{
	return routes[connection->route].method == METHOD_POST
	               ? slice_equal(method, SLICE("POST"))
	               : connection->to_head || slice_equal(method, SLICE("GET"));
}

/* What is wrong with a request that was parsed: its status, or 0. */
static unsigned find_fault(const struct admin_connection *connection,
        const struct http_request *request, const char **ret_message)
{
	const struct admin_settings *settings = &connection->admin->settings;
	const enum http_error site = http_check_site(request, settings->is_tls);

	if (site != HTTP_OK) {
		*ret_message = http_error_text(site);
		return http_error_status(site);
	}
	/* Before anything is said of what there is. */
	if ((connection->route == ROUTES || !routes[connection->route].open) &&
	        !admin_may(connection, request)) {
		*ret_message = "this needs a key, as 'x-api-key: KEY' or 'Authorization: Bearer "
		               "KEY', or a client certificate";
		return 401;
	}
	if (connection->route == ROUTES) {
		*ret_message = "the admin listener has no such page: docs/metrics.md lists them; "
		               "the Docker API is not served here";
		return 404;
	}
	const bool posts = routes[connection->route].method == METHOD_POST;
	if (!has_method(connection, request->method)) {
		*ret_message = posts ? "the method must be POST" : "the method must be GET or HEAD";
		return 405;
	}
	*ret_message = posts ? admin_find_fault(request) : NULL;
	return *ret_message == NULL ? 0 : 403;
}

enum admin_next admin_judge(struct admin_connection *connection, struct slice head)
{
	struct http_request request;
	const char *message = NULL;
	const enum http_error error = http_request_parse(head, connection->admin->fields, &request);

	if (error != HTTP_OK) {
		return admin_refuse(connection, http_error_status(error), http_error_text(error));
	}
	connection->to_head = slice_equal(request.method, SLICE("HEAD"));
	connection->chunked = request.head.minor_version > 0;
	/* What follows the head at once would be another request: it ends the connection. */
	connection->keep = request.head.keep_alive && request.head.minor_version > 0 &&
	                   connection->in_len == head.len;
	if (slice_equal(request.path, SLICE(TAKEOVER_PATH))) {
		return admin_take_over(connection, &request, connection->in_len == head.len);
	}
	if (http_has_body(&request)) {
		return admin_refuse(connection, 413, "no request to the admin listener has a body");
	}
	connection->route = find_route(request.path);
	const unsigned status = find_fault(connection, &request, &message);
	if (status != 0) {
		return status == 401 ? admin_refuse(connection, status, message)
		                     : admin_send_message(connection, status, message);
	}
	if (connection->route == ROUTE_CLOSE) {
		admin_note_stream(connection, request.path);
	}
	if (routes[connection->route].method == METHOD_POST) {
		return admin_run_errand(connection);
	}
	if (connection->route == ROUTE_EVENTS) {
		return admin_begin_events(connection);
	}
	if (connection->route == ROUTE_DASHBOARD) {
		return admin_send_page(connection);
	}
	connection->page = (struct metrics_page){.format = format_of(&request)};
	return admin_enter(connection, ADMIN_PROBE);
}
