/* SPDX-License-Identifier: MIT */
#include "health/secure.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>

struct secure {
	SSL_CTX *context;
	SSL *ssl;
};

/* TLS 1.3 alone: its alert says that a certificate is demanded. */
static bool begin(struct secure *secure, int fd)
{
	secure->context = SSL_CTX_new(TLS_client_method());
	if (secure->context == NULL ||
	        SSL_CTX_set_min_proto_version(secure->context, TLS1_3_VERSION) != 1) {
		return false;
	}
	secure->ssl = SSL_new(secure->context);
	return secure->ssl != NULL && SSL_set_fd(secure->ssl, fd) == 1 &&
	       SSL_connect(secure->ssl) == 1;
}

struct secure *secure_new(int fd)
{
	struct secure *secure = calloc(1, sizeof(*secure));

	(void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	if (secure != NULL && !begin(secure, fd)) {
		secure_free(secure);
		return NULL;
	}
	return secure;
}

void secure_free(struct secure *secure)
{
	if (secure != NULL) {
		SSL_free(secure->ssl);
		SSL_CTX_free(secure->context);
		free(secure);
	}
}

static ssize_t failed(const struct secure *secure, int result)
{
	const int error = SSL_get_error(secure->ssl, result);
	const int reason = ERR_GET_REASON(ERR_peek_error());

	ERR_clear_error();
	if (error == SSL_ERROR_ZERO_RETURN) {
		return 0;
	}
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		return -ETIMEDOUT; /* the socket blocks for as long as there is time */
	}
	return error == SSL_ERROR_SSL && reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED
	               ? -EKEYREJECTED
	               : -ECONNRESET;
}

ssize_t secure_read(struct secure *secure, char *memory, size_t len)
{
	size_t n = 0;
	const int result = SSL_read_ex(secure->ssl, memory, len, &n);

	return result == 1 ? (ssize_t)n : failed(secure, result);
}

ssize_t secure_write(struct secure *secure, const char *bytes, size_t len)
{
	size_t n = 0;
	const int result = SSL_write_ex(secure->ssl, bytes, len, &n);

	return result == 1 ? (ssize_t)n : failed(secure, result);
}
