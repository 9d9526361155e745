/* SPDX-License-Identifier: MIT */
#include "config/options.h"

#include <arpa/inet.h>
#include <sys/un.h>

enum { PATH_LEN_MAX = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1 };

const char *config_path_problem(struct slice path)
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

static bool is_address_of(int family, struct slice host)
{
	char copy[INET6_ADDRSTRLEN];
	unsigned char binary[sizeof(struct in6_addr)];

	if (host.len >= sizeof(copy)) {
		return false;
	}
	memcpy(copy, host.ptr, host.len);
	copy[host.len] = '\0';
	return inet_pton(family, copy, binary) == 1;
}

static bool is_host(struct slice host)
{
	if (host.len == 0 || slice_equal(host, SLICE("*")) ||
	        slice_equal(host, SLICE("localhost"))) {
		return true;
	}
	if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
		return is_address_of(
		        AF_INET6, slice_between(host.ptr + 1, host.ptr + host.len - 1));
	}
	return is_address_of(AF_INET, host);
}

static const char *tcp_problem(struct slice authority)
{
	const char *colon = authority.len > 0 ? memrchr(authority.ptr, ':', authority.len) : NULL;
	uint64_t port;

	if (colon == NULL || authority.ptr[authority.len - 1] == ']') {
		return "the port is missing: give tcp://HOST:PORT";
	}
	if (!is_host(slice_between(authority.ptr, colon))) {
		return "HOST in tcp://HOST:PORT is an IPv4 address, an IPv6 address in brackets, "
		       "localhost, or * for all interfaces";
	}
	if (slice_to_u64(slice_between(colon + 1, authority.ptr + authority.len), 65535, &port) <
	                0 ||
	        port == 0) {
		return "PORT in tcp://HOST:PORT is a whole number from 1 to 65535";
	}
	return NULL;
}

static struct slice slice_after(struct slice s, struct slice prefix)
{
	return (struct slice){s.ptr + prefix.len, s.len - prefix.len};
}

const char *config_address_problem(struct slice address)
{
	if (slice_starts_with(address, SLICE("tcp://"))) {
		return tcp_problem(slice_after(address, SLICE("tcp://")));
	}
	if (slice_starts_with(address, SLICE("unix://"))) {
		return config_path_problem(slice_after(address, SLICE("unix://")));
	}
	if (slice_starts_with(address, SLICE("tls://"))) {
		return "tls:// is not supported; give tcp://HOST:PORT or unix:///PATH";
	}
	if (slice_starts_with(address, SLICE("fd://"))) {
		return "fd:// is not supported; give tcp://HOST:PORT or unix:///PATH";
	}
	return "give tcp://HOST:PORT or unix:///PATH";
}
