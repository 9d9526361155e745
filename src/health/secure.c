/* SPDX-License-Identifier: MIT */
#include "health/secure.h"

#include "base/text.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
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

/* ── With a verified peer ────────────────────────────────────────────────── */

static bool set_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);

	/* An IP address has no SNI (RFC 6066 section 3). */
	return X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 ||
	       (SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1);
}

/* What is trusted may be the certificate of the other side itself. */
static bool prepare(
        struct secure *secure, const char *trusted, const char *name, char error[FAULT_MAX])
{
	secure->context = SSL_CTX_new(TLS_client_method());
	if (secure->context == NULL) {
		(void)fault_memory(error);
		return false;
	}
	if (SSL_CTX_load_verify_file(secure->context, trusted) != 1) {
		(void)fault_set(error, NOWHERE, "'%s' has no certificate in PEM that can be read",
		        text_show(slice_of(trusted)).text);
		return false;
	}
	SSL_CTX_set_verify(secure->context, SSL_VERIFY_PEER, NULL);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(secure->context), X509_V_FLAG_PARTIAL_CHAIN);
	secure->ssl = SSL_new(secure->context);
	if (secure->ssl == NULL || (name != NULL && !set_name(secure->ssl, name))) {
		(void)fault_memory(error);
		return false;
	}
	return true;
}

static bool connect_verified(struct secure *secure, int fd, char error[FAULT_MAX])
{
	if (SSL_set_fd(secure->ssl, fd) == 1 && SSL_connect(secure->ssl) == 1) {
		return true;
	}
	const long verified = SSL_get_verify_result(secure->ssl);
	(void)fault_set(error, NOWHERE, "cannot speak TLS there: %s",
	        verified != X509_V_OK ? X509_verify_cert_error_string(verified)
	                              : "the other side ended the handshake");
	ERR_clear_error();
	return false;
}

struct secure *secure_new_verified(
        int fd, const char *trusted, const char *name, char error[FAULT_MAX])
{
	struct secure *secure = calloc(1, sizeof(*secure));

	(void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	if (secure == NULL) {
		(void)fault_memory(error);
		return NULL;
	}
	if (!prepare(secure, trusted, name, error) || !connect_verified(secure, fd, error)) {
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
