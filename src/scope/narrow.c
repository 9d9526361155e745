/* SPDX-License-Identifier: MIT */
/* narrow — an answer without the objects that are not in the scope. */
#include "scope/scope.h"

bool scope_narrows_answer(const struct scope_operation *operation)
{
	return strcmp(operation->narrowed, "[]") == 0;
}

void scope_narrower_begin(struct scope_narrower *narrower, const struct scope *scope)
{
	memset(narrower, 0, offsetof(struct scope_narrower, memory));
	narrower->scope = scope;
}

bool scope_narrower_may_end(const struct scope_narrower *narrower)
{
	return narrower->depth == 0 && !narrower->in_list && !narrower->in_string;
}

/* Whether a string ends, begins, or goes on with `c`. */
static bool is_of_string(struct scope_narrower *narrower, char c)
{
	const bool was_in_string = narrower->in_string;

	if (c == '"' && !narrower->escaped) {
		narrower->in_string = !was_in_string;
	}
	narrower->escaped = was_in_string && c == '\\' && !narrower->escaped;
	return was_in_string || narrower->in_string;
}

static void note_depth(unsigned *depth, char c)
{
	if (c == '{' || c == '[') {
		(*depth)++;
	} else if (c == '}' || c == ']') {
		(*depth)--;
	}
}

/* ── Outside of the lists of objects ─────────────────────────────────────── */

/*
 * What stands in the document behind its last comma, but for whitespace: the name of a member, with
 * quotes and colon.
 */
static void note_name(struct scope_narrower *narrower, char c, bool plain)
{
	if (plain && c == ',') {
		narrower->name_len = 0;
	} else if (!(plain && strchr("{[ \t\r\n", c) != NULL) &&
	           narrower->name_len < sizeof(narrower->name)) {
		narrower->name[narrower->name_len++] = c;
	}
}

/* Images are shared. */
static bool is_shared(const struct scope_narrower *narrower)
{
	const struct slice name = {narrower->name, narrower->name_len};

	return slice_equal(name, SLICE("\"Images\":")) ||
	       slice_equal(name, SLICE("\"ImageUsage\":"));
}

/* True: a list of objects begins behind `c`. */
static bool take_outside(struct scope_narrower *narrower, char c)
{
	const bool plain = !is_of_string(narrower, c);

	narrower->memory[narrower->len++] = c;
	if (narrower->depth == 1) {
		note_name(narrower, c, plain);
	}
	if (plain) {
		note_depth(&narrower->depth, c);
	}
	return plain && c == '[' && !is_shared(narrower);
}

static size_t narrow_outside(
        struct scope_narrower *narrower, struct slice in, struct slice *ret_out)
{
	size_t at = 0;

	narrower->len = 0;
	while (at < in.len && narrower->len < sizeof(narrower->memory) && !narrower->in_list) {
		narrower->in_list = take_outside(narrower, in.ptr[at++]);
	}
	*ret_out = (struct slice){narrower->memory, narrower->len};
	narrower->len = 0;
	narrower->kept = false;
	return at;
}

/* ── Objects of a list ───────────────────────────────────────────────────── */

/* The first byte is for a comma. An object that does not fit is not kept, for what it says of its
 * labels is not known. */
static void take_entry(struct scope_narrower *narrower, char c)
{
	if (++narrower->len < sizeof(narrower->memory)) {
		narrower->memory[narrower->len] = c;
	}
}

static bool is_own(const struct scope_narrower *narrower, struct json_document *document)
{
	const struct slice entry = {narrower->memory + 1, narrower->len};

	return entry.len < sizeof(narrower->memory) && json_read(document, entry) == JSON_OK &&
	       document->nodes->type == JSON_OBJECT &&
	       scope_has_labels(narrower->scope, json_member(document->nodes, SLICE("Labels")));
}

/* Behind an object: it goes out, or nothing does. */
static struct slice end_entry(struct scope_narrower *narrower, struct json_document *document)
{
	struct slice out = {narrower->memory, narrower->len + 1};

	narrower->memory[0] = ',';
	if (!is_own(narrower, document)) {
		out.len = 0;
	} else if (!narrower->kept) {
		out = slice_behind(out, 1);
		narrower->kept = true;
	}
	narrower->len = 0;
	return out;
}

static size_t narrow_list(struct scope_narrower *narrower, struct slice in,
        struct json_document *document, struct slice *ret_out)
{
	for (size_t at = 0; at < in.len; at++) {
		const char c = in.ptr[at];
		const bool plain = !is_of_string(narrower, c);
		if (plain && narrower->nested == 0 && (c == ',' || c == ']')) {
			*ret_out = end_entry(narrower, document);
			narrower->in_list = c == ',';
			return narrower->in_list ? at + 1 : at; /* the bracket stands outside */
		}
		take_entry(narrower, c);
		if (plain) {
			note_depth(&narrower->nested, c);
		}
	}
	return in.len;
}

size_t scope_narrow(struct scope_narrower *narrower, struct slice in,
        struct json_document *document, struct slice *ret_out)
{
	*ret_out = (struct slice){"", 0};
	return narrower->in_list ? narrow_list(narrower, in, document, ret_out)
	                         : narrow_outside(narrower, in, ret_out);
}
