/* SPDX-License-Identifier: MIT */
#include "containers/cgroup.h"

/* What stands around the id in the name of a group: the drivers cgroupfs and systemd of Docker,
 * podman, containerd and CRI-O. */
static const struct {
	struct slice front, back;
} names[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("docker-"), SLICE_INIT(".scope")},
        {SLICE_INIT("libpod-"), SLICE_INIT(".scope")},
        {SLICE_INIT("libpod-"), SLICE_INIT("")},
        {SLICE_INIT("cri-containerd-"), SLICE_INIT(".scope")},
        {SLICE_INIT("crio-"), SLICE_INIT(".scope")},
};

static bool is_id(struct slice word)
{
	for (size_t i = 0; i < word.len; i++) {
		if (!ascii_is_digit(word.ptr[i]) && (word.ptr[i] < 'a' || word.ptr[i] > 'f')) {
			return false;
		}
	}
	return word.len == CONTAINER_ID_LEN;
}

/* The id in the name of a group; len 0: there is none. */
static struct slice id_of(struct slice name)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct slice id = name;
		if (slice_skip(&id, names[i].front) && slice_ends_with(id, names[i].back)) {
			id.len -= names[i].back.len;
			if (is_id(id)) {
				return id;
			}
		}
	}
	return (struct slice){"", 0};
}

static bool find_in_path(struct slice path, struct cgroup *ret_cgroup)
{
	struct slice rest = path;
	struct slice name;
	bool found = false;

	while (slice_next(&rest, '/', &name)) {
		const struct slice id = id_of(name);
		if (id.len > 0) {
			ret_cgroup->id = id;
			ret_cgroup->path = slice_between(path.ptr, name.ptr + name.len);
			found = true;
		}
	}
	return found;
}

/* "HIERARCHY:CONTROLLERS:PATH"; of v2 "0::PATH". */
bool cgroup_find(struct slice text, struct cgroup *ret_cgroup)
{
	struct slice line;

	while (slice_next(&text, '\n', &line)) {
		struct slice hierarchy;
		struct slice controllers;
		if (slice_next(&line, ':', &hierarchy) && slice_next(&line, ':', &controllers) &&
		        find_in_path(line, ret_cgroup)) {
			return true;
		}
	}
	return false;
}
