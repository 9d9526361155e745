/* SPDX-License-Identifier: MIT */
#include "engines/engines.h"

#include "base/hash.h"

#include <errno.h>

/* ── Names ───────────────────────────────────────────────────────────────── */

const char *engine_name_problem(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		const char c = name.ptr[i];
		if (!ascii_is_alnum(c) && (i == 0 || (c != '-' && c != '_' && c != '.'))) {
			return "a name has letters, digits, '-', '_' and '.', and begins with a "
			       "letter or digit";
		}
	}
	return name.len == 0 || name.len > ENGINE_NAME_MAX ? "a name has 1 to 64 characters" : NULL;
}

/* RFC 6066 section 3: a name of DNS without a dot at its end; with underscores, which names of
 * containers have. */
const char *engine_server_problem(struct slice server)
{
	for (size_t i = 0; i < server.len; i++) {
		const char c = server.ptr[i];
		const bool is_first = i == 0 || server.ptr[i - 1] == '.';
		if (!ascii_is_alnum(c) && (is_first || (c != '-' && c != '_' && c != '.'))) {
			return "give a DNS name, such as node-a.docker.example.com";
		}
	}
	const bool fits = server.len > 0 && server.len <= ENGINE_SERVER_LEN_MAX &&
	                  server.ptr[server.len - 1] != '.';
	return fits ? NULL : "a DNS name has 1 to 253 characters, and no dot at its end";
}

/* ── Tables ──────────────────────────────────────────────────────────────── */

static uint32_t hash_name(struct slice name)
{
	return hash_bytes(HASH_START, name);
}

static uint32_t hash_server(struct slice server)
{
	uint32_t hash = HASH_START;

	for (size_t i = 0; i < server.len; i++) {
		hash = hash_byte(hash, (unsigned char)ascii_lower(server.ptr[i]));
	}
	return hash;
}

/* A table of which at most half is in use. NULL without memory. */
static uint16_t *make_table(struct arena *arena, unsigned entries, uint32_t *ret_mask)
{
	uint32_t size = 4;

	while (size < 2 * entries) {
		size *= 2;
	}
	uint16_t *table = arena_take(arena, size * sizeof(*table));
	for (uint32_t i = 0; table != NULL && i < size; i++) {
		table[i] = ENGINE_NONE;
	}
	*ret_mask = size - 1;
	return table;
}

static void put(uint16_t *table, uint32_t mask, uint32_t hash, unsigned engine)
{
	uint32_t at = hash & mask;

	while (table[at] != ENGINE_NONE) {
		at = (at + 1) & mask;
	}
	table[at] = (uint16_t)engine;
}

static unsigned count_servers(const struct engines *engines)
{
	unsigned count = 0;

	for (unsigned i = 0; i < engines->count; i++) {
		count += engines->list[i].server_count;
	}
	return count;
}

int engines_index(struct engines *engines, struct arena *arena)
{
	const unsigned servers = count_servers(engines);
	uint16_t *by_name = make_table(arena, engines->count, &engines->name_mask);
	uint16_t *by_server = make_table(arena, servers, &engines->server_mask);

	if (by_name == NULL || by_server == NULL) {
		return -ENOMEM;
	}
	for (unsigned i = engines->has_default ? 0 : 1; i < engines->count; i++) {
		const struct engine_row *row = &engines->list[i];
		put(by_name, engines->name_mask, hash_name(slice_of(row->name)), i);
		for (unsigned j = 0; j < row->server_count; j++) {
			put(by_server, engines->server_mask, hash_server(slice_of(row->servers[j])),
			        i);
		}
	}
	engines->has_servers = servers > 0;
	engines->by_name = by_name;
	engines->by_server = by_server;
	return 0;
}

unsigned engines_find(const struct engines *engines, struct slice name)
{
	uint32_t at = hash_name(name) & engines->name_mask;

	while (engines->by_name[at] != ENGINE_NONE &&
	        !slice_equal(name, slice_of(engines->list[engines->by_name[at]].name))) {
		at = (at + 1) & engines->name_mask;
	}
	return engines->by_name[at];
}

static bool has_server(const struct engine_row *row, struct slice server)
{
	bool has = false;

	for (unsigned i = 0; i < row->server_count; i++) {
		has = has || slice_equal_nocase(server, slice_of(row->servers[i]));
	}
	return has;
}

unsigned engines_find_server(const struct engines *engines, struct slice server)
{
	if (!engines->has_servers || server.len > ENGINE_SERVER_LEN_MAX) {
		return ENGINE_NONE;
	}
	uint32_t at = hash_server(server) & engines->server_mask;
	while (engines->by_server[at] != ENGINE_NONE &&
	        !has_server(&engines->list[engines->by_server[at]], server)) {
		at = (at + 1) & engines->server_mask;
	}
	return engines->by_server[at];
}

/* ── Sets ────────────────────────────────────────────────────────────────── */

static uint64_t word_of(const struct engine_set *set, unsigned i)
{
	return i < set->words ? set->bits[i] : 0;
}

bool engine_set_covers(const struct engine_set *set, const struct engine_set *other)
{
	bool covers = true;

	if (set == NULL || set->all) {
		return true;
	}
	if (other == NULL || other->all) {
		return false;
	}
	for (unsigned i = 0; i < other->words; i++) {
		covers = covers && (word_of(other, i) & ~word_of(set, i)) == 0;
	}
	return covers;
}

int engine_set_join(const struct engine_set *set, const struct engine_set *other,
        struct arena *arena, const struct engine_set **ret_both)
{
	const bool is_wide = set == NULL || (set->all && other != NULL);

	if (is_wide || other == NULL || other->all) {
		*ret_both = is_wide ? other : set;
		return 0;
	}
	struct engine_set *both = arena_take(arena, sizeof(*both));
	uint64_t *bits = arena_take(arena, set->words * sizeof(*bits));
	if (both == NULL || bits == NULL) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < set->words; i++) {
		bits[i] = set->bits[i] & word_of(other, i);
	}
	*both = (struct engine_set){.words = set->words, .bits = bits};
	*ret_both = both;
	return 0;
}

bool engine_set_is_empty(const struct engine_set *set)
{
	uint64_t any = set->all;

	for (unsigned i = 0; !set->all && i < set->words; i++) {
		any |= set->bits[i];
	}
	return any == 0;
}

void engine_set_add(const struct engine_set *set, const struct engines *engines, struct text *text)
{
	const char *comma = "";

	if (set->all) {
		text_add(text, SLICE("all"));
		return;
	}
	for (unsigned i = 0; i < engines->count; i++) {
		if (engine_set_has(set, i)) {
			text_add_format(text, "%s%s", comma, engines->list[i].name);
			comma = ", ";
		}
	}
}

/* ── Paths ───────────────────────────────────────────────────────────────── */

static const struct slice word = SLICE_INIT("engines");

/* The next byte of `*rest` as a reader sees it that decodes once. */
static char take_decoded(struct slice *rest)
{
	char c = rest->ptr[0];
	size_t len = 1;

	if (c == '%' && rest->len >= 3) {
		const int high = ascii_hex_value(rest->ptr[1]);
		const int low = ascii_hex_value(rest->ptr[2]);
		if (high >= 0 && low >= 0) {
			c = (char)(high * 16 + low);
			len = 3;
		}
	}
	*rest = slice_behind(*rest, len);
	return c;
}

/* Whether slashes, dot segments and `engines` are what a reader finds at the front who decodes
 * escapes, and joins or drops segments that are empty or of dots. */
static bool looks_like_engines(struct slice path)
{
	size_t matched = 0;
	bool in_front = true; /* of the word, in what such a reader drops */

	while (path.len > 0 && matched < word.len) {
		const char c = take_decoded(&path);
		if (in_front && (c == '/' || c == '.' || c == '\\')) {
			continue;
		}
		in_front = false;
		if (c != word.ptr[matched]) {
			return false;
		}
		matched++;
	}
	if (matched < word.len) {
		return false;
	}
	const char next = path.len > 0 ? take_decoded(&path) : '/';
	return next == '/' || next == '\\';
}

enum engine_path engines_split(struct slice path, struct slice *ret_name, struct slice *ret_rest)
{
	struct slice rest = path;

	*ret_name = SLICE("");
	*ret_rest = path;
	if (!slice_skip(&rest, SLICE("/engines")) || (rest.len > 0 && rest.ptr[0] != '/')) {
		return looks_like_engines(path) ? ENGINE_PATH_AMBIGUOUS : ENGINE_PATH_PLAIN;
	}
	if (rest.len == 0) {
		return ENGINE_PATH_LIST;
	}
	const char *name = rest.ptr + 1;
	const char *end = rest.ptr + rest.len;
	const char *slash = memchr(name, '/', rest.len - 1);
	*ret_name = slice_between(name, slash != NULL ? slash : end);
	if (engine_name_problem(*ret_name) != NULL) {
		return ENGINE_PATH_AMBIGUOUS;
	}
	*ret_rest = slash != NULL ? slice_between(slash, end) : SLICE("/");
	return ENGINE_PATH_NAMED;
}
