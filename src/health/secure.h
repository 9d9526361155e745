/* SPDX-License-Identifier: MIT */
/*
 * secure — TLS for a health check, over a socket that blocks.
 *
 * Nothing is verified: it is asked whether the proxy responds, at an address of its own.
 */
#ifndef HEALTH_SECURE_H
#define HEALTH_SECURE_H

#include "base/check.h"

#include <sys/types.h>

struct secure;

/* Begin TLS over the connected `fd`, which stays the caller's. NULL: the other side does not
 * speak TLS. */
struct secure *secure_new(int fd) MUST_USE;
/* `secure` may be NULL. */
void secure_free(struct secure *secure);
/* Bytes, 0 at the end, or -errno: -EKEYREJECTED if the other side demands a certificate. */
ssize_t secure_read(struct secure *secure, char *memory, size_t len);
ssize_t secure_write(struct secure *secure, const char *bytes, size_t len);

#endif
