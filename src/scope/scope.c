/* SPDX-License-Identifier: MIT */
/* scope — the labels of a policy. */
#include "scope/scope.h"

#include <errno.h>

struct scope_reader {
	struct scope *scope;
	struct arena *arena;
	char *error;
};

/* Attributes of events beside the labels of their objects: a filter cannot tell them apart. */
static bool is_attribute(struct slice name)
{
	static const char *const attributes[] = {"name", "image", "container", "exitCode", "execID",
	        "execDuration", "signal", "type", "driver", "destination", "propagation",
	        "read/write"};

	for (unsigned i = 0; i < ARRAY_LEN(attributes); i++) {
		if (slice_equal(name, slice_of(attributes[i]))) {
			return true;
		}
	}
	return false;
}

static bool is_printable(struct slice word)
{
	for (size_t i = 0; i < word.len; i++) {
		if (word.ptr[i] <= ' ' || word.ptr[i] > '~') {
			return false;
		}
	}
	return word.len > 0 && word.len <= SCOPE_LABEL_MAX;
}

static int check_label(struct scope_reader *reader, const struct yaml_node *label)
{
	const struct text_shown shown = text_show(label->key);

	if (yaml_expect(label, YAML_TEXT, "the value of a label", reader->error) < 0) {
		return -EINVAL;
	}
	if (!is_printable(label->key) || !is_printable(label->text) ||
	        memchr(label->key.ptr, '=', label->key.len) != NULL) {
		return fault_set(reader->error, label->place,
		        "label '%s' of a scope: give 1 to %d visible ASCII characters for its "
		        "name, "
		        "without '=', and for its value",
		        shown.text, SCOPE_LABEL_MAX);
	}
	return is_attribute(label->key)
	               ? fault_set(reader->error, label->place,
	                         "label '%s' of a scope: events have an attribute of that name; "
	                         "choose another one",
	                         shown.text)
	               : 0;
}

/* The two must outlive the scope. */
static int add_label(
        struct scope_reader *reader, const char *name, const char *value, struct place place)
{
	struct scope *scope = reader->scope;

	if (scope->count == SCOPE_LABELS_MAX) {
		return fault_set(
		        reader->error, place, "a scope has more than %d labels", SCOPE_LABELS_MAX);
	}
	scope->labels[scope->count++] = (struct scope_label){name, value};
	return 0;
}

static const struct yaml_shape label_shape = {.words = "the value of the label"};
static const struct yaml_shape labels_shape = {
        .kind = YAML_SHAPE_NAMES,
        .words = "a map of labels, such as {team: ci}",
        .item = &label_shape,
};

static int read_labels(void *context, const struct yaml_node *node)
{
	struct scope_reader *reader = context;

	if (yaml_expect(node, YAML_MAP, labels_shape.words, reader->error) < 0) {
		return -EINVAL;
	}
	for (const struct yaml_node *label = node->first; label != NULL; label = label->next) {
		const char *name = arena_copy(reader->arena, label->key);
		const char *value = arena_copy(reader->arena, label->text);
		if (check_label(reader, label) < 0 ||
		        add_label(reader, name, value, label->place) < 0) {
			return -EINVAL;
		}
	}
	return arena_check(reader->arena, reader->error);
}

static int read_owner(void *context, const struct yaml_node *node)
{
	struct scope_reader *reader = context;

	if (node->kind != YAML_TEXT || !slice_equal(node->text, SLICE("true"))) {
		return fault_set(reader->error, node->place,
		        "'owner' is true, or is left out; found %s", yaml_found(node).text);
	}
	reader->scope->owned = true;
	return add_label(reader, SCOPE_OWNER, NULL, node->place);
}

static const struct yaml_shape owner_shape = {
        .words = "the client's own objects", .choices = "true"};

static const struct yaml_key keys[] = {
        {"labels", read_labels, &labels_shape},
        {"owner", read_owner, &owner_shape},
};
const struct yaml_shape scope_shape = {YAML_KEYS(keys), .words = "a scope", .name = "scope"};

int scope_read(const struct yaml_node *map, struct arena *arena, const struct scope **ret_scope,
        char error[FAULT_MAX])
{
	struct scope *scope = arena_take(arena, sizeof(*scope));
	struct scope_reader reader = {scope, arena, error};

	if (scope == NULL) {
		return arena_fault(arena, error);
	}
	*scope = (struct scope){.place = map->place};
	if (yaml_read_map(map, &scope_shape, &reader, error) < 0) {
		return -EINVAL;
	}
	*ret_scope = scope;
	return scope->count > 0 ? 0
	                        : fault_set(error, map->place,
	                                  "a scope needs a label, such as {labels: {team: ci}}, or "
	                                  "{owner: true}");
}

static const struct scope_label *find_label(const struct scope *scope, const char *name)
{
	for (unsigned i = 0; i < scope->count; i++) {
		if (strcmp(scope->labels[i].name, name) == 0) {
			return &scope->labels[i];
		}
	}
	return NULL;
}

/* "image.team=ci", and an empty "team". Without memory, the arena remembers it. */
static const struct scope *name_for_images(const struct scope *scope, struct arena *arena)
{
	struct scope *images = arena_take(arena, sizeof(*images));

	for (unsigned i = 0; images != NULL && i < scope->count; i++) {
		char memory[sizeof(SCOPE_IMAGE_PREFIX) + SCOPE_LABEL_MAX];
		struct text name = text_over(memory, sizeof(memory));
		text_add(&name, SLICE(SCOPE_IMAGE_PREFIX));
		text_add(&name, slice_of(scope->labels[i].name));
		images->labels[images->count++] = (struct scope_label){
		        arena_copy(arena, text_slice(&name)), scope->labels[i].value};
		images->labels[images->count++] = (struct scope_label){scope->labels[i].name, ""};
	}
	return images;
}

static int join(struct scope_reader *reader, const struct scope *other, const char *owner)
{
	for (unsigned i = 0; i < other->count; i++) {
		const char *name = other->labels[i].name;
		const char *value = other->labels[i].value == NULL ? owner : other->labels[i].value;
		const struct scope_label *first = find_label(reader->scope, name);
		if (first != NULL && strcmp(first->value, value) != 0) {
			return fault_set(reader->error, reader->scope->place,
			        "the label '%s' of the scope is '%s' here and '%s' at %s:%u: no "
			        "object has both; remove one",
			        name, first->value, value, other->place.file, other->place.line);
		}
		if (first == NULL && add_label(reader, name, value, other->place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

int scope_join(const struct scope *scope, const struct scope *other, const char *owner,
        struct arena *arena, const struct scope **ret_scope, char error[FAULT_MAX])
{
	struct scope *joined = arena_take(arena, sizeof(*joined));
	struct scope_reader reader = {joined, arena, error};

	if (joined == NULL) {
		return arena_fault(arena, error);
	}
	if (scope != NULL) {
		*joined = *scope;
	} else {
		joined->place = other->place; /* the arena's memory is zero */
	}
	if (join(&reader, other, owner) < 0) {
		return -EINVAL;
	}
	joined->owned = joined->owned || other->owned;
	joined->images = name_for_images(joined, arena);
	*ret_scope = joined;
	return arena_check(arena, error);
}

const struct scope *scope_for_owner(
        const struct scope *scope, const char *owner, struct arena *arena)
{
	struct scope *owned = scope->owned ? arena_take(arena, sizeof(*owned)) : NULL;

	if (owned == NULL) {
		return scope->owned ? NULL : scope;
	}
	*owned = *scope;
	for (unsigned i = 0; i < owned->count; i++) {
		if (strcmp(owned->labels[i].name, SCOPE_OWNER) == 0) {
			owned->labels[i].value = owner;
		}
	}
	owned->images = name_for_images(owned, arena);
	return owned->images == NULL ? NULL : owned;
}

void scope_add(const struct scope *scope, struct text *text)
{
	for (unsigned i = 0; i < scope->count; i++) {
		text_add(text, i == 0 ? SLICE("") : SLICE(", "));
		text_add_format(text, "%s=%s", scope->labels[i].name, scope->labels[i].value);
	}
}
