/* SPDX-License-Identifier: MIT */
/*
 * torture — makes the N-th call of one kind fail, as a machine without memory or descriptors does.
 *
 * Linked into the program with -Wl,--wrap=CALL, so that each call of the program's own code comes
 * by here. The test and the program share one page, the file that TORTURE names: the test writes a
 * kind and a number, the program counts down and fails the call that reaches zero. Without TORTURE
 * nothing fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* In the order of KINDS in test_torture.py. */
enum kind {
	NO_KIND,
	ALLOCATE,   /* whatever gives memory: NULL */
	DESCRIPTOR, /* whatever makes a descriptor but accept: EMFILE */
	ACCEPT,     /* accept4: EMFILE */
	CONNECT,    /* connect: ECONNREFUSED */
	WATCH,      /* epoll_ctl: ENOSPC, the user has too many watches */
	WAIT,       /* epoll_wait: EINTR */
	READ,       /* recv: ECONNRESET */
	WRITE,      /* send, and write to a socket: EPIPE */
	SPLICE,     /* splice: ECONNRESET */
	OPTION,     /* setsockopt: ENOMEM; the size of a pipe: EPERM */
	LISTEN,     /* bind, listen: EADDRINUSE */
	THREAD,     /* pthread_create: EAGAIN */
	CONFINE,    /* syscall, of which the sandbox is made: ENOMEM */
};

struct page {
	_Atomic uint32_t kind;
	_Atomic uint32_t countdown; /* 1: the next call fails */
	_Atomic uint32_t failed;    /* how many calls did */
	_Atomic uint32_t seen;      /* calls of the kind since the test last wrote 0 here */
};

static struct page *page;

__attribute__((constructor)) static void map_page(void)
{
	const char *path = getenv("TORTURE");
	const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void *memory =
	        fd < 0 ? MAP_FAILED
	               : mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	page = memory == MAP_FAILED ? NULL : memory;
	if (fd >= 0) {
		(void)close(fd);
	}
}

/* Whether this call is the one. */
static int fails(enum kind kind)
{
	if (page == NULL || atomic_load(&page->kind) != (uint32_t)kind) {
		return 0;
	}
	(void)atomic_fetch_add(&page->seen, 1);
	uint32_t left = atomic_load(&page->countdown);
	while (left > 0 && !atomic_compare_exchange_weak(&page->countdown, &left, left - 1)) {
	}
	if (left != 1) {
		return 0;
	}
	(void)atomic_fetch_add(&page->failed, 1);
	return 1;
}

/* A wrapped call: its type, name, parameters, arguments, kind, the result of a failure, its errno.
 */
#define WRAP(type, name, parameters, arguments, kind, result, error)                               \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		if (fails(kind)) {                                                                 \
			errno = (error);                                                           \
			return (result);                                                           \
		}                                                                                  \
		return __real_##name arguments;                                                    \
	}

int __real_connect(int fd, const struct sockaddr *peer, socklen_t len);

/* Lose a connection: TCP with a reset; a unix socket has none and ends both ways. Of a pipe,
 * nothing. */
static void lose(int fd)
{
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	if (__real_connect(fd, &nobody, sizeof(nobody)) < 0) {
		(void)shutdown(fd, SHUT_RDWR);
	}
}

/* The same for a call on one or two connections, which are then really lost. */
#define WRAP_CONNECTION(name, parameters, arguments, losing, kind, error)                          \
	ssize_t __real_##name parameters;                                                          \
	ssize_t __wrap_##name parameters;                                                          \
	ssize_t __wrap_##name parameters                                                           \
	{                                                                                          \
		if (fails(kind)) {                                                                 \
			losing;                                                                    \
			errno = (error);                                                           \
			return -1;                                                                 \
		}                                                                                  \
		return __real_##name arguments;                                                    \
	}

WRAP(void *, malloc, (size_t size), (size), ALLOCATE, NULL, ENOMEM)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), ALLOCATE, NULL, ENOMEM)
WRAP(void *, realloc, (void *memory, size_t size), (memory, size), ALLOCATE, NULL, ENOMEM)
WRAP(char *, strdup, (const char *text), (text), ALLOCATE, NULL, ENOMEM)
WRAP(FILE *, fopen64, (const char *path, const char *mode), (path, mode), DESCRIPTOR, NULL, EMFILE)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), DESCRIPTOR, -1,
        EMFILE)
WRAP(int, pipe2, (int ends[2], int flags), (ends, flags), DESCRIPTOR, -1, EMFILE)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), DESCRIPTOR, -1, EMFILE)
WRAP(int, epoll_create1, (int flags), (flags), DESCRIPTOR, -1, EMFILE)
WRAP(int, signalfd, (int fd, const sigset_t *signals, int flags), (fd, signals, flags), DESCRIPTOR,
        -1, EMFILE)
WRAP(int, accept4, (int fd, struct sockaddr *peer, socklen_t *len, int flags),
        (fd, peer, len, flags), ACCEPT, -1, EMFILE)
WRAP(int, connect, (int fd, const struct sockaddr *peer, socklen_t len), (fd, peer, len), CONNECT,
        -1, ECONNREFUSED)
WRAP(int, bind, (int fd, const struct sockaddr *own, socklen_t len), (fd, own, len), LISTEN, -1,
        EADDRINUSE)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), LISTEN, -1, EADDRINUSE)
WRAP(int, pthread_create,
        (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context),
        (thread, attributes, run, context), THREAD, EAGAIN, EAGAIN)
/* As it is called: what is not given is not looked at. */
WRAP(long, syscall, (long number, long a, long b, long c, long d, long e, long f),
        (number, a, b, c, d, e, f), CONFINE, -1, ENOMEM)
WRAP(int, epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event),
        (epoll, what, fd, event), WATCH, -1, ENOSPC)
WRAP(int, epoll_wait, (int epoll, struct epoll_event *events, int most, int timeout_ms),
        (epoll, events, most, timeout_ms), WAIT, -1, EINTR)
WRAP(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
        (fd, level, name, value, len), OPTION, -1, ENOMEM)
WRAP(void *, mmap64, (void *at, size_t len, int protection, int flags, int fd, off64_t offset),
        (at, len, protection, flags, fd, offset), ALLOCATE, MAP_FAILED, ENOMEM)
WRAP_CONNECTION(recv, (int fd, void *bytes, size_t len, int flags), (fd, bytes, len, flags),
        lose(fd), READ, ECONNRESET)
WRAP_CONNECTION(send, (int fd, const void *bytes, size_t len, int flags), (fd, bytes, len, flags),
        lose(fd), WRITE, EPIPE)
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
/* To a connection: the log and wake-ups of threads are written, too. */
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
	int type;
	socklen_t type_len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && fails(WRITE)) {
		lose(fd);
		errno = EPIPE;
		return -1;
	}
	return __real_write(fd, bytes, len);
}
WRAP_CONNECTION(splice,
        (int in, off64_t *in_at, int out, off64_t *out_at, size_t len, unsigned flags),
        (in, in_at, out, out_at, len, flags), (lose(in), lose(out)), SPLICE, ECONNRESET)

/* PCRE2 asks for pages to put machine code into. */
WRAP(void *, mmap, (void *at, size_t len, int protection, int flags, int fd, off_t offset),
        (at, len, protection, flags, fd, offset), ALLOCATE, MAP_FAILED, ENOMEM)

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	const int mode = va_arg(arguments, int);
	va_end(arguments);
	if (fails(DESCRIPTOR)) {
		errno = EMFILE;
		return -1;
	}
	return __real_open64(path, flags, mode);
}

/* Of its commands those that make a descriptor, and the size of a pipe. */
int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
	va_list arguments;

	va_start(arguments, command);
	const long argument = va_arg(arguments, long);
	va_end(arguments);
	if (command == F_DUPFD_CLOEXEC && fails(DESCRIPTOR)) {
		errno = EMFILE;
		return -1;
	}
	if (command == F_SETPIPE_SZ && fails(OPTION)) {
		errno = EPERM;
		return -1;
	}
	return __real_fcntl64(fd, command, argument);
}
