/* SPDX-License-Identifier: MIT */
/* objects — what the Engine says of the objects that a request names. */
#include "scope/scope.h"

#include "base/ascii.h"

enum method { GET, POST };

static const struct kind {
	const char *name;
	const char *before, *behind;
	const char *id;
	const char *labels;
	const char *other;
	const char *missing, *missing_behind;
	enum method method;
	enum scope_kind owner;
} kinds[] = {
#define KIND(kind, name_, method_, before_, behind_, id_, labels_, owner_, other_, missing_,       \
        missing_behind_)                                                                           \
	[SCOPE_##kind] = {.name = name_,                                                           \
	        .method = method_,                                                                 \
	        .before = before_,                                                                 \
	        .behind = behind_,                                                                 \
	        .id = id_,                                                                         \
	        .labels = labels_,                                                                 \
	        .owner = SCOPE_##owner_,                                                           \
	        .other = other_,                                                                   \
	        .missing = missing_,                                                               \
	        .missing_behind = missing_behind_},
#include "scope/kinds.def"
#undef KIND
};

const char *scope_kind_name(enum scope_kind kind)
{
	return kinds[kind].name;
}

/* ── What is known ───────────────────────────────────────────────────────── */

/* Whether a path can hold the reference, so that the Engine looks for that object and no other. */
static bool can_be_asked(struct scope_object object)
{
	const struct slice reference = object.reference;
	bool dots = true;

	for (size_t i = 0; i < reference.len; i++) {
		const char c = reference.ptr[i];
		if ((unsigned char)c < 0x20 || c == 0x7f ||
		        (c == '/' && object.kind != SCOPE_IMAGE)) {
			return false;
		}
		dots = dots && c == '.';
	}
	return !dots && reference.len <= SCOPE_REFERENCE_MAX;
}

static const struct scope_known *find_known(
        const struct scope_answers *answers, struct scope_object object)
{
	for (unsigned i = 0; answers != NULL && i < answers->count; i++) {
		const struct scope_known *known = &answers->list[i];
		if (known->kind == object.kind &&
		        slice_equal((struct slice){known->reference, known->reference_len},
		                object.reference)) {
			return known;
		}
	}
	return NULL;
}

/* The owner's answer is that of an object; owners have no owners. */
static enum scope_answer find_answer(
        struct scope_view *view, struct scope_object object, struct slice *ret_id)
{
	const struct scope_known *known = find_known(view->answers, object);

	if (view->observes && kinds[object.kind].method == POST) {
		return SCOPE_OWN;
	}
	if (known != NULL) {
		*ret_id = (struct slice){known->id, known->id_len};
	}
	if (known != NULL && known->owner != SCOPE_NOTHING) {
		object = (struct scope_object){known->owner, {known->other, known->other_len}};
		known = find_known(view->answers, object);
	}
	if (known == NULL && view->wanted.kind == SCOPE_NOTHING) {
		view->wanted = object;
	}
	return known == NULL ? SCOPE_UNKNOWN : known->answer;
}

enum scope_answer scope_look_for_name(struct scope_view *view, struct scope_object object)
{
	struct slice id;

	return can_be_asked(object) ? find_answer(view, object, &id) : SCOPE_ABSENT;
}

enum scope_answer scope_look(
        struct scope_view *view, struct scope_object object, struct slice *ret_id)
{
	const enum scope_answer answer =
	        can_be_asked(object) ? find_answer(view, object, ret_id) : SCOPE_ABSENT;
	const bool missing = answer == SCOPE_ABSENT || answer == SCOPE_FOREIGN;

	if (missing && view->absent.kind == SCOPE_NOTHING) {
		view->absent = object;
		view->foreign = answer == SCOPE_FOREIGN;
	}
	return answer;
}

enum scope_answer scope_look_for_network(struct scope_view *view, struct slice reference,
        struct slice *ret_id, struct slice *ret_name)
{
	const struct scope_object object = {SCOPE_NETWORK, reference};
	const enum scope_answer answer = scope_look(view, object, ret_id);
	const struct scope_known *known = find_known(view->answers, object);

	if (answer == SCOPE_OWN && known != NULL) {
		*ret_name = (struct slice){known->other, known->other_len};
	}
	return answer;
}

void scope_add_missing(struct scope_object object, struct text *text)
{
	const struct text_shown shown = text_show(object.reference);

	text_add(text, slice_of(kinds[object.kind].missing));
	text_add(text, slice_of(shown.text));
	text_add(text, slice_of(kinds[object.kind].missing_behind));
}

/* ── The request ─────────────────────────────────────────────────────────── */

/* What stands in a path as it is (RFC 3986 section 3.3). */
#define PATH_BYTES "/:@"

static void write_creation(const struct scope *scope, struct scope_object object,
        struct slice fields, struct text *text)
{
	char memory[SCOPE_REQUEST_MAX];
	struct text body = text_over(memory, sizeof(memory));

	text_add(&body, SLICE("{\"Name\":"));
	json_write_text(object.reference, &body);
	text_add(&body, SLICE(",\"Labels\":{"));
	for (unsigned i = 0; i < scope->count; i++) {
		text_add(&body, i == 0 ? SLICE("") : SLICE(","));
		json_write_text(slice_of(scope->labels[i].name), &body);
		text_add(&body, SLICE(":"));
		json_write_text(slice_of(scope->labels[i].value), &body);
	}
	text_add(&body, SLICE("}}"));
	text->overflow = text->overflow || body.overflow;
	text_add_format(text,
	        "POST %s HTTP/1.1\r\nHost: localhost\r\n%.*sContent-Type: application/json\r\n"
	        "Content-Length: %zu\r\n\r\n",
	        kinds[object.kind].before, SLICE_FMT(fields), body.len);
	text_add(text, (struct slice){memory, body.len});
}

static void write_inspection(struct scope_object object, struct slice fields, struct text *text)
{
	text_add(text, SLICE("GET "));
	text_add(text, slice_of(kinds[object.kind].before));
	text_add_encoded(text, object.reference, PATH_BYTES);
	text_add(text, slice_of(kinds[object.kind].behind));
	text_add(text, SLICE(" HTTP/1.1\r\nHost: localhost\r\n"));
	text_add(text, fields);
	text_add(text, SLICE("\r\n"));
}

bool scope_write_request(const struct scope *scope, struct scope_object object, struct slice fields,
        struct scope_answers *answers, struct text *text)
{
	if (answers->count == SCOPE_ANSWERS_MAX) {
		return false;
	}
	if (kinds[object.kind].method == POST) {
		write_creation(scope, object, fields, text);
	} else {
		write_inspection(object, fields, text);
	}
	struct scope_known *known = &answers->list[answers->count++];
	known->kind = object.kind;
	known->answer = SCOPE_UNKNOWN;
	known->owner = SCOPE_NOTHING;
	known->reference_len =
	        (unsigned)text_keep(known->reference, sizeof(known->reference), object.reference);
	known->id_len = known->other_len = 0;
	return !text->overflow;
}

void scope_withdraw_request(struct scope_answers *answers)
{
	ASSERT(answers->count > 0 && answers->list[answers->count - 1].answer == SCOPE_UNKNOWN);
	answers->count--;
}

/* ── The response ────────────────────────────────────────────────────────── */

/* Ids stand in paths: letters, digits and a few signs. */
static bool is_id(struct slice id)
{
	for (size_t i = 0; i < id.len; i++) {
		const char c = id.ptr[i];
		if (!ascii_is_alnum(c) && c != '-' && c != '_' && c != '.' && c != ':') {
			return false;
		}
	}
	return id.len > 0 && id.len <= SCOPE_ID_MAX && id.ptr[0] != '.';
}

static bool keep_id(const struct json_node *root, const char *path, char *memory, unsigned *ret_len)
{
	const struct json_node *id = json_find(root, path);

	if (id == NULL || id->type != JSON_STRING || !is_id(id->text)) {
		return false;
	}
	*ret_len = (unsigned)text_keep(memory, SCOPE_ID_MAX, id->text);
	return true;
}

static bool has_label(const struct json_node *labels, const struct scope_label *label)
{
	for (const struct json_node *at = json_first(labels); at != NULL;
	        at = json_next(labels, at)) {
		if (at->type == JSON_STRING && slice_equal(at->name, slice_of(label->name))) {
			return slice_equal(at->text, slice_of(label->value));
		}
	}
	return false;
}

bool scope_has_labels(const struct scope *scope, const struct json_node *labels)
{
	if (scope == NULL) {
		return true;
	}
	if (labels == NULL || labels->type != JSON_OBJECT) {
		return false;
	}
	for (unsigned i = 0; i < scope->count; i++) {
		if (!has_label(labels, &scope->labels[i])) {
			return false;
		}
	}
	return true;
}

static bool read_object(
        const struct scope *scope, const struct json_node *root, struct scope_known *known)
{
	const struct kind *kind = &kinds[known->kind];

	if (root->type != JSON_OBJECT || !keep_id(root, kind->id, known->id, &known->id_len)) {
		return false;
	}
	/* A task that runs for no service has no owner, and is nobody's. */
	if (keep_id(root, kind->other, known->other, &known->other_len)) {
		known->owner = kind->owner;
	}
	const bool image = scope != NULL && known->kind == SCOPE_IMAGE;
	const struct scope *wanted = image ? scope->images : scope;
	known->answer =
	        scope_has_labels(wanted, json_find(root, kind->labels)) ? SCOPE_OWN : SCOPE_FOREIGN;
	return true;
}

/* Without a swarm the Engine says 503 of all its objects. */
static bool is_of_swarm(enum scope_kind kind)
{
	return kind >= SCOPE_SERVICE;
}

bool scope_read_response(const struct scope *scope, unsigned status, struct slice body,
        struct json_document *document, struct scope_answers *answers)
{
	struct scope_known *known = &answers->list[answers->count - 1];

	/* 400: the reference is ambiguous, or is no name at all. */
	if (status == 404 || status == 400 || (status == 503 && is_of_swarm(known->kind))) {
		known->answer = SCOPE_ABSENT;
		return true;
	}
	return (status == 200 || status == 201) && json_read(document, body) == JSON_OK &&
	       read_object(scope, document->nodes, known);
}
