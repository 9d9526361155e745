/* SPDX-License-Identifier: MIT */
#include "containers/peer.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "containers/cgroup.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

enum { PROC_SIZE_MAX = 8192 }; /* bytes of a file in /proc/PID */

struct proc_file {
	struct slice text;
	char memory[PROC_SIZE_MAX];
};

/* False: the process has ended, or the file is longer. */
static bool read_proc(pid_t pid, const char *name, struct proc_file *ret_file)
{
	char path[64];
	struct text text = text_over(path, sizeof(path));

	text_add_format(&text, "/proc/%d/%s", (int)pid, name);
	text_add_char(&text, '\0');
	const ssize_t len = file_read(path, ret_file->memory, sizeof(ret_file->memory));
	ret_file->text = (struct slice){ret_file->memory, len < 0 ? 0 : (size_t)len};
	return len >= 0 && (size_t)len < sizeof(ret_file->memory);
}

/* ── Whether a pid is still that of the process that connected ───────────── */

/* By field 22 of /proc/PID/stat: ticks from the start of the machine (proc(5)). Field 2 is in
 * brackets, and may have any byte. */
bool peer_began_before(const struct peer *peer)
{
	struct proc_file stat;
	struct slice field = {"", 0};
	struct timespec up;
	uint64_t ticks = 0;

	if (!read_proc(peer->pid, "stat", &stat)) {
		return false;
	}
	const char *bracket = memrchr(stat.text.ptr, ')', stat.text.len);
	struct slice rest = bracket == NULL ? (struct slice){"", 0}
	                                    : slice_between(bracket, stat.text.ptr + stat.text.len);
	for (unsigned i = 2; i <= 22; i++) {
		if (!slice_next(&rest, ' ', &field)) {
			return false;
		}
	}
	(void)clock_gettime(CLOCK_BOOTTIME, &up);
	const int64_t since_ns = (int64_t)up.tv_sec * NS_PER_S + up.tv_nsec -
	                         (clock_monotonic_ns() - peer->since_ns);
	return since_ns >= 0 && slice_to_u64(field, UINT64_MAX, &ticks) == 0 &&
	       ticks <= (uint64_t)(since_ns / (NS_PER_S / sysconf(_SC_CLK_TCK)));
}

bool peer_is_there(const struct peer *peer)
{
	struct pollfd ended = {.events = POLLIN};
	socklen_t len = sizeof(ended.fd);

	if (getsockopt(peer->fd, SOL_SOCKET, SO_PEERPIDFD, &ended.fd, &len) < 0) {
		return errno == ENOPROTOOPT && peer_began_before(peer);
	}
	const int count = poll(&ended, 1, 0);
	(void)close(ended.fd);
	return count == 0;
}

/* ── The container ───────────────────────────────────────────────────────── */

bool peer_find(const struct peer *peer, char id[CONTAINER_ID_LEN + 1])
{
	struct proc_file file;
	struct cgroup group;

	if (peer->pid <= 0 || !read_proc(peer->pid, "cgroup", &file) ||
	        !cgroup_find(file.text, &group)) {
		return false;
	}
	id[text_keep(id, CONTAINER_ID_LEN, group.id)] = '\0';
	return peer_is_there(peer);
}

bool peer_is_with(const struct peer *peer, pid_t first)
{
	struct proc_file file;
	struct proc_file first_file;
	struct cgroup group;
	struct cgroup first_group;

	return first > 0 && read_proc(peer->pid, "cgroup", &file) &&
	       read_proc(first, "cgroup", &first_file) && cgroup_find(file.text, &group) &&
	       cgroup_find(first_file.text, &first_group) &&
	       slice_equal(group.path, first_group.path) && peer_is_there(peer);
}
