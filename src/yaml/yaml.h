/* SPDX-License-Identifier: MIT */
/*
 * yaml — a YAML document as a tree of nodes that know their lines.
 *
 * The strict part of YAML that people write configuration in: maps, lists and
 * text, in one document. Anchors, aliases and tags are refused, so that a tree
 * is as big as its file; a key given twice is refused, so that no reader can
 * take the other one. Every error names FILE:LINE.
 */
#ifndef YAML_YAML_H
#define YAML_YAML_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/slice.h"

enum {
	YAML_SIZE_MAX = 1024 * 1024, /* bytes of a file */
	YAML_NODES_MAX = 20000,
	YAML_KEYS_MAX = 1000, /* of one map */
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
	struct slice text;       /* of a text; a NUL is behind it, none is in it */
	struct slice key;        /* in a map */
	struct yaml_node *first; /* of a list or map */
	struct yaml_node *next;  /* in its list or map */
};

/*
 * 0 and the root, which lives in `arena`, or -EINVAL and a message. `file` is
 * what messages call it; it is kept.
 */
int yaml_read(struct slice bytes, const char *file, struct arena *arena,
        const struct yaml_node **ret_root, char error[FAULT_MAX]) MUST_USE;

/* The value of `key`; NULL: it has none, or is no map. */
const struct yaml_node *yaml_find(const struct yaml_node *map, const char *key);

/* ── Reading maps by a table of their keys ───────────────────────────────── */

struct yaml_key {
	const char *name;
	/* NULL: the key is known and not supported by this version. */
	int (*read)(void *reader, const struct yaml_node *value);
};

/*
 * Call `read` for each key of `map` that is in the table; another one is an
 * error, as is anything but a map. `what` is what messages call the map, "a listener".
 */
int yaml_read_map(const struct yaml_node *map, const char *what, const struct yaml_key *keys,
        unsigned count, void *reader, char error[FAULT_MAX]) MUST_USE;

/*
 * -EINVAL with "'KEY' is DESCRIPTION; found …" where the node is of another kind,
 * or a text that is empty or has more than one line.
 */
int yaml_expect(const struct yaml_node *node, enum yaml_kind kind, const char *description,
        char error[FAULT_MAX]) MUST_USE;

/* What is wrong, where: "nothing", "a list", "'text'". */
struct yaml_found {
	char text[272];
};
struct yaml_found yaml_found(const struct yaml_node *node);

#endif
