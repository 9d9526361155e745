/* SPDX-License-Identifier: MIT */
/*
 * Every way to be refused, each with a message that is refused so, whole and
 * byte by byte. A user sees the status and the words; an attacker sees that
 * there is no second reading of a message.
 */
#include "cases.h"
#include "feed.h"

#include <stdlib.h>

enum kind {
	REQUEST,
	RESPONSE,
};

struct refusal {
	enum kind kind;
	enum http_error error;
	const char *about;
	struct slice bytes;
};

#define REQUEST_LINE(line) SLICE_INIT(line "\r\nHost: docker\r\n\r\n")
#define FIELDS(lines)      SLICE_INIT("POST /a HTTP/1.1\r\nHost: docker\r\n" lines "\r\n\r\n")
#define HOSTS(lines)       SLICE_INIT("GET /a HTTP/1.1\r\n" lines "\r\n")
#define RESPONSE_OF(text)  SLICE_INIT(text "\r\n\r\n")

static const struct refusal refusals[] = {
        /* Line ends. */
        {REQUEST, HTTP_BAD_LINE_END, "LF everywhere", SLICE_INIT("GET / HTTP/1.1\nHost: a\n\n")},
        {REQUEST, HTTP_BAD_LINE_END, "LF in the request line",
                SLICE_INIT("GET / HTTP/1.1\nA: b\r\n\r\n")},
        {REQUEST, HTTP_BAD_LINE_END, "LF in a field", FIELDS("A: b\nTransfer-Encoding: chunked")},
        {REQUEST, HTTP_BAD_LINE_END, "LF as the empty line",
                SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\n\n")},
        {RESPONSE, HTTP_BAD_LINE_END, "LF in a response",
                SLICE_INIT("HTTP/1.1 200 OK\nA: b\r\n\r\n")},
        /* Request line. */
        {REQUEST, HTTP_BAD_REQUEST_LINE, "two empty lines first",
                SLICE_INIT("\r\n\r\nGET / HTTP/1.1\r\n\r\n")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "an empty line that ends with LF first",
                SLICE_INIT("\nGET / HTTP/1.1\r\n\r\n")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "a bare CR first", SLICE_INIT("\rGET / HTTP/1.1\r\n\r\n")},
        {RESPONSE, HTTP_BAD_STATUS_LINE, "an empty line before a response",
                SLICE_INIT("\r\nHTTP/1.1 200 OK\r\n\r\n")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "a space first", REQUEST_LINE(" GET / HTTP/1.1")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "NUL first", SLICE_INIT("\0\0\0\0")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "the method alone", REQUEST_LINE("GET")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "HTTP/0.9", REQUEST_LINE("GET /")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "no version behind the space", REQUEST_LINE("GET / ")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "two spaces before the target",
                REQUEST_LINE("GET  / HTTP/1.1")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "two spaces before the version",
                REQUEST_LINE("GET /  HTTP/1.1")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "a space at the end", REQUEST_LINE("GET / HTTP/1.1 ")},
        {REQUEST, HTTP_BAD_REQUEST_LINE, "a space in the target",
                REQUEST_LINE("GET /a b HTTP/1.1")},
        {REQUEST, HTTP_BAD_METHOD, "a tab behind the method", REQUEST_LINE("GET\t/ HTTP/1.1")},
        {REQUEST, HTTP_BAD_METHOD, "a parenthesis in the method", REQUEST_LINE("G(T / HTTP/1.1")},
        {REQUEST, HTTP_BAD_METHOD, "NUL in the method", REQUEST_LINE("G\0T / HTTP/1.1")},
        {REQUEST, HTTP_BAD_CONNECT, "CONNECT to an authority",
                REQUEST_LINE("CONNECT docker:80 HTTP/1.1")},
        {REQUEST, HTTP_BAD_CONNECT, "CONNECT to a path", REQUEST_LINE("CONNECT / HTTP/1.1")},
        /* Target. */
        {REQUEST, HTTP_BAD_TARGET, "a relative path", REQUEST_LINE("GET _ping HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET, "a query alone", REQUEST_LINE("GET ?a HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET, "an authority alone", REQUEST_LINE("GET docker:80 HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET, "* without OPTIONS", REQUEST_LINE("GET * HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET, "* with a query", REQUEST_LINE("OPTIONS *?a HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET, "another scheme",
                REQUEST_LINE("GET file:///etc/passwd HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET, "one slash", REQUEST_LINE("GET http:/docker/ HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET_BYTE, "NUL", REQUEST_LINE("GET /a\0b HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET_BYTE, "a tab", REQUEST_LINE("GET /a\tHTTP/1.1")},
        {REQUEST, HTTP_BAD_LINE_END, "a CR in the target", REQUEST_LINE("GET /a\rb HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET_BYTE, "a backslash in the path",
                REQUEST_LINE("GET /a\\b HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET_BYTE, "a brace in the path", REQUEST_LINE("GET /a{b HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET_BYTE, "UTF-8", REQUEST_LINE("GET /\xc3\xa4 HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET_BYTE, "DEL in the query", REQUEST_LINE("GET /?\x7f HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET_BYTE, "an escape of no digits",
                REQUEST_LINE("GET /%zz HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET_BYTE, "an escape of one digit", REQUEST_LINE("GET /%2 HTTP/1.1")},
        {REQUEST, HTTP_BAD_TARGET_BYTE, "a bad escape in the query",
                REQUEST_LINE("GET /?a=%g0 HTTP/1.1")},
        {REQUEST, HTTP_BAD_FRAGMENT, "a fragment", REQUEST_LINE("GET /a#b HTTP/1.1")},
        {REQUEST, HTTP_BAD_FRAGMENT, "a fragment behind a query",
                REQUEST_LINE("GET /a?b#c HTTP/1.1")},
        {REQUEST, HTTP_BAD_FRAGMENT, "a fragment alone", REQUEST_LINE("GET # HTTP/1.1")},
        {REQUEST, HTTP_BAD_AUTHORITY, "another host", REQUEST_LINE("GET http://evil/ HTTP/1.1")},
        {REQUEST, HTTP_BAD_AUTHORITY, "another port",
                REQUEST_LINE("GET http://docker:81/ HTTP/1.1")},
        {REQUEST, HTTP_BAD_AUTHORITY, "an empty authority", REQUEST_LINE("GET http:///a HTTP/1.1")},
        {REQUEST, HTTP_BAD_AUTHORITY, "an empty authority and an empty Host",
                SLICE_INIT("GET http:///a HTTP/1.1\r\nHost:\r\n\r\n")},
        {REQUEST, HTTP_BAD_AUTHORITY, "user information",
                REQUEST_LINE("GET http://a@docker/ HTTP/1.1")},
        {REQUEST, HTTP_BAD_AUTHORITY, "no Host to compare with",
                SLICE_INIT("GET http://docker/ HTTP/1.0\r\n\r\n")},
        /* Version. */
        {REQUEST, HTTP_BAD_VERSION, "HTTP/1.2", REQUEST_LINE("GET / HTTP/1.2")},
        {REQUEST, HTTP_BAD_VERSION, "HTTP/2.0", REQUEST_LINE("GET / HTTP/2.0")},
        {REQUEST, HTTP_BAD_VERSION, "HTTP/1.10", REQUEST_LINE("GET / HTTP/1.10")},
        {REQUEST, HTTP_BAD_VERSION, "lower case", REQUEST_LINE("GET / http/1.1")},
        {REQUEST, HTTP_BAD_LINE_END, "a CR behind it", REQUEST_LINE("GET / HTTP/1.1\r")},
        {REQUEST, HTTP_BAD_PREFACE, "HTTP/2 with prior knowledge",
                SLICE_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
        {REQUEST, HTTP_BAD_TLS, "a TLS ClientHello", SLICE_INIT("\x16\x03\x01\x02\x00\x01")},
        /* Fields. */
        {REQUEST, HTTP_BAD_FIELD_FOLDED, "a folded value", FIELDS("A: b\r\n c")},
        {REQUEST, HTTP_BAD_FIELD_FOLDED, "a folded coding",
                FIELDS("Transfer-Encoding:\r\n chunked")},
        {REQUEST, HTTP_BAD_FIELD_FOLDED, "folded with a tab", FIELDS("A: b\r\n\tc: d")},
        {REQUEST, HTTP_BAD_FIELD_FOLDED, "the first field indented", HOSTS(" Host: docker\r\n")},
        {REQUEST, HTTP_BAD_FIELD_NAME, "a space before the colon", FIELDS("Content-Length : 5")},
        {REQUEST, HTTP_BAD_FIELD_NAME, "an empty name", FIELDS(": b")},
        {REQUEST, HTTP_BAD_FIELD_NAME, "no colon", FIELDS("word")},
        {REQUEST, HTTP_BAD_FIELD_NAME, "NUL in a name", FIELDS("A\0B: c")},
        {REQUEST, HTTP_BAD_LINE_END, "a CR in a name", FIELDS("A\rB: c")},
        {REQUEST, HTTP_BAD_FIELD_VALUE, "NUL in a value", FIELDS("A: b\0c")},
        {REQUEST, HTTP_BAD_LINE_END, "a CR in a value", FIELDS("A: b\rContent-Length: 5")},
        {REQUEST, HTTP_BAD_LINE_END, "a CR before CRLF", FIELDS("A: b\r")},
        {REQUEST, HTTP_BAD_FIELD_VALUE, "DEL deep in a value",
                FIELDS("A: bcdefghijklmnopqrs\x7ftuvwxyz")},
        {REQUEST, HTTP_BAD_FIELD_VALUE, "a bell in the first eight",
                FIELDS("A: bcd\x07"
                       "efghijkl")},
        {RESPONSE, HTTP_BAD_FIELD_FOLDED, "folded in a response",
                RESPONSE_OF("HTTP/1.1 200 OK\r\nA: b\r\n c")},
        /* Host. */
        {REQUEST, HTTP_BAD_HOST_MISSING, "no Host on 1.1", HOSTS("A: b\r\n")},
        {REQUEST, HTTP_BAD_HOST_MISSING, "no field at all", HOSTS("")},
        {REQUEST, HTTP_BAD_HOST_REPEATED, "two equal Hosts", HOSTS("Host: a\r\nhost: a\r\n")},
        {REQUEST, HTTP_BAD_HOST_REPEATED, "two Hosts on 1.0",
                SLICE_INIT("GET / HTTP/1.0\r\nHost:\r\nHost: a\r\n\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a space in Host", HOSTS("Host: a b\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a path in Host", HOSTS("Host: a/b\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a list in Host", HOSTS("Host: a,b\r\n")},
        {REQUEST, HTTP_BAD_HOST, "user information in Host", HOSTS("Host: a@b\r\n")},
        {REQUEST, HTTP_BAD_HOST, "two ports in Host", HOSTS("Host: a:1:2\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a name as the port", HOSTS("Host: a:b\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a port below none", HOSTS("Host: a:-1\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a port that no machine has", HOSTS("Host: a:65536\r\n")},
        {REQUEST, HTTP_BAD_HOST, "an IPv6 address without brackets", HOSTS("Host: fe80::1\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a bracket alone", HOSTS("Host: [\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a bracket that closes", HOSTS("Host: a]\r\n")},
        {REQUEST, HTTP_BAD_HOST, "nothing in brackets", HOSTS("Host: []\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a name in brackets", HOSTS("Host: [docker]\r\n")},
        {REQUEST, HTTP_BAD_HOST, "too many groups", HOSTS("Host: [1:2:3:4:5:6:7:8:9]\r\n")},
        {REQUEST, HTTP_BAD_HOST, "more than any address",
                HOSTS("Host: "
                      "[00001:2:3:4:5:6:7:8:9:a:b:c:d:e:f:0:1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:0:1:2:3:"
                      "4]\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a zone", HOSTS("Host: [fe80::1%25eth0]\r\n")},
        {REQUEST, HTTP_BAD_HOST, "a name behind the brackets", HOSTS("Host: [::1]a\r\n")},
        {REQUEST, HTTP_BAD_HOST, "an escape of no digits in Host", HOSTS("Host: %zz\r\n")},
        {REQUEST, HTTP_BAD_HOST, "an escape that is cut in Host", HOSTS("Host: a%2\r\n")},
        /* Framing. */
        {REQUEST, HTTP_BAD_LENGTH, "an empty length", FIELDS("Content-Length:")},
        {REQUEST, HTTP_BAD_LENGTH, "a plus", FIELDS("Content-Length: +5")},
        {REQUEST, HTTP_BAD_LENGTH, "a minus", FIELDS("Content-Length: -0")},
        {REQUEST, HTTP_BAD_LENGTH, "a list", FIELDS("Content-Length: 5, 5")},
        {REQUEST, HTTP_BAD_LENGTH, "hexadecimal", FIELDS("Content-Length: 0x5")},
        {REQUEST, HTTP_BAD_LENGTH, "2^63", FIELDS("Content-Length: 9223372036854775808")},
        {REQUEST, HTTP_BAD_LENGTH, "2^64 and 5", FIELDS("Content-Length: 18446744073709551621")},
        {REQUEST, HTTP_BAD_LENGTH_REPEATED, "two equal lengths",
                FIELDS("Content-Length: 5\r\nContent-Length: 5")},
        {REQUEST, HTTP_BAD_LENGTH_REPEATED, "two lengths",
                FIELDS("Content-Length: 0\r\nA: b\r\ncontent-length: 5")},
        {REQUEST, HTTP_BAD_CODING, "an unknown coding", FIELDS("Transfer-Encoding: xchunked")},
        {REQUEST, HTTP_BAD_CODING, "upper case", FIELDS("Transfer-Encoding: Chunked")},
        {REQUEST, HTTP_BAD_CODING, "a list of codings", FIELDS("Transfer-Encoding: gzip, chunked")},
        {REQUEST, HTTP_BAD_CODING, "an empty coding", FIELDS("Transfer-Encoding:")},
        {REQUEST, HTTP_BAD_CODING_REPEATED, "two codings",
                FIELDS("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")},
        {REQUEST, HTTP_BAD_CODING_VERSION, "a coding on 1.0",
                SLICE_INIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")},
        {REQUEST, HTTP_BAD_LENGTH_AND_CODING, "length, then coding",
                FIELDS("Content-Length: 5\r\nTransfer-Encoding: chunked")},
        {REQUEST, HTTP_BAD_LENGTH_AND_CODING, "coding, then length",
                FIELDS("Transfer-Encoding: chunked\r\nContent-Length: 5")},
        {RESPONSE, HTTP_BAD_LENGTH, "a response of no length",
                RESPONSE_OF("HTTP/1.1 200 OK\r\nContent-Length: x")},
        {RESPONSE, HTTP_BAD_LENGTH_REPEATED, "a response of two lengths",
                RESPONSE_OF("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2")},
        {RESPONSE, HTTP_BAD_CODING, "a response that is zipped on the way",
                RESPONSE_OF("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked")},
        {RESPONSE, HTTP_BAD_CODING_REPEATED, "a response of two codings",
                RESPONSE_OF("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
                            "chunked")},
        {RESPONSE, HTTP_BAD_CODING_VERSION, "a 1.0 response in chunks",
                RESPONSE_OF("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked")},
        {RESPONSE, HTTP_BAD_LENGTH_AND_CODING, "a response of length and coding",
                RESPONSE_OF("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1")},
        /* Status line. */
        {RESPONSE, HTTP_BAD_STATUS_LINE, "another protocol", RESPONSE_OF("SSH-2.0-OpenSSH_9.2p1")},
        {RESPONSE, HTTP_BAD_STATUS_LINE, "HTTP/1.2 from the Engine",
                RESPONSE_OF("HTTP/1.2 200 OK")},
        {RESPONSE, HTTP_BAD_STATUS_LINE, "two digits", RESPONSE_OF("HTTP/1.1 20 OK")},
        {RESPONSE, HTTP_BAD_STATUS_LINE, "four digits", RESPONSE_OF("HTTP/1.1 2000 OK")},
        {RESPONSE, HTTP_BAD_STATUS_LINE, "a status under 100", RESPONSE_OF("HTTP/1.1 099 OK")},
        {RESPONSE, HTTP_BAD_STATUS_LINE, "no status", RESPONSE_OF("HTTP/1.1")},
        {RESPONSE, HTTP_BAD_LINE_END, "a CR in the reason", RESPONSE_OF("HTTP/1.1 200 O\rK")},
        {RESPONSE, HTTP_BAD_STATUS_LINE, "NUL in the reason", RESPONSE_OF("HTTP/1.1 200 O\0K")},
};

static enum http_error feed_kind(enum kind kind, struct slice bytes, size_t step)
{
	struct feed *feed = malloc(sizeof(*feed));

	assert_non_null(feed);
	if (kind == REQUEST) {
		feed_request(feed, bytes, step);
	} else {
		feed_response(feed, bytes, step, false);
	}
	const enum http_error error = feed->error;
	feed_free(feed);
	free(feed);
	return error;
}

static void is_refused(
        enum kind kind, enum http_error wanted, const char *about, struct slice bytes)
{
	const size_t steps[] = {SIZE_MAX / 2, 1, 7};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const enum http_error error = feed_kind(kind, bytes, steps[i]);
		if (error != wanted) {
			fail_msg("%s: refused as '%s', wanted '%s'", about, http_error_text(error),
			        http_error_text(wanted));
		}
	}
}

static void malformed_messages_are_refused_for_what_is_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		is_refused(
		        refusals[i].kind, refusals[i].error, refusals[i].about, refusals[i].bytes);
	}
}

/* ── Every byte in every place ───────────────────────────────────────────── */

/* The sets as the RFCs write them; letters and digits are in all of them. */
static const char token_marks[] = "!#$%&'*+-.^_`|~";      /* RFC 9110 section 5.6.2 */
static const char host_marks[] = "-._~!$&'()*+;=";        /* RFC 3986 section 3.2.2 */
static const char path_marks[] = "/-._~!$&'()*+,;=:@[]?"; /* RFC 3986 section 3.3, and '?' */
static const char query_marks[] = "/-._~!$&'()*+,;=:@[]?\"<>\\^`{|}";

static bool is_one_of(unsigned byte, const char *marks)
{
	const bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');

	return letter || (byte >= '0' && byte <= '9') ||
	       (byte != 0 && byte < 0x80 && strchr(marks, (int)byte) != NULL);
}

/* RFC 9110 section 5.5. */
static bool is_of_value(unsigned byte)
{
	return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

/* Whether a request with `byte` between `before` and `behind` is accepted. */
static bool is_accepted(const char *before, unsigned byte, const char *behind)
{
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, slice_of(before));
	text_add_char(&text, (char)byte);
	text_add(&text, slice_of(behind));
	return feed_kind(REQUEST, text_slice(&text), SIZE_MAX / 2) == HTTP_OK;
}

static void is_judged(const char *about, unsigned byte, bool accepted, bool wanted)
{
	if (accepted != wanted) {
		fail_msg("byte 0x%02x in a %s is %s", byte, about,
		        accepted ? "accepted" : "refused");
	}
}

static void every_byte_is_judged_in_every_place(void **state)
{
	const char end[] = " HTTP/1.1\r\nHost: a\r\n\r\n";

	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		is_judged("method", byte, is_accepted("G", byte, "T / HTTP/1.1\r\nHost: a\r\n\r\n"),
		        is_one_of(byte, token_marks));
		is_judged("path", byte, is_accepted("GET /a", byte, end),
		        is_one_of(byte, path_marks));
		is_judged("query", byte, is_accepted("GET /?a", byte, end),
		        is_one_of(byte, query_marks));
		is_judged("name", byte,
		        is_accepted("GET / HTTP/1.1\r\nHost: a\r\nA", byte, "b: c\r\n\r\n"),
		        byte == ':' || is_one_of(byte, token_marks));
		is_judged("Host", byte, is_accepted("GET / HTTP/1.1\r\nHost: a", byte, "b\r\n\r\n"),
		        is_one_of(byte, host_marks));
	}
}

/* Values are looked at eight bytes at a time: every byte at every place of two times eight. */
static void every_byte_is_judged_anywhere_in_a_value(void **state)
{
	char before[64] = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
	const size_t start = strlen(before);

	(void)state;
	for (size_t place = 0; place < 16; place++) {
		memset(before + start, 'v', place);
		before[start + place] = '\0';
		for (unsigned byte = 0; byte < 256; byte++) {
			is_judged("value", byte,
			        is_accepted(before, byte, "0123456789abcdef\r\n\r\n"),
			        is_of_value(byte));
			is_judged("value's end", byte, is_accepted(before, byte, "\r\n\r\n"),
			        is_of_value(byte));
		}
	}
}

/* A GET with `count` times `line`, closed by CRLF CRLF. */
static struct slice repeat(
        char *memory, size_t cap, struct slice start, struct slice line, unsigned count)
{
	struct text text = text_over(memory, cap);

	text_add(&text, start);
	for (unsigned i = 0; i < count; i++) {
		text_add(&text, line);
	}
	text_add(&text, SLICE("\r\n"));
	assert_false(text.overflow);
	return text_slice(&text);
}

static void too_many_fields_are_refused(void **state)
{
	static char memory[FEED_HEAD_MAX + 1024];
	const struct slice start = SLICE("GET / HTTP/1.1\r\nHost: a\r\n");
	const struct slice connection = SLICE("GET / HTTP/1.1\r\nHost: a\r\nConnection: a");

	(void)state;
	const struct slice full =
	        repeat(memory, sizeof(memory), start, SLICE("A: b\r\n"), HTTP_FIELDS_MAX - 1);
	assert_int_equal(feed_kind(REQUEST, full, SIZE_MAX / 2), HTTP_OK);
	const struct slice over =
	        repeat(memory, sizeof(memory), start, SLICE("A: b\r\n"), HTTP_FIELDS_MAX);
	assert_int_equal(feed_kind(REQUEST, over, SIZE_MAX / 2), HTTP_BAD_TOO_MANY_FIELDS);

	/* A Connection field that names more than anyone would. */
	memory[0] = 0;
	struct text named = text_over(memory, sizeof(memory));
	text_add(&named, connection);
	for (unsigned i = 1; i < 32; i++) {
		text_add(&named, SLICE(", close, a"));
	}
	const size_t before = named.len;
	text_add(&named, SLICE("\r\n\r\n"));
	assert_int_equal(feed_kind(REQUEST, text_slice(&named), SIZE_MAX / 2), HTTP_OK);
	named.len = before;
	text_add(&named, SLICE(", a\r\n\r\n"));
	is_refused(REQUEST, HTTP_BAD_TOO_MANY_FIELDS, "33 names in Connection", text_slice(&named));
}

/* Chunk framing and the ceiling on heads are the caller's to report: see test_http_chunks.c;
 * whole heads are checked for who sends them: see test_http_admit.c. */
static bool is_reported_elsewhere(enum http_error error)
{
	return error == HTTP_BAD_CHUNK || error == HTTP_BAD_TOO_LARGE ||
	       error == HTTP_BAD_TOO_MANY_FIELDS || error == HTTP_BAD_TYPE ||
	       error == HTTP_BAD_TYPE_REPEATED || error == HTTP_BAD_FORM ||
	       error == HTTP_BAD_BROWSER || error == HTTP_BAD_ORIGIN || error == HTTP_BAD_SITE ||
	       error == HTTP_BAD_NAME;
}

static void every_reason_has_a_case_here(void **state)
{
	static const enum http_error all[] = {
#define ERROR(name, status, text) HTTP_BAD_##name,
#include "http/errors.def"
#undef ERROR
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		bool found = is_reported_elsewhere(all[i]);
		for (size_t j = 0; j < ARRAY_LEN(refusals) && !found; j++) {
			found = refusals[j].error == all[i];
		}
		if (!found) {
			fail_msg("no case for: %s", http_error_text(all[i]));
		}
	}
}

static void every_reason_has_a_status_and_words(void **state)
{
	static const struct {
		enum http_error error;
		unsigned status;
	} all[] = {
#define ERROR(name, status, text) {HTTP_BAD_##name, status},
#include "http/errors.def"
#undef ERROR
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(http_error_status(all[i].error), all[i].status);
		assert_that("words", strlen(http_error_text(all[i].error)) > 10);
		assert_that("a reason phrase", http_reason(all[i].status)[0] != '\0');
	}
	assert_int_equal(http_error_status(HTTP_BAD_CONNECT), 405);
	assert_int_equal(http_error_status(HTTP_BAD_TOO_LARGE), 431);
	assert_int_equal(http_error_status(HTTP_BAD_TOO_MANY_FIELDS), 431);
	assert_string_equal(http_reason(502), "Bad Gateway");
	assert_string_equal(http_reason(799), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(malformed_messages_are_refused_for_what_is_wrong),
	        cmocka_unit_test(every_byte_is_judged_in_every_place),
	        cmocka_unit_test(every_byte_is_judged_anywhere_in_a_value),
	        cmocka_unit_test(too_many_fields_are_refused),
	        cmocka_unit_test(every_reason_has_a_case_here),
	        cmocka_unit_test(every_reason_has_a_status_and_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
