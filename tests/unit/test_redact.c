/* SPDX-License-Identifier: MIT */
/* What is hidden in answers, wherever they are cut. */
#include "cases.h"

#include "redact/redact.h"

#include <errno.h>
#include <stdlib.h>

enum { OUTPUT_MAX = 8192 };

static struct redact_plan plan;
static struct redaction redaction;
static struct redactor redactor;
static char output[OUTPUT_MAX];

/* The words, with spaces between them. */
static void wish_for(const char *words, const char *operation)
{
	struct slice rest = slice_of(words);
	struct slice word;

	plan = (struct redact_plan){.wishes = {.kinds = 0}};
	while (slice_next(&rest, ' ', &word)) {
		assert_int_equal(redact_wish(&plan.wishes, word), 0);
	}
	redact_plan_make(&plan);
	assert_true(redaction_of(&plan, operation, true, &redaction));
}

/* Pass `in` on in pieces of the size, each in memory of its own; false: it was refused. */
static bool feed(struct slice in, size_t piece, size_t room, size_t *len)
{
	while (in.len > 0) {
		const size_t size = in.len < piece ? in.len : piece;
		char *own = malloc(size);
		assert_non_null(own);
		memcpy(own, in.ptr, size);
		const struct slice part = {own, size};
		const struct redact_result result =
		        redactor_rewrite(&redactor, part, output + *len, room);
		free(own);
		assert_true(result.produced <= room && result.consumed <= size);
		assert_true(result.bad || result.consumed + result.produced > 0);
		*len += result.produced;
		in = slice_behind(in, result.consumed);
		if (result.bad) {
			return false;
		}
	}
	return true;
}

static void expect_output(size_t len, const char *wanted)
{
	output[len] = '\0';
	assert_string_equal(output, wanted);
}

/* However it is cut, and however little room there is, the output is the same. */
static void gives(const char *in, const char *wanted, bool top_as_usual)
{
	const struct slice all = slice_of(in);

	for (size_t cut = 0; cut <= all.len; cut++) {
		size_t len = 0;
		redactor_begin(&redactor, &redaction, top_as_usual);
		assert_true(feed((struct slice){all.ptr, cut}, all.len + 1, 1024, &len));
		assert_true(feed(slice_behind(all, cut), all.len + 1, 1024, &len));
		assert_true(redactor_may_end(&redactor));
		expect_output(len, wanted);
	}
	for (size_t piece = 1; piece < 20; piece++) {
		size_t len = 0;
		redactor_begin(&redactor, &redaction, top_as_usual);
		assert_true(feed(all, piece, REDACT_STEP_MAX, &len));
		assert_true(redactor_may_end(&redactor));
		expect_output(len, wanted);
	}
}

static void values_are_hidden(void **state)
{
	/* words, operation, document, what is left of it */
	static const char *const cases[][4] = {
	        {"env", "container.inspect", "{\"Config\":{\"Env\":[\"A=s\",\"B=\",\"C\"]}}",
	                "{\"Config\":{\"Env\":[\"A=redacted\",\"B=\",\"C\"]}}"},
	        {"env", "container.inspect", "{\"Env\":[\"A\\u003ds\\\"x=y\"]}",
	                "{\"Env\":[\"A\\u003dredacted\"]}"},
	        {"env", "container.inspect", "{\"\\u0045\\u006Ev\" : [ \"A=s\" ] }\n",
	                "{\"\\u0045\\u006Ev\" : [ \"A=redacted\" ] }\n"},
	        {"env", "container.inspect", "{\"Env\":{\"A\":\"s\",\"B\":{\"C\":[\"s\",1,null]}}}",
	                "{\"Env\":{\"A\":\"redacted\",\"B\":{\"C\":[\"redacted\",1,null]}}}"},
	        {"env", "plugin.inspect",
	                "{\"Config\":{\"Env\":[{\"Name\":\"A\",\"Value\":\"s\"}]}}",
	                "{\"Config\":{\"Env\":[{\"Name\":\"redacted\",\"Value\":\"redacted\"}]}}"},
	        {"env", "service.list",
	                "[{\"PreviousSpec\":{\"TaskTemplate\":{\"ContainerSpec\":{\"Env\":[\"A=s\"]"
	                "}}}}]",
	                "[{\"PreviousSpec\":{\"TaskTemplate\":{\"ContainerSpec\":{\"Env\":[\"A="
	                "redacted\"]}}}}]"},
	        {"env", "container.inspect",
	                "{\"Environment\":[\"A=s\"],\"Cmd\":[\"x\"],\"E\":\"Env\"}",
	                "{\"Environment\":[\"A=s\"],\"Cmd\":[\"x\"],\"E\":\"Env\"}"},
	        {"env", "image.history",
	                "[{\"CreatedBy\":\"ENV A=s\",\"Size\":-1.5e+3,\"Tags\":null}]",
	                "[{\"CreatedBy\":\"redacted\",\"Size\":-1.5e+3,\"Tags\":null}]"},
	        {"args", "container.inspect",
	                "{\"Path\":\"s\",\"Args\":[\"s\",\"\"],\"Mounts\":[{\"Path\":\"/x\"}],"
	                "\"State\":{\"Error\":\"\",\"Health\":{\"Log\":[{\"Output\":\"s\\\\\"}]}}}",
	                "{\"Path\":\"redacted\",\"Args\":[\"redacted\",\"\"],\"Mounts\":[{\"Path\":"
	                "\"/"
	                "x\"}],\"State\":{\"Error\":\"\",\"Health\":{\"Log\":[{\"Output\":"
	                "\"redacted\"}]"
	                "}}}"},
	        {"args", "system.events",
	                "{\"status\":\"exec_start: sh -c s\",\"Action\":\"exec_start: sh\"}\n"
	                "{\"status\":\"health_status: healthy\",\"Action\":\"die\"}\n",
	                "{\"status\":\"exec_start: redacted\",\"Action\":\"exec_start: "
	                "redacted\"}\n"
	                "{\"status\":\"health_status: healthy\",\"Action\":\"die\"}\n"},
	        {"args", "container.list", "[{\"status\":\"a: b\",\"Command\":\"s\"}]",
	                "[{\"status\":\"a: b\",\"Command\":\"redacted\"}]"},
	        {"labels:com.a.*", "container.list",
	                "[{\"Labels\":{\"com.a.b\":\"s\",\"com.a\":\"x\",\"Env\":\"y\"}}]",
	                "[{\"Labels\":{\"com.a.b\":\"redacted\",\"com.a\":\"x\",\"Env\":\"y\"}}]"},
	        {"env", "container.list",
	                "[{\"Labels\":{\"Env\":\"y\",\"a\":{\"Env\":[\"A=s\"]}}}]",
	                "[{\"Labels\":{\"Env\":\"y\",\"a\":{\"Env\":[\"A=redacted\"]}}}]"},
	        {"labels:*", "system.info", "{\"Labels\":[\"a=s\",\"b\"],\"Name\":\"x\"}",
	                "{\"Labels\":[\"a=redacted\",\"b\"],\"Name\":\"x\"}"},
	        {"labels:a", "system.events",
	                "{\"Actor\":{\"ID\":\"1\",\"Attributes\":{\"a\":\"s\"}}}",
	                "{\"Actor\":{\"ID\":\"1\",\"Attributes\":{\"a\":\"redacted\"}}}"},
	        {"labels:a", "container.list",
	                "[{\"Labels\":{\"\\u00e9\":\"s\",\"\\u0061\":\"s\"}}]",
	                "[{\"Labels\":{\"\\u00e9\":\"redacted\",\"\\u0061\":\"redacted\"}}]"},
	        {"mounts", "container.inspect",
	                "{\"Mounts\":[{\"Source\":\"/s\",\"Destination\":\"/d\"}],\"Source\":\"x\","
	                "\"HostConfig\":{\"Binds\":[\"/s:/"
	                "d\"]},\"GraphDriver\":{\"Data\":{\"A\":\"/s\"},"
	                "\"Name\":\"o\"},\"Data\":\"x\"}",
	                "{\"Mounts\":[{\"Source\":\"redacted\",\"Destination\":\"/"
	                "d\"}],\"Source\":\"x\","
	                "\"HostConfig\":{\"Binds\":[\"redacted\"]},\"GraphDriver\":{\"Data\":{"
	                "\"A\":"
	                "\"redacted\"},\"Name\":\"o\"},\"Data\":\"x\"}"},
	        {"mounts", "system.info", "{\"Containerd\":{\"Address\":\"/s\",\"Namespaces\":{}}}",
	                "{\"Containerd\":{\"Address\":\"redacted\",\"Namespaces\":{}}}"},
	        {"mounts", "volume.inspect", "{\"Options\":{\"device\":\"/s\",\"o\":\"bind\"}}",
	                "{\"Options\":{\"device\":\"redacted\",\"o\":\"bind\"}}"},
	        {"mounts", "libpod.container.mounts", "{\"abc\":\"/s\"}", "{\"abc\":\"redacted\"}"},
	        {"mounts", "libpod.container.mount", "\"/s\"", "\"redacted\""},
	        {"options", "volume.list",
	                "{\"Volumes\":[{\"Options\":{\"o\":\"password=s\"},\"Status\":{\"a\":\"s\"}"
	                "}]}",
	                "{\"Volumes\":[{\"Options\":{\"o\":\"redacted\"},\"Status\":{\"a\":"
	                "\"redacted\"}}]"
	                "}"},
	        {"options", "system.df",
	                "{\"VolumeUsage\":{\"Items\":[{\"Status\":{\"a\":\"s\"}}]},\"Containers\":["
	                "{"
	                "\"Status\":\"Up\"}]}",
	                "{\"VolumeUsage\":{\"Items\":[{\"Status\":{\"a\":\"redacted\"}}]},"
	                "\"Containers\":[{\"Status\":\"Up\"}]}"},
	        {"env", "system.df", "{\"BuildUsage\":{\"Items\":[{\"Description\":\"ENV A=s\"}]}}",
	                "{\"BuildUsage\":{\"Items\":[{\"Description\":\"redacted\"}]}}"},
	        {"options", "task.list", "[{\"Status\":{\"State\":\"running\"}}]",
	                "[{\"Status\":{\"State\":\"running\"}}]"},
	        {"options", "container.inspect",
	                "{\"LogConfig\":{\"Type\":\"x\",\"Config\":{\"a\":\"s\"}},"
	                "\"Config\":{\"User\":\"x\"}}",
	                "{\"LogConfig\":{\"Type\":\"x\",\"Config\":{\"a\":\"redacted\"}},"
	                "\"Config\":{"
	                "\"User\":\"x\"}}"},
	        {"tokens", "swarm.inspect", "{\"JoinTokens\":{\"Worker\":\"s\",\"Manager\":\"s\"}}",
	                "{\"JoinTokens\":{\"Worker\":\"redacted\",\"Manager\":\"redacted\"}}"},
	        {"tokens", "config.list", "[{\"Spec\":{\"Name\":\"x\",\"Data\":\"c2VjcmV0\"}}]",
	                "[{\"Spec\":{\"Name\":\"x\",\"Data\":\"redacted\"}}]"},
	        {"env", "system.events", "\x1e{\"Env\":[\"A=s\"]}\n\x1e{\"a\":true,\"b\":false}\n",
	                "\x1e{\"Env\":[\"A=redacted\"]}\n\x1e{\"a\":true,\"b\":false}\n"},
	        {"env", "unknown", "[]", "[]"},
	        {"env", "unknown", "12", "12"},
	        {"env", "unknown", "", ""},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		wish_for(cases[i][0], cases[i][1]);
		gives(cases[i][2], cases[i][3], true);
	}
}

static void processes_show_no_command(void **state)
{
	(void)state;
	wish_for("env", "container.top");
	gives("{\"Processes\":[[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"s\"],[\"1\"]]}",
	        "{\"Processes\":[[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"redacted\"],[\"1\"]]"
	        "}",
	        true);
	gives("{\"Processes\":[[\"1\",\"s\"]]}", "{\"Processes\":[[\"redacted\",\"redacted\"]]}",
	        false);
	gives("{\"Processes\":[[[\"s\"],{\"a\":\"s\"}],\"s\"]}",
	        "{\"Processes\":[[[\"redacted\"],{\"a\":\"redacted\"}],\"redacted\"]}", true);
}

static void long_names_are_hidden(void **state)
{
	char in[REDACT_NAME_MAX + 64];
	struct text text = text_over(in, sizeof(in) - 1);
	size_t len = 0;

	(void)state;
	wish_for("labels:a", "container.inspect");
	text_add(&text, SLICE("{\"Labels\":{\""));
	for (unsigned i = 0; i <= REDACT_NAME_MAX; i++) {
		text_add_char(&text, 'x');
	}
	text_add(&text, SLICE("\":\"secret\"}}"));
	redactor_begin(&redactor, &redaction, true);
	assert_true(feed(text_slice(&text), 7, 1024, &len));
	assert_null(memmem(output, len, "secret", 6));
}

/* What is no JSON is refused at a byte, and nothing behind it comes out. */
static void the_rest_is_refused(void **state)
{
	static const char *const cases[] = {"s", "{s", "{\"a\"s", "{\"a\":s", "{\"a\":1 s", "[1,]s",
	        "[1}s", "{\"a\":1]s", "tru s", "nulls", "{\"a\":\"\\s\"}", "\"\\u00s0\"", "{,s",
	        "]s", "}s", "{\"a\":1,}s", "1s", "\xef\xbb\xbf{}s", "{\"a\":1e5s", "{}{}s",
	        "[\036s"};

	(void)state;
	wish_for("env", "container.inspect");
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		const struct slice in = slice_of(cases[i]);
		for (size_t piece = 1; piece <= in.len; piece++) {
			size_t len = 0;
			redactor_begin(&redactor, &redaction, true);
			assert_false(feed(in, piece, 64, &len));
			assert_null(memchr(output, 's', len));
			assert_false(redactor_may_end(&redactor));
		}
	}
}

static void the_depth_has_a_ceiling(void **state)
{
	char in[REDACT_DEPTH_MAX + 1];
	size_t len = 0;

	(void)state;
	memset(in, '[', sizeof(in));
	wish_for("env", "container.inspect");
	redactor_begin(&redactor, &redaction, true);
	assert_true(feed((struct slice){in, REDACT_DEPTH_MAX}, 8, 64, &len));
	assert_false(feed(SLICE("["), 1, 64, &len));
}

static void an_end_in_the_middle_is_none(void **state)
{
	static const char in[] = "{\"a\":[1,\"x\\u0041\",true],\"b\":{}}";

	(void)state;
	wish_for("env", "container.inspect");
	for (size_t cut = 1; cut < sizeof(in) - 1; cut++) {
		size_t len = 0;
		redactor_begin(&redactor, &redaction, true);
		assert_true(feed((struct slice){in, cut}, cut, 1024, &len));
		assert_false(redactor_may_end(&redactor));
	}
}

static void words_are_read(void **state)
{
	struct redact_wishes wishes = {.kinds = 0};
	struct redact_wishes more = {.kinds = 0};
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	assert_int_equal(redact_wish(&wishes, SLICE("labels:a")), 0);
	assert_int_equal(redact_wish(&wishes, SLICE("env")), 0);
	assert_int_equal(redact_wish(&wishes, SLICE("labels")), -EINVAL);
	assert_int_equal(redact_wish(&wishes, SLICE("labels:")), -EINVAL);
	assert_int_equal(redact_wish(&wishes, SLICE("labels:!a")), -EINVAL);
	assert_int_equal(redact_wish(&wishes, SLICE("Env")), -EINVAL);
	assert_int_equal(redact_wish(&more, SLICE("labels:a")), 0);
	assert_int_equal(redact_wish(&more, SLICE("labels:b*")), 0);
	assert_int_equal(redact_wish(&more, SLICE("tokens")), 0);
	assert_int_equal(redact_unite(&wishes, &more), 0);
	redact_add_wishes(&wishes, &text);
	assert_int_equal(text.len, strlen("env, tokens, labels:a, labels:b*"));
	assert_memory_equal(memory, "env, tokens, labels:a, labels:b*", text.len);
	static char names[REDACT_LABELS_MAX][8];
	for (unsigned i = 2; i < REDACT_LABELS_MAX; i++) {
		struct text one = text_over(names[i], sizeof(names[i]));
		text_add_u64(&one, i);
		struct redact_wishes single = {.kinds = REDACT_LABELS, .label_count = 1};
		single.labels[0] = text_slice(&one);
		assert_int_equal(redact_unite(&wishes, &single), 0);
	}
	assert_int_equal(redact_wish(&wishes, SLICE("labels:c")), -ENOSPC);
	assert_int_equal(redact_wish(&wishes, SLICE("labels:b*")), 0);
}

static void operations_have_their_answers(void **state)
{
	(void)state;
	assert_int_equal(redact_answer_of("container.inspect", true), REDACT_DOCUMENT);
	assert_int_equal(redact_answer_of("unknown", true), REDACT_DOCUMENT);
	assert_int_equal(redact_answer_of("volume.create", false), REDACT_DOCUMENT);
	assert_int_equal(redact_answer_of("container.create", false), REDACT_PLAIN);
	assert_int_equal(redact_answer_of("container.stats", true), REDACT_PLAIN);
	assert_int_equal(redact_answer_of("service.logs", true), REDACT_BYTES);
	assert_int_equal(redact_answer_of("libpod.container.attach", false), REDACT_BYTES);
	plan = (struct redact_plan){.wishes = {.kinds = REDACT_ENV}};
	redact_plan_make(&plan);
	assert_false(redaction_of(&plan, "network.create", false, &redaction));
	assert_false(redaction_of(&plan, "service.logs", true, &redaction));
	assert_true(redaction_of(&plan, "container.start", false, &redaction));
	assert_true(redaction.answers && redaction.errors == 400);
	assert_true(redaction_of(&plan, "container.archive_put", false, &redaction));
	assert_true(!redaction.answers && redaction.errors == 500);
	plan.wishes.kinds = REDACT_TOKENS;
	assert_false(redaction_of(&plan, "container.archive_put", false, &redaction));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(values_are_hidden),
	        cmocka_unit_test(processes_show_no_command),
	        cmocka_unit_test(long_names_are_hidden),
	        cmocka_unit_test(the_rest_is_refused),
	        cmocka_unit_test(the_depth_has_a_ceiling),
	        cmocka_unit_test(an_end_in_the_middle_is_none),
	        cmocka_unit_test(words_are_read),
	        cmocka_unit_test(operations_have_their_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
