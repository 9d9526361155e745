/* SPDX-License-Identifier: MIT */
/* spelling — words in the spelling in which they are compared, and globs. */
#include "inspect/set.h"

#include <limits.h>

/* ── Spellings ───────────────────────────────────────────────────────────── */

bool word_is_in(struct slice word, const char *list)
{
	struct slice rest = slice_of(list);
	struct slice element;

	while (word.len > 0 && slice_next(&rest, ' ', &element)) {
		if (slice_equal(word, element)) {
			return true;
		}
	}
	return false;
}

void word_add_capability(struct slice name, struct text *text)
{
	const size_t prefix = slice_starts_with_nocase(name, SLICE("CAP_")) ? 4 : 0;

	for (size_t i = prefix; i < name.len; i++) {
		const char c = name.ptr[i];
		text_add_char(text, c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
	}
}

bool word_has_separator(struct slice word)
{
	for (size_t i = 0; i < word.len; i++) {
		if ((unsigned char)word.ptr[i] < 0x20 || strchr(",:\"", word.ptr[i]) != NULL) {
			return true;
		}
	}
	return false;
}

bool word_is_path(struct slice path)
{
	struct slice segment;

	if (path.len >= PATH_MAX || word_has_separator(path) || !slice_skip(&path, SLICE("/"))) {
		return false;
	}
	while (path.len > 0 && slice_next(&path, '/', &segment)) {
		if (segment.len == 0 || slice_equal(segment, SLICE(".")) ||
		        slice_equal(segment, SLICE(".."))) {
			return false;
		}
	}
	return true;
}

/* Where clients look for the Engine's socket. */
static const char engine_sockets[] = "/var/run/docker.sock /run/docker.sock "
                                     "/var/run/podman/podman.sock /run/podman/podman.sock";

static struct slice without_last_slash(struct slice path)
{
	path.len -= path.len > 1 && slice_ends_with(path, SLICE("/"));
	return path;
}

/* The Engine takes a slash behind it away. */
bool path_is_engine(struct slice path)
{
	return word_is_in(without_last_slash(path), engine_sockets);
}

bool path_holds_engine(struct slice directory)
{
	struct slice rest = slice_of(engine_sockets);
	struct slice socket;

	while (slice_next(&rest, ' ', &socket)) {
		if (path_is_below(socket, directory)) {
			return true;
		}
	}
	return false;
}

bool word_is_volume(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		const char c = name.ptr[i];
		if (!ascii_is_alnum(c) && (i == 0 || (c != '_' && c != '.' && c != '-'))) {
			return false;
		}
	}
	return name.len > 0;
}

bool word_may_be_network_id(struct slice word)
{
	for (size_t i = 0; i < word.len; i++) {
		if (!ascii_is_digit(word.ptr[i]) && (word.ptr[i] < 'a' || word.ptr[i] > 'z')) {
			return false;
		}
	}
	return !word_is_in(word, "bridge host none");
}

bool path_is_below(struct slice path, struct slice directory)
{
	path = without_last_slash(path);
	return slice_equal(directory, SLICE("/")) ||
	       (slice_starts_with(path, directory) &&
	               (path.len == directory.len || path.ptr[directory.len] == '/'));
}
