/* SPDX-License-Identifier: MIT */
/* rewrite — labels of the scope in queries and bodies. */
#include "scope/scope.h"

const char scope_conflict[] = "is a label of the scope: leave it out";

static const struct scope_operation operations[] = {
#define OPERATION(name, kind, where, narrowed, stamped)                                            \
	{name, SCOPE_##kind, where, narrowed, stamped},
#include "scope/operations.def"
#undef OPERATION
};

const struct scope_operation *scope_operation_of(unsigned id)
{
	for (unsigned i = 0; i < ARRAY_LEN(operations); i++) {
		if (strcmp(operations[i].name, docker_operation_name(id)) == 0) {
			return &operations[i];
		}
	}
	return NULL;
}

static bool has_filter(const struct scope_operation *operation)
{
	return operation->narrowed[0] != '\0' && !scope_narrows_answer(operation);
}

/* The parameter that is written anew; empty: none. */
static const char *target_of(const struct scope_operation *operation)
{
	if (has_filter(operation)) {
		return "filters";
	}
	return operation->stamped[0] == '?' ? operation->stamped + 1 : operation->where;
}

bool scope_rewrites_query(const struct scope_operation *operation)
{
	return target_of(operation)[0] != '\0';
}

bool scope_stamps_body(const struct scope_operation *operation)
{
	return operation->stamped[0] != '\0' && operation->stamped[0] != '?' &&
	       operation->stamped[0] != '+';
}

/* ── Labels ──────────────────────────────────────────────────────────────── */

/* Whether the first `name_len` bytes of `word` name a label of the scope. */
static const struct scope_label *find_label(const struct scope *scope, struct slice name)
{
	for (unsigned i = 0; i < scope->count; i++) {
		if (slice_equal(name, slice_of(scope->labels[i].name))) {
			return &scope->labels[i];
		}
	}
	return NULL;
}

static void add_separator(struct text *text, char open)
{
	if (text->len > 0 && text->ptr[text->len - 1] != open) {
		text_add(text, SLICE(","));
	}
}

/* Whether the client's labels have this one, with the same value: then it is not added again. */
static bool has_label(const struct json_node *labels, const struct scope_label *label)
{
	for (const struct json_node *at = labels == NULL ? NULL : json_first(labels); at != NULL;
	        at = json_next(labels, at)) {
		if (slice_equal(at->name, slice_of(label->name))) {
			return true;
		}
	}
	return false;
}

bool scope_sets(const struct scope *scope, const struct json_node *label)
{
	const struct scope_label *own = find_label(scope, label->name);

	return own != NULL &&
	       (label->type != JSON_STRING || !slice_equal(label->text, slice_of(own->value)));
}

/* What of the client's is a label of the scope with another value; NULL: nothing. */
static const struct json_node *find_conflict(
        const struct scope *scope, const struct json_node *labels)
{
	for (const struct json_node *at = json_first(labels); at != NULL;
	        at = json_next(labels, at)) {
		if (scope_sets(scope, at)) {
			return at;
		}
	}
	return NULL;
}

/* "team":"ci","stage":"test": those that `labels` lacks; NULL: all. */
static struct slice add_labels(
        const struct scope *scope, const struct json_node *labels, struct text *text)
{
	const size_t start = text->len;

	for (unsigned i = 0; i < scope->count; i++) {
		if (!has_label(labels, &scope->labels[i])) {
			text_add(text, text->len > start ? SLICE(",") : SLICE(""));
			json_write_text(slice_of(scope->labels[i].name), text);
			text_add(text, SLICE(":"));
			json_write_text(slice_of(scope->labels[i].value), text);
		}
	}
	return slice_behind(text_slice(text), start);
}

/* ── Filters ─────────────────────────────────────────────────────────────── */

/* The name of the label that a filter, "team" or "team=ci", is about. */
static struct slice label_name(struct slice filter)
{
	struct slice name = filter;

	(void)slice_next(&filter, '=', &name);
	return name;
}

/*
 * Whether the scope's own filter stands for this one. The Engine joins some filters by label in
 * no certain order, so that the last one holds: with another value it is refused.
 */
static bool is_own_filter(const struct scope *scope, struct slice filter, const char **problem)
{
	const struct slice name = label_name(filter);
	const struct scope_label *label = find_label(scope, name);

	if (label == NULL) {
		return false;
	}
	const struct slice value = slice_behind(filter, name.len);
	if (value.len > 0 && !slice_equal(slice_behind(value, 1), slice_of(label->value))) {
		*problem = "has a label of the scope with another value";
	}
	return true;
}

static void add_filter(struct slice value, struct text *text)
{
	add_separator(text, '{');
	json_write_text(value, text);
	text_add(text, SLICE(":true"));
}

/* Values in either form: a list of strings, or an object with any booleans. */
static const char *add_values(
        const struct scope *scope, const struct json_node *filter, bool is_label, struct text *text)
{
	const bool list = filter->type == JSON_ARRAY;
	const char *problem = NULL;

	if (!list && filter->type != JSON_OBJECT && filter->type != JSON_NULL) {
		return "has a filter that is neither a list nor an object";
	}
	for (const struct json_node *at = json_first(filter); at != NULL;
	        at = json_next(filter, at)) {
		const bool typed = list ? at->type == JSON_STRING
		                        : at->type == JSON_TRUE || at->type == JSON_FALSE;
		if (!typed) {
			return "has a filter whose values have another type";
		}
		const struct slice value = list ? at->text : at->name;
		if (!is_label || !is_own_filter(scope, value, &problem)) {
			add_filter(value, text);
		}
	}
	return problem;
}

static void add_own_filters(const struct scope *scope, struct text *text)
{
	char memory[sizeof(SCOPE_IMAGE_PREFIX) + 2 * SCOPE_LABEL_MAX];

	for (unsigned i = 0; i < scope->count; i++) {
		struct text pair = text_over(memory, sizeof(memory));
		text_add(&pair, slice_of(scope->labels[i].name));
		text_add(&pair, SLICE("="));
		text_add(&pair, slice_of(scope->labels[i].value));
		add_filter(text_slice(&pair), text);
	}
}

/* Filters by an object that the Engine looks for, in the scope or not. */
static bool is_about_another(struct slice name)
{
	return slice_equal(name, SLICE("before")) || slice_equal(name, SLICE("since"));
}

/* The filters but those by label; `*ret_labels` are these; NULL: there are none. */
static const char *add_others(const struct scope *scope, const char *narrowed,
        const struct json_node *filters, struct text *text, const struct json_node **ret_labels)
{
	const char *problem = NULL;

	for (const struct json_node *at = json_first(filters); at != NULL && problem == NULL;
	        at = json_next(filters, at)) {
		if (slice_equal(at->name, slice_of(narrowed))) {
			*ret_labels = at;
			continue;
		}
		if (is_about_another(at->name) && at->size > 1) {
			return "has a filter by another object, which may not be in the scope";
		}
		add_separator(text, '{');
		json_write_text(at->name, text);
		text_add(text, SLICE(":{"));
		problem = add_values(scope, at, false, text);
		text_add(text, SLICE("}"));
	}
	return problem;
}

/* NULL; or what is wrong with a value that must be a JSON object, if it is not empty. */
static const char *read_object(
        struct slice value, struct scope_memory *memory, const struct json_node **ret_object)
{
	const struct json_node *root = memory->document.nodes;

	if (value.len == 0) {
		return NULL;
	}
	if (value.len > memory->strings_len) {
		return "is too long";
	}
	const enum json_error error = json_read(&memory->document, value);
	if (error != JSON_OK) {
		return json_error_text(error);
	}
	*ret_object = root->type == JSON_OBJECT ? root : NULL;
	return root->type == JSON_OBJECT || root->type == JSON_NULL ? NULL : "must be an object";
}

static const char *narrow(const struct scope *scope, const char *narrowed, struct slice value,
        struct scope_memory *memory)
{
	const struct json_node *filters = NULL;
	const struct json_node *labels = NULL;
	struct text *text = &memory->value;
	const char *problem = read_object(value, memory, &filters);

	text_add(text, SLICE("{"));
	if (problem == NULL && filters != NULL) {
		problem = add_others(scope, narrowed, filters, text, &labels);
	}
	add_separator(text, '{');
	json_write_text(slice_of(narrowed), text);
	text_add(text, SLICE(":{"));
	if (problem == NULL && labels != NULL) {
		problem = add_values(scope, labels, true, text);
	}
	add_own_filters(scope, text);
	text_add(text, SLICE("}}"));
	return problem;
}

/* ── Queries ─────────────────────────────────────────────────────────────── */

static const char *stamp_value(
        const struct scope *scope, struct slice value, struct scope_memory *memory)
{
	const struct json_node *labels = NULL;
	char texts[SCOPE_LABELS_TEXT_MAX];
	struct text own = text_over(texts, sizeof(texts));
	struct json_addition addition = {NULL, {"", 0}};
	const char *problem = read_object(value, memory, &labels);

	if (problem != NULL) {
		return problem;
	}
	addition.members = add_labels(scope, labels, &own);
	ASSERT(!own.overflow);
	if (labels == NULL) {
		text_add(&memory->value, SLICE("{"));
		text_add(&memory->value, addition.members);
		text_add(&memory->value, SLICE("}"));
		return NULL;
	}
	addition.object = labels;
	json_write_with(labels, &addition, 1, &memory->value);
	return find_conflict(scope, labels) == NULL ? NULL : scope_conflict;
}

static void add_parameter(struct text *query, struct slice name, struct slice value)
{
	text_add(query, query->len > 0 ? SLICE("&") : SLICE(""));
	text_add_encoded(query, name, "");
	text_add(query, SLICE("="));
	text_add_encoded(query, value, "");
}

/* The labels that the objects of an operation have. */
static const struct scope *labels_of(
        const struct scope *scope, const struct scope_operation *operation)
{
	return slice_starts_with(slice_of(operation->name), SLICE("image.")) ? scope->images
	                                                                     : scope;
}

static const char *transform(const struct scope *scope, const struct scope_operation *operation,
        struct slice value, struct slice id, struct scope_memory *memory)
{
	if (has_filter(operation)) {
		return narrow(scope, operation->narrowed, value, memory);
	}
	if (operation->stamped[0] == '?') {
		return stamp_value(scope, value, memory);
	}
	text_add(&memory->value, id);
	return NULL;
}

/* Within quotes of a Dockerfile. */
static void add_quoted(const char *word, struct text *text)
{
	text_add(text, SLICE("\""));
	for (const char *at = word; *at != '\0'; at++) {
		text_add(text, strchr("\"\\$", *at) != NULL ? SLICE("\\") : SLICE(""));
		text_add_char(text, *at);
	}
	text_add(text, SLICE("\""));
}

/* LABEL "image.team"="ci", behind those of the client: the last one of a name holds. */
static void stamp_commit(const struct scope *scope, const struct scope_operation *operation,
        struct scope_memory *memory)
{
	const struct scope *images = scope->images;

	for (unsigned i = 0; operation->stamped[0] == '+' && i < images->count; i++) {
		const size_t start = memory->value.len;
		text_add(&memory->value, SLICE("LABEL "));
		add_quoted(images->labels[i].name, &memory->value);
		text_add(&memory->value, SLICE("="));
		add_quoted(images->labels[i].value, &memory->value);
		add_parameter(&memory->query, slice_of(operation->stamped + 1),
		        slice_behind(text_slice(&memory->value), start));
	}
}

const char *scope_rewrite_query(const struct scope *scope, const struct scope_operation *operation,
        struct slice query, struct slice id, struct scope_memory *memory,
        struct slice *ret_parameter)
{
	const struct slice target = slice_of(target_of(operation));
	struct slice found = {"", 0};
	struct slice name;
	struct slice value;
	unsigned count = 0;

	*ret_parameter = target;
	while (docker_next_parameter(&query, &memory->spelled, &name, &value)) {
		if (!slice_equal(name, target)) {
			add_parameter(&memory->query, name, value);
			continue;
		}
		found = value;
		if (++count > 1) {
			return "the parameter is given twice";
		}
	}
	const char *problem = transform(labels_of(scope, operation), operation, found, id, memory);
	if (problem == NULL) {
		ASSERT(memory->value.ptr != NULL);
		add_parameter(&memory->query, target, text_slice(&memory->value));
		stamp_commit(scope, operation, memory);
	}
	return memory->spelled.overflow || memory->value.overflow || memory->query.overflow
	               ? "is too long"
	               : problem;
}

struct slice scope_find_reference(
        const struct scope_operation *operation, struct slice query, struct text *spelled)
{
	struct slice name;
	struct slice value;

	while (docker_next_parameter(&query, spelled, &name, &value)) {
		if (slice_equal(name, slice_of(operation->where))) {
			return value;
		}
	}
	return (struct slice){"", 0};
}

/* ── Bodies ──────────────────────────────────────────────────────────────── */

/* The object that holds what stands at the end of `*path`, of which the name is left. */
static struct json_node *find_parent(struct json_node *root, struct slice *path)
{
	struct slice name = *path;
	struct slice rest = *path;

	while (root != NULL && slice_next(&rest, '/', &name) && rest.ptr != NULL) {
		const struct json_node *member =
		        root->type == JSON_OBJECT ? json_member(root, name) : NULL;
		root = member == NULL ? NULL : root + (member - root);
	}
	*path = name;
	return root != NULL && root->type == JSON_OBJECT ? root : NULL;
}

static struct json_addition stamp(const struct scope *scope, struct json_node *parent,
        struct slice name, struct text *memory, const struct json_node **ret_conflict)
{
	const struct json_node *member = json_member(parent, name);
	const size_t start = memory->len;

	if (member == NULL) {
		json_write_text(name, memory);
		text_add(memory, SLICE(":{"));
		(void)add_labels(scope, NULL, memory);
		text_add(memory, SLICE("}"));
		return (struct json_addition){parent, slice_behind(text_slice(memory), start)};
	}
	struct json_node *labels = parent + (member - parent);
	if (labels->type == JSON_NULL) {
		labels->type = JSON_OBJECT; /* an empty one means the same */
	}
	*ret_conflict = find_conflict(scope, labels);
	return (struct json_addition){labels, add_labels(scope, labels, memory)};
}

unsigned scope_stamp_body(const struct scope *scope, const struct scope_operation *operation,
        struct json_node *root, struct text *memory,
        struct json_addition additions[SCOPE_STAMPS_MAX], struct text *pointer)
{
	struct slice paths = slice_of(operation->stamped);
	struct slice path;
	unsigned count = 0;

	while (pointer->len == 0 && slice_next(&paths, ' ', &path)) {
		struct slice name = path;
		struct json_node *parent = find_parent(root, &name);
		const struct json_node *conflict = NULL;
		if (parent == NULL) {
			continue; /* nothing of that kind is made */
		}
		additions[count++] = stamp(scope, parent, name, memory, &conflict);
		if (conflict != NULL) {
			text_add_format(
			        pointer, "/%.*s/%.*s", SLICE_FMT(path), SLICE_FMT(conflict->name));
		}
	}
	return count;
}
