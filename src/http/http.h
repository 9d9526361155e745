/* SPDX-License-Identifier: MIT */
/*
 * http — HTTP/1.1 (RFC 9110, RFC 9112) as pure functions over bytes.
 *
 * Parse, frame, write. No descriptor, no clock, no memory of its own: parsed
 * heads are slices of the caller's bytes and live as long as these. Requests are
 * parsed more strictly than the RFC requires, because the Engine's parser (Go's
 * net/http) is lenient: a message that two readers can understand in two ways is
 * refused. Received request lines, field lines and chunk framing are never
 * copied; the writers make new ones from the parsed values.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/check.h"
#include "base/slice.h"
#include "base/text.h"

/* ── Results ─────────────────────────────────────────────────────────────── */

/* Why a message was refused: http/errors.def. */
enum http_error {
	HTTP_OK = 0,
#define ERROR(name, status, text) HTTP_BAD_##name,
#include "http/errors.def"
#undef ERROR
};

/* The status of the response to a refused request: 400, 403, 405 or 431. */
unsigned http_error_status(enum http_error error);
/* A sentence about the fault, for the client. */
const char *http_error_text(enum http_error error);

/* The reason phrase of the status of a local response (RFC 9110 §15). */
const char *http_reason(unsigned status);

/* ── Finding the end of a head ───────────────────────────────────────────── */

enum http_progress {
	HTTP_MORE, /* not complete yet */
	HTTP_DONE,
	HTTP_BAD,
};

/*
 * The search for the empty line that ends a head. It keeps its position between
 * calls, so that no byte is read again but the last few. One empty line before a head is skipped
 * and counts as part of the head (RFC 9112 §2.2). Line ends other than CRLF are
 * refused here; all other checks need the complete head.
 */
struct http_scan {
	size_t offset;   /* bytes searched */
	size_t head_len; /* with HTTP_DONE: bytes of the head, the empty line included */
	enum http_error error;
};

/* `bytes` begins at the first byte of the head; earlier calls got a prefix of it. */
enum http_progress http_scan_head(struct http_scan *scan, struct slice bytes) MUST_USE;

/*
 * Whether `bytes`, received between two requests, begin no request: they are empty
 * or a prefix of the empty line that is skipped. Some clients send such a line
 * after a body.
 */
static inline bool http_is_before_head(struct slice bytes)
{
	return bytes.len <= 2 && memcmp(bytes.ptr, "\r\n", bytes.len) == 0;
}

/*
 * The method at the beginning of `bytes`, a head that is incomplete or malformed;
 * empty if there is none.
 */
struct slice http_method_sent(struct slice bytes);

/* ── Heads ───────────────────────────────────────────────────────────────── */

enum { HTTP_FIELDS_MAX = 1000 };

/* Fields that this program understands; others are forwarded unread. */
enum http_name {
	HTTP_NAME_OTHER = 0,
#define FIELD(name, text, hop_by_hop) HTTP_NAME_##name,
#include "http/fields.def"
#undef FIELD
	HTTP_NAME_COUNT,
};

struct http_field {
	struct slice name;  /* as received */
	struct slice value; /* trimmed */
	enum http_name known;
	bool connection_named; /* a Connection field names it: not forwarded */
};

/* How the end of the body is determined (RFC 9112 §6.3). */
enum http_framing {
	HTTP_NO_BODY,
	HTTP_LENGTH,
	HTTP_CHUNKED,
	HTTP_UNTIL_CLOSE, /* responses only */
};

struct http_head {
	struct http_field *fields; /* the caller's array */
	unsigned field_count;
	unsigned minor_version; /* of HTTP/1.x; 0 or 1 */
	enum http_framing framing;
	uint64_t content_length; /* when has_length */
	bool keep_alive;         /* the sender keeps the connection open (RFC 9112 §9.3) */
	bool has_length;         /* there is a Content-Length, even if no body follows */
	bool has_chunked;        /* there is a Transfer-Encoding */
	bool has_via;            /* there is a Via */
	bool has_key;            /* there is a field that may have a key of the client */
	struct slice upgrade;    /* value of Upgrade; ptr NULL: no such field */
	/* What http_request_add_lines() or http_response_add_lines() made before; ptr NULL: nobody
	 * called it. */
	struct slice lines;
};

struct http_request {
	struct http_head head;
	struct slice method;
	struct slice path;  /* of the target, never empty; "*" with OPTIONS */
	struct slice query; /* after the question mark; ptr NULL: none */
	struct slice host;
};

struct http_response {
	struct http_head head;
	unsigned status; /* 100–999 */
	struct slice reason;
};

/*
 * Parse a complete head, of the length that http_scan_head() found. `fields` has
 * room for HTTP_FIELDS_MAX. The result points into `bytes` and `fields`.
 */
enum http_error http_request_parse(
        struct slice bytes, struct http_field *fields, struct http_request *ret_request) MUST_USE;
/* `to_head`: the response is to a HEAD request, so that no body follows. */
enum http_error http_response_parse(struct slice bytes, struct http_field *fields, bool to_head,
        struct http_response *ret_response) MUST_USE;

/* The value of the first field called `name`; ptr NULL: no such field. */
struct slice http_field_value(const struct http_head *head, enum http_name name);
/*
 * The key of a client in `x-api-key: KEY` or `Authorization: Bearer KEY` (RFC 6750 section 2.1);
 * ptr NULL: another field.
 */
struct slice http_client_key(const struct http_field *field);
/* The same for a field that is not in http/fields.def; `name` in any case. Slow. */
struct slice http_other_value(const struct http_head *head, struct slice name);

/*
 * Whether a Via field has the pseudonym: the message was forwarded by its owner already (RFC 9110
 * section 7.6.3). An empty pseudonym is nobody's.
 */
bool http_came_through(const struct http_head *head, struct slice pseudonym);

/* ── Forms and browsers ──────────────────────────────────────────────────── */

/*
 * Refuse a body that is a form, because the Engine would use its values instead of
 * those of the query; and a Content-Type that only some readers take for a form.
 */
enum http_error http_check_type(const struct http_request *request) MUST_USE;
/*
 * Refuse a request of a browser, because a page of any site can send it. Not
 * refused: WebSocket clients that send the Host as Origin, and fetch() outside of
 * browsers, which sends Sec-Fetch-Mode alone.
 */
enum http_error http_check_browser(const struct http_request *request) MUST_USE;

/*
 * Refuse requests that a page of another site sent, where browsers are served. `named`: TLS proves
 * the name of the server. If it does not, a request of a browser must not be for a name that
 * anybody can own and let point to this machine (DNS rebinding).
 */
enum http_error http_check_site(const struct http_request *request, bool named) MUST_USE;

/* Whether there are bytes behind the head: a length above 0, or chunks. */
bool http_has_body(const struct http_request *request);

/*
 * Why the Engine might take something else from a body than who looks into it: it is missing, not
 * declared as JSON, or encoded. A literal; NULL: it does not.
 */
const char *http_json_problem(const struct http_request *request);

/* Whether the body of a response is JSON as it stands: one document, or a stream of them. */
bool http_response_is_json(const struct http_response *response);

/* ── Body framing ────────────────────────────────────────────────────────── */

/*
 * The state of a chunked body (RFC 9112 §7.1) that is rewritten in place: sizes
 * are written in their shortest form, extensions and trailer fields are dropped.
 * The output is never longer than the input.
 */
struct http_chunks {
	unsigned state;     /* a row of the table in chunks.c */
	bool bare;          /* write data without framing, for HTTP/1.0 */
	uint64_t remaining; /* bytes of the current chunk that are not received yet */
	size_t line_len;    /* bytes of the current size or trailer line so far */
	size_t trailer_len; /* bytes of all trailer lines so far */
	unsigned digits;
};

enum {
	HTTP_CHUNK_LINE_MAX = 4096,    /* bytes of a size line with its extensions */
	HTTP_TRAILERS_MAX = 16 * 1024, /* bytes of all trailer lines */
};

struct http_chunks_result {
	enum http_progress progress;
	size_t consumed; /* bytes of the input that were read */
	size_t produced; /* bytes of output, at the front of the memory */
	uint64_t data;   /* bytes of body data among them */
};

/*
 * Rewrite `len` bytes at `bytes`; the output replaces them from the front. Zero the
 * struct before the first call. An incomplete size line is not consumed: pass it
 * again, with more bytes. Bytes are consumed up to a malformed byte; after
 * HTTP_DONE and HTTP_BAD, no bytes are consumed.
 */
struct http_chunks_result http_chunks_rewrite(
        struct http_chunks *chunks, char *bytes, size_t len) MUST_USE;
/* Whether a chunk would begin next, so that the last one may stand here. */
bool http_chunks_may_end(const struct http_chunks *chunks);
/* Bytes of data that come next and need no rewriting: the caller may move them itself. */
uint64_t http_chunks_opaque(const struct http_chunks *chunks);
/* Account for `len` opaque bytes that the caller moved. */
void http_chunks_skip(struct http_chunks *chunks, uint64_t len);

/* ── Writing ─────────────────────────────────────────────────────────────── */

/* What http_request_write() adds and omits. */
struct http_request_options {
	struct slice api_key; /* sent as x-api-key in place of the client's; ptr NULL: untouched */
	struct slice via;     /* the value of a Via behind those of others; ptr NULL: none */
	bool hide_keys;       /* fields that may have a key of the client are omitted */
	bool upgrade;         /* send Upgrade and Connection: Upgrade on */
	bool drop_body;       /* announce an empty body, whatever the client announced */
	/* Announce a body of `body_len` bytes, which is at hand, whatever the client announced. */
	bool has_body;
	uint64_t body_len;
};

/*
 * Append a request head. The target is `path` and the query of the request. Host
 * is `localhost`, the version is HTTP/1.1, hop-by-hop fields are omitted.
 */
void http_request_write(struct text *text, const struct http_request *request, struct slice path,
        const struct http_request_options *options);
/*
 * Append the field lines of a request that are passed on as they came, without those that may have
 * a key of the client. They are the same whatever the other options are, if none is Expect: then
 * the head can keep them.
 */
void http_request_add_lines(struct text *text, const struct http_head *head);

enum http_connection {
	HTTP_CONNECTION_KEEP,       /* no Connection field: the default of HTTP/1.1 */
	HTTP_CONNECTION_KEEP_ALIVE, /* for HTTP/1.0 */
	HTTP_CONNECTION_CLOSE,
	HTTP_CONNECTION_UPGRADE,
};

/* `bare`: the client knows no chunk framing, so that none is announced. */
void http_response_write(struct text *text, const struct http_response *response,
        enum http_connection connection, bool bare);
/* The same of a response, whatever its framing. */
void http_response_add_lines(struct text *text, const struct http_head *head);

enum { HTTP_RETRY_AFTER = 1 }; /* seconds, where nothing more exact is known */

/* A whole local response: {"message": …} and what belongs before it; `retry_s` is the Retry-After
 * of a 429 or 503, in seconds. Bytes of the body sent. */
size_t http_error_write(struct text *text, unsigned status, struct slice message, unsigned retry_s,
        bool to_head, enum http_connection connection);
/* The same with any JSON as its body. */
size_t http_json_write(struct text *text, unsigned status, struct slice json, bool to_head,
        enum http_connection connection);

#endif
