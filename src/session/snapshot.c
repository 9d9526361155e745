/* SPDX-License-Identifier: MIT */
#include "session/snapshot.h"

#include "pulse/pulse.h"
#include "upstream/upstream.h"

#include <stdlib.h>

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	(void)atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
	return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
	if (snapshot != NULL && atomic_fetch_sub(&snapshot->references, 1) == 1) {
		snapshot->free(snapshot);
	}
}

/* In both tables ids ascend. */
static int compare_ids(unsigned wanted, unsigned id)
{
	return wanted < id ? -1 : wanted > id;
}

struct wanted_engine {
	const struct snapshot *snapshot;
	unsigned id;
};

static int compare_engine(const void *wanted, const void *number)
{
	const struct wanted_engine *engine = wanted;

	return compare_ids(engine->id, engine->snapshot->engines[*(const uint16_t *)number].id);
}

unsigned snapshot_find_engine(const struct snapshot *snapshot, unsigned id)
{
	const struct wanted_engine wanted = {snapshot, id};

	if (id == 0) {
		return 0;
	}
	const uint16_t *found = bsearch(&wanted, snapshot->engines_by_id, snapshot->engine_count,
	        sizeof(*found), compare_engine);
	return found == NULL ? snapshot->engine_count : *found;
}

unsigned snapshot_choose_member(
        const struct snapshot *snapshot, const struct snapshot_engine *group, unsigned tried)
{
	struct pulse *pulses[ENGINE_MEMBERS_MAX];

	for (unsigned i = 0; i < group->member_count; i++) {
		pulses[i] = snapshot->engines[group->members[i]].pulse;
	}
	const unsigned chosen = pulse_choose(pulses, group->member_count, tried);
	return chosen == PULSE_NOBODY ? ENGINE_NONE : group->members[chosen];
}

struct adoption *adoption_new(struct snapshot *snapshot)
{
	struct adoption *adoption =
	        calloc(1, sizeof(*adoption) + snapshot->engine_count * sizeof(struct upstream *));

	if (adoption != NULL) {
		adoption->snapshot = snapshot_ref(snapshot);
	}
	return adoption;
}

void adoption_free(struct adoption *adoption)
{
	if (adoption != NULL) {
		ASSERT(adoption->exchanges == 0);
		for (unsigned i = 0; i < adoption->snapshot->engine_count; i++) {
			upstream_leave(adoption->upstreams[i]);
		}
		snapshot_unref(adoption->snapshot);
		free(adoption);
	}
}

/* ── Addresses of names ──────────────────────────────────────────────────── */

struct engine_places *engine_places_new(unsigned count, unsigned references)
{
	struct engine_places *places =
	        calloc(1, sizeof(*places) + count * sizeof(struct engine_place));

	if (places != NULL) {
		atomic_init(&places->references, references);
		places->count = count;
	}
	return places;
}

void engine_places_unref(struct engine_places *places)
{
	if (places != NULL && atomic_fetch_sub(&places->references, 1) == 1) {
		free(places);
	}
}

static int compare_place(const void *id, const void *place)
{
	return compare_ids(*(const unsigned *)id, ((const struct engine_place *)place)->id);
}

const union address *engine_places_find(const struct engine_places *places, unsigned id)
{
	const struct engine_place *found =
	        places == NULL ? NULL
	                       : bsearch(&id, places->list, places->count,
	                                 sizeof(struct engine_place), compare_place);

	return found == NULL ? NULL : &found->address;
}
