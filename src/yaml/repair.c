/* SPDX-License-Identifier: MIT */
#include "yaml/repair.h"

/*
 * The end of an unquoted value that begins at `at`: the comma or brace outside
 * of its own brackets. NULL: there is none on the line, or nothing in it that
 * needs quotes, or it holds quotes or a comment: then what was meant is unsure.
 */
static const char *value_end(const char *at, const char *line_end)
{
	int depth = 0;
	bool brackets = false;

	for (; at < line_end; at++) {
		const bool closing = *at == ']' || *at == '}';
		const bool comment = *at == '#' && (at[-1] == ' ' || at[-1] == '\t');
		if (*at == '\'' || *at == '"' || comment) {
			return NULL;
		}
		if (depth == 0 && (*at == ',' || closing)) {
			return brackets ? at : NULL;
		}
		if (*at == '[' || *at == '{') {
			depth++;
			brackets = true;
		}
		depth -= closing;
	}
	return NULL;
}

/* The path of the next "path: /" in a map in braces on this line; NULL: none. */
static const char *next_path(const char *at, const char *line_end)
{
	const struct slice key = SLICE("path: /");
	const char *found =
	        at < line_end ? memmem(at, (size_t)(line_end - at), key.ptr, key.len) : NULL;

	return found == NULL ? NULL : found + key.len - 1;
}

static bool repair_line(struct text *text, struct slice line)
{
	const char *at = line.ptr;
	const char *end = line.ptr + line.len;
	const char *brace = memchr(line.ptr, '{', line.len);
	bool changed = false;

	for (const char *path = brace != NULL ? next_path(brace, end) : NULL; path != NULL;
	        path = next_path(path, end)) {
		const char *stop = value_end(path, end);
		if (stop != NULL) {
			text_add(text, slice_between(at, path));
			text_add_char(text, '\'');
			text_add(text, slice_trim(slice_between(path, stop)));
			text_add_char(text, '\'');
			at = stop;
			changed = true;
		}
	}
	text_add(text, slice_between(at, end));
	return changed;
}

bool yaml_repair(struct slice bytes, struct text *text)
{
	struct slice rest = bytes;
	struct slice line;
	bool changed = false;
	bool first = true;

	while (slice_next(&rest, '\n', &line)) {
		text_add(text, first ? SLICE("") : SLICE("\n"));
		changed = (line.len > 0 && repair_line(text, line)) || changed;
		first = false;
	}
	return changed && !text->overflow;
}
