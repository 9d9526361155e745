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

static struct slice first_part(struct slice name)
{
	const char *slash = memchr(name.ptr, '/', name.len);

	return slash == NULL ? (struct slice){"", 0} : slice_between(name.ptr, slash);
}

static bool has_stars(struct slice pattern)
{
	return memmem(pattern.ptr, pattern.len, "**", 2) != NULL;
}

/* Whether the first part of a name is a host: "registry.example.com", "a:5000", "localhost". */
static bool is_registry(struct slice part)
{
	for (size_t i = 0; i < part.len; i++) {
		const char c = part.ptr[i];
		if (c == '.' || c == ':' || (c >= 'A' && c <= 'Z')) {
			return true;
		}
	}
	return slice_equal(part, SLICE("localhost"));
}

/*
 * Append what a name leaves out, as distribution/reference does: its registry is docker.io, and of
 * that one the folder library. In a pattern `**` stands for registries, too, if it is in the first
 * part and no registry is in front of it.
 */
static void add_registry(struct slice *image, bool pattern, struct text *text)
{
	const struct slice first = first_part(*image);
	const bool hub = slice_skip(image, SLICE("docker.io/")) ||
	                 slice_skip(image, SLICE("index.docker.io/"));
	const bool any = !hub && pattern && has_stars(first.len > 0 ? first : *image);

	if (any || (!hub && is_registry(first))) {
		return;
	}
	text_add(text, SLICE("docker.io/"));
	if (memchr(image->ptr, '/', image->len) == NULL && !(pattern && has_stars(*image))) {
		text_add(text, SLICE("library/"));
	}
}

struct slice word_short_image(struct slice pattern)
{
	struct slice name = pattern;
	struct slice official = pattern;

	if (slice_skip(&official, SLICE("docker.io/library/")) && !has_stars(official) &&
	        memchr(official.ptr, '/', official.len) == NULL) {
		return official;
	}
	const bool hub = slice_skip(&name, SLICE("docker.io/"));
	const struct slice first = first_part(name);
	return hub && first.len > 0 && !has_stars(first) && !is_registry(first) ? name : pattern;
}

void word_add_image(struct slice image, bool pattern, struct text *text)
{
	add_registry(&image, pattern, text);
	const char *slash = memrchr(image.ptr, '/', image.len);
	const struct slice last =
	        slash == NULL ? image : slice_behind(image, (size_t)(slash + 1 - image.ptr));
	const char *colon = memchr(last.ptr, ':', last.len);
	const char *at = memchr(last.ptr, '@', last.len);
	if (at != NULL && colon != NULL && colon < at) {
		/* The Engine goes by the digest alone. */
		text_add(text, slice_between(image.ptr, colon));
		text_add(text, slice_between(at, image.ptr + image.len));
		return;
	}
	text_add(text, image);
	if (colon == NULL && at == NULL && !(pattern && slice_ends_with(last, SLICE("*")))) {
		text_add(text, SLICE(":latest"));
	}
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

/* ── Globs ───────────────────────────────────────────────────────────────── */

/* The places in a pattern that can come next, each once. */
struct places {
	bool at[PATTERN_MAX + 1];
};

static bool is_double(struct slice pattern, size_t i)
{
	return i + 1 < pattern.len && pattern.ptr[i + 1] == '*';
}

/* Add a place, and those behind the stars that stand there, for a star may stand for nothing. */
static void add_place(struct places *places, struct slice pattern, size_t i)
{
	places->at[i] = true;
	while (i < pattern.len && pattern.ptr[i] == '*') {
		i += is_double(pattern, i) ? 2 : 1;
		places->at[i] = true;
	}
}

static struct places step(const struct places *places, struct slice pattern, char c)
{
	struct places next = {.at = {false}};

	for (size_t i = 0; i < pattern.len; i++) {
		if (!places->at[i]) {
			continue;
		}
		if (pattern.ptr[i] != '*') {
			if (pattern.ptr[i] == c) {
				add_place(&next, pattern, i + 1);
			}
		} else if (is_double(pattern, i) ||
		           (c != '/' && (c != '@' || i + 1 == pattern.len))) {
			add_place(&next, pattern, i);
		}
	}
	return next;
}

bool path_glob_fits(struct slice pattern, struct slice word)
{
	struct places places = {.at = {false}};

	add_place(&places, pattern, 0);
	for (size_t i = 0; i < word.len; i++) {
		places = step(&places, pattern, word.ptr[i]);
	}
	return places.at[pattern.len];
}
