/* SPDX-License-Identifier: MIT */
/*
 * The one decision: every outcome that the bytes of a head alone can have, in
 * the one order of the checks, and again in any pieces.
 */
#include "callers.h"
#include "cases.h"

#include "gate/gate.h"

#include <stdlib.h>

enum { MAX_HEAD = 1024 };

static struct gate_scratch *scratch;
static struct policy_set *set;
static struct gate_config config;
static struct http_scan scan;

static const struct policy *policy_called(const char *name)
{
	const struct place here = {"test", 1};
	struct policy *policy = NULL;
	char error[FAULT_MAX];

	if (policy_set_find(set, slice_of(name), here, &policy, error) < 0 ||
	        policy_compile(policy, error) < 0) {
		fail_msg("%s", error);
	}
	return policy;
}

static int begin(void **state)
{
	(void)state;
	scratch = calloc(1, sizeof(*scratch));
	scratch->judging = policy_scratch_new();
	scratch->recall = recall_new();
	set = policy_set_new();
	config = (struct gate_config){.policy = policy_called("read-only"), .max_head = MAX_HEAD};
	return 0;
}

static int end(void **state)
{
	(void)state;
	policy_scratch_free(scratch->judging);
	recall_free(scratch->recall);
	free(scratch);
	policy_set_free(set);
	return 0;
}

static struct slice pseudonym; /* of the proxy */

static struct gate_decision decide(struct slice bytes)
{
	const struct caller caller = caller_named("unix");
	const struct gate_question question = {
	        .caller = &caller, .bytes = bytes, .scan = &scan, .pseudonym = pseudonym};

	return gate_decide(&config, &question, scratch);
}

/* What the Engine would get. */
static struct slice written(const struct gate_decision *decision, char memory[4096])
{
	const struct http_request_options options = {.api_key = SLICE_INIT("key")};
	struct text text = text_over(memory, 4096);

	if (decision->request != NULL) {
		http_request_write(&text, decision->head, decision->request->path, &options);
	}
	return text_slice(&text);
}

/* The decision over the whole head, which must be the same when it comes byte by byte, and again.
 */
static struct gate_decision ask(const char *head)
{
	const struct slice bytes = slice_of(head);
	struct gate_decision decision;
	char first[4096];
	char again[4096];

	scan = (struct http_scan){0};
	decision = decide((struct slice){bytes.ptr, 0});
	for (size_t len = 1; len <= bytes.len && decision.action == GATE_NEED_HEAD; len++) {
		decision = decide((struct slice){bytes.ptr, len});
	}
	const struct gate_decision slow = decision;
	const struct slice sent = written(&slow, first);
	for (unsigned turn = 0; turn < 3; turn++) {
		scan = (struct http_scan){0};
		decision = decide(bytes);
		assert_int_equal(decision.action, slow.action);
		assert_int_equal(decision.outcome, slow.outcome);
		assert_ptr_equal(decision.reason, slow.reason);
		assert_slice("what is sent", written(&decision, again), sent);
	}
	return decision;
}

#define HEAD(line, fields) line " HTTP/1.1\r\nHost: docker\r\n" fields "\r\n"

/* ── Outcomes ────────────────────────────────────────────────────────────── */

static void an_allowed_request_goes_on(void **state)
{
	const struct gate_decision decision = ask(HEAD("GET /v1.41/containers/json?all=1", ""));

	(void)state;
	assert_int_equal(decision.action, GATE_FORWARD);
	assert_int_equal(decision.outcome, OUTCOME_FORWARDED);
	assert_null(decision.reason);
	assert_true(decision.verdict.allowed);
	assert_ptr_equal(decision.policy, config.policy);
	assert_slice("path", decision.request->path, SLICE("/v1.41/containers/json"));
	assert_slice("query", decision.head->query, SLICE("all=1"));
	assert_string_equal(docker_operation_name(decision.request->id), "container.list");
}

static void a_denied_request_says_by_what(void **state)
{
	const struct gate_decision decision = ask(HEAD("POST /containers/create", ""));

	(void)state;
	assert_int_equal(decision.action, GATE_RESPOND);
	assert_int_equal(decision.outcome, OUTCOME_DENIED);
	assert_false(decision.verdict.allowed);
	assert_ptr_equal(decision.policy, config.policy);
	assert_non_null(decision.request);
}

static void an_observed_denial_goes_on(void **state)
{
	const struct place here = {"test", 1};
	struct policy *policy = NULL;
	char error[FAULT_MAX];

	(void)state;
	assert_int_equal(policy_new(set, SLICE("watched"), here, &policy, error), 0);
	policy_observe(policy);
	assert_int_equal(policy_compile(policy, error), 0);
	config.policy = policy;
	const struct gate_decision decision = ask(HEAD("POST /containers/create", ""));
	assert_int_equal(decision.action, GATE_FORWARD);
	assert_true(decision.verdict.observed);
}

static void health_is_the_proxy_s_own_whatever_the_policy(void **state)
{
	static const char *const heads[] = {HEAD("GET /health", ""), HEAD("HEAD /health?x", "")};

	(void)state;
	config.policy = policy_called("deny");
	for (unsigned i = 0; i < ARRAY_LEN(heads); i++) {
		const struct gate_decision decision = ask(heads[i]);
		assert_int_equal(decision.action, GATE_RESPOND);
		assert_int_equal(decision.outcome, OUTCOME_HEALTHY);
		assert_null(decision.policy);
	}
	assert_int_equal(ask(HEAD("POST /health", "")).outcome, OUTCOME_DENIED);
	assert_int_equal(ask(HEAD("GET /health/x", "")).outcome, OUTCOME_DENIED);
}

/* What must not be looked at: nothing is said of a request, and no policy is asked. */
static void is_refused(const char *head, enum outcome outcome, const char *reason)
{
	const struct gate_decision decision = ask(head);

	assert_int_equal(decision.action, GATE_RESPOND);
	if (decision.outcome != outcome) {
		fail_msg("%s: %s", head, outcome_word(decision.outcome));
	}
	assert_null(decision.request);
	assert_null(decision.policy);
	if (reason != NULL) {
		assert_string_equal(decision.reason, reason);
	}
	assert_non_null(decision.reason);
}

static void what_cannot_be_understood_is_malformed(void **state)
{
	(void)state;
	is_refused("GET / HTTP/1.1\nHost: a\r\n\r\n", OUTCOME_MALFORMED,
	        http_error_text(HTTP_BAD_LINE_END));
	is_refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", OUTCOME_MALFORMED, NULL);
	is_refused(HEAD("GET /", "Host: b\r\n"), OUTCOME_MALFORMED,
	        http_error_text(HTTP_BAD_HOST_REPEATED));
	is_refused("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", OUTCOME_CONNECT,
	        http_error_text(HTTP_BAD_CONNECT));
	is_refused(HEAD("GET /a//b", ""), OUTCOME_MALFORMED,
	        docker_error_text(DOCKER_BAD_EMPTY_SEGMENT));
	is_refused(HEAD("GET /health/../info", ""), OUTCOME_MALFORMED,
	        docker_error_text(DOCKER_BAD_DOT_SEGMENT));
	is_refused(
	        HEAD("POST /containers/create",
	                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1\r\n"),
	        OUTCOME_MALFORMED, http_error_text(HTTP_BAD_FORM));
}

static void browsers_are_refused_where_they_are_not_let_in(void **state)
{
	static const char fetched[] = HEAD("GET /_ping", "Sec-Fetch-Site: cross-site\r\n");

	(void)state;
	is_refused(fetched, OUTCOME_BROWSER, http_error_text(HTTP_BAD_BROWSER));
	/* Also where the response would be the proxy's own. */
	is_refused(HEAD("GET /health", "Origin: null\r\n"), OUTCOME_BROWSER, NULL);
	config.browsers = true;
	assert_int_equal(ask(fetched).action, GATE_FORWARD);
}

/* The ceiling holds for a head that is whole, and for one that never ends. */
static void a_head_has_a_ceiling(void **state)
{
	char bytes[MAX_HEAD + 2];

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes, "GET /", 5);
	bytes[MAX_HEAD] = '\0';
	assert_int_equal(ask(bytes).action, GATE_NEED_HEAD);
	bytes[MAX_HEAD] = 'a';
	bytes[MAX_HEAD + 1] = '\0';
	is_refused(bytes, OUTCOME_TOO_LARGE, http_error_text(HTTP_BAD_TOO_LARGE));

	config.max_head = (unsigned)strlen(HEAD("GET /_ping", ""));
	assert_int_equal(ask(HEAD("GET /_ping", "")).action, GATE_FORWARD);
	config.max_head--;
	is_refused(HEAD("GET /_ping", ""), OUTCOME_TOO_LARGE, NULL);
}

static void the_first_check_that_fails_decides(void **state)
{
	(void)state;
	config.policy = policy_called("deny");
	is_refused(HEAD("GET /a//b", "Origin: null\r\n"), OUTCOME_BROWSER, NULL);
	is_refused(HEAD("GET /a//b", "Origin: null\r\nHost: b\r\n"), OUTCOME_MALFORMED,
	        http_error_text(HTTP_BAD_HOST_REPEATED));
	is_refused(HEAD("GET /a//b", ""), OUTCOME_MALFORMED, NULL);
	assert_int_equal(ask(HEAD("GET /a/b", "")).outcome, OUTCOME_DENIED);
}

/* After a wait the same question is asked again, with bytes behind the head and another scratch. */
static void asked_again_it_says_the_same(void **state)
{
	static const char bytes[] = HEAD("GET /containers/json", "Content-Length: 4\r\n") "body";
	const struct gate_decision first = ask(bytes);

	(void)state;
	memset(&scratch->head, 0, sizeof(scratch->head));
	memset(&scratch->request, 0, sizeof(scratch->request));
	const struct gate_decision second = decide(slice_of(bytes));
	assert_int_equal(first.action, GATE_FORWARD);
	assert_int_equal(second.action, GATE_FORWARD);
	assert_slice("path", second.request->path, SLICE("/containers/json"));
}

static void a_request_that_comes_back_goes_no_further(void **state)
{
	static const struct {
		const char *head;
		enum outcome outcome;
	} rows[] = {
	        {HEAD("GET /info", "Via: 1.1 me\r\n"), OUTCOME_LOOP},
	        {HEAD("GET /info", "Via: 1.0 a, 1.1 me (b)\r\n"), OUTCOME_LOOP},
	        {HEAD("GET /info", "via: 1.0 a\r\nA: b\r\nVIA: 1.1 me\r\n"), OUTCOME_LOOP},
	        {HEAD("POST /build", "Via: 1.1 me\r\n"),
	                OUTCOME_LOOP}, /* whatever the policy says */
	        {HEAD("GET /info", "Via: 1.1 you\r\n"), OUTCOME_FORWARDED},
	        {HEAD("GET /info", "Via:\r\n"), OUTCOME_FORWARDED},
	        {HEAD("GET /info", "A: 1.1 me\r\n"), OUTCOME_FORWARDED},
	        {HEAD("GET /health", "Via: 1.1 me\r\n"), OUTCOME_HEALTHY},
	};

	(void)state;
	pseudonym = SLICE("me");
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(ask(rows[i].head).outcome, rows[i].outcome);
	}
	pseudonym = SLICE("");
	assert_int_equal(ask(rows[0].head).outcome, OUTCOME_FORWARDED);
}

/* ── Tables ──────────────────────────────────────────────────────────────── */

/* The client gets the status of the outcome, so it must be that of the reason. */
static void is_of_its_class(enum http_error error)
{
	static const enum outcome classes[] = {
	        OUTCOME_MALFORMED, OUTCOME_BROWSER, OUTCOME_CONNECT, OUTCOME_TOO_LARGE};
	bool found = false;

	for (unsigned i = 0; i < ARRAY_LEN(classes); i++) {
		found = found || outcome_status(classes[i]) == http_error_status(error);
	}
	if (!found) {
		fail_msg("no outcome has the status %u of '%s'", http_error_status(error),
		        http_error_text(error));
	}
}

static void every_error_of_a_head_has_an_outcome_of_its_status(void **state)
{
	(void)state;
#define ERROR(name, status, text) is_of_its_class(HTTP_BAD_##name);
#include "http/errors.def"
#undef ERROR
}

static void outcomes_have_words_that_a_metric_takes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OUTCOME_COUNT; i++) {
		const char *word = outcome_word((enum outcome)i);
		const unsigned status = outcome_status((enum outcome)i);
		assert_that(word, strlen(word) > 0 && strspn(word, "abcdefghijklmnopqrstuvwxyz_") ==
		                                              strlen(word));
		assert_that(word, status == 0 || strlen(http_reason(status)) > 0);
		assert_that(word,
		        status == 0 || status == 200 || outcome_text((enum outcome)i) != NULL);
		for (unsigned other = 0; other < i; other++) {
			assert_string_not_equal(word, outcome_word((enum outcome)other));
		}
	}
}

/* ── Asking without a client ─────────────────────────────────────────────── */

static void is_asked(const char *target, size_t body_len, const char *wanted)
{
	char memory[256];
	struct text head = text_over(memory, sizeof(memory));

	gate_add_head(SLICE("GET"), slice_of(target), body_len, &head);
	assert_slice(target, text_slice(&head), slice_of(wanted));
}

static void a_question_is_written_as_a_client_writes_it(void **state)
{
	(void)state;
	is_asked("/_ping", 0, "GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n");
	is_asked("/_ping", 12,
	        "GET /_ping HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
	        "Content-Length: 12\r\n\r\n");
	is_asked("http://a:1/b", 0, "GET http://a:1/b HTTP/1.1\r\nHost: a:1\r\n\r\n");
	is_asked("http://a:1", 0, "GET http://a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
	is_asked("http://a:1?b=/", 0, "GET http://a:1?b=/ HTTP/1.1\r\nHost: a:1\r\n\r\n");
	is_asked("/x?y=http://a", false, "GET /x?y=http://a HTTP/1.1\r\nHost: docker\r\n\r\n");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
	        CASE(an_allowed_request_goes_on),
	        CASE(a_denied_request_says_by_what),
	        CASE(an_observed_denial_goes_on),
	        CASE(health_is_the_proxy_s_own_whatever_the_policy),
	        CASE(what_cannot_be_understood_is_malformed),
	        CASE(browsers_are_refused_where_they_are_not_let_in),
	        CASE(a_head_has_a_ceiling),
	        CASE(the_first_check_that_fails_decides),
	        CASE(asked_again_it_says_the_same),
	        CASE(every_error_of_a_head_has_an_outcome_of_its_status),
	        CASE(outcomes_have_words_that_a_metric_takes),
	        CASE(a_request_that_comes_back_goes_no_further),
	        CASE(a_question_is_written_as_a_client_writes_it),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
