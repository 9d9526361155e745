/* SPDX-License-Identifier: MIT */
/*
 * identity — the caller: the client at the other end of a connection, as values.
 *
 * The name is made when a line is printed, and is never parsed.
 *
 * Further properties of callers belong into struct caller: the user and group
 * at a unix socket, a key, a certificate, the container, and the client entry
 * of the configuration that these properties select.
 */
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

#include "address/address.h"
#include "base/text.h"

struct caller {
	unsigned listener;     /* number of the listener, in the order of the configuration */
	union address address; /* IPv4 as such, also where an IPv6 socket accepted it */
};

/* Who came from `peer`, as accept(2) tells it, to that listener. */
struct caller caller_from(unsigned listener, const union address *peer);

/* Whether both come from one host; the port is another one for each connection. */
bool caller_same_host(const struct caller *a, const struct caller *b);
/* Equal for callers from one host. */
unsigned caller_hash(const struct caller *caller);

/* Write 192.0.2.1:4711, [2001:db8::1]:4711 or unix. */
void caller_add_name(const struct caller *caller, struct text *text);
/* The same without the port. */
void caller_add_host(const struct caller *caller, struct text *text);

#endif
