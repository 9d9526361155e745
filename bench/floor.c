/* SPDX-License-Identifier: MIT */
/*
 * The floor: a layer-4 relay from TCP to a unix socket which understands nothing of what it
 * carries. What it costs is what the kernel asks for moving the bytes; a proxy is judged by how
 * much it adds to that.
 *
 * It copies through one shared 16 KiB buffer; a direction that fills it uses a 256 KiB one from
 * then on, until a read brings less than 16 KiB. A buffer belongs to a direction only while bytes
 * are stuck in it. --large KIB sets another size for the large one. With --splice nothing is
 * copied: each direction in flight holds a pipe.
 *
 * All reads are edge-triggered and a short read counts as "drained", so a small exchange costs two
 * recv(), two send() and its share of epoll_wait(). Half-close travels both ways independently.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/un.h>
#include <unistd.h>

#define SMALL_BUFFER (16 * 1024)
#define PIPE_SIZE    (256 * 1024)
#define EVENTS       256

struct end {
	struct pair *pair;
	int fd;
	bool unix_socket;
	bool watching_out;
	/* What came from this end and goes to the other one: */
	bool large; /* the last read filled the small buffer */
	bool unread;
	bool ended;
	char *stuck; /* a lent buffer, or NULL */
	size_t stuck_from;
	size_t stuck_to;
	bool stuck_large;
	int pipe[2];
	size_t piped;
};

struct pair {
	struct end client;
	struct end engine;
	bool closed;
	struct pair *next_closed;
};

struct spare {
	struct spare *next;
};

static struct sockaddr_un engine_address = {.sun_family = AF_UNIX};
static int poller;
static bool splicing;
static size_t large_buffer = 256 * 1024;
static struct spare *spare_buffers[2]; /* small, large */
static char *scratch[2];
static int spare_pipes[64][2];
static int spare_pipe_count;
static struct pair *closed_pairs;

static struct end *other(struct end *end)
{
	return end == &end->pair->client ? &end->pair->engine : &end->pair->client;
}

/* ---- Lending. ---- */

static char *buffer_take(bool large)
{
	struct spare *spare = spare_buffers[large];

	if (spare == NULL) {
		return must_alloc(large ? large_buffer : SMALL_BUFFER);
	}
	spare_buffers[large] = spare->next;
	return (char *)spare;
}

static void buffer_give(char *buffer, bool large)
{
	struct spare *spare = (struct spare *)buffer;

	spare->next = spare_buffers[large];
	spare_buffers[large] = spare;
}

static bool pipe_take(struct end *end)
{
	if (end->pipe[0] >= 0) {
		return true;
	}
	if (spare_pipe_count > 0) {
		spare_pipe_count--;
		end->pipe[0] = spare_pipes[spare_pipe_count][0];
		end->pipe[1] = spare_pipes[spare_pipe_count][1];
		return true;
	}
	if (pipe2(end->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
		end->pipe[0] = -1;
		return false;
	}
	fcntl(end->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
	return true;
}

static void pipe_give(struct end *end)
{
	if (end->pipe[0] < 0) {
		return;
	}
	if (end->piped == 0 && spare_pipe_count < 64) {
		spare_pipes[spare_pipe_count][0] = end->pipe[0];
		spare_pipes[spare_pipe_count][1] = end->pipe[1];
		spare_pipe_count++;
	} else {
		close(end->pipe[0]);
		close(end->pipe[1]);
	}
	end->pipe[0] = -1;
}

/* ---- A pair of connections. ---- */

static void end_close(struct end *end)
{
	close(end->fd);
	if (end->stuck != NULL) {
		buffer_give(end->stuck, end->stuck_large);
	}
	pipe_give(end);
}

/* The other end may still have an event in this turn of the loop, so memory is freed after it. */
static void pair_close(struct pair *pair)
{
	if (pair->closed) {
		return;
	}
	pair->closed = true;
	end_close(&pair->client);
	end_close(&pair->engine);
	pair->next_closed = closed_pairs;
	closed_pairs = pair;
}

static void closed_pairs_free(void)
{
	while (closed_pairs != NULL) {
		struct pair *pair = closed_pairs;

		closed_pairs = pair->next_closed;
		free(pair);
	}
}

/*
 * TCP reports EPOLLOUT only after a send() found no space, so it costs nothing to ask always. A
 * unix socket reports it at every read of the peer, so there it is asked for only while needed.
 */
static void end_watch_out(struct end *end, bool on)
{
	struct epoll_event event = {
	        .events = EPOLLIN | EPOLLRDHUP | EPOLLET | (on ? EPOLLOUT : 0u), .data.ptr = end};

	if (end->unix_socket && end->watching_out != on) {
		end->watching_out = on;
		epoll_ctl(poller, EPOLL_CTL_MOD, end->fd, &event);
	}
}

static void end_ended(struct end *end)
{
	end->ended = true;
	if (other(end)->ended) {
		pair_close(end->pair);
	} else {
		shutdown(other(end)->fd, SHUT_WR);
	}
}

/* ---- Copying. ---- */

static void bytes_keep(struct end *end, bool large, size_t from, size_t to)
{
	end->stuck = scratch[large];
	end->stuck_large = large;
	end->stuck_from = from;
	end->stuck_to = to;
	scratch[large] = buffer_take(large);
	end_watch_out(other(end), true);
}

/* false: stop reading from this end */
static bool bytes_move(struct end *end, bool last)
{
	bool large = end->large;
	size_t space = large ? large_buffer : SMALL_BUFFER;
	ssize_t got = recv(end->fd, scratch[large], space, 0);
	ssize_t sent;

	if (got == 0) {
		end_ended(end);
		return false;
	}
	if (got < 0) {
		if (errno != EAGAIN) {
			pair_close(end->pair);
		}
		return false;
	}
	end->large = got >= SMALL_BUFFER;
	sent = send(other(end)->fd, scratch[large], (size_t)got, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN) {
		pair_close(end->pair);
		return false;
	}
	if (sent < got) {
		end->unread = true;
		bytes_keep(end, large, sent < 0 ? 0 : (size_t)sent, (size_t)got);
		return false;
	}
	return last || (size_t)got == space;
}

/* true: nothing is stuck any more */
static bool bytes_unstick(struct end *end)
{
	ssize_t sent = send(other(end)->fd, end->stuck + end->stuck_from,
	        end->stuck_to - end->stuck_from, MSG_NOSIGNAL);

	if (sent < 0) {
		if (errno != EAGAIN) {
			pair_close(end->pair);
		}
		return false;
	}
	end->stuck_from += (size_t)sent;
	if (end->stuck_from < end->stuck_to) {
		return false;
	}
	buffer_give(end->stuck, end->stuck_large);
	end->stuck = NULL;
	end_watch_out(other(end), false);
	return true;
}

/* ---- Splicing. ---- */

/* true: the pipe is empty */
static bool pipe_drain(struct end *end)
{
	while (end->piped > 0) {
		ssize_t sent = splice(end->pipe[0], NULL, other(end)->fd, NULL, end->piped,
		        SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (sent < 0) {
			if (errno != EAGAIN) {
				pair_close(end->pair);
			} else {
				end_watch_out(other(end), true);
			}
			return false;
		}
		end->piped -= (size_t)sent;
	}
	end_watch_out(other(end), false);
	return true;
}

static bool pipe_move(struct end *end, bool last)
{
	ssize_t got;

	if (!pipe_take(end)) {
		pair_close(end->pair);
		return false;
	}
	got = splice(
	        end->fd, NULL, end->pipe[1], NULL, PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (got == 0) {
		pipe_give(end);
		end_ended(end);
		return false;
	}
	if (got < 0) {
		pipe_give(end);
		if (errno != EAGAIN) {
			pair_close(end->pair);
		}
		return false;
	}
	end->piped = (size_t)got;
	end->unread = true;
	if (!pipe_drain(end)) {
		return false;
	}
	/* A pipe holds a number of pieces, so a splice of any size may have left bytes behind. */
	if (last || got >= SMALL_BUFFER) {
		return true;
	}
	pipe_give(end);
	return false;
}

/* ---- The loop. ---- */

static void end_readable(struct end *end, bool last)
{
	end->unread = false;
	while (!end->pair->closed && !end->ended &&
	        (splicing ? pipe_move(end, last) : bytes_move(end, last))) {
		/* until drained, stuck or ended */
	}
}

static bool end_stuck(const struct end *end)
{
	return end->stuck != NULL || end->piped > 0;
}

static void end_event(struct end *end, uint32_t events)
{
	struct end *from = other(end);

	if (end->pair->closed) {
		return;
	}
	if ((events & EPOLLOUT) && end_stuck(from)) {
		if ((splicing ? pipe_drain(from) : bytes_unstick(from)) && from->unread) {
			end_readable(from, true);
		}
	}
	if (end->pair->closed || !(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
		return;
	}
	if (end_stuck(end)) {
		end->unread = true;
		return;
	}
	end_readable(end, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
}

static void pair_open(int client)
{
	struct pair *pair = must_alloc(sizeof(*pair));
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int engine = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (engine < 0 ||
	        connect(engine, (struct sockaddr *)&engine_address, sizeof(engine_address)) != 0) {
		perror("floor: connect");
		close(engine);
		close(client);
		free(pair);
		return;
	}
	fcntl(engine, F_SETFL, O_NONBLOCK);
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pair->client = (struct end){.pair = pair, .fd = client, .pipe = {-1, -1}};
	pair->engine =
	        (struct end){.pair = pair, .fd = engine, .unix_socket = true, .pipe = {-1, -1}};
	event.data.ptr = &pair->client;
	epoll_ctl(poller, EPOLL_CTL_ADD, client, &event);
	event.data.ptr = &pair->engine;
	event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
	epoll_ctl(poller, EPOLL_CTL_ADD, engine, &event);
}

static int listener_open(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	        .sin_port = htons(port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	        listen(fd, 4096) != 0) {
		die("floor: listen");
	}
	return fd;
}

static void options_read(int argc, char **argv)
{
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "--splice") == 0) {
			splicing = true;
		} else if (strcmp(argv[i], "--large") == 0 && i + 1 < argc) {
			large_buffer = 1024 * parse_number("--large", argv[++i]);
		} else {
			argc = 0;
		}
	}
	if (argc < 3 || strlen(argv[2]) >= sizeof(engine_address.sun_path) ||
	        large_buffer < SMALL_BUFFER) {
		fprintf(stderr, "usage: floor PORT SOCKET [--splice] [--large KIB, 16 or more]\n");
		exit(2);
	}
	strcpy(engine_address.sun_path, argv[2]);
}

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN};
	int listener;

	options_read(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	scratch[0] = buffer_take(false);
	scratch[1] = buffer_take(true);
	poller = epoll_create1(EPOLL_CLOEXEC);
	listener = listener_open((uint16_t)parse_number("PORT", argv[1]));
	epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(poller, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int client;

			if (events[i].data.ptr != NULL) {
				end_event(events[i].data.ptr, events[i].events);
				continue;
			}
			while ((client = accept4(
			                listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
				pair_open(client);
			}
		}
		closed_pairs_free();
	}
}
