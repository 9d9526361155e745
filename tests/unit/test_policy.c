/* SPDX-License-Identifier: MIT */
/*
 * What a policy makes of a request: which rule decides, what reaches the
 * requests nobody knows, and what is said about rules that cannot be meant so.
 */
#include "cases.h"

#include "policy/load.h"
#include "policy/policy.h"
#include "policy/presets.h"

#include <errno.h>
#include <stdio.h>

static struct policy_set *set;
static struct policy_scratch *scratch;
static char error[FAULT_MAX];
static const struct place here = {"test.yaml", 7};

static int open_set(void **state)
{
	(void)state;
	set = policy_set_new();
	scratch = policy_scratch_new();
	memset(error, 'x', sizeof(error) - 1);
	return 0;
}

static int close_set(void **state)
{
	(void)state;
	policy_scratch_free(scratch);
	policy_set_free(set);
	return 0;
}

static struct policy *new_policy(const char *name)
{
	struct policy *policy = NULL;

	assert_int_equal(policy_new(set, slice_of(name), here, &policy, error), 0);
	return policy;
}

/* Read `text` as the body of policy `name`; 0 or -EINVAL. */
static int load(const char *name, const char *text, struct policy **ret_policy)
{
	struct arena arena = {.chunks = NULL};
	const struct yaml_node *root = NULL;

	int code = yaml_read(slice_of(text), "test.yaml", &arena, &root, error);
	if (code == 0) {
		code = policy_load(set, slice_of(name), root, ret_policy, error);
	}
	arena_free(&arena);
	return code;
}

static struct policy *compiled(const char *name, const char *text)
{
	struct policy *policy = NULL;

	if (load(name, text, &policy) < 0 || policy_compile(policy, error) < 0) {
		fail_msg("refused: %s", error);
	}
	return policy;
}

static void expect_refused(const char *text, const char *message)
{
	char name[32];
	struct policy *policy = NULL;
	static unsigned number; /* of policies made so */

	(void)snprintf(name, sizeof(name), "refused-%u", number++);
	int code = load(name, text, &policy);
	if (code == 0) {
		code = policy_compile(policy, error);
	}
	assert_int_equal(code, -EINVAL);
	assert_string_equal(error, message);
}

static struct verdict judge(const struct policy *policy, const char *method, const char *path)
{
	static struct docker_request request;
	const struct docker_target target = {
	        .method = slice_of(method),
	        .path = slice_of(path),
	        .query = {NULL, 0},
	};

	assert_int_equal(docker_route(&target, &request), DOCKER_OK);
	return policy_judge(policy, &request, scratch);
}

static void expect(const struct policy *policy, bool allowed, const char *method, const char *path)
{
	if (judge(policy, method, path).allowed != allowed) {
		fail_msg("%s %s: %s", method, path, allowed ? "is denied" : "is allowed");
	}
}

static void allows(const struct policy *policy, const char *method, const char *path)
{
	expect(policy, true, method, path);
}

static void denies(const struct policy *policy, const char *method, const char *path)
{
	expect(policy, false, method, path);
}

/* ── Which rule decides ──────────────────────────────────────────────────── */

static void nothing_fits_so_it_is_denied(void **state)
{
	(void)state;
	const struct policy *empty = compiled("empty", "rules: []");
	denies(empty, "GET", "/_ping");
	denies(empty, "GET", "/nothing");
	const struct verdict verdict = judge(empty, "GET", "/_ping");
	assert_null(verdict.rule);
	assert_ptr_equal(verdict.policy, empty);
	assert_string_equal(verdict.place.file, "test.yaml");
	assert_int_equal(verdict.place.line, 1);
}

static void the_first_rule_that_fits_decides(void **state)
{
	(void)state;
	const struct policy *policy = compiled("p", "rules:\n"
	                                            "  - deny: [container.attach_ws]\n"
	                                            "  - allow: [container.*, image.pull]\n"
	                                            "  - deny: container.list\n");
	allows(policy, "GET", "/containers/json");
	denies(policy, "GET", "/containers/a/attach/ws");
	denies(policy, "GET", "/images/json");
	denies(policy, "POST", "/images/create"); /* without fromImage it is an import */
	const struct verdict verdict = judge(policy, "GET", "/v1.41/containers/a/attach/ws");
	assert_string_equal(verdict.rule, "deny: [container.attach_ws]");
	assert_int_equal(verdict.place.line, 2);
}

static void globs_stay_within_a_name(void **state)
{
	(void)state;
	const struct policy *lists = compiled("lists", "rules: [{allow: ['*.list']}]");
	allows(lists, "GET", "/containers/json");
	allows(lists, "GET", "/volumes");
	denies(lists, "GET", "/containers/a/json");
	denies(lists, "GET", "/libpod/containers/json");

	const struct policy *podman = compiled("podman", "rules: [{allow: [libpod.*]}]");
	allows(podman, "GET", "/libpod/containers/json");
	allows(podman, "POST", "/libpod/pods/create");
	denies(podman, "GET", "/containers/json");
	denies(podman, "GET", "/libpod/nothing");

	const struct policy *middle = compiled("middle", "rules: [{allow: [container.a*t]}]");
	allows(middle, "HEAD", "/containers/a/archive");
	denies(middle, "POST", "/containers/a/attach/ws");
	denies(middle, "POST", "/containers/a/start");
}

static void the_unknown_is_reached_by_its_name_and_by_a_star_alone(void **state)
{
	(void)state;
	allows(compiled("star", "rules: [{allow: ['*']}]"), "GET", "/nothing");
	allows(compiled("unknown", "rules: [{allow: [unknown]}]"), "BREW", "/containers/a/b/c/d");
	denies(compiled("known", "rules: [{allow: ['*.*']}]"), "GET", "/nothing");
	denies(compiled("literal", "rules: [{allow: [unknown]}]"), "GET", "/containers/json");
}

/* No row fits, and the Engine takes it for an operation all the same: both must be allowed. */
static void what_the_engine_takes_it_for_must_be_allowed_too(void **state)
{
	const char *logs = "/containers/app/db/logs";

	(void)state;
	denies(compiled("served", "rules: [{allow: [container.logs]}]"), "GET", logs);
	denies(compiled("not-served", "rules: [{allow: [unknown]}]"), "GET", logs);
	allows(compiled("served-too", "rules: [{allow: [unknown, container.logs]}]"), "GET", logs);
}

static void methods_alone_allow_only_what_is_known_but_deny_all(void **state)
{
	(void)state;
	const struct policy *reads = compiled("reads", "rules: [{allow: {methods: [GET, HEAD]}}]");
	allows(reads, "GET", "/containers/json");
	allows(reads, "HEAD", "/_ping");
	denies(reads, "HEAD", "/containers/json");
	denies(reads, "GET", "/nothing");
	denies(reads, "POST", "/containers/create");

	const struct policy *no_posts =
	        compiled("no-posts", "rules: [{deny: {methods: POST}}, {allow: ['*']}]");
	denies(no_posts, "POST", "/containers/create");
	denies(no_posts, "POST", "/nothing");
	allows(no_posts, "DELETE", "/nothing");
	allows(no_posts, "GET", "/nothing");
}

static void operations_and_methods_must_both_fit(void **state)
{
	(void)state;
	const struct policy *policy =
	        compiled("both", "rules: [{allow: {operations: [system.ping], methods: [HEAD]}}]");
	allows(policy, "HEAD", "/_ping");
	denies(policy, "GET", "/_ping");
}

static void sections_reach_rows_and_the_unknown(void **state)
{
	static const char *const methods[] = {"GET", "HEAD"};
	const struct policy_match match = {
	        .sections = UINT64_C(1) << DOCKER_SECTION_CONTAINERS,
	        .methods = methods,
	        .method_count = ARRAY_LEN(methods),
	};
	struct policy *policy = new_policy("sections");

	(void)state;
	assert_int_equal(policy_add_rule(policy, true, &match, "CONTAINERS=1", NOWHERE, error), 0);
	assert_int_equal(policy_compile(policy, error), 0);
	allows(policy, "GET", "/containers/json");
	allows(policy, "GET", "/containers/a/something/new");
	denies(policy, "POST", "/containers/a/something/new");
	denies(policy, "OPTIONS", "/containers/json");
	denies(policy, "GET", "/images/json");
	denies(policy, "GET", "/nothing");
}

/* ── Paths ───────────────────────────────────────────────────────────────── */

static void a_path_rule_is_about_the_whole_path(void **state)
{
	(void)state;
	const struct policy *policy =
	        compiled("paths", "rules:\n"
	                          "  - allow: {methods: [GET], path: '/plugins/[a-z]+/json'}\n"
	                          "  - allow: {path: '/_ping|/containers'}\n"
	                          "  - allow: {path: '/images/(?i)A+/json'}\n");
	allows(policy, "GET", "/plugins/abc/json");
	allows(policy, "GET", "/v1.41/plugins/abc/json");
	denies(policy, "GET", "/plugins/ABC/json");
	denies(policy, "GET", "/plugins/abc/json2");
	denies(policy, "POST", "/plugins/abc/json");
	allows(policy, "GET", "/_ping");
	denies(policy, "GET", "/_pingx");
	allows(policy, "GET", "/containers");
	denies(policy, "GET", "/secrets/containers");
	denies(policy, "GET", "/containers/json");
	allows(policy, "GET", "/images/aA/json");
}

static void a_path_rule_sees_names_decoded(void **state)
{
	(void)state;
	const struct policy *policy =
	        compiled("decoded", "rules:\n  - allow: {path: '/images/a/b c/json'}\n");
	allows(policy, "GET", "/images/a%2Fb%20c/json");
	allows(policy, "GET", "/images/%61/b%20c/json");
	denies(policy, "GET", "/images/a/b%2520c/json");
}

/* The version is seen as the Engine gets it; no other spelling of a path is another path. */
static void a_versioned_path_rule_sees_the_version(void **state)
{
	(void)state;
	const struct policy *policy =
	        compiled("versions", "rules:\n"
	                             "  - deny: {versioned_path: '/v1\\.41/images/a b/json'}\n"
	                             "  - allow: {methods: [GET], versioned_path: "
	                             "'/v1\\.4[0-9]/(images/.*|containers/json)'}\n"
	                             "  - allow: {versioned_path: '/v5\\.3\\.0-rc1/_ping|/info'}\n"
	                             "  - allow: {path: '/v.+', versioned_path: '/v1.*'}\n");
	allows(policy, "GET", "/v1.41/containers/json");
	allows(policy, "GET", "/v1.041/containers/json");
	allows(policy, "GET", "/%76%31.41/%63ontainers/json");
	denies(policy, "GET", "/containers/json");
	denies(policy, "GET", "/v1.39/containers/json");
	denies(policy, "GET", "/v1.41/Containers/json");
	denies(policy, "POST", "/v1.41/containers/json");
	denies(policy, "GET", "/v1.41/images/a%20b/json");
	denies(policy, "GET", "/v01.41/images/%61%20b/json");
	allows(policy, "GET", "/v1.42/images/a%20b/json");
	allows(policy, "GET", "/v1.42/images/a%2Fb/json");
	allows(policy, "GET", "/v05.3.0%2Drc1/_ping");
	denies(policy, "GET", "/v5.3.0/_ping");
	const struct policy *none =
	        compiled("no-version", "rules: [{allow: {methods: [GET], versioned_path: /info}}]");
	allows(none, "GET", "/info");
	denies(none, "GET", "/v1.41/info");
	denies(none, "GET", "/version");
	allows(compiled("version-alone",
	               "rules: [{allow: {operations: ['*'], versioned_path: /v1.41}}]"),
	        "GET", "/v1.41");
	allows(policy, "GET", "/info");
	denies(policy, "GET", "/v1.41/info");
	allows(policy, "GET", "/v1.41/version");
	denies(policy, "GET", "/version");
	denies(policy, "GET", "/v1.41");
	denies(policy, "GET", "/v1.41/");
}

static void path_and_operation_must_both_fit(void **state)
{
	(void)state;
	const struct policy *policy =
	        compiled("p", "rules:\n"
	                      "  - deny: {operations: [container.*], path: '/containers/db-.*'}\n"
	                      "  - allow: [container.inspect, network.inspect]\n");
	allows(policy, "GET", "/containers/web/json");
	denies(policy, "GET", "/containers/db-1/json");
	allows(policy, "GET", "/networks/db-1");
}

/* Backtracking without end is stopped, and then nobody knows: that must not open anything. */
static void a_pattern_that_is_too_hard_denies(void **state)
{
	char path[512] = "/images/";

	(void)state;
	memset(path + strlen(path), 'a', 200);
	strcpy(path + 208, "!/json");
	/* Without the limit the second alternative would fit. */
	const struct policy *allow =
	        compiled("allow", "rules: [{allow: {path: '/images/((a|aa)+[xy]|a+!)/json'}}]");
	denies(allow, "GET", path);
	allows(allow, "GET", "/images/aa!/json");
	const struct policy *deny =
	        compiled("deny-it", "rules:\n"
	                            "  - deny: {path: '/images/(a|aa)+[xy].*'}\n"
	                            "  - allow: ['*']\n");
	denies(deny, "GET", path);
	allows(deny, "GET", "/images/b/json");
}

static void tables_know_what_a_path_rule_can_concern(void **state)
{
	(void)state;
	const struct policy *policy =
	        compiled("p", "rules: [{allow: {path: '/containers/web/.*'}}]");
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const struct docker_endpoint *endpoint = docker_endpoint(id);
		const enum policy_grant grant = policy_grant_of(policy, id);
		const bool concerned =
		        strncmp(endpoint->path, "/containers/{", strlen("/containers/{")) == 0;
		/* With OPTIONS any path is one. */
		if (grant != (concerned ? POLICY_SOMETIMES : POLICY_NEVER)) {
			fail_msg("%s %s", endpoint->method, endpoint->path);
		}
	}
	/* What no row fits begins with its section all the same. */
	for (unsigned id = docker_endpoint_count; id < docker_id_count(); id++) {
		const enum docker_section section = docker_id_section(id);
		const bool can_fit =
		        section == DOCKER_SECTION_CONTAINERS || section == DOCKER_SECTION_NONE;
		assert_int_equal(
		        policy_grant_of(policy, id), can_fit ? POLICY_SOMETIMES : POLICY_NEVER);
	}
	allows(policy, "OPTIONS", "/containers/web/new");
	const struct policy *exact = compiled("q", "rules: [{allow: {path: '/version|/in.o'}}]");
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const char *path = docker_endpoint(id)->path;
		const bool fits = strcmp(path, "/version") == 0 || strcmp(path, "/info") == 0;
		assert_int_equal(policy_grant_of(exact, id), fits ? POLICY_ALWAYS : POLICY_NEVER);
	}
}

/* Of a path without metacharacters it is known which ids its requests can have. */
static void tables_know_what_a_plain_path_can_concern(void **state)
{
	(void)state;
	const struct policy *get =
	        compiled("get", "rules: [{allow: {methods: [GET], path: /containers/json}}]");
	for (unsigned id = 0; id < docker_id_count(); id++) {
		const bool listed = strcmp(docker_operation_name(id), "container.list") == 0;
		assert_int_equal(policy_grant_of(get, id), listed ? POLICY_ALWAYS : POLICY_NEVER);
	}
	denies(get, "HEAD", "/containers/json");

	/* Names may hold slashes, and with other methods it is no operation. */
	const struct policy *any =
	        compiled("any", "rules: [{allow: {path: /containers/app/db/json}}]");
	for (unsigned id = 0; id < docker_id_count(); id++) {
		const char *name = docker_operation_name(id);
		const bool serves = strcmp(name, "container.inspect") == 0 ||
		                    strcmp(name, "container.remove") == 0;
		const bool unknown = id >= docker_endpoint_count &&
		                     docker_id_section(id) == DOCKER_SECTION_CONTAINERS;
		if (policy_grant_of(any, id) !=
		        (serves || unknown ? POLICY_SOMETIMES : POLICY_NEVER)) {
			fail_msg("%u %s", id, name);
		}
	}
	allows(any, "GET", "/containers/app/db/json");
	allows(any, "POST", "/containers/app/db/json");
	allows(any, "OPTIONS", "/containers/app/db/json");
	denies(any, "GET", "/containers/app/json");
}

/* What a plain path is taken for must be what it is as any other pattern. */
static void plain_paths_decide_as_patterns_do(void **state)
{
	static const char *const paths[] = {"/containers/json", "/containers/web/json",
	        "/containers/app/db/logs", "/containers/web/attach/ws", "/containers/create",
	        "/containers/create/", "/images/create", "/images/a/b/json", "/debug/vars",
	        "/debug/pprof/heap", "/libpod/containers/json", "/libpod/manifests/a/push", "/",
	        "/foo", "/_ping", "/containers", "/containers/web/start", "/containers/web/copy"};
	static const char *const methods[] = {
	        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"};
	char rules[2][128];
	char name[2][16];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		const struct policy *policy[2];
		for (unsigned k = 0; k < 2; k++) {
			(void)snprintf(name[k], sizeof(name[k]), "p%u-%u", i, k);
			(void)snprintf(rules[k], sizeof(rules[k]),
			        "rules: [{allow: {path: '%s%s'}}]", paths[i], k == 0 ? "" : "()");
			policy[k] = compiled(name[k], rules[k]);
		}
		for (unsigned j = 0; j < ARRAY_LEN(paths) * ARRAY_LEN(methods); j++) {
			const char *method = methods[j % ARRAY_LEN(methods)];
			const char *path = paths[j / ARRAY_LEN(methods)];
			for (unsigned v = 0; v < 3; v++) {
				char versioned[128];
				(void)snprintf(versioned, sizeof(versioned), "%s%s",
				        (const char *[]){"", "/v1.20", "/v1.44"}[v], path);
				assert_int_equal(judge(policy[0], method, versioned).allowed,
				        judge(policy[1], method, versioned).allowed);
			}
		}
	}
}

/* The literal front of a row's path, and whole literal paths, are what its requests have. */
static void paths_of_rows_are_as_the_table_takes_them(void **state)
{
	(void)state;
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		static struct docker_request request;
		const struct docker_endpoint *endpoint = docker_endpoint(id);
		char path[256];
		char *out = path;
		for (const char *in = endpoint->path; *in != '\0'; in++) {
			if (*in == '{') {
				*out++ = 'x';
				in = strchr(in, '}');
			} else {
				*out++ = *in;
			}
		}
		*out = '\0';
		const struct docker_target target = {
		        .method = slice_of(endpoint->method), .path = slice_of(path)};
		if (docker_route(&target, &request) != DOCKER_OK) {
			continue; /* rows that need a query, a body or a version */
		}
		assert_true(slice_equal(request.bare, slice_of(path)));
	}
}

/* ── extends ─────────────────────────────────────────────────────────────── */

static void extended_rules_come_after_the_own(void **state)
{
	(void)state;
	(void)compiled("base", "rules: [{deny: [image.list]}, {allow: ['image.*']}]");
	const struct policy *policy =
	        compiled("top", "extends: [base, read-only]\nrules: [{deny: [container.list]}]");
	denies(policy, "GET", "/containers/json");   /* own */
	denies(policy, "GET", "/images/json");       /* base */
	allows(policy, "GET", "/images/search");     /* base */
	allows(policy, "GET", "/containers/a/json"); /* the preset */
	const struct verdict verdict = judge(policy, "GET", "/containers/a/json");
	assert_string_equal(policy_name(verdict.policy), "read-only");
	assert_string_equal(verdict.place.file, "presets/read-only.yaml");
}

static void a_policy_that_is_reached_twice_is_fine(void **state)
{
	(void)state;
	struct policy *policy = NULL;
	assert_int_equal(load("a", "rules: [{allow: [system.ping]}]", &policy), 0);
	assert_int_equal(load("b", "extends: a", &policy), 0);
	assert_int_equal(load("c", "extends: a", &policy), 0);
	allows(compiled("d", "extends: [b, c]"), "GET", "/_ping");
}

static void circles_are_refused(void **state)
{
	struct policy *a = NULL;
	struct policy *b = NULL;

	(void)state;
	assert_int_equal(load("a", "rules: []\nextends: [b]", &a), 0);
	assert_int_equal(load("b", "extends: [a]", &b), 0);
	assert_int_equal(policy_compile(a, error), -EINVAL);
	assert_string_equal(
	        error, "test.yaml:1: policy 'a' extends itself: it is reached from 'b'");
	assert_int_equal(load("self", "\n\nextends: self", &a), 0);
	assert_int_equal(policy_compile(a, error), -EINVAL);
	assert_string_equal(
	        error, "test.yaml:3: policy 'self' extends itself: it is reached from 'self'");
}

static void depth_has_a_ceiling(void **state)
{
	struct policy *policy = NULL;

	(void)state;
	for (unsigned i = 0; i <= POLICY_DEPTH_MAX; i++) {
		char name[32];
		char text[64];
		(void)snprintf(name, sizeof(name), "p%u", i);
		(void)snprintf(text, sizeof(text), i == 0 ? "rules: []" : "extends: [p%u]", i - 1);
		assert_int_equal(load(name, text, &policy), 0);
	}
	assert_int_equal(policy_compile(policy, error), -EINVAL);
	assert_string_equal(
	        error, "test.yaml:1: more than 8 policies extend each other in a row at 'p0'");
}

/* ── mode ────────────────────────────────────────────────────────────────── */

static void observing_lets_through_what_it_would_deny(void **state)
{
	(void)state;
	const struct policy *policy =
	        compiled("watch", "mode: observe\nrules: [{allow: [system.ping]}]");
	const struct verdict ping = judge(policy, "GET", "/_ping");
	assert_true(ping.allowed);
	assert_false(ping.observed);
	const struct verdict create = judge(policy, "POST", "/containers/create");
	assert_true(create.allowed);
	assert_true(create.observed);
	/* The mode is the policy's own: who extends it enforces. */
	denies(compiled("strict", "extends: [watch]"), "POST", "/containers/create");
}

/* ── Errors ──────────────────────────────────────────────────────────────── */

static void mistakes_in_rules_are_named(void **state)
{
	static const char *const cases[][2] = {
	        {"rules:\n  - allow: [container.inspct]",
	                "test.yaml:2: 'container.inspct' fits no operation; did you mean "
	                "'container.inspect'?"},
	        {"rules:\n  - allow: [containers.*]",
	                "test.yaml:2: 'containers.*' fits no operation; did you mean "
	                "'container.*'?"},
	        {"rules:\n  - allow: [zebra]",
	                "test.yaml:2: 'zebra' fits no operation; `check --policy open` lists them "
	                "all"},
	        {"rules:\n  - allow: []",
	                "test.yaml:2: 'allow' is a list of operations, such as container.list; "
	                "found an empty list"},
	        {"rules:\n  - allow:",
	                "test.yaml:2: 'allow' is a list of operations, such as container.list; "
	                "found nothing"},
	        {"rules:\n  - allow: {}",
	                "test.yaml:2: a rule needs operations, methods or a path; for everything "
	                "write allow: ['*']"},
	        {"rules:\n  - allow: {methods: [get]}",
	                "test.yaml:2: 'get' is not accepted as a method: give one of GET HEAD "
	                "POST PUT PATCH DELETE OPTIONS"},
	        {"rules:\n  - allow: {path: '/a['}",
	                "test.yaml:2: the path pattern '/a[' is not accepted: at byte 4: missing "
	                "terminating ] for character class"},
	        {"rules:\n  - allow: {path: '/a)|(/b'}",
	                "test.yaml:2: the path pattern '/a)|(/b' is not accepted: at byte 3: "
	                "unmatched closing parenthesis"},
	        {"rules:\n  - allow: {path: '/a(*ACCEPT)'}",
	                "test.yaml:2: the path pattern '/a(*ACCEPT)' is not accepted: verbs, "
	                "(*...), are not supported"},
	        {"rules:\n  - allow: {path: 'containers/json'}",
	                "test.yaml:2: the path pattern 'containers/json' is not accepted: it fits "
	                "no path: paths begin with a slash"},
	        {"rules:\n  - allow: {path: '/v1\\.[0-9]+/info'}",
	                "test.yaml:2: the path pattern '/v1\\.[0-9]+/info' is not accepted: "
	                "remove the API version: 'path' is compared with paths without it, "
	                "'versioned_path' with paths that have it"},
	        {"rules:\n  - deny: {path: '/v[0-9.]+/info'}",
	                "test.yaml:2: the path pattern '/v[0-9.]+/info' is not accepted: remove "
	                "the API version: 'path' is compared with paths without it, "
	                "'versioned_path' with paths that have it"},
	        {"rules:\n  - deny: {path: '^/v[12]\\..*/info'}",
	                "test.yaml:2: the path pattern '^/v[12]\\..*/info' is not accepted: remove "
	                "the API version: 'path' is compared with paths without it, "
	                "'versioned_path' with paths that have it"},
	        {"rules:\n  - allow:\n      - container.list\n      - container.strat",
	                "test.yaml:4: 'container.strat' fits no operation; did you mean "
	                "'container.start'?"},
	        {"rules:\n  - allow:\n      path: /a\n      methods:\n        - GET\n        - gET",
	                "test.yaml:6: 'gET' is not accepted as a method: give one of GET HEAD "
	                "POST PUT PATCH DELETE OPTIONS"},
	        {"rules:\n  - deny: {operations: [container.create], methods: [PUT]}",
	                "test.yaml:2: this rule can never fit: no request for its operations has "
	                "one of its methods; remove the methods"},
	        {"extends:\n  - traefik\n  - portainer-ro",
	                "test.yaml:3: no policy or preset is called 'portainer-ro'; there are "
	                "portainer, portainer-read-only, portainer-swarm"},
	        {"rules:\n  - allow: {paths: /a}",
	                "test.yaml:2: unknown key 'paths' in a rule; did you mean 'path'?"},
	        {"rules:\n  - permit: [x]",
	                "test.yaml:2: unknown key 'permit' in a rule; there are allow, deny"},
	        {"rules:\n  - allow: [system.ping]\n    deny: [system.info]",
	                "test.yaml:2: a rule is either 'allow: ...' or 'deny: ...': begin each "
	                "rule with a dash"},
	        {"rules:\n  - system.ping", "test.yaml:2: a rule is either 'allow: ...' or 'deny: "
	                                    "...': begin each rule with a dash"},
	        {"rules: system.ping", "test.yaml:1: 'rules' is a list of rules, such as - allow: "
	                               "[container.list]; found 'system.ping'"},
	        {"rules:\n  - allow:\n      - [a]",
	                "test.yaml:3: expected the name of an operation, such as container.list; "
	                "found a list"},
	        {"mode: watch", "test.yaml:1: 'mode' is enforce or observe; found 'watch'"},
	        {"extends: [redonly]",
	                "test.yaml:1: no policy or preset is called 'redonly'; did you mean "
	                "'read-only'?"},
	        {"extends: [portainerx]",
	                "test.yaml:1: no policy or preset is called 'portainerx'; did you mean "
	                "'portainer'?"},
	        {"extends: [wud]", "test.yaml:1: no policy or preset is called 'wud'; did you mean "
	                           "'whats-up-docker'?"},
	        {"extends: [zzzzzzzz]",
	                "test.yaml:1: no policy or preset is called 'zzzzzzzz'; --help lists the "
	                "presets"},
	        {"redact: []",
	                "test.yaml:1: 'redact' is a list of what responses hide, such as env; "
	                "found an empty list"},
	        {"redact: [[env]]", "test.yaml:1: expected a word for what responses hide, such as "
	                            "env; found a list"},
	        {"redact: [env,\n  label:x]",
	                "test.yaml:2: 'label:x' is not accepted in 'redact': give env, args, "
	                "labels:PATTERN, mounts, options, tokens"},
	        {"build: {remote: maybe}",
	                "test.yaml:1: 'remote' is one of false true; found 'maybe'"},
	        {"scope: {}", "test.yaml:1: a scope needs a label, such as {labels: {team: ci}}, "
	                      "or {owner: "
	                      "true}"},
	        {"rule: []", "test.yaml:1: unknown key 'rule' in a policy; did you mean 'rules'?"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		expect_refused(cases[i][0], cases[i][1]);
	}
}

static void names_are_held_to_their_rules(void **state)
{
	struct policy *policy = NULL;
	char longest[POLICY_NAME_MAX + 1];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	const struct slice fits = {longest, POLICY_NAME_MAX};
	const struct slice too_long = {longest, sizeof(longest)};
	assert_int_equal(policy_new(set, fits, here, &policy, error), 0);
	assert_int_equal(policy_new(set, too_long, here, &policy, error), -EINVAL);
	assert_int_equal(policy_new(set, SLICE(""), here, &policy, error), -EINVAL);
	assert_int_equal(policy_new(set, SLICE("a b"), here, &policy, error), -EINVAL);
	assert_string_equal(error, "test.yaml:7: 'a b' is no name for a policy: give 1 to 64 "
	                           "letters, digits, '-', '_' and '.'");
	assert_int_equal(policy_new(set, SLICE("open"), here, &policy, error), -EINVAL);
	assert_string_equal(error, "test.yaml:7: policy 'open' is built in: choose another name");
	assert_int_equal(load("read-only", "rules: []", &policy), -EINVAL);
	assert_string_equal(error, "test.yaml:1: 'read-only' is a preset: choose another name");
}

/* ── Advice ──────────────────────────────────────────────────────────────── */

static void expect_denial(
        const struct policy *policy, const char *method, const char *path, const char *message)
{
	static struct docker_request request;
	const struct docker_target target = {.method = slice_of(method), .path = slice_of(path)};
	char memory[4096];
	struct text text = text_over(memory, sizeof(memory) - 1);

	assert_int_equal(docker_route(&target, &request), DOCKER_OK);
	const struct verdict verdict = policy_judge(policy, &request, scratch);
	assert_false(verdict.allowed);
	policy_add_denial(policy, &request, &verdict, &text);
	memory[text.len] = '\0';
	assert_string_equal(memory, message);
}

static void a_denial_says_what_would_allow_it(void **state)
{
	(void)state;
	const struct policy *own = compiled("own", "rules:\n  - deny: [container.create]\n");
	expect_denial(own, "POST", "/containers/create",
	        "container.create is not allowed by policy 'own' (test.yaml:2, deny: "
	        "[container.create]). To allow it, add as the first rule of policy 'own' in "
	        "test.yaml: - allow: [container.create]  # enough to become root on the host.");
	expect_denial(own, "GET", "/foo/bar",
	        "a request that is unknown to the proxy is not allowed by policy 'own' "
	        "(test.yaml:1). To allow it, add as the first rule of policy 'own' in test.yaml: - "
	        "allow: {methods: [GET], path: /foo/bar}.");

	struct policy *preset = NULL;
	assert_int_equal(policy_set_find(set, SLICE("read-only"), here, &preset, error), 0);
	assert_int_equal(policy_compile(preset, error), 0);
	expect_denial(preset, "GET", "/debug/vars",
	        "debug.vars is not allowed by policy 'read-only' (presets/read-only.yaml:2). To "
	        "allow it, set ALLOW=debug.vars.");
	expect_denial(preset, "GET", "/foo",
	        "a request that is unknown to the proxy is not allowed by policy 'read-only' "
	        "(presets/read-only.yaml:2). To allow it, set CONFIG, in place of POLICY, to a "
	        "file "
	        "with: {policy: mine, policies: {mine: {extends: [read-only], rules: [{allow: "
	        "{methods: [GET], path: /foo}}]}}}.");
	policy_set_written_in(set, "proxy.yaml");
	expect_denial(preset, "GET", "/debug/vars",
	        "debug.vars is not allowed by policy 'read-only' (presets/read-only.yaml:2). To "
	        "allow it, add the policy 'mine' to 'policies' in proxy.yaml and use it in "
	        "place of 'read-only': mine: {extends: [read-only], rules: [{allow: "
	        "[debug.vars]}]}.");
}

/* What is advised where `name` denies. */
static const char *advice_of(const char *name, const char *method, const char *path)
{
	static struct docker_request request;
	static char memory[1024];
	const struct docker_target target = {.method = slice_of(method), .path = slice_of(path)};
	struct text text = text_over(memory, sizeof(memory) - 1);
	struct policy *policy = NULL;

	assert_int_equal(policy_set_find(set, slice_of(name), here, &policy, error), 0);
	assert_int_equal(policy_compile(policy, error), 0);
	assert_int_equal(docker_route(&target, &request), DOCKER_OK);
	policy_advise(policy, &request, &text);
	memory[text.len] = '\0';
	return memory;
}

static void expect_advice(
        const char *name, const char *method, const char *path, const char *wanted)
{
	const char *advice = advice_of(name, method, path);

	if (strcmp(advice, wanted) != 0) {
		fail_msg("%s, %s: %s", name, path, advice);
	}
}

static void advice_is_short(void **state)
{
	(void)state;
	assert_non_null(strstr(advice_of("agent", "POST", "/build/prune"),
	        "use a policy without the scope (presets/agent.yaml:"));
	expect_advice("agent", "POST", "/containers/prune", "set ALLOW=container.prune");
	expect_advice("deny", "GET", "/events",
	        "set ALLOW=system.events, or use the preset traefik or docker-gen");
	expect_advice("traefik", "POST", "/containers/a/restart",
	        "set ALLOW=container.restart, or use the preset docker-gen-notify or "
	        "dozzle-actions");
	expect_advice("homepage", "GET", "/services",
	        "set ALLOW=service.list, or use the preset homepage-swarm or portainer-read-only");
	expect_advice("read-only", "GET", "/secrets", "set ALLOW=secret.list");
}

/* No preset of another app is enough to become root, and of the same app that is said. */
static void advice_marks_root(void **state)
{
	(void)state;
	expect_advice("traefik", "POST", "/containers/create",
	        "set ALLOW=container.create; that is enough to become root on the host");
	expect_advice("dozzle", "POST", "/containers/a/exec",
	        "set ALLOW=exec.create, or use the preset dozzle-shell; that is enough to become "
	        "root on the host");
	expect_advice("portainer", "GET", "/services",
	        "set ALLOW=service.list, or use the preset portainer-swarm (enough to become root "
	        "on the host)");
}

/* A preset of the same app, though others open less. */
static void advice_begins_with_the_same_app(void **state)
{
	(void)state;
	expect_advice("dozzle", "POST", "/containers/a/start",
	        "set ALLOW=container.start, or use the preset dozzle-actions");
}

static struct policy *compiled_preset(const char *name)
{
	struct policy *policy = NULL;

	if (policy_set_find(set, slice_of(name), here, &policy, error) < 0 ||
	        policy_compile(policy, error) < 0) {
		fail_msg("%s", error);
	}
	return policy;
}

/* The presets that an advice names, one after the other. */
static bool next_preset(struct slice *rest, struct slice *ret_name)
{
	const char *end = memmem(rest->ptr, rest->len, " or ", 4);
	const struct slice part = end == NULL ? *rest : slice_between(rest->ptr, end);

	*rest = end == NULL ? (struct slice){"", 0} : slice_between(end + 4, rest->ptr + rest->len);
	ret_name->ptr = part.ptr;
	ret_name->len = part.len == 0 ? 0 : strcspn(part.ptr, " ;");
	return part.len > 0;
}

static void expect_that_presets_keep_all(const struct policy *policy, unsigned id)
{
	static struct docker_request request;
	char memory[1024] = "";
	struct text text = text_over(memory, sizeof(memory) - 1);
	struct slice name;

	request.id = request.served_id = id;
	policy_advise(policy, &request, &text);
	const char *presets = strstr(memory, "use the preset ");
	struct slice rest = slice_of(presets == NULL ? "" : presets + strlen("use the preset "));
	while (next_preset(&rest, &name)) {
		struct policy *named = NULL;
		assert_int_equal(policy_set_find(set, name, here, &named, error), 0);
		assert_int_equal(policy_compile(named, error), 0);
		assert_int_equal(policy_grant_of(named, id), POLICY_ALWAYS);
		for (unsigned kept = 0; kept < docker_id_count(); kept++) {
			if (policy_grant_of(policy, kept) != POLICY_NEVER &&
			        policy_grant_of(named, kept) != POLICY_ALWAYS) {
				fail_msg("%s in place of %s loses %s", policy_name(named),
				        policy_name(policy), docker_operation_name(kept));
			}
		}
	}
}

static void presets_that_are_advised_keep_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < policy_preset_count; i++) {
		const struct policy *policy = compiled_preset(policy_presets[i].name);
		for (unsigned id = 0; id < docker_endpoint_count; id++) {
			if (policy_grant_of(policy, id) == POLICY_NEVER) {
				expect_that_presets_keep_all(policy, id);
			}
		}
	}
}

static void advise_switch(
        const void *context, const struct docker_request *request, struct text *text)
{
	(void)request;
	text_add(text, slice_of(context));
}

static void an_advisor_has_the_word(void **state)
{
	struct policy *policy = NULL;

	(void)state;
	assert_int_equal(policy_new(set, SLICE("switches"), NOWHERE, &policy, error), 0);
	policy_set_advisor(policy, advise_switch, "set CONTAINERS=1 and POST=1");
	assert_int_equal(policy_compile(policy, error), 0);
	expect_denial(policy, "POST", "/containers/create",
	        "container.create is not allowed by policy 'switches' (built in). To allow it, set "
	        "CONTAINERS=1 and POST=1.");
}

/* ── Presets ─────────────────────────────────────────────────────────────── */

static void every_preset_can_be_used(void **state)
{
	(void)state;
	for (unsigned i = 0; i < policy_preset_count; i++) {
		assert_non_null(policy_costs(compiled_preset(policy_presets[i].name)));
	}
}

/* The build reads presets by itself: it must come to what the program does. */
static void what_a_preset_allows_is_known_without_reading_it(void **state)
{
	(void)state;
	for (unsigned i = 0; i < policy_preset_count; i++) {
		const struct policy_preset *preset = &policy_presets[i];
		const struct policy *policy = compiled_preset(preset->name);
		for (unsigned id = 0; id < docker_id_count(); id++) {
			const bool allows = id < docker_endpoint_count &&
			                    (preset->allows[id / 64] >> (id % 64) & 1) != 0;
			assert_int_equal(
			        policy_grant_of(policy, id), allows ? POLICY_ALWAYS : POLICY_NEVER);
		}
	}
}

static void open_allows_and_deny_denies_everything(void **state)
{
	struct policy *open = NULL;
	struct policy *deny = NULL;

	(void)state;
	assert_int_equal(policy_set_find(set, SLICE("open"), here, &open, error), 0);
	assert_int_equal(policy_set_find(set, SLICE("deny"), here, &deny, error), 0);
	assert_int_equal(policy_compile(open, error), 0);
	assert_int_equal(policy_compile(deny, error), 0);
	for (unsigned id = 0; id < docker_id_count(); id++) {
		assert_int_equal(policy_grant_of(open, id), POLICY_ALWAYS);
		assert_int_equal(policy_grant_of(deny, id), POLICY_NEVER);
	}
}

/* ── Ceilings ────────────────────────────────────────────────────────────── */

/* `front`, then `count` times `word`, and the end of a list. */
static const char *repeated(const char *front, unsigned count, const char *word)
{
	static char memory[64 * 1024];
	size_t len = (size_t)snprintf(memory, sizeof(memory), "%s", front);

	for (unsigned i = 0; i < count; i++) {
		len += (size_t)snprintf(memory + len, sizeof(memory) - len, "%s", word);
		assert_true(len < sizeof(memory) - 1);
	}
	memory[len] = ']';
	memory[len + 1] = '\0';
	return memory;
}

static void rules_have_ceilings(void **state)
{
	const struct policy_match all = {
	        .operations = (const char *const[]){"system.ping"}, .operation_count = 1};
	struct policy *big = new_policy("big");
	struct policy *more = new_policy("more");
	char pattern[1100] = "rules:\n  - allow: {path: '/";

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(policy_add_rule(big, true, &all, "", here, error), 0);
	}
	assert_int_equal(policy_add_rule(big, true, &all, "", here, error), -EINVAL);
	assert_string_equal(error, "test.yaml:7: policy 'big' has more than 1000 rules");
	assert_int_equal(policy_compile(big, error), 0);

	assert_int_equal(policy_add_rule(more, true, &all, "", here, error), 0);
	assert_int_equal(policy_extend(more, SLICE("big"), here, error), 0);
	assert_int_equal(policy_compile(more, error), -EINVAL);
	assert_string_equal(
	        error, "test.yaml:7: policy 'more' has more than 1000 rules with those it extends");

	const size_t len = strlen(pattern);
	memset(pattern + len, 'x', 1024);
	(void)snprintf(pattern + len + 1024, sizeof(pattern) - len - 1024, "'}");
	expect_refused(pattern, "test.yaml:2: the path pattern is longer than 1024 bytes");
	expect_refused(repeated("rules:\n  - allow: [", 257, "system.ping, "),
	        "test.yaml:2: a list has more than 256 elements");
	struct policy *wide = NULL;
	assert_int_equal(load("wide", repeated("extends: [", 33, "open, "), &wide), -EINVAL);
	assert_string_equal(error, "test.yaml:1: policy 'wide' extends more than 32 others");
	expect_refused("extends: [{}]",
	        "test.yaml:1: expected the name of a preset or policy; found a map");
}

static void a_name_is_given_once(void **state)
{
	struct policy *policy = NULL;

	(void)state;
	(void)new_policy("mine");
	assert_int_equal(policy_new(set, SLICE("mine"), here, &policy, error), -EINVAL);
	assert_string_equal(
	        error, "test.yaml:7: policy 'mine' is defined twice; the first is at test.yaml:7");
}

static void what_is_no_text_is_named(void **state)
{
	(void)state;
	expect_refused("mode: [a]", "test.yaml:1: 'mode' is enforce or observe; found a list");
	expect_refused("mode: loud", "test.yaml:1: 'mode' is enforce or observe; found 'loud'");
	expect_refused("costs: [a]", "test.yaml:1: 'costs' is text for people; found a list");
	expect_refused(
	        "description:", "test.yaml:1: 'description' is text for people; found nothing");
	expect_refused("rules: [{allow: {path: ''}}]",
	        "test.yaml:1: 'path' is a regular expression for the whole path, such as "
	        "'/plugins/[a-z]+/json'; found nothing");
	expect_refused("extends: {}", "test.yaml:1: 'extends' is a list of presets or policies, "
	                              "such as read-only; found a map");
}

/* ── Uniting ─────────────────────────────────────────────────────────────── */

static int unite(const char *name, const char *members, struct policy **ret_policy)
{
	return policy_unite(set, slice_of(name), slice_of(members), here, ret_policy, error);
}

static void a_denial_that_can_decide_stands_against_uniting(void **state)
{
	static const struct {
		const char *name;
		const char *rules;
		unsigned line; /* of the denial that can decide; 0: none can */
	} rows[] = {
	        {"first", "rules:\n  - deny: [container.create]\n  - allow: ['*']\n", 2},
	        {"shadowed", "rules:\n  - allow: ['*']\n  - deny: [container.create]\n", 0},
	        {"behind-a-path",
	                "rules:\n  - allow: {operations: [container.create], path: "
	                "/containers/create}\n"
	                "  - deny: {path: /containers/.*}\n",
	                3},
	        {"behind-a-method",
	                "rules:\n  - allow: {operations: [unknown], methods: [GET]}\n"
	                "  - deny: [unknown]\n",
	                3},
	        {"behind-both",
	                "rules:\n  - allow: {methods: [GET], path: /a}\n  - deny: {methods: "
	                "[POST], path: /a}\n",
	                3},
	        {"none", "rules: []", 0},
	};
	struct policy *united = NULL;
	char members[64];
	char where[64];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		(void)compiled(rows[i].name, rows[i].rules);
		(void)snprintf(members, sizeof(members), "traefik,%s", rows[i].name);
		assert_that(rows[i].name,
		        unite(members, members, &united) == (rows[i].line == 0 ? 0 : -EINVAL));
		(void)snprintf(where, sizeof(where), "deny rule (test.yaml:%u)", rows[i].line);
		assert_that(rows[i].name, rows[i].line == 0 || strstr(error, where) != NULL);
		/* By itself it is not united with anything. */
		assert_int_equal(unite(rows[i].rules, rows[i].name, &united), 0);
	}
}

static void what_is_united_observes_if_all_do(void **state)
{
	struct policy *united = NULL;

	(void)state;
	(void)compiled("quiet", "mode: observe\nrules: []");
	(void)compiled("calm", "mode: observe\nrules: [{allow: [system.info]}]");
	assert_int_equal(unite("both", "quiet,calm", &united), 0);
	assert_int_equal(policy_compile(united, error), 0);
	assert_true(judge(united, "GET", "/events").observed);
	assert_true(judge(united, "GET", "/events").allowed);
	assert_false(judge(united, "GET", "/info").observed);
	assert_int_equal(unite("mixed", "quiet, traefik", &united), 0);
	assert_int_equal(policy_compile(united, error), 0);
	denies(united, "GET", "/info");
	allows(united, "GET", "/_ping");
}

/* ── Patterns that see the API version ───────────────────────────────────── */

static void whether_a_pattern_can_fit_a_version_is_known(void **state)
{
	static const char *const seeing[] = {"/v1\\.4[0-9]/info", ".*", "(/v[0-9.]+)?/info", "/.*",
	        "/v9.*", "/v1", "/[^/]+/info", "/v[2-3]x", "("};
	static char longest[3000] = "/info";
	static const char *const blind[] = {
	        "/info", "/version", "/volumes.*", "/v", "/va.*", "/containers/.*", "/(x|y).*"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(seeing); i++) {
		assert_that(seeing[i], policy_pattern_sees_version(seeing[i]));
	}
	assert_true(policy_pattern_sees_version("")); /* is none at all */
	memset(longest + strlen(longest), 'x', sizeof(longest) - 1 - strlen(longest));
	assert_true(policy_pattern_sees_version(longest));
	for (unsigned i = 0; i < ARRAY_LEN(blind); i++) {
		assert_that(blind[i], !policy_pattern_sees_version(blind[i]));
	}
}

static void rules_that_see_it_are_found_one_after_the_other(void **state)
{
	struct place place = {NULL, 0};
	unsigned at = 0;

	(void)state;
	const struct policy *policy = compiled("p", "rules:\n"
	                                            "  - allow: [system.info]\n"
	                                            "  - allow: {versioned_path: '/v1\\.41/info'}\n"
	                                            "  - allow: {path: /info}\n"
	                                            "  - deny: {versioned_path: '/v1\\.40/info'}\n"
	                                            "  - allow: [system.ping]\n");
	assert_true(policy_next_versioned(policy, &at, &place));
	assert_int_equal(place.line, 3);
	assert_true(policy_next_versioned(policy, &at, &place));
	assert_int_equal(place.line, 5);
	assert_false(policy_next_versioned(policy, &at, &place));
}

static void a_rule_that_is_long_is_cut_where_it_is_quoted(void **state)
{
	char rules[1024];
	char filler[300];

	(void)state;
	memset(filler, 'x', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	(void)snprintf(rules, sizeof(rules), "rules:\n  - deny: {path: '/%s'}\n", filler);
	const struct policy *policy = compiled("p", rules);
	char path[512];
	(void)snprintf(path, sizeof(path), "/%s", filler);
	const struct verdict verdict = judge(policy, "GET", path);
	assert_string_equal(verdict.rule, "deny: {path: ...");
}

#define FILE_WITH(conditions)                                                                      \
	"set CONFIG, in place of POLICY, to a file with: {policy: mine, policies: {mine: "         \
	"{extends: [read-only], rules: [{allow: {" conditions "}}]}}}"

/* What no row fits, and the Engine serves as something else, needs both. */
static void advice_names_both_where_two_are_judged(void **state)
{
	(void)state;
	expect_advice("read-only", "GET", "/containers/a/b/json",
	        FILE_WITH("methods: [GET], path: /containers/a/b/json"));
	expect_advice("read-only", "POST", "/debug/vars",
	        FILE_WITH("operations: [unknown, debug.vars], path: /debug/vars"));
	expect_advice(
	        "read-only", "FOO", "/nothing", FILE_WITH("operations: [unknown], path: /nothing"));
	expect_advice("read-only", "DELETE", "/containers/a/b/json",
	        FILE_WITH("methods: [DELETE], path: /containers/a/b/json"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_set, close_set)

/* "rule < the rule before it; " */
/* ── Blocks ──────────────────────────────────────────────────────────────── */

/* The `create` block that holds, by the line in which it is written; 0: none. */
static unsigned line_of_block(const struct policy *policy)
{
	const struct constraints *block = policy_block(policy, INSPECT_CREATE);

	return block == NULL ? 0 : constraints_place(block).line;
}

static void the_nearest_block_holds(void **state)
{
	struct policy *made = NULL;

	(void)state;
	assert_int_equal(load("inner", "rules: [{allow: ['*']}]\ncreate: {}", &made), 0);
	assert_int_equal(load("outer", "extends: [inner]\n\n\ncreate: {}", &made), 0);
	assert_int_equal(load("other", "\n\n\n\n\ncreate: {}\nexec: {}", &made), 0);
	assert_int_equal(load("plain", "rules: [{allow: ['*']}]", &made), 0);
	assert_int_equal(line_of_block(compiled("a", "extends: [plain]")), 0);
	assert_int_equal(line_of_block(compiled("b", "extends: [inner]")), 2);
	assert_int_equal(line_of_block(compiled("c", "extends: [plain, outer]")), 4);
	assert_int_equal(line_of_block(compiled("d", "extends: [outer, inner]")), 4);
	assert_int_equal(line_of_block(compiled("e", "create: {}\nextends: [inner, other]")), 1);
	/* It holds for what any of them allows: extending opens nothing. */
	assert_int_equal(line_of_block(compiled("f", "extends: [inner, plain]")), 2);
	expect_refused("extends: [inner, other]", "test.yaml:1: 'inner' and 'other' both have a "
	                                          "'create' block: write one in a policy "
	                                          "that extends them");
}

static void a_block_that_is_lifted_does_not_hold(void **state)
{
	(void)state;
	(void)compiled("lifted-base", "create: {}\nexec: {}");
	const struct policy *policy = compiled("lifting", "extends: [lifted-base]\ncreate: any");
	assert_null(policy_block(policy, INSPECT_CREATE));
	assert_non_null(policy_block(policy, INSPECT_EXEC));
	/* What extends it may have one again. */
	policy = compiled("closing", "extends: [lifting]\ncreate: {}");
	assert_non_null(policy_block(policy, INSPECT_CREATE));
	/* Beside a block it is another opinion about the same. */
	expect_refused("extends: [lifted-base, lifting]",
	        "test.yaml:1: 'lifted-base' and 'lifting' both have a 'create' block: write one in "
	        "a policy that extends them");
	expect_refused("create: none", "test.yaml:1: expected a 'create' block, which is a map, "
	                               "such as {images: ...}; found 'none'");
}

static void a_block_says_which_operations_it_covers(void **state)
{
	const struct policy *policy = compiled("covering", "rules: [{allow: ['*']}]\nexec: {}");
	char memory[4096];
	struct text text = text_over(memory, sizeof(memory));
	unsigned constrained = 0;

	(void)state;
	for (unsigned id = 0; id < docker_id_count(); id++) {
		const char *name = docker_operation_name(id);
		const bool judged = strstr(name, "exec.create") != NULL ||
		                    strstr(name, "container.attach") != NULL ||
		                    strstr(name, "container.archive_") != NULL ||
		                    strstr(name, "container.export") != NULL ||
		                    strcmp(name, "container.top") == 0 ||
		                    strcmp(name, "container.copy") == 0;
		assert_that(name, (policy_inspection(policy, id) != NULL) == judged);
		constrained += judged;
		if (strcmp(name, "exec.start") == 0) {
			assert_true(policy_covers(policy, id)); /* and nobody reads it */
		}
	}
	assert_in_range(constrained, 16, 20); /* some have two methods */
	policy_add_root(policy, 3, false, &text);
	assert_slice("first", text_slice(&text),
	        SLICE("image.build, container.create, container.start_with_config and 28 more, "
	              "unknown"));
	text.len = 0;
	policy_add_root(compiled("harmless", "rules: [{allow: [system.ping]}]"), 3, false, &text);
	assert_int_equal(text.len, 0);
}

static void note_idle_rule(void *context, const char *rule, struct place place, const char *before)
{
	(void)place;
	text_add_format(context, "%s < %s; ", rule, before == NULL ? "none" : before);
}

static void a_rule_that_decides_nothing_names_the_one_before_it(void **state)
{
	static const char text[] =
	        "rules:\n"
	        "  - allow: ['container.*']\n"
	        "  - deny: [container.create]\n"
	        "  - deny: {operations: [container.list], path: /containers/json}\n"
	        "  - deny: {operations: [container.list], versioned_path: '/v1.*'}\n"
	        "  - allow: [image.list]\n";
	char memory[512] = "";
	struct text found = text_over(memory, sizeof(memory) - 1);

	(void)state;
	policy_list_idle_rules(compiled("idle", text), note_idle_rule, &found);
	assert_string_equal(memory,
	        "deny: [container.create] < allow: [container.*]; "
	        "deny: {operations: [container.list], path: /containers/json} < none; "
	        "deny: {operations: [container.list], versioned_path: /v1.*} < none; ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(the_nearest_block_holds),
	        TEST(a_block_that_is_lifted_does_not_hold),
	        TEST(a_block_says_which_operations_it_covers),
	        TEST(nothing_fits_so_it_is_denied),
	        TEST(a_rule_that_decides_nothing_names_the_one_before_it),
	        TEST(the_first_rule_that_fits_decides),
	        TEST(globs_stay_within_a_name),
	        TEST(what_the_engine_takes_it_for_must_be_allowed_too),
	        TEST(the_unknown_is_reached_by_its_name_and_by_a_star_alone),
	        TEST(methods_alone_allow_only_what_is_known_but_deny_all),
	        TEST(operations_and_methods_must_both_fit),
	        TEST(sections_reach_rows_and_the_unknown),
	        TEST(a_path_rule_is_about_the_whole_path),
	        TEST(a_path_rule_sees_names_decoded),
	        TEST(a_versioned_path_rule_sees_the_version),
	        TEST(path_and_operation_must_both_fit),
	        TEST(a_pattern_that_is_too_hard_denies),
	        TEST(tables_know_what_a_path_rule_can_concern),
	        TEST(tables_know_what_a_plain_path_can_concern),
	        TEST(plain_paths_decide_as_patterns_do),
	        TEST(paths_of_rows_are_as_the_table_takes_them),
	        TEST(extended_rules_come_after_the_own),
	        TEST(a_policy_that_is_reached_twice_is_fine),
	        TEST(circles_are_refused),
	        TEST(depth_has_a_ceiling),
	        TEST(observing_lets_through_what_it_would_deny),
	        TEST(mistakes_in_rules_are_named),
	        TEST(names_are_held_to_their_rules),
	        TEST(a_denial_says_what_would_allow_it),
	        TEST(advice_is_short),
	        TEST(advice_marks_root),
	        TEST(advice_begins_with_the_same_app),
	        TEST(presets_that_are_advised_keep_all),
	        TEST(what_a_preset_allows_is_known_without_reading_it),
	        TEST(an_advisor_has_the_word),
	        TEST(every_preset_can_be_used),
	        TEST(open_allows_and_deny_denies_everything),
	        TEST(rules_have_ceilings),
	        TEST(a_name_is_given_once),
	        TEST(what_is_no_text_is_named),
	        TEST(a_denial_that_can_decide_stands_against_uniting),
	        TEST(what_is_united_observes_if_all_do),
	        TEST(whether_a_pattern_can_fit_a_version_is_known),
	        TEST(rules_that_see_it_are_found_one_after_the_other),
	        TEST(a_rule_that_is_long_is_cut_where_it_is_quoted),
	        TEST(advice_names_both_where_two_are_judged),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
