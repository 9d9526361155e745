/* SPDX-License-Identifier: MIT */
/*
 * The JSON Schema of a shape: each map of keys is a definition, and all else stands where it is
 * used. Draft 7, which editors know best.
 */
#include "yaml/yaml.h"

#include "base/check.h"
#include "base/text.h"

enum {
	MAPS_MAX = 64, /* of one schema */
	TEXT_MAX = 2048,
};

/* The maps that were met; those that are not written yet stand last. */
struct schema {
	FILE *out;
	unsigned count;
	const struct yaml_shape *maps[MAPS_MAX];
};

static void write_string(FILE *out, struct slice s)
{
	char memory[TEXT_MAX];
	struct text text = text_over(memory, sizeof(memory));

	text_add_json(&text, s);
	(void)fprintf(out, "\"%.*s\"", SLICE_FMT(text_slice(&text)));
}

static void meet(struct schema *schema, const struct yaml_shape *map)
{
	for (unsigned i = 0; i < schema->count; i++) {
		if (schema->maps[i] == map) {
			return;
		}
	}
	ASSERT(schema->count < MAPS_MAX);
	schema->maps[schema->count++] = map;
}

/* "true" in YAML is no string. */
static void write_choices(FILE *out, const char *choices)
{
	struct slice rest = slice_of(choices);
	struct slice word;
	const char *comma = "";

	(void)fputs("\"enum\": [", out);
	while (slice_next(&rest, ' ', &word)) {
		const bool is_switch =
		        slice_equal(word, SLICE("true")) || slice_equal(word, SLICE("false"));
		(void)fprintf(out, "%s\"%.*s\"", comma, SLICE_FMT(word));
		if (is_switch) {
			(void)fprintf(out, ", %.*s", SLICE_FMT(word));
		}
		comma = ", ";
	}
	(void)fputs("]", out);
}

/* A text, or a map of keys. A number is a text of YAML too. */
static void write_plain(struct schema *schema, const struct yaml_shape *shape)
{
	if (shape->kind == YAML_SHAPE_KEYS) {
		meet(schema, shape);
		(void)fprintf(schema->out, "{\"$ref\": \"#/definitions/%s\"}", shape->name);
		return;
	}
	ASSERT(shape->kind == YAML_SHAPE_TEXT);
	(void)fputs("{", schema->out);
	if (shape->choices != NULL) {
		write_choices(schema->out, shape->choices);
	} else {
		(void)fputs("\"type\": [\"string\", \"number\", \"boolean\"]", schema->out);
	}
	(void)fputs(", \"description\": ", schema->out);
	write_string(schema->out, slice_of(shape->words));
	(void)fputs("}", schema->out);
}

/* What may stand at a place, of two kinds at most. */
static void write_item(struct schema *schema, const struct yaml_shape *shape)
{
	if (shape->other == NULL) {
		write_plain(schema, shape);
		return;
	}
	(void)fputs("{\"anyOf\": [", schema->out);
	write_plain(schema, shape);
	(void)fputs(", ", schema->out);
	write_plain(schema, shape->other);
	(void)fputs("]}", schema->out);
}

static void write_shape(struct schema *schema, const struct yaml_shape *shape)
{
	const bool is_list = shape->kind == YAML_SHAPE_LIST;

	if (shape->item == NULL) {
		write_plain(schema, shape);
		return;
	}
	(void)fprintf(
	        schema->out, "{\"type\": \"%s\", \"description\": ", is_list ? "array" : "object");
	write_string(schema->out, slice_of(shape->words));
	(void)fprintf(schema->out, ", \"%s\": ", is_list ? "items" : "additionalProperties");
	write_item(schema, shape->item);
	(void)fputs("}", schema->out);
}

static void write_value(struct schema *schema, const struct yaml_shape *shape)
{
	const struct yaml_shape *at = shape;

	if (shape->other == NULL) {
		write_shape(schema, shape);
		return;
	}
	(void)fputs("{\"anyOf\": [", schema->out);
	for (const char *comma = ""; at != NULL; at = at->other, comma = ", ") {
		(void)fputs(comma, schema->out);
		write_shape(schema, at);
	}
	(void)fputs("]}", schema->out);
}

static void write_required(FILE *out, const char *required)
{
	struct slice rest = slice_of(required);
	struct slice word;
	const char *comma = "";

	(void)fputs(", \"required\": [", out);
	while (slice_next(&rest, ' ', &word)) {
		(void)fprintf(out, "%s\"%.*s\"", comma, SLICE_FMT(word));
		comma = ", ";
	}
	(void)fputs("]", out);
}

static void write_map(struct schema *schema, const struct yaml_shape *map)
{
	const char *comma = "";

	(void)fprintf(schema->out,
	        "    \"%s\": {\"type\": \"object\", \"additionalProperties\": false", map->name);
	if (map->required != NULL) {
		write_required(schema->out, map->required);
	}
	(void)fputs(", \"properties\": {", schema->out);
	for (unsigned i = 0; i < map->key_count; i++) {
		if (map->keys[i].read == NULL) {
			continue;
		}
		(void)fprintf(schema->out, "%s\n      \"%s\": ", comma, map->keys[i].name);
		write_value(schema, map->keys[i].shape);
		comma = ",";
	}
	(void)fputs("\n    }}", schema->out);
}

void yaml_write_schema(FILE *out, const char *title, const struct yaml_shape *root)
{
	struct schema schema = {.out = out};

	(void)fputs("{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n  \"title\": ",
	        out);
	write_string(out, slice_of(title));
	(void)fputs(",\n  \"$ref\": \"#/definitions/", out);
	(void)fprintf(out, "%s\",\n  \"definitions\": {\n", root->name);
	meet(&schema, root);
	for (unsigned i = 0; i < schema.count; i++) { /* each may meet others */
		(void)fputs(i == 0 ? "" : ",\n", out);
		write_map(&schema, schema.maps[i]);
	}
	(void)fputs("\n  }\n}\n", out);
}
