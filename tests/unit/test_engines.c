/* SPDX-License-Identifier: MIT */
/*
 * Engines: which paths name one, and which are refused because some reader could find one in them;
 * their names as numbers; sets of them.
 */
#include "cases.h"

#include "engines/read.h"

#include <stdio.h>

static struct arena arena;
static int free_all(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

/* ── Paths ───────────────────────────────────────────────────────────────── */

static enum engine_path split(const char *path)
{
	struct slice name;
	struct slice rest;

	return engines_split(slice_of(path), &name, &rest);
}

static void a_path_names_an_engine(void **state)
{
	static const struct {
		const char *path, *name, *rest;
	} cases[] = {
	        {"/engines/a/containers/json", "a", "/containers/json"},
	        {"/engines/node-a.example_1/v1.41/info", "node-a.example_1", "/v1.41/info"},
	        {"/engines/a", "a", "/"},
	        {"/engines/a/", "a", "/"},
	        {"/engines/a//info", "a", "//info"},
	        {"/engines/a/../b/info", "a", "/../b/info"},
	        {"/engines/a/engines/b/info", "a", "/engines/b/info"},
	        {"/engines/a/%65ngines", "a", "/%65ngines"},
	};
	struct slice name;
	struct slice rest;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		assert_that(cases[i].path,
		        engines_split(slice_of(cases[i].path), &name, &rest) == ENGINE_PATH_NAMED);
		assert_slice(cases[i].path, name, slice_of(cases[i].name));
		assert_slice(cases[i].path, rest, slice_of(cases[i].rest));
	}
}

static void a_name_has_64_characters_at_most(void **state)
{
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "/engines/%0*d/info", ENGINE_NAME_MAX, 0);
	assert_int_equal(split(path), ENGINE_PATH_NAMED);
	(void)snprintf(path, sizeof(path), "/engines/%0*d/info", ENGINE_NAME_MAX + 1, 0);
	assert_int_equal(split(path), ENGINE_PATH_AMBIGUOUS);
}

static void a_path_that_names_none_stays_as_it_is(void **state)
{
	static const char *const paths[] = {"/", "*", "/info", "/engine", "/enginesx/a",
	        "/engines;/a", "/Engines/a/info", "/v1.41/engines/a/info", "/containers/engines/a",
	        "/engines%", "/engines%2", "/engines%41", "/%45ngines/a", "/engine%73x"};
	struct slice name;
	struct slice rest;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		assert_that(paths[i],
		        engines_split(slice_of(paths[i]), &name, &rest) == ENGINE_PATH_PLAIN);
		assert_slice(paths[i], rest, slice_of(paths[i]));
	}
}

static void what_a_reader_could_take_for_one_is_ambiguous(void **state)
{
	static const char *const paths[] = {
	        "/engines/",
	        "/engines//a/info",
	        "/engines/./info",
	        "/engines/../info",
	        "/engines/.hidden/info",
	        "/engines/-a/info",
	        "/engines/a%2db/info",
	        "/engines/%61/info",
	        "/engines/a b/info",
	        "/engines/a%2finfo",
	        "/engines/a;x/info",
	        "/%65ngines/a/info",
	        "/engine%73/a/info",
	        "/%65%6e%67%69%6e%65%73",
	        "//engines/a/info",
	        "/./engines/a/info",
	        "/.././engines/a/info",
	        "/%2e/engines/a/info",
	        "/%2f/engines/a/info",
	        "%2fengines/a/info",
	        "/engines%2fa/info",
	        "/engines%2Fa/info",
	        "/engines%5ca/info",
	        "/\\engines/a/info",
	        "/engines\\a",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		assert_that(paths[i], split(paths[i]) == ENGINE_PATH_AMBIGUOUS);
	}
}

static void the_list_has_one_spelling(void **state)
{
	(void)state;
	assert_int_equal(split("/engines"), ENGINE_PATH_LIST);
	assert_int_equal(split("//engines"), ENGINE_PATH_AMBIGUOUS);
}

/* ── Names ───────────────────────────────────────────────────────────────── */

enum { MANY = ENGINES_MAX + 1 };

static struct engine_row rows[MANY];

static struct engines many(bool has_default)
{
	struct engines engines = {.count = MANY, .list = rows, .has_default = has_default};
	char memory[32];

	rows[0] = (struct engine_row){.name = ENGINE_DEFAULT_NAME};
	for (unsigned i = 1; i < MANY; i++) {
		(void)snprintf(memory, sizeof(memory), "node-%u", i);
		rows[i] = (struct engine_row){.name = arena_copy(&arena, slice_of(memory))};
		(void)snprintf(memory, sizeof(memory), "Node-%u.Example.ORG", i);
		rows[i].servers[0] = arena_copy(&arena, slice_of(memory));
		rows[i].server_count = 1;
	}
	assert_int_equal(engines_index(&engines, &arena), 0);
	return engines;
}

static void each_of_as_many_as_there_may_be_is_found(void **state)
{
	const struct engines engines = many(true);
	char memory[32];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(engines_find(&engines, slice_of(rows[i].name)), i);
	}
	for (unsigned i = 1; i < MANY; i++) {
		(void)snprintf(memory, sizeof(memory), "nODE-%u.example.org", i);
		assert_int_equal(engines_find_server(&engines, slice_of(memory)), i);
	}
	assert_int_equal(engines_find(&engines, SLICE("Node-1")), ENGINE_NONE);
	assert_int_equal(engines_find(&engines, SLICE("node-1x")), ENGINE_NONE);
	assert_int_equal(engines_find(&engines, SLICE("")), ENGINE_NONE);
	assert_int_equal(engines_find_server(&engines, SLICE("node-1")), ENGINE_NONE);
	assert_int_equal(engines_find_server(&engines, SLICE("node-1.example.org.")), ENGINE_NONE);
}

static void without_a_default_none_is_called_so(void **state)
{
	const struct engines engines = many(false);

	(void)state;
	assert_int_equal(engines_find(&engines, SLICE(ENGINE_DEFAULT_NAME)), ENGINE_NONE);
	assert_int_equal(engines_find(&engines, SLICE("node-1")), 1);
}

static void names_in_tls_are_those_of_dns(void **state)
{
	static const char *const bad[] = {
	        "", ".", "a.", ".a", "a..b", "-a", "a.-b", "*.a", "a b", "a/b", "ä"};

	(void)state;
	assert_null(engine_server_problem(SLICE("node_a.docker.example-1.com")));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_that(bad[i], engine_server_problem(slice_of(bad[i])) != NULL);
	}
}

/* ── Sets ────────────────────────────────────────────────────────────────── */

static const struct engine_set *read_set(const struct engines *engines, const char *text)
{
	const struct yaml_node *root = NULL;
	const struct engine_set *set = NULL;
	char error[FAULT_MAX];

	if (yaml_read(slice_of(text), "a.yaml", &arena, &root, error) < 0 ||
	        engine_set_read(root, engines, &arena, &set, error) < 0) {
		fail_msg("%s", error);
	}
	return set;
}

static void a_set_has_what_it_names(void **state)
{
	const struct engines engines = many(true);
	const struct engine_set *set = read_set(&engines, "[node-4096, default, node-63]");
	const struct engine_set *all = read_set(&engines, "'*'");

	(void)state;
	assert_true(engine_set_has(set, 4096));
	assert_true(engine_set_has(set, ENGINE_DEFAULT));
	assert_true(engine_set_has(set, 63));
	assert_false(engine_set_has(set, 64));
	assert_false(engine_set_has(set, ENGINE_NONE));
	assert_false(engine_set_has(set, ENGINE_ANY));
	assert_true(engine_set_has(all, 4096));
	assert_false(engine_set_has(all, ENGINE_NONE));
	assert_false(engine_set_has(all, ENGINE_ANY));
}

static void sets_are_compared_and_joined(void **state)
{
	const struct engines engines = many(true);
	const struct engine_set *a = read_set(&engines, "[node-1, node-2]");
	const struct engine_set *b = read_set(&engines, "[node-2, node-3]");
	const struct engine_set *c = read_set(&engines, "node-2");
	const struct engine_set *all = read_set(&engines, "['*']");
	const struct engine_set *both = NULL;
	char memory[64];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	assert_true(engine_set_covers(a, c));
	assert_false(engine_set_covers(c, a));
	assert_true(engine_set_covers(NULL, all));
	assert_true(engine_set_covers(all, NULL));
	assert_false(engine_set_covers(a, NULL));
	assert_false(engine_set_covers(a, all));
	assert_int_equal(engine_set_join(a, b, &arena, &both), 0);
	assert_true(engine_set_covers(both, c) && engine_set_covers(c, both));
	engine_set_add(both, &engines, &text);
	assert_slice("names", text_slice(&text), SLICE("node-2"));
	assert_int_equal(engine_set_join(NULL, a, &arena, &both), 0);
	assert_ptr_equal(both, a);
	assert_int_equal(engine_set_join(all, a, &arena, &both), 0);
	assert_ptr_equal(both, a);
	assert_int_equal(engine_set_join(a, all, &arena, &both), 0);
	assert_ptr_equal(both, a);
	assert_int_equal(engine_set_join(a, read_set(&engines, "node-9"), &arena, &both), 0);
	assert_true(engine_set_is_empty(both));
	assert_false(engine_set_is_empty(all));
}

static void what_is_wrong_with_a_set_is_said(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
	        {"node-5x", "a.yaml:1: there is no Engine 'node-5x' in 'engines'; did you mean "
	                    "'node-5'?"},
	        {"[]", "a.yaml:1: 'engines' is a list of names of 'engines', or \"*\" for all of "
	               "them; found an empty list"},
	        {"default",
	                "a.yaml:1: there is no Engine 'default': it is that of 'upstream', which "
	                "is not given"},
	        {"[[a]]", "a.yaml:1: expected the name of an Engine; found a list"},
	};
	const struct engines engines = many(false);
	char error[FAULT_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		const struct yaml_node *root = NULL;
		const struct engine_set *set = NULL;
		assert_int_equal(
		        yaml_read(slice_of(cases[i].text), "a.yaml", &arena, &root, error), 0);
		assert_true(engine_set_read(root, &engines, &arena, &set, error) < 0);
		assert_string_equal(error, cases[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_path_names_an_engine),
	        cmocka_unit_test(a_name_has_64_characters_at_most),
	        cmocka_unit_test(a_path_that_names_none_stays_as_it_is),
	        cmocka_unit_test(what_a_reader_could_take_for_one_is_ambiguous),
	        cmocka_unit_test(the_list_has_one_spelling),
	        cmocka_unit_test_teardown(each_of_as_many_as_there_may_be_is_found, free_all),
	        cmocka_unit_test_teardown(without_a_default_none_is_called_so, free_all),
	        cmocka_unit_test(names_in_tls_are_those_of_dns),
	        cmocka_unit_test_teardown(a_set_has_what_it_names, free_all),
	        cmocka_unit_test_teardown(sets_are_compared_and_joined, free_all),
	        cmocka_unit_test_teardown(what_is_wrong_with_a_set_is_said, free_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
