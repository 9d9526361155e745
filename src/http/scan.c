/* SPDX-License-Identifier: MIT */
#include "http/head.h"

/* A TLS record of type handshake starts so (RFC 8446 section 5.1). */
static const char tls_handshake = 0x16;

static enum http_progress refuse(struct http_scan *scan, enum http_error error)
{
	scan->error = error;
	return HTTP_BAD;
}

/*
 * What stands in front of a method. A client of another protocol waits for a
 * response now, and may never send a line end. One empty line is skipped
 * (RFC 9112 section 2.2): some clients send one behind a body.
 */
static enum http_error check_start(struct http_scan *scan, struct slice bytes)
{
	const size_t start = head_empty_line(bytes);

	scan->offset = scan->line = start;
	if (start == bytes.len || byte_is(bytes.ptr[start], BYTE_TOKEN)) {
		return HTTP_OK;
	}
	if (bytes.ptr[start] == tls_handshake) {
		return HTTP_BAD_TLS;
	}
	/* A CR may become the empty line, but no second one. */
	return start == 0 && bytes.len == 1 && bytes.ptr[0] == '\r' ? HTTP_OK
	                                                            : HTTP_BAD_REQUEST_LINE;
}

enum http_progress http_scan_head(struct http_scan *scan, struct slice bytes)
{
	if (scan->error != HTTP_OK) {
		return HTTP_BAD;
	}
	if (scan->offset <= HEAD_EMPTY_LINE && bytes.len > 0 &&
	        UNLIKELY(!byte_is(bytes.ptr[0], BYTE_TOKEN))) {
		const enum http_error error = check_start(scan, bytes);
		if (error != HTTP_OK) {
			return refuse(scan, error);
		}
	}
	const char *end = bytes.ptr + bytes.len;
	const char *at = find_control(bytes.ptr + scan->offset, end);
	while (end - at >= 2) {
		/* RFC 9112 section 2.2 allows a LF alone, and some take a CR alone for a line end:
		 * two readers, two heads. */
		if (UNLIKELY(*at == '\n' || (*at == '\r' && at[1] != '\n'))) {
			return refuse(scan, HTTP_BAD_LINE_END);
		}
		if (LIKELY(*at == '\r')) {
			const size_t line_len = (size_t)(at - bytes.ptr) - scan->line;
			scan->line += line_len + 2;
			if (line_len == 0) {
				scan->head_len = scan->line;
				return HTTP_DONE;
			}
			at++;
		}
		at = find_control(at + 1, end);
	}
	if (UNLIKELY(at < end && *at == '\n')) {
		return refuse(scan, HTTP_BAD_LINE_END);
	}
	scan->offset = (size_t)(at - bytes.ptr);
	return HTTP_MORE;
}

struct slice http_method_sent(struct slice bytes)
{
	const struct slice line = slice_behind(bytes, head_empty_line(bytes));
	const char *end = line.ptr + line.len;
	const char *method_end = skip_bytes(line.ptr, end, BYTE_TOKEN);

	return slice_between(
	        line.ptr, method_end < end && *method_end == ' ' ? method_end : line.ptr);
}
