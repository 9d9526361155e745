/* SPDX-License-Identifier: MIT */
/*
 * listener — listening sockets.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "address/address.h"
#include "base/check.h"
#include "base/text.h"

/*
 * Open a non-blocking socket on `address`. An address of all interfaces is one
 * socket for IPv6 and IPv4, or for IPv4 alone if the system has no IPv6. The file
 * of a unix socket replaces a stale file and gets `mode`, whatever the umask. The
 * umask belongs to the process, so that no other thread may exist yet.
 *
 * `shared`: the socket listens, and others may listen on the same TCP address
 * (SO_REUSEPORT). Without `shared`, a TCP socket is bound and does not listen: it
 * shows whether another program listens there (-EADDRINUSE).
 *
 * Returns the descriptor or -errno; -EINVAL if `address` is not an address.
 */
int listener_open(const char *address, unsigned mode, bool shared) MUST_USE;

/*
 * Make a listening socket that another process opened like one of listener_open(): it does not
 * block, and connections inherit its options. 0 or -errno.
 */
int listener_adopt(int fd, const union address *address) MUST_USE;

/* Append the cause of `error` from listener_open() and its remedy, as the end of a sentence. */
void listener_explain(const char *address, int error, struct text *sentence);

#endif
