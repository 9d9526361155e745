/* SPDX-License-Identifier: MIT */
/*
 * learn — what clients asked for, and the smallest policy that allows it.
 *
 * Notes are taken while the proxy learns, or while a policy only observes. In
 * the end they are printed as a configuration file that can be used as it is.
 * One record for all workers, with a lock: learning is no time of haste.
 */
#ifndef LEARN_LEARN_H
#define LEARN_LEARN_H

#include "docker/docker.h"
#include "identity/identity.h"
#include "policy/policy.h"

#include <stdio.h>

enum {
	LEARN_CLIENTS_MAX = POLICY_EXTENDS_MAX, /* further ones share the last page */
	LEARN_UNKNOWN_MAX = 256, /* different requests that no row of the catalogue fits */
	LEARN_PATH_MAX = 256,    /* bytes of such a request's path; longer ones are only counted */
};

struct learn;

/* NULL without memory. */
struct learn *learn_new(void) MUST_USE;
/* NULL is fine. */
void learn_free(struct learn *learn);

/*
 * Note a request. What a caller's host asks for for the first time is said in the
 * log. 0, or the number by which learn_served() knows the request: one that is no
 * operation of the catalogue. From any thread.
 */
unsigned learn_note(
        struct learn *learn, const struct caller *caller, const struct docker_request *request);
/*
 * The Engine serves what was noted as `number`, not 0. Without that, the request is printed without
 * a rule: every Engine responds to stray requests (/, /metrics) with 404. From any thread.
 */
void learn_served(struct learn *learn, unsigned number);

/* Where clients were listened to. */
struct learn_listener {
	const char *address;
	unsigned mode; /* of a unix socket's file; not looked at for others */
};

/* What the printed configuration says besides policies. */
struct learn_setting {
	const struct learn_listener *listeners; /* those that learnt */
	unsigned listener_count;
	unsigned other_count;    /* further ones, which did not and are not printed */
	const char *socket_path; /* of the Engine */
};

/* Print the configuration; for each client, with the preset that allows as much. */
void learn_print(const struct learn *learn, const struct learn_setting *setting, FILE *out);

#endif
