/* SPDX-License-Identifier: MIT */
#include "convert/pattern.h"

#include "base/text.h"

/* ── Pieces of an expression ─────────────────────────────────────────────── */

/* An atom with what repeats it, at the front of an expression. */
struct piece {
	struct slice atom;
	struct slice repeat; /* "", "?", "*", "{1,2}", "+?" … */
	struct slice rest;   /* behind it */
};

static bool starts(struct slice s, const char *prefix)
{
	return slice_starts_with(s, slice_of(prefix));
}

/* Length of "\x", "\p{Greek}", "\Q…\E" at the front; 0: it is cut off. */
static size_t escape_len(struct slice s)
{
	if (s.len < 2) {
		return 0;
	}
	if (s.ptr[1] == 'Q') {
		const char *end = memmem(s.ptr, s.len, "\\E", 2);
		return end == NULL ? s.len : (size_t)(end - s.ptr) + 2;
	}
	if (s.len > 2 && s.ptr[2] == '{' && strchr("pPx", s.ptr[1]) != NULL) {
		const char *end = memchr(s.ptr, '}', s.len);
		return end == NULL ? 0 : (size_t)(end - s.ptr) + 1;
	}
	return 2;
}

/* Length of "[…]" at the front; 0: it does not end. */
static size_t class_len(struct slice s)
{
	size_t i = 1;

	i += i < s.len && s.ptr[i] == '^';
	i += i < s.len && s.ptr[i] == ']'; /* the first one is a member */
	while (i < s.len && s.ptr[i] != ']') {
		if (starts(slice_behind(s, i), "[:")) {
			const char *end = memmem(s.ptr + i, s.len - i, ":]", 2);
			i = end == NULL ? s.len : (size_t)(end - s.ptr) + 2;
		} else {
			i += s.ptr[i] == '\\' ? 2 : 1;
		}
	}
	return i < s.len ? i + 1 : 0;
}

/* Length of one atom at the front, a parenthesis being one by itself; 0: broken. */
static size_t token_len(struct slice s)
{
	switch (s.ptr[0]) {
	case '\\':
		return escape_len(s);
	case '[':
		return class_len(s);
	default:
		return 1;
	}
}

/* Length of "(…)" at the front; 0: it does not end. */
static size_t group_len(struct slice s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.len;) {
		depth += s.ptr[i] == '(';
		depth -= s.ptr[i] == ')';
		const size_t len = token_len(slice_behind(s, i));
		if (len == 0) {
			return 0;
		}
		i += len;
		if (depth == 0) {
			return i;
		}
	}
	return 0;
}

static size_t atom_len(struct slice s)
{
	return s.ptr[0] == '(' ? group_len(s) : token_len(s);
}

/* Length of "?", "*", "+", "{2,3}" and a lazy "?" behind; a '{' that counts nothing is text. */
static size_t repeat_len(struct slice s)
{
	size_t len = 0;

	if (s.len > 0 && strchr("?*+", s.ptr[0]) != NULL) {
		len = 1;
	} else if (s.len > 1 && s.ptr[0] == '{' && ascii_is_digit(s.ptr[1])) {
		const char *end = memchr(s.ptr, '}', s.len);
		len = end == NULL ? 0 : (size_t)(end - s.ptr) + 1;
	}
	return len > 0 && len < s.len && s.ptr[len] == '?' ? len + 1 : len;
}

/* False at the end of `s`, and where it is broken. */
static bool next_piece(struct slice s, struct piece *ret_piece)
{
	const size_t atom = s.len > 0 ? atom_len(s) : 0;

	if (atom == 0 || atom > s.len) {
		return false;
	}
	const size_t repeat = repeat_len(slice_behind(s, atom));
	*ret_piece = (struct piece){
	        .atom = {s.ptr, atom},
	        .repeat = {s.ptr + atom, repeat},
	        .rest = slice_behind(s, atom + repeat),
	};
	return true;
}

/* Whether brackets match and nothing is cut off. */
static bool is_whole(struct slice s)
{
	struct piece piece;

	while (next_piece(s, &piece)) {
		if (piece.atom.ptr[0] == ')') {
			return false;
		}
		s = piece.rest;
	}
	return s.len == 0;
}

/* Cut the first alternative off `rest`; false when nothing is left. */
static bool next_alternative(struct slice *rest, struct slice *ret_alternative)
{
	struct slice s = *rest;
	struct piece piece;

	if (rest->ptr == NULL) {
		return false;
	}
	while (next_piece(s, &piece) && piece.atom.ptr[0] != '|') {
		s = piece.rest;
	}
	*ret_alternative = slice_between(rest->ptr, s.ptr);
	*rest = s.len > 0 ? slice_behind(s, 1) : (struct slice){NULL, 0};
	return true;
}

static bool has_alternatives(struct slice s)
{
	struct slice first;

	return next_alternative(&s, &first) && s.ptr != NULL;
}

/* What is inside of a group; false for one that sets flags, which reach further than it. */
static bool group_body(struct slice group, struct slice *ret_body)
{
	size_t open = 1;

	if (starts(group, "(?:")) {
		open = 3;
	} else if (starts(group, "(?P<") || starts(group, "(?<")) {
		const char *end = memchr(group.ptr, '>', group.len);
		if (end == NULL) {
			return false;
		}
		open = (size_t)(end - group.ptr) + 1;
	} else if (starts(group, "(?") || starts(group, "(*")) {
		return false;
	}
	*ret_body = slice_between(group.ptr + open, group.ptr + group.len - 1);
	return true;
}

static bool is_optional(struct slice repeat)
{
	return repeat.len > 0 && repeat.ptr[0] == '?';
}

static bool is_class(struct slice atom)
{
	return atom.ptr[0] == '.' || atom.ptr[0] == '[' ||
	       (atom.len == 2 && atom.ptr[0] == '\\' && strchr("dDsSwW", atom.ptr[1]) != NULL);
}

/* Whether it fits any number of bytes, slashes among them. */
static bool crosses_slashes(const struct piece *piece)
{
	const struct slice atom = piece->atom;
	const bool slash = memchr(atom.ptr, '/', atom.len) != NULL;
	bool fits = atom.ptr[0] == '.';

	if (atom.ptr[0] == '[') {
		fits = (atom.ptr[1] == '^') != slash;
	} else if (atom.ptr[0] == '\\' && atom.len == 2) {
		fits = strchr("DSW", atom.ptr[1]) != NULL;
	}
	return fits && piece->repeat.len > 0 && strchr("*+", piece->repeat.ptr[0]) != NULL;
}

/* ── Multiplying out ─────────────────────────────────────────────────────── */

/* More work than any pattern that was written by hand: "(|)(|)(|)…" doubles with each group. */
enum { STEPS_MAX = 4096 };

struct item {
	struct slice text;
	bool bare; /* the version is off */
};

struct expander {
	struct arena *arena;  /* of the result */
	struct arena scratch; /* of everything on the way to it */
	struct pattern *pattern;
	struct item items[PATTERN_ALTERNATIVES_MAX]; /* still to do; the last is the next */
	unsigned count;
	bool full;
};

static void add_item(struct expander *expander, struct slice text, bool bare)
{
	if (expander->count == PATTERN_ALTERNATIVES_MAX) {
		expander->full = true;
		return;
	}
	expander->items[expander->count++] = (struct item){text, bare};
}

/* The three in one; what the sum has in bytes is at most what the pattern has. */
static struct slice join(struct expander *expander, struct slice a, struct slice b, struct slice c)
{
	char *memory = arena_take(&expander->scratch, a.len + b.len + c.len + 1);
	struct text text = text_over(memory, a.len + b.len + c.len);

	text_add(&text, a);
	text_add(&text, b);
	text_add(&text, c);
	return text_slice(&text);
}

static void finish(struct expander *expander, struct slice text)
{
	struct pattern *pattern = expander->pattern;

	for (unsigned i = 0; i < pattern->count; i++) {
		if (slice_equal(slice_of(pattern->alternatives[i]), text)) {
			return;
		}
	}
	if (pattern->count == PATTERN_ALTERNATIVES_MAX) {
		expander->full = true;
		return;
	}
	pattern->alternatives[pattern->count++] = arena_copy(expander->arena, text);
}

/* Every alternative of `body` between `front` and `rest`; the last first, since items are a stack.
 */
static void add_alternatives(struct expander *expander, struct slice front, struct slice body,
        struct slice rest, bool bare)
{
	const unsigned first = expander->count;
	struct slice alternative;

	while (next_alternative(&body, &alternative)) {
		add_item(expander, join(expander, front, alternative, rest), bare);
	}
	for (unsigned i = first, j = expander->count; i + 1 < j; i++) {
		j--;
		const struct item kept = expander->items[i];
		expander->items[i] = expander->items[j];
		expander->items[j] = kept;
	}
}

/* "(a|b)?c" → "ac", "bc", "c"; and the same behind a slash. False: it begins otherwise. */
static bool expand_group(struct expander *expander, const struct item *item)
{
	const struct slice front = {item->text.ptr, starts(item->text, "/(")};
	struct piece piece;
	struct slice body;

	if (!next_piece(slice_behind(item->text, front.len), &piece) || piece.atom.ptr[0] != '(') {
		return false;
	}
	if (!group_body(piece.atom, &body) ||
	        (piece.repeat.len > 0 && !is_optional(piece.repeat))) {
		expander->pattern->unclear = true;
		finish(expander, item->text);
		return true;
	}
	if (is_optional(piece.repeat)) {
		add_item(expander, join(expander, front, piece.rest, SLICE("")), item->bare);
	}
	add_alternatives(expander, front, body, piece.rest, item->bare);
	return true;
}

/* ── The version ─────────────────────────────────────────────────────────── */

/* Whether what is behind "/v" can be the number of a version. */
static bool may_be_number(struct slice s)
{
	struct slice body;
	struct piece piece;

	if (!next_piece(s, &piece)) {
		return false;
	}
	if (piece.atom.ptr[0] == '(' && group_body(piece.atom, &body) &&
	        !next_piece(body, &piece)) {
		return false;
	}
	return is_class(piece.atom) || ascii_is_digit(piece.atom.ptr[0]);
}

/* Whether a piece begins the part of the path that is behind the version. */
static bool begins_rest(const struct piece *piece)
{
	struct slice body;

	return piece->atom.ptr[0] == '/' ||
	       (piece->atom.ptr[0] == '(' && group_body(piece->atom, &body) && starts(body, "/"));
}

/*
 * Cut off a version that is written out: "/v1\.\d+/info" → "/info". Where it
 * holds ".*", that may stand for more: "/v1\..*" + "/json" is any path that ends in "/json".
 */
static bool cut_version(struct expander *expander, const struct item *item)
{
	struct slice rest = slice_behind(item->text, 2);
	struct piece piece;
	bool wide = false;

	while (next_piece(rest, &piece) && !begins_rest(&piece)) {
		wide = wide || crosses_slashes(&piece);
		rest = piece.rest;
	}
	/* "/v.*" fits "/volumes" too. */
	if (next_piece(slice_behind(item->text, 2), &piece) && is_class(piece.atom) &&
	        !starts(piece.atom, "[0") && !starts(piece.atom, "[\\d") &&
	        !starts(piece.atom, "\\d")) {
		finish(expander, item->text);
	}
	if (wide) {
		expander->pattern->wide = true;
		finish(expander, rest.len == 0
		                         ? SLICE("/.*")
		                         : join(expander, SLICE("(?:/.*)?"), rest, SLICE("")));
	} else if (rest.len > 0) {
		add_item(expander, rest, true);
	}
	return true;
}

/* A first segment that is any: it may have been meant for the version, and for the name of a part.
 */
static bool cut_any_segment(struct expander *expander, const struct item *item)
{
	struct piece piece;

	if (!next_piece(slice_behind(item->text, 1), &piece) || !is_class(piece.atom) ||
	        !starts(piece.rest, "/")) {
		return false;
	}
	if (crosses_slashes(&piece)) {
		finish(expander, join(expander, SLICE("(?:/.*)?"), piece.rest, SLICE("")));
	} else {
		finish(expander, item->text);
		add_item(expander, piece.rest, true);
	}
	return true;
}

static void expand(struct expander *expander, struct item item)
{
	if (starts(item.text, "^")) {
		item.text = slice_behind(item.text, 1);
	}
	if (item.text.ptr == NULL || item.text.len == 0) {
		return; /* no path is empty */
	}
	if (has_alternatives(item.text)) {
		add_alternatives(expander, SLICE(""), item.text, SLICE(""), item.bare);
		return;
	}
	if (expand_group(expander, &item)) {
		return;
	}
	if (!item.bare && starts(item.text, "/v") && may_be_number(slice_behind(item.text, 2)) &&
	        cut_version(expander, &item)) {
		return;
	}
	if (!item.bare && starts(item.text, "/") && cut_any_segment(expander, &item)) {
		return;
	}
	finish(expander, item.text);
}

/* Where one byte, escape or quotation at the front ends; 0: it is cut off. */
static size_t unit_len(struct slice s)
{
	return s.ptr[0] == '\\' ? escape_len(s) : 1;
}

/* A copy in which a slash is a slash: "\/" means the same. */
static struct slice without_escaped_slashes(struct arena *arena, struct slice expression)
{
	struct text text = text_over(arena_take(arena, expression.len + 1), expression.len + 1);

	for (struct slice rest = expression; rest.len > 0;) {
		const size_t len = unit_len(rest);
		if (len == 0) {
			return expression;
		}
		text_add(&text, starts(rest, "\\/") ? SLICE("/") : (struct slice){rest.ptr, len});
		rest = slice_behind(rest, len);
	}
	return text_slice(&text);
}

bool pattern_read(struct arena *arena, struct slice expression, struct pattern *ret_pattern)
{
	struct expander expander = {.arena = arena, .pattern = ret_pattern};
	unsigned steps = 0;

	if (expression.len > PATTERN_LEN_MAX || !is_whole(expression)) {
		return false;
	}
	expression = without_escaped_slashes(arena, expression);
	*ret_pattern = (struct pattern){.ungrouped = has_alternatives(expression)};
	add_item(&expander, expression, false);
	while (expander.count > 0 && !expander.full && steps < STEPS_MAX) {
		expand(&expander, expander.items[--expander.count]);
		steps++;
	}
	arena_free(&expander.scratch);
	return expander.count == 0 && !expander.full;
}

/* ── Rows of the catalogue ───────────────────────────────────────────────── */

/* What a backslash makes a plain character: "\." is a dot, "\d" any digit. */
static bool is_mark(char c)
{
	return !ascii_is_alnum(c);
}

/* Whether a segment of the pattern is exactly that of the row. */
static bool is_segment(struct slice segment, struct slice of_row)
{
	size_t i = 0;
	size_t j = 0;

	ASSERT(segment.ptr != NULL && of_row.ptr != NULL);
	if (of_row.len > 0 && of_row.ptr[0] == '{') {
		return slice_equal(segment, SLICE("[^/]+")) &&
		       !slice_ends_with(of_row, SLICE("...}"));
	}
	while (i < segment.len && j < of_row.len) {
		if (segment.ptr[i] == '\\' && i + 1 < segment.len && is_mark(segment.ptr[i + 1])) {
			i++;
		} else if (is_mark(segment.ptr[i]) && strchr("-_", segment.ptr[i]) == NULL) {
			return false;
		}
		if (segment.ptr[i++] != of_row.ptr[j++]) {
			return false;
		}
	}
	return i == segment.len && j == of_row.len;
}

/* The next segment of a pattern; a slash inside of "[^/]+" does not end it. */
static bool next_segment(struct slice *rest, struct slice *ret_segment)
{
	if (starts(*rest, "[^/]+/") || slice_equal(*rest, SLICE("[^/]+"))) {
		*ret_segment = (struct slice){rest->ptr, 5};
		*rest = rest->len > 5 ? slice_behind(*rest, 6) : (struct slice){NULL, 0};
		return true;
	}
	return rest->ptr != NULL && slice_next(rest, '/', ret_segment);
}

bool pattern_is_row(struct slice alternative, struct slice row_path)
{
	struct slice segment;
	struct slice of_row;

	if (!starts(alternative, "/") || !starts(row_path, "/")) {
		return false;
	}
	alternative = slice_behind(alternative, 1);
	row_path = slice_behind(row_path, 1);
	while (next_segment(&alternative, &segment)) {
		if (!slice_next(&row_path, '/', &of_row) || !is_segment(segment, of_row)) {
			return false;
		}
	}
	return !slice_next(&row_path, '/', &of_row);
}
