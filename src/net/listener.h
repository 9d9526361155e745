/* SPDX-License-Identifier: MIT */
/*
 * listener — addresses clients connect to.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/check.h"
#include "base/text.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

union address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
	struct sockaddr_un path;
};

enum {
	LISTENER_NAME_MAX = 160, /* bytes of an address in words */
	PEER_NAME_MAX = 56,      /* [IPv6]:port */
};

/*
 * A listening, non-blocking socket on `address`: tcp://HOST:PORT (HOST an IPv4
 * or [IPv6] address, `localhost`, or nothing or `*` for all interfaces, IPv6
 * and IPv4 in one socket, IPv4 alone where there is no IPv6) or unix:///PATH,
 * whose stale file is replaced by one of `mode`, whatever the umask; that one
 * belongs to the process, so there must be no other thread yet. Several with
 * `shared` may have the same TCP address; without it one is only bound, to learn
 * whether somebody else listens there (-EADDRINUSE): it takes no clients, who
 * would be reset when it closes.
 * The descriptor, or -errno; -EINVAL: not an address.
 */
int listener_open(const char *address, unsigned mode, bool shared) MUST_USE;

/* The address accepted from, in words: 192.0.2.1:4711, [2001:db8::1]:4711, or `unix`. */
void peer_name(const union address *peer, char name[static PEER_NAME_MAX]);

#endif
