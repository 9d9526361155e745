/* SPDX-License-Identifier: MIT */
#include "http/head.h"

#include <arpa/inet.h>

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
	return at < end && *at == '%' && end - at >= 3 && byte_is(at[1], BYTE_HEX) &&
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
static enum http_error parse_request_line(
        struct slice line, struct http_request *request, struct slice *ret_target)
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
	error = parse_target_bytes(line.ptr + request->method.len + 1, end, ret_target);
	if (error != HTTP_OK) {
		return error;
	}
	const struct slice version = slice_between(ret_target->ptr + ret_target->len + 1, end);
	return parse_version(version, &request->head.minor_version);
}

/* ── Host ────────────────────────────────────────────────────────────────── */

enum { PORT_DIGITS_MAX = 5 };

/* The first byte from `at` on that is no part of a registered name. */
static const char *skip_name(const char *at, const char *end)
{
	at = skip_bytes(at, end, BYTE_HOST);
	while (is_escape(at, end)) {
		at = skip_bytes(at + 3, end, BYTE_HOST);
	}
	return at;
}

/*
 * What is behind the IPv6 address in brackets at `at`; `at` if there is none. A
 * zone (RFC 6874) is of this machine alone: clients do not send it.
 */
static const char *skip_literal(const char *at, const char *end)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	const char *close = memchr(at, ']', (size_t)(end - at));
	const size_t len = close == NULL ? 0 : (size_t)(close - at) - 1;

	if (len == 0 || len >= sizeof(text)) {
		return at;
	}
	*(char *)mempcpy(text, at + 1, len) = '\0';
	return inet_pton(AF_INET6, text, &address) == 1 ? close + 1 : at;
}

/* A colon and a number, which may be missing (RFC 3986 section 3.2.3). */
static bool is_port(const char *at, const char *end)
{
	unsigned port = 0;

	if (*at++ != ':' || end - at > PORT_DIGITS_MAX) {
		return false;
	}
	while (at < end && ascii_is_digit(*at)) {
		port = port * 10 + (unsigned)(*at++ - '0');
	}
	return at == end && port <= UINT16_MAX;
}

/* RFC 3986 section 3.2: host [ ":" port ]. Empty is fine: docker 20.10 sends that when it hijacks.
 */
static bool is_host(struct slice host)
{
	const char *end = host.ptr + host.len;
	const char *at = host.len > 0 && host.ptr[0] == '[' ? skip_literal(host.ptr, end)
	                                                    : skip_name(host.ptr, end);

	return at == end || is_port(at, end);
}

/* RFC 9112 section 3.2: exactly one; 1.0 did not know it. */
static enum http_error check_host(const struct head_facts *facts, unsigned minor_version)
{
	if (facts->hosts > 1) {
		return HTTP_BAD_HOST_REPEATED;
	}
	if (facts->hosts == 0) {
		return minor_version > 0 ? HTTP_BAD_HOST_MISSING : HTTP_OK;
	}
	return is_host(facts->host) ? HTTP_OK : HTTP_BAD_HOST;
}

/* ── Target ──────────────────────────────────────────────────────────────── */

/* RFC 9112 section 3.2.2: leaves of *target what an origin-form would have, or but its query. */
static enum http_error cut_authority(struct slice *target, struct slice host)
{
	const bool plain = slice_starts_with_nocase(*target, SLICE("http://"));
	const bool tls = slice_starts_with_nocase(*target, SLICE("https://"));
	size_t len = 0;

	if (!plain && !tls) {
		return HTTP_BAD_TARGET;
	}
	*target = slice_behind(*target, plain ? strlen("http://") : strlen("https://"));
	while (len < target->len && target->ptr[len] != '/' && target->ptr[len] != '?') {
		len++;
	}
	/* The Engine ignores the authority; a filter that judges Host must not see
	 * another one. A Host has no user information ('@'), so it is refused here too. */
	if (len == 0 || !slice_equal_nocase((struct slice){target->ptr, len}, host)) {
		return HTTP_BAD_AUTHORITY;
	}
	*target = slice_behind(*target, len);
	return HTTP_OK;
}

static void split_target(struct slice target, struct http_request *request)
{
	const char *query = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;

	request->path = query == NULL ? target : slice_between(target.ptr, query);
	if (request->path.len == 0) {
		request->path = SLICE("/"); /* RFC 9110 section 4.2.3 */
	}
	if (query != NULL) {
		request->query = slice_between(query + 1, target.ptr + target.len);
	}
}

/* RFC 9112 section 3.2: origin-form, asterisk-form or absolute-form. */
static enum http_error parse_target(struct slice target, struct http_request *request)
{
	enum http_error error = HTTP_OK;

	if (target.ptr[0] == '/') {
		error = HTTP_OK;
	} else if (slice_equal(target, SLICE("*"))) {
		/* Section 3.2.4: with OPTIONS only. */
		error = slice_equal(request->method, SLICE("OPTIONS")) ? HTTP_OK : HTTP_BAD_TARGET;
	} else {
		error = cut_authority(&target, request->host);
	}
	split_target(target, request);
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
	struct slice line = head_first_line(bytes);
	struct slice target;
	struct head_facts facts;

	*ret_request = (struct http_request){.head.fields = fields};
	if (UNLIKELY(line.len == 0)) {
		line = head_first_line(slice_behind(bytes, head_empty_line(bytes)));
	}
	enum http_error error = parse_request_line(line, ret_request, &target);
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
	error = parse_target(target, ret_request);
	return error == HTTP_OK ? parse_framing(&ret_request->head, &facts) : error;
}
