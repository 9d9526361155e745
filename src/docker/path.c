/* SPDX-License-Identifier: MIT */
#include "docker/path.h"

#include "base/text.h"

/* ── Byte classes ────────────────────────────────────────────────────────── */

enum byte_class {
	BYTE_PLAIN = 0,   /* sent on as itself, which Go's URL parser takes as such */
	BYTE_ESCAPED = 1, /* sent on as an escape only */
	BYTE_REFUSED = 2, /* controls, and the backslash, which some take for a slash */
};

#define IS_BETWEEN(c, low, high) ((c) >= (low) && (c) <= (high))
#define IS_ALNUM(c)              (IS_BETWEEN(c, '0', '9') || IS_BETWEEN(c, 'a', 'z') || IS_BETWEEN(c, 'A', 'Z'))
#define IS_PLAIN(c)                                                                                \
	(IS_ALNUM(c) || IS_BETWEEN(c, '&', '/') || (c) == ':' || (c) == ';' || (c) == '=' ||       \
	        (c) == '@' || (c) == '!' || (c) == '$' || (c) == '[' || (c) == ']' ||              \
	        (c) == '_' || (c) == '~')
#define IS_REFUSED(c) ((c) < 0x20 || (c) == 0x7f || (c) == '\\')
#define BYTE(c)                                                                                    \
	(unsigned char)(IS_REFUSED(c) ? BYTE_REFUSED : IS_PLAIN(c) ? BYTE_PLAIN : BYTE_ESCAPED)
static const unsigned char classes[256] = {ASCII_TABLE(BYTE)};

static inline enum byte_class class_of(char c)
{
	return (enum byte_class)classes[(unsigned char)c];
}

static bool is_plain(struct slice raw)
{
	const unsigned char *at = (const unsigned char *)raw.ptr;
	unsigned seen = BYTE_PLAIN;
	size_t i = 0;

	/* Most paths are plain to their end, so that one question for eight bytes is cheaper. */
	for (; i + 8 <= raw.len && seen == BYTE_PLAIN; i += 8) {
		for (size_t j = i; j < i + 8; j++) {
			seen |= classes[at[j]];
		}
	}
	for (; i < raw.len; i++) {
		seen |= classes[at[i]];
	}
	return seen == BYTE_PLAIN;
}

/* How many bytes in front are plain. */
static size_t plain_length(struct slice s)
{
	size_t len = 0;

	while (len < s.len && class_of(s.ptr[len]) == BYTE_PLAIN) {
		len++;
	}
	return len;
}

/* Add the plain bytes in front of `rest`; false when that was all. */
static bool take_plain(struct slice *rest, struct text *text)
{
	const size_t len = plain_length(*rest);

	text_add(text, (struct slice){rest->ptr, len});
	*rest = slice_behind(*rest, len);
	return rest->len > 0;
}

/* ── Escapes ─────────────────────────────────────────────────────────────── */

int path_escaped_byte(struct slice s)
{
	const int high = s.len < 3 ? -1 : ascii_hex_value(s.ptr[1]);
	const int low = s.len < 3 ? -1 : ascii_hex_value(s.ptr[2]);

	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* ── Decoding ────────────────────────────────────────────────────────────── */

static enum docker_error decode(struct slice raw, struct text *text, struct path *path)
{
	while (take_plain(&raw, text)) {
		const bool is_escape = raw.ptr[0] == '%';
		const int byte = is_escape ? path_escaped_byte(raw) : (unsigned char)raw.ptr[0];
		if (byte < 0) {
			return DOCKER_BAD_ESCAPE;
		}
		char c = (char)byte;
		if (class_of(c) == BYTE_REFUSED) {
			return DOCKER_BAD_BYTE;
		}
		if (is_escape && c == '/') {
			path->has_hidden_slash = true;
			c = PATH_HIDDEN_SLASH;
		}
		path->has_high_byte |= byte >= 0x80;
		text_add(text, (struct slice){&c, 1});
		raw = slice_behind(raw, is_escape ? 3 : 1);
	}
	return text->overflow ? DOCKER_BAD_TOO_LONG : DOCKER_OK;
}

void path_reveal(struct path *path, char memory[DOCKER_PATH_MAX])
{
	for (size_t i = 0; i < path->decoded.len; i++) {
		if (memory[i] == PATH_HIDDEN_SLASH) {
			memory[i] = '/';
		}
	}
	path->has_hidden_slash = false;
}

/* The segment that starts at `at`, where a slash stood before: may it be there? */
static enum docker_error check_segment(const char *at, const char *end)
{
	if (at == end) {
		return DOCKER_OK;
	}
	if (*at == '/') {
		return DOCKER_BAD_EMPTY_SEGMENT;
	}
	size_t dots = 0;
	while (at + dots < end && at[dots] == '.') {
		dots++;
	}
	const bool is_dots = at + dots == end || at[dots] == '/';
	return is_dots && (dots == 1 || dots == 2) ? DOCKER_BAD_DOT_SEGMENT : DOCKER_OK;
}

enum docker_error path_check_segments(struct slice decoded)
{
	const char *end = decoded.ptr + decoded.len;
	const char *slash = decoded.ptr;
	enum docker_error error = DOCKER_OK;

	while (slash != NULL && error == DOCKER_OK) {
		error = check_segment(slash + 1, end);
		slash = memchr(slash + 1, '/', (size_t)(end - slash - 1));
	}
	return error;
}

/* ── Version ─────────────────────────────────────────────────────────────── */

enum { VERSION_PARTS = 3 };

/*
 * /v[0-9.]+ as the Engine's router has it, or podman's /v[0-9][0-9A-Za-z.-]*, which its builds
 * between releases use; 0: `path` does not start with one. *ret_digits: up to what only podman has.
 */
static size_t version_length(struct slice path, size_t *ret_digits)
{
	size_t at = 2;

	*ret_digits = 0;
	if (!slice_starts_with(path, SLICE("/v"))) {
		return 0;
	}
	while (at < path.len && (ascii_is_digit(path.ptr[at]) || path.ptr[at] == '.')) {
		at++;
	}
	*ret_digits = at;
	while (at > 2 && at < path.len &&
	        (ascii_is_alnum(path.ptr[at]) || path.ptr[at] == '-' || path.ptr[at] == '.')) {
		at++;
	}
	return at > 2 && (at == path.len || path.ptr[at] == '/') ? at : 0;
}

static enum docker_error parse_version(struct path *path)
{
	size_t digits_end;
	const size_t len = version_length(path->decoded, &digits_end);
	uint64_t parts[VERSION_PARTS] = {0};
	unsigned count = 0;
	struct slice part;

	path->rest = slice_behind(path->decoded, len);
	path->version = (struct docker_version){0};
	if (len == 0) {
		return DOCKER_OK;
	}
	struct slice digits = {path->decoded.ptr + 2, digits_end - 2};
	path->version_suffix = (struct slice){path->decoded.ptr + digits_end, len - digits_end};
	while (slice_next(&digits, '.', &part)) {
		if (count == VERSION_PARTS ||
		        slice_to_u64(part, UINT16_MAX, &parts[count++]) != 0) {
			return DOCKER_BAD_VERSION;
		}
		path->canonical &= part.len == 1 || part.ptr[0] != '0';
	}
	path->version = (struct docker_version){.major = (uint16_t)parts[0],
	        .minor = (uint16_t)parts[1],
	        .patch = (uint16_t)parts[2],
	        .parts = (uint16_t)count};
	return parts[0] == 0 ? DOCKER_BAD_VERSION : DOCKER_OK;
}

/* ── The whole ───────────────────────────────────────────────────────────── */

enum docker_error path_parse(struct slice raw, char memory[DOCKER_PATH_MAX], struct path *ret_path)
{
	ASSERT(memory != NULL);
	*ret_path = (struct path){.decoded = raw, .canonical = is_plain(raw)};
	if (raw.len == 0 || raw.ptr[0] != '/') {
		return DOCKER_BAD_RELATIVE;
	}
	if (!ret_path->canonical) {
		struct text text = text_over(memory, DOCKER_PATH_MAX);
		const enum docker_error error = decode(raw, &text, ret_path);
		if (error != DOCKER_OK) {
			return error;
		}
		ret_path->decoded = text_slice(&text);
	} else if (raw.len > DOCKER_PATH_MAX) {
		return DOCKER_BAD_TOO_LONG;
	}
	return parse_version(ret_path);
}

static void encode_version(struct text *text, const struct docker_version *version)
{
	const uint16_t parts[VERSION_PARTS] = {version->major, version->minor, version->patch};

	for (unsigned i = 0; i < version->parts && i < VERSION_PARTS; i++) {
		text_add(text, i == 0 ? SLICE("/v") : SLICE("."));
		text_add_u64(text, parts[i]);
	}
}

static void encode_byte(struct text *text, char c)
{
	static const char hex[] = "0123456789ABCDEF";
	const unsigned byte = (unsigned char)c;
	const char escape[] = {'%', hex[byte >> 4], hex[byte & 15]};

	text_add(text, (struct slice){escape, sizeof(escape)});
}

enum docker_error path_encode(
        const struct path *path, char memory[DOCKER_PATH_MAX], struct slice *ret_encoded)
{
	struct text text = text_over(memory, DOCKER_PATH_MAX);

	if (path->canonical) {
		*ret_encoded = path->decoded;
		return DOCKER_OK;
	}
	encode_version(&text, &path->version);
	text_add(&text, path->version_suffix);
	for (struct slice rest = path->rest; take_plain(&rest, &text);) {
		encode_byte(&text, rest.ptr[0]);
		rest = slice_behind(rest, 1);
	}
	*ret_encoded = text_slice(&text);
	return text.overflow ? DOCKER_BAD_TOO_LONG : DOCKER_OK;
}
