/* SPDX-License-Identifier: MIT */
/*
 * listener — sockets that clients connect to.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "address/address.h"
#include "base/check.h"
#include "base/text.h"

/*
 * A listening, non-blocking socket on `address`. All interfaces are IPv6 and
 * IPv4 in one socket, IPv4 alone where there is no IPv6. The file of a unix
 * socket replaces a stale one and gets `mode`, whatever the umask; that one
 * belongs to the process, so there must be no other thread yet. Several with
 * `shared` may have the same TCP address; without it one is only bound, to learn
 * whether somebody else listens there (-EADDRINUSE): it takes no clients, who
 * would be reset when it closes. The descriptor, or -errno; -EINVAL: not an
 * address.
 */
int listener_open(const char *address, unsigned mode, bool shared) MUST_USE;

/* Why listener_open() returned `error`, and what to do about it, as the end of a sentence. */
void listener_explain(const char *address, int error, struct text *sentence);

#endif
