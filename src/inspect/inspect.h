/* SPDX-License-Identifier: MIT */
/*
 * inspect — what the body and the query of a request ask for, and whether a policy allows it.
 *
 * A policy may have blocks (`create`, `exec`, `build`, `image`) that constrain the bodies and
 * queries of some operations (operations.def). A block sets keys (keys.def); each field of a body
 * (fields.def) and each parameter of a query (query.def) is harmless or is opened by a key. A new
 * field of the API is a row; what no row knows is refused.
 *
 * Judging is pure. It collects everything that is wrong with a body, so that a client and an
 * operator see all of it at once.
 */
#ifndef INSPECT_INSPECT_H
#define INSPECT_INSPECT_H

#include "base/arena.h"
#include "base/fault.h"
#include "docker/docker.h"
#include "json/json.h"
#include "scope/scope.h"
#include "yaml/yaml.h"

enum {
	INSPECT_BODY_MAX = 1024 * 1024,      /* bytes of a body */
	INSPECT_SINCE = 124,                 /* API version; bodies mean other things before */
	INSPECT_FINDINGS_MAX = 64,           /* that are kept; more are counted */
	INSPECT_PATHS_MAX = 64,              /* paths of the host in one body that are looked up */
	INSPECT_PATHS_TEXT_MAX = 128 * 1024, /* bytes of these, and of where they lead */
	INSPECT_STEPS_MAX = 4096, /* directories that are opened for the paths of one body */
	/* Bytes of sources that stand for others: of the Engine's socket, and of symbolic links. */
	INSPECT_REDIRECTED_MAX = 128 * 1024,
	INSPECT_QUERY_MAX = 64 * 1024, /* bytes of a query that is written anew */
	INSPECT_STAMPS_MAX =
	        128 * 1024,        /* bytes that a scope adds to a body; see WALK_ADDITIONS_MAX */
	INSPECT_POINTER_MAX = 120, /* bytes */
	INSPECT_WORD_MAX = 120,
};

/* ── Blocks ──────────────────────────────────────────────────────────────── */

enum inspect_block {
	INSPECT_CREATE,
	INSPECT_EXEC,
	INSPECT_BUILD,
	INSPECT_IMAGE,
	INSPECT_BLOCK_COUNT,
};

/* "create" */
const char *inspect_block_name(enum inspect_block block);

/* The keys of a block with their values. Immutable; in the arena of the policy. */
struct constraints;

/* What a block is read with. */
struct inspect_setting {
	struct slice workspace; /* paths that $WORKSPACE in `bind_sources` stands for, separated by
	                           commas; empty: none */
	bool is_preset;         /* the block is compiled in: nobody can edit it */
};

/* The blocks of a policy: a map, or `any`. */
extern const struct yaml_shape constraints_shapes[INSPECT_BLOCK_COUNT];

/* Read the map of a block. 0; or -EINVAL and `error`. */
int constraints_read(enum inspect_block block, const struct yaml_node *map,
        const struct inspect_setting *setting, struct arena *arena,
        const struct constraints **ret_constraints, char error[FAULT_MAX]) MUST_USE;
/* Whether `bind_sources` has the word $WORKSPACE. */
bool constraints_use_workspace(const struct constraints *constraints);
/* Whether `bind_sources` lists paths: links in these are followed where the host's files are seen.
 */
bool constraints_list_paths(const struct constraints *constraints);
/* Whether a block `create` lets a client give containers the label of this name. */
bool constraints_allow_label(const struct constraints *constraints, struct slice name);
enum inspect_block constraints_block(const struct constraints *constraints);
/* A block that allows what no block would deny, for bodies in which only the scope counts. */
const struct constraints *constraints_open(enum inspect_block block, struct arena *arena);
struct place constraints_place(const struct constraints *constraints);
/*
 * Append the keys and their values: "bind_sources /srv/ci; images any; …": those that the file
 * names, or the others.
 */
void constraints_add(const struct constraints *constraints, bool written, struct text *text);
/*
 * Append the keys that are set so far that they are enough to become root on the host:
 * "create.privileged, create.bind_sources"; nothing, if there are none. `sees_host`: symbolic links
 * in paths of the host are followed before the paths are judged.
 */
void constraints_add_root(const struct constraints *constraints, bool sees_host, struct text *text);

/* ── Paths ───────────────────────────────────────────────────────────────── */

/* Whether a path is absolute, without empty and dot segments and separators; a slash may end it. */
bool word_is_path(struct slice path);
/* Whether a path, without its last slash, is `directory` or below it. */
bool path_is_below(struct slice path, struct slice directory);
/* Whether clients look for the Engine's socket below `directory`, which has no slash at its end. */
bool path_holds_engine(struct slice directory);

/* ── Operations ──────────────────────────────────────────────────────────── */

/* A row of operations.def. */
struct inspect_operation;

/* NULL: no block constrains requests of the id. */
const struct inspect_operation *inspect_operation_of(unsigned id);
enum inspect_block inspect_operation_block(const struct inspect_operation *operation);
/* What a block looks into. Neither: it covers the operation, because of what that acts on. */
bool inspect_operation_reads_body(const struct inspect_operation *operation);
/* Of one that reads it: a request without a body is refused. */
bool inspect_operation_needs_body(const struct inspect_operation *operation);
bool inspect_operation_reads_query(const struct inspect_operation *operation);

/* ── Findings ────────────────────────────────────────────────────────────── */

/* Something that a block does not allow. */
struct finding {
	char pointer[INSPECT_POINTER_MAX]; /* JSON pointer (RFC 6901); or "body", "Content-Type" */
	unsigned pointer_len;
	char word[INSPECT_WORD_MAX]; /* what is not allowed; cut */
	unsigned word_len;
	const char *problem; /* a literal; NULL: the word is not one that the key allows */
	int key;             /* a row of keys.def; -1: no key opens it */
};

struct inspect_paths;

struct findings {
	const struct constraints *constraints;
	const char *block;       /* its name in the file; "scope", where no block holds */
	struct place place;      /* of it */
	struct scope_view *view; /* of the objects that the request names; NULL: no scope counts */
	/* What the Engine may be asked, though no scope counts; NULL: nobody can ask it. */
	struct scope_view *engine;
	/* Paths of the host that the body names; NULL: the host's files are not seen. */
	struct inspect_paths *paths;
	unsigned count;
	struct finding list[INSPECT_FINDINGS_MAX];
};

/* Begin a list about a block; `constraints` may be NULL, if no key of a block is looked at. */
void findings_begin(struct findings *findings, const struct constraints *constraints);
/* The list is about the scope of the view, if it is empty so far. */
void findings_blame_scope(struct findings *findings);
/* Add one that no key opens. */
void findings_add(struct findings *findings, struct slice pointer, const char *problem);
/* The same about a word. */
void findings_add_word(
        struct findings *findings, struct slice pointer, struct slice word, const char *problem);
/* A word that a key must have so that its block allows a body. */
struct inspect_word {
	unsigned key;
	unsigned len;
	char word[INSPECT_WORD_MAX];
};

/*
 * The word of a finding from number *at on, and *at behind it. False if there is none any more that
 * a key opens.
 */
bool findings_next_word(
        const struct findings *findings, unsigned *at, struct inspect_word *ret_word) MUST_USE;
bool inspect_same_word(const struct inspect_word *a, const struct inspect_word *b);
/* Append a block that has these words, and no others: "{images: [busybox], privileged: true}". */
void inspect_write_block(enum inspect_block block, const struct inspect_word *words, unsigned count,
        struct text *text);

/* A number for the places and keys of the findings, the same whenever these are. */
uint32_t findings_hash(const struct findings *findings);
/* Who reads a sentence: words that may hold secrets, such as those of a command, are the sender's.
 */
enum findings_reader {
	FINDINGS_SENDER,
	FINDINGS_LOG,
};
/*
 * Append what would allow the request, to be pasted: YAML, with a comment that says where it
 * belongs, or a variable with its value; nothing, if no keys of the block alone would.
 */
void findings_add_remedy(const struct findings *findings, enum findings_reader reader,
        struct text *yaml, struct text *variable);
/* Append one as a sentence without a full stop: "/HostConfig/Privileged: …". */
void findings_add_sentence(const struct findings *findings, unsigned i, enum findings_reader reader,
        struct text *text);
/*
 * Append what to add to the block so that it allows the body, as the end of a sentence after
 * "To allow it, ", without a full stop; nothing, if no key opens all of it.
 */
void findings_advise(
        const struct findings *findings, enum findings_reader reader, struct text *text);
/*
 * Append the sentences for the client: "container.create: policy 'ci' does not allow this
 * (ci.yaml:7, 'create'): /HostConfig/Privileged: …; …; and 3 more. To allow it, …"
 */
void findings_add_denial(const struct findings *findings, enum findings_reader reader,
        const char *operation, const char *policy, struct text *text);

/* ── Judging ─────────────────────────────────────────────────────────────── */

/* A path of the host that a body names and a block allows as text. */
struct inspect_path {
	struct slice path;
	struct slice resolved; /* where it leads: the same without symbolic links; with a problem,
	                          as far as it was walked */
	size_t there;          /* bytes of `resolved` that are there */
	const char *problem;   /* a literal: it could not be resolved; NULL: it was */
};

/*
 * inspect_body() adds the paths that it must know more about, and does not allow them. The caller
 * resolves those from number `answered` on (hostfs/), and asks again with the same body.
 */
struct inspect_paths {
	unsigned count;
	unsigned answered;
	unsigned steps;            /* that are left */
	const struct set *sources; /* directories that the paths may lead to; NULL: any */
	bool takes_socket;         /* they may also lead to the Engine's socket */
	struct inspect_path list[INSPECT_PATHS_MAX];
	struct text text; /* of all the paths, over `memory` */
	char memory[INSPECT_PATHS_TEXT_MAX];
};

/* Begin with none. */
void inspect_paths_begin(struct inspect_paths *paths);
/*
 * Whether a path may lead through `way`: what the paths may lead to is below it, or holds it. No
 * other place is looked at, so that nobody learns from an answer what is there.
 */
bool inspect_may_lead(const struct inspect_paths *paths, struct slice way);
/* Problems of a path, for behind it in a sentence. */
extern const char inspect_leads_out[];
extern const char inspect_too_many_paths[];

/* Memory for one query or body at a time. Large: its owner takes it from a pool. */
struct inspect_memory {
	struct json_node nodes[JSON_NODES_MAX];
	uint32_t marks[JSON_MARKS_MAX];
	char strings[INSPECT_BODY_MAX];
	char redirected[INSPECT_REDIRECTED_MAX];
	char members[INSPECT_STAMPS_MAX];
	char query[INSPECT_QUERY_MAX];
	/* No document is longer when it is written, but for what is redirected and stamped. A
	 * path or id that takes the place of another has no bytes to escape but backslashes, which
	 * become two bytes each. */
	char written[INSPECT_BODY_MAX + 2 * INSPECT_REDIRECTED_MAX + INSPECT_STAMPS_MAX];
	struct inspect_paths paths;
};

/* A document that is read into the memory. */
static inline struct json_document inspect_document(struct inspect_memory *memory)
{
	return (struct json_document){
	        .nodes = memory->nodes, .marks = memory->marks, .strings = memory->strings};
}

/*
 * What can be said before the body is read. False and findings: the operation is not allowed
 * under the block, whatever the body.
 */
bool inspect_request(const struct inspect_operation *operation,
        const struct docker_request *request, struct findings *findings) MUST_USE;
/* Judge the query of a request, ptr NULL: it has none. Appends to `findings`. */
void inspect_query(const struct inspect_operation *operation, const struct docker_request *request,
        struct slice query, struct inspect_memory *memory, struct findings *findings);
/* Copy a body, as it was received, to where inspect_body() writes the document. */
struct slice inspect_keep_body(struct slice body, struct inspect_memory *memory);
/*
 * Judge a whole body. Appends to `findings`, and returns what goes to the Engine in its place: the
 * same document, written anew into `memory`; or, if it is no document, its bytes. The objects that
 * the body names are looked at in `findings->view`, and the labels of its scope are added. The
 * paths of the host that it names are those of `findings->paths`.
 */
struct slice inspect_body(const struct inspect_operation *operation,
        const struct docker_request *request, struct slice body, struct inspect_memory *memory,
        struct findings *findings);

#endif
