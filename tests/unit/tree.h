/* SPDX-License-Identifier: MIT */
/* tree — files below a folder, which stand for those of a host, and what Linux finds there. */
#ifndef TESTS_TREE_H
#define TESTS_TREE_H

#include "base/check.h"
#include "base/slice.h"

/* Make a symbolic link, if there is a target; a directory, if the name ends with a slash; or an
 * empty file. 0; or a negative errno. */
int tree_make(int folder, const char *name, const char *target) MUST_USE;
/* A descriptor of what Linux finds at a path, where `root` is the root; or a negative errno:
 * -ENOSYS before Linux 5.6. */
int tree_find(int root, const char *path) MUST_USE;
/* Whether a path without symbolic links is there, and, unless it is -1, is `file`. */
bool tree_has(int root, struct slice path, int file) MUST_USE;

#endif
