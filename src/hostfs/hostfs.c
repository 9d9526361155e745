/* SPDX-License-Identifier: MIT */
#include "hostfs/hostfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { REST_MAX = 2 * PATH_MAX };

/* A path on its way. */
struct trip {
	struct inspect_paths *paths; /* where it may go, and how far */
	int root;
	int at;            /* what `done` is; the root, or a descriptor of the trip's own */
	struct text done;  /* without symbolic links; empty: the root */
	struct slice rest; /* still to be walked, at the end of `memory` */
	size_t own;        /* bytes at the end of `rest` that no link has brought */
	unsigned links;    /* that were followed */
	char path[PATH_MAX];
	char memory[REST_MAX];
};

/* ── Reasons ─────────────────────────────────────────────────────────────── */

static const char *reason_of(int error)
{
	switch (error) {
	case EACCES:
		return "cannot be looked up below host_root: the user of the proxy may not search "
		       "a directory on its way; give others the right x there (chmod o+x), or run "
		       "the proxy as a user who may";
	case ELOOP:
		return "has more than 40 symbolic links on its way below host_root; remove the "
		       "loop";
	case ENOENT:
		return inspect_leads_out;
	case ENOTDIR:
		return "goes through a file below host_root, which is no directory";
	case ENAMETOOLONG:
		return "is longer than 4,095 bytes below host_root, or has a name that is longer "
		       "than 255";
	case E2BIG:
		return "and the other paths of the body have more than 4,096 directories on "
		       "their ways below host_root; make them shorter";
	case EMFILE:
	case ENFILE:
		return "cannot be looked up below host_root: there are too many open files; raise "
		       "the limit (LimitNOFILE, ulimit -n)";
	default:
		return "cannot be looked up below host_root: the file system reports an error; "
		       "look at this path in the folder that host_root names";
	}
}

/* ── Steps ───────────────────────────────────────────────────────────────── */

static void move(struct trip *trip, int to)
{
	if (trip->at != trip->root) {
		(void)close(trip->at);
	}
	trip->at = to;
}

/* A negative error, or a descriptor. */
static int open_below(struct trip *trip, struct slice name, int flags)
{
	char memory[NAME_MAX + 1];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, name);
	text_add_char(&text, '\0');
	if (text.overflow) {
		return -ENAMETOOLONG;
	}
	if (trip->paths->steps == 0) {
		return -E2BIG;
	}
	trip->paths->steps--;
	const int file = openat(trip->at, memory, O_PATH | O_NOFOLLOW | O_CLOEXEC | flags);
	return file < 0 ? -errno : file;
}

/* Go to the directory above, by its path from the root: `..` could leave the root. */
static const char *step_up(struct trip *trip)
{
	const char *slash = memrchr(trip->done.ptr, '/', trip->done.len);
	struct slice name;

	trip->done.len = slash == NULL ? 0 : (size_t)(slash - trip->done.ptr);
	move(trip, trip->root);
	struct slice way = text_slice(&trip->done);
	(void)slice_skip(&way, SLICE("/"));
	while (way.len > 0 && slice_next(&way, '/', &name)) {
		const int folder = open_below(trip, name, O_DIRECTORY);
		if (folder < 0) {
			return reason_of(-folder);
		}
		move(trip, folder);
	}
	return NULL;
}

/* The names of these links are no paths: each process has files of its own behind them. */
static bool is_in_proc(int link)
{
	struct statfs found;

	return fstatfs(link, &found) < 0 || found.f_type == PROC_SUPER_MAGIC;
}

/* There is room. */
static void put_in_front(struct trip *trip, struct slice part)
{
	char *begin = trip->memory + REST_MAX - trip->rest.len - part.len;
	struct text text = text_over(begin, part.len);

	text_add(&text, part);
	trip->rest = (struct slice){begin, part.len + trip->rest.len};
}

/* Put the target of a link in front of what is left. */
static const char *follow(struct trip *trip, int link)
{
	char target[PATH_MAX];
	const ssize_t len = readlinkat(link, "", target, sizeof(target));

	if (len < 0) {
		return reason_of(errno);
	}
	if (is_in_proc(link)) {
		return "leads through a symbolic link of /proc, which is another file for each "
		       "process; host_root cannot show it";
	}
	if (++trip->links > HOSTFS_LINKS_MAX) {
		return reason_of(ELOOP);
	}
	const size_t left = REST_MAX - trip->rest.len;
	if (len == (ssize_t)sizeof(target) || (size_t)len + 1 > left) {
		return reason_of(ENAMETOOLONG);
	}
	trip->own = trip->rest.len < trip->own ? trip->rest.len : trip->own;
	put_in_front(trip, SLICE("/"));
	put_in_front(trip, (struct slice){target, (size_t)len});
	if (target[0] == '/') {
		trip->done.len = 0;
		move(trip, trip->root);
	}
	return NULL;
}

/* All of a name or, if there is no room, nothing: what is said of a problem is where `done` is. */
static const char *add(struct trip *trip, struct slice name)
{
	if (name.len >= trip->done.cap - trip->done.len) {
		return reason_of(ENAMETOOLONG);
	}
	text_add_char(&trip->done, '/');
	text_add(&trip->done, name);
	return NULL;
}

/* The file at a name is not there. */
static const char *add_missing(struct trip *trip, struct slice name, bool of_link)
{
	const char *problem = of_link ? reason_of(ENOENT) : add(trip, name);

	while (problem == NULL && trip->rest.len > 0 && slice_next(&trip->rest, '/', &name)) {
		problem = name.len == 0 ? NULL : add(trip, name);
	}
	return problem;
}

/* Why the way may not go on through a name; NULL: it may. */
static const char *entry_problem(struct trip *trip, struct slice name)
{
	const size_t len = trip->done.len;
	const char *problem = add(trip, name);

	if (problem == NULL && !inspect_may_lead(trip->paths, text_slice(&trip->done))) {
		problem = inspect_leads_out;
	}
	trip->done.len = len;
	return problem;
}

static const char *step_into(struct trip *trip, struct slice name, int file)
{
	struct stat found;

	/* What cannot be looked at cannot be read as a link either, and that is the problem. */
	if (fstat(file, &found) < 0 || S_ISLNK(found.st_mode)) {
		const char *problem = follow(trip, file);
		(void)close(file);
		return problem;
	}
	move(trip, file);
	return add(trip, name);
}

/* One segment. *there stays what of `done` is there. */
static const char *step(struct trip *trip, size_t *there)
{
	const bool of_link = trip->rest.len > trip->own;
	struct slice name;

	(void)slice_next(&trip->rest, '/', &name);
	if (name.len == 0 || slice_equal(name, SLICE("."))) {
		return NULL;
	}
	if (slice_equal(name, SLICE(".."))) {
		return step_up(trip);
	}
	const char *problem = entry_problem(trip, name);
	if (problem != NULL) {
		return problem;
	}
	const int file = open_below(trip, name, 0);
	if (file == -ENOENT) {
		*there = trip->done.len == 0 ? 1 : trip->done.len;
		return add_missing(trip, name, of_link);
	}
	return file < 0 ? reason_of(-file) : step_into(trip, name, file);
}

/* ── The whole ───────────────────────────────────────────────────────────── */

const char *hostfs_resolve(int root, struct inspect_paths *paths, struct slice path,
        struct text *resolved, size_t *ret_there)
{
	struct trip trip;
	const char *problem = NULL;

	if (path.len >= PATH_MAX) {
		return reason_of(ENAMETOOLONG);
	}
	trip.paths = paths;
	trip.root = trip.at = root;
	trip.links = 0;
	trip.own = path.len;
	trip.done = text_over(trip.path, sizeof(trip.path) - 1);
	trip.rest = (struct slice){"", 0};
	put_in_front(&trip, path);
	*ret_there = SIZE_MAX;
	while (problem == NULL && trip.rest.len > 0) {
		problem = step(&trip, ret_there);
	}
	move(&trip, root);
	const struct slice done = trip.done.len == 0 ? SLICE("/") : text_slice(&trip.done);
	*ret_there = *ret_there < done.len ? *ret_there : done.len;
	text_add(resolved, done);
	return problem;
}

void hostfs_answer(int root, struct inspect_paths *paths)
{
	for (; paths->answered < paths->count; paths->answered++) {
		struct inspect_path *path = &paths->list[paths->answered];
		const size_t start = paths->text.len;

		path->problem = hostfs_resolve(root, paths, path->path, &paths->text, &path->there);
		path->resolved = slice_behind(text_slice(&paths->text), start);
		if (paths->text.overflow) {
			path->problem = inspect_too_many_paths;
		}
	}
}
