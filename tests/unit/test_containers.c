/* SPDX-License-Identifier: MIT */
/*
 * Containers of clients: the group of a process, what the Engine says of containers and networks,
 * and whether a pid is still that of the process that connected.
 */
#include "cases.h"

#include "base/clock.h"
#include "containers/cgroup.h"
#include "containers/peer.h"
#include "containers/read.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* ── Groups ──────────────────────────────────────────────────────────────── */

static void groups_of_containers(void **state)
{
	static const struct {
		const char *text;
		const char *path; /* NULL: it is in no container */
	} rows[] = {
	        {"0::/docker/" A64 "\n", "/docker/" A64},
	        {"0::/system.slice/docker-" A64 ".scope\n", "/system.slice/docker-" A64 ".scope"},
	        {"12:pids:/docker/" A64 "\n11:cpu,cpuacct:/docker/" A64 "\n0::/\n", "/docker/" A64},
	        {"3:name=systemd:/\n2:pids:/docker/" A64, "/docker/" A64},
	        {"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A64
	         ".scope/container\n",
	                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A64
	                ".scope"},
	        {"0::/machine.slice/libpod-" A64 "\n", "/machine.slice/libpod-" A64},
	        {"0::/kubepods/burstable/pod1/cri-containerd-" A64 ".scope\n",
	                "/kubepods/burstable/pod1/cri-containerd-" A64 ".scope"},
	        {"0::/crio-" A64 ".scope\n", "/crio-" A64 ".scope"},
	        /* another namespace of groups */
	        {"0::/../" A64 "\n", "/../" A64},
	        {"0::/../../docker/" A64 "/init\n", "/../../docker/" A64},
	        /* the innermost: --cgroup-parent puts a container into the group of another */
	        {"0::/docker/" B64 "/" A64 "\n", "/docker/" B64 "/" A64},
	        {"0::/docker/" B64 "/docker/" A64 "/init\n", "/docker/" B64 "/docker/" A64},
	        {"0::/docker/" B64 "/docker-" A64 ".scope/x\n",
	                "/docker/" B64 "/docker-" A64 ".scope"},
	        {"0::/a:b:c/" A64 "\n", "/a:b:c/" A64},
	        {"0::/\n", NULL},
	        {"0::/user.slice\n", NULL},
	        {"", NULL},
	        {"\n\n::\n", NULL},
	        {"0::/docker/" A64 "a\n", NULL},
	        {"0::/docker/a" A64 "\n", NULL},
	        {"0::/docker/" A64 ".scope\n", NULL},
	        {"0::/docker-" A64 "\n", NULL},
	        {"0::/docker/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
	                NULL},
	        {"0:/docker/" A64 "\n", NULL},
	        {"/docker/" A64 "\n", NULL},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct cgroup group;
		const bool found = cgroup_find(slice_of(rows[i].text), &group);
		assert_that(rows[i].text, found == (rows[i].path != NULL));
		if (found) {
			assert_that(rows[i].text, slice_equal(group.id, SLICE(A64)));
			assert_that(rows[i].text, slice_equal(group.path, slice_of(rows[i].path)));
		}
	}
}

/* ── Documents ───────────────────────────────────────────────────────────── */

static const struct json_node *parse(const char *text)
{
	static struct json_node nodes[JSON_NODES_MAX];
	static uint32_t marks[JSON_MARKS_MAX];
	static char strings[64 * 1024];
	struct json_document document = {.nodes = nodes, .marks = marks, .strings = strings};

	assert_int_equal(json_read(&document, slice_of(text)), JSON_OK);
	return nodes;
}

static void events(void **state)
{
	static const struct {
		const char *text;
		enum event_kind kind;
		const char *id;
		int64_t ns;
	} rows[] = {
	        {"{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"a\"}}",
	                EVENT_STARTED, "a", 0},
	        {"{\"status\":\"die\",\"id\":\"a\",\"Type\":\"container\",\"Action\":\"die\","
	         "\"Actor\":{\"ID\":\"a\",\"Attributes\":{\"exitCode\":\"0\"}},\"timeNano\":7}",
	                EVENT_STOPPED, "a", 7},
	        {"{\"Type\":\"container\",\"Action\":\"destroy\",\"Actor\":{\"ID\":\"a\"}}",
	                EVENT_STOPPED, "a", 0},
	        {"{\"Type\":\"container\",\"Action\":\"rename\",\"Actor\":{\"ID\":\"a\"}}",
	                EVENT_CHANGED, "a", 0},
	        {"{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"n\","
	         "\"Attributes\":{\"container\":\"a\"}}}",
	                EVENT_STARTED, "a", 0},
	        {"{\"Type\":\"network\",\"Action\":\"disconnect\",\"Actor\":{\"ID\":\"n\","
	         "\"Attributes\":{\"container\":\"a\"}}}",
	                EVENT_CHANGED, "a", 0},
	        {"{\"Type\":\"network\",\"Action\":\"create\",\"Actor\":{\"ID\":\"n\"}}",
	                EVENT_NETWORKS, "", 0},
	        {"{\"Type\":\"network\",\"Action\":\"destroy\",\"Actor\":{\"ID\":\"n\"}}",
	                EVENT_NETWORKS, "", 0},
	        {"{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":{\"ID\":\"a\"}}",
	                EVENT_OTHER, "", 0},
	        {"{\"Type\":\"image\",\"Action\":\"die\"}", EVENT_OTHER, "", 0},
	};
	struct event event;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_that(rows[i].text, read_event(parse(rows[i].text), &event));
		assert_int_equal(event.kind, rows[i].kind);
		assert_that(rows[i].text, slice_equal(event.id, slice_of(rows[i].id)));
		assert_int_equal(event.ns, rows[i].ns);
	}
	assert_false(read_event(parse("{}"), &event));
	assert_false(read_event(parse("{\"Type\":\"container\"}"), &event));
	assert_false(read_event(parse("{\"Type\":1,\"Action\":\"die\"}"), &event));
	assert_false(read_event(
	        parse("{\"Type\":\"container\",\"Action\":\"die\",\"timeNano\":1.5}"), &event));
}

static void inspections(void **state)
{
	static struct inspected inspected;

	(void)state;
	assert_true(
	        read_inspected(parse("{\"Id\":\"" A64
	                             "\",\"Name\":\"/edge\",\"State\":{\"Running\":true,\"Pid\":42,"
	                             "\"StartedAt\":\"2026-01-02T03:04:05.5Z\"},\"Config\":{"
	                             "\"Image\":\"traefik:v3\","
	                             "\"Labels\":{\"a\":\"1\",\"b\":\"\"}}}"),
	                &inspected));
	assert_true(inspected.running);
	assert_int_equal(inspected.pid, 42);
	assert_int_equal(inspected.started_ns, INT64_C(1767323045) * NS_PER_S + 500000000);
	assert_true(slice_equal(inspected.container.name, SLICE("edge")));
	assert_true(slice_equal(inspected.container.image, SLICE("traefik:v3")));
	assert_true(slice_equal(container_label(&inspected.container, SLICE("a")), SLICE("1")));
	assert_true(slice_equal(container_label(&inspected.container, SLICE("b")), SLICE("")));
	assert_null(container_label(&inspected.container, SLICE("c")).ptr);
}

static void what_is_no_container(void **state)
{
	static struct inspected inspected;
	static const struct {
		const char *text;
		bool readable;
	} rows[] = {
	        {"{\"Id\":\"" A64 "\"}", true},
	        {"{\"Id\":\"" A64
	         "\",\"State\":{\"Running\":false,\"StartedAt\":\"2026-01-02T03:04:05Z\"}}",
	                true},
	        {"{\"Id\":\"" A64
	         "\",\"State\":{\"Running\":true,\"StartedAt\":\"0001-01-01T00:00:00Z\"}}",
	                true},
	        {"{\"Id\":\"" A64 "\",\"State\":{\"Running\":\"true\"}}", true},
	        {"{\"Id\":\"abc\",\"State\":{\"Running\":true}}", false},
	        {"{\"Id\":\"" A64 "\",\"State\":{\"Pid\":-1}}", false},
	        {"{\"Id\":\"" A64 "\",\"State\":{\"Pid\":4294967297}}", false},
	        {"{\"Id\":\"" A64 "\",\"Config\":{\"Labels\":{\"a\":1}}}", false},
	        {"[]", false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_that(rows[i].text,
		        read_inspected(parse(rows[i].text), &inspected) == rows[i].readable);
		assert_that(rows[i].text, !rows[i].readable || !inspected.running);
	}
}

static void networks(void **state)
{
	static const char text[] =
	        "{\"Driver\":\"bridge\",\"IPAM\":{\"Config\":[{\"Subnet\":\"172.18.0.0/16\","
	        "\"Gateway\":\"172.18.0.1\"},{\"Subnet\":\"fd00::/64\"},{\"Subnet\":\"x\"},"
	        "{\"Subnet\":\"10.0.0.0/8\",\"Gateway\":\"y\"},{}]}}";
	struct engine_network list[4];
	union address address = {.ip4 = {.sin_family = AF_INET}};

	(void)state;
	assert_int_equal(read_networks(parse(text), ARRAY_LEN(list), list), 2);
	assert_null(address_parse(SLICE("tcp://172.18.7.1:1"), &address));
	assert_true(network_has(&list[0].subnet, &address));
	assert_false(network_has(&list[0].gateway, &address));
	assert_null(address_parse(SLICE("tcp://172.18.0.1:1"), &address));
	assert_true(network_has(&list[0].gateway, &address));
	assert_false(network_has(&list[1].gateway, &address));
	assert_int_equal(read_networks(parse(text), 1, list), 1);
	assert_int_equal(read_networks(parse(text), 0, list), 0);
	assert_int_equal(read_networks(parse("{\"Driver\":\"macvlan\",\"IPAM\":{\"Config\":"
	                                     "[{\"Subnet\":\"10.0.0.0/8\"}]}}"),
	                         ARRAY_LEN(list), list),
	        0);
	assert_int_equal(read_networks(parse("{\"Driver\":\"bridge\",\"IPAM\":null}"), 1, list), 0);
}

static void networks_of_an_endpoint(void **state)
{
	static const struct {
		const char *text;
		unsigned count;
	} rows[] = {
	        {"{\"IPAddress\":\"172.18.0.5\",\"IPPrefixLen\":16,\"Gateway\":\"172.18.0.1\","
	         "\"GlobalIPv6Address\":\"fd00::5\",\"GlobalIPv6PrefixLen\":64}",
	                2},
	        {"{\"IPAddress\":\"172.18.0.5\",\"IPPrefixLen\":32}", 1},
	        {"{\"IPAddress\":\"172.18.0.5\",\"IPPrefixLen\":0}", 0},
	        {"{\"IPAddress\":\"172.18.0.5\",\"IPPrefixLen\":33}", 0},
	        {"{\"IPAddress\":\"172.18.0.5\",\"IPPrefixLen\":-1}", 0},
	        {"{\"IPAddress\":\"172.18.0.5\",\"IPPrefixLen\":\"16\"}", 0},
	        {"{\"IPAddress\":\"172.18.0.5\"}", 0},
	        {"{\"IPAddress\":\"\",\"IPPrefixLen\":16}", 0},
	        {"{\"IPAddress\":\"172.18.0.5\",\"IPPrefixLen\":16,\"Gateway\":\"x\"}", 0},
	        {"{}", 0},
	};
	struct engine_network list[2];
	union address address = {.ip4 = {.sin_family = AF_INET}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_that(rows[i].text, read_subnets(parse(rows[i].text), list) == rows[i].count);
	}
	assert_int_equal(read_subnets(parse(rows[0].text), list), 2);
	assert_int_equal(list[1].subnet.bits, 64);
	assert_null(address_parse(SLICE("tcp://172.18.7.1:1"), &address));
	assert_true(network_has(&list[0].subnet, &address));
	assert_null(address_parse(SLICE("tcp://172.18.0.1:1"), &address));
	assert_true(network_has(&list[0].gateway, &address));
}

/* Only a bridge of the swarm's nodes may be without addresses and still count. */
static void node_bridges(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} rows[] = {
	        {"{\"Id\":\"n\",\"Driver\":\"bridge\",\"Scope\":\"swarm\",\"IPAM\":{\"Config\":[]}"
	         "}",
	                true},
	        {"{\"Id\":\"n\",\"Driver\":\"bridge\",\"Scope\":\"swarm\",\"IPAM\":{\"Config\":"
	         "null}}",
	                true},
	        {"{\"Id\":\"n\",\"Driver\":\"bridge\",\"Scope\":\"swarm\"}", true},
	        {"{\"Driver\":\"bridge\",\"Scope\":\"swarm\"}", false},
	        {"{\"Id\":\"n\",\"Driver\":\"bridge\",\"Scope\":\"local\"}", false},
	        {"{\"Id\":\"n\",\"Driver\":\"bridge\"}", false},
	        {"{\"Id\":\"n\",\"Driver\":\"macvlan\",\"Scope\":\"swarm\"}", false},
	        {"{\"Id\":\"n\",\"Driver\":\"overlay\",\"Scope\":\"swarm\"}", false},
	        {"{\"Id\":\"n\",\"Driver\":\"bridge\",\"Scope\":\"swarm\",\"IPAM\":{\"Config\":[{}]"
	         "}}",
	                false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_that(rows[i].text, read_node_bridge(parse(rows[i].text)).len == rows[i].is);
	}
	assert_true(slice_equal(read_network_id(parse("{\"NetworkID\":\"n\"}")), SLICE("n")));
	assert_int_equal(read_network_id(parse("{\"NetworkID\":1}")).len, 0);
}

static void addresses(void **state)
{
	struct network list[2];

	(void)state;
	assert_int_equal(
	        read_addresses(parse("{\"IPAddress\":\"\",\"GlobalIPv6Address\":\"\"}"), list), 0);
	assert_int_equal(read_addresses(parse("{\"IPAddress\":\"192.0.2.1\",\"GlobalIPv6Address\":"
	                                      "\"2001:db8::1\"}"),
	                         list),
	        2);
	assert_int_equal(list[0].family, AF_INET);
	assert_int_equal(list[1].bits, 128);
	assert_int_equal(
	        read_addresses(parse("{\"IPAddress\":\"x\",\"GlobalIPv6Address\":7}"), list), 0);
}

/* ── Processes ───────────────────────────────────────────────────────────── */

static void a_process_that_began_later_is_another(void **state)
{
	const int64_t now_ns = clock_monotonic_ns();
	const struct peer self = {-1, getpid(), now_ns};
	const struct peer former = {-1, getpid(), now_ns - 24 * 3600 * NS_PER_S};
	const struct peer nobody = {-1, 1 << 22, now_ns}; /* PID_MAX_LIMIT is no pid */

	(void)state;
	assert_true(peer_began_before(&self));
	assert_false(peer_began_before(&former));
	assert_false(peer_began_before(&nobody));
}

/* The peer of a socket pair is this process; that of one whose maker has ended is nobody. */
static void a_process_that_has_ended_is_nobody(void **state)
{
	int pair[2];
	int code;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	const struct peer here = {pair[0], getpid(), clock_monotonic_ns()};
	assert_true(peer_is_there(&here));
	const pid_t child = fork();
	if (child == 0) {
		_exit(0);
	}
	assert_int_equal(waitpid(child, &code, 0), child);
	const struct peer gone = {-1, child, clock_monotonic_ns()};
	assert_false(peer_is_there(&gone));
	(void)close(pair[0]);
	(void)close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(groups_of_containers),
	        cmocka_unit_test(events),
	        cmocka_unit_test(inspections),
	        cmocka_unit_test(what_is_no_container),
	        cmocka_unit_test(networks),
	        cmocka_unit_test(networks_of_an_endpoint),
	        cmocka_unit_test(node_bridges),
	        cmocka_unit_test(addresses),
	        cmocka_unit_test(a_process_that_began_later_is_another),
	        cmocka_unit_test(a_process_that_has_ended_is_nobody),
	};

	return cmocka_run_group_tests_name("containers", tests, NULL, NULL);
}
