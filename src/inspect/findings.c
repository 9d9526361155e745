/* SPDX-License-Identifier: MIT */
#include "inspect/set.h"

enum { VALUE_MAX = 160 }; /* bytes of a key's value in a sentence */

void findings_begin(struct findings *findings, const struct constraints *constraints)
{
	findings->constraints = constraints;
	findings->count = 0;
}

void findings_add(struct findings *findings, struct slice pointer, const char *problem)
{
	if (findings->count++ >= INSPECT_FINDINGS_MAX) {
		return;
	}
	struct finding *finding = &findings->list[findings->count - 1];
	finding->pointer_len =
	        (unsigned)text_keep(finding->pointer, sizeof(finding->pointer), pointer);
	finding->word_len = 0;
	finding->problem = problem;
	finding->key = -1;
}

/* " (create.bind_sources /srv/ci)" */
static void add_key(const struct constraints *constraints, unsigned key, struct text *text)
{
	char memory[VALUE_MAX];
	struct text value = text_over(memory, sizeof(memory));

	key_add_value(constraints, key, &value);
	text_add_format(text, " (%s.%.*s%s)", inspect_block_name(constraints->block),
	        SLICE_FMT(text_slice(&value)), value.overflow ? "..." : "");
}

void findings_add_sentence(const struct findings *findings, unsigned i, struct text *text)
{
	const struct finding *finding = &findings->list[i];
	const struct text_shown word = text_show((struct slice){finding->word, finding->word_len});
	const struct text_shown pointer =
	        text_show((struct slice){finding->pointer, finding->pointer_len});

	text_add_format(text, "%s: ", finding->pointer_len == 0 ? "body" : pointer.text);
	if (finding->problem != NULL) {
		text_add_format(text, "%s%s%s%s", finding->word_len > 0 ? "'" : "", word.text,
		        finding->word_len > 0 ? "': " : "", finding->problem);
	} else {
		text_add_format(
		        text, "%s '%s' is not allowed", inspect_keys[finding->key].what, word.text);
	}
	if (finding->key >= 0) {
		add_key(findings->constraints, (unsigned)finding->key, text);
	}
}

static unsigned kept(const struct findings *findings)
{
	return findings->count < INSPECT_FINDINGS_MAX ? findings->count : INSPECT_FINDINGS_MAX;
}

/* ── Advice ──────────────────────────────────────────────────────────────── */

static bool is_repeated(const struct findings *findings, unsigned i)
{
	const struct finding *finding = &findings->list[i];

	for (unsigned k = 0; k < i; k++) {
		const struct finding *other = &findings->list[k];
		if (other->key == finding->key && other->word_len == finding->word_len &&
		        memcmp(other->word, finding->word, finding->word_len) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_first_of_key(const struct findings *findings, unsigned i)
{
	for (unsigned k = 0; k < i; k++) {
		if (findings->list[k].key == findings->list[i].key) {
			return false;
		}
	}
	return true;
}

/* "['/etc', '/srv']": the words that the findings about one key name. */
static void add_words(const struct findings *findings, int key, struct text *text)
{
	bool any = false;

	text_add(text, SLICE("["));
	for (unsigned i = 0; i < kept(findings); i++) {
		const struct finding *finding = &findings->list[i];
		if (finding->key == key && !is_repeated(findings, i)) {
			text_add_format(text, "%s'%s'", any ? ", " : "",
			        text_show((struct slice){finding->word, finding->word_len}).text);
			any = true;
		}
	}
	text_add(text, SLICE("]"));
}

/* Whether a key opens all that was found. */
static bool has_advice(const struct findings *findings)
{
	for (unsigned i = 0; i < kept(findings); i++) {
		const struct finding *finding = &findings->list[i];
		if (finding->key < 0 ||
		        (finding->problem != NULL && finding->key != KEY_CREATE_unknown &&
		                finding->key != KEY_EXEC_unknown)) {
			return false;
		}
	}
	return findings->count <= INSPECT_FINDINGS_MAX;
}

void findings_advise(const struct findings *findings, struct text *text)
{
	const struct place place = findings->constraints->place;
	const char *separator = "";

	if (!has_advice(findings)) {
		return;
	}
	text_add_format(text,
	        "add to '%s' at %s:%u: ", inspect_block_name(findings->constraints->block),
	        place.file, place.line);
	for (unsigned i = 0; i < kept(findings); i++) {
		const int key = findings->list[i].key;
		if (!is_first_of_key(findings, i)) {
			continue;
		}
		text_add_format(text, "%s%s: ", separator, inspect_keys[key].name);
		separator = ", ";
		if (inspect_keys[key].kind == KIND_CHOICE) {
			text_add(text, slice_of(strrchr(inspect_keys[key].choices, ' ') + 1));
		} else {
			add_words(findings, key, text);
		}
	}
}

void findings_add_denial(const struct findings *findings, const char *operation, const char *policy,
        struct text *text)
{
	enum { SHOWN = 4 };
	const struct place place = findings->constraints->place;

	text_add_format(text, "%s: policy '%s' does not allow this (%s:%u, '%s')", operation,
	        policy, place.file, place.line, inspect_block_name(findings->constraints->block));
	for (unsigned i = 0; i < kept(findings) && i < SHOWN; i++) {
		text_add(text, i == 0 ? SLICE(": ") : SLICE("; "));
		findings_add_sentence(findings, i, text);
	}
	if (findings->count > SHOWN) {
		text_add_format(text, "; and %u more", findings->count - SHOWN);
	}
	text_add(text, SLICE(". "));
	const size_t before = text->len;
	text_add(text, SLICE("To allow it, "));
	const size_t after = text->len;
	findings_advise(findings, text);
	if (text->len == after) {
		text->len = before - 1; /* there is no advice */
	} else {
		text_add(text, SLICE("."));
	}
}
