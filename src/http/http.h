/* SPDX-License-Identifier: MIT */
/*
 * http — HTTP/1.1 (RFC 9110, RFC 9112) as pure functions over bytes.
 *
 * Parse, frame, write. No descriptor, no clock, no memory of its own: parsed
 * heads are slices into the caller's bytes and die with them. Requests are
 * read far more strictly than the RFC demands, because the reader behind us
 * (Go's net/http) is lenient: whatever two readers could understand in two
 * ways is refused. Nothing a client sent as a request line, a field line or
 * chunk framing is ever copied on; the writers make them anew from the parse.
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
/* What is wrong, in words for the client's author. */
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
 * Looks for the empty line that ends a head. Keeps its place between calls, so
 * that a head that comes byte by byte is read once. One empty line in front of
 * a head is skipped and counts as part of it. Line ends other than CRLF are
 * refused here; everything else waits until the head is whole.
 */
struct http_scan {
	size_t offset;   /* bytes looked at */
	size_t line;     /* where the current line starts */
	size_t head_len; /* set when done: bytes up to and with the empty line */
	enum http_error error;
};

/* `bytes` begins at the head's first byte; earlier calls saw a prefix of it. */
enum http_progress http_scan_head(struct http_scan *scan, struct slice bytes) MUST_USE;

/*
 * Whether `bytes`, where a request may begin, are less than that: nothing, or
 * (a part of) the empty line that is skipped. A client that sends one behind a
 * body has not begun another request with it.
 */
static inline bool http_is_before_head(struct slice bytes)
{
	return bytes.len <= 2 && memcmp(bytes.ptr, "\r\n", bytes.len) == 0;
}

/*
 * The method of the request line that `bytes` begin with, of a head that is
 * not whole or malformed; empty where there is none.
 */
struct slice http_method_sent(struct slice bytes);

/* ── Heads ───────────────────────────────────────────────────────────────── */

enum { HTTP_FIELDS_MAX = 1000 };

/* Fields this program understands; all others are passed on unread. */
enum http_name {
	HTTP_NAME_OTHER = 0,
#define FIELD(name, text, hop_by_hop) HTTP_NAME_##name,
#include "http/fields.def"
#undef FIELD
	HTTP_NAME_COUNT,
};

struct http_field {
	struct slice name;  /* as spelled */
	struct slice value; /* trimmed */
	enum http_name known;
	bool connection_named; /* a Connection field names it: for this hop only */
};

/* How the body's end is known (RFC 9112 §6.3). */
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
	bool keep_alive;         /* the sender is willing (RFC 9112 §9.3) */
	bool has_length;         /* a Content-Length was there, even where no body follows */
	bool has_chunked;        /* a Transfer-Encoding was there */
	struct slice upgrade;    /* value of Upgrade; ptr is NULL without one */
};

struct http_request {
	struct http_head head;
	struct slice method;
	struct slice path;  /* of the target, never empty; "*" with OPTIONS */
	struct slice query; /* behind the question mark; ptr is NULL without one */
	struct slice host;
};

struct http_response {
	struct http_head head;
	unsigned status; /* 100–999 */
	struct slice reason;
};

/*
 * Parse a complete head, as http_scan_head() measured it. `fields` has room
 * for HTTP_FIELDS_MAX. The result borrows from `bytes` and `fields`.
 */
enum http_error http_request_parse(
        struct slice bytes, struct http_field *fields, struct http_request *ret_request) MUST_USE;
/* `to_head`: the response is to a HEAD request, so that no body follows. */
enum http_error http_response_parse(struct slice bytes, struct http_field *fields, bool to_head,
        struct http_response *ret_response) MUST_USE;

/* The value of the first field of that name; ptr is NULL without one. */
struct slice http_field_value(const struct http_head *head, enum http_name name);

/* ── Who may speak at all ────────────────────────────────────────────────── */

/*
 * A form in the body: the Engine would take its values rather than those of
 * the query. So would it of a type that only some readers see as one.
 */
enum http_error http_check_type(const struct http_request *request) MUST_USE;
/*
 * A page in a browser, of whatever site, can make requests too; but a browser
 * says so. Plain WebSocket clients send an Origin as well, the Host's own, and
 * fetch() outside of browsers a Sec-Fetch-Mode.
 */
enum http_error http_check_browser(const struct http_request *request) MUST_USE;

/* ── Body framing ────────────────────────────────────────────────────────── */

/*
 * A chunked body (RFC 9112 §7.1), rewritten in place: sizes are spelled anew,
 * extensions and trailer fields dropped. What comes out is never longer than
 * what went in.
 */
struct http_chunks {
	unsigned state;     /* a row of the table in chunks.c */
	bool bare;          /* write the data without any framing (for HTTP/1.0) */
	uint64_t remaining; /* bytes of the current chunk still to come */
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
	size_t consumed; /* bytes of the input that were used */
	size_t produced; /* bytes at the front of the memory that are the output */
	uint64_t data;   /* bytes of body data among them */
};

/*
 * Feed `len` bytes at `bytes`; the output replaces them from the front. Starts
 * from a struct of zeros. Of a size line that is not whole yet nothing is used:
 * the next call sees it again, with more behind it. Bytes are used up to what
 * is malformed, and after HTTP_DONE and HTTP_BAD none.
 */
struct http_chunks_result http_chunks_rewrite(
        struct http_chunks *chunks, char *bytes, size_t len) MUST_USE;
/* Bytes of data that come next and need no look: they may go past this function. */
uint64_t http_chunks_opaque(const struct http_chunks *chunks);
/* Account for `len` opaque bytes that went past. */
void http_chunks_skip(struct http_chunks *chunks, uint64_t len);

/* ── Writing ─────────────────────────────────────────────────────────────── */

/* What the writers add and leave out. */
struct http_request_options {
	struct slice api_key; /* sent as x-api-key in place of the client's; ptr NULL: untouched */
	bool upgrade;         /* send Upgrade and Connection: Upgrade on */
	bool drop_body;       /* announce an empty body whatever the client announced */
};

/*
 * The target is `path` with the request's query behind it. Host is sent as
 * `localhost`, the version as 1.1, hop-by-hop fields are left out.
 */
void http_request_write(struct text *text, const struct http_request *request, struct slice path,
        const struct http_request_options *options);

enum http_connection {
	HTTP_CONNECTION_KEEP,       /* say nothing: the default of 1.1 */
	HTTP_CONNECTION_KEEP_ALIVE, /* said aloud, for 1.0 */
	HTTP_CONNECTION_CLOSE,
	HTTP_CONNECTION_UPGRADE,
};

/* `bare`: the client knows no chunk framing, so that none is announced. */
void http_response_write(struct text *text, const struct http_response *response,
        enum http_connection connection, bool bare);

/* A whole local response: {"message": …} and what belongs before it. Bytes of the body sent. */
size_t http_error_write(struct text *text, unsigned status, struct slice message, bool to_head,
        enum http_connection connection);
/* The same with any JSON as its body. */
size_t http_json_write(struct text *text, unsigned status, struct slice json, bool to_head,
        enum http_connection connection);

#endif
