/* SPDX-License-Identifier: MIT */
#include "json/json.h"

#include "base/ascii.h"
#include "base/hash.h"

/* ── Bytes of strings ────────────────────────────────────────────────────── */

enum byte_class {
	PLAIN,
	CONTROL, /* must be escaped (RFC 8259 section 7) */
	QUOTE,
	BACKSLASH,
	HIGH, /* part of a sequence of UTF-8 */
};

static enum byte_class class_of(char c)
{
	if (c == '"') {
		return QUOTE;
	}
	if (c == '\\') {
		return BACKSLASH;
	}
	return (unsigned char)c < 0x20 ? CONTROL : (unsigned char)c < 0x80 ? PLAIN : HIGH;
}

/* A document on its way. */
struct reader {
	struct json_document *document;
	const char *begin;
	const char *at;
	const char *end;
	struct text strings;           /* that had escapes */
	uint32_t open[JSON_DEPTH_MAX]; /* containers that have begun, the innermost last */
	unsigned depth;
	struct slice name; /* of the member whose value comes next */
	enum json_error error;
};

enum state {
	STATE_VALUE,
	STATE_ELEMENT_OR_END, /* behind a bracket */
	STATE_NAME,
	STATE_NAME_OR_END, /* behind a brace */
	STATE_BEHIND,      /* a value */
	STATE_DONE,
	STATE_FAILED,
};

static enum state fail(struct reader *reader, enum json_error error)
{
	reader->error = error;
	return STATE_FAILED;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next byte that is no white space, not passed; NUL at the end. */
static char peek(struct reader *reader)
{
	while (reader->at < reader->end && is_space(*reader->at)) {
		reader->at++;
	}
	return reader->at < reader->end ? *reader->at : '\0';
}

/* ── Strings ─────────────────────────────────────────────────────────────── */

/* Four digits at `at`; -1: there are none. */
static int32_t read_hex(const char *at, const char *end)
{
	int32_t value = 0;

	if (end - at < 4) {
		return -1;
	}
	for (unsigned i = 0; i < 4; i++) {
		const int digit = ascii_hex_value(at[i]);
		if (digit < 0) {
			return -1;
		}
		value = value * 16 + digit;
	}
	return value;
}

/* RFC 3629. What is added is shorter than its escape. */
static void add_utf8(struct text *text, int32_t character)
{
	static const unsigned char marks[] = {0, 0xC0, 0xE0, 0xF0};
	const unsigned more = character < 0x80      ? 0
	                      : character < 0x800   ? 1
	                      : character < 0x10000 ? 2
	                                            : 3;

	text_add_char(text, (char)(marks[more] | (unsigned)(character >> (6 * more))));
	for (unsigned i = more; i > 0; i--) {
		text_add_char(
		        text, (char)(0x80U | ((unsigned)(character >> (6 * (i - 1))) & 0x3FU)));
	}
}

/* Decode \uXXXX at `at`, or a pair of them. Returns what is behind it. */
static const char *decode_unicode(struct reader *reader, const char *at, const char *end)
{
	const int32_t first = read_hex(at + 2, end);
	const bool surrogate = first >= 0xD800 && first <= 0xDFFF;
	const bool paired =
	        surrogate && first < 0xDC00 && end - at >= 12 && at[6] == '\\' && at[7] == 'u';
	const int32_t second = paired ? read_hex(at + 8, end) : -1;

	if (first < 0) {
		reader->error = JSON_BAD_ESCAPE;
	} else if (first == 0) {
		reader->error = JSON_BAD_NUL;
	} else if (!surrogate) {
		add_utf8(&reader->strings, first);
	} else if (second < 0xDC00 || second > 0xDFFF) {
		reader->error = JSON_BAD_SURROGATE;
	} else {
		add_utf8(&reader->strings, 0x10000 + (first - 0xD800) * 0x400 + (second - 0xDC00));
	}
	return at + (paired ? 12 : 6);
}

/* What a letter behind a backslash stands for; NUL: nothing. */
static char short_escape(char c)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char *at = c == '\0' ? NULL : strchr(letters, c);

	return at == NULL ? '\0' : meant[at - letters];
}

/* Decode the escape at `at`, which has two bytes at least. Returns what is behind it. */
static const char *decode_escape(struct reader *reader, const char *at, const char *end)
{
	if (at[1] == 'u') {
		return decode_unicode(reader, at, end);
	}
	const char c = short_escape(at[1]);
	if (c == '\0') {
		reader->error = JSON_BAD_ESCAPE;
	}
	text_add_char(&reader->strings, c);
	return at + 2;
}

/* Decode a string that has escapes. Its place in the document's memory. */
static struct slice decode(struct reader *reader, struct slice raw)
{
	const char *const end = raw.ptr + raw.len;
	const char *at = raw.ptr;
	const size_t start = reader->strings.len;

	while (at < end && reader->error == JSON_OK) {
		const char *escape = memchr(at, '\\', (size_t)(end - at));
		text_add(&reader->strings, slice_between(at, escape == NULL ? end : escape));
		at = escape == NULL ? end : decode_escape(reader, escape, end);
	}
	ASSERT(!reader->strings.overflow); /* there is as much memory as the document has bytes */
	return slice_behind(text_slice(&reader->strings), start);
}

/* The length of the sequence at `at`, from 2 to 4; 0: it is none (RFC 3629 section 4). */
static size_t utf8_len(const char *at, const char *end)
{
	const unsigned char *bytes = (const unsigned char *)at;
	const unsigned char first = bytes[0];
	const size_t len = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
	/* Neither longer than it must be, nor a surrogate, nor behind U+10FFFF. */
	const unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
	const unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;

	if (first < 0xC2 || first > 0xF4 || (size_t)(end - at) < len || bytes[1] < low ||
	        bytes[1] > high) {
		return 0;
	}
	for (size_t i = 2; i < len; i++) {
		if ((bytes[i] & 0xC0) != 0x80) {
			return 0;
		}
	}
	return len;
}

bool json_is_utf8(struct slice bytes)
{
	const char *const end = bytes.ptr + bytes.len;
	size_t len = 0;

	for (const char *at = bytes.ptr; at < end; at += len) {
		len = (unsigned char)*at < 0x80 ? 1 : utf8_len(at, end);
		if (len == 0) {
			return false;
		}
	}
	return true;
}

/* How many bytes the next piece of a string has; 0 and the error. */
static size_t piece_len(struct reader *reader)
{
	const size_t left = (size_t)(reader->end - reader->at);
	size_t len = 0;

	switch ((unsigned)class_of(*reader->at)) {
	case BACKSLASH:
		reader->error = left < 2 ? JSON_BAD_CUT : JSON_OK;
		return left < 2 ? 0 : 2;
	case HIGH:
		len = utf8_len(reader->at, reader->end);
		reader->error = len == 0 ? JSON_BAD_UTF8 : JSON_OK;
		return len;
	case CONTROL:
		reader->error = JSON_BAD_CONTROL;
		return 0;
	default:
		while (len < left && class_of(reader->at[len]) == PLAIN) {
			len++;
		}
		return len;
	}
}

/* The string whose quote is at reader->at. False and the error. */
static bool read_string(struct reader *reader, struct slice *ret_text)
{
	const char *const text = ++reader->at;
	bool escaped = false;

	while (reader->at < reader->end && *reader->at != '"') {
		escaped = escaped || *reader->at == '\\';
		reader->at += piece_len(reader);
		if (reader->error != JSON_OK) {
			return false;
		}
	}
	if (reader->at == reader->end) {
		reader->error = JSON_BAD_CUT;
		return false;
	}
	*ret_text = slice_between(text, reader->at++);
	if (escaped) {
		*ret_text = decode(reader, *ret_text);
	}
	return reader->error == JSON_OK;
}

/* ── Other values ────────────────────────────────────────────────────────── */

static const char *skip_digits(const char *at, const char *end)
{
	while (at < end && ascii_is_digit(*at)) {
		at++;
	}
	return at;
}

/* What is behind the number at `at`; NULL: it is malformed (RFC 8259 section 6). */
static const char *skip_number(const char *at, const char *end)
{
	at += at < end && *at == '-';
	const char *digits = at;
	at = skip_digits(at, end);
	bool good = at > digits && (*digits != '0' || at == digits + 1);
	if (at < end && *at == '.') {
		digits = at + 1;
		at = skip_digits(digits, end);
		good = good && at > digits;
	}
	if (at < end && (*at | 0x20) == 'e') {
		digits = at + 1;
		digits += digits < end && (*digits == '+' || *digits == '-');
		at = skip_digits(digits, end);
		good = good && at > digits;
	}
	return good ? at : NULL;
}

/* A node for the value that comes; NULL and the error: there are too many. */
static struct json_node *add_node(struct reader *reader, enum json_type type)
{
	struct json_document *document = reader->document;

	if (document->count == (document->most > 0 ? document->most : JSON_NODES_MAX)) {
		reader->error = JSON_BAD_TOO_MANY;
		return NULL;
	}
	struct json_node *node = &document->nodes[document->count++];
	*node = (struct json_node){.type = type, .size = 1, .name = reader->name};
	reader->name = (struct slice){NULL, 0};
	return node;
}

static enum state read_number(struct reader *reader)
{
	const char *behind = skip_number(reader->at, reader->end);

	if (behind == NULL) {
		return fail(reader, JSON_BAD_NUMBER);
	}
	struct json_node *node = add_node(reader, JSON_NUMBER);
	if (node == NULL) {
		return STATE_FAILED;
	}
	node->text = slice_between(reader->at, behind);
	reader->at = behind;
	return STATE_BEHIND;
}

static enum state read_text(struct reader *reader)
{
	struct json_node *node = add_node(reader, JSON_STRING);

	return node != NULL && read_string(reader, &node->text) ? STATE_BEHIND : STATE_FAILED;
}

static enum state read_word(struct reader *reader, struct slice word, enum json_type type)
{
	const struct slice rest = slice_between(reader->at, reader->end);

	if (!slice_starts_with(rest, word)) {
		return fail(reader, JSON_BAD_VALUE);
	}
	reader->at += word.len;
	return add_node(reader, type) == NULL ? STATE_FAILED : STATE_BEHIND;
}

/* ── Containers ──────────────────────────────────────────────────────────── */

static enum state open_container(struct reader *reader, enum json_type type)
{
	if (reader->depth == JSON_DEPTH_MAX) {
		return fail(reader, JSON_BAD_DEPTH);
	}
	reader->open[reader->depth++] = reader->document->count;
	if (add_node(reader, type) == NULL) {
		return STATE_FAILED;
	}
	reader->at++;
	return type == JSON_OBJECT ? STATE_NAME_OR_END : STATE_ELEMENT_OR_END;
}

/* Of the name in small letters. */
static uint32_t hash(struct slice name)
{
	uint32_t value = HASH_START;

	for (size_t i = 0; i < name.len; i++) {
		value = hash_byte(value, (unsigned char)ascii_lower(name.ptr[i]));
	}
	return value;
}

/* So many names one after the other are made to collide. */
enum { PROBES_MAX = 256 };

/* Mark a member in the table, which has `slots`, a power of two; false and the error. */
static bool mark(
        struct reader *reader, uint32_t slots, const struct json_node *member, bool *ret_ambiguous)
{
	const struct json_document *document = reader->document;
	uint32_t slot = hash(member->name) & (slots - 1);

	for (unsigned i = 0; document->marks[slot] != 0; i++) {
		const struct json_node *other = &document->nodes[document->marks[slot]];
		if (slice_equal_nocase(other->name, member->name)) {
			*ret_ambiguous = true;
			if (slice_equal(other->name, member->name)) {
				reader->error = JSON_BAD_REPEATED;
				return false;
			}
		}
		if (i == PROBES_MAX) {
			reader->error = JSON_BAD_TOO_MANY;
			return false;
		}
		slot = (slot + 1) & (slots - 1);
	}
	document->marks[slot] = (uint32_t)(member - document->nodes);
	return true;
}

/* Whether the names of the object are different; false and the error. Marks the object. */
static bool has_own_names(struct reader *reader, struct json_node *object)
{
	uint32_t count = 0;
	uint32_t slots = 4;

	for (const struct json_node *at = json_first(object); at != NULL;
	        at = json_next(object, at)) {
		count++;
	}
	while (slots < 2 * count) {
		slots *= 2;
	}
	memset(reader->document->marks, 0, slots * sizeof(reader->document->marks[0]));
	for (const struct json_node *at = json_first(object); at != NULL;
	        at = json_next(object, at)) {
		if (!mark(reader, slots, at, &object->ambiguous)) {
			return false;
		}
		object->ambiguous = object->ambiguous || !slice_is_ascii(at->name);
	}
	return true;
}

/* The innermost container ends with the byte at reader->at. */
static enum state close_container(struct reader *reader)
{
	struct json_document *document = reader->document;
	const uint32_t number = reader->open[--reader->depth];
	struct json_node *container = &document->nodes[number];

	container->size = document->count - number;
	reader->at++;
	if (container->type == JSON_OBJECT && !has_own_names(reader, container)) {
		return STATE_FAILED;
	}
	return STATE_BEHIND;
}

/* ── The machine ─────────────────────────────────────────────────────────── */

static enum state step_value(struct reader *reader)
{
	const char c = peek(reader);

	switch (c) {
	case '{':
		return open_container(reader, JSON_OBJECT);
	case '[':
		return open_container(reader, JSON_ARRAY);
	case '"':
		return read_text(reader);
	case 't':
		return read_word(reader, SLICE("true"), JSON_TRUE);
	case 'f':
		return read_word(reader, SLICE("false"), JSON_FALSE);
	case 'n':
		return read_word(reader, SLICE("null"), JSON_NULL);
	default:
		if (reader->at == reader->end) {
			return fail(reader,
			        reader->document->count == 0 ? JSON_BAD_EMPTY : JSON_BAD_CUT);
		}
		return c == '-' || ascii_is_digit(c) ? read_number(reader)
		                                     : fail(reader, JSON_BAD_VALUE);
	}
}

static enum state step_element_or_end(struct reader *reader)
{
	return peek(reader) == ']' ? close_container(reader) : step_value(reader);
}

static bool has_control(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f) {
			return true;
		}
	}
	return false;
}

static enum state step_name(struct reader *reader)
{
	if (peek(reader) != '"') {
		return fail(reader, reader->at == reader->end ? JSON_BAD_CUT : JSON_BAD_NAME);
	}
	if (!read_string(reader, &reader->name)) {
		return STATE_FAILED;
	}
	if (has_control(reader->name)) {
		return fail(reader, JSON_BAD_NAME_BYTE);
	}
	if (peek(reader) != ':') {
		return fail(reader, reader->at == reader->end ? JSON_BAD_CUT : JSON_BAD_COLON);
	}
	reader->at++;
	return STATE_VALUE;
}

static enum state step_name_or_end(struct reader *reader)
{
	return peek(reader) == '}' ? close_container(reader) : step_name(reader);
}

static enum state step_behind(struct reader *reader)
{
	const char c = peek(reader);

	if (reader->depth == 0) {
		return reader->at == reader->end ? STATE_DONE : fail(reader, JSON_BAD_TRAILING);
	}
	const bool object =
	        reader->document->nodes[reader->open[reader->depth - 1]].type == JSON_OBJECT;
	if (c == (object ? '}' : ']')) {
		return close_container(reader);
	}
	if (c != ',') {
		return fail(reader, reader->at == reader->end ? JSON_BAD_CUT : JSON_BAD_SEPARATOR);
	}
	reader->at++;
	return object ? STATE_NAME : STATE_VALUE;
}

static enum state (*const steps[])(struct reader *) = {
        [STATE_VALUE] = step_value,
        [STATE_ELEMENT_OR_END] = step_element_or_end,
        [STATE_NAME] = step_name,
        [STATE_NAME_OR_END] = step_name_or_end,
        [STATE_BEHIND] = step_behind,
};

enum json_error json_read(struct json_document *document, struct slice bytes)
{
	struct reader reader = {
	        .document = document,
	        .begin = bytes.ptr,
	        .at = bytes.ptr,
	        .end = bytes.ptr + bytes.len,
	        .strings = text_over(document->strings, bytes.len),
	};
	enum state state = STATE_VALUE;

	document->count = 0;
	if (slice_starts_with(bytes, SLICE("\xEF\xBB\xBF"))) {
		state = fail(&reader, JSON_BAD_BYTE_ORDER_MARK);
	}
	while (state < STATE_DONE) {
		state = steps[state](&reader);
	}
	document->error_at = (size_t)(reader.at - reader.begin);
	return reader.error;
}
