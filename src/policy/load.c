/* SPDX-License-Identifier: MIT */
#include "policy/load.h"

#include "engines/read.h"
#include "policy/internal.h"

#include <errno.h>

enum {
	WORDS_MAX = 256,     /* of one list */
	RULE_TEXT_MAX = 160, /* bytes of a rule in messages */
};

struct words {
	const char *words[WORDS_MAX];
	unsigned lines[WORDS_MAX];
	unsigned count;
};

struct rule_reader {
	struct words operations;
	struct words methods;
	const char *path;
	const char *versioned_path;
	char *error;
};

struct reader {
	struct policy *policy;
	char *error;
};

/* ── Lists of words ──────────────────────────────────────────────────────── */

static int add_word(
        struct words *words, const struct yaml_node *node, const char *what, char error[FAULT_MAX])
{
	if (yaml_expect(node, YAML_TEXT, what, error) < 0) {
		return -EINVAL;
	}
	if (words->count == WORDS_MAX) {
		return fault_set(error, node->place, "a list has more than %d elements", WORDS_MAX);
	}
	words->lines[words->count] = node->place.line;
	words->words[words->count++] = node->text.ptr;
	return 0;
}

/* A list; a single word is a list of one. */
static int read_words(const struct yaml_node *node, struct words *ret_words,
        const struct yaml_shape *shape, char error[FAULT_MAX])
{
	const char *what = shape->item->words;

	*ret_words = (struct words){.count = 0};
	if (node->kind == YAML_TEXT && node->text.len > 0) {
		return add_word(ret_words, node, what, error);
	}
	if (yaml_expect(node, YAML_LIST, shape->words, error) < 0) {
		return -EINVAL;
	}
	for (const struct yaml_node *word = node->first; word != NULL; word = word->next) {
		if (add_word(ret_words, word, what, error) < 0) {
			return -EINVAL;
		}
	}
	return ret_words->count > 0
	               ? 0
	               : fault_set(error, node->place, "'%s' is %s; found an empty list",
	                         node->key.ptr, shape->words);
}

/* ── A rule ──────────────────────────────────────────────────────────────── */

#define WORDS_OF(shape, text)                                                                      \
	{                                                                                          \
		.kind = YAML_SHAPE_LIST, .words = (text), .item = &(shape), .other = &(shape)      \
	}
static const struct yaml_shape operation_shape = {
        .words = "the name of an operation, such as container.list"};
static const struct yaml_shape operations_shape =
        WORDS_OF(operation_shape, "a list of operations, such as container.list");
static const struct yaml_shape method_shape = {.words = "a method, such as GET"};
static const struct yaml_shape methods_shape =
        WORDS_OF(method_shape, "a list of methods, such as GET");
static const struct yaml_shape path_shape = {
        .words = "a regular expression for the whole path, such as '/plugins/[a-z]+/json'"};
static const struct yaml_shape versioned_path_shape = {
        .words = "a regular expression for the whole path with its API version, such as "
                 "/v1\\.4[0-9]/info"};

static int read_operations(void *context, const struct yaml_node *node)
{
	struct rule_reader *reader = context;

	return read_words(node, &reader->operations, &operations_shape, reader->error);
}

static int read_methods(void *context, const struct yaml_node *node)
{
	struct rule_reader *reader = context;

	return read_words(node, &reader->methods, &methods_shape, reader->error);
}

static int read_path(void *context, const struct yaml_node *node)
{
	struct rule_reader *reader = context;

	reader->path = node->text.ptr;
	return yaml_expect(node, YAML_TEXT, path_shape.words, reader->error);
}

static int read_versioned_path(void *context, const struct yaml_node *node)
{
	struct rule_reader *reader = context;

	reader->versioned_path = node->text.ptr;
	return yaml_expect(node, YAML_TEXT, versioned_path_shape.words, reader->error);
}

static const struct yaml_key condition_keys[] = {
        {"operations", read_operations, &operations_shape},
        {"methods", read_methods, &methods_shape},
        {"path", read_path, &path_shape},
        {"versioned_path", read_versioned_path, &versioned_path_shape},
};
static const struct yaml_shape condition_shape = {
        YAML_KEYS(condition_keys),
        .words = "a rule",
        .name = "requests",
        .other = &operations_shape,
};

/* The rule in one line, without what is too long for a message. */
static void describe(bool allow, const struct policy_match *match, char ret_text[RULE_TEXT_MAX])
{
	struct text text = text_over(ret_text, RULE_TEXT_MAX - sizeof("..."));

	policy_write_rule(&text, allow, match);
	const bool cut = text.overflow;
	text.cap = RULE_TEXT_MAX;
	text_add(&text, cut ? SLICE("...") : SLICE(""));
	text_add_char(&text, '\0');
}

static int read_conditions(struct rule_reader *reader, const struct yaml_node *node)
{
	if (node->kind != YAML_MAP) {
		return read_operations(reader, node);
	}
	if (node->first == NULL) {
		return fault_set(reader->error, node->place,
		        "a rule needs operations, methods or a path; for everything write "
		        "allow: ['*']");
	}
	return yaml_read_map(node, &condition_shape, reader, reader->error);
}

static int add_rule(struct reader *reader, bool allow, const struct yaml_node *node)
{
	struct rule_reader rule = {.error = reader->error};
	char text[RULE_TEXT_MAX];

	if (read_conditions(&rule, node) < 0) {
		return -EINVAL;
	}
	const struct policy_match match = {
	        .operations = rule.operations.words,
	        .operation_lines = rule.operations.lines,
	        .operation_count = rule.operations.count,
	        .methods = rule.methods.words,
	        .method_lines = rule.methods.lines,
	        .method_count = rule.methods.count,
	        .path = rule.path,
	        .versioned_path = rule.versioned_path,
	};
	describe(allow, &match, text);
	return policy_add_rule(reader->policy, allow, &match, text, node->place, reader->error);
}

static int read_allow(void *context, const struct yaml_node *node)
{
	return add_rule(context, true, node);
}

static int read_deny(void *context, const struct yaml_node *node)
{
	return add_rule(context, false, node);
}

static const struct yaml_key rule_keys[] = {
        {"allow", read_allow, &condition_shape},
        {"deny", read_deny, &condition_shape},
};
static const struct yaml_shape rule_shape = {
        YAML_KEYS(rule_keys), .words = "a rule", .name = "rule"};
static const struct yaml_shape rules_shape = {
        .kind = YAML_SHAPE_LIST,
        .words = "a list of rules, such as - allow: [container.list]",
        .item = &rule_shape,
};

/* ── A policy ────────────────────────────────────────────────────────────── */

static const struct yaml_shape policy_name_shape = {.words = "the name of a preset or policy"};
static const struct yaml_shape extends_shape =
        WORDS_OF(policy_name_shape, "a list of presets or policies, such as read-only");
static const struct yaml_shape mode_shape = {
        .words = "enforce or observe", .choices = "enforce observe"};
static const struct yaml_shape prose_shape = {.words = "text for people"};
static const struct yaml_shape hidden_shape = {
        .words = "a word for what responses hide, such as env"};
static const struct yaml_shape redact_shape =
        WORDS_OF(hidden_shape, "a list of what responses hide, such as env");

static int read_rules(void *context, const struct yaml_node *node)
{
	struct reader *reader = context;

	if (yaml_expect(node, YAML_LIST, rules_shape.words, reader->error) < 0) {
		return -EINVAL;
	}
	for (const struct yaml_node *rule = node->first; rule != NULL; rule = rule->next) {
		if (rule->kind != YAML_MAP || rule->first == NULL || rule->first->next != NULL) {
			return fault_set(reader->error, rule->place,
			        "a rule is either 'allow: ...' or 'deny: ...': begin each rule "
			        "with a dash");
		}
		if (yaml_read_map(rule, &rule_shape, reader, reader->error) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_extends(void *context, const struct yaml_node *node)
{
	struct reader *reader = context;
	struct words names;

	if (read_words(node, &names, &extends_shape, reader->error) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < names.count; i++) {
		const struct place place = {node->place.file, names.lines[i]};
		if (policy_extend(reader->policy, slice_of(names.words[i]), place, reader->error) <
		        0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_mode(void *context, const struct yaml_node *node)
{
	struct reader *reader = context;

	if (yaml_expect(node, YAML_TEXT, mode_shape.words, reader->error) < 0) {
		return -EINVAL;
	}
	if (slice_equal(node->text, SLICE("observe"))) {
		policy_observe(reader->policy);
	} else if (!slice_equal(node->text, SLICE("enforce"))) {
		return fault_set(reader->error, node->place,
		        "'mode' is enforce or observe; found %s", yaml_found(node).text);
	}
	return 0;
}

/* Lines of text for people: the description goes into the documents only. */
static int read_prose(void *context, const struct yaml_node *node)
{
	struct reader *reader = context;

	if (node->kind != YAML_TEXT || node->text.len == 0) {
		return fault_set(reader->error, node->place, "'%s' is %s; found %s", node->key.ptr,
		        prose_shape.words, yaml_found(node).text);
	}
	return 0;
}

static int read_costs(void *context, const struct yaml_node *node)
{
	struct reader *reader = context;

	if (read_prose(reader, node) < 0) {
		return -EINVAL;
	}
	reader->policy->costs = arena_copy(&reader->policy->set->arena, node->text);
	return arena_check(&reader->policy->set->arena, reader->error);
}

static int read_block(void *context, enum inspect_block block, const struct yaml_node *node)
{
	struct reader *reader = context;
	struct policy_set *set = reader->policy->set;
	const struct constraints *constraints = NULL;
	const struct inspect_setting setting = {
	        .workspace = set->workspace,
	        .is_preset = policy_find_preset(slice_of(reader->policy->name)) != NULL,
	};

	if (node->kind == YAML_TEXT && slice_equal(node->text, SLICE("any"))) {
		policy_lift(reader->policy, block);
		return 0;
	}
	if (constraints_read(block, node, &setting, &set->arena, &constraints, reader->error) < 0) {
		return -EINVAL;
	}
	policy_constrain(reader->policy, block, constraints);
	return 0;
}

static int read_create(void *context, const struct yaml_node *node)
{
	return read_block(context, INSPECT_CREATE, node);
}

static int read_exec(void *context, const struct yaml_node *node)
{
	return read_block(context, INSPECT_EXEC, node);
}

static int read_build(void *context, const struct yaml_node *node)
{
	return read_block(context, INSPECT_BUILD, node);
}

static int read_image(void *context, const struct yaml_node *node)
{
	return read_block(context, INSPECT_IMAGE, node);
}

static int read_scope(void *context, const struct yaml_node *node)
{
	struct reader *reader = context;
	const struct scope *scope = NULL;

	if (scope_read(node, &reader->policy->set->arena, &scope, reader->error) < 0) {
		return -EINVAL;
	}
	policy_scope_to(reader->policy, scope);
	return 0;
}

static int read_engines(void *context, const struct yaml_node *node)
{
	struct reader *reader = context;
	struct policy_set *set = reader->policy->set;
	const struct engine_set *engines = NULL;

	if (engine_set_read(node, set->engines, &set->arena, &engines, reader->error) < 0) {
		return -EINVAL;
	}
	policy_limit_to(reader->policy, engines);
	return 0;
}

static int read_redact(void *context, const struct yaml_node *node)
{
	struct reader *reader = context;
	struct words kinds;

	if (read_words(node, &kinds, &redact_shape, reader->error) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < kinds.count; i++) {
		const struct place place = {node->place.file, kinds.lines[i]};
		if (policy_redact(reader->policy, slice_of(kinds.words[i]), place, reader->error) <
		        0) {
			return -EINVAL;
		}
	}
	return 0;
}

static const struct yaml_key policy_keys[] = {
        {"description", read_prose, &prose_shape},
        {"costs", read_costs, &prose_shape},
        {"extends", read_extends, &extends_shape},
        {"mode", read_mode, &mode_shape},
        {"engines", read_engines, &engine_set_shape},
        {"rules", read_rules, &rules_shape},
        {"create", read_create, &constraints_shapes[INSPECT_CREATE]},
        {"exec", read_exec, &constraints_shapes[INSPECT_EXEC]},
        {"build", read_build, &constraints_shapes[INSPECT_BUILD]},
        {"image", read_image, &constraints_shapes[INSPECT_IMAGE]},
        {"scope", read_scope, &scope_shape},
        {"redact", read_redact, &redact_shape},
};
const struct yaml_shape policy_shape = {
        YAML_KEYS(policy_keys), .words = "a policy", .name = "policy"};

static int read_policy(struct policy *policy, const struct yaml_node *body, char error[FAULT_MAX])
{
	struct reader reader = {.policy = policy, .error = error};

	return yaml_read_map(body, &policy_shape, &reader, error);
}

int policy_load(struct policy_set *set, struct slice name, const struct yaml_node *body,
        struct policy **ret_policy, char error[FAULT_MAX])
{
	if (policy_new(set, name, body->place, ret_policy, error) < 0 ||
	        read_policy(*ret_policy, body, error) < 0) {
		return -EINVAL;
	}
	(*ret_policy)->in_configuration = true;
	return 0;
}

int policy_learning(struct policy_set *set, struct policy **ret_policy, char error[FAULT_MAX])
{
	/* What is found is what a block must open; what is open by default is found too. */
	static const char text[] = "rules: [{allow: ['*']}]\n"
	                           "mode: observe\n"
	                           "create: {images: none, networks: none, bind_below: false, "
	                           "writable_binds: false}\n"
	                           "exec: {}\n"
	                           "build: {tags: none}\n"
	                           "image: {pull: none}\n";
	struct arena arena = {.chunks = NULL};
	const struct yaml_node *root = NULL;

	int code = yaml_read(slice_of(text), "learn", &arena, &root, error);
	if (code == 0) {
		code = policy_make(set, SLICE("open"), NOWHERE, ret_policy, error);
	}
	if (code == 0) {
		code = read_policy(*ret_policy, root, error);
		(*ret_policy)->learns = true;
	}
	arena_free(&arena);
	return code;
}

int policy_load_preset(struct policy_set *set, const struct policy_preset *preset,
        struct policy **ret_policy, char error[FAULT_MAX])
{
	struct arena arena = {.chunks = NULL};
	const struct yaml_node *root = NULL;

	int code = yaml_read(preset->text, preset->file, &arena, &root, error);
	if (code == 0) {
		code = policy_load(set, slice_of(preset->name), root, ret_policy, error);
	}
	if (code == 0) {
		(*ret_policy)->in_configuration = false;
	}
	arena_free(&arena);
	return code;
}
