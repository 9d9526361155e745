/* SPDX-License-Identifier: MIT */
/*
 * plain — streams over sockets as they are: TCP and unix.
 */
#include "net/stream.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

static void plain_reported(struct stream *stream, uint32_t events)
{
	const bool gone = (events & (EPOLLERR | EPOLLHUP)) != 0;

	stream->readable |= gone || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
	stream->writable |= gone || (events & EPOLLOUT) != 0;
	stream->peer_done |= gone || (events & EPOLLRDHUP) != 0;
	stream->hangup |= gone;
	stream->broken |= (events & EPOLLERR) != 0;
}

/* connect(2): a connection in progress is over when it is writable. */
static int plain_handshake(struct stream *stream)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (!stream->writable) {
		return -EAGAIN;
	}
	if (getsockopt(stream->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
		return -errno;
	}
	stream->established = error == 0;
	return -error;
}

/* ── Reading and writing ─────────────────────────────────────────────────── */

/* A short read empties the socket, and news raise a new edge; but an end is reported only once. */
static ssize_t note_read(struct stream *stream, ssize_t n, size_t wanted)
{
	if (n < 0) {
		n = -errno;
	}
	if (n == -EAGAIN || (n > 0 && (size_t)n < wanted && !stream->peer_done)) {
		stream->readable = false;
	}
	return n;
}

static ssize_t note_write(struct stream *stream, ssize_t n, size_t wanted)
{
	if (n < 0) {
		n = -errno;
	}
	if (n != -EAGAIN && (n < 0 || (size_t)n == wanted)) {
		return n;
	}
	const int error = stream_await_room(stream);
	return error < 0 ? error : n;
}

static ssize_t plain_read(struct stream *stream, char *bytes, size_t len)
{
	return note_read(stream, socket_read(stream->watch.fd, bytes, len), len);
}

static ssize_t plain_write(struct stream *stream, struct slice bytes, bool more)
{
	const ssize_t n = socket_write(stream->watch.fd, bytes.ptr, bytes.len, more);

	return note_write(stream, n, bytes.len);
}

static ssize_t plain_splice_from(struct stream *stream, int pipe, size_t len)
{
	const ssize_t n =
	        splice(stream->watch.fd, NULL, pipe, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	/* A splice may fall short for the pipe's sake: only EAGAIN says that nothing waits. */
	return note_read(stream, n, n > 0 ? (size_t)n : len);
}

static ssize_t plain_splice_to(struct stream *stream, int pipe, size_t len, bool more)
{
	const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);
	const ssize_t n = splice(pipe, NULL, stream->watch.fd, NULL, len, flags);

	/* As above: a new edge comes only once the socket was really full. */
	return note_write(stream, n, n > 0 ? (size_t)n : len);
}

static void plain_push(struct stream *stream)
{
	const int on = 1;

	/* tcp(7): setting the option pushes what is pending. Other sockets hold nothing back. */
	(void)setsockopt(stream->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* ── The end ─────────────────────────────────────────────────────────────── */

static void plain_finish(struct stream *stream)
{
	(void)shutdown(stream->watch.fd, SHUT_WR);
}

static void plain_reset_on_close(struct stream *stream)
{
	const struct linger none = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(stream->watch.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

static bool plain_is_quiet(const struct stream *stream)
{
	char byte;

	return recv(stream->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void plain_close(struct stream *stream)
{
	(void)close(stream->watch.fd);
}

const struct stream_verbs plain_verbs = {
        .reported = plain_reported,
        .handshake = plain_handshake,
        .read = plain_read,
        .write = plain_write,
        .splice_from = plain_splice_from,
        .splice_to = plain_splice_to,
        .push = plain_push,
        .finish = plain_finish,
        .reset_on_close = plain_reset_on_close,
        .is_quiet = plain_is_quiet,
        .close = plain_close,
};

/* ── The beginning ───────────────────────────────────────────────────────── */

static int plain_accept(const struct transport *transport, struct stream *stream, struct loop *loop,
        int fd, stream_notify *notify)
{
	(void)transport;
	return stream_open(stream, &plain_verbs, loop, fd, true, notify);
}

static int plain_connect(const struct transport *transport, struct stream *stream,
        struct loop *loop, const union address *address, stream_notify *notify)
{
	const bool is_unix = address->any.sa_family == AF_UNIX;
	const int fd = address_connect(address, NULL);

	(void)transport;
	if (fd < 0) {
		return fd;
	}
	/* A unix socket is connected at once; a TCP socket when it is writable. */
	const int error = stream_open(stream, &plain_verbs, loop, fd, is_unix, notify);
	stream->takes_pages = is_unix;
	return error;
}

const struct transport transport_plain = {.accept = plain_accept, .connect = plain_connect};
