/* SPDX-License-Identifier: MIT */
/*
 * address — an address to listen on or to connect to: as text, and as the kernel
 * takes it.
 *
 *     tcp://HOST:PORT   HOST is an IPv4 address, an IPv6 address in brackets, `localhost`
 *                       (127.0.0.1), or `*` or nothing for all interfaces
 *     tls://HOST:PORT   the same, for TLS
 *     unix:///PATH
 *     fd://NAME         for listeners: the sockets that the service manager passed as NAME;
 *                       without a name, or with a star as name, those that no other listener names
 *
 * No name is resolved: an address always means the same.
 */
#ifndef ADDRESS_ADDRESS_H
#define ADDRESS_ADDRESS_H

#include "base/check.h"
#include "base/slice.h"
#include "base/text.h"

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
 * Parse `text`. NULL on success; all interfaces become the IPv6 address ::. Else
 * the fault, as the end of a sentence.
 */
const char *address_parse(struct slice text, union address *ret_address) MUST_USE;
/* The fault of the path of a unix socket, as the end of a sentence; NULL if it has none. */
const char *address_path_problem(struct slice path);
enum { ADDRESS_ENGINE_MAX = 64 }; /* bytes of a name */
/*
 * Split tcp://HOST:PORT/engines/NAME, as DOCKER_HOST has it, in front of the path. False: it is no
 * such address; a unix socket may be called so.
 */
bool address_split_engine(const char *text, struct slice *ret_address, struct slice *ret_name);
/* Whether `text` is a tls://HOST:PORT. */
bool address_is_tls(const char *text);
/* The path of unix:///PATH; NULL if `text` is another address. */
const char *address_path(const char *text);
/* The name of fd://NAME, "" if it has none or a star; NULL if `text` is another address. */
const char *address_passed(const char *text);
/* The fault of the name of passed sockets, as the end of a sentence; NULL if it has none. */
const char *address_passed_problem(struct slice name);

/* The address of the unix socket at `path`, in which address_path_problem() finds no fault. */
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
/* Whether the address means all interfaces, :: or 0.0.0.0. */
bool address_is_any(const union address *address);
/* Whether both are the same place, with the same port. */
bool address_equal(const union address *a, const union address *b);
/* Whether a connection to `target` arrives at a socket of this machine that listens on `listener`:
 * TCP addresses with equal ports, of which one may be that of all interfaces. */
bool address_leads_to(const union address *target, const union address *listener);
/* Give a TCP socket the options of every connection: nothing is held back, and a vanished peer is
 * found. 0 or -errno. Connections inherit the options of a listening socket. */
int address_tune(int fd) MUST_USE;
/* Whether this machine has ::1; a system without IPv6 or a container may lack it. `port`: one that
 * the sandbox, if it was entered, lets the program bind. */
bool address_has_ip6_loopback(uint16_t port);
/* Write 192.0.2.1:4711, [2001:db8::1]:4711 or `unix`, with a NUL. */
void address_name(const union address *address, char name[static ADDRESS_NAME_MAX]);
/* Append tcp://192.0.2.1:4711 or unix:///PATH; unix://@NAME if it is abstract (unix(7)). */
void address_add(const union address *address, struct text *text);

#endif
