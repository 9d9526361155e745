/* SPDX-License-Identifier: MIT */
/*
 * tls — streams over TLS 1.2 and 1.3 (RFC 5246, RFC 8446), by OpenSSL.
 *
 * A transport of TLS is made of files, and reads none later: other files make another transport.
 * Each direction ends by itself: stream_finish() sends close_notify, and the other direction goes
 * on. The peer's close_notify is its end; a connection that ends without one is broken, so that
 * nobody takes a part of a response for the whole.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/fault.h"
#include "base/text.h"
#include "net/stream.h"

enum {
	TLS_PAIRS_MAX = 16,
	TLS_FILE_MAX = 1024 * 1024, /* bytes of a file */
};

struct x509_st;

/* A certificate and its key, as names of PEM files. Behind the certificate may follow those of the
 * authorities between it and the root. */
struct tls_pair {
	const char *cert;
	const char *key;
};

struct tls_settings {
	/* Of a server, the pair whose certificate has the name that the client asks for (SNI, RFC
	 * 6066), else the first. Of a client, none or one. */
	struct tls_pair pairs[TLS_PAIRS_MAX];
	unsigned pair_count;
	/* The authorities of the peer's certificate. NULL: a server asks for no certificate; a
	 * client accepts every certificate, and `name` must be NULL. */
	const char *ca;
	const char *crl;  /* their lists of revoked certificates; NULL: none */
	bool optional;    /* a server's client may have no certificate */
	const char *name; /* of a client: the server's, a DNS name or IP address; NULL: any */
};

/* What is wrong with a setting, and which one it is. */
enum tls_setting {
	TLS_CERT,
	TLS_KEY,
	TLS_CA,
	TLS_CRL,
	TLS_NAME,
};
struct tls_fault {
	enum tls_setting setting;
	char text[FAULT_MAX]; /* a sentence that begins with the file: "'ca.pem' has no …" */
};
/* Something is accepted that is probably a mistake. */
typedef void tls_warn(void *context, const struct tls_fault *warning);

/* Make a transport for accepted connections, or for those that are made. 0; or -EINVAL and the
 * fault. `settings` are copied. */
int tls_server_new(const struct tls_settings *settings, tls_warn *warn, void *context,
        struct transport **ret_transport, struct tls_fault *ret_fault) MUST_USE;
int tls_client_new(const struct tls_settings *settings, tls_warn *warn, void *context,
        struct transport **ret_transport, struct tls_fault *ret_fault) MUST_USE;
/*
 * Make a transport to another peer by the files that `transport`, which was made by
 * tls_client_new(), has read: they share them. `name` as in the settings. 0; or -EINVAL and the
 * fault.
 */
int tls_client_named(const struct transport *transport, const char *name,
        struct transport **ret_transport, struct tls_fault *ret_fault) MUST_USE;
/* Whether both settings name the same files: whether only the `name` may differ. */
bool tls_same_files(const struct tls_settings *a, const struct tls_settings *b);
/* Open streams may stay. `transport` may be NULL. */
void tls_free(struct transport *transport);

/* Return to the system the memory of streams that are closed, if any was closed since the last
 * call. From any thread; it takes a few milliseconds after tens of thousands of streams. */
void tls_trim(void);

/* Append a certificate of the transport for a line of `check`: "CN = proxy, until 2027-…". False:
 * there is none of this number. */
bool tls_describe(const struct transport *transport, unsigned number, struct text *text);

/* ── Another transport in place of one ───────────────────────────────────── */

/* Whether both verify peers by the same authorities, lists and demands; NULL: plain. */
bool tls_same_trust(const struct transport *transport, const struct transport *other);
/*
 * Whether `transport`, which has taken the place of the one that accepted the stream, accepts the
 * certificate of its peer, or that it has none; else why not is appended, as the end of a sentence.
 */
bool tls_accepts_again(
        const struct transport *transport, const struct stream *stream, struct text *why) MUST_USE;

/* ── The peer, after stream_handshake() ──────────────────────────────────── */

/* The verified certificate of the peer; NULL: it has none. Valid until the stream closes. */
const struct x509_st *tls_peer_certificate(const struct stream *stream);
/* The server's name for which a client asked (SNI, RFC 6066 section 3); empty: for none, or the
 * stream is plain. Valid until the stream closes. */
struct slice tls_server_name(const struct stream *stream);
/* Whether TLS failed over a connection that was there; false for plain streams. */
bool tls_failed(const struct stream *stream);
/* Whether TLS failed, and not because the peer left without a byte: an end before TLS has begun is
 * that of a connection. */
bool tls_is_at_fault(const struct stream *stream);
/* Append why the handshake failed, and what helps, as the end of a sentence. */
void tls_explain(const struct stream *stream, struct text *text);
/* Whether the handshake failed because the peer speaks HTTP without TLS. */
bool tls_met_http(const struct stream *stream);
/* Whether the peer left without a byte, as those do who only look whether a port is open. */
bool tls_met_nobody(const struct stream *stream);
/*
 * To a client that is turned away before its handshake: an alert, which needs no keys (RFC 8446
 * section 6.2, internal_error). No alert says "too many"; access_denied would blame a certificate.
 */
extern const struct slice tls_turned_away;
/* After a handshake that failed: go on as a plain stream, for a last word to the peer. */
void tls_abandon(struct stream *stream);

#endif
