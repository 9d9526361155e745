/* SPDX-License-Identifier: MIT */
/*
 * Queries and bodies under a scope: what goes to the Engine has the labels of the scope, whatever
 * the client wrote, and no other value of one of them. Answers of the Engine: no object without
 * the labels is the client's own, and none is left in a list, however the answer is cut.
 */
#include "fuzz.h"
#include "scope/scope.h"

#include <stdlib.h>

enum { ROOM = 256 * 1024 };

static struct arena arena;
static const struct scope *scope;
static struct json_node nodes[JSON_NODES_MAX];
static uint32_t marks[JSON_MARKS_MAX];
static char strings[ROOM], spelled[ROOM], value[ROOM], result[2 * ROOM], again[ROOM];

static void prepare(void)
{
	const struct yaml_node *root = NULL;
	const struct scope *read = NULL;
	char error[FAULT_MAX];

	int code = yaml_read(SLICE("labels: {team: ci}"), "ci.yaml", &arena, &root, error);
	code = code < 0 ? code : scope_read(root, &arena, &read, error);
	code = code < 0 ? code : scope_join(NULL, read, "ci", &arena, &scope, error);
	ASSERT(code == 0);
}

static const struct scope_operation *operation_called(const char *name)
{
	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (strcmp(docker_operation_name(id), name) == 0) {
			return scope_operation_of(id);
		}
	}
	ASSERT(false);
	return NULL;
}

static struct json_document read_again(struct slice bytes)
{
	struct json_document document = {.nodes = nodes, .marks = marks, .strings = strings};
	const enum json_error error = json_read(&document, bytes);

	ASSERT(error == JSON_OK && document.nodes->type == JSON_OBJECT);
	return document;
}

/* The member of exactly that name; NULL: there is none. */
static const struct json_node *find(const struct json_node *object, struct slice name)
{
	for (const struct json_node *at = json_first(object); at != NULL;
	        at = json_next(object, at)) {
		if (slice_equal(at->name, name)) {
			return at;
		}
	}
	return NULL;
}

/* The only filter of the scope's label is the scope's own. */
static void check_filters(struct slice filters)
{
	const struct json_document document = read_again(filters);
	const struct json_node *labels = find(document.nodes, SLICE("label"));
	unsigned own = 0;

	ASSERT(labels != NULL && labels->type == JSON_OBJECT);
	for (const struct json_node *at = json_first(labels); at != NULL;
	        at = json_next(labels, at)) {
		const bool named = slice_starts_with(at->name, SLICE("team=")) ||
		                   slice_equal(at->name, SLICE("team"));
		ASSERT(at->type == JSON_TRUE);
		ASSERT(!named || slice_equal(at->name, SLICE("team=ci")));
		own += named;
	}
	ASSERT(own == 1);
}

static void check_query(struct slice bytes)
{
	struct scope_memory memory = {
	        .document = {.nodes = nodes, .marks = marks, .strings = strings},
	        .strings_len = sizeof(strings),
	        .spelled = text_over(spelled, sizeof(spelled)),
	        .value = text_over(value, sizeof(value)),
	        .query = text_over(result, sizeof(result)),
	};
	struct docker_request *request = malloc(sizeof(*request));
	const struct docker_target target = {
	        .method = SLICE("GET"), .path = SLICE("/containers/json"), .query = bytes};
	struct slice parameter;
	struct slice name;
	struct slice found;
	unsigned count = 0;

	ASSERT(request != NULL);
	const bool routed = docker_route(&target, request) == DOCKER_OK;
	free(request);
	if (!routed || scope_rewrite_query(scope, operation_called("container.list"), bytes,
	                       SLICE(""), &memory, &parameter) != NULL) {
		return;
	}
	struct slice rest = text_slice(&memory.query);
	struct text decoded = text_over(again, sizeof(again));
	while (docker_next_parameter(&rest, &decoded, &name, &found)) {
		if (slice_equal(name, SLICE("filters"))) {
			check_filters(found);
			count++;
		}
	}
	ASSERT(count == 1);
}

static void check_stamp(struct slice bytes)
{
	struct json_document document = {.nodes = nodes, .marks = marks, .strings = strings};
	struct json_addition additions[SCOPE_STAMPS_MAX];
	char memory[1024];
	char place[120];
	struct text members = text_over(memory, sizeof(memory));
	struct text pointer = text_over(place, sizeof(place));
	struct text written = text_over(result, sizeof(result));

	if (bytes.len > sizeof(strings) || json_read(&document, bytes) != JSON_OK ||
	        nodes->type != JSON_OBJECT || nodes->ambiguous) {
		return;
	}
	const struct json_node *before = json_member(nodes, SLICE("Labels"));
	if (before != NULL && before->type != JSON_OBJECT && before->type != JSON_NULL) {
		return; /* the walk refuses it */
	}
	const unsigned count = scope_stamp_body(
	        scope, operation_called("container.create"), nodes, &members, additions, &pointer);
	if (pointer.len > 0) {
		return;
	}
	json_write_with(nodes, additions, count, &written);
	ASSERT(!written.overflow);
	document = read_again(text_slice(&written));
	const struct json_node *labels = json_member(document.nodes, SLICE("Labels"));
	ASSERT(labels != NULL && labels->type == JSON_OBJECT);
	const struct json_node *label = find(labels, SLICE("team"));
	ASSERT(label != NULL && label->type == JSON_STRING &&
	        slice_equal(label->text, SLICE("ci")));
}

static void check_answer(struct slice bytes)
{
	static struct scope_answers answers;
	const struct scope_object object = {SCOPE_CONTAINER, SLICE("web")};
	struct json_document document = {.nodes = nodes, .marks = marks, .strings = strings};
	struct text text = text_over(result, sizeof(result));

	answers.count = 0;
	const bool asked = scope_write_request(scope, object, SLICE(""), &answers, &text);
	ASSERT(asked);
	if (bytes.len > sizeof(strings) ||
	        !scope_read_response(scope, 200, bytes, &document, &answers)) {
		return;
	}
	ASSERT(answers.list[0].id_len > 0);
	ASSERT(answers.list[0].answer != SCOPE_OWN ||
	        memmem(bytes.ptr, bytes.len, "ci", 2) != NULL ||
	        memchr(bytes.ptr, '\\', bytes.len) != NULL);
}

/* Returns how many bytes of `ret` are what is left of the answer, which comes in pieces. */
static size_t narrow(struct slice in, size_t piece, char *ret)
{
	static struct scope_narrower narrower;
	size_t len = 0;

	scope_narrower_begin(&narrower, scope);
	while (in.len > 0) {
		struct json_document memory = {.nodes = nodes, .marks = marks, .strings = strings};
		const struct slice next = {in.ptr, piece < in.len ? piece : in.len};
		struct slice passed;
		const size_t read = scope_narrow(&narrower, next, &memory, &passed);
		ASSERT(read <= next.len && len + passed.len <= ROOM);
		ASSERT(read > 0 || narrower.in_list == false);
		memcpy(ret + len, passed.ptr, passed.len);
		len += passed.len;
		in = slice_behind(in, read);
	}
	return len;
}

/* Of each list that is in no other, but for those of images. */
static void check_lists(const struct json_node *node, bool shared)
{
	if (node->type != JSON_OBJECT && node->type != JSON_ARRAY) {
		return;
	}
	for (const struct json_node *at = json_first(node); at != NULL; at = json_next(node, at)) {
		if (node->type == JSON_OBJECT) {
			check_lists(at, shared);
		} else if (!shared) {
			ASSERT(at->type == JSON_OBJECT);
			ASSERT(scope_has_labels(scope, json_member(at, SLICE("Labels"))));
		}
	}
}

static void check_narrowing(struct slice bytes)
{
	struct json_document document = {.nodes = nodes, .marks = marks, .strings = strings};
	const bool good = json_read(&document, bytes) == JSON_OK;
	const size_t len = narrow(bytes, bytes.len, result);
	const size_t other = narrow(bytes, 1 + bytes.len / 7, again);

	ASSERT(len <= bytes.len && other == len && memcmp(result, again, len) == 0);
	if (!good) {
		return;
	}
	document = (struct json_document){.nodes = nodes, .marks = marks, .strings = strings};
	const enum json_error error = json_read(&document, (struct slice){result, len});
	ASSERT(error == JSON_OK);
	if (document.nodes->type != JSON_OBJECT) {
		check_lists(document.nodes, false);
		return;
	}
	for (const struct json_node *at = json_first(document.nodes); at != NULL;
	        at = json_next(document.nodes, at)) {
		check_lists(at, slice_equal(at->name, SLICE("Images")) ||
		                        slice_equal(at->name, SLICE("ImageUsage")));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct slice input = {(const char *)bytes, len};

	if (scope == NULL) {
		prepare();
	}
	if (len < sizeof(strings) / 4) {
		check_query(input);
		check_stamp(input);
		check_answer(input);
		check_narrowing(input);
	}
	return 0;
}
