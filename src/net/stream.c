/* SPDX-License-Identifier: MIT */
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint32_t input_events = EPOLLIN | EPOLLRDHUP | EPOLLET;

static void stream_ready(struct watch *watch, uint32_t events)
{
	struct stream *stream = CONTAINER_OF(watch, struct stream, watch);
	const bool gone = (events & (EPOLLERR | EPOLLHUP)) != 0;

	stream->readable |= gone || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
	stream->writable |= gone || (events & EPOLLOUT) != 0;
	stream->peer_done |= gone || (events & EPOLLRDHUP) != 0;
	stream->hangup |= gone;
	stream->broken |= (events & EPOLLERR) != 0;
	stream->notify(stream);
}

int stream_open(
        struct stream *stream, struct loop *loop, int fd, void (*notify)(struct stream *stream))
{
	*stream = (struct stream){
	        .watch = {.fd = fd, .ready = stream_ready},
	        .loop = loop,
	        .notify = notify,
	        .writable = true,
	};
	return loop_add(loop, &stream->watch, input_events);
}

void stream_close(struct stream *stream)
{
	if (stream->watch.fd >= 0) {
		(void)close(stream->watch.fd);
		stream->watch.fd = -1;
	}
}

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
	stream->writable = false;
	if (!stream->watches_room) {
		stream->watches_room = true;
		const int error =
		        loop_change(stream->loop, &stream->watch, input_events | EPOLLOUT);
		return error < 0 ? error : n;
	}
	return n;
}

ssize_t stream_read(struct stream *stream, char *bytes, size_t len)
{
	if (!stream->readable) {
		return -EAGAIN;
	}
	return note_read(stream, recv(stream->watch.fd, bytes, len, MSG_DONTWAIT), len);
}

ssize_t stream_write(struct stream *stream, struct slice bytes, bool more)
{
	if (!stream->writable) {
		return -EAGAIN;
	}
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0);
	return note_write(stream, send(stream->watch.fd, bytes.ptr, bytes.len, flags), bytes.len);
}

ssize_t stream_splice_from(struct stream *stream, int pipe, size_t len)
{
	if (!stream->readable) {
		return -EAGAIN;
	}
	const ssize_t n =
	        splice(stream->watch.fd, NULL, pipe, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	/* A splice may fall short for the pipe's sake: only EAGAIN says that nothing waits. */
	return note_read(stream, n, n > 0 ? (size_t)n : len);
}

ssize_t stream_splice_to(struct stream *stream, int pipe, size_t len, bool more)
{
	const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);

	if (!stream->writable) {
		return -EAGAIN;
	}
	const ssize_t n = splice(pipe, NULL, stream->watch.fd, NULL, len, flags);
	/* As above: a new edge comes only once the socket was really full. */
	return note_write(stream, n, n > 0 ? (size_t)n : len);
}

void stream_push(struct stream *stream)
{
	const int on = 1;

	/* tcp(7): setting the option pushes what is pending. Other sockets hold nothing back. */
	(void)setsockopt(stream->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void stream_finish(struct stream *stream)
{
	(void)shutdown(stream->watch.fd, SHUT_WR);
}

void stream_reset_on_close(struct stream *stream)
{
	const struct linger none = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(stream->watch.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

bool stream_is_quiet(const struct stream *stream)
{
	char byte;

	return recv(stream->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void stream_ignore_room(struct stream *stream)
{
	if (stream->watches_room) {
		/* Refused, it only costs events. */
		stream->watches_room = loop_change(stream->loop, &stream->watch, input_events) < 0;
	}
}
