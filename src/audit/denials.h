/* SPDX-License-Identifier: MIT */
/*
 * denials — a line in the log for denied requests: once a minute for each host,
 * operation and reasons, with the number of denials since the last line.
 *
 * One table for all workers, so that the ceiling holds across them. It has a lock,
 * which allowed requests never take.
 */
#ifndef AUDIT_DENIALS_H
#define AUDIT_DENIALS_H

#include "identity/clients.h"
#include "outcome/outcome.h"
#include "policy/policy.h"

#include <pthread.h>

enum {
	DENIALS_SETS = 256,
	DENIALS_WAYS = 4, /* entries of one set; the oldest makes room */
};

struct denials_entry {
	struct caller caller;  /* its host counts */
	const char *operation; /* NULL: the entry is free */
	bool observed;
	uint32_t topic;    /* of the findings: see findings_hash(); 0: there are none */
	int64_t logged_ns; /* when its last line was written */
	uint64_t count;    /* since then */
};

struct recent;

struct denials {
	struct recent *recent; /* for those who operate the program; NULL: nobody does */
	pthread_mutex_t lock;
	struct denials_entry entries[DENIALS_SETS][DENIALS_WAYS];
};

void denials_init(struct denials *denials);

/* How many denials a line that is due now stands for; 0: none is due. */
uint64_t denials_count(struct denials *denials, int64_t now_ns, const struct caller *caller,
        const char *operation, bool observed, uint32_t topic);

/* At the end: say how often was denied what was not said since the last line. */
void denials_finish(struct denials *denials);

struct denial {
	const struct caller *caller;
	const struct client *client;   /* NULL: none */
	const struct clients *clients; /* among which it was sought; NULL: there are none */
	const struct sender *sender;   /* of `clients` */
	struct slice method;
	struct slice path; /* as sent where no policy judged, otherwise canonical */
	struct slice query;
	const struct policy *policy;          /* that judged; NULL: none was asked */
	const struct docker_request *request; /* that it judged */
	const struct findings *findings;      /* what is wrong with its body; NULL: nothing */
	const struct verdict *verdict;        /* without a policy: all zero */
	/* Without a policy: how the request ended, and a sentence that says why. */
	enum outcome outcome;
	const char *reason; /* NULL: the text of the outcome */
	/* Among several Engines: that the request means; NULL: none, or there is one alone. */
	const char *engine;
	/* Of an Engine that is denied, what would allow it, in words and to be pasted; else empty.
	 */
	struct slice advice, remedy;
	unsigned listener; /* number of its name, for metrics */
	uint64_t id;       /* of its record; 0: of what was no request */
};

/* Append why, as the log has it. */
void denial_add_reason(const struct denial *denial, struct text *text);

/* Count one, and write its line when one is due. */
void denials_report(struct denials *denials, int64_t now_ns, const struct denial *denial);

#endif
