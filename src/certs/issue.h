/* SPDX-License-Identifier: MIT */
/*
 * issue — keys and certificates in memory: ECDSA P-256, signed with SHA-256. Private to certs/.
 */
#ifndef CERTS_ISSUE_H
#define CERTS_ISSUE_H

#include "base/check.h"
#include "base/fault.h"
#include "base/slice.h"

#include <openssl/x509.h>

/* A certificate with its key. */
struct identity_pair {
	X509 *certificate;
	EVP_PKEY *key;
};

enum {
	ISSUE_NAME_MAX = 64,         /* bytes of a common name (RFC 5280, ub-common-name) */
	ISSUE_AUTHORITY_DAYS = 3650, /* an authority is valid for at least as long */
};

/* A new authority that is valid for `days`. False without memory or random numbers. */
bool issue_authority(unsigned days, struct identity_pair *ret_authority) MUST_USE;
/*
 * A certificate of the authority, which it does not outlive. `alternatives`: of a server, such as
 * "DNS:localhost,IP:127.0.0.1"; NULL: for a client. False without memory or random numbers.
 */
bool issue_certificate(const struct identity_pair *authority, const char *name,
        const char *alternatives, unsigned days, struct identity_pair *ret_pair) MUST_USE;
/* Read an authority from two PEM files. 0, or -EINVAL with a sentence in `error`. */
int issue_read_authority(const char *certificate, const char *key,
        struct identity_pair *ret_authority, char error[FAULT_MAX]) MUST_USE;
void identity_pair_free(struct identity_pair *pair);

/* As PEM, into memory to be freed with OPENSSL_free(); ptr NULL without memory. */
struct slice issue_write_certificate(const struct identity_pair *pair);
struct slice issue_write_key(const struct identity_pair *pair);

#endif
