/* SPDX-License-Identifier: MIT */
/* What is read out of the Engine's responses, whole and byte by byte. */
#include "cases.h"
#include "feed.h"

static struct feed feed;

struct response_case {
	const char *head; /* without the empty line */
	bool to_head;
	unsigned status;
	const char *reason;
	uint64_t length;
	enum http_framing framing;
	bool keep_alive;
};

static const struct response_case cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", false, 200, "OK", 2, HTTP_LENGTH, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n", false, 200, "OK", 2,
                HTTP_LENGTH, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n", false, 200, "OK", 0, HTTP_CHUNKED,
                true},
        {"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n", false, 200, "OK", 0, HTTP_UNTIL_CLOSE, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n", false, 200, "OK", 2,
                HTTP_LENGTH, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n", false, 200, "OK", 2, HTTP_LENGTH, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n", false, 200, "OK", 2,
                HTTP_LENGTH, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n", true, 200, "OK", 20, HTTP_NO_BODY, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", true, 200, "OK", 0, HTTP_NO_BODY,
                true},
        {"HTTP/1.1 204 No Content\r\n", false, 204, "No Content", 0, HTTP_NO_BODY, true},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n", false, 204, "No Content", 0,
                HTTP_NO_BODY, true},
        {"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n", false, 103, "Early Hints", 0,
                HTTP_NO_BODY, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n", false, 304, "Not Modified", 9,
                HTTP_NO_BODY, true},
        {"HTTP/1.1 100 Continue\r\n", false, 100, "Continue", 0, HTTP_NO_BODY, true},
        {"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n", false, 101, "UPGRADED",
                0, HTTP_NO_BODY, true},
        {"HTTP/1.1 404\r\nContent-Length: 0\r\n", false, 404, "", 0, HTTP_LENGTH, true},
        {"HTTP/1.1 404 \r\nContent-Length: 0\r\n", false, 404, "", 0, HTTP_LENGTH, true},
        {"HTTP/1.1 999 \xc3\xa4 \t b\r\n", false, 999, "\xc3\xa4 \t b", 0, HTTP_UNTIL_CLOSE, false},
};

static void check(const struct response_case *row, size_t step)
{
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	text_add_format(&text, "%s\r\n", row->head);
	feed_response(&feed, text_slice(&text), step, row->to_head);
	if (feed.error != HTTP_OK) {
		fail_msg("%s: refused: %s", row->head, http_error_text(feed.error));
	}
	const struct http_head *head = &feed.response.head;
	assert_that(row->head, feed.response.status == row->status);
	assert_slice(row->head, feed.response.reason, slice_of(row->reason));
	assert_that(row->head, head->framing == row->framing);
	assert_that(row->head, head->content_length == row->length);
	assert_that(row->head, head->keep_alive == row->keep_alive);
	const bool has_length = row->status >= 200 && row->status != 204 &&
	                        strstr(row->head, "Content-Length") != NULL;
	assert_that(row->head, head->has_length == has_length);
	assert_that(row->head, head->has_chunked == (strstr(row->head, "Transfer-") != NULL));
	feed_free(&feed);
}

static void a_response_ends_where_its_head_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check(&cases[i], SIZE_MAX / 2);
		check(&cases[i], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_response_ends_where_its_head_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
