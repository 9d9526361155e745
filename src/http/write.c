/* SPDX-License-Identifier: MIT */
#include "http/http.h"

#define CRLF SLICE("\r\n")

static const bool is_hop_by_hop[HTTP_NAME_COUNT] = {
#define FIELD(name, text, hop_by_hop) [HTTP_NAME_##name] = (hop_by_hop),
#include "http/fields.def"
#undef FIELD
};

static inline void add_field(struct text *text, struct slice name, struct slice value)
{
	char *at = text_take(text, name.len + value.len + 4);

	if (LIKELY(at != NULL)) {
		at = mempcpy(at, name.ptr, name.len);
		at = mempcpy(at, ": ", 2);
		at = mempcpy(at, value.ptr, value.len);
		at[0] = '\r';
		at[1] = '\n';
	}
}

/* Field lines that stand one behind the other in the head that was read, and are passed on so. */
struct lines {
	const char *start;
	const char *end;
};

static const struct lines no_lines = {"", ""};

/* Where the field's line ends if it is spelled as add_field() spells it, or NULL. */
static inline const char *line_end(const struct http_field *field)
{
	const char *name_end = field->name.ptr + field->name.len;
	const char *value_end = field->value.ptr + field->value.len;

	/* Behind a value stand blanks or the line end. */
	return field->value.ptr == name_end + 2 && name_end[1] == ' ' && *value_end == '\r'
	               ? value_end + 2
	               : NULL;
}

/* Most fields are passed on as they came: many lines are one copy. */
static inline void pass_field(
        struct text *text, struct lines *lines, const struct http_field *field)
{
	const char *end = line_end(field);

	if (LIKELY(field->name.ptr == lines->end && end != NULL)) {
		lines->end = end;
		return;
	}
	text_add(text, slice_between(lines->start, lines->end));
	*lines = (struct lines){field->name.ptr, end};
	if (UNLIKELY(end == NULL)) {
		*lines = no_lines;
		add_field(text, field->name, field->value);
	}
}

static void add_length(struct text *text, uint64_t length)
{
	text_add(text, SLICE("Content-Length: "));
	text_add_u64(text, length);
	text_add(text, CRLF);
}

static void add_upgrade(struct text *text, struct slice protocol)
{
	text_add(text, SLICE("Connection: Upgrade\r\n"));
	add_field(text, SLICE("Upgrade"), protocol);
}

/* ── Requests ────────────────────────────────────────────────────────────── */

/* Whether the field is passed on as it came. */
static inline bool is_passed_to_engine(
        const struct http_field *field, const struct http_request_options *options)
{
	if (field->connection_named || is_hop_by_hop[field->known]) {
		return false;
	}
	if (field->known == HTTP_NAME_HOST || field->known == HTTP_NAME_CONTENT_LENGTH) {
		return false;
	}
	/* Nobody waits any more for the Engine to ask for a body that is at hand. */
	if (UNLIKELY(options->has_body) && slice_equal_nocase(field->name, SLICE("expect"))) {
		return false;
	}
	if (UNLIKELY(options->hide_keys) &&
	        (field->known == HTTP_NAME_X_API_KEY || field->known == HTTP_NAME_AUTHORIZATION)) {
		return false;
	}
	return field->known != HTTP_NAME_X_API_KEY || options->api_key.ptr == NULL;
}

static void add_request_framing(
        struct text *text, const struct http_head *head, const struct http_request_options *options)
{
	if (options->drop_body || options->has_body) {
		add_length(text, options->has_body ? options->body_len : 0);
	} else if (head->has_chunked) {
		text_add(text, SLICE("Transfer-Encoding: chunked\r\n"));
	} else if (head->has_length) {
		add_length(text, head->content_length);
	}
}

static inline void add_request_lines(
        struct text *text, const struct http_head *head, const struct http_request_options *options)
{
	struct lines lines = no_lines;

	if (head->lines.ptr != NULL && (options->hide_keys || !head->has_key)) {
		text_add(text, head->lines);
		return;
	}
	for (unsigned i = 0; i < head->field_count; i++) {
		if (is_passed_to_engine(&head->fields[i], options)) {
			pass_field(text, &lines, &head->fields[i]);
		}
	}
	text_add(text, slice_between(lines.start, lines.end));
}

void http_request_add_lines(struct text *text, const struct http_head *head)
{
	const struct http_request_options options = {.hide_keys = true};

	add_request_lines(text, head, &options);
}

void http_request_write(struct text *text, const struct http_request *request, struct slice path,
        const struct http_request_options *options)
{
	const struct http_head *head = &request->head;
	const bool has_api_key = options->api_key.ptr != NULL;

	text_add(text, request->method);
	text_add(text, SLICE(" "));
	text_add(text, path);
	if (request->query.ptr != NULL) {
		text_add(text, SLICE("?"));
		text_add(text, request->query);
	}
	text_add(text, SLICE(" HTTP/1.1\r\nHost: localhost\r\n"));
	add_request_lines(text, head, options);
	if (options->via.ptr != NULL) {
		add_field(text, SLICE("Via"), options->via);
	}
	add_request_framing(text, head, options);
	if (has_api_key) {
		add_field(text, SLICE("x-api-key"), options->api_key);
	}
	if (options->upgrade && head->upgrade.ptr != NULL) {
		add_upgrade(text, head->upgrade);
	}
	text_add(text, CRLF);
}

/* ── Responses ───────────────────────────────────────────────────────────── */

static void add_connection(struct text *text, enum http_connection connection, struct slice upgrade)
{
	switch (connection) {
	case HTTP_CONNECTION_KEEP:
		break;
	case HTTP_CONNECTION_KEEP_ALIVE:
		text_add(text, SLICE("Connection: keep-alive\r\n"));
		break;
	case HTTP_CONNECTION_CLOSE:
		text_add(text, SLICE("Connection: close\r\n"));
		break;
	case HTTP_CONNECTION_UPGRADE:
		add_upgrade(text, upgrade);
		break;
	}
}

static void add_status_line(struct text *text, unsigned status, struct slice reason)
{
	text_add(text, SLICE("HTTP/1.1 "));
	text_add_digits(text, status, 3);
	text_add(text, SLICE(" ")); /* there even before an empty reason (RFC 9112 section 4) */
	text_add(text, reason);
	text_add(text, CRLF);
}

void http_response_add_lines(struct text *text, const struct http_head *head)
{
	struct lines lines = no_lines;

	if (head->lines.ptr != NULL) {
		text_add(text, head->lines);
		return;
	}
	for (unsigned i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		if (!field->connection_named && !is_hop_by_hop[field->known] &&
		        field->known != HTTP_NAME_CONTENT_LENGTH) {
			pass_field(text, &lines, field);
		}
	}
	text_add(text, slice_between(lines.start, lines.end));
}

void http_response_write(struct text *text, const struct http_response *response,
        enum http_connection connection, bool bare)
{
	const struct http_head *head = &response->head;

	add_status_line(text, response->status, response->reason);
	http_response_add_lines(text, head);
	if (head->has_length) {
		add_length(text, head->content_length);
	}
	if (head->has_chunked && !bare) {
		text_add(text, SLICE("Transfer-Encoding: chunked\r\n"));
	}
	add_connection(text, connection, head->upgrade);
	text_add(text, CRLF);
}

/* ── Local responses ──────────────────────────────────────────────────── */

static void add_own_head(struct text *text, unsigned status, unsigned retry_s, size_t length,
        enum http_connection connection)
{
	add_status_line(text, status, slice_of(http_reason(status)));
	if (status == 401) { /* RFC 9110 section 11.6.1, RFC 6750 section 3 */
		text_add(text, SLICE("WWW-Authenticate: Bearer realm=\"docker-socket-proxy\"\r\n"));
	}
	if (status == 405) { /* RFC 9110 section 15.5.6 */
		text_add(text, SLICE("Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\n"));
	}
	if (status == 429 || status == 503) { /* RFC 9110 section 10.2.3; seconds */
		text_add(text, SLICE("Retry-After: "));
		text_add_u64(text, retry_s);
		text_add(text, CRLF);
	}
	text_add(text, SLICE("Content-Type: application/json\r\n"));
	add_length(text, length);
	add_connection(text, connection, SLICE(""));
	text_add(text, CRLF);
}

static void add_message(struct text *text, struct slice message)
{
	text_add(text, SLICE("{\"message\":\""));
	text_add_json(text, message);
	text_add(text, SLICE("\"}\n"));
}

/* How long add_message() is, found by doing it. */
static size_t measure_message(struct text *text, struct slice message)
{
	const size_t before = text->len;

	add_message(text, message);
	const size_t length = text->len - before;
	text->len = before;
	return length;
}

size_t http_error_write(struct text *text, unsigned status, struct slice message, unsigned retry_s,
        bool to_head, enum http_connection connection)
{
	const size_t length = measure_message(text, message);

	add_own_head(text, status, retry_s, length, connection);
	if (to_head) {
		return 0;
	}
	add_message(text, message);
	return length;
}

size_t http_json_write(struct text *text, unsigned status, struct slice json, bool to_head,
        enum http_connection connection)
{
	add_own_head(text, status, HTTP_RETRY_AFTER, json.len, connection);
	if (to_head) {
		return 0;
	}
	text_add(text, json);
	return json.len;
}
