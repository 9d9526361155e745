/* SPDX-License-Identifier: MIT */
/*
 * containers — in which container a client runs.
 *
 * Of a client at a unix socket the process tells it, by its cgroup. Of a client with an address,
 * the Engine is asked which container has the address, if a network of the Engine has it. In either
 * case the container is inspected by its id, at the time of the search: it must run and have the
 * address, or the cgroup. The list of containers only says which to inspect.
 *
 * One for each thread. While anything was found, the Engine's events are read. They tell when
 * something that was found holds no longer; without them nothing holds.
 */
#ifndef CONTAINERS_CONTAINERS_H
#define CONTAINERS_CONTAINERS_H

#include "ask/ask.h"
#include "identity/container.h"
#include "identity/identity.h"

struct containers;

enum containers_change {
	CONTAINERS_STARTED, /* who was in no container may be in one now */
	CONTAINERS_CHANGED, /* the container must be searched again */
	CONTAINERS_STOPPED, /* the container has stopped */
	CONTAINERS_LOST,    /* nothing that was found is certain */
};

/* `id`: of the container; len 0: of all. `at_ns`: when it was, since 1970; 0: it is not known. */
typedef void containers_notify(
        void *owner, enum containers_change change, struct slice id, int64_t at_ns);

/*
 * The default Engine of `asker` is asked. `inspect_pool`: memory for one document, struct
 * inspect_memory, which is free when the loop calls. `api_key` may be NULL. `max`: ceiling for
 * containers that are known at the same time: of each client the one that was found, and the one
 * that is searched. NULL without memory.
 */
struct containers *containers_new(struct asker *asker, struct pool *inspect_pool,
        const char *api_key, unsigned max, containers_notify *notify, void *owner) MUST_USE;
/* No search may be going on, and nothing found be in use. `containers` may be NULL. */
void containers_free(struct containers *containers);
/* Ask the Engine nothing any more; the loop is about to end. `containers` may be NULL. */
void containers_stop(struct containers *containers);
/* Return unused memory; whether any is left. */
bool containers_trim(struct containers *containers);

/* A container that was found, for all clients in it. Immutable. */
struct found {
	struct container container;
	int64_t started_ns; /* since 1970, by the Engine's clock */
	unsigned users;
	struct containers *home;
	struct list link;
};

/* It is of no use any more; NULL: nothing. */
void found_leave(struct found *found);

enum search_result {
	SEARCH_GOES_ON,
	SEARCH_FOUND,
	SEARCH_NONE,   /* the client is in no container, as far as can be known */
	SEARCH_FAILED, /* the Engine did not say: `why` and `error` as in struct ask */
};

struct search;
/* The search has ended. Never within a call of a function of this header. */
typedef void search_notify(struct search *search);

/* The container of one client. */
struct search {
	struct containers *home;
	search_notify *notify;
	const struct caller *caller;
	int fd;           /* of the connection */
	int64_t since_ns; /* when it was accepted, monotonic */
	enum search_result result;
	struct found *found; /* of SEARCH_FOUND: the caller of search_begin() leaves it */
	enum ask_state why;
	int error;
	/* Private. */
	unsigned step;
	unsigned awaited; /* the number of a question: see collection.h */
	unsigned rounds;  /* lists that did not have the address, and inspections of no use */
	unsigned starts;  /* containers that had started when the pause began */
	bool stale;       /* the inspection is of no use */
	char id[CONTAINER_ID_LEN + 1];
	struct ask inspection;
	struct timer pause;
	struct task again;
	struct list link;
};

/* Begin `search`, whose memory may be anything. It ends with `notify`, or with search_end(). */
void search_begin(struct search *search, struct containers *containers, search_notify *notify,
        const struct caller *caller, int fd, int64_t since_ns);
/* End it. Its memory may go at the end of the loop's turn. */
void search_end(struct search *search);

#endif
