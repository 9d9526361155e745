/* SPDX-License-Identifier: MIT */
/*
 * What is printed of what clients asked for: a configuration that can be read
 * back, whatever the paths hold and however many clients there were.
 */
#include "callers.h"
#include "cases.h"

#include "base/log.h"
#include "learn/learn.h"
#include "policy/load.h"

#include <stdio.h>
#include <stdlib.h>

static struct learn *learn;
static char *printed;
static unsigned other_listeners;
static bool served; /* what the Engine does with what is noted */

static int open_book(void **state)
{
	(void)state;
	learn = learn_new();
	served = true;
	return learn == NULL ? -1 : 0;
}

static int close_book(void **state)
{
	(void)state;
	learn_free(learn);
	free(printed);
	printed = NULL;
	other_listeners = 0;
	return 0;
}

/* Of a client of the configuration, if `client` is not NULL. */
static void note_of(const struct client *client, const struct caller *caller, const char *method,
        const char *path)
{
	static struct docker_request request;
	const struct docker_target target = {.method = slice_of(method), .path = slice_of(path)};

	assert_int_equal(docker_route(&target, &request), DOCKER_OK);
	const unsigned number = learn_note(learn, caller, client, &request, NULL);
	if (number > 0 && served) {
		learn_served(learn, number);
	}
}

static void note(const char *client, const char *method, const char *path)
{
	const struct caller caller = caller_named(client);

	note_of(NULL, &caller, method, path);
}

/* What is printed, in `printed`. */
static void print(void)
{
	static const struct learn_listener listeners[] = {
	        {.address = "tcp://*:3277", .mode = 0660, .records = true},
	        {.address = "unix:///run/it's \"odd\" #.sock", .mode = 0600, .records = true},
	};
	const struct learn_setting setting = {.listeners = listeners,
	        .listener_count = 2,
	        .other_count = other_listeners,
	        .engine = "unix:///run/docker.sock"};
	size_t len = 0;

	free(printed);
	FILE *out = open_memstream(&printed, &len);
	assert_non_null(out);
	learn_print(learn, &setting, out);
	assert_int_equal(fclose(out), 0);
}

static void expect(const char *part)
{
	if (strstr(printed, part) == NULL) {
		fail_msg("'%s' is missing in:\n%s", part, printed);
	}
}

static void expect_not(const char *part)
{
	if (strstr(printed, part) != NULL) {
		fail_msg("'%s' is in:\n%s", part, printed);
	}
}

/* The first of the policies that were printed, read back; whether it allows the request. */
static bool allows(const char *policy_name, const char *method, const char *path)
{
	static struct docker_request request;
	const struct docker_target target = {.method = slice_of(method), .path = slice_of(path)};
	const struct place here = {"test", 1};
	struct arena arena = {.chunks = NULL};
	const struct yaml_node *root = NULL;
	struct policy *policy = NULL;
	char error[FAULT_MAX];

	if (yaml_read(slice_of(printed), "learned.yaml", &arena, &root, error) < 0) {
		fail_msg("%s\n%s", error, printed);
	}
	struct policy_set *set = policy_set_new();
	const struct yaml_node *part = root->first;
	while (!slice_equal(part->key, SLICE("policies"))) {
		part = part->next;
	}
	for (const struct yaml_node *body = part->first; body != NULL; body = body->next) {
		assert_int_equal(policy_load(set, body->key, body, &policy, error), 0);
	}
	assert_int_equal(policy_set_find(set, slice_of(policy_name), here, &policy, error), 0);
	if (policy_compile(policy, error) < 0) {
		fail_msg("%s\n%s", error, printed);
	}
	assert_int_equal(docker_route(&target, &request), DOCKER_OK);
	struct policy_scratch *scratch = policy_scratch_new();
	const bool allowed = policy_judge(policy, &request, scratch).allowed;
	policy_scratch_free(scratch);
	policy_set_free(set);
	arena_free(&arena);
	return allowed;
}

static void what_the_engine_does_not_serve_gets_no_rule(void **state)
{
	(void)state;
	note("192.0.2.1:1000", "GET", "/containers/json");
	note("192.0.2.1:1000", "GET", "/new/endpoint");
	served = false;
	note("192.0.2.1:1000", "GET", "/");
	note("192.0.2.1:1000", "GET", "/metrics");
	note("192.0.2.1:1000", "GET", "/new/endpoint"); /* 404 this time: no such object */
	print();
	expect("#          1  GET /metrics, no operation of the Docker API, which the Engine never "
	       "served: no rule\n");
	expect("#          2  GET /new/endpoint, no operation of the Docker API\n");
	assert_true(allows("learned", "GET", "/containers/json"));
	assert_true(allows("learned", "GET", "/new/endpoint"));
	assert_false(allows("learned", "GET", "/"));
	assert_false(allows("learned", "GET", "/metrics"));
}

static void a_stray_request_hides_no_preset(void **state)
{
	(void)state;
	served = false;
	note("192.0.2.1:1000", "GET", "/_ping");
	note("192.0.2.1:1000", "GET", "/metrics");
	print();
	expect("The preset '");
}

static void each_client_has_a_policy_and_an_entry(void **state)
{
	(void)state;
	note("192.0.2.1:1000", "GET", "/containers/json");
	note("192.0.2.1:1001", "GET", "/v1.41/containers/json");
	note("[2001:db8::1]:1000", "GET", "/images/json");
	note("unix", "GET", "/foo/bar");
	print();
	expect("# 192.0.2.1: 2 requests\n#          2  container.list\n");
	expect("# [2001:db8::1]: 1 request\n");
	expect("# unix: 1 request\n#          1  GET /foo/bar, no operation of the Docker API\n");
	expect("  - {name: 'host-192.0.2.1', match: {cidr: '192.0.2.1'}, policy: client-1}\n"
	       "  - {name: 'host-2001-db8--1', match: {cidr: '2001:db8::1'}, policy: "
	       "client-2}\n\n");
	/* A peer of whom nothing is known has no condition: what it asked for, all may. */
	expect("    policy: client-3\n");
	assert_true(allows("client-3", "GET", "/foo/bar"));
	assert_false(allows("client-3", "GET", "/foo/baz"));
	assert_false(allows("client-3", "GET", "/images/json"));
	assert_true(allows("client-1", "GET", "/containers/json"));
	assert_false(allows("client-1", "GET", "/images/json"));
}

/* Clients of the configuration stay what they are, in their order, whoever asked first. */
static void a_client_keeps_its_entry(void **state)
{
	struct arena arena = {.chunks = NULL};
	struct client clients[] = {{.name = "ci", .until_s = 1801418400},
	        {.name = "office", .number = 1, .until_s = INT64_MAX}};
	struct caller user = caller_named("unix");
	const struct caller host = caller_named("192.0.2.1:1");
	const struct match_names names = {NULL, 0};
	const struct yaml_node *root = NULL;
	struct key_hash hash;
	char error[FAULT_MAX];

	(void)state;
	key_hash_make(SLICE("0123456789abcdef"), NULL, &hash);
	assert_int_equal(match_key(&hash, NOWHERE, &arena, &clients[0].match), 0);
	assert_int_equal(yaml_read(SLICE("{cidr: [192.0.2.0/24, '2001:db8::/32'], uid: 7}"), "x",
	                         &arena, &root, error),
	        0);
	assert_int_equal(match_read(root, &names, &arena, &clients[1].match, error), 0);
	user.peer = (struct unix_peer){.uid = 1000, .group_count = 1};
	note_of(NULL, &user, "GET", "/_ping");
	note_of(&clients[1], &host, "GET", "/images/json");
	note_of(NULL, &host, "GET", "/_ping");
	note_of(&clients[0], &host, "GET", "/volumes");
	user.peer.uid = 1001;
	note_of(NULL, &user, "GET", "/info");
	print();
	expect("# client 'ci': 1 request\n#          1  volume.list\n");
	expect("# unix, user 1000: 1 request\n");
	expect("clients:\n"
	       "  - {name: 'ci', match: {key_sha256: "
	       "['9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f']}, "
	       "policy: client-1, until: 2027-01-31T18:00:00Z}\n"
	       "  - {name: 'office', match: {uid: ['7'], cidr: ['192.0.2.0/24', "
	       "'2001:db8::/32']}, policy: client-2}\n"
	       "  - {name: 'user-1000', match: {uid: 1000}, policy: client-3}\n"
	       "  - {name: 'host-192.0.2.1', match: {cidr: '192.0.2.1'}, policy: client-4}\n"
	       "  - {name: 'user-1001', match: {uid: 1001}, policy: client-5}\n\n");
	expect("    policy: deny\n");
	assert_true(allows("client-1", "GET", "/volumes"));
	assert_false(allows("client-1", "GET", "/info"));
	arena_free(&arena);
}

/* Whoever lists containers need not restart them, though fewer operations are in that preset. */
static void a_preset_that_writes_is_not_named_for_who_reads(void **state)
{
	(void)state;
	note("192.0.2.1:1", "GET", "/_ping");
	note("192.0.2.1:1", "GET", "/containers/json");
	print();
	expect("The preset '");
	expect_not("autoheal");
	expect_not("restart");
}

static void rows_of_one_operation_count_as_one(void **state)
{
	(void)state;
	note("192.0.2.1:1", "GET", "/_ping");
	note("192.0.2.1:1", "HEAD", "/_ping");
	print();
	expect("#          2  system.ping\n");
	const char *first = strstr(printed, "- system.ping");
	assert_non_null(first);
	assert_null(strstr(first + 1, "- system.ping"));
}

/* Every byte that a path may hold, in a pattern that fits it and nothing else. */
static void paths_are_patterns_of_themselves(void **state)
{
	static const char *const paths[] = {"/a'b/c", "/a.b", "/a+b(c)*[d]{2}", "/a|/b", "/$x^y",
	        "/a%20b", "/a%23b", "/a\"b", "/a-b_c~d", "/%7Ba%7D", "/a,b:c"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		note("192.0.2.1:1", "GET", paths[i]);
	}
	print();
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		assert_true(allows("learned", "GET", paths[i]));
		assert_false(allows("learned", "POST", paths[i]));
	}
	assert_false(allows("learned", "GET", "/aXb"));
	assert_false(allows("learned", "GET", "/b"));
	assert_false(allows("learned", "GET", "/a"));
}

static void what_is_too_much_is_counted(void **state)
{
	char path[LEARN_PATH_MAX + 16];

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	note("192.0.2.1:1", "GET", path);
	for (unsigned i = 0; i < LEARN_UNKNOWN_MAX + 2; i++) {
		(void)snprintf(path, sizeof(path), "/strange/%u", i);
		note("192.0.2.1:1", "GET", path);
	}
	print();
	expect("#          3  not operations of the Docker API, and too many, or with a "
	       "method or path that no rule can have\n");
	assert_true(allows("learned", "GET", "/strange/0"));
	assert_false(allows("learned", "GET", "/strange/257"));
}

/* One of these would make the whole file one that is refused. */
static void what_no_rule_can_name_is_counted(void **state)
{
	(void)state;
	note("192.0.2.1:1", "FOO", "/x");
	note("192.0.2.1:1", "get", "/_ping");
	note("192.0.2.1:1", "OPTIONS", "*");
	note("192.0.2.1:1", "GET", "/v1.41/v1.41/x");
	note("192.0.2.1:1", "GET", "/v1_x");
	note("192.0.2.1:1", "OPTIONS", "/x");
	print();
	expect("#          5  not operations of the Docker API, and too many, or with a "
	       "method or path that no rule can have\n");
	assert_true(allows("learned", "OPTIONS", "/x"));
	assert_false(allows("learned", "GET", "/x"));
}

/* All that every client and every path can fill it with. */
static void the_fullest_book_can_be_read_back(void **state)
{
	char client[48];
	char path[3 * LEARN_PATH_MAX];

	(void)state;
	for (unsigned i = 0; i < LEARN_CLIENTS_MAX; i++) {
		(void)snprintf(client, sizeof(client), "[2001:db8:1111:2222:3333:%x:1:1]:1", i);
		const struct caller caller = caller_named(client);
		for (unsigned id = 0; id < docker_endpoint_count; id++) {
			const struct docker_request request = {.id = id};
			(void)learn_note(learn, &caller, NULL, &request, NULL);
		}
	}
	for (unsigned i = 0; i < LEARN_UNKNOWN_MAX; i++) {
		(void)snprintf(path, sizeof(path), "/%04u", i);
		for (unsigned j = 0; j < LEARN_PATH_MAX - 5; j++) {
			(void)strcat(path, "%20");
		}
		note(client, "OPTIONS", path);
	}
	print();
	expect_not("that no rule can have");
	assert_true(allows("client-32", "OPTIONS", path));
}

static void further_clients_share_a_page(void **state)
{
	char client[32];

	(void)state;
	for (unsigned i = 0; i < LEARN_CLIENTS_MAX + 10; i++) {
		(void)snprintf(client, sizeof(client), "10.0.%u.%u:1", i / 256, i % 256);
		note(client, "GET", i == LEARN_CLIENTS_MAX + 9 ? "/images/json" : "/_ping");
	}
	print();
	expect("# all other clients: 11 requests\n");
	expect("client-32:  # all other clients\n");
	expect_not("client-33");
	expect("    policy: client-32\n"); /* whoever has no entry */
	assert_true(allows("client-32", "GET", "/images/json"));
	assert_false(allows("client-1", "GET", "/images/json"));
}

static void listeners_are_printed_as_they_were(void **state)
{
	(void)state;
	note("unix", "GET", "/_ping");
	print();
	expect("listeners:\n  - address: 'tcp://*:3277'\n    policy: learned\n"
	       "  - address: 'unix:///run/it''s \"odd\" #.sock'\n    policy: learned\n"
	       "    mode: \"0600\"\n");
	expect_not("omitted");
	other_listeners = 1;
	print();
	expect("# Listeners whose policies do not observe are omitted");
}

static void nothing_asked_is_nothing_to_allow(void **state)
{
	(void)state;
	print();
	assert_string_equal(printed, "# No request was recorded, so there is nothing to allow.\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_book, close_book)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(what_the_engine_does_not_serve_gets_no_rule),
	        TEST(a_stray_request_hides_no_preset),
	        TEST(each_client_has_a_policy_and_an_entry),
	        TEST(a_client_keeps_its_entry),
	        TEST(a_preset_that_writes_is_not_named_for_who_reads),
	        TEST(rows_of_one_operation_count_as_one),
	        TEST(paths_are_patterns_of_themselves),
	        TEST(what_is_too_much_is_counted),
	        TEST(what_no_rule_can_name_is_counted),
	        TEST(the_fullest_book_can_be_read_back),
	        TEST(further_clients_share_a_page),
	        TEST(listeners_are_printed_as_they_were),
	        TEST(nothing_asked_is_nothing_to_allow),
	};
	log_setup(LOG_CRIT, LOG_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
