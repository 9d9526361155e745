/* SPDX-License-Identifier: MIT */
#include "http/head.h"

/* ── Byte classes ────────────────────────────────────────────────────────── */

#define IS_DIGIT(c)   ((c) >= '0' && (c) <= '9')
#define IS_ALPHA(c)   (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define IS_HEX(c)     (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))
#define IS_VISIBLE(c) ((c) > 0x20 && (c) < 0x7f)
#define IS_BLANK(c)   ((c) == ' ' || (c) == '\t')

/* RFC 9110 section 5.6.2. */
#define IS_TOKEN(c)                                                                                \
	(IS_ALPHA(c) || IS_DIGIT(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' ||     \
	        (c) == '&' || (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' ||             \
	        (c) == '.' || (c) == '^' || (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
/* RFC 3986 knows these nowhere but percent-encoded. */
#define IS_UNWISE(c)                                                                               \
	((c) == '"' || (c) == '<' || (c) == '>' || (c) == '\\' || (c) == '^' || (c) == '`' ||      \
	        (c) == '{' || (c) == '|' || (c) == '}')
/* In a query people do type braces and quotes (curl -g), the Engine takes
 * them, and no reader takes them for anything else. */
#define IS_QUERY(c) (IS_VISIBLE(c) && (c) != '#' && (c) != '%')
#define IS_PATH(c)  (IS_QUERY(c) && !IS_UNWISE(c) && (c) != '?')
/* RFC 3986 section 3.2.2: unreserved, and sub-delims but for the comma that would make a list of
 * it. */
#define IS_HOST(c)                                                                                 \
	(IS_ALPHA(c) || IS_DIGIT(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' ||     \
	        (c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' ||             \
	        (c) == ')' || (c) == '*' || (c) == '+' || (c) == ';' || (c) == '=')

#define BYTE(c)                                                                                    \
	(unsigned char)((IS_TOKEN(c) ? BYTE_TOKEN : 0) |                                           \
	                (IS_VISIBLE(c) || IS_BLANK(c) || (c) >= 0x80 ? BYTE_VALUE : 0) |           \
	                (IS_PATH(c) ? BYTE_PATH : 0) | (IS_QUERY(c) ? BYTE_QUERY : 0) |            \
	                (IS_HOST(c) ? BYTE_HOST : 0) | (IS_HEX(c) ? BYTE_HEX : 0) |                \
	                (IS_BLANK(c) ? BYTE_BLANK : 0))
const unsigned char http_bytes[256] = {ASCII_TABLE(BYTE)};

/* ── Field names ─────────────────────────────────────────────────────────── */

/* The first byte from `at` on that is no part of a name, or `end`: most are letters and dashes. */
static inline const char *skip_name(const char *at, const char *end)
{
	if (LIKELY(end - at >= 16)) {
		const bytes16 bytes = bytes16_load(at);
		const bytes16 letter = (bytes | 0x20) - 'a';
		at += bytes16_first((bytes16)((letter > 'z' - 'a') & (bytes != '-')));
	}
	return skip_bytes(at, end, BYTE_TOKEN);
}

/*
 * Whether `name`, a token, is `known`, which is of lower-case letters, digits
 * and dashes: but for case, no other byte of a token becomes one of those.
 */
static inline bool is_name(struct slice name, const char *known, size_t known_len)
{
	enum { WORD = sizeof(uint64_t) };
	const uint64_t lower = 0x2020202020202020;
	uint64_t difference = 0;

	/* Of the names of the same length hardly one begins with the same letter. */
	if (name.len != known_len || (name.ptr[0] | 0x20) != known[0]) {
		return false;
	}
	if (known_len < WORD) {
		for (size_t i = 1; i < known_len; i++) {
			difference |= (unsigned char)((name.ptr[i] | 0x20) ^ known[i]);
		}
		return difference == 0;
	}
	/* The last word reaches back into the one before it. */
	for (size_t i = 0; i < known_len; i += WORD) {
		const size_t at = i + WORD <= known_len ? i : known_len - WORD;
		difference |= (bytes8_load(name.ptr + at) | lower) ^ bytes8_load(known + at);
	}
	return difference == 0;
}

static inline enum http_name name_lookup(struct slice name)
{
#define FIELD(id, text, hop_by_hop)                                                                \
	if (is_name(name, text, sizeof(text) - 1)) {                                               \
		return HTTP_NAME_##id;                                                             \
	}
#include "http/fields.def"
#undef FIELD
	return HTTP_NAME_OTHER;
}

struct slice http_other_value(const struct http_head *head, struct slice name)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (slice_equal_nocase(head->fields[i].name, name)) {
			return head->fields[i].value;
		}
	}
	return (struct slice){NULL, 0};
}

struct slice http_client_key(const struct http_field *field)
{
	const struct slice scheme = SLICE("bearer ");

	if (field->known == HTTP_NAME_X_API_KEY) {
		return field->value;
	}
	if (field->known == HTTP_NAME_AUTHORIZATION &&
	        slice_starts_with_nocase(field->value, scheme)) {
		return slice_trim(slice_behind(field->value, scheme.len));
	}
	return (struct slice){NULL, 0};
}

struct slice http_field_value(const struct http_head *head, enum http_name name)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (head->fields[i].known == name) {
			return head->fields[i].value;
		}
	}
	return (struct slice){NULL, 0};
}

bool http_came_through(const struct http_head *head, struct slice pseudonym)
{
	for (unsigned i = 0; head->has_via && i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		if (field->known == HTTP_NAME_VIA && pseudonym.len > 0 &&
		        memmem(field->value.ptr, field->value.len, pseudonym.ptr, pseudonym.len) !=
		                NULL) {
			return true;
		}
	}
	return false;
}

/* ── Connection ──────────────────────────────────────────────────────────── */

enum { NOMINATIONS_MAX = 32 };

/* Names in Connection fields that are not about the connection itself. */
struct nominations {
	struct slice names[NOMINATIONS_MAX];
	unsigned count;
};

static enum http_error add_option(
        struct slice option, struct nominations *nominations, struct head_facts *facts)
{
	if (slice_equal_nocase(option, SLICE("close"))) {
		facts->close = true;
	} else if (slice_equal_nocase(option, SLICE("keep-alive"))) {
		facts->keep_alive = true;
	} else if (option.len > 0 && !slice_equal_nocase(option, SLICE("upgrade"))) {
		/* Each is compared with each field: there must not be many. */
		if (nominations->count == NOMINATIONS_MAX) {
			return HTTP_BAD_TOO_MANY_FIELDS;
		}
		nominations->names[nominations->count++] = option;
	}
	return HTTP_OK;
}

static bool is_nominated(const struct nominations *nominations, struct slice name)
{
	for (unsigned i = 0; i < nominations->count; i++) {
		if (slice_equal_nocase(nominations->names[i], name)) {
			return true;
		}
	}
	return false;
}

/* RFC 9110 section 7.6.1: a field that Connection names, wherever it stands, is for this hop. */
static SELDOM enum http_error read_connection(struct http_head *head, struct head_facts *facts)
{
	struct nominations nominations;
	enum http_error error = HTTP_OK;

	nominations.count = 0;
	for (unsigned i = 0; i < head->field_count && error == HTTP_OK; i++) {
		struct slice rest = head->fields[i].value;
		struct slice option;

		while (head->fields[i].known == HTTP_NAME_CONNECTION && error == HTTP_OK &&
		        slice_next(&rest, ',', &option)) {
			error = add_option(slice_trim(option), &nominations, facts);
		}
	}
	for (unsigned i = 0; i < head->field_count && nominations.count > 0; i++) {
		struct http_field *field = &head->fields[i];
		field->connection_named = is_nominated(&nominations, field->name);
	}
	return error;
}

/* ── Field lines ─────────────────────────────────────────────────────────── */

struct slice head_first_line(struct slice bytes)
{
	const char *end = memchr(bytes.ptr, '\r', bytes.len);

	ASSERT(end != NULL); /* the scan found one, and a line feed behind it */
	return slice_between(bytes.ptr, end);
}

/* Reads the line at *at and moves it to the next one. */
static enum http_error parse_field(const char **at, const char *end, struct http_field *field)
{
	const char *name_end = skip_name(*at, end);

	/* RFC 9112 section 5.1: a token, and no white space before the colon. */
	if (UNLIKELY(name_end == *at || name_end == end || *name_end != ':')) {
		return byte_is(**at, BYTE_BLANK) ? HTTP_BAD_FIELD_FOLDED : HTTP_BAD_FIELD_NAME;
	}
	const char *value = skip_bytes(name_end + 1, end, BYTE_BLANK);
	const char *value_end = skip_value(value, end);
	/* RFC 9110 section 5.5: no CR, LF, NUL or other control. */
	if (UNLIKELY(end - value_end < 2 || value_end[0] != '\r' || value_end[1] != '\n')) {
		return HTTP_BAD_FIELD_VALUE;
	}
	field->name = slice_between(*at, name_end);
	*at = value_end + 2;
	while (value_end > value && byte_is(value_end[-1], BYTE_BLANK)) {
		value_end--;
	}
	field->value = slice_between(value, value_end);
	field->known = name_lookup(field->name);
	field->connection_named = false;
	return HTTP_OK;
}

static void note_length(struct slice value, struct head_facts *facts)
{
	facts->lengths_differ |= facts->lengths > 0 && !slice_equal(facts->length, value);
	facts->length = value;
	facts->lengths++;
}

static void note_upgrade(struct slice value, struct http_head *head)
{
	if (head->upgrade.ptr == NULL && value.len > 0) {
		head->upgrade = value;
	}
}

/* Remembers what the field says about framing; true when it is a Connection field. */
static bool note_field(
        const struct http_field *field, struct http_head *head, struct head_facts *facts)
{
	switch (field->known) {
	case HTTP_NAME_HOST:
		facts->host = field->value;
		facts->hosts++;
		break;
	case HTTP_NAME_CONTENT_LENGTH:
		note_length(field->value, facts);
		break;
	case HTTP_NAME_TRANSFER_ENCODING:
		facts->coding = field->value;
		facts->codings++;
		break;
	case HTTP_NAME_UPGRADE:
		note_upgrade(field->value, head);
		break;
	case HTTP_NAME_VIA:
		head->has_via = true;
		break;
	case HTTP_NAME_X_API_KEY:
	case HTTP_NAME_AUTHORIZATION:
		head->has_key = true;
		break;
	case HTTP_NAME_CONNECTION:
		return true;
	case HTTP_NAME_OTHER:
	case HTTP_NAME_CONTENT_TYPE:
	case HTTP_NAME_ORIGIN:
	case HTTP_NAME_HTTP2_SETTINGS:
	case HTTP_NAME_KEEP_ALIVE:
	case HTTP_NAME_TE:
	case HTTP_NAME_TRAILER:
	case HTTP_NAME_PROXY_CONNECTION:
	case HTTP_NAME_PROXY_AUTHENTICATE:
	case HTTP_NAME_PROXY_AUTHORIZATION:
	case HTTP_NAME_COUNT:
		break;
	}
	return false;
}

enum http_error head_parse_fields(struct slice bytes, struct slice first_line,
        struct http_head *head, struct head_facts *ret_facts)
{
	const char *at = first_line.ptr + first_line.len + 2;
	const char *end = bytes.ptr + bytes.len - 2; /* the empty line */
	bool has_connection = false;

	*ret_facts = (struct head_facts){0};
	while (at < end) {
		/* A ceiling of our own; RFC 6585 section 5 has the status. */
		if (UNLIKELY(head->field_count == HTTP_FIELDS_MAX)) {
			return HTTP_BAD_TOO_MANY_FIELDS;
		}
		struct http_field *field = &head->fields[head->field_count];
		const enum http_error error = parse_field(&at, end, field);
		if (UNLIKELY(error != HTTP_OK)) {
			return error;
		}
		head->field_count++;
		has_connection |= note_field(field, head, ret_facts);
	}
	return has_connection ? read_connection(head, ret_facts) : HTTP_OK;
}

enum http_error head_parse_length(struct http_head *head, const struct head_facts *facts)
{
	if (facts->lengths == 0) {
		return HTTP_OK;
	}
	/* RFC 9110 section 8.6: digits, nothing else; no list, no sign. */
	if (slice_to_u64(facts->length, INT64_MAX, &head->content_length) != 0) {
		return HTTP_BAD_LENGTH;
	}
	head->has_length = true;
	return HTTP_OK;
}

/* RFC 9112 section 6.1. */
enum http_error head_parse_coding(
        struct http_head *head, const struct head_facts *facts, enum head_coding spelling)
{
	const bool chunked = slice_equal(facts->coding, SLICE("chunked")) ||
	                     (spelling == HEAD_CODING_ANY_CASE &&
	                             slice_equal_nocase(facts->coding, SLICE("chunked")));

	if (facts->codings > 1) {
		return HTTP_BAD_CODING_REPEATED;
	}
	if (!chunked) {
		return HTTP_BAD_CODING;
	}
	if (head->minor_version == 0) {
		return HTTP_BAD_CODING_VERSION;
	}
	if (facts->lengths > 0) {
		return HTTP_BAD_LENGTH_AND_CODING;
	}
	head->has_chunked = true;
	return HTTP_OK;
}
