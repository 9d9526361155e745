/* SPDX-License-Identifier: MIT */
#include "http/head.h"

/* A TLS record of type handshake starts so (RFC 8446 section 5.1). */
static const char tls_handshake = 0x16;

static SELDOM enum http_progress refuse(struct http_scan *scan, enum http_error error)
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

	scan->offset = start;
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

enum {
	WINDOW = 32, /* bytes looked at together: a bit for each in 32 bits */
	OVERLAP = 2, /* bytes at the end of a window that the next one begins with */
};

/* Where carriage returns and line feeds stand in a window: bit i for byte i. */
struct line_ends {
	uint32_t cr;
	uint32_t lf;
};

static inline struct line_ends find_line_ends(const char *at)
{
	const bytes16 low = bytes16_load(at);
	const bytes16 high = bytes16_load(at + WINDOW / 2);

	return (struct line_ends){
	        .cr = bytes16_bits((bytes16)(low == '\r')) | bytes16_bits((bytes16)(high == '\r'))
	                                                             << WINDOW / 2,
	        .lf = bytes16_bits((bytes16)(low == '\n')) | bytes16_bits((bytes16)(high == '\n'))
	                                                             << WINDOW / 2,
	};
}

/* The same for fewer bytes than a window has. */
static struct line_ends find_few_line_ends(const char *at, size_t len)
{
	struct line_ends ends = {0, 0};

	for (size_t i = 0; i < len; i++) {
		ends.cr |= (uint32_t)(at[i] == '\r') << i;
		ends.lf |= (uint32_t)(at[i] == '\n') << i;
	}
	return ends;
}

/*
 * Judges a window of `len` bytes at offset `at`. Its first byte was judged before, or begins the
 * head; a CR as its last byte is judged with the byte behind it.
 */
static inline enum http_progress judge_window(
        struct http_scan *scan, struct line_ends ends, size_t at, size_t len)
{
	const uint32_t known = (uint32_t)(((uint64_t)1 << len) - 2);
	const uint32_t alone = (ends.cr << 1 ^ ends.lf) & known;
	const uint32_t empty = ends.lf & ends.lf << 2;

	/* RFC 9112 section 2.2 allows a LF alone, and some take a CR alone for a line end:
	 * two readers, two heads. What stands behind the empty line is no part of the head. */
	if (UNLIKELY((alone & (empty ^ (empty - 1))) != 0)) {
		return refuse(scan, HTTP_BAD_LINE_END);
	}
	if (empty == 0) {
		return HTTP_MORE;
	}
	scan->head_len = at + (size_t)__builtin_ctz(empty) + 1;
	return HTTP_DONE;
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
	for (; bytes.len - scan->offset >= WINDOW; scan->offset += WINDOW - OVERLAP) {
		const char *window = bytes.ptr + scan->offset;
		const enum http_progress progress =
		        judge_window(scan, find_line_ends(window), scan->offset, WINDOW);
		if (progress != HTTP_MORE) {
			return progress;
		}
	}
	if (bytes.len < WINDOW) {
		return judge_window(scan, find_few_line_ends(bytes.ptr, bytes.len), 0, bytes.len);
	}
	/* The rest, and bytes before it that were judged. */
	const size_t last = bytes.len - WINDOW;
	return judge_window(scan, find_line_ends(bytes.ptr + last), last, WINDOW);
}

struct slice http_method_sent(struct slice bytes)
{
	const struct slice line = slice_behind(bytes, head_empty_line(bytes));
	const char *end = line.ptr + line.len;
	const char *method_end = skip_bytes(line.ptr, end, BYTE_TOKEN);

	return slice_between(
	        line.ptr, method_end < end && *method_end == ' ' ? method_end : line.ptr);
}
