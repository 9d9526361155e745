/* SPDX-License-Identifier: MIT */
#include "convert/draft.h"

#include "gate/gate.h"

#include "address/address.h"

#include <errno.h>
#include <stdarg.h>

enum {
	PART_MAX = 256 * 1024, /* bytes of each part of the result */
	LINE_MAX = 96,         /* columns of a comment */
	SENTENCE_MAX = 4096,   /* bytes of one comment */
};

void draft_new(struct draft *ret_draft, char error[FAULT_MAX])
{
	struct arena *arena = &ret_draft->arena;

	*ret_draft = (struct draft){.set = policy_set_new()};
	ret_draft->error = error;
	ret_draft->head = text_over(arena_take(arena, PART_MAX), PART_MAX);
	ret_draft->listeners = text_over(arena_take(arena, PART_MAX), PART_MAX);
	ret_draft->upstream = text_over(arena_take(arena, PART_MAX), PART_MAX);
	ret_draft->policies = text_over(arena_take(arena, PART_MAX), PART_MAX);
	ret_draft->warnings = text_over(arena_take(arena, PART_MAX), PART_MAX);
}

void draft_free(struct draft *draft)
{
	policy_set_free(draft->set);
	arena_free(&draft->arena);
}

/* ── Comments ────────────────────────────────────────────────────────────── */

/* Where a line that begins at `s` is cut: at its last space in time, or at the first after it. */
static size_t line_len(struct slice s, size_t columns)
{
	size_t cut = s.len;

	for (size_t i = 0; i < s.len && (i <= columns || cut == s.len); i++) {
		if (s.ptr[i] == ' ' && s.len > columns) {
			cut = i;
		}
	}
	return s.len <= columns ? s.len : cut;
}

/* Lines of "# …"; what somebody typed cannot end one. */
static void add_comment(struct text *text, const char *indent, struct slice sentence)
{
	const size_t columns = LINE_MAX - strlen(indent) - 2;

	while (sentence.len > 0) {
		const size_t len = line_len(sentence, columns);
		text_add_format(text, "%s# %.*s\n", indent, (int)len, sentence.ptr);
		const size_t used = len < sentence.len ? len + 1 : len;
		sentence = slice_behind(sentence, used);
	}
}

/* What somebody typed cannot write to a terminal. */
static void make_printable(char *sentence)
{
	for (char *c = sentence; *c != '\0'; c++) {
		*c = *c < 0x20 || *c >= 0x7f ? '?' : *c;
	}
}

void draft_say(struct draft *draft, enum draft_comment comment, const char *format, ...)
{
	static const struct {
		const char *start;
		bool at_rule;
		bool warns;
	} kinds[] = {
	        [DRAFT_NOTE] = {"", false, false},
	        [DRAFT_CAUTION] = {"", false, true},
	        [DRAFT_LOST] = {"NOT CONVERTED: ", false, true},
	        [DRAFT_REMARK] = {"", true, false},
	        [DRAFT_DOUBT] = {"", true, true},
	};
	const bool at_rule = kinds[comment].at_rule;
	char sentence[SENTENCE_MAX];
	va_list arguments;

	const int len = snprintf(sentence, sizeof(sentence), "%s", kinds[comment].start);
	va_start(arguments, format);
	(void)vsnprintf(sentence + len, sizeof(sentence) - (size_t)len, format, arguments);
	va_end(arguments);
	make_printable(sentence);
	add_comment(at_rule ? &draft->policies : &draft->head, at_rule ? "      " : "",
	        slice_of(sentence));
	if (kinds[comment].warns) {
		text_add_format(&draft->warnings, "%s\n", sentence);
	}
}

/* ── YAML ────────────────────────────────────────────────────────────────── */

/* In single quotes, where nothing but the quote itself is special. */
static void add_quoted(struct text *text, struct slice s)
{
	text_add_char(text, '\'');
	for (size_t i = 0; i < s.len; i++) {
		text_add(text, s.ptr[i] == '\'' ? SLICE("''") : (struct slice){s.ptr + i, 1});
	}
	text_add_char(text, '\'');
}

static void add_list(struct text *text, const char *const *words, unsigned count)
{
	text_add_char(text, '[');
	for (unsigned i = 0; i < count; i++) {
		text_add_format(text, "%s", i > 0 ? ", " : "");
		if (words[i][0] == '*') {
			add_quoted(text, slice_of(words[i])); /* an alias otherwise */
		} else {
			text_add(text, slice_of(words[i]));
		}
	}
	text_add_char(text, ']');
}

/* Bytes that YAML, a terminal or PCRE2 could see differently than the peer did. */
static bool is_plain(const char *path)
{
	while (*path >= 0x20 && *path < 0x7f) {
		path++;
	}
	return *path == '\0';
}

int draft_listener(struct draft *draft, const struct draft_listener *listener)
{
	struct text *text = &draft->listeners;
	union address parsed;
	const char *problem = address_parse(slice_of(listener->address), &parsed);

	if (problem == NULL && !is_plain(listener->address)) {
		problem = "it has bytes that are not printable ASCII";
	}
	if (problem != NULL) {
		return fault_set(draft->error, listener->place,
		        "'%s' is no address to listen on here: %s",
		        text_show(slice_of(listener->address)).text, problem);
	}
	text_add_format(text, "  - address: ");
	add_quoted(text, slice_of(listener->address));
	if (listener->mode != 0) {
		text_add_format(text, "\n    mode: \"%04o\"", listener->mode);
	}
	text_add_format(text, "\n    policy: %s\n", listener->policy);
	return 0;
}

int draft_upstream(struct draft *draft, const char *path, struct place place)
{
	const size_t size = sizeof("unix://") + strlen(path);
	char *address = arena_take(&draft->arena, size);
	const char *problem = address_path_problem(slice_of(path));

	if (problem == NULL && !is_plain(path)) {
		problem = "it has bytes that are not printable ASCII";
	}
	if (problem != NULL) {
		return fault_set(draft->error, place,
		        "'%s' is no path of the Engine's socket here: %s",
		        text_show(slice_of(path)).text, problem);
	}
	(void)snprintf(address, size, "unix://%s", path);
	text_add_format(&draft->upstream, "\nupstream:\n  address: ");
	add_quoted(&draft->upstream, slice_of(address));
	text_add_char(&draft->upstream, '\n');
	return 0;
}

int draft_policy(struct draft *draft, const char *name)
{
	text_add_format(&draft->policies, "  %s:\n    rules:\n", name);
	draft->rule_count = 0;
	return policy_new(draft->set, slice_of(name), NOWHERE, &draft->policy, draft->error);
}

static void add_rule(struct text *text, const struct draft_rule *rule)
{
	text_add_format(text, "      - %s: ", rule->allow ? "allow" : "deny");
	if (rule->path == NULL) {
		add_list(text, rule->operations, rule->operation_count);
	} else {
		text_add_char(text, '{');
		if (rule->method_count > 0) {
			text_add_format(text, "methods: ");
			add_list(text, rule->methods, rule->method_count);
			text_add_format(text, ", ");
		}
		text_add_format(text, "path: ");
		add_quoted(text, slice_of(rule->path));
		text_add_char(text, '}');
	}
	text_add_char(text, '\n');
}

int draft_rule(struct draft *draft, const struct draft_rule *rule)
{
	const struct policy_match match = {
	        .operations = rule->operations,
	        .operation_count = rule->operation_count,
	        .methods = rule->methods,
	        .method_count = rule->method_count,
	        .path = rule->path,
	};

	if (rule->path != NULL && !is_plain(rule->path)) {
		return fault_set(draft->error, rule->place,
		        "the pattern has bytes that are not printable ASCII, which no path of the "
		        "Engine has");
	}
	if (policy_add_rule(draft->policy, rule->allow, &match, "converted", rule->place,
	            draft->error) < 0) {
		return -EINVAL;
	}
	draft->rule_count++;
	add_rule(&draft->policies, rule);
	return 0;
}

int draft_compile(struct draft *draft)
{
	static const char *const everything[] = {"*"};

	/* It changes no verdict; a list of rules cannot be empty. */
	const struct draft_rule only = {.operations = everything, .operation_count = 1};
	if (draft->rule_count == 0 && draft_rule(draft, &only) < 0) {
		return -EINVAL;
	}
	return policy_compile(draft->policy, draft->error);
}

bool draft_allows(struct draft *draft, const char *method, const char *path)
{
	enum { QUESTION_MAX = 1024 };
	const struct gate_config config = {.policy = draft->policy, .max_head = QUESTION_MAX};
	const union address nobody = {.any = {.sa_family = AF_UNSPEC}};
	const struct caller caller = caller_from(0, &nobody);
	char memory[QUESTION_MAX];
	struct text head = text_over(memory, sizeof(memory));
	struct http_scan scan = {0};
	struct gate_scratch *scratch = arena_take(&draft->arena, sizeof(*scratch));

	gate_add_head(slice_of(method), slice_of(path), false, &head);
	const struct gate_question question = {
	        .caller = &caller, .bytes = text_slice(&head), .scan = &scan};
	scratch->judging = policy_scratch_new();
	const bool allowed = gate_decide(&config, &question, scratch).action == GATE_FORWARD;
	policy_scratch_free(scratch->judging);
	return allowed;
}

bool draft_is_full(struct draft *draft)
{
	const bool full = draft->head.overflow || draft->listeners.overflow ||
	                  draft->upstream.overflow || draft->policies.overflow ||
	                  draft->warnings.overflow;

	if (full) {
		(void)fault_set(draft->error, NOWHERE, "the result would be longer than %d bytes",
		        PART_MAX);
	}
	return full;
}

int draft_print(struct draft *draft, FILE *output)
{
	if (draft_is_full(draft)) {
		return -EINVAL;
	}
	(void)fprintf(output, "%.*s", SLICE_FMT(text_slice(&draft->head)));
	(void)fprintf(output, "listeners:\n%.*s", SLICE_FMT(text_slice(&draft->listeners)));
	(void)fprintf(output, "%.*s", SLICE_FMT(text_slice(&draft->upstream)));
	(void)fprintf(output, "\npolicies:\n%.*s", SLICE_FMT(text_slice(&draft->policies)));
	return 0;
}
