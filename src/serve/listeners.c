/* SPDX-License-Identifier: MIT */
/* The sockets that clients connect to. */
#include "net/listener.h"

#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const struct config_listener *listener, int error)
{
	char memory[512];
	struct text why = text_over(memory, sizeof(memory));

	listener_explain(listener->address, error, &why);
	log_line(LOG_CRIT, "cannot listen on %s: %.*s", listener->address,
	        SLICE_FMT(text_slice(&why)));
	return error;
}

static bool is_unix(const struct config_listener *listener)
{
	return address_path(listener->address) != NULL;
}

bool listeners_are_free(const struct server *server)
{
	const struct config *config = server_config(server);

	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		const bool is_here =
		        !is_unix(listener) && address_passed(listener->address) == NULL &&
		        taken_find(server, TAKEOVER_LISTENER, listener->address, 0) < 0;
		const int fd =
		        is_here ? listener_open(listener->address, listener->mode, false) : 0;
		if (fd < 0) {
			(void)failed(listener, fd);
			return false;
		}
		if (fd > 0) {
			(void)close(fd);
		}
	}
	return true;
}

/* ── Passed sockets ──────────────────────────────────────────────────────── */

/* The index of the listener of passed sockets with this name, else of that of all other names; else
 * the number of listeners. */
static unsigned find_listener(const struct config *config, struct slice name)
{
	unsigned found = config->listener_count;

	for (unsigned i = 0; i < config->listener_count; i++) {
		const char *wanted = address_passed(config->listeners[i].address);
		if (wanted != NULL && slice_equal(slice_of(wanted), name)) {
			return i;
		}
		if (wanted != NULL && wanted[0] == '\0') {
			found = i;
		}
	}
	return found;
}

/* What was passed, or why nothing was, for the end of a sentence. */
static void add_passed(const struct passed *passed, struct text *text)
{
	if (passed->other != 0) {
		text_add_format(text,
		        "LISTEN_PID is %ld and this process is %d: start the program itself, or "
		        "with exec",
		        passed->other, getpid());
		return;
	}
	if (passed->count == 0) {
		text_add(text, SLICE("there are none (LISTEN_FDS): start the program with a socket "
		                     "unit of systemd"));
	}
	for (unsigned i = 0; i < passed->count; i++) {
		text_add(text, i == 0 ? SLICE("the passed sockets are ") : SLICE(", "));
		passed_add(passed, i, text);
	}
}

static bool is_served(const struct server *server, unsigned listener)
{
	for (unsigned i = 0; i < server->passed.count; i++) {
		if (server->passed.list[i].listener == listener) {
			return true;
		}
	}
	return false;
}

/* A listener without a socket would be one that nobody reaches. */
static bool all_have_sockets(const struct server *server)
{
	const struct config *config = server_config(server);
	char memory[768];
	struct text passed = text_over(memory, sizeof(memory));

	add_passed(&server->passed, &passed);
	for (unsigned i = 0; i < config->listener_count; i++) {
		const char *address = config->listeners[i].address;
		if (address_passed(address) != NULL && !is_served(server, i)) {
			log_line(LOG_CRIT, "cannot listen on %s: no such socket was passed: %.*s",
			        address, SLICE_FMT(text_slice(&passed)));
			return false;
		}
	}
	return true;
}

/* False after a log line. */
static bool assign(const struct config *config, struct passed *passed, unsigned i)
{
	struct passed_socket *socket = &passed->list[i];
	char memory[512];
	struct text name = text_over(memory, sizeof(memory));

	passed_add(passed, i, &name);
	socket->listener = find_listener(config, socket->name);
	if (socket->listener == config->listener_count && config->listens_by_default) {
		log_line(LOG_CRIT,
		        "the socket %.*s was passed, and no address to listen on is given: "
		        "LISTEN=fd:// "
		        "serves it",
		        SLICE_FMT(text_slice(&name)));
		return false;
	}
	if (socket->listener == config->listener_count) {
		log_line(LOG_WARNING,
		        "closed the passed socket %.*s: no listener names it; a listener fd://%s "
		        "would "
		        "serve it",
		        SLICE_FMT(text_slice(&name)), text_show(socket->name).text);
		(void)close(socket->fd);
		socket->fd = -1;
		return true;
	}
	const int error = listener_adopt(socket->fd, &socket->address);
	if (error < 0) {
		log_line(LOG_CRIT, "cannot listen on the passed socket %.*s: %s",
		        SLICE_FMT(text_slice(&name)), strerrordesc_np(-error));
	}
	return error == 0;
}

bool listeners_take_passed(struct server *server)
{
	char error[FAULT_MAX];

	if (passed_take(&server->passed, error) < 0) {
		log_line(LOG_CRIT, "%s", error);
		return false;
	}
	if (server->taken != NULL) {
		taken_pass(server);
	}
	for (unsigned i = 0; i < server->passed.count; i++) {
		if (!assign(server_config(server), &server->passed, i)) {
			return false;
		}
	}
	return all_have_sockets(server);
}

/* ── Opening ─────────────────────────────────────────────────────────────── */

/* A further descriptor of a socket, or -errno. */
static int share(int fd)
{
	const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

/* Give the thread `fd`, or -errno, as its next socket. False after a log line. */
static bool add(
        const struct server *server, struct thread *thread, unsigned number, int fd, bool is_passed)
{
	if (fd < 0) {
		(void)failed(&server_config(server)->listeners[number], fd);
		return false;
	}
	const int error =
	        acceptors_add(&thread->acceptors, fd, server->snapshot, number, is_passed);
	if (error < 0) {
		log_line(LOG_CRIT, "cannot start a worker: %s", strerrordesc_np(-error));
	}
	return error == 0;
}

static bool add_passed_sockets(const struct server *server, struct thread *thread, unsigned number)
{
	const struct passed *passed = &server->passed;

	for (unsigned i = 0; i < passed->count; i++) {
		const struct passed_socket *socket = &passed->list[i];
		if (socket->listener == number && socket->fd >= 0 &&
		        !add(server, thread, number, share(socket->fd), true)) {
			return false;
		}
	}
	return true;
}

/* The socket that the thread has for a listener; -1: none. */
static int find_socket(const struct thread *thread, const struct snapshot_listener *listener)
{
	for (unsigned i = 0; i < thread->acceptors.count; i++) {
		const struct acceptor *acceptor = &thread->acceptors.list[i];
		if (acceptor->watch.fd >= 0 && acceptor->id == listener->id) {
			return acceptor->watch.fd;
		}
	}
	return -1;
}

static int open_own(const struct server *server, unsigned number)
{
	const struct config_listener *listener = &server_config(server)->listeners[number];

	return server->thread_count == 1 || !is_unix(listener)
	               ? listener_open(listener->address, listener->mode, true)
	               : share(find_socket(
	                         server->threads[0], &server->snapshot->listeners[number]));
}

/*
 * All sockets that another process had for the listener are served, because each has clients that
 * wait: with fewer threads than that process had, a thread gets several; with more, threads share.
 * *ret_any: there were some. False after a log line.
 */
static bool add_taken(struct server *server, struct thread *thread, unsigned number, bool *ret_any)
{
	const char *address = server_config(server)->listeners[number].address;
	const unsigned threads = sizing_threads(server_config(server));
	const unsigned own = server->thread_count - 1;
	unsigned count = 0;

	while (taken_find(server, TAKEOVER_LISTENER, address, count) >= 0) {
		count++;
	}
	*ret_any = count > 0;
	for (unsigned i = own; i < (count > threads ? count : threads) && count > 0; i += threads) {
		const int fd = taken_find(server, TAKEOVER_LISTENER, address, i % count);
		if (thread->acceptors.count == ACCEPTORS_MAX) {
			log_line(LOG_CRIT,
			        "the process that hands over has too many workers for those of "
			        "this one: start it with more (--workers)");
			return false;
		}
		taken_use(server, fd);
		if (!add(server, thread, number, share(fd), false)) {
			return false;
		}
	}
	return true;
}

static bool add_own(struct server *server, struct thread *thread, unsigned number)
{
	bool any = false;

	return add_taken(server, thread, number, &any) &&
	       (any || add(server, thread, number, open_own(server, number), false));
}

bool listeners_open(struct server *server)
{
	const struct config *config = server_config(server);
	struct thread *thread = server->threads[server->thread_count - 1];

	for (unsigned i = 0; i < config->listener_count; i++) {
		const bool done = address_passed(config->listeners[i].address) != NULL
		                          ? add_passed_sockets(server, thread, i)
		                          : add_own(server, thread, i);
		if (!done) {
			return false;
		}
	}
	return true;
}

/* ── Another snapshot ────────────────────────────────────────────────────── */

static bool has(const struct snapshot *snapshot, const struct snapshot_listener *listener)
{
	return snapshot_find_listener(snapshot, listener->id) < snapshot->listener_count;
}

/* What the service manager passed is there from the start or never. */
static bool check_passed(
        const struct snapshot *snapshot, const struct snapshot *other, char error[FAULT_MAX])
{
	for (unsigned i = 0; i < snapshot->listener_count; i++) {
		const struct snapshot_listener *listener = &snapshot->listeners[i];
		if (address_passed(listener->address) != NULL && !has(other, listener)) {
			(void)fault_set(error, NOWHERE,
			        "the listener %s is new or gone: sockets are passed at the start; "
			        "restart the program for it",
			        listener->address);
			return false;
		}
	}
	return true;
}

/* The former listener of tcp://HOST:PORT or tls://HOST:PORT that is the other one now; NULL: none.
 */
static const struct snapshot_listener *find_own_port(
        const struct snapshot *former, const char *address)
{
	const char *place = strstr(address, "://");

	for (unsigned i = 0; place != NULL && i < former->listener_count; i++) {
		const char *other = strstr(former->listeners[i].address, "://");
		if (other != NULL && strcmp(place, other) == 0) {
			return &former->listeners[i];
		}
	}
	return NULL;
}

/*
 * The socket of thread `i` for a new listener, or -errno. A port that goes on with or without TLS
 * keeps its socket: the user of the process is another one than that which opened it, and may not
 * share the port (SO_REUSEPORT). `first`: the socket of the first thread.
 */
static int open_for_thread(
        const struct server *server, unsigned i, const struct config_listener *listener, int first)
{
	const struct snapshot_listener *own = find_own_port(server->snapshot, listener->address);

	if (own != NULL) {
		return share(find_socket(server->threads[i], own));
	}
	if (i > 0) {
		return is_unix(listener) ? share(first)
		                         : listener_open(listener->address, listener->mode, true);
	}
	const int probe =
	        is_unix(listener) ? 0 : listener_open(listener->address, listener->mode, false);
	if (probe > 0) {
		(void)close(probe);
	}
	return probe < 0 ? probe : listener_open(listener->address, listener->mode, true);
}

/* Whatever the way is called: a link, another mount. */
static bool is_same_file(const char *a, const char *b)
{
	struct stat found[2];

	return stat(a, &found[0]) == 0 && stat(b, &found[1]) == 0 &&
	       found[0].st_dev == found[1].st_dev && found[0].st_ino == found[1].st_ino;
}

static bool leads_to(const union address *engine, const union address *own)
{
	return own->any.sa_family == AF_UNIX && engine->any.sa_family == AF_UNIX
	               ? is_same_file(own->path.sun_path, engine->path.sun_path)
	               : address_leads_to(engine, own);
}

/* The Engine of the snapshot whose address leads to the listening socket; NULL: none. */
static const struct config_engine *find_target(const struct snapshot *snapshot, int fd)
{
	union address own = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t len = sizeof(own);

	(void)getsockname(fd, &own.any, &len);
	for (unsigned i = 0; i < snapshot->engine_count; i++) {
		if (leads_to(&snapshot->engines[i].address, &own)) {
			return config_engine_at(snapshot_config(snapshot), i);
		}
	}
	return NULL;
}

/* `fd` is a socket of the listener `number`. */
static bool avoids_engines(
        const struct snapshot *next, unsigned number, int fd, char error[FAULT_MAX])
{
	const struct config_engine *engine = find_target(next, fd);

	if (engine != NULL) {
		(void)fault_set(error, engine->place,
		        "the Engine's address %s (%s) leads to the listener %s of the proxy "
		        "itself: give the address at which the Engine listens",
		        engine->text, engine->option, next->listeners[number].address);
	}
	return engine == NULL;
}

/* Open the sockets of the new listener `number`. */
static bool open_added(const struct server *server, const struct snapshot *next, unsigned number,
        struct handover *const handovers[], char error[FAULT_MAX])
{
	const struct config_listener *listener = &snapshot_config(next)->listeners[number];
	char memory[512];
	struct text why = text_over(memory, sizeof(memory));

	for (unsigned i = 0; i < server->thread_count; i++) {
		const int fd = open_for_thread(server, i, listener, handovers[0]->fds[number]);
		if (fd < 0) {
			listener_explain(listener->address, fd, &why);
			(void)fault_set(error, listener->place, "cannot listen on %s: %.*s",
			        listener->address, SLICE_FMT(text_slice(&why)));
			return false;
		}
		handovers[i]->fds[number] = fd;
	}
	return avoids_engines(next, number, handovers[0]->fds[number], error);
}

/* Engines may be new, too: those listeners stay. */
static bool avoid_added_engines(
        const struct server *server, const struct snapshot *next, char error[FAULT_MAX])
{
	const struct acceptors *opened = &server->threads[0]->acceptors;

	for (unsigned i = 0; i < opened->count; i++) {
		const struct acceptor *acceptor = &opened->list[i];
		const unsigned number = snapshot_find_listener(next, acceptor->id);
		if (acceptor->watch.fd >= 0 && number < next->listener_count &&
		        !avoids_engines(next, number, acceptor->watch.fd, error)) {
			return false;
		}
	}
	return true;
}

/* The reload fails: the files of unix sockets that it made go. */
static void remove_added(
        const struct snapshot *former, const struct snapshot *next, const struct handover *handover)
{
	for (unsigned i = 0; i < next->listener_count; i++) {
		const char *path = address_path(next->listeners[i].address);
		if (path != NULL && handover->fds[i] >= 0 && !has(former, &next->listeners[i])) {
			(void)unlink(path);
		}
	}
}

static const struct config_listener *find_listener_of(
        const struct snapshot *snapshot, const char *address)
{
	const struct config *config = snapshot_config(snapshot);

	for (unsigned i = 0; i < config->listener_count; i++) {
		if (strcmp(config->listeners[i].address, address) == 0) {
			return &config->listeners[i];
		}
	}
	return NULL;
}

/* Give the files of unix sockets that stay the modes of `next`. On a failure none has changed. */
static bool set_modes(
        const struct snapshot *former, const struct snapshot *next, char error[FAULT_MAX])
{
	const struct config *config = snapshot_config(next);

	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		const struct config_listener *before = find_listener_of(former, listener->address);
		const char *path = address_path(listener->address);
		if (path == NULL || before == NULL || before->mode == listener->mode ||
		        chmod(path, listener->mode) == 0) {
			continue;
		}
		(void)fault_set(error, listener->place,
		        "cannot change the mode of %s to %04o: %s; the file belongs to the user as "
		        "whom the program started: restart the program for it",
		        path, listener->mode, strerrordesc_np(errno));
		for (unsigned j = 0; j < i; j++) {
			path = address_path(config->listeners[j].address);
			before = find_listener_of(former, config->listeners[j].address);
			if (path != NULL && before != NULL) {
				(void)chmod(path, before->mode);
			}
		}
		return false;
	}
	return true;
}

bool listeners_prepare(const struct server *server, const struct snapshot *next,
        struct handover *const handovers[], char error[FAULT_MAX])
{
	const struct snapshot *former = server->snapshot;

	if (!check_passed(next, former, error) || !check_passed(former, next, error) ||
	        !avoid_added_engines(server, next, error)) {
		return false;
	}
	for (unsigned i = 0; i < next->listener_count; i++) {
		if (!has(former, &next->listeners[i]) &&
		        !open_added(server, next, i, handovers, error)) {
			remove_added(former, next, handovers[0]);
			return false;
		}
	}
	if (!set_modes(former, next, error)) {
		remove_added(former, next, handovers[0]);
		return false;
	}
	return true;
}

void listeners_finish(const struct snapshot *former, const struct snapshot *next)
{
	for (unsigned i = 0; i < next->listener_count; i++) {
		if (!has(former, &next->listeners[i])) {
			log_line(LOG_NOTICE, "listening on %s", next->listeners[i].address);
		}
	}
	for (unsigned i = 0; i < former->listener_count; i++) {
		const char *path = address_path(former->listeners[i].address);
		if (has(next, &former->listeners[i])) {
			continue;
		}
		log_line(LOG_NOTICE, "no longer listening on %s", former->listeners[i].address);
		if (path != NULL && unlink(path) < 0 && errno != ENOENT) {
			log_line(LOG_WARNING, "cannot remove %s: %s", path, strerrordesc_np(errno));
		}
	}
}

/* ── Loops ───────────────────────────────────────────────────────────────── */

bool listeners_avoid_engines(const struct server *server)
{
	const struct config *config = server_config(server);
	const struct acceptors *opened = &server->threads[0]->acceptors;

	for (unsigned i = 0; i < opened->count; i++) {
		const struct config_engine *engine =
		        find_target(server->snapshot, opened->list[i].watch.fd);
		if (engine != NULL) {
			log_line(LOG_CRIT,
			        "the Engine's address %s (%s) leads to the listener %s of the "
			        "proxy "
			        "itself: give the address at which the Engine listens",
			        engine->text, engine->option,
			        config->listeners[opened->list[i].number].address);
			return false;
		}
	}
	return true;
}

void listeners_remove(const struct server *server)
{
	const struct snapshot *snapshot = server->snapshot;
	const struct acceptors *opened =
	        server->thread_count > 0 ? &server->threads[0]->acceptors : NULL;

	for (unsigned i = 0; opened != NULL && i < opened->count; i++) {
		/* The thread may not have adopted the snapshot yet: the index may be a former one.
		 */
		const unsigned number = snapshot_find_listener(snapshot, opened->list[i].id);
		const char *path = number < snapshot->listener_count
		                           ? address_path(snapshot->listeners[number].address)
		                           : NULL;
		if (path != NULL && !handing_is_over(server) && !taken_has_file(server, path)) {
			/* The folder may be closed to us now. */
			(void)unlink(path);
		}
	}
}
