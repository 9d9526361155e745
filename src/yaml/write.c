/* SPDX-License-Identifier: MIT */
#include "yaml/write.h"

enum { COLUMNS = 96 }; /* of a comment */

void yaml_add_quoted(struct text *text, struct slice s)
{
	text_add_char(text, '\'');
	for (size_t i = 0; i < s.len; i++) {
		text_add(text, s.ptr[i] == '\'' ? SLICE("''") : (struct slice){s.ptr + i, 1});
	}
	text_add_char(text, '\'');
}

void yaml_add_word(struct text *text, struct slice s)
{
	bool plain = s.len > 0;

	for (size_t i = 0; i < s.len; i++) {
		const char c = s.ptr[i];
		plain = plain && (ascii_is_alnum(c) || c == '/' || c == '_' ||
		                         (i > 0 && (c == '.' || c == '-' || c == '*')));
	}
	if (plain) {
		text_add(text, s);
	} else {
		yaml_add_quoted(text, s);
	}
}

void yaml_add_list(struct text *text, const char *const *words, unsigned count)
{
	text_add_char(text, '[');
	for (unsigned i = 0; i < count; i++) {
		text_add(text, i > 0 ? SLICE(", ") : SLICE(""));
		yaml_add_word(text, slice_of(words[i]));
	}
	text_add_char(text, ']');
}

/* Where a line that begins at `s` is cut: at its last space in time, or at the first after it. */
static size_t line_len(struct slice s, size_t columns)
{
	size_t cut = s.len;

	for (size_t i = 0; i < s.len && (i <= columns || cut == s.len); i++) {
		if (s.ptr[i] == ' ' && s.len > columns) {
			cut = i;
		}
	}
	return cut;
}

void yaml_add_comment(struct text *text, const char *indent, struct slice sentence)
{
	const size_t columns = COLUMNS - strlen(indent) - strlen("# ");

	while (sentence.len > 0) {
		const size_t len = line_len(sentence, columns);
		text_add_format(text, "%s# ", indent);
		for (size_t i = 0; i < len; i++) {
			const char c = sentence.ptr[i];
			text_add_char(text, c < 0x20 || c >= 0x7f ? '?' : c);
		}
		text_add_char(text, '\n');
		sentence = slice_behind(sentence, len < sentence.len ? len + 1 : len);
	}
}
