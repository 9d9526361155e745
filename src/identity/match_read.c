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

/* The keys of the maps. */
static const struct {
	enum group group;
	struct yaml_key key;
} keys[] = {
#define CONDITION(kind, group, key, ...) {GROUP_##group, {key, read_##kind}},
#include "identity/conditions.def"
#undef CONDITION
        {GROUP_match, {"cert", read_group}},
        {GROUP_match, {"container", read_group}},
};

/* The map in which the key of a condition stands, if it is another one than `group`. */
static const char *home_of(const struct yaml_node *node, enum group group)
{
	const char *home = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		if (slice_equal(node->key, slice_of(keys[i].key.name))) {
			if (keys[i].group == group) {
				return NULL;
			}
			home = condition_groups[keys[i].group];
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
	struct yaml_key of_group[ARRAY_LEN(keys)];
	unsigned count = 0;

	if (map->kind == YAML_MAP && check_homes(reader, group, map) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		if (keys[i].group == group) {
			of_group[count++] = keys[i].key;
		}
	}
	return yaml_read_map(map, condition_groups[group], of_group, count, reader, reader->error);
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
