/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

ssize_t file_read(const char *path, char *bytes, size_t max)
{
	const int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
	                                      : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0) {
		return -errno;
	}
	while (n > 0 && len < max) {
		n = read(fd, bytes + len, max - len);
		len += n > 0 ? (size_t)n : 0;
	}
	const int error = n < 0 ? errno : 0;
	(void)close(fd);
	return error != 0 ? -error : (ssize_t)len;
}

const char *file_problem(const char *path, ssize_t code)
{
	/* The permissions of files, which access() looks at, are not what refuses it. */
	if (code == -EACCES && access(path, R_OK) == 0) {
		return "the sandbox opens files of those folders alone that settings named at the "
		       "start: put it beside the configuration, or restart the program";
	}
	switch (code) {
	case -EISDIR:
		return "it is a directory: Docker makes one if the file to mount is missing on the "
		       "host";
	case -EACCES:
		return "Permission denied: the user as whom the program runs must be able to read "
		       "it, in the image, and when a program reloads that was started as root, "
		       "user 65532";
	default:
		return strerrordesc_np((int)-code);
	}
}
