/* SPDX-License-Identifier: MIT */
/*
 * certs — the verb `certs`: a certificate authority of one's own, a certificate for a server and
 * certificates for clients, in the files that Docker's documentation makes.
 *
 *     DIR/ca.pem, ca-key.pem               the authority
 *     DIR/server-cert.pem, server-key.pem  of the server: the proxy, or dockerd
 *     DIR/cert.pem, key.pem                of the only client: DIR is its DOCKER_CERT_PATH
 *     DIR/NAME/ca.pem, cert.pem, key.pem   of the client NAME: DIR/NAME is its DOCKER_CERT_PATH
 */
#ifndef CERTS_CERTS_H
#define CERTS_CERTS_H

#include "base/fault.h"

#include <stdio.h>

enum {
	CERTS_HOSTS_MAX = 32,
	CERTS_CLIENTS_MAX = 32,
	CERTS_DAYS_MAX = 36500,
};

/* What to make. Strings are borrowed. */
struct certs_order {
	const char *folder;
	unsigned host_count;      /* 0: the name of this machine */
	const char *const *hosts; /* names and IP addresses of the server, beside localhost */
	unsigned client_count;    /* 0: one, without a folder of its own */
	const char *const *clients;
	unsigned days; /* how long certificates are valid, from 1 to CERTS_DAYS_MAX */
};

/*
 * Make authority, server and clients in a folder without an authority; else, with the authority
 * that is there, a server if hosts are given, and the clients. No file is overwritten. Prints what
 * it made and how it is used. 0; or -EINVAL with a sentence in `error`, and nothing was made.
 */
int certs_make(const struct certs_order *order, FILE *out, char error[FAULT_MAX]) MUST_USE;

#endif
