/* SPDX-License-Identifier: MIT */
#include "yaml/yaml.h"

#include "base/nearest.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>

const struct yaml_node *yaml_find(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = map->kind == YAML_MAP ? map->first : NULL;

	while (node != NULL && !slice_equal(node->key, slice_of(key))) {
		node = node->next;
	}
	return node;
}

unsigned yaml_count(const struct yaml_node *node)
{
	unsigned count = 0;

	for (const struct yaml_node *at = node->first; at != NULL; at = at->next) {
		count++;
	}
	return count;
}

struct yaml_found yaml_found(const struct yaml_node *node)
{
	struct yaml_found found;

	if (node->kind == YAML_TEXT && node->text.len > 0) {
		(void)snprintf(found.text, sizeof(found.text), "'%s'", text_show(node->text).text);
	} else {
		(void)snprintf(found.text, sizeof(found.text), "%s",
		        node->kind == YAML_TEXT   ? "nothing"
		        : node->kind == YAML_LIST ? "a list"
		                                  : "a map");
	}
	return found;
}

int yaml_expect(const struct yaml_node *node, enum yaml_kind kind, const char *description,
        char error[FAULT_MAX])
{
	if (node->kind == kind && kind == YAML_TEXT &&
	        memchr(node->text.ptr, '\n', node->text.len) != NULL) {
		return fault_set(
		        error, node->place, "expected one line; found %s", yaml_found(node).text);
	}
	if (node->kind == kind && (kind != YAML_TEXT || node->text.len > 0)) {
		return 0;
	}
	if (node->key.ptr == NULL) {
		return fault_set(error, node->place, "expected %s; found %s", description,
		        yaml_found(node).text);
	}
	return fault_set(error, node->place, "'%s' is %s; found %s", text_show(node->key).text,
	        description, yaml_found(node).text);
}

static int fail_unknown(
        const struct yaml_node *node, const struct yaml_shape *shape, char error[FAULT_MAX])
{
	struct nearest nearest = nearest_to(node->key);
	char memory[512];
	struct text known = text_over(memory, sizeof(memory));

	for (unsigned i = 0; i < shape->key_count; i++) {
		const struct yaml_key *key = &shape->keys[i];
		nearest_try(&nearest, slice_of(key->name));
		if (key->read != NULL) {
			text_add_format(&known, "%s%s", known.len > 0 ? ", " : "", key->name);
		}
	}
	if (nearest.best.ptr != NULL) {
		return fault_set(error, node->place, "unknown key '%s' in %s; did you mean '%.*s'?",
		        text_show(node->key).text, shape->words, SLICE_FMT(nearest.best));
	}
	return fault_set(error, node->place, "unknown key '%s' in %s; there are %.*s",
	        text_show(node->key).text, shape->words, SLICE_FMT(text_slice(&known)));
}

static const struct yaml_key *find_key(const struct yaml_shape *shape, struct slice name)
{
	for (unsigned i = 0; i < shape->key_count; i++) {
		if (slice_equal(name, slice_of(shape->keys[i].name))) {
			return &shape->keys[i];
		}
	}
	return NULL;
}

int yaml_read_map(const struct yaml_node *map, const struct yaml_shape *shape, void *reader,
        char error[FAULT_MAX])
{
	if (map->kind != YAML_MAP) {
		return fault_set(error, map->place,
		        "expected %s, which is a map, such as {%s: ...}; found %s", shape->words,
		        shape->keys[0].name, yaml_found(map).text);
	}
	for (const struct yaml_node *node = map->first; node != NULL; node = node->next) {
		const struct yaml_key *key = find_key(shape, node->key);
		if (key == NULL) {
			return fail_unknown(node, shape, error);
		}
		if (key->read == NULL) {
			return fault_set(error, node->place,
			        "'%s' in %s is not supported by this version", key->name,
			        shape->words);
		}
		if (key->read(reader, node) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}
