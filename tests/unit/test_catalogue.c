/* SPDX-License-Identifier: MIT */
/*
 * The table of endpoints. If these fail, a row cannot be reached, or takes
 * requests that the Engine or podman serves as another's.
 */
#include "routed.h"

#include <stdio.h>

static void every_row_makes_sense(void **state)
{
	(void)state;
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const struct docker_endpoint *row = docker_endpoint(id);
		const char *what = row->path;
		const bool reads = (row->traits & DOCKER_READ) != 0;
		const bool writes = (row->traits & DOCKER_WRITE) != 0;
		assert_that(what, reads != writes);
		assert_that(what, strchr(row->operation, '.') != NULL);
		assert_that(what, strchr(row->operation, ' ') == NULL);
		assert_that(what, row->path[0] == '/');
		/* What the router passes rows over by. */
		const char *last = strrchr(row->path, '}');
		assert_that(what, last == NULL || last[1] == '\0' || strlen(last + 1) >= 4);
		assert_string_equal(docker_operation_name(id), row->operation);
		assert_that(what, docker_id_section(id) == row->section);
		/* Who reads no body cannot read JSON, and only one way to take over is its own. */
		assert_that(what, !(row->traits & DOCKER_ATTACH) || !(row->traits & DOCKER_JSON));
		assert_that(what, __builtin_popcount(row->traits & DOCKER_HIJACK) <= 1);
	}
}

/* The pattern with `name` for each parameter. */
static void make_path(const char *pattern, const char *name, char path[256])
{
	size_t len = 0;

	while (*pattern != '\0') {
		if (*pattern != '{') {
			path[len++] = *pattern++;
			continue;
		}
		memcpy(path + len, name, strlen(name));
		len += strlen(name);
		pattern = strchr(pattern, '}') + 1;
	}
	path[len] = '\0';
}

/* Route what fits `row`: `prefix` in front, unless it is for older clients only. */
static void route_row(const struct docker_endpoint *row, const char *prefix, const char *name,
        char path[256], char whole[300])
{
	const unsigned newest = row->before - 1;
	char version[32] = "";
	char query[64] = "";

	make_path(row->path, name, path);
	if (row->before > 0) {
		(void)snprintf(version, sizeof(version), "/v%u.%u", newest / 100, newest % 100);
	}
	(void)snprintf(whole, 300, "%s%s", row->before > 0 ? version : prefix, path);
	if (row->query != NULL) {
		(void)snprintf(query, sizeof(query), "%s=x", row->query);
	}
	is_routed(whole, route_with(row->method, slice_of(whole), query, row->body));
}

static void row_routes_to_itself(unsigned id, const char *prefix, const char *name)
{
	const struct docker_endpoint *row = docker_endpoint(id);
	char path[256];
	char whole[300];

	route_row(row, prefix, name, path, whole);
	if (request.id != id) {
		fail_msg("%s %s is %s, wanted %s", row->method, whole,
		        docker_operation_name(request.id), row->operation);
	}
	assert_slice("canonical", request.path, slice_of(whole));
	assert_slice("bare", request.bare, slice_of(path));
	assert_that(whole, (request.name.ptr == NULL) == (strchr(row->path, '{') == NULL));
	if (request.name.ptr != NULL) {
		assert_slice("name", request.name, slice_of(name));
	}
}

static void every_row_routes_to_itself(void **state)
{
	static const char *const prefixes[] = {
	        "", "/v1.41", "/v1.56", "/v5.2.0", "/v5.3.0-dev", "/v5.0.0-rc1.2", "/v1a"};

	(void)state;
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const bool spans = strstr(docker_endpoint(id)->path, "...}") != NULL;
		for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
			row_routes_to_itself(id, prefixes[i], "web1");
			if (spans) {
				row_routes_to_itself(
				        id, prefixes[i], "docker.io/library/a:b@sha256:0");
			}
		}
	}
}

/*
 * A path may fit two rows. The originals serve the one that they register first; a row that is new,
 * or stands elsewhere, must not change who that is.
 */
static const struct {
	const char *row;    /* a path of this row */
	const char *winner; /* is this operation */
} pairs[] = {
        {"debug.dump", "debug.cmdline"},
        {"debug.dump", "debug.profile"},
        {"debug.dump", "debug.symbol"},
        {"debug.dump", "debug.trace"},
        {"libpod.image.scp", "libpod.image.push"},
        {"libpod.image.scp", "libpod.image.tag"},
        {"libpod.image.scp", "libpod.image.untag"},
        {"libpod.manifest.create", "libpod.manifest.push"},
        {"libpod.network.inspect", "libpod.network.list"},
};

/* The pair that says whose `row` with `name` is; -1: its own. */
static int winner_of(const struct docker_endpoint *row, const char *name)
{
	char path[256];
	char whole[300];

	route_row(row, "/v5.0", name, path, whole);
	const char *winner = docker_operation_name(request.id);
	if (strcmp(winner, row->operation) == 0) {
		return -1;
	}
	for (int i = 0; i < (int)ARRAY_LEN(pairs); i++) {
		if (strcmp(pairs[i].row, row->operation) == 0 &&
		        strcmp(pairs[i].winner, winner) == 0) {
			return i;
		}
	}
	fail_msg("%s %s is %s, wanted %s", row->method, whole, winner, row->operation);
	return -1;
}

/* A name that looks like the end of a path is still a name. */
static void every_row_takes_names_that_look_like_words(void **state)
{
	static const char *const names[] = {"json", "v1.41", "containers", "attach", "...", ".a"};

	(void)state;
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const struct docker_endpoint *row = docker_endpoint(id);
		const char *name = strchr(row->path, '{');
		for (size_t i = 0; name != NULL && i < ARRAY_LEN(names); i++) {
			if (winner_of(row, names[i]) < 0) {
				row_routes_to_itself(id, "", names[i]);
			}
		}
	}
}

/* Who installs units, reads any file or names a command to run on the host is root there. */
/* What fits no row is unknown, but for OPTIONS in each section and outside of all. */
static void what_fits_no_row_is_unknown(void **state)
{
	unsigned known = 0;

	(void)state;
	for (unsigned id = 0; id < docker_id_count(); id++) {
		known += !docker_id_is_unknown(id);
	}
	assert_int_equal(known, docker_endpoint_count + DOCKER_SECTION_COUNT + 1);
}

static void what_is_root_says_so(void **state)
{
	static const char *const paths[] = {"/libpod/quadlets", "/libpod/secrets/create",
	        "/libpod/artifacts/local/add", "/libpod/containers/a/restore"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		is_routed(paths[i], route("POST", paths[i]));
		const struct docker_endpoint *row = docker_endpoint(request.id);
		assert_that(paths[i], row != NULL && (row->traits & DOCKER_ROOT) != 0);
	}
}

/* A name that makes a path of `row` end, or go on, as those of `other` do; empty: there is none. */
static void make_name(const struct docker_endpoint *row, const struct docker_endpoint *other,
        bool ends, char name[256])
{
	const char *end = strchr(other->path, '}');
	const size_t common = strcspn(row->path, "{");
	char pattern[256] = "";

	if (ends && end != NULL && end[1] != '\0') {
		(void)snprintf(pattern, sizeof(pattern), "a%s", end + 1);
	} else if (!ends && strncmp(row->path, other->path, common) == 0) {
		(void)snprintf(pattern, sizeof(pattern), "%s", other->path + common);
	}
	make_path(pattern, "b", name);
	if (strstr(row->path, "...}") == NULL && strchr(name, '/') != NULL) {
		name[0] = '\0';
	}
}

static void fit_both(
        const struct docker_endpoint *row, const struct docker_endpoint *other, bool *seen)
{
	char name[256];

	if (strcmp(row->method, other->method) != 0 || row->section != other->section) {
		return;
	}
	for (int ends = 0; ends < 2; ends++) {
		make_name(row, other, ends == 1, name);
		const int winner = name[0] != '\0' ? winner_of(row, name) : -1;
		if (winner >= 0) {
			seen[winner] = true;
		}
	}
}

static void names_of_one_row_are_paths_of_another(void **state)
{
	bool seen[ARRAY_LEN(pairs)] = {false};

	(void)state;
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const bool has_name = strchr(docker_endpoint(id)->path, '{') != NULL;
		for (unsigned other = 0; has_name && other < docker_endpoint_count; other++) {
			fit_both(docker_endpoint(id), docker_endpoint(other), seen);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		assert_that(pairs[i].winner, seen[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_row_makes_sense),
	        cmocka_unit_test(every_row_routes_to_itself),
	        cmocka_unit_test(every_row_takes_names_that_look_like_words),
	        cmocka_unit_test(what_fits_no_row_is_unknown),
	        cmocka_unit_test(what_is_root_says_so),
	        cmocka_unit_test(names_of_one_row_are_paths_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
