/* SPDX-License-Identifier: MIT */
/*
 * tls — the verbs of streams over TLS.
 *
 * OpenSSL reads and writes through a BIO of this file, which knows by the reports of the loop
 * whether the socket has bytes and room: no call only returns EAGAIN. What OpenSSL wants is
 * translated into the flags of the stream.
 */
#include "net/tls_context.h"

#include <malloc.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	/* Reads of the socket by one call. A peer can send messages without data, such as updates
	 * of keys, as fast as they are read, and must not keep the thread for itself. */
	RECVS_MAX = 8,
	/* Records without data, such as updates of keys, tickets and requests to renegotiate, by
	 * which those with data may be outnumbered; each costs as much as many with data. Peers
	 * send a few in the life of a connection. In a handshake no record has data: the messages
	 * of a peer that sends 64 bytes in each (RFC 8449) fit. */
	IDLE_RECORDS_MAX = 32,
	HANDSHAKE_RECORDS_MAX = 1024,
};

/* The end without close_notify, and that of a peer that sends no data, which OpenSSL has no error
 * for. */
static const unsigned long error_cut = ERR_PACK(ERR_LIB_SYS, 0, 1);
static const unsigned long error_idle = ERR_PACK(ERR_LIB_SYS, 0, 2);

struct tls {
	SSL *ssl;
	struct stream *stream;
	bool input;              /* the socket may have bytes, or its end */
	bool room;               /* the socket may have room */
	bool connecting;         /* TCP is not connected yet */
	bool read_awaits_room;   /* reading has to write first */
	bool write_awaits_input; /* and the other way round */
	bool finishing;          /* close_notify is to be sent */
	bool cut;                /* no close_notify is to be sent */
	bool more;               /* of the write in progress: others follow at once */
	bool tired;              /* of the call in progress: it has read enough */
	unsigned recvs_left;     /* of the call in progress */
	unsigned idle_records;   /* by which those with data are outnumbered */
	char first;              /* the first byte from the peer; 0: none came */
	unsigned long error;     /* of the handshake, as ERR_get_error() has it; 0: none */
	long verified;           /* X509_V_*, of the handshake */
};

/* ── The BIO ─────────────────────────────────────────────────────────────── */

static int bio_read(BIO *bio, char *bytes, int len)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (!tls->input || tls->recvs_left == 0) {
		tls->tired = tls->input;
		BIO_set_retry_read(bio);
		return -1;
	}
	tls->recvs_left--;
	n = socket_read(tls->stream->watch.fd, bytes, (size_t)len);
	if (n < 0 && errno == EAGAIN) {
		tls->input = false;
		BIO_set_retry_read(bio);
	} else if (n > 0) {
		/* As plain.c: a short read empties the socket; an end is reported only once. */
		tls->input = n == len || tls->stream->peer_done;
		tls->first = tls->first == '\0' ? bytes[0] : tls->first;
	}
	return (int)n;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t n = -1;

	BIO_clear_retry_flags(bio);
	if (tls->room) {
		n = socket_write(tls->stream->watch.fd, bytes, (size_t)len, tls->more);
		if (n >= 0 || errno != EAGAIN) {
			tls->room = n < 0 || n == len;
			return (int)n;
		}
		tls->room = false;
	}
	BIO_set_retry_write(bio);
	return -1;
}

/* Nothing is held back here. */
static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;

static bool have_bio_method(void)
{
	if (bio_method == NULL) {
		bio_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 0x7f, "stream");
		if (bio_method != NULL) {
			(void)BIO_meth_set_read(bio_method, bio_read);
			(void)BIO_meth_set_write(bio_method, bio_write);
			(void)BIO_meth_set_ctrl(bio_method, bio_control);
		}
	}
	return bio_method != NULL;
}

/* ── Records ─────────────────────────────────────────────────────────────── */

static bool is_idle(const struct tls *tls)
{
	const unsigned most = tls->stream->established ? IDLE_RECORDS_MAX : HANDSHAKE_RECORDS_MAX;

	return tls->idle_records > most;
}

/* OpenSSL tells of each record that has come. It reads no further one of a peer that was shut down,
 * even if it has some in its memory. NOLINTNEXTLINE(readability-function-size): msg_callback */
static void record_came(
        int is_sent, int version, int type, const void *bytes, size_t len, SSL *ssl, void *context)
{
	struct tls *tls = context;

	(void)version, (void)bytes, (void)len;
	if (is_sent == 0 && type == SSL3_RT_HEADER) {
		tls->idle_records++;
		if (UNLIKELY(is_idle(tls))) {
			SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
		}
	}
}

/* A record had data. */
static void data_came(struct tls *tls)
{
	tls->idle_records = tls->idle_records > 2 ? tls->idle_records - 2 : 0;
}

/* ── What OpenSSL wants ──────────────────────────────────────────────────── */

/* Before each call of OpenSSL, whose errors are those of the thread. */
static struct tls *begin(struct stream *stream)
{
	ERR_clear_error();
	errno = 0;
	stream->tls->recvs_left = RECVS_MAX;
	stream->tls->tired = false;
	return stream->tls;
}

/* The loop reports anew what the socket still has. */
static int rest(struct stream *stream)
{
	const uint32_t events =
	        EPOLLIN | EPOLLRDHUP | EPOLLET | (stream->watches_room ? (uint32_t)EPOLLOUT : 0);

	return stream->tls->tired ? loop_change(stream->loop, &stream->watch, events) : 0;
}

/* Reading or the handshake waits for bytes or room. -EAGAIN, or another -errno. */
static int await(struct stream *stream, int wanted)
{
	const int error = wanted == SSL_ERROR_WANT_READ ? rest(stream) : stream_await_room(stream);

	return error < 0 ? error : -EAGAIN;
}

/* The connection failed: the errno of the socket, or what OpenSSL says. */
static int failed(struct stream *stream, int wanted)
{
	const int error = errno;

	stream->broken = true;
	if (is_idle(stream->tls)) {
		stream->tls->error = error_idle;
		return -EPROTO;
	}
	if (wanted != SSL_ERROR_SYSCALL) {
		/* After the handshake of TLS 1.3 a server says that it wants another certificate.
		 */
		stream->tls->error =
		        stream->tls->error != 0 ? stream->tls->error : ERR_peek_error();
		return -EPROTO;
	}
	return error != 0 ? -error : -ECONNRESET;
}

static void tls_reported(struct stream *stream, uint32_t events)
{
	struct tls *tls = stream->tls;
	const bool gone = (events & (EPOLLERR | EPOLLHUP)) != 0;
	const bool input = gone || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
	const bool room = gone || (events & EPOLLOUT) != 0;

	tls->input |= input;
	tls->room |= room;
	stream->readable |= input || (room && tls->read_awaits_room);
	stream->writable |=
	        (room && !tls->write_awaits_input) || (input && tls->write_awaits_input);
	/* Whether the end is a whole one is known when it is read. */
	stream->peer_done |= gone || (events & EPOLLRDHUP) != 0;
	stream->hangup |= gone;
	stream->broken |= (events & EPOLLERR) != 0;
	if (tls->finishing && room) {
		stream->verbs->finish(stream);
	}
}

/* ── The handshake ───────────────────────────────────────────────────────── */

static int connect_tcp(struct stream *stream)
{
	const int error = plain_verbs.handshake(stream);

	stream->established = false;
	stream->tls->connecting = error != 0;
	return error;
}

/* What the peer sent besides its certificate is of no use after it was verified, and OpenSSL would
 * keep it as long as the connection: ten times its bytes. */
static void drop_chain(const SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);

	while (chain != NULL && sk_X509_num(chain) > 0) {
		X509_free(sk_X509_pop(chain));
	}
}

static int tls_handshake(struct stream *stream)
{
	struct tls *tls = begin(stream);
	const int tcp = tls->connecting ? connect_tcp(stream) : 0;
	const int done = tcp < 0 ? 0 : SSL_do_handshake(tls->ssl);
	const int wanted = tcp < 0 || done == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, done);

	if (tcp < 0) {
		return tcp;
	}
	if (wanted == SSL_ERROR_WANT_READ || wanted == SSL_ERROR_WANT_WRITE) {
		return await(stream, wanted);
	}
	if (wanted != SSL_ERROR_NONE) {
		tls->error = ERR_peek_error();
		tls->verified = SSL_get_verify_result(tls->ssl);
		tls->error = tls->error == 0 ? error_cut : tls->error;
		return failed(stream, wanted);
	}
	drop_chain(tls->ssl);
	tls->idle_records = 0;
	stream->established = true;
	stream->readable = true; /* OpenSSL may have read more than the handshake */
	stream->writable = tls->room;
	return 0;
}

/* ── Reading and writing ─────────────────────────────────────────────────── */

static ssize_t stop_reading(struct stream *stream, int wanted)
{
	struct tls *tls = stream->tls;

	if (wanted == SSL_ERROR_ZERO_RETURN && !is_idle(tls)) {
		stream->peer_done = true;
		return 0;
	}
	if (wanted == SSL_ERROR_WANT_READ || wanted == SSL_ERROR_WANT_WRITE) {
		stream->readable = false;
		tls->read_awaits_room = wanted == SSL_ERROR_WANT_WRITE;
		return await(stream, wanted);
	}
	return failed(stream, wanted);
}

static ssize_t tls_read(struct stream *stream, char *bytes, size_t len)
{
	struct tls *tls = begin(stream);
	size_t n = 0;

	tls->read_awaits_room = false;
	if (SSL_read_ex(tls->ssl, bytes, len, &n) != 1) {
		return stop_reading(stream, SSL_get_error(tls->ssl, 0));
	}
	data_came(tls);
	stream->readable = tls->input || SSL_has_pending(tls->ssl) == 1;
	return (ssize_t)n;
}

static ssize_t stop_writing(struct stream *stream, int wanted)
{
	struct tls *tls = stream->tls;

	if (wanted == SSL_ERROR_WANT_WRITE) {
		return await(stream, wanted);
	}
	if (wanted == SSL_ERROR_WANT_READ) {
		stream->writable = false;
		tls->write_awaits_input = true;
		return await(stream, wanted);
	}
	return failed(stream, wanted);
}

/* Record by record. */
static ssize_t tls_write(struct stream *stream, struct slice bytes, bool more)
{
	struct tls *tls = begin(stream);
	size_t sent = 0;
	size_t n = 0;

	tls->write_awaits_input = false;
	while (sent < bytes.len) {
		tls->more = more || bytes.len - sent > SSL3_RT_MAX_PLAIN_LENGTH;
		const int done = SSL_write_ex(tls->ssl, bytes.ptr + sent, bytes.len - sent, &n);
		if (done != 1) {
			const ssize_t error = stop_writing(stream, SSL_get_error(tls->ssl, done));
			return sent > 0 && error == -EAGAIN ? (ssize_t)sent : error;
		}
		sent += n;
	}
	return (ssize_t)sent;
}

/* ── The end ─────────────────────────────────────────────────────────────── */

static bool end_is_sent(const struct tls *tls)
{
	return (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) != 0;
}

static void tls_finish(struct stream *stream)
{
	struct tls *tls = begin(stream);

	tls->more = false;
	if (!tls->finishing && end_is_sent(tls)) {
		return; /* OpenSSL would wait for the peer's */
	}
	const int done = SSL_shutdown(tls->ssl);
	tls->finishing = done < 0 && SSL_get_error(tls->ssl, done) == SSL_ERROR_WANT_WRITE;
	if (tls->finishing && stream_await_room(stream) < 0) {
		tls->finishing = false;
	}
}

static void tls_reset_on_close(struct stream *stream)
{
	stream->tls->cut = true;
	plain_verbs.reset_on_close(stream);
}

/* Messages without data, such as tickets, are no news. */
static bool tls_is_quiet(const struct stream *stream)
{
	struct tls *tls = stream->tls;
	size_t n = 0;
	char byte;

	ERR_clear_error();
	tls->recvs_left = RECVS_MAX;
	tls->tired = false;
	tls->input = true; /* bytes may have come that the loop has not reported yet */
	if (SSL_peek_ex(tls->ssl, &byte, 1, &n) != 1 &&
	        SSL_get_error(tls->ssl, 0) == SSL_ERROR_WANT_READ && !tls->tired) {
		return true;
	}
	tls->stream->readable = true; /* the loop will not report what was taken from the socket */
	return false;
}

/* Of all threads, whose memory is one. */
static atomic_bool memory_is_freed;

static void free_tls(struct stream *stream)
{
	SSL_free(stream->tls->ssl);
	free(stream->tls);
	stream->tls = NULL;
	atomic_store_explicit(&memory_is_freed, true, memory_order_relaxed);
}

/* OpenSSL takes its memory from malloc(), which keeps what is free between pieces in use. */
void tls_trim(void)
{
	if (atomic_exchange_explicit(&memory_is_freed, false, memory_order_relaxed)) {
		(void)malloc_trim(0);
	}
}

static void tls_close(struct stream *stream)
{
	struct tls *tls = stream->tls;

	if (stream->established && !stream->broken && !tls->cut && !end_is_sent(tls)) {
		(void)begin(stream);
		tls->more = false;
		(void)SSL_shutdown(tls->ssl);
	}
	free_tls(stream);
	plain_verbs.close(stream);
}

static void tls_push(struct stream *stream)
{
	plain_verbs.push(stream);
}

static const struct stream_verbs tls_verbs = {
        .reported = tls_reported,
        .handshake = tls_handshake,
        .read = tls_read,
        .write = tls_write,
        .push = tls_push,
        .finish = tls_finish,
        .reset_on_close = tls_reset_on_close,
        .is_quiet = tls_is_quiet,
        .close = tls_close,
};

/* ── The beginning ───────────────────────────────────────────────────────── */

/* Verify the peer by this name, and ask for it, unless it is an address (SNI, RFC 6066 §3). */
static bool set_peer(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (!tls_expect_name(param, name)) {
		return false;
	}
	const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
	return host == NULL || strlen(host) > TLSEXT_MAXLEN_host_name ||
	       SSL_set_tlsext_host_name(ssl, host) == 1;
}

static struct tls *tls_new(const struct transport *transport, struct stream *stream)
{
	const struct tls_transport *shared =
	        CONTAINER_OF(transport, const struct tls_transport, transport);
	struct tls *tls = calloc(1, sizeof(*tls));
	BIO *bio = BIO_new(bio_method);

	if (tls != NULL) {
		tls->ssl = SSL_new(shared->context);
	}
	if (tls == NULL || bio == NULL || tls->ssl == NULL ||
	        (shared->name != NULL && !set_peer(tls->ssl, shared->name))) {
		BIO_free(bio);
		SSL_free(tls == NULL ? NULL : tls->ssl);
		free(tls);
		ERR_clear_error();
		return NULL;
	}
	tls->stream = stream;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_msg_callback(tls->ssl, record_came);
	SSL_set_msg_callback_arg(tls->ssl, tls);
	return tls;
}

static int tls_accept(const struct transport *transport, struct stream *stream, struct loop *loop,
        int fd, stream_notify *notify)
{
	struct tls *tls = tls_new(transport, stream);

	if (tls == NULL) {
		(void)close(fd);
		return -ENOMEM;
	}
	SSL_set_accept_state(tls->ssl);
	tls->room = true;
	const int error = stream_open(stream, &tls_verbs, loop, fd, true, notify);
	stream->tls = tls;
	stream->established = false;
	if (error < 0) {
		free_tls(stream);
	}
	return error;
}

static int tls_connect(const struct transport *transport, struct stream *stream, struct loop *loop,
        const union address *address, stream_notify *notify)
{
	struct tls *tls = tls_new(transport, stream);
	const int fd = tls == NULL ? -ENOMEM : address_connect(address, NULL);
	const int error = fd < 0 ? fd : stream_open(stream, &tls_verbs, loop, fd, false, notify);

	if (error < 0) {
		if (tls != NULL) {
			SSL_free(tls->ssl);
			free(tls);
		}
		return error;
	}
	SSL_set_connect_state(tls->ssl);
	tls->connecting = true;
	stream->tls = tls;
	return 0;
}

struct tls_transport *tls_transport_new(SSL_CTX *context)
{
	struct tls_transport *transport = calloc(1, sizeof(*transport));

	if (transport == NULL || context == NULL || !have_bio_method()) {
		SSL_CTX_free(context);
		free(transport);
		return NULL;
	}
	transport->transport = (struct transport){.accept = tls_accept, .connect = tls_connect};
	transport->context = context;
	return transport;
}

/* ── The peer ────────────────────────────────────────────────────────────── */

const struct x509_st *tls_peer_certificate(const struct stream *stream)
{
	return stream->tls != NULL && SSL_get_verify_result(stream->tls->ssl) == X509_V_OK
	               ? SSL_get0_peer_certificate(stream->tls->ssl)
	               : NULL;
}

struct slice tls_server_name(const struct stream *stream)
{
	const char *name = stream->tls == NULL ? NULL
	                                       : SSL_get_servername(stream->tls->ssl,
	                                                 TLSEXT_NAMETYPE_host_name);

	return name == NULL ? SLICE("") : slice_of(name);
}

bool tls_met_http(const struct stream *stream)
{
	return stream->tls->first >= 'A' && stream->tls->first <= 'Z';
}

bool tls_met_nobody(const struct stream *stream)
{
	return stream->tls->first == '\0' && stream->tls->error == error_cut;
}

/* Type alert, version 3.3, two bytes: fatal, internal_error. */
const struct slice tls_turned_away = SLICE_INIT("\x15\x03\x03\x00\x02\x02\x50");

void tls_abandon(struct stream *stream)
{
	free_tls(stream);
	stream->verbs = &plain_verbs;
	stream->established = true;
	stream->readable = true;
	stream->writable = true;
	stream->broken = false;
}

/* What a failure means, and what helps. */
struct meaning {
	long code;
	const char *words;
};

static const struct meaning verdicts[] = {
        {X509_V_ERR_CERT_HAS_EXPIRED, "its certificate has expired: make a new one"},
        {X509_V_ERR_CERT_NOT_YET_VALID,
                "its certificate is not valid yet: compare the clocks of both hosts"},
        {X509_V_ERR_CERT_REVOKED, "its certificate is revoked by the list of 'crl'"},
        {X509_V_ERR_INVALID_PURPOSE,
                "its certificate is for another purpose: extendedKeyUsage must allow clientAuth "
                "to a client, serverAuth to a server"},
        {X509_V_ERR_CRL_HAS_EXPIRED,
                "the list of 'crl' has expired, and nobody's certificate is accepted: get a new "
                "one from its authority"},
        {X509_V_ERR_CRL_NOT_YET_VALID,
                "the list of 'crl' is not valid yet: compare the clocks of both hosts"},
        {X509_V_ERR_UNABLE_TO_GET_CRL,
                "'crl' has no list of the authority that made its certificate"},
        {X509_V_ERR_HOSTNAME_MISMATCH, "its certificate is for another name"},
        {X509_V_ERR_IP_ADDRESS_MISMATCH, "its certificate is for another address"},
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                "its certificate is of an authority that is not accepted here"},
        {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
                "its certificate is of an authority that is not accepted here"},
        {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
                "its certificate is of no authority, but signed by itself"},
        {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
                "its certificate is of an authority that is not accepted here"},
};

static const struct meaning errors[] = {
        {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE,
                "it has no certificate, which this listener demands: docker takes --tlscert and "
                "--tlskey"},
        {SSL_R_TLSV1_ALERT_UNKNOWN_CA,
                "it does not accept the certificate of this proxy: give it the authority's, for "
                "docker with --tlscacert"},
        {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
                "it does not accept the certificate of this proxy: its names, dates and authority "
                "must fit"},
        {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
                "it does not accept the certificate of this proxy: its names, dates and authority "
                "must fit"},
        {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
                "the certificate of this proxy has expired: make a new one"},
        {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
                "it refuses the handshake: it may demand a certificate of this proxy"},
        {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "it demands a certificate of this proxy"},
        {SSL_R_UNSUPPORTED_PROTOCOL, "it offers TLS 1.1 or older: TLS 1.2 and 1.3 are spoken"},
        {SSL_R_VERSION_TOO_LOW, "it offers TLS 1.1 or older: TLS 1.2 and 1.3 are spoken"},
        {SSL_R_WRONG_VERSION_NUMBER, "it does not speak TLS"},
        {SSL_R_HTTP_REQUEST, "it speaks HTTP without TLS"},
        {SSL_R_EXCESSIVE_MESSAGE_SIZE,
                "it sends a message that is too long: its certificates may have 32 KiB together"},
        {SSL_R_NO_SHARED_CIPHER, "it offers no cipher that is accepted here"},
        {SSL_R_NO_APPLICATION_PROTOCOL,
                "it offers other protocols than HTTP/1.1 (ALPN): HTTP/2 is not spoken"},
};

static const char *find_meaning(const struct meaning *rows, size_t count, long code)
{
	for (size_t i = 0; i < count; i++) {
		if (rows[i].code == code) {
			return rows[i].words;
		}
	}
	return NULL;
}

/* Let `check` verify the peer's certificate as a handshake does. X509_V_*. */
static long verify(X509_STORE_CTX *check, SSL_CTX *context, SSL *ssl, X509 *peer)
{
	X509_VERIFY_PARAM *param;

	if (X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context), peer,
	            SSL_get_peer_cert_chain(ssl)) != 1 ||
	        X509_STORE_CTX_set_default(check, "ssl_client") != 1) {
		return X509_V_ERR_OUT_OF_MEM;
	}
	param = X509_STORE_CTX_get0_param(check);
	X509_VERIFY_PARAM_set_auth_level(param, SSL_CTX_get_security_level(context));
	if (X509_VERIFY_PARAM_set1(param, SSL_CTX_get0_param(context)) != 1) {
		return X509_V_ERR_OUT_OF_MEM;
	}
	if (X509_verify_cert(check) == 1) {
		return X509_V_OK;
	}
	const long error = X509_STORE_CTX_get_error(check);
	return error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
}

/* The peer has a certificate. A session that was resumed has lost the certificates between it and
 * the root: where there are any, the peer needs a whole handshake. */
static long verify_again(SSL_CTX *context, SSL *ssl, X509 *peer)
{
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	const long verdict =
	        check == NULL ? X509_V_ERR_OUT_OF_MEM : verify(check, context, ssl, peer);

	X509_STORE_CTX_free(check);
	ERR_clear_error();
	return verdict;
}

bool tls_accepts_again(
        const struct transport *transport, const struct stream *stream, struct text *why)
{
	SSL_CTX *context = CONTAINER_OF(transport, const struct tls_transport, transport)->context;
	SSL *ssl = stream->tls->ssl;
	X509 *peer = SSL_get0_peer_certificate(ssl);
	const int mode = SSL_CTX_get_verify_mode(context);

	if (peer == NULL && (mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) == 0) {
		return true;
	}
	if (peer == NULL || mode == SSL_VERIFY_NONE) {
		text_add(why, peer == NULL ? SLICE("it has no certificate, which this listener "
		                                   "demands now")
		                           : SLICE("certificates of clients are accepted no more"));
		return false;
	}
	const long verdict = verify_again(context, ssl, peer);
	const char *words = find_meaning(verdicts, ARRAY_LEN(verdicts), verdict);
	if (verdict != X509_V_OK) {
		text_add(why,
		        slice_of(words != NULL ? words : X509_verify_cert_error_string(verdict)));
	}
	return verdict == X509_V_OK;
}

bool tls_failed(const struct stream *stream)
{
	return stream->tls != NULL && stream->tls->error != 0;
}

bool tls_is_at_fault(const struct stream *stream)
{
	return tls_failed(stream) && !tls_met_nobody(stream);
}

void tls_explain(const struct stream *stream, struct text *text)
{
	const struct tls *tls = stream->tls;
	const int reason = ERR_GET_REASON(tls->error);
	const bool judged = reason == SSL_R_CERTIFICATE_VERIFY_FAILED;
	const char *words = judged ? find_meaning(verdicts, ARRAY_LEN(verdicts), tls->verified)
	                           : find_meaning(errors, ARRAY_LEN(errors), reason);

	if (tls->error == error_cut) {
		words = "it ended the connection";
	} else if (tls->error == error_idle) {
		words = "it sends record after record without data";
	} else if (words == NULL) {
		words = judged ? X509_verify_cert_error_string(tls->verified)
		               : ERR_reason_error_string(tls->error);
	}
	text_add(text, slice_of(words == NULL ? "of an unknown error" : words));
}
