/* SPDX-License-Identifier: MIT */
/*
 * snapshot — what holds while a request is judged and served: one configuration,
 * immutable and counted.
 *
 * A running program takes another configuration over by making another snapshot,
 * which its workers adopt. A request that is under way keeps the one by which it
 * was judged; the last reference frees it, with policies and settings.
 */
#ifndef SESSION_SNAPSHOT_H
#define SESSION_SNAPSHOT_H

#include "base/check.h"
#include "gate/gate.h"
#include "net/stream.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { SNAPSHOT_LISTENERS_MAX = 16 };

/* What holds for those who connect at a listener. */
struct snapshot_listener {
	struct gate_config gate;
	const struct transport *transport; /* of what is accepted there */
	bool learns;                       /* what is asked for there is noted */
};

struct snapshot {
	atomic_uint references;
	void (*free)(struct snapshot *snapshot); /* called in any thread, once */
	const struct transport *engine_transport;
	union address engine;    /* its address */
	const char *api_key;     /* NULL: none */
	unsigned max_head;       /* bytes */
	unsigned head_timeout;   /* seconds */
	unsigned shutdown_grace; /* seconds */
	unsigned listener_count;
	struct snapshot_listener listeners[SNAPSHOT_LISTENERS_MAX];
};

/* One more reference. */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* One less; the last one frees it. NULL is fine. */
void snapshot_unref(struct snapshot *snapshot);

/*
 * A worker's share of a snapshot: it holds one reference, and counts the requests
 * under way for itself, so that they touch no counter of other threads.
 */
struct adoption {
	struct snapshot *snapshot;
	unsigned exchanges;
};

/* With a reference of its own; NULL without memory. */
struct adoption *adoption_new(struct snapshot *snapshot) MUST_USE;
/* NULL is fine. */
void adoption_free(struct adoption *adoption);

#endif
