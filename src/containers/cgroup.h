/* SPDX-License-Identifier: MIT */
/*
 * cgroup — the container of a process, by /proc/PID/cgroup (cgroups(7)).
 *
 * Of nested groups the innermost counts: a container may be started in the group of another one
 * (--cgroup-parent), and is not that one. Processes of a container may make groups of any name
 * below their own; such a name is that of no container whose first process is there.
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
