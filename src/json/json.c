/* SPDX-License-Identifier: MIT */
#include "json/json.h"

#include "base/ascii.h"

const char *json_error_text(enum json_error error)
{
	static const char *const texts[] = {
	        [JSON_OK] = "no error",
#define ERROR(name, text) [JSON_BAD_##name] = text,
#include "json/errors.def"
#undef ERROR
	};

	return texts[error];
}

const struct json_node *json_member(const struct json_node *object, struct slice name)
{
	for (const struct json_node *at = json_first(object); at != NULL;
	        at = json_next(object, at)) {
		if (slice_equal_nocase(at->name, name)) {
			return at;
		}
	}
	return NULL;
}

const struct json_node *json_find(const struct json_node *root, const char *path)
{
	struct slice rest = slice_of(path);
	struct slice name;

	if (rest.len == 0) {
		return NULL;
	}
	while (root != NULL && rest.len > 0 && slice_next(&rest, '/', &name)) {
		root = root->type == JSON_OBJECT ? json_member(root, name) : NULL;
	}
	return root;
}

bool json_integer(const struct json_node *number, int64_t *ret_value)
{
	struct slice digits = number->text;
	const bool negative = slice_skip(&digits, SLICE("-"));
	const uint64_t most = (uint64_t)INT64_MAX + negative;
	uint64_t value = 0;

	for (size_t i = 0; i < digits.len; i++) {
		const uint64_t digit = (uint64_t)(digits.ptr[i] - '0');
		if (!ascii_is_digit(digits.ptr[i]) || value > (most - digit) / 10) {
			return false;
		}
		value = value * 10 + digit;
	}
	*ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
	return number->type == JSON_NUMBER;
}

/* ── Writing ─────────────────────────────────────────────────────────────── */

static void write_escape(struct text *text, char c)
{
	static const char digits[] = "0123456789abcdef";
	static const char meant[] = "\"\\\b\f\n\r\t";
	static const char letters[] = "\"\\bfnrt";
	const unsigned char byte = (unsigned char)c;
	const char *at = c == '\0' ? NULL : strchr(meant, c);

	text_add_char(text, '\\');
	if (at != NULL) {
		text_add_char(text, letters[at - meant]);
		return;
	}
	text_add(text, SLICE("u00"));
	text_add_char(text, digits[byte >> 4]);
	text_add_char(text, digits[byte & 15]);
}

void json_write_text(struct slice s, struct text *text)
{
	size_t done = 0;

	text_add(text, SLICE("\""));
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == '"' || s.ptr[i] == '\\') {
			text_add(text, (struct slice){s.ptr + done, i - done});
			write_escape(text, s.ptr[i]);
			done = i + 1;
		}
	}
	text_add(text, slice_behind(s, done));
	text_add(text, SLICE("\""));
}

static void write_begin(struct text *text, const struct json_node *node)
{
	switch (node->type) {
	case JSON_NULL:
		text_add(text, SLICE("null"));
		break;
	case JSON_FALSE:
		text_add(text, SLICE("false"));
		break;
	case JSON_TRUE:
		text_add(text, SLICE("true"));
		break;
	case JSON_NUMBER:
		text_add(text, node->text);
		break;
	case JSON_STRING:
		json_write_text(node->text, text);
		break;
	case JSON_ARRAY:
		text_add(text, SLICE("["));
		break;
	case JSON_OBJECT:
		text_add(text, SLICE("{"));
		break;
	}
}

static void write_additions(struct text *text, const struct json_node *object,
        const struct json_addition *additions, unsigned count)
{
	bool any = false;

	for (unsigned i = 0; i < count; i++) {
		if (additions[i].object == object && additions[i].members.len > 0) {
			text_add(text, any ? SLICE(",") : SLICE(""));
			text_add(text, additions[i].members);
			any = true;
		}
	}
	text_add(text, any && object->size > 1 ? SLICE(",") : SLICE(""));
}

void json_write(const struct json_node *node, struct text *text)
{
	json_write_with(node, NULL, 0, text);
}

void json_write_with(const struct json_node *node, const struct json_addition *additions,
        unsigned count, struct text *text)
{
	const struct json_node *open[JSON_DEPTH_MAX];
	const struct json_node *const end = node + node->size;
	unsigned depth = 0;

	for (const struct json_node *at = node; at < end;) {
		if (at > node && at->name.ptr != NULL) {
			json_write_text(at->name, text);
			text_add(text, SLICE(":"));
		}
		write_begin(text, at);
		write_additions(text, at, additions, count);
		if (at->type >= JSON_ARRAY) {
			open[depth++] = at;
		}
		at++;
		while (depth > 0 && at == open[depth - 1] + open[depth - 1]->size) {
			text_add(
			        text, open[--depth]->type == JSON_OBJECT ? SLICE("}") : SLICE("]"));
		}
		if (depth > 0 && at != open[depth - 1] + 1) {
			text_add(text, SLICE(","));
		}
	}
}
