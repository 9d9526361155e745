/* SPDX-License-Identifier: MIT */
/*
 * cgroup — the container of a process, by /proc/PID/cgroup (cgroups(7)).
 *
 * Of nested containers the outermost counts: it is the one that the Engine knows, and processes of
 * a container may make groups of any name below their own.
 */
#ifndef CONTAINERS_CGROUP_H
#define CONTAINERS_CGROUP_H

#include "identity/container.h"

struct cgroup {
	struct slice id;   /* of the container */
	struct slice path; /* of its group, up to the id and what belongs to it */
};

/* Find the container in the text of the file, of cgroup v1 or v2. False: there is none. */
bool cgroup_find(struct slice text, struct cgroup *ret_cgroup);

#endif
