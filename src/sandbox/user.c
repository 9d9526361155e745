/* SPDX-License-Identifier: MIT */
#include "sandbox/internal.h"

#include "address/address.h"
#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No user of the host; other images use this id, too. */
enum { SANDBOX_ID = 65532 };

/*
 * Whether the current user may open the socket: 0, or -errno. The test is a
 * connect(), because modes of directories, access lists and security modules
 * decide as well. The kernel checks the permission before it reports that
 * nobody listens (ECONNREFUSED) or that the queue is full (EAGAIN).
 */
static int try_socket(const char *path)
{
	const union address address = address_of_path(slice_of(path));
	const int fd = address_connect(&address, NULL);

	if (fd >= 0) {
		(void)close(fd);
	}
	return fd >= 0 || fd == -ECONNREFUSED || fd == -EAGAIN ? 0 : fd;
}

static int become_effectively(uid_t uid, gid_t gid)
{
	/* Only root may change the group: become root first, and another user last. */
	if (uid == 0 && seteuid(0) < 0) {
		return -errno;
	}
	if (setegid(gid) < 0 || (uid != 0 && seteuid(uid) < 0)) {
		return -errno;
	}
	return 0;
}

/* Try the socket as SANDBOX_ID with `count` further groups, then become root again. */
static int try_socket_as(const char *path, const gid_t *groups, size_t count, int *ret_result)
{
	const gid_t own_gid = getegid();

	if (setgroups(count, groups) < 0) {
		return -errno;
	}
	int r = become_effectively(SANDBOX_ID, SANDBOX_ID);
	if (r == 0) {
		*ret_result = try_socket(path);
	}
	const int back = become_effectively(0, own_gid);
	if (back < 0) {
		log_line(LOG_ERR, "cannot become root again after trying the Engine's socket: %s",
		        strerrordesc_np(-back));
		_exit(1); /* neither root nor fully unprivileged: it must not serve */
	}
	return r;
}

/* Keep of the capabilities those of a set, as far as the process has them. */
static int keep_capabilities(uint32_t kept)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

	if ((prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) ||
	        syscall(SYS_capget, &header, sets) < 0) {
		return -errno;
	}
	for (unsigned i = 0; i < ARRAY_LEN(sets); i++) {
		const uint32_t mask = i == 0 ? kept : 0;
		sets[i].effective &= mask;
		sets[i].permitted &= mask;
		sets[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

/* Capabilities that a later execve() could regain; without CAP_SETPCAP this is not possible. */
static void drop_bounding_set(void)
{
	for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
	        capability++) {
		(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	}
}

static int drop_root(const gid_t *groups, size_t count)
{
	drop_bounding_set();
	if (setgroups(count, groups) < 0 || setresgid(SANDBOX_ID, SANDBOX_ID, SANDBOX_ID) < 0 ||
	        setresuid(SANDBOX_ID, SANDBOX_ID, SANDBOX_ID) < 0) {
		return -errno;
	}
	const int r = keep_capabilities(0);
	if (r < 0) {
		return r;
	}
	/* Verify that root cannot be regained. */
	if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0 || geteuid() != SANDBOX_ID ||
	        getegid() != SANDBOX_ID) {
		return -EPERM;
	}
	return 0;
}

/* The groups of the process, to restore them; NULL: there are none, or no memory. */
static gid_t *copy_groups(size_t *ret_count)
{
	const int count = getgroups(0, NULL);
	gid_t *groups = count > 0 ? calloc((size_t)count, sizeof(*groups)) : NULL;

	*ret_count = 0;
	if (groups != NULL && getgroups(count, groups) == count) {
		*ret_count = (size_t)count;
	}
	return groups;
}

static void log_root_stays(const char *path, const struct stat *socket, int result)
{
	const char *hint = (socket->st_mode & (S_IWGRP | S_IWOTH)) != 0
	                           ? "although its mode allows it: a directory in its path, an "
	                             "access list or a security module denies it"
	                           : "only its owner can open it";

	log_line(LOG_WARNING,
	        "staying root (0:0): %d:%d with group %u cannot open the Engine's socket %s "
	        "(owner %u:%u, mode %04o): %s, %s",
	        SANDBOX_ID, SANDBOX_ID, socket->st_gid, path, socket->st_uid, socket->st_gid,
	        socket->st_mode & 07777U, strerrordesc_np(-result), hint);
}

/* ── Further Engines ─────────────────────────────────────────────────────── */

void sandbox_allow_engine(struct sandbox *sandbox, const char *path)
{
	struct stat socket;
	unsigned i = 0;

	if (path == NULL || stat(path, &socket) < 0 || !S_ISSOCK(socket.st_mode) ||
	        (socket.st_mode & (S_IWGRP | S_IWOTH)) != S_IWGRP) {
		return;
	}
	while (i < sandbox->group_count && sandbox->groups[i] != socket.st_gid) {
		i++;
	}
	if (i == SANDBOX_GROUPS_MAX) {
		log_line(LOG_WARNING,
		        "the sockets of Engines have more than %d groups: %s may not be opened",
		        SANDBOX_GROUPS_MAX, path);
	} else if (i == sandbox->group_count) {
		sandbox->groups[sandbox->group_count++] = socket.st_gid;
	}
}

/* The group of the default Engine's socket, if it is needed, and those of the others. */
struct groups {
	size_t count;
	gid_t list[1 + SANDBOX_GROUPS_MAX];
};

static struct groups collect_groups(const struct sandbox *sandbox, const gid_t *own, size_t count)
{
	struct groups groups = {.count = count};

	if (count > 0) {
		groups.list[0] = *own;
	}
	for (unsigned i = 0; i < sandbox->group_count; i++) {
		groups.list[groups.count++] = sandbox->groups[i];
	}
	return groups;
}

static void log_further_groups(const struct sandbox *sandbox)
{
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	for (unsigned i = 0; i < sandbox->group_count; i++) {
		text_add_format(&text, "%s%u", i == 0 ? "" : ", ", sandbox->groups[i]);
	}
	if (sandbox->group_count > 0) {
		log_line(LOG_INFO, "groups of the sockets of further Engines: %.*s",
		        SLICE_FMT(text_slice(&text)));
	}
}

static void log_dropped(const char *path, const struct stat *socket, bool with_group)
{
	char group[32] = "no further group";
	struct text text = text_over(group, sizeof(group));

	if (with_group) {
		text_add_format(&text, "group %u", socket->st_gid);
	}
	log_line(LOG_INFO,
	        "started as root, now running as %d:%d with %s%s, which can open the Engine's "
	        "socket %s (owner %u:%u, mode %04o)",
	        SANDBOX_ID, SANDBOX_ID, group,
	        with_group && socket->st_gid == 0
	                ? " (root's group, since the socket belongs to it)"
	                : "",
	        path, socket->st_uid, socket->st_gid, socket->st_mode & 07777U);
}

/*
 * Find the smallest set of groups that can open the socket, and become 65532
 * with it. 0 also if root has to stay; -errno if the drop itself failed.
 */
static int leave_root_for(const struct sandbox *sandbox, const char *path,
        const struct stat *socket, bool *ret_dropped)
{
	int result = 0;

	for (size_t count = 0; count <= 1; count++) {
		int r = try_socket_as(path, &socket->st_gid, count, &result);
		if (r < 0) {
			log_line(LOG_WARNING,
			        "staying root (0:0): changing to %d:%d is not permitted (%s); give "
			        "the container the capabilities SETUID and SETGID, or start it "
			        "with --user %d:%u",
			        SANDBOX_ID, SANDBOX_ID, strerrordesc_np(-r), SANDBOX_ID,
			        socket->st_gid);
			return 0;
		}
		if (result < 0) {
			continue;
		}
		const struct groups groups = collect_groups(sandbox, &socket->st_gid, count);
		r = drop_root(groups.list, groups.count);
		if (r < 0) {
			log_line(LOG_ERR, "cannot change from root to %d:%d for good: %s",
			        SANDBOX_ID, SANDBOX_ID, strerrordesc_np(-r));
			return r;
		}
		*ret_dropped = true;
		log_dropped(path, socket, count > 0);
		log_further_groups(sandbox);
		return 0;
	}
	log_root_stays(path, socket, result);
	return 0;
}

static int leave_root(const struct sandbox *sandbox, const char *path)
{
	struct stat socket;

	if (stat(path, &socket) < 0) {
		log_line(LOG_WARNING,
		        "staying root (0:0): the group of the Engine's socket is unknown: "
		        "%s: %s",
		        path, strerrordesc_np(errno));
		return 0;
	}
	if (!S_ISSOCK(socket.st_mode)) {
		log_line(LOG_WARNING,
		        "staying root (0:0): the group of the Engine's socket is unknown: "
		        "%s is %s",
		        path, S_ISDIR(socket.st_mode) ? "a directory" : "not a socket");
		return 0;
	}
	size_t count;
	gid_t *groups = copy_groups(&count);
	bool dropped = false;
	int r = leave_root_for(sandbox, path, &socket, &dropped);
	if (r == 0 && !dropped && setgroups(count, groups) < 0 && errno != EPERM) {
		r = -errno;
		log_line(LOG_ERR, "cannot restore the groups of the process: %s",
		        strerrordesc_np(-r));
	}
	free(groups);
	return r;
}

/* For an Engine behind TCP no file has to be opened. */
static int leave_root_for_tcp(const struct sandbox *sandbox)
{
	const struct groups groups = collect_groups(sandbox, NULL, 0);
	const int r = drop_root(groups.list, groups.count);

	if (r == -EPERM && geteuid() == 0) {
		log_line(LOG_WARNING,
		        "staying root (0:0): changing to %d:%d is not permitted; give the "
		        "container "
		        "the capabilities SETUID and SETGID, or start it with --user %d:%d",
		        SANDBOX_ID, SANDBOX_ID, SANDBOX_ID, SANDBOX_ID);
		return 0;
	}
	if (r < 0) {
		log_line(LOG_ERR, "cannot change from root to %d:%d for good: %s", SANDBOX_ID,
		        SANDBOX_ID, strerrordesc_np(-r));
		return r;
	}
	log_line(LOG_INFO, "started as root, now running as %d:%d%s", SANDBOX_ID, SANDBOX_ID,
	        groups.count == 0 ? " with no further group" : "");
	log_further_groups(sandbox);
	return 0;
}

/* What reads files, walks to sockets and listens on ports below 1024 although they are another
 * user's: all are below 32. */
int user_drop_capabilities(void)
{
	drop_bounding_set();
	return keep_capabilities(
	        1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_NET_BIND_SERVICE);
}

int user_leave_root(const struct sandbox *sandbox, const char *socket_path)
{
	if (geteuid() == 0) {
		return socket_path == NULL ? leave_root_for_tcp(sandbox)
		                           : leave_root(sandbox, socket_path);
	}
	log_line(LOG_INFO, "running as %u:%u", geteuid(), getegid());
	return 0;
}
