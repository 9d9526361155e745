/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/log.h"
#include "http/http.h"
#include "net/tls.h"
#include "outcome/outcome.h"
#include "serve/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	ACCEPTS_PER_TURN = 64,
	TLS_ACCEPTS_PER_TURN = 8, /* each costs as much as several requests */
	ACCEPTS_AT_END = 4096,    /* the listener's backlog */
	ACCEPT_RETRY_MS = 100,
};

/* ── Refusing ────────────────────────────────────────────────────────────── */

static void tell_and_close(int fd, struct slice bytes)
{
	char nowhere[4096];

	/* A close with unread bytes resets the connection, and the client loses the response. */
	(void)!read(fd, nowhere, sizeof(nowhere));
	(void)!write(fd, bytes.ptr, bytes.len);
	(void)close(fd);
}

/* A 429. A client that speaks TLS could not read it: a handshake for each would be what somebody
 * who opens too many connections wants. It gets an alert, and the log has the reason. */
static void refuse_connection(
        const struct acceptor *acceptor, int fd, enum outcome outcome, struct slice reason)
{
	char memory[1024];
	struct text response = text_over(memory, sizeof(memory));

	if (acceptor->is_tls) {
		tell_and_close(fd, tls_turned_away);
		return;
	}
	http_error_write(&response, outcome_status(outcome), reason, HTTP_RETRY_AFTER, false,
	        HTTP_CONNECTION_CLOSE);
	tell_and_close(fd, text_slice(&response));
}

/* Once a second: there may be thousands. */
static bool may_log_refusal(struct acceptors *acceptors)
{
	return quota_take(&acceptors->refusal_lines, 1, acceptors->loop->now_ns);
}

static void set_aside(struct acceptors *acceptors)
{
	acceptors->spare = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
}

/* Out of descriptors: the one set aside is given up for as long as it takes to say so. */
static bool refuse_with_spare(struct acceptor *acceptor)
{
	struct acceptors *all = acceptor->all;

	if (all->spare >= 0) {
		(void)close(all->spare);
	}
	const int fd = accept4(acceptor->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		refuse_connection(acceptor, fd, OUTCOME_TOO_MANY_CONNECTIONS,
		        slice_of(outcome_text(OUTCOME_TOO_MANY_CONNECTIONS)));
	}
	set_aside(all);
	return fd >= 0;
}

/* Out of descriptors or memory altogether: look away for a moment instead of spinning. */
static void pause_accepting(struct acceptor *acceptor)
{
	loop_remove(acceptor->all->loop, &acceptor->watch);
	timer_start(acceptor->all->loop, &acceptor->all->retry_queue, &acceptor->retry);
}

/* True when there may be more to accept. */
static bool accept_failed(struct acceptor *acceptor, int error)
{
	if (error == ECONNABORTED || error == EINTR || error == EPROTO) {
		return true;
	}
	if (may_log_refusal(acceptor->all)) {
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

/* ── Who it is ───────────────────────────────────────────────────────────── */

/* More groups than there is room for are an error of the kernel, and count as none. */
static void add_groups(int fd, struct unix_peer *peer)
{
	gid_t *further = peer->groups + peer->group_count;
	socklen_t len = sizeof(peer->groups) - sizeof(peer->groups[0]);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, further, &len) == 0) {
		peer->group_count += len / sizeof(further[0]);
	}
}

/* The process that connected, if it is one of this machine. */
static void identify_peer(int fd, struct caller *caller)
{
	struct ucred credentials;
	socklen_t len = sizeof(credentials);

	if (caller->address.any.sa_family == AF_UNIX &&
	        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) == 0) {
		caller->peer = (struct unix_peer){
		        .pid = credentials.pid,
		        .uid = credentials.uid,
		        .group_count = 1,
		        .groups = {credentials.gid},
		};
		add_groups(fd, &caller->peer);
	}
}

/* ── Accepting ───────────────────────────────────────────────────────────── */

static void serve_connection(
        struct acceptors *all, int fd, const struct caller *caller, struct account *host)
{
	const int error = session_open(all->worker, fd, caller, host);

	if (error < 0 && may_log_refusal(all)) {
		log_line(LOG_ERR, "cannot serve a connection, and closed it: %s",
		        strerrordesc_np(-error));
	}
}

static void accepted(struct acceptor *acceptor, int fd, const union address *peer)
{
	struct acceptors *all = acceptor->all;
	struct caller caller = caller_from(acceptor->number, peer);
	struct account *host = NULL;
	char memory[640] = "";
	struct text reason = text_over(memory, sizeof(memory) - 1);

	identify_peer(fd, &caller);
	const enum outcome outcome = session_count(all->worker, &caller, &host, &reason);
	if (outcome == OUTCOME_FORWARDED) {
		serve_connection(all, fd, &caller, host);
		return;
	}
	if (outcome == OUTCOME_TOO_MANY_CONNECTIONS && may_log_refusal(all)) {
		log_line(LOG_WARNING,
		        "%u connections are open: further ones get a 429 (--max-connections)",
		        all->shared->max_connections);
	}
	refuse_connection(acceptor, fd, outcome, slice_of(memory));
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
	struct acceptor *acceptor = CONTAINER_OF(watch, struct acceptor, watch);

	(void)events;
	accept_some(acceptor, acceptor->is_tls ? TLS_ACCEPTS_PER_TURN : ACCEPTS_PER_TURN);
}

static int watch_acceptor(struct acceptor *acceptor)
{
	return loop_add(acceptor->all->loop, &acceptor->watch, EPOLLIN | EPOLLEXCLUSIVE);
}

static void accept_again(struct timer *timer)
{
	struct acceptor *acceptor = CONTAINER_OF(timer, struct acceptor, retry);

	if (watch_acceptor(acceptor) < 0) {
		timer_start(acceptor->all->loop, &acceptor->all->retry_queue, timer);
	}
}

/* ── Life ────────────────────────────────────────────────────────────────── */

void acceptors_init(
        struct acceptors *acceptors, struct worker *worker, struct worker_shared *shared)
{
	*acceptors = (struct acceptors){
	        .worker = worker,
	        .loop = worker_loop(worker),
	        .shared = shared,
	};
	timer_queue_init(acceptors->loop, &acceptors->retry_queue, ACCEPT_RETRY_MS * NS_PER_MS);
	set_aside(acceptors);
}

static struct acceptor *find_place(struct acceptors *acceptors)
{
	for (unsigned i = 0; i < acceptors->count; i++) {
		if (acceptors->list[i].watch.fd < 0) {
			return &acceptors->list[i];
		}
	}
	ASSERT(acceptors->count < ACCEPTORS_MAX);
	return &acceptors->list[acceptors->count++];
}

int acceptors_add(struct acceptors *acceptors, int fd, const struct snapshot *snapshot,
        unsigned number, bool is_passed)
{
	struct acceptor *acceptor = find_place(acceptors);

	*acceptor = (struct acceptor){
	        .watch = {.fd = fd, .ready = acceptor_ready},
	        .all = acceptors,
	        .id = snapshot->listeners[number].id,
	        .number = number,
	        .is_tls = snapshot->listeners[number].is_tls,
	        .is_passed = is_passed,
	};
	timer_init(&acceptor->retry, accept_again);
	return watch_acceptor(acceptor);
}

static void close_acceptor(struct acceptor *acceptor)
{
	loop_remove(acceptor->all->loop, &acceptor->watch);
	if (!acceptor->is_passed) {
		/* Closing resets those who wait: nothing may come between these two. */
		accept_some(acceptor, ACCEPTS_AT_END);
	}
	(void)close(acceptor->watch.fd);
	acceptor->watch.fd = -1;
	timer_stop(&acceptor->retry); /* the last accept may have started it */
}

void acceptors_leave(struct acceptors *acceptors, const struct snapshot *snapshot)
{
	for (unsigned i = 0; i < acceptors->count; i++) {
		struct acceptor *acceptor = &acceptors->list[i];
		if (acceptor->watch.fd >= 0 && snapshot_find_listener(snapshot, acceptor->id) ==
		                                       snapshot->listener_count) {
			close_acceptor(acceptor);
		}
	}
}

void acceptors_adopt(struct acceptors *acceptors, const struct snapshot *snapshot)
{
	for (unsigned i = 0; i < acceptors->count; i++) {
		struct acceptor *acceptor = &acceptors->list[i];
		if (acceptor->watch.fd >= 0) {
			acceptor->number = snapshot_find_listener(snapshot, acceptor->id);
			acceptor->is_tls = snapshot->listeners[acceptor->number].is_tls;
		}
	}
}

void acceptors_close(struct acceptors *acceptors)
{
	for (unsigned i = 0; i < acceptors->count; i++) {
		if (acceptors->list[i].watch.fd >= 0) {
			close_acceptor(&acceptors->list[i]);
		}
	}
}

void acceptors_hand_over(struct acceptors *acceptors)
{
	for (unsigned i = 0; i < acceptors->count; i++) {
		/* With EPOLLEXCLUSIVE one waiter is woken for a connection: whoever was, takes it.
		 */
		acceptors->list[i].is_passed = false;
	}
	acceptors_close(acceptors);
}

void acceptors_look(struct acceptors *acceptors)
{
	for (unsigned i = 0; i < acceptors->count; i++) {
		if (acceptors->list[i].watch.fd >= 0) {
			accept_some(&acceptors->list[i], ACCEPTS_AT_END);
		}
	}
}

void acceptors_done(struct acceptors *acceptors)
{
	for (unsigned i = 0; i < acceptors->count; i++) {
		if (acceptors->list[i].watch.fd >= 0) {
			(void)close(acceptors->list[i].watch.fd);
		}
	}
	if (acceptors->spare >= 0) {
		(void)close(acceptors->spare);
	}
}
