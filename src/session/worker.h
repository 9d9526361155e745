/* SPDX-License-Identifier: MIT */
/*
 * worker — what the sessions of one thread share. Private to session/.
 */
#ifndef SESSION_WORKER_H
#define SESSION_WORKER_H

#include "audit/audit.h"
#include "audit/denials.h"
#include "gate/gate.h"
#include "session/flow.h"
#include "session/session.h"
#include "upstream/upstream.h"

enum session_state {
#define STATE(name, step, deadline_ns, expired, dismissed) SESSION_##name,
#include "session/states.def"
#undef STATE
	SESSION_STATES,
};

struct worker {
	struct worker_shared *shared;
	struct adoption *adoption; /* of the snapshot by which the next request is judged */
	unsigned max_head;         /* bytes, of a request and of a response */
	struct loop loop;
	bool stopping;
	struct timer grace, farewell;
	int64_t next_diagnosis_ns; /* when the log may say again why the Engine is away */
	struct list sessions;
	struct pool session_pool;
	struct pool exchange_pool;
	struct flow_lender lender;
	struct upstream upstream;
	struct audit audit;
	struct timer_queue deadlines[SESSION_STATES];
	struct timer_queue grace_queue, farewell_queue, trim_queue;
	struct timer trim; /* when unused memory goes back to the system */
	struct task trim_more;
	/* Memory for one call, never kept. */
	struct gate_scratch gate; /* its fields serve responses too */
	char *scratch;
	size_t scratch_len; /* bytes */
};

/* Memory was borrowed: check some time later whether it is still in use. */
void worker_trim_later(struct worker *worker);
/* One more exchange under way, by the snapshot of today; and when it has ended. */
struct adoption *worker_enter(struct worker *worker);
void worker_leave(struct worker *worker, struct adoption *adoption);

/* Called once the worker is stopping: leave if nothing is in progress. */
void sessions_stop(struct worker *worker);
/* The grace is over: do what the column `dismissed` of states.def says with each session. */
void sessions_dismiss(struct worker *worker);
void sessions_abort(struct worker *worker);

#endif
