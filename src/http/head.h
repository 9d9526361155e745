/* SPDX-License-Identifier: MIT */
/*
 * head — what request and response heads share. Private to http/.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/bytes16.h"
#include "http/http.h"

/* Where a byte may occur; bits, because a byte may have several classes. */
enum byte_class {
	BYTE_TOKEN = 1, /* names and methods: RFC 9110 section 5.6.2 */
	BYTE_VALUE = 2, /* field values: RFC 9110 section 5.5, with space and tab */
	BYTE_PATH = 4,  /* a target before the query; without '%', which is checked separately */
	BYTE_QUERY = 8, /* a target's query; without '%' */
	BYTE_HOST = 16, /* a registered name: RFC 3986 section 3.2.2; without '%' and ',' */
	BYTE_HEX = 32,
	BYTE_BLANK = 64, /* space and tab */
};

extern const unsigned char http_bytes[256];

static inline bool byte_is(char c, unsigned classes)
{
	return (http_bytes[(unsigned char)c] & classes) != 0;
}

/* The first byte from `at` on that is not of these classes, or `end`. */
static inline const char *skip_bytes(const char *at, const char *end, unsigned classes)
{
	while (at < end && byte_is(*at, classes)) {
		at++;
	}
	return at;
}

/* The first byte from `at` on that is a control (RFC 5234 appendix B.1: CTL), or `end`. */
static inline const char *find_control(const char *at, const char *end)
{
	while (end - at >= 16) {
		const bytes16 bytes = bytes16_load(at);
		const unsigned n = bytes16_first((bytes16)((bytes < 0x20) | (bytes == 0x7f)));
		at += n;
		if (n < 16) {
			return at;
		}
	}
	while (at < end && (unsigned char)*at >= 0x20 && *at != 0x7f) {
		at++;
	}
	return at;
}

/* The first byte from `at` on that is not BYTE_VALUE, or `end`. */
static inline const char *skip_value(const char *at, const char *end)
{
	at = find_control(at, end);
	while (UNLIKELY(at < end && *at == '\t')) {
		at = find_control(at + 1, end);
	}
	return at;
}

enum { HEAD_EMPTY_LINE = 2 }; /* bytes: CRLF */

/* Bytes of the empty line at the front of `bytes`: HEAD_EMPTY_LINE, or 0 without one. */
static inline size_t head_empty_line(struct slice bytes)
{
	return slice_starts_with(bytes, SLICE("\r\n")) ? HEAD_EMPTY_LINE : 0;
}

/* The fields that decide the framing and the end of the connection. */
struct head_facts {
	struct slice host;
	struct slice length;
	struct slice coding;
	unsigned hosts; /* number of Host fields */
	unsigned codings;
	unsigned lengths;
	bool lengths_differ;
	bool close; /* Connection options */
	bool keep_alive;
};

/* The first line of a complete head, without its CRLF; empty where an empty line comes first. */
struct slice head_first_line(struct slice bytes);

/*
 * Parses the field lines of a complete head, `bytes`, which start behind
 * `first_line`. Fills in the fields, the upgrade and *ret_facts.
 */
enum http_error head_parse_fields(struct slice bytes, struct slice first_line,
        struct http_head *head, struct head_facts *ret_facts) MUST_USE;

/* Reads the one Content-Length, if any, into the head. */
enum http_error head_parse_length(struct http_head *head, const struct head_facts *facts) MUST_USE;

/* Accepted spellings of "chunked". */
enum head_coding {
	HEAD_CODING_EXACT,
	HEAD_CODING_ANY_CASE, /* RFC 9112 section 7 */
};

/* Reads the Transfer-Encoding, of which there is at least one, into the head. */
enum http_error head_parse_coding(
        struct http_head *head, const struct head_facts *facts, enum head_coding spelling) MUST_USE;

/* Whether the sender keeps the connection open after this message (RFC 9112 section 9.3). */
static inline bool head_keeps_alive(const struct http_head *head, const struct head_facts *facts)
{
	return !facts->close && (head->minor_version > 0 || facts->keep_alive);
}

#endif
