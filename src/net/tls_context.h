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
};

/* An empty transport of servers or of clients, with the verbs of tls.c. NULL without memory. */
struct tls_transport *tls_transport_new(bool is_server);

#endif
