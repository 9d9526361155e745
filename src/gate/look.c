/* SPDX-License-Identifier: MIT */
/* look — the checks of a policy's scope and of its blocks. */
#include "gate/look.h"

/* The request breaks a block or the scope: it is denied, or recorded and forwarded. */
static void deny(struct gate_decision *decision, const struct findings *findings)
{
	decision->findings = findings;
	decision->verdict.allowed = policy_observes(decision->policy);
	/* Who learns what bodies ask for denies nothing. */
	decision->verdict.observed = decision->verdict.allowed && !policy_learns(decision->policy);
	if (!decision->verdict.allowed) {
		gate_respond(decision, OUTCOME_DENIED, NULL);
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
		gate_respond(decision, OUTCOME_NOT_FOUND, NULL);
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
	        .document = inspect_document(memory),
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

	const char *problem = scope_rewrite_query(looking->view.scope, looking->inspection->scoping,
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
	if (in_path && !looking->view.observes && !docker_replace_name(request, id)) {
		return refuse_operation(looking, "the path is too long");
	}
	if (scope_narrows_answer(scoping) && !looking->view.observes) {
		looking->decision->narrows = looking->view.scope;
	}
	return !scope_rewrites_query(scoping) || rewrite_query(looking, id);
}

/* ── The blocks ──────────────────────────────────────────────────────────── */

/* Some operations look into a body only where there is one; what is stamped must be there. A body
 * that was judged is not there any more. */
static bool reads_body(const struct looking *looking)
{
	const struct inspection *inspection = looking->inspection;
	const bool stamps = inspection->scoping != NULL && scope_stamps_body(inspection->scoping);

	return looking->question->kept == NULL &&
	       inspect_operation_reads_body(inspection->operation) &&
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

/* The body is there. */
static void judge_body(struct looking *looking)
{
	const struct gate_question *question = looking->question;
	struct gate_decision *decision = looking->decision;
	struct inspect_paths *paths = looking->sees_host ? &question->memory->paths : NULL;

	looking->findings->paths = paths;
	decision->body = inspect_body(looking->inspection->operation, decision->request,
	        question->body, question->memory, looking->findings);
	if (looking->view.observes) {
		decision->body = inspect_keep_body(question->body, question->memory);
	}
	const bool unanswered = paths != NULL && paths->answered < paths->count;
	const bool wanted = looking->view.wanted.kind != SCOPE_NOTHING;
	/* A wait for the Engine would forget the paths. */
	if (unanswered && (!wanted || looking->findings->count > 0)) {
		decision->action = GATE_NEED_PATHS;
	} else if (looking->findings->count > 0) {
		deny(decision, looking->findings);
	} else {
		(void)settle(looking);
	}
}

/* By a block of the policy. */
static void inspect(struct looking *looking)
{
	struct gate_decision *decision = looking->decision;

	if (!check_request(looking)) {
		return;
	}
	if (!reads_body(looking)) {
		(void)settle(looking); /* of what the query names */
	} else if (decision->head->head.content_length > INSPECT_BODY_MAX) {
		gate_respond(decision, OUTCOME_BODY_TOO_LARGE, NULL);
	} else if (looking->question->body.ptr == NULL) {
		decision->action = GATE_NEED_BODY;
	} else {
		judge_body(looking);
	}
}

/* That of the policy, with the client as the owner. */
static const struct scope *scope_of(const struct inspection *inspection,
        const struct gate_question *question, const struct client *client)
{
	return inspection->scope == NULL || client == NULL
	               ? inspection->scope
	               : client->scopes[question->caller->listener];
}

void gate_look_inside(const struct gate_config *config, const struct inspection *inspection,
        const struct gate_question *question, struct gate_scratch *scratch,
        struct gate_decision *decision)
{
	const struct scope *scope = scope_of(inspection, question, decision->client);
	struct looking looking = {
	        .inspection = inspection,
	        .question = question,
	        .decision = decision,
	        .scratch = scratch,
	        .findings = &scratch->findings,
	        /* Its files are those of the Engine of `upstream`. */
	        .sees_host = config->sees_host && decision->engine == ENGINE_DEFAULT,
	        .view = {.scope = scope,
	                .observes = policy_observes(decision->policy),
	                .operation = inspection->scoping,
	                .answers = question->answers},
	};

	decision->scope = scope;
	findings_begin(looking.findings, inspection->constraints);
	looking.findings->block = inspection->block;
	looking.findings->place = inspection->place;
	looking.findings->view = scope == NULL ? NULL : &looking.view;
	looking.findings->engine = &looking.view;
	/* Of a request in progress the objects were looked up: whose they are does not change. */
	if (scope != NULL && question->kept == NULL && !enter_scope(&looking)) {
		return;
	}
	if (inspection->operation != NULL) {
		inspect(&looking);
	}
	if (looking.query.ptr != NULL) {
		scratch->head.query = looking.query;
	}
}
