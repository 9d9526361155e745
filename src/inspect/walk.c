/* SPDX-License-Identifier: MIT */
#include "inspect/walk.h"

/* ── The tables ──────────────────────────────────────────────────────────── */

#define check_FREE NULL /* any value is allowed */

static const struct row rows[] = {
#define OBJECT(name)
#define FIELD(name, shape, type, check, key, fine)                                                 \
	{SLICE_INIT(#name), shape, check_##check, fine, TYPE_##type, KEY_##key},
#include "inspect/fields.def"
#undef OBJECT
#undef FIELD
};

/* The number of the first row of each object: a line counts the rows before it. */
enum {
#define ROW_AT(line) ROW_##line
#define ROW_OF(line) ROW_AT(line)
#define OBJECT(name) BEGIN_##name, BACK_##name = BEGIN_##name - 1,
#define FIELD(...)   ROW_OF(__LINE__),
#include "inspect/fields.def"
#undef OBJECT
#undef FIELD
};

static const struct row *const begins[OBJECT_COUNT + 1] = {
#define OBJECT(name) [OBJECT_##name] = rows + BEGIN_##name,
#define FIELD(...)
#include "inspect/fields.def"
#undef OBJECT
#undef FIELD
        [OBJECT_COUNT] = rows + ARRAY_LEN(rows),
};

static bool is_object(enum type type)
{
	return (unsigned)type < OBJECT_COUNT;
}

struct inspect_operation {
	const char *name;
	enum inspect_block block;
	bool reads_query;
	struct row row;
};

enum { QUERY_ANY, QUERY_KNOWN }; /* the column `query` */

static const struct inspect_operation operations[] = {
#define OPERATION(name, block, object, check, query)                                               \
	{name, INSPECT_##block, QUERY_##query == QUERY_KNOWN,                                      \
	        {SLICE_INIT(""), "", check_##check, "", TYPE_##object, KEY_ANYTHING}},
#include "inspect/operations.def"
#undef OPERATION
};

const struct inspect_operation *inspect_operation_of(unsigned id)
{
	for (unsigned i = 0; i < ARRAY_LEN(operations); i++) {
		if (strcmp(operations[i].name, docker_operation_name(id)) == 0) {
			return &operations[i];
		}
	}
	return NULL;
}

enum inspect_block inspect_operation_block(const struct inspect_operation *operation)
{
	return operation->block;
}

bool inspect_operation_reads_body(const struct inspect_operation *operation)
{
	return operation->row.type != TYPE_UNREAD;
}

bool inspect_operation_needs_body(const struct inspect_operation *operation)
{
	return is_object(operation->row.type);
}

bool inspect_operation_reads_query(const struct inspect_operation *operation)
{
	return operation->reads_query ||
	       (operation->row.type == TYPE_UNREAD && operation->row.check != NULL);
}

/* A row of query.def. */
static const struct parameter {
	const char *operation;
	enum { PLAIN, JSON } form;
	struct row row;
} parameters[] = {
#define PARAMETER(operation, name, form, shape, type, check, key, fine)                            \
	{operation, form, {SLICE_INIT(#name), shape, check_##check, fine, TYPE_##type, KEY_##key}},
#include "inspect/query.def"
#undef PARAMETER
};

/* Names of parameters are compared as Go does: by their bytes. */
static const struct parameter *find_parameter(
        const struct inspect_operation *operation, struct slice name)
{
	for (unsigned i = 0; i < ARRAY_LEN(parameters); i++) {
		if (strcmp(parameters[i].operation, operation->name) == 0 &&
		        slice_equal(parameters[i].row.name, name)) {
			return &parameters[i];
		}
	}
	return NULL;
}

/* The row of an object's field. Clients send fields in the order of the rows. */
static const struct row *find_row(const struct frame *frame, enum object object, struct slice name)
{
	const struct row *const begin = begins[object];
	const struct row *const end = begins[object + 1];
	const struct row *row = frame->next;

	for (long left = end - begin; left > 0; left--, row++) {
		row = row == end ? begin : row;
		if (slice_equal_nocase(row->name, name)) {
			return row;
		}
	}
	return NULL;
}

/* ── Findings ────────────────────────────────────────────────────────────── */

/* A token of a JSON pointer (RFC 6901 section 3). */
static void add_token(struct text *text, struct slice name)
{
	text_add(text, SLICE("/"));
	for (size_t i = 0; i < name.len; i++) {
		const char c = name.ptr[i];
		text_add(text, c == '~'   ? SLICE("~0")
		               : c == '/' ? SLICE("~1")
		                          : (struct slice){name.ptr + i, 1});
	}
}

/* The name of the value, or its number. */
static void add_step(
        struct text *text, const struct json_node *container, const struct json_node *value)
{
	uint64_t number = 0;

	if (value->name.ptr != NULL) {
		add_token(text, value->name);
		return;
	}
	for (const struct json_node *at = json_first(container); at != value;
	        at = json_next(container, at)) {
		number++;
	}
	text_add(text, SLICE("/"));
	text_add_u64(text, number);
}

static void add_pointer(const struct walk *walk, struct text *text)
{
	const struct frame *frames = walk->frames;

	if (walk->place.ptr != NULL) {
		text_add(text, walk->place);
		return;
	}
	if (walk->parameter.ptr != NULL) {
		text_add(text, SLICE("?"));
		text_add(text, walk->parameter);
	}
	for (unsigned i = 1; i < walk->depth; i++) {
		add_step(text, frames[i - 1].node, frames[i].node);
	}
	if (walk->member.ptr != NULL) {
		add_token(text, walk->member);
	} else if (walk->depth > 0) {
		add_step(text, frames[walk->depth - 1].node, walk->at);
	}
}

void walk_find_in(struct walk *walk, const struct row *row, const char *member, struct slice word,
        const char *problem)
{
	struct findings *findings = walk->findings;

	if (findings->count++ >= INSPECT_FINDINGS_MAX) {
		return;
	}
	struct finding *finding = &findings->list[findings->count - 1];
	struct text text = text_over(finding->pointer, sizeof(finding->pointer));
	add_pointer(walk, &text);
	if (member != NULL) {
		text_add_format(&text, "/%s", member);
	}
	finding->pointer_len = (unsigned)text.len;
	finding->word_len = (unsigned)text_keep(finding->word, sizeof(finding->word), word);
	finding->problem = problem;
	finding->key = row->key == KEY_ANYTHING ? -1 : (int)row->key;
}

void walk_find(struct walk *walk, const struct row *row, struct slice word, const char *problem)
{
	walk_find_in(walk, row, NULL, word, problem);
}

bool walk_redirect(struct walk *walk, const struct json_node *value, struct slice before,
        struct slice text, struct slice behind)
{
	const size_t start = walk->redirected.len;

	text_add(&walk->redirected, before);
	text_add(&walk->redirected, text);
	text_add(&walk->redirected, behind);
	if (walk->redirected.overflow) {
		return false;
	}
	walk->nodes[value - walk->nodes].text = slice_behind(text_slice(&walk->redirected), start);
	return true;
}

bool walk_add(struct walk *walk, const struct json_node *object, struct slice members)
{
	const size_t start = walk->members.len;

	text_add(&walk->members, members);
	if (walk->members.overflow || walk->addition_count == WALK_ADDITIONS_MAX) {
		return false;
	}
	walk->nodes[object - walk->nodes].type = JSON_OBJECT;
	walk->additions[walk->addition_count++] =
	        (struct json_addition){object, slice_behind(text_slice(&walk->members), start)};
	return true;
}

/* ── References ──────────────────────────────────────────────────────────── */

enum scope_answer walk_look(
        struct walk *walk, enum scope_kind kind, struct slice reference, struct slice *ret_id)
{
	const struct scope_object object = {kind, reference};

	return walk->view == NULL || reference.len == 0 ? SCOPE_ABSENT
	                                                : scope_look(walk->view, object, ret_id);
}

void walk_refer(struct walk *walk, enum scope_kind kind, struct slice reference)
{
	struct slice id;

	(void)walk_look(walk, kind, reference, &id);
}

static const char too_many[] = "is one container too many in this body";
static const struct row keyless_row = {.key = KEY_ANYTHING};

void walk_refer_alone(struct walk *walk, const struct json_node *value)
{
	struct slice name = value->text;
	struct slice id;

	(void)slice_skip(&name, SLICE("/"));
	if (walk_look(walk, SCOPE_CONTAINER, name, &id) == SCOPE_OWN &&
	        !walk_redirect(walk, value, id, SLICE(":"), name)) {
		walk_find(walk, &keyless_row, name, too_many);
	}
}

void walk_refer_container(struct walk *walk, const struct json_node *value, struct slice reference)
{
	const struct slice text = value->text;
	const struct slice before = slice_between(text.ptr, reference.ptr);
	struct slice id;

	(void)slice_skip(&reference, SLICE("/")); /* the Engine has one in front of its names */
	if (walk_look(walk, SCOPE_CONTAINER, reference, &id) == SCOPE_OWN &&
	        !walk_redirect(walk, value, before, id,
	                slice_between(reference.ptr + reference.len, text.ptr + text.len))) {
		walk_find(walk, &keyless_row, reference, too_many);
	}
}

/* ── The walk ────────────────────────────────────────────────────────────── */

/* A text, or a list of texts. */
static bool are_texts(const struct json_node *value)
{
	if (value->type != JSON_ARRAY) {
		return value->type == JSON_STRING;
	}
	for (const struct json_node *at = json_first(value); at != NULL;
	        at = json_next(value, at)) {
		if (at->type != JSON_STRING) {
			return false;
		}
	}
	return true;
}

static bool is_boolean(const struct json_node *value)
{
	return value->type == JSON_TRUE || value->type == JSON_FALSE;
}

static bool is_integer(const struct json_node *value)
{
	int64_t number;

	return value->type == JSON_NUMBER && json_integer(value, &number);
}

static bool is_number(const struct json_node *value)
{
	return value->type == JSON_NUMBER;
}

static bool is_text(const struct json_node *value)
{
	return value->type == JSON_STRING;
}

static bool is_anything(const struct json_node *value)
{
	(void)value;
	return true;
}

static const struct {
	bool (*is)(const struct json_node *value);
	const char *problem;
} types[] = {
        [TYPE_BOOLEAN] = {is_boolean, "must be true or false"},
        [TYPE_INTEGER] = {is_integer, "must be an integer of 64 bits"},
        [TYPE_NUMBER] = {is_number, "must be a number"},
        [TYPE_TEXT] = {is_text, "must be a string"},
        [TYPE_TEXTS] = {are_texts, "must be a string or a list of strings"},
        [TYPE_VALUE] = {is_anything, NULL},
};

/* NULL: the value is of the type; otherwise what it must be. Null is the zero of any type. */
static const char *check_type(enum type type, const struct json_node *value)
{
	if (value->type == JSON_NULL) {
		return NULL;
	}
	if (is_object(type)) {
		return value->type == JSON_OBJECT ? NULL : "must be an object";
	}
	return types[type].is(value) ? NULL : types[type].problem;
}

static void begin(struct walk *walk, const struct json_node *node, const struct row *row,
        const char *shape, const struct row *next)
{
	walk->frames[walk->depth++] = (struct frame){node, row, shape, next};
}

static bool is_needed(const struct row *row)
{
	return row->check == check_NEEDED || row->check == check_USER ||
	       row->check == check_CREATION || row->check == check_TASK ||
	       row->check == check_ATTACHMENT;
}

static void check_absent(struct walk *walk, enum object object, const struct json_node *node)
{
	for (const struct row *row = begins[object]; row < begins[object + 1]; row++) {
		if (!is_needed(row)) {
			continue;
		}
		const struct json_node *member = json_member(node, row->name);
		if (member == NULL || member->type == JSON_NULL) {
			walk->member = row->name;
			row->check(walk, row, NULL);
			walk->member = (struct slice){NULL, 0};
		}
	}
}

/* Whether a value, or one in it, may mean two things. */
static bool is_ambiguous(const struct json_node *value)
{
	for (const struct json_node *at = value; at < value + value->size; at++) {
		if (at->ambiguous) {
			return true;
		}
	}
	return false;
}

/* NULL: the value is one of the type, and the Engine reads it in one way. */
static const char *find_problem(enum type type, const struct json_node *value)
{
	const bool ambiguous = is_object(type) ? value->ambiguous : is_ambiguous(value);

	return ambiguous
	               ? "has names that are equal apart from the case of letters, or outside ASCII"
	               : check_type(type, value);
}

/* 20.10 fails in the middle of a later request if a list of structs has a null. */
static bool is_null_element(const struct row *row, const struct json_node *value)
{
	return value->type == JSON_NULL && is_object(row->type) && row->shape[0] != '\0' &&
	       value->name.ptr == NULL;
}

/* A value without containers around it. Returns the node that comes next. */
static const struct json_node *visit_leaf(
        struct walk *walk, const struct row *row, const struct json_node *value)
{
	const char *problem = find_problem(row->type, value);

	if (problem != NULL) {
		walk_find(walk, row, (struct slice){"", 0}, problem);
		return value + value->size;
	}
	if (is_null_element(row, value)) {
		walk_find(walk, row, (struct slice){"", 0}, "must not be null");
		return value + 1;
	}
	if (row->check != NULL) {
		row->check(walk, row, value);
	}
	if (!is_object(row->type) || value->type == JSON_NULL) {
		return value + value->size;
	}
	const enum object object = (enum object)row->type;
	begin(walk, value, row, "", begins[object]);
	check_absent(walk, object, value);
	return value + 1;
}

/* The value of a field, or what is in the containers of its shape. */
static const struct json_node *visit(
        struct walk *walk, const struct row *row, const char *shape, const struct json_node *value)
{
	walk->at = value;
	if (*shape == '\0') {
		return visit_leaf(walk, row, value);
	}
	if (value->type == JSON_NULL) {
		return value + 1;
	}
	if (value->type != (*shape == '[' ? JSON_ARRAY : JSON_OBJECT)) {
		walk_find(walk, row, (struct slice){"", 0},
		        *shape == '[' ? "must be a list" : "must be an object");
		return value + value->size;
	}
	begin(walk, value, row, shape + 1, NULL);
	return value + 1;
}

static const unsigned unknown_keys[INSPECT_BLOCK_COUNT] = {
        [INSPECT_CREATE] = KEY_CREATE_unknown,
        [INSPECT_EXEC] = KEY_EXEC_unknown,
        [INSPECT_BUILD] = KEY_BUILD_unknown,
        [INSPECT_IMAGE] = KEY_IMAGE_unknown,
};

/* Engines up to version 26 take the fields of HostConfig beside it too. */
static bool is_misplaced(const struct frame *frame, const struct json_node *value)
{
	const struct frame host = {.next = begins[OBJECT_HOST]};

	return frame->row->type == TYPE_CONTAINER &&
	       find_row(&host, OBJECT_HOST, value->name) != NULL;
}

/* A field that no row knows. What is null does not count for the Engine either. */
static const struct json_node *visit_unknown(
        struct walk *walk, const struct frame *frame, const struct json_node *value)
{
	static const struct row keyless = {.key = KEY_ANYTHING};
	const struct row row = {.key = unknown_keys[walk->constraints->block]};

	walk->at = value;
	if (is_ambiguous(value)) {
		walk_find(walk, &keyless, (struct slice){"", 0},
		        "has names that are equal apart from the case of letters, or outside "
		        "ASCII");
	} else if (value->type != JSON_NULL && is_misplaced(frame, value)) {
		walk_find(walk, &keyless, (struct slice){"", 0}, "belongs into HostConfig");
	} else if (value->type != JSON_NULL && !walk->constraints->sets[row.key].any) {
		walk_find(
		        walk, &row, (struct slice){"", 0}, "this version does not know the field");
	}
	return value + value->size;
}

static const struct json_node *visit_field(
        struct walk *walk, struct frame *frame, const struct json_node *value)
{
	const struct row *row = find_row(frame, (enum object)frame->row->type, value->name);

	if (row == NULL) {
		return visit_unknown(walk, frame, value);
	}
	frame->next = row + 1;
	return value->type == JSON_NULL ? value + 1 : visit(walk, row, row->shape, value);
}

static void walk_all(struct walk *walk, const struct row *row, const struct json_node *root)
{
	const struct json_node *at = visit(walk, row, row->shape, root);

	while (walk->depth > 0 && walk->findings->count <= INSPECT_FINDINGS_MAX) {
		struct frame *frame = &walk->frames[walk->depth - 1];
		if (at == frame->node + frame->node->size) {
			walk->depth--;
		} else if (frame->next != NULL) {
			at = visit_field(walk, frame, at);
		} else {
			at = visit(walk, frame->row, frame->shape, at);
		}
	}
}

/* ── Judging ─────────────────────────────────────────────────────────────── */

bool inspect_request(const struct inspect_operation *operation,
        const struct docker_request *request, struct findings *findings)
{
	const struct docker_version version = request->version;

	if (operation->row.type == TYPE_NOTHING) {
		findings_add(findings, SLICE("body"),
		        "this version cannot look into the bodies of this operation");
	} else if (request->served_id != request->id) {
		findings_add(findings, SLICE("path"),
		        "no body is looked into where a name has a slash; give the id in its "
		        "place");
	} else if (version.major > 0 && version.major * 100 + version.minor < INSPECT_SINCE) {
		findings_add(findings, SLICE("version"),
		        "fields have other meanings in API versions before 1.24");
	}
	return findings->count == 0;
}

/* A parameter whose value is a document. */
static void walk_document(
        struct walk *walk, const struct row *row, struct slice value, struct inspect_memory *memory)
{
	struct json_document document = inspect_document(memory);
	const enum json_error error = json_read(&document, value);

	if (error != JSON_OK) {
		walk_find(walk, row, (struct slice){"", 0}, json_error_text(error));
	} else if (document.nodes->type != JSON_NULL) {
		walk_all(walk, row, document.nodes);
	}
}

static void walk_parameter(struct walk *walk, const struct inspect_operation *operation,
        struct slice value, struct inspect_memory *memory)
{
	const struct parameter *parameter = find_parameter(operation, walk->parameter);
	const struct row unknown = {.key = unknown_keys[walk->constraints->block]};
	const struct json_node text = {
	        .type = JSON_STRING, .size = 1, .name = walk->parameter, .text = value};

	if (parameter == NULL) {
		if (!walk->constraints->sets[unknown.key].any) {
			walk_find(walk, &unknown, (struct slice){"", 0},
			        "this version does not know the parameter");
		}
	} else if (parameter->form == PLAIN) {
		walk_all(walk, &parameter->row, &text);
	} else if (value.len > 0) {
		walk_document(walk, &parameter->row, value, memory);
	}
}

void inspect_query(const struct inspect_operation *operation, const struct docker_request *request,
        struct slice query, struct inspect_memory *memory, struct findings *findings)
{
	struct slice rest = query.ptr == NULL ? (struct slice){"", 0} : query;
	struct walk walk = {
	        .constraints = findings->constraints,
	        .request = request,
	        .query = rest,
	        .view = findings->view,
	        .engine = findings->engine,
	        .findings = findings,
	        .spelled = text_over(memory->written, sizeof(memory->written)),
	};
	struct slice value;

	while (operation->reads_query &&
	        docker_next_parameter(&rest, &walk.spelled, &walk.parameter, &value)) {
		walk_parameter(&walk, operation, value, memory);
	}
	walk.parameter = (struct slice){NULL, 0};
	if (!inspect_operation_reads_body(operation) && operation->row.check != NULL) {
		operation->row.check(&walk, &operation->row, NULL);
	}
	if (walk.spelled.overflow) { /* something was not looked at */
		findings_add(findings, SLICE("query"), "is too long to be looked into");
	}
}

/* The labels of the scope go into the document. */
static void stamp(struct walk *walk, struct json_node *root)
{
	const struct scope_view *view = walk->view;
	char place[INSPECT_POINTER_MAX];
	struct text pointer = text_over(place, sizeof(place));

	if (view == NULL || view->observes || !scope_stamps_body(view->operation)) {
		return;
	}
	ASSERT(walk->addition_count + SCOPE_STAMPS_MAX <= WALK_ADDITIONS_MAX);
	walk->addition_count += scope_stamp_body(view->scope, view->operation, root, &walk->members,
	        walk->additions + walk->addition_count, &pointer);
	if (pointer.len > 0) {
		findings_blame_scope(walk->findings);
		findings_add(walk->findings, text_slice(&pointer), scope_conflict);
	}
}

struct slice inspect_keep_body(struct slice body, struct inspect_memory *memory)
{
	struct text text = text_over(memory->written, sizeof(memory->written));

	text_add(&text, body);
	return text_slice(&text);
}

struct slice inspect_body(const struct inspect_operation *operation,
        const struct docker_request *request, struct slice body, struct inspect_memory *memory,
        struct findings *findings)
{
	struct json_document document = inspect_document(memory);
	struct text text = text_over(memory->written, sizeof(memory->written));
	struct walk walk = {
	        .constraints = findings->constraints,
	        .request = request,
	        .update = operation->row.check == check_LIMITS,
	        .view = findings->view,
	        .engine = findings->engine,
	        .findings = findings,
	        .nodes = memory->nodes,
	        .members = text_over(memory->members, sizeof(memory->members)),
	        .redirected = text_over(memory->redirected, sizeof(memory->redirected)),
	};
	const enum json_error error = json_read(&document, body);

	if (error != JSON_OK) {
		findings_add(findings, SLICE("body"), json_error_text(error));
		return inspect_keep_body(body, memory);
	}
	if (document.nodes->type != JSON_OBJECT && is_object(operation->row.type)) {
		findings_add(findings, SLICE("body"), "must be an object");
	} else {
		walk_all(&walk, &operation->row, document.nodes);
	}
	if (document.nodes->type == JSON_OBJECT) {
		stamp(&walk, document.nodes);
	}
	json_write_with(document.nodes, walk.additions, walk.addition_count, &text);
	ASSERT(!text.overflow && !walk.members.overflow);
	return text_slice(&text);
}
