/* SPDX-License-Identifier: MIT */
/*
 * stream — one connection, read and written without ever blocking.
 *
 * Edge-triggered: the flags say what was last reported, and an operation that
 * falls short clears its flag, so that no call is made only to hear EAGAIN.
 *
 * Each kind of connection is a table of verbs. Plain sockets are the first
 * (plain.c); TLS will be the second. Only these tables call the kernel for a
 * stream.
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
 * Reading and writing return bytes, or -EAGAIN, or another -errno; 0 bytes read
 * are the end. Each clears `readable` or `writable` where it has to be waited,
 * and `reported` sets it again: a table whose writing waits for bytes of the
 * peer does so when those have come.
 */
struct stream_verbs {
	/* Set the flags by what the kernel reported: EPOLL* bits. */
	void (*reported)(struct stream *stream, uint32_t events);
	int (*handshake)(struct stream *stream);
	ssize_t (*read)(struct stream *stream, char *bytes, size_t len);
	ssize_t (*write)(struct stream *stream, struct slice bytes, bool more);
	/* NULL: bytes have to be copied. A table may be exchanged for one that splices once the
	 * handshake is over, when the kernel has taken the encryption over. */
	ssize_t (*splice_from)(struct stream *stream, int pipe, size_t len);
	ssize_t (*splice_to)(struct stream *stream, int pipe, size_t len, bool more);
	void (*push)(struct stream *stream);
	/* What of it cannot be written yet is the table's to write later. */
	void (*finish)(struct stream *stream);
	void (*reset_on_close)(struct stream *stream);
	bool (*is_quiet)(const struct stream *stream);
	void (*close)(struct stream *stream);
};

struct stream {
	const struct stream_verbs *verbs;
	struct watch watch; /* its descriptor is negative when the stream is closed */
	struct loop *loop;
	stream_notify *notify; /* something changed */
	bool established;      /* the handshake is over */
	bool readable;
	bool writable;
	bool peer_done;    /* the peer sends no more; bytes may still wait */
	bool hangup;       /* the peer is gone altogether */
	bool broken;       /* the connection was reset: what is left of it is an error */
	bool held;         /* the last bytes were written with "more follows" */
	bool takes_pages;  /* long runs are cheaper spliced into it than copied */
	bool watches_room; /* EPOLLOUT is asked for */
};

/* ── How streams begin ───────────────────────────────────────────────────── */

/* What stands behind a listener or an upstream; a kind with settings has them behind this struct.
 */
struct transport {
	/* Take over the non-blocking `fd`. 0, or -errno and it is closed. */
	int (*accept)(const struct transport *transport, struct stream *stream, struct loop *loop,
	        int fd, stream_notify *notify);
	/* Begin to connect: stream_handshake() says when that is over. 0 or -errno. */
	int (*connect)(const struct transport *transport, struct stream *stream, struct loop *loop,
	        const union address *address, stream_notify *notify);
};

extern const struct transport transport_plain;

/* ── Using them ──────────────────────────────────────────────────────────── */

/* Whether bytes may pass: 0, -EAGAIN until a later notification, or why they never will. */
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

/* Whether bytes can go from one to the other through a pipe, without copying. */
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

/* What `more` held back is sent now. */
static inline void stream_push(struct stream *stream)
{
	if (stream->held) {
		stream->held = false;
		stream->verbs->push(stream);
	}
}

/* Tell the peer that nothing more comes. */
static inline void stream_finish(struct stream *stream)
{
	stream->verbs->finish(stream);
}

/* The peer shall see that what it got is not all. */
static inline void stream_reset_on_close(struct stream *stream)
{
	stream->verbs->reset_on_close(stream);
}

/* Whether an idle stream has neither bytes nor an end waiting; asks the kernel. */
static inline bool stream_is_quiet(const struct stream *stream)
{
	return stream->verbs->is_quiet(stream);
}

/* The struct must outlive the loop's turn. */
void stream_close(struct stream *stream);
/* Forget that room was waited for: an idle unix socket reports it with every byte its peer reads.
 */
void stream_ignore_room(struct stream *stream);

/* ── For the tables ──────────────────────────────────────────────────────── */

/* Begin a stream over `fd`; `established` or not. 0, or -errno and `fd` is closed. */
int stream_open(struct stream *stream, const struct stream_verbs *verbs, struct loop *loop, int fd,
        bool established, stream_notify *notify) MUST_USE;
/* There was no room for what should be written: wait for it. 0 or -errno. */
int stream_await_room(struct stream *stream) MUST_USE;

#endif
