/* SPDX-License-Identifier: MIT */
#include "base/nearest.h"
#include "policy/inside.h"

#include <errno.h>

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
	if (policy_is_unknown(id)) {
		return strcmp(glob, "*") == 0 || strcmp(glob, "unknown") == 0;
	}
	return glob_fits(glob, docker_operation_name(id));
}

/* "container" of "container.list". */
static struct slice noun_of(const char *operation)
{
	const char *dot = strrchr(operation, '.');

	return dot == NULL ? slice_of(operation) : slice_between(operation, dot);
}

static const char *nearest_operation(const char *word)
{
	struct nearest nearest = nearest_to(slice_of(word));

	for (unsigned id = 0; id < docker_id_count(); id++) {
		nearest_try(&nearest, docker_operation_name(id));
	}
	return nearest.best;
}

/* "containers.*" → "container.*": the noun that was meant. */
static struct slice nearest_noun(struct slice noun)
{
	struct nearest nearest = nearest_to(noun);
	struct slice best = {NULL, 0};

	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		char name[NEAREST_LEN_MAX + 1];
		struct text text = text_over(name, sizeof(name));
		const char *before = nearest.best;
		text_add(&text, noun_of(docker_operation_name(id)));
		text_add_char(&text, '\0');
		nearest.best = NULL;
		nearest_try(&nearest, text.overflow ? "" : name);
		best = nearest.best != NULL ? noun_of(docker_operation_name(id)) : best;
		nearest.best = nearest.best != NULL ? nearest.best : before;
	}
	return best;
}

static int fail_unknown(const char *glob, struct policy_place place, char error[POLICY_ERROR_MAX])
{
	const char *dot = strrchr(glob, '.');
	const char *star = strchr(glob, '*');
	const char *meant = nearest_operation(glob);
	const struct slice noun =
	        dot == NULL ? (struct slice){NULL, 0} : nearest_noun(slice_between(glob, dot));

	if (meant != NULL && (star == NULL || noun.len == 0)) {
		return policy_fail(
		        error, place, "'%s' fits no operation; did you mean '%s'?", glob, meant);
	}
	if (noun.len > 0 && star != NULL) {
		return policy_fail(error, place, "'%s' fits no operation; did you mean '%.*s%s'?",
		        glob, SLICE_FMT(noun), dot);
	}
	return policy_fail(
	        error, place, "'%s' fits no operation; `check --policy open` lists them all", glob);
}

int operation_glob_add(
        const char *glob, struct policy_place place, uint64_t *ids, char error[POLICY_ERROR_MAX])
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
