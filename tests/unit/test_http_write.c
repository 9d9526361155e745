/* SPDX-License-Identifier: MIT */
/* What is sent: the exact bytes, and that reading them again gives the same message. */
#include "cases.h"
#include "feed.h"

static struct feed feed;
static char memory[4096];

static struct slice write_request(struct slice bytes, const struct http_request_options *options)
{
	struct text text = text_over(memory, sizeof(memory));

	feed_request(&feed, bytes, SIZE_MAX / 2);
	if (feed.error != HTTP_OK) {
		fail_msg("refused: %s: %.*s", http_error_text(feed.error), SLICE_FMT(bytes));
	}
	http_request_write(&text, &feed.request, feed.request.path, options);
	feed_free(&feed);
	assert_false(text.overflow);
	return text_slice(&text);
}

static struct slice write_response(
        struct slice bytes, bool to_head, enum http_connection connection, bool bare)
{
	struct text text = text_over(memory, sizeof(memory));

	feed_response(&feed, bytes, SIZE_MAX / 2, to_head);
	if (feed.error != HTTP_OK) {
		fail_msg("refused: %s: %.*s", http_error_text(feed.error), SLICE_FMT(bytes));
	}
	http_response_write(&text, &feed.response, connection, bare);
	feed_free(&feed);
	assert_false(text.overflow);
	return text_slice(&text);
}

struct request_case {
	const char *about;
	struct slice in;
	struct http_request_options options;
	struct slice out;
};

#define NOTHING                                                                                    \
	{                                                                                          \
		.upgrade = false                                                                   \
	}
#define KEY                                                                                        \
	{                                                                                          \
		.api_key = { "k1", 2 }                                                             \
	}
#define UPGRADE                                                                                    \
	{                                                                                          \
		.upgrade = true                                                                    \
	}
#define DROP                                                                                       \
	{                                                                                          \
		.drop_body = true                                                                  \
	}

#define MARK                                                                                       \
	{                                                                                          \
		.via = {"1.1 me", 6}, .api_key = { "k1", 2 }                                       \
	}

static const struct request_case requests[] = {
        {"a mark behind those of others",
                SLICE_INIT("GET / HTTP/1.1\r\nVIA: 1.0 a\r\nHost: a\r\nA: b\r\nVia: 1.1 b "
                           "(c)\r\n\r\n"),
                MARK,
                SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\nVIA: 1.0 a\r\nA: b\r\nVia: 1.1 b "
                           "(c)\r\n"
                           "Via: 1.1 me\r\nx-api-key: k1\r\n\r\n")},
        {"a mark that Connection does not take away",
                SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 a\r\nConnection: via\r\n\r\n"),
                MARK,
                SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\nVia: 1.1 me\r\n"
                           "x-api-key: k1\r\n\r\n")},
        {"the Engine sees localhost and 1.1", SLICE_INIT("GET /a?b HTTP/1.0\r\nHost: evil\r\n\r\n"),
                NOTHING, SLICE_INIT("GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n")},
        {"a Host for who sent none", SLICE_INIT("GET / HTTP/1.0\r\n\r\n"), NOTHING,
                SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
        {"the absolute form becomes a path", SLICE_INIT("GET http://a HTTP/1.1\r\nHost: A\r\n\r\n"),
                NOTHING, SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
        {"fields as spelled, in order, anew",
                SLICE_INIT("GET / HTTP/1.1\r\nB:  2 \r\nHost: a\r\na:1\r\nEmpty:\r\n\r\n"), NOTHING,
                SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\nB: 2\r\na: 1\r\nEmpty: \r\n\r\n")},
        {"a length in its shortest spelling",
                SLICE_INIT("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 005\r\nA: b\r\n\r\n"),
                NOTHING,
                SLICE_INIT(
                        "POST / HTTP/1.1\r\nHost: localhost\r\nA: b\r\nContent-Length: 5\r\n\r\n")},
        {"a length of nothing",
                SLICE_INIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), NOTHING,
                SLICE_INIT("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")},
        {"chunks", SLICE_INIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:  chunked\r\n\r\n"),
                NOTHING,
                SLICE_INIT("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                           "chunked\r\n\r\n")},
        {"a dropped body",
                SLICE_INIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
                DROP,
                SLICE_INIT("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")},
        {"a dropped body of known length",
                SLICE_INIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"), DROP,
                SLICE_INIT("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")},
        {"hop-by-hop fields stay here",
                SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: "
                           "timeout=5\r\n"
                           "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: "
                           "trailers\r\n"
                           "Trailer: A\r\nUpgrade: tcp\r\nProxy-Authenticate: Basic\r\nAccept: "
                           "*/*\r\n\r\n"),
                NOTHING, SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")},
        {"what Connection names stays here",
                SLICE_INIT("GET / HTTP/1.1\r\nx-secret: 1\r\nHost: a\r\nConnection: X-Secret, "
                           "close\r\n"
                           "X-SECRET: 2\r\nX-Kept: 3\r\n\r\n"),
                NOTHING, SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\nX-Kept: 3\r\n\r\n")},
        {"Connection cannot take the framing away",
                SLICE_INIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                           "Connection: Content-Length, Host, x-api-key\r\n\r\n"),
                KEY,
                SLICE_INIT("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nx-api-key: "
                           "k1\r\n\r\n")},
        {"our key replaces the client's",
                SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: mine\r\nx-api-key: too\r\nA: "
                           "b\r\n\r\n"),
                KEY,
                SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\nx-api-key: k1\r\n\r\n")},
        {"the client's key without ours",
                SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: mine\r\n\r\n"), NOTHING,
                SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: mine\r\n\r\n")},
        {"an upgrade that is meant",
                SLICE_INIT(
                        "POST /session HTTP/1.1\r\nHost:\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                        "Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n"),
                UPGRADE,
                SLICE_INIT("POST /session HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                           "Upgrade: h2c\r\n\r\n")},
        {"no upgrade where there is none", SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), UPGRADE,
                SLICE_INIT("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
};

static void requests_are_written_anew(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		assert_slice(requests[i].about, write_request(requests[i].in, &requests[i].options),
		        requests[i].out);
	}
}

static void what_was_written_reads_the_same(void **state)
{
	char first[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct slice once = write_request(requests[i].in, &requests[i].options);
		struct http_request_options options = requests[i].options;
		options.via = (struct slice){NULL, 0}; /* it has the mark */
		memcpy(first, once.ptr, once.len);
		once.ptr = first;
		assert_slice(requests[i].about, write_request(once, &options), once);
	}
}

struct response_case {
	const char *about;
	struct slice in;
	bool to_head;
	bool bare;
	enum http_connection connection;
	struct slice out;
};

static const struct response_case responses[] = {
        {"a response as the Engine sends it",
                SLICE_INIT("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 02\r\nDate: "
                           "x\r\n\r\n"),
                false, false, HTTP_CONNECTION_KEEP,
                SLICE_INIT("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nDate: x\r\nContent-Length: "
                           "2\r\n\r\n")},
        {"the version is ours", SLICE_INIT("HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
                false, false, HTTP_CONNECTION_CLOSE,
                SLICE_INIT("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: "
                           "close\r\n\r\n")},
        {"an empty reason", SLICE_INIT("HTTP/1.1 299\r\n\r\n"), false, false, HTTP_CONNECTION_KEEP,
                SLICE_INIT("HTTP/1.1 299 \r\n\r\n")},
        {"a response to HEAD keeps its length",
                SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"), true, false,
                HTTP_CONNECTION_KEEP, SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")},
        {"chunks", SLICE_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), false,
                false, HTTP_CONNECTION_KEEP,
                SLICE_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")},
        {"chunks taken off for 1.0",
                SLICE_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), false, true,
                HTTP_CONNECTION_CLOSE, SLICE_INIT("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")},
        {"keep-alive said aloud for 1.0",
                SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), false, false,
                HTTP_CONNECTION_KEEP_ALIVE,
                SLICE_INIT(
                        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n")},
        {"the Engine's connection is not the client's",
                SLICE_INIT(
                        "HTTP/1.1 200 OK\r\nConnection: close, X-A\r\nX-A: 1\r\nKeep-Alive: x\r\n"
                        "Content-Length: 2\r\n\r\n"),
                false, false, HTTP_CONNECTION_KEEP,
                SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")},
        {"an upgrade",
                SLICE_INIT(
                        "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/x\r\nUpgrade: tcp\r\n"
                        "Connection: Upgrade\r\n\r\n"),
                false, false, HTTP_CONNECTION_UPGRADE,
                SLICE_INIT("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/x\r\nConnection: "
                           "Upgrade\r\n"
                           "Upgrade: tcp\r\n\r\n")},
};

static void responses_are_written_anew(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
		const struct response_case *row = &responses[i];
		assert_slice(row->about,
		        write_response(row->in, row->to_head, row->connection, row->bare),
		        row->out);
	}
}

static void what_does_not_fit_is_not_sent(void **state)
{
	char little[40];
	struct text text = text_over(little, sizeof(little));
	const struct http_request_options options = {.upgrade = false};

	(void)state;
	feed_request(&feed, SLICE("GET /a HTTP/1.1\r\nHost: a\r\nLong: 0123456789\r\n\r\n"), 1);
	http_request_write(&text, &feed.request, feed.request.path, &options);
	feed_free(&feed);
	assert_true(text.overflow);
	assert_true(text.len <= sizeof(little));
}

static void our_errors_speak_docker(void **state)
{
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	assert_int_equal(http_error_write(&text, 502, SLICE("no \"Engine\"\n"), 1, false,
	                         HTTP_CONNECTION_CLOSE),
	        34);
	assert_slice("an error", text_slice(&text),
	        SLICE("HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\n"
	              "Content-Length: 34\r\nConnection: close\r\n\r\n"
	              "{\"message\":\"no \\\"Engine\\\"\\u000a\"}\n"));

	text = text_over(memory, sizeof(memory));
	assert_int_equal(
	        http_error_write(&text, 400, SLICE("no"), 1, true, HTTP_CONNECTION_KEEP), 0);
	assert_slice("to HEAD", text_slice(&text),
	        SLICE("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
	              "Content-Length: 17\r\n\r\n"));

	text = text_over(memory, sizeof(memory));
	assert_int_equal(http_json_write(&text, 200, SLICE("{\"status\":\"healthy\"}"), false,
	                         HTTP_CONNECTION_KEEP_ALIVE),
	        20);
	assert_slice("JSON", text_slice(&text),
	        SLICE("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	              "Content-Length: 20\r\nConnection: "
	              "keep-alive\r\n\r\n{\"status\":\"healthy\"}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(requests_are_written_anew),
	        cmocka_unit_test(what_was_written_reads_the_same),
	        cmocka_unit_test(responses_are_written_anew),
	        cmocka_unit_test(what_does_not_fit_is_not_sent),
	        cmocka_unit_test(our_errors_speak_docker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
