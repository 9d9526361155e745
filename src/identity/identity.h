/* SPDX-License-Identifier: MIT */
/*
 * identity — the client of a connection.
 *
 * A caller is what is known of a client, as values. Its name is made when a line
 * is printed, and is never parsed.
 *
 * What the configuration says of callers is in clients.h.
 */
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

#include "address/address.h"
#include "base/text.h"

enum { CALLER_GROUPS_MAX = 16 };

/* The process at the other end of a unix socket, as connect(2) noted it (unix(7), SO_PEERCRED). */
struct unix_peer {
	pid_t pid; /* 0: the process is in a pid namespace that the proxy does not see */
	uid_t uid;
	unsigned group_count;            /* 0: nothing is known of the peer */
	gid_t groups[CALLER_GROUPS_MAX]; /* its own group first; further ones are left out */
};

struct certificate;

struct caller {
	unsigned listener;     /* index of the listener in the configuration */
	union address address; /* an IPv4 address is AF_INET, even if an IPv6 socket accepted it */
	struct unix_peer peer;
	const struct certificate *certificate; /* that was verified; NULL: none. Not of copies */
};

/* The caller whose address accept(2) returned as `peer`, at that listener. */
struct caller caller_from(unsigned listener, const union address *peer);

/* Whether both have the same host; ports are ignored, because each connection has another. */
bool caller_same_host(const struct caller *a, const struct caller *b);
/* The same network of a customer: the first 64 bits of an IPv6 address (RFC 6177), all of others.
 */
struct caller caller_site(const struct caller *caller);
/* Whether both have the same host, and at a unix socket the same user. */
bool caller_same_user(const struct caller *a, const struct caller *b);
/* Equal for callers with the same host. */
unsigned caller_hash(const struct caller *caller);

/* Append 192.0.2.1:4711, [2001:db8::1]:4711 or unix. */
void caller_add_name(const struct caller *caller, struct text *text);
/* The same without the port. */
void caller_add_host(const struct caller *caller, struct text *text);

#endif
