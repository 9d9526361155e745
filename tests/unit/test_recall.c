/* SPDX-License-Identifier: MIT */
/*
 * Heads that came before: which are remembered, that they say the same as when they were read, and
 * that another head is never taken for one.
 */
#include "cases.h"

#include "recall/recall.h"

#include <stdio.h>
#include <stdlib.h>

static struct recall *recall;
static struct http_field fields[HTTP_FIELDS_MAX];
static struct http_request head;
static struct docker_request request;
static char memory[64 << 10];

static int begin(void **state)
{
	(void)state;
	recall = recall_new();
	return recall == NULL ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	recall_free(recall);
	return 0;
}

/* Bytes that are gone when the next ones are read, as those in a connection's buffer are. */
static struct slice received(const char *text)
{
	const size_t len = strlen(text);

	memset(memory, '?', sizeof(memory));
	memcpy(memory, text, len);
	return (struct slice){memory, len};
}

static void read_once(const char *text)
{
	const struct slice bytes = received(text);

	if (http_request_parse(bytes, fields, &head) != HTTP_OK) {
		fail_msg("'%s' is malformed", text);
	}
	const struct docker_target target = {
	        .method = head.method, .path = head.path, .query = head.query};
	if (docker_route(&target, &request) != DOCKER_OK) {
		fail_msg("'%s' cannot be routed", text);
	}
	recall_keep(recall, bytes, &head, &request);
}

/* What is remembered of a head that came twice; NULL: nothing. */
static struct recalled *recalled_of(const char *text)
{
	read_once(text);
	read_once(text);
	return recall_find(recall, received(text));
}

#define GET(target, more)                                                                          \
	"GET " target                                                                              \
	" HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/28.2.2 (linux)\r\n" more "\r\n"

/* ── Requests ────────────────────────────────────────────────────────────── */

static void a_head_is_remembered_when_it_comes_again(void **state)
{
	static const char text[] = GET("/v1.41/containers/web/json?size=1", "");

	(void)state;
	read_once(text);
	assert_null(recall_find(recall, received(text)));
	read_once(text);
	assert_non_null(recall_find(recall, received(text)));
}

static void it_says_what_was_read(void **state)
{
	static const char text[] = GET("/v1.41/containers/web/json?size=1", "Accept: */*\r\n");
	const struct recalled *recalled = recalled_of(text);
	static struct docker_request again;

	(void)state;
	assert_non_null(recalled);
	assert_int_equal(recalled->len, strlen(text));
	assert_slice("method", recalled->head.method, SLICE("GET"));
	assert_slice("path", recalled->head.path, SLICE("/v1.41/containers/web/json"));
	assert_slice("query", recalled->head.query, SLICE("size=1"));
	assert_slice("host", recalled->head.host, SLICE("docker"));
	assert_int_equal(recalled->head.head.field_count, 3);
	assert_int_equal(recalled->head.head.fields[0].known, HTTP_NAME_HOST);
	assert_slice("name", recalled->head.head.fields[2].name, SLICE("Accept"));
	assert_slice("value", recalled->head.head.fields[2].value, SLICE("*/*"));
	assert_true(recalled->head.head.keep_alive);
	recall_route(recalled, &again);
	assert_string_equal(docker_operation_name(again.id), "container.inspect");
	assert_int_equal(again.served_id, again.id);
	assert_int_equal(again.version.minor, 41);
	assert_slice("path", again.path, SLICE("/v1.41/containers/web/json"));
	assert_slice("bare", again.bare, SLICE("/containers/web/json"));
	assert_slice("name", again.name, SLICE("web"));
}

static struct slice written(const struct http_request *from, struct slice path,
        const struct http_request_options *options, char to[1024])
{
	struct text text = text_over(to, 1024);

	http_request_write(&text, from, path, options);
	assert_false(text.overflow);
	return text_slice(&text);
}

/* What was made of it before is what would be made of it now, for every listener and Engine. */
static void it_is_written_as_if_it_was_read(void **state)
{
	static const char text[] = GET("/v1.41/containers/web/json?size=1",
	        "Connection: close\r\nAccept:*/*\r\nVia: 1.1 a\r\nAccept-Encoding: gzip\r\n");
	static const struct http_request_options options[] = {
	        {.api_key = {NULL, 0}},
	        {.api_key = SLICE_INIT("key")},
	        {.via = SLICE_INIT("1.1 b")},
	        {.hide_keys = true},
	        {.upgrade = true},
	        {.drop_body = true},
	        {.has_body = true, .body_len = 7},
	        {.api_key = SLICE_INIT("key"), .via = SLICE_INIT("1.1 b"), .hide_keys = true},
	};
	const struct recalled *recalled = recalled_of(text);
	struct http_request read;
	char first[1024];
	char second[1024];

	(void)state;
	assert_non_null(recalled);
	assert_non_null(recalled->head.head.lines.ptr);
	assert_int_equal(http_request_parse(received(text), fields, &read), HTTP_OK);
	assert_null(read.head.lines.ptr);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		assert_slice("own path",
		        written(&recalled->head, recalled->path, &options[i], first),
		        written(&read, read.path, &options[i], second));
		assert_slice("another path",
		        written(&recalled->head, SLICE("/containers/abc/json"), &options[i], first),
		        written(&read, SLICE("/containers/abc/json"), &options[i], second));
	}
}

static void bytes_behind_the_head_do_not_matter(void **state)
{
	static const char text[] = GET("/containers/json", "");
	static const char two[] = GET("/containers/json", "") GET("/info", "");

	(void)state;
	assert_non_null(recalled_of(text));
	assert_non_null(recall_find(recall, received(two)));
}

static void another_head_is_not_found(void **state)
{
	static const char text[] = GET("/containers/json?all=1", "");
	char other[sizeof(text)];

	(void)state;
	assert_non_null(recalled_of(text));
	for (size_t i = 0; i < strlen(text); i++) {
		memcpy(other, text, sizeof(text));
		other[i] ^= 1;
		assert_null(recall_find(recall, received(other)));
		assert_null(recall_find(recall, (struct slice){text, i}));
	}
	assert_non_null(recall_find(recall, received(text)));
}

static void heads_that_may_hold_a_secret_or_a_body_are_left_out(void **state)
{
	static const char *const texts[] = {
	        GET("/info", "X-Api-Key: secret\r\n"),
	        GET("/info", "Authorization: Bearer secret\r\n"),
	        GET("/info", "X-Registry-Auth: secret\r\n"),
	        GET("/info", "Cookie: a=b\r\n"),
	        GET("/info", "X-Anything: 1\r\n"),
	        GET("/info", "Content-Length: 2\r\n"),
	        GET("/info", "Transfer-Encoding: chunked\r\n"),
	        GET("/info", "Connection: Upgrade\r\nUpgrade: tcp\r\n"),
	        "POST /containers/prune HTTP/1.1\r\nHost: docker\r\n\r\n",
	        "DELETE /containers/web HTTP/1.1\r\nHost: docker\r\n\r\n",
	        "OPTIONS * HTTP/1.1\r\nHost: docker\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (recalled_of(texts[i]) != NULL) {
			fail_msg("'%s' is remembered", texts[i]);
		}
	}
}

/* Of what was spelt anew, the slices are of memory that another request overwrites. */
static void paths_that_are_spelt_anew_are_left_out(void **state)
{
	(void)state;
	assert_null(recalled_of(GET("/containers/a%62c/json", "")));
	assert_null(recalled_of("GET http://docker HTTP/1.1\r\nHost: docker\r\n\r\n"));
}

static void long_heads_are_left_out(void **state)
{
	char text[RECALL_HEAD_MAX + 128];
	const char form[] = "GET /info HTTP/1.1\r\nHost: docker\r\nAccept: %0*d\r\n\r\n";
	const int rest = (int)strlen("GET /info HTTP/1.1\r\nHost: docker\r\nAccept: \r\n\r\n");

	(void)state;
	(void)snprintf(text, sizeof(text), form, RECALL_HEAD_MAX - rest, 0);
	assert_int_equal(strlen(text), RECALL_HEAD_MAX);
	assert_non_null(recalled_of(text));
	(void)snprintf(text, sizeof(text), form, RECALL_HEAD_MAX - rest + 1, 0);
	assert_null(recalled_of(text));
}

static void heads_of_many_fields_are_left_out(void **state)
{
	char text[RECALL_HEAD_MAX];

	(void)state;
	for (unsigned count = RECALL_FIELDS_MAX - 1; count <= RECALL_FIELDS_MAX; count++) {
		struct text head_text = text_over(text, sizeof(text) - 1);
		text_add(&head_text, SLICE("GET /info HTTP/1.1\r\nHost: a\r\n"));
		for (unsigned i = 0; i < count; i++) {
			text_add(&head_text, SLICE("Accept: b\r\n"));
		}
		text_add(&head_text, SLICE("\r\n"));
		text[head_text.len] = '\0';
		assert_int_equal(recalled_of(text) != NULL, count < RECALL_FIELDS_MAX);
	}
}

static void one_that_comes_in_between_does_not_displace_it(void **state)
{
	static const char text[] = GET("/containers/json", "");
	char other[256];

	(void)state;
	assert_non_null(recalled_of(text));
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(other, sizeof(other), GET("/containers/%u/json", ""), i);
		read_once(other);
	}
	assert_non_null(recall_find(recall, received(text)));
}

/* ── Responses ───────────────────────────────────────────────────────────── */

static void respond(struct recalled *recalled, const char *text, bool to_head)
{
	struct http_response response;
	const struct slice bytes = received(text);

	if (http_response_parse(bytes, fields, to_head, &response) != HTTP_OK) {
		fail_msg("'%s' is malformed", text);
	}
	recall_keep_response(recalled, bytes, to_head, &response);
}

#define OK(more) "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 12\r\n" more "\r\n"

static void the_last_response_is_remembered(void **state)
{
	struct recalled *recalled = recalled_of(GET("/containers/json", ""));

	(void)state;
	assert_null(recall_response(recalled, received(OK("")), false));
	respond(recalled, OK(""), false);
	const struct recalled_response *last =
	        recall_response(recalled, received(OK("") "and more"), false);
	assert_non_null(last);
	assert_int_equal(last->len, strlen(OK("")));
	assert_int_equal(last->response.status, 200);
	assert_int_equal(last->response.head.framing, HTTP_LENGTH);
	assert_int_equal(last->response.head.content_length, 12);
	assert_slice("reason", last->response.reason, SLICE("OK"));
	assert_slice("value", last->response.head.fields[0].value, SLICE("1.41"));
	respond(recalled, OK("Date: now\r\n"), false);
	assert_null(recall_response(recalled, received(OK("")), false));
	assert_non_null(recall_response(recalled, received(OK("Date: now\r\n")), false));
}

static void it_is_written_as_if_it_was_read_too(void **state)
{
	static const char text[] =
	        "HTTP/1.1 404\r\nServer:a\r\nConnection: x-a, close\r\nX-A: b\r\n"
	        "Transfer-Encoding: chunked\r\nX-B: c\r\n\r\n";
	struct recalled *recalled = recalled_of(GET("/containers/json", ""));
	struct http_response read;
	char first[1024];
	char second[1024];

	(void)state;
	respond(recalled, text, false);
	const struct recalled_response *last = recall_response(recalled, received(text), false);
	assert_non_null(last);
	assert_non_null(last->response.head.lines.ptr);
	assert_int_equal(http_response_parse(received(text), fields, false, &read), HTTP_OK);
	for (unsigned i = 0; i <= HTTP_CONNECTION_CLOSE; i++) {
		for (unsigned bare = 0; bare < 2; bare++) {
			struct text one = text_over(first, sizeof(first));
			struct text other = text_over(second, sizeof(second));
			http_response_write(&one, &last->response, i, bare);
			http_response_write(&other, &read, i, bare);
			assert_slice("written", text_slice(&one), text_slice(&other));
		}
	}
}

/* The same bytes are framed in another way. */
static void a_response_to_head_is_another_one(void **state)
{
	struct recalled *recalled = recalled_of(GET("/containers/json", ""));

	(void)state;
	respond(recalled, OK(""), true);
	assert_null(recall_response(recalled, received(OK("")), false));
	assert_int_equal(recall_response(recalled, received(OK("")), true)->response.head.framing,
	        HTTP_NO_BODY);
}

static void interim_responses_are_left_out(void **state)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct recalled *recalled = recalled_of(GET("/containers/json", ""));

	(void)state;
	respond(recalled, text, false);
	assert_null(recall_response(recalled, received(text), false));
}

static void another_request_in_its_place_has_no_response_yet(void **state)
{
	struct recalled *recalled = recalled_of(GET("/containers/json", ""));
	struct recalled *other = NULL;
	char text[256];

	(void)state;
	respond(recalled, OK(""), false);
	for (unsigned i = 0; i < 1000 && other != recalled; i++) {
		(void)snprintf(text, sizeof(text), GET("/containers/%u/json", ""), i);
		other = recalled_of(text);
	}
	assert_ptr_equal(other, recalled);
	assert_null(recall_response(recalled, received(OK("")), false));
}

static void without_memory_nothing_is_remembered(void **state)
{
	(void)state;
	assert_null(recall_find(NULL, SLICE("GET / HTTP/1.1\r\n\r\n")));
	recall_keep(NULL, SLICE(""), &head, &request);
	assert_null(recall_response(NULL, received(OK("")), false));
	recall_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_head_is_remembered_when_it_comes_again),
	        TEST(it_says_what_was_read),
	        TEST(it_is_written_as_if_it_was_read),
	        TEST(bytes_behind_the_head_do_not_matter),
	        TEST(another_head_is_not_found),
	        TEST(heads_that_may_hold_a_secret_or_a_body_are_left_out),
	        TEST(paths_that_are_spelt_anew_are_left_out),
	        TEST(long_heads_are_left_out),
	        TEST(heads_of_many_fields_are_left_out),
	        TEST(one_that_comes_in_between_does_not_displace_it),
	        TEST(the_last_response_is_remembered),
	        TEST(it_is_written_as_if_it_was_read_too),
	        TEST(a_response_to_head_is_another_one),
	        TEST(interim_responses_are_left_out),
	        TEST(another_request_in_its_place_has_no_response_yet),
	        TEST(without_memory_nothing_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
