/* SPDX-License-Identifier: MIT */
/*
 * The server's side of a connection over TLS, and a client of OpenSSL at the other end of a socket.
 * The input is a script:
 *
 *   arbitrary bytes   what the client sends is what the input says. All that is random comes from
 *                     a fixed sequence, so that the flights of a recorded client are understood.
 *   a script          the client does its handshake, writes, updates its keys, ends; and what it
 *                     sends comes in pieces, is changed, left out, or has other bytes in between.
 *
 * Whatever is done to the records, each side reads a front of what the other one wrote, and
 * nothing else. A side that cannot go on waits for an event or ends: it never asks to be called
 * again for nothing.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_METHOD: the fixed sequence */
#include "fuzz.h"
#include "input.h"
#include "net/tls.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	STEPS_MAX = 400,
	PIECE_MAX = 16 * 1024,
};

/* ── Random numbers that are always the same ─────────────────────────────── */

enum { SEED = 0x7fb5d329 };

static uint64_t sequences[2]; /* of the server, of the client */
static unsigned whose;

static int fixed_bytes(unsigned char *bytes, int count)
{
	uint64_t *state = &sequences[whose];

	for (int i = 0; i < count; i++) {
		*state = *state * 6364136223846793005U + 1442695040888963407U;
		bytes[i] = (unsigned char)(*state >> 56);
	}
	return 1;
}

static int fixed_status(void)
{
	return 1;
}

static const RAND_METHOD fixed = {
        .bytes = fixed_bytes, .pseudorand = fixed_bytes, .status = fixed_status};

/* ── Files ───────────────────────────────────────────────────────────────── */

static char cert_path[32];
static char key_path[32];

static FILE *memory_file(char path[static 32])
{
	const int fd = memfd_create("pem", MFD_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	ASSERT(file != NULL);
	(void)snprintf(path, 32, "/proc/self/fd/%d", fd);
	return file;
}

static void extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ASSERT(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

/* A certificate that is its own authority, of both sides. */
static void make_pair(X509 **ret_cert, EVP_PKEY **ret_key)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = cert == NULL ? NULL : X509_get_subject_name(cert);
	FILE *cert_file = memory_file(cert_path);
	FILE *key_file = memory_file(key_path);

	ASSERT(key != NULL && cert != NULL);
	ASSERT(X509_set_version(cert, X509_VERSION_3) == 1);
	ASSERT(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1);
	ASSERT(ASN1_TIME_set_string(X509_getm_notBefore(cert), "20200101000000Z") == 1);
	ASSERT(ASN1_TIME_set_string(X509_getm_notAfter(cert), "21200101000000Z") == 1);
	ASSERT(X509_NAME_add_entry_by_txt(
	               name, "CN", MBSTRING_ASC, (const unsigned char *)"fuzz", -1, -1, 0) == 1);
	ASSERT(X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1);
	extend(cert, NID_subject_alt_name, "DNS:localhost");
	ASSERT(X509_sign(cert, key, EVP_sha256()) > 0);
	ASSERT(PEM_write_X509(cert_file, cert) == 1 && fflush(cert_file) == 0);
	ASSERT(PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	        fflush(key_file) == 0);
	*ret_cert = cert;
	*ret_key = key;
}

/* ── The two sides ───────────────────────────────────────────────────────── */

static struct transport *servers[2]; /* which asks for no certificate; which takes one */
static SSL_CTX *clients;

static struct loop loop;
static struct stream server;
static int far; /* the client's end of the socket */
static SSL *client;
static BIO *to_client;
static BIO *from_client;

static size_t said[2]; /* bytes of data that the server, the client wrote */
static size_t heard[2];
static bool over; /* the server's side has ended */

/* Data tells where it stands. */
static unsigned char letter(unsigned side, size_t at)
{
	return (unsigned char)(at * 7 + at / 251 + side * 101);
}

static void check_heard(unsigned side, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		ASSERT(bytes[i] == letter(1 - side, heard[side] + i));
	}
	heard[side] += len;
	ASSERT(heard[side] <= said[1 - side]);
}

static void fill(unsigned side, unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bytes[i] = letter(side, said[side] + i);
	}
}

static void notified(struct stream *stream)
{
	(void)stream;
}

static void stop(struct task *task)
{
	(void)task;
	loop_stop(&loop);
}

/* One turn of the loop: what has happened at the socket is reported. */
static void turn(void)
{
	struct task task;

	task_init(&task, stop);
	loop_put_off(&loop, &task);
	loop.stopped = false;
	ASSERT(loop_run(&loop) == 0);
}

static void warn(void *context, const struct tls_fault *warning)
{
	(void)context, (void)warning;
}

static void set_up(void)
{
	struct tls_settings settings = {.pairs = {{cert_path, key_path}}, .pair_count = 1};
	struct tls_fault fault;
	X509 *cert;
	EVP_PKEY *key;

	if (clients != NULL) {
		return;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* as the program does */
	ASSERT(RAND_set_rand_method(&fixed) == 1);
	sequences[0] = sequences[1] = SEED;
	make_pair(&cert, &key);
	ASSERT(tls_server_new(&settings, warn, NULL, &servers[0], &fault) == 0);
	settings.ca = cert_path;
	settings.optional = true;
	ASSERT(tls_server_new(&settings, warn, NULL, &servers[1], &fault) == 0);
	clients = SSL_CTX_new(TLS_client_method());
	ASSERT(clients != NULL && SSL_CTX_use_cert_and_key(clients, cert, key, NULL, 1) == 1);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void set_up_client(unsigned setup)
{
	static const unsigned char protocols[] = "\x08http/1.1\x02h2";

	to_client = BIO_new(BIO_s_mem());
	from_client = BIO_new(BIO_s_mem());
	client = SSL_new(clients);
	ASSERT(to_client != NULL && from_client != NULL && client != NULL);
	(void)BIO_set_mem_eof_return(to_client, -1);
	SSL_set_bio(client, to_client, from_client);
	SSL_set_connect_state(client);
	if ((setup & 4) != 0) {
		ASSERT(SSL_set_max_proto_version(client, TLS1_2_VERSION) == 1);
	}
	if ((setup & 8) != 0) {
		SSL_certs_clear(client);
	}
	if ((setup & 16) != 0) {
		ASSERT(SSL_set_alpn_protos(client, protocols, sizeof(protocols) - 1) == 0);
	}
	ASSERT(SSL_set_tlsext_host_name(client, "localhost") == 1);
}

static void begin(unsigned setup)
{
	int ends[2];

	sequences[0] = SEED + 1;
	sequences[1] = SEED + 2;
	said[0] = said[1] = heard[0] = heard[1] = 0;
	over = false;
	ASSERT(loop_init(&loop) == 0);
	ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	far = ends[1];
	const struct transport *transport = servers[(setup & 2) != 0];
	ASSERT(transport->accept(transport, &server, &loop, ends[0], notified) == 0);
	whose = 1;
	set_up_client(setup);
	whose = 0;
}

static void end(void)
{
	stream_close(&server);
	turn();
	loop_done(&loop);
	if (far >= 0) {
		(void)close(far);
	}
	SSL_free(client);
}

/* ── The server ──────────────────────────────────────────────────────────── */

/* The handshake, then all that can be read, at most `most` at once. */
static void serve(size_t most)
{
	static unsigned char bytes[PIECE_MAX];

	turn();
	while (!over && !server.established) {
		const int error = stream_handshake(&server);
		if (error == -EAGAIN) {
			return;
		}
		over = error < 0;
	}
	while (!over && server.readable) {
		const ssize_t n = stream_read(&server, (char *)bytes, most);
		ASSERT(n != -EAGAIN || !server.readable);
		over = n < 0 && n != -EAGAIN;
		if (n > 0) {
			check_heard(0, bytes, (size_t)n);
		}
		if (n <= 0) {
			return;
		}
	}
}

static void serve_data(size_t len)
{
	static unsigned char bytes[PIECE_MAX];

	if (over || !server.established) {
		return;
	}
	fill(0, bytes, len);
	const ssize_t n = stream_write(&server, (struct slice){(const char *)bytes, len}, false);
	ASSERT(n != -EAGAIN || !server.writable);
	said[0] += n > 0 ? (size_t)n : 0;
	over = over || (n < 0 && n != -EAGAIN);
}

/* ── The client ──────────────────────────────────────────────────────────── */

/* What the server has sent. */
static void take(void)
{
	static unsigned char bytes[PIECE_MAX];
	ssize_t n;

	while (far >= 0 && (n = recv(far, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		ASSERT(BIO_write(to_client, bytes, (int)n) == (int)n);
	}
}

static void act(void)
{
	static unsigned char bytes[PIECE_MAX];
	size_t n = 0;

	take();
	whose = 1;
	while (SSL_read_ex(client, bytes, sizeof(bytes), &n) == 1) {
		check_heard(1, bytes, n);
	}
	whose = 0;
}

static void write_data(size_t len)
{
	static unsigned char bytes[PIECE_MAX];
	size_t n = 0;

	if (SSL_is_init_finished(client) == 0) {
		return;
	}
	fill(1, bytes, len);
	whose = 1;
	if (SSL_write_ex(client, bytes, len, &n) == 1) {
		said[1] += n;
	}
	whose = 0;
}

static void renew_keys(bool requested)
{
	whose = 1;
	if (SSL_version(client) == TLS1_3_VERSION) {
		(void)SSL_key_update(client,
		        requested ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
	} else {
		(void)SSL_renegotiate(client);
	}
	(void)SSL_do_handshake(client);
	whose = 0;
}

/* Bytes go to the server. */
static void deliver(const void *bytes, size_t len)
{
	if (far >= 0) {
		(void)send(far, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* What the client has to send, at most `most` bytes of it: to the server, or nowhere. */
static void pass_on(size_t most, bool arrives, int flipped)
{
	static unsigned char bytes[PIECE_MAX];
	const int n =
	        BIO_read(from_client, bytes, (int)(most < sizeof(bytes) ? most : sizeof(bytes)));

	if (n > 0 && flipped >= 0) {
		bytes[flipped % n] ^= (unsigned char)(1 << flipped % 8);
	}
	if (n > 0 && arrives) {
		deliver(bytes, (size_t)n);
	}
}

/* ── The script ──────────────────────────────────────────────────────────── */

static void deliver_input(struct input *input, size_t len)
{
	const struct slice bytes = next_bytes(input, len);

	deliver(bytes.ptr, bytes.len);
}

static void play_arbitrary(struct input *input)
{
	while (input->len > 0 && !over) {
		const size_t len = next(input) * 256;
		deliver_input(input, len + next(input));
		serve(PIECE_MAX);
		take();
	}
}

static size_t size_of(unsigned byte)
{
	return byte < 128 ? byte + 1 : (size_t)(byte - 127) * 128;
}

static void end_socket(unsigned byte)
{
	if (far >= 0 && byte % 2 == 0) {
		(void)shutdown(far, SHUT_WR);
	} else if (far >= 0) {
		(void)close(far);
		far = -1;
	}
}

static void end_client(void)
{
	whose = 1;
	(void)SSL_shutdown(client);
	whose = 0;
}

static void ask_whether_quiet(void)
{
	if (!over && server.established && stream_is_quiet(&server)) {
		ASSERT(!stream_is_quiet(&server) || !server.hangup || server.peer_done);
	}
}

static void step(struct input *input)
{
	const unsigned what = next(input);
	const unsigned byte = next(input);

	switch (what % 16) {
	case 0:
	case 1:
		act();
		pass_on(PIECE_MAX, true, -1);
		serve(PIECE_MAX);
		break;
	case 2:
		pass_on(size_of(byte), true, -1);
		serve(size_of(what));
		break;
	case 3:
		act();
		break;
	case 4:
		write_data(size_of(byte));
		break;
	case 5:
		renew_keys(byte % 2 == 0);
		break;
	case 6:
		end_client();
		break;
	case 7:
		pass_on(PIECE_MAX, true, (int)byte);
		break;
	case 8:
		pass_on(size_of(byte), false, -1);
		break;
	case 9:
		deliver_input(input, byte);
		break;
	case 10:
	case 11:
		serve_data(size_of(byte));
		break;
	case 12:
		if (!over && server.established) {
			stream_finish(&server);
		}
		break;
	case 13:
		ask_whether_quiet();
		break;
	case 14:
		serve(size_of(byte));
		break;
	default:
		if (byte < 64) {
			end_socket(byte);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = {bytes, len};
	const unsigned setup = next(&input);

	set_up();
	begin(setup);
	if ((setup & 1) == 0) {
		said[1] = SIZE_MAX; /* a recorded client wrote it */
		play_arbitrary(&input);
	} else {
		for (unsigned i = 0; i < STEPS_MAX && input.len > 0; i++) {
			step(&input);
		}
	}
	serve(PIECE_MAX);
	end();
	return 0;
}
