/* SPDX-License-Identifier: MIT */
/*
 * scope — whose objects a request may see, use and make.
 *
 * The scope of a policy is a set of labels. A request that names an object of the Engine
 * (kinds.def) is forwarded only if the object has all of them; lists are narrowed to such objects,
 * and what is made gets the labels (operations.def). What the Engine knows of an object is asked
 * for as a value: scope_look() says that an answer is missing, the caller asks the Engine with the
 * request of scope_write_request(), and judges again with what scope_read_response() has added.
 *
 * Pure: no descriptor, no clock, no memory of its own.
 */
#ifndef SCOPE_SCOPE_H
#define SCOPE_SCOPE_H

#include "base/arena.h"
#include "base/fault.h"
#include "docker/docker.h"
#include "json/json.h"
#include "yaml/yaml.h"

enum {
	SCOPE_LABELS_MAX = 8,
	SCOPE_LABEL_MAX = 256,       /* bytes of a name, and of a value */
	SCOPE_REFERENCE_MAX = 255,   /* bytes of the name of an object */
	SCOPE_ID_MAX = 255,          /* bytes of an id; of a volume it is the name */
	SCOPE_ANSWERS_MAX = 32,      /* for one request */
	SCOPE_REQUEST_MAX = 8192,    /* bytes of a request to the Engine */
	SCOPE_ENTRY_MAX = 64 * 1024, /* bytes of an object in an answer that is narrowed */
};

/* ── The scope of a policy ───────────────────────────────────────────────── */

struct scope_label {
	const char *name;
	const char *value; /* as it is read NULL: the owner's name */
};

/* The label of `owner: true`; its value is the name of the client, or, of who is none, that of the
 * policy. */
#define SCOPE_OWNER        "docker-socket-proxy.owner"
/*
 * In front of the names of the labels that images have; the labels themselves are empty there. A
 * container has the labels of its image, so that with the same labels a team would own every
 * container that anybody makes of its images.
 */
#define SCOPE_IMAGE_PREFIX "image."

/* Bytes of all labels, also of images, as JSON, in which each byte may be escaped. */
enum {
	SCOPE_LABELS_TEXT_MAX =
	        2 * SCOPE_LABELS_MAX * (2 * (sizeof(SCOPE_IMAGE_PREFIX) + 2 * SCOPE_LABEL_MAX) + 8),
};

/* Immutable; in the arena of the policy. */
struct scope {
	struct place place;
	bool owned;                 /* it has the label SCOPE_OWNER by `owner: true` */
	const struct scope *images; /* labels of images; NULL: as it is read */
	unsigned count;
	struct scope_label labels[2 * SCOPE_LABELS_MAX]; /* the second half is for images */
};

extern const struct yaml_shape scope_shape;

/* Read `{labels: {team: ci}}` or `{owner: true}`. 0; or -EINVAL and `error`. */
int scope_read(const struct yaml_node *map, struct arena *arena, const struct scope **ret_scope,
        char error[FAULT_MAX]) MUST_USE;
/*
 * A scope that has the labels of both, with the owner's name in them; `scope` may be NULL. 0; or
 * -EINVAL and `error`, if they want two values of one label.
 */
int scope_join(const struct scope *scope, const struct scope *other, const char *owner,
        struct arena *arena, const struct scope **ret_scope, char error[FAULT_MAX]) MUST_USE;
/* The scope for a client who is the owner; the same if it has no owner. NULL without memory. */
const struct scope *scope_for_owner(
        const struct scope *scope, const char *owner, struct arena *arena) MUST_USE;
/* Whether both have the same labels; NULL: none. */
bool scope_equal(const struct scope *scope, const struct scope *other);
/* Append "team=ci, stage=test". */
void scope_add(const struct scope *scope, struct text *text);

/* ── Objects ─────────────────────────────────────────────────────────────── */

enum scope_kind {
	SCOPE_NOTHING,
#define KIND(kind, ...) SCOPE_##kind,
#include "scope/kinds.def"
#undef KIND
};

/* "container", "volume" */
const char *scope_kind_name(enum scope_kind kind);

struct scope_object {
	enum scope_kind kind;
	struct slice reference; /* a name, an id, or the beginning of one */
};

/* A row of operations.def. */
struct scope_operation {
	const char *name;
	enum scope_kind kind;
	const char *where;
	const char *narrowed;
	const char *stamped;
};

/* NULL: a scope refuses requests of the id. */
const struct scope_operation *scope_operation_of(unsigned id);

enum scope_answer {
	SCOPE_UNKNOWN, /* the Engine must be asked */
	SCOPE_ABSENT,  /* there is no such object */
	SCOPE_FOREIGN, /* it is not in the scope */
	SCOPE_OWN,
};

/* What the Engine said of the objects that one request names. */
struct scope_answers {
	unsigned count;
	struct scope_known {
		enum scope_kind kind;
		enum scope_answer answer;
		enum scope_kind owner; /* NOTHING: `answer` holds; else that of the owner does */
		unsigned reference_len;
		unsigned id_len;
		unsigned other_len;
		char reference[SCOPE_REFERENCE_MAX];
		char id[SCOPE_ID_MAX];
		char other[SCOPE_ID_MAX]; /* the owner's id; of a network its name */
	} list[SCOPE_ANSWERS_MAX];
};

/* The objects of one request, on their way through the checks. */
struct scope_view {
	const struct scope *scope;               /* NULL: every object is the client's own */
	bool observes;                           /* nothing is made or changed for its sake */
	const struct scope_operation *operation; /* of the request */
	const struct scope_answers *answers;     /* NULL: none yet */
	struct scope_object wanted;              /* the first that the Engine must be asked about */
	struct scope_object absent;              /* the first that is not there for the client */
	bool foreign;                            /* `absent` is there for others */
};

/*
 * What is known of an object. `wanted`, or `absent` and `foreign`, are set if they were not.
 * SCOPE_OWN: *ret_id is the full id. The name of a volume is its id.
 */
enum scope_answer scope_look(
        struct scope_view *view, struct scope_object object, struct slice *ret_id);
/* The same of a network, which `reference` may name by its id or the beginning of one. SCOPE_OWN:
 * *ret_name is its name. */
enum scope_answer scope_look_for_network(struct scope_view *view, struct slice reference,
        struct slice *ret_id, struct slice *ret_name);
/* The same as scope_look(), without setting `absent`. */
enum scope_answer scope_look_for_name(struct scope_view *view, struct scope_object object);

/* Whether an object has the labels of the scope, if there is one. `labels`: NULL: it has none. */
bool scope_has_labels(const struct scope *scope, const struct json_node *labels);

/* Append the words of the Engine's 404: "No such container: web". */
void scope_add_missing(struct scope_object object, struct text *text);

/*
 * Append the whole request that asks the Engine about `object`, and note in `answers` that it is
 * asked. `fields`: more of its head, "name: value\r\n". False: there are SCOPE_ANSWERS_MAX already,
 * or the request does not fit.
 */
bool scope_write_request(const struct scope *scope, struct scope_object object, struct slice fields,
        struct scope_answers *answers, struct text *text) MUST_USE;
/* The last question did not reach the Engine: nothing was asked. */
void scope_withdraw_request(struct scope_answers *answers);
/* Complete the last answer. False: the response cannot be used. */
bool scope_read_response(const struct scope *scope, unsigned status, struct slice body,
        struct json_document *document, struct scope_answers *answers) MUST_USE;

/* ── Rewriting ───────────────────────────────────────────────────────────── */

/* Whether scope_rewrite_query() must see the query. */
bool scope_rewrites_query(const struct scope_operation *operation);
/* Whether the body is stamped. */
bool scope_stamps_body(const struct scope_operation *operation);

/* Memory for a query. */
struct scope_memory {
	struct json_document document;
	size_t strings_len;  /* bytes of document.strings */
	struct text spelled; /* decoded parameters */
	struct text value;   /* a parameter that is written anew */
	struct text query;   /* the result */
};

/*
 * Write a query anew: filters with the labels of the scope, labels with them, the full `id` in
 * place of the reference. NULL; or a literal about what is wrong, and the parameter.
 */
const char *scope_rewrite_query(const struct scope *scope, const struct scope_operation *operation,
        struct slice query, struct slice id, struct scope_memory *memory,
        struct slice *ret_parameter);
/* The value of the parameter `where` of the operation; len 0: there is none. */
struct slice scope_find_reference(
        const struct scope_operation *operation, struct slice query, struct text *spelled);

/* Whether `label` has the name of a label of the scope, and another value. */
bool scope_sets(const struct scope *scope, const struct json_node *label);

enum { SCOPE_STAMPS_MAX = 2 };

/* What is wrong with a label of the client's that has the name of one of the scope's. */
extern const char scope_conflict[];

/*
 * Add the labels to a document that is to be written. Returns how many additions there are, whose
 * texts are in `memory`. `pointer`: a JSON pointer to a conflict is appended, if there is one.
 */
unsigned scope_stamp_body(const struct scope *scope, const struct scope_operation *operation,
        struct json_node *root, struct text *memory,
        struct json_addition additions[SCOPE_STAMPS_MAX], struct text *pointer);

/* ── Answers that have lists of several kinds ────────────────────────────── */

/* Whether a successful answer of the operation goes through scope_narrow(). */
bool scope_narrows_answer(const struct scope_operation *operation);

/* An answer on its way: at each point it is known whether an object of a list is being read. */
struct scope_narrower {
	const struct scope *scope;
	bool in_string;
	bool escaped;    /* behind a backslash */
	bool in_list;    /* of objects */
	bool kept;       /* objects of the list went out */
	unsigned depth;  /* containers around the lists */
	unsigned nested; /* containers within the object */
	unsigned name_len;
	char name[16]; /* of the document's member, with its quotes and its colon */
	size_t len;    /* bytes of the object that were read */
	char memory[SCOPE_ENTRY_MAX];
};

void scope_narrower_begin(struct scope_narrower *narrower, const struct scope *scope);
/*
 * Read the beginning of `in`; returns how many bytes. *ret_out goes out in their place; it is valid
 * until the next call. Of every list only objects stay whose member Labels has the labels of the
 * scope, whatever the list is called; of images all stay. Numbers outside of lists stay.
 */
size_t scope_narrow(struct scope_narrower *narrower, struct slice in,
        struct json_document *document, struct slice *ret_out) MUST_USE;
/* Whether the input may end here. */
bool scope_narrower_may_end(const struct scope_narrower *narrower);

#endif
