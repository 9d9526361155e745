/* SPDX-License-Identifier: MIT */
/*
 * yaml — a YAML document as a tree of nodes with line numbers.
 *
 * A strict subset of YAML: maps, lists and text, in one document. Anchors, aliases
 * and tags are refused, so that a tree is not larger than its file. A repeated key
 * is refused, because readers differ in which value they use. Every error names
 * FILE:LINE.
 */
#ifndef YAML_YAML_H
#define YAML_YAML_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/slice.h"

#include <stdio.h>

enum {
	YAML_SIZE_MAX = 1024 * 1024, /* bytes of a file */
	YAML_NODES_MAX = 65536,
	YAML_KEYS_MAX = 4096, /* of one map */
	YAML_DEPTH_MAX = 16,
	YAML_TEXT_MAX = 8192, /* bytes of one text */
};

enum yaml_kind {
	YAML_TEXT,
	YAML_LIST,
	YAML_MAP,
};

struct yaml_node {
	enum yaml_kind kind;
	struct place place;
	struct slice text;       /* of a text; a NUL follows it, and it contains none */
	struct slice key;        /* in a map */
	struct yaml_node *first; /* of a list or map */
	struct yaml_node *next;  /* in its list or map */
};

/*
 * 0 and the root, which is in `arena`; or -EINVAL and `error`. `file` is the name
 * in messages and in places; it must outlive the tree.
 */
int yaml_read(struct slice bytes, const char *file, struct arena *arena,
        const struct yaml_node **ret_root, char error[FAULT_MAX]) MUST_USE;

/* The value of `key`; NULL if there is no such key, or `map` is not a map. */
const struct yaml_node *yaml_find(const struct yaml_node *map, const char *key);

/* How many nodes a list or map has. */
unsigned yaml_count(const struct yaml_node *node);

/* ── Shapes: what may stand at a place ───────────────────────────────────── */

enum yaml_shape_kind {
	YAML_SHAPE_TEXT,  /* one line: any, or one of `choices` */
	YAML_SHAPE_LIST,  /* of `item` */
	YAML_SHAPE_KEYS,  /* a map of `keys` */
	YAML_SHAPE_NAMES, /* a map of any names, each with an `item` */
};

/*
 * Maps are read by it (yaml_read_map()), and yaml_write_schema() tells editors of it. What a text
 * must be beyond that is known by the functions that read it.
 */
struct yaml_shape {
	enum yaml_shape_kind kind;
	unsigned key_count;
	const struct yaml_key *keys;
	const char *words;              /* what it is: "a listener", "the name of a policy" */
	const char *choices;            /* words, separated by spaces; NULL: any */
	const struct yaml_shape *item;  /* of any kind but one with a further item */
	const struct yaml_shape *other; /* what else may stand here; NULL: nothing */
	/* Of a map: how the schema calls it, and the keys that must be there, separated by spaces;
	 * NULL: none. */
	const char *name;
	const char *required;
};

struct yaml_key {
	const char *name;
	/* NULL: the key is known and not supported by this version. */
	int (*read)(void *reader, const struct yaml_node *value);
	const struct yaml_shape *shape; /* of its value */
};

#define YAML_KEYS(table) .kind = YAML_SHAPE_KEYS, .keys = (table), .key_count = ARRAY_LEN(table)

/*
 * Call `read` for each key of `map`. A key that the shape does not have is an error, and so is a
 * node that is not a map.
 */
int yaml_read_map(const struct yaml_node *map, const struct yaml_shape *shape, void *reader,
        char error[FAULT_MAX]) MUST_USE;

/* Write the JSON Schema (draft 7) of documents with this shape, which is one of keys. */
void yaml_write_schema(FILE *out, const char *title, const struct yaml_shape *root);

/*
 * -EINVAL with "'KEY' is DESCRIPTION; found …" if the node is of another kind, or is
 * a text that is empty or has several lines.
 */
int yaml_expect(const struct yaml_node *node, enum yaml_kind kind, const char *description,
        char error[FAULT_MAX]) MUST_USE;

/* A node in a message: "nothing", "a list", "'text'". */
struct yaml_found {
	char text[272];
};
struct yaml_found yaml_found(const struct yaml_node *node);

#endif
