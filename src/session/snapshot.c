/* SPDX-License-Identifier: MIT */
#include "session/snapshot.h"

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

struct adoption *adoption_new(struct snapshot *snapshot)
{
	struct adoption *adoption = calloc(1, sizeof(*adoption));

	if (adoption != NULL) {
		adoption->snapshot = snapshot_ref(snapshot);
	}
	return adoption;
}

void adoption_free(struct adoption *adoption)
{
	if (adoption != NULL) {
		ASSERT(adoption->exchanges == 0);
		snapshot_unref(adoption->snapshot);
		free(adoption);
	}
}
