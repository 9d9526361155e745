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
static void check_written(const char *text)
{
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

	assert_non_null(recalled);
	assert_non_null(recalled->head.head.lines.ptr);
	assert_int_equal(
	        http_request_parse((struct slice){memory, strlen(text)}, fields, &read), HTTP_OK);
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

static void it_is_written_as_if_it_was_read(void **state)
{
	(void)state;
	check_written(GET("/v1.41/containers/web/json?size=1",
	        "Connection: close\r\nAccept:*/*\r\nVia: 1.1 a\r\nAccept-Encoding: gzip\r\n"));
	check_written(GET("/info", "X-API-Key:  secret \r\nAccept: */*\r\n"));
	check_written(GET("/info", "Accept: */*\r\nAuthorization: Bearer secret\r\n"));
	check_written(GET("/info", "Connection: x-api-key\r\nX-Api-Key: secret\r\n"));
}

static void bytes_behind_the_head_do_not_matter(void **state)
{
	static const char text[] = GET("/containers/json", "");
	static const char two[] = GET("/containers/json", "") GET("/info", "");

	(void)state;
	assert_non_null(recalled_of(text));
	assert_non_null(recall_find(recall, received(two)));
}

/* With another byte anywhere but in `may_differ`, or cut short. */
static void check_others(const char *text, const char *may_differ)
{
	const size_t first = (size_t)(strstr(text, may_differ) - text);
	const size_t behind = first + strlen(may_differ);
	char other[RECALL_HEAD_MAX];

	assert_non_null(recalled_of(text));
	for (size_t i = 0; i < strlen(text); i++) {
		memcpy(other, text, strlen(text) + 1);
		other[i] ^= 1;
		assert_int_equal(
		        recall_find(recall, received(other)) != NULL, i >= first && i < behind);
		assert_null(recall_find(recall, (struct slice){text, i}));
	}
	assert_non_null(recall_find(recall, received(text)));
}

static void another_head_is_not_found(void **state)
{
	(void)state;
	check_others(GET("/containers/json?all=1", ""), "");
}

static void heads_that_may_hold_a_secret_or_a_body_are_left_out(void **state)
{
	static const char *const texts[] = {
	        GET("/info", "Authorization: Basic c2VjcmV0\r\n"),
	        GET("/info", "Authorization: Bearer\r\n"),
	        GET("/info", "X-Api-Key: tab\ttab\r\n"),
	        GET("/info", "X-Api-Key: \xc3\xa4\r\n"),
	        GET("/info", "X-Api-Key:\r\n"),
	        GET("/info", "X-Api-Key: secret\r\nX-Api-Key: secret\r\n"),
	        GET("/info", "X-Api-Key: secret\r\nAuthorization: Bearer secret\r\n"),
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

/* ── Keys ────────────────────────────────────────────────────────────────── */

static struct slice key_in(const struct recalled *recalled)
{
	struct slice found = {NULL, 0};

	for (unsigned i = 0; i < recalled->head.head.field_count; i++) {
		const struct slice key = http_client_key(&recalled->head.head.fields[i]);
		found = key.ptr != NULL ? key : found;
	}
	return found;
}

static void check_key(const char *text, const char *with_another, const char *key)
{
	const struct recalled *recalled = recalled_of(text);

	assert_non_null(recalled);
	assert_true(recalled->head.head.has_key);
	recalled = recall_find(recall, received(with_another));
	assert_non_null(recalled);
	assert_slice(with_another, key_in(recalled), slice_of(key));
	assert_true(
	        key_in(recalled).ptr >= memory && key_in(recalled).ptr < memory + sizeof(memory));
}

static void another_key_of_that_length_is_read_where_it_stands(void **state)
{
	(void)state;
	check_key(GET("/info", "X-Api-Key: secret\r\n"), GET("/info", "X-Api-Key: other!\r\n"),
	        "other!");
	check_key(GET("/info", "x-api-key:\t0123456789abcdef0123456789abcdef01 \r\nAccept: a\r\n"),
	        GET("/info", "x-api-key:\tABCDEF!~ABCDEF!~ABCDEF!~ABCDEF!~AB \r\nAccept: a\r\n"),
	        "ABCDEF!~ABCDEF!~ABCDEF!~ABCDEF!~AB");
	check_key(GET("/info", "X-Api-Key: three words.\r\n"),
	        GET("/info", "X-Api-Key: another word\r\n"), "another word");
	check_key(GET("/info", "Authorization: beareR  secret\r\n"),
	        GET("/info", "Authorization: beareR  other!\r\n"), "other!");
}

/* A byte that ends the line or the value, or that a value may not have, makes another head: it is
 * read. */
static void a_key_with_a_byte_that_means_something_is_not_found(void **state)
{
	static const char text[] =
	        GET("/info", "X-Api-Key: 0123456789abcdef0123456789abcdef01\r\n");
	const size_t at = (size_t)(strstr(text, "0123") - text);
	char other[sizeof(text)];

	(void)state;
	assert_non_null(recalled_of(text));
	for (size_t i = at; i < at + 34; i++) {
		const char first = i == at || i == at + 33 ? '!' : ' ';
		for (int byte = 0; byte < 256; byte++) {
			memcpy(other, text, sizeof(text));
			other[i] = (char)byte;
			memcpy(memory, other, sizeof(other));
			const struct slice bytes = {memory, sizeof(other) - 1};
			assert_int_equal(
			        recall_find(recall, bytes) != NULL, byte >= first && byte < 0x7f);
		}
	}
}

static void another_head_around_a_key_is_not_found(void **state)
{
	(void)state;
	check_others(GET("/info", "X-Api-Key: secret\r\nAccept: a\r\n"), "secret");
	assert_null(
	        recall_find(recall, received(GET("/info", "X-Api-Key: secre\r\nAccept: a\r\n"))));
	assert_null(
	        recall_find(recall, received(GET("/info", "X-Api-Key: secrets\r\nAccept: a\r\n"))));
	assert_null(recall_find(recall, received(GET("/info", "Accept: a\r\n"))));
}

/* Neither the bytes nor a number that was made of them: all that is kept is the same for two keys.
 */
static void nothing_of_a_key_is_kept(void **state)
{
	static const char *const texts[] = {
	        "GET / HTTP/1.1\r\nX-Api-Key: secret-secret-01\r\nHost: a\r\n\r\n",
	        "GET / HTTP/1.1\r\nX-Api-Key: another-key-8827\r\nHost: a\r\n\r\n",
	};
	static struct recalled kept[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		recall_free(recall);
		recall = recall_new();
		assert_non_null(recall);
		const struct recalled *recalled = recalled_of(texts[i]);
		assert_non_null(recalled);
		kept[i] = *recalled;
		const char *key = strstr(texts[i], "Key: ") + strlen("Key: ");
		assert_null(memmem(&kept[i], sizeof(kept[i]), key, strlen("secret")));
	}
	assert_int_equal(kept[0].seen, kept[1].seen);
	assert_memory_equal(kept[0].bytes, kept[1].bytes, sizeof(kept[0].bytes));
	assert_memory_equal(kept[0].lines, kept[1].lines, sizeof(kept[0].lines));
}

/* The place of one that had a key is of one that has none, and the other way round. */
static void heads_with_and_without_a_key_take_turns(void **state)
{
	static const char *const texts[] = {GET("/info", "X-Api-Key: secret\r\n"), GET("/info", ""),
	        GET("/info", "Authorization: Bearer other!\r\n")};

	(void)state;
	for (unsigned turn = 0; turn < 9; turn++) {
		const struct recalled *recalled = recalled_of(texts[turn % 3]);
		assert_non_null(recalled);
		assert_int_equal(recalled->len, strlen(texts[turn % 3]));
		assert_int_equal(key_in(recalled).len, turn % 3 == 1 ? 0 : 6);
		assert_null(recall_find(recall, received(texts[(turn + 1) % 3])));
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

/* Two clients that ask for the same in turns: the first one keeps the place as long as it comes,
 * also if the heads are of one length. */
static void heads_of_one_line_do_not_displace_each_other(void **state)
{
	static const char text[] = GET("/info", "Accept: a\r\n");
	static const char *const others[] = {GET("/info", "Accept: b\r\n"), GET("/info", ""),
	        GET("/info", "X-Api-Key: secret\r\n")};

	(void)state;
	assert_non_null(recalled_of(text));
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		for (unsigned turn = 0; turn < 5; turn++) {
			assert_null(recall_find(recall, received(others[i])));
			read_once(others[i]);
			assert_non_null(recall_find(recall, received(text)));
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		assert_non_null(recalled_of(others[i]));
	}
}

/* Whoever knows the line and the length of a head cannot see whether it came. */
static void another_head_of_one_line_and_length_has_not_come(void **state)
{
	(void)state;
	read_once(GET("/info", "Accept: a\r\n"));
	read_once(GET("/info", "Accept: b\r\n"));
	assert_null(recall_find(recall, received(GET("/info", "Accept: b\r\n"))));
	read_once(GET("/info", "X-Api-Key: secret-1\r\nAccept: a\r\n"));
	read_once(GET("/info", "X-Api-Key: secret-1\r\nAccept: b\r\n"));
	assert_null(recall_find(
	        recall, received(GET("/info", "X-Api-Key: secret-1\r\nAccept: b\r\n"))));
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
	        TEST(another_key_of_that_length_is_read_where_it_stands),
	        TEST(a_key_with_a_byte_that_means_something_is_not_found),
	        TEST(another_head_around_a_key_is_not_found),
	        TEST(nothing_of_a_key_is_kept),
	        TEST(heads_with_and_without_a_key_take_turns),
	        TEST(paths_that_are_spelt_anew_are_left_out),
	        TEST(long_heads_are_left_out),
	        TEST(heads_of_many_fields_are_left_out),
	        TEST(one_that_comes_in_between_does_not_displace_it),
	        TEST(heads_of_one_line_do_not_displace_each_other),
	        TEST(another_head_of_one_line_and_length_has_not_come),
	        TEST(the_last_response_is_remembered),
	        TEST(it_is_written_as_if_it_was_read_too),
	        TEST(a_response_to_head_is_another_one),
	        TEST(interim_responses_are_left_out),
	        TEST(another_request_in_its_place_has_no_response_yet),
	        TEST(without_memory_nothing_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
