/* SPDX-License-Identifier: MIT */
/*
 * The address of an Engine that has a name: looked up at the start, and again every 10 seconds by a
 * thread of its own, because looking up blocks.
 */
#include "upstream/resolve.h"

#include "base/clock.h"
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PERIOD_SECONDS = 10 };

struct resolver {
	pthread_mutex_t lock;
	struct server *server; /* NULL: the server is gone, and the thread ends */
	char *host;
	uint16_t port;
	union address current; /* AF_UNSPEC: the name has no address */
	bool knows;            /* the last look-up found an address, or said why not */
};

static void resolver_free(struct resolver *resolver)
{
	if (resolver != NULL) {
		free(resolver->host);
		free(resolver);
	}
}

/* Whether the address is one of those; a name with several addresses may list them in any order. */
static bool is_among(const union address *address, const struct resolved *found)
{
	for (unsigned i = 0; i < found->count; i++) {
		if (found->list[i].any.sa_family == address->any.sa_family &&
		        memcmp(&found->list[i], address, address_len(address)) == 0) {
			return true;
		}
	}
	return false;
}

/* Look the name up. True if the address changed. */
static bool look_up(struct resolver *resolver)
{
	struct resolved found;
	char name[ADDRESS_NAME_MAX];
	const int error = resolve_host(resolver->host, resolver->port, &found);

	if (error < 0) {
		if (resolver->knows) {
			log_line(LOG_ERR, "cannot look up the Engine's name '%s': %s",
			        resolver->host,
			        error == -ENOENT
			                ? "it is not in /etc/hosts, and DNS has no address for it"
			                : "no server of DNS responds (/etc/resolv.conf)");
		}
		resolver->knows = false;
		return false;
	}
	resolver->knows = true;
	if (is_among(&resolver->current, &found)) {
		return false;
	}
	resolver->current = found.list[0];
	address_name(&resolver->current, name);
	log_line(LOG_INFO, "the Engine '%s' is at %s", resolver->host, name);
	return true;
}

static void tell_threads(struct server *server, const union address *address)
{
	for (unsigned i = 0; i < server->thread_count; i++) {
		union address *copy = malloc(sizeof(*copy));
		if (copy != NULL) {
			*copy = *address;
			inbox_post(&server->threads[i]->inbox, INBOX_MOVE, copy);
		}
	}
}

void thread_move(struct thread *thread, void *message)
{
	worker_move_engine(thread->worker, message);
	free(message);
}

void message_free_address(void *message)
{
	free(message);
}

/* False: the server is gone. */
static bool tell(struct resolver *resolver, bool changed)
{
	(void)pthread_mutex_lock(&resolver->lock);
	const bool goes_on = resolver->server != NULL;
	if (goes_on && changed) {
		tell_threads(resolver->server, &resolver->current);
	}
	(void)pthread_mutex_unlock(&resolver->lock);
	return goes_on;
}

static void *run(void *argument)
{
	const struct timespec period = {.tv_sec = PERIOD_SECONDS};
	struct resolver *resolver = argument;

	do {
		(void)nanosleep(&period, NULL);
	} while (tell(resolver, look_up(resolver)));
	resolver_free(resolver);
	return NULL;
}

void resolver_begin(struct server *server)
{
	const struct config_engine *engine = &server_config(server)->engine;

	if (!engine->is_name) {
		return;
	}
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	char *host = strdup(engine->host); /* it outlives the configuration */
	if (resolver == NULL || host == NULL) {
		free(host);
		free(resolver);
		return;
	}
	*resolver = (struct resolver){
	        .lock = PTHREAD_MUTEX_INITIALIZER,
	        .server = server,
	        .host = host,
	        .port = engine->port,
	        .knows = true,
	};
	(void)look_up(resolver);
	server->snapshot->engine = resolver->current;
	server->resolver = resolver;
}

bool resolver_start(struct server *server)
{
	pthread_t id;
	const int error =
	        server->resolver == NULL ? 0 : pthread_create(&id, NULL, run, server->resolver);

	if (error != 0) {
		log_line(LOG_CRIT, "cannot start a thread: %s", strerrordesc_np(error));
		return false;
	}
	if (server->resolver != NULL) {
		server->resolver_runs = true;
		(void)pthread_detach(id);
	}
	return true;
}

void resolver_end(struct server *server)
{
	struct resolver *resolver = server->resolver;

	if (resolver != NULL && server->resolver_runs) {
		(void)pthread_mutex_lock(&resolver->lock);
		resolver->server = NULL; /* the thread may be waiting for DNS, and frees it later */
		(void)pthread_mutex_unlock(&resolver->lock);
	} else {
		resolver_free(resolver);
	}
	server->resolver = NULL;
}
