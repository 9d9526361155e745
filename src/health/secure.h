/* SPDX-License-Identifier: MIT */
/*
 * secure — TLS for one request, over a socket that blocks.
 *
 * A health check verifies nothing: it is asked whether the proxy responds, at an address of its
 * own. Who presents a key verifies whom he presents it to.
 */
#ifndef HEALTH_SECURE_H
#define HEALTH_SECURE_H

#include "base/check.h"
#include "base/fault.h"

#include <sys/types.h>

struct secure;

/* Begin TLS over the connected `fd`, which stays the caller's. NULL: the other side does not
 * speak TLS. */
struct secure *secure_new(int fd) MUST_USE;
/*
 * The same, verified: the certificate of the other side, or one of its authorities, is in the PEM
 * file `trusted`. `name`: DNS name or IP address that the certificate must have; NULL: any, because
 * the file has the certificate itself. NULL after a sentence about it.
 */
struct secure *secure_new_verified(
        int fd, const char *trusted, const char *name, char error[FAULT_MAX]) MUST_USE;
/* `secure` may be NULL. */
void secure_free(struct secure *secure);
/* Bytes, 0 at the end, or -errno: -EKEYREJECTED if the other side demands a certificate. */
ssize_t secure_read(struct secure *secure, char *memory, size_t len);
ssize_t secure_write(struct secure *secure, const char *bytes, size_t len);

#endif
