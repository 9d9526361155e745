/* SPDX-License-Identifier: MIT */
/*
 * resolve — the addresses of a host name: /etc/hosts first, then DNS (/etc/resolv.conf, its search
 * list included).
 *
 * Not getaddrinfo(3): it loads libraries of the system while it runs, which a static program must
 * not.
 */
#ifndef UPSTREAM_RESOLVE_H
#define UPSTREAM_RESOLVE_H

#include "address/address.h"

enum { RESOLVE_MAX = 8 };

struct resolved {
	unsigned count;
	union address list[RESOLVE_MAX]; /* IPv4 first; further ones are left out */
};

/*
 * Find the addresses of `host`. Blocks, for a few seconds if no server of DNS responds. 0; -ENOENT:
 * the name has no address; -EIO: a server responded that it cannot tell; -EAGAIN: none responded.
 */
int resolve_host(const char *host, uint16_t port, struct resolved *ret_found) MUST_USE;
/* The same with another file in place of /etc/hosts, for tests; no DNS. */
int resolve_in_file(
        const char *file, const char *host, uint16_t port, struct resolved *ret_found) MUST_USE;

#endif
