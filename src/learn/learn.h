/* SPDX-License-Identifier: MIT */
/*
 * learn — a record of the requests of clients, and the smallest policy that allows them.
 *
 * Requests are recorded by the verb `learn`, and under policies with `mode: observe`.
 * At the end the record is printed as a configuration file that can be used
 * unchanged. All workers share one record, with a lock.
 */
#ifndef LEARN_LEARN_H
#define LEARN_LEARN_H

#include "docker/docker.h"
#include "identity/clients.h"
#include "inspect/inspect.h"
#include "policy/policy.h"

#include <stdio.h>

enum {
	LEARN_CLIENTS_MAX = 32,  /* further clients share the last page */
	LEARN_UNKNOWN_MAX = 256, /* different unknown requests */
	LEARN_WORDS_MAX = 512,   /* that bodies of one client ask for */
	LEARN_PATH_MAX =
	        256, /* bytes of the path of an unknown request; longer ones are only counted */
};

struct learn;

/* NULL without memory. */
struct learn *learn_new(void) MUST_USE;
/* `learn` may be NULL. */
void learn_free(struct learn *learn);

/*
 * Record a request, and what its body asks for; `findings` NULL: nothing. `client` NULL: who has
 * no name is known by host and user. The first request of a client for an operation is logged.
 * Returns the number for learn_served() if the request is unknown, else 0. From any thread.
 */
unsigned learn_note(struct learn *learn, const struct caller *caller, const struct client *client,
        const struct docker_request *request, const struct findings *findings);
/*
 * The Engine served the unknown request `number`, which is not 0. If it was never served, it is
 * printed without a rule: every Engine responds to stray requests (/, /metrics) with 404. From any
 * thread.
 */
void learn_served(struct learn *learn, unsigned number);

/*
 * Append the smallest policy that allows these operations, ids in the order of the catalogue, as
 * `policies:` of a file. It knows no bodies: of blocks that the operations need it says that they
 * are missing.
 */
void learn_propose(const char *policy, const unsigned *ids, unsigned count, struct text *text);

/* An address to listen on. */
struct learn_listener {
	const char *address;
	const char *name; /* NULL: none */
	unsigned mode;    /* of a unix socket's file; ignored for other addresses */
	bool records;     /* requests of who is no client */
	struct slice tls; /* the value of its key `tls`; len 0: it has none */
};

/* The part of the printed configuration that is not policies. */
struct learn_setting {
	const struct learn_listener *listeners; /* those that recorded; with clients, all */
	unsigned listener_count;
	unsigned other_count; /* other listeners, which are not printed */
	const char *engine;   /* its address */
	struct slice tls;     /* the value of `tls` beside the address; len 0: there is none */
};

/* Print the configuration; for each client, with the preset that allows as much. */
void learn_print(const struct learn *learn, const struct learn_setting *setting, FILE *out);

#endif
