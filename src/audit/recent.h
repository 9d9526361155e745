/* SPDX-License-Identifier: MIT */
/*
 * recent — the newest denials, each with what would allow it, for those who operate the program.
 *
 * One table for all workers, with a lock that only denied requests and its reader take. Equal
 * denials are one entry with a count. A host has a share of the entries at most, so that one which
 * asks for thousands of things does not push away what others were denied.
 */
#ifndef AUDIT_RECENT_H
#define AUDIT_RECENT_H

#include "audit/denials.h"
#include "identity/clients.h"

enum {
	RECENT_MAX = 100,
	RECENT_OF_HOST_MAX = 25,
	/* Bytes of each value, with the NUL; what is longer is cut. */
	RECENT_METHOD_MAX = 16,
	RECENT_PATH_MAX = 256,
	RECENT_TARGET_MAX = 128,
	RECENT_POLICY_MAX = 128,
	RECENT_RULE_MAX = 256,
	RECENT_REASON_MAX = 1536,
	RECENT_YAML_MAX = 1024,
	RECENT_VARIABLE_MAX = 512,
};

struct recent_denial {
	uint64_t number;   /* the newest has the highest; 0: the entry is free */
	uint64_t count;    /* of equal ones */
	int64_t at_ns;     /* of the newest, since 1970 */
	uint64_t id;       /* of the newest, as its record has it; 0: it was no request */
	uint32_t topic;    /* equal for equal ones */
	unsigned listener; /* number of its name, for metrics */
	bool observed;     /* the policy only observes */
	bool judged; /* `operation` is one, and `policy` judged; else it is a word of outcomes */
	const char *operation;
	struct caller caller;             /* of the newest */
	char client[CLIENT_NAME_MAX + 1]; /* "": none */
	char method[RECENT_METHOD_MAX];
	char path[RECENT_PATH_MAX];
	char target[RECENT_TARGET_MAX]; /* "": none */
	char policy[RECENT_POLICY_MAX];
	char rule[RECENT_RULE_MAX]; /* "": none decided */
	char reason[RECENT_REASON_MAX];
	char yaml[RECENT_YAML_MAX]; /* "": none; to be pasted */
	char variable[RECENT_VARIABLE_MAX];
};

struct recent;

/* NULL without memory. */
struct recent *recent_new(void) MUST_USE;
/* `recent` may be NULL. */
void recent_free(struct recent *recent);

/* Note one; from any thread. `recent` may be NULL. */
void recent_note(struct recent *recent, const struct denial *denial);
/* Copy the entries, the newest first; returns how many. `recent` may be NULL. */
unsigned recent_copy(struct recent *recent, struct recent_denial ret_list[RECENT_MAX]);

#endif
