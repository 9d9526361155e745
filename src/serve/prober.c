/* SPDX-License-Identifier: MIT */
/*
 * prober — asks each Engine of `engines` GET /_ping every 10 seconds, in the first thread.
 *
 * The questions are spread over the period, so that a thousand Engines are a hundred questions a
 * second and no burst. They go over connections that are kept. Without `engines` nothing is asked.
 */
#include "base/clock.h"
#include "serve/internal.h"

enum {
	PERIOD_MS = 10 * 1000,
	FEW_MS = 1000, /* between two looks at what is due, up to FEW Engines */
	MANY_MS = 100, /* beyond */
	FEW = 10,
	PATIENCE_S = 3, /* for an answer, with its connection */
	PROBES_MAX = 256,
	ANSWER_MAX = 4 * 1024, /* bytes; the Engine sends two */
	ERRORS_FROM = 500,
};

struct probe {
	struct ask ask;
	struct server *server;
	struct snapshot *snapshot; /* in which its Engine is */
	struct upstream *upstream;
	struct pulse *pulse;
	struct timer patience;
	struct list link;
};

/* ── One probe ───────────────────────────────────────────────────────────── */

static void end_probe(struct probe *probe)
{
	ask_end(&probe->ask);
	timer_stop(&probe->patience);
	list_remove(&probe->link);
	probe->pulse->probed = false;
	upstream_leave(probe->upstream);
	snapshot_unref(probe->snapshot);
	pool_give(&probe->server->prober.probes, probe);
}

static void judge(struct probe *probe)
{
	const struct ask *ask = &probe->ask;

	switch (ask->state) {
	case ASK_UNREACHABLE:
		pulse_failed(probe->pulse, pulse_trouble_of(ask->error, ask->tls));
		break;
	case ASK_ANSWERED:
	case ASK_TOO_LARGE: /* such as a page of another proxy */
		if (ask->status < ERRORS_FROM) {
			pulse_answered(probe->pulse);
		} else {
			pulse_missed(probe->pulse, TROUBLE_ERROR);
		}
		break;
	case ASK_CUT:
	case ASK_MALFORMED:
		pulse_missed(probe->pulse, TROUBLE_ERROR);
		break;
	case ASK_LATE:
		pulse_missed(probe->pulse, TROUBLE_SILENT);
		break;
	case ASK_NOTHING:
	case ASK_WAITING:
	case ASK_FULL: /* the proxy lacks something */
	case ASK_NO_MEMORY:
		break;
	}
}

static void answered(struct ask *ask)
{
	struct probe *probe = CONTAINER_OF(ask, struct probe, ask);

	if (ask->state != ASK_WAITING) {
		judge(probe);
		end_probe(probe);
	}
}

/* Without a connection nothing was sent. */
static void patience_expired(struct timer *timer)
{
	struct probe *probe = CONTAINER_OF(timer, struct probe, patience);

	if (probe->ask.sent) {
		pulse_missed(probe->pulse, TROUBLE_SILENT);
	} else if (probe->ask.engine != NULL) { /* a full queue of an Engine is no fault of it */
		pulse_failed(probe->pulse, TROUBLE_TIMEOUT);
	}
	end_probe(probe);
}

static void write_question(
        const struct asker *asker, const struct snapshot_engine *engine, struct text *text)
{
	text_add(text, SLICE("GET /_ping HTTP/1.1\r\nHost: localhost\r\n"));
	ask_add_fields(asker, text);
	if (engine->api_key != NULL) {
		text_add_format(text, "x-api-key: %s\r\n", engine->api_key);
	}
	text_add(text, SLICE("\r\n"));
}

/* False: there is no room for a further probe, or no memory. */
static bool ask_engine(struct server *server, struct snapshot *snapshot, unsigned number)
{
	struct prober *prober = &server->prober;
	struct worker *worker = server->threads[0]->worker;
	struct asker *asker = worker_asker(worker);
	const struct snapshot_engine *engine = &snapshot->engines[number];
	struct upstream *upstream = worker_upstream_to(worker, number);
	struct probe *probe = upstream == NULL ? NULL : pool_take(&prober->probes);
	struct text text;

	if (probe == NULL) {
		return false;
	}
	if (!ask_begin(&probe->ask, asker, upstream, answered, &text)) {
		pool_give(&prober->probes, probe);
		return false;
	}
	probe->server = server;
	probe->snapshot = snapshot_ref(snapshot);
	probe->upstream = upstream_join(upstream);
	probe->pulse = engine->pulse;
	probe->pulse->probed = true;
	timer_init(&probe->patience, patience_expired);
	list_append(&prober->running, &probe->link);
	timer_start(asker->loop, &prober->patience_queue, &probe->patience);
	write_question(asker, engine, &text);
	ask_send(&probe->ask, text.len, ANSWER_MAX);
	return true;
}

/* ── What is due ─────────────────────────────────────────────────────────── */

/* False: it stays the next one, so that Engines that do not answer take no turn from others. */
static bool ask_next(struct server *server, struct snapshot *snapshot)
{
	struct prober *prober = &server->prober;
	const unsigned number = prober->next % snapshot->engine_count;
	const struct pulse *pulse = snapshot->engines[number].pulse;
	const bool done = pulse == NULL || pulse->probed || ask_engine(server, snapshot, number);

	prober->next = number + done;
	return done;
}

static struct timer_queue *ticks_of(struct prober *prober, const struct snapshot *snapshot)
{
	return snapshot->engine_count > FEW ? &prober->many_queue : &prober->few_queue;
}

static void tick_expired(struct timer *timer)
{
	struct server *server = CONTAINER_OF(timer, struct server, prober.tick);
	struct prober *prober = &server->prober;
	struct worker *worker = server->threads[0]->worker;
	struct snapshot *snapshot = worker_snapshot(worker);
	struct timer_queue *queue = ticks_of(prober, snapshot);

	if (server->stopping || !snapshot_config(snapshot)->has_engines) {
		return;
	}
	/* What there was no room for is asked later, and not with more questions at once. */
	prober->due = prober->due < PERIOD_MS ? prober->due : PERIOD_MS;
	prober->due += snapshot->engine_count * (unsigned)(queue->duration_ns / NS_PER_MS);
	while (prober->due >= PERIOD_MS && ask_next(server, snapshot)) {
		prober->due -= PERIOD_MS;
	}
	timer_start(worker_loop(worker), queue, timer);
}

/* ── Life ────────────────────────────────────────────────────────────────── */

void prober_begin(struct server *server)
{
	struct prober *prober = &server->prober;
	struct loop *loop = worker_loop(server->threads[0]->worker);

	if (!prober->began) {
		prober->began = true;
		list_init(&prober->running);
		timer_queue_init(loop, &prober->few_queue, FEW_MS * NS_PER_MS);
		timer_queue_init(loop, &prober->many_queue, MANY_MS * NS_PER_MS);
		timer_queue_init(loop, &prober->patience_queue, PATIENCE_S * NS_PER_S);
		timer_init(&prober->tick, tick_expired);
		pool_init(&prober->probes, sizeof(struct probe), PROBES_MAX, 1);
	}
	if (server_config(server)->has_engines && list_empty(&prober->tick.link)) {
		timer_start(loop, ticks_of(prober, server->snapshot), &prober->tick);
	}
}

void prober_end(struct server *server)
{
	struct prober *prober = &server->prober;

	if (!prober->began) {
		return;
	}
	timer_stop(&prober->tick);
	while (!list_empty(&prober->running)) {
		end_probe(CONTAINER_OF(prober->running.next, struct probe, link));
	}
	pool_done(&prober->probes);
	prober->began = false;
}
