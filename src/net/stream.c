/* SPDX-License-Identifier: MIT */
#include "net/stream.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint32_t input_events = EPOLLIN | EPOLLRDHUP | EPOLLET;

static void stream_ready(struct watch *watch, uint32_t events)
{
	struct stream *stream = CONTAINER_OF(watch, struct stream, watch);

	stream->verbs->reported(stream, events);
	stream->notify(stream);
}

int stream_open(struct stream *stream, const struct stream_verbs *verbs, struct loop *loop, int fd,
        bool established, stream_notify *notify)
{
	*stream = (struct stream){
	        .verbs = verbs,
	        .watch = {.fd = fd, .ready = stream_ready},
	        .loop = loop,
	        .notify = notify,
	        .established = established,
	        .writable = established,
	        .watches_room = !established,
	};
	const int error = loop_add(
	        loop, &stream->watch, input_events | (established ? 0 : (uint32_t)EPOLLOUT));
	if (error < 0) {
		(void)close(fd);
		stream->watch.fd = -1;
	}
	return error;
}

void stream_close(struct stream *stream)
{
	if (stream_is_open(stream)) {
		stream->verbs->close(stream);
		stream->watch.fd = -1;
	}
}

#ifdef INSTRUMENTED /* sanitizers look at the calls of libc */
#define RECV(fd, bytes, len, flags) recv(fd, bytes, len, flags)
#define SEND(fd, bytes, len, flags) send(fd, bytes, len, flags)
#else
#define RECV(fd, bytes, len, flags) syscall(SYS_recvfrom, fd, bytes, len, flags, NULL, NULL)
#define SEND(fd, bytes, len, flags) syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0)
#endif

ssize_t socket_read(int fd, void *bytes, size_t len)
{
	return RECV(fd, bytes, len, MSG_DONTWAIT);
}

ssize_t socket_write(int fd, const void *bytes, size_t len, bool more)
{
	return SEND(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
}

int stream_await_room(struct stream *stream)
{
	stream->writable = false;
	if (stream->watches_room) {
		return 0;
	}
	stream->watches_room = true;
	const int error = loop_change(stream->loop, &stream->watch, input_events | EPOLLOUT);
	if (error < 0) {
		/* There will be no event for room in the socket: end the connection on both sides.
		 */
		(void)shutdown(stream->watch.fd, SHUT_RDWR);
	}
	return error;
}

void stream_ignore_room(struct stream *stream)
{
	if (stream->watches_room) {
		/* Refused, it only costs events. */
		stream->watches_room = loop_change(stream->loop, &stream->watch, input_events) < 0;
	}
}
