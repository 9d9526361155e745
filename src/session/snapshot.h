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

struct pulse;

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

/* An Engine, or a group of Engines. */
struct snapshot_engine {
	/* The same number in another snapshot: the same Engine, at the same place. */
	unsigned id;
	const char *name;
	const char *text;     /* its address as the configuration has it; NULL: it has none */
	const char *tls_name; /* that its certificate must have; NULL: no TLS is spoken */
	const char *api_key;  /* NULL: none */
	const struct transport *transport;
	union address address; /* AF_UNSPEC: it has none, or its name has none yet */
	unsigned member_count; /* of a group; 0: it is none, and has an address */
	const uint16_t *members;
	struct pulse *pulse; /* NULL: nothing is known of it */
};

struct snapshot {
	atomic_uint references;
	void (*free)(struct snapshot *snapshot); /* called in any thread, once */
	/* The first is the default one, which has the id 0 in each snapshot. */
	const struct snapshot_engine *engines;
	const uint16_t *engines_by_id; /* their indices, in the order of ids */
	unsigned engine_count;
	bool has_keys;                     /* clients present keys */
	bool has_ends;                     /* entries of clients end */
	bool has_containers;               /* clients are known by their containers */
	bool has_limits;                   /* there is a limit, of whomever */
	const struct limits *limits;       /* of who is no client; NULL: none */
	const struct limits *total_limits; /* of all clients together; NULL: none */
	const struct limits *widest; /* of those for connections; NULL: somebody has no limit */
	int host_root;         /* folder of the host's files; of no use unless a gate sees them */
	unsigned max_head;     /* bytes */
	unsigned head_timeout; /* seconds */
	unsigned shutdown_grace;
	unsigned drain_timeout; /* seconds */
	unsigned listener_count;
	unsigned numbers; /* of listeners, of trust and of Engines; none is above it */
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

/* The index of the Engine with this id; engine_count: it is not there. */
unsigned snapshot_find_engine(const struct snapshot *snapshot, unsigned id);

/* The number of the member that a request to the group goes to, without those among the bits
 * `tried`; ENGINE_NONE: there is no further one. */
unsigned snapshot_choose_member(
        const struct snapshot *snapshot, const struct snapshot_engine *group, unsigned tried);

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
	/* The connections to each of its Engines; NULL: none was needed so far. Of the worker. */
	struct upstream *upstreams[];
};

/* Make an adoption, which takes a reference. NULL without memory. */
struct adoption *adoption_new(struct snapshot *snapshot) MUST_USE;
/* `adoption` may be NULL. */
void adoption_free(struct adoption *adoption);

/* ── Addresses of names ──────────────────────────────────────────────────── */

/* Where the Engines are that have names, by their ids in ascending order; immutable. */
struct engine_places {
	atomic_uint references;
	unsigned count;
	struct engine_place {
		unsigned id;
		union address address;
	} list[];
};

/* Make places, with `references` to be ended; the caller fills the list. NULL without memory. */
struct engine_places *engine_places_new(unsigned count, unsigned references) MUST_USE;
/* End a reference; the last one frees them. `places` may be NULL. */
void engine_places_unref(struct engine_places *places);
/* NULL: the id is not there, or `places` is NULL. */
const union address *engine_places_find(const struct engine_places *places, unsigned id);

#endif
