/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void stop(struct server *server, const char *name);
static void reload(struct server *server, const char *name);
static void ignore(struct server *server, const char *name);

static const struct row {
	int number;
	const char *name;
	void (*act)(struct server *server, const char *name);
} rows[] = {
        {SIGTERM, "SIGTERM", stop},
        {SIGINT, "SIGINT", stop},
        {SIGHUP, "SIGHUP", reload},
        {SIGUSR1, "SIGUSR1", ignore},
        {SIGUSR2, "SIGUSR2", ignore},
};

void signals_block(struct server *server)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&server->signals);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		/* A shell starts background jobs with SIGINT ignored: a second SIGINT would be
		 * lost. */
		if (rows[i].act == stop) {
			(void)signal(rows[i].number, SIG_DFL);
		}
		(void)sigaddset(&server->signals, rows[i].number);
	}
	(void)pthread_sigmask(SIG_BLOCK, &server->signals, NULL);
}

/* From here on, a second signal that stops ends the program at once. */
static void stop(struct server *server, const char *name)
{
	log_line(LOG_NOTICE, "%s: stopping; streams may continue for %u s", name,
	        server_config(server)->shutdown_grace);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].act != stop) {
			(void)sigdelset(&server->signals, rows[i].number);
		}
	}
	(void)pthread_sigmask(SIG_UNBLOCK, &server->signals, NULL);
	server->stopping = true;
	const bool drains = handing_is_over(server);
	const bool handed = handing_stop(server);
	release_end(server);
	prober_end(server);
	if (!handed) {
		manager_stopping(server);
	}
	listeners_remove(server);
	admin_stopping(server->admin);
	if (handed && !drains) {
		/* Nobody accepts until the other process serves: whom a thread has taken out of a
		 * queue by then gets a response. */
		threads_retire(server);
	} else {
		threads_stop(server);
	}
}

static void reload(struct server *server, const char *name)
{
	if (server->stopping) {
		log_line(LOG_NOTICE, "%s: ignored: the program is stopping", name);
		return;
	}
	log_line(LOG_INFO, "%s: reading the configuration again", name);
	trail_reopen(server->shared.trail);
	server_reload(server, NULL);
}

static void ignore(struct server *server, const char *name)
{
	(void)server;
	log_line(LOG_NOTICE,
	        "%s: ignored: the program stops with SIGTERM and with SIGINT, and reloads with "
	        "SIGHUP",
	        name);
}

static void signal_came(struct watch *watch, uint32_t events)
{
	struct server *server = CONTAINER_OF(watch, struct server, signal_watch);
	struct signalfd_siginfo signal = {0};

	(void)events;
	if (read(watch->fd, &signal, sizeof(signal)) != sizeof(signal)) {
		return;
	}
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		if (signal.ssi_signo == (uint32_t)rows[i].number) {
			rows[i].act(server, rows[i].name);
		}
	}
}

bool signals_watch(struct server *server)
{
	server->signal_watch = (struct watch){
	        .fd = signalfd(-1, &server->signals, SFD_NONBLOCK | SFD_CLOEXEC),
	        .ready = signal_came,
	};
	if (server->signal_watch.fd >= 0 && loop_add(worker_loop(server->threads[0]->worker),
	                                            &server->signal_watch, EPOLLIN) == 0) {
		return true;
	}
	log_line(LOG_CRIT, "cannot wait for signals: %s", strerrordesc_np(errno));
	return false;
}

void signals_done(struct server *server)
{
	if (server->signal_watch.fd >= 0) {
		(void)close(server->signal_watch.fd);
	}
}
