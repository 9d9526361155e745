/* SPDX-License-Identifier: MIT */
#include "certs/files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *path, const char *why, char error[FAULT_MAX])
{
	return fault_set(error, NOWHERE, "certs: %.512s: %s", path, why);
}

int files_add_folder(struct files *files, const char *path, char error[FAULT_MAX])
{
	ASSERT(files->folder_count < FILES_FOLDERS_MAX);
	if (strlen(path) >= PATH_MAX - NAME_MAX) {
		return fail(path, "the path is too long", error);
	}
	(void)snprintf(files->folders[files->folder_count++].path, PATH_MAX, "%s", path);
	return 0;
}

int files_add(struct files *files, const char *folder, const char *name, mode_t mode,
        struct slice bytes, char error[FAULT_MAX])
{
	ASSERT(files->count < FILES_MAX);
	struct files_entry *file = &files->list[files->count++];
	struct stat found;

	file->mode = mode;
	file->bytes = bytes;
	(void)snprintf(file->path, PATH_MAX, "%s/%s", folder, name);
	if (bytes.ptr == NULL) {
		return fail(file->path, "there is no memory to make it", error);
	}
	if (lstat(file->path, &found) == 0) {
		return fail(file->path, "it exists, and nothing is overwritten: remove it first",
		        error);
	}
	return 0;
}

/* ── Making ──────────────────────────────────────────────────────────────── */

static int make_folders(struct files *files, char error[FAULT_MAX])
{
	for (unsigned i = 0; i < files->folder_count; i++) {
		const char *path = files->folders[i].path;
		struct stat found;
		files->folders[i].made = mkdir(path, 0700) == 0;
		if (!files->folders[i].made &&
		        (errno != EEXIST || stat(path, &found) < 0 || !S_ISDIR(found.st_mode))) {
			return fail(path,
			        errno == EEXIST || errno == 0 ? "it is not a directory"
			                                      : strerrordesc_np(errno),
			        error);
		}
	}
	return 0;
}

static bool write_all(int fd, struct slice bytes)
{
	while (bytes.len > 0) {
		const ssize_t n = write(fd, bytes.ptr, bytes.len);
		if (n < 0) {
			return false;
		}
		bytes = slice_behind(bytes, (size_t)n);
	}
	return true;
}

/* Beside its place, so that nobody sees a part of it. 0 or -errno. */
static int write_draft(struct files_entry *file)
{
	const struct slice folder = slice_before_last(file->path, '/');

	if (snprintf(file->draft, PATH_MAX, "%.*s/.certs-XXXXXX", SLICE_FMT(folder)) >= PATH_MAX) {
		file->draft[0] = '\0';
		return -ENAMETOOLONG;
	}
	const int fd = mkostemp(file->draft, O_CLOEXEC); /* 0600 */
	if (fd < 0) {
		file->draft[0] = '\0';
		return -errno;
	}
	const bool done =
	        write_all(fd, file->bytes) && fchmod(fd, file->mode) == 0 && fsync(fd) == 0;
	const int error = done ? 0 : -errno;
	return close(fd) < 0 && done ? -errno : error;
}

/* Without overwriting a file. 0 or -errno. */
static int place(struct files_entry *file)
{
	if (renameat2(AT_FDCWD, file->draft, AT_FDCWD, file->path, RENAME_NOREPLACE) == 0) {
		file->draft[0] = '\0';
	} else if (errno != EINVAL ||
	           link(file->draft, file->path) < 0) { /* not every file system */
		return -errno;
	}
	file->placed = true;
	return 0;
}

static int for_each(struct files *files, int (*step)(struct files_entry *), char error[FAULT_MAX])
{
	for (unsigned i = 0; i < files->count; i++) {
		const int code = step(&files->list[i]);
		if (code < 0) {
			return fail(files->list[i].path, strerrordesc_np(-code), error);
		}
	}
	return 0;
}

static void remove_drafts(struct files *files)
{
	for (unsigned i = 0; i < files->count; i++) {
		if (files->list[i].draft[0] != '\0') {
			(void)unlink(files->list[i].draft);
		}
	}
}

static void undo(struct files *files)
{
	remove_drafts(files);
	for (unsigned i = 0; i < files->count; i++) {
		if (files->list[i].placed) {
			(void)unlink(files->list[i].path);
		}
	}
	for (unsigned i = files->folder_count; i-- > 0;) {
		if (files->folders[i].made) {
			(void)rmdir(files->folders[i].path);
		}
	}
}

int files_make(struct files *files, char error[FAULT_MAX])
{
	if (make_folders(files, error) < 0 || for_each(files, write_draft, error) < 0 ||
	        for_each(files, place, error) < 0) {
		undo(files);
		return -EINVAL;
	}
	remove_drafts(files);
	return 0;
}

void files_done(struct files *files)
{
	for (unsigned i = 0; i < files->count; i++) {
		const struct slice bytes = files->list[i].bytes;
		OPENSSL_clear_free((void *)(uintptr_t)bytes.ptr, bytes.len);
	}
}
