/* SPDX-License-Identifier: MIT */
/*
 * stream — one connection, read and written without blocking.
 *
 * Edge-triggered: the flags hold what the kernel reported last. An operation that
 * moves fewer bytes than asked clears its flag, so that no call only returns
 * EAGAIN.
 *
 * A kind of connection is a table of verbs: plain.c has that of plain sockets, tls.c
 * that of TLS. Only the functions in a table make system calls for a stream.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "address/address.h"
#include "base/slice.h"
#include "net/loop.h"

#include <errno.h>
#include <sys/types.h>

struct stream;
typedef void stream_notify(struct stream *stream);

/*
 * Reading and writing return bytes, -EAGAIN, or another -errno; 0 bytes read are
 * the end. Each clears `readable` or `writable` if the caller has to wait, and
 * `reported` sets the flag again. If writing waits for bytes of the peer, as TLS
 * can, `reported` sets `writable` when these bytes have arrived.
 */
struct stream_verbs {
	/* Set the flags by what the kernel reported: EPOLL* bits. */
	void (*reported)(struct stream *stream, uint32_t events);
	int (*handshake)(struct stream *stream);
	ssize_t (*read)(struct stream *stream, char *bytes, size_t len);
	ssize_t (*write)(struct stream *stream, struct slice bytes, bool more);
	/* NULL: bytes must be copied. */
	ssize_t (*splice_from)(struct stream *stream, int pipe, size_t len);
	ssize_t (*splice_to)(struct stream *stream, int pipe, size_t len, bool more);
	void (*push)(struct stream *stream);
	/* Close the writing direction. If this cannot be done yet, the table does it later. */
	void (*finish)(struct stream *stream);
	void (*reset_on_close)(struct stream *stream);
	bool (*is_quiet)(const struct stream *stream);
	void (*close)(struct stream *stream);
};

struct stream {
	const struct stream_verbs *verbs;
	struct watch watch; /* watch.fd is negative if the stream is closed */
	struct loop *loop;
	stream_notify *notify; /* something changed */
	bool established;      /* the handshake is over */
	bool readable;
	bool writable;
	bool peer_done;    /* the peer has ended its direction; received bytes may be unread */
	bool hangup;       /* both directions are closed */
	bool broken;       /* the connection was reset: unread bytes are an error */
	bool held;         /* the last bytes were written with "more follows" */
	bool takes_pages;  /* splicing long runs into it is cheaper than copying */
	bool watches_room; /* EPOLLOUT is asked for */
	struct tls *tls;   /* the state of TLS (tls.c); NULL: the stream is plain */
};

/* ── Opening ─────────────────────────────────────────────────────────────── */

/* A kind of streams: how connections are accepted and made. Settings of a kind follow this struct
 * in memory. */
struct transport {
	/* Take over the non-blocking `fd`. 0, or -errno and it is closed. */
	int (*accept)(const struct transport *transport, struct stream *stream, struct loop *loop,
	        int fd, stream_notify *notify);
	/* Begin to connect; stream_handshake() returns 0 once connected. 0 or -errno. */
	int (*connect)(const struct transport *transport, struct stream *stream, struct loop *loop,
	        const union address *address, stream_notify *notify);
};

extern const struct transport transport_plain;
extern const struct stream_verbs plain_verbs;

/* ── Using streams ───────────────────────────────────────────────────────── */

/* 0 if bytes can be read and written; -EAGAIN until a later notification; else the -errno. */
static inline int stream_handshake(struct stream *stream)
{
	return stream->established ? 0 : stream->verbs->handshake(stream);
}

static inline bool stream_is_open(const struct stream *stream)
{
	return stream->watch.fd >= 0;
}

/* Bytes read (0 is the end), or -EAGAIN, or another -errno. */
static inline ssize_t stream_read(struct stream *stream, char *bytes, size_t len)
{
	return stream->readable ? stream->verbs->read(stream, bytes, len) : -EAGAIN;
}

/* Bytes written, or -EAGAIN, or another -errno. `more`: others follow at once. */
static inline ssize_t stream_write(struct stream *stream, struct slice bytes, bool more)
{
	stream->held = more;
	return stream->writable ? stream->verbs->write(stream, bytes, more) : -EAGAIN;
}

/* Whether bytes can be spliced from `source` to `sink`, through a pipe. */
static inline bool stream_can_splice(const struct stream *source, const struct stream *sink)
{
	return source->verbs->splice_from != NULL && sink->verbs->splice_to != NULL;
}

static inline ssize_t stream_splice_from(struct stream *stream, int pipe, size_t len)
{
	return stream->readable ? stream->verbs->splice_from(stream, pipe, len) : -EAGAIN;
}

static inline ssize_t stream_splice_to(struct stream *stream, int pipe, size_t len, bool more)
{
	stream->held = more;
	return stream->writable ? stream->verbs->splice_to(stream, pipe, len, more) : -EAGAIN;
}

/* Send the bytes that the kernel held back because of `more`. */
static inline void stream_push(struct stream *stream)
{
	if (stream->held) {
		stream->held = false;
		stream->verbs->push(stream);
	}
}

/* End the writing direction. */
static inline void stream_finish(struct stream *stream)
{
	stream->verbs->finish(stream);
}

/* Closing will reset the connection, so that the peer sees that the data is incomplete. */
static inline void stream_reset_on_close(struct stream *stream)
{
	stream->verbs->reset_on_close(stream);
}

/* Whether an idle stream has neither unread bytes nor an end. A system call. */
static inline bool stream_is_quiet(const struct stream *stream)
{
	return stream->verbs->is_quiet(stream);
}

/* The struct must stay valid until the end of the turn. */
void stream_close(struct stream *stream);
/* Stop waiting for room to write. Otherwise an idle unix socket reports an event for each read of
 * its peer. */
void stream_ignore_room(struct stream *stream);

/* ── For tables of verbs ─────────────────────────────────────────────────── */

/* Begin a stream over `fd`; `established` or not. 0, or -errno and `fd` is closed. */
int stream_open(struct stream *stream, const struct stream_verbs *verbs, struct loop *loop, int fd,
        bool established, stream_notify *notify) MUST_USE;
/* Wait for room to write. 0 or -errno. */
int stream_await_room(struct stream *stream) MUST_USE;
/*
 * Read from the socket of a stream, and write to it. Bytes, or -1 and errno.
 *
 * Both make the system call themselves. libc's recv(2) and send(2) are points of cancellation,
 * which cost two atomic operations each where a process has several threads, and no thread of this
 * program is ever cancelled.
 *
 * The kernel runs the filter of the sandbox for each send(2), whose flags it looks at, and not for
 * write(2). But write(2) takes a longer way through the kernel, which costs no less; measured:
 * docs/performance.md.
 */
ssize_t socket_read(int fd, void *bytes, size_t len) MUST_USE;
ssize_t socket_write(int fd, const void *bytes, size_t len, bool more) MUST_USE;

#endif
