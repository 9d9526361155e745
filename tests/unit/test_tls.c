/* SPDX-License-Identifier: MIT */
/* Both ends of connections over TLS, in one loop. */
#include "cases.h"

#include "net/listener.h"
#include "net/tls.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>

static struct loop loop;
static char folder[] = "/tmp/test-tls-XXXXXX";
static char paths[4][64]; /* of two certificates, each with its key */

/* ── Certificates ────────────────────────────────────────────────────────── */

static void extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(extension);
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

/* A certificate that is its own authority. */
static void make_pair(const char *path, const char *key_path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	FILE *file = fopen(path, "w");
	FILE *key_file = fopen(key_path, "w");

	assert_true(file != NULL && key_file != NULL && key != NULL);
	assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	                         (const unsigned char *)"test", -1, -1, 0),
	        1);
	assert_int_equal(X509_set_issuer_name(cert, name), 1);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	extend(cert, NID_subject_alt_name, "DNS:engine.example.org,IP:192.0.2.1");
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(file, cert), 1);
	assert_int_equal(PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL), 1);
	(void)fclose(file);
	(void)fclose(key_file);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* ── The two ends ────────────────────────────────────────────────────────── */

static struct stream server;
static struct stream client;
static struct transport *transports[2]; /* of the server, of the client */

static void heard(struct stream *of)
{
	(void)of;
	loop_stop(&loop);
}

static void no_warning(void *context, const struct tls_fault *warning)
{
	(void)context;
	fail_msg("%s", warning->text);
}

static void make_transports(const struct tls_settings *ours, const struct tls_settings *theirs)
{
	struct tls_fault fault;

	if (tls_server_new(ours, no_warning, NULL, &transports[0], &fault) < 0 ||
	        tls_client_new(theirs, no_warning, NULL, &transports[1], &fault) < 0) {
		fail_msg("%s", fault.text);
	}
}

static void connect_ends(void)
{
	union address address = {.ip4 = {.sin_family = AF_INET}};
	socklen_t len = sizeof(address);
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.ip4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, &address.any, sizeof(address.ip4)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, &address.any, &len), 0);
	assert_int_equal(transports[1]->connect(transports[1], &client, &loop, &address, heard), 0);
	const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	(void)close(listener);
	assert_int_equal(transports[0]->accept(transports[0], &server, &loop, fd, heard), 0);
}

static void turn(void)
{
	loop.stopped = false;
	assert_int_equal(loop_run(&loop), 0);
}

/* Until both ends say how it went: 0 or an error each. */
static void shake_hands(int *ret_server, int *ret_client)
{
	*ret_server = *ret_client = -EAGAIN;
	while (*ret_server == -EAGAIN || *ret_client == -EAGAIN) {
		*ret_client = *ret_client == -EAGAIN ? stream_handshake(&client) : *ret_client;
		*ret_server = *ret_server == -EAGAIN ? stream_handshake(&server) : *ret_server;
		if (*ret_server == -EAGAIN && *ret_client < 0 && *ret_client != -EAGAIN) {
			stream_close(&client);
		}
		if (*ret_server == -EAGAIN || *ret_client == -EAGAIN) {
			turn();
		}
	}
}

static void expect_handshake(void)
{
	int ours;
	int theirs;

	shake_hands(&ours, &theirs);
	assert_int_equal(ours, 0);
	assert_int_equal(theirs, 0);
}

static void expect_bytes(struct stream *stream, const char *wanted)
{
	char bytes[64];
	ssize_t n;

	while ((n = stream_read(stream, bytes, sizeof(bytes))) == -EAGAIN) {
		turn();
	}
	assert_slice("bytes", ((struct slice){bytes, n < 0 ? 0 : (size_t)n}), slice_of(wanted));
	assert_true(n >= 0);
}

static const struct tls_settings of_server = {
        .pairs = {{paths[0], paths[1]}},
        .pair_count = 1,
};

static int begin(void **state)
{
	(void)state;
	client.watch.fd = server.watch.fd = -1;
	return loop_init(&loop);
}

static int end(void **state)
{
	(void)state;
	stream_close(&client);
	stream_close(&server);
	tls_free(transports[0]);
	tls_free(transports[1]);
	transports[0] = transports[1] = NULL;
	loop_done(&loop);
	return 0;
}

/* ── The tests ───────────────────────────────────────────────────────────── */

static void both_ends_speak(void **state)
{
	const struct tls_settings of_client = {.ca = paths[0], .name = "engine.example.org"};

	(void)state;
	make_transports(&of_server, &of_client);
	connect_ends();
	expect_handshake();
	assert_non_null(tls_peer_certificate(&client));
	assert_null(tls_peer_certificate(&server));
	assert_int_equal(stream_write(&client, SLICE("question"), false), 8);
	expect_bytes(&server, "question");
	assert_int_equal(stream_write(&server, SLICE("answer"), false), 6);
	expect_bytes(&client, "answer");
}

static void each_direction_ends_by_itself(void **state)
{
	const struct tls_settings of_client = {.ca = paths[0], .name = "192.0.2.1"};

	(void)state;
	make_transports(&of_server, &of_client);
	connect_ends();
	expect_handshake();
	stream_finish(&client);
	stream_finish(&client); /* once is enough */
	expect_bytes(&server, "");
	assert_true(server.peer_done);
	assert_false(server.broken);
	assert_int_equal(stream_write(&server, SLICE("late"), false), 4);
	expect_bytes(&client, "late");
	stream_finish(&server);
	expect_bytes(&client, "");
	assert_true(stream_write(&client, SLICE("x"), false) < 0);
}

static void an_end_without_close_notify_is_a_break(void **state)
{
	const struct tls_settings of_client = {.ca = paths[0], .name = "engine.example.org"};
	char byte;

	(void)state;
	make_transports(&of_server, &of_client);
	connect_ends();
	expect_handshake();
	assert_int_equal(shutdown(client.watch.fd, SHUT_WR), 0);
	while (!server.peer_done) {
		turn();
	}
	assert_int_equal(stream_read(&server, &byte, 1), -ECONNRESET);
	assert_true(server.broken);
}

static void tickets_do_not_disturb_an_idle_stream(void **state)
{
	const struct tls_settings of_client = {.ca = paths[0], .name = "engine.example.org"};

	(void)state;
	make_transports(&of_server, &of_client);
	connect_ends();
	expect_handshake();
	assert_true(stream_is_quiet(&client));
	assert_int_equal(stream_write(&server, SLICE("x"), false), 1);
	while (stream_is_quiet(&client)) {
		turn();
	}
	expect_bytes(&client, "x");
	assert_true(stream_is_quiet(&client));
}

static void both_ends_prove_who_they_are(void **state)
{
	struct tls_settings asks = of_server;
	const struct tls_settings of_client = {.pairs = {{paths[2], paths[3]}},
	        .pair_count = 1,
	        .ca = paths[0],
	        .name = "engine.example.org"};

	(void)state;
	asks.ca = paths[2];
	make_transports(&asks, &of_client);
	connect_ends();
	expect_handshake();
	assert_non_null(tls_peer_certificate(&server));
}

static void a_server_that_is_another(void **state)
{
	static const struct {
		struct tls_settings settings;
		const char *wanted;
	} cases[] = {
	        {{.ca = paths[0], .name = "other.example.org"},
	                "its certificate is for another name"},
	        {{.ca = paths[0], .name = "192.0.2.2"}, "its certificate is for another address"},
	        {{.ca = paths[2], .name = "engine.example.org"}, "its certificate is of"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		char memory[512];
		struct text why = text_over(memory, sizeof(memory));
		int error = -EAGAIN;
		make_transports(&of_server, &cases[i].settings);
		connect_ends();
		while ((error = stream_handshake(&client)) == -EAGAIN) {
			(void)!stream_handshake(&server);
			turn();
		}
		assert_int_equal(error, -EPROTO);
		tls_explain(&client, &why);
		if (memmem(why.ptr, why.len, cases[i].wanted, strlen(cases[i].wanted)) == NULL) {
			fail_msg("%.*s", SLICE_FMT(text_slice(&why)));
		}
		stream_close(&client);
		stream_close(&server);
		tls_free(transports[0]);
		tls_free(transports[1]);
	}
	transports[0] = transports[1] = NULL;
}

/* Peers whose files are the same share what was read of them, but for the name. */
static void a_name_is_of_one_transport_alone(void **state)
{
	const struct tls_settings of_other = {.ca = paths[0], .name = "other.example.org"};
	static const char *const good[] = {"engine.example.org", "192.0.2.1", NULL};
	static const char *const bad[] = {"other.example.org", "192.0.2.2", "", NULL};
	struct transport *named = NULL;
	struct tls_fault fault;
	int ours;
	int theirs;

	(void)state;
	make_transports(&of_server, &of_other);
	struct transport *other = transports[1];
	for (unsigned i = 0; good[i] != NULL; i++) {
		assert_int_equal(tls_client_named(other, good[i], &named, &fault), 0);
		transports[1] = named;
		connect_ends();
		expect_handshake();
		stream_close(&client);
		stream_close(&server);
		tls_free(named);
	}
	assert_int_equal(tls_client_named(other, good[0], &named, &fault), 0);
	for (unsigned i = 0; bad[i] != NULL; i++) {
		transports[1] = NULL;
		if (bad[i][0] == '\0') {
			assert_int_equal(
			        tls_client_named(named, bad[i], &transports[1], &fault), -EINVAL);
			continue;
		}
		assert_int_equal(tls_client_named(named, bad[i], &transports[1], &fault), 0);
		connect_ends();
		shake_hands(&ours, &theirs);
		assert_true(theirs < 0);
		stream_close(&client);
		stream_close(&server);
		tls_free(transports[1]);
	}
	transports[1] = other;
	tls_free(named);
	connect_ends(); /* what the others demand is nothing to it */
	shake_hands(&ours, &theirs);
	assert_true(theirs < 0);
}

static void bytes_that_nobody_reads_wait(void **state)
{
	const struct tls_settings of_client = {.ca = paths[0], .name = "engine.example.org"};
	static char bytes[64 * 1024];
	static char read[64 * 1024];
	size_t sent = 0;
	size_t got = 0;
	ssize_t n;

	(void)state;
	make_transports(&of_server, &of_client);
	connect_ends();
	expect_handshake();
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (char)(i * 7 + i / 251);
	}
	/* Each write is of what the one before did not take. */
	while (got < 16 * sizeof(bytes)) {
		while (sent < 16 * sizeof(bytes)) {
			const size_t at = sent % sizeof(bytes);
			n = stream_write(
			        &server, (struct slice){bytes + at, sizeof(bytes) - at}, false);
			if (n < 0) {
				assert_int_equal(n, -EAGAIN);
				assert_false(server.writable);
				break;
			}
			sent += (size_t)n;
		}
		while ((n = stream_read(&client, read, sizeof(read))) > 0) {
			for (ssize_t i = 0; i < n; i++) {
				assert_int_equal(read[i], bytes[(got + (size_t)i) % sizeof(bytes)]);
			}
			got += (size_t)n;
		}
		assert_int_equal(n, -EAGAIN);
		if (got < 16 * sizeof(bytes)) {
			turn();
		}
	}
	assert_int_equal(got, sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(both_ends_speak, begin, end),
	        cmocka_unit_test_setup_teardown(each_direction_ends_by_itself, begin, end),
	        cmocka_unit_test_setup_teardown(an_end_without_close_notify_is_a_break, begin, end),
	        cmocka_unit_test_setup_teardown(tickets_do_not_disturb_an_idle_stream, begin, end),
	        cmocka_unit_test_setup_teardown(both_ends_prove_who_they_are, begin, end),
	        cmocka_unit_test_setup_teardown(a_server_that_is_another, begin, end),
	        cmocka_unit_test_setup_teardown(a_name_is_of_one_transport_alone, begin, end),
	        cmocka_unit_test_setup_teardown(bytes_that_nobody_reads_wait, begin, end),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as the program does */
	(void)umask(077);               /* for the keys */
	if (mkdtemp(folder) == NULL) {
		return 1;
	}
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "%s/%u.pem", folder, i);
	}
	make_pair(paths[0], paths[1]);
	make_pair(paths[2], paths[3]);
	const int failures = cmocka_run_group_tests(tests, NULL, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		(void)unlink(paths[i]);
	}
	(void)rmdir(folder);
	return failures;
}
