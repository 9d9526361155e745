/* SPDX-License-Identifier: MIT */
/*
 * json — one strict reader of JSON documents, and their writer.
 *
 * The reader accepts a document only if every reader, Go's encoding/json among them,
 * takes the same from it: RFC 8259 in UTF-8, nothing in front or behind, and no object
 * with two equal names. Go compares the names of a struct's fields without regard to the
 * case of letters, and takes U+017F for an s and U+212A for a k. An object that may mean
 * two things as a struct is marked; as a map, whose names are the client's, it means one.
 *
 * A document is a list of nodes in the order in which they begin. What a container
 * holds stands directly behind it:
 *
 *     {"a": [1, 2], "b": 3}     object of size 5 | a: array of size 3 | 1 | 2 | b: 3
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "base/check.h"
#include "base/slice.h"
#include "base/text.h"

enum {
	JSON_DEPTH_MAX = 64,
	JSON_NODES_MAX = 32 * 1024, /* of a document */
	JSON_MARKS_MAX = 2 * JSON_NODES_MAX,
};

enum json_error {
	JSON_OK,
#define ERROR(name, text) JSON_BAD_##name,
#include "json/errors.def"
#undef ERROR
};

/* A sentence without a full stop. */
const char *json_error_text(enum json_error error);

enum json_type {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json_node {
	enum json_type type;
	/* Of an object: two of its names are equal apart from case, or one is not ASCII. */
	bool ambiguous;
	uint32_t size;     /* nodes, with this one and all in it */
	struct slice name; /* of a member of an object, decoded; ptr NULL: it is none */
	struct slice text; /* of a string, decoded; of a number, as it stands */
};

/* Memory for one document at a time; its owner makes it. */
struct json_document {
	uint32_t most;           /* nodes; 0: JSON_NODES_MAX */
	struct json_node *nodes; /* as many */
	uint32_t *marks;         /* twice as many, while a document is read */
	char *strings;           /* as many bytes as the document has */
	uint32_t count;          /* of nodes */
	size_t error_at;         /* offset in bytes of what was refused */
};

/*
 * Read `bytes` into `document`, whose nodes point into `bytes` and into its memory: they are of no
 * use once either is.
 */
enum json_error json_read(struct json_document *document, struct slice bytes) MUST_USE;

/* What a container holds, in its order; NULL: nothing, or no more. */
static inline const struct json_node *json_first(const struct json_node *container)
{
	return container->size > 1 ? container + 1 : NULL;
}

static inline const struct json_node *json_next(
        const struct json_node *container, const struct json_node *node)
{
	const struct json_node *next = node + node->size;

	return next < container + container->size ? next : NULL;
}

/* The member of `object` with that name, in any case as Go compares it; NULL: there is none. */
const struct json_node *json_member(const struct json_node *object, struct slice name);

/* What stands at a path of names, such as "Config/Labels"; NULL: nothing, as for an empty path. */
const struct json_node *json_find(const struct json_node *root, const char *path);

/* Whether the number is one that Go decodes into an int64: no fraction, no exponent, in range. */
bool json_integer(const struct json_node *number, int64_t *ret_value);

/*
 * Append the value as compact JSON, its own name left out. A document is then never longer than
 * the text from which it was read.
 */
void json_write(const struct json_node *node, struct text *text);

/* Members that an object has in front of its own when it is written. */
struct json_addition {
	const struct json_node *object;
	struct slice members; /* "a":1,"b":2 as JSON */
};
/* The same with additions, in their order. */
void json_write_with(const struct json_node *node, const struct json_addition *additions,
        unsigned count, struct text *text);
/* Whether the bytes are UTF-8, as those of all strings of a document are. */
bool json_is_utf8(struct slice bytes);

/* Append a string, whose bytes are UTF-8, with its quotes. */
void json_write_text(struct slice s, struct text *text);

/* ── Many documents in a row ─────────────────────────────────────────────── */

/*
 * The objects of a stream, one after the other: the elements of an array, or one object a line.
 * What stands between objects is not looked at. Bytes of an object are valid JSON only if
 * json_read() says so.
 */
struct json_splitter {
	char *memory;
	size_t size;
	size_t len; /* bytes of the object that were read */
	unsigned depth;
	bool in_string;
	bool escaped;  /* behind a backslash */
	bool left_out; /* an object was too long */
};

/* An object that is longer than `size` is left out. */
void json_splitter_begin(struct json_splitter *splitter, char *memory, size_t size);
/*
 * Read the beginning of `in`; returns how many bytes. *ret_object is a whole object, which is valid
 * until the next call; len 0: there is none yet.
 */
size_t json_split(struct json_splitter *splitter, struct slice in, struct slice *ret_object);

#endif
