/* SPDX-License-Identifier: MIT */
/*
 * The addresses of Engines that have names: looked up when a configuration is read, and again every
 * 10 seconds by a thread of its own, because looking up blocks.
 */
#include "upstream/resolve.h"

#include "base/clock.h"
#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	PERIOD_SECONDS = 10,
	PATIENCE_SECONDS = 5, /* for further Engines, when a configuration is read */
	TELL_MS = 100,        /* between two messages to threads within a round */
};

/* An Engine that has a name. */
struct named {
	unsigned id; /* of the Engine: session/snapshot.h */
	uint16_t port;
	bool knows;            /* the last look-up found an address; true before the first */
	bool waits;            /* in this round it comes after those that have an address */
	char *host;            /* it outlives the configuration */
	union address current; /* AF_UNSPEC: the name has no address */
};

struct names {
	unsigned count;
	struct named list[]; /* by id, in ascending order */
};

struct resolver {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct server *server; /* NULL: the server is gone, and the thread ends */
	struct names *next;    /* of another configuration; NULL: there is none */
	/* The thread's alone, once it runs: */
	struct names *names;
	bool changed;          /* threads were not told of all changes yet */
	int64_t told_ns;       /* when they were told last, monotonic */
	unsigned next_unknown; /* of those that wait: where the next round goes on */
};

/* ── Names ───────────────────────────────────────────────────────────────── */

static void names_free(struct names *names)
{
	for (unsigned i = 0; names != NULL && i < names->count; i++) {
		free(names->list[i].host);
	}
	free(names);
}

/* Those of the snapshot, where it has them. NULL without memory. */
static struct names *names_new(const struct snapshot *snapshot)
{
	const struct config *config = snapshot_config(snapshot);
	struct names *names =
	        calloc(1, sizeof(*names) + snapshot->engine_count * sizeof(names->list[0]));

	for (unsigned i = 0; names != NULL && i < snapshot->engine_count; i++) {
		const unsigned number = snapshot->engines_by_id[i];
		const struct config_engine *engine = config_engine_at(config, number);
		if (!engine->is_name) {
			continue;
		}
		struct named *named = &names->list[names->count++];
		*named = (struct named){
		        .id = snapshot->engines[number].id,
		        .port = engine->port,
		        .knows = true,
		        .host = strdup(engine->host),
		        .current = snapshot->engines[number].address,
		};
		if (named->host == NULL) {
			names_free(names);
			return NULL;
		}
	}
	return names;
}

/* Whether the address is one of those; a name with several addresses may list them in any order. */
static bool is_among(const union address *address, const struct resolved *found)
{
	for (unsigned i = 0; i < found->count; i++) {
		if (address_equal(&found->list[i], address)) {
			return true;
		}
	}
	return false;
}

/* Why there is no address. */
static const char *reason_of(int error)
{
	switch (error) {
	case -ENOENT:
		return "it is not in /etc/hosts, and DNS has no address for it";
	case -EIO:
		return "DNS responds with an error, such as SERVFAIL";
	default:
		return "no server of DNS responds (/etc/resolv.conf)";
	}
}

/* Look the name up; sets *ret_changed if it has another address now. 0, or as resolve_host(). */
static int look_up(struct named *named, bool *ret_changed)
{
	struct resolved found;
	char name[ADDRESS_NAME_MAX];
	const int error = resolve_host(named->host, named->port, &found);

	if (error < 0) {
		if (named->knows) {
			log_line(LOG_ERR, "cannot look up the Engine's name '%s': %s", named->host,
			        reason_of(error));
		}
		named->knows = false;
		return error;
	}
	named->knows = true;
	if (is_among(&named->current, &found)) {
		return 0;
	}
	named->current = found.list[0];
	*ret_changed = true;
	address_name(&named->current, name);
	log_line(LOG_INFO, "the Engine '%s' is at %s", named->host, name);
	return 0;
}

/* ── Telling ─────────────────────────────────────────────────────────────── */

/* Those that have an address. NULL without memory. */
static struct engine_places *list_places(const struct names *names, unsigned references)
{
	struct engine_places *places = engine_places_new(names->count, references);
	unsigned count = 0;

	for (unsigned i = 0; places != NULL && i < names->count; i++) {
		const struct named *named = &names->list[i];
		if (named->current.any.sa_family != AF_UNSPEC) {
			places->list[count++] = (struct engine_place){named->id, named->current};
		}
	}
	if (places != NULL) {
		places->count = count;
	}
	return places;
}

/* Each message has all places, because a newer one takes the place of an unread one. False without
 * memory. */
static bool tell_threads(struct server *server, const struct names *names)
{
	struct engine_places *places = list_places(names, server->thread_count);

	for (unsigned i = 0; places != NULL && i < server->thread_count; i++) {
		inbox_post(&server->threads[i]->inbox, INBOX_MOVE, places);
	}
	return places != NULL;
}

void thread_move(struct thread *thread, void *message)
{
	worker_move_engines(thread->worker, message);
}

void message_free_places(void *message)
{
	engine_places_unref(message);
}

/* ── The thread ──────────────────────────────────────────────────────────── */

static void resolver_free(struct resolver *resolver)
{
	names_free(resolver->names);
	names_free(resolver->next);
	(void)pthread_cond_destroy(&resolver->wake);
	(void)pthread_mutex_destroy(&resolver->lock);
	free(resolver);
}

/* What is known of Engines that stay. */
static void carry(const struct names *former, struct names *next)
{
	unsigned at = 0;

	for (unsigned i = 0; i < next->count; i++) {
		struct named *named = &next->list[i];
		while (at < former->count && former->list[at].id < named->id) {
			at++;
		}
		if (at < former->count && former->list[at].id == named->id) {
			named->current = former->list[at].current;
			named->knows = former->list[at].knows;
		}
	}
}

/* Wait for the next round, or for another configuration. False: the server is gone. */
static bool wait_for_round(struct resolver *resolver, int seconds)
{
	const int64_t until_ns = clock_monotonic_ns() + seconds * NS_PER_S;
	const struct timespec until = {until_ns / NS_PER_S, until_ns % NS_PER_S};
	int timed_out = 0;

	(void)pthread_mutex_lock(&resolver->lock);
	while (resolver->server != NULL && resolver->next == NULL && timed_out == 0) {
		timed_out = pthread_cond_timedwait(&resolver->wake, &resolver->lock, &until);
	}
	if (resolver->next != NULL) {
		carry(resolver->names, resolver->next);
		names_free(resolver->names);
		resolver->names = resolver->next;
		resolver->next = NULL;
	}
	const bool goes_on = resolver->server != NULL;
	(void)pthread_mutex_unlock(&resolver->lock);
	return goes_on;
}

/* Tell threads what has changed. What could not be told for want of memory is told the next time.
 */
static void tell_all(struct resolver *resolver)
{
	if (!resolver->changed) {
		return;
	}
	(void)pthread_mutex_lock(&resolver->lock);
	if (resolver->server != NULL && tell_threads(resolver->server, resolver->names)) {
		resolver->changed = false;
		resolver->told_ns = clock_monotonic_ns();
	}
	(void)pthread_mutex_unlock(&resolver->lock);
}

/* Whether the round goes on: there are no other names, and the server is there. */
static bool goes_on(struct resolver *resolver)
{
	(void)pthread_mutex_lock(&resolver->lock);
	const bool goes_on = resolver->server != NULL && resolver->next == NULL;
	(void)pthread_mutex_unlock(&resolver->lock);
	return goes_on;
}

/* A thousand names that move at once are not a thousand messages. */
static void tell_soon(struct resolver *resolver)
{
	if (clock_monotonic_ns() - resolver->told_ns >= TELL_MS * NS_PER_MS) {
		tell_all(resolver);
	}
}

static void look_up_known(struct resolver *resolver)
{
	const struct names *names = resolver->names;

	for (unsigned i = 0; i < names->count && goes_on(resolver); i++) {
		struct named *named = &resolver->names->list[i];
		named->waits = !named->knows || named->current.any.sa_family == AF_UNSPEC;
		if (!named->waits) {
			(void)look_up(named, &resolver->changed);
			tell_soon(resolver);
		}
	}
}

/* Names without an address may take long, and there may be hundreds: a round looks at as many as
 * there is time for, and the next one goes on behind them. False: some are left. */
static bool look_up_unknown(struct resolver *resolver)
{
	const int64_t until_ns = clock_monotonic_ns() + PERIOD_SECONDS * NS_PER_S;
	const struct names *names = resolver->names;
	unsigned done = 0;

	while (done < names->count && clock_monotonic_ns() < until_ns && goes_on(resolver)) {
		struct named *named =
		        &resolver->names->list[resolver->next_unknown++ % names->count];
		if (named->waits) {
			(void)look_up(named, &resolver->changed);
			tell_soon(resolver);
		}
		done++;
	}
	return done == names->count;
}

static void *run(void *argument)
{
	struct resolver *resolver = argument;
	bool done = true;

	while (wait_for_round(resolver, done ? PERIOD_SECONDS : 0)) {
		look_up_known(resolver);
		tell_all(resolver);
		done = look_up_unknown(resolver);
		tell_all(resolver);
	}
	resolver_free(resolver);
	return NULL;
}

/* The list is the resolver's. NULL without memory. */
static struct resolver *resolver_new(struct server *server, struct names *names)
{
	struct resolver *resolver = names == NULL ? NULL : calloc(1, sizeof(*resolver));
	pthread_condattr_t attributes;

	if (resolver == NULL) {
		names_free(names);
		return NULL;
	}
	(void)pthread_mutex_init(&resolver->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&resolver->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	resolver->server = server;
	resolver->names = names;
	return resolver;
}

/* ── The server ──────────────────────────────────────────────────────────── */

void resolver_look_up(struct snapshot *snapshot)
{
	const int64_t until_ns = clock_monotonic_ns() + PATIENCE_SECONDS * NS_PER_S;
	struct names *names = names_new(snapshot);
	bool responds = true;

	for (unsigned i = 0; names != NULL && i < names->count; i++) {
		struct named *named = &names->list[i];
		const bool is_new = named->current.any.sa_family == AF_UNSPEC;
		bool changed = false;
		/* The default Engine, of the id 0, comes first. */
		if (is_new && responds && (named->id == 0 || clock_monotonic_ns() < until_ns)) {
			responds = look_up(named, &changed) != -EAGAIN;
		}
		if (changed) {
			snapshot_place(snapshot, snapshot_find_engine(snapshot, named->id),
			        &named->current);
		}
	}
	names_free(names);
}

bool resolver_start(struct server *server)
{
	struct names *names = names_new(server->snapshot);
	pthread_t id;

	if (names != NULL && names->count == 0) {
		names_free(names);
		return true;
	}
	server->resolver = resolver_new(server, names);
	const int error = server->resolver == NULL
	                          ? ENOMEM
	                          : pthread_create(&id, NULL, run, server->resolver);
	if (error != 0) {
		log_line(LOG_CRIT, "cannot start a thread: %s", strerrordesc_np(error));
		if (server->resolver != NULL) {
			resolver_free(server->resolver);
			server->resolver = NULL;
		}
		return false;
	}
	(void)pthread_detach(id);
	return true;
}

void resolver_adopt(struct server *server)
{
	struct resolver *resolver = server->resolver;

	if (resolver == NULL) {
		(void)!resolver_start(
		        server); /* else names keep their addresses; the log says so */
		return;
	}
	struct names *names = names_new(server->snapshot);
	if (names == NULL) {
		return; /* the former names are looked up */
	}
	(void)pthread_mutex_lock(&resolver->lock);
	names_free(resolver->next);
	resolver->next = names;
	(void)pthread_cond_signal(&resolver->wake);
	(void)pthread_mutex_unlock(&resolver->lock);
}

void resolver_end(struct server *server)
{
	struct resolver *resolver = server->resolver;

	if (resolver != NULL) {
		(void)pthread_mutex_lock(&resolver->lock);
		/* The thread may be waiting for DNS, and frees it later. */
		resolver->server = NULL;
		(void)pthread_cond_signal(&resolver->wake);
		(void)pthread_mutex_unlock(&resolver->lock);
		server->resolver = NULL;
	}
}
