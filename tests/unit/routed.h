/* SPDX-License-Identifier: MIT */
/* Asks docker_route(); what comes of it stands in `request`. */
#ifndef TESTS_ROUTED_H
#define TESTS_ROUTED_H

#include "cases.h"

#include "docker/docker.h"

static struct docker_request request;

static enum docker_error route_with(
        const char *method, struct slice path, const char *query, bool has_body)
{
	const struct docker_target target = {
	        .method = slice_of(method),
	        .path = path,
	        .query = query == NULL ? (struct slice){NULL, 0} : slice_of(query),
	        .has_body = has_body,
	};

	return docker_route(&target, &request);
}

static enum docker_error route(const char *method, const char *path)
{
	return route_with(method, slice_of(path), NULL, false);
}

static void is_routed(const char *what, enum docker_error error)
{
	if (error != DOCKER_OK) {
		fail_msg("%s: refused: %s", what, docker_error_text(error));
	}
}

#endif
