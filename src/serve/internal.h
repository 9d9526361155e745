/* SPDX-License-Identifier: MIT */
/*
 * internal — the server and its threads as structs. Private to serve/.
 */
#ifndef SERVE_INTERNAL_H
#define SERVE_INTERNAL_H

#include "admin/admin.h"
#include "net/loop.h"
#include "serve/serve.h"
#include "session/session.h"
#include "systemd/notify.h"
#include "systemd/passed.h"

#include <pthread.h>
#include <signal.h>

enum {
	THREADS_MAX = 64,
	ACCEPTORS_MAX = CONFIG_LISTENERS_MAX + PASSED_MAX, /* of a thread */
};

/* ── Snapshots ───────────────────────────────────────────────────────────── */

/*
 * Make a snapshot with one reference. It takes over `config`, which is on the heap; its clients
 * have their accounts in `accounts`, which must outlive it. NULL without memory, of which
 * `accounts` may be a part: then `config` is freed.
 */
struct snapshot *snapshot_new(struct config *config, struct accounts *accounts) MUST_USE;
/* Give its listeners, clients and policies their numbers for metrics, before it judges; `metrics`
 * may be NULL. */
void snapshot_number(struct snapshot *snapshot, struct metrics *metrics);
/* The configuration of the snapshot. */
const struct config *snapshot_config(const struct snapshot *snapshot);

/* ── Acceptors: a thread's listening sockets ─────────────────────────────── */

struct acceptor {
	struct watch watch; /* fd -1: closed */
	struct acceptors *all;
	unsigned number;    /* index of the listener in the configuration */
	bool is_tls;        /* its clients speak TLS */
	bool is_passed;     /* the socket goes on listening when this process closes it */
	struct timer retry; /* runs while no descriptor is left */
};

struct acceptors {
	struct worker *worker; /* gets the connections */
	struct loop *loop;     /* of the worker */
	struct worker_shared *shared;
	unsigned count;
	struct acceptor list[ACCEPTORS_MAX];
	struct timer_queue retry_queue;
	int64_t next_refusal_ns; /* earliest time of the next log line about refused connections */
	int spare;               /* a reserve descriptor, to send a refusal when no other is left */
};

void acceptors_init(
        struct acceptors *acceptors, struct worker *worker, struct worker_shared *shared);
/*
 * Accept connections from the listening `fd`, which the acceptors now own, at the listener
 * `number`. 0 or -errno.
 */
int acceptors_add(
        struct acceptors *acceptors, int fd, unsigned number, bool is_tls, bool is_passed) MUST_USE;
/* Close the sockets. Before, accept the connections that wait in the queues, which closing would
 * reset; those of a passed socket wait for the next process. */
void acceptors_close(struct acceptors *acceptors);
/* Close the open sockets. */
void acceptors_done(struct acceptors *acceptors);

/* ── Inbox: messages to a thread ─────────────────────────────────────────── */

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
	pthread_t id; /* unused in the first thread, which is the main thread */
};

/* What the service manager is told. */
struct manager {
	struct notifier notifier;
	unsigned told_connections; /* in the last STATUS= */
	atomic_uint silent;        /* threads that have not answered yet */
	struct timer_queue status_queue, beat_queue;
	struct timer status, beat;
};

struct server {
	struct snapshot *snapshot; /* the snapshot that the threads adopted last */
	struct worker_shared shared;
	struct manager manager;
	struct resolver *resolver; /* NULL: the Engine has no name */
	bool resolver_runs;
	int admin_socket;                /* until it is the admin listener's; else -1 */
	struct admin *admin;             /* NULL: there is none */
	struct snapshot *admin_snapshot; /* by whose settings it was made */
	struct passed passed; /* until all threads have their own descriptors of these sockets */
	unsigned thread_count;
	struct thread *threads[THREADS_MAX];
	sigset_t signals;
	struct watch signal_watch; /* a signalfd; fd -1: not open */
};

/*
 * Make a server without threads. It takes over `config`, which is on the heap. NULL without
 * memory: then `config` is freed.
 */
struct server *server_new(struct config *config) MUST_USE;
/* The threads must have ended. */
void server_free(struct server *server);

/*
 * Judge further requests by `snapshot`, which must have the listeners and the START options of
 * the current snapshot. Takes over the reference in any case. Call it in the thread that
 * handles signals. False without memory: then the current snapshot stays.
 */
bool server_adopt(struct server *server, struct snapshot *snapshot) MUST_USE;

/* The current configuration. */
static inline const struct config *server_config(const struct server *server)
{
	return snapshot_config(server->snapshot);
}

/* Make the workers of all threads, with listening sockets. False after a log line. */
bool threads_make(struct server *server) MUST_USE;
/* Start all threads except the first. False after a log line: then no thread runs. */
bool threads_start(struct server *server) MUST_USE;
/*
 * Serve in the calling thread, which is the first, until all threads have stopped. If it is the
 * only thread, libc and the kernel omit locking.
 */
void threads_run(struct server *server);
/* Send `snapshot` to each thread. False without memory: then no thread gets it. */
bool threads_adopt(struct server *server, struct snapshot *snapshot) MUST_USE;
/* From any thread: stop accepting, complete short responses, end after the grace. */
void threads_stop(struct server *server);
void threads_free(struct server *server);

/* For each kind of message: what a thread does with it, and how an unread message is freed. */
#define MESSAGE(kind, take, discard)                                                               \
	void thread_##take(struct thread *thread, void *message);                                  \
	void message_##discard(void *message);
#include "serve/messages.def"
#undef MESSAGE

/* ── Sizing ──────────────────────────────────────────────────────────────── */

unsigned sizing_threads(const struct config *config);
/*
 * Raise the limit of open files as far as it goes. Returns how many descriptors connections may
 * have: an idle one holds one, and one with a request a second one, to the Engine.
 */
unsigned sizing_descriptors(void);
/* Judged bodies above a small buffer that one thread reads at the same time. */
unsigned sizing_bodies(const struct config *config);
/* Large buffers of one thread. */
unsigned sizing_large(const struct config *config);

/* ── Listeners: their sockets ────────────────────────────────────────────── */

/*
 * Check that no other program listens on the ports, which SO_REUSEPORT would hide.
 * False after a log line.
 */
bool listeners_are_free(const struct config *config) MUST_USE;
/*
 * Take the sockets that the service manager passed, and find the listener of each by its name.
 * Those of no listener are closed, with a warning. False after a log line.
 */
bool listeners_take_passed(struct server *server) MUST_USE;
/*
 * Open the sockets of all listeners for the thread that was made last. Each thread has its own
 * socket for a TCP address. All threads share the socket of a unix address, and passed sockets.
 * False after a log line.
 */
bool listeners_open(struct server *server) MUST_USE;
/* Check that no socket of the first thread is the Engine's. False after a log line. */
bool listeners_avoid_engine(const struct server *server) MUST_USE;
/*
 * Unlink the files of unix sockets that were made. Call it while they listen: later a file may
 * belong to another process.
 */
void listeners_remove(const struct server *server);

/* ── The admin listener ──────────────────────────────────────────────────── */

/* Open its socket, if there is one: before those of the threads, so that it is there when clients
 * are served. False after a log line. */
bool admin_listen(struct server *server) MUST_USE;
/* Serve it in the loop of the first thread, if there is one. False after a log line. */
bool admin_begin(struct server *server) MUST_USE;
/* Unlink the file of its socket. */
void admin_remove(const struct server *server);

/* ── Signals ─────────────────────────────────────────────────────────────── */

/* Block the handled signals. Before the listeners are opened and before threads, which inherit the
 * mask. */
void signals_block(struct server *server);
/* Handle signals in the loop of the first thread. A second SIGTERM or SIGINT ends the program. */
bool signals_watch(struct server *server) MUST_USE;
void signals_done(struct server *server);

/* ── The Engine's name ───────────────────────────────────────────────────── */

/* If the Engine has a name, look it up for the current snapshot. If it has no address yet, requests
 * get a response that says so. */
void resolver_begin(struct server *server);
/* Look it up again from time to time, and tell the threads. False after a log line. */
bool resolver_start(struct server *server) MUST_USE;
void resolver_end(struct server *server);

/* ── The service manager ─────────────────────────────────────────────────── */

/*
 * Say that the program serves, and from now on how many connections there are, and that all threads
 * live (WATCHDOG_USEC). After the threads were started, before the first one runs.
 */
void manager_ready(struct server *server);
/* Say that the program stops. In the first thread. */
void manager_stopping(struct server *server);

/* ── Announcing ──────────────────────────────────────────────────────────── */

/* Log the listeners, their policies, and what is dangerous about them. */
void announce(const struct server *server);

#endif
