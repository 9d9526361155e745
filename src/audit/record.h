/* SPDX-License-Identifier: MIT */
/*
 * record — the audit record: what one request was, and what became of it, as a line of JSON.
 *
 * record_write() alone makes such lines. Whatever a client sends is a string in there: it can
 * neither end its string nor begin another line, and what terminals would obey is escaped. Bytes
 * that are no UTF-8, and NUL, become U+FFFD. Each value has a ceiling, and a line has
 * RECORD_LINE_MAX. docs/audit.md has the fields.
 */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include "identity/identity.h"
#include "outcome/outcome.h"

enum {
	/* Bytes of a value as it is written; a longer one is cut, and ends with "...". */
	RECORD_WORD_MAX = 256,
	RECORD_TARGET_MAX = 512,
	RECORD_RULE_MAX = 512,
	RECORD_REASON_MAX = 1024,
	RECORD_ID_LEN = 16,
	/* Of a line, with the hash of the one before and its newline: a pipe takes it whole. */
	RECORD_LINE_MAX = 4096,
};

struct record {
	int64_t time_ns; /* when the record is made, since 1970 */
	uint64_t id;     /* the same in all records of one request */
	/* Of the client: caller_add_name(). Len 0: the record is about the record itself. */
	struct slice peer;
	/* NULL or len 0: there is none, and the line has null. */
	const char *client;   /* the entry of `clients:` */
	const char *listener; /* by its name, or else its address */
	/* With several Engines: the one that the request names, and the member of a group that was
	 * asked. Without, the line has no such members. */
	bool has_engines;
	const char *engine, *member;
	const char *operation;
	struct slice target; /* what the operation is about: a name, an id, an image; a path */
	const char *policy;
	const char *rule;
	struct slice reason;
	enum verdict_word verdict;
	/* Of a stream that begins: false, and the line has null for what follows. */
	bool has_ended;
	unsigned status; /* 0: there was no response */
	int64_t duration_ns;
	uint64_t bytes; /* of the response's body */
};

/* The start of a line, made once a second: formatting a date costs as much as parsing a request.
 * Zeroed before its first use. */
struct record_clock {
	int64_t second; /* since 1970 */
	char start[40];
};

/* Append the line, without a newline; *ret_line has room for RECORD_LINE_MAX. */
void record_write(const struct record *record, struct record_clock *clock, struct text *ret_line);
/* Append the id as records have it: RECORD_ID_LEN hexadecimal digits. */
void record_add_id(uint64_t id, struct text *text);

#endif
