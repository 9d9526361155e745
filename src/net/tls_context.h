/* SPDX-License-Identifier: MIT */
/* tls_context — what the streams of one transport share. Private to net/. */
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include "net/tls.h"

#include <openssl/ssl.h>

enum { TLS_DIGEST_LEN = 32 };

struct tls_transport {
	struct transport transport;
	SSL_CTX *context;
	/* SHA-256 of the files by which peers are verified, and of how; zero: they are not. */
	unsigned char trust[TLS_DIGEST_LEN];
	char *name; /* of a client: the server's, which its certificate must have; NULL: any */
};

/* A transport over `context`, which it owns, with the verbs of tls.c. NULL without memory: then
 * `context`, which may be NULL, is freed. */
struct tls_transport *tls_transport_new(SSL_CTX *context);
/* Demand that the peer's certificate has the name. False without memory, or if it is no name. */
bool tls_expect_name(X509_VERIFY_PARAM *param, const char *name);

#endif
