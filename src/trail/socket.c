/* SPDX-License-Identifier: MIT */
/*
 * Records to a reader: a unix socket, syslog, standard output. Nothing here waits.
 *
 * A socket gets one message for each record: a datagram, or a line of a stream. Daemons of syslog
 * take what syslog(3) of libc sends: RFC 3164 without the name of the host.
 */
#include "base/clock.h"
#include "trail/internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ── Sockets ─────────────────────────────────────────────────────────────── */

static int connect_to(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)text_keep(address.sun_path, sizeof(address.sun_path) - 1, slice_of(path));
	return connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

static int connect_as(int type, const char *path)
{
	const int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -errno;
	}
	if (connect_to(fd, path) < 0) {
		const int error = errno;
		(void)close(fd);
		return -error;
	}
	return fd;
}

static int open_socket(struct output *output, struct text *ret_text)
{
	int fd = connect_as(SOCK_DGRAM, output->target->path);

	output->is_datagram = fd != -EPROTOTYPE;
	if (fd == -EPROTOTYPE) {
		fd = connect_as(SOCK_STREAM, output->target->path);
	}
	if (fd < 0) {
		text_add(ret_text, slice_of(strerrordesc_np(-fd)));
		text_add(ret_text, fd == -ENOENT || fd == -ECONNREFUSED
		                           ? SLICE(": nobody has the socket open")
		                           : SLICE(""));
		return fd;
	}
	output->fd = fd;
	return 0;
}

/* Facility 10 (security), severity 6 (informational). */
static void add_head(struct text *text)
{
	const time_t now = (time_t)(clock_realtime_ns() / NS_PER_S);
	struct tm parts;
	char date[32] = "";

	(void)strftime(date, sizeof(date), "%b %e %H:%M:%S", gmtime_r(&now, &parts));
	text_add_format(text, "<86>%s docker-socket-proxy[%d]: ", date, (int)getpid());
}

static void make_message(struct output *output, struct slice line)
{
	struct text text = text_over(output->message, sizeof(output->message));

	if (output->target->kind == TRAIL_SYSLOG) {
		add_head(&text);
	}
	text_add(&text, line);
	text_add(&text, output->is_datagram ? SLICE("") : SLICE("\n"));
	output->message_len = output->pending = text.len;
}

/* 0, or -errno. */
static int send_message(struct output *output)
{
	while (output->pending > 0) {
		const char *rest = output->message + output->message_len - output->pending;
		const ssize_t n = send(output->fd, rest, output->pending, MSG_NOSIGNAL);
		if (n < 0) {
			return errno == ENOBUFS ? -EAGAIN : -errno;
		}
		output->pending -= (size_t)n;
	}
	return 0;
}

static ssize_t write_socket(struct output *output, struct slice lines)
{
	struct slice rest = lines;
	struct slice line;
	size_t written = 0;

	while (rest.len > 0 && slice_next(&rest, '\n', &line)) {
		if (output->pending == 0) {
			make_message(output, line);
		}
		const int error = send_message(output);
		if (error < 0) {
			return written > 0 ? (ssize_t)written : error;
		}
		written += line.len + 1;
	}
	return (ssize_t)written;
}

/* That the reader is gone would be known at the next record alone. A socket of datagrams may be
 * connected again and again, and then has the reader that the path has now. */
static bool has_reader(const struct output *output)
{
	char byte;

	return output->is_datagram
	               ? connect_to(output->fd, output->target->path) == 0
	               : recv(output->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) != 0;
}

const struct output_verbs output_socket = {open_socket, has_reader, write_socket};

/* ── Standard output ─────────────────────────────────────────────────────── */

static int open_stdout(struct output *output, struct text *ret_text)
{
	(void)ret_text;
	output->fd = STDOUT_FILENO;
	return 0;
}

static bool is_open(const struct output *output)
{
	(void)output;
	return true;
}

/* Whole lines that a pipe takes at once, if it takes any. */
static size_t piece_of(struct slice lines)
{
	if (lines.len <= PIPE_BUF) {
		return lines.len;
	}
	const char *end = memrchr(lines.ptr, '\n', PIPE_BUF);
	return end == NULL ? PIPE_BUF : (size_t)(end - lines.ptr) + 1;
}

static ssize_t write_stdout(struct output *output, struct slice lines)
{
	struct pollfd room = {.fd = output->fd, .events = POLLOUT};
	const struct slice rest = slice_behind(lines, output->skip);

	if (poll(&room, 1, 0) != 1) {
		return -EAGAIN;
	}
	const ssize_t n = write(output->fd, rest.ptr, piece_of(rest));
	if (n < 0) {
		return -errno;
	}
	const size_t taken = output->skip + (size_t)n;
	const char *end = memrchr(lines.ptr, '\n', taken);
	const size_t whole = end == NULL ? 0 : (size_t)(end - lines.ptr) + 1;
	output->skip = taken - whole;
	return (ssize_t)whole;
}

const struct output_verbs output_stdout = {open_stdout, is_open, write_stdout};
