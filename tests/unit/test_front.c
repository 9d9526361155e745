/* SPDX-License-Identifier: MIT */
/*
 * A front for many Engines, from the file to the decision: which Engine a request means, who may
 * use it, and what is told to those who may not.
 */
#include "cases.h"

#include "config/config.h"
#include "gate/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct config config;
static struct gate_scratch *scratch;
static char path[] = "/tmp/front-test-XXXXXX";

static int begin(void **state)
{
	(void)state;
	(void)clearenv();
	scratch = calloc(1, sizeof(*scratch));
	scratch->judging = policy_scratch_new();
	const int fd = mkstemp(path);
	return fd < 0 || close(fd) < 0 ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	config_free(&config);
	policy_scratch_free(scratch->judging);
	free(scratch);
	return unlink(path);
}

static int read_config(const char *text, char error[FAULT_MAX])
{
	char *const argv[] = {(char[]){"docker-socket-proxy"}, (char[]){"-c"}, path};
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	config_free(&config);
	return config_read(3, argv, &config, error);
}

static void configure(const char *text)
{
	char error[FAULT_MAX];

	if (read_config(text, error) < 0) {
		fail_msg("%s", error);
	}
}

/* ── Asking ──────────────────────────────────────────────────────────────── */

struct request {
	const char *line; /* "GET /info" */
	const char *key;  /* NULL: none */
	const char *sni;  /* NULL: none */
	unsigned listener;
};

#define ASK(...) ((struct request){__VA_ARGS__})

static struct gate_decision ask_as(struct request request, struct slowdown slowdown)
{
	static char head[16 * 1024];
	const struct config_listener *listener = &config.listeners[request.listener];
	const struct gate_config gate = {
	        .policy = listener->policy,
	        .clients = config.clients.count > 0 ? &config.clients : NULL,
	        .engines = config.has_engines ? &config.engines : NULL,
	        .engine = listener->engine,
	        .max_head = sizeof(head),
	};
	const union address nobody = {.any = {.sa_family = AF_UNIX}};
	const struct caller caller = caller_from(request.listener, &nobody);
	struct text text = text_over(head, sizeof(head));
	struct http_scan scan = {0};

	text_add_format(&text, "%s HTTP/1.1\r\nHost: docker\r\n", request.line);
	if (request.key != NULL) {
		text_add_format(&text, "x-api-key: %s\r\n", request.key);
	}
	text_add(&text, SLICE("\r\n"));
	assert_false(text.overflow);
	const struct gate_question question = {
	        .caller = &caller,
	        .slowdown = slowdown,
	        .server_name = request.sni == NULL ? SLICE("") : slice_of(request.sni),
	        .bytes = text_slice(&text),
	        .scan = &scan,
	};
	return gate_decide(&gate, &question, scratch);
}

static struct gate_decision ask(struct request request)
{
	return ask_as(request, (struct slowdown){.slowed = false});
}

/* The name of the Engine to which it goes, or the word of its outcome. */
static const char *answer(struct request request)
{
	const struct gate_decision decision = ask(request);

	return decision.action == GATE_FORWARD ? config_engine_at(&config, decision.engine)->name
	                                       : outcome_word(decision.outcome);
}

static void is_answered(struct request request, const char *wanted)
{
	const char *got = answer(request);

	if (strcmp(got, wanted) != 0) {
		fail_msg("%s (key %s, SNI %s, listener %u): got %s, wanted %s", request.line,
		        request.key == NULL ? "none" : request.key,
		        request.sni == NULL ? "none" : request.sni, request.listener, got, wanted);
	}
}

/* "secret", and "other". */
#define SECRET "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define OTHER  "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"

#define ENGINES                                                                                    \
	"engines:\n"                                                                               \
	"  a: tcp://127.0.0.2:1\n"                                                                 \
	"  b: {address: 'tcp://127.0.0.2:2', sni: [b.example.org, B2.example.org]}\n"              \
	"  c: {address: 'unix:///run/c.sock', sni: c.example.org}\n"                               \
	"  web: {members: [a, b], sni: web.example.org}\n"

/* ── Which Engine ────────────────────────────────────────────────────────── */

static void path_name_and_listener_decide_in_this_order(void **state)
{
	(void)state;
	configure("upstream: /run/docker.sock\n" ENGINES "listeners:\n"
	          "  - {address: 'tcp://127.0.0.1:1', policy: all}\n"
	          "  - {address: 'tcp://127.0.0.1:2', policy: all, engine: c}\n"
	          "  - {address: 'tcp://127.0.0.1:3', policy: all, engine: web}\n"
	          "policies: {all: {extends: [open], engines: '*'}}\n");
	is_answered(ASK(.line = "GET /info"), "default");
	is_answered(ASK(.line = "GET /info", .listener = 1), "c");
	is_answered(ASK(.line = "GET /info", .listener = 2), "web");
	is_answered(ASK(.line = "GET /info", .sni = "b.example.org", .listener = 1), "b");
	is_answered(ASK(.line = "GET /info", .sni = "b2.EXAMPLE.org"), "b");
	is_answered(ASK(.line = "GET /info", .sni = "web.example.org"), "web");
	is_answered(ASK(.line = "GET /info", .sni = "x.example.org", .listener = 1), "c");
	is_answered(ASK(.line = "GET /engines/a/info", .sni = "b.example.org", .listener = 1), "a");
	is_answered(ASK(.line = "GET /engines/default/info", .listener = 1), "default");
	is_answered(ASK(.line = "GET /engines/web/info"), "web");
	is_answered(ASK(.line = "GET http://docker/engines/a/v1.41/info"), "a");
	is_answered(ASK(.line = "OPTIONS *", .listener = 1), "c");
	is_answered(ASK(.line = "OPTIONS /engines/a/info"), "a");
	is_answered(ASK(.line = "HEAD /engines/a/_ping"), "a");
	is_answered(ASK(.line = "GET /engines/a"), "a");
}

static void the_engine_gets_the_path_without_its_name(void **state)
{
	(void)state;
	configure("upstream: /run/docker.sock\n" ENGINES "policy: all\n"
	          "policies: {all: {extends: [open], engines: '*'}}\n");
	const struct gate_decision decision =
	        ask(ASK(.line = "GET /engines/a/v1.041/containers/%41/json?size=1"));
	assert_int_equal(decision.action, GATE_FORWARD);
	assert_true(decision.by_path);
	assert_slice("path", decision.request->path, SLICE("/v1.41/containers/A/json"));
	assert_slice(
	        "as sent", decision.head->path, SLICE("/engines/a/v1.041/containers/%41/json"));
	assert_string_equal(docker_operation_name(decision.request->id), "container.inspect");
}

static void a_spelling_that_could_name_another_is_refused(void **state)
{
	static const char *const lines[] = {"GET /engines/", "GET /engines//info",
	        "GET /engines/a//containers/json", "GET /engines/a/../b/info",
	        "GET /engines/a/./info", "GET /engines/%61/info", "GET /%65ngines/a/info",
	        "GET /engines%2fa/info", "GET //engines/a/info", "GET /./engines/a/info",
	        "GET /x/../engines/a/info", "GET /engines/../info", "GET /engines/a/%2e%2e/info",
	        "GET /engines/a%2f..%2finfo", "GET /engines/.a/info",
	        "GET http://docker//engines/a/info", "GET http://docker/%65ngines/a/info",
	        "POST /engines", "DELETE /engines", "GET /engines/?x"};

	(void)state;
	configure("upstream: /run/docker.sock\n" ENGINES "policy: all\n"
	          "policies: {all: {extends: [open], engines: '*'}}\n");
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
		is_answered(ASK(.line = lines[i]), "malformed");
	}
}

static void a_path_may_be_as_long_as_without_its_name(void **state)
{
	static char line[10 * 1024];

	(void)state;
	configure("upstream: /run/docker.sock\n" ENGINES "policy: all\n"
	          "policies: {all: {extends: [open], engines: '*'}}\n");
	(void)snprintf(line, sizeof(line), "GET /engines/a/%0*d", DOCKER_PATH_MAX - 1, 0);
	is_answered(ASK(.line = line), "a");
	(void)snprintf(line, sizeof(line), "GET /engines/a/%0*d", DOCKER_PATH_MAX, 0);
	is_answered(ASK(.line = line), "malformed");
	(void)snprintf(line, sizeof(line), "GET /engines/a/%0*d", 8 * 1024, 0);
	is_answered(ASK(.line = line), "malformed");
	(void)snprintf(line, sizeof(line), "GET /engines/%0*d/info", ENGINE_NAME_MAX, 0);
	is_answered(ASK(.line = line), "engine_denied");
	(void)snprintf(line, sizeof(line), "GET /engines/%0*d/info", ENGINE_NAME_MAX + 1, 0);
	is_answered(ASK(.line = line), "malformed");
}

static void without_engines_the_paths_are_unknown_ones(void **state)
{
	(void)state;
	configure("upstream: /run/docker.sock\npolicy: read-only\n");
	is_answered(ASK(.line = "GET /engines"), "denied");
	is_answered(ASK(.line = "GET /engines/a/info"), "denied");
	configure("upstream: /run/docker.sock\npolicy: open\n");
	const struct gate_decision decision = ask(ASK(.line = "GET /engines/a/info"));
	assert_int_equal(decision.action, GATE_FORWARD);
	assert_slice("path", decision.request->path, SLICE("/engines/a/info"));
}

/* ── Who may use it ──────────────────────────────────────────────────────── */

static void engines_open_nothing_to_those_who_were_there(void **state)
{
	(void)state;
	configure("upstream: /run/docker.sock\n" ENGINES "listeners:\n"
	          "  - {address: 'tcp://127.0.0.1:1', policy: open}\n"
	          "  - {address: 'tcp://127.0.0.1:2', policy: open, engine: web}\n"
	          "clients: [{name: ci, match: {key_sha256: " SECRET "}, policy: open}]\n");
	for (unsigned i = 0; i < 2; i++) {
		const char *key = i == 0 ? NULL : "secret";
		is_answered(ASK(.line = "GET /info", .key = key), "default");
		is_answered(ASK(.line = "GET /engines/default/info", .key = key), "default");
		is_answered(ASK(.line = "GET /engines/a/info", .key = key), "engine_denied");
		is_answered(ASK(.line = "GET /info", .key = key, .sni = "b.example.org"),
		        "engine_denied");
		is_answered(ASK(.line = "GET /info", .key = key, .listener = 1), "web");
		is_answered(ASK(.line = "GET /engines/a/info", .key = key, .listener = 1),
		        "engine_denied"); /* a member, and not the group */
		is_answered(ASK(.line = "GET /engines/default/info", .key = key, .listener = 1),
		        "engine_denied");
	}
}

static void client_and_policy_must_both_have_it(void **state)
{
	(void)state;
	configure("upstream: /run/docker.sock\n" ENGINES "policy: deny\n"
	          "policies: {ab: {extends: [open], engines: [a, b]}}\n"
	          "clients:\n"
	          "  - {name: bc, match: {key_sha256: " SECRET "}, engines: [b, c], policy: ab}\n"
	          "  - {name: any, match: {key_sha256: " OTHER "}, policy: ab}\n");
	is_answered(ASK(.line = "GET /engines/a/info", .key = "secret"), "engine_denied");
	is_answered(ASK(.line = "GET /engines/b/info", .key = "secret"), "b");
	is_answered(ASK(.line = "GET /engines/c/info", .key = "secret"), "engine_denied");
	is_answered(ASK(.line = "GET /info", .key = "secret"), "engine_denied");
	is_answered(ASK(.line = "GET /engines/a/info", .key = "other"), "a");
	is_answered(ASK(.line = "GET /engines/c/info", .key = "other"), "engine_denied");
	is_answered(ASK(.line = "GET /info", .key = "other"), "engine_denied");
}

static void one_key_has_a_policy_for_each_engine(void **state)
{
	(void)state;
	configure(
	        "upstream: /run/docker.sock\n" ENGINES "policy: deny\n"
	        "clients:\n"
	        "  - {name: look, match: {key_sha256: " SECRET "}, engines: a, policy: read-only}\n"
	        "  - {name: do, match: {key_sha256: " SECRET
	        "}, engines: [b, web], policy: open}\n");
	is_answered(ASK(.line = "GET /engines/a/containers/json", .key = "secret"), "a");
	is_answered(ASK(.line = "DELETE /engines/a/containers/x", .key = "secret"), "denied");
	is_answered(ASK(.line = "DELETE /engines/b/containers/x", .key = "secret"), "b");
	is_answered(ASK(.line = "DELETE /engines/web/containers/x", .key = "secret"), "web");
	is_answered(ASK(.line = "GET /engines/c/info", .key = "secret"), "engine_denied");
	is_answered(ASK(.line = "GET /info", .key = "secret"), "engine_denied");
}

/* Whether it is there, what its sender could have, and whether a key is right: none of it is told.
 */
static void one_that_is_not_there_is_answered_like_one_that_is_denied(void **state)
{
	static const char *const keys[] = {NULL, "secret", "wrong"};

	(void)state;
	configure("upstream: /run/docker.sock\n" ENGINES "policy: read-only\n"
	          "policies: {a: {extends: [open], engines: a}}\n"
	          "clients:\n"
	          "  - {name: ci, match: {key_sha256: " SECRET "}, engines: [a, b], policy: a}\n"
	          "  - {name: all, match: {key_sha256: " OTHER "}, engines: '*', policy: a}\n");
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		const char *wanted = i == 2 ? "bad_key" : "engine_denied";
		is_answered(ASK(.line = "GET /engines/b/info", .key = keys[i]), wanted);
		is_answered(ASK(.line = "GET /engines/c/info", .key = keys[i]), wanted);
		is_answered(ASK(.line = "GET /engines/nowhere/info", .key = keys[i]), wanted);
		is_answered(ASK(.line = "GET /engines/b/health", .key = keys[i]), wanted);
		is_answered(ASK(.line = "GET /engines/nowhere/health", .key = keys[i]), wanted);
	}
	is_answered(ASK(.line = "GET /engines/b/info", .key = "other"), "engine_denied");
	is_answered(ASK(.line = "GET /engines/nowhere/info", .key = "other"), "engine_denied");
}

static void a_right_key_of_other_engines_is_no_wrong_one(void **state)
{
	const struct slowdown slowed = {.slowed = true};

	(void)state;
	configure("upstream: /run/docker.sock\n" ENGINES "policy: read-only\n"
	          "clients: [{name: ci, match: {key_sha256: " SECRET
	          "}, engines: a, policy: open}]\n");
	assert_true(ask(ASK(.line = "GET /info", .key = "secret")).elsewhere);
	assert_false(ask(ASK(.line = "GET /info", .key = "wrong")).elsewhere);
	assert_false(ask(ASK(.line = "GET /engines/a/info", .key = "secret")).elsewhere);
	/* A host that must wait is not told whether it guessed a key of other Engines. */
	assert_int_equal(
	        ask_as(ASK(.line = "GET /info", .key = "secret"), slowed).outcome, OUTCOME_SLOWED);
	assert_int_equal(
	        ask_as(ASK(.line = "GET /info", .key = "wrong"), slowed).outcome, OUTCOME_SLOWED);
	assert_int_equal(
	        ask_as(ASK(.line = "GET /engines/x/info", .key = "secret"), slowed).outcome,
	        OUTCOME_SLOWED);
	assert_int_equal(ask_as(ASK(.line = "GET /engines", .key = "secret"), slowed).outcome,
	        OUTCOME_SLOWED);
}

static void without_a_default_a_request_must_name_one(void **state)
{
	(void)state;
	configure(ENGINES "listeners:\n"
	                  "  - {address: 'tcp://127.0.0.1:1', policy: all}\n"
	                  "  - {address: 'tcp://127.0.0.1:2', policy: all, engine: a}\n"
	                  "policies: {all: {extends: [open], engines: '*'}}\n");
	assert_null(config.engine.text);
	is_answered(ASK(.line = "GET /info"), "engine_unnamed");
	is_answered(ASK(.line = "GET /info", .listener = 1), "a");
	is_answered(ASK(.line = "GET /info", .sni = "nowhere.example.org"), "engine_unnamed");
	is_answered(ASK(.line = "GET /engines/default/info"), "engine_denied");
	is_answered(ASK(.line = "GET /engines/b/info"), "b");
	is_answered(ASK(.line = "GET /info", .sni = "c.example.org"), "c");
}

/* ── What the proxy answers itself ───────────────────────────────────────── */

static void health_of_an_engine_is_for_those_who_may_use_it(void **state)
{
	(void)state;
	configure("upstream: /run/docker.sock\n" ENGINES
	          "listeners: [{address: 'tcp://127.0.0.1:1', policy: deny, engine: b}]\n"
	          "clients: [{name: ci, match: {key_sha256: " SECRET
	          "}, engines: a, policy: deny}]\n");
	const struct gate_decision front = ask(ASK(.line = "GET /health"));
	assert_int_equal(front.outcome, OUTCOME_HEALTHY);
	assert_int_equal(front.engine, ENGINE_DEFAULT);
	const struct gate_decision named = ask(ASK(.line = "GET /health", .sni = "c.example.org"));
	assert_int_equal(named.engine, ENGINE_DEFAULT);
	const struct gate_decision of_a =
	        ask(ASK(.line = "GET /engines/a/health", .key = "secret"));
	assert_int_equal(of_a.outcome, OUTCOME_HEALTHY);
	assert_int_equal(of_a.engine, 1);
	const struct gate_decision of_b = ask(ASK(.line = "HEAD /engines/b/health"));
	assert_int_equal(of_b.outcome, OUTCOME_HEALTHY);
	assert_int_equal(of_b.engine, 2);
	is_answered(ASK(.line = "GET /engines/a/health"), "engine_denied");
	is_answered(ASK(.line = "POST /engines/b/health"), "key_wanted");
}

static void without_a_default_health_asks_nobody(void **state)
{
	(void)state;
	configure(ENGINES "policy: open\n");
	const struct gate_decision decision = ask(ASK(.line = "GET /health"));
	assert_int_equal(decision.outcome, OUTCOME_HEALTHY);
	assert_int_equal(decision.engine, ENGINE_NONE);
}

static void lists(struct request request, const char *wanted)
{
	const struct gate_decision decision = ask(request);
	char memory[128];
	struct text text = text_over(memory, sizeof(memory));

	assert_string_equal(outcome_word(decision.outcome), "engines");
	assert_int_equal(decision.action, GATE_RESPOND);
	engine_set_add(decision.usable, &config.engines, &text);
	assert_slice(request.line, text_slice(&text), slice_of(wanted));
}

static void the_list_has_what_its_sender_may_use(void **state)
{
	(void)state;
	configure(
	        "upstream: /run/docker.sock\n" ENGINES "listeners:\n"
	        "  - {address: 'tcp://127.0.0.1:1', policy: deny}\n"
	        "  - {address: 'tcp://127.0.0.1:2', policy: some, engine: c}\n"
	        "policies: {some: {extends: [open], engines: [b, c]}}\n"
	        "clients:\n"
	        "  - {name: one, match: {key_sha256: " SECRET "}, engines: [a, b], policy: some}\n"
	        "  - {name: two, match: {key_sha256: " SECRET
	        "}, engines: [a, web], policy: open}\n"
	        "  - {name: all, match: {key_sha256: " OTHER "}, engines: '*', policy: open}\n");
	lists(ASK(.line = "GET /engines"), "default");
	lists(ASK(.line = "HEAD /engines?x=1"), "default");
	lists(ASK(.line = "GET /engines", .listener = 1), "b, c");
	lists(ASK(.line = "GET /engines", .sni = "b.example.org"), "default");
	lists(ASK(.line = "GET /engines", .key = "secret"), "b, web");
	lists(ASK(.line = "GET /engines", .key = "other"), "default, a, b, c, web");
	is_answered(ASK(.line = "GET /engines", .key = "wrong"), "bad_key");
	/* And each of them is what a request finds. */
	is_answered(ASK(.line = "GET /engines/a/info", .key = "secret"), "engine_denied");
	is_answered(ASK(.line = "GET /engines/b/info", .key = "secret"), "b");
	is_answered(ASK(.line = "GET /engines/web/info", .key = "secret"), "web");
	is_answered(ASK(.line = "GET /info", .key = "secret"), "engine_denied");
}

/* ── What is wrong with a file ───────────────────────────────────────────── */

static void mistakes_are_said(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
	        {"engines: {}\n", ":1: 'engines' has 1 to 4096 entries"},
	        {"engines: [a]\n",
	                ":1: 'engines' is a map of Engines by their names, such as node-a: "
	                "tcp://10.0.0.1:2375; found a list"},
	        {"engines: {default: /a}\n",
	                ":1: engines: 'default' is the Engine of 'upstream': call "
	                "this one otherwise"},
	        {"engines: {a/b: /a}\n", ":1: engines: 'a/b' is not accepted: a name has letters, "
	                                 "digits, '-', '_' and '.', and begins with a letter or "
	                                 "digit"},
	        {"engines: {a: {}}\n", ":1: 'a' needs an 'address', or 'members' if it is a group"},
	        {"engines: {a: /a, g: {address: /b, members: [a, a]}}\n",
	                ":1: 'a' is a member twice"},
	        {"engines: {a: /a, b: /b, g: {address: /g, members: [a, b]}}\n",
	                ":1: 'g' has an 'address' and 'members': it is an Engine or a group"},
	        {"engines: {a: /a, g: {members: [a]}}\n", ":1: 'members' has at least 2 Engines: "
	                                                  "the first, and those that stand in for "
	                                                  "it"},
	        {"engines: {a: /a, g: {members: [a, g]}}\n",
	                ":1: the group 'g' is a member of itself"},
	        {"engines: {a: /a, g: {members: [a, h]}, h: {members: [a, g]}}\n",
	                ":1: 'h', a member of 'g', is a group itself: name its members"},
	        {"engines: {a: /a, g: {members: [a, default]}}\n",
	                ":1: there is no Engine 'default': it is that of 'upstream', which is not "
	                "given"},
	        {"engines: {a: ssh://x}\n",
	                ":1: address: 'ssh://x' is not accepted: ssh:// is not spoken: use "
	                "tls://HOST:PORT, or unix:///PATH on its host"},
	        {"engines: {a: ftp://x}\n",
	                ":1: address: 'ftp://x' is not accepted: give the Engine's unix socket as "
	                "an "
	                "absolute path or as unix:///PATH, or tcp://HOST:PORT or tls://HOST:PORT"},
	        {"engines: {a: '10.0.0.1:2375'}\n",
	                ":1: address: '10.0.0.1:2375' is not accepted: did you mean "
	                "tcp://10.0.0.1:2375?"},
	        {"engines: {a: 'https://node-a:2376'}\n",
	                ":1: address: 'https://node-a:2376' is not accepted: did you mean "
	                "tls://node-a:2376?"},
	        {"engines: {a: /a, b: /b, web: [a, b]}\n",
	                ":1: 'web' is a list: a group is {members: [node-a, node-b]}"},
	        {"engines: {a: {address: /a, sni: '*.x'}}\n",
	                ":1: sni: '*.x' is not accepted: give a DNS name, such as "
	                "node-a.docker.example.com"},
	        {"engines: {a: {address: /a, sni: x.org}, b: {address: /b, sni: [y.org, X.org]}}\n",
	                ":1: 'a' and 'b' both have the name 'X.org' in 'sni'"},
	        {"engines: {a: tls://x}\n", ":1: 'a' needs the certificate of the Engine's "
	                                    "authority: write 'a: {address: "
	                                    "tls://x, tls: {ca: FILE}}'"},
	        {"policies: {p: {engines: [a]}}\n", ":1: 'engines' names Engines of 'engines' at "
	                                            "the top of the file, which is not "
	                                            "there"},
	        {"listeners: [{address: 'tcp://127.0.0.1:1', engine: a}]\n",
	                ":1: 'engine' names one of 'engines' at the top of the file, which is not "
	                "there"},
	        {"engines: {node: /a}\nlisteners: [{address: 'tcp://127.0.0.1:1', engine: "
	         "nodee}]\n",
	                ":2: there is no Engine 'nodee' in 'engines'; did you mean 'node'?"},
	        {"engines: {a: /a, b: /b}\npolicies:\n  x: {engines: a}\n  y: {extends: [x], "
	         "engines: "
	         "b}\n",
	                ":4: policy 'y' has no Engine in its 'engines' that all policies name "
	                "which it "
	                "extends: put the rules that they share into a policy without 'engines'"},
	        {"engines: {a: /a}\nhost_root: /\n", ":2: host_root is for the Engine of "
	                                             "'upstream', which is not given: its host's "
	                                             "files are seen there"},
	        {"engines: {a: /a}\nclients: [{name: c, match: {container: {project: x}}, policy: "
	         "open}]\n",
	                ":2: 'c' is known by a container of the Engine of 'upstream', which is not "
	                "given"},
	        {"engines: {a: /a}\nclients:\n  - {name: c, match: {key_sha256: " SECRET
	         "}, policy: open}\n  - {name: d, match: {key_sha256: " SECRET
	         "}, engines: a, policy: open}\n",
	                ":4: the clients 'c' and 'd' have the same key: a key names one client of "
	                "an "
	                "Engine"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		char error[FAULT_MAX] = "";
		assert_that(cases[i].text, read_config(cases[i].text, error) < 0);
		assert_that(error, strncmp(error, path, strlen(path)) == 0);
		assert_string_equal(error + strlen(path), cases[i].message);
	}
}

static void no_engine_is_the_proxy_itself(void **state)
{
	char error[FAULT_MAX] = "";

	(void)state;
	assert_true(read_config("engines: {a: 'tcp://127.0.0.1:7'}\n"
	                        "listeners: [{address: 'tcp://127.0.0.1:7', policy: open}]\n",
	                    error) < 0);
	assert_string_equal(error, "'tcp://127.0.0.1:7' is both the address of a listener and the "
	                           "Engine's address (engines.a)");
	assert_true(read_config("engines: {a: 'tcp://127.0.0.1:7'}\nadmin: {address: "
	                        "'tcp://127.0.0.1:7'}\n",
	                    error) < 0);
	assert_non_null(strstr(error, "is the Engine's address (engines.a)"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
	        CASE(path_name_and_listener_decide_in_this_order),
	        CASE(the_engine_gets_the_path_without_its_name),
	        CASE(a_spelling_that_could_name_another_is_refused),
	        CASE(a_path_may_be_as_long_as_without_its_name),
	        CASE(without_engines_the_paths_are_unknown_ones),
	        CASE(engines_open_nothing_to_those_who_were_there),
	        CASE(client_and_policy_must_both_have_it),
	        CASE(one_key_has_a_policy_for_each_engine),
	        CASE(one_that_is_not_there_is_answered_like_one_that_is_denied),
	        CASE(a_right_key_of_other_engines_is_no_wrong_one),
	        CASE(without_a_default_a_request_must_name_one),
	        CASE(health_of_an_engine_is_for_those_who_may_use_it),
	        CASE(without_a_default_health_asks_nobody),
	        CASE(the_list_has_what_its_sender_may_use),
	        CASE(mistakes_are_said),
	        CASE(no_engine_is_the_proxy_itself),
	};

	return cmocka_run_group_tests_name("front", tests, begin, end);
}
