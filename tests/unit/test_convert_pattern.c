/* SPDX-License-Identifier: MIT */
/* Patterns over paths with an API version become patterns over paths without one. */
#include "convert/pattern.h"

#include "cases.h"

#include "base/text.h"

enum { JOINED_SIZE = 4096 };

struct pattern_case {
	const char *given;
	const char *want; /* alternatives, " OR " between them */
	bool ungrouped;
	bool wide;
	bool unclear;
};

static const struct pattern_case cases[] = {
        {"/_ping", "/_ping", false, false, false},
        {"^/_ping", "/_ping", false, false, false},
        {"/containers/json", "/containers/json", false, false, false},
        /* A version that must be there, or may. */
        {"/v1\\.41/info", "/info", false, false, false},
        {"/v1\\..{1,2}/info", "/info", false, false, false},
        {"/v[\\d.]+/info", "/info", false, false, false},
        {"/v\\d+\\.\\d+/info", "/info", false, false, false},
        {"(/v[\\d\\.]+)?/info", "/info", false, false, false},
        {"(?:/v[0-9]+(?:\\.[0-9]+)*)?/info", "/info", false, false, false},
        {"/(v1\\..{1,2}/)?info", "/info", false, false, false},
        {"/v(\\d+)\\.(\\d+)/info", "/info", false, false, false},
        {"/v1\\.[0-9]+(/containers/json|/info)", "/containers/json OR /info", false, false, false},
        /* Slashes that are escaped, as other languages want them. */
        {"\\/v1\\.41\\/info", "/info", false, false, false},
        {"/containers\\/[^\\/]+/json", "/containers/[^/]+/json", false, false, false},
        {"/a\\\\/\\Q\\/\\E", "/a\\\\/\\Q\\/\\E", false, false, false},
        /* Words that begin like one. */
        {"/version", "/version", false, false, false},
        {"/v(ersion|olumes)", "/v(ersion|olumes)", false, false, false},
        {"/(version|volumes.*)", "/version OR /volumes.*", false, false, false},
        {"/v1\\..{1,2}/(version|containers/.*|events.*)", "/version OR /containers/.* OR /events.*",
                false, false, false},
        {"/(v1\\..{1,2}/)?(info|_ping)", "/info OR /_ping", false, false, false},
        {"/(v1\\.\\d+/(info|version)|_ping)", "/info OR /version OR /_ping", false, false, false},
        /* Only one is taken off. */
        {"/v1\\.41/v1\\.41/info", "/v1\\.41/info", false, false, false},
        {"/v1\\.41", "", false, false, false},
        /* Alternatives outside of any group. */
        {"/_ping|/version", "/_ping OR /version", true, false, false},
        {"/_ping|/(v1\\..{1,2}/)?(info|events).*", "/_ping OR /info.* OR /events.*", true, false,
                false},
        /* What is any path stays so; what may be a version and more is both. */
        {".*", ".*", false, false, false},
        {"/.*", "/.*", false, false, false},
        {".*/json", ".*/json", false, false, false},
        {"/v1\\..*", "/.*", false, true, false},
        {"/v1\\..*/json", "(?:/.*)?/json", false, true, false},
        {"/v.*", "/v.* OR /.*", false, true, false},
        {"/.*/json", "(?:/.*)?/json", false, false, false},
        {"/[^/]+/json", "/[^/]+/json OR /json", false, false, false},
        {"/v[^/]+/info", "/v[^/]+/info OR /info", false, false, false},
        /* Left alone. */
        {"(?i)/info", "(?i)/info", false, false, true},
        {"(/a){2}/info", "(/a){2}/info", false, false, true},
        {"/containers/(a|b)/json", "/containers/(a|b)/json", false, false, false},
        {"/a[|)]b", "/a[|)]b", false, false, false},
        {"/a\\|b", "/a\\|b", false, false, false},
        {"/a[]|]b", "/a[]|]b", false, false, false},
        {"/a[[:alpha:]|]b", "/a[[:alpha:]|]b", false, false, false},
        {"/a\\Q|(\\Eb", "/a\\Q|(\\Eb", false, false, false},
        {"(/a|/a)", "/a", false, false, false},
};

static void test_alternatives(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct pattern_case *want = &cases[i];
		struct arena arena = {.chunks = NULL};
		struct pattern got;
		char memory[JOINED_SIZE];
		struct text text = text_over(memory, sizeof(memory));

		assert_that(want->given, pattern_read(&arena, slice_of(want->given), &got));
		for (unsigned j = 0; j < got.count; j++) {
			text_add_format(&text, "%s%s", j > 0 ? " OR " : "", got.alternatives[j]);
		}
		assert_slice(want->given, text_slice(&text), slice_of(want->want));
		assert_that(want->given, got.ungrouped == want->ungrouped);
		assert_that(want->given, got.wide == want->wide);
		assert_that(want->given, got.unclear == want->unclear);
		arena_free(&arena);
	}
}

static void test_broken(void **state)
{
	static const char *const broken[] = {
	        "(", ")", "(a", "a)", "[a", "a\\", "(a[)]", "\\x{41", "a)(b", "[[:alpha:"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		struct arena arena = {.chunks = NULL};
		struct pattern pattern;
		assert_that(broken[i], !pattern_read(&arena, slice_of(broken[i]), &pattern));
		arena_free(&arena);
	}
}

/* Work and memory have a ceiling, whatever somebody writes. */
static void test_explosion(void **state)
{
	char many[3 * 400 + 1];
	struct arena arena = {.chunks = NULL};
	struct pattern pattern;

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		memcpy(many + (size_t)3 * i, "(|)", 4);
	}
	assert_false(pattern_read(&arena, slice_of(many), &pattern));
	arena_free(&arena);
}

static void test_rows(void **state)
{
	static const struct {
		const char *pattern;
		const char *row;
		bool same;
	} rows[] = {
	        {"/info", "/info", true},
	        {"/info", "/infos", false},
	        {"/info.*", "/info", false},
	        {"/containers/json", "/containers/json", true},
	        {"/containers/json", "/containers/{id}", false},
	        {"/containers/[^/]+/json", "/containers/{id}/json", true},
	        {"/containers/[^/]+", "/containers/{id}", true},
	        {"/containers/[^/]+/json", "/containers/{id}/top", false},
	        {"/containers/[^/]+", "/containers/{id}/json", false},
	        {"/containers/[^/]+/json", "/containers/{id}", false},
	        {"/images/[^/]+/json", "/images/{name...}/json", false},
	        {"/containers/.*/json", "/containers/{id}/json", false},
	        {"/a\\.b", "/a.b", true},
	        {"/a.b", "/a.b", false},
	        {"/i\\nfo", "/info", false},
	        {"/\\d", "/d", false},
	        {"/_ping", "/_ping", true},
	        {"/\\_ping", "/_ping", true},
	        {"info", "/info", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_that(rows[i].pattern, pattern_is_row(slice_of(rows[i].pattern),
		                                     slice_of(rows[i].row)) == rows[i].same);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_alternatives),
	        cmocka_unit_test(test_broken),
	        cmocka_unit_test(test_explosion),
	        cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
