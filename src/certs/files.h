/* SPDX-License-Identifier: MIT */
/*
 * files — a set of files that appears as a whole or not at all. Private to certs/.
 */
#ifndef CERTS_FILES_H
#define CERTS_FILES_H

#include "base/check.h"
#include "base/fault.h"
#include "base/slice.h"

#include <limits.h>
#include <sys/types.h>

enum {
	FILES_MAX = 128,
	FILES_FOLDERS_MAX = 40,
};

struct files_entry {
	char path[PATH_MAX];
	char draft[PATH_MAX]; /* where it is written first; empty: not yet, or no longer */
	mode_t mode;
	struct slice bytes; /* to be freed with OPENSSL_free() */
	bool placed;
};

struct files {
	unsigned count;
	struct files_entry list[FILES_MAX];
	unsigned folder_count;
	struct {
		char path[PATH_MAX];
		bool made;
	} folders[FILES_FOLDERS_MAX];
};

/* Add a folder that is to exist. */
int files_add_folder(struct files *files, const char *path, char error[FAULT_MAX]) MUST_USE;
/* Add a file. Takes over `bytes`, ptr NULL: there was no memory. A file of this path is an error.
 * 0, or -EINVAL with a sentence in `error`. */
int files_add(struct files *files, const char *folder, const char *name, mode_t mode,
        struct slice bytes, char error[FAULT_MAX]) MUST_USE;
/* Make them. 0; or -EINVAL with a sentence in `error`, and none of them is there. */
int files_make(struct files *files, char error[FAULT_MAX]) MUST_USE;
void files_done(struct files *files);

#endif
