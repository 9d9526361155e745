/* SPDX-License-Identifier: MIT */
/*
 * internal — the server and its threads from the inside. Private to serve/.
 */
#ifndef SERVE_INTERNAL_H
#define SERVE_INTERNAL_H

#include "net/loop.h"
#include "serve/serve.h"
#include "session/session.h"

#include <pthread.h>
#include <signal.h>

enum { THREADS_MAX = 64 };

/* ── Snapshots ───────────────────────────────────────────────────────────── */

/*
 * What is served by, with one reference, made of a configuration on the heap that is
 * the snapshot's from now on. NULL without memory: then the configuration is freed.
 */
struct snapshot *snapshot_new(struct config *config) MUST_USE;
/* The configuration it was made of. */
const struct config *snapshot_config(const struct snapshot *snapshot);

/* ── Acceptors: a thread's listening sockets ─────────────────────────────── */

struct acceptor {
	struct watch watch; /* fd -1: it is closed */
	struct acceptors *all;
	unsigned number;    /* of the listener, in the order of the configuration */
	struct timer retry; /* when descriptors ran out */
};

struct acceptors {
	struct worker *worker; /* that gets the connections */
	struct loop *loop;     /* of the worker */
	struct worker_shared *shared;
	unsigned count;
	struct acceptor list[CONFIG_LISTENERS_MAX];
	struct timer_queue retry_queue;
	int64_t next_refusal_ns; /* when the log may say again that there are too many */
	int spare;               /* a descriptor set aside for the day they run out */
};

void acceptors_init(
        struct acceptors *acceptors, struct worker *worker, struct worker_shared *shared);
/*
 * Accept from the listening `fd`, which belongs to the acceptors from now on; to be called for
 * each listener in the order of the configuration. 0 or -errno.
 */
int acceptors_add(struct acceptors *acceptors, int fd) MUST_USE;
/* Take who waits in the queues, and accept no more. */
void acceptors_close(struct acceptors *acceptors);
/* Close what is open. */
void acceptors_done(struct acceptors *acceptors);

/* ── Inbox: what the other threads want of one ───────────────────────────── */

enum inbox_kind {
#define MESSAGE(kind, take, discard) INBOX_##kind,
#include "serve/messages.def"
#undef MESSAGE
	INBOX_KINDS,
};

/* One slot for each kind: a newer message replaces an unread one. */
struct inbox {
	struct watch watch; /* an eventfd */
	_Atomic(void *) slots[INBOX_KINDS];
};

/* 0 or -errno. */
int inbox_init(struct inbox *inbox, struct loop *loop) MUST_USE;
void inbox_done(struct inbox *inbox);
/* From any thread. `message` is not NULL. */
void inbox_post(struct inbox *inbox, enum inbox_kind kind, void *message);

/* ── The server and its threads ──────────────────────────────────────────── */

struct thread {
	struct worker *worker;
	struct inbox inbox;
	struct acceptors acceptors;
	pthread_t id; /* of the first one unused: it is the main thread */
};

struct server {
	struct snapshot *snapshot; /* that the threads were told of last */
	struct worker_shared shared;
	unsigned thread_count;
	struct thread *threads[THREADS_MAX];
	sigset_t signals;
	struct watch signal_watch; /* a signalfd; fd -1: there is none yet */
};

/*
 * A server without threads; the configuration, on the heap, is its from now on. NULL without
 * memory: then the configuration is freed.
 */
struct server *server_new(struct config *config) MUST_USE;
/* Its threads must have ended. */
void server_free(struct server *server);

/*
 * From the thread of the signals: let requests that come from now on be judged by that
 * snapshot, whose reference is the server's in any case. It has the listeners of the one
 * before, and its START options. False without memory: then the one before holds.
 */
bool server_adopt(struct server *server, struct snapshot *snapshot) MUST_USE;

/* The configuration that holds now. */
static inline const struct config *server_config(const struct server *server)
{
	return snapshot_config(server->snapshot);
}

/* Make all threads' workers, with listening sockets; false: the log says why not. */
bool threads_make(struct server *server) MUST_USE;
/* Serve in all threads but the first; false: the log says why not, and none serves. */
bool threads_start(struct server *server) MUST_USE;
/*
 * Serve in the caller's thread, the first of them, until all have stopped. Where it is the only
 * one, libc and kernel leave the locks of every call out.
 */
void threads_run(struct server *server);
/* Let each thread take references of that snapshot; false without memory: then none does. */
bool threads_adopt(struct server *server, struct snapshot *snapshot) MUST_USE;
/* From any thread: accept no more, finish what is short, end after the grace. */
void threads_stop(struct server *server);
void threads_free(struct server *server);

/* What a thread makes of each kind of message, and what becomes of one that it will not read. */
#define MESSAGE(kind, take, discard)                                                               \
	void thread_##take(struct thread *thread, void *message);                                  \
	void message_##discard(void *message);
#include "serve/messages.def"
#undef MESSAGE

/* ── Sizing ──────────────────────────────────────────────────────────────── */

unsigned sizing_threads(const struct config *config);
/*
 * Raise the limit of open files as far as it goes. An idle connection holds one
 * descriptor, a connection with a request holds two. If the limit is too low,
 * dialling fails and the response says so.
 */
unsigned sizing_connections(const struct config *config);

/* ── Listeners: their sockets ────────────────────────────────────────────── */

/*
 * Whether no other process listens on a port, which SO_REUSEPORT alone would
 * hide; false: the log names the address.
 */
bool listeners_are_free(const struct config *config) MUST_USE;
/*
 * A socket for one more thread, or -errno and a line in the log. Each has its own of a TCP
 * address; that of a unix one is `first`, the first thread's (-1 for itself), shared.
 */
int listeners_open(const struct config_listener *listener, int first) MUST_USE;
/*
 * Unlink the unix sockets among the first `count` listeners, while we still listen: later, a file
 * of that name may be a successor's.
 */
void listeners_remove(const struct config *config, unsigned count);

/* ── Signals ─────────────────────────────────────────────────────────────── */

/* Before anyone can connect, and before threads, which inherit it. */
void signals_block(struct server *server);
/* In the loop of the first thread. A second signal to stop ends the program at once. */
bool signals_watch(struct server *server) MUST_USE;
void signals_done(struct server *server);

/* ── Announcing ──────────────────────────────────────────────────────────── */

/* In the log: where it listens, which policy holds there and what is dangerous about it. */
void announce(const struct server *server);

#endif
