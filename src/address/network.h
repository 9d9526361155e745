/* SPDX-License-Identifier: MIT */
/*
 * network — a network of IPv4 or IPv6 addresses.
 */
#ifndef ADDRESS_NETWORK_H
#define ADDRESS_NETWORK_H

#include "address/address.h"

/* Of an address only the first bits count. */
struct network {
	int family; /* AF_INET or AF_INET6 */
	unsigned bits;
	unsigned char bytes[16];
};

/*
 * Parse 192.0.2.0/24, 2001:db8::/32 or one address. An IPv4 address in the spelling of IPv6 is the
 * IPv4 address. NULL on success; else the fault, as the end of a sentence.
 */
const char *network_parse(struct slice text, struct network *ret_network) MUST_USE;
/* Whether the address has bits behind the first `bits`. */
bool network_has_host(const struct network *network);
/* Whether the address, which may be that of a unix socket, is in the network. */
bool network_has(const struct network *network, const union address *address);
/* Whether all addresses of `other` are in `network`. */
bool network_covers(const struct network *network, const struct network *other);

#endif
