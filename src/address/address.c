/* SPDX-License-Identifier: MIT */
#include "address/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_LEN_MAX = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1 };

/* ── Unix sockets ────────────────────────────────────────────────────────── */

const char *address_path_problem(struct slice path)
{
	if (path.len == 0 || path.ptr[0] != '/') {
		return "give an absolute path";
	}
	if (path.len > PATH_LEN_MAX) {
		return "the path of a unix socket has at most 107 bytes";
	}
	if (path.ptr[path.len - 1] == '/') {
		return "give the path of a socket, not of a directory";
	}
	for (size_t i = 0; i < path.len; i++) {
		if ((unsigned char)path.ptr[i] < 0x20 || path.ptr[i] == 0x7f) {
			return "the path has a control byte";
		}
	}
	return NULL;
}

union address address_of_path(struct slice path)
{
	union address address = {.path = {.sun_family = AF_UNIX}};

	ASSERT(path.len <= PATH_LEN_MAX);
	(void)text_keep(address.path.sun_path, PATH_LEN_MAX, path);
	return address;
}

const char *address_path(const char *text)
{
	struct slice rest = slice_of(text);

	return slice_skip(&rest, SLICE("unix://")) ? rest.ptr : NULL;
}

/* ── Passed sockets ──────────────────────────────────────────────────────── */

const char *address_passed(const char *text)
{
	struct slice rest = slice_of(text);

	if (!slice_skip(&rest, SLICE("fd://"))) {
		return NULL;
	}
	return slice_equal(rest, SLICE("*")) ? "" : rest.ptr;
}

const char *address_passed_problem(struct slice name)
{
	enum { NAME_LEN_MAX = 255 }; /* systemd.socket(5), FileDescriptorName= */

	for (size_t i = 0; i < name.len; i++) {
		const unsigned char c = (unsigned char)name.ptr[i];
		if (c <= ' ' || c >= 0x7f || strchr(":/,*", c) != NULL) {
			return "give fd://NAME with the FileDescriptorName= of the socket unit "
			       "(without "
			       "one, the name of the unit), or fd:// for all sockets that no other "
			       "listener names";
		}
	}
	return name.len > NAME_LEN_MAX ? "the name of a passed socket has at most 255 bytes" : NULL;
}

/* ── TCP ─────────────────────────────────────────────────────────────────── */

static bool parse_ip(int family, struct slice host, void *ret_binary)
{
	char text[INET6_ADDRSTRLEN] = "";

	return text_keep(text, sizeof(text) - 1, host) == host.len &&
	       inet_pton(family, text, ret_binary) == 1;
}

static bool parse_host(struct slice host, uint16_t port, union address *address)
{
	if (host.len == 0 || slice_equal(host, SLICE("*"))) {
		host = SLICE("[::]");
	} else if (slice_equal(host, SLICE("localhost"))) {
		host = SLICE("127.0.0.1");
	}
	if (host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
		*address =
		        (union address){.ip6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
		return parse_ip(AF_INET6, slice_between(host.ptr + 1, host.ptr + host.len - 1),
		        &address->ip6.sin6_addr);
	}
	*address = (union address){.ip4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
	return parse_ip(AF_INET, host, &address->ip4.sin_addr);
}

static const char *parse_tcp(struct slice authority, union address *address)
{
	const char *end = authority.ptr + authority.len;
	const char *colon = authority.len > 0 ? memrchr(authority.ptr, ':', authority.len) : NULL;
	uint64_t port = 0;

	if (colon == NULL || end[-1] == ']') {
		return "the port is missing: give HOST:PORT";
	}
	const bool is_port =
	        slice_to_u64(slice_between(colon + 1, end), UINT16_MAX, &port) == 0 && port > 0;
	if (!parse_host(slice_between(authority.ptr, colon), (uint16_t)port, address)) {
		return "HOST in HOST:PORT is an IPv4 address, an IPv6 address in brackets, "
		       "localhost, or * for all interfaces";
	}
	return is_port ? NULL : "PORT in HOST:PORT is a whole number from 1 to 65535";
}

/* ── Either ──────────────────────────────────────────────────────────────── */

const char *address_parse(struct slice text, union address *ret_address)
{
	if (slice_skip(&text, SLICE("tcp://")) || slice_skip(&text, SLICE("tls://"))) {
		return parse_tcp(text, ret_address);
	}
	if (slice_skip(&text, SLICE("unix://"))) {
		const char *problem = address_path_problem(text);
		if (problem == NULL) {
			*ret_address = address_of_path(text);
		}
		return problem;
	}
	if (slice_starts_with(text, SLICE("fd://"))) {
		return "fd:// is for listeners; give tcp://HOST:PORT, tls://HOST:PORT or "
		       "unix:///PATH";
	}
	return "give tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH or, for a listener, fd://NAME";
}

bool address_split_engine(const char *text, struct slice *ret_address, struct slice *ret_name)
{
	const char *host = strstr(text, "://");
	const char *slash = host == NULL ? NULL : strchr(host + 3, '/');
	struct slice name = slice_of(slash == NULL ? "" : slash);

	if (slash == host + 3 || !slice_skip(&name, SLICE("/engines/"))) {
		return false;
	}
	name.len -= name.len > 0 && name.ptr[name.len - 1] == '/' ? 1 : 0;
	for (size_t i = 0; i < name.len; i++) {
		const char c = name.ptr[i];
		if (!ascii_is_alnum(c) && c != '-' && c != '_' && c != '.') {
			return false;
		}
	}
	*ret_address = slice_between(text, slash);
	*ret_name = name;
	return name.len > 0 && name.len <= ADDRESS_ENGINE_MAX;
}

bool address_is_tls(const char *text)
{
	return slice_starts_with(slice_of(text), SLICE("tls://"));
}

socklen_t address_len(const union address *address)
{
	if (address->any.sa_family == AF_INET) {
		return sizeof(address->ip4);
	}
	return address->any.sa_family == AF_INET6 ? sizeof(address->ip6) : sizeof(address->path);
}

bool address_equal(const union address *a, const union address *b)
{
	return a->any.sa_family == b->any.sa_family && memcmp(a, b, address_len(a)) == 0;
}

static bool limit_wait(int fd, const struct timeval *wait)
{
	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, wait, sizeof(*wait)) == 0 &&
	       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, wait, sizeof(*wait)) == 0;
}

int address_connect(const union address *address, const struct timeval *wait)
{
	const int blocking = wait == NULL ? SOCK_NONBLOCK : 0;
	const int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | blocking, 0);

	if (fd < 0) {
		return -errno;
	}
	if ((address->any.sa_family == AF_UNIX || address_tune(fd) == 0) &&
	        (wait == NULL || limit_wait(fd, wait)) &&
	        (connect(fd, &address->any, address_len(address)) == 0 ||
	                (wait == NULL && errno == EINPROGRESS))) {
		return fd;
	}
	const int error = errno;
	(void)close(fd);
	return -error;
}

/*
 * NAT devices forget a
 * connection without packets (an overlay network after 15 minutes), and then a
 * vanished peer is not detected. The kernel's default for the first probe is two
 * hours.
 */
static const struct {
	int level;
	int name;
	int value;
} tuning[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1}, {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},  /* seconds of silence */
        {IPPROTO_TCP, TCP_KEEPINTVL, 15}, /* seconds between probes without a response */
        {IPPROTO_TCP, TCP_KEEPCNT, 8},    /* of which so many say that it is gone */
};

int address_tune(int fd)
{
	for (size_t i = 0; i < ARRAY_LEN(tuning); i++) {
		if (setsockopt(fd, tuning[i].level, tuning[i].name, &tuning[i].value,
		            sizeof(tuning[i].value)) < 0) {
			return -errno;
		}
	}
	return 0;
}

bool address_is_any(const union address *address)
{
	if (address->any.sa_family == AF_INET) {
		return address->ip4.sin_addr.s_addr == htonl(INADDR_ANY);
	}
	return address->any.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&address->ip6.sin6_addr);
}

/* IPv6 addresses that stand for IPv4 ones become these. */
static union address plain_form(const union address *address)
{
	union address form = *address;

	if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->ip6.sin6_addr)) {
		form = (union address){
		        .ip4 = {.sin_family = AF_INET, .sin_port = address->ip6.sin6_port}};
		memcpy(&form.ip4.sin_addr, &address->ip6.sin6_addr.s6_addr[12],
		        sizeof(form.ip4.sin_addr));
	}
	return form;
}

/* Only an address of this machine can be bound to. */
static bool is_of_this_machine(const union address *address)
{
	union address any_port = *address;
	const int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	any_port.ip4.sin_port = 0; /* at the same place in both */
	const bool is_ours = fd >= 0 && bind(fd, &any_port.any, address_len(&any_port)) == 0;
	if (fd >= 0) {
		(void)close(fd);
	}
	return is_ours;
}

static bool is_same_host(const union address *a, const union address *b)
{
	if (a->any.sa_family != b->any.sa_family) {
		return false;
	}
	return a->any.sa_family == AF_INET ? a->ip4.sin_addr.s_addr == b->ip4.sin_addr.s_addr
	                                   : memcmp(&a->ip6.sin6_addr, &b->ip6.sin6_addr,
	                                             sizeof(a->ip6.sin6_addr)) == 0;
}

bool address_leads_to(const union address *target, const union address *listener)
{
	const union address to = plain_form(target);
	const union address at = plain_form(listener);

	if (to.any.sa_family == AF_UNIX || at.any.sa_family == AF_UNIX ||
	        to.ip4.sin_port != at.ip4.sin_port || !is_of_this_machine(&to)) {
		return false;
	}
	/* :: takes IPv4 connections too. */
	const bool takes_all = address_is_any(&at) &&
	                       (at.any.sa_family == AF_INET6 || to.any.sa_family == AF_INET);
	return takes_all || is_same_host(&to, &at);
}

/* 0 or -errno. */
static int try_ip6_loopback(uint16_t port)
{
	const union address loopback = {.ip6 = {.sin6_family = AF_INET6,
	                                        .sin6_port = htons(port),
	                                        .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
	const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int r = fd >= 0 && bind(fd, &loopback.any, address_len(&loopback)) == 0 ? 0 : -errno;

	if (fd >= 0) {
		(void)close(fd);
	}
	return r;
}

/* The sandbox allows the ports of listeners alone: at a reload, the one that is open is tried. */
bool address_has_ip6_loopback(uint16_t port)
{
	int r = try_ip6_loopback(0);

	if (r == -EACCES) {
		r = try_ip6_loopback(port);
	}
	/* Below 1024 a port is open to root alone, who opened this one at the start. */
	return r == 0 || r == -EADDRINUSE || r == -EACCES;
}

void address_name(const union address *address, char name[static ADDRESS_NAME_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->any.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &address->ip4.sin_addr, host, sizeof(host));
		(void)snprintf(name, ADDRESS_NAME_MAX, "%s:%u", host, ntohs(address->ip4.sin_port));
	} else if (address->any.sa_family != AF_INET6) {
		(void)snprintf(name, ADDRESS_NAME_MAX, "unix");
	} else if (IN6_IS_ADDR_V4MAPPED(&address->ip6.sin6_addr)) {
		(void)inet_ntop(AF_INET, &address->ip6.sin6_addr.s6_addr[12], host, sizeof(host));
		(void)snprintf(
		        name, ADDRESS_NAME_MAX, "%s:%u", host, ntohs(address->ip6.sin6_port));
	} else {
		(void)inet_ntop(AF_INET6, &address->ip6.sin6_addr, host, sizeof(host));
		(void)snprintf(
		        name, ADDRESS_NAME_MAX, "[%s]:%u", host, ntohs(address->ip6.sin6_port));
	}
}

void address_add(const union address *address, struct text *text)
{
	char name[ADDRESS_NAME_MAX];

	if (address->any.sa_family == AF_UNIX) {
		const char *path = address->path.sun_path;
		text_add_format(text, "unix://%s%s", path[0] == '\0' ? "@" : "",
		        path[0] == '\0' ? path + 1 : path);
	} else {
		address_name(address, name);
		text_add_format(text, "tcp://%s", name);
	}
}
