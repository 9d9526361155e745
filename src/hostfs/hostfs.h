/* SPDX-License-Identifier: MIT */
/*
 * hostfs — where paths of the Engine's host lead, in the folder in which the proxy sees its files.
 *
 * A path is walked one segment after the other with openat(O_PATH | O_NOFOLLOW), and the targets of
 * symbolic links are read: absolute ones begin at the folder again, and `..` ends there. openat2()
 * with RESOLVE_IN_ROOT finds the same file, but not its path, which only /proc would say, with the
 * folder in front, with " (deleted)" behind it, and not where a part is missing; it also asks for
 * Linux 5.6 and is refused by the seccomp profiles of older Engines.
 */
#ifndef HOSTFS_HOSTFS_H
#define HOSTFS_HOSTFS_H

#include "inspect/inspect.h"

enum { HOSTFS_LINKS_MAX = 40 }; /* on the way of one path, as in Linux */

/*
 * Append to `resolved` where `path`, absolute and without dot segments, leads below the folder
 * `root`: an absolute path on the host without symbolic links. What is missing at its end is
 * appended as it is: the Engine may make it. *ret_there is how many bytes of it are there. NULL; or
 * a literal that says why it cannot be said, for behind the path in a sentence, and how far it led
 * is appended. It goes where inspect_may_lead() lets it, and takes its steps from those that are
 * left.
 */
const char *hostfs_resolve(int root, struct inspect_paths *paths, struct slice path,
        struct text *resolved, size_t *ret_there) MUST_USE;

/* Resolve those of the paths that were not. */
void hostfs_answer(int root, struct inspect_paths *paths);

#endif
