/* SPDX-License-Identifier: MIT */
#include "session/worker.h"

#include "base/clock.h"
#include "net/tls.h"
#include "session/state.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	OBJECTS_KEPT = 64,
	CLOSING_MAX = 1024, /* that wait for the end of a turn, and count no more */
	FAREWELL_S = 1,     /* to take a last response, after the grace */
	HEADROOM = 320,     /* what rewriting may add to a head, the key apart */
	TRIM_S = 10,
	AGAIN_S = 1,
	ENDS_S = 1,
	MOVE_S = 2,  /* less than clients wait for a connection */
	GAUGE_S = 5, /* less than any scrape interval in use */
	/* Of a chunked body: what was read and not yet taken apart. */
	CHUNKS_ROOM = HTTP_CHUNK_LINE_MAX + HTTP_TRAILERS_MAX,
	TRIM_SLABS = 256, /* of each pool in a turn: a millisecond or two */
	/* Idle connections to all Engines: one of so many descriptors, and these bounds. */
	IDLE_SHARE = 16,
	IDLE_MIN = 64,
	IDLE_MAX = 2048,
};

/* ── Stopping ────────────────────────────────────────────────────────────── */

static void grace_expired(struct timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, grace);

	worker->stopping = worker->dismissing = true;
	sessions_dismiss(worker);
	timer_start(&worker->loop, &worker->farewell_queue, &worker->farewell);
}

/* Connections that were new then are not any more, if no others have come out of the queue. */
static void newcomers_expired(struct timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, newcomers);

	sessions_wake_idle(worker);
	if (!list_empty(&worker->sessions)) {
		timer_start(&worker->loop, &worker->newcomer_queue, &worker->newcomers);
	}
}

static void farewell_expired(struct timer *timer)
{
	sessions_abort(CONTAINER_OF(timer, struct worker, farewell));
}

void worker_stop(struct worker *worker)
{
	const unsigned grace_s = worker->adoption->snapshot->shutdown_grace;

	worker->stopping = worker->leaving = true;
	timer_queue_init(&worker->loop, &worker->grace_queue, grace_s * NS_PER_S);
	timer_start(&worker->loop, &worker->grace_queue, &worker->grace);
	timer_start(&worker->loop, &worker->newcomer_queue, &worker->newcomers);
	sessions_stop(worker);
}

static void leave(struct worker *worker, unsigned timeout_s)
{
	worker->leaving = true;
	timer_queue_init(&worker->loop, &worker->drain_queue, timeout_s * NS_PER_S);
	timer_start(&worker->loop, &worker->drain_queue, &worker->grace);
	if (list_empty(&worker->sessions)) {
		worker_end(worker);
	}
}

void worker_drain(struct worker *worker)
{
	leave(worker, worker->adoption->snapshot->drain_timeout);
}

void worker_retire(struct worker *worker)
{
	leave(worker, worker->adoption->snapshot->shutdown_grace);
}

void worker_end(struct worker *worker)
{
	containers_stop(worker->containers);
	upstreams_close_idle(&worker->upstreams);
	if (worker->shared->ended == NULL) {
		loop_stop(&worker->loop);
	} else if (!worker->ended) {
		worker->ended = true;
		worker->shared->ended(worker, worker->shared);
	}
}

struct asker *worker_asker(struct worker *worker)
{
	return &worker->asker;
}

struct upstream *worker_upstream(struct worker *worker)
{
	return worker->adoption->upstreams[0];
}

struct snapshot *worker_snapshot(struct worker *worker)
{
	return worker->adoption->snapshot;
}

struct upstream *worker_upstream_to(struct worker *worker, unsigned number)
{
	return worker_reach(worker, worker->adoption, number);
}

struct loop *worker_loop(struct worker *worker)
{
	return &worker->loop;
}

/* ── Memory ──────────────────────────────────────────────────────────────── */

void worker_trim_later(struct worker *worker)
{
	if (list_empty(&worker->trim.link)) {
		timer_start(&worker->loop, &worker->trim_queue, &worker->trim);
	}
}

/* Return unused memory; while there is more of it, again soon. */
static void trim(struct worker *worker)
{
	struct pool *const pools[] = {&worker->session_pool, &worker->exchange_pool,
	        &worker->upstreams.connections, &worker->lender.buffers.small,
	        &worker->lender.buffers.large, &worker->lender.buffers.whole, &worker->inspect_pool,
	        &worker->lookup_pool, &worker->search_pool, &worker->rewriting_pool,
	        &worker->narrower_pool};
	bool more = false;
	bool left = false;

	for (unsigned i = 0; i < ARRAY_LEN(pools); i++) {
		more = pool_trim(pools[i], TRIM_SLABS) == TRIM_SLABS || more;
		left = left || pools[i]->slab_count > 0;
	}
	left = (worker->containers != NULL && containers_trim(worker->containers)) || left;
	tls_trim();
	if (more) {
		loop_put_off(&worker->loop, &worker->trim_more);
		return;
	}
	(void)malloc_trim(0); /* OpenSSL has its memory from there */
	if (left) {
		worker_trim_later(worker);
	}
}

static void trim_expired(struct timer *timer)
{
	trim(CONTAINER_OF(timer, struct worker, trim));
}

static void trim_again(struct task *task)
{
	trim(CONTAINER_OF(task, struct worker, trim_more));
}

/* ── Clients whose time is over ──────────────────────────────────────────── */

void worker_watch_ends(struct worker *worker)
{
	if (worker->adoption->snapshot->has_ends && list_empty(&worker->ends.link)) {
		timer_start(&worker->loop, &worker->ends_queue, &worker->ends);
	}
}

static void ends_expired(struct timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, ends);

	sessions_end_clients(worker, clock_realtime_ns() / NS_PER_S);
	if (!list_empty(&worker->sessions)) {
		worker_watch_ends(worker);
	}
}

/* ── Requests of former snapshots ────────────────────────────────────────── */

static void again_expired(struct timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, again);

	timer_stop(timer);
	if (sessions_judge_again(worker)) {
		timer_start(&worker->loop, &worker->again_queue, &worker->again);
	}
}

/* ── Metrics ─────────────────────────────────────────────────────────────── */

void worker_watch_bytes(struct worker *worker)
{
	if (worker->meter != NULL && list_empty(&worker->gauge.link)) {
		timer_start(&worker->loop, &worker->gauge_queue, &worker->gauge);
	}
}

static void gauge_expired(struct timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, gauge);

	sessions_count_bytes(worker);
	if (!list_empty(&worker->sessions)) {
		worker_watch_bytes(worker);
	}
}

/* ── Snapshots ───────────────────────────────────────────────────────────── */

/*
 * Engines that stay the same keep their connections. A transport lives as long as its snapshot: by
 * another one only new connections are made, to what counts as another Engine. The default Engine
 * is in every snapshot, so that it has the transport of the last one.
 */
static void keep_upstreams(const struct adoption *former, struct adoption *adoption)
{
	const struct snapshot *next = adoption->snapshot;

	adoption->upstreams[0] = upstream_join(former->upstreams[0]);
	upstream_use(adoption->upstreams[0], next->engines[0].transport);
	for (unsigned i = 1; i < former->snapshot->engine_count; i++) {
		struct upstream *upstream = former->upstreams[i];
		if (upstream == NULL) {
			continue;
		}
		const unsigned number = snapshot_find_engine(next, former->snapshot->engines[i].id);
		if (number < next->engine_count &&
		        next->engines[number].transport == upstream->transport) {
			adoption->upstreams[number] = upstream_join(upstream);
		} else {
			upstream_pass(upstream);
		}
	}
}

void worker_adopt(struct worker *worker, struct adoption *adoption)
{
	struct adoption *former = worker->adoption;

	worker->adoption = adoption;
	keep_upstreams(former, adoption);
	if (!list_empty(&worker->sessions)) {
		worker_watch_ends(worker);
	}
	sessions_adopt(worker);
	former->exchanges++; /* the last of its requests may end in here */
	again_expired(&worker->again);
	former->exchanges--;
	if (former->exchanges == 0) {
		adoption_free(former);
	}
}

struct adoption *worker_enter(struct worker *worker)
{
	worker->adoption->exchanges++;
	return worker->adoption;
}

void worker_leave(struct worker *worker, struct adoption *adoption)
{
	if (--adoption->exchanges == 0 && adoption != worker->adoption) {
		adoption_free(adoption);
	}
}

/* ── Life ────────────────────────────────────────────────────────────────── */

static void init_queues(struct worker *worker)
{
	const struct snapshot *settings = worker->adoption->snapshot;
	struct loop *loop = &worker->loop;
	const int64_t deadlines_ns[SESSION_STATES] = {
#define STATE(name, step, round, deadline_ns, expired, dismissed) [SESSION_##name] = (deadline_ns),
#include "session/states.def"
#undef STATE
	};

	for (unsigned state = 0; state < SESSION_STATES; state++) {
		timer_queue_init(loop, &worker->deadlines[state], deadlines_ns[state]);
	}
	timer_queue_init(loop, &worker->move_queue, MOVE_S * NS_PER_S);
	timer_queue_init(loop, &worker->farewell_queue, FAREWELL_S * NS_PER_S);
	timer_queue_init(loop, &worker->newcomer_queue, SESSION_NEWCOMER_S * NS_PER_S);
	timer_queue_init(loop, &worker->trim_queue, TRIM_S * NS_PER_S);
	timer_queue_init(loop, &worker->ends_queue, ENDS_S * NS_PER_S);
	timer_queue_init(loop, &worker->again_queue, AGAIN_S * NS_PER_S);
	timer_queue_init(loop, &worker->gauge_queue, GAUGE_S * NS_PER_S);
	timer_init(&worker->gauge, gauge_expired);
	timer_init(&worker->ends, ends_expired);
	timer_init(&worker->again, again_expired);
	timer_init(&worker->trim, trim_expired);
	task_init(&worker->trim_more, trim_again);
	timer_init(&worker->grace, grace_expired);
	timer_init(&worker->farewell, farewell_expired);
	timer_init(&worker->newcomers, newcomers_expired);
	list_init(&worker->sessions);
}

struct containers *worker_containers(struct worker *worker)
{
	const unsigned max = worker->shared->max_connections + CLOSING_MAX;

	if (worker->containers == NULL) {
		worker->containers = containers_new(&worker->asker, &worker->inspect_pool,
		        worker->adoption->snapshot->engines[0].api_key, 2 * max,
		        sessions_change_containers, worker);
	}
	return worker->containers;
}

static int init_memory(struct worker *worker)
{
	const struct snapshot *settings = worker->adoption->snapshot;
	const char *key = settings->engines[0].api_key;
	const size_t key_len = key == NULL ? 0 : strlen(key);
	const uint32_t headroom = (uint32_t)key_len + HEADROOM;
	const uint32_t head_size = settings->max_head + headroom + BUFFER_SMALL_SIZE;

	const unsigned max = worker->shared->max_connections + CLOSING_MAX;
	pool_init(&worker->session_pool, sizeof(struct session), max, OBJECTS_KEPT);
	pool_init(&worker->exchange_pool, sizeof(struct exchange), max, OBJECTS_KEPT);
	buffer_lender_init(&worker->lender.buffers, headroom,
	        head_size > BUFFER_LARGE_SIZE ? head_size : BUFFER_LARGE_SIZE, 2 * max,
	        worker->shared->max_large);
	buffer_lender_hold(&worker->lender.buffers,
	        settings->max_head + headroom + INSPECT_BODY_MAX + CHUNKS_ROOM + BUFFER_SMALL_SIZE,
	        worker->shared->max_bodies);
	pool_init(&worker->rewriting_pool, sizeof(struct rewriting), max, OBJECTS_KEPT);
	pool_init(&worker->narrower_pool, sizeof(struct scope_narrower), max, 1);
	pool_init(&worker->inspect_pool, sizeof(struct inspect_memory), 1, 1);
	pool_init(&worker->lookup_pool, session_lookup_size(), max, 1);
	pool_init(&worker->search_pool, sizeof(struct search), max, 1);
	worker->scratch_len = settings->max_head + headroom;
	worker->scratch = malloc(worker->scratch_len);
	worker->gate.judging = policy_scratch_new();
	worker->gate.recall = recall_new();
	if (worker->shared->trail != NULL) {
		worker->trail = trail_add_queue(worker->shared->trail, &worker->loop);
		if (worker->trail == NULL) {
			return -ENOMEM;
		}
	}
	if (worker->shared->metrics != NULL) {
		worker->meter = metrics_add_meter(worker->shared->metrics);
		if (worker->meter == NULL) {
			return -ENOMEM;
		}
	}
	return worker->scratch == NULL || worker->gate.judging == NULL ||
	                       worker->gate.recall == NULL ||
	                       (settings->has_containers && worker_containers(worker) == NULL)
	               ? -ENOMEM
	               : 0;
}

/* Those of other workers and of a former process begin elsewhere. */
static uint64_t first_id(void)
{
	uint64_t id = 0;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id)) {
		id = (uint64_t)clock_realtime_ns() * 0x9e3779b97f4a7c15U;
	}
	return id;
}

/* An idle connection is a descriptor that another one may need. */
static unsigned idle_max(const struct worker_shared *shared)
{
	const unsigned share = shared->max_descriptors / IDLE_SHARE;

	return share > IDLE_MAX ? IDLE_MAX : share < IDLE_MIN ? IDLE_MIN : share;
}

int worker_new(struct worker_shared *shared, struct snapshot *snapshot, struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct adoption *adoption = adoption_new(snapshot);
	int error = worker == NULL || adoption == NULL ? -ENOMEM : loop_init(&worker->loop);

	if (error < 0) {
		adoption_free(adoption);
		free(worker);
		return error;
	}
	worker->shared = shared;
	worker->adoption = adoption;
	worker->next_id = first_id();
	worker->record_clock.second = -1;
	worker->max_head = snapshot->max_head;
	init_queues(worker);
	upstreams_init(&worker->upstreams, &worker->loop, shared->max_connections + CLOSING_MAX,
	        idle_max(shared), &shared->engine_connections);
	struct upstream *upstream = worker_reach(worker, adoption, 0);
	asker_init(&worker->asker, &worker->loop, upstream, &worker->lender, worker->gate.fields);
	worker->asker.via = shared->via[0] == '\0' ? NULL : shared->via;
	audit_init(&worker->audit, &worker->loop);
	error = init_memory(worker);
	if (error < 0 || upstream == NULL) {
		worker_free(worker);
		return error < 0 ? error : -ENOMEM;
	}
	*ret_worker = worker;
	return 0;
}

struct upstream *worker_make_upstream(
        struct worker *worker, struct adoption *adoption, unsigned number)
{
	const struct snapshot_engine *engine = &adoption->snapshot->engines[number];
	const union address *moved = engine_places_find(worker->places, engine->id);

	ASSERT(number < adoption->snapshot->engine_count && engine->member_count == 0);
	struct upstream *upstream = upstream_new(
	        &worker->upstreams, engine->transport, moved != NULL ? moved : &engine->address);
	if (upstream != NULL && adoption != worker->adoption) {
		upstream_pass(upstream); /* for a request that began before the last reload */
	}
	adoption->upstreams[number] = upstream;
	return upstream;
}

void worker_move_engines(struct worker *worker, struct engine_places *places)
{
	const struct adoption *adoption = worker->adoption;

	for (unsigned i = 0; i < places->count; i++) {
		const union address *address = &places->list[i].address;
		const unsigned number =
		        snapshot_find_engine(adoption->snapshot, places->list[i].id);
		struct upstream *upstream = number < adoption->snapshot->engine_count
		                                    ? adoption->upstreams[number]
		                                    : NULL;
		if (upstream != NULL && !address_equal(address, &upstream->address)) {
			upstream_move(upstream, address);
		}
	}
	engine_places_unref(worker->places);
	worker->places = places;
}

int worker_run(struct worker *worker)
{
	const int error = loop_run(&worker->loop);

	audit_done(&worker->audit);
	return error;
}

void worker_free(struct worker *worker)
{
	containers_free(worker->containers);
	adoption_free(worker->adoption);
	engine_places_unref(worker->places);
	upstreams_done(&worker->upstreams);
	flow_lender_done(&worker->lender);
	pool_done(&worker->session_pool);
	pool_done(&worker->exchange_pool);
	pool_done(&worker->inspect_pool);
	pool_done(&worker->lookup_pool);
	pool_done(&worker->search_pool);
	pool_done(&worker->rewriting_pool);
	pool_done(&worker->narrower_pool);
	loop_done(&worker->loop);
	policy_scratch_free(worker->gate.judging);
	recall_free(worker->gate.recall);
	free(worker->scratch);
	free(worker);
}
