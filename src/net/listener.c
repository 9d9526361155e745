/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
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

/*
 * What the connections of a listener begin with (Linux hands it down). Without
 * packets those that translate addresses forget a connection, an overlay
 * network's after 15 minutes, and nobody learns that a peer has vanished; the
 * kernel's own first look comes after two hours.
 */
static const struct {
	int level;
	int name;
	int value;
} inherited[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1}, {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},  /* seconds of silence */
        {IPPROTO_TCP, TCP_KEEPINTVL, 15}, /* seconds between unanswered looks */
        {IPPROTO_TCP, TCP_KEEPCNT, 8},    /* of which so many say that it is gone */
};

static int set_inherited(int fd)
{
	for (size_t i = 0; i < ARRAY_LEN(inherited); i++) {
		if (setsockopt(fd, inherited[i].level, inherited[i].name, &inherited[i].value,
		            sizeof(inherited[i].value)) < 0) {
			return -errno;
		}
	}
	return 0;
}

static int listen_tcp(const union address *address, bool shared)
{
	const int on = 1;
	const int only6 = address_is_any(address) ? 0 : 1;
	const bool ip6 = address->any.sa_family == AF_INET6;
	const int fd =
	        socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	        set_inherited(fd) < 0 ||
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
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const bool live = fd >= 0 && (connect(fd, &address->any, address_len(address)) == 0 ||
	                                     errno == EAGAIN);

	if (fd >= 0) {
		(void)close(fd);
	}
	return live;
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
	if (fd < 0 || bind_with_mode(fd, address, mode) < 0 || listen(fd, BACKLOG) < 0) {
		return fail(fd);
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
