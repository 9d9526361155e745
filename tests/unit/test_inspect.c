/* SPDX-License-Identifier: MIT */
/* Which bodies a block allows, what is said of the others, and which blocks are refused. */
#include "cases.h"

#include "inspect/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static struct inspect_memory *memory;
static struct findings findings;
static char error[FAULT_MAX];
static char said[64 * 1024];
static struct slice sent; /* to the Engine in place of the last body */

static int begin(void **state)
{
	(void)state;
	memory = malloc(sizeof(*memory));
	return memory == NULL;
}

static int end(void **state)
{
	(void)state;
	free(memory);
	arena_free(&arena);
	return 0;
}

/* ── Asking ──────────────────────────────────────────────────────────────── */

/* A block: its keys as a YAML map. */
static int read_block(
        enum inspect_block block, const char *text, const struct constraints **constraints)
{
	const struct yaml_node *root = NULL;

	if (yaml_read(slice_of(text), "p.yaml", &arena, &root, error) < 0) {
		fail_msg("%s: %s", text, error);
	}
	return constraints_read(block, root, &(struct inspect_setting){.is_preset = false}, &arena,
	        constraints, error);
}

static const char *const targets[][2] = {
        {"create", "/containers/create"},
        {"update", "/containers/a/update"},
        {"volume", "/volumes/create"},
        {"network", "/networks/create"},
        {"connect", "/networks/ci/connect"},
        {"connect-host", "/networks/host/connect"},
        {"exec", "/containers/a/exec"},
        {"service", "/services/create"},
        {"service-update", "/services/a/update?version=1"},
};

/* `what`: a row above, or "/path?query". */
static const char *target_of(const char *what)
{
	if (what[0] == '/') {
		return what;
	}
	for (unsigned i = 0; i < ARRAY_LEN(targets); i++) {
		if (strcmp(targets[i][0], what) == 0) {
			return targets[i][1];
		}
	}
	fail_msg("no target is called %s", what);
	return NULL;
}

/* Where paths lead on a host. A path without a row leads to itself. */
struct lead {
	const char *path;
	const char *resolved;
	size_t missing; /* bytes at its end that are not there */
	const char *problem;
};

static const struct lead *leads; /* NULL: nobody sees the host's files */

static void answer(struct inspect_paths *paths)
{
	for (; paths->answered < paths->count; paths->answered++) {
		struct inspect_path *path = &paths->list[paths->answered];
		const struct lead *lead = leads;
		while (lead->path != NULL && !slice_equal(path->path, slice_of(lead->path))) {
			lead++;
		}
		path->resolved = lead->path == NULL ? path->path : slice_of(lead->resolved);
		path->there = path->resolved.len - (lead->path == NULL ? 0 : lead->missing);
		path->problem = lead->problem;
	}
}

static void judge_body(const struct inspect_operation *operation,
        const struct docker_request *request, struct slice body)
{
	const unsigned count = findings.count;

	inspect_paths_begin(&memory->paths);
	findings.paths = leads == NULL ? NULL : &memory->paths;
	sent = inspect_body(operation, request, body, memory, &findings);
	if (memory->paths.count > 0) {
		answer(&memory->paths);
		findings.count = count;
		sent = inspect_body(operation, request, body, memory, &findings);
		assert_int_equal(memory->paths.answered, memory->paths.count);
	}
}

/* The findings about a body, each in a line: "POINTER 'WORD'" or "POINTER: PROBLEM". */
static const char *inspect(const char *what, const char *keys, const char *body)
{
	static struct docker_request request;
	const char *slash = strstr(what, " /");
	const struct slice method = slash == NULL ? SLICE("POST") : slice_between(what, slash);
	struct slice query = slice_of(target_of(slash == NULL ? what : slash + 1));
	struct slice path = {"", 0};
	assert_true(slice_next(&query, '?', &path));
	const struct docker_target target = {
	        .method = method, .path = path, .query = query, .has_body = true};
	const struct constraints *constraints = NULL;
	struct text text = text_over(said, sizeof(said));

	assert_int_equal(docker_route(&target, &request), DOCKER_OK);
	const struct inspect_operation *operation = inspect_operation_of(request.id);
	assert_non_null(operation);
	if (read_block(inspect_operation_block(operation), keys, &constraints) < 0) {
		fail_msg("%s: %s", keys, error);
	}
	findings_begin(&findings, constraints);
	assert_true(inspect_request(operation, &request, &findings));
	if (inspect_operation_reads_query(operation)) {
		inspect_query(operation, &request, query, memory, &findings);
	}
	if (inspect_operation_reads_body(operation)) {
		judge_body(operation, &request, slice_of(body));
	}
	for (unsigned i = 0; i < findings.count && i < INSPECT_FINDINGS_MAX; i++) {
		const struct finding *finding = &findings.list[i];
		text_add_format(&text, "%s%.*s", i > 0 ? "\n" : "", (int)finding->pointer_len,
		        finding->pointer);
		if (finding->problem == NULL) {
			text_add_format(&text, " '%.*s'", (int)finding->word_len, finding->word);
		} else {
			text_add_format(&text, ": %s", finding->problem);
		}
	}
	text_add_char(&text, '\0');
	return said;
}

struct row {
	const char *what;
	const char *keys;
	const char *body;
	const char *wanted; /* "": it is allowed */
};

#define HOST(fields)  "{\"HostConfig\":{" fields "}}"
#define MOUNT(fields) HOST("\"Mounts\":[{" fields "}]")

/* For each field that a key opens: what is refused, and with which word the key opens it. */
static const struct row rows[] = {
#include "inspect_rows.def"
#include "inspect_services.def"
};

static void a_body_is_judged_by_its_fields(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = inspect(rows[i].what, rows[i].keys, rows[i].body);
		if (strcmp(got, rows[i].wanted) != 0) {
			fail_msg("%s under %s: got\n%s\nwanted\n%s", rows[i].body, rows[i].keys,
			        got, rows[i].wanted);
		}
	}
}

/* Whether a refused body above has the field in a pointer. */
static bool is_tried(const char *token)
{
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const char *at = strcasestr(rows[i].wanted, token);
		for (; at != NULL; at = strcasestr(at + 1, token)) {
			if (strchr("/ :", at[strlen(token)]) != NULL) {
				return true;
			}
		}
	}
	return false;
}

static void every_field_with_a_key_is_tried(void **state)
{
	static const struct {
		const char *name;
		const char *key;
	} fields[] = {
#define OBJECT(name)
#define FIELD(name, shape, type, check, key, fine)                      {"/" #name, #key},
#define PARAMETER(operation, name, form, shape, type, check, key, fine) {"?" #name, #key},
#include "inspect/fields.def"
#include "inspect/query.def"
#undef OBJECT
#undef FIELD
#undef PARAMETER
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
		if (strcmp(fields[i].key, "ANYTHING") != 0 &&
		        strcmp(fields[i].key, "CREATE_require") != 0 && !is_tried(fields[i].name)) {
			fail_msg("no refused body has %s", fields[i].name);
		}
	}
}

/* What goes to the Engine in place of a body. */
static void the_engine_s_socket_becomes_that_of_the_proxy(void **state)
{
	static const char keys[] = "{socket: 'unix:///run/p/ci.sock'}";
	static const char *const cases[][2] = {
	        {HOST("\"Binds\":[\"/var/run/docker.sock:/x:ro\",\"v:/v\"]"),
	                HOST("\"Binds\":[\"/run/p/ci.sock:/x:ro\",\"v:/v\"]")},
	        {MOUNT("\"Type\":\"bind\",\"Source\":\"/run/docker.sock\",\"Target\":\"/x\""),
	                MOUNT("\"Type\":\"bind\",\"Source\":\"/run/p/ci.sock\",\"Target\":\"/x\"")},
	};
	static char body[256 * 1024];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(inspect("create", keys, cases[i][0]), "");
		assert_slice(cases[i][0], sent, slice_of(cases[i][1]));
	}
	assert_string_equal(
	        inspect("create", "{}", cases[0][0]), "/HostConfig/Binds/0 '/var/run/docker.sock'");
	assert_string_equal(inspect("create", keys, HOST("\"Binds\":[\"/run:/x\"]")),
	        "/HostConfig/Binds/0 '/run'");
	assert_string_equal(
	        inspect("create", keys, HOST("\"Binds\":[\"/run/docker.sock:/x:shared\"]")),
	        "/HostConfig/Binds/0 'shared'");
	/* Only the docker CLI needs it. */
	assert_string_equal(
	        inspect("create", "{}", HOST("\"ContainerIDFile\":\"/etc/passwd\"")), "");
	assert_slice("cidfile", sent, slice_of(HOST("\"ContainerIDFile\":\"\"")));
	/* More of them than anyone has. */
	struct text text = text_over(body, sizeof(body));
	text_add(&text, SLICE("{\"HostConfig\":{\"Binds\":[\"a:/a\""));
	for (unsigned n = 0; n < INSPECT_REDIRECTED_MAX / 16; n++) {
		text_add(&text, SLICE(",\"/run/docker.sock:/x\""));
	}
	text_add(&text, SLICE("]}}"));
	text_add_char(&text, '\0');
	assert_non_null(strstr(inspect("create", keys, body), "too many binds"));
}

/* A body with one source, in Binds or in Mounts. */
static void write_bind(bool mount, const char *source, char *body, size_t size)
{
	if (mount) {
		(void)snprintf(body, size,
		        MOUNT("\"Type\":\"bind\",\"Source\":\"%s\",\"Target\":\"/x\","
		              "\"BindOptions\":{\"CreateMountpoint\":true}"),
		        source);
	} else {
		(void)snprintf(body, size, HOST("\"Binds\":[\"%s:/x:rw\"]"), source);
	}
}

static void a_path_counts_as_what_it_leads_to(void **state)
{
	static const struct lead host[] = {
	        {"/srv/ci/in", "/srv/ci/sub", 0, NULL},
	        {"/srv/ci/in/new", "/srv/ci/sub/new", 4, NULL},
	        {"/srv/ci/root", "/", 0, NULL},
	        {"/srv/ci/etc", "/etc", 0, NULL},
	        {"/srv/ci/near", "/srv/ci2", 0, NULL},
	        {"/srv/ci/sock", "/run/docker.sock", 0, NULL},
	        {"/srv/ci/colon", "/srv/ci/a:b", 0, NULL},
	        {"/srv/ci/bytes", "/srv/ci/\xff", 0, NULL},
	        {"/srv/ci/\xc3\xa9", "/srv/ci/\\\xc3\xa8", 0, NULL},
	        {"/srv/ci/{", "/srv/ci/{{.Service}}", 0, NULL},
	        {"/srv/gone", "/srv/gone", 5, NULL},
	        {"/srv/gone/x", "/srv/gone/x", 7, NULL},
	        {"/srv/shut", "/", 0, "is shut"},
	        {"/srv/ci/shut", "/srv/ci/sub/shut", 0, "is shut"},
	        {"/srv/ci/file", "/etc/passwd", 0, "goes through a file"},
	        {"/srv/ci/", "/srv/ci", 0, NULL},
	        {NULL, NULL, 0, NULL},
	};
	static const struct {
		const char *keys;
		const char *source;
		const char *wanted; /* '\1': inspect_leads_out */
		const char *arrives;
	} cases[] = {
	        {"bind_sources: [/srv/ci]", "/srv/ci", "", "/srv/ci"},
	        {"bind_sources: [/srv/ci]", "/srv/ci/", "", "/srv/ci"},
	        {"bind_sources: [/srv/ci]", "/srv/ci/in", "", "/srv/ci/sub"},
	        {"bind_sources: [/srv/ci]", "/srv/ci/in/new", "", "/srv/ci/sub/new"},
	        {"bind_sources: [/srv/ci]", "/srv/ci/\xc3\xa9", "", "/srv/ci/\\\\\xc3\xa8"},
	        {"bind_sources: [/srv/ci]", "/srv/ci/root", "\1", NULL},
	        {"bind_sources: [/srv/ci]", "/srv/ci/etc", "\1", NULL},
	        {"bind_sources: [/srv/ci]", "/srv/ci/near", "\1", NULL},
	        {"bind_sources: [/srv/ci]", "/srv/ci/sock", "\1", NULL},
	        {"bind_sources: [/srv/ci]", "/srv/ci/colon", "\1", NULL},
	        {"bind_sources: [/srv/ci]", "/srv/ci/bytes", "\1", NULL},
	        {"bind_sources: [/srv/ci]", "/srv/ci/{", "\1", NULL},
	        {"bind_sources: [/srv/ci, /etc]", "/srv/ci/etc", "", "/etc"},
	        {"bind_sources: [/srv/shut]", "/srv/shut", ": is shut", NULL},
	        {"bind_sources: [/srv/ci]", "/srv/ci/shut", ": is shut", NULL},
	        {"bind_sources: [/srv/ci]", "/srv/ci/file", "\1",
	                NULL}, /* nobody learns that it is there */
	        {"bind_sources: [/srv/gone]", "/srv/gone",
	                ": is below a source that is not there "
	                "below host_root: make it, or show it to the proxy",
	                NULL},
	        {"bind_sources: [/srv/gone]", "/srv/gone/x",
	                ": is below a source that is not there "
	                "below host_root: make it, or show it to the proxy",
	                NULL},
	        /* Each path must be named. */
	        {"bind_below: false, bind_sources: [/srv/ci/in]", "/srv/ci/in", "\1", NULL},
	        {"bind_below: false, bind_sources: [/srv/ci/in, /srv/ci/sub]", "/srv/ci/in", "",
	                "/srv/ci/sub"},
	        {"bind_below: false, bind_sources: [/srv/ci]", "/srv/ci/in", " '/srv/ci/in'", NULL},
	        /* The Engine's socket behind a link is the proxy's too. */
	        {"bind_sources: [/srv/ci], socket: 'unix:///own'", "/srv/ci/sock", "", "/own"},
	        {"socket: 'unix:///own'", "/run/docker.sock", "", "/own"},
	        {"socket: 'unix:///own'", "/srv/ci/sock", " '/srv/ci/sock'", NULL},
	        /* Where every path is allowed, nothing is looked up. */
	        {"bind_sources: any", "/srv/ci/root", "", "/srv/ci/root"},
	        {"bind_sources: any", "/srv/shut", "", "/srv/shut"},
	};
	char body[512];
	char keys[128];
	char wanted[512];

	(void)state;
	leads = host;
	for (unsigned i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		const char *pointer = i % 2 == 0 ? "Binds/0" : "Mounts/0/Source";
		const char *problem = cases[i / 2].wanted;
		(void)snprintf(keys, sizeof(keys), "{%s}", cases[i / 2].keys);
		write_bind(i % 2, cases[i / 2].source, body, sizeof(body));
		(void)snprintf(wanted, sizeof(wanted), "/HostConfig/%s%s%s", pointer,
		        problem[0] == '\1' ? ": " : problem,
		        problem[0] == '\1' ? inspect_leads_out : "");
		wanted[0] = problem[0] == '\0' ? '\0' : '/';
		assert_slice(body, slice_of(inspect("create", keys, body)), slice_of(wanted));
		if (problem[0] == '\0') {
			write_bind(i % 2, cases[i / 2].arrives, body, sizeof(body));
			assert_slice(body, sent, slice_of(body));
		}
	}
	leads = NULL;
}

static void so_many_paths_are_looked_up(void **state)
{
	static const struct lead nowhere[] = {{NULL, NULL, 0, NULL}};
	static char body[256 * 1024];

	(void)state;
	leads = nowhere;
	for (unsigned count = INSPECT_PATHS_MAX; count <= INSPECT_PATHS_MAX + 1; count++) {
		struct text text = text_over(body, sizeof(body));
		text_add(&text, SLICE("{\"HostConfig\":{\"Binds\":[\"/srv/ci:/x\""));
		for (unsigned i = 0; i < count; i++) { /* a path that comes again is no other one */
			text_add_format(&text, ",\"/srv/ci/%u:/x\"", i == 0 ? 1 : i);
		}
		text_add(&text, SLICE("]}}"));
		text_add_char(&text, '\0');
		const char *got = inspect("create", "{bind_sources: [/srv/ci]}", body);
		assert_that("refused", (got[0] != '\0') == (count > INSPECT_PATHS_MAX));
		assert_that(got, got[0] == '\0' || strstr(got, inspect_too_many_paths) != NULL);
	}
	struct text text = text_over(body, sizeof(body));
	text_add(&text, SLICE("{\"HostConfig\":{\"Binds\":[\"/srv/ci:/x\""));
	for (unsigned i = 0; i < 40; i++) {
		text_add_format(&text, ",\"/srv/ci/%u%04000u:/x\"", i + 10, 1U);
	}
	text_add(&text, SLICE("]}}"));
	text_add_char(&text, '\0');
	assert_non_null(strstr(
	        inspect("create", "{bind_sources: [/srv/ci]}", body), inspect_too_many_paths));
	leads = NULL;
}

/* Each of the paths may become much longer. */
static void where_paths_lead_has_room(void **state)
{
	static char far[4001];
	static struct lead host[INSPECT_PATHS_MAX + 1];
	static char names[INSPECT_PATHS_MAX][16];
	static char body[64 * 1024];
	struct text text = text_over(body, sizeof(body));

	(void)state;
	(void)snprintf(far, sizeof(far), "/srv/ci/%03992u", 1U);
	text_add(&text, SLICE("{\"HostConfig\":{\"Binds\":[\"/srv/ci:/x\""));
	for (unsigned i = 0; i < INSPECT_PATHS_MAX - 1; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "/srv/ci/%u", i);
		host[i] = (struct lead){names[i], far, 0, NULL};
		text_add_format(&text, ",\"%s:/x\"", names[i]);
	}
	text_add(&text, SLICE("]}}"));
	text_add_char(&text, '\0');
	leads = host;
	const char *got = inspect("create", "{bind_sources: [/srv/ci]}", body);
	assert_non_null(strstr(got, inspect_too_many_paths)); /* 128 KiB are not enough for 63 */
	assert_null(strstr(got, "Binds/30:"));
	/* The same one again and again is written each time. */
	text.len = 0;
	text_add(&text, SLICE("{\"HostConfig\":{\"Binds\":[\"/srv/ci:/x\""));
	for (unsigned i = 0; i < 40; i++) {
		text_add(&text, SLICE(",\"/srv/ci/0:/x\""));
	}
	text_add(&text, SLICE("]}}"));
	text_add_char(&text, '\0');
	got = inspect("create", "{bind_sources: [/srv/ci]}", body);
	assert_null(strstr(got, "Binds/32:"));
	assert_non_null(strstr(got, "Binds/33: "));
	assert_non_null(strstr(got, inspect_too_many_paths));
	leads = NULL;
}

static void a_block_says_what_it_leaves_root(void **state)
{
	/* The same where the host's files are seen, unless the third says what is left then. */
	static const char *const cases[][3] = {
	        {"{}", ""},
	        {"{bind_sources: [/srv/ci]}", "create.bind_sources", /* by a link below it */
	                "create.bind_sources (by a later link)"},
	        {"{bind_sources: [/srv/ci], bind_below: false}", ""},
	        {"{bind_sources: [/srv/ci], writable_binds: false}", "create.bind_sources",
	                "create.bind_sources (by a later link)"},
	        {"{bind_sources: [/srv/ci, /srv/ci/cache], bind_below: false}",
	                "create.bind_sources", /* a link in place of the cache */
	                "create.bind_sources (by a later link)"},
	        {"{bind_sources: [/srv/ci, /srv/cache], bind_below: false}", ""},
	        {"{bind_sources: [/srv/ci, /srv/ci/, /srv/ci], bind_below: false}", ""},
	        {"{bind_sources: [/], bind_below: false}", "create.bind_sources"},
	        {"{bind_sources: [/etc/cron.d], bind_below: false}", "create.bind_sources"},
	        {"{bind_sources: [/run/docker.sock], bind_below: false}", "create.bind_sources"},
	        {"{bind_sources: [/var], bind_below: false}", "create.bind_sources"},
	        {"{bind_sources: [/var/ci], bind_below: false}", ""},
	        {"{bind_sources: [/home], bind_below: false}", "create.bind_sources"},
	        {"{bind_sources: [/home/u/ci], bind_below: false}", ""},
	        {"{bind_sources: any, bind_below: false}", "create.bind_sources"},
	        {"{volumes: any, capabilities: [cap_sys_admin], devices: [/dev/sda]}",
	                "create.volumes, create.capabilities, create.devices"},
	        {"{capabilities: [NET_RAW], devices: [/dev/fuse], namespaces: [ipc=host]}", ""},
	        {"{capabilities: any, namespaces: ['pid=*'], masked_paths: true, privileged: true}",
	                "create.privileged, create.capabilities, create.namespaces, "
	                "create.masked_paths"},
	        {"{runtime: [runsc], unknown: allow}", "create.runtime, create.unknown"},
	        {"{plugins: true, swarm: true}", "create.plugins, create.swarm"},
	        {"{log_options: ['*'], devices: [/dev/mapper/x]}",
	                "create.devices, create.log_options"},
	};

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		const char *const *one = cases[i / 2];
		const struct constraints *constraints = NULL;
		char list[512];
		struct text text = text_over(list, sizeof(list));
		assert_int_equal(read_block(INSPECT_CREATE, one[0], &constraints), 0);
		constraints_add_root(constraints, i % 2 == 1, &text);
		assert_slice(one[0], text_slice(&text),
		        slice_of(i % 2 == 1 && one[2] != NULL ? one[2] : one[1]));
	}
}

static void what_is_wrong_with_a_block_is_named(void **state)
{
	static const char *const cases[][2] = {
	        {"{privilegd: true}", "p.yaml:1: unknown key 'privilegd' in a 'create' block; did "
	                              "you mean 'privileged'?"},
	        {"{privileged: yes}", "p.yaml:1: 'privileged' is one of false true; found 'yes'"},
	        {"{privileged: [true]}",
	                "p.yaml:1: 'privileged' is one of false true; found a list"},
	        {"{bind_sources: srv}", "p.yaml:1: 'srv' in 'bind_sources' is not an absolute path "
	                                "without '.', '..', empty segments, commas and colons"},
	        {"{bind_sources: [$WORKSPACE/a]}",
	                "p.yaml:1: '$WORKSPACE/a' in 'bind_sources' is not an absolute path "
	                "without '.', '..', empty segments, commas and colons; the only variable "
	                "is $WORKSPACE, a word of its own in bind_sources"},
	        {"{bind_sources: ['/srv/*']}",
	                "p.yaml:1: '/srv/*' in 'bind_sources' has a star: a path stands for all "
	                "that is below it, without one"},
	        {"{bind_sources: []}", "p.yaml:1: 'bind_sources' is any, none or a list, such as "
	                               "[/srv/ci]; found an empty list"},
	        {"{bind_sources: }", "p.yaml:1: 'bind_sources' is any, none or a list, such as "
	                             "[/srv/ci]; found nothing"},
	        {"{networks: [any]}", "p.yaml:1: 'any' stands alone: write networks: any"},
	        {"{images: ['!a']}", "p.yaml:1: '!a' in 'images' begins with '!', which takes "
	                             "nothing away there"},
	        {"{bind_sources: [[/a]]}", "p.yaml:1: 'bind_sources' is a list of words, such as "
	                                   "[/srv/ci]; found a list"},
	        {"{capabilities: [SYS_ADMN]}",
	                "p.yaml:1: 'SYS_ADMN' in 'capabilities' is not a capability of Linux"},
	        {"{images: ['']}", "p.yaml:1: a word of 'images' has 1 to 255 bytes"},
	        {"{socket: tcp://a}", "p.yaml:1: 'socket' is the address of a unix listener, such "
	                              "as unix:///run/docker-socket-proxy/ci.sock; found "
	                              "'tcp://a'"},
	        {"{volumes: some}", "p.yaml:1: 'volumes' is one of none named any; found 'some'"},
	        {"{require: {memory: lots}}",
	                "p.yaml:1: 'memory' is a number above 0, such as 2g; found 'lots'"},
	        {"{require: {cpus: '1.0000000001'}}",
	                "p.yaml:1: 'cpus' is a number above 0, such as 1.5; found '1.0000000001'"},
	        {"{require: {pids: 0}}",
	                "p.yaml:1: 'pids' is a number above 0, such as 512; found '0'"},
	        {"{require: {ulimits: 5}}",
	                "p.yaml:1: 'ulimits' is a map, such as {nofile: 1024}; found '5'"},
	        {"{require: {disk: 5}}", "p.yaml:1: unknown key 'disk' in 'require'; there are "
	                                 "memory, cpus, pids, ulimits"},
	        {"[a]", "p.yaml:1: expected a 'create' block, which is a map, such as {images: "
	                "...}; found a list"},
	};
	const struct constraints *constraints = NULL;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(read_block(INSPECT_CREATE, cases[i][0], &constraints), -EINVAL);
		assert_string_equal(error, cases[i][1]);
	}
}

static void a_long_list_of_findings_is_cut(void **state)
{
	char body[8192];
	struct text text = text_over(body, sizeof(body));

	(void)state;
	text_add(&text, SLICE("{\"HostConfig\":{\"Binds\":[\"/0:/0\""));
	for (unsigned i = 1; i < 200; i++) {
		text_add_format(&text, ",\"/%u:/%u\"", i, i);
	}
	text_add(&text, SLICE("]}}\0"));
	(void)inspect("create", "{}", body);
	assert_true(findings.count > INSPECT_FINDINGS_MAX);

	char denial[4096];
	struct text sentence = text_over(denial, sizeof(denial));
	findings_add_denial(&findings, FINDINGS_SENDER, "container.create", "ci", &sentence);
	assert_false(sentence.overflow);
	text_add_char(&sentence, '\0');
	assert_non_null(strstr(denial, "/HostConfig/Binds/3: "));
	assert_null(strstr(denial, "/HostConfig/Binds/4: "));
	assert_non_null(strstr(denial, "; and "));
}

/* Parameters are decoded several times: what no longer fits is not taken for allowed. */
static void a_query_that_is_too_long_is_refused(void **state)
{
	enum { PAD = 600 * 1024 };
	const struct slice begin = SLICE("/images/a/tag?repo=ci/a&tag=latest&tag=");
	char *target = malloc(begin.len + PAD + 1);

	(void)state;
	if (target == NULL) {
		fail_msg("no memory");
		abort();
	}
	memcpy(target, begin.ptr, begin.len);
	memset(target + begin.len, 'x', PAD);
	target[begin.len + PAD] = '\0';
	assert_non_null(strstr(
	        inspect(target, "{tag: [ci/a]}", NULL), "query: is too long to be looked into"));
	free(target);
}

static void a_denial_says_what_would_allow_the_body(void **state)
{
	static const struct {
		const char *keys;
		const char *body;
		const char *advice;
	} cases[] = {
	        {"{}", HOST("\"Binds\":[\"/a:/x\",\"/b:/x\",\"/a:/y\"],\"Privileged\":true"),
	                "set in 'create' at p.yaml:1: bind_sources: [/a, /b], privileged: true; "
	                "that "
	                "is enough to become root on the host"},
	        {"{}", "{\"New\":1}",
	                "set in 'create' at p.yaml:1: unknown: allow; that is enough to become "
	                "root "
	                "on the host"},
	        /* The value is whole: what the key has, also by default, stays. */
	        {"{bind_sources: [/srv/ci]}", HOST("\"Binds\":[\"/srv/x:/x\"]"),
	                "set in 'create' at p.yaml:1: bind_sources: [/srv/ci, /srv/x]; that is "
	                "enough "
	                "to become root on the host"}, /* by a link below it */
	        {"{bind_sources: [/srv/ci], bind_below: false}", HOST("\"Binds\":[\"/srv/x:/x\"]"),
	                "set in 'create' at p.yaml:1: bind_sources: [/srv/ci, /srv/x]"},
	        {"{bind_sources: [/srv/ci], bind_below: false}",
	                HOST("\"Binds\":[\"/srv/ci/x:/x\"]"),
	                "set in 'create' at p.yaml:1: bind_below: true; that is enough to become "
	                "root "
	                "on the host"},
	        {"{}", HOST("\"LogConfig\":{\"Type\":\"syslog\"}"),
	                "set in 'create' at p.yaml:1: log_drivers: [json-file, local, syslog]"},
	        {"{}", HOST("\"NetworkMode\":\"host\""),
	                "set in 'create' at p.yaml:1: networks: ['*', host]"},
	        {"{}", HOST("\"CapAdd\":[\"sys_admin\"]"),
	                "set in 'create' at p.yaml:1: capabilities: [sys_admin]; that is enough to "
	                "become root on the host"},
	        {"{}", HOST("\"CapAdd\":[\"NET_RAW\"]"),
	                "set in 'create' at p.yaml:1: capabilities: [NET_RAW]"},
	        /* Nothing that can be written opens these. */
	        {"{}", HOST("\"Binds\":[\"../a:/x\"]"), ""},
	        {"{}", HOST("\"Sysctls\":{\"a*\":\"\"}"), ""},
	        {"{labels: [a]}", "{\"Labels\":{\"!b\":\"\"}}", ""},
	        {"{images: [a]}", "{\"Image\":\"sha256:00\"}", ""},
	        {"{}", "[]", ""},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		char advice[1024];
		struct text text = text_over(advice, sizeof(advice));
		(void)inspect("create", cases[i].keys, cases[i].body);
		findings_advise(&findings, FINDINGS_SENDER, &text);
		assert_slice(cases[i].body, text_slice(&text), slice_of(cases[i].advice));
	}
}

static void the_warning_of_root_says_what_must_happen(void **state)
{
	static const struct lead host[] = {{"/srv/ci/x", "/etc", 0, NULL}, {NULL, NULL, 0, NULL}};
	static const struct {
		const char *keys;
		const char *source;
		const char *advice;
	} cases[] = {
	        {"{bind_sources: [/srv/ci]}", "/srv/x",
	                "set in 'create' at p.yaml:1: bind_sources: [/srv/ci, /srv/x]; that is "
	                "enough "
	                "to become root on the host, by a symbolic link that is made after the "
	                "container"},
	        {"{bind_sources: [/srv/ci]}", "/etc",
	                "set in 'create' at p.yaml:1: bind_sources: [/srv/ci, /etc]; that is "
	                "enough "
	                "to become root on the host"},
	        {"{bind_sources: [/srv/ci]}", "/srv/ci/x", ""}, /* what it leads to is not told */
	};
	char body[128];

	(void)state;
	leads = host;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		char advice[1024];
		struct text text = text_over(advice, sizeof(advice));
		(void)snprintf(body, sizeof(body), "{\"HostConfig\":{\"Binds\":[\"%s:/x\"]}}",
		        cases[i].source);
		(void)inspect("create", cases[i].keys, body);
		findings_advise(&findings, FINDINGS_SENDER, &text);
		assert_slice(body, text_slice(&text), slice_of(cases[i].advice));
	}
	leads = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_body_is_judged_by_its_fields),
	        cmocka_unit_test(every_field_with_a_key_is_tried),
	        cmocka_unit_test(the_engine_s_socket_becomes_that_of_the_proxy),
	        cmocka_unit_test(a_path_counts_as_what_it_leads_to),
	        cmocka_unit_test(so_many_paths_are_looked_up),
	        cmocka_unit_test(where_paths_lead_has_room),
	        cmocka_unit_test(a_block_says_what_it_leaves_root),
	        cmocka_unit_test(what_is_wrong_with_a_block_is_named),
	        cmocka_unit_test(a_long_list_of_findings_is_cut),
	        cmocka_unit_test(a_query_that_is_too_long_is_refused),
	        cmocka_unit_test(the_warning_of_root_says_what_must_happen),
	        cmocka_unit_test(a_denial_says_what_would_allow_the_body),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
