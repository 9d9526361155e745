/* SPDX-License-Identifier: MIT */
/* The names of Engines in the file. */
#include "engines/read.h"

#include "base/nearest.h"

#include <errno.h>

static const struct yaml_shape name_shape = {
        .words = "the name of an Engine or a group, \"default\" for that of 'upstream', or \"*\""};
const struct yaml_shape engine_name_shape = {.words = "the name of an Engine"};
const struct yaml_shape engine_set_shape = {
        .kind = YAML_SHAPE_LIST,
        .words = "a list of names of 'engines', or \"*\" for all of them",
        .item = &name_shape,
        .other = &name_shape,
};

/* ── A name ──────────────────────────────────────────────────────────────── */

static int fail_unknown(
        const struct yaml_node *node, const struct engines *engines, char error[FAULT_MAX])
{
	struct nearest nearest = nearest_to(node->text);

	if (slice_equal(node->text, SLICE(ENGINE_DEFAULT_NAME))) {
		return fault_set(error, node->place,
		        "there is no Engine '" ENGINE_DEFAULT_NAME
		        "': it is that of 'upstream', which is not given");
	}
	for (unsigned i = engines->has_default ? 0 : 1; i < engines->count; i++) {
		nearest_try(&nearest, slice_of(engines->list[i].name));
	}
	return fault_set(error, node->place, "there is no Engine %s in 'engines'%s%.*s%s",
	        yaml_found(node).text, nearest.best.len > 0 ? "; did you mean '" : "",
	        SLICE_FMT(nearest.best), nearest.best.len > 0 ? "'?" : "");
}

int engine_name_read(const struct yaml_node *node, const struct engines *engines,
        unsigned *ret_engine, char error[FAULT_MAX])
{
	if (yaml_expect(node, YAML_TEXT, engine_name_shape.words, error) < 0) {
		return -EINVAL;
	}
	*ret_engine = engines_find(engines, node->text);
	return *ret_engine == ENGINE_NONE ? fail_unknown(node, engines, error) : 0;
}

/* ── A set ───────────────────────────────────────────────────────────────── */

static int add_name(const struct yaml_node *node, const struct engines *engines,
        struct engine_set *set, uint64_t *bits, char error[FAULT_MAX])
{
	unsigned engine = 0;

	if (node->kind == YAML_TEXT && slice_equal(node->text, SLICE("*"))) {
		set->all = true;
		return 0;
	}
	if (engine_name_read(node, engines, &engine, error) < 0) {
		return -EINVAL;
	}
	bits[engine / 64] |= UINT64_C(1) << (engine % 64);
	return 0;
}

static int add_names(const struct yaml_node *node, const struct engines *engines,
        struct engine_set *set, uint64_t *bits, char error[FAULT_MAX])
{
	if (node->kind == YAML_TEXT) {
		return add_name(node, engines, set, bits, error);
	}
	if (yaml_expect(node, YAML_LIST, engine_set_shape.words, error) < 0) {
		return -EINVAL;
	}
	if (node->first == NULL) {
		return fault_set(error, node->place, "'engines' is %s; found an empty list",
		        engine_set_shape.words);
	}
	for (const struct yaml_node *name = node->first; name != NULL; name = name->next) {
		if (add_name(name, engines, set, bits, error) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

int engine_set_read(const struct yaml_node *node, const struct engines *engines,
        struct arena *arena, const struct engine_set **ret_set, char error[FAULT_MAX])
{
	if (engines == NULL) {
		return fault_set(error, node->place,
		        "'engines' names Engines of 'engines' at the top of the file, which is not "
		        "there");
	}
	struct engine_set *set = arena_take(arena, sizeof(*set));
	uint64_t *bits = arena_take(arena, engine_set_words(engines) * sizeof(*bits));
	if (set == NULL || bits == NULL) {
		return arena_fault(arena, error);
	}
	*set = (struct engine_set){.words = engine_set_words(engines), .bits = bits};
	*ret_set = set;
	return add_names(node, engines, set, bits, error);
}
