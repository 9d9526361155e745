/* SPDX-License-Identifier: MIT */
/*
 * worker — what the sessions of one thread share. Private to session/.
 */
#ifndef SESSION_WORKER_H
#define SESSION_WORKER_H

#include "ask/ask.h"
#include "audit/audit.h"
#include "audit/denials.h"
#include "audit/record.h"
#include "base/quota.h"
#include "containers/containers.h"
#include "gate/gate.h"
#include "metrics/meter.h"
#include "flow/flow.h"
#include "session/session.h"
#include "trail/trail.h"
#include "upstream/upstream.h"

enum session_state {
#define STATE(name, step, round, deadline_ns, expired, dismissed) SESSION_##name,
#include "session/states.def"
#undef STATE
	SESSION_STATES,
};

struct worker {
	struct worker_shared *shared;
	struct adoption *adoption; /* of the snapshot by which the next request is judged */
	unsigned max_head;         /* bytes, of a request and of a response */
	struct loop loop;
	bool stopping;   /* idle connections are closed */
	bool dismissing; /* the grace is over: no request is forwarded any more */
	bool leaving;    /* stopping, or others accept: responses end their connections */
	bool ended;      /* leaving, and the last session has ended */
	struct timer grace, farewell, newcomers;
	int64_t next_diagnosis_ns;    /* earliest time of the next log line about the Engine */
	unsigned handshakes;          /* in progress */
	int64_t handshake_ns;         /* of the turn that began at `handshake_turn_ns` */
	int64_t handshake_turn_ns;    /* monotonic */
	struct quota handshake_lines; /* of the log, about those that failed */
	struct list sessions;
	struct pool session_pool;
	struct pool exchange_pool;
	struct pool rewriting_pool;
	struct pool narrower_pool;
	struct flow_lender lender;
	struct upstreams upstreams;   /* connections to all Engines */
	struct engine_places *places; /* of Engines with names; NULL: as the snapshot has them */
	struct asker asker;
	struct containers *containers; /* NULL: no client was known by its container so far */
	struct audit audit;
	struct meter *meter;       /* NULL: nothing is counted */
	struct trail_queue *trail; /* NULL: nobody can want audit records */
	struct record_clock record_clock;
	uint64_t next_id;             /* of an exchange */
	struct quota refused_records; /* of connections */
	struct timer_queue deadlines[SESSION_STATES];
	struct timer_queue move_queue; /* to connect, while a group has another member */
	struct timer_queue grace_queue, drain_queue, farewell_queue, newcomer_queue, trim_queue;
	struct timer_queue ends_queue;
	struct timer_queue gauge_queue;
	struct timer gauge; /* runs while there are sessions, if bytes are counted */
	struct timer ends;  /* runs while there are sessions, if entries of clients end */
	struct timer_queue again_queue;
	struct timer again; /* runs while requests of former snapshots are to be judged again */
	struct timer trim;  /* returns unused memory to the system */
	struct task trim_more;
	/* Memory for the duration of one call. */
	struct gate_scratch gate; /* its fields serve responses too */
	struct pool inspect_pool; /* of one object */
	struct pool lookup_pool;
	struct pool search_pool;
	char *scratch;
	size_t scratch_len; /* bytes */
};

/* The containers of clients; made when they are needed first, NULL without memory. */
struct containers *worker_containers(struct worker *worker) MUST_USE;
/* Memory was borrowed: start the timer that returns unused memory. */
void worker_trim_later(struct worker *worker);
/* A session began: end the requests of clients when their entries end. */
void worker_watch_ends(struct worker *worker);
/* A session began: count the bytes of long exchanges while they go on. */
void worker_watch_bytes(struct worker *worker);
/* The last session has ended, and the worker is stopping. */
void worker_end(struct worker *worker);
/* The connections to the Engine `number` of a snapshot that the worker has adopted; NULL without
 * memory. */
struct upstream *worker_make_upstream(
        struct worker *worker, struct adoption *adoption, unsigned number) MUST_USE;
static inline MUST_USE struct upstream *worker_reach(
        struct worker *worker, struct adoption *adoption, unsigned number)
{
	struct upstream *upstream = adoption->upstreams[number];

	return LIKELY(upstream != NULL) ? upstream : worker_make_upstream(worker, adoption, number);
}
/* Count a new exchange of the current snapshot; and uncount an exchange that has ended. */
struct adoption *worker_enter(struct worker *worker);
void worker_leave(struct worker *worker, struct adoption *adoption);

/* A client that has just connected has not sent its request yet. */
enum { SESSION_NEWCOMER_S = 1 };

/* The worker is stopping: close the sessions without a request in progress, but for newcomers. */
void sessions_stop(struct worker *worker);
/* The same again, for those that were newcomers then. */
void sessions_wake_idle(struct worker *worker);
/* The grace is over: do what the column `dismissed` of states.def says with each session. */
void sessions_dismiss(struct worker *worker);
void sessions_abort(struct worker *worker);
/* The worker has another snapshot: the sessions without a request in progress go on under it. */
void sessions_adopt(struct worker *worker);
/* End the requests in progress that it does not allow. True: some have to be judged later. */
bool sessions_judge_again(struct worker *worker);
/* Something has changed that was known of containers; `owner` is the worker. */
void sessions_change_containers(
        void *owner, enum containers_change what, struct slice id, int64_t at_ns);
/* Count what streams have moved since the last call. */
void sessions_count_bytes(struct worker *worker);
/* Close the sessions whose request is of a client that has ended; the log says so. */
void sessions_end_clients(struct worker *worker, int64_t now_s);

#endif
