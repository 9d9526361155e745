/* SPDX-License-Identifier: MIT */
/* plan — what a policy asks for, and the rows that this comes to for an operation. */
#include "redact/table.h"

#include <errno.h>

/* ── The tables ──────────────────────────────────────────────────────────── */

static const struct {
	struct slice word;
	unsigned kind;
} kinds[] = {
#define KIND(name, word, text) {SLICE_INIT(word), REDACT_##name},
#include "redact/kinds.def"
#undef KIND
};

/* Short names, for the rows alone. */
enum {
#define KIND(name, word, text) name = REDACT_##name,
#include "redact/kinds.def"
#undef KIND
	ALWAYS = REDACT_ALWAYS,
};

const struct row redact_rows[] = {
#define ROW(path, kinds, shape, operations) {path, (kinds), REDACT_##shape, operations},
#include "redact/rows.def"
#undef ROW
};
const unsigned redact_row_count = ARRAY_LEN(redact_rows);
_Static_assert(ARRAY_LEN(redact_rows) <= REDACT_ROWS_MAX, "REDACT_ROW_WORDS is too small");

static const struct {
	const char *globs;
	enum redact_answer answer;
} operations[] = {
#define OPERATIONS(globs, answer) {globs, REDACT_##answer},
#define ERRORS(globs, status)
#include "redact/operations.def"
#undef ERRORS
#undef OPERATIONS
};

static const struct {
	const char *globs;
	unsigned status;
} errors[] = {
#define OPERATIONS(globs, answer)
#define ERRORS(globs, status) {globs, status},
#include "redact/operations.def"
#undef ERRORS
#undef OPERATIONS
};

/* Whether one of the globs, with spaces between them, fits. */
static bool is_among(const char *globs, const char *operation)
{
	struct slice rest = slice_of(globs);
	struct slice glob;

	while (slice_next(&rest, ' ', &glob)) {
		if (slice_fits(glob, slice_of(operation))) {
			return true;
		}
	}
	return false;
}

/* ── Words ───────────────────────────────────────────────────────────────── */

static int wish_label(struct redact_wishes *wishes, struct slice pattern)
{
	for (unsigned i = 0; i < wishes->label_count; i++) {
		if (slice_equal(wishes->labels[i], pattern)) {
			return 0;
		}
	}
	/* A `!` takes nothing away here, and the name of no label begins with it. */
	if (pattern.len == 0 || pattern.len > REDACT_NAME_MAX ||
	        slice_starts_with(pattern, SLICE("!"))) {
		return -EINVAL;
	}
	if (wishes->label_count == REDACT_LABELS_MAX) {
		return -ENOSPC;
	}
	wishes->labels[wishes->label_count++] = pattern;
	wishes->kinds |= REDACT_LABELS;
	return 0;
}

int redact_wish(struct redact_wishes *wishes, struct slice word)
{
	if (slice_skip(&word, SLICE("labels:"))) {
		return wish_label(wishes, word);
	}
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].kind != REDACT_LABELS && slice_equal(kinds[i].word, word)) {
			wishes->kinds |= kinds[i].kind;
			return 0;
		}
	}
	return -EINVAL;
}

int redact_unite(struct redact_wishes *wishes, const struct redact_wishes *more)
{
	int code = 0;

	wishes->kinds |= more->kinds;
	for (unsigned i = 0; code == 0 && i < more->label_count; i++) {
		code = wish_label(wishes, more->labels[i]);
	}
	return code;
}

void redact_add_wishes(const struct redact_wishes *wishes, struct text *text)
{
	const size_t start = text->len;

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		if ((wishes->kinds & kinds[i].kind & ~(unsigned)REDACT_LABELS) != 0) {
			text_add(text, text->len > start ? SLICE(", ") : SLICE(""));
			text_add(text, kinds[i].word);
		}
	}
	for (unsigned i = 0; i < wishes->label_count; i++) {
		text_add(text, text->len > start ? SLICE(", labels:") : SLICE("labels:"));
		text_add(text, wishes->labels[i]);
	}
}

void redact_add_words(struct text *text)
{
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		text_add(text, i > 0 ? SLICE(", ") : SLICE(""));
		text_add(text, kinds[i].word);
		text_add(text, kinds[i].kind == REDACT_LABELS ? SLICE(":PATTERN") : SLICE(""));
	}
}

bool redact_fits_label(const struct redact_wishes *wishes, struct slice name)
{
	for (unsigned i = 0; i < wishes->label_count; i++) {
		if (slice_fits(wishes->labels[i], name)) {
			return true;
		}
	}
	return false;
}

/* ── Operations ──────────────────────────────────────────────────────────── */

enum redact_answer redact_answer_of(const char *operation, bool reads)
{
	for (unsigned i = 0; i < ARRAY_LEN(operations); i++) {
		if (is_among(operations[i].globs, operation)) {
			return operations[i].answer;
		}
	}
	return reads ? REDACT_DOCUMENT : REDACT_PLAIN;
}

/* The status from which on errors have something to hide; 0: none has. */
static unsigned errors_of(const char *operation)
{
	for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
		if (is_among(errors[i].globs, operation)) {
			return errors[i].status;
		}
	}
	return 0;
}

/* ── Plans ───────────────────────────────────────────────────────────────── */

/* "Spec.Data" is Data within Spec, "/Path" is Path within "/", and "/" is the document. */
static void split(const char *path, struct slice *ret_parent, struct slice *ret_name)
{
	const char *dot = strrchr(path, '.');
	const char *name = dot != NULL ? dot + 1 : *path == '/' ? path + 1 : path;

	*ret_name = slice_of(name);
	*ret_parent = slice_between(path, dot != NULL ? dot : name);
}

void redact_plan_make(struct redact_plan *plan)
{
	for (unsigned row = redact_row_count; row-- > 0;) {
		split(redact_rows[row].path, &plan->parents[row], &plan->names[row]);
		uint8_t *first = &plan->first[name_hash(plan->names[row])];
		plan->next[row] = *first;
		*first = (uint8_t)(row + 1);
	}
}

static bool is_used(
        const struct row *row, const struct redact_wishes *wishes, const char *operation)
{
	return (row->kinds & (wishes->kinds | REDACT_ALWAYS)) != 0 &&
	       (row->operations[0] == '\0' || is_among(row->operations, operation));
}

bool redaction_of(const struct redact_plan *plan, const char *operation, bool reads,
        struct redaction *ret_redaction)
{
	*ret_redaction = (struct redaction){.plan = plan};
	if (plan->wishes.kinds == 0) {
		return false;
	}
	ret_redaction->answers = redact_answer_of(operation, reads) == REDACT_DOCUMENT;
	for (unsigned row = 0; row < redact_row_count; row++) {
		if (is_used(&redact_rows[row], &plan->wishes, operation)) {
			ret_redaction->rows[row / 64] |= UINT64_C(1) << (row % 64);
			if (slice_equal(plan->names[row], SLICE("message"))) {
				ret_redaction->errors = errors_of(operation);
			}
		}
	}
	return ret_redaction->answers || ret_redaction->errors != 0;
}

static bool same_wishes(const struct redact_wishes *a, const struct redact_wishes *b)
{
	if (a->kinds != b->kinds || a->label_count != b->label_count) {
		return false;
	}
	for (unsigned i = 0; i < a->label_count; i++) {
		if (!slice_equal(a->labels[i], b->labels[i])) {
			return false;
		}
	}
	return true;
}

bool redaction_equal(const struct redaction *redaction, const struct redaction *other)
{
	if (redaction == NULL || other == NULL) {
		return redaction == other;
	}
	return memcmp(redaction->rows, other->rows, sizeof(redaction->rows)) == 0 &&
	       redaction->answers == other->answers && redaction->errors == other->errors &&
	       same_wishes(&redaction->plan->wishes, &other->plan->wishes);
}
