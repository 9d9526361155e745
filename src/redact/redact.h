/* SPDX-License-Identifier: MIT */
/*
 * redact — hides values in answers of the Engine.
 *
 * A policy says what is hidden: `redact: [env, "labels:com.example.*"]`. The kinds are the rows of
 * kinds.def. rows.def names the places of each kind in the documents of the Engine and of podman,
 * operations.def the operations whose answers are such documents.
 *
 * An answer is rewritten on its way. The redactor is a machine over bytes: at each point it knows
 * which row the value that begins there belongs to. It holds nothing back, so that what came in
 * whole goes out whole: one document, a list of any length, and an endless stream of documents
 * (events) are the same to it. A string that is hidden becomes "redacted", an empty one stays;
 * numbers, booleans, null, names of members and the order of everything stay as they are.
 *
 * What the machine cannot read as JSON is refused, and nothing that follows is let through.
 *
 * Pure: no descriptor, no clock, no memory of its own.
 */
#ifndef REDACT_REDACT_H
#define REDACT_REDACT_H

#include "base/check.h"
#include "base/slice.h"
#include "base/text.h"

enum {
	REDACT_LABELS_MAX = 64, /* patterns for labels, of a policy with those that it extends */
	REDACT_DEPTH_MAX = 64,  /* containers of a document within each other */
	REDACT_NAME_MAX = 256,  /* bytes of a name that is compared; a longer label is hidden */
	REDACT_STEP_MAX = 16,   /* bytes of output that a step may need */
	REDACT_ROW_WORDS = 2,   /* 64 rows each */
	REDACT_ROWS_MAX = 64 * REDACT_ROW_WORDS,
	REDACT_HASHES = 256,
};

/* Bits. */
enum redact_kind {
#define KIND(name, word, text) REDACT_BIT_##name,
#include "redact/kinds.def"
#undef KIND
	REDACT_KIND_COUNT,
#define KIND(name, word, text) REDACT_##name = 1 << REDACT_BIT_##name,
#include "redact/kinds.def"
#undef KIND
	REDACT_ALWAYS = 1 << REDACT_KIND_COUNT,
};

/* ── What a policy asks for ──────────────────────────────────────────────── */

/* Zero: nothing. The patterns are the caller's. */
struct redact_wishes {
	unsigned kinds; /* bits */
	unsigned label_count;
	struct slice labels[REDACT_LABELS_MAX];
};

/* Add one word of `redact:`, "env" or "labels:com.example.*". -EINVAL: it is no such word;
 * -ENOSPC: there are too many patterns. */
int redact_wish(struct redact_wishes *wishes, struct slice word) MUST_USE;
/* Add all of `more`. -ENOSPC as above. */
int redact_unite(struct redact_wishes *wishes, const struct redact_wishes *more) MUST_USE;
/* Append "env, args, labels:com.example.*". */
void redact_add_wishes(const struct redact_wishes *wishes, struct text *text);
/* Append what a word may be: "env, args, labels:PATTERN, ...". */
void redact_add_words(struct text *text);

/* ── Operations ──────────────────────────────────────────────────────────── */

enum redact_answer {
	REDACT_PLAIN,    /* nothing in it is ever hidden */
	REDACT_DOCUMENT, /* JSON */
	REDACT_BYTES, /* of programs, files and logs: may show anything, and cannot be redacted */
};

/* The answer of an operation. `reads`: it changes nothing, or is in no row of the catalogue. */
enum redact_answer redact_answer_of(const char *operation, bool reads);

/* What is the same for all operations of a policy; immutable once it is made. */
struct redact_plan {
	struct redact_wishes wishes;
	/* Chains of rows by the hash of their names; numbers from 1, 0: the end. */
	uint8_t first[REDACT_HASHES];
	uint8_t next[REDACT_ROWS_MAX];
	struct slice names[REDACT_ROWS_MAX];
	struct slice parents[REDACT_ROWS_MAX]; /* len 0: any; "/": the document itself */
};

/* plan->wishes are set. */
void redact_plan_make(struct redact_plan *plan);

/* The rows that are in use for an operation; immutable. */
struct redaction {
	const struct redact_plan *plan;
	uint64_t rows[REDACT_ROW_WORDS]; /* bits */
	bool answers;                    /* successful responses have something to hide */
	unsigned errors;                 /* and errors from this status on; 0: none */
};

/* False: nothing of the operation is hidden. */
bool redaction_of(const struct redact_plan *plan, const char *operation, bool reads,
        struct redaction *ret_redaction) MUST_USE;

/* Whether both hide the same of the same operation; NULL: nothing. */
bool redaction_equal(const struct redaction *redaction, const struct redaction *other);

/* ── The machine ─────────────────────────────────────────────────────────── */

/* A container that has begun. */
struct redact_level {
	bool array;
	uint8_t shape; /* of what it holds */
	uint8_t name;  /* of the member that it is the value of: a row, or REDACT_NO_ROW */
};

struct redactor {
	const struct redaction *redaction;
	unsigned state;
	unsigned depth;
	uint8_t shape;       /* of the value that comes next, or is being read */
	uint8_t row;         /* of its name */
	uint8_t behind;      /* the state behind an escape */
	bool top_as_usual;   /* see redactor_begin() */
	unsigned column;     /* of a cell of a list of processes */
	unsigned digits;     /* of an escape that is being read */
	unsigned character;  /* its value so far */
	const char *literal; /* what is left of true, false or null */
	unsigned name_len;   /* above REDACT_NAME_MAX: not all of it is known */
	char name[REDACT_NAME_MAX];
	struct redact_level levels[REDACT_DEPTH_MAX + 1];
};

/*
 * `top_as_usual`: a list of processes has the columns of `ps -ef`, of which only the last is a
 * command. Otherwise each column may be one.
 */
void redactor_begin(
        struct redactor *redactor, const struct redaction *redaction, bool top_as_usual);

struct redact_result {
	size_t consumed; /* bytes of the input that were read */
	size_t produced; /* bytes of output */
	bool bad;        /* what follows `consumed` is no JSON; nothing more is read */
};

/*
 * Rewrite `in` into the `room` bytes at `out`. What was not consumed did not fit, and is to be
 * passed again; with REDACT_STEP_MAX bytes of room and input, something is consumed.
 */
struct redact_result redactor_rewrite(
        struct redactor *redactor, struct slice in, char *out, size_t room) MUST_USE;
/* Whether the input may end here: every document is whole. */
bool redactor_may_end(const struct redactor *redactor);

/* ── For the documents and the tests ─────────────────────────────────────── */

enum redact_shape {
	REDACT_KEEP,      /* the value stays; names within are looked for */
	REDACT_STRINGS,   /* every string within is hidden */
	REDACT_VALUES,    /* "NAME=value": the name stays; of an object every string is hidden */
	REDACT_LABELED,   /* a member, or "name=value", is hidden if a pattern fits its name */
	REDACT_PROCESSES, /* lines of cells; see redactor_begin() */
	REDACT_CELLS,     /* one of these lines */
	REDACT_CELL,
	REDACT_MAP,    /* of an object every string is hidden; a string stays */
	REDACT_ACTION, /* "exec_create: command": what is behind the colon; not of health_status */
	REDACT_SHAPE_COUNT,
};

#endif
