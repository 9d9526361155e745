/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include "base/log.h"

enum { TURNS_MAX = 100000 };

static const uint16_t in_order[] = {0, 1, 2};

void stage_allow(struct stage *stage, const char *const *operations)
{
	char error[FAULT_MAX];
	const struct place place = {.file = "test"};
	struct policy_match match = {.operations = operations};

	log_setup(LOG_EMERG, LOG_TEXT);
	while (match.operations[match.operation_count] != NULL) {
		match.operation_count++;
	}
	stage->policies = policy_set_new();
	ASSERT(stage->policies != NULL);
	ASSERT(policy_new(stage->policies, SLICE("test"), place, &stage->policy, error) == 0);
	ASSERT(policy_add_rule(stage->policy, true, &match, "allow", place, error) == 0);
	ASSERT(policy_compile(stage->policy, error) == 0);
}

void stage_forget(struct stage *stage)
{
	policy_set_free(stage->policies);
}

static void keep_snapshot(struct snapshot *snapshot)
{
	(void)snapshot;
}

void stage_init(struct stage *stage)
{
	script_net_init(&stage->net);
	stage->shared = (struct worker_shared){
	        .max_connections = 16, .max_descriptors = 64, .max_bodies = 2, .max_large = 32};
	denials_init(&stage->shared.denials);
	stage->shared.accounts = accounts_new();
	ASSERT(stage->shared.accounts != NULL);
	for (unsigned i = 0; i < ARRAY_LEN(stage->engines); i++) {
		stage->engines[i] = (struct snapshot_engine){
		        .id = i,
		        .name = i == 0 ? "default" : "member",
		        .text = "unix:///nowhere.sock",
		        .transport = &stage->net.transport,
		        .address = address_of_path(SLICE("/nowhere.sock")),
		};
	}
	stage->snapshot = (struct snapshot){
	        .references = 1,
	        .free = keep_snapshot,
	        .engines = stage->engines,
	        .engines_by_id = in_order,
	        .engine_count = ARRAY_LEN(stage->engines),
	        .max_head = 64 * 1024,
	        .head_timeout = 10,
	        .shutdown_grace = 5,
	        .listener_count = 1,
	        .listeners = {{
	                .gate = {.policy = stage->policy, .max_head = 64 * 1024},
	                .transport = &stage->net.transport,
	        }},
	};
	ASSERT(worker_new(&stage->shared, &stage->snapshot, &stage->worker) == 0);
}

bool stage_is_empty(const struct stage *stage)
{
	return list_empty(&stage->worker->sessions);
}

void stage_done(struct stage *stage)
{
	struct worker *worker = stage->worker;

	ASSERT(stage_is_empty(stage));
	ASSERT(atomic_load(&stage->shared.connections) == 0);
	upstreams_close_idle(&worker->upstreams);
	stage_turn(stage);
	worker_free(worker); /* which asserts that all is home */
	script_net_done(&stage->net);
	ASSERT(atomic_load(&stage->snapshot.references) == 1);
	denials_finish(&stage->shared.denials);
	accounts_free(stage->shared.accounts);
}

void stage_group(struct stage *stage)
{
	stage->engines[0].members = &in_order[1];
	stage->engines[0].member_count = 2;
}

struct script *stage_client(struct stage *stage)
{
	const struct caller caller = {.address = {.any = {.sa_family = AF_UNIX}}};
	const int fd = script_begin(&stage->net);

	char memory[256] = "";
	struct text reason = text_over(memory, sizeof(memory));
	struct account *host = NULL;

	ASSERT(session_count(stage->worker, &caller, &host, &reason) == OUTCOME_FORWARDED);
	const int error = session_open(stage->worker, fd, &caller, host);
	ASSERT(error == 0);
	return &stage->net.scripts[fd];
}

struct script *stage_engine(struct stage *stage)
{
	struct script *engine = NULL;

	for (unsigned i = 0; i < stage->net.count; i++) {
		struct script *script = &stage->net.scripts[i];
		engine = script->connects ? script : engine;
	}
	return engine;
}

void stage_turn(struct stage *stage)
{
	struct loop *loop = worker_loop(stage->worker);
	unsigned turns = 0;

	do {
		loop_end_turn(loop);
		ASSERT(++turns < TURNS_MAX); /* somebody goes on for ever */
	} while (!list_empty(&loop->tasks));
}

void stage_pass(struct stage *stage, int64_t ns)
{
	worker_loop(stage->worker)->now_ns += ns;
	stage_turn(stage);
}
