/* SPDX-License-Identifier: MIT */
/* search — the container of one client, step by step. */
#include "containers/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "containers/peer.h"
#include "inspect/inspect.h"

#include <poll.h>

enum {
	ROUNDS_MAX = 8, /* lists for an address that none of them has; with pauses 1.2 s */
};

enum progress {
	PROGRESS_ON, /* the step is over */
	PROGRESS_WAIT,
	PROGRESS_END,
};

enum step {
	STEP_PEER,     /* the process of a unix socket */
	STEP_EVENTS,   /* until they are read */
	STEP_NETWORKS, /* of the Engine, in one of which the address must be */
	STEP_LIST,     /* of containers, for the address */
	STEP_PAUSE,    /* before another list: the container may just be starting */
	STEP_INSPECT,
};

static bool has_process(const struct search *search)
{
	return search->caller->address.any.sa_family == AF_UNIX;
}

static struct peer peer_of(const struct search *search)
{
	return (struct peer){search->fd, search->caller->peer.pid, search->since_ns};
}

/* ── Its end ─────────────────────────────────────────────────────────────── */

static void stop(struct search *search)
{
	ask_end(&search->inspection);
	timer_stop(&search->pause);
	list_remove(&search->again.link);
	list_remove(&search->link);
}

static enum progress end(struct search *search, enum search_result result)
{
	search->result = result;
	return PROGRESS_END;
}

static enum progress fail(struct search *search, enum ask_state why, int error)
{
	search->why = why;
	search->error = error;
	return end(search, SEARCH_FAILED);
}

static enum progress go_to(struct search *search, enum step step)
{
	search->step = step;
	search->awaited = 0;
	return PROGRESS_ON;
}

/* ── Steps ───────────────────────────────────────────────────────────────── */

/* Once: it does not change. */
static void complain(struct containers *containers)
{
	if (!containers->complained) {
		containers->complained = true;
		log_line(LOG_WARNING, "the processes at the unix socket are in a pid namespace "
		                      "that the proxy does "
		                      "not see: they are in no container; run the proxy with 'pid: "
		                      "host' (--pid host)");
	}
}

static enum progress step_peer(struct search *search)
{
	const struct peer peer = peer_of(search);

	if (peer.pid == 0) {
		complain(search->home);
	}
	return peer_find(&peer, search->id) ? go_to(search, STEP_EVENTS) : end(search, SEARCH_NONE);
}

/* Until the question of that number is answered. END: it was not; the search has failed. */
static enum progress await(struct search *search, struct collection *collection, unsigned number)
{
	search->awaited = search->awaited == 0 ? number : search->awaited;
	if (collection->answered < search->awaited) {
		collection_ask(collection);
		return PROGRESS_WAIT;
	}
	return collection->result == ASK_ANSWERED
	               ? PROGRESS_ON
	               : fail(search, collection->result, collection->error);
}

static enum progress step_events(struct search *search)
{
	struct collection *events = &search->home->events;

	if (events->live) {
		return go_to(search, has_process(search) ? STEP_INSPECT : STEP_NETWORKS);
	}
	const enum progress progress = await(search, events, collection_next(events));
	/* An Engine that ends the stream at once is of no use. */
	return progress == PROGRESS_ON ? fail(search, ASK_CUT, 0) : progress;
}

static bool is_gateway(const struct containers *containers, const union address *address)
{
	for (unsigned i = 0; i < containers->network_count; i++) {
		if (network_has(&containers->network_list[i].gateway, address)) {
			return true;
		}
	}
	return false;
}

static bool is_in_networks(const struct containers *containers, const union address *address)
{
	for (unsigned i = 0; i < containers->network_count; i++) {
		if (network_has(&containers->network_list[i].subnet, address)) {
			return true;
		}
	}
	return false;
}

/* Whether a bridge of the node may have any addresses, for all that the last list says. */
static bool has_untold_bridge(const struct containers *containers)
{
	const struct collection *list = &containers->list;
	const bool tells = list->answered >= containers->list_due && list->result == ASK_ANSWERED;

	for (unsigned i = 0; i < containers->node_bridge_count; i++) {
		if (!tells || !containers->node_bridges[i].told) {
			return true;
		}
	}
	return false;
}

/* Whether the address may be that of a container. A gateway is this machine. */
static bool may_be_found(const struct containers *containers, const union address *address)
{
	return !is_gateway(containers, address) &&
	       (is_in_networks(containers, address) || has_untold_bridge(containers));
}

static enum progress step_networks(struct search *search)
{
	struct containers *containers = search->home;
	struct collection *networks = &containers->networks;
	const enum progress progress = await(search, networks, containers->networks_due);

	if (progress != PROGRESS_ON) {
		return progress;
	}
	if (networks->answered < containers->networks_due) {
		return go_to(search, STEP_NETWORKS); /* they have changed since */
	}
	return may_be_found(containers, &search->caller->address) ? go_to(search, STEP_LIST)
	                                                          : end(search, SEARCH_NONE);
}

static enum progress pause(struct search *search)
{
	struct containers *containers = search->home;

	if (++search->rounds == ROUNDS_MAX || !may_be_found(containers, &search->caller->address)) {
		return end(search, SEARCH_NONE);
	}
	search->starts = containers->starts;
	timer_start(containers->asker->loop, &containers->pause_queue, &search->pause);
	return go_to(search, STEP_PAUSE);
}

static enum progress step_list(struct search *search)
{
	struct containers *containers = search->home;

	if (containers->list.answered >= containers->list_due &&
	        is_in_networks(containers, &search->caller->address) &&
	        containers_find(containers, &search->caller->address, search->id)) {
		return go_to(search, STEP_INSPECT);
	}
	const enum progress progress =
	        await(search, &containers->list, collection_next(&containers->list));
	return progress == PROGRESS_ON ? pause(search) : progress;
}

static enum progress step_pause(struct search *search)
{
	if (!list_empty(&search->pause.link) && search->starts == search->home->starts) {
		return PROGRESS_WAIT;
	}
	timer_stop(&search->pause);
	return go_to(search, STEP_LIST);
}

/* ── Inspection ──────────────────────────────────────────────────────────── */

static bool has_address(const struct json_node *object, const union address *address)
{
	const struct json_node *endpoints = read_endpoints(object);
	const struct json_node *endpoint = endpoints == NULL ? NULL : json_first(endpoints);
	struct network addresses[2];

	for (; endpoint != NULL; endpoint = json_next(endpoints, endpoint)) {
		const unsigned count = read_addresses(endpoint, addresses);
		for (unsigned i = 0; i < count; i++) {
			if (network_has(&addresses[i], address)) {
				return true;
			}
		}
	}
	return false;
}

static bool is_open(int fd)
{
	struct pollfd end = {.fd = fd, .events = POLLRDHUP};

	return poll(&end, 1, 0) == 0;
}

/*
 * A connection that is older than the container may be that of another one, which had the address
 * before and has stopped: its end has come then, for the address is free only after it. A container
 * that is just starting may have connected before the Engine noted that it runs.
 */
static bool is_its_own(const struct search *search, const struct inspected *inspected)
{
	const int64_t age_ns = clock_monotonic_ns() - search->since_ns;

	return inspected->started_ns < clock_realtime_ns() - age_ns || is_open(search->fd);
}

/* Whether the client is in the container that was inspected. */
static bool is_inside(const struct search *search, const struct json_node *object,
        const struct inspected *inspected)
{
	const struct peer peer = peer_of(search);

	if (!inspected->running || !slice_equal(inspected->container.id, slice_of(search->id))) {
		return false;
	}
	return has_process(search) ? peer_is_with(&peer, inspected->pid)
	                           : has_address(object, &search->caller->address) &&
	                                     is_its_own(search, inspected);
}

/* False: there is no memory. */
static bool judge(struct search *search, bool *ret_inside)
{
	struct containers *containers = search->home;
	struct inspect_memory *memory = pool_take(containers->inspect_pool);

	*ret_inside = false;
	if (memory == NULL) {
		return false;
	}
	struct json_document document = inspect_document(memory);
	if (json_read(&document, ask_bytes(&search->inspection)) == JSON_OK &&
	        read_inspected(document.nodes, &containers->inspected) &&
	        is_inside(search, document.nodes, &containers->inspected)) {
		search->found = containers_keep(containers);
		*ret_inside = true;
	}
	pool_give(containers->inspect_pool, memory);
	return !*ret_inside || search->found != NULL;
}

static void inspected(struct ask *ask)
{
	struct search *search = CONTAINER_OF(ask, struct search, inspection);

	loop_put_off(search->home->asker->loop, &search->again);
}

static enum progress inspect(struct search *search)
{
	const char *key = search->home->api_key;
	struct asker *asker = search->home->asker;
	struct text text;

	if (!ask_begin(&search->inspection, asker, asker->upstream, inspected, &text)) {
		return fail(search, ASK_NO_MEMORY, 0);
	}
	text_add_format(
	        &text, "GET /containers/%s/json HTTP/1.1\r\nHost: localhost\r\n", search->id);
	ask_add_fields(asker, &text);
	if (key != NULL) {
		text_add_format(&text, "x-api-key: %s\r\n", key);
	}
	text_add(&text, SLICE("\r\n"));
	search->stale = false;
	ask_send(&search->inspection, text.len, INSPECT_BODY_MAX);
	return PROGRESS_WAIT;
}

/* At the end of its rounds, the search ends as `result`. */
static enum progress search_again(struct search *search, enum search_result result)
{
	if (++search->rounds >= ROUNDS_MAX) {
		return result == SEARCH_FAILED ? fail(search, ASK_LATE, 0) : end(search, result);
	}
	return go_to(search, has_process(search) ? STEP_PEER : STEP_EVENTS);
}

static enum progress step_inspect(struct search *search)
{
	struct ask *ask = &search->inspection;
	bool inside = false;

	if (ask->state == ASK_NOTHING) {
		return inspect(search);
	}
	if (ask->state == ASK_WAITING) {
		return PROGRESS_WAIT;
	}
	if (ask->state != ASK_ANSWERED || (ask->status != 200 && ask->status != 404)) {
		return fail(search, ask->state == ASK_ANSWERED ? ASK_MALFORMED : ask->state,
		        ask->error);
	}
	if (search->stale) {
		ask_end(ask);
		return search_again(search, SEARCH_FAILED); /* it changes all the time */
	}
	if (ask->status == 200 && !judge(search, &inside)) {
		return fail(search, ASK_NO_MEMORY, 0);
	}
	ask_end(ask);
	if (inside) {
		return end(search, SEARCH_FOUND);
	}
	containers_forget(search->home, slice_of(search->id));
	return has_process(search) ? end(search, SEARCH_NONE) : search_again(search, SEARCH_NONE);
}

/* ── All of it ───────────────────────────────────────────────────────────── */

static enum progress (*const steps[])(struct search *search) = {
        [STEP_PEER] = step_peer,
        [STEP_EVENTS] = step_events,
        [STEP_NETWORKS] = step_networks,
        [STEP_LIST] = step_list,
        [STEP_PAUSE] = step_pause,
        [STEP_INSPECT] = step_inspect,
};

static void go_on(struct task *task)
{
	struct search *search = CONTAINER_OF(task, struct search, again);
	enum progress progress = PROGRESS_ON;

	while (progress == PROGRESS_ON) {
		progress = steps[search->step](search);
	}
	if (progress == PROGRESS_END) {
		stop(search);
		search->notify(search);
	}
}

static void pause_expired(struct timer *timer)
{
	struct search *search = CONTAINER_OF(timer, struct search, pause);

	loop_put_off(search->home->asker->loop, &search->again);
}

void search_begin(struct search *search, struct containers *containers, search_notify *notify,
        const struct caller *caller, int fd, int64_t since_ns)
{
	*search = (struct search){
	        .home = containers,
	        .notify = notify,
	        .caller = caller,
	        .fd = fd,
	        .since_ns = since_ns,
	};
	search->step = has_process(search) ? STEP_PEER : STEP_EVENTS;
	timer_init(&search->pause, pause_expired);
	task_init(&search->again, go_on);
	list_init(&search->link);
	ask_init(&search->inspection, containers->asker);
	list_append(&containers->searches, &search->link);
	loop_put_off(containers->asker->loop, &search->again);
}

void search_end(struct search *search)
{
	if (search->result == SEARCH_GOES_ON) {
		stop(search);
	}
}
