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
	if (!slice_is_ascii(value)) {
		return HTTP_BAD_TYPE;
	}
	return is_form(media_type(value)) ? HTTP_BAD_FORM : HTTP_OK;
}

bool http_has_body(const struct http_request *request)
{
	return has_body(&request->head);
}

const char *http_json_problem(const struct http_request *request)
{
	const struct slice type = http_field_value(&request->head, HTTP_NAME_CONTENT_TYPE);

	if (!has_body(&request->head)) {
		return "this request must have a body";
	}
	if (http_other_value(&request->head, SLICE("content-encoding")).ptr != NULL) {
		return "this body must not have a Content-Encoding";
	}
	return type.ptr != NULL && slice_equal_nocase(media_type(type), SLICE("application/json"))
	               ? NULL
	               : "the Content-Type of this body must be application/json";
}

/* ── Responses ───────────────────────────────────────────────────────────── */

bool http_response_is_json(const struct http_response *response)
{
	static const char *const types[] = {"application/json", "application/x-ndjson",
	        "application/jsonl", "application/json-seq"};
	const struct slice coding = http_other_value(&response->head, SLICE("content-encoding"));
	const struct slice value = http_field_value(&response->head, HTTP_NAME_CONTENT_TYPE);

	if (value.ptr == NULL ||
	        (coding.ptr != NULL && !slice_equal_nocase(coding, SLICE("identity")))) {
		return false;
	}
	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		if (slice_equal_nocase(media_type(value), slice_of(types[i]))) {
			return true;
		}
	}
	return false;
}

/* ── Browsers ────────────────────────────────────────────────────────────── */

/* What a field says of who sent the request. */
enum sign {
	SIGN_NONE = 0,
	SIGN_METADATA = 1, /* Sec-Fetch-Site, -Dest, -User: a browser */
	SIGN_MODE = 2,     /* Sec-Fetch-Mode, which the fetch() of Node and others sends as well */
	SIGN_LANGUAGE = 4, /* Accept-Language: every browser, and some others */
};

/* Most requests have an Accept-Encoding, which is as long: one letter tells them apart. */
static inline bool is_language(struct slice name)
{
	const struct slice language = SLICE("accept-language");

	return name.len == language.len && (name.ptr[7] | 0x20) == 'l' &&
	       slice_equal_nocase(name, language);
}

/* Fetch Metadata (W3C): no page can forge or suppress these. */
static inline enum sign sign_of(struct slice name)
{
	const char first = name.ptr[0] | 0x20;

	if (first == 's' && slice_starts_with_nocase(name, SLICE("sec-fetch-"))) {
		return slice_equal_nocase(name, SLICE("sec-fetch-mode")) ? SIGN_MODE
		                                                         : SIGN_METADATA;
	}
	return first == 'a' && is_language(name) ? SIGN_LANGUAGE : SIGN_NONE;
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

/* Whether anyone can register names below it. Decided by its form, because the list of them grows.
 */
static bool is_top_level(struct slice label)
{
	static const struct slice of_networks[] = {SLICE_INIT("local"), SLICE_INIT("localhost"),
	        SLICE_INIT("localdomain"), SLICE_INIT("internal"), SLICE_INIT("lan"),
	        SLICE_INIT("home"), SLICE_INIT("corp"), SLICE_INIT("test")};
	bool letters = label.len > 1;

	for (size_t i = 0; i < label.len; i++) {
		letters = letters && ascii_lower(label.ptr[i]) >= 'a' &&
		          ascii_lower(label.ptr[i]) <= 'z';
	}
	for (size_t i = 0; i < ARRAY_LEN(of_networks); i++) {
		letters = letters && !slice_equal_nocase(label, of_networks[i]);
	}
	return letters || slice_starts_with_nocase(label, SLICE("xn--"));
}

/*
 * Whether anyone can own the name in the Host, and so let it point to this
 * machine (DNS rebinding): not an address, not a name without a dot, not one
 * below a domain that is private to a network.
 */
static bool is_public_name(struct slice host)
{
	struct slice name = {"", 0};

	(void)slice_next(&host, ':', &name);
	if (slice_ends_with(name, SLICE("."))) {
		name.len--;
	}
	/* RFC 8375. Other names below arpa belong to whoever has the addresses. */
	if (slice_ends_with(name, SLICE(".home.arpa"))) {
		return false;
	}
	const char *dot = name.len > 0 ? memrchr(name.ptr, '.', name.len) : NULL;
	return dot != NULL && is_top_level(slice_between(dot + 1, name.ptr + name.len));
}

static bool has_value(const struct http_head *head, struct slice name, struct slice start)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (slice_equal_nocase(head->fields[i].name, name) &&
		        slice_starts_with_nocase(head->fields[i].value, start)) {
			return true;
		}
	}
	return false;
}

/*
 * To a plain HTTP address that is not this machine's own, browsers send no
 * Fetch Metadata, and no Origin with a GET: but always Accept-Language, which a
 * page can change and not leave out. So do servers that pass on what a browser
 * sent them (Portainer); but none of them is asked for a site's name, and none
 * has the Connection of a browser too. A page of another site cannot change the
 * User-Agent either.
 */
static bool is_page(const struct http_request *request)
{
	return is_public_name(request->host) ||
	       (has_value(&request->head, SLICE("user-agent"), SLICE("mozilla/")) &&
	               has_value(&request->head, SLICE("connection"), SLICE("keep-alive")));
}

static bool is_browser(unsigned signs, const struct http_request *request)
{
	if ((signs & (SIGN_METADATA | SIGN_MODE)) != 0) {
		return (signs & SIGN_METADATA) != 0;
	}
	return is_page(request);
}

enum http_error http_check_browser(const struct http_request *request)
{
	const struct http_head *head = &request->head;
	enum http_error error = HTTP_OK;
	unsigned signs = SIGN_NONE;

	for (unsigned i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		if (field->known == HTTP_NAME_OTHER) {
			signs |= sign_of(field->name);
		} else if (field->known == HTTP_NAME_ORIGIN && error == HTTP_OK) {
			error = check_origin(request, field->value);
		}
	}
	if (error == HTTP_OK && signs != SIGN_NONE && is_browser(signs, request)) {
		error = HTTP_BAD_BROWSER;
	}
	return error;
}

/* ── Where browsers are served ───────────────────────────────────────────── */

/* Fetch Metadata: "none" is what the user asked for, by hand. */
static bool is_own_site(struct slice value)
{
	return slice_equal(value, SLICE("same-origin")) || slice_equal(value, SLICE("none"));
}

static bool is_foreign(const struct http_field *field, struct slice host)
{
	return field->known == HTTP_NAME_ORIGIN
	               ? !is_own_origin(field->value, host)
	               : slice_equal_nocase(field->name, SLICE("sec-fetch-site")) &&
	                         !is_own_site(field->value);
}

enum http_error http_check_site(const struct http_request *request, bool named)
{
	const struct http_head *head = &request->head;
	unsigned signs = SIGN_NONE;

	for (unsigned i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		if (is_foreign(field, request->host)) {
			return HTTP_BAD_SITE;
		}
		signs |= field->known == HTTP_NAME_OTHER ? sign_of(field->name) : SIGN_NONE;
	}
	return signs != SIGN_NONE && !named && is_public_name(request->host) ? HTTP_BAD_NAME
	                                                                     : HTTP_OK;
}
