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

/* The findings about a body, each in a line: "POINTER 'WORD'" or "POINTER: PROBLEM". */
static const char *inspect(const char *what, const char *keys, const char *body)
{
	static struct docker_request request;
	struct slice query = slice_of(target_of(what));
	struct slice path = {"", 0};
	assert_true(slice_next(&query, '?', &path));
	const struct docker_target target = {
	        .method = SLICE("POST"), .path = path, .query = query, .has_body = true};
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
		sent = inspect_body(operation, &request, slice_of(body), memory, &findings);
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
        /* Nothing is asked for. */
        {"create", "{}", "{}", ""},
        {"create", "{}", "{\"HostConfig\":null,\"NetworkingConfig\":null}", ""},
        {"create", "{}", "{\"Image\":\"a\",\"Cmd\":\"x\",\"Entrypoint\":[\"y\"],\"Runtime\":null}",
                ""},
        {"create", "{}", HOST("\"Binds\":null,\"CapAdd\":[],\"Privileged\":false"), ""},
        /* Switches. */
        {"create", "{}", HOST("\"Privileged\":true"), "/HostConfig/Privileged ''"},
        {"create", "{privileged: true}", HOST("\"Privileged\":true"), ""},
        {"create", "{}", HOST("\"pRIVILEGED\":true"), "/HostConfig/pRIVILEGED ''"},
        {"create", "{}", HOST("\"MaskedPaths\":[]"), "/HostConfig/MaskedPaths ''"},
        {"create", "{}", HOST("\"ReadonlyPaths\":[\"/a\"]"), "/HostConfig/ReadonlyPaths ''"},
        {"create", "{masked_paths: true}", HOST("\"MaskedPaths\":[],\"ReadonlyPaths\":[]"), ""},
        {"create", "{}", HOST("\"DeviceRequests\":[{\"Driver\":\"\",\"Count\":-1}]"),
                "/HostConfig/DeviceRequests/0 ''"},
        {"create", "{device_requests: true}",
                HOST("\"DeviceRequests\":[{\"Capabilities\":[[\"gpu\"]]}]"), ""},
        {"create", "{}", HOST("\"OomScoreAdj\":-1,\"OomKillDisable\":true"),
                "/HostConfig/OomScoreAdj '-1'\n/HostConfig/OomKillDisable ''"},
        {"create", "{}", HOST("\"CpuRealtimePeriod\":1,\"CpuRealtimeRuntime\":2"),
                "/HostConfig/CpuRealtimePeriod '1'\n/HostConfig/CpuRealtimeRuntime '2'"},
        {"create", "{}", HOST("\"OomScoreAdj\":500,\"CpuRealtimePeriod\":0"), ""},
        {"create", "{priority: true}", HOST("\"OomScoreAdj\":-1,\"CpuRealtimePeriod\":9"), ""},
        /* Bind mounts and volumes. */
        {"create", "{}", HOST("\"Binds\":[\"/etc:/x\"]"), "/HostConfig/Binds/0 '/etc'"},
        {"create", "{bind_sources: [/srv/ci/]}",
                HOST("\"Binds\":[\"/srv/ci:/a\",\"/srv/ci/b:/b:ro,z\",\"/srv/ci/:/c\"]"), ""},
        {"create", "{bind_sources: [/srv/ci]}",
                HOST("\"Binds\":[\"/srv/ci-x:/a\",\"/srv:/b\",\"/:/c\"]"),
                "/HostConfig/Binds/0 '/srv/ci-x'\n/HostConfig/Binds/1 '/srv'\n"
                "/HostConfig/Binds/2 '/'"},
        {"create", "{bind_sources: [/srv/ci]}", HOST("\"Binds\":[\"/srv/ci/../x:/a\"]"),
                "/HostConfig/Binds/0: must be an absolute path without '.', '..', empty segments, "
                "commas and colons"},
        {"create", "{bind_sources: [/srv/ci]}", HOST("\"Binds\":[\"/srv//ci:/a\"]"),
                "/HostConfig/Binds/0: must be an absolute path without '.', '..', empty segments, "
                "commas and colons"},
        {"create", "{bind_sources: [/]}", HOST("\"Binds\":[\"/etc:/a\"]"), ""},
        {"create", "{bind_sources: any}", HOST("\"Binds\":[\"/etc:/a\"]"), ""},
        {"create", "{bind_sources: [/a], bind_below: false}",
                HOST("\"Binds\":[\"/a/:/x\",\"/a/b:/x\"]"), "/HostConfig/Binds/1 '/a/b'"},
        {"create", "{bind_sources: [/a], bind_below: false}",
                MOUNT("\"Type\":\"bind\",\"Source\":\"/a/b\""),
                "/HostConfig/Mounts/0/Source '/a/b'"},
        {"create", "{bind_sources: [/a], writable_binds: false}",
                HOST("\"Binds\":[\"/a:/x\",\"/a:/y:ro,z\",\"/a:/z:rw\"]"),
                "/HostConfig/Binds/0 '/a'\n/HostConfig/Binds/2 '/a'"},
        {"create", "{bind_sources: [/a], writable_binds: false}",
                MOUNT("\"Type\":\"bind\",\"Source\":\"/a\",\"ReadOnly\":true"), ""},
        {"create", "{bind_sources: [/a], writable_binds: false}",
                MOUNT("\"Type\":\"bind\",\"Source\":\"/a\",\"ReadOnly\":true,\"BindOptions\":"
                      "{\"ReadOnlyNonRecursive\":true}"),
                "/HostConfig/Mounts/0/Source '/a'"},
        {"create", "{}", HOST("\"Binds\":[\"~/a:/a\"]"),
                "/HostConfig/Binds/0: is neither an absolute path nor the name of a volume"},
        {"create", "{}", HOST("\"Binds\":[\":/a\"]"), "/HostConfig/Binds/0: has no source"},
        {"create", "{}", HOST("\"Binds\":[\"v:/a:nocopy\",\"/only\"]"), ""},
        {"create", "{volumes: none}", HOST("\"Binds\":[\"v:/a\",\"/only\"]"),
                "/HostConfig/Binds/0 'v'\n/HostConfig/Binds/1 ''"},
        {"create", "{bind_sources: any}", HOST("\"Binds\":[\"/a:/a:rw,rshared\"]"),
                "/HostConfig/Binds/0 'rshared'"},
        {"create", "{bind_sources: any, propagation: true}",
                HOST("\"Binds\":[\"/a:/a:O,upperdir=/etc\"]"),
                "/HostConfig/Binds/0: is not an option of a bind that Docker knows\n"
                "/HostConfig/Binds/0: is not an option of a bind that Docker knows"},
        {"create", "{bind_sources: any, propagation: true}",
                HOST("\"Binds\":[\"/a:/a:rw,rshared\"]"), ""},
        {"create", "{}", MOUNT("\"Type\":\"bind\",\"Source\":\"/etc\""),
                "/HostConfig/Mounts/0/Source '/etc'"},
        {"create", "{bind_sources: [/etc]}", MOUNT("\"type\":\"bind\",\"SOURCE\":\"/etc/a\""), ""},
        {"create", "{bind_sources: any}", MOUNT("\"Type\":\"bind\",\"Source\":\"x\""),
                "/HostConfig/Mounts/0/Source: must be an absolute path without '.', '..', empty "
                "segments, "
                "commas and colons"},
        {"create", "{bind_sources: any}",
                MOUNT("\"Type\":\"bind\",\"Source\":\"/a\",\"BindOptions\":{\"Propagation\":"
                      "\"shared\"}"),
                "/HostConfig/Mounts/0/BindOptions/Propagation 'shared'"},
        {"create", "{bind_sources: any}",
                MOUNT("\"Type\":\"bind\",\"Source\":\"/a\",\"BindOptions\":{\"Propagation\":"
                      "\"rprivate\"}"),
                ""},
        {"create", "{}", MOUNT("\"Type\":\"npipe\""),
                "/HostConfig/Mounts/0/Type: is not bind, volume, image or tmpfs"},
        {"create", "{}", HOST("\"Mounts\":[null],\"Ulimits\":[null]"),
                "/HostConfig/Mounts/0: must not be null\n/HostConfig/Ulimits/0: must not be null"},
        {"create", "{}", MOUNT("\"Type\":\"volume\",\"Source\":\"v\""), ""},
        {"create", "{}", MOUNT("\"Type\":\"volume\",\"Source\":\"/v\""),
                "/HostConfig/Mounts/0/Source: is neither an absolute path nor the name of a "
                "volume"},
        {"create", "{volumes: none}", MOUNT("\"Type\":\"volume\""),
                "/HostConfig/Mounts/0/Source ''"},
        {"create", "{}",
                MOUNT("\"Type\":\"volume\",\"VolumeOptions\":{\"DriverConfig\":{\"Name\":\"nfs\","
                      "\"Options\":{\"o\":\"bind\",\"named\":\"\"}}}"),
                "/HostConfig/Mounts/0/VolumeOptions/DriverConfig/Name 'nfs'\n"
                "/HostConfig/Mounts/0/VolumeOptions/DriverConfig/Options/o 'o'\n"
                "/HostConfig/Mounts/0/VolumeOptions/DriverConfig/Options/named 'named'"},
        {"create", "{volumes: any}",
                MOUNT("\"Type\":\"volume\",\"VolumeOptions\":{\"DriverConfig\":{\"Name\":\"nfs\","
                      "\"Options\":{\"o\":\"bind\"}}}"),
                ""},
        {"create", "{labels: ['!x.*']}",
                MOUNT("\"Type\":\"volume\",\"VolumeOptions\":{\"Labels\":{\"x.y\":\"1\"}}"),
                "/HostConfig/Mounts/0/VolumeOptions/Labels/x.y 'x.y'"},
        {"create", "{images: [busybox]}", MOUNT("\"Type\":\"image\",\"Source\":\"alpine\""),
                "/Image: must be given\n/HostConfig/Mounts/0/Source 'alpine'"},
        {"create", "{}",
                MOUNT("\"Type\":\"tmpfs\",\"TmpfsOptions\":{\"Options\":[[\"exec\"],"
                      "[\"size\",\"64m\"],[\"suid\"]]}"),
                "/HostConfig/Mounts/0/TmpfsOptions/Options/2 'suid'"},
        {"create", "{}", HOST("\"Tmpfs\":{\"/t\":\"rw,size=1m,dev\",\"/u\":\"\"}"),
                "/HostConfig/Tmpfs/~1t 'dev'"},
        {"create", "{tmpfs_options: [dev]}", HOST("\"Tmpfs\":{\"/t\":\"dev\"}"), ""},
        {"create", "{volumes: none}", "{\"Volumes\":{\"/v\":{}}}", "/Volumes/~1v ''"},
        {"create", "{}", "{\"Volumes\":{\"/v\":{}}}", ""},
        {"create", "{}", "{\"Volumes\":{\"/v\":{\"a\":1}}}",
                "/Volumes/~1v/a: this version does not know the field"},
        {"create", "{}", HOST("\"VolumeDriver\":\"nfs\""), "/HostConfig/VolumeDriver 'nfs'"},
        {"create", "{}", HOST("\"VolumeDriver\":\"local\""), ""},
        {"create", "{}", HOST("\"VolumesFrom\":[\"a:ro\"]"), "/HostConfig/VolumesFrom/0 'a'"},
        {"create", "{volumes_from: [a]}", HOST("\"VolumesFrom\":[\"a:ro\"]"), ""},
        {"create", "{}", HOST("\"StorageOpt\":{\"size\":\"1\",\"x\":\"\"}"),
                "/HostConfig/StorageOpt/x 'x'"},
        /* Bytes at which podman splits words. */
        {"create", "{}", "{\"Volumes\":{\"/etc:/x\":{}}}",
                "/Volumes/~1etc:~1x: has a comma, a colon or a quote"},
        {"create", "{bind_sources: any}",
                MOUNT("\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/x,source=/\","
                      "\"Consistency\":\"a,b\""),
                "/HostConfig/Mounts/0/Target: has a comma, a colon or a quote\n"
                "/HostConfig/Mounts/0/Consistency: has a comma, a colon or a quote"},
        {"create", "{bind_sources: [/srv]}",
                MOUNT("\"Type\":\"bind\",\"Source\":\"/srv/x,source=/etc\""),
                "/HostConfig/Mounts/0/Source: must be an absolute path without '.', '..', empty "
                "segments, commas and colons"},
        {"create", "{}", HOST("\"Tmpfs\":{\"/x:dev\":\"\"}"),
                "/HostConfig/Tmpfs/~1x:dev: has a comma, a colon or a quote"},
        {"create", "{networks: ['ci-*']}", HOST("\"NetworkMode\":\"ci-a,b\""),
                "/HostConfig/NetworkMode: has a comma"},
        /* Images. */
        {"create", "{images: [busybox]}", "{\"Image\":\"busybox\"}", ""},
        {"create", "{images: [busybox]}", "{\"Image\":\"docker.io/library/busybox:latest\"}", ""},
        {"create", "{images: [docker.io/busybox]}", "{\"Image\":\"library/busybox\"}", ""},
        {"create", "{images: [busybox]}", "{\"Image\":\"index.docker.io/library/busybox\"}", ""},
        {"create", "{images: [busybox]}", "{\"Image\":\"busybox:1\"}", "/Image 'busybox:1'"},
        {"create", "{images: [busybox]}", "{\"Image\":\"evil/busybox\"}", "/Image 'evil/busybox'"},
        {"create", "{images: [busybox]}", "{\"Image\":\"library/a/busybox\"}",
                "/Image 'library/a/busybox'"},
        {"create", "{images: [busybox]}", "{\"Image\":\"BusyBox\"}", "/Image 'BusyBox'"},
        {"create", "{images: [busybox]}", "{\"Image\":\"busybox@sha256:aa\"}",
                "/Image 'busybox@sha256:aa'"},
        {"create", "{images: ['r.io/ci/*@sha256:*']}", "{\"Image\":\"r.io/ci/a:1@sha256:aa\"}", ""},
        {"create", "{images: ['r.io/ci/*@sha256:*']}", "{\"Image\":\"r.io/ci/a:1\"}",
                "/Image 'r.io/ci/a:1'"},
        {"create", "{images: ['r.io/ci/*']}", "{\"Image\":\"r.io/ci/a/b\"}",
                "/Image 'r.io/ci/a/b'"},
        {"create", "{images: ['r.io/**']}", "{\"Image\":\"r.io/ci/a/b:2\"}", ""},
        {"create", "{images: ['*']}", "{\"Image\":\"sha256:0123456789ab\"}",
                "/Image 'sha256:0123456789ab'"},
        {"create", "{images: ['*']}", "{\"Image\":\"0123456789ab\"}", "/Image '0123456789ab'"},
        {"create", "{images: ['*', cafe]}", "{\"Image\":\"cafe\"}", ""},
        {"create", "{images: none}", "{\"Image\":\"a\"}", "/Image 'a'"},
        {"create", "{}", "{\"Image\":\"sha256:0123456789ab\"}", ""},
        {"create", "{images: [a]}", "{\"Image\":\"\"}", "/Image: must be given"},
        /* Kernel and devices. */
        {"create", "{}", HOST("\"Capabilities\":[\"CHOWN\"]"),
                "/HostConfig/Capabilities/0 'CHOWN'"},
        {"create", "{}", HOST("\"CapAdd\":[\"cap_sys_admin\"]"),
                "/HostConfig/CapAdd/0 'cap_sys_admin'"},
        {"create", "{capabilities: [net_bind_service]}",
                HOST("\"CapAdd\":[\"CAP_NET_BIND_SERVICE\",\"net_bind_SERVICE\",\"ALL\"]"),
                "/HostConfig/CapAdd/2 'ALL'"},
        {"create", "{capabilities: [ALL]}", HOST("\"CapAdd\":[\"ALL\",\"SYS_ADMIN\"]"), ""},
        {"create", "{}", HOST("\"Devices\":[{\"PathOnHost\":\"/dev/sda\"}]"),
                "/HostConfig/Devices/0/PathOnHost '/dev/sda'"},
        {"create", "{devices: [/dev/dri]}",
                HOST("\"Devices\":[{\"PathOnHost\":\"/dev/dri/card0\"},"
                     "{\"PathOnHost\":\"/dev/dri/../sda\"}]"),
                "/HostConfig/Devices/1/PathOnHost '/dev/dri/../sda'"},
        {"create", "{}", HOST("\"DeviceCgroupRules\":[\"a *:* rwm\"]"),
                "/HostConfig/DeviceCgroupRules/0 'a *:* rwm'"},
        {"create", "{}",
                HOST("\"SecurityOpt\":[\"seccomp:unconfined\",\"no-new-privileges:true\","
                     "\"no-new-privileges=false\"]"),
                "/HostConfig/SecurityOpt/0 'seccomp:unconfined'\n"
                "/HostConfig/SecurityOpt/2 'no-new-privileges=false'"},
        {"create", "{security_opt: ['label=*']}", HOST("\"SecurityOpt\":[\"label:disable\"]"), ""},
        {"create", "{}", HOST("\"Sysctls\":{\"net.a\":\"1\"}"),
                "/HostConfig/Sysctls/net.a 'net.a'"},
        {"create", "{sysctls: ['net.*']}", HOST("\"Sysctls\":{\"net.a\":\"1\",\"kernel.b\":\"\"}"),
                "/HostConfig/Sysctls/kernel.b 'kernel.b'"},
        {"create", "{}", HOST("\"Runtime\":\"runc\",\"CgroupParent\":\"/a\""),
                "/HostConfig/Runtime 'runc'\n/HostConfig/CgroupParent '/a'"},
        {"create", "{}", HOST("\"Annotations\":{\"run.oci.x\":\"\"}"),
                "/HostConfig/Annotations/run.oci.x 'run.oci.x'"},
        {"create", "{}", HOST("\"GroupAdd\":[\"0\"]"), "/HostConfig/GroupAdd/0 '0'"},
        {"create", "{}",
                HOST("\"LogConfig\":{\"Type\":\"syslog\",\"Config\":{\"max-size\":\"1\","
                     "\"syslog-address\":\"x\"}}"),
                "/HostConfig/LogConfig/Type 'syslog'\n"
                "/HostConfig/LogConfig/Config/syslog-address 'syslog-address'"},
        {"create", "{restart: ['no']}", HOST("\"RestartPolicy\":{\"Name\":\"always\"}"),
                "/HostConfig/RestartPolicy/Name 'always'"},
        /* Namespaces and networks. */
        {"create", "{}",
                HOST("\"PidMode\":\"host\",\"IpcMode\":\"shareable\",\"UTSMode\":\"host\","
                     "\"UsernsMode\":\"host\",\"CgroupnsMode\":\"host\",\"Cgroup\":\"container:"
                     "a\""),
                "/HostConfig/PidMode 'pid=host'\n/HostConfig/IpcMode 'ipc=shareable'\n"
                "/HostConfig/UTSMode 'uts=host'\n/HostConfig/UsernsMode 'user=host'\n"
                "/HostConfig/CgroupnsMode 'cgroup=host'\n/HostConfig/Cgroup "
                "'container=container:a'"},
        {"create", "{namespaces: ['pid=container:*']}", HOST("\"PidMode\":\"container:a\""), ""},
        {"create", "{}", HOST("\"IpcMode\":\"private\",\"CgroupnsMode\":\"private\""), ""},
        {"create", "{}", HOST("\"NetworkMode\":\"host\""), "/HostConfig/NetworkMode 'host'"},
        {"create", "{networks: any}", HOST("\"NetworkMode\":\"container:a\""),
                "/HostConfig/NetworkMode 'container:a'"},
        {"create", "{networks: ['*']}", HOST("\"NetworkMode\":\"host\""),
                "/HostConfig/NetworkMode 'host'"},
        {"create", "{networks: [host, 'container:*']}", HOST("\"NetworkMode\":\"container:a\""),
                ""},
        {"create", "{}", HOST("\"NetworkMode\":\"hostile\""), ""},
        {"create", "{networks: [ci]}", HOST("\"NetworkMode\":\"ci\""), ""},
        {"create", "{networks: [ci]}", HOST("\"NetworkMode\":\"default\""),
                "/HostConfig/NetworkMode 'bridge'"},
        {"create", "{networks: [ci]}", HOST(""), "/HostConfig/NetworkMode 'bridge'"},
        {"create", "{networks: [ci]}", "{}", "/HostConfig/NetworkMode 'bridge'"},
        {"create", "{networks: [ci]}", HOST("\"NetworkMode\":\"none\""), ""},
        {"create", "{networks: ['!ci']}", HOST("\"NetworkMode\":\"host\""),
                "/HostConfig/NetworkMode 'host'"},
        {"create", "{}", "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"host\":null}}}",
                "/NetworkingConfig/EndpointsConfig/host 'host'"},
        {"create", "{}",
                "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{\"Links\":[\"x\"],"
                "\"NetworkID\":\"host\",\"DriverOpts\":{\"o\":\"\"}},\"default\":{}}}}",
                "/NetworkingConfig/EndpointsConfig/a/Links/0 'x'\n"
                "/NetworkingConfig/EndpointsConfig/a/NetworkID 'host'\n"
                "/NetworkingConfig/EndpointsConfig/a/DriverOpts/o 'o'"},
        {"create", "{}", HOST("\"Links\":[\"db:db\"]"), "/HostConfig/Links/0 'db:db'"},
        {"create", "{extra_hosts: none}", HOST("\"ExtraHosts\":[\"a:b\"]"),
                "/HostConfig/ExtraHosts/0 'a:b'"},
        {"create", "{}",
                HOST("\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"8080\"}],\"81/tcp\":null,"
                     "\"82/tcp\":[null]},\"PublishAllPorts\":true"),
                "/HostConfig/PortBindings '0.0.0.0:0'\n"
                "/HostConfig/PortBindings/80~1tcp/0 '0.0.0.0:8080'\n"
                "/HostConfig/PortBindings/82~1tcp/0: must not be null\n"
                "/HostConfig/PublishAllPorts '0.0.0.0:0'"},
        {"create", "{publish: ['127.0.0.1:*']}",
                HOST("\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\"}]},"
                     "\"PublishAllPorts\":false"),
                ""},
        {"connect", "{networks: [ci]}", "{\"Container\":\"a\"}", ""},
        {"connect", "{networks: [other]}", "{\"Container\":\"a\"}", "path 'ci'"},
        {"connect-host", "{}", "{\"Container\":\"a\"}", "path 'host'"},
        {"network", "{}",
                "{\"Name\":\"n\",\"Driver\":\"macvlan\",\"Options\":{\"parent\":\"eth0\"}}",
                "/Driver 'macvlan'\n/Options/parent 'parent'"},
        {"network", "{}",
                "{\"Scope\":\"swarm\",\"Ingress\":true,\"ConfigOnly\":true,\"ConfigFrom\":"
                "{\"Network\":\"x\"},\"IPAM\":{\"Driver\":\"x\",\"Options\":{\"a\":\"\"}},"
                "\"Labels\":{\"docker-socket-proxy.owner\":\"\"}}",
                "/Scope 'swarm'\n/Ingress ''\n/ConfigOnly ''\n"
                "/ConfigFrom/Network 'x'\n/IPAM/Driver 'x'\n/IPAM/Options/a 'a'\n"
                "/Labels/docker-socket-proxy.owner 'docker-socket-proxy.owner'"},
        {"network", "{}",
                "{\"Name\":\"n\",\"Driver\":\"bridge\",\"IPAM\":{\"Driver\":\"default\",\"Config\":"
                "[{\"Subnet\":\"192.0.2.0/24\"}]},\"Options\":{}}",
                "/IPAM/Config/0/Subnet '192.0.2.0/24'"},
        {"network", "{subnets: [192.0.2.0/24]}",
                "{\"Name\":\"n\",\"IPAM\":{\"Config\":[{\"Subnet\":\"192.0.2.0/24\"}]}}", ""},
        {"network", "{subnets: [192.0.0.0/16, '2001:db8::/32']}",
                "{\"Name\":\"n\",\"IPAM\":{\"Config\":[{\"Subnet\":\"192.0.2.0/24\"},"
                "{\"Subnet\":\"2001:db8:1::/64\"},{\"Subnet\":\"192.0.2.0/1\"},"
                "{\"Subnet\":\"192.1.0.0/24\"},{\"Subnet\":\"192.0.2.0\"},{\"Subnet\":\"192.0.2.0/"
                "33\"},"
                "{\"Subnet\":\"::/0\"}]}}",
                "/IPAM/Config/2/Subnet '192.0.2.0/1'\n/IPAM/Config/3/Subnet '192.1.0.0/24'\n"
                "/IPAM/Config/4/Subnet '192.0.2.0'\n/IPAM/Config/5/Subnet '192.0.2.0/33'\n"
                "/IPAM/Config/6/Subnet '::/0'"},
        {"network", "{}",
                "{\"Name\":\"n\",\"Driver\":\"bridge\",\"IPAM\":{\"Driver\":\"default\",\"Config\":"
                "[]},\"Options\":{}}",
                ""},
        /* Volumes. */
        {"volume", "{}", "{\"Name\":\"v\",\"Driver\":\"local\",\"DriverOpts\":{}}", ""},
        {"volume", "{}",
                "{\"Driver\":\"x\",\"DriverOpts\":{\"type\":\"none\"},\"ClusterVolumeSpec\":{}}",
                "/Driver 'x'\n/DriverOpts/type 'type'\n/ClusterVolumeSpec ''"},
        {"volume", "{volumes: none}", "{\"Name\":\"v\"}", " ''"},
        {"volume", "{volumes: any}", "{\"Driver\":\"x\",\"DriverOpts\":{\"type\":\"none\"}}", ""},
        /* Words. */
        {"create", "{user: ['1000', '1000:*']}", "{\"User\":\"1000:1\"}", ""},
        {"create", "{user: ['1000']}", "{\"User\":\"0\"}", "/User '0'"},
        {"create", "{user: ['1000']}", "{}", "/User: must be given"},
        {"create", "{user: ['1000']}", "{\"User\":null}", "/User: must be given"},
        {"create", "{user: ['1000']}", "{\"User\":\"\"}", "/User: must be given"},
        /* The Engine takes all of these for the same user. */
        {"create", "{user: ['!root', '!0', '!0:*']}", "{}", "/User: must be given"},
        {"create", "{user: ['!root', '!0', '!0:*']}", "{\"User\":\"00\"}",
                "/User: must be a name, or a number without a sign and zeros in front"},
        {"create", "{user: ['!root', '!0', '!0:*']}", "{\"User\":\"+0:0\"}",
                "/User: must be a name, or a number without a sign and zeros in front"},
        {"create", "{user: ['!root', '!0', '!0:*']}", "{\"User\":\"0:5\"}",
                "/User '0:5'\n/User '0'"},
        {"create", "{user: ['!root', '!0']}", "{\"User\":\"0:0\"}", "/User '0'"},
        {"create", "{user: ['!root', '!0']}", "{\"User\":\"0:\"}", "/User '0'"},
        {"create", "{user: ['!root', '!0', '!0:*']}", "{\"User\":\"10:007\"}",
                "/User: must be a name, or a number without a sign and zeros in front"},
        {"create", "{user: ['!root', '!0', '!0:*']}", "{\"User\":\"10:10\"}", ""},
        {"create", "{}", "{\"User\":\"00\"}", ""},
        {"create", "{environment: ['!LD_*']}", "{\"Env\":[\"LD_X=1\",\"A=LD_\",\"LD_Y\"]}",
                "/Env/0 'LD_X'\n/Env/2 'LD_Y'"},
        {"create", "{environment: ['A*', '!AB']}", "{\"Env\":[\"AA=1\",\"AB=1\",\"B=1\"]}",
                "/Env/1 'AB'\n/Env/2 'B'"},
        {"create", "{labels: any}", "{\"Labels\":{\"docker-socket-proxy.owner\":\"x\"}}",
                "/Labels/docker-socket-proxy.owner 'docker-socket-proxy.owner'"},
        /* Types. */
        {"create", "{}", "[]", "body: must be an object"},
        {"create", "{}", "{", "body: the document is not complete"},
        {"create", "{}",
                "{\"Image\":1,\"Env\":{},\"Labels\":[],\"Tty\":0,\"HostConfig\":[],"
                "\"Cmd\":[1],\"StopTimeout\":1.5}",
                "/Image: must be a string\n/Env: must be a list\n/Labels: must be an object\n"
                "/Tty: must be true or false\n/HostConfig: must be an object\n"
                "/Cmd: must be a string or a list of strings\n"
                "/StopTimeout: must be an integer of 64 bits"},
        /* Names of maps are the client's; those of fields are not. */
        {"create", "{}", "{\"Labels\":{\"a\":\"\",\"A\":\"\",\"\xC3\xBC\":\"\"}}", ""},
        {"/build?buildargs={\"HTTP_PROXY\":\"a\",\"http_proxy\":\"b\"}", "{}", NULL, ""},
        {"create", "{unknown: allow}", "{\"Image\":\"a\",\"image\":\"b\"}",
                ": has names that are equal apart from the case of letters, or outside ASCII"},
        {"create", "{}", "{\"Ho\xC5\xBFtConfig\":{}}",
                ": has names that are equal apart from the case of letters, or outside ASCII"},
        {"create", "{}", HOST("\"Privileged\":false,\"privileged\":true"),
                "/HostConfig: has names that are equal apart from the case of letters, or outside "
                "ASCII"},
        {"create", "{unknown: allow}", "{\"New\":[{\"a\":1,\"A\":2}]}",
                "/New: has names that are equal apart from the case of letters, or outside ASCII"},
        {"create", "{}", "{\"New\":1,\"Old\":null}", "/New: this version does not know the field"},
        {"create", "{unknown: allow}", "{\"New\":{\"HostConfig\":{\"Privileged\":true}}}", ""},
        {"create", "{}", "{\"Privileged\":true,\"Binds\":[\"/:/h\"]}",
                "/Privileged: belongs into HostConfig\n"
                "/Binds: belongs into HostConfig"},
        /* Limits. */
        {"create", "{require: {memory: 1g}}", "{}", "/HostConfig/Memory: must be given"},
        {"create", "{require: {memory: 1g}}", HOST("\"Memory\":0"),
                "/HostConfig/Memory: is not within the limit"},
        {"create", "{require: {memory: 1g}}", HOST("\"Memory\":1073741824"), ""},
        {"create", "{require: {memory: 1g}}", HOST("\"Memory\":1073741825"),
                "/HostConfig/Memory: is not within the limit"},
        {"create", "{require: {memory: 1g}}", HOST("\"Memory\":1024,\"MemorySwap\":-1"),
                "/HostConfig/MemorySwap: is not within the limit"},
        {"create", "{require: {pids: 10}}", HOST("\"PidsLimit\":10"), ""},
        {"create", "{require: {pids: 10}}", HOST("\"PidsLimit\":-1"),
                "/HostConfig/PidsLimit: is not within the limit"},
        {"create", "{require: {pids: 10}}", HOST("\"PidsLimit\":null"),
                "/HostConfig/PidsLimit: must be given"},
        {"create", "{require: {cpus: 1.5}}", HOST("\"NanoCpus\":1500000000"), ""},
        {"create", "{require: {cpus: 1.5}}", HOST("\"NanoCpus\":1500000001"),
                "/HostConfig/NanoCpus: is not within the limit"},
        {"create", "{require: {cpus: 1.5}}", HOST("\"CpuQuota\":150000"), ""},
        {"create", "{require: {cpus: 1.5}}", HOST("\"CpuQuota\":150000,\"CpuPeriod\":50000"),
                "/HostConfig/CpuQuota: is not within the limit"},
        {"create", "{require: {cpus: 1.5}}", HOST("\"CpuQuota\":-1"),
                "/HostConfig/CpuQuota: is not within the limit"},
        {"create", "{require: {cpus: 1.5}}", HOST(""), "/HostConfig/NanoCpus: must be given"},
        {"create", "{require: {ulimits: {nofile: 64}}}", HOST(""),
                "/HostConfig/Ulimits: must be given"},
        {"create", "{require: {ulimits: {nofile: 64}}}",
                HOST("\"Ulimits\":[{\"Name\":\"nofile\",\"Hard\":65,\"Soft\":1}]"),
                "/HostConfig/Ulimits: is not within the limit"},
        {"create", "{require: {ulimits: {nofile: 64}}}",
                HOST("\"Ulimits\":[{\"Name\":\"nofile\",\"Hard\":64,\"Soft\":64}]"), ""},
        {"update", "{require: {memory: 1g, pids: 10, cpus: 1}}", "{}", ""},
        {"update", "{require: {memory: 1g, pids: 10, cpus: 1}}",
                "{\"Memory\":2147483648,\"PidsLimit\":0,\"CpuQuota\":1000}",
                "/Memory: is not within the limit\n/PidsLimit: is not within the limit\n"
                "/CpuPeriod: must be given"},
        {"update", "{}", "{\"Devices\":[{\"PathOnHost\":\"/dev/sda\"}]}",
                "/Devices/0/PathOnHost '/dev/sda'"},
        /* Commands. */
        {"exec", "{}", "{\"Cmd\":[\"sh\"],\"User\":\"0\",\"Tty\":true}", ""},
        {"exec", "{}", "{\"Privileged\":true,\"Cmd\":[\"sh\"]}", "/Privileged ''"},
        {"exec", "{privileged: true}", "{\"Privileged\":true}", ""},
        {"exec", "{user: ['1']}", "{\"Cmd\":[\"sh\"]}", "/User: must be given"},
        {"exec", "{commands: [ls *, 'cat /data/*', 'echo **']}", "{\"Cmd\":[\"ls\",\"a b\"]}", ""},
        {"exec", "{commands: [ls *]}", "{\"Cmd\":[\"ls\",\"a\",\"b\"]}", "/Cmd 'ls a b'"},
        {"exec", "{commands: [ls *]}", "{\"Cmd\":[\"ls a\"]}",
                "/Cmd: is not allowed; it has a word with a blank"},
        {"exec", "{commands: [ls]}", "{\"Cmd\":[]}", "/Cmd ''"},
        {"exec", "{commands: ['echo **']}", "{\"Cmd\":[\"echo\",\"a\",\"b\"]}", ""},
        {"exec", "{}", "{\"Cmd\":\"sh\"}", "/Cmd: must be a list of strings"},
        {"exec", "{environment: none}", "{\"Env\":[\"A=1\"]}", "/Env/0 'A'"},
        /* Queries. */
        {"/build", "{}", NULL, ""},
        {"/build?t=&networkmode=default&remote=client-session&labels=null&q", "{}", NULL, ""},
        {"/build?networkmode=host&n%65tworkmode=container%3Aa", "{network: any}", NULL,
                "?networkmode 'host'\n?networkmode 'container:a'"},
        {"/build?remote=http://a/b", "{}", NULL, "?remote ''"},
        {"/build?remote=http://a/b", "{remote: true}", NULL, ""},
        {"/build?t=ci/a:1&t=busybox", "{tags: ['ci/*']}", NULL, "?t 'busybox'"},
        {"/build?labels={\"docker-socket-proxy.owner\":\"x\"}", "{}", NULL,
                "?labels/docker-socket-proxy.owner 'docker-socket-proxy.owner'"},
        {"/build?labels={\"a\":1}&labels=[]&labels={", "{}", NULL,
                "?labels/a: must be a string\n?labels: must be an object\n"
                "?labels: the document is not complete"},
        {"/build?cachefrom=[\"ci/a\",\"b\"]", "{cache_from: ['ci/*']}", NULL, "?cachefrom/1 'b'"},
        {"/build?platform=linux/s390x", "{platforms: [linux/amd64]}", NULL,
                "?platform 'linux/s390x'"},
        {"/build?outputs=[{\"Type\":\"local\",\"Attrs\":{\"a\":\"b\"}},{\"Type\":\"image\"}]", "{}",
                NULL, "?outputs/1/Type 'image'"},
        {"/build?extrahosts=a:1", "{extra_hosts: none}", NULL, "?extrahosts 'a:1'"},
        {"/build?cgroupparent=/a&securityopt=seccomp:unconfined", "{}", NULL,
                "?cgroupparent '/a'\n?securityopt 'seccomp:unconfined'"},
        {"/build?new=1&T=a", "{}", NULL,
                "?new: this version does not know the parameter\n"
                "?T: this version does not know the parameter"},
        {"/build?new=1", "{unknown: allow}", NULL, ""},
        {"/images/create?fromImage=busybox&tag=latest", "{pull: [busybox]}", NULL, ""},
        {"/images/create?fromImage=docker.io/library/busybox:latest", "{pull: [busybox]}", NULL,
                ""},
        {"/images/create?fromImage=busybox", "{pull: [busybox]}", NULL, /* all tags */
                "?fromImage 'busybox:*'"},
        {"/images/create?fromImage=busybox", "{pull: ['busybox:*']}", NULL, ""},
        {"/images/create?fromImage=a:5000/b&tag=1", "{pull: ['a:5000/b:1']}", NULL, ""},
        {"/images/create?fromImage=a&tag=sha256:00", "{pull: ['a@sha256:*']}", NULL, ""},
        {"/images/create?fromImage=a:1&tag=2", "{pull: ['a:1']}", NULL,
                "?tag: the image has a tag already"},
        {"/images/create?fromImage=a&tag=1&tag=2", "{pull: ['a:1']}", NULL,
                "?tag: the parameter is given twice\n?fromImage 'a:2'"},
        {"/images/create?fromSrc=-", "{}", NULL, "path ''"},
        {"/images/create?fromSrc=-", "{import: true}", NULL, ""},
        {"/images/load", "{}", NULL, "path ''"},
        {"/images/load?quiet=1", "{load: true}", NULL, ""},
        {"/images/r.io/ci/a/push?tag=1", "{push: ['r.io/ci/*']}", NULL, ""},
        {"/images/r.io/x/a/push?tag=1", "{push: ['r.io/ci/*']}", NULL, "path 'r.io/x/a:1'"},
        {"/images/a/push", "{push: [a]}", NULL, "path 'a:*'"},
        {"/images/a/tag?repo=ci/a", "{tag: ['ci/*']}", NULL, ""},
        {"/images/a/tag?repo=busybox&tag=1", "{tag: ['ci/*']}", NULL, "?repo 'busybox:1'"},
        {"/images/a/tag?repo=busybox", "{tag: [busybox]}", NULL, ""},
        {"/commit?container=a", "{}", NULL, ""},
        {"/commit?container=a&repo=b&tag=c", "{}", NULL, "?repo 'b:c'"},
        {"exec", "{working_dir: [/data]}", "{\"WorkingDir\":\"/data/../etc\"}",
                "/WorkingDir '/data/../etc'"},
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
	char body[8192];

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
	for (unsigned n = 0; n < 300; n++) {
		text_add(&text, SLICE(",\"/run/docker.sock:/x\""));
	}
	text_add(&text, SLICE("]}}"));
	text_add_char(&text, '\0');
	assert_non_null(strstr(inspect("create", keys, body), "too many binds"));
}

static void a_block_says_what_it_leaves_root(void **state)
{
	static const char *const cases[][2] = {
	        {"{}", ""},
	        {"{bind_sources: [/srv/ci]}", "create.bind_sources"}, /* by a link below it */
	        {"{bind_sources: [/srv/ci], bind_below: false}", ""},
	        {"{bind_sources: [/srv/ci], writable_binds: false}", "create.bind_sources"},
	        {"{bind_sources: [/srv/ci, /srv/ci/cache], bind_below: false}",
	                "create.bind_sources"}, /* a link in place of the cache */
	        {"{bind_sources: [/srv/ci, /srv/cache], bind_below: false}", ""},
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
	        {"{log_options: ['*'], devices: [/dev/mapper/x]}",
	                "create.devices, create.log_options"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		const struct constraints *constraints = NULL;
		char list[512];
		struct text text = text_over(list, sizeof(list));
		assert_int_equal(read_block(INSPECT_CREATE, cases[i][0], &constraints), 0);
		constraints_add_root(constraints, &text);
		assert_slice(cases[i][0], text_slice(&text), slice_of(cases[i][1]));
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
	        {"[a]", "p.yaml:1: expected a 'create' block, which is a map; found a list"},
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_body_is_judged_by_its_fields),
	        cmocka_unit_test(every_field_with_a_key_is_tried),
	        cmocka_unit_test(the_engine_s_socket_becomes_that_of_the_proxy),
	        cmocka_unit_test(a_block_says_what_it_leaves_root),
	        cmocka_unit_test(what_is_wrong_with_a_block_is_named),
	        cmocka_unit_test(a_long_list_of_findings_is_cut),
	        cmocka_unit_test(a_query_that_is_too_long_is_refused),
	        cmocka_unit_test(a_denial_says_what_would_allow_the_body),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
