/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

void signals_block(struct server *server)
{
	/* A shell starts background jobs with SIGINT ignored: a second SIGINT would be lost. */
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&server->signals);
	(void)sigaddset(&server->signals, SIGTERM);
	(void)sigaddset(&server->signals, SIGINT);
	(void)sigaddset(&server->signals, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &server->signals, NULL);
}

static void stop(struct server *server, const char *name)
{
	log_line(LOG_NOTICE, "%s: stopping; streams may continue for %u s", name,
	        server_config(server)->shutdown_grace);
	(void)sigdelset(&server->signals, SIGHUP);
	(void)pthread_sigmask(SIG_UNBLOCK, &server->signals, NULL);
	listeners_remove(server_config(server), server_config(server)->listener_count);
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
	if (signal.ssi_signo == SIGHUP) {
		log_line(LOG_NOTICE,
		        "SIGHUP: ignored: the configuration is read only at the start; restart "
		        "the program to change it");
	} else {
		stop(server, signal.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
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
