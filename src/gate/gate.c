/* SPDX-License-Identifier: MIT */
#include "gate/look.h"

/* ── What it comes to ────────────────────────────────────────────────────── */

/* The class of a refusal, by the status that its row in http/errors.def has. */
static enum outcome outcome_of(enum http_error error)
{
	static const enum outcome refusals[] = {
	        OUTCOME_BROWSER, OUTCOME_CONNECT, OUTCOME_TOO_LARGE};

	for (unsigned i = 0; i < ARRAY_LEN(refusals); i++) {
		if (outcome_status(refusals[i]) == http_error_status(error)) {
			return refusals[i];
		}
	}
	return OUTCOME_MALFORMED;
}

void gate_respond(struct gate_decision *decision, enum outcome outcome, const char *reason)
{
	decision->action = GATE_RESPOND;
	decision->outcome = outcome;
	decision->reason = reason;
}

static SELDOM void refuse(struct gate_decision *decision, enum http_error error)
{
	gate_respond(decision, outcome_of(error), http_error_text(error));
}

/* ── The checks ──────────────────────────────────────────────────────────── */

/* HTTP_DONE: the head is whole, and scan->head_len long. */
static enum http_progress find_head(const struct gate_config *config,
        const struct gate_question *question, const struct recalled *recalled,
        enum http_error *ret_error)
{
	struct http_scan *scan = question->scan;
	enum http_progress progress = HTTP_DONE; /* asked again, it is */

	if (recalled != NULL) {
		scan->head_len = recalled->len;
	} else if (scan->head_len == 0) {
		progress = http_scan_head(scan, question->bytes);
		*ret_error = scan->error;
	}
	const size_t len = progress == HTTP_DONE ? scan->head_len : question->bytes.len;
	if (progress != HTTP_BAD && len > config->max_head) {
		*ret_error = HTTP_BAD_TOO_LARGE;
		return HTTP_BAD;
	}
	return progress;
}

/* Whether the request may be processed at all, whatever the policy. */
static enum http_error admit(const struct gate_config *config, const struct http_request *head)
{
	const enum http_error error = http_check_type(head);

	return error != HTTP_OK || config->browsers ? error : http_check_browser(head);
}

/* `path` is that of the head, without the name of an Engine. */
static enum docker_error route(
        const struct gate_decision *decision, struct slice path, struct docker_request *request)
{
	const struct http_request *head = decision->head;
	const struct docker_target target = {
	        .method = head->method,
	        .path = path,
	        .query = head->query,
	        .has_body = head->head.framing == HTTP_CHUNKED || head->head.content_length > 0,
	};

	if (decision->recalled != NULL && path.ptr == head->path.ptr) {
		recall_route(decision->recalled, request);
		return DOCKER_OK;
	}
	return docker_route(&target, request);
}

static bool is_health(const struct docker_request *request)
{
	return slice_equal(request->path, SLICE("/health")) &&
	       (slice_equal(request->method, SLICE("GET")) ||
	               slice_equal(request->method, SLICE("HEAD")));
}

/* The key that the request presents. False: it has two, which are not the same. */
static bool find_key(const struct http_head *head, struct slice *ret_key)
{
	*ret_key = (struct slice){NULL, 0};
	for (unsigned i = 0; head->has_key && i < head->field_count; i++) {
		const struct slice key = http_client_key(&head->fields[i]);
		if (key.ptr != NULL && ret_key->ptr != NULL && !slice_equal(key, *ret_key)) {
			return false;
		}
		*ret_key = key.ptr != NULL ? key : *ret_key;
	}
	return true;
}

/* The key that the request presents, into the sender. False: the decision is made. */
static bool read_key(struct gate_scratch *scratch, struct gate_decision *decision)
{
	struct slice text;

	if (!find_key(&decision->head->head, &text)) {
		gate_respond(decision, OUTCOME_BAD_KEY, "the request presents two keys");
		return false;
	}
	if (text.ptr != NULL) {
		key_present(text, &scratch->key);
		decision->sender.key = &scratch->key;
	}
	return true;
}

/*
 * Whether the host may present keys. What is said to a host that must wait does not depend on
 * whether its key is right: a guess among requests that another entry accepts, or that nothing
 * does.
 */
static bool may_present(const struct slowdown *slowdown, const struct gate_decision *decision)
{
	const struct client *client = decision->client;
	const bool by_key = client != NULL && match_has(&client->match, CONDITION_KEY);

	if (decision->sender.key == NULL || !slowdown->slowed) {
		return true;
	}
	return by_key ? client_may_present(client, slowdown) : !decision->wants_key;
}

/*
 * The entry that holds. The list of Engines is made of all entries that hold: a key that is
 * presented decides about it, whichever entry comes first, so that no guess goes uncounted.
 */
static enum identified find_client(const struct clients *clients, struct gate_decision *decision)
{
	const enum identified found = clients_find(clients, &decision->sender, &decision->client);

	if (LIKELY(decision->engine != ENGINE_ANY) || decision->sender.key == NULL ||
	        found == IDENTIFIED_UNKNOWN) {
		return found;
	}
	decision->client = clients_find_key(clients, &decision->sender);
	return decision->client == NULL ? IDENTIFIED_BAD_KEY : IDENTIFIED_CLIENT;
}

/* Who sent the request. False: the decision is made. */
static bool identify(const struct gate_config *config, const struct gate_question *question,
        struct gate_scratch *scratch, struct gate_decision *decision)
{
	const struct clients *clients = config->clients;

	decision->clients = clients;
	decision->client = question->client;
	if (decision->client != NULL) {
		return true;
	}
	decision->sender = (struct sender){
	        .caller = question->caller,
	        .engine = decision->engine,
	        .now_s = question->now_s,
	        .container = question->container,
	        .container_asked = question->container_asked,
	};
	if (question->kept != NULL) {
		decision->sender.key = clients->has_keys ? question->kept->key : NULL;
	} else if (clients->has_keys && !read_key(scratch, decision)) {
		return false;
	}
	const enum identified found = find_client(clients, decision);
	if (found == IDENTIFIED_UNKNOWN) {
		decision->action = GATE_NEED_CALLER;
		return false;
	}
	decision->wants_key = clients_want_key(clients, &decision->sender, decision->client);
	if (!may_present(&question->slowdown, decision)) {
		decision->client = NULL;
		gate_respond(decision, OUTCOME_SLOWED, NULL);
		return false;
	}
	decision->elsewhere =
	        UNLIKELY(config->engines != NULL) && clients_know_key(clients, &decision->sender);
	if (found == IDENTIFIED_ELSEWHERE) {
		gate_deny_engine(decision);
		return false;
	}
	if (found == IDENTIFIED_BAD_KEY || found == IDENTIFIED_NO_KEY) {
		gate_respond(decision,
		        found == IDENTIFIED_BAD_KEY ? OUTCOME_BAD_KEY : OUTCOME_NO_KEY, NULL);
		return false;
	}
	return true;
}

static void judge(const struct gate_config *config, struct policy_scratch *scratch,
        struct gate_decision *decision)
{
	const struct client *client = decision->client;

	decision->policy =
	        client == NULL || client->policy == NULL ? config->policy : client->policy;
	decision->verdict = policy_judge(decision->policy, decision->request, scratch);
	if (!decision->verdict.allowed) {
		gate_respond(
		        decision, decision->wants_key ? OUTCOME_KEY_WANTED : OUTCOME_DENIED, NULL);
	}
}

/* ── The response ────────────────────────────────────────────────────────── */

/* Whether a list of processes has the columns that it has by default: `ps -ef`. */
static bool is_usual(struct slice name, struct slice value)
{
	if (slice_equal(name, SLICE("ps_args"))) {
		return value.len == 0 || slice_equal(value, SLICE("-ef"));
	}
	return slice_equal(name, SLICE("stream")) || slice_equal(name, SLICE("delay"));
}

static bool lists_as_usual(struct slice query)
{
	char memory[64];
	struct slice name;
	struct slice value;

	while (query.len > 0) {
		struct text text = text_over(memory, sizeof(memory));
		if (!docker_next_parameter(&query, &text, &name, &value)) {
			return query.len == 0;
		}
		if (!is_usual(name, value)) {
			return false;
		}
	}
	return true;
}

static void redact(struct gate_decision *decision)
{
	decision->redaction = policy_redaction(decision->policy, decision->request->served_id);
	if (UNLIKELY(decision->redaction != NULL)) {
		decision->top_as_usual = lists_as_usual(decision->head->query);
	}
}

/* ── Their order ─────────────────────────────────────────────────────────── */

/* Among several Engines. False: the decision is made. */
static bool permit(const struct gate_config *config, struct gate_scratch *scratch,
        struct gate_decision *decision)
{
	if (decision->engine == ENGINE_ANY) {
		if (gate_list_engines(config, scratch, decision)) {
			gate_respond(decision, OUTCOME_ENGINES, NULL);
		}
		return false;
	}
	if (!gate_permit(config, decision)) {
		return false;
	}
	if (decision->by_path && is_health(decision->request)) {
		gate_respond(decision, OUTCOME_HEALTHY, NULL);
		return false;
	}
	return true;
}

/* All that can be said of a request that was routed. */
static void decide_routed(const struct gate_config *config, const struct gate_question *question,
        struct gate_scratch *scratch, struct gate_decision *decision)
{
	if (config->clients != NULL && !identify(config, question, scratch, decision)) {
		return;
	}
	if (UNLIKELY(config->engines != NULL) && !permit(config, scratch, decision)) {
		return;
	}
	judge(config, scratch->judging, decision);
	const struct inspection *inspection =
	        policy_inspection(decision->policy, decision->request->served_id);
	if (UNLIKELY(inspection != NULL) && decision->verdict.allowed &&
	        !decision->verdict.observed) {
		gate_look_inside(config, inspection, question, scratch, decision);
	}
	redact(decision);
}

/* The Engine, and the operation. False: the decision is made. */
static bool find_operation(const struct gate_config *config, const struct gate_question *question,
        struct gate_scratch *scratch, struct gate_decision *decision)
{
	struct slice path = decision->head->path;

	if (UNLIKELY(config->engines != NULL) &&
	        !gate_choose_engine(config, question, decision, &path)) {
		return false;
	}
	const enum docker_error bad = route(decision, path, &scratch->request);
	if (bad != DOCKER_OK) {
		gate_respond(decision, OUTCOME_MALFORMED, docker_error_text(bad));
		return false;
	}
	decision->request = &scratch->request;
	return true;
}

/* Of the front itself, and of the Engine of `upstream`, whatever Engine the listener or the name in
 * TLS means: nobody is known yet, who could be told of another one. */
static SELDOM void respond_health(const struct gate_config *config, struct gate_decision *decision)
{
	const bool has_default = config->engines == NULL || config->engines->has_default;

	decision->engine = has_default ? ENGINE_DEFAULT : ENGINE_NONE;
	gate_respond(decision, OUTCOME_HEALTHY, NULL);
}

/* Where the name of an Engine was taken off the path, another path was routed than the head has. */
static void remember(
        struct slice bytes, struct gate_scratch *scratch, const struct gate_decision *decision)
{
	if (decision->recalled == NULL && !decision->by_path) {
		recall_keep(scratch->recall, bytes, decision->head, decision->request);
	}
}

/* All that can be said of a whole head. */
static void decide(const struct gate_config *config, const struct gate_question *question,
        struct gate_scratch *scratch, struct gate_decision *decision)
{
	const struct slice bytes = {question->bytes.ptr, question->scan->head_len};
	enum http_error error = HTTP_OK;

	if (decision->recalled != NULL) {
		scratch->head = decision->recalled->head;
	} else {
		error = http_request_parse(bytes, scratch->fields, &scratch->head);
	}
	if (error != HTTP_OK) {
		refuse(decision, error);
		return;
	}
	decision->head = &scratch->head;
	error = admit(config, decision->head);
	if (error != HTTP_OK) {
		refuse(decision, error);
		return;
	}
	if (!find_operation(config, question, scratch, decision)) {
		return;
	}
	remember(bytes, scratch, decision);
	if (!decision->by_path && is_health(decision->request)) {
		respond_health(config, decision);
		return;
	}
	if (UNLIKELY(decision->head->head.has_via) &&
	        http_came_through(&decision->head->head, question->pseudonym)) {
		gate_respond(decision, OUTCOME_LOOP, NULL);
		return;
	}
	decide_routed(config, question, scratch, decision);
}

struct gate_decision gate_decide_again(const struct gate_config *config,
        const struct gate_question *question, struct gate_scratch *scratch)
{
	const struct gate_kept *kept = question->kept;
	struct gate_decision decision = {.action = GATE_FORWARD, .outcome = OUTCOME_FORWARDED};

	scratch->head = (struct http_request){
	        .head = {.framing = kept->has_body ? HTTP_CHUNKED : HTTP_NO_BODY},
	        .method = kept->method,
	        .path = kept->path,
	        .query = kept->query,
	};
	decision.head = &scratch->head;
	if (find_operation(config, question, scratch, &decision)) {
		decide_routed(config, question, scratch, &decision);
	}
	return decision;
}

struct gate_decision gate_decide(const struct gate_config *config,
        const struct gate_question *question, struct gate_scratch *scratch)
{
	struct gate_decision decision = {
	        .action = GATE_FORWARD,
	        .outcome = OUTCOME_FORWARDED,
	        .recalled = recall_find(scratch->recall, question->bytes),
	};
	enum http_error error = HTTP_OK;

	switch (find_head(config, question, decision.recalled, &error)) {
	case HTTP_MORE:
		decision.action = GATE_NEED_HEAD;
		break;
	case HTTP_BAD:
		refuse(&decision, error);
		break;
	case HTTP_DONE:
		decide(config, question, scratch, &decision);
		break;
	}
	return decision;
}

/* ── Saying it ───────────────────────────────────────────────────────────── */

void gate_add_missing(const struct gate_decision *decision, struct text *text)
{
	scope_add_missing(decision->object, text);
}

/* Who it is that the policy judged: the policy alone does not say why it was this one. */
static SELDOM void add_client(const struct gate_decision *decision, struct text *text)
{
	if (decision->client != NULL) {
		text_add_format(text, " The sender is client '%s'.", decision->client->name);
	} else if (decision->clients != NULL) {
		text_add(text,
		        SLICE(" The sender is none of the clients that this proxy knows by "));
		clients_add_kinds(decision->clients, text);
		text_add(text, decision->wants_key
		                       ? SLICE(": send the key of one as 'x-api-key: KEY' or "
		                               "'Authorization: Bearer KEY'.")
		                       : SLICE(": an entry for it in 'clients' would allow it to "
		                               "nobody else."));
	}
}

void gate_add_denial(const struct gate_decision *decision, struct text *text)
{
	if (decision->findings == NULL) {
		policy_add_denial(decision->policy, decision->request, &decision->verdict, text);
	} else {
		findings_add_denial(decision->findings, FINDINGS_SENDER,
		        docker_operation_name(decision->request->served_id),
		        policy_name(decision->policy), text);
	}
	add_client(decision, text);
}

/* ── Asking without a client ─────────────────────────────────────────────── */

/* Of "http://host:port/path" the middle, as clients send it; else any. */
static struct slice host_for(struct slice target)
{
	const char *end = target.ptr + target.len;
	const char *colon = target.len > 0 && target.ptr[0] != '/'
	                            ? memmem(target.ptr, target.len, "://", 3)
	                            : NULL;

	if (colon == NULL) {
		return SLICE("docker");
	}
	const char *host = colon + 3;
	const char *at = host;
	while (at < end && *at != '/' && *at != '?') {
		at++;
	}
	return slice_between(host, at);
}

void gate_add_head(struct slice method, struct slice target, size_t body_len, struct text *text)
{
	text_add(text, method);
	text_add(text, SLICE(" "));
	text_add(text, target);
	text_add(text, SLICE(" HTTP/1.1\r\nHost: "));
	text_add(text, host_for(target));
	if (body_len > 0) {
		text_add(text, SLICE("\r\nContent-Type: application/json\r\nContent-Length: "));
		text_add_u64(text, body_len);
	}
	text_add(text, SLICE("\r\n\r\n"));
}
