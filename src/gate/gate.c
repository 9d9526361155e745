/* SPDX-License-Identifier: MIT */
#include "gate/gate.h"

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

static void respond(struct gate_decision *decision, enum outcome outcome, const char *reason)
{
	decision->action = GATE_RESPOND;
	decision->outcome = outcome;
	decision->reason = reason;
}

static void refuse(struct gate_decision *decision, enum http_error error)
{
	respond(decision, outcome_of(error), http_error_text(error));
}

/* ── The checks ──────────────────────────────────────────────────────────── */

/* HTTP_DONE: the head is whole, and scan->head_len long. */
static enum http_progress find_head(const struct gate_config *config,
        const struct gate_question *question, enum http_error *ret_error)
{
	struct http_scan *scan = question->scan;
	enum http_progress progress = HTTP_DONE; /* asked again, it is */

	if (scan->head_len == 0) {
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

static enum docker_error route(const struct http_request *head, struct docker_request *request)
{
	const struct docker_target target = {
	        .method = head->method,
	        .path = head->path,
	        .query = head->query,
	        .has_body = head->head.framing == HTTP_CHUNKED || head->head.content_length > 0,
	};

	return docker_route(&target, request);
}

static bool is_health(const struct docker_request *request)
{
	return slice_equal(request->path, SLICE("/health")) &&
	       (slice_equal(request->method, SLICE("GET")) ||
	               slice_equal(request->method, SLICE("HEAD")));
}

static void judge(const struct gate_config *config, struct policy_scratch *scratch,
        struct gate_decision *decision)
{
	decision->policy = config->policy;
	decision->verdict = policy_judge(config->policy, decision->request, scratch);
	if (!decision->verdict.allowed) {
		respond(decision, OUTCOME_DENIED, NULL);
	}
}

/* The request breaks a block or the scope: it is denied, or recorded and forwarded. */
static void deny(struct gate_decision *decision, const struct findings *findings)
{
	decision->findings = findings;
	decision->verdict.allowed = policy_observes(decision->policy);
	/* Who learns what bodies ask for denies nothing. */
	decision->verdict.observed = decision->verdict.allowed && !policy_learns(decision->policy);
	if (!decision->verdict.allowed) {
		respond(decision, OUTCOME_DENIED, NULL);
	}
}

/* A request on its way through the policy's blocks and its scope. */
struct looking {
	const struct inspection *inspection;
	const struct gate_question *question;
	struct gate_decision *decision;
	struct gate_scratch *scratch;
	struct findings *findings;
	struct scope_view view;
	bool sees_host;
	struct slice query; /* what is sent in place of the query; ptr NULL: what was received */
};

/* ── The scope ───────────────────────────────────────────────────────────── */

/* The response is the Engine's own, so that nobody learns what there is for others. */
static void find_absent(struct looking *looking)
{
	struct gate_decision *decision = looking->decision;
	const struct scope_view *view = &looking->view;

	decision->object = view->absent;
	if (view->foreign) {
		findings_blame_scope(looking->findings);
		findings_add_word(looking->findings, SLICE("scope"), view->absent.reference,
		        "is not in the scope of the policy");
		deny(decision, looking->findings);
	}
	if (!view->observes) {
		respond(decision, OUTCOME_NOT_FOUND, NULL);
	}
}

/* What the Engine must say, or has said, about the objects that were looked at. True: all are the
 * client's own. */
static bool settle(struct looking *looking)
{
	struct scope_view *view = &looking->view;

	if (view->wanted.kind != SCOPE_NOTHING) {
		looking->decision->action = GATE_NEED_LOOKUP;
		looking->decision->object = view->wanted;
	} else if (view->absent.kind != SCOPE_NOTHING) {
		find_absent(looking);
	}
	return view->wanted.kind == SCOPE_NOTHING && view->absent.kind == SCOPE_NOTHING;
}

static bool refuse_operation(struct looking *looking, const char *problem)
{
	findings_blame_scope(looking->findings);
	findings_add(looking->findings, SLICE("scope"), problem);
	deny(looking->decision, looking->findings);
	return false;
}

static struct scope_memory memory_for_query(struct inspect_memory *memory)
{
	const size_t half = sizeof(memory->written) / 2;

	return (struct scope_memory){
	        .document = {.nodes = memory->nodes,
	                .marks = memory->marks,
	                .strings = memory->strings},
	        .strings_len = sizeof(memory->strings),
	        .spelled = text_over(memory->written, half),
	        .value = text_over(memory->written + half, half),
	        .query = text_over(memory->query, sizeof(memory->query)),
	};
}

/* The object that the request names: its full id goes into the path, or into the query. */
static bool enter_object(struct looking *looking, struct slice *ret_id)
{
	const struct scope_operation *scoping = looking->inspection->scoping;
	const struct docker_request *request = looking->decision->request;
	struct scope_object object = {scoping->kind, request->name};
	char *reference = looking->scratch->reference;

	if (scoping->where[0] != '\0') {
		struct scope_memory memory = memory_for_query(looking->question->memory);
		const struct slice named = scope_find_reference(
		        scoping, looking->decision->head->query, &memory.spelled);
		object.reference = (struct slice){
		        reference, text_keep(reference, SCOPE_REFERENCE_MAX + 1, named)};
	}
	(void)scope_look(&looking->view, object, ret_id);
	return settle(looking);
}

/* Lists are narrowed; what is made gets the labels of the scope. */
static bool rewrite_query(struct looking *looking, struct slice id)
{
	struct scope_memory memory = memory_for_query(looking->question->memory);
	const struct slice query = looking->decision->head->query;
	char place[INSPECT_POINTER_MAX];
	struct text pointer = text_over(place, sizeof(place));
	struct slice parameter;

	const char *problem =
	        scope_rewrite_query(looking->inspection->scope, looking->inspection->scoping,
	                query.ptr == NULL ? SLICE("") : query, id, &memory, &parameter);
	if (problem != NULL) {
		text_add(&pointer, SLICE("?"));
		text_add(&pointer, parameter);
		findings_blame_scope(looking->findings);
		findings_add(looking->findings, text_slice(&pointer), problem);
		deny(looking->decision, looking->findings);
		return false;
	}
	if (!looking->view.observes) {
		looking->query = text_slice(&memory.query);
	}
	return true;
}

/* False: the decision is made. */
static bool enter_scope(struct looking *looking)
{
	const struct scope_operation *scoping = looking->inspection->scoping;
	struct docker_request *request = &looking->scratch->request;
	struct slice id = {"", 0};

	if (scoping == NULL) {
		return refuse_operation(
		        looking, "this operation cannot be kept to the objects of a scope");
	}
	if (request->served_id != request->id) {
		return refuse_operation(
		        looking, "a name with a slash is not looked up; give the id in its place");
	}
	if (scope_rewrites_query(scoping) && looking->question->memory == NULL) {
		looking->decision->action = GATE_NEED_MEMORY;
		return false;
	}
	if (scoping->kind != SCOPE_NOTHING && !enter_object(looking, &id)) {
		return false;
	}
	/* The name of an image says which of its names is removed. */
	const bool in_path = scoping->kind != SCOPE_NOTHING && scoping->kind != SCOPE_IMAGE &&
	                     scoping->where[0] == '\0';
	if (in_path && !docker_replace_name(request, id)) {
		return refuse_operation(looking, "the path is too long");
	}
	if (scope_narrows_answer(scoping) && !looking->view.observes) {
		looking->decision->narrows = looking->inspection->scope;
	}
	return !scope_rewrites_query(scoping) || rewrite_query(looking, id);
}

/* ── The blocks ──────────────────────────────────────────────────────────── */

/* Some operations look into a body only where there is one; what is stamped must be there. */
static bool reads_body(const struct looking *looking)
{
	const struct inspection *inspection = looking->inspection;
	const bool stamps = inspection->scoping != NULL && scope_stamps_body(inspection->scoping);

	return inspect_operation_reads_body(inspection->operation) &&
	       (stamps || inspect_operation_needs_body(inspection->operation) ||
	               http_has_body(looking->decision->head));
}

/* What the head says: the query, and of the body what it is. False: the decision is made. */
static bool check_request(struct looking *looking)
{
	const struct inspect_operation *operation = looking->inspection->operation;
	struct gate_decision *decision = looking->decision;
	struct inspect_memory *memory = looking->question->memory;
	const bool reads_query = inspect_operation_reads_query(operation);
	const char *problem = reads_body(looking) ? http_json_problem(decision->head) : NULL;

	if (reads_query && memory == NULL) {
		decision->action = GATE_NEED_MEMORY;
		return false;
	}
	const bool readable = inspect_request(operation, decision->request, looking->findings);
	if (readable && problem != NULL) {
		findings_add(looking->findings, SLICE("head"), problem);
	} else if (readable && reads_query) {
		inspect_query(operation, decision->request, decision->head->query, memory,
		        looking->findings);
	}
	if (looking->findings->count > 0) {
		deny(decision, looking->findings);
	}
	return looking->findings->count == 0;
}

/* By a block of the policy. */
static void inspect(struct looking *looking)
{
	const struct inspect_operation *operation = looking->inspection->operation;
	const struct gate_question *question = looking->question;
	struct gate_decision *decision = looking->decision;

	if (!check_request(looking)) {
		return;
	}
	if (!reads_body(looking)) {
		(void)settle(looking); /* of what the query names */
		return;
	}
	if (decision->head->head.content_length > INSPECT_BODY_MAX) {
		respond(decision, OUTCOME_BODY_TOO_LARGE, NULL);
		return;
	}
	if (question->body.ptr == NULL) {
		decision->action = GATE_NEED_BODY;
		return;
	}
	const struct inspect_paths *paths = &question->memory->paths;
	looking->findings->paths = looking->sees_host ? &question->memory->paths : NULL;
	decision->body = inspect_body(
	        operation, decision->request, question->body, question->memory, looking->findings);
	if (paths->answered < paths->count) {
		decision->action = GATE_NEED_PATHS;
	} else if (looking->findings->count > 0) {
		deny(decision, looking->findings);
	} else {
		(void)settle(looking);
	}
}

static void look_inside(const struct gate_config *config, const struct inspection *inspection,
        const struct gate_question *question, struct gate_scratch *scratch,
        struct gate_decision *decision)
{
	struct looking looking = {
	        .inspection = inspection,
	        .question = question,
	        .decision = decision,
	        .scratch = scratch,
	        .findings = &scratch->findings,
	        .sees_host = config->sees_host,
	        .view = {.scope = inspection->scope,
	                .observes = policy_observes(decision->policy),
	                .operation = inspection->scoping,
	                .answers = question->answers},
	};

	decision->scope = inspection->scope;
	findings_begin(looking.findings, inspection->constraints);
	looking.findings->block = inspection->block;
	looking.findings->place = inspection->place;
	looking.findings->view = inspection->scope == NULL ? NULL : &looking.view;
	looking.findings->engine = &looking.view;
	if (inspection->scope != NULL && !enter_scope(&looking)) {
		return;
	}
	if (inspection->operation != NULL) {
		inspect(&looking);
	}
	if (looking.query.ptr != NULL) {
		scratch->head.query = looking.query;
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

/* All that can be said of a whole head. */
static void decide(const struct gate_config *config, const struct gate_question *question,
        struct gate_scratch *scratch, struct gate_decision *decision)
{
	const struct slice bytes = {question->bytes.ptr, question->scan->head_len};
	enum http_error error = http_request_parse(bytes, scratch->fields, &scratch->head);

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
	const enum docker_error bad = route(decision->head, &scratch->request);
	if (bad != DOCKER_OK) {
		respond(decision, OUTCOME_MALFORMED, docker_error_text(bad));
		return;
	}
	decision->request = &scratch->request;
	if (is_health(decision->request)) {
		respond(decision, OUTCOME_HEALTHY, NULL);
		return;
	}
	judge(config, scratch->judging, decision);
	const struct inspection *inspection =
	        policy_inspection(decision->policy, decision->request->served_id);
	if (UNLIKELY(inspection != NULL) && decision->verdict.allowed &&
	        !decision->verdict.observed) {
		look_inside(config, inspection, question, scratch, decision);
	}
	redact(decision);
}

struct gate_decision gate_decide(const struct gate_config *config,
        const struct gate_question *question, struct gate_scratch *scratch)
{
	struct gate_decision decision = {.action = GATE_FORWARD, .outcome = OUTCOME_FORWARDED};
	enum http_error error = HTTP_OK;

	switch (find_head(config, question, &error)) {
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

void gate_add_denial(const struct gate_decision *decision, struct text *text)
{
	if (decision->findings == NULL) {
		policy_add_denial(decision->policy, decision->request, &decision->verdict, text);
		return;
	}
	findings_add_denial(decision->findings, FINDINGS_SENDER,
	        docker_operation_name(decision->request->served_id), policy_name(decision->policy),
	        text);
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
