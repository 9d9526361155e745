/* SPDX-License-Identifier: MIT */
/*
 * learn — what clients asked for, and the smallest policy that allows it.
 *
 * Each worker notes into a notebook of its own, so that nothing is shared
 * while requests run. When the workers have stopped, their notebooks are
 * merged and printed as a configuration file that can be used as it is.
 */
#ifndef LEARN_LEARN_H
#define LEARN_LEARN_H

#include "docker/docker.h"
#include "policy/policy.h"

#include <stdio.h>

enum {
	LEARN_CLIENTS_MAX = 256,   /* further ones share the last page */
	LEARN_CLIENT_MAX = 56,     /* bytes of a client's name */
	LEARN_STRANGERS_MAX = 256, /* different requests that no row of the catalogue fits */
	LEARN_PATH_MAX = 256, /* bytes of such a request's path; longer ones are only counted */
};

struct learn;

/* NULL without memory. */
struct learn *learn_new(void) MUST_USE;
/* NULL is fine. */
void learn_free(struct learn *learn);

/* Note a request of `client`, an address without port; whether it is the first of that operation.
 */
bool learn_note(struct learn *learn, struct slice client, struct slice method,
        const struct docker_request *request);

/* Add what `from` holds to `into`. */
void learn_merge(struct learn *into, const struct learn *from);

/* What the printed configuration says besides policies. */
struct learn_setting {
	const char *const *listeners; /* addresses to listen on */
	unsigned listener_count;
	const char *socket_path; /* of the Engine */
};

/* Print the configuration; presets that fit are named. `set` is asked for presets. */
void learn_print(const struct learn *learn, const struct learn_setting *setting,
        struct policy_set *set, FILE *out);

#endif
