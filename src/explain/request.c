/* SPDX-License-Identifier: MIT */
#include "explain/explain.h"
#include "explain/summary.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/nearest.h"
#include "gate/gate.h"
#include "hostfs/hostfs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	EXIT_ALLOWED = 0,
	EXIT_DENIED = 1,
	EXIT_USAGE = 2,
	HEAD_MORE =
	        256, /* bytes of a head besides method and target; the host may be the target's */
	TEXT_MAX = 8 * 1024,
};

/* The request, and the memory for its decision. */
struct question {
	const struct config *config;
	const struct policy *chosen; /* by --policy; NULL: that of the listener or the client */
	struct slice method;
	struct slice target;
	struct text head;
	struct slice body; /* ptr NULL: --body was not given */
	struct inspect_memory *memory;
	struct gate_scratch scratch;
};

static int usage(const char *format, ...) PRINTF_LIKE(1, 2);
static int usage(const char *format, ...)
{
	va_list arguments;

	(void)fputs("docker-socket-proxy: explain: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	return EXIT_USAGE;
}

/* ── The request ─────────────────────────────────────────────────────────── */

/* METHOD and target: two words, or one word with a space in it. */
static bool split(const struct config *config, struct slice *ret_method, struct slice *ret_target)
{
	const char *space = strchr(config->request[0], ' ');

	if (config->request[1] != NULL) {
		*ret_method = slice_of(config->request[0]);
		*ret_target = slice_of(config->request[1]);
	} else if (space != NULL) {
		*ret_method = slice_between(config->request[0], space);
		*ret_target = slice_trim(slice_of(space + 1));
	} else {
		return false;
	}
	return ret_method->len > 0 && ret_target->len > 0;
}

/* Whether the request may come there: over TLS if it has a name in TLS, and where the client may
 * be. */
static bool may_come(const struct config *config, unsigned listener, const struct client *client)
{
	return (config->server_name == NULL ||
	               config_listener_is_tls(&config->listeners[listener])) &&
	       (client == NULL || match_is_at(&client->match, listener));
}

/* The first listener where the request may come. */
static unsigned listener_of(const struct config *config, const struct client *client)
{
	unsigned listener = 0;

	while (listener + 1 < config->listener_count && !may_come(config, listener, client)) {
		listener++;
	}
	return listener;
}

/* The name for which its client asks TLS there; empty: none. */
static struct slice server_name_at(const struct config *config, unsigned listener)
{
	return config->server_name != NULL && config_listener_is_tls(&config->listeners[listener])
	               ? slice_of(config->server_name)
	               : SLICE("");
}

/* The settings by which the gate decides there. */
static struct gate_config gate_at(
        const struct question *question, unsigned listener, const struct client *client)
{
	const struct config *config = question->config;

	return (struct gate_config){
	        .policy = question->chosen != NULL ? question->chosen
	                                           : config->listeners[listener].policy,
	        .clients = client == NULL ? NULL : &config->clients,
	        .engines = config->has_engines ? &config->engines : NULL,
	        .engine = config->listeners[listener].engine,
	        .browsers = config->listeners[listener].browsers,
	        .sees_host = config->host_root != NULL,
	        .max_head = config->max_head,
	};
}

/* The gate decides as it does for a client that sends this head. */
static struct gate_decision ask(
        struct question *question, unsigned listener, const struct client *client)
{
	const struct config *config = question->config;
	const struct gate_config gate = gate_at(question, listener, client);
	const union address nobody = {.any = {.sa_family = AF_UNSPEC}};
	const struct caller caller = caller_from(listener, &nobody);
	struct http_scan scan = {0};
	const struct gate_question asked = {
	        .caller = &caller,
	        .client = client,
	        .server_name = server_name_at(config, listener),
	        .bytes = text_slice(&question->head),
	        .scan = &scan,
	        .body = question->body,
	        .memory = question->memory,
	};

	/* Nobody asks the Engine here: the paths are resolved even if its answer is missing. */
	inspect_paths_begin(&question->memory->paths);
	const struct gate_decision decision = gate_decide(&gate, &asked, &question->scratch);
	if (question->memory->paths.answered == question->memory->paths.count) {
		return decision;
	}
	hostfs_answer(config->host_root_fd, &question->memory->paths);
	return gate_decide(&gate, &asked, &question->scratch);
}

/* ── The decision ────────────────────────────────────────────────────────── */

static void print_place(const char *label, const char *name, struct place place)
{
	char memory[1024];
	struct text text = text_over(memory, sizeof(memory));

	policy_add_place(place, &text);
	printf("%s: %s (%.*s)\n", label, name, SLICE_FMT(text_slice(&text)));
}

static void print_verdict(const struct policy *policy, const struct verdict *verdict)
{
	print_place("policy", policy_name(policy), policy_place(policy));
	if (verdict->rule != NULL) {
		print_place("rule", verdict->rule, verdict->place);
	} else {
		printf("rule: no rule fits, and the default is deny\n");
	}
	if (verdict->observed) {
		printf("mode: observe: the request is allowed and recorded; enforce would deny "
		       "it\n");
	}
}

/* Each reason in a line of its own. */
static void print_findings(const struct findings *findings)
{
	char memory[TEXT_MAX];
	const unsigned kept =
	        findings->count < INSPECT_FINDINGS_MAX ? findings->count : INSPECT_FINDINGS_MAX;

	print_place("block", findings->block, findings->place);
	for (unsigned i = 0; i < kept; i++) {
		struct text text = text_over(memory, sizeof(memory));
		findings_add_sentence(findings, i, FINDINGS_SENDER, &text);
		printf("reason: %.*s\n", SLICE_FMT(text_slice(&text)));
	}
	if (findings->count > kept) {
		printf("reason: and %u more\n", findings->count - kept);
	}
}

static void print_advice(const struct gate_decision *decision)
{
	char memory[TEXT_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (decision->findings != NULL) {
		findings_advise(decision->findings, FINDINGS_SENDER, &text);
	} else {
		policy_advise(decision->policy, decision->request, &text);
	}
	if (text.len > 0) {
		printf("to allow it: %.*s\n", SLICE_FMT(text_slice(&text)));
	}
	if (decision->findings != NULL) {
		return;
	}
	text = text_over(memory, sizeof(memory));
	policy_add_file(decision->policy, decision->request, &text);
	/* For an unknown request the advice is the same file. */
	if (text.len > 0 && !docker_id_is_unknown(decision->request->id)) {
		printf("as a file for CONFIG: %.*s\n", SLICE_FMT(text_slice(&text)));
	}
}

/* What is hidden in the response, or why nothing is. */
static void print_redaction(const struct gate_decision *decision)
{
	const struct redact_wishes *wishes = policy_wishes(decision->policy);
	const struct docker_endpoint *endpoint = docker_endpoint(decision->request->served_id);
	char memory[TEXT_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (decision->redaction != NULL && decision->redaction->answers) {
		redact_add_wishes(wishes, &text);
		printf("redacts: %.*s\n", SLICE_FMT(text_slice(&text)));
	} else if (wishes != NULL && endpoint != NULL &&
	           redact_answer_of(endpoint->operation, false) == REDACT_BYTES) {
		printf("redacts: nothing: the response is bytes of a program, file or log, and may "
		       "show what the policy hides elsewhere\n");
	}
}

/* Which objects of the lists in the response stay. */
static void print_narrowing(const struct gate_decision *decision)
{
	char memory[TEXT_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (decision->narrows != NULL) {
		scope_add(decision->narrows, &text);
		printf("narrows: the response shows images, and only those other objects that have "
		       "%.*s\n",
		        SLICE_FMT(text_slice(&text)));
	}
}

static void print_notes(const struct question *question, const struct gate_decision *decision)
{
	const struct slice query = decision->head->query;

	if (decision->verdict.allowed && decision->action == GATE_FORWARD) {
		printf("forwarded as: %.*s %.*s%s%.*s\n", SLICE_FMT(decision->request->method),
		        SLICE_FMT(decision->request->path), query.ptr != NULL ? "?" : "",
		        SLICE_FMT(query));
	}
	if (decision->verdict.allowed) {
		print_narrowing(decision);
		print_redaction(decision);
	}
	if (question->body.ptr != NULL &&
	        policy_inspection(decision->policy, decision->request->served_id) == NULL) {
		printf("body: no block of the policy looks into it\n");
	}
}

/* What the Engine says of an object decides. */
static void print_question(const struct gate_decision *decision)
{
	char memory[TEXT_MAX];
	struct text labels = text_over(memory, sizeof(memory));
	const struct text_shown object = text_show(decision->object.reference);
	const char *kind = scope_kind_name(decision->object.kind);

	if (decision->scope == NULL) {
		printf("block: only if it allows the name that %s '%s' has\n", kind, object.text);
		return;
	}
	scope_add(decision->scope, &labels);
	printf("scope: only if %s '%s' has the labels %.*s\n", kind, object.text,
	        SLICE_FMT(text_slice(&labels)));
}

/* The body was not given, and decides. */
static void print_need(const struct gate_decision *decision)
{
	const struct inspection *inspection =
	        policy_inspection(decision->policy, decision->request->served_id);

	if (decision->action == GATE_NEED_BODY) {
		printf("body: only if the block allows what it asks for: give --body FILE\n");
		print_place("block", inspection->block, inspection->place);
	}
	if (decision->action == GATE_NEED_LOOKUP) {
		print_question(decision);
	}
	if (decision->action != GATE_FORWARD && policy_observes(decision->policy)) {
		printf("mode: observe: the request is forwarded all the same\n");
	}
}

/* Methods are case-sensitive (RFC 9110 §9.1), also in the Engine: `get` is not GET. */
static void print_method(struct slice method)
{
	char memory[16];
	struct text upper = text_over(memory, sizeof(memory));

	for (size_t i = 0; i < method.len; i++) {
		const char c = method.ptr[i];
		text_add_char(&upper, c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
	}
	if (docker_method_of(method) == DOCKER_METHOD_OTHER &&
	        docker_method_of(text_slice(&upper)) != DOCKER_METHOD_OTHER) {
		printf("method: methods are case-sensitive; did you mean %.*s?\n",
		        SLICE_FMT(text_slice(&upper)));
	}
}

/* What says that the request means this Engine. */
static const char *named_by(
        const struct config *config, unsigned listener, const struct gate_decision *decision)
{
	const struct slice name = server_name_at(config, listener);

	if (decision->by_path) {
		return "by its path";
	}
	return name.len > 0 && engines_find_server(&config->engines, name) == decision->engine
	               ? "by its name in TLS"
	               : "by the listener";
}

/* Which Engine it is that the request means. */
static void print_engine(
        const struct config *config, unsigned listener, const struct gate_decision *decision)
{
	if (config->has_engines && decision->engine < config->engine_count) {
		const struct config_engine *engine = config_engine_at(config, decision->engine);
		printf("engine: %s, %s (", engine->name, named_by(config, listener, decision));
		if (engine->member_count > 0) {
			printf("a group");
		} else {
			explain_print_address(engine);
		}
		printf(")\n");
	}
}

static void print_other(
        const char *where, const char *name, const struct gate_decision *decision, bool allowed)
{
	if (decision->policy == NULL) {
		if (allowed) {
			printf("but %s %s: deny, %s\n", where, name,
			        outcome_word(decision->outcome));
		}
		return;
	}
	if (decision->verdict.allowed != allowed) {
		printf("but %s %s: %s, by policy %s\n", where, name,
		        decision->verdict.allowed ? "allow" : "deny",
		        policy_name(decision->policy));
	}
}

static int64_t now_s(void)
{
	return clock_realtime_ns() / NS_PER_S;
}

/* The other listeners, and the clients, whose decision is different. */
static void print_others(struct question *question, bool allowed)
{
	const struct config *config = question->config;

	for (unsigned i = listener_of(config, NULL) + 1; i < config->listener_count; i++) {
		if (may_come(config, i, NULL)) {
			const struct gate_decision decision = ask(question, i, NULL);
			print_other("at", config->listeners[i].address, &decision, allowed);
		}
	}
	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct client *client = &config->clients.list[i];
		if (client_has_ended(client, now_s())) {
			continue;
		}
		const struct gate_decision decision =
		        ask(question, listener_of(config, client), client);
		print_other("as client", client->name, &decision, allowed);
	}
}

static void print_client(const struct client *client)
{
	char memory[TEXT_MAX];
	struct text conditions = text_over(memory, sizeof(memory));
	char place_memory[1024];
	struct text place = text_over(place_memory, sizeof(place_memory));

	match_add(&client->match, &conditions);
	policy_add_place(client->place, &place);
	printf("client: %s (%.*s), known by %.*s\n", client->name, SLICE_FMT(text_slice(&place)),
	        SLICE_FMT(text_slice(&conditions)));
	if (client->until_s != INT64_MAX) {
		char end_memory[32];
		struct text end = text_over(end_memory, sizeof(end_memory));
		client_add_until(client, &end);
		printf("until: %.*s%s\n", SLICE_FMT(text_slice(&end)),
		        client_has_ended(client, now_s())
		                ? ", which has passed: the entry fits nobody any more"
		                : "");
	}
}

/* How much of it the client may have. */
static void print_limits(const struct limits *limits)
{
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	if (limits_any(limits)) {
		limits_add(limits, &text);
		printf("limits: %.*s\n", SLICE_FMT(text_slice(&text)));
	}
}

static bool is_of_engine(const struct gate_decision *decision)
{
	return decision->outcome == OUTCOME_ENGINE_DENIED ||
	       decision->outcome == OUTCOME_ENGINE_UNNAMED;
}

static const char *whatever(const struct gate_decision *decision)
{
	if (decision->outcome == OUTCOME_ENGINE_DENIED) {
		return ", whatever the rules of the policy";
	}
	return decision->policy == NULL ? ", whatever the policy" : "";
}

static int print_list(const struct config *config, const struct gate_decision *decision)
{
	const size_t size = config->engine_count * (ENGINE_NAME_MAX + sizeof(", "));
	char *memory = check_memory(malloc(size));
	struct text names = text_over(memory, size);

	engine_set_add(decision->usable, &config->engines, &names);
	printf("allow engines\nThe proxy sends a local response, whatever the rules of the policy: "
	       "the Engines that the client may use.\nengines: %.*s\n",
	        SLICE_FMT(names.len > 0 ? text_slice(&names) : SLICE("none")));
	free(memory);
	return EXIT_ALLOWED;
}

/* The client may not use the Engine, or the request means none. */
static void print_engine_denial(
        const struct gate_config *gate, const struct gate_decision *decision)
{
	char memory[TEXT_MAX];
	struct text text = text_over(memory, sizeof(memory));

	gate_add_engine_reason(gate, decision, &text);
	printf("reason: %.*s\n", SLICE_FMT(text_slice(&text)));
	text.len = 0;
	gate_advise_engine(gate, decision, &text);
	if (text.len > 0) {
		printf("to allow it: %.*s\n", SLICE_FMT(text_slice(&text)));
	}
}

/* Decisions without a policy. */
static int print_local(const struct config *config, unsigned listener,
        const struct gate_config *gate, const struct gate_decision *decision)
{
	if (decision->outcome == OUTCOME_HEALTHY) {
		printf("allow health\nThe proxy sends a local response, whatever the %spolicy.\n",
		        decision->by_path ? "rules of the " : "");
		print_engine(config, listener, decision);
		return EXIT_ALLOWED;
	}
	if (decision->outcome == OUTCOME_ENGINES) {
		return print_list(config, decision);
	}
	printf("deny %s: the response is %u%s\n", outcome_word(decision->outcome),
	        outcome_status(decision->outcome), whatever(decision));
	if (is_of_engine(decision)) {
		print_engine_denial(gate, decision);
	} else {
		printf("reason: %s\n", decision->reason != NULL ? decision->reason
		                                                : outcome_text(decision->outcome));
	}
	return EXIT_DENIED;
}

static void make_head(struct question *question, size_t body_len)
{
	question->head.len = 0;
	gate_add_head(question->method, question->target, body_len, &question->head);
}

/* The same; where a body that was not given decides, as if one came. */
static struct gate_decision ask_for(struct question *question, const struct client *client)
{
	const unsigned listener = listener_of(question->config, client);
	struct gate_decision decision = ask(question, listener, client);

	if (decision.findings != NULL && question->body.ptr == NULL) {
		make_head(question, 1);
		decision = ask(question, listener, client);
	}
	return decision;
}

/* By the policy that --policy names, otherwise by that of the client or of the first listener. */
static int print_decision(struct question *question, const struct client *client)
{
	const struct config *config = question->config;
	const bool chosen = question->chosen != NULL;
	const unsigned listener = listener_of(config, client);
	const struct gate_decision decision = ask_for(question, client);
	const bool allowed = decision.verdict.allowed;

	if (decision.policy == NULL || (decision.action == GATE_RESPOND && allowed)) {
		const struct gate_config gate = gate_at(question, listener, client);
		const int code = print_local(config, listener, &gate, &decision);
		if (decision.outcome == OUTCOME_ENGINE_DENIED && client == NULL) {
			print_others(question, false);
		}
		return code;
	}
	printf("%s %s\n", allowed ? "allow" : "deny", docker_operation_name(decision.request->id));
	print_engine(config, listener, &decision);
	print_need(&decision);
	print_method(decision.request->method);
	if (client != NULL) {
		print_client(client);
	} else if (!chosen && config->listener_count > 1) {
		printf("listener: %s\n", config->listeners[listener].address);
	}
	print_limits(client == NULL ? &config->limits : client->limits);
	if (client == NULL && config->clients.must_be_known) {
		printf("client: whoever shows a key of '%s'; everybody else gets a 401\n",
		        config->keys_file);
	}
	print_verdict(decision.policy, &decision.verdict);
	if (decision.findings != NULL) {
		print_findings(decision.findings);
	}
	if (!allowed || decision.verdict.observed) {
		print_advice(&decision);
	}
	print_notes(question, &decision);
	if (!chosen && client == NULL) {
		print_others(question, allowed);
	}
	return allowed ? EXIT_ALLOWED : EXIT_DENIED;
}

/* The client that --client names; NULL: there is none. */
static bool find_client(const struct config *config, const struct client **ret_client)
{
	struct nearest nearest =
	        nearest_to(config->client_name == NULL ? SLICE("") : slice_of(config->client_name));

	*ret_client = NULL;
	for (unsigned i = 0; config->client_name != NULL && i < config->clients.count; i++) {
		const char *name = config->clients.list[i].name;
		nearest_try(&nearest, slice_of(name));
		if (strcmp(name, config->client_name) == 0) {
			*ret_client = &config->clients.list[i];
			return true;
		}
	}
	if (config->client_name != NULL) {
		(void)usage("--client: there is no client '%s'%s%.*s%s",
		        text_show(slice_of(config->client_name)).text,
		        nearest.best.len > 0 ? "; did you mean '" : "", SLICE_FMT(nearest.best),
		        nearest.best.len > 0 ? "'?" : "");
	}
	return config->client_name == NULL;
}

/* Whether --server-name may be given. */
static bool check_server_name(const struct config *config)
{
	if (config->server_name == NULL) {
		return true;
	}
	if (!config->has_engines) {
		(void)usage("--server-name chooses one of several Engines, and there are no "
		            "'engines' in the file");
		return false;
	}
	if (!may_come(config, listener_of(config, NULL), NULL)) {
		(void)usage("--server-name is a name in TLS, and no listener speaks TLS");
		return false;
	}
	return true;
}

static int explain(struct question *question)
{
	const struct config *config = question->config;
	const struct client *client;

	if (!split(config, &question->method, &question->target)) {
		return usage("'%s' is not a request: give 'METHOD /path?query', such as 'GET "
		             "/containers/json'",
		        config->request[0]);
	}
	if (!find_client(config, &client) || !check_server_name(config)) {
		return EXIT_USAGE;
	}
	if (config->policy_option != NULL && strcmp(config->policy_option, "--policy") == 0) {
		question->chosen = config->policy;
	}
	const size_t size = question->method.len + 2 * question->target.len + HEAD_MORE;
	char *memory = check_memory(malloc(size));
	question->head = text_over(memory, size);
	make_head(question, question->body.len);
	question->scratch.judging = check_memory(policy_scratch_new());
	question->memory = check_memory(malloc(sizeof(*question->memory)));
	const int code = print_decision(question, client);
	policy_scratch_free(question->scratch.judging);
	free(question->memory);
	free(memory);
	return code;
}

/* As much of the file as a policy can look into, and a byte more, so that the rest is noticed. */
static int read_body(const char *file, char *bytes, struct slice *ret_body)
{
	const ssize_t len = file_read(file, bytes, INSPECT_BODY_MAX + 1);

	if (len < 0) {
		return usage("--body: '%s' cannot be read: %s", file, strerrordesc_np((int)-len));
	}
	*ret_body = (struct slice){bytes, (size_t)len};
	return 0;
}

int explain_request(const struct config *config)
{
	struct question question = {.config = config};

	char *bytes = check_memory(malloc(INSPECT_BODY_MAX + 1));
	int code =
	        config->body_file == NULL ? 0 : read_body(config->body_file, bytes, &question.body);

	if (code == 0) {
		code = explain(&question);
	}
	free(bytes);
	return code;
}
