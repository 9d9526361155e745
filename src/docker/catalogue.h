/* SPDX-License-Identifier: MIT */
/*
 * catalogue — the table of endpoints as the router walks it. Private to docker/.
 */
#ifndef DOCKER_CATALOGUE_H
#define DOCKER_CATALOGUE_H

#include "docker/docker.h"

/* The first row of a section; its rows follow each other. */
unsigned catalogue_group(enum docker_section section);

/* Every pattern ends in so many literal bytes at least, or in a parameter. */
enum { CATALOGUE_TAIL = 4 };

/* By these most rows are passed over. */
struct catalogue_key {
	const char *tail; /* the last CATALOGUE_TAIL bytes of the pattern */
	uint8_t method;
	uint8_t section;
};

extern const struct catalogue_key catalogue_keys[]; /* of each row, and one that ends them */

/* `segment`: "containers", "libpod/containers". */
enum docker_section catalogue_section(struct slice segment);

/* The id of what no row fits. */
unsigned catalogue_unknown(enum docker_section section, enum docker_method method);

#endif
