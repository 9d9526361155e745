/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

static int fail(int fd)
{
	const int error = errno;

	if (fd >= 0) {
		(void)close(fd);
	}
	return -error;
}

static int listen_tcp(const union address *address, bool shared)
{
	const int on = 1;
	const int only6 = address_is_any(address) ? 0 : 1;
	const bool ip6 = address->any.sa_family == AF_INET6;
	const int fd =
	        socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	        address_tune(fd) < 0 ||
	        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
	        (ip6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6)) < 0) ||
	        bind(fd, &address->any, address_len(address)) < 0 ||
	        (shared && listen(fd, BACKLOG) < 0)) {
		return fail(fd);
	}
	return fd;
}

static bool is_live(const union address *address)
{
	const int fd = address_connect(address, NULL);

	if (fd >= 0) {
		(void)close(fd);
	}
	return fd >= 0 || fd == -EAGAIN;
}

/*
 * bind() makes the file with all rights but those of the umask, so that it is never there with
 * others. The umask is the whole process's: to be called while it has one thread.
 */
static int bind_with_mode(int fd, const union address *address, mode_t mode)
{
	const mode_t before = umask(~mode & 0777);
	const int r = bind(fd, &address->any, address_len(address));

	(void)umask(before); /* leaves errno */
	return r;
}

static int listen_unix(const union address *address, mode_t mode)
{
	struct stat file;

	if (lstat(address->path.sun_path, &file) == 0) {
		if (!S_ISSOCK(file.st_mode) || is_live(address)) {
			return -EADDRINUSE;
		}
		(void)unlink(address->path.sun_path);
	}
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind_with_mode(fd, address, mode) < 0) {
		return fail(fd);
	}
	if (listen(fd, BACKLOG) < 0) {
		const int error = fail(fd);
		(void)unlink(address->path.sun_path);
		return error;
	}
	return fd;
}

int listener_open(const char *address, unsigned mode, bool shared)
{
	union address parsed;

	if (address_parse(slice_of(address), &parsed) != NULL) {
		return -EINVAL;
	}
	if (parsed.any.sa_family == AF_UNIX) {
		return listen_unix(&parsed, mode);
	}
	const int fd = listen_tcp(&parsed, shared);
	if (parsed.any.sa_family == AF_INET6 && address_is_any(&parsed) &&
	        (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) {
		const union address ip4 = {
		        .ip4 = {.sin_family = AF_INET, .sin_port = parsed.ip6.sin6_port}};
		return listen_tcp(&ip4, shared);
	}
	return fd;
}

int listener_adopt(int fd, const union address *address)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		return -errno;
	}
	return address->any.sa_family == AF_UNIX ? 0 : address_tune(fd);
}

/* ── Explaining ──────────────────────────────────────────────────────────── */

static const char image_folder[] = "/run/docker-socket-proxy";

/* The folder in which the socket would be made, and what is wrong with it. */
static void explain_folder(const char *path, int error, struct text *sentence)
{
	const struct slice folder = slice_before_last(path, '/');
	const union address parent = address_of_path(folder.len > 0 ? folder : SLICE("/"));
	struct stat found;

	if (stat(parent.path.sun_path, &found) < 0) {
		text_add_format(sentence, "%s: %s", parent.path.sun_path, strerrordesc_np(errno));
	} else if (error == -EROFS) {
		text_add_format(sentence,
		        "%s is read-only: mount a volume there; the image has the folder %s for "
		        "sockets",
		        parent.path.sun_path, image_folder);
	} else if (error == -EACCES && access(parent.path.sun_path, W_OK | X_OK) == 0) {
		text_add_format(sentence,
		        "the sandbox lets sockets be made in the folders alone that had one at the "
		        "start, and in %s: restart the program",
		        image_folder);
	} else {
		text_add_format(sentence,
		        "user %u:%u may not create files in %s (owner %u:%u, mode %04o): run "
		        "chown %u:%u on it; in a container, give unix://%s/NAME.sock, in the "
		        "folder of the image for sockets",
		        geteuid(), getegid(), parent.path.sun_path, found.st_uid, found.st_gid,
		        found.st_mode & 07777U, geteuid(), getegid(), image_folder);
	}
}

/* What already has the name of the socket. */
static void explain_name(const char *path, struct text *sentence)
{
	struct stat found;
	const bool is_other = lstat(path, &found) == 0 && !S_ISSOCK(found.st_mode);

	if (is_other) {
		text_add_format(sentence, "the path is %s, not a socket: give another path",
		        S_ISDIR(found.st_mode) ? "a directory" : "a file");
	} else {
		text_add(sentence, SLICE("Address already in use: another program listens there"));
	}
}

void listener_explain(const char *address, int error, struct text *sentence)
{
	const char *path = address_path(address);

	if (error == -EINVAL) {
		text_add(sentence, SLICE("expected tcp://HOST:PORT or unix:///PATH"));
	} else if (path != NULL && error == -EADDRINUSE) {
		explain_name(path, sentence);
	} else if (path != NULL &&
	           (error == -EACCES || error == -EPERM || error == -ENOENT || error == -EROFS)) {
		explain_folder(path, error, sentence);
	} else {
		text_add(sentence, slice_of(strerrordesc_np(-error)));
	}
}
