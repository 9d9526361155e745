/* SPDX-License-Identifier: MIT */
#include "http/head.h"

/* ── Forms ───────────────────────────────────────────────────────────────── */

/* The media type without its parameters, as Go's mime package cuts it. */
static struct slice media_type(struct slice value)
{
	struct slice type = {"", 0};

	(void)slice_next(&value, ';', &type);
	return slice_trim(type);
}

static bool is_form(struct slice type)
{
	return slice_equal_nocase(type, SLICE("application/x-www-form-urlencoded")) ||
	       slice_starts_with_nocase(type, SLICE("multipart/"));
}

static bool is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] >= 0x80) {
			return false;
		}
	}
	return true;
}

static bool has_body(const struct http_head *head)
{
	return head->framing == HTTP_CHUNKED ||
	       (head->framing == HTTP_LENGTH && head->content_length > 0);
}

enum http_error http_check_type(const struct http_request *request)
{
	const struct http_head *head = &request->head;
	struct slice value = {NULL, 0};

	for (unsigned i = 0; i < head->field_count; i++) {
		if (head->fields[i].known != HTTP_NAME_CONTENT_TYPE) {
			continue;
		}
		if (value.ptr != NULL) {
			return HTTP_BAD_TYPE_REPEATED;
		}
		value = head->fields[i].value;
	}
	if (value.ptr == NULL || !has_body(head)) {
		return HTTP_OK;
	}
	/* Go trims every space that Unicode knows and lowers case by Unicode's rules. */
	if (!is_ascii(value)) {
		return HTTP_BAD_TYPE;
	}
	return is_form(media_type(value)) ? HTTP_BAD_FORM : HTTP_OK;
}

/* ── Browsers ────────────────────────────────────────────────────────────── */

/* Fetch Metadata (W3C): browsers send these, and no page can forge or suppress them. */
static bool is_fetch_metadata(const struct http_field *field)
{
	return ascii_lower(field->name.ptr[0]) == 's' &&
	       slice_starts_with_nocase(field->name, SLICE("sec-fetch-"));
}

/* RFC 6454 section 7: scheme "://" host [ ":" port ], or "null". */
static bool is_own_origin(struct slice origin, struct slice host)
{
	const char *colon = memmem(origin.ptr, origin.len, "://", 3);

	return colon != NULL && host.len > 0 &&
	       slice_equal_nocase(slice_between(colon + 3, origin.ptr + origin.len), host);
}

static enum http_error check_origin(const struct http_request *request, struct slice origin)
{
	if (!slice_equal_nocase(request->head.upgrade, SLICE("websocket"))) {
		return HTTP_BAD_BROWSER;
	}
	return is_own_origin(origin, request->host) ? HTTP_OK : HTTP_BAD_ORIGIN;
}

enum http_error http_check_browser(const struct http_request *request)
{
	const struct http_head *head = &request->head;
	enum http_error error = HTTP_OK;

	for (unsigned i = 0; i < head->field_count && error == HTTP_OK; i++) {
		const struct http_field *field = &head->fields[i];
		if (field->known == HTTP_NAME_ORIGIN) {
			error = check_origin(request, field->value);
		} else if (is_fetch_metadata(field)) {
			error = HTTP_BAD_BROWSER;
		}
	}
	return error;
}
