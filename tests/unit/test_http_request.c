/* SPDX-License-Identifier: MIT */
/* What is read out of requests that are accepted, whole and in pieces. */
#include "cases.h"
#include "feed.h"

#include <stdlib.h>

static struct feed feed;

static const struct http_request *parse(const char *about, struct slice bytes, size_t step)
{
	feed_request(&feed, bytes, step);
	if (feed.error != HTTP_OK || feed.incomplete) {
		fail_msg("%s: refused: %s", about, http_error_text(feed.error));
	}
	return &feed.request;
}

/* ── Targets ─────────────────────────────────────────────────────────────── */

struct target_case {
	const char *line;
	const char *path;
	const char *query; /* NULL: no question mark */
};

static const struct target_case target_cases[] = {
        {"GET /", "/", NULL},
        {"get /_ping", "/_ping", NULL},
        {"GET /v1.41/containers/json?all=1&filters=%7B%22a%22%3A1%7D", "/v1.41/containers/json",
                "all=1&filters=%7B%22a%22%3A1%7D"},
        {"GET /?", "/", ""},
        {"GET /a?b?c/d", "/a", "b?c/d"},
        {"GET /a?x={\"l\":[\"a|b\"]}^`<>\\", "/a", "x={\"l\":[\"a|b\"]}^`<>\\"},
        {"GET //a", "//a", NULL},
        {"GET /%2e%2E/", "/%2e%2E/", NULL},
        {"GET /images/a.b-c_d~e!$&'()*+,;=:@f/json", "/images/a.b-c_d~e!$&'()*+,;=:@f/json", NULL},
        {"OPTIONS *", "*", NULL},
        {"OPTIONS /a", "/a", NULL},
        {"GET http://docker:80/a?b", "/a", "b"},
        {"GET HTTPS://DOCKER:80/a", "/a", NULL},
        {"GET http://docker:80", "/", NULL},
        {"GET http://docker:80?q=1", "/", "q=1"},
        {"GET http://docker:80?", "/", ""},
        {"GET http://docker:80?/a", "/", "/a"},
        {"M-SEARCH!1 /a", "/a", NULL},
};

static void check_target(const struct target_case *row, size_t step)
{
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	text_add_format(&text, "%s HTTP/1.1\r\nHost: docker:80\r\n\r\n", row->line);
	const struct http_request *request = parse(row->line, text_slice(&text), step);
	assert_slice(row->line, request->path, slice_of(row->path));
	assert_that(row->line, (request->query.ptr == NULL) == (row->query == NULL));
	if (row->query != NULL) {
		assert_slice(row->line, request->query, slice_of(row->query));
	}
	assert_slice(row->line, request->host, SLICE("docker:80"));
	assert_that(row->line, strncmp(row->line, request->method.ptr, request->method.len) == 0);
	assert_that(row->line, row->line[request->method.len] == ' ');
	feed_free(&feed);
}

static void a_target_is_read_as_the_engine_reads_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(target_cases); i++) {
		check_target(&target_cases[i], SIZE_MAX / 2);
		check_target(&target_cases[i], 1);
	}
}

/* ── Framing and connection ──────────────────────────────────────────────── */

struct framing_case {
	const char *about;
	const char *minor;
	const char *fields;
	uint64_t length;
	enum http_framing framing;
	bool has_length;
	bool keep_alive;
};

static const struct framing_case framing_cases[] = {
        {"nothing said", "1", "", 0, HTTP_NO_BODY, false, true},
        {"a length", "1", "Content-Length: 5\r\n", 5, HTTP_LENGTH, true, true},
        {"no bytes", "1", "Content-Length: 0\r\n", 0, HTTP_LENGTH, true, true},
        {"zeros in front", "1", "CONTENT-LENGTH: \t 005 \t\r\n", 5, HTTP_LENGTH, true, true},
        {"the longest", "1", "Content-Length: 9223372036854775807\r\n", INT64_MAX, HTTP_LENGTH,
                true, true},
        {"chunks", "1", "Transfer-Encoding: chunked\r\n", 0, HTTP_CHUNKED, false, true},
        {"chunks by another case", "1", "tRANSFER-eNCODING:\tchunked \r\n", 0, HTTP_CHUNKED, false,
                true},
        {"names that only look so", "1", "Content_Length: 5\r\nTransfer_Encoding: chunked\r\n", 0,
                HTTP_NO_BODY, false, true},
        {"close", "1", "Connection: close\r\n", 0, HTTP_NO_BODY, false, false},
        {"close in a list", "1", "Connection: a,, CLOSE ,\r\n", 0, HTTP_NO_BODY, false, false},
        {"close in the second field", "1", "Connection: a\r\nConnection: close\r\n", 0,
                HTTP_NO_BODY, false, false},
        {"closes is another word", "1", "Connection: closes\r\n", 0, HTTP_NO_BODY, false, true},
        {"1.0 closes", "0", "", 0, HTTP_NO_BODY, false, false},
        {"1.0 that stays", "0", "Connection: Keep-Alive\r\n", 0, HTTP_NO_BODY, false, true},
        {"1.0 that says both", "0", "Connection: keep-alive, close\r\n", 0, HTTP_NO_BODY, false,
                false},
        {"1.0 with a length", "0", "Content-Length: 2\r\n", 2, HTTP_LENGTH, true, false},
};

static void check_framing(const struct framing_case *row, size_t step)
{
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	text_add_format(&text, "POST /a HTTP/1.%s\r\nHost:\r\n%s\r\n", row->minor, row->fields);
	const struct http_head *head = &parse(row->about, text_slice(&text), step)->head;
	assert_that(row->about, head->framing == row->framing);
	assert_that(row->about, head->content_length == row->length);
	assert_that(row->about, head->has_length == row->has_length);
	assert_that(row->about, head->has_chunked == (row->framing == HTTP_CHUNKED));
	assert_that(row->about, head->keep_alive == row->keep_alive);
	assert_that(row->about, head->minor_version == (unsigned)(row->minor[0] - '0'));
	feed_free(&feed);
}

static void a_body_ends_where_its_fields_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(framing_cases); i++) {
		check_framing(&framing_cases[i], SIZE_MAX / 2);
		check_framing(&framing_cases[i], 1);
	}
}

/* ── Fields ──────────────────────────────────────────────────────────────── */

static void fields_are_kept_as_spelled_and_in_order(void **state)
{
	const struct slice bytes =
	        SLICE("GET / HTTP/1.1\r\nHost: [::1]:3277\r\n"
	              "!#$%&'*+-.^_`|~09azAZ: \t two\twords \t \r\nX-Empty:\r\nX-Blank: \t\r\n"
	              "X-Utf: caf\xc3\xa9\r\nx-utf:1\r\n\r\n");

	(void)state;
	const struct http_request *request = parse("fields", bytes, 1);
	const struct http_field *fields = request->head.fields;
	assert_int_equal(request->head.field_count, 6);
	assert_slice("name", fields[1].name, SLICE("!#$%&'*+-.^_`|~09azAZ"));
	assert_slice("trimmed", fields[1].value, SLICE("two\twords"));
	assert_slice("empty", fields[2].value, SLICE(""));
	assert_slice("blank", fields[3].value, SLICE(""));
	assert_slice("bytes above ASCII", fields[4].value, SLICE("caf\xc3\xa9"));
	assert_slice("case", fields[5].name, SLICE("x-utf"));
	assert_slice("host", request->host, SLICE("[::1]:3277"));
	feed_free(&feed);
}

enum { RUN = 40 }; /* longer than what is read at a time, more than once */

static bool is_token(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* What `c` is refused for at `at` in a name; a colon ends it. */
static enum http_error verdict_in_name(unsigned char c, size_t at)
{
	if (c == '\r' || c == '\n') {
		return HTTP_BAD_LINE_END;
	}
	if (at == 0 && (c == ' ' || c == '\t')) {
		return HTTP_BAD_FIELD_FOLDED;
	}
	return is_token(c) || (c == ':' && at > 0) ? HTTP_OK : HTTP_BAD_FIELD_NAME;
}

static enum http_error verdict_in_value(unsigned char c)
{
	if (c == '\r' || c == '\n') {
		return HTTP_BAD_LINE_END;
	}
	return c == '\t' || (c >= ' ' && c != 0x7f) ? HTTP_OK : HTTP_BAD_FIELD_VALUE;
}

/* A field whose name or value, of RUN letters, has `c` at `at`. */
static enum http_error judge_byte(unsigned char c, size_t at, bool in_value)
{
	char run[RUN];
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	memset(run, 'a', sizeof(run));
	run[at] = (char)c;
	text_add(&text, SLICE("GET / HTTP/1.0\r\n"));
	text_add(&text, in_value ? SLICE("b: ") : SLICE(""));
	text_add(&text, (struct slice){run, RUN});
	text_add(&text, in_value ? SLICE("\r\n\r\n") : SLICE(": b\r\n\r\n"));
	feed_request(&feed, text_slice(&text), SIZE_MAX / 2);
	const enum http_error error = feed.error;
	assert_false(feed.incomplete);
	feed_free(&feed);
	return error;
}

static void every_byte_is_judged_wherever_it_stands(void **state)
{
	(void)state;
	for (size_t i = 0; i < 256 * RUN; i++) {
		const unsigned char c = (unsigned char)(i / RUN);
		const size_t at = i % RUN;
		if (judge_byte(c, at, false) != verdict_in_name(c, at)) {
			fail_msg("byte %#x at %zu of a name", c, at);
		}
		if (judge_byte(c, at, true) != verdict_in_value(c)) {
			fail_msg("byte %#x at %zu of a value", c, at);
		}
	}
}

struct name_case {
	struct slice text;
	enum http_name name;
};

static const struct name_case name_cases[] = {
#define FIELD(name, text, hop_by_hop) {SLICE_INIT(text), HTTP_NAME_##name},
#include "http/fields.def"
#undef FIELD
};

/* A response with the name, its last letter in upper case, and a longer and a shorter one. */
static struct slice spell_name(char *memory, size_t cap, struct slice name)
{
	struct text text = text_over(memory, cap);

	text_add(&text, SLICE("HTTP/1.1 200 OK\r\n"));
	text_add(&text, name);
	memory[text.len - 1] &= 0x5f;
	text_add(&text, SLICE(": chunked\r\nx"));
	text_add(&text, name);
	text_add(&text, SLICE(": 1\r\n"));
	text_add(&text, (struct slice){name.ptr, name.len - 1});
	text_add(&text, SLICE(": 1\r\n\r\n"));
	return text_slice(&text);
}

static void known_names_are_known_in_any_case(void **state)
{
	char memory[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(name_cases); i++) {
		const struct name_case *row = &name_cases[i];
		feed_response(&feed, spell_name(memory, sizeof(memory), row->text), 1, false);
		/* "chunked" is no length: refused, which shows that the name is known. */
		assert_that(row->text.ptr,
		        feed.error == (row->name == HTTP_NAME_CONTENT_LENGTH ? HTTP_BAD_LENGTH
		                                                             : HTTP_OK));
		assert_that(row->text.ptr, feed.fields[0].known == row->name);
		assert_that(row->text.ptr, feed.fields[1].known == HTTP_NAME_OTHER);
		assert_that(row->text.ptr, feed.fields[2].known == HTTP_NAME_OTHER);
		assert_slice(row->text.ptr, http_field_value(&feed.response.head, row->name),
		        SLICE("chunked"));
		feed_free(&feed);
	}
	feed_response(&feed, SLICE("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), 1, false);
	assert_null(http_field_value(&feed.response.head, HTTP_NAME_HOST).ptr);
	feed_free(&feed);
}

static void what_connection_names_is_marked(void **state)
{
	const struct slice bytes =
	        SLICE("GET / HTTP/1.1\r\nHost: a\r\nx-one: 1\r\nX-TWO: 2\r\n"
	              "Connection: X-One ,\tx-two, Upgrade\r\nX-Two: 3\r\nX-Three: 4\r\n"
	              "Connection: HOST\r\nUpgrade:\r\nUpgrade: tcp\r\nUpgrade: h2c\r\n\r\n");
	const bool named[] = {true, true, true, false, true, false, false, false, false, false};

	(void)state;
	const struct http_request *request = parse("Connection", bytes, 1);
	assert_int_equal(request->head.field_count, ARRAY_LEN(named));
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		assert_int_equal(request->head.fields[i].connection_named, named[i]);
	}
	assert_slice("Upgrade", request->head.upgrade, SLICE("tcp"));
	feed_free(&feed);
	assert_null(parse("none", SLICE("GET / HTTP/1.0\r\n\r\n"), 1)->head.upgrade.ptr);
	feed_free(&feed);
}

static void a_head_ends_at_its_empty_line(void **state)
{
	const struct slice bytes = SLICE("GET /a HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n");
	struct http_scan scan = {0};

	(void)state;
	for (size_t len = 0; len < 28; len++) {
		assert_int_equal(http_scan_head(&scan, (struct slice){bytes.ptr, len}), HTTP_MORE);
	}
	assert_int_equal(http_scan_head(&scan, bytes), HTTP_DONE);
	assert_int_equal(scan.head_len, 28);
}

/* RFC 9112 section 2.2 a byte at a time: HTTP_DONE with the length of the head, HTTP_MORE,
 * HTTP_BAD. */
static enum http_progress end_of_head(struct slice bytes, size_t *ret_len)
{
	for (size_t i = 1; i < bytes.len; i++) {
		const bool after_cr = bytes.ptr[i - 1] == '\r';
		if (after_cr != (bytes.ptr[i] == '\n')) {
			return HTTP_BAD;
		}
		if (after_cr && i >= 3 && bytes.ptr[i - 2] == '\n') {
			*ret_len = i + 1;
			return HTTP_DONE;
		}
	}
	return HTTP_MORE;
}

/* Up to 100 bytes of lines, now and then with a line end that is none. */
static struct slice random_head(char *memory)
{
	static const char *const pieces[] = {"\r\n", "\r\n", "\r\n", "\r\n\r\n", "\r", "\n", "a",
	        "bb", "Field: 1", "0123456789012345"};
	size_t len = 0;

	for (int left = rand() % 9; left >= 0; left--) {
		const int some = rand() % 100 < 90 ? 4 : 6;
		const char *piece = pieces[rand() % 2 == 0 ? rand() % some : 6 + rand() % 4];
		len = (size_t)(stpcpy(memory + len, piece) - memory);
	}
	return (struct slice){memory, len};
}

static void a_head_ends_at_the_same_byte_however_it_comes(void **state)
{
	unsigned outcomes[3] = {0};

	(void)state;
	srand(9112);
	for (int round = 0; round < 200000; round++) {
		char memory[200] = "G";
		struct slice bytes = random_head(memory + 1);
		struct http_scan scan = {0};
		enum http_progress progress = HTTP_MORE, expected = HTTP_MORE;
		size_t head_len = 0;

		bytes = (struct slice){memory, bytes.len + 1};
		for (size_t len = 0; progress == HTTP_MORE && len < bytes.len;) {
			len += 1 + (size_t)rand() % (bytes.len - len);
			const struct slice came = {memory, len};
			progress = http_scan_head(&scan, came);
			expected = end_of_head(came, &head_len);
			assert_int_equal(progress, expected);
		}
		assert_int_equal(progress == HTTP_DONE ? scan.head_len : 0, head_len);
		outcomes[progress]++;
	}
	assert_true(outcomes[HTTP_MORE] > 2000 && outcomes[HTTP_DONE] > 2000 &&
	            outcomes[HTTP_BAD] > 2000);
}

static void every_kind_of_host_is_accepted(void **state)
{
	static const char *const hosts[] = {"", "docker", "docker:3277", "docker:", "docker:00080",
	        "a_b.c-d", "192.0.2.1:65535", "[::1]", "[::1]:3277", "[::ffff:192.0.2.1]:80",
	        "[2001:DB8:0:1:2:3:4:5]", "%2Fvar%2Frun%2Fdocker.sock", "a%20b:1", ":2375"};
	char memory[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct text text = text_over(memory, sizeof(memory));
		text_add_format(&text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
		const struct http_request *request = parse(hosts[i], text_slice(&text), 1);
		assert_slice(hosts[i], request->host, slice_of(hosts[i]));
		feed_free(&feed);
	}
}

/* ── Scanning ────────────────────────────────────────────────────────────── */

/* RFC 9112 section 2.2: some clients send one behind the body of a POST. */
static void one_empty_line_in_front_is_skipped(void **state)
{
	const struct slice bytes = SLICE("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\nG");

	(void)state;
	for (size_t step = 1; step <= bytes.len; step++) {
		const struct http_request *request = parse("an empty line", bytes, step);
		assert_slice("an empty line", request->method, SLICE("GET"));
		assert_slice("an empty line", request->path, SLICE("/a"));
		assert_int_equal(feed.len, 30);
		feed_free(&feed);
	}
}

static void an_empty_line_alone_is_no_head_yet(void **state)
{
	static const struct {
		bool before;
		struct slice bytes;
	} cases[] = {
	        {true, SLICE_INIT("")},
	        {true, SLICE_INIT("\r")},
	        {true, SLICE_INIT("\r\n")},
	        {false, SLICE_INIT("\n")},
	        {false, SLICE_INIT("\r\r")},
	        {false, SLICE_INIT("\r\n\r")},
	        {false, SLICE_INIT("\r\nG")},
	        {false, SLICE_INIT("G")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(http_is_before_head(cases[i].bytes), cases[i].before);
	}
}

static void the_method_of_a_bad_head_is_known(void **state)
{
	static const struct {
		const char *method;
		struct slice bytes;
	} cases[] = {
	        {"HEAD", SLICE_INIT("HEAD /a HTTP/1.1\nHost: a\n\n")},
	        {"HEAD", SLICE_INIT("\r\nHEAD  /a HTTP/1.1\r\n")},
	        {"HEAD", SLICE_INIT("HEAD ")},
	        {"", SLICE_INIT("HEAD")},
	        {"", SLICE_INIT("HEAD\t/a HTTP/1.1\r\n")},
	        {"", SLICE_INIT(" HEAD /a HTTP/1.1\r\n")},
	        {"", SLICE_INIT("\x16\x03\x01")},
	        {"", SLICE_INIT("")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_slice("method", http_method_sent(cases[i].bytes), slice_of(cases[i].method));
	}
}

static void a_refusal_does_not_wait_for_the_end(void **state)
{
	struct http_scan tls = {0};
	struct http_scan late_tls = {0};
	struct http_scan line = {0};

	(void)state;
	assert_int_equal(http_scan_head(&tls, SLICE("\x16")), HTTP_BAD);
	assert_int_equal(tls.error, HTTP_BAD_TLS);
	assert_int_equal(http_scan_head(&late_tls, SLICE("\r\n")), HTTP_MORE);
	assert_int_equal(http_scan_head(&late_tls, SLICE("\r\n\x16")), HTTP_BAD);
	assert_int_equal(late_tls.error, HTTP_BAD_TLS);
	assert_int_equal(http_scan_head(&line, SLICE("GET / HTTP/1.1\n")), HTTP_BAD);
	assert_int_equal(line.error, HTTP_BAD_LINE_END);
	assert_int_equal(http_scan_head(&line, SLICE("GET / HTTP/1.1\n\r\n\r\n")), HTTP_BAD);
}

/* What an earlier head left in the memory of the fields is none of this one. */
static void fields_of_another_head_are_not_found(void **state)
{
	struct http_field fields[] = {
	        {.known = HTTP_NAME_HOST, .value = SLICE_INIT("x")},
	        {.known = HTTP_NAME_CONTENT_TYPE, .value = SLICE_INIT("text/plain")},
	};
	const struct http_head head = {.fields = fields, .field_count = 1};

	(void)state;
	assert_non_null(http_field_value(&head, HTTP_NAME_HOST).ptr);
	assert_null(http_field_value(&head, HTTP_NAME_CONTENT_TYPE).ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_target_is_read_as_the_engine_reads_it),
	        cmocka_unit_test(a_body_ends_where_its_fields_say),
	        cmocka_unit_test(fields_are_kept_as_spelled_and_in_order),
	        cmocka_unit_test(every_byte_is_judged_wherever_it_stands),
	        cmocka_unit_test(known_names_are_known_in_any_case),
	        cmocka_unit_test(what_connection_names_is_marked),
	        cmocka_unit_test(every_kind_of_host_is_accepted),
	        cmocka_unit_test(a_head_ends_at_its_empty_line),
	        cmocka_unit_test(a_head_ends_at_the_same_byte_however_it_comes),
	        cmocka_unit_test(one_empty_line_in_front_is_skipped),
	        cmocka_unit_test(an_empty_line_alone_is_no_head_yet),
	        cmocka_unit_test(the_method_of_a_bad_head_is_known),
	        cmocka_unit_test(a_refusal_does_not_wait_for_the_end),
	        cmocka_unit_test(fields_of_another_head_are_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
