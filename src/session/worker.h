/* SPDX-License-Identifier: MIT */
/*
 * worker — what the sessions of one thread share. Private to session/.
 */
#ifndef SESSION_WORKER_H
#define SESSION_WORKER_H

#include "audit/audit.h"
#include "audit/denials.h"
#include "gate/gate.h"
#include "net/listener.h"
#include "session/flow.h"
#include "session/session.h"
#include "upstream/upstream.h"

enum { WORKER_LISTENERS_MAX = 16 };

enum session_state {
#define STATE(name, step, deadline_ns, expired) SESSION_##name,
#include "session/states.def"
#undef STATE
	SESSION_STATES,
};

struct acceptor {
	struct watch watch;
	struct worker *worker;
	struct worker_listener listener;
	struct timer retry; /* when descriptors ran out */
};

struct worker {
	const struct worker_settings *settings;
	struct loop loop;
	struct acceptor acceptors[WORKER_LISTENERS_MAX];
	unsigned acceptor_count;
	struct watch stop_watch; /* an eventfd */
	int spare;               /* a descriptor set aside for the day they run out */
	bool stopping;
	struct timer grace;
	int64_t next_diagnosis_ns; /* when the log may say again why the Engine is away */
	int64_t next_refusal_ns;   /* and that there are too many connections */
	struct list sessions;
	struct pool session_pool;
	struct pool exchange_pool;
	struct flow_lender lender;
	struct upstream upstream;
	struct audit audit;
	struct timer_queue deadlines[SESSION_STATES];
	struct timer_queue grace_queue, retry_queue;
	/* Memory for one call, never kept. */
	struct gate_scratch gate; /* its fields are an answer's too */
	char *scratch;
	size_t scratch_len; /* bytes */
};

/* Take over the socket `fd`, which `acceptor` accepted. */
void session_open(struct acceptor *acceptor, int fd, const union address *peer);
/* Called once the worker is stopping: leave if nothing is in progress. */
void sessions_stop(struct worker *worker);
void sessions_abort(struct worker *worker);

#endif
