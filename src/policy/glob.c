/* SPDX-License-Identifier: MIT */
#include "base/nearest.h"
#include "policy/internal.h"

/*
 * `*` is any run of characters but dots, at the end of dots as well: podman's
 * names have two, and `libpod.*` is all of them while `*.list` is none. The
 * usual walk that goes back to the last star.
 */
static bool glob_fits(const char *glob, const char *name)
{
	const char *star = NULL;
	const char *resume = NULL;

	while (*name != '\0') {
		if (*glob == '*') {
			star = glob++;
			resume = name;
		} else if (*glob == *name) {
			glob++;
			name++;
		} else if (star != NULL && (*resume != '.' || star[1] == '\0')) {
			glob = star + 1;
			name = ++resume;
		} else {
			return false;
		}
	}
	while (*glob == '*') {
		glob++;
	}
	return *glob == '\0';
}

static bool glob_reaches(const char *glob, unsigned id)
{
	if (docker_id_is_unknown(id)) {
		return strcmp(glob, "*") == 0 || strcmp(glob, "unknown") == 0;
	}
	return glob_fits(glob, docker_operation_name(id));
}

static struct slice nearest_operation(struct slice word)
{
	struct nearest nearest = nearest_to(word);

	for (unsigned id = 0; id < docker_id_count(); id++) {
		nearest_try(&nearest, slice_of(docker_operation_name(id)));
	}
	return nearest.best;
}

/* "containers.*" → "container.*": the noun that was meant. */
static struct slice nearest_noun(struct slice noun)
{
	struct nearest nearest = nearest_to(noun);

	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		nearest_try(&nearest, slice_before_last(docker_operation_name(id), '.'));
	}
	return nearest.best;
}

static int fail_unknown(const char *glob, struct place place, char error[FAULT_MAX])
{
	const char *dot = strrchr(glob, '.');
	const char *star = strchr(glob, '*');
	const struct slice meant = nearest_operation(slice_of(glob));
	const struct slice noun =
	        dot == NULL ? (struct slice){NULL, 0} : nearest_noun(slice_between(glob, dot));

	if (meant.len > 0 && (star == NULL || noun.len == 0)) {
		return fault_set(error, place, "'%s' fits no operation; did you mean '%.*s'?", glob,
		        SLICE_FMT(meant));
	}
	if (noun.len > 0 && star != NULL) {
		return fault_set(error, place, "'%s' fits no operation; did you mean '%.*s%s'?",
		        glob, SLICE_FMT(noun), dot);
	}
	return fault_set(
	        error, place, "'%s' fits no operation; `check --policy open` lists them all", glob);
}

int operation_glob_add(const char *glob, struct place place, uint64_t *ids, char error[FAULT_MAX])
{
	bool found = false;

	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (glob_reaches(glob, id)) {
			id_add(ids, id);
			found = true;
		}
	}
	return found ? 0 : fail_unknown(glob, place, error);
}
