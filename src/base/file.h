/* SPDX-License-Identifier: MIT */
/* file — reads a whole file, at the start or for a reload. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/check.h"

#include <sys/types.h>

/*
 * Read the file at `path` ("-" is standard input) into `bytes`, which has room for `max` bytes.
 * Returns the number of bytes read, at most `max`, or -errno.
 */
ssize_t file_read(const char *path, char *bytes, size_t max) MUST_USE;

/* Why the file could not be read, for the -errno of file_read(), as the end of a sentence. */
const char *file_problem(const char *path, ssize_t code);

#endif
