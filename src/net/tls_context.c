/* SPDX-License-Identifier: MIT */
/*
 * The transports of TLS: their files, and how both sides agree.
 */
#include "net/tls_context.h"

#include "base/clock.h"
#include "base/file.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	CHAIN_MAX = 8, /* certificates between the peer's and the root */
	/* Of the certificates that a client sends: eight of 4 KiB. OpenSSL has 100 KiB, which
	 * whoever connects may make it hold, and several times that for what is parsed. */
	CERTIFICATES_MAX = 32 * 1024,
	RESUMED_MAX_S = 2 * 3600, /* after which a peer is verified anew */
	SECURITY_LEVEL = 2,       /* SSL_CTX_set_security_level(3): 112 bits, no SHA-1 */
};

/* RFC 9325 §4.2: authenticated encryption and forward secrecy alone. */
static const char ciphers12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const char ciphers13[] =
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";

/* The pairs of a transport; they live as long as its SSL_CTX, which open streams may keep. */
struct pair {
	X509 *cert;
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
};
struct pairs {
	unsigned count;
	struct pair list[TLS_PAIRS_MAX];
};

/* Where an SSL_CTX has its pairs; -1: not known yet. */
static int known_index = -1;

/* A transport that is being made. */
struct maker {
	struct tls_transport *transport;
	const struct tls_settings *settings;
	struct tls_fault *fault;
	tls_warn *warn;
	void *context;
	SSL_CTX *ctx;
	struct pairs *pairs;
};

/* ── Faults ──────────────────────────────────────────────────────────────── */

static int PRINTF_LIKE(3, 4)
        refuse(struct maker *maker, enum tls_setting setting, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(maker->fault->text, sizeof(maker->fault->text), format, arguments);
	va_end(arguments);
	maker->fault->setting = setting;
	ERR_clear_error();
	return -EINVAL;
}

static void PRINTF_LIKE(3, 4)
        warn(const struct maker *maker, enum tls_setting setting, const char *format, ...)
{
	struct tls_fault warning = {.setting = setting};
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(warning.text, sizeof(warning.text), format, arguments);
	va_end(arguments);
	maker->warn(maker->context, &warning);
}

static int no_memory(struct maker *maker, enum tls_setting setting)
{
	return refuse(maker, setting, "there is no memory for it");
}

/* ── Files ───────────────────────────────────────────────────────────────── */

/* Let the digest of what peers are verified by depend on these bytes, and on those before them. */
static bool note_trust(struct maker *maker, const void *bytes, size_t len)
{
	unsigned char *trust = maker->transport->trust;
	unsigned char both[2 * TLS_DIGEST_LEN];

	memcpy(both, trust, TLS_DIGEST_LEN);
	return EVP_Digest(bytes, len, both + TLS_DIGEST_LEN, NULL, EVP_sha256(), NULL) == 1 &&
	       EVP_Digest(both, sizeof(both), trust, NULL, EVP_sha256(), NULL) == 1;
}

/* The bytes of a PEM file. NULL after a fault. Secrets are wiped by close_file(). */
static BIO *open_file(
        struct maker *maker, enum tls_setting setting, const char *path, char **ret_bytes)
{
	char *bytes = malloc(TLS_FILE_MAX + 1);
	const ssize_t len = bytes == NULL ? -ENOMEM : file_read(path, bytes, TLS_FILE_MAX + 1);

	*ret_bytes = bytes;
	if (len < 0) {
		(void)refuse(maker, setting, "'%s' cannot be read: %s",
		        text_show(slice_of(path)).text, file_problem(path, len));
	} else if (len > TLS_FILE_MAX) {
		(void)refuse(maker, setting, "'%s' is longer than 1 MiB",
		        text_show(slice_of(path)).text);
	} else if ((setting == TLS_CA || setting == TLS_CRL) &&
	           !note_trust(maker, bytes, (size_t)len)) {
		(void)no_memory(maker, setting);
	} else {
		return BIO_new_mem_buf(bytes, (int)len);
	}
	return NULL;
}

static void close_file(BIO *file, char *bytes)
{
	BIO_free(file);
	if (bytes != NULL) {
		explicit_bzero(bytes, TLS_FILE_MAX + 1);
	}
	free(bytes);
}

/* A key behind a passphrase would need somebody to type it. */
/* NOLINTNEXTLINE(readability-non-const-parameter): pem_password_cb */
static int has_passphrase(char *memory, int size, int rwflag, void *context)
{
	(void)memory, (void)size, (void)rwflag;
	*(bool *)context = true;
	return -1;
}

/* Between two objects of a file: whether it has ended, rather than been misread. */
static bool is_end_of_file(void)
{
	const unsigned long error = ERR_peek_last_error();

	return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/* All certificates of a file, in their order. NULL after a fault. */
static STACK_OF(X509) *
        read_certificates(struct maker *maker, enum tls_setting setting, const char *path)
{
	char *bytes = NULL;
	STACK_OF(X509) *list = sk_X509_new_null();
	BIO *file = open_file(maker, setting, path, &bytes);
	X509 *cert = NULL;
	bool good = file != NULL && list != NULL;

	while (good && (cert = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL) {
		good = sk_X509_push(list, cert) > 0;
	}
	if (file != NULL && good && (!is_end_of_file() || sk_X509_num(list) == 0)) {
		(void)refuse(maker, setting,
		        "'%s' has %s certificate in PEM (-----BEGIN CERTIFICATE-----)",
		        text_show(slice_of(path)).text,
		        sk_X509_num(list) == 0 ? "no" : "a damaged");
		good = false;
	}
	close_file(file, bytes);
	ERR_clear_error();
	if (!good) {
		sk_X509_pop_free(list, X509_free);
		return NULL;
	}
	return list;
}

static EVP_PKEY *read_key(struct maker *maker, const char *path)
{
	char *bytes = NULL;
	bool locked = false;
	BIO *file = open_file(maker, TLS_KEY, path, &bytes);
	EVP_PKEY *key =
	        file == NULL ? NULL : PEM_read_bio_PrivateKey(file, NULL, has_passphrase, &locked);

	if (locked) {
		(void)refuse(maker, TLS_KEY,
		        "'%s' has a passphrase: write the key without it, with 'openssl pkey -in "
		        "FILE -out FILE', and let only the proxy read it",
		        text_show(slice_of(path)).text);
	} else if (file != NULL && key == NULL) {
		(void)refuse(maker, TLS_KEY,
		        "'%s' has no private key in PEM (-----BEGIN PRIVATE KEY-----)",
		        text_show(slice_of(path)).text);
	}
	close_file(file, bytes);
	ERR_clear_error();
	return key;
}

/* ── Dates ───────────────────────────────────────────────────────────────── */

static bool is_past(const ASN1_TIME *time)
{
	return time != NULL && X509_cmp_current_time(time) < 0;
}

/* 2027-01-31T18:00:00Z */
static void add_time(const ASN1_TIME *time, struct text *text)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) == 1) {
		text_add_format(text, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
		        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	}
}

/* What is past is refused by the peer, or refuses all peers: the program still starts, so that a
 * restart at night breaks nothing that worked. */
static void warn_of_dates(
        struct maker *maker, enum tls_setting setting, const char *path, const X509 *cert)
{
	const char *who =
	        setting == TLS_CERT ? "peers refuse it" : "certificates of it are refused";

	if (is_past(X509_get0_notAfter(cert))) {
		warn(maker, setting, "'%.512s' has expired, and %s: make a new one", path, who);
	} else if (!is_past(X509_get0_notBefore(cert))) {
		warn(maker, setting, "'%.512s' is not valid yet, and %s: compare the clocks", path,
		        who);
	}
}

/* ── Pairs ───────────────────────────────────────────────────────────────── */

static void free_pairs(struct pairs *pairs)
{
	for (unsigned i = 0; pairs != NULL && i < pairs->count; i++) {
		X509_free(pairs->list[i].cert);
		EVP_PKEY_free(pairs->list[i].key);
		sk_X509_pop_free(pairs->list[i].chain, X509_free);
	}
	free(pairs);
}

static void warn_of_mode(struct maker *maker, const char *path)
{
	struct stat file;

	if (stat(path, &file) == 0 && (file.st_mode & S_IROTH) != 0) {
		warn(maker, TLS_KEY, "'%.512s' can be read by every user (mode %04o): chmod 0600",
		        path, file.st_mode & 07777U);
	}
}

static int read_pair(struct maker *maker, const struct tls_pair *files)
{
	struct pair *pair = &maker->pairs->list[maker->pairs->count++];

	pair->chain = read_certificates(maker, TLS_CERT, files->cert);
	if (pair->chain == NULL) {
		return -EINVAL;
	}
	pair->cert = sk_X509_shift(pair->chain);
	warn_of_dates(maker, TLS_CERT, files->cert, pair->cert);
	pair->key = read_key(maker, files->key);
	if (pair->key == NULL) {
		return -EINVAL;
	}
	warn_of_mode(maker, files->key);
	if (X509_check_private_key(pair->cert, pair->key) != 1) {
		return refuse(maker, TLS_KEY,
		        "'%s' is not the key of the first certificate in '%s'",
		        text_show(slice_of(files->key)).text,
		        text_show(slice_of(files->cert)).text);
	}
	return 0;
}

static int read_pairs(struct maker *maker)
{
	const struct tls_settings *settings = maker->settings;

	for (unsigned i = 0; i < settings->pair_count; i++) {
		if (read_pair(maker, &settings->pairs[i]) < 0) {
			return -EINVAL;
		}
	}
	const struct pair *first = &maker->pairs->list[0];
	if (settings->pair_count > 0 && SSL_CTX_use_cert_and_key(maker->ctx, first->cert,
	                                        first->key, first->chain, 1) != 1) {
		return refuse(maker, TLS_CERT, "'%s' is not accepted: %s",
		        text_show(slice_of(settings->pairs[0].cert)).text,
		        ERR_reason_error_string(ERR_peek_error()));
	}
	return 0;
}

static int pairs_index(void);

static struct pairs *pairs_of(const SSL_CTX *ctx)
{
	return SSL_CTX_get_ex_data(ctx, pairs_index());
}

/* The certificate for the name that the client asks for (RFC 6066 section 3). */
static int choose_pair(SSL *ssl, void *context)
{
	const struct pairs *pairs = pairs_of(SSL_get_SSL_CTX(ssl));
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)context;
	for (unsigned i = 0; name != NULL && i < pairs->count; i++) {
		const struct pair *pair = &pairs->list[i];
		if (X509_check_host(pair->cert, name, 0, 0, NULL) == 1) {
			/* The first is there already. */
			return i == 0 ? 1
			              : SSL_use_cert_and_key(
			                        ssl, pair->cert, pair->key, pair->chain, 1);
		}
	}
	return 1;
}

/* Every name is accepted, so that it is part of the session: a connection of TLS 1.2 that resumes
 * one has the name of the first (RFC 6066 section 3). */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type of OpenSSL */
static int accept_name(SSL *ssl, int *alert, void *context)
{
	(void)ssl, (void)alert, (void)context;
	return SSL_TLSEXT_ERR_OK;
}

/* ── The peer's certificate ──────────────────────────────────────────────── */

static int read_authorities(struct maker *maker)
{
	const char *path = maker->settings->ca;
	X509_STORE *store = SSL_CTX_get_cert_store(maker->ctx);
	STACK_OF(X509) *list = read_certificates(maker, TLS_CA, path);
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
	bool good = list != NULL && names != NULL;

	for (int i = 0; good && i < sk_X509_num(list); i++) {
		X509 *cert = sk_X509_value(list, i);
		warn_of_dates(maker, TLS_CA, path, cert);
		good = X509_STORE_add_cert(store, cert) == 1 &&
		       sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(cert))) > 0;
	}
	if (good) {
		SSL_CTX_set_client_CA_list(maker->ctx, names);
	} else {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
	}
	if (list != NULL && !good) {
		(void)no_memory(maker, TLS_CA);
	}
	sk_X509_pop_free(list, X509_free);
	return good ? 0 : -EINVAL;
}

static int add_list(struct maker *maker, const char *path, X509_CRL *crl)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	const bool good = X509_STORE_add_crl(SSL_CTX_get_cert_store(maker->ctx), crl) == 1;

	if (is_past(next)) {
		warn(maker, TLS_CRL,
		        "'%.512s' has expired: every certificate of its authority is refused until "
		        "there is a newer list",
		        path);
	}
	X509_CRL_free(crl);
	return good ? 0 : no_memory(maker, TLS_CRL);
}

static int read_crl(struct maker *maker)
{
	const char *path = maker->settings->crl;
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(maker->ctx);
	char *bytes = NULL;
	BIO *file = open_file(maker, TLS_CRL, path, &bytes);
	X509_CRL *crl = NULL;
	unsigned count = 0;
	int code = file == NULL ? -EINVAL : 0;

	while (code == 0 && (crl = PEM_read_bio_X509_CRL(file, NULL, NULL, NULL)) != NULL) {
		code = add_list(maker, path, crl);
		count++;
	}
	if (code == 0 && (count == 0 || !is_end_of_file())) {
		code = refuse(maker, TLS_CRL,
		        "'%s' has %s list of revoked certificates in PEM (-----BEGIN X509 "
		        "CRL-----)",
		        text_show(slice_of(path)).text, count == 0 ? "no" : "a damaged");
	}
	close_file(file, bytes);
	ERR_clear_error();
	(void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return code;
}

static int set_verification(struct maker *maker, int mode)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(maker->ctx);

	if (maker->settings->ca == NULL) {
		return 0;
	}
	if (!note_trust(maker, &mode, sizeof(mode))) {
		return no_memory(maker, TLS_CA);
	}
	/* Each certificate of the file is an authority, also one that another made. */
	(void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	SSL_CTX_set_verify(maker->ctx, mode, NULL);
	SSL_CTX_set_verify_depth(maker->ctx, CHAIN_MAX);
	if (read_authorities(maker) < 0) {
		return -EINVAL;
	}
	return maker->settings->crl == NULL ? 0 : read_crl(maker);
}

bool tls_expect_name(X509_VERIFY_PARAM *param, const char *name)
{
	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1) {
		return true;
	}
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* OpenSSL takes an empty name for none. */
	return name[0] != '\0' && X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

/* Each stream demands it, not the SSL_CTX, which several transports may share. */
static int set_name(struct maker *maker, const char *name)
{
	X509_VERIFY_PARAM *param = name == NULL ? NULL : X509_VERIFY_PARAM_new();
	const bool good = param != NULL && tls_expect_name(param, name);

	if (name == NULL) {
		return 0;
	}
	X509_VERIFY_PARAM_free(param);
	maker->transport->name = strdup(name);
	if (param == NULL || maker->transport->name == NULL) {
		return no_memory(maker, TLS_NAME);
	}
	return good ? 0
	            : refuse(maker, TLS_NAME, "'%s' is no name", text_show(slice_of(name)).text);
}

/* ── Tickets ─────────────────────────────────────────────────────────────── */

/*
 * A ticket (RFC 8446 §2.2) resumes a session without a look at the certificate of the client: it
 * carries the time of the last look. The key of tickets is the transport's, so that no other
 * listener takes them, nor this one after it has read other files.
 */
static int seal_ticket(SSL *ssl, void *context)
{
	const int64_t now_s = clock_realtime_ns() / NS_PER_S;

	(void)context;
	if (SSL_session_reused(ssl) == 1) {
		return 1; /* the time is that of the first session */
	}
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &now_s, sizeof(now_s));
}

static bool is_fresh(SSL_SESSION *session)
{
	const X509 *cert = SSL_SESSION_get0_peer(session);
	void *data = NULL;
	size_t len = 0;
	int64_t then_s = 0;

	if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len != sizeof(then_s)) {
		return false;
	}
	memcpy(&then_s, data, sizeof(then_s));
	const int64_t age_s = clock_realtime_ns() / NS_PER_S - then_s;
	return age_s >= 0 && age_s < RESUMED_MAX_S &&
	       (cert == NULL || !is_past(X509_get0_notAfter(cert)));
}

static SSL_TICKET_RETURN open_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
        size_t name_len, SSL_TICKET_STATUS status, void *context)
{
	(void)ssl, (void)name, (void)name_len, (void)context;
	if (status == SSL_TICKET_FATAL_ERR_MALLOC || status == SSL_TICKET_FATAL_ERR_OTHER) {
		return SSL_TICKET_RETURN_ABORT;
	}
	const bool opened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
	return opened && is_fresh(session) ? SSL_TICKET_RETURN_USE_RENEW
	                                   : SSL_TICKET_RETURN_IGNORE_RENEW;
}

/* ── ALPN ────────────────────────────────────────────────────────────────── */

/* RFC 7301 §3.2: a server that knows none of the protocols that a client offers ends the handshake.
 * A client without a list speaks HTTP/1.1. */
static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
        const unsigned char *offered, unsigned offered_len, void *context)
{
	static const unsigned char spoken[] = "\x08http/1.1\x08http/1.0";
	unsigned char *name = NULL;

	(void)ssl, (void)context;
	if (SSL_select_next_proto(&name, ret_len, spoken, sizeof(spoken) - 1, offered,
	            offered_len) != OPENSSL_NPN_NEGOTIATED) {
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	*ret_name = name;
	return SSL_TLSEXT_ERR_OK;
}

/* ── Making ──────────────────────────────────────────────────────────────── */

static bool set_common(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                                 SSL_OP_CIPHER_SERVER_PREFERENCE |
	                                 SSL_OP_PRIORITIZE_CHACHA);
	/* Idle streams keep no buffers; a write that is tried again may have moved in memory. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1); /* a record is one system call, not two */
	SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, ciphers12) == 1 &&
	       SSL_CTX_set_ciphersuites(ctx, ciphers13) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, groups) == 1;
}

static bool set_server(SSL_CTX *ctx)
{
	unsigned char id[SSL_MAX_SID_CTX_LENGTH];

	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets alone */
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	SSL_CTX_set_cert_cb(ctx, choose_pair, NULL);
	(void)SSL_CTX_set_tlsext_servername_callback(ctx, accept_name);
	SSL_CTX_set_timeout(ctx, RESUMED_MAX_S);
	SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
	(void)SSL_CTX_set_num_tickets(ctx, 1); /* a client may use it several times */
	return SSL_CTX_set_session_ticket_cb(ctx, seal_ticket, open_ticket, NULL) == 1 &&
	       RAND_bytes(id, sizeof(id)) == 1 &&
	       SSL_CTX_set_session_id_context(ctx, id, sizeof(id)) == 1;
}

static int make(struct maker *maker, bool is_server)
{
	const int required = maker->settings->optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT;

	if (!set_common(maker->ctx) || (is_server && !set_server(maker->ctx))) {
		return refuse(maker, TLS_CERT, "OpenSSL does not start: %s",
		        ERR_reason_error_string(ERR_peek_error()));
	}
	if (read_pairs(maker) < 0 ||
	        set_verification(maker, SSL_VERIFY_PEER | (is_server ? required : 0)) < 0) {
		return -EINVAL;
	}
	return is_server ? 0 : set_name(maker, maker->settings->name);
}

static void drop_pairs(
        void *parent, void *pairs, CRYPTO_EX_DATA *data, int index, long number, void *pointer)
{
	(void)parent, (void)data, (void)index, (void)number, (void)pointer;
	free_pairs(pairs);
}

static int pairs_index(void)
{
	if (known_index < 0) {
		known_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, drop_pairs);
	}
	return known_index;
}

static int transport_new(const struct tls_settings *settings, bool is_server, tls_warn *warner,
        void *context, struct transport **ret_transport, struct tls_fault *ret_fault)
{
	struct maker maker = {
	        .settings = settings, .fault = ret_fault, .warn = warner, .context = context};

	ASSERT(settings->pair_count <= TLS_PAIRS_MAX);
	(void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	struct tls_transport *transport = tls_transport_new(
	        SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method()));
	maker.pairs = calloc(1, sizeof(*maker.pairs));
	if (transport == NULL || maker.pairs == NULL ||
	        SSL_CTX_set_ex_data(transport->context, pairs_index(), maker.pairs) != 1) {
		free(maker.pairs);
		tls_free(transport == NULL ? NULL : &transport->transport);
		return no_memory(&maker, TLS_CERT);
	}
	maker.ctx = transport->context;
	maker.transport = transport;
	if (make(&maker, is_server) < 0) {
		tls_free(&transport->transport);
		return -EINVAL;
	}
	*ret_transport = &transport->transport;
	return 0;
}

int tls_server_new(const struct tls_settings *settings, tls_warn *warner, void *context,
        struct transport **ret_transport, struct tls_fault *ret_fault)
{
	return transport_new(settings, true, warner, context, ret_transport, ret_fault);
}

int tls_client_new(const struct tls_settings *settings, tls_warn *warner, void *context,
        struct transport **ret_transport, struct tls_fault *ret_fault)
{
	return transport_new(settings, false, warner, context, ret_transport, ret_fault);
}

int tls_client_named(const struct transport *transport, const char *name,
        struct transport **ret_transport, struct tls_fault *ret_fault)
{
	const struct tls_transport *shared =
	        CONTAINER_OF(transport, const struct tls_transport, transport);
	struct maker maker = {.fault = ret_fault};

	maker.transport =
	        SSL_CTX_up_ref(shared->context) == 1 ? tls_transport_new(shared->context) : NULL;
	if (maker.transport == NULL) {
		return no_memory(&maker, TLS_NAME);
	}
	memcpy(maker.transport->trust, shared->trust, TLS_DIGEST_LEN);
	if (set_name(&maker, name) < 0) {
		tls_free(&maker.transport->transport);
		return -EINVAL;
	}
	*ret_transport = &maker.transport->transport;
	return 0;
}

static bool is_same_file(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool tls_same_files(const struct tls_settings *a, const struct tls_settings *b)
{
	bool same = a->pair_count == b->pair_count && a->optional == b->optional &&
	            is_same_file(a->ca, b->ca) && is_same_file(a->crl, b->crl);

	for (unsigned i = 0; same && i < a->pair_count; i++) {
		same = is_same_file(a->pairs[i].cert, b->pairs[i].cert) &&
		       is_same_file(a->pairs[i].key, b->pairs[i].key);
	}
	return same;
}

void tls_free(struct transport *transport)
{
	if (transport != NULL) {
		struct tls_transport *tls =
		        CONTAINER_OF(transport, struct tls_transport, transport);
		SSL_CTX_free(tls->context);
		free(tls->name);
		free(tls);
	}
}

bool tls_same_trust(const struct transport *transport, const struct transport *other)
{
	if (transport == NULL || other == NULL) {
		return transport == other;
	}
	return CRYPTO_memcmp(CONTAINER_OF(transport, const struct tls_transport, transport)->trust,
	               CONTAINER_OF(other, const struct tls_transport, transport)->trust,
	               TLS_DIGEST_LEN) == 0;
}

/* ── Describing ──────────────────────────────────────────────────────────── */

bool tls_describe(const struct transport *transport, unsigned number, struct text *text)
{
	const struct tls_transport *tls =
	        CONTAINER_OF(transport, const struct tls_transport, transport);
	const struct pairs *pairs = SSL_CTX_get_ex_data(tls->context, pairs_index());
	char *name = NULL;
	long len = 0;

	if (number >= pairs->count) {
		return false;
	}
	const X509 *cert = pairs->list[number].cert;
	BIO *memory = BIO_new(BIO_s_mem());
	if (memory != NULL &&
	        X509_NAME_print_ex(memory, X509_get_subject_name(cert), 0, XN_FLAG_ONELINE) >= 0) {
		len = BIO_get_mem_data(memory, &name);
	}
	text_add_format(
	        text, "%.*s, until ", (int)(len > 200 ? 200 : len), name == NULL ? "" : name);
	add_time(X509_get0_notAfter(cert), text);
	BIO_free(memory);
	return true;
}
