/* SPDX-License-Identifier: MIT */
/*
 * collection — the objects of a response of the Engine, one after the other as they come: of a
 * list, or of the stream of events.
 *
 * One question at a time is enough for everybody who waits for its answer. A question has a number:
 * who wants an answer to a question that begins after now waits for collection_next().
 */
#ifndef CONTAINERS_COLLECTION_H
#define CONTAINERS_COLLECTION_H

#include "ask/ask.h"
#include "json/json.h"

enum { COLLECTION_OBJECT_MAX = 64 * 1024 }; /* bytes; a longer object cannot be read */

struct collection;

struct collection_verbs {
	const char *name;   /* of the target, in the log */
	const char *target; /* of the question */
	bool endless;       /* events: the target ends with the moment from which on */
	/* A response begins. */
	void (*begun)(struct collection *collection);
	/* An object, whose memory is of no use after the call. NULL: one that cannot be read. */
	void (*take)(struct collection *collection, const struct json_node *object);
	/* The answer is there, or none will come: `answered` and `result`. */
	void (*ended)(struct collection *collection);
};

struct collection {
	const struct collection_verbs *verbs;
	struct asker *asker;
	struct pool *inspect_pool; /* of struct inspect_memory */
	const char *api_key;       /* NULL: none */
	struct ask ask;
	unsigned asked;            /* the number of the last question */
	unsigned answered;         /* the number of the last question that has ended */
	enum ask_state result;     /* how it ended; ASK_ANSWERED: well */
	int error;                 /* of ASK_UNREACHABLE: a negative errno */
	bool live;                 /* the head of the response has come */
	int64_t next_complaint_ns; /* earliest time of the next log line, monotonic */
	struct json_splitter splitter;
	char object[COLLECTION_OBJECT_MAX];
};

/* The members up to `api_key` are set; the collection is zero otherwise. */
static inline bool collection_asks(const struct collection *collection)
{
	return collection->asked != collection->answered;
}

/* The number of the next question. */
static inline unsigned collection_next(const struct collection *collection)
{
	return collection->asked + 1;
}

/* Ask, if no question is being asked. */
void collection_ask(struct collection *collection);
/* End the question without telling anybody. */
void collection_end(struct collection *collection);

#endif
