/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for the Docker Engine that costs next to nothing: it listens on a unix socket,
 * responds to from memory with the heads of a real Engine, and swallows uploads. One thread, one
 * epoll.
 *
 *   GET  /_ping                          2 bytes, Content-Length
 *   GET  /v1.41/containers/json          48 KiB, Content-Length
 *   GET  /v1.41/images/json              48 KiB in one chunk
 *   GET  /v1.41/volumes                  48 KiB in chunks of 32 KiB
 *   GET  /v1.41/images/get               a tar of --bulk bytes, Content-Length
 *   GET  /v1.41/containers/ID/export     the same in chunks of 32 KiB, as dockerd sends it
 *   POST /v1.41/images/load              reads the body, responds with its number of bytes;
 *                                        with check=1 in the query also whether they were right
 *
 * It writes a response in as few calls as it can. A real Engine writes in smaller pieces, which
 * costs any proxy more; the figures here are those of the proxy alone.
 */
#include "bench.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RESPONSE_BODY (48 * 1024)
#define HEAD_CEILING  65536
#define EVENTS        256

#define SERVER                                                                                     \
	"Docker-Experimental: false\r\n"                                                           \
	"Ostype: linux\r\n"                                                                        \
	"Server: Docker/20.10.24+dfsg1 (linux)\r\n"                                                \
	"Date: Mon, 23 Nov 2026 20:00:00 GMT\r\n"

enum response_kind {
	RESPONSE_PING,
	RESPONSE_LENGTH,
	RESPONSE_ONE_CHUNK,
	RESPONSE_CHUNKS,
	RESPONSE_BULK_LENGTH,
	RESPONSE_BULK_CHUNKED,
	RESPONSE_MISSING,
	RESPONSE_KINDS
};

/* Each response twice: as it is on a connection that stays, and with `Connection: close`. */
static struct message responses[RESPONSE_KINDS][2];

struct client {
	int fd;
	bool blocked; /* EPOLLOUT asked for */
	bool reading_body;
	bool closing; /* after this response */
	bool check;
	struct body body;
	struct sending sending;
	struct message upload_response;
	char upload_text[512];
	char *held; /* bytes read but not parsed yet: part of a head, or a pipelined request */
	size_t held_length;
};

static char scratch[SCRATCH_SIZE];
static int poller;

/* ---- The responses. ---- */

static const char *head_make(const char *type, const char *framing, bool closing, size_t *length)
{
	char *head;
	int made = asprintf(&head,
	        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: %s\r\n" SERVER "%s%s\r\n",
	        type, framing, closing ? "Connection: close\r\n" : "");

	if (made < 0) {
		die("asprintf");
	}
	*length = (size_t)made;
	return head;
}

/* One buffer holds head and body, so that one send() is the whole response. */
static struct message small_make(const char *head, size_t head_length, size_t body, size_t chunk)
{
	size_t chunks = chunk == 0 ? 0 : (body + chunk - 1) / chunk;
	char *image = must_alloc(head_length + body + chunks * 16 + 8);
	char *end = mempcpy(image, head, head_length);

	if (chunk == 0) {
		chunk = body;
	}
	for (size_t at = 0; at < body;) {
		size_t part = body - at < chunk ? body - at : chunk;

		end += chunks > 0 ? sprintf(end, "%zx\r\n", part) : 0;
		for (size_t i = 0; i < part; i++) {
			*end++ = (char)pattern[(at + i) % BODY_CHUNK];
		}
		end = mempcpy(end, "\r\n", chunks > 0 ? 2 : 0);
		at += part;
	}
	end = mempcpy(end, "0\r\n\r\n", chunks > 0 ? 5 : 0);
	return (struct message){.head = image, .head_length = (size_t)(end - image)};
}

static struct message ping_make(bool closing)
{
	char *image;
	int made = asprintf(&image,
	        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nBuilder-Version: 2\r\n"
	        "Cache-Control: no-cache, no-store, must-revalidate\r\n"
	        "Content-Type: text/plain; charset=utf-8\r\nPragma: no-cache\r\n" SERVER
	        "Content-Length: 2\r\n%s\r\nOK",
	        closing ? "Connection: close\r\n" : "");

	if (made < 0) {
		die("asprintf");
	}
	return (struct message){.head = image, .head_length = (size_t)made};
}

static struct message missing_make(void)
{
	static const char image[] = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
	                            "Content-Length: 29\r\n\r\n{\"message\":\"page not found\"}\n";

	return (struct message){.head = image, .head_length = sizeof(image) - 1};
}

static struct message listing_make(bool closing, size_t chunk)
{
	char framing[64] = "Transfer-Encoding: chunked\r\n";
	size_t length;
	const char *head;

	if (chunk == 0) {
		snprintf(framing, sizeof(framing), "Content-Length: %d\r\n", RESPONSE_BODY);
	}
	head = head_make("application/json", framing, closing, &length);
	return small_make(head, length, RESPONSE_BODY, chunk);
}

static struct message bulk_make(bool closing, bool chunked, uint64_t size)
{
	struct message message = {.blocks = size / BLOCK_BODY};
	char framing[64] = "Transfer-Encoding: chunked\r\n";

	if (!chunked) {
		snprintf(framing, sizeof(framing), "Content-Length: %llu\r\n",
		        (unsigned long long)(message.blocks * BLOCK_BODY));
	}
	message.head = head_make("application/x-tar", framing, closing, &message.head_length);
	message.block = block_make(chunked, &message.block_length);
	message.tail = "0\r\n\r\n";
	message.tail_length = chunked ? 5 : 0;
	return message;
}

static void responses_make(uint64_t bulk)
{
	for (int closing = 0; closing < 2; closing++) {
		responses[RESPONSE_PING][closing] = ping_make(closing);
		responses[RESPONSE_LENGTH][closing] = listing_make(closing, 0);
		responses[RESPONSE_ONE_CHUNK][closing] = listing_make(closing, RESPONSE_BODY);
		responses[RESPONSE_CHUNKS][closing] = listing_make(closing, BODY_CHUNK);
		responses[RESPONSE_BULK_LENGTH][closing] = bulk_make(closing, false, bulk);
		responses[RESPONSE_BULK_CHUNKED][closing] = bulk_make(closing, true, bulk);
		responses[RESPONSE_MISSING][closing] = missing_make();
	}
}

static bool path_is(const char *path, const char *expected)
{
	size_t length = strlen(expected);

	return strncmp(path, expected, length) == 0 &&
	       (path[length] == ' ' || path[length] == '?' || path[length] == '/');
}

static enum response_kind response_for(const char *path)
{
	if (path_is(path, "/_ping")) {
		return RESPONSE_PING;
	}
	if (path_is(path, "/v1.41/containers/json")) {
		return RESPONSE_LENGTH;
	}
	if (path_is(path, "/v1.41/images/json")) {
		return RESPONSE_ONE_CHUNK;
	}
	if (path_is(path, "/v1.41/volumes")) {
		return RESPONSE_CHUNKS;
	}
	if (path_is(path, "/v1.41/images/get")) {
		return RESPONSE_BULK_LENGTH;
	}
	if (path_is(path, "/v1.41/containers")) {
		return RESPONSE_BULK_CHUNKED;
	}
	return RESPONSE_MISSING;
}

static void upload_response_make(struct client *client)
{
	char text[96];
	int length = snprintf(text, sizeof(text), "{\"bytes\":%llu,\"broken\":%s}\n",
	        (unsigned long long)client->body.read, client->body.broken ? "true" : "false");
	int made = snprintf(client->upload_text, sizeof(client->upload_text),
	        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n" SERVER
	        "Content-Length: %d\r\n%s\r\n%s",
	        length, client->closing ? "Connection: close\r\n" : "", text);

	client->upload_response =
	        (struct message){.head = client->upload_text, .head_length = (size_t)made};
	sending_start(&client->sending, &client->upload_response);
}

/* ---- One connection. ---- */

static void client_close(struct client *client)
{
	close(client->fd);
	free(client->held);
	free(client);
}

/*
 * A reader that empties a unix socket wakes everybody who waits for EPOLLOUT on it, so EPOLLOUT
 * is asked for only while a response is stuck.
 */
static void client_watch(struct client *client, bool blocked)
{
	struct epoll_event event = {
	        .events = EPOLLIN | EPOLLRDHUP | EPOLLET | (blocked ? EPOLLOUT : 0u),
	        .data.ptr = client};

	if (client->blocked != blocked) {
		client->blocked = blocked;
		epoll_ctl(poller, EPOLL_CTL_MOD, client->fd, &event);
	}
}

static void client_hold(struct client *client, const char *data, size_t length)
{
	if (client->held == NULL) {
		client->held = must_alloc(HEAD_CEILING);
	}
	if (length > HEAD_CEILING) {
		die("a head larger than this Engine takes");
	}
	memmove(client->held, data, length);
	client->held_length = length;
}

static void request_begin(struct client *client, const char *head, size_t length)
{
	bool get = head[0] == 'G';
	const char *path = memchr(head, ' ', length);
	struct framing framing = head_framing(head, length);

	client->closing = framing.close;
	if (get) {
		sending_start(
		        &client->sending, &responses[response_for(path + 1)][client->closing]);
		return;
	}
	client->check = memmem(head, length, "check=1", 7) != NULL;
	body_start(&client->body, framing.chunked, framing.length, client->check);
	client->reading_body = true;
}

/* false: the connection is gone */
static bool client_send(struct client *client)
{
	switch (sending_go_on(&client->sending, client->fd)) {
	case SENT_BLOCKED:
		client_watch(client, true);
		return true;
	case SENT_ALL:
		client_watch(client, false);
		if (!client->closing) {
			return true;
		}
		break;
	case SENT_FAILED:
		break;
	}
	client_close(client);
	return false;
}

/* Takes the bytes of one step: a head, or a piece of a body. 0: it needs more. */
static size_t client_take(struct client *client, const char *data, size_t length)
{
	size_t used;

	if (client->reading_body) {
		used = body_feed(&client->body, data, length);
	} else {
		used = head_length(data, length);
		if (used > 0) {
			request_begin(client, data, used);
		}
	}
	if (client->reading_body && (client->body.state == BODY_DONE || client->body.broken)) {
		client->reading_body = false;
		client->closing |= client->body.broken;
		upload_response_make(client);
	}
	return used;
}

static bool client_feed(struct client *client, const char *data, size_t length)
{
	while (length > 0 && client->sending.left == 0) {
		size_t used = client_take(client, data, length);

		if (used == 0 && !client->reading_body) {
			break;
		}
		data += used;
		length -= used;
		if (client->sending.left > 0 && !client_send(client)) {
			return false;
		}
	}
	if (length > 0) {
		client_hold(client, data, length);
	}
	return true;
}

/* Bytes left from an earlier read go in front of the new ones. */
static ssize_t client_recv(struct client *client)
{
	size_t held = client->held_length;
	ssize_t got = recv(client->fd, scratch + held, sizeof(scratch) - held, 0);

	if (got > 0 && held > 0) {
		memcpy(scratch, client->held, held);
		client->held_length = 0;
	}
	return got > 0 ? got + (ssize_t)held : got;
}

static void client_read(struct client *client, bool ended)
{
	while (client->sending.left == 0) {
		ssize_t got = client_recv(client);
		bool filled = got == (ssize_t)sizeof(scratch);

		if (got < 0 && errno == EAGAIN) {
			return;
		}
		if (got <= 0) {
			client_close(client);
			return;
		}
		if (!client_feed(client, scratch, (size_t)got)) {
			return;
		}
		if (!filled && !ended) {
			return;
		}
	}
}

static bool client_pipelined(struct client *client)
{
	size_t length = client->held_length;

	if (length == 0) {
		return true;
	}
	memcpy(scratch, client->held, length);
	client->held_length = 0;
	return client_feed(client, scratch, length);
}

static void client_event(struct client *client, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		client_close(client);
		return;
	}
	if (client->sending.left > 0) {
		if (!client_send(client)) {
			return;
		}
		if (client->sending.left > 0) {
			return;
		}
		if (!client_pipelined(client)) {
			return;
		}
	}
	client_read(client, (events & EPOLLRDHUP) != 0);
}

/* ---- Listening. ---- */

static int listener_open(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "%s: too long for a unix socket\n", path);
		exit(2);
	}
	strcpy(address.sun_path, path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	        chmod(path, 0666) != 0 || listen(fd, 4096) != 0) {
		die(path);
	}
	return fd;
}

static void listener_accept(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *client = must_alloc(sizeof(*client));
		struct epoll_event event = {
		        .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = client};

		client->fd = fd;
		epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
	}
}

int main(int argc, char **argv)
{
	uint64_t bulk = 1ull << 30;
	struct epoll_event event = {.events = EPOLLIN};
	int listener;

	if (argc == 4 && strcmp(argv[2], "--bulk") == 0) {
		bulk = parse_number(argv[2], argv[3]);
	} else if (argc != 2) {
		fprintf(stderr, "usage: engine SOCKET [--bulk BYTES]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	pattern_init();
	responses_make(bulk);
	poller = epoll_create1(EPOLL_CLOEXEC);
	listener = listener_open(argv[1]);
	epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(poller, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL) {
				listener_accept(listener);
			} else {
				client_event(events[i].data.ptr, events[i].events);
			}
		}
	}
}
