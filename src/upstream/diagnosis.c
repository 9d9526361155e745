/* SPDX-License-Identifier: MIT */
#include "upstream/diagnosis.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* What an id that is not mapped into our user namespace looks like (user_namespaces(7)). */
enum { OVERFLOW_ID = 65534 };

enum {
	PATH_SIZE = 256, /* a unix socket's path has at most 108 */
	GROUPS_MAX = 1024,
	GROUPS_SHOWN_MAX = 16,
};

/* Who this process is to the kernel. */
struct identity {
	uid_t uid;
	gid_t gid;
	unsigned group_count; /* further groups */
	gid_t groups[GROUPS_MAX];
};

static void identity_get(struct identity *identity)
{
	const int count = getgroups(GROUPS_MAX, identity->groups);

	identity->uid = geteuid();
	identity->gid = getegid();
	identity->group_count = count > 0 ? (unsigned)count : 0;
}

static bool identity_has_group(const struct identity *identity, gid_t group)
{
	bool found = identity->gid == group;

	for (unsigned i = 0; i < identity->group_count; i++) {
		found = found || identity->groups[i] == group;
	}
	return found;
}

static void add_identity(struct text *text, const struct identity *us)
{
	text_add_format(text, "this process is %u:%u (groups:", us->uid, us->gid);
	for (unsigned i = 0; i < us->group_count && i < GROUPS_SHOWN_MAX; i++) {
		text_add_format(text, " %u", us->groups[i]);
	}
	if (us->group_count == 0) {
		text_add(text, SLICE(" none"));
	} else if (us->group_count > GROUPS_SHOWN_MAX) {
		text_add(text, SLICE(" ..."));
	}
	text_add_char(text, ')');
}

/* The lines for docker run and compose that make us `uid`:`gid`. */
static void add_user(struct text *text, uid_t uid, gid_t gid)
{
	text_add_format(
	        text, "with `--user %u:%u` (compose: `user: \"%u:%u\"`)", uid, gid, uid, gid);
}

/*
 * Owner, group and mode of `file`, who we are, and what gives us the right that
 * `group_bit` stands for in its mode.
 */
static void add_fix(struct text *text, const struct stat *file, mode_t group_bit)
{
	struct identity us;

	identity_get(&us);
	const bool by_owner = file->st_uid == us.uid;
	const bool by_group = !by_owner && identity_has_group(&us, file->st_gid);
	const mode_t owner_bit = group_bit << 3;
	const mode_t our_bit = by_owner ? owner_bit : by_group ? group_bit : group_bit >> 3;

	text_add_format(text, "it belongs to %u:%u with mode %04o, and ", file->st_uid,
	        file->st_gid, file->st_mode & 07777U);
	add_identity(text, &us);
	if ((file->st_mode & our_bit) != 0) {
		text_add(text,
		        SLICE("; this mode permits it: an access list (see `getfacl`) or a "
		              "security module denies it; for SELinux start the container with "
		              "`--security-opt label=disable`"));
	} else if (file->st_uid == OVERFLOW_ID || file->st_gid == OVERFLOW_ID) {
		text_add(text, SLICE("; 65534 stands for an id that does not exist in this "
		                     "container's user "
		                     "namespace: start the container with `--userns host`"));
	} else if ((file->st_mode & group_bit) != 0 && !by_owner && !by_group) {
		text_add_format(text,
		        "; start the container with `--group-add %u` (compose: `group_add: "
		        "[\"%u\"]`) or ",
		        file->st_gid, file->st_gid);
		add_user(text, us.uid, file->st_gid);
	} else if ((file->st_mode & owner_bit) != 0 && !by_owner) {
		text_add(text, SLICE("; only its owner may: start the container "));
		add_user(text, file->st_uid, file->st_gid);
	} else {
		text_add(text, SLICE("; correct its mode on the host"));
	}
}

/*
 * The first directory on the way to `path` whose content this process may not
 * reach, into `directory`. Its "." is reachable exactly if it may be searched,
 * whatever grants that.
 */
static bool find_closed_directory(const char *path, char directory[PATH_SIZE])
{
	struct stat ignored;

	for (const char *slash = strchr(path + 1, '/'); slash != NULL;
	        slash = strchr(slash + 1, '/')) {
		struct text text = text_over(directory, PATH_SIZE - 1);
		text_add(&text, slice_between(path, slash));
		const size_t len = text.len;
		text_add(&text, SLICE("/."));
		if (text.overflow) {
			return false;
		}
		directory[text.len] = '\0';
		const bool closed = stat(directory, &ignored) < 0 && errno == EACCES;
		directory[len] = '\0';
		if (closed) {
			return true;
		}
	}
	return false;
}

static bool read_link(const char *path, char target[PATH_SIZE])
{
	const ssize_t len = readlink(path, target, PATH_SIZE - 1);

	if (len < 0) {
		return false;
	}
	target[len] = '\0';
	return true;
}

static void diagnose_permission(struct text *text, const char *path)
{
	char other[PATH_SIZE];
	struct stat status;

	text_add(text, SLICE("permission denied: "));
	if (find_closed_directory(path, other)) {
		text_add_format(text,
		        "this process may not search the directory %s, a part of the path", other);
		if (stat(other, &status) == 0) {
			text_add(text, SLICE(": "));
			add_fix(text, &status, S_IXGRP);
		}
	} else if (stat(path, &status) == 0) {
		add_fix(text, &status, S_IWGRP);
	} else if (read_link(path, other)) {
		text_add_format(text,
		        "it is a symbolic link to %s, and this process may not search a directory "
		        "of that path",
		        other);
	}
}

static void diagnose_absence(struct text *text, const char *path)
{
	char target[PATH_SIZE];

	if (read_link(path, target)) {
		text_add_format(text, "it is a symbolic link to %s, which does not exist", target);
	} else {
		text_add(text, SLICE("it does not exist"));
	}
	text_add_format(text,
	        ": the Engine is not running, or its socket is not mounted into this container "
	        "(`-v /var/run/docker.sock:%s`)",
	        path);
}

static void diagnose_refusal(struct text *text, const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 && status.st_nlink == 0) {
		text_add(text, SLICE("the mounted socket is stale: the Engine was restarted and "
		                     "made a new socket; restart this container; to avoid the "
		                     "restart, mount the socket's directory "
		                     "(`-v /var/run:/var/run`) instead of the socket"));
	} else {
		text_add(text, SLICE("no program listens there: the Engine is not running"));
	}
}

/*
 * Whether the file at `path` is no socket, which the sentence then says. connect(2) checks the
 * permission first, but no right opens a directory: the type is the cause, whatever the error.
 */
static bool diagnose_type(struct text *text, const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0 || S_ISSOCK(status.st_mode)) {
		return false;
	}
	if (S_ISDIR(status.st_mode)) {
		text_add(text, SLICE("it is a directory: the socket did not exist when the "
		                     "container was created, and Docker made a directory as the "
		                     "source of the bind mount; remove the directory on the host, "
		                     "start the Engine, then create this container again"));
	} else {
		text_add(text, SLICE("it is not a socket; mount the Engine's socket there"));
	}
	return true;
}

/* What is the same of every address. */
static void diagnose_error(struct text *text, int error)
{
	const char *words = strerrordesc_np(error);

	switch (error) {
	case EAGAIN:
		text_add(text, SLICE("the Engine does not accept connections fast enough: its "
		                     "queue is full"));
		break;
	case ETIMEDOUT:
		text_add(text, SLICE("the Engine did not accept the connection in time"));
		break;
	case EMFILE:
	case ENFILE:
		text_add(text, SLICE("the proxy has no descriptor left for the connection; raise "
		                     "the limit of open files (ulimit -n)"));
		break;
	case ENOMEM:
	case ENOBUFS:
		text_add(text, SLICE("the proxy has no memory left for the connection"));
		break;
	default:
		text_add_format(text, "%s", words != NULL ? words : "unknown error");
		break;
	}
}

static void diagnose_path(struct text *text, const char *path, int error)
{
	text_add_format(text, "cannot open %s: ", path);
	if (diagnose_type(text, path)) {
		return;
	}
	switch (error) {
	case EACCES:
	case EPERM:
		diagnose_permission(text, path);
		break;
	case ENOENT:
		diagnose_absence(text, path);
		break;
	case ECONNREFUSED:
		diagnose_refusal(text, path);
		break;
	default:
		diagnose_error(text, error);
		break;
	}
}

/* What helps, for the errors of TCP that have a common cause; NULL: nothing more is known. */
static const char *host_remedy(int error)
{
	static const struct {
		int error;
		const char *words;
	} rows[] = {
	        {ECONNREFUSED, "no program listens there: the Engine is not running, or does not "
	                       "listen on this address and port"},
	        {ETIMEDOUT, "nothing answers: the host is down, or a firewall drops the packets"},
	        {EHOSTUNREACH, "no way leads there: the host is down, or the proxy is not in a "
	                       "network with it"},
	        {ENETUNREACH, "no way leads there: the proxy is not in a network with it"},
	        {EACCES, "a rule of this host forbids it"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].error == error) {
			return rows[i].words;
		}
	}
	return NULL;
}

static void diagnose_host(
        struct text *text, const union address *engine, const char *name, int error)
{
	const char *remedy = host_remedy(error);
	char numbers[ADDRESS_NAME_MAX];

	if (engine->any.sa_family == AF_UNSPEC) {
		text_add_format(text,
		        "cannot connect to %s: the name has no address, neither in /etc/hosts nor "
		        "in "
		        "DNS: give the name as the network of the proxy knows it, or an IP address",
		        name);
		return;
	}
	address_name(engine, numbers);
	text_add_format(text, "cannot connect to %s", name);
	if (strstr(name, numbers) == NULL) {
		text_add_format(text, " (%s)", numbers);
	}
	text_add(text, SLICE(": "));
	if (remedy != NULL) {
		text_add(text, slice_of(remedy));
	} else {
		diagnose_error(text, error);
	}
}

void upstream_diagnose(struct text *text, const union address *engine, const char *name, int error)
{
	if (engine->any.sa_family == AF_UNIX) {
		diagnose_path(text, engine->path.sun_path, error);
	} else {
		diagnose_host(text, engine, name, error);
	}
}
