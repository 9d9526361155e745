/* SPDX-License-Identifier: MIT */
#include "http/head.h"

/* ── Request line ────────────────────────────────────────────────────────── */

/* What ends a method that is none: a separator of the wrong kind, or a byte no name has. */
static enum http_error parse_method(struct slice line, struct slice *ret_method)
{
	const char *end = line.ptr + line.len;
	const char *method_end = skip_bytes(line.ptr, end, BYTE_TOKEN);

	*ret_method = slice_between(line.ptr, method_end);
	if (method_end == end || method_end == line.ptr) {
		return HTTP_BAD_REQUEST_LINE;
	}
	/* RFC 9112 section 3: a single SP. */
	if (*method_end != ' ') {
		return HTTP_BAD_METHOD;
	}
	/* RFC 9110 section 9.3.6 is for forward proxies. */
	return slice_equal(*ret_method, SLICE("CONNECT")) ? HTTP_BAD_CONNECT : HTTP_OK;
}

/* RFC 3986 section 2.1: a percent sign and two hexadecimal digits. */
static bool is_escape(const char *at, const char *end)
{
	return end - at >= 3 && at[0] == '%' && byte_is(at[1], BYTE_HEX) &&
	       byte_is(at[2], BYTE_HEX);
}

/* The first byte that is no part of a target. */
static const char *skip_target(const char *at, const char *end)
{
	unsigned class = BYTE_PATH;

	for (;;) {
		at = skip_bytes(at, end, class);
		if (at < end && *at == '?') {
			class = BYTE_QUERY;
			at++;
		} else if (is_escape(at, end)) {
			at += 3;
		} else {
			return at;
		}
	}
}

static enum http_error parse_target_bytes(const char *at, const char *end, struct slice *ret_target)
{
	const char *target_end = skip_target(at, end);

	*ret_target = slice_between(at, target_end);
	if (target_end == end) {
		return HTTP_BAD_REQUEST_LINE;
	}
	if (*target_end == '#') {
		return HTTP_BAD_FRAGMENT;
	}
	if (*target_end != ' ') {
		return HTTP_BAD_TARGET_BYTE;
	}
	return target_end == at ? HTTP_BAD_REQUEST_LINE : HTTP_OK;
}

/* RFC 9112 section 2.3; any other minor version would be 1.1 to the Engine. */
static enum http_error parse_version(struct slice version, unsigned *ret_minor)
{
	if (slice_equal(version, SLICE("HTTP/1.1"))) {
		*ret_minor = 1;
		return HTTP_OK;
	}
	if (slice_equal(version, SLICE("HTTP/1.0"))) {
		*ret_minor = 0;
		return HTTP_OK;
	}
	/* An empty one, or a space that ought not to be there. */
	if (version.len == 0 || memchr(version.ptr, ' ', version.len) != NULL) {
		return HTTP_BAD_REQUEST_LINE;
	}
	return HTTP_BAD_VERSION;
}

/* RFC 9112 section 3. */
static enum http_error parse_request_line(struct slice line, struct http_request *request)
{
	const char *end = line.ptr + line.len;

	/* RFC 9113 section 3.4. */
	if (slice_equal(line, SLICE("PRI * HTTP/2.0"))) {
		return HTTP_BAD_PREFACE;
	}
	enum http_error error = parse_method(line, &request->method);
	if (error != HTTP_OK) {
		return error;
	}
	error = parse_target_bytes(line.ptr + request->method.len + 1, end, &request->target);
	if (error != HTTP_OK) {
		return error;
	}
	const struct slice version =
	        slice_between(request->target.ptr + request->target.len + 1, end);
	return parse_version(version, &request->head.minor_version);
}

/* ── Host and target ─────────────────────────────────────────────────────── */

static enum http_error check_host(const struct head_facts *facts, unsigned minor_version)
{
	/* RFC 9112 section 3.2: exactly one; 1.0 did not know it. */
	if (facts->hosts > 1) {
		return HTTP_BAD_HOST_REPEATED;
	}
	if (facts->hosts == 0) {
		return minor_version > 0 ? HTTP_BAD_HOST_MISSING : HTTP_OK;
	}
	/* RFC 9110 section 7.2. Empty is fine: docker 20.10 sends that when it hijacks. */
	const char *end = facts->host.ptr + facts->host.len;
	return skip_bytes(facts->host.ptr, end, BYTE_HOST) == end ? HTTP_OK : HTTP_BAD_HOST;
}

/* RFC 9112 section 3.2.2: leaves of the target what an origin-form would have. */
static enum http_error parse_absolute(struct http_request *request)
{
	const bool plain = slice_starts_with_nocase(request->target, SLICE("http://"));
	const bool tls = slice_starts_with_nocase(request->target, SLICE("https://"));
	size_t len = 0;

	if (!plain && !tls) {
		return HTTP_BAD_TARGET;
	}
	const struct slice rest =
	        slice_behind(request->target, plain ? strlen("http://") : strlen("https://"));
	while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?') {
		len++;
	}
	/* The Engine does not look at the authority; whoever judges Host must not be
	 * told another. User information ('@') is in no Host, so it ends here too. */
	if (len == 0 || !slice_equal_nocase((struct slice){rest.ptr, len}, request->host)) {
		return HTTP_BAD_AUTHORITY;
	}
	if (len == rest.len) {
		request->target = SLICE("/"); /* section 3.2.1: an empty path is "/" */
		return HTTP_OK;
	}
	request->target = slice_behind(rest, len);
	return request->target.ptr[0] == '/' ? HTTP_OK : HTTP_BAD_TARGET;
}

/* RFC 9112 section 3.2: origin-form, asterisk-form or absolute-form. */
static enum http_error parse_target(struct http_request *request)
{
	enum http_error error = HTTP_OK;

	if (request->target.ptr[0] == '/') {
		error = HTTP_OK;
	} else if (slice_equal(request->target, SLICE("*"))) {
		/* Section 3.2.4: with OPTIONS only. */
		error = slice_equal(request->method, SLICE("OPTIONS")) ? HTTP_OK : HTTP_BAD_TARGET;
	} else {
		error = parse_absolute(request);
	}
	const struct slice target = request->target;
	const char *query = memchr(target.ptr, '?', target.len);
	request->path = query == NULL ? target : slice_between(target.ptr, query);
	if (query != NULL) {
		request->query = slice_between(query + 1, target.ptr + target.len);
	}
	return error;
}

/* ── Framing ─────────────────────────────────────────────────────────────── */

/* RFC 9112 section 6.3; the cases that ask for leniency are refused. */
static enum http_error parse_framing(struct http_head *head, const struct head_facts *facts)
{
	if (facts->codings > 0) {
		head->framing = HTTP_CHUNKED;
		/* A coding that the next reader does not recognise hides a body. */
		return head_parse_coding(head, facts, HEAD_CODING_EXACT);
	}
	/* Equal ones could be merged; once is enough. */
	if (facts->lengths > 1) {
		return HTTP_BAD_LENGTH_REPEATED;
	}
	const enum http_error error = head_parse_length(head, facts);
	head->framing = head->has_length ? HTTP_LENGTH : HTTP_NO_BODY;
	return error;
}

enum http_error http_request_parse(
        struct slice bytes, struct http_field *fields, struct http_request *ret_request)
{
	const struct slice line = head_first_line(bytes);
	struct head_facts facts;

	*ret_request = (struct http_request){.head.fields = fields};
	if (line.len == 0) {
		return HTTP_BAD_REQUEST_LINE;
	}
	enum http_error error = parse_request_line(line, ret_request);
	if (error == HTTP_OK) {
		error = head_parse_fields(bytes, line, &ret_request->head, &facts);
	}
	if (error == HTTP_OK) {
		error = check_host(&facts, ret_request->head.minor_version);
	}
	if (error != HTTP_OK) {
		return error;
	}
	ret_request->host = facts.host;
	ret_request->head.keep_alive = head_keeps_alive(&ret_request->head, &facts);
	error = parse_target(ret_request);
	return error == HTTP_OK ? parse_framing(&ret_request->head, &facts) : error;
}
