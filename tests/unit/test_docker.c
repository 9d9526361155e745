/* SPDX-License-Identifier: MIT */
/*
 * What a request means. If these fail, a policy judges another request than
 * the Engine serves, or a client's request is taken for something it is not.
 */
#include "routed.h"

/* ── What no row fits ────────────────────────────────────────────────────── */

static void what_no_row_fits_is_told_apart(void **state)
{
	const unsigned count = docker_id_count();
	const unsigned per_kind = DOCKER_SECTION_COUNT + 1;

	(void)state;
	assert_int_equal(count, docker_endpoint_count + 3 * per_kind);
	assert_null(docker_endpoint(docker_endpoint_count));
	for (unsigned section = 0; section < DOCKER_SECTION_COUNT; section++) {
		assert_true(docker_section_variable((enum docker_section)section)[0] != '\0');
	}
	for (unsigned id = docker_endpoint_count; id < count; id++) {
		assert_int_equal(docker_id_section(id), (id - docker_endpoint_count) % per_kind);
	}
}

static void sections_and_methods_of_what_no_row_fits(void **state)
{
	static const struct {
		const char *method;
		const char *path;
		const char *name;
		enum docker_section section;
		bool reads;
	} rows[] = {
	        {"GET", "/containers", "unknown", DOCKER_SECTION_CONTAINERS, true},
	        {"HEAD", "/containers/json", "unknown", DOCKER_SECTION_CONTAINERS, true},
	        {"HEAD", "/version", "unknown", DOCKER_SECTION_VERSION, true},
	        {"GET", "/containers/a/b/json", "unknown", DOCKER_SECTION_CONTAINERS, true},
	        {"GET", "/containers/json/", "unknown", DOCKER_SECTION_CONTAINERS, true},
	        {"GET", "/containers/a/attach", "unknown", DOCKER_SECTION_CONTAINERS, true},
	        {"GET", "/containers/a/startfoo", "unknown", DOCKER_SECTION_CONTAINERS, true},
	        {"DELETE", "/containers/a/b", "unknown", DOCKER_SECTION_CONTAINERS, false},
	        {"PATCH", "/containers/a", "unknown", DOCKER_SECTION_CONTAINERS, false},
	        {"get", "/containers/json", "unknown", DOCKER_SECTION_CONTAINERS, false},
	        {"POST", "/_ping", "unknown", DOCKER_SECTION_PING, false},
	        {"GET", "/containersfoo", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/versionx", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/Containers/json", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/V1.41/containers/json", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/v/containers/json", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/v1.41/v1.41/info", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/v1.41", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/v1.41/", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/libpod", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/libpod/", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/libpod/auth", "unknown", DOCKER_SECTION_NONE, true},
	        {"GET", "/libpod/pods/a/b/c", "unknown", DOCKER_SECTION_LIBPOD_PODS, true},
	        {"DELETE", "/debug/vars", "unknown", DOCKER_SECTION_NONE, false},
	        {"GET", "/debug/pprof", "unknown", DOCKER_SECTION_NONE, true},
	        {"DELETE", "/images/a/", "unknown", DOCKER_SECTION_IMAGES, false},
	        {"GET", "/volumes/", "unknown", DOCKER_SECTION_VOLUMES, true},
	        {"OPTIONS", "/containers/json", "system.options", DOCKER_SECTION_CONTAINERS, false},
	        {"OPTIONS", "/nowhere", "system.options", DOCKER_SECTION_NONE, false},
	        {"OPTIONS", "*", "system.options", DOCKER_SECTION_NONE, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_routed(rows[i].path, route(rows[i].method, rows[i].path));
		assert_that(rows[i].path, request.id >= docker_endpoint_count);
		assert_that(rows[i].path, docker_id_section(request.id) == rows[i].section);
		assert_that(rows[i].path, docker_id_is_read_method(request.id) == rows[i].reads);
		assert_that(rows[i].path, request.name.ptr == NULL);
		assert_string_equal(docker_operation_name(request.id), rows[i].name);
		assert_slice(rows[i].path, request.path, slice_of(rows[i].path));
	}
}

/* With links a container is called /app/db: the Engine serves what no row fits. */
static void what_no_row_fits_may_be_served_by_one(void **state)
{
	static const struct {
		const char *method;
		const char *path;
		const char *served;
	} rows[] = {
	        {"GET", "/containers/app/db/logs", "container.logs"},
	        {"GET", "/v1.41/containers/app/db/archive", "container.archive_get"},
	        {"HEAD", "/containers/app/db/archive", "container.archive_stat"},
	        {"GET", "/containers/app/db/attach/ws", "container.attach_ws"},
	        {"POST", "/containers/app/db/exec", "exec.create"},
	        {"DELETE", "/containers/app/db", "container.remove"},
	        {"DELETE", "/containers/app/", "container.remove"},
	        {"DELETE", "/containers/a/b/checkpoints/c/d", "container.remove"},
	        {"DELETE", "/containers/a/b/checkpoints/c", "container.remove"},
	        {"POST", "/v5.0.0/libpod/images/scp/", "libpod.image.scp"},
	        {"POST", "/v5.0.0/libpod/images/scp/a/push/", "libpod.image.scp"},
	        {"DELETE", "/containers/a/checkpoints/b/c", "container.remove"},
	        {"GET", "/networks/a/b", "network.inspect"},
	        {"GET", "/volumes/", "volume.inspect"},
	        {"GET", "/containers/json/", "unknown"},
	        {"GET", "/containersfoo", "unknown"},
	        {"HEAD", "/containers/app/db/json", "unknown"},
	        {"OPTIONS", "/containers/app/db/json", "system.options"},
	        /* Engines up to 27 ask for no method there. */
	        {"POST", "/debug/vars", "debug.vars"},
	        {"HEAD", "/debug/pprof/", "debug.index"},
	        {"FOO", "/debug/pprof/cmdline", "debug.cmdline"},
	        {"DELETE", "/v1.41/debug/pprof/heap", "debug.dump"},
	        {"DELETE", "/debug/vars/none", "unknown"},
	        {"OPTIONS", "/debug/vars", "system.options"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_routed(rows[i].path, route(rows[i].method, rows[i].path));
		assert_that(rows[i].path, request.id >= docker_endpoint_count);
		assert_string_equal(docker_operation_name(request.served_id), rows[i].served);
	}
	is_routed("a row", route("GET", "/containers/app/logs"));
	assert_int_equal(request.id, request.served_id);
}

/* ── One path, two operations ────────────────────────────────────────────── */

static void the_query_decides_as_the_engine_reads_it(void **state)
{
	static const struct {
		const char *query;
		const char *operation;
	} rows[] = {
	        {NULL, "image.import"},
	        {"", "image.import"},
	        {"fromSrc=-", "image.import"},
	        {"fromImage=busybox", "image.pull"},
	        {"fromSrc=-&fromImage=busybox", "image.pull"},
	        {"&&fromImage=busybox", "image.pull"},
	        {"%66rom%49mage=busybox", "image.pull"},
	        {"fromImage=a=b", "image.pull"},
	        {"fromImage=+", "image.pull"},
	        {"fromImage=%00", "image.pull"},
	        {"fromImage", "image.import"},
	        {"fromImage=", "image.import"},
	        {"fromimage=busybox", "image.import"},
	        {"FromImage=busybox", "image.import"},
	        {"fromImage+=busybox", "image.import"},
	        {"+fromImage=busybox", "image.import"},
	        {"fromImages=busybox", "image.import"},
	        {"fromImag=busybox", "image.import"},
	        {"a=fromImage=busybox", "image.import"},
	        {"a=%26fromImage=busybox", "image.import"},
	        {"fromImage%3Dbusybox", "image.import"},
	        {"=fromImage", "image.import"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_routed(rows[i].query,
		        route_with("POST", SLICE("/images/create"), rows[i].query, false));
		if (strcmp(docker_operation_name(request.id), rows[i].operation) != 0) {
			fail_msg("?%s is %s", rows[i].query, docker_operation_name(request.id));
		}
	}
}

/* docker start --checkpoint NAME --checkpoint-dir DIRECTORY; the Engine looks at the directory
 * without a name, too: 20.10 responds "custom checkpointdir is not supported". */
static void a_start_from_a_checkpoint_is_another_operation(void **state)
{
	static const struct {
		const char *path;
		const char *query;
		bool has_body;
		const char *operation;
	} rows[] = {
	        {"/containers/a/start", NULL, false, "container.start"},
	        {"/containers/a/start", "detachKeys=ctrl-p", false, "container.start"},
	        {"/containers/a/start", "checkpoint=", false, "container.start"},
	        {"/containers/a/start", "checkpoint-dir=", false, "container.start"},
	        {"/containers/a/start", "checkpoint-dir=/etc", false,
	                "container.start_from_checkpoint"},
	        {"/containers/a/start", "checkpoint=&checkpoint%2ddir=/etc", false,
	                "container.start_from_checkpoint"},
	        {"/containers/a/start", "Checkpoint=c", false, "container.start"},
	        {"/containers/a/start", "checkpoint=c", false, "container.start_from_checkpoint"},
	        {"/v1.12/containers/a/start", "checkpoint=c", false,
	                "container.start_from_checkpoint"},
	        {"/v1.41/containers/a/start", "checkpoint-dir=/etc&%63heckpoint=c", true,
	                "container.start_from_checkpoint"},
	        {"/v1.23/containers/a/start", "checkpoint=c", true, "container.start_with_config"},
	        {"/containers/a/stop", "checkpoint=c", false, "container.stop"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_routed(rows[i].path, route_with("POST", slice_of(rows[i].path), rows[i].query,
		                                rows[i].has_body));
		assert_string_equal(docker_operation_name(request.id), rows[i].operation);
	}
	is_routed("linked",
	        route_with("POST", SLICE("/containers/app/db/start"), "checkpoint=c", false));
	assert_string_equal(
	        docker_operation_name(request.served_id), "container.start_from_checkpoint");
}

/*
 * Up to its version 3 podman's manifests had operations that are names of
 * others since; its router tells by the first digit.
 */
static void a_version_makes_other_operations_of_podmans_manifests(void **state)
{
	static const struct {
		const char *path;
		const char *operation;
	} rows[] = {
	        {"/v3.4.4/libpod/manifests/a/push", "libpod.manifest.push"},
	        {"/v1.41/libpod/manifests/a/push", "libpod.manifest.push"},
	        {"/v3.100/libpod/manifests/a/push", "libpod.manifest.push"},
	        {"/v3-dev/libpod/manifests/a/add", "libpod.manifest.add"},
	        {"/v3.4.4/libpod/manifests/a/registry/b/add", "libpod.manifest.add"},
	        {"/v3.4.4/libpod/manifests/create", "libpod.manifest.create"},
	        {"/v10.0.0/libpod/manifests/a/push", "libpod.manifest.push"},
	        {"/v39999.0/libpod/manifests/a/push", "libpod.manifest.push"},
	        {"/v40.0.0/libpod/manifests/a/push", "libpod.manifest.create"},
	        {"/v4.0.0/libpod/manifests/a/push", "libpod.manifest.create"},
	        {"/v04.0/libpod/manifests/a/add", "libpod.manifest.create"},
	        {"/v4/libpod/manifests/a/registry/b/push", "libpod.manifest.push"},
	        {"/v4/libpod/manifests/a/registry/b/add", "libpod.manifest.push"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_routed(rows[i].path, route("POST", rows[i].path));
		if (strcmp(docker_operation_name(request.id), rows[i].operation) != 0) {
			fail_msg("%s is %s", rows[i].path, docker_operation_name(request.id));
		}
	}
}

static void a_body_makes_an_old_start_another_operation(void **state)
{
	static const struct {
		const char *path;
		bool has_body;
		const char *operation;
	} rows[] = {
	        {"/v1.23/containers/a/start", true, "container.start_with_config"},
	        {"/v1.023/containers/a/start", true, "container.start_with_config"},
	        {"/v01.0023.0/containers/a/start", true, "container.start_with_config"},
	        {"/v1.12/containers/%61/start", true, "container.start_with_config"},
	        {"/v1/containers/a/start", true, "container.start_with_config"},
	        {"/v1.23.9/containers/a/start", true, "container.start_with_config"},
	        {"/v1.23/containers/a/start", false, "container.start"},
	        {"/v1.24/containers/a/start", true, "container.start"},
	        {"/v1.100/containers/a/start", true, "container.start"},
	        {"/v2.0/containers/a/start", true, "container.start"},
	        {"/containers/a/start", true, "container.start"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_routed(rows[i].path,
		        route_with("POST", slice_of(rows[i].path), NULL, rows[i].has_body));
		assert_string_equal(docker_operation_name(request.id), rows[i].operation);
	}
}

/* ── One spelling ────────────────────────────────────────────────────────── */

struct spelling {
	const char *method;
	struct slice path;
	const char *operation;
	struct slice canonical;
	struct slice name;
};

#define NONE                                                                                       \
	{                                                                                          \
		NULL, 0                                                                            \
	}

static const struct spelling spellings[] = {
        {"GET", SLICE_INIT("/%63ontainers/json"), "container.list", SLICE_INIT("/containers/json"),
                NONE},
        {"GET", SLICE_INIT("/%76%31.41/%63ontainers/js%6Fn"), "container.list",
                SLICE_INIT("/v1.41/containers/json"), NONE},
        {"GET", SLICE_INIT("/v1.041/_ping"), "system.ping", SLICE_INIT("/v1.41/_ping"), NONE},
        {"GET", SLICE_INIT("/v01.41.00/_ping"), "system.ping", SLICE_INIT("/v1.41.0/_ping"), NONE},
        {"GET", SLICE_INIT("/v1/_ping"), "system.ping", SLICE_INIT("/v1/_ping"), NONE},
        {"GET", SLICE_INIT("/networks/"), "network.list", SLICE_INIT("/networks"), NONE},
        {"GET", SLICE_INIT("/v05.3.0%2Drc1/_ping"), "system.ping", SLICE_INIT("/v5.3.0-rc1/_ping"),
                NONE},
        {"GET", SLICE_INIT("/v1.041/networks/"), "network.list", SLICE_INIT("/v1.41/networks"),
                NONE},
        {"GET", SLICE_INIT("/containers/web%31/json"), "container.inspect",
                SLICE_INIT("/containers/web1/json"), SLICE_INIT("web1")},
        {"GET", SLICE_INIT("/images/docker.io%2Flibrary%2fbusybox/json"), "image.inspect",
                SLICE_INIT("/images/docker.io/library/busybox/json"),
                SLICE_INIT("docker.io/library/busybox")},
        {"GET", SLICE_INIT("/images/busybox%3alatest/json"), "image.inspect",
                SLICE_INIT("/images/busybox:latest/json"), SLICE_INIT("busybox:latest")},
        {"GET", SLICE_INIT("/distribution/quay.io%2Fa%2Fb/json"), "distribution.inspect",
                SLICE_INIT("/distribution/quay.io/a/b/json"), SLICE_INIT("quay.io/a/b")},
        {"DELETE", SLICE_INIT("/plugins/vieux%2Fsshfs:latest"), "plugin.remove",
                SLICE_INIT("/plugins/vieux/sshfs:latest"), SLICE_INIT("vieux/sshfs:latest")},
        {"GET", SLICE_INIT("/images/json/json"), "image.inspect", SLICE_INIT("/images/json/json"),
                SLICE_INIT("json")},
        {"GET", SLICE_INIT("/images/a/get/json"), "image.inspect", SLICE_INIT("/images/a/get/json"),
                SLICE_INIT("a/get")},
        {"GET", SLICE_INIT("/images/get/get"), "image.save", SLICE_INIT("/images/get/get"),
                SLICE_INIT("get")},
        {"POST", SLICE_INIT("/libpod/manifests/a/registry/b/registry/c"), "libpod.manifest.push",
                SLICE_INIT("/libpod/manifests/a/registry/b/registry/c"),
                SLICE_INIT("a/registry/b")},
        {"GET", SLICE_INIT("/containers/json/json"), "container.inspect",
                SLICE_INIT("/containers/json/json"), SLICE_INIT("json")},
        {"GET", SLICE_INIT("/networks/caf\xc3\xa9 noir"), "network.inspect",
                SLICE_INIT("/networks/caf%C3%A9%20noir"), SLICE_INIT("caf\xc3\xa9 noir")},
        {"GET", SLICE_INIT("/networks/caf%c3%a9%20noir"), "network.inspect",
                SLICE_INIT("/networks/caf%C3%A9%20noir"), SLICE_INIT("caf\xc3\xa9 noir")},
        {"GET", SLICE_INIT("/networks/%ff%80"), "network.inspect", SLICE_INIT("/networks/%FF%80"),
                SLICE_INIT("\xff\x80")},
        {"GET", SLICE_INIT("/networks/a%2eb"), "network.inspect", SLICE_INIT("/networks/a.b"),
                SLICE_INIT("a.b")},
        {"GET", SLICE_INIT("/networks/a+b"), "network.inspect", SLICE_INIT("/networks/a+b"),
                SLICE_INIT("a+b")},
        {"GET", SLICE_INIT("/networks/a%2Bb"), "network.inspect", SLICE_INIT("/networks/a+b"),
                SLICE_INIT("a+b")},
        {"GET", SLICE_INIT("/containers/%252e%252e/json"), "container.inspect",
                SLICE_INIT("/containers/%252e%252e/json"), SLICE_INIT("%2e%2e")},
        {"GET", SLICE_INIT("/containers/%25252e/json"), "container.inspect",
                SLICE_INIT("/containers/%25252e/json"), SLICE_INIT("%252e")},
        {"GET", SLICE_INIT("/containers/a%252fb/json"), "container.inspect",
                SLICE_INIT("/containers/a%252fb/json"), SLICE_INIT("a%2fb")},
        {"GET", SLICE_INIT("/networks/a%3Fb%23c%22"), "network.inspect",
                SLICE_INIT("/networks/a%3Fb%23c%22"), SLICE_INIT("a?b#c\"")},
        {"GET", SLICE_INIT("/networks/a?b"), "network.inspect", SLICE_INIT("/networks/a%3Fb"),
                SLICE_INIT("a?b")},
        {"GET", SLICE_INIT("/networks/!$&'()*+,;=:@-._~[]"), "network.inspect",
                SLICE_INIT("/networks/!$&'()*+,;=:@-._~[]"), SLICE_INIT("!$&'()*+,;=:@-._~[]")},
        {"GET", SLICE_INIT("/networks/%21%5b%5D%7e"), "network.inspect",
                SLICE_INIT("/networks/![]~"), SLICE_INIT("![]~")},
        {"GET", SLICE_INIT("/nowhere/%20"), "unknown", SLICE_INIT("/nowhere/%20"), NONE},
};

static void paths_have_one_spelling(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		const struct spelling *row = &spellings[i];
		const char *what = row->canonical.ptr;
		is_routed(what, route_with(row->method, row->path, NULL, false));
		if (strcmp(docker_operation_name(request.id), row->operation) != 0) {
			fail_msg("%s is %s", what, docker_operation_name(request.id));
		}
		assert_slice(what, request.path, row->canonical);
		assert_that(what, (request.name.ptr == NULL) == (row->name.ptr == NULL));
		if (row->name.ptr != NULL) {
			assert_slice(what, request.name, row->name);
		}
	}
}

static void versions_are_numbers(void **state)
{
	static const struct {
		const char *path;
		struct docker_version version;
		const char *bare;
	} rows[] = {
	        {"/info", {0, 0, 0, 0}, "/info"},
	        {"/v1.41/info", {1, 41, 0, 2}, "/info"},
	        {"/v01.041/info", {1, 41, 0, 2}, "/info"},
	        {"/v5.2.1/info", {5, 2, 1, 3}, "/info"},
	        {"/v1/info", {1, 0, 0, 1}, "/info"},
	        {"/v1.0/info", {1, 0, 0, 2}, "/info"},
	        {"/v65535.65535.65535/info", {65535, 65535, 65535, 3}, "/info"},
	        {"/v1.41", {1, 41, 0, 2}, "/"},
	        {"/v1.41/", {1, 41, 0, 2}, "/"},
	        {"/version", {0, 0, 0, 0}, "/version"},
	        {"/volumes", {0, 0, 0, 0}, "/volumes"},
	        {"/v", {0, 0, 0, 0}, "/v"},
	        {"/v5.3.0-dev/info", {5, 3, 0, 3}, "/info"},
	        {"/v1.41x/info", {1, 41, 0, 2}, "/info"},
	        {"/v4-/info", {4, 0, 0, 1}, "/info"},
	        {"/v1.41_x/info", {0, 0, 0, 0}, "/v1.41_x/info"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_routed(rows[i].path, route("GET", rows[i].path));
		assert_memory_equal(&request.version, &rows[i].version, sizeof(rows[i].version));
		assert_slice(rows[i].path, request.bare, slice_of(rows[i].bare));
	}
}

/* ── What is refused ─────────────────────────────────────────────────────── */

static const struct {
	enum docker_error error;
	struct slice path;
} refusals[] = {
        {DOCKER_BAD_RELATIVE, SLICE_INIT("")},
        {DOCKER_BAD_RELATIVE, SLICE_INIT("containers/json")},
        {DOCKER_BAD_RELATIVE, SLICE_INIT("%2fcontainers/json")},
        {DOCKER_BAD_RELATIVE, SLICE_INIT("*")},
        {DOCKER_BAD_ESCAPE, SLICE_INIT("/containers/%")},
        {DOCKER_BAD_ESCAPE, SLICE_INIT("/containers/%2")},
        {DOCKER_BAD_ESCAPE, SLICE_INIT("/containers/%zz/json")},
        {DOCKER_BAD_ESCAPE, SLICE_INIT("/containers/%2g/json")},
        {DOCKER_BAD_ESCAPE, SLICE_INIT("/containers/%u0061/json")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/v1.41%2fcontainers%2fjson")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/v1.41/containers%2Fjson")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/containers/web1%2fjson")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/containers/web1/attach%2fws")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/containers/a%2fb/json")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/containers/%2fweb1/json")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/images/busybox%2fjson")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/images/busybox%2f/json")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/images%2fbusybox/json")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/networks%2f")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/volumes/a%2fb")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/nowhere/a%2fb")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/libpod%2fcontainers/json")},
        {DOCKER_BAD_SLASH, SLICE_INIT("/libpod/manifests/a%2fb")},
        {DOCKER_BAD_EMPTY_SEGMENT, SLICE_INIT("//containers/json")},
        {DOCKER_BAD_EMPTY_SEGMENT, SLICE_INIT("/v1.41//containers/json")},
        {DOCKER_BAD_EMPTY_SEGMENT, SLICE_INIT("/containers//json")},
        {DOCKER_BAD_EMPTY_SEGMENT, SLICE_INIT("/containers/json//")},
        {DOCKER_BAD_EMPTY_SEGMENT, SLICE_INIT("/images/a//b/json")},
        {DOCKER_BAD_EMPTY_SEGMENT, SLICE_INIT("/images/a%2f%2fb/json")},
        {DOCKER_BAD_EMPTY_SEGMENT, SLICE_INIT("/images/%2fa/json")},
        {DOCKER_BAD_EMPTY_SEGMENT, SLICE_INIT("//")},
        {DOCKER_BAD_EMPTY_SEGMENT, SLICE_INIT("/networks//")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/./containers/json")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/images/../containers/json")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/images/%2e%2e/containers/json")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/images/.%2E/containers/json")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/images/a%2f..%2fb/json")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/images/a%2f%2e/json")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/containers/.")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/containers/..")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/networks/%2e")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/..")},
        {DOCKER_BAD_DOT_SEGMENT, SLICE_INIT("/v1.41/..")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers/a\\b/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers/a%5cb/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers%5Cjson")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers/web1%00/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers/web1\0/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers/web1%0a/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers/web1%0d%0aX/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers/%09/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/images/a%01b/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/images/a\x01\x62/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/networks/%7f")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/c\xc3\xb6ntainers/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/c%c3%b6ntainers/json")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers/a/js%efn")},
        {DOCKER_BAD_BYTE, SLICE_INIT("/containers/a/b%80/json")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v1..41/info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v4..0-dev/info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v4.0.0.-dev/info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v.1.41/info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v1.41./info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v./info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v1.2.3.4/info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v0.9/info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v0/info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v1.65536/info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v1.18446744073709551657/info")},
        {DOCKER_BAD_VERSION, SLICE_INIT("/v4294967297.41/info")},
};

static void what_two_could_read_in_two_ways_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		const enum docker_error error = route_with("GET", refusals[i].path, NULL, false);
		if (error != refusals[i].error) {
			fail_msg("%.*s: %s", SLICE_FMT(refusals[i].path), docker_error_text(error));
		}
	}
	/* The words of a name with slashes must not change under decoding either. */
	assert_int_equal(route("POST", "/v3.0.0/libpod/manifests/a%2fadd"), DOCKER_BAD_SLASH);
	assert_int_equal(
	        route("POST", "/libpod/manifests/a/registry/b%2fregistry%2fc"), DOCKER_BAD_SLASH);
	assert_int_equal(route("POST", "/libpod/images/scp/a%2fpush"), DOCKER_BAD_SLASH);
	assert_int_equal(route("DELETE", "/libpod/images%2fremove"), DOCKER_BAD_SLASH);
	assert_int_equal(route("OPTIONS", "/containers/a%2fb"), DOCKER_BAD_SLASH);
	assert_int_equal(route("OPTIONS", "*/"), DOCKER_BAD_RELATIVE);
}

/* The Engine takes the first value, podman the last. */
static void a_key_that_decides_is_there_once(void **state)
{
	static const char *const queries[] = {
	        "fromImage=busybox&fromImage=", "fromImage=&fromImage=busybox",
	        "fromImage&fromImage=busybox", "%66romImage=a&fromSrc=-&from%49mage=a"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		assert_int_equal(route_with("POST", SLICE("/images/create"), queries[i], false),
		        DOCKER_BAD_REPEATED_KEY);
		assert_int_equal(
		        route_with("POST", SLICE("/images/load"), queries[i], false), DOCKER_OK);
	}
	assert_int_equal(
	        route_with("POST", SLICE("/containers/a/start"), "checkpoint=&checkpoint=c", false),
	        DOCKER_BAD_REPEATED_KEY);
	assert_int_equal(route_with("POST", SLICE("/containers/a/start"),
	                         "checkpoint=c&checkpoint=c", false),
	        DOCKER_BAD_REPEATED_KEY);
	assert_int_equal(route_with("POST", SLICE("/containers/a/start"),
	                         "checkpoint-dir=&checkpoint-dir=/etc", false),
	        DOCKER_BAD_REPEATED_KEY);
	assert_int_equal(
	        route_with("POST", SLICE("/containers/a/stop"), "checkpoint=&checkpoint=c", false),
	        DOCKER_OK);
}

static void queries_with_two_readings_are_refused(void **state)
{
	static const struct {
		const char *query;
		enum docker_error error;
	} rows[] = {
	        {NULL, DOCKER_OK},
	        {"", DOCKER_OK},
	        {"all=1&size=0", DOCKER_OK},
	        {"filters=%7B%22label%22%3a%5B%22a%3bb%22%5d%7D", DOCKER_OK},
	        {"filters={\"label\":[\"a|b\"]}", DOCKER_OK},
	        {"path=/../etc//", DOCKER_OK},
	        {"a=%00", DOCKER_OK},
	        {"all=1;size=1", DOCKER_BAD_SEMICOLON},
	        {";", DOCKER_BAD_SEMICOLON},
	        {"a=%", DOCKER_BAD_ESCAPE},
	        {"a=%4", DOCKER_BAD_ESCAPE},
	        {"a=%zz&b=1", DOCKER_BAD_ESCAPE},
	        {"%41%4", DOCKER_BAD_ESCAPE},
	        {"a=%%3b", DOCKER_BAD_ESCAPE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(
		        route_with("GET", SLICE("/info"), rows[i].query, false), rows[i].error);
	}
}

/* "/networks/" and `count` times `unit`. */
static enum docker_error route_long(const char *unit, size_t count)
{
	static char path[4 * DOCKER_PATH_MAX];
	size_t len = strlen("/networks/");

	memcpy(path, "/networks/", len);
	for (size_t i = 0; i < count; i++) {
		memcpy(path + len, unit, strlen(unit));
		len += strlen(unit);
	}
	return route_with("GET", (struct slice){path, len}, NULL, false);
}

static void a_path_has_a_ceiling(void **state)
{
	const size_t room = DOCKER_PATH_MAX - strlen("/networks/");

	(void)state;
	assert_int_equal(route_long("a", room), DOCKER_OK);
	assert_int_equal(request.path.len, DOCKER_PATH_MAX);
	assert_int_equal(route_long("a", room + 1), DOCKER_BAD_TOO_LONG);
	/* What counts is what is sent. */
	assert_int_equal(route_long("%61", room), DOCKER_OK);
	assert_int_equal(request.path.len, DOCKER_PATH_MAX);
	assert_int_equal(route_long("%61", room + 1), DOCKER_BAD_TOO_LONG);
	assert_int_equal(route_long(" ", room / 3), DOCKER_OK);
	assert_int_equal(route_long(" ", room / 3 + 1), DOCKER_BAD_TOO_LONG);
}

static void every_reason_has_words(void **state)
{
	static const enum docker_error all[] = {
#define DOCKER_ERROR(name, text) DOCKER_BAD_##name,
#include "docker/errors.def"
#undef DOCKER_ERROR
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_true(strlen(docker_error_text(all[i])) > 20);
	}
}

static void raw_streams_have_two_types(void **state)
{
	(void)state;
	assert_true(docker_is_raw_stream(SLICE("application/vnd.docker.raw-stream")));
	assert_true(docker_is_raw_stream(SLICE("application/vnd.docker.multiplexed-stream")));
	assert_false(docker_is_raw_stream(SLICE("application/json")));
	assert_false(docker_is_raw_stream(SLICE("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_no_row_fits_is_told_apart),
	        cmocka_unit_test(sections_and_methods_of_what_no_row_fits),
	        cmocka_unit_test(what_no_row_fits_may_be_served_by_one),
	        cmocka_unit_test(the_query_decides_as_the_engine_reads_it),
	        cmocka_unit_test(a_start_from_a_checkpoint_is_another_operation),
	        cmocka_unit_test(a_version_makes_other_operations_of_podmans_manifests),
	        cmocka_unit_test(a_body_makes_an_old_start_another_operation),
	        cmocka_unit_test(paths_have_one_spelling),
	        cmocka_unit_test(versions_are_numbers),
	        cmocka_unit_test(what_two_could_read_in_two_ways_is_refused),
	        cmocka_unit_test(a_key_that_decides_is_there_once),
	        cmocka_unit_test(queries_with_two_readings_are_refused),
	        cmocka_unit_test(a_path_has_a_ceiling),
	        cmocka_unit_test(every_reason_has_words),
	        cmocka_unit_test(raw_streams_have_two_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
