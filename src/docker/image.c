/* SPDX-License-Identifier: MIT */
#include "docker/image.h"

bool docker_is_hexadecimal(struct slice word)
{
	for (size_t i = 0; i < word.len; i++) {
		if (ascii_hex_value(word.ptr[i]) < 0) {
			return false;
		}
	}
	return true;
}

/* ── Names ───────────────────────────────────────────────────────────────── */

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

struct slice docker_short_image(struct slice full)
{
	struct slice name = full;
	struct slice official = full;

	if (slice_skip(&official, SLICE("docker.io/library/")) && !has_stars(official) &&
	        memchr(official.ptr, '/', official.len) == NULL) {
		return official;
	}
	const bool hub = slice_skip(&name, SLICE("docker.io/"));
	const struct slice first = first_part(name);
	return hub && first.len > 0 && !has_stars(first) && !is_registry(first) ? name : full;
}

void docker_add_full_image(struct slice image, bool pattern, struct text *text)
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

/* ── Patterns ───────────────────────────────────────────────────────────────── */

/* The places in a pattern that can come next, each once. */
struct places {
	bool at[DOCKER_IMAGE_MAX + 1];
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

static bool pattern_fits(struct slice pattern, struct slice word)
{
	struct places places = {.at = {false}};

	add_place(&places, pattern, 0);
	for (size_t i = 0; i < word.len; i++) {
		places = step(&places, pattern, word.ptr[i]);
	}
	return places.at[pattern.len];
}

/*
 * The Engine takes "sha256:…" and a few digits of it for the id of an image. A name that has only
 * such digits must be written in the policy.
 */
static bool image_fits(struct slice pattern, struct slice image, struct slice normal)
{
	if (slice_starts_with(image, SLICE("sha256:")) || image.len == 64) {
		return slice_equal(pattern, normal) && !docker_is_hexadecimal(image) &&
		       !slice_starts_with(image, SLICE("sha256:"));
	}
	return docker_is_hexadecimal(image) ? slice_equal(pattern, normal)
	                                    : pattern_fits(pattern, normal);
}

bool docker_image_fits(struct slice pattern, struct slice image)
{
	char memory[2 * DOCKER_IMAGE_MAX];
	struct text full = text_over(memory, sizeof(memory));

	docker_add_full_image(image, false, &full);
	return image.len > 0 && !full.overflow && pattern.len <= DOCKER_IMAGE_MAX &&
	       image_fits(pattern, image, text_slice(&full));
}
