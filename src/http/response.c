/* SPDX-License-Identifier: MIT */
#include "http/head.h"

enum { STATUS_LINE_MIN = sizeof("HTTP/1.1 200") - 1 };

static bool parse_version(struct slice line, unsigned *ret_minor)
{
	*ret_minor = line.ptr[7] == '1';
	return slice_starts_with(line, SLICE("HTTP/1.1 ")) ||
	       slice_starts_with(line, SLICE("HTTP/1.0 "));
}

/* Three digits, 100 and above (RFC 9110 section 15). */
static bool parse_status(const char *at, unsigned *ret_status)
{
	if (!ascii_is_digit(at[0]) || !ascii_is_digit(at[1]) || !ascii_is_digit(at[2])) {
		return false;
	}
	*ret_status = (unsigned)((at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0'));
	return *ret_status >= 100;
}

/* RFC 9112 section 4; the space before an empty reason is often left out. */
static enum http_error parse_status_line(struct slice line, struct http_response *response)
{
	const char *end = line.ptr + line.len;
	const char *at = line.ptr + STATUS_LINE_MIN;

	if (line.len < STATUS_LINE_MIN || !parse_version(line, &response->head.minor_version) ||
	        !parse_status(at - 3, &response->status)) {
		return HTTP_BAD_STATUS_LINE;
	}
	if (at == end) {
		response->reason = (struct slice){at, 0};
		return HTTP_OK;
	}
	response->reason = slice_between(at + 1, end);
	return *at == ' ' && skip_value(at, end) == end ? HTTP_OK : HTTP_BAD_STATUS_LINE;
}

/* Neither body nor length nor coding belongs there (RFC 9110 section 8.6, RFC 9112 section 6.1). */
static bool is_never_framed(unsigned status)
{
	return status < 200 || status == 204;
}

/* Responses that end with their head whatever their fields say (RFC 9112 section 6.3). */
static bool is_without_body(unsigned status, bool to_head)
{
	return to_head || is_never_framed(status) || status == 304;
}

/* RFC 9112 section 6.3. */
static enum http_framing choose_framing(const struct http_response *response, bool to_head)
{
	if (is_without_body(response->status, to_head)) {
		return HTTP_NO_BODY;
	}
	if (response->head.has_chunked) {
		return HTTP_CHUNKED;
	}
	return response->head.has_length ? HTTP_LENGTH : HTTP_UNTIL_CLOSE;
}

static enum http_error parse_framing(
        struct http_response *response, const struct head_facts *facts, bool to_head)
{
	struct http_head *head = &response->head;
	enum http_error error = HTTP_OK;

	if (facts->lengths_differ) {
		error = HTTP_BAD_LENGTH_REPEATED;
	} else if (facts->codings > 0) {
		error = head_parse_coding(head, facts, HEAD_CODING_ANY_CASE);
	} else {
		error = head_parse_length(head, facts);
	}
	if (is_never_framed(response->status)) { /* a client might believe what is there */
		head->has_length = head->has_chunked = false;
		head->content_length = 0;
	}
	head->framing = choose_framing(response, to_head);
	head->keep_alive = head->framing != HTTP_UNTIL_CLOSE && head_keeps_alive(head, facts);
	return error;
}

enum http_error http_response_parse(struct slice bytes, struct http_field *fields, bool to_head,
        struct http_response *ret_response)
{
	const struct slice line = head_first_line(bytes);
	struct head_facts facts;

	*ret_response = (struct http_response){.head.fields = fields};
	enum http_error error = parse_status_line(line, ret_response);
	if (error == HTTP_OK) {
		error = head_parse_fields(bytes, line, &ret_response->head, &facts);
	}
	return error == HTTP_OK ? parse_framing(ret_response, &facts, to_head) : error;
}
