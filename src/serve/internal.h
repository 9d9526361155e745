/* SPDX-License-Identifier: MIT */
/*
 * internal — the server and its threads as structs. Private to serve/.
 */
#ifndef SERVE_INTERNAL_H
#define SERVE_INTERNAL_H

#include "admin/admin.h"
#include "ask/ask.h"
#include "base/quota.h"
#include "base/wish.h"
#include "net/loop.h"
#include "pulse/pulse.h"
#include "serve/serve.h"
#include "session/session.h"
#include "systemd/notify.h"
#include "systemd/passed.h"
#include "takeover/takeover.h"
#include "trail/trail.h"

#include <pthread.h>
#include <signal.h>

enum {
	THREADS_MAX = 64,
	/* Of a thread: a process with more threads may have handed over several of each listener.
	 */
	ACCEPTORS_MAX = 4 * CONFIG_LISTENERS_MAX + PASSED_MAX,
};

/* ── Snapshots ───────────────────────────────────────────────────────────── */

/*
 * Make a snapshot with one reference. It takes over `config`, which is on the heap; its clients
 * have their accounts in `accounts`, which must outlive it. `former` is the one whose place it will
 * take, NULL: none. NULL without memory, of which `accounts` may be a part: then `config` is freed.
 */
struct snapshot *snapshot_new(
        struct config *config, struct accounts *accounts, const struct snapshot *former) MUST_USE;
/* Give its listeners, clients and policies their numbers for metrics, before it judges; `metrics`
 * may be NULL. */
void snapshot_number(struct snapshot *snapshot, struct metrics *metrics);
/* Put an Engine with a name at an address, before a worker has the snapshot. */
void snapshot_place(struct snapshot *snapshot, unsigned number, const union address *address);
/* Take the pulses of its Engines, if `engines` is in the file. Before a worker has the snapshot.
 * False without memory. */
bool snapshot_watch(struct snapshot *snapshot, struct pulses *pulses) MUST_USE;
/* Show them in metrics, until another snapshot's are shown; before this one is freed. */
void snapshot_show_pulses(struct snapshot *snapshot, struct pulses *pulses);
/* The configuration of the snapshot. */
const struct config *snapshot_config(const struct snapshot *snapshot);

/* ── Acceptors: a thread's listening sockets ─────────────────────────────── */

struct acceptor {
	struct watch watch; /* fd -1: closed */
	struct acceptors *all;
	unsigned id;        /* of the listener: see session/snapshot.h */
	unsigned number;    /* its index in the snapshot of the worker */
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
	struct quota refusal_lines; /* of the log, about refused connections */
	int spare; /* a reserve descriptor, to send a refusal when no other is left */
};

void acceptors_init(
        struct acceptors *acceptors, struct worker *worker, struct worker_shared *shared);
/*
 * Accept connections from the listening `fd`, which the acceptors now own, at the listener
 * `number` of the snapshot. 0 or -errno.
 */
int acceptors_add(struct acceptors *acceptors, int fd, const struct snapshot *snapshot,
        unsigned number, bool is_passed) MUST_USE;
/* Close the sockets whose listeners are not in the snapshot, as acceptors_close(). Before the
 * worker adopts it. */
void acceptors_leave(struct acceptors *acceptors, const struct snapshot *snapshot);
/* The worker has adopted the snapshot: find the listeners of the other sockets there. */
void acceptors_adopt(struct acceptors *acceptors, const struct snapshot *snapshot);
/* Close the sockets. Before, accept the connections that wait in the queues, which closing would
 * reset; those of a passed socket wait for the next process. */
void acceptors_close(struct acceptors *acceptors);
/* Another process accepts at these sockets: accept the connections of whose arrival this process
 * may have been told, and close them. */
void acceptors_hand_over(struct acceptors *acceptors);
/* Accept what waits: another process may have been told of it, and is gone. */
void acceptors_look(struct acceptors *acceptors);
/* Close the open sockets. */
void acceptors_done(struct acceptors *acceptors);

/* ── Handing a snapshot to a thread ──────────────────────────────────────── */

struct handover {
	struct adoption *adoption;
	int fds[CONFIG_LISTENERS_MAX]; /* of listeners that are new, by index; else -1 */
};

/* NULL without memory. */
struct handover *handover_new(struct snapshot *snapshot) MUST_USE;
/* Close the sockets. `handover` may be NULL. */
void handover_free(struct handover *handover);

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

struct server;

/* ── release.c ───────────────────────────────────────────────────────────── */

enum { RELEASE_WORD_MAX = 64 };

/* Of the first thread. */
struct release {
	struct ask ask;
	bool asking;
	int64_t fresh_until_ns;                                                /* monotonic */
	char version[RELEASE_WORD_MAX + 1], api_version[RELEASE_WORD_MAX + 1]; /* "": not known */
};

/* Ask the Engine, unless it was asked a moment ago. True: it is asked now, and survey_released()
 * will be called. */
bool release_ask(struct server *server) MUST_USE;
/* version.c: keep which Engine it is, as GET /version was answered; empty: the Engine did not say.
 */
void release_keep(struct release *release, struct slice answer);
/* The program stops: nothing is asked from now on. While the loop of the first thread runs. */
void release_end(struct server *server);

/* ── The server and its threads ──────────────────────────────────────────── */

enum part_state {
	PART_FREE,
	PART_ASKED, /* the thread writes the rest of the part, and nobody else looks at it */
	PART_DONE,
	PART_GONE, /* the thread has ended */
};

/* What a thread does for a survey. */
struct part {
	atomic_int state;                /* enum part_state */
	uint64_t closing;                /* id of the stream to end; 0: list all */
	bool found;                      /* it was the thread's */
	struct session_listing *listing; /* NULL: there was no memory for one, or none is needed */
};

struct thread {
	struct server *server;
	struct part part;
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

enum { RELOAD_REPORT_MAX = 1024 };

/* One reload at a time: a thread of its own reads, then all threads adopt. In the first thread, but
 * for what is said otherwise. */
struct reload {
	enum reload_state {
		RELOAD_NONE,
		RELOAD_READING,
		RELOAD_ADOPTING,
	} state;
	pthread_t reader;
	int64_t began_ns;
	struct list wishes; /* for the reload in progress */
	struct list later;  /* for the next one, which reads what has changed since */
	bool again;         /* there is to be a next one */
	struct task next;   /* begins it */
	/* The reader's result, once it has ended. */
	struct snapshot *snapshot; /* NULL: `error` says why */
	char error[FAULT_MAX];
	char report[RELOAD_REPORT_MAX]; /* on the last one that succeeded */
	char fault[FAULT_MAX];          /* of the last one, "" if it succeeded */
	int64_t fault_ns;               /* when, since 1970 */
	struct snapshot *former;        /* while threads adopt another one */
	atomic_uint behind;             /* threads that have not adopted yet */
};

/* `watch: true`. In the first thread. */
struct watching {
	struct watch watch; /* of inotify(7); fd -1: nothing is watched */
	struct timer_queue queue;
	struct timer timer; /* until the next look */
	unsigned looks;     /* that saw another change each */
	uint32_t seen;      /* what the files were at the last look */
	uint32_t loaded;    /* and at the last reload for their sake */
};

/* A hand-over to another process. In the first thread. */
struct handing {
	enum handing_state {
		HANDING_NONE,
		HANDING_SENDING, /* the sockets */
		HANDING_WAITING, /* for READY */
		HANDING_OVER,    /* the other process accepts */
	} state;
	int process;        /* the other one; 0: not known */
	struct watch watch; /* the connection to it */
	struct timer_queue ready_queue, step_queue;
	struct timer deadline;
	bool switched; /* the 101 was sent */
	unsigned sent;
	unsigned count;
	struct handed {
		enum takeover_kind kind;
		int fd;               /* not owned */
		ino_t number;         /* of the socket */
		const char *name;     /* of a passed one, or the address */
	} * list;                     /* NULL: none */
	struct takeover_record ready; /* of which `ready_len` bytes are there */
	size_t ready_len;
};

/*
 * Operators ask something of all threads: what they do, or to end a stream that is one of theirs.
 * One at a time. In the first thread.
 */
struct survey {
	enum survey_state {
		SURVEY_NONE,
		SURVEY_ASKING,
		SURVEY_WRITING, /* the document, a piece in each turn */
	} state;
	uint64_t closing;    /* as in the parts */
	bool asks_engine;    /* which it is; the next survey does not wait for the same answer */
	struct list looks;   /* wishes for a document */
	struct list closes;  /* wishes for the end of a stream */
	struct list current; /* those for which this survey is */
	struct timer_queue late_queue;
	struct timer late; /* threads that have not answered then are left out */
	struct task next;
	struct state *view; /* that is written */
	size_t size;        /* bytes of memory of the document */
	struct admin_document *document;
};

/* What the sandbox was entered with. Immutable afterwards. */
struct confinement {
	bool limits_files;    /* names of DNS need some */
	bool limits_ports;    /* TCP connections go to these alone */
	bool resolves;        /* names can be looked up */
	uint64_t ports[1024]; /* a bit for each */
};

/* Asks Engines how they are. Of the first thread. */
struct prober {
	bool began;
	struct timer_queue few_queue, many_queue, patience_queue;
	struct timer tick;
	struct pool probes;
	struct list running;
	unsigned next; /* Engine that is asked next */
	unsigned due;  /* since the last question, in milliseconds of the period */
};

struct server {
	struct handing handing;
	struct taken *taken; /* of another process; NULL: nothing was */
	int told;            /* written to when the program serves, for who started it; else -1 */
	struct survey survey;
	struct release release;
	struct prober prober;
	struct pulses *pulses;
	struct watching watching;
	struct snapshot *snapshot; /* the snapshot that the threads adopted last */
	struct reload reload;
	bool stopping;
	struct worker_shared shared;
	struct manager manager;
	struct resolver *resolver;       /* NULL: no Engine has a name */
	int admin_socket;                /* until it is the admin listener's; else -1 */
	struct admin *admin;             /* NULL: there is none */
	struct snapshot *admin_snapshot; /* by whose settings it was made */
	struct passed passed; /* until all threads have their own descriptors of these sockets */
	unsigned thread_count;
	struct thread *threads[THREADS_MAX];
	atomic_uint serving; /* threads that have sessions, or may have some */
	sigset_t signals;
	struct watch signal_watch; /* a signalfd; fd -1: not open */
	struct confinement confinement;
};

/*
 * Make a server without threads. It takes over `config`, which is on the heap. NULL without
 * memory: then `config` is freed.
 */
struct server *server_new(struct config *config) MUST_USE;
/* The threads must have ended. False: the thread that writes audit records hangs. It may use what
 * is left of the server at any time, and the process has to end. */
bool server_free(struct server *server);

/*
 * Judge further requests by `snapshot`, which must have the START options of the current snapshot;
 * open the sockets of listeners that it adds, close those that it removes. Takes over the reference
 * in any case. Call it in the thread that handles signals. False: `error` says why, and the current
 * snapshot stays.
 */
bool server_adopt(struct server *server, struct snapshot *snapshot, char error[FAULT_MAX]) MUST_USE;

/* ── Reload ──────────────────────────────────────────────────────────────── */

/*
 * Read the configuration and the files that it names again, and let all threads adopt it, if all of
 * it is valid. Does not wait. `wish` may be NULL; it is told, in the first thread, that all threads
 * judge by the new configuration and what that has, or why the former one stays. If a reload is in
 * progress, another one follows it. The log has the result. In the first thread.
 */
void server_reload(struct server *server, struct wish *wish);
/* A hand-over has failed: begin the reload that waited for its end. */
void reload_continue(struct server *server);
/* Another process has taken over: whoever waits for a reload is told so. */
void reload_abandon(struct server *server);
/* Before the server has threads. */
void reload_init(struct server *server);
/* Log what a reload could not read. After root was given up. */
void reload_review(const struct server *server);
/* Wait for the reader; wishes are told that the program stops. The threads must have ended. */
void reload_end(struct server *server);

/* ── Survey ──────────────────────────────────────────────────────────────── */

/* Describe what the program does; when the wish is told so, survey_take() has the document. */
void survey_look(struct server *server, struct wish *wish);
/* End the stream wish->about. */
void survey_close_stream(struct server *server, struct wish *wish);
struct admin_document *survey_take(struct server *server);
/* The Engine said which it is, or does not say it. */
void survey_released(struct server *server);
/* Before the server has threads. */
void survey_init(struct server *server);
/* The loop of the first thread is there. */
void survey_begin(struct server *server);
/* Wishes are told that the program stops. The threads must have ended. */
void survey_end(struct server *server);
/* In a thread that ends: it answers no more. */
void survey_leave(struct thread *thread);

/* ── Prober ──────────────────────────────────────────────────────────────── */

/* Ask the Engines of the current snapshot, if `engines` is in the file. In the first thread, at the
 * start and after each reload. */
void prober_begin(struct server *server);
/* The program stops: nothing is asked from now on. While the loop of the first thread runs. */
void prober_end(struct server *server);

/* ── State: the document for operators ───────────────────────────────────── */

struct state;

/* Look at everything, of threads at the parts that are done. NULL without memory. */
struct state *state_new(struct server *server) MUST_USE;
/* Append the next items, some 16 KiB; there is room for STATE_ROOM. True at the end. */
enum { STATE_ROOM = 128 * 1024 };
bool state_write(struct state *state, struct text *text);
/* `state` may be NULL. */
void state_free(struct state *state);

/* Before the server has threads. */
void watching_init(struct server *server);
/* If the current configuration wants it, watch its files; otherwise none. After the start, and
 * after each reload. */
void watching_begin(struct server *server);
void watching_end(struct server *server);

/* The current configuration. */
static inline const struct config *server_config(const struct server *server)
{
	return snapshot_config(server->snapshot);
}

/* Whether there is a default Engine, besides those of `engines`. */
static inline bool server_has_engine(const struct server *server)
{
	const struct config *config = server_config(server);

	return !config->has_engines || config->engines.has_default;
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
/* Send `snapshot` to each thread, with sockets. False: `error` says why, and no thread gets it. */
bool threads_adopt(
        struct server *server, struct snapshot *snapshot, char error[FAULT_MAX]) MUST_USE;
/* From any thread: stop accepting, complete short responses, end after the grace. */
void threads_stop(struct server *server);
/* From any thread: another process accepts. Serve what there is until it ends. */
void threads_drain(struct server *server);
/* Another process has the sockets, and will accept: serve what there is until the grace is over. */
void threads_retire(struct server *server);
/* Another process has stopped to accept, perhaps with connections that were its own to take. */
void threads_look(struct server *server);
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
bool listeners_are_free(const struct server *server) MUST_USE;
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
/* Check that no socket of the first thread is an Engine's. False after a log line. */
bool listeners_avoid_engines(const struct server *server) MUST_USE;
/*
 * Open sockets for the listeners of `next` that the current snapshot does not have, one for each
 * handover, and set the modes of unix sockets that stay. False: `error` says why; what was opened
 * is in the handovers, and no mode has changed.
 */
bool listeners_prepare(const struct server *server, const struct snapshot *next,
        struct handover *const handovers[], char error[FAULT_MAX]) MUST_USE;
/* The threads have adopted `next`: log what is new, and unlink what is gone since `former`. */
void listeners_finish(const struct snapshot *former, const struct snapshot *next);
/*
 * Unlink the files of unix sockets that were made. Call it while they listen: later a file may
 * belong to another process.
 */
void listeners_remove(const struct server *server);

/* ── Hand-over: the old process ──────────────────────────────────────────── */

/* As `hand_over` of struct admin_settings; `context` is the server. */
unsigned handing_begin(void *context, int fd, int process, const char **ret_message);
/* The threads are made, and do not run. */
void handing_init(struct server *server);
void handing_end(struct server *server);
/* A signal stops this process. True: what it hands over is another process's now. Else there is no
 * hand-over any more. */
bool handing_stop(struct server *server) MUST_USE;
/* Whether sockets are being handed over, or were. */
static inline bool handing_goes_on(const struct server *server)
{
	return server->handing.state != HANDING_NONE;
}
/* Whether the files of the sockets are another process's now. */
static inline bool handing_is_over(const struct server *server)
{
	return server->handing.state == HANDING_OVER;
}

/* ── Hand-over: the new process ──────────────────────────────────────────── */

/* If the configuration says so, take the sockets of another process. False after a log line. */
bool taken_ask(struct server *server) MUST_USE;
/* Put those that a service manager had passed to it where passed_take() would. */
void taken_pass(struct server *server);
/* The socket number `n` of those to which the listener is bound; -1: there are no more. It stays
 * with the server; whoever uses it, says so. */
int taken_find(
        const struct server *server, enum takeover_kind kind, const char *address, unsigned n);
void taken_use(struct server *server, int fd);
/* Give files of unix sockets their modes. False after a log line. */
bool taken_set_modes(struct server *server) MUST_USE;
/* The start has failed: the modes of before. */
void taken_reset_modes(struct server *server);
/* Whether a file of a socket is the other process's, while the hand-over goes on. */
bool taken_has_file(const struct server *server, const char *path);
/* Say that this process serves: the other one accepts no more. */
void taken_finish(struct server *server);

/* ── The sandbox ─────────────────────────────────────────────────────────── */

/* Enter the sandbox, with what the configuration needs inside. False after a log line. */
bool confine(struct server *server) MUST_USE;
/* Whether the sandbox, which takes no rule later, lets the program reach the Engines of another
 * configuration. 0, or -EINVAL and a sentence in `error`. */
int confine_check(const struct confinement *confinement, const struct config *next,
        char error[FAULT_MAX]) MUST_USE;

/* ── The audit record ────────────────────────────────────────────────────── */

/* Make its way from the threads, if somebody can want records. Before the threads. False without
 * memory. */
bool auditing_make(struct server *server) MUST_USE;
/* Open what it is written to, and start its writer. Inside the sandbox, so that a file is made by
 * the user who opens it again. False after a log line. */
bool auditing_start(struct server *server) MUST_USE;

/* ── The admin listener ──────────────────────────────────────────────────── */

/* Open its socket, if there is one: before those of the threads, so that it is there when clients
 * are served. False after a log line. */
bool admin_listen(struct server *server) MUST_USE;
/* Serve it in the loop of the first thread, if there is one. False after a log line. */
bool admin_begin(struct server *server) MUST_USE;
/* Unlink the file of its socket. */
void admin_remove(const struct server *server);

/* ── Memory ──────────────────────────────────────────────────────────────── */

/* Give the system back what reading a configuration has used. */
void settle(void);

/* ── Signals ─────────────────────────────────────────────────────────────── */

/* Block the handled signals. Before the listeners are opened and before threads, which inherit the
 * mask. */
void signals_block(struct server *server);
/* Handle signals in the loop of the first thread. A second SIGTERM or SIGINT ends the program. */
bool signals_watch(struct server *server) MUST_USE;
void signals_done(struct server *server);

/* ── Names of Engines ────────────────────────────────────────────────────── */

/* Look up the names of those Engines of a snapshot that have no address yet, before a worker has
 * it. Blocks; in any thread. Requests to an Engine without one get a response that says so. */
void resolver_look_up(struct snapshot *snapshot);
/* Look all names up again from time to time, and tell the threads. False after a log line. */
bool resolver_start(struct server *server) MUST_USE;
/* From now on those of the current snapshot, which all threads have adopted. */
void resolver_adopt(struct server *server);
void resolver_end(struct server *server);

/* ── The service manager ─────────────────────────────────────────────────── */

/*
 * Say that the program serves, and from now on how many connections there are, and that all threads
 * live (WATCHDOG_USEC). After the threads were started, before the first one runs.
 */
void manager_ready(struct server *server);
/* Another process takes the place of this one: say which, and say nothing more. */
void manager_leave(struct server *server, int process);
/* Say that a reload has begun, or is over. In the first thread. */
void manager_reloading(struct server *server);
void manager_reloaded(struct server *server);
/* Say that the program stops. In the first thread. */
void manager_stopping(struct server *server);

/* ── Announcing ──────────────────────────────────────────────────────────── */

/* Log the listeners, their policies, and what is dangerous about them. */
void announce(const struct server *server);

#endif
