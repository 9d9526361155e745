/* SPDX-License-Identifier: MIT */
/*
 * snapshot — one configuration by which requests are judged and served, immutable
 * and counted by references.
 *
 * To change its configuration, a running program makes another snapshot, which the
 * workers adopt. A request in progress keeps the snapshot by which it was judged.
 * Ending the last reference frees the snapshot, with policies and settings.
 */
#ifndef SESSION_SNAPSHOT_H
#define SESSION_SNAPSHOT_H

#include "base/check.h"
#include "gate/gate.h"
#include "net/stream.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { SNAPSHOT_LISTENERS_MAX = 16 };

/* The settings for clients of a listener. */
struct snapshot_listener {
	struct gate_config gate;
	const struct transport *transport; /* of accepted connections */
	const char *address;               /* in log lines */
	const char *label;                 /* in records: its name, or else its address */
	bool is_tls;
	/* The same number in another snapshot: it has the same address. */
	unsigned id;
	/* The same number in another snapshot: of TLS, clients are verified by the same files. */
	unsigned trust;
	unsigned number; /* of its name, for metrics */
};

struct snapshot {
	atomic_uint references;
	void (*free)(struct snapshot *snapshot); /* called in any thread, once */
	const struct transport *engine_transport;
	union address engine;        /* address of the Engine; AF_UNSPEC: its name has none yet */
	const char *engine_name;     /* that its certificate must have; NULL: no TLS is spoken */
	const char *engine_text;     /* the same as the configuration has it */
	const char *api_key;         /* NULL: none */
	bool has_keys;               /* clients present keys */
	bool has_ends;               /* entries of clients end */
	bool has_containers;         /* clients are known by their containers */
	bool has_limits;             /* there is a limit, of whomever */
	const struct limits *limits; /* of who is no client; NULL: none */
	const struct limits *total_limits; /* of all clients together; NULL: none */
	const struct limits *widest; /* of those for connections; NULL: somebody has no limit */
	int host_root;         /* folder of the host's files; of no use unless a gate sees them */
	unsigned max_head;     /* bytes */
	unsigned head_timeout; /* seconds */
	unsigned shutdown_grace;
	unsigned drain_timeout; /* seconds */
	unsigned listener_count;
	unsigned numbers; /* of listeners and of trust; none is above it */
	struct snapshot_listener listeners[SNAPSHOT_LISTENERS_MAX];
};

/* The index of the listener with this id; listener_count: it is not there. */
static inline unsigned snapshot_find_listener(const struct snapshot *snapshot, unsigned id)
{
	unsigned i = 0;

	while (i < snapshot->listener_count && snapshot->listeners[i].id != id) {
		i++;
	}
	return i;
}

/* Take a reference. */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* End a reference; the last one frees the snapshot. `snapshot` may be NULL. */
void snapshot_unref(struct snapshot *snapshot);

/*
 * The use of a snapshot by one worker. It holds one reference and counts the
 * requests in progress, so that requests touch no counter that threads share.
 */
struct adoption {
	struct snapshot *snapshot;
	unsigned exchanges;
};

/* Make an adoption, which takes a reference. NULL without memory. */
struct adoption *adoption_new(struct snapshot *snapshot) MUST_USE;
/* `adoption` may be NULL. */
void adoption_free(struct adoption *adoption);

#endif
