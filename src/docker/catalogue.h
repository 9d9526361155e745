/* SPDX-License-Identifier: MIT */
/*
 * catalogue — the table of endpoints as the router walks it. Private to docker/.
 */
#ifndef DOCKER_CATALOGUE_H
#define DOCKER_CATALOGUE_H

#include "docker/docker.h"

enum method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_OPTIONS,
	METHOD_OTHER, /* no row has it */
};

/* The first row of a section; its rows follow each other. */
unsigned catalogue_group(enum docker_section section);
enum method catalogue_method(unsigned row);

/* `segment`: "containers", "libpod/containers". */
enum docker_section catalogue_section(struct slice segment);

/* The id of what no row fits. */
unsigned catalogue_unknown(enum docker_section section, enum method method);

#endif
