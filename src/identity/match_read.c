/* SPDX-License-Identifier: MIT */
#include "identity/condition.h"

#include <errno.h>

/* Without values yet. NULL without memory. */
static struct condition *condition_new(struct arena *arena, unsigned count, struct place place)
{
	struct condition *condition = arena_take(arena, sizeof(*condition));
	union condition_value *values = arena_take(arena, count * sizeof(*values));
	const char **texts = arena_take(arena, count * sizeof(*texts));

	if (condition == NULL || values == NULL || texts == NULL) {
		return NULL;
	}
	*condition = (struct condition){.place = place, .values = values, .texts = texts};
	return condition;
}

static int read_value(struct condition_reader *reader, const struct condition_row *row,
        const struct yaml_node *node, struct condition *condition)
{
	if (yaml_expect(node, YAML_TEXT, row->words, reader->error) < 0) {
		return -EINVAL;
	}
	union condition_value *value = &condition->values[condition->count];
	const char *problem = row->read(reader, node->text, value);
	if (problem != NULL) {
		return fault_set(reader->error, node->place, "%s: %s is not accepted: %s", row->key,
		        row->shows ? yaml_found(node).text : "the value", problem);
	}
	if (row->shows) {
		condition->texts[condition->count] = arena_copy(reader->arena, node->text);
	}
	condition->count++;
	return 0;
}

static int read_condition(
        struct condition_reader *reader, enum condition_kind kind, const struct yaml_node *node)
{
	const struct condition_row *row = &condition_rows[kind];
	const unsigned count = node->kind == YAML_LIST ? yaml_count(node) : 1;
	struct condition *condition;

	if (count == 0 || count > MATCH_VALUES_MAX) {
		return fault_set(reader->error, node->place, "'%s' is a list of 1 to %d values",
		        row->key, MATCH_VALUES_MAX);
	}
	condition = condition_new(reader->arena, count, node->place);
	if (condition == NULL) {
		return arena_fault(reader->arena, reader->error);
	}
	reader->match->conditions[kind] = condition;
	reader->match->kinds |= 1U << kind;
	if (node->kind != YAML_LIST) {
		return read_value(reader, row, node, condition);
	}
	for (const struct yaml_node *value = node->first; value != NULL; value = value->next) {
		if (read_value(reader, row, value, condition) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

#define CONDITION(kind, ...)                                                                       \
	static int read_##kind(void *reader, const struct yaml_node *node)                         \
	{                                                                                          \
		return read_condition(reader, CONDITION_##kind, node);                             \
	}
#include "identity/conditions.def"
#undef CONDITION

static int read_group(void *context, const struct yaml_node *node);

/* A value, or a list of values. */
static const struct yaml_shape value_shapes[] = {
#define CONDITION(which, group, key, title, type, text) [CONDITION_##which] = {.words = (text)},
#include "identity/conditions.def"
#undef CONDITION
};
static const struct yaml_shape condition_shapes[] = {
#define CONDITION(which, group, key, title, type, text)                                            \
	[CONDITION_##which] = {.kind = YAML_SHAPE_LIST,                                            \
	        .words = (text),                                                                   \
	        .item = &value_shapes[CONDITION_##which],                                          \
	        .other = &value_shapes[CONDITION_##which]},
#include "identity/conditions.def"
#undef CONDITION
};

/* The keys of each map: IN_map_group() keeps the rows of the group. */
#define IN_match_match(...) __VA_ARGS__
#define IN_match_cert(...)
#define IN_match_container(...)
#define IN_cert_match(...)
#define IN_cert_cert(...) __VA_ARGS__
#define IN_cert_container(...)
#define IN_container_match(...)
#define IN_container_cert(...)
#define IN_container_container(...) __VA_ARGS__

static const struct yaml_key cert_keys[] = {
#define CONDITION(kind, group, key, ...)                                                           \
	IN_cert_##group({key, read_##kind, &condition_shapes[CONDITION_##kind]}, )
#include "identity/conditions.def"
#undef CONDITION
};
static const struct yaml_key container_keys[] = {
#define CONDITION(kind, group, key, ...)                                                           \
	IN_container_##group({key, read_##kind, &condition_shapes[CONDITION_##kind]}, )
#include "identity/conditions.def"
#undef CONDITION
};
static const struct yaml_shape cert_shape = {YAML_KEYS(cert_keys), .words = "cert", .name = "cert"};
static const struct yaml_shape container_shape = {
        YAML_KEYS(container_keys), .words = "container", .name = "container"};

static const struct yaml_key match_keys[] = {
#define CONDITION(kind, group, key, ...)                                                           \
	IN_match_##group({key, read_##kind, &condition_shapes[CONDITION_##kind]}, )
#include "identity/conditions.def"
#undef CONDITION
        {"cert", read_group, &cert_shape},
        {"container", read_group, &container_shape},
};
const struct yaml_shape match_shape = {YAML_KEYS(match_keys), .words = "match", .name = "match"};

static const struct yaml_shape *const shapes[GROUPS] = {
        [GROUP_match] = &match_shape,
        [GROUP_cert] = &cert_shape,
        [GROUP_container] = &container_shape,
};

static bool has_key(const struct yaml_shape *shape, struct slice name)
{
	for (unsigned i = 0; i < shape->key_count; i++) {
		if (slice_equal(name, slice_of(shape->keys[i].name))) {
			return true;
		}
	}
	return false;
}

/* The map in which the key of a condition stands, if it is another one than `group`. */
static const char *home_of(const struct yaml_node *node, enum group group)
{
	const char *home = NULL;

	for (unsigned i = 0; i < GROUPS; i++) {
		if (has_key(shapes[i], node->key)) {
			if (i == group) {
				return NULL;
			}
			home = condition_groups[i];
		}
	}
	return home;
}

static int check_homes(
        struct condition_reader *reader, enum group group, const struct yaml_node *map)
{
	for (const struct yaml_node *node = map->first; node != NULL; node = node->next) {
		const char *home = home_of(node, group);
		if (home != NULL) {
			return fault_set(reader->error, node->place,
			        "'%s' stands in '%s', not in '%s', such as %s: {%s: ...}",
			        text_show(node->key).text, home, condition_groups[group], home,
			        text_show(node->key).text);
		}
	}
	return 0;
}

static int read_map(struct condition_reader *reader, enum group group, const struct yaml_node *map)
{
	return map->kind == YAML_MAP && check_homes(reader, group, map) < 0
	               ? -EINVAL
	               : yaml_read_map(map, shapes[group], reader, reader->error);
}

/* A map without a key would be a condition that holds for everybody. */
static int read_group(void *context, const struct yaml_node *node)
{
	struct condition_reader *reader = context;
	unsigned group = GROUP_match + 1;

	while (group + 1 < GROUPS && !slice_equal(node->key, slice_of(condition_groups[group]))) {
		group++;
	}
	if (read_map(reader, group, node) < 0) {
		return -EINVAL;
	}
	return node->first != NULL
	               ? 0
	               : fault_set(reader->error, node->place, "'%s' in match has no condition",
	                         condition_groups[group]);
}

/* Of the condition on keys, if it has one hash without salt. */
static void set_mark(struct match *match)
{
	const struct condition *condition = match->conditions[CONDITION_KEY];

	match->has_mark =
	        condition != NULL && condition->count == 1 && !condition->values[0].key.salted;
	match->mark = match->has_mark ? key_mark(condition->values[0].key.digest) : 0;
}

int match_read(const struct yaml_node *map, const struct match_names *names, struct arena *arena,
        struct match *ret_match, char error[FAULT_MAX])
{
	struct condition_reader reader = {names, arena, ret_match, error};

	*ret_match = (struct match){.conditions = {NULL}};
	if (read_map(&reader, GROUP_match, map) < 0) {
		return -EINVAL;
	}
	set_mark(ret_match);
	return map->first != NULL ? 0
	                          : fault_set(error, map->place,
	                                    "'match' has no condition, and would fit everybody: "
	                                    "what everybody may do is the policy of the listener");
}

/* One condition with one value. NULL without memory. */
static struct condition *alone(
        enum condition_kind kind, struct place place, struct arena *arena, struct match *ret_match)
{
	struct condition *condition = condition_new(arena, 1, place);

	*ret_match = (struct match){.conditions = {[0] = NULL}};
	ret_match->conditions[kind] = condition;
	ret_match->kinds = 1U << kind;
	if (condition != NULL) {
		condition->count = 1;
	}
	return condition;
}

int match_key(const struct key_hash *hash, struct place place, struct arena *arena,
        struct match *ret_match)
{
	struct condition *condition = alone(CONDITION_KEY, place, arena, ret_match);

	if (condition == NULL) {
		return -EINVAL;
	}
	condition->values[0].key = *hash;
	set_mark(ret_match);
	return 0;
}

int match_label(struct container_label label, struct place place, struct arena *arena,
        struct match *ret_match)
{
	struct condition *condition = alone(CONDITION_LABEL, place, arena, ret_match);
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	if (condition == NULL) {
		return -EINVAL;
	}
	text_add_format(&text, "%.*s=%.*s", SLICE_FMT(label.name), SLICE_FMT(label.value));
	condition->values[0].label = label;
	condition->texts[0] = arena_copy(arena, text_slice(&text));
	return condition->texts[0] == NULL ? -EINVAL : 0;
}
