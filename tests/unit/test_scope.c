/* SPDX-License-Identifier: MIT */
/* Scopes as they are written; queries and bodies with their labels; what the Engine's answers mean.
 */
#include "cases.h"

#include "scope/scope.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 128 * 1024 };

static struct arena arena;
static const struct scope *scope; /* team=ci, stage=test */
static char error[FAULT_MAX];
static struct json_node nodes[JSON_NODES_MAX];
static uint32_t marks[JSON_MARKS_MAX];
static char strings[ROOM], spelled[ROOM], value[ROOM], result[ROOM];

static int read_scope(const char *text, const char *owner, const struct scope **ret_scope)
{
	const struct yaml_node *root = NULL;
	const struct scope *read = NULL;

	if (yaml_read(slice_of(text), "ci.yaml", &arena, &root, error) < 0 ||
	        scope_read(root, &arena, &read, error) < 0) {
		return -1;
	}
	return scope_join(NULL, read, owner, &arena, ret_scope, error);
}

static int begin(void **state)
{
	(void)state;
	return read_scope("labels: {team: ci, stage: test}", "ci", &scope);
}

static int end(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static struct json_document document(void)
{
	return (struct json_document){.nodes = nodes, .marks = marks, .strings = strings};
}

/* ── Configuration ───────────────────────────────────────────────────────── */

static void what_a_scope_may_be(void **state)
{
	static const struct {
		const char *text;
		const char *said; /* the labels, or a part of the error */
	} rows[] = {
	        {"labels: {team: ci}", "team=ci"},
	        {"labels: {a: b, c: d}", "a=b, c=d"},
	        {"owner: true", "docker-socket-proxy.owner=alice"},
	        {"labels: {team: ci}\nowner: true", "team=ci, docker-socket-proxy.owner=alice"},
	        {"{}", "a scope needs a label"},
	        {"labels: {}", "a scope needs a label"},
	        {"owner: false", "'owner' is true, or is left out; found 'false'"},
	        {"labels: [team]", "'labels' is a map of labels"},
	        {"labels: {team: ''}", "'team' is the value of a label"},
	        {"labels: {'a=b': c}", "label 'a=b' of a scope"},
	        {"labels: {'a b': c}", "label 'a b' of a scope"},
	        {"labels: {a: \"\\u00e9\"}", "label 'a' of a scope"},
	        {"labels: {name: web}", "events have an attribute of that name"},
	        {"label: {team: ci}", "label"},
	        {"labels: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9}",
	                "more than 8 labels"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const struct scope *read = NULL;
		char memory[512];
		struct text text = text_over(memory, sizeof(memory));
		if (read_scope(rows[i].text, "alice", &read) < 0) {
			assert_that(rows[i].text, strstr(error, rows[i].said) != NULL);
			continue;
		}
		scope_add(read, &text);
		assert_slice(rows[i].text, text_slice(&text), slice_of(rows[i].said));
	}
}

static void scopes_hold_together(void **state)
{
	const struct scope *other = NULL;
	const struct scope *joined = NULL;
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	assert_int_equal(read_scope("labels: {team: ci, host: a}", "ci", &other), 0);
	assert_int_equal(scope_join(scope, other, "ci", &arena, &joined, error), 0);
	scope_add(joined, &text);
	assert_slice("joined", text_slice(&text), SLICE("team=ci, stage=test, host=a"));
	assert_int_equal(read_scope("labels: {team: ops}", "ci", &other), 0);
	assert_true(scope_join(scope, other, "ci", &arena, &joined, error) < 0);
	assert_non_null(strstr(error, "the label 'team' of the scope is 'ci' here and 'ops' at "
	                              "ci.yaml:1: no object has both; remove one"));
}

/* ── Queries ─────────────────────────────────────────────────────────────── */

static const struct scope_operation *operation_called(const char *name)
{
	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (strcmp(docker_operation_name(id), name) == 0) {
			return scope_operation_of(id);
		}
	}
	fail_msg("no operation is called %s", name);
	return NULL;
}

/* The decoded value of the parameter that was rewritten, behind the others. */
static const char *rewrite(const char *operation, const char *query)
{
	static char said[ROOM];
	struct scope_memory memory = {
	        .document = document(),
	        .strings_len = sizeof(strings),
	        .spelled = text_over(spelled, sizeof(spelled)),
	        .value = text_over(value, sizeof(value)),
	        .query = text_over(result, sizeof(result)),
	};
	struct slice parameter;
	struct slice rest;
	struct slice name;
	struct slice got;
	struct text text = text_over(said, sizeof(said));

	const char *problem = scope_rewrite_query(scope, operation_called(operation),
	        slice_of(query), SLICE("full-id"), &memory, &parameter);
	if (problem != NULL) {
		return problem;
	}
	rest = text_slice(&memory.query);
	memory.spelled.len = 0;
	while (docker_next_parameter(&rest, &memory.spelled, &name, &got)) {
		text_add_format(&text, "%s%.*s=%.*s", text.len > 0 ? "&" : "", SLICE_FMT(name),
		        SLICE_FMT(got));
	}
	text_add_char(&text, '\0');
	return said;
}

#define OWN "\"team=ci\":true,\"stage=test\":true"

static void filters_get_the_labels_of_the_scope(void **state)
{
	static const struct {
		const char *query;
		const char *said;
	} rows[] = {
	        {"", "filters={\"label\":{" OWN "}}"},
	        {"all=1", "all=1&filters={\"label\":{" OWN "}}"},
	        {"filters=", "filters={\"label\":{" OWN "}}"},
	        {"filters=null", "filters={\"label\":{" OWN "}}"},
	        {"filters={}&all=1", "all=1&filters={\"label\":{" OWN "}}"},
	        {"filters={\"label\":[\"a=b\"]}", "filters={\"label\":{\"a=b\":true," OWN "}}"},
	        {"filters={\"label\":{\"a\":false}}", "filters={\"label\":{\"a\":true," OWN "}}"},
	        {"filters={\"label\":null}", "filters={\"label\":{" OWN "}}"},
	        {"filters={\"label\":[\"team=ci\",\"team\"]}", "filters={\"label\":{" OWN "}}"},
	        {"filters={\"label!\":[\"x\"],\"until\":[\"1h\"]}",
	                "filters={\"label!\":{\"x\":true},\"until\":{\"1h\":true},\"label\":{" OWN
	                "}}"},
	        {"filters={\"status\":[]}", "filters={\"status\":{},\"label\":{" OWN "}}"},
	        {"filters={\"name\":[\"a\\\"b%26c\"]}",
	                "filters={\"name\":{\"a\\\"b&c\":true},\"label\":{" OWN "}}"},
	        {"Filters={\"label\":[\"x\"]}",
	                "Filters={\"label\":[\"x\"]}&filters={\"label\":{" OWN "}}"},
	        {"filters={\"Label\":[\"team=ops\"]}",
	                "filters={\"Label\":{\"team=ops\":true},\"label\":{" OWN "}}"},
	        {"filters={\"label\":[\"team=ops\"]}",
	                "has a label of the scope with another value"},
	        {"filters={\"label\":[\"team=\"]}", "has a label of the scope with another value"},
	        {"filters={\"label\":{\"team=ops\":false}}",
	                "has a label of the scope with another value"},
	        {"filters={\"label\":[1]}", "has a filter whose values have another type"},
	        {"filters={\"label\":{\"a\":1}}", "has a filter whose values have another type"},
	        {"filters={\"label\":\"a\"}", "has a filter that is neither a list nor an object"},
	        {"filters=[]", "must be an object"},
	        {"filters={\"label\":[],\"label\":[]}", "two names of an object are equal"},
	        {"filters={}&filters={}", "the parameter is given twice"},
	        {"filters={}&%66ilters={}", "the parameter is given twice"},
	        {"filters={} x", "something follows the document"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_slice(rows[i].query, slice_of(rewrite("container.list", rows[i].query)),
		        slice_of(rows[i].said));
	}
}

static void other_parameters_are_rewritten(void **state)
{
	static const struct {
		const char *operation;
		const char *query;
		const char *said;
	} rows[] = {
	        {"node.list", "filters={\"label\":[\"team=ops\"]}",
	                "filters={\"label\":{\"team=ops\":true},\"node.label\":{" OWN "}}"},
	        {"image.prune", "",
	                "filters={\"label\":{\"image.team=ci\":true,\"team=\":true,\"image.stage="
	                "test\":true,"
	                "\"stage=\":true}}"},
	        {"image.build", "t=a",
	                "t=a&labels={\"image.team\":\"ci\",\"team\":\"\",\"image.stage\":\"test\","
	                "\"stage\":\"\"}"},
	        {"image.build", "labels={\"a\":\"b\"}",
	                "labels={\"image.team\":\"ci\",\"team\":\"\",\"image.stage\":\"test\","
	                "\"stage\":\"\","
	                "\"a\":\"b\"}"},
	        {"image.build", "labels={\"image.team\":\"ci\",\"team\":\"\"}",
	                "labels={\"image.stage\":\"test\",\"stage\":\"\",\"image.team\":\"ci\","
	                "\"team\":\"\"}"},
	        {"image.build", "labels={\"image.team\":\"ops\"}",
	                "is a label of the scope: leave it out"},
	        {"image.build", "labels={\"team\":\"ci\"}",
	                "is a label of the scope: leave it out"},
	        {"image.build", "labels={\"image.team\":1}",
	                "is a label of the scope: leave it out"},
	        {"image.build", "labels={}&labels={}", "the parameter is given twice"},
	        {"container.commit", "container=web&repo=a",
	                "repo=a&container=full-id&changes=LABEL \"image.team\"=\"ci\""
	                "&changes=LABEL \"team\"=\"\"&changes=LABEL \"image.stage\"=\"test\""
	                "&changes=LABEL \"stage\"=\"\""},
	        {"container.commit", "container=web&container=db", "the parameter is given twice"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_slice(rows[i].query, slice_of(rewrite(rows[i].operation, rows[i].query)),
		        slice_of(rows[i].said));
	}
}

/* ── Bodies ──────────────────────────────────────────────────────────────── */

static const char *stamp(const char *operation, const char *body)
{
	static char said[ROOM];
	char memory[1024];
	char place[120];
	struct text members = text_over(memory, sizeof(memory));
	struct text pointer = text_over(place, sizeof(place));
	struct text text = text_over(said, sizeof(said));
	struct json_addition additions[SCOPE_STAMPS_MAX];
	struct json_document read = document();

	assert_int_equal(json_read(&read, slice_of(body)), JSON_OK);
	const unsigned count = scope_stamp_body(
	        scope, operation_called(operation), nodes, &members, additions, &pointer);
	if (pointer.len > 0) {
		text_add(&text, text_slice(&pointer));
	} else {
		json_write_with(nodes, additions, count, &text);
	}
	text_add_char(&text, '\0');
	return said;
}

#define LABELS "\"team\":\"ci\",\"stage\":\"test\""

static void what_is_made_gets_the_labels(void **state)
{
	static const struct {
		const char *operation;
		const char *body;
		const char *said;
	} rows[] = {
	        {"container.create", "{}", "{\"Labels\":{" LABELS "}}"},
	        {"container.create", "{\"Image\":\"a\"}",
	                "{\"Labels\":{" LABELS "},\"Image\":\"a\"}"},
	        {"container.create", "{\"Labels\":null}", "{\"Labels\":{" LABELS "}}"},
	        {"container.create", "{\"labels\":{}}", "{\"labels\":{" LABELS "}}"},
	        {"container.create", "{\"Labels\":{\"a\":\"b\"}}",
	                "{\"Labels\":{" LABELS ",\"a\":\"b\"}}"},
	        {"container.create", "{\"Labels\":{\"Team\":\"ops\"}}",
	                "{\"Labels\":{" LABELS ",\"Team\":\"ops\"}}"},
	        {"container.create", "{\"Labels\":{\"team\":\"ci\"}}",
	                "{\"Labels\":{\"stage\":\"test\",\"team\":\"ci\"}}"},
	        {"container.create", "{\"Labels\":{\"team\":\"ops\"}}", "/Labels/team"},
	        {"container.create", "{\"Labels\":{\"team\":null}}", "/Labels/team"},
	        {"service.create", "{\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"a\"}}}",
	                "{\"Labels\":{" LABELS
	                "},\"TaskTemplate\":{\"ContainerSpec\":{\"Labels\":{" LABELS
	                "},\"Image\":\"a\"}}}"},
	        {"service.create",
	                "{\"TaskTemplate\":{\"ContainerSpec\":{\"Labels\":{\"team\":\"x\"}}}}",
	                "/TaskTemplate/ContainerSpec/Labels/team"},
	        {"service.update", "{\"Labels\":{\"team\":\"ci\",\"stage\":\"test\"}}",
	                "{\"Labels\":{\"team\":\"ci\",\"stage\":\"test\"}}"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_slice(rows[i].body, slice_of(stamp(rows[i].operation, rows[i].body)),
		        slice_of(rows[i].said));
	}
}

/* ── Answers ─────────────────────────────────────────────────────────────── */

static void the_engine_is_asked_about_an_object(void **state)
{
	static const struct {
		enum scope_kind kind;
		const char *reference;
		const char *line; /* NULL: it is not asked about */
	} rows[] = {
	        {SCOPE_CONTAINER, "web", "GET /containers/web/json HTTP/1.1"},
	        {SCOPE_CONTAINER, "a b%", "GET /containers/a%20b%25/json HTTP/1.1"},
	        {SCOPE_IMAGE, "ci/app:1", "GET /images/ci/app:1/json HTTP/1.1"},
	        {SCOPE_NETWORK, "net\xc3\xa9", "GET /networks/net%C3%A9 HTTP/1.1"},
	        {SCOPE_TASK, "abc", "GET /tasks/abc HTTP/1.1"},
	        {SCOPE_CONTAINER, "a/b", NULL},
	        {SCOPE_CONTAINER, "..", NULL},
	        {SCOPE_CONTAINER, ".", NULL},
	        {SCOPE_CONTAINER, "", NULL},
	        {SCOPE_CONTAINER, "a\r\nb", NULL},
	        {SCOPE_IMAGE, "..", NULL},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const struct scope_object object = {rows[i].kind, slice_of(rows[i].reference)};
		struct scope_view view = {.scope = scope};
		static struct scope_answers answers;
		struct text text = text_over(result, sizeof(result));
		struct slice id;
		struct slice line = {"", 0};
		const enum scope_answer answer = scope_look(&view, object, &id);
		if (rows[i].line == NULL) {
			assert_that(rows[i].reference,
			        answer == SCOPE_ABSENT && view.wanted.kind == SCOPE_NOTHING);
			continue;
		}
		assert_that(rows[i].reference,
		        answer == SCOPE_UNKNOWN && view.wanted.kind == rows[i].kind);
		answers.count = 0;
		assert_true(scope_write_request(scope, view.wanted, SLICE(""), &answers, &text));
		struct slice rest = text_slice(&text);
		(void)slice_next(&rest, '\r', &line);
		assert_slice(rows[i].reference, line, slice_of(rows[i].line));
	}
}

static void a_volume_is_made_with_the_labels(void **state)
{
	static struct scope_answers answers;
	struct text text = text_over(result, sizeof(result));
	const struct scope_object object = {SCOPE_NEW_VOLUME, SLICE("data")};

	(void)state;
	assert_true(scope_write_request(scope, object, SLICE("x-api-key: k\r\n"), &answers, &text));
	assert_slice("request", text_slice(&text),
	        SLICE("POST /volumes/create HTTP/1.1\r\nHost: localhost\r\nx-api-key: k\r\n"
	              "Content-Type: application/json\r\n"
	              "Content-Length: 53\r\n\r\n{\"Name\":\"data\",\"Labels\":{" LABELS "}}"));
}

static struct scope_answers answers;

/* Ask about the object, and take the response. */
static bool tell(struct scope_object object, unsigned status, const char *body)
{
	struct text text = text_over(result, sizeof(result));
	struct json_document read = document();

	assert_true(scope_write_request(scope, object, SLICE(""), &answers, &text));
	return scope_read_response(scope, status, slice_of(body), &read, &answers);
}

static void an_answer_says_whose_it_is(void **state)
{
#define ID "\"Id\":\"0123abc\""
	static const struct {
		const char *body;
		unsigned status;
		enum scope_answer answer; /* UNKNOWN: the response is of no use */
	} rows[] = {
	        {"{" ID ",\"Config\":{\"Labels\":{" LABELS ",\"a\":\"b\"}}}", 200, SCOPE_OWN},
	        {"{" ID ",\"Config\":{\"Labels\":{\"team\":\"ci\"}}}", 200, SCOPE_FOREIGN},
	        {"{" ID ",\"Config\":{\"Labels\":{\"team\":\"ci\",\"stage\":\"TEST\"}}}", 200,
	                SCOPE_FOREIGN},
	        {"{" ID ",\"Config\":{\"Labels\":{\"Team\":\"ci\",\"stage\":\"test\"}}}", 200,
	                SCOPE_FOREIGN},
	        {"{" ID ",\"Config\":{\"Labels\":{\"team\":1,\"stage\":\"test\"}}}", 200,
	                SCOPE_FOREIGN},
	        {"{" ID ",\"Config\":{\"Labels\":[\"team=ci\"]}}", 200, SCOPE_FOREIGN},
	        {"{" ID ",\"Config\":{\"Labels\":null}}", 200, SCOPE_FOREIGN},
	        {"{" ID ",\"Config\":{}}", 200, SCOPE_FOREIGN},
	        {"{" ID ",\"Config\":null}", 200, SCOPE_FOREIGN},
	        {"{" ID ",\"Labels\":{" LABELS "}}", 200, SCOPE_FOREIGN},
	        {"{\"message\":\"No such container: web\"}", 404, SCOPE_ABSENT},
	        {"{\"message\":\"multiple IDs found\"}", 400, SCOPE_ABSENT},
	        {"{\"Config\":{\"Labels\":{" LABELS "}}}", 200, SCOPE_UNKNOWN},
	        {"{\"Id\":\"a/b\",\"Config\":{\"Labels\":{" LABELS "}}}", 200, SCOPE_UNKNOWN},
	        {"{\"Id\":\"..\",\"Config\":{\"Labels\":{" LABELS "}}}", 200, SCOPE_UNKNOWN},
	        {"{\"Id\":\"\",\"Config\":{\"Labels\":{" LABELS "}}}", 200, SCOPE_UNKNOWN},
	        {"[]", 200, SCOPE_UNKNOWN},
	        {"", 200, SCOPE_UNKNOWN},
	        {"{" ID "} x", 200, SCOPE_UNKNOWN},
	        {"{" ID ",\"Config\":{\"Labels\":{" LABELS "}}}", 204, SCOPE_UNKNOWN},
	        {"{" ID ",\"Config\":{\"Labels\":{" LABELS "}}}", 500, SCOPE_UNKNOWN},
	        {"{" ID ",\"Config\":{\"Labels\":{" LABELS "}}}", 301, SCOPE_UNKNOWN},
	};
	const struct scope_object object = {SCOPE_CONTAINER, SLICE("web")};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct scope_view view = {.scope = scope, .answers = &answers};
		struct slice id = {"", 0};
		answers.count = 0;
		const bool used = tell(object, rows[i].status, rows[i].body);
		assert_that(rows[i].body, used == (rows[i].answer != SCOPE_UNKNOWN));
		if (!used) {
			continue;
		}
		assert_that(rows[i].body, scope_look(&view, object, &id) == rows[i].answer);
		assert_that(rows[i].body,
		        (view.absent.kind != SCOPE_NOTHING) == (rows[i].answer != SCOPE_OWN));
		assert_that(rows[i].body, view.foreign == (rows[i].answer == SCOPE_FOREIGN));
		if (rows[i].answer == SCOPE_OWN) {
			assert_slice(rows[i].body, id, SLICE("0123abc"));
		}
	}
}

static void what_belongs_to_another_object_is_as_that(void **state)
{
	const struct scope_object exec = {SCOPE_EXEC, SLICE("e1")};
	struct scope_view view = {.scope = scope, .answers = &answers};
	struct slice id = {"", 0};

	(void)state;
	answers.count = 0;
	assert_true(tell(exec, 200, "{\"ID\":\"e1full\",\"ContainerID\":\"c1\"}"));
	assert_int_equal(scope_look(&view, exec, &id), SCOPE_UNKNOWN);
	assert_int_equal(view.wanted.kind, SCOPE_CONTAINER);
	assert_slice("owner", view.wanted.reference, SLICE("c1"));
	assert_true(tell(view.wanted, 200, "{" ID ",\"Config\":{\"Labels\":{" LABELS "}}}"));
	view = (struct scope_view){.scope = scope, .answers = &answers};
	assert_int_equal(scope_look(&view, exec, &id), SCOPE_OWN);
	assert_slice("id", id, SLICE("e1full"));
	answers.count = 0;
	/* A task of no service is nobody's. */
	const struct scope_object task = {SCOPE_TASK, SLICE("t1")};
	assert_true(tell(task, 200, "{\"ID\":\"t1\",\"Spec\":{\"Labels\":{" LABELS "}}}"));
	assert_int_equal(scope_look(&view, task, &id), SCOPE_FOREIGN);
}

static void there_is_a_ceiling_on_questions(void **state)
{
	char name[16];

	(void)state;
	answers.count = 0;
	for (unsigned i = 0; i <= SCOPE_ANSWERS_MAX; i++) {
		struct text text = text_over(result, sizeof(result));
		(void)snprintf(name, sizeof(name), "c%u", i);
		const struct scope_object object = {SCOPE_CONTAINER, slice_of(name)};
		assert_that(name, scope_write_request(scope, object, SLICE(""), &answers, &text) ==
		                          (i < SCOPE_ANSWERS_MAX));
	}
}

/* Eight labels with the longest names and values, of bytes that are escaped in JSON. */
static void the_longest_labels_fit(void **state)
{
	static char text[64 * 1024];
	struct text yaml = text_over(text, sizeof(text));
	const struct scope *const usual = scope;

	(void)state;
	text_add(&yaml, SLICE("labels: {"));
	for (unsigned i = 0; i < SCOPE_LABELS_MAX; i++) {
		text_add_format(&yaml, "%s'%u", i > 0 ? ", " : "", i);
		for (unsigned k = 1; k < SCOPE_LABEL_MAX; k++) {
			text_add_char(&yaml, '"');
		}
		text_add(&yaml, SLICE("': '"));
		for (unsigned k = 0; k < SCOPE_LABEL_MAX; k++) {
			text_add_char(&yaml, '\\');
		}
		text_add(&yaml, SLICE("'"));
	}
	text_add(&yaml, SLICE("}"));
	text_add_char(&yaml, '\0');
	assert_int_equal(read_scope(text, "ci", &scope), 0);
	const char *const rewritten[] = {"image.build", "image.prune", "container.list"};
	for (unsigned i = 0; i < ARRAY_LEN(rewritten); i++) {
		const struct slice said = slice_of(rewrite(rewritten[i], ""));
		const char *last = memrchr(said.ptr, '7', said.len);
		assert_that(rewritten[i], said.len > 8 * 2 * 2 * 255 && last != NULL);
		assert_that(rewritten[i], slice_ends_with(said, SLICE("}")));
	}
	scope = usual;
}

/* ── Answers ─────────────────────────────────────────────────────────────── */

static struct scope_narrower narrower;

/* What goes out of `in`, which comes in pieces. */
static struct text narrow(struct slice in, size_t piece)
{
	struct text out = text_over(result, sizeof(result));

	scope_narrower_begin(&narrower, scope);
	while (in.len > 0) {
		struct slice left = {in.ptr, piece < in.len ? piece : in.len};
		in = slice_behind(in, left.len);
		while (left.len > 0) {
			struct json_document memory = document();
			struct slice passed;
			left = slice_behind(left, scope_narrow(&narrower, left, &memory, &passed));
			text_add(&out, passed);
		}
	}
	assert_false(out.overflow);
	return out;
}

#define MINE   "{\"Labels\":{\"team\":\"ci\",\"stage\":\"test\"}}"
#define THEIRS "{\"Labels\":{\"team\":\"ops\",\"stage\":\"test\"}}"

static void of_lists_only_what_is_own_stays(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
	        {"{\"LayersSize\":1,\"Containers\":[" MINE "," THEIRS "," MINE
	         "],\"Volumes\":null}",
	                "{\"LayersSize\":1,\"Containers\":[" MINE "," MINE "],\"Volumes\":null}"},
	        {"{\"Containers\":[" THEIRS "," MINE "],\"Volumes\":[" MINE "," THEIRS "]}",
	                "{\"Containers\":[" MINE "],\"Volumes\":[" MINE "]}"},
	        {"{\"Containers\":[],\"Volumes\":[" THEIRS "]}\n",
	                "{\"Containers\":[],\"Volumes\":[]}\n"},
	        {"{\"Images\":[" THEIRS ",{\"RepoTags\":[\"a\"]}],\"Volumes\":[" THEIRS "]}",
	                "{\"Images\":[" THEIRS ",{\"RepoTags\":[\"a\"]}],\"Volumes\":[]}"},
	        {"{\"ImageUsage\":{\"Items\":[" THEIRS "]},\"VolumeUsage\":{\"Items\":[" THEIRS
	         "]}}",
	                "{\"ImageUsage\":{\"Items\":[" THEIRS "]},\"VolumeUsage\":{\"Items\":[]}}"},
	        {"{ \"Images\" :\n[" THEIRS "] }", "{ \"Images\" :\n[" THEIRS "] }"},
	        {"{\" Images\":[" THEIRS "]}", "{\" Images\":[]}"},
	        {"{\"A\":{\"Images\":[" THEIRS "]}}", "{\"A\":{\"Images\":[]}}"},
	        {"{\"a\\\"Images\":[" THEIRS "]}", "{\"a\\\"Images\":[]}"},
	        {"{\"Ima{ges\":[" THEIRS "]}", "{\"Ima{ges\":[]}"},
	        {"{\"LongerThanAnyName,\\\"Images\":[" THEIRS "]}",
	                "{\"LongerThanAnyName,\\\"Images\":[]}"},
	        {"[" THEIRS ",\"Images\",[" MINE "],1,null," MINE ",{},{\"Labels\":null}]",
	                "[" MINE "]"},
	        {"[{\"x\":" MINE "}]", "[]"},
	        {"[{\"Labels\":[" MINE "]}]", "[]"},
	        {"[{\"a\":\"],{\\\"\"}," MINE "]", "[" MINE "]"},
	        {"[{\"x\":\"]}\\\\\",\"Labels\":{\"stage\":\"test\",\"team\":\"ci\"}}]",
	                "[{\"x\":\"]}\\\\\",\"Labels\":{\"stage\":\"test\",\"team\":\"ci\"}}]"},
	        {"[{\"Labels\":{\"team\":\"ci\"}}]", "[]"},
	        {"[{\"Labels\":{\"team\":\"ci\",\"team\":\"ops\",\"stage\":\"test\"}}]", "[]"},
	        {"[{\"Labels\":1}," MINE "}]", "["},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const struct slice in = slice_of(rows[i].in);
		for (size_t piece = 1; piece <= in.len; piece++) {
			const struct text out = narrow(in, piece);
			assert_that(
			        rows[i].in, slice_equal(text_slice(&out), slice_of(rows[i].out)));
			assert_int_equal(
			        scope_narrower_may_end(&narrower), strcmp(rows[i].out, "[") != 0);
		}
	}
}

/* Wherever the input ends before its end, that is seen. */
static void half_an_answer_is_none(void **state)
{
	const struct slice in = SLICE("{\"Containers\":[" MINE "],\"N\":{}}");

	(void)state;
	for (size_t len = 1; len < in.len; len++) {
		(void)narrow((struct slice){in.ptr, len}, len);
		assert_false(scope_narrower_may_end(&narrower));
	}
}

/* The longest object that is read, and one byte more. */
static void an_object_that_does_not_fit_is_not_shown(void **state)
{
	static char memory[2 * SCOPE_ENTRY_MAX];
	const size_t fits = SCOPE_ENTRY_MAX - 1;
	const size_t around = sizeof("{\"x\":\"\"," MINE) - sizeof("{");

	(void)state;
	for (size_t more = 0; more < 2; more++) {
		struct text in = text_over(memory, sizeof(memory));
		text_add(&in, SLICE("[{\"x\":\""));
		for (size_t i = 0; i < fits + more - around; i++) {
			text_add_char(&in, 'x');
		}
		text_add(&in, SLICE("\","));
		text_add(&in, slice_behind(SLICE(MINE), 1));
		assert_int_equal(in.len, 1 + fits + more);
		text_add(&in, SLICE("," MINE "]"));
		const struct text out = narrow(text_slice(&in), 1000);
		const size_t len = more == 0 ? in.len : sizeof("[" MINE "]") - 1;
		assert_int_equal(out.len, len);
		assert_true(scope_narrower_may_end(&narrower));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_a_scope_may_be),
	        cmocka_unit_test(scopes_hold_together),
	        cmocka_unit_test(filters_get_the_labels_of_the_scope),
	        cmocka_unit_test(other_parameters_are_rewritten),
	        cmocka_unit_test(what_is_made_gets_the_labels),
	        cmocka_unit_test(the_engine_is_asked_about_an_object),
	        cmocka_unit_test(a_volume_is_made_with_the_labels),
	        cmocka_unit_test(an_answer_says_whose_it_is),
	        cmocka_unit_test(what_belongs_to_another_object_is_as_that),
	        cmocka_unit_test(there_is_a_ceiling_on_questions),
	        cmocka_unit_test(the_longest_labels_fit),
	        cmocka_unit_test(of_lists_only_what_is_own_stays),
	        cmocka_unit_test(half_an_answer_is_none),
	        cmocka_unit_test(an_object_that_does_not_fit_is_not_shown),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
