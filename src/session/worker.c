/* SPDX-License-Identifier: MIT */
#include "session/worker.h"

#include "base/clock.h"
#include "session/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	ACCEPTS_PER_TURN = 64,
	ACCEPTS_AT_END = 4096, /* the listener's backlog */
	ACCEPT_RETRY_MS = 100,
	OBJECTS_KEPT = 64,
	CLOSING_MAX = 1024, /* that wait for the end of a turn, and count no more */
	HEADROOM = 256,     /* what rewriting may add to a head, the key apart */
};

/* ── Accepting ───────────────────────────────────────────────────────────── */

static void refuse_connection(int fd)
{
	char memory[512];
	struct text answer = text_over(memory, sizeof(memory));
	char nowhere[4096];

	http_error_write(&answer, 429, SLICE("too many connections (--max-connections, ulimit -n)"),
	        false, HTTP_CONNECTION_CLOSE);
	/* Closing with unread bytes would take the answer away again. */
	(void)!read(fd, nowhere, sizeof(nowhere));
	(void)!write(fd, answer.ptr, answer.len);
	(void)close(fd);
}

/* Once a second: there may be thousands. */
static bool may_log_refusal(struct worker *worker)
{
	if (worker->loop.now_ns < worker->next_refusal_ns) {
		return false;
	}
	worker->next_refusal_ns = worker->loop.now_ns + NS_PER_S;
	return true;
}

static void accepted(struct acceptor *acceptor, int fd, const union address *peer)
{
	const struct worker_settings *settings = acceptor->worker->settings;

	if (atomic_fetch_add(settings->connections, 1) >= settings->max_connections) {
		(void)atomic_fetch_sub(settings->connections, 1);
		if (may_log_refusal(acceptor->worker)) {
			log_line(LOG_WARNING,
			        "%u connections are open: others are answered 429 "
			        "(--max-connections)",
			        settings->max_connections);
		}
		refuse_connection(fd);
		return;
	}
	session_open(acceptor, fd, peer);
}

/* Out of descriptors: the one set aside is given up for as long as it takes to say so. */
static bool refuse_with_spare(struct acceptor *acceptor)
{
	struct worker *worker = acceptor->worker;

	if (worker->spare >= 0) {
		(void)close(worker->spare);
	}
	const int fd = accept4(acceptor->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		refuse_connection(fd);
	}
	worker->spare = fcntl(worker->stop_watch.fd, F_DUPFD_CLOEXEC, 0);
	return fd >= 0;
}

/* Out of descriptors or memory altogether: look away for a moment instead of spinning. */
static void pause_accepting(struct acceptor *acceptor)
{
	loop_remove(&acceptor->worker->loop, &acceptor->watch);
	timer_start(&acceptor->worker->loop, &acceptor->worker->retry_queue, &acceptor->retry);
}

/* True when there may be more to accept. */
static bool accept_failed(struct acceptor *acceptor, int error)
{
	if (error == ECONNABORTED || error == EINTR || error == EPROTO) {
		return true;
	}
	if (may_log_refusal(acceptor->worker)) {
		log_line(LOG_ERR,
		        "cannot accept a connection: %s; raise the limit of open files (ulimit -n)",
		        strerrordesc_np(error));
	}
	if (refuse_with_spare(acceptor)) {
		return true;
	}
	pause_accepting(acceptor);
	return false;
}

/* True when there may be more to accept. */
static bool accept_one(struct acceptor *acceptor)
{
	union address peer = {.any = {.sa_family = AF_UNIX}};
	socklen_t len = sizeof(peer);
	const int fd = accept4(acceptor->watch.fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		return errno != EAGAIN && accept_failed(acceptor, errno);
	}
	accepted(acceptor, fd, &peer);
	return true;
}

static void accept_some(struct acceptor *acceptor, unsigned most)
{
	for (unsigned i = 0; i < most && accept_one(acceptor); i++) {
	}
}

static void acceptor_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	accept_some(CONTAINER_OF(watch, struct acceptor, watch), ACCEPTS_PER_TURN);
}

static void accept_again(struct timer *timer)
{
	struct acceptor *acceptor = CONTAINER_OF(timer, struct acceptor, retry);

	if (!acceptor->worker->stopping &&
	        loop_add(&acceptor->worker->loop, &acceptor->watch, EPOLLIN | EPOLLEXCLUSIVE) < 0) {
		timer_start(&acceptor->worker->loop, &acceptor->worker->retry_queue, timer);
	}
}

/* ── Stopping ────────────────────────────────────────────────────────────── */

static void grace_expired(struct timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, grace);

	sessions_abort(worker);
}

static void close_acceptor(struct acceptor *acceptor)
{
	accept_some(acceptor, ACCEPTS_AT_END); /* closing would reset those who wait */
	timer_stop(&acceptor->retry);
	loop_remove(&acceptor->worker->loop, &acceptor->watch);
	(void)close(acceptor->watch.fd);
	acceptor->watch.fd = -1;
}

static void stop_requested(struct watch *watch, uint32_t events)
{
	struct worker *worker = CONTAINER_OF(watch, struct worker, stop_watch);

	(void)events;
	loop_remove(&worker->loop, watch);
	worker->stopping = true;
	for (unsigned i = 0; i < worker->acceptor_count; i++) {
		close_acceptor(&worker->acceptors[i]);
	}
	timer_start(&worker->loop, &worker->grace_queue, &worker->grace);
	sessions_stop(worker);
}

void worker_stop(struct worker *worker)
{
	(void)eventfd_write(worker->stop_watch.fd, 1);
}

struct loop *worker_loop(struct worker *worker)
{
	return &worker->loop;
}

/* ── Life ────────────────────────────────────────────────────────────────── */

static void init_queues(struct worker *worker)
{
	const struct worker_settings *settings = worker->settings;
	struct loop *loop = &worker->loop;
	const int64_t deadlines_ns[SESSION_STATES] = {
#define STATE(name, step, deadline_ns) [SESSION_##name] = (deadline_ns),
#include "session/states.def"
#undef STATE
	};

	for (unsigned state = 0; state < SESSION_STATES; state++) {
		timer_queue_init(loop, &worker->deadlines[state], deadlines_ns[state]);
	}
	timer_queue_init(loop, &worker->grace_queue, settings->shutdown_grace * NS_PER_S);
	timer_queue_init(loop, &worker->retry_queue, ACCEPT_RETRY_MS * NS_PER_MS);
	timer_init(&worker->grace, grace_expired);
	list_init(&worker->sessions);
}

static int init_memory(struct worker *worker)
{
	const struct worker_settings *settings = worker->settings;
	const size_t key_len = settings->api_key == NULL ? 0 : strlen(settings->api_key);
	const uint32_t headroom = (uint32_t)key_len + HEADROOM;
	const uint32_t head_size = settings->max_head + headroom + BUFFER_SMALL_SIZE;

	const unsigned max = settings->max_connections + CLOSING_MAX;
	pool_init(&worker->session_pool, sizeof(struct session), max, OBJECTS_KEPT);
	pool_init(&worker->exchange_pool, sizeof(struct exchange), max, OBJECTS_KEPT);
	buffer_lender_init(&worker->lender.buffers, headroom,
	        head_size > BUFFER_LARGE_SIZE ? head_size : BUFFER_LARGE_SIZE, 2 * max);
	worker->scratch_len = settings->max_head + headroom;
	worker->scratch = malloc(worker->scratch_len);
	worker->fields = malloc(HTTP_FIELDS_MAX * sizeof(worker->fields[0]));
	worker->judging = policy_scratch_new();
	return worker->scratch == NULL || worker->fields == NULL || worker->judging == NULL
	               ? -ENOMEM
	               : 0;
}

static int add_acceptor(struct worker *worker, const struct worker_listener *listener)
{
	struct acceptor *acceptor = &worker->acceptors[worker->acceptor_count++];

	acceptor->worker = worker;
	acceptor->listener = *listener;
	acceptor->watch = (struct watch){.fd = listener->fd, .ready = acceptor_ready};
	timer_init(&acceptor->retry, accept_again);
	return loop_add(&worker->loop, &acceptor->watch, EPOLLIN | EPOLLEXCLUSIVE);
}

static int start(struct worker *worker, const struct worker_listener *listeners, unsigned count)
{
	int error = loop_init(&worker->loop);

	init_queues(worker);
	if (error == 0) {
		error = init_memory(worker);
	}
	upstream_init(&worker->upstream, &worker->loop, worker->settings->engine_transport,
	        &worker->settings->engine, worker->settings->max_connections + CLOSING_MAX);
	audit_init(&worker->audit, &worker->loop);
	worker->stop_watch = (struct watch){
	        .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = stop_requested};
	if (error == 0) {
		error = worker->stop_watch.fd < 0
		                ? -errno
		                : loop_add(&worker->loop, &worker->stop_watch, EPOLLIN);
	}
	worker->spare = fcntl(worker->stop_watch.fd, F_DUPFD_CLOEXEC, 0);
	for (unsigned i = 0; error == 0 && i < count; i++) {
		error = add_acceptor(worker, &listeners[i]);
	}
	return error;
}

int worker_new(const struct worker_settings *settings, const struct worker_listener *listeners,
        unsigned count, struct worker **ret_worker)
{
	ASSERT(count <= WORKER_LISTENERS_MAX);
	struct worker *worker = calloc(1, sizeof(*worker));
	if (worker == NULL) {
		return -ENOMEM;
	}
	worker->settings = settings;
	const int error = start(worker, listeners, count);
	if (error < 0) {
		return error; /* the program ends: nothing is taken back */
	}
	*ret_worker = worker;
	return 0;
}

int worker_run(struct worker *worker)
{
	const int error = loop_run(&worker->loop);

	audit_flush(&worker->audit);
	return error;
}

void worker_free(struct worker *worker)
{
	upstream_done(&worker->upstream);
	flow_lender_done(&worker->lender);
	pool_done(&worker->session_pool);
	pool_done(&worker->exchange_pool);
	(void)close(worker->stop_watch.fd);
	(void)close(worker->spare);
	loop_done(&worker->loop);
	policy_scratch_free(worker->judging);
	free(worker->fields);
	free(worker->scratch);
	free(worker);
}
