/* SPDX-License-Identifier: MIT */
/*
 * Where paths of the host lead. The lines of the input make a tree and name paths in it:
 *
 *   a/b/       a directory; its parent is made before, or not at all
 *   a/b        a file
 *   a/b>../c   a symbolic link
 *   /a/b       a path, as a body names it
 *   =/a        a source, to which paths may lead; without one, they may lead anywhere
 *   !          they may also lead to the Engine's socket
 *   #.         as many steps are left as the byte behind the '#' says
 *
 * Linux looks the same paths up in the same folder. Where it finds a file, the answer is that file
 * or, if that is not allowed, a problem; where it finds none, the answer says so too.
 */
#include "fuzz.h"
#include "hostfs/hostfs.h"
#include "inspect/set.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	INPUT_MAX = 4 * PATH_MAX,
	FILES_MAX = 12,
	SOURCES_MAX = 4,
};

static char folder[PATH_MAX];
static int root = -1;
static char input[INPUT_MAX + 1];
static bool is_long; /* the input: a way that it names may be longer than a path can be */

/* What was made, so that it can be removed. */
static struct {
	int parent;
	const char *name;
	int flags; /* of unlinkat() */
} files[FILES_MAX];
static unsigned file_count;

static struct slice patterns[SOURCES_MAX];
static struct set sources;
static struct inspect_paths paths;

/* ── The tree ────────────────────────────────────────────────────────────── */

static void remove_folder(void)
{
	(void)rmdir(folder);
}

/* In memory, if there is a file system for that. False: Linux cannot be asked. */
static bool prepare(void)
{
	const char *where = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe) */

	if (root < 0) {
		where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : where;
		(void)snprintf(folder, sizeof(folder), "%s/fuzz-hostfs-XXXXXX",
		        where == NULL ? "/tmp" : where);
		ASSERT(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
		root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		ASSERT(root >= 0);
	}
	const int probe = tree_find(root, "/");
	if (probe >= 0) {
		(void)close(probe);
	}
	return probe >= 0;
}

/* The parent is looked up in the folder, so that no link leads out of it. */
static void make(char *name)
{
	char *target = strchr(name, '>');
	const char *parent = name;

	if (file_count == FILES_MAX) {
		return;
	}
	if (target != NULL) {
		*target++ = '\0';
	}
	const size_t len = strlen(name);
	const bool is_folder = target == NULL && len > 1 && name[len - 1] == '/';
	char *slash = memrchr(name, '/', is_folder ? len - 1 : len);
	if (slash == NULL) {
		parent = "/";
	} else {
		*slash = '\0';
		name = slash + 1;
	}
	const int at = tree_find(root, parent);
	if (at < 0) {
		return;
	}
	if (tree_make(at, name, target) < 0) {
		(void)close(at);
		return;
	}
	files[file_count].parent = at;
	files[file_count].name = name;
	files[file_count++].flags = is_folder ? AT_REMOVEDIR : 0;
}

static void remove_files(void)
{
	while (file_count > 0) {
		file_count--;
		const int at = files[file_count].parent;
		ASSERT(unlinkat(at, files[file_count].name, files[file_count].flags) == 0);
		(void)close(at);
	}
}

/* ── The input ───────────────────────────────────────────────────────────── */

static void add_path(struct slice path)
{
	if (word_is_path(path) && paths.count < INSPECT_PATHS_MAX) {
		paths.list[paths.count++] = (struct inspect_path){.path = path};
	}
}

static void add_source(struct slice path)
{
	if (word_is_path(path) && sources.count < SOURCES_MAX) {
		path.len -= path.len > 1 && slice_ends_with(path, SLICE("/"));
		patterns[sources.count++] = path;
		paths.sources = &sources;
	}
}

static void read_line(char *line)
{
	switch (line[0]) {
	case '/':
		add_path(slice_of(line));
		break;
	case '=':
		add_source(slice_of(line + 1));
		break;
	case '!':
		paths.takes_socket = true;
		break;
	case '#':
		paths.steps = (unsigned char)line[1];
		break;
	default:
		make(line);
	}
}

/* ── The answer ──────────────────────────────────────────────────────────── */

/* Absolute, with none of the segments that would lead elsewhere. */
static void check_spelling(struct slice path)
{
	struct slice segment;

	ASSERT(path.len < PATH_MAX && slice_skip(&path, SLICE("/")));
	ASSERT(!slice_ends_with(path, SLICE("/")));
	while (path.len > 0 && slice_next(&path, '/', &segment)) {
		ASSERT(segment.len > 0);
		ASSERT(!slice_equal(segment, SLICE(".")) && !slice_equal(segment, SLICE("..")));
	}
}

/* Whether an answer may be a problem though Linux finds the file. */
static bool is_bounded(void)
{
	return paths.sources != NULL || paths.steps == 0 || is_long;
}

/* Linux, too, wants a directory in front of a slash and of `..`. */
static void check_found(const struct inspect_path *path, struct slice there, int theirs)
{
	if (theirs >= 0) {
		ASSERT(path->problem != NULL ? is_bounded() : there.len == path->resolved.len);
		ASSERT(path->problem != NULL || tree_has(root, there, theirs));
	} else {
		ASSERT(path->problem != NULL || there.len < path->resolved.len ||
		        theirs == -ENOTDIR);
	}
}

/* What is missing is the end of the path, as the body has it, and Linux finds what is in front. */
static void check_missing(const struct inspect_path *path, struct slice there)
{
	struct slice missing = slice_behind(path->resolved, there.len);
	struct slice front = path->path;
	char memory[PATH_MAX] = "";

	(void)slice_skip(&missing, SLICE("/"));
	front.len -= slice_ends_with(front, SLICE("/"));
	ASSERT(slice_ends_with(front, missing));
	front.len -= missing.len;
	ASSERT(slice_ends_with(front, SLICE("/")));
	memcpy(memory, front.ptr, front.len);
	const int theirs = tree_find(root, memory);
	ASSERT(theirs >= 0 ? tree_has(root, there, theirs) : theirs == -ENOTDIR);
	if (theirs >= 0) {
		(void)close(theirs);
	}
}

/* Where a path leads leads nowhere else. */
static void check_again(const struct inspect_path *path)
{
	char memory[PATH_MAX];
	struct text again = text_over(memory, sizeof(memory));
	size_t there = 0;

	paths.steps = INSPECT_STEPS_MAX;
	ASSERT(hostfs_resolve(root, &paths, path->resolved, &again, &there) == NULL);
	ASSERT(slice_equal(text_slice(&again), path->resolved) && there == path->there);
}

static void check_path(const struct inspect_path *path)
{
	const struct slice there = {path->resolved.ptr, path->there};

	ASSERT(there.len <= path->resolved.len);
	check_spelling(path->resolved);
	check_spelling(there);
	const int theirs = tree_find(root, path->path.ptr);
	check_found(path, there, theirs);
	if (theirs >= 0) {
		(void)close(theirs);
	}
	if (path->problem == NULL && there.len < path->resolved.len) {
		ASSERT(there.len == 1 || path->resolved.ptr[there.len] == '/');
		check_missing(path, there);
	}
	if (path->problem == NULL) {
		ASSERT(tree_has(root, there, -1) && inspect_may_lead(&paths, there));
	}
}

static void check(void)
{
	const unsigned steps = paths.steps;
	const int before = dup(root);

	(void)close(before);
	hostfs_answer(root, &paths);
	const int after = dup(root);
	(void)close(after);
	ASSERT(after == before); /* no descriptor is left open */
	ASSERT(paths.answered == paths.count && paths.steps <= steps);
	for (unsigned i = 0; i < paths.count && !paths.text.overflow; i++) {
		check_path(&paths.list[i]);
	}
	for (unsigned i = 0; i < paths.count && !paths.text.overflow; i++) {
		if (paths.list[i].problem == NULL) {
			check_again(&paths.list[i]);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *line = NULL;
	char *rest = input;

	if (len == 0 || len > INPUT_MAX) {
		return 0;
	}
	memcpy(input, bytes, len);
	input[len] = '\0';
	if ((input[0] != '/' && strstr(input, "\n/") == NULL) || !prepare()) {
		return 0; /* no path, or no answer to compare with */
	}
	is_long = len >= PATH_MAX;
	inspect_paths_begin(&paths);
	sources = (struct set){.patterns = patterns};
	while ((line = strsep(&rest, "\n")) != NULL) {
		read_line(line);
	}
	check();
	remove_files();
	return 0;
}
