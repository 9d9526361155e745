/* SPDX-License-Identifier: MIT */
/* file — a whole file at once, as it is read before anything is served. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/check.h"

#include <sys/types.h>

/*
 * Read the file at `path`, "-" being standard input, into the `max` bytes at `bytes`. Returns
 * how many there were, at most `max`, or -errno.
 */
ssize_t file_read(const char *path, char *bytes, size_t max) MUST_USE;

#endif
