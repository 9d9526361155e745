/* SPDX-License-Identifier: MIT */
#include "base/hash.h"
#include "inspect/set.h"
#include "yaml/write.h"

enum { VALUE_MAX = 160 }; /* bytes of a key's value in a sentence */

void findings_begin(struct findings *findings, const struct constraints *constraints)
{
	findings->constraints = constraints;
	findings->block = "";
	findings->view = NULL;
	findings->engine = NULL;
	findings->paths = NULL;
	findings->count = 0;
	if (constraints != NULL) {
		findings->block = inspect_block_name(constraints->block);
		findings->place = constraints->place;
	}
}

void findings_blame_scope(struct findings *findings)
{
	if (findings->count == 0) {
		findings->block = "scope";
		findings->place = findings->view->scope->place;
	}
}

void findings_add(struct findings *findings, struct slice pointer, const char *problem)
{
	findings_add_word(findings, pointer, (struct slice){"", 0}, problem);
}

void findings_add_word(
        struct findings *findings, struct slice pointer, struct slice word, const char *problem)
{
	if (findings->count++ >= INSPECT_FINDINGS_MAX) {
		return;
	}
	struct finding *finding = &findings->list[findings->count - 1];
	finding->pointer_len =
	        (unsigned)text_keep(finding->pointer, sizeof(finding->pointer), pointer);
	finding->word_len = (unsigned)text_keep(finding->word, sizeof(finding->word), word);
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

static bool may_be_secret(const struct finding *finding)
{
	return finding->key >= 0 && inspect_keys[finding->key].kind == KIND_COMMANDS;
}

/* As much of the word as the reader may see. */
static struct slice shown_word(const struct finding *finding, enum findings_reader reader)
{
	const char *end = reader == FINDINGS_LOG && may_be_secret(finding)
	                          ? memchr(finding->word, ' ', finding->word_len)
	                          : NULL;

	return (struct slice){
	        finding->word, end == NULL ? finding->word_len : (size_t)(end - finding->word)};
}

void findings_add_sentence(
        const struct findings *findings, unsigned i, enum findings_reader reader, struct text *text)
{
	const struct finding *finding = &findings->list[i];
	const struct text_shown shown = text_show(shown_word(finding, reader));
	const char *word = finding->word_len > 0 ? shown.text : "";
	const char *quote = finding->word_len > 0 ? "'" : "";
	const struct text_shown pointer =
	        text_show((struct slice){finding->pointer, finding->pointer_len});

	text_add_format(text, "%s: ", finding->pointer_len == 0 ? "body" : pointer.text);
	if (finding->problem != NULL) {
		text_add_format(text, "%s%s%s%s%s", quote, word, quote, *quote != '\0' ? " " : "",
		        finding->problem);
	} else {
		text_add_format(text, "%s%s%s%s%s is not allowed", inspect_keys[finding->key].what,
		        *quote != '\0' ? " " : "", quote, word, quote);
	}
	if (finding->key >= 0) {
		add_key(findings->constraints, (unsigned)finding->key, text);
	}
}

static unsigned kept(const struct findings *findings)
{
	return findings->count < INSPECT_FINDINGS_MAX ? findings->count : INSPECT_FINDINGS_MAX;
}

uint32_t findings_hash(const struct findings *findings)
{
	uint32_t hash = HASH_START;

	for (unsigned i = 0; i < kept(findings); i++) {
		const struct finding *finding = &findings->list[i];
		hash = hash_bytes(hash, (struct slice){finding->pointer, finding->pointer_len});
		hash = hash_byte(hash, (unsigned char)finding->key);
	}
	return hash;
}

/* ── Advice ──────────────────────────────────────────────────────────────── */

static struct slice word_of(const struct finding *finding)
{
	return (struct slice){finding->word, finding->word_len};
}

static bool is_repeated(const struct findings *findings, unsigned i)
{
	for (unsigned k = 0; k < i; k++) {
		if (findings->list[k].key == findings->list[i].key &&
		        slice_equal(word_of(&findings->list[k]), word_of(&findings->list[i]))) {
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

/* Whether the word, as a pattern, would fit itself and nothing else. */
static bool is_pattern(const struct finding *finding)
{
	const struct slice word = word_of(finding);

	return word.len > 0 && word.len < INSPECT_WORD_MAX && word.ptr[0] != '!' &&
	       memchr(word.ptr, '*', word.len) == NULL &&
	       !slice_starts_with(word, SLICE("sha256:"));
}

/* Whether the key, set to more, allows what was found. */
static bool is_opened(const struct finding *finding)
{
	if (finding->key < 0) {
		return false;
	}
	if (inspect_keys[finding->key].kind == KIND_CHOICE) {
		return true;
	}
	return finding->problem == NULL && is_pattern(finding);
}

static bool has_advice(const struct findings *findings, enum findings_reader reader)
{
	for (unsigned i = 0; i < kept(findings); i++) {
		const struct finding *finding = &findings->list[i];
		if (!is_opened(finding) || (reader == FINDINGS_LOG && may_be_secret(finding))) {
			return false;
		}
	}
	return findings->count <= INSPECT_FINDINGS_MAX;
}

static void add_element(struct text *text, struct slice word, size_t start)
{
	const struct text_shown shown = text_show(word);

	text_add(text, text->len > start ? SLICE(", ") : SLICE(""));
	yaml_add_word(text, slice_of(shown.text));
}

/* The whole value: what the key has, and the words of the findings. */
static void add_words(const struct findings *findings, int key, struct text *text)
{
	const struct set *set = &findings->constraints->sets[key];

	text_add(text, SLICE("["));
	const size_t start = text->len;
	if (set->any) { /* and yet a word did not fit: it is a guarded one */
		add_element(text, SLICE("*"), start);
	}
	for (unsigned i = 0; i < set->count; i++) {
		add_element(text, set_shown(&inspect_keys[key], set, i), start);
	}
	for (unsigned i = 0; i < kept(findings); i++) {
		if (findings->list[i].key == key && !is_repeated(findings, i)) {
			add_element(text, word_of(&findings->list[i]), start);
		}
	}
	text_add(text, SLICE("]"));
}

static enum way_to_root opens_root(const struct findings *findings)
{
	enum way_to_root most = ROOT_NEVER;

	for (unsigned i = 0; i < kept(findings); i++) {
		const struct finding *finding = &findings->list[i];
		const enum way_to_root way = key_opens_root(findings->constraints,
		        (unsigned)finding->key, word_of(finding), findings->paths != NULL);
		most = way > most ? way : most;
	}
	return most;
}

/* Whether other paths in WORKSPACE alone would allow it. */
static bool is_for_workspace(const struct findings *findings)
{
	for (unsigned i = 0; i < kept(findings); i++) {
		if (findings->list[i].key != KEY_CREATE_bind_sources ||
		        path_holds_engine(word_of(&findings->list[i]))) {
			return false;
		}
	}
	return findings->constraints->sets[KEY_CREATE_bind_sources].workspace;
}

/* "WORKSPACE=/srv/work,/srv/more" */
static void add_workspace(const struct findings *findings, struct text *text)
{
	const struct set *set = &findings->constraints->sets[KEY_CREATE_bind_sources];
	const char *separator = "";

	text_add(text, SLICE("WORKSPACE="));
	for (unsigned i = 0; i < set->count; i++, separator = ",") {
		text_add_format(text, "%s%.*s", separator, SLICE_FMT(set->patterns[i]));
	}
	for (unsigned i = 0; i < kept(findings); i++) {
		if (!is_repeated(findings, i)) {
			text_add_format(text, "%s%s", separator,
			        text_show(word_of(&findings->list[i])).text);
			separator = ",";
		}
	}
}

/* "set in 'create' at ci.yaml:7" */
static void add_way(const struct findings *findings, struct text *text)
{
	const struct place place = findings->place;

	text_add_format(text,
	        findings->constraints->is_preset
	                ? "copy '%s' from %s:%u into a policy of your own that extends the preset, "
	                  "and set there"
	                : "set in '%s' at %s:%u",
	        findings->block, place.file, place.line);
}

/* "privileged: true, images: [busybox]" */
static void add_keys(const struct findings *findings, const char *between, struct text *text)
{
	const char *separator = "";

	for (unsigned i = 0; i < kept(findings); i++) {
		const int key = findings->list[i].key;
		if (!is_first_of_key(findings, i)) {
			continue;
		}
		text_add_format(text, "%s%s: ", separator, inspect_keys[key].name);
		separator = between;
		if (inspect_keys[key].kind == KIND_CHOICE) {
			text_add(text, slice_of(strrchr(inspect_keys[key].choices, ' ') + 1));
		} else {
			add_words(findings, key, text);
		}
	}
}

static const struct slice root_warnings[] = {
        [ROOT_NEVER] = SLICE_INIT(""),
        [ROOT_LATER] = SLICE_INIT("; that is enough to become root on the host, by a symbolic "
                                  "link that is made after the container"),
        [ROOT_AT_ONCE] = SLICE_INIT("; that is enough to become root on the host"),
};

void findings_advise(
        const struct findings *findings, enum findings_reader reader, struct text *text)
{
	if (!has_advice(findings, reader)) {
		return;
	}
	if (is_for_workspace(findings)) {
		text_add(text, SLICE("set "));
		add_workspace(findings, text);
	} else {
		add_way(findings, text);
		text_add(text, SLICE(": "));
		add_keys(findings, ", ", text);
	}
	text_add(text, root_warnings[opens_root(findings)]);
}

void findings_add_remedy(const struct findings *findings, enum findings_reader reader,
        struct text *yaml, struct text *variable)
{
	char memory[1024];
	struct text way = text_over(memory, sizeof(memory));

	if (!has_advice(findings, reader)) {
		return;
	}
	if (is_for_workspace(findings)) {
		add_workspace(findings, variable);
		return;
	}
	add_way(findings, &way);
	text_add(&way, root_warnings[opens_root(findings)]);
	yaml_add_comment(yaml, "", text_slice(&way));
	add_keys(findings, "\n", yaml);
}

void findings_add_denial(const struct findings *findings, enum findings_reader reader,
        const char *operation, const char *policy, struct text *text)
{
	enum { SHOWN = 4 };
	const struct place place = findings->place;

	text_add_format(text, "%s: policy '%s' does not allow this request (%s:%u, '%s')",
	        operation, policy, place.file, place.line, findings->block);
	for (unsigned i = 0; i < kept(findings) && i < SHOWN; i++) {
		text_add(text, i == 0 ? SLICE(": ") : SLICE("; "));
		findings_add_sentence(findings, i, reader, text);
	}
	if (findings->count > SHOWN) {
		text_add_format(text, "; and %u more", findings->count - SHOWN);
	}
	text_add(text, SLICE(". "));
	const size_t before = text->len;
	text_add(text, SLICE("To allow it, "));
	const size_t after = text->len;
	findings_advise(findings, reader, text);
	if (text->len == after) {
		text->len = before - 1; /* there is no advice */
	} else {
		text_add(text, SLICE("."));
	}
}

/* ── Learning ────────────────────────────────────────────────────────────── */

bool findings_next_word(
        const struct findings *findings, unsigned *at, struct inspect_word *ret_word)
{
	while (*at < kept(findings)) {
		const struct finding *finding = &findings->list[(*at)++];
		if (is_opened(finding)) {
			ret_word->key = (unsigned)finding->key;
			ret_word->len = (unsigned)text_keep(
			        ret_word->word, sizeof(ret_word->word), word_of(finding));
			return true;
		}
	}
	return false;
}

bool inspect_same_word(const struct inspect_word *a, const struct inspect_word *b)
{
	const bool choice = inspect_keys[a->key].kind == KIND_CHOICE;

	return a->key == b->key && (choice || slice_equal((struct slice){a->word, a->len},
	                                              (struct slice){b->word, b->len}));
}

static bool is_open_by_default(const struct key *key)
{
	return key->kind == KIND_CHOICE &&
	       strcmp(strrchr(key->choices, ' ') + 1, key->standard) == 0;
}

static void add_first_choice(const struct key *key, struct text *text)
{
	struct slice rest = slice_of(key->choices);
	struct slice first = {"", 0};

	(void)slice_next(&rest, ' ', &first);
	text_add(text, first);
}

/* "images: [busybox, alpine]"; what is closed by default is left out. Nothing, if no word is of the
 * key. */
static void write_key(
        unsigned key, const struct inspect_word *words, unsigned count, struct text *text)
{
	const size_t before = text->len;

	text_add_format(text, "%s: [", inspect_keys[key].name);
	const size_t start = text->len;
	for (unsigned i = 0; i < count; i++) {
		if (words[i].key != key) {
			continue;
		}
		if (inspect_keys[key].kind == KIND_CHOICE) {
			text->len = start - 1;
			text_add(text, slice_of(strrchr(inspect_keys[key].choices, ' ') + 1));
			return;
		}
		add_element(text, (struct slice){words[i].word, words[i].len}, start);
	}
	if (text->len > start) {
		text_add(text, SLICE("]"));
	} else if (is_open_by_default(&inspect_keys[key])) {
		text->len = start - 1;
		add_first_choice(&inspect_keys[key], text);
	} else {
		text->len = before;
	}
}

void inspect_write_block(enum inspect_block block, const struct inspect_word *words, unsigned count,
        struct text *text)
{
	text_add(text, SLICE("{"));
	const size_t start = text->len;
	for (unsigned key = 0; key < KEY_COUNT; key++) {
		if (inspect_keys[key].block == block) {
			const size_t before = text->len;
			text_add(text, before > start ? SLICE(", ") : SLICE(""));
			const size_t behind = text->len;
			write_key(key, words, count, text);
			text->len = text->len == behind ? before : text->len;
		}
	}
	text_add(text, SLICE("}"));
}
