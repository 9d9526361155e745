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

/* Whether `a` is one of the words of `b`: gitlab of gitlab-runner. */
static bool is_word_of(struct slice a, struct slice b)
{
	struct slice part;

	while (slice_next(&b, '-', &part)) {
		if (slice_equal(part, a)) {
			return true;
		}
	}
	return false;
}

/* Whether `letters` are the first ones of its words: wud of whats-up-docker. */
static bool has_initials(struct slice preset, struct slice letters)
{
	struct slice part;
	size_t count = 0;

	while (slice_next(&preset, '-', &part)) {
		if (count == letters.len || part.ptr[0] != letters.ptr[count]) {
			return false;
		}
		count++;
	}
	return count == letters.len && count > 1;
}

/* The first preset of which `name` is a variant that is not there: portainer of portainer-ro. */
static struct slice stem_of(struct slice name)
{
	for (unsigned i = 0; i < policy_preset_count; i++) {
		const struct slice preset = slice_of(policy_presets[i].name);
		if (policy_is_variant(name, preset)) {
			return preset;
		}
	}
	return (struct slice){NULL, 0};
}

/* Presets that `name` can stand for, by its words and not by its letters. */
struct meant {
	struct slice first;
	unsigned count;
	struct text names; /* "act-runner, gitlab-runner" */
	char memory[256];
};

static void list_meant(struct slice name, struct meant *meant)
{
	const struct slice stem = stem_of(name);

	meant->names = text_over(meant->memory, sizeof(meant->memory));
	for (unsigned i = 0; i < policy_preset_count; i++) {
		const struct slice preset = slice_of(policy_presets[i].name);
		const bool of_stem = stem.ptr != NULL &&
		                     (slice_equal(preset, stem) || policy_is_variant(preset, stem));
		if (of_stem || is_word_of(name, preset) || is_word_of(preset, name) ||
		        has_initials(preset, name)) {
			meant->first = meant->count == 0 ? preset : meant->first;
			text_add_format(&meant->names, "%s%.*s", meant->count++ > 0 ? ", " : "",
			        SLICE_FMT(preset));
		}
	}
}

static struct slice nearest_policy(const struct policy_set *set, struct slice name)
{
	struct nearest nearest = nearest_to(name);

	for (const struct policy *policy = set->policies; policy != NULL; policy = policy->next) {
		nearest_try(&nearest, slice_of(policy->name));
	}
	for (unsigned i = 0; i < policy_preset_count; i++) {
		nearest_try(&nearest, slice_of(policy_presets[i].name));
	}
	return nearest.best;
}

/*
 * A misspelt name is near by its letters, another name for an app by its words. portainer-ro asks
 * for less than portainer, so that portainer is never the only suggestion for it.
 */
static int fail_unknown_policy(
        const struct policy_set *set, struct slice name, struct place place, char error[FAULT_MAX])
{
	const struct text_shown shown = text_show(name);
	const struct slice nearest = nearest_policy(set, name);
	struct meant meant = {.count = 0};

	list_meant(name, &meant);
	const bool by_words = nearest.ptr == NULL || policy_is_variant(name, nearest) ||
	                      is_word_of(name, meant.first);
	if (meant.count > 1 && by_words) {
		return fault_set(error, place, "no policy or preset is called '%s'; there are %.*s",
		        shown.text, SLICE_FMT(text_slice(&meant.names)));
	}
	const struct slice best = meant.count == 1 && by_words ? meant.first : nearest;
	if (best.ptr != NULL) {
		return fault_set(error, place,
		        "no policy or preset is called '%s'; did you mean '%.*s'?", shown.text,
		        SLICE_FMT(best));
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
