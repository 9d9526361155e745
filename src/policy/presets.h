/* SPDX-License-Identifier: MIT */
/*
 * presets — the policies that the program brings along, one for each app.
 *
 * They are the files of presets/, as they are, in the order of their names;
 * tools/embed-presets.py writes the table at build time.
 */
#ifndef POLICY_PRESETS_H
#define POLICY_PRESETS_H

#include "base/slice.h"
#include "docker/docker.h"

#include <stdint.h>

struct policy_preset {
	const char *name; /* "traefik" */
	const char *file; /* "presets/traefik.yaml", for messages */
	struct slice text;
	const uint64_t
	        *allows; /* a bit for each id below docker_endpoint_count; no other is allowed */
};

extern const struct policy_preset policy_presets[];
extern const unsigned policy_preset_count;

static inline bool policy_preset_allows(const struct policy_preset *preset, unsigned id)
{
	return id < docker_endpoint_count && (preset->allows[id / 64] >> (id % 64) & 1) != 0;
}

/* NULL: no preset is called `name`. */
static inline const struct policy_preset *policy_find_preset(struct slice name)
{
	for (unsigned i = 0; i < policy_preset_count; i++) {
		if (slice_equal(name, slice_of(policy_presets[i].name))) {
			return &policy_presets[i];
		}
	}
	return NULL;
}

#endif
