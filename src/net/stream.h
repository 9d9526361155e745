/* SPDX-License-Identifier: MIT */
/*
 * stream — one connected socket, read and written without ever blocking.
 *
 * Edge-triggered: the flags say what the kernel last reported, and an
 * operation that falls short clears its flag, so that no call is made only to
 * hear EAGAIN. Transport security comes as a second table of these verbs.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/slice.h"
#include "net/loop.h"

#include <sys/types.h>

struct stream {
	struct watch watch;
	struct loop *loop;
	void (*notify)(struct stream *stream); /* something changed */
	bool readable;
	bool writable;
	bool peer_done;    /* the peer sends no more; bytes may still wait */
	bool hangup;       /* the peer is gone altogether */
	bool broken;       /* the connection was reset: what is left of it is an error */
	bool watches_room; /* EPOLLOUT is asked for */
};

/* Take over the non-blocking `fd`. 0, or -errno and `fd` is still the caller's. */
int stream_open(struct stream *stream, struct loop *loop, int fd,
        void (*notify)(struct stream *stream)) MUST_USE;
/* The descriptor is closed; the struct must outlive the loop's turn. */
void stream_close(struct stream *stream);

/* Bytes read (0 is the end), or -EAGAIN, or another -errno. */
ssize_t stream_read(struct stream *stream, char *bytes, size_t len) MUST_USE;
/* Bytes written, or -EAGAIN, or another -errno. `more`: others follow at once. */
ssize_t stream_write(struct stream *stream, struct slice bytes, bool more) MUST_USE;
/* The same between a stream and a pipe, without copying. */
ssize_t stream_splice_from(struct stream *stream, int pipe, size_t len) MUST_USE;
ssize_t stream_splice_to(struct stream *stream, int pipe, size_t len, bool more) MUST_USE;
/* What `more` held back is sent now. */
void stream_push(struct stream *stream);
/* Tell the peer that nothing more comes. */
void stream_finish(struct stream *stream);
/* The peer shall see that what it got is not all. */
void stream_reset_on_close(struct stream *stream);
/* Whether an idle stream has neither bytes nor an end waiting; asks the kernel. */
bool stream_is_quiet(const struct stream *stream);
/* Forget that room was waited for: an idle unix socket reports it with every byte its peer reads.
 */
void stream_ignore_room(struct stream *stream);

#endif
