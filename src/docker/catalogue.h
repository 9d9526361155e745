/* SPDX-License-Identifier: MIT */
/*
 * catalogue — the table of endpoints as the router walks it. Private to docker/.
 */
#ifndef DOCKER_CATALOGUE_H
#define DOCKER_CATALOGUE_H

#include "docker/docker.h"

/* The first row of a section; the rows of a section are contiguous. */
unsigned catalogue_group(enum docker_section section);

/* Every pattern ends with at least this number of literal bytes, or with a parameter. */
enum { CATALOGUE_TAIL = 4 };

/* The part of a row that excludes most rows before patterns are compared. */
struct catalogue_key {
	const char *tail; /* the last CATALOGUE_TAIL bytes of the pattern */
	uint8_t method;
	uint8_t section;
};

extern const struct catalogue_key catalogue_keys[]; /* one for each row, and one at the end */

/* `segment`: "containers", "libpod/containers". */
enum docker_section catalogue_section(struct slice segment);

/* The id of a request that no row fits. */
unsigned catalogue_unknown(enum docker_section section, enum docker_method method);

#endif
