/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int make_file(int folder, const char *name)
{
	const int file = openat(folder, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	return file < 0 ? -1 : close(file);
}

int tree_make(int folder, const char *name, const char *target)
{
	int code = 0;

	if (target != NULL) {
		code = symlinkat(target, folder, name);
	} else if (slice_ends_with(slice_of(name), SLICE("/"))) {
		code = mkdirat(folder, name, 0755);
	} else {
		code = make_file(folder, name);
	}
	return code < 0 ? -errno : 0;
}

static int find(int root, const char *path, uint64_t resolve)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | resolve};
	const int file = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	return file < 0 ? -errno : file;
}

int tree_find(int root, const char *path)
{
	return find(root, path, 0);
}

bool tree_has(int root, struct slice path, int file)
{
	char name[PATH_MAX] = "";
	struct stat found;
	struct stat wanted;

	ASSERT(path.len < sizeof(name));
	memcpy(name, path.ptr, path.len);
	const int there = find(root, name, RESOLVE_NO_SYMLINKS);
	if (there < 0) {
		return false;
	}
	bool same = true;
	if (file >= 0) {
		same = fstat(there, &found) == 0 && fstat(file, &wanted) == 0 &&
		       found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino;
	}
	(void)close(there);
	return same;
}
