/* SPDX-License-Identifier: MIT */
/* find — policies by their names: those that are made, and presets when they are first asked for.
 */
#include "base/nearest.h"
#include "policy/internal.h"
#include "policy/load.h"

bool policy_is_variant(struct slice name, struct slice stem)
{
	return slice_skip(&name, stem) && slice_skip(&name, SLICE("-"));
}

/* The presets "app" and "app-…" for a name that is "app-" and something else; how many. */
static unsigned list_variants(struct slice name, struct text *text)
{
	struct slice stem = {NULL, 0};
	unsigned count = 0;

	for (unsigned i = 0; i < policy_preset_count; i++) {
		const struct slice preset = slice_of(policy_presets[i].name);
		stem = stem.ptr == NULL && policy_is_variant(name, preset) ? preset : stem;
		if (stem.ptr != NULL &&
		        (preset.ptr == stem.ptr || policy_is_variant(preset, stem))) {
			text_add_format(text, "%s%.*s", count++ > 0 ? ", " : "", SLICE_FMT(preset));
		}
	}
	return count;
}

static int fail_unknown_policy(
        const struct policy_set *set, struct slice name, struct place place, char error[FAULT_MAX])
{
	struct nearest nearest = nearest_to(name);
	const struct text_shown shown = text_show(name);
	char memory[256];
	struct text variants = text_over(memory, sizeof(memory));

	for (const struct policy *policy = set->policies; policy != NULL; policy = policy->next) {
		nearest_try(&nearest, slice_of(policy->name));
	}
	for (unsigned i = 0; i < policy_preset_count; i++) {
		nearest_try(&nearest, slice_of(policy_presets[i].name));
	}
	/* Who asks for portainer-ro wants less than portainer: nobody is sent there alone. */
	if ((nearest.best.ptr == NULL || policy_is_variant(name, nearest.best)) &&
	        list_variants(name, &variants) > 1) {
		return fault_set(error, place, "no policy or preset is called '%s'; there are %.*s",
		        shown.text, SLICE_FMT(text_slice(&variants)));
	}
	if (nearest.best.ptr != NULL) {
		return fault_set(error, place,
		        "no policy or preset is called '%s'; did you mean '%.*s'?", shown.text,
		        SLICE_FMT(nearest.best));
	}
	return fault_set(error, place,
	        "no policy or preset is called '%s'; --help lists the presets", shown.text);
}

int policy_set_find(struct policy_set *set, struct slice name, struct place place,
        struct policy **ret_policy, char error[FAULT_MAX])
{
	*ret_policy = policy_find_made(set, name);
	if (*ret_policy != NULL) {
		return 0;
	}
	const struct policy_preset *preset = policy_find_preset(name);
	if (preset == NULL) {
		return fail_unknown_policy(set, name, place, error);
	}
	return policy_load_preset(set, preset, ret_policy, error);
}
