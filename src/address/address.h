/* SPDX-License-Identifier: MIT */
/*
 * address — an address to listen on or to connect to: as users write it, and as
 * the kernel takes it.
 *
 *     tcp://HOST:PORT   HOST an IPv4 address, an IPv6 one in brackets, `localhost` (127.0.0.1),
 *                       or nothing or `*` for all interfaces
 *     unix:///PATH
 *
 * There is no resolver: an address has the same meaning at any time.
 */
#ifndef ADDRESS_ADDRESS_H
#define ADDRESS_ADDRESS_H

#include "base/check.h"
#include "base/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

union address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
	struct sockaddr_un path;
};

enum { ADDRESS_NAME_MAX = 56 }; /* bytes of [IPv6]:port */

/*
 * NULL and *ret_address, in which all interfaces are the IPv6 address ::, or
 * what is wrong with `text` as the end of a sentence.
 */
const char *address_parse(struct slice text, union address *ret_address) MUST_USE;
/* What is wrong with the path of a unix socket, likewise; NULL: nothing. */
const char *address_path_problem(struct slice path);
/* The path of unix:///PATH; NULL: `text` is another address. */
const char *address_path(const char *text);

/* The unix socket at `path`, which has no problem. */
union address address_of_path(struct slice path);
socklen_t address_len(const union address *address);
/*
 * A stream socket, closed on exec, that connects to the address; or -errno. The caller owns the
 * descriptor. `wait` NULL: the socket does not block, and over TCP the connection may still be in
 * progress; -EAGAIN: the queue of a unix listener is full. Otherwise this call, and every later
 * read and write of the socket, blocks for at most `wait` (socket(7), SO_RCVTIMEO); -EAGAIN or
 * -EINPROGRESS: the time is over.
 */
int address_connect(const union address *address, const struct timeval *wait) MUST_USE;
/* Whether it is IPv6's or IPv4's for all interfaces. */
bool address_is_any(const union address *address);
/* Whether this machine has ::1: a system without IPv6, or a container, may not. */
bool address_has_ip6_loopback(void);
/* In words: 192.0.2.1:4711, [2001:db8::1]:4711, or `unix`. */
void address_name(const union address *address, char name[static ADDRESS_NAME_MAX]);

#endif
