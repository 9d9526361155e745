/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { PIECE_MAX = 64 * 1024 };

/* One net at a time: a descriptor is the number of its script. */
enum script_company script_company;
static struct script_net *current;

static struct script *script_of(const struct stream *stream)
{
	return &current->scripts[stream->watch.fd];
}

static size_t power_of_two(size_t len)
{
	size_t power = 64;

	while (power < len) {
		power *= 2;
	}
	return power;
}

/* The memory is always a power of two, so that most pieces need no new one. */
static char *grow(char *bytes, size_t len, struct slice more)
{
	if (bytes == NULL || power_of_two(len) < len + more.len) {
		bytes = realloc(bytes, power_of_two(len + more.len));
	}
	ASSERT(bytes != NULL);
	memcpy(bytes + len, more.ptr, more.len);
	return bytes;
}

/* ── The verbs ───────────────────────────────────────────────────────────── */

static void reported(struct stream *stream, uint32_t events)
{
	stream->readable |= (events & EPOLLIN) != 0;
	stream->writable |= (events & EPOLLOUT) != 0;
	stream->peer_done |= (events & (EPOLLRDHUP | EPOLLERR)) != 0;
	stream->hangup |= (events & EPOLLERR) != 0;
	stream->broken |= (events & EPOLLERR) != 0;
}

static int handshake(struct stream *stream)
{
	const int result = script_of(stream)->handshake;

	stream->established = result == 0;
	stream->writable |= stream->established;
	return result;
}

/* What can be read of `len`, at least 1; or 0 for the end, or an error. */
static ssize_t available(struct stream *stream, size_t len)
{
	const struct script *script = script_of(stream);
	const size_t waiting = script->arrived_len - script->read;

	ASSERT(stream->readable && stream->established && !script->closed);
	if (script->reset) {
		return -ECONNRESET;
	}
	if (waiting < len && !stream->peer_done) {
		stream->readable = false;
	}
	if (waiting == 0) {
		return script->ended ? 0 : -EAGAIN;
	}
	return (ssize_t)(waiting < len ? waiting : len);
}

static ssize_t read_bytes(struct stream *stream, char *bytes, size_t len)
{
	struct script *script = script_of(stream);
	const ssize_t n = available(stream, len);

	if (n > 0) {
		memcpy(bytes, script->arrived + script->read, (size_t)n);
		script->read += (size_t)n;
		script->reads++;
	}
	return n;
}

/* What can be written of `len`, at least 1, or an error. */
static ssize_t writable(struct stream *stream, size_t len)
{
	const struct script *script = script_of(stream);

	ASSERT(stream->writable && stream->established && !script->finished && !script->closed);
	if (script->reset || script->deaf) {
		return -EPIPE;
	}
	stream->writable = len <= script->room;
	if (script->room == 0) {
		return -EAGAIN;
	}
	return (ssize_t)(len < script->room ? len : script->room);
}

static void take(struct script *script, struct slice bytes, bool more)
{
	script->held = more;
	script->got = grow(script->got, script->got_len, bytes);
	script->got_len += bytes.len;
	script->room -= bytes.len;
}

static ssize_t write_bytes(struct stream *stream, struct slice bytes, bool more)
{
	const ssize_t n = writable(stream, bytes.len);

	if (n > 0) {
		take(script_of(stream), (struct slice){bytes.ptr, (size_t)n}, more);
	}
	return n;
}

static ssize_t splice_from(struct stream *stream, int pipe, size_t len)
{
	struct script *script = script_of(stream);
	ssize_t n = available(stream, len < PIECE_MAX ? len : PIECE_MAX);

	if (n > 0) {
		stream->readable = true; /* a splice may fall short for the pipe's sake */
		n = write(pipe, script->arrived + script->read, (size_t)n);
		script->read += n > 0 ? (size_t)n : 0;
	}
	return n < 0 && n != -ECONNRESET && n != -EAGAIN ? -errno : n;
}

static ssize_t splice_to(struct stream *stream, int pipe, size_t len, bool more)
{
	char bytes[PIECE_MAX];
	ssize_t n = writable(stream, len < PIECE_MAX ? len : PIECE_MAX);

	if (n > 0) {
		n = read(pipe, bytes, (size_t)n);
		ASSERT(n > 0);
		take(script_of(stream), (struct slice){bytes, (size_t)n}, more);
	}
	return n;
}

static void push(struct stream *stream)
{
	script_of(stream)->held = false;
}

static void finish(struct stream *stream)
{
	script_of(stream)->finished = true;
}

static void reset_on_close(struct stream *stream)
{
	script_of(stream)->cut = true;
}

static bool is_quiet(const struct stream *stream)
{
	const struct script *script = script_of(stream);

	return script->read == script->arrived_len && !script->ended && !script->reset;
}

static void close_script(struct stream *stream)
{
	script_of(stream)->closed = true;
}

static const struct stream_verbs copying = {
        .reported = reported,
        .handshake = handshake,
        .read = read_bytes,
        .write = write_bytes,
        .push = push,
        .finish = finish,
        .reset_on_close = reset_on_close,
        .is_quiet = is_quiet,
        .close = close_script,
};

static const struct stream_verbs splicing = {
        .reported = reported,
        .handshake = handshake,
        .read = read_bytes,
        .write = write_bytes,
        .splice_from = splice_from,
        .splice_to = splice_to,
        .push = push,
        .finish = finish,
        .reset_on_close = reset_on_close,
        .is_quiet = is_quiet,
        .close = close_script,
};

/* ── How they begin ──────────────────────────────────────────────────────── */

static void begin(struct script_net *net, struct stream *stream, struct loop *loop, int fd,
        stream_notify *notify)
{
	struct script *script = &net->scripts[fd];

	script->stream = stream;
	*stream = (struct stream){
	        .verbs = net->splices ? &splicing : &copying,
	        .watch = {.fd = fd},
	        .loop = loop,
	        .notify = notify,
	        .established = script->handshake == 0,
	        .writable = script->handshake == 0,
	};
}

static int accept_script(const struct transport *transport, struct stream *stream,
        struct loop *loop, int fd, stream_notify *notify)
{
	(void)transport;
	begin(current, stream, loop, fd, notify);
	return 0;
}

static int connect_script(const struct transport *transport, struct stream *stream,
        struct loop *loop, const union address *address, stream_notify *notify)
{
	struct script_net *net = current;

	(void)transport;
	(void)address;
	if (net->connect_error != 0 || net->count == SCRIPTS_MAX) {
		return net->connect_error != 0 ? net->connect_error : -ECONNREFUSED;
	}
	const int fd = script_begin(net);
	net->scripts[fd].handshake = net->handshake;
	net->scripts[fd].connects = true;
	net->connected++;
	begin(net, stream, loop, fd, notify);
	stream->takes_pages = net->takes_pages;
	return 0;
}

void script_net_init(struct script_net *net)
{
	*net = (struct script_net){
	        .transport = {.accept = accept_script, .connect = connect_script},
	        .room = SIZE_MAX / 2,
	        .takes_pages = true,
	};
	current = net;
}

void script_net_done(struct script_net *net)
{
	for (unsigned i = 0; i < net->count; i++) {
		ASSERT(net->scripts[i].stream == NULL || net->scripts[i].closed);
		free(net->scripts[i].arrived);
		free(net->scripts[i].got);
	}
	current = NULL;
}

int script_begin(struct script_net *net)
{
	ASSERT(net->count < SCRIPTS_MAX);
	net->scripts[net->count] = (struct script){.room = net->room};
	return (int)net->count++;
}

/* ── What the peer does ──────────────────────────────────────────────────── */

static void report(struct script *script, uint32_t events)
{
	if (script->stream == NULL || script->closed) {
		return;
	}
	struct loop *loop = script->stream->loop;
	if (script_company != COMPANY_NONE) {
		loop_begin_rounds(loop);
	}
	script->stream->verbs->reported(script->stream, events);
	script->stream->notify(script->stream);
	if (script_company == COMPANY_ELSEWHERE) {
		loop_end_rounds(loop);
	}
}

void script_arrive(struct script *script, struct slice bytes)
{
	if (!script->ended && !script->reset && bytes.len > 0) {
		script->arrived = grow(script->arrived, script->arrived_len, bytes);
		script->arrived_len += bytes.len;
		report(script, EPOLLIN);
	}
}

void script_end(struct script *script)
{
	if (!script->ended) {
		script->ended = true;
		report(script, EPOLLIN | EPOLLRDHUP);
	}
}

void script_reset(struct script *script)
{
	script->reset = true;
	report(script, EPOLLIN | EPOLLOUT | EPOLLERR);
}

void script_give_room(struct script *script, size_t room)
{
	const bool open = script->stream != NULL && !script->closed;

	if (room > script->room) {
		script->room = room;
		report(script, open && script->stream->established ? EPOLLOUT : 0);
	}
}

void script_handshake(struct script *script, int result)
{
	script->handshake = result;
	report(script, 0);
}
