/* SPDX-License-Identifier: MIT */
/*
 * Bodies of requests under blocks. The first byte chooses the operation, the rest is the body. What
 * a block allows, it allows again as it goes to the Engine, and a block that allows everything
 * allows it too; what it does not allow has reasons that can be printed. Where the host's files are
 * seen, paths that lead to themselves change nothing, and paths that lead elsewhere are not
 * allowed.
 */
#include "fuzz.h"
#include "inspect/inspect.h"

#include <string.h>

static const char *const targets[] = {
        "/containers/create",
        "/containers/app/update",
        "/containers/app/exec",
        "/volumes/create",
        "/networks/create",
        "/networks/ci/connect",
        "/services/create",
        "/secrets/create",
};

/* Of each kind of value, in both blocks; the last allows everything. */
static const char *const policies[] = {
        "{create: {}, exec: {}}",
        "{create: {images: [busybox, 'registry.example.com/ci/*@sha256:*'], bind_sources: "
        "[/srv/ci],"
        " volumes: none, tmpfs_options: ['size=*'], capabilities: [NET_ADMIN], devices: "
        "[/dev/fuse],"
        " namespaces: [ipc=shareable, 'pid=container:*'], networks: ['ci-*'], publish: "
        "['127.0.0.1:*'],"
        " user: ['1000'], labels: ['!traefik.*'], environment: ['!LD_*'], secrets: [db],"
        " restart: ['no'], extra_hosts: ['db:*'], aliases: ['ci-*'],"
        " require: {memory: 2g, cpus: 1.5, pids: 512, ulimits: {nofile: 1024}}},"
        " exec: {user: ['1000'], commands: ['ls *', 'cat /data/* **'], working_dir: [/data]}}",
        "{create: {images: any, bind_sources: any, propagation: true, volumes: any, volumes_from: "
        "any,"
        " tmpfs_options: any, storage_options: any, privileged: true, capabilities: any, devices: "
        "any,"
        " device_rules: any, device_requests: true, namespaces: any,"
        " networks: any, subnets: any,"
        " endpoint_options: any, publish: any, links: any, extra_hosts: any, security_opt: any,"
        " masked_paths: true, sysctls: any, runtime: any, cgroup_parent: any, annotations: any,"
        " log_drivers: any, log_options: any, user: any, groups: any,"
        " labels: ['*', 'docker-socket-proxy.*'], environment: any, restart: any, priority: true,"
        " network_drivers: any, network_options: any, secrets: any, configs: any, plugins: true,"
        " unknown: allow},"
        " exec: {privileged: true, user: any, commands: any, environment: any, working_dir: any,"
        " unknown: allow}}",
};

enum { POLICIES = ARRAY_LEN(policies), SAID_MAX = 256 * 1024 };

static struct docker_request requests[ARRAY_LEN(targets)];
static const struct constraints *blocks[POLICIES][INSPECT_BLOCK_COUNT];

static void read_policy(unsigned number)
{
	static struct arena arena;
	char error[FAULT_MAX];
	const struct yaml_node *root = NULL;
	int code = yaml_read(slice_of(policies[number]), "fuzz.yaml", &arena, &root, error);

	ASSERT(code == 0);
	for (unsigned i = 0; i < INSPECT_BLOCK_COUNT; i++) {
		const enum inspect_block block = (enum inspect_block)i;
		const struct yaml_node *keys = yaml_find(root, inspect_block_name(block));
		code = keys == NULL ? 0
		                    : constraints_read(block, keys,
		                              &(struct inspect_setting){.is_preset = false}, &arena,
		                              &blocks[number][i], error);
		ASSERT(code == 0);
	}
}

static void prepare(void)
{
	for (unsigned i = 0; i < ARRAY_LEN(targets); i++) {
		const struct docker_target target = {
		        .method = SLICE("POST"), .path = slice_of(targets[i]), .has_body = true};
		const enum docker_error error = docker_route(&target, &requests[i]);
		ASSERT(error == DOCKER_OK && inspect_operation_of(requests[i].id) != NULL);
	}
	for (unsigned i = 0; i < POLICIES; i++) {
		read_policy(i);
	}
}

/* What goes to the Engine; whether the policy allows it. */
static bool judge(unsigned target, unsigned policy, struct slice body,
        struct inspect_memory *memory, struct findings *findings, struct slice *ret_sent)
{
	const struct inspect_operation *operation = inspect_operation_of(requests[target].id);

	findings_begin(findings, blocks[policy][inspect_operation_block(operation)]);
	const bool possible = inspect_request(operation, &requests[target], findings);
	ASSERT(possible);
	*ret_sent = inspect_body(operation, &requests[target], body, memory, findings);
	return findings->count == 0;
}

static void check_reasons(const struct findings *findings)
{
	static char said[SAID_MAX];
	struct text text = text_over(said, sizeof(said));

	for (unsigned i = 0; i < findings->count && i < INSPECT_FINDINGS_MAX; i++) {
		findings_add_sentence(findings, i, FINDINGS_LOG, &text);
	}
	findings_advise(findings, FINDINGS_SENDER, &text);
	findings_add_denial(findings, FINDINGS_SENDER, "operation", "policy", &text);
	ASSERT(text.len > 0 && !text.overflow);
	for (size_t i = 0; i < text.len; i++) {
		ASSERT(said[i] >= 0x20 && said[i] < 0x7f);
	}
}

/* Where the paths of a body lead: to themselves, or all to one place. */
static void answer(struct inspect_paths *paths, struct slice place)
{
	for (; paths->answered < paths->count; paths->answered++) {
		struct inspect_path *path = &paths->list[paths->answered];
		path->resolved = place.len == 0 ? path->path : place;
		path->there = path->resolved.len;
	}
}

/* The same where paths of the host lead to a place; whether there are as many as there may be. */
static bool judge_on_host(unsigned target, unsigned policy, struct slice body, struct slice place,
        struct inspect_memory *memory, struct findings *findings, struct slice *ret_sent)
{
	const struct inspect_operation *operation = inspect_operation_of(requests[target].id);

	inspect_paths_begin(&memory->paths);
	for (unsigned round = 0; round < 2; round++) {
		findings_begin(findings, blocks[policy][inspect_operation_block(operation)]);
		findings->paths = &memory->paths;
		*ret_sent = inspect_body(operation, &requests[target], body, memory, findings);
		answer(&memory->paths, place);
	}
	return memory->paths.count == INSPECT_PATHS_MAX || memory->paths.text.overflow;
}

static void check_host(
        unsigned target, unsigned policy, struct slice body, struct slice sent, bool allowed)
{
	static struct inspect_memory memory;
	static struct findings findings;
	struct slice got;

	const bool full = judge_on_host(
	        target, policy, body, (struct slice){"", 0}, &memory, &findings, &got);
	ASSERT(full || (findings.count == 0) == allowed);
	ASSERT(findings.count > 0 || (allowed && slice_equal(got, sent)));

	(void)judge_on_host(target, policy, body, SLICE("/elsewhere"), &memory, &findings, &got);
	ASSERT(findings.count > 0 || (memory.paths.count == 0 && allowed));
}

static void check(unsigned target, unsigned policy, struct slice body)
{
	static struct inspect_memory memory;
	static struct inspect_memory other;
	static struct findings findings;
	struct slice sent;
	struct slice again;

	const bool allowed_as_text = judge(target, policy, body, &memory, &findings, &sent);
	if (!allowed_as_text) {
		check_reasons(&findings);
	}
	check_host(target, policy, body, sent, allowed_as_text);
	if (!allowed_as_text) {
		return;
	}
	ASSERT(sent.len <= body.len);
	const unsigned wider[] = {policy, POLICIES - 1};
	for (unsigned i = 0; i < ARRAY_LEN(wider); i++) {
		const bool allowed = judge(target, wider[i], sent, &other, &findings, &again);
		ASSERT(allowed && slice_equal(sent, again));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (blocks[0][0] == NULL) {
		prepare();
	}
	if (len == 0 || len > INSPECT_BODY_MAX) {
		return 0;
	}
	for (unsigned policy = 0; policy < POLICIES; policy++) {
		check(bytes[0] % ARRAY_LEN(targets), policy,
		        (struct slice){(const char *)bytes + 1, len - 1});
	}
	return 0;
}
