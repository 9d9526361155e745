/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

static bool parse_ip(struct slice host, uint16_t port, union address *address, bool *wildcard)
{
	char text[INET6_ADDRSTRLEN] = "";
	const bool bracketed = host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
	const struct slice inner = bracketed ? (struct slice){host.ptr + 1, host.len - 2} : host;

	*address = (union address){.ip6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
	*wildcard =
	        inner.len == 0 || slice_equal(inner, SLICE("*")) || slice_equal(inner, SLICE("::"));
	if (*wildcard) {
		address->ip6.sin6_addr = in6addr_any;
		return true;
	}
	if (inner.len >= sizeof(text)) {
		return false;
	}
	memcpy(text, inner.ptr, inner.len);
	if (slice_equal(inner, SLICE("localhost"))) {
		(void)snprintf(text, sizeof(text), "127.0.0.1");
	}
	if (bracketed) {
		return inet_pton(AF_INET6, text, &address->ip6.sin6_addr) == 1;
	}
	address->ip4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	return inet_pton(AF_INET, text, &address->ip4.sin_addr) == 1;
}

static bool parse_tcp(struct slice rest, union address *address, bool *wildcard)
{
	const char *colon = memrchr(rest.ptr, ':', rest.len);
	uint64_t port = 0;

	return colon != NULL &&
	       slice_to_u64(slice_between(colon + 1, rest.ptr + rest.len), 65535, &port) == 0 &&
	       parse_ip(slice_between(rest.ptr, colon), (uint16_t)port, address, wildcard);
}

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

static int listen_tcp(const union address *address, bool dual, bool shared)
{
	const int on = 1;
	const int only6 = dual ? 0 : 1;
	const bool ip6 = address->any.sa_family == AF_INET6;
	const int fd =
	        socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	        set_inherited(fd) < 0 ||
	        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
	        (ip6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6)) < 0) ||
	        bind(fd, &address->any, ip6 ? sizeof(address->ip6) : sizeof(address->ip4)) < 0 ||
	        (shared && listen(fd, BACKLOG) < 0)) {
		return fail(fd);
	}
	return fd;
}

static bool is_live(const union address *address)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const bool live = fd >= 0 && (connect(fd, &address->any, sizeof(address->path)) == 0 ||
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
	const int r = bind(fd, &address->any, sizeof(address->path));

	(void)umask(before); /* leaves errno */
	return r;
}

static int listen_unix(struct slice path, mode_t mode)
{
	union address address = {.path = {.sun_family = AF_UNIX}};
	struct stat file;

	if (path.len == 0 || path.len >= sizeof(address.path.sun_path)) {
		return -EINVAL;
	}
	memcpy(address.path.sun_path, path.ptr, path.len);
	if (lstat(address.path.sun_path, &file) == 0) {
		if (!S_ISSOCK(file.st_mode) || is_live(&address)) {
			return -EADDRINUSE;
		}
		(void)unlink(address.path.sun_path);
	}
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind_with_mode(fd, &address, mode) < 0 || listen(fd, BACKLOG) < 0) {
		return fail(fd);
	}
	return fd;
}

int listener_open(const char *address, unsigned mode, bool shared)
{
	const struct slice text = slice_of(address);
	const struct slice tcp = SLICE("tcp://");
	const struct slice unix_scheme = SLICE("unix://");
	union address parsed;
	bool wildcard = false;

	if (slice_starts_with(text, unix_scheme)) {
		return listen_unix(
		        (struct slice){address + unix_scheme.len, text.len - unix_scheme.len},
		        mode);
	}
	if (!slice_starts_with(text, tcp) ||
	        !parse_tcp((struct slice){address + tcp.len, text.len - tcp.len}, &parsed,
	                &wildcard)) {
		return -EINVAL;
	}
	int fd = listen_tcp(&parsed, wildcard, shared);
	if (wildcard && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) {
		const union address ip4 = {
		        .ip4 = {.sin_family = AF_INET, .sin_port = parsed.ip6.sin6_port}};
		fd = listen_tcp(&ip4, false, shared);
	}
	return fd;
}

void peer_name(const union address *peer, char name[static PEER_NAME_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (peer->any.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &peer->ip4.sin_addr, host, sizeof(host));
		(void)snprintf(name, PEER_NAME_MAX, "%s:%u", host, ntohs(peer->ip4.sin_port));
	} else if (peer->any.sa_family != AF_INET6) {
		(void)snprintf(name, PEER_NAME_MAX, "unix");
	} else if (IN6_IS_ADDR_V4MAPPED(&peer->ip6.sin6_addr)) {
		(void)inet_ntop(AF_INET, &peer->ip6.sin6_addr.s6_addr[12], host, sizeof(host));
		(void)snprintf(name, PEER_NAME_MAX, "%s:%u", host, ntohs(peer->ip6.sin6_port));
	} else {
		(void)inet_ntop(AF_INET6, &peer->ip6.sin6_addr, host, sizeof(host));
		(void)snprintf(name, PEER_NAME_MAX, "[%s]:%u", host, ntohs(peer->ip6.sin6_port));
	}
}
