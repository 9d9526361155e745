/* SPDX-License-Identifier: MIT */
/* Section switches: how their values are read, and what policy they come to. */
#include "switches/switches.h"

#include "cases.h"
#include "switches/bind.h"

#include <stdio.h>
#include <stdlib.h>

enum { ADVICE_SIZE = 256 };

struct fixture {
	struct switches switches;
	struct policy_set *set;
	struct policy *policy;
	struct policy_scratch *scratch;
};

/* `settings`: "CONTAINERS=1 POST=1". */
static struct fixture *build(const char *settings)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char error[FAULT_MAX];
	struct slice rest = slice_of(settings);
	struct slice setting;

	assert_non_null(fixture);
	while (slice_next(&rest, ' ', &setting)) {
		struct slice name;
		enum switch_value value;
		assert_true(slice_next(&setting, '=', &name));
		const unsigned number = switches_find(name);
		assert_true(number < SWITCHES_COUNT);
		assert_true(switches_read_value(setting, &value));
		fixture->switches.values[number] = (uint8_t)value;
	}
	fixture->set = policy_set_new();
	fixture->scratch = policy_scratch_new();
	if (switches_build(fixture->set, &fixture->switches, &fixture->policy, error) < 0) {
		fail_msg("%s: %s", settings, error);
	}
	return fixture;
}

static void release(struct fixture *fixture)
{
	policy_scratch_free(fixture->scratch);
	policy_set_free(fixture->set);
	free(fixture);
}

/* `line`: "GET /path". */
static void route(const char *line, struct docker_request *ret_request)
{
	struct docker_target target = {.path = slice_of(line)};

	assert_true(slice_next(&target.path, ' ', &target.method));
	assert_int_equal(docker_route(&target, ret_request), DOCKER_OK);
}

struct verdict_case {
	const char *settings;
	const char *line;
	const char *rule; /* that decides; NULL: none fits */
	bool allowed;
};

static const struct verdict_case verdicts[] = {
        {"CONTAINERS=1", "GET /containers/json", "CONTAINERS=1", true},
        {"CONTAINERS=1", "GET /v1.41/containers/x/json", "CONTAINERS=1", true},
        {"CONTAINERS=1", "POST /containers/create", NULL, false},
        {"CONTAINERS=1 POST=1", "POST /containers/create", "CONTAINERS=1 and POST=1", true},
        {"POST=1", "POST /containers/create", NULL, false},
        {"CONTAINERS=1", "GET /containers/x/attach/ws", "POST=0", false},
        {"CONTAINERS=1 POST=1", "GET /containers/x/attach/ws", "CONTAINERS=1 and POST=1", true},
        /* What no row fits belongs to the section its first segment names. */
        {"CONTAINERS=1", "GET /containers/x/new", "CONTAINERS=1", true},
        {"CONTAINERS=1", "POST /containers/x/new", NULL, false},
        {"CONTAINERS=1", "GET /containersfoo", NULL, false},
        {"IMAGES=1", "GET /containers/x/new", NULL, false},
        /* And to the detail by which the Engine serves it, whose names hold slashes. */
        {"CONTAINERS=1 ALLOW_LOGS=0", "GET /containers/app/db/logs", "ALLOW_LOGS=0", false},
        {"CONTAINERS=1 ALLOW_LOGS=0", "GET /containers/app/db/json", "CONTAINERS=1", true},
        {"CONTAINERS=1", "GET /containers/app/db/attach/ws", "POST=0", false},
        {"CONTAINERS=1", "HEAD /containers/json", "CONTAINERS=1", true},
        {"CONTAINERS=1", "OPTIONS /containers/json", NULL, false},
        {"CONTAINERS=1 POST=1", "OPTIONS /containers/json", "CONTAINERS=1 and POST=1", true},
        {"CONTAINERS=1", "GET /libpod/containers/json", NULL, false},
        {"LIBPOD_CONTAINERS=1", "GET /v4.0.0/libpod/containers/json", "LIBPOD_CONTAINERS=1", true},
        {"LIBPOD_CONTAINERS=1", "GET /containers/json", NULL, false},
        /* On without being set, and off when they are 0. */
        {"INFO=0", "GET /_ping", "PING=1", true},
        {"INFO=0", "HEAD /_ping", "PING=1", true},
        {"INFO=0", "GET /version", "VERSION=1", true},
        {"INFO=0", "GET /events", "EVENTS=1", true},
        {"INFO=0", "GET /libpod/_ping", "LIBPOD_PING=1", true},
        {"PING=0", "GET /_ping", NULL, false},
        /* Actions need neither the section nor POST. */
        {"ALLOW_START=1", "POST /containers/x/start", "ALLOW_START=1", true},
        {"ALLOW_START=1", "POST /libpod/pods/x/start", "ALLOW_START=1", true},
        {"ALLOW_START=1", "POST /containers/x/stop", NULL, false},
        {"ALLOW_RESTARTS=1", "POST /containers/x/kill", "ALLOW_RESTARTS=1", true},
        {"LIBPOD_ALLOW_POD_STOP=1", "POST /libpod/pods/x/stop", "LIBPOD_ALLOW_POD_STOP=1", true},
        {"LIBPOD_ALLOW_POD_STOP=1", "POST /libpod/containers/x/stop", NULL, false},
        /* Details follow the section until they are 0. */
        {"CONTAINERS=1", "GET /containers/x/logs", "CONTAINERS=1", true},
        {"CONTAINERS=1 ALLOW_LOGS=0", "GET /containers/x/logs", "ALLOW_LOGS=0", false},
        {"CONTAINERS=1 ALLOW_LOGS=1", "GET /containers/x/logs", "CONTAINERS=1", true},
        {"ALLOW_LOGS=1", "GET /containers/x/logs", NULL, false},
        {"CONTAINERS=1 ALLOW_ARCHIVE=1", "PUT /containers/x/archive", NULL, false},
        {"CONTAINERS=1 ALLOW_ARCHIVE=0", "HEAD /containers/x/archive", "ALLOW_ARCHIVE=0", false},
        /* Methods follow POST until they are set. */
        {"CONTAINERS=1 POST=1", "DELETE /containers/x", "CONTAINERS=1 and POST=1", true},
        {"CONTAINERS=1 POST=1 DELETE=0", "DELETE /containers/x", "DELETE=0", false},
        {"CONTAINERS=1 POST=1 DELETE=0", "POST /containers/x/kill", "CONTAINERS=1 and POST=1",
                true},
        {"CONTAINERS=1 POST=1 DELETE=0", "DELETE /containers/x/new", "DELETE=0", false},
        {"CONTAINERS=1 POST=1 PUT=0", "PUT /containers/x/archive", "PUT=0", false},
        {"CONTAINERS=1 POST=1 PATCH=0", "PATCH /containers/x", "PATCH=0", false},
        {"CONTAINERS=1 DELETE=1", "DELETE /containers/x", "CONTAINERS=1 and DELETE=1", true},
        {"CONTAINERS=1 DELETE=1", "POST /containers/create", NULL, false},
        {"CONTAINERS=1 DELETE=1", "GET /containers/json", "CONTAINERS=1", true},
        {"CONTAINERS=1 DELETE=1", "DELETE /images/x", NULL, false},
        {"DELETE=1", "DELETE /containers/x", NULL, false},
        {"CONTAINERS=1 POST=0 DELETE=0", "DELETE /containers/x", NULL, false},
        /* Some actions can be closed as well as opened. */
        {"CONTAINERS=1 POST=1", "POST /containers/x/exec", "CONTAINERS=1 and POST=1", true},
        {"CONTAINERS=1 POST=1 ALLOW_EXEC=0", "POST /containers/x/exec", "ALLOW_EXEC=0", false},
        {"ALLOW_EXEC=1", "POST /containers/x/exec", "ALLOW_EXEC=1", true},
        {"ALLOW_EXEC=1", "POST /exec/x/start", NULL, false},
        {"ALLOW_RESTARTS=1 ALLOW_KILL=0", "POST /containers/x/kill", "ALLOW_KILL=0", false},
        {"ALLOW_RESTARTS=1 ALLOW_KILL=0", "POST /containers/x/stop", "ALLOW_RESTARTS=1", true},
        {"CONTAINERS=1 POST=1 ALLOW_ATTACH=0", "POST /containers/x/attach", "ALLOW_ATTACH=0",
                false},
        {"CONTAINERS=1 POST=1 ALLOW_ATTACH=0", "GET /containers/x/attach/ws", "ALLOW_ATTACH=0",
                false},
        {"CONTAINERS=1 ALLOW_ATTACH=1", "GET /containers/x/attach/ws", "ALLOW_ATTACH=1", true},
        {"CONTAINERS=1 POST=1 ALLOW_PAUSE=0", "POST /containers/x/pause", "ALLOW_PAUSE=0", false},
        {"CONTAINERS=1 POST=1 ALLOW_PAUSE=0", "POST /containers/x/unpause",
                "CONTAINERS=1 and POST=1", true},
        {"CONTAINERS=1 POST=1 ALLOW_UNPAUSE=0", "POST /containers/x/unpause", "ALLOW_UNPAUSE=0",
                false},
        {"ALLOW_UNPAUSE=1", "POST /containers/x/unpause", "ALLOW_UNPAUSE=1", true},
        {"CONTAINERS=1 POST=1 ALLOW_START=0", "POST /containers/x/start", "CONTAINERS=1 and POST=1",
                true},
};

static void test_verdicts(void **state)
{
	static struct docker_request request;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
		const struct verdict_case *want = &verdicts[i];
		struct fixture *fixture = build(want->settings);
		route(want->line, &request);
		const struct verdict got =
		        policy_judge(fixture->policy, &request, fixture->scratch);
		const char *rule = want->rule != NULL ? want->rule : "none";
		if (got.allowed != want->allowed ||
		        strcmp(got.rule != NULL ? got.rule : "none", rule) != 0) {
			fail_msg("%s, %s: %s by rule %s", want->settings, want->line,
			        got.allowed ? "allowed" : "denied", got.rule);
		}
		release(fixture);
	}
}

static const char *const advices[][3] = {
        {"PING=1", "GET /containers/json", "set CONTAINERS=1"},
        {"PING=1", "POST /containers/create", "set CONTAINERS=1 and POST=1"},
        {"CONTAINERS=1 ALLOW_LOGS=0", "GET /containers/app/db/logs", "set ALLOW_LOGS=1"},
        {"CONTAINERS=1", "POST /containers/create", "set POST=1"},
        {"POST=1", "POST /containers/create", "set CONTAINERS=1"},
        {"CONTAINERS=1", "GET /containers/x/attach/ws", "set ALLOW_ATTACH=1, or POST=1"},
        {"PING=1", "DELETE /containers/x", "set CONTAINERS=1 and DELETE=1"},
        {"CONTAINERS=1 POST=1 DELETE=0", "DELETE /containers/x", "set DELETE=1"},
        {"CONTAINERS=1 POST=1 ALLOW_EXEC=0", "POST /containers/x/exec", "set ALLOW_EXEC=1"},
        {"ALLOW_KILL=0", "POST /libpod/pods/x/kill", "set ALLOW_KILL=1"},
        {"PING=1", "POST /containers/x/exec", "set ALLOW_EXEC=1, or CONTAINERS=1 and POST=1"},
        {"PING=1", "POST /containers/x/start", "set ALLOW_START=1, or CONTAINERS=1 and POST=1"},
        {"PING=1", "POST /containers/x/stop", "set ALLOW_STOP=1, or CONTAINERS=1 and POST=1"},
        {"PING=1", "POST /libpod/pods/x/kill",
                "set LIBPOD_ALLOW_POD_RESTARTS=1, or LIBPOD_PODS=1 and POST=1"},
        {"CONTAINERS=1 ALLOW_LOGS=0", "GET /containers/x/logs", "set ALLOW_LOGS=1"},
        {"ALLOW_LOGS=0", "GET /containers/x/logs", "set ALLOW_LOGS=1 and CONTAINERS=1"},
        {"ALLOW_LOGS=1", "GET /containers/x/logs", "set CONTAINERS=1"},
        {"PING=1", "GET /debug/vars",
                "use POLICY or CONFIG instead of switches: no switch allows it"},
};

static void test_advice(void **state)
{
	static struct docker_request request;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(advices); i++) {
		struct fixture *fixture = build(advices[i][0]);
		char memory[ADVICE_SIZE];
		struct text text = text_over(memory, sizeof(memory));
		route(advices[i][1], &request);
		policy_advise(fixture->policy, &request, &text);
		assert_slice(advices[i][1], text_slice(&text), slice_of(advices[i][2]));
		release(fixture);
	}
}

static void test_values(void **state)
{
	static const char *const on[] = {"1", "true", "TRUE", "Yes", "on"};
	static const char *const off[] = {"0", "false", "No", "oFF", ""};
	static const char *const neither[] = {"2", "01", " 1", "1 ", "enabled", "-1", "y"};
	enum switch_value value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(on); i++) {
		assert_that(on[i], switches_read_value(slice_of(on[i]), &value));
		assert_that(on[i], value == SWITCH_ON);
	}
	for (size_t i = 0; i < ARRAY_LEN(off); i++) {
		assert_that(off[i], switches_read_value(slice_of(off[i]), &value));
		assert_that(off[i], value == SWITCH_OFF);
	}
	for (size_t i = 0; i < ARRAY_LEN(neither); i++) {
		assert_that(neither[i], !switches_read_value(slice_of(neither[i]), &value));
	}
}

/* A misspelt operation in switches.def would open or close nothing. */
static void test_table(void **state)
{
	(void)state;
	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const struct switch_row *row = switches_row(number);
		assert_int_equal(switches_find(slice_of(row->variable)), number);
		for (unsigned i = 0; i < SWITCHES_OPERATIONS_MAX && row->operations[i] != NULL;
		        i++) {
			unsigned id = 0;
			while (id < docker_endpoint_count &&
			        strcmp(docker_operation_name(id), row->operations[i]) != 0) {
				id++;
			}
			assert_that(row->operations[i], id < docker_endpoint_count);
		}
	}
	assert_int_equal(switches_find(SLICE("CONTAINER")), SWITCHES_COUNT);
}

/* ── Addresses in HAProxy's words ────────────────────────────────────────── */

static void addresses_have_ceilings(void **state)
{
	static const struct {
		const char *front;
		const char *part; /* so often */
		unsigned count;
		const char *problem;
	} rows[] = {
	        {"", "", 0, "give HOST:PORT, or the path of a unix socket"},
	        {"  ", "", 0, "give HOST:PORT, or the path of a unix socket"},
	        {"nothing", "", 0, "give HOST:PORT, or the path of a unix socket"},
	        {":1", ",:1", 15, NULL},
	        {":1", ",:1", 16, "there are more than 16 addresses"},
	        {"/", "x", 300, "it is too long"},
	        {"::", ":1", 150, "it is too long"},
	};
	char words[1024];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct bind bind;
		struct slice word;
		size_t len = (size_t)snprintf(words, sizeof(words), "%s", rows[i].front);
		for (unsigned j = 0; j < rows[i].count; j++) {
			len += (size_t)snprintf(
			        words + len, sizeof(words) - len, "%s", rows[i].part);
		}
		const char *problem = bind_read(slice_of(words), &bind, &word);
		assert_slice(words, slice_of(problem == NULL ? "" : problem),
		        slice_of(rows[i].problem == NULL ? "" : rows[i].problem));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_verdicts),
	        cmocka_unit_test(test_advice),
	        cmocka_unit_test(test_values),
	        cmocka_unit_test(test_table),
	        cmocka_unit_test(addresses_have_ceilings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
