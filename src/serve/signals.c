/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define NO_RELOAD  "the configuration is read only at the start; restart the program to change it"
#define NO_MEANING "the program stops with SIGTERM and with SIGINT"

static const struct row {
	int number;
	const char *name;
	const char *ignored; /* why; NULL: the signal stops the program */
} rows[] = {
        {SIGTERM, "SIGTERM", NULL},
        {SIGINT, "SIGINT", NULL},
        {SIGHUP, "SIGHUP", NO_RELOAD},
        {SIGUSR1, "SIGUSR1", NO_MEANING},
        {SIGUSR2, "SIGUSR2", NO_MEANING},
};

void signals_block(struct server *server)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&server->signals);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		/* A shell starts background jobs with SIGINT ignored: a second SIGINT would be
		 * lost. */
		if (rows[i].ignored == NULL) {
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
		if (rows[i].ignored != NULL) {
			(void)sigdelset(&server->signals, rows[i].number);
		}
	}
	(void)pthread_sigmask(SIG_UNBLOCK, &server->signals, NULL);
	manager_stopping(server);
	listeners_remove(server);
	admin_remove(server);
	admin_stopping(server->admin);
	threads_stop(server);
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
		if (signal.ssi_signo != (uint32_t)rows[i].number) {
			continue;
		}
		if (rows[i].ignored == NULL) {
			stop(server, rows[i].name);
		} else {
			log_line(LOG_NOTICE, "%s: ignored: %s", rows[i].name, rows[i].ignored);
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
