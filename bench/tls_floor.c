/* SPDX-License-Identifier: MIT */
/*
 * The floor over TLS: a relay from TLS to a unix socket which understands nothing of what it
 * carries. What it costs is what OpenSSL and the kernel ask for.
 *
 *   tls_floor PORT SOCKET CERTIFICATE KEY [CA]    with a CA, clients must present a certificate
 *
 * A thread for each connection, of which the benchmark opens one at a time: it waits with poll(),
 * reads what is there with one recv() (OpenSSL reads ahead), and passes it on.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/un.h>
#include <unistd.h>

#define BUFFER (256 * 1024)

struct pair {
	SSL *client;
	int engine;
	char buffer[BUFFER];
};

static struct sockaddr_un engine_address = {.sun_family = AF_UNIX};
static SSL_CTX *context;

static bool send_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);

		if (sent <= 0) {
			return false;
		}
		data += sent;
		length -= (size_t)sent;
	}
	return true;
}

/* false: the connection has ended */
static bool from_client(struct pair *pair)
{
	do {
		int got = SSL_read(pair->client, pair->buffer, BUFFER);

		if (got <= 0 || !send_all(pair->engine, pair->buffer, (size_t)got)) {
			return false;
		}
	} while (SSL_has_pending(pair->client));
	return true;
}

static bool from_engine(struct pair *pair)
{
	ssize_t got = recv(pair->engine, pair->buffer, BUFFER, 0);

	return got > 0 && SSL_write(pair->client, pair->buffer, (int)got) == got;
}

static void relay(struct pair *pair)
{
	struct pollfd ends[2] = {{.fd = SSL_get_fd(pair->client), .events = POLLIN},
	        {.fd = pair->engine, .events = POLLIN}};

	/* What follows the handshake may have been read ahead with it. */
	if (SSL_accept(pair->client) != 1 ||
	        (SSL_has_pending(pair->client) && !from_client(pair))) {
		return;
	}
	while (poll(ends, 2, -1) > 0) {
		if (ends[0].revents != 0 && !from_client(pair)) {
			return;
		}
		if (ends[1].revents != 0 && !from_engine(pair)) {
			return;
		}
	}
}

static void *pair_run(void *argument)
{
	struct pair *pair = argument;
	int client = SSL_get_fd(pair->client);

	relay(pair);
	SSL_free(pair->client);
	close(client);
	close(pair->engine);
	free(pair);
	return NULL;
}

static void pair_open(int client)
{
	struct pair *pair = must_alloc(sizeof(*pair));
	pthread_t thread;
	int one = 1;

	pair->engine = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(pair->engine, (struct sockaddr *)&engine_address, sizeof(engine_address)) !=
	        0) {
		die("tls_floor: connect");
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pair->client = SSL_new(context);
	SSL_set_fd(pair->client, client);
	if (pthread_create(&thread, NULL, pair_run, pair) != 0) {
		die("tls_floor: thread");
	}
	pthread_detach(thread);
}

static void context_make(const char *certificate, const char *key, const char *authority)
{
	context = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_session_id_context(context, (const unsigned char *)"floor", 5);
	if (SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
	        SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
	        (authority != NULL && SSL_CTX_load_verify_file(context, authority) != 1)) {
		ERR_print_errors_fp(stderr);
		exit(1);
	}
	if (authority != NULL) {
		SSL_CTX_set_verify(
		        context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
}

static int listener_open(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	        .sin_port = htons(port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	        listen(fd, 64) != 0) {
		die("tls_floor: listen");
	}
	return fd;
}

int main(int argc, char **argv)
{
	int listener;
	int client;

	if (argc < 5 || strlen(argv[2]) >= sizeof(engine_address.sun_path)) {
		fprintf(stderr, "usage: tls_floor PORT SOCKET CERTIFICATE KEY [CA]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	strcpy(engine_address.sun_path, argv[2]);
	context_make(argv[3], argv[4], argc > 5 ? argv[5] : NULL);
	listener = listener_open((uint16_t)parse_number("PORT", argv[1]));
	while ((client = accept(listener, NULL, NULL)) >= 0) {
		pair_open(client);
	}
	die("tls_floor: accept");
}
