/* SPDX-License-Identifier: MIT */
/* write — a rule as it stands in a file. */
#include "policy/policy.h"

#include "yaml/write.h"

/* A condition of a map, behind a comma where one is before it. */
static void add_key(struct text *text, const char *key)
{
	const bool first = text->len > 0 && text->ptr[text->len - 1] == '{';

	text_add_format(text, "%s%s: ", first ? "" : ", ", key);
}

static void add_words(struct text *text, const char *key, const char *const *words, unsigned count)
{
	if (count > 0) {
		add_key(text, key);
		yaml_add_list(text, words, count);
	}
}

static void add_path(struct text *text, const char *key, const char *path)
{
	if (path != NULL) {
		add_key(text, key);
		yaml_add_word(text, slice_of(path));
	}
}

void policy_write_rule(struct text *text, bool allow, const struct policy_match *match)
{
	text_add_format(text, "%s: ", allow ? "allow" : "deny");
	if (match->method_count == 0 && match->path == NULL && match->versioned_path == NULL) {
		yaml_add_list(text, match->operations, match->operation_count);
		return;
	}
	text_add_char(text, '{');
	add_words(text, "operations", match->operations, match->operation_count);
	add_words(text, "methods", match->methods, match->method_count);
	add_path(text, "path", match->path);
	add_path(text, "versioned_path", match->versioned_path);
	text_add_char(text, '}');
}
