/* SPDX-License-Identifier: MIT */
/*
 * What people write on the command line and in the environment, and what the
 * program makes of it or says about it.
 */
#include "cases.h"

#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct config config;
static char error[FAULT_MAX];

/* Read the words of `line` as arguments, in the environment as the test left it. */
static int read_line(const char *line)
{
	static char copy[1024];
	char *argv[16] = {(char[]){"docker-socket-proxy"}};
	int argc = 1;

	assert_true(strlen(line) < sizeof(copy));
	memcpy(copy, line, strlen(line) + 1);
	char *rest = copy;
	for (char *word = strsep(&rest, " "); word != NULL && word[0] != '\0';
	        word = strsep(&rest, " ")) {
		assert_true(argc < (int)ARRAY_LEN(argv));
		argv[argc++] = word;
	}
	config_free(&config);
	memset(error, 'x', sizeof(error) - 1);
	return config_read(argc, argv, &config, error);
}

static void expect_accepted(const char *line)
{
	if (read_line(line) != 0) {
		fail_msg("'%s' is refused: %s", line, error);
	}
}

static void expect_refused(const char *line, const char *message)
{
	assert_int_equal(read_line(line), -EINVAL);
	assert_string_equal(error, message);
}

/* The same for a variable. */
static void expect_variable_refused(const char *name, const char *value, const char *message)
{
	assert_int_equal(setenv(name, value, 1), 0);
	expect_refused("", message);
	assert_int_equal(unsetenv(name), 0);
}

static int empty_environment(void **state)
{
	(void)state;
	return clearenv();
}

static void defaults_are_the_documented_ones(void **state)
{
	(void)state;
	expect_accepted("");
	assert_int_equal(config.verb, CONFIG_RUN);
	assert_int_equal(config.listener_count, 1);
	assert_string_equal(config.listeners[0].address, "tcp://*:3277");
	assert_int_equal(config.port, 3277);
	assert_string_equal(config.engine.path, "/var/run/docker.sock");
	assert_string_equal(config.engine.option, "default");
	assert_null(config.api_key);
	assert_int_equal(config.workers, 0);
	assert_int_equal(config.max_connections, 20000);
	assert_int_equal(config.max_head, 262144);
	assert_int_equal(config.head_timeout, 10);
	assert_int_equal(config.shutdown_grace, 5);
	assert_int_equal(config.log_level, LOG_INFO);
	assert_int_equal(config.log_format, LOG_TEXT);
}

static void every_flag_reaches_its_member_in_both_spellings(void **state)
{
	(void)state;
	expect_accepted("run --port 1 --upstream=/e --workers 64 --max-connections=1000000");
	assert_int_equal(config.port, 1);
	assert_string_equal(config.engine.path, "/e");
	assert_string_equal(config.engine.option, "--upstream");
	assert_int_equal(config.workers, 64);
	assert_int_equal(config.max_connections, 1000000);

	expect_accepted("--max-head=4096 --head-timeout 3600 --shutdown-grace=0 --log-level "
	                "WARNING --log-format=json");
	assert_int_equal(config.max_head, 4096);
	assert_int_equal(config.head_timeout, 3600);
	assert_int_equal(config.shutdown_grace, 0);
	assert_int_equal(config.log_level, LOG_WARNING);
	assert_int_equal(config.log_format, LOG_JSON);
}

static void every_variable_reaches_its_member(void **state)
{
	static const char *const variables[][2] = {
	        {"PORT", "65535"},
	        {"SOCKET_PATH", "unix:///e"},
	        {"API_KEY", "caf\xc3\xa9 =,;"},
	        {"WORKERS", "3"},
	        {"MAX_CONNECTIONS", "1"},
	        {"MAX_HEAD", "1048576"},
	        {"HEAD_TIMEOUT", "1"},
	        {"SHUTDOWN_GRACE", "3600"},
	        {"LOG_LEVEL", "error"},
	        {"LOG_FORMAT", "json"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(variables); i++) {
		assert_int_equal(setenv(variables[i][0], variables[i][1], 1), 0);
	}
	expect_accepted("");
	assert_int_equal(config.port, 65535);
	assert_string_equal(config.engine.path, "/e");
	assert_string_equal(config.engine.option, "SOCKET_PATH");
	assert_string_equal(config.api_key, "caf\xc3\xa9 =,;");
	assert_int_equal(config.workers, 3);
	assert_int_equal(config.max_connections, 1);
	assert_int_equal(config.max_head, 1048576);
	assert_int_equal(config.head_timeout, 1);
	assert_int_equal(config.shutdown_grace, 3600);
	assert_int_equal(config.log_level, LOG_ERR);
	assert_int_equal(config.log_format, LOG_JSON);
}

static void a_flag_counts_before_its_variable(void **state)
{
	(void)state;
	assert_int_equal(setenv("WORKERS", "many", 1), 0);
	assert_int_equal(setenv("LISTEN", "tcp://*:1", 1), 0);
	expect_accepted("--workers 2 --listen tcp://*:2");
	assert_int_equal(config.workers, 2);
	assert_int_equal(config.listener_count, 1);
	assert_string_equal(config.listeners[0].address, "tcp://*:2");
}

static void an_empty_variable_is_not_set(void **state)
{
	(void)state;
	assert_int_equal(setenv("PORT", "", 1), 0);
	assert_int_equal(setenv("API_KEY", "", 1), 0);
	assert_int_equal(setenv("SOCKET_PATH", "", 1), 0);
	assert_int_equal(setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock", 1), 0);
	expect_accepted("");
	assert_int_equal(config.port, 3277);
	assert_int_equal(config.listener_count, 1);
	assert_null(config.api_key);
	assert_string_equal(config.engine.path, "/run/user/1000/docker.sock");
	assert_string_equal(config.engine.option, "DOCKER_HOST");
}

static void an_empty_variable_that_is_to_restrict_stops_the_start(void **state)
{
	(void)state;
	expect_variable_refused("POLICY", "",
	        "POLICY is empty. Nothing else says what clients may do: set POLICY (open allows "
	        "everything), a section switch or CONFIG");
	expect_variable_refused("CONFIG", "",
	        "CONFIG is empty. Nothing else says what clients may do: set POLICY (open allows "
	        "everything), a section switch or CONFIG");
	expect_variable_refused("LISTEN", "",
	        "LISTEN is empty. Nothing else says where to listen: set LISTEN (tcp://*:3277, if "
	        "all interfaces are meant)");
	expect_variable_refused("HOST_ROOT", "",
	        "HOST_ROOT is empty. Nothing else says where the proxy sees the host's files: set "
	        "HOST_ROOT (/host), or unset it");
	assert_int_equal(setenv("HOST_ROOT", "", 1), 0);
	assert_int_equal(setenv("POLICY", "", 1), 0);
	assert_int_equal(setenv("CONFIG", "", 1), 0);
	assert_int_equal(setenv("LISTEN", "", 1), 0);
	expect_accepted("--policy agent --workspace /srv --listen tcp://127.0.0.1:1 --host-root /");
	assert_null(config.warnings);
}

static void the_host_s_files_are_in_a_folder(void **state)
{
	(void)state;
	expect_accepted("--policy traefik");
	assert_null(config.host_root);
	assert_int_equal(setenv("HOST_ROOT", "/usr", 1), 0);
	expect_accepted("--policy traefik");
	assert_string_equal(config.host_root, "/usr");
	expect_accepted("--policy traefik --host-root=/etc/");
	assert_string_equal(config.host_root, "/etc/");
	assert_true(config.host_root_fd >= 0);
	assert_int_equal(unsetenv("HOST_ROOT"), 0);
	expect_refused("--host-root etc",
	        "--host-root: 'etc' is not accepted: give the absolute path of the folder in which "
	        "the proxy sees the host's files, such as /host");
	expect_refused("--host-root=", "--host-root: its value is missing: give --host-root DIR");
	expect_refused("--host-root /etc/passwd",
	        "--host-root: '/etc/passwd' cannot be opened: Not a directory; give the folder in "
	        "which the proxy sees the host's files: /host with '-v /:/host:ro,rslave', or / on "
	        "the host itself");
	/* The health check is made beside the proxy, whose files it need not see. */
	expect_accepted("healthcheck --host-root /nowhere");
	assert_int_equal(config.host_root_fd, -1);
}

static void an_environment_of_slips_fits_one_line(void **state)
{
	char name[600];
	char value[600];

	(void)state;
	memset(value, '\x1b', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "SP_%0*u", i % 2 != 0 ? 500 : 3, i);
		assert_int_equal(setenv(name, value, 1), 0);
		(void)snprintf(name, sizeof(name), "ALLOW_\n%u", i);
		assert_int_equal(setenv(name, "1", 1), 0);
		(void)snprintf(name, sizeof(name), "POLCY%u", i);
		assert_int_equal(setenv(name, value, 1), 0);
	}
	assert_int_equal(read_line(""), -EINVAL);
	assert_true(strlen(error) < FAULT_MAX - 1);
	assert_null(strpbrk(error, "\n\x1b"));
	assert_string_equal(error + strlen(error) - 3, "...");
	expect_accepted("--policy traefik --listen tcp://*:1");
	for (const struct config_warning *w = config.warnings; w != NULL; w = w->next) {
		assert_true(strlen(w->text) < CONFIG_WARNING_MAX);
		assert_null(strpbrk(w->text, "\n\x1b"));
	}
}

static void an_empty_switch_is_0(void **state)
{
	(void)state;
	assert_int_equal(setenv("EVENTS", "", 1), 0);
	expect_accepted("");
	assert_string_equal(config.policy_name, "switches");
	assert_int_equal(config.switches.values[DOCKER_SECTION_EVENTS], SWITCH_OFF);
	assert_int_equal(config.switches.values[DOCKER_SECTION_PING], SWITCH_UNSET);
}

/* That of Tecnativa's proxy, whose clients find this one there. */
static void switches_have_a_port_of_their_own(void **state)
{
	(void)state;
	assert_int_equal(setenv("CONTAINERS", "1", 1), 0);
	expect_accepted("");
	assert_int_equal(config.port, 2375);
	assert_string_equal(config.listeners[0].address, "tcp://*:2375");
	expect_accepted("--port 1");
	assert_string_equal(config.listeners[0].address, "tcp://*:1");
	assert_int_equal(setenv("PORT", "2", 1), 0);
	expect_accepted("");
	assert_string_equal(config.listeners[0].address, "tcp://*:2");
	assert_int_equal(unsetenv("PORT"), 0);
	expect_accepted("--policy traefik");
	assert_string_equal(config.listeners[0].address, "tcp://*:3277");
}

static void a_former_name_counts_as_the_switch(void **state)
{
	const unsigned unpause = switches_find(SLICE("ALLOW_UNPAUSE"));

	(void)state;
	assert_int_equal(setenv("ALLOW_RESUME", "1", 1), 0);
	expect_accepted("");
	assert_int_equal(config.switches.values[unpause], SWITCH_ON);
	assert_string_equal(config.warnings->text,
	        "ALLOW_RESUME is the former name of ALLOW_UNPAUSE; its value is used");
	assert_int_equal(setenv("ALLOW_UNPAUSE", "0", 1), 0);
	expect_accepted("");
	assert_int_equal(config.switches.values[unpause], SWITCH_OFF);
}

static void docker_host_counts_last(void **state)
{
	(void)state;
	expect_variable_refused("DOCKER_HOST", "/run/docker.sock",
	        "DOCKER_HOST: '/run/docker.sock' is not accepted: give unix:///PATH or "
	        "tcp://HOST:PORT, as docker takes it, or set SOCKET_PATH, which overrides "
	        "DOCKER_HOST");
	expect_variable_refused("DOCKER_HOST", "unix://run/docker.sock",
	        "DOCKER_HOST: 'unix://run/docker.sock' is not accepted: give an absolute path");

	assert_int_equal(setenv("DOCKER_HOST", "tcp://192.0.2.1:2375", 1), 0);
	expect_accepted("");
	assert_string_equal(config.engine.text, "tcp://192.0.2.1:2375");
	assert_string_equal(config.engine.option, "DOCKER_HOST");
	assert_null(config.engine.path);
	expect_accepted("--upstream unix:///flag");
	assert_string_equal(config.engine.path, "/flag");
	assert_int_equal(setenv("SOCKET_PATH", "/variable", 1), 0);
	expect_accepted("");
	assert_string_equal(config.engine.path, "/variable");
}

static void an_engine_behind_tcp_has_a_name_or_an_address(void **state)
{
	char name[ADDRESS_NAME_MAX];
	static const char *const refused[] = {"tcp://", "tcp://:2375", "tcp://*:2375",
	        "tcp://0.0.0.0:2375", "tcp://[::]:2375", "tcp://engine:0", "tcp://engine:65536",
	        "tcp://engine:", "tcp://engine:1/", "tcp://engine/v1.41", "tcp://::1:2375",
	        "tcp://[::1", "tcp://1.2.3:2375", "tcp://-a:1", "http://engine:1", "fd://engine",
	        "engine:2375"};

	(void)state;
	expect_accepted("--upstream tcp://192.0.2.1:4243");
	assert_false(config.engine.is_name);
	address_name(&config.engine.address, name);
	assert_string_equal(name, "192.0.2.1:4243");
	expect_accepted("--upstream tcp://[2001:db8::1]");
	address_name(&config.engine.address, name);
	assert_string_equal(name, "[2001:db8::1]:2375");
	expect_accepted("--upstream tcp://engine_1.example");
	assert_string_equal(config.engine.host, "engine_1.example");
	assert_true(config.engine.is_name);
	assert_int_equal(config.engine.port, 2375);
	for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
		char line[64];
		(void)snprintf(line, sizeof(line), "--upstream=%s", refused[i]);
		if (read_line(line) != -EINVAL) {
			fail_msg("'%s' is accepted as the address of an Engine", refused[i]);
		}
		assert_non_null(strstr(error, "--upstream: '"));
	}
}

static void a_listener_is_not_the_engine_behind_tcp(void **state)
{
	static const char *const loops[] = {
	        "--listen tcp://127.0.0.1:4243 --upstream tcp://127.0.0.1:4243",
	        "--listen tcp://*:4243 --upstream tcp://127.0.0.1:4243",
	        "--listen tcp://*:4243 --upstream tcp://localhost:4243",
	        "--listen tcp://0.0.0.0:4243 --upstream tcp://127.0.0.9:4243",
	        "--listen tcp://127.0.0.1:4243 --upstream tcp://[::ffff:127.0.0.1]:4243"};
	static const char *const others[] = {
	        "--listen tcp://127.0.0.1:4243 --upstream tcp://127.0.0.2:4243",
	        "--listen tcp://*:4243 --upstream tcp://127.0.0.1:4244",
	        "--listen tcp://*:4243 --upstream tcp://192.0.2.1:4243",
	        "--listen unix:///run/a.sock --upstream tcp://127.0.0.1:4243"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(loops); i++) {
		assert_int_equal(read_line(loops[i]), -EINVAL);
		assert_non_null(
		        strstr(error, "is both the address of a listener and the Engine's"));
	}
	for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
		expect_accepted(others[i]);
	}
}

static void listeners_repeat_on_the_line_and_are_a_list_in_the_variable(void **state)
{
	static const char *const addresses[] = {"tcp://:1", "tcp://*:2", "tcp://localhost:3",
	        "tcp://127.0.0.1:65535", "tcp://[::1]:5", "unix:///run/proxy.sock"};

	(void)state;
	expect_accepted(
	        "--listen tcp://:1 --listen=tcp://*:2 --listen tcp://localhost:3 --listen "
	        "tcp://127.0.0.1:65535 --listen tcp://[::1]:5 --listen unix:///run/proxy.sock");
	assert_int_equal(config.listener_count, ARRAY_LEN(addresses));
	for (unsigned i = 0; i < ARRAY_LEN(addresses); i++) {
		assert_string_equal(config.listeners[i].address, addresses[i]);
	}

	assert_int_equal(setenv("LISTEN",
	                         "tcp://:1,tcp://*:2, tcp://localhost:3 "
	                         ",tcp://127.0.0.1:65535,tcp://[::1]:5,"
	                         "unix:///run/proxy.sock",
	                         1),
	        0);
	/* Twice, since reading may not use the environment up. */
	expect_accepted("");
	expect_accepted("");
	assert_int_equal(config.listener_count, ARRAY_LEN(addresses));
	for (unsigned i = 0; i < ARRAY_LEN(addresses); i++) {
		assert_string_equal(config.listeners[i].address, addresses[i]);
	}
}

static void malformed_addresses_to_listen_on_are_refused(void **state)
{
	static const char *const addresses[] = {"", "3277", ":3277", "0.0.0.0:3277",
	        "http://localhost:1", "TCP://*:1", "tcp:/*:1", "tcp://", "tcp://*",
	        "tcp://*:", "tcp://*:0", "tcp://*:65536", "tcp://*:+1", "tcp://*:1/", "tcp://[::1]",
	        "tcp://::1:1", "tcp://[::1:1", "tcp://[]:1", "tcp://[127.0.0.1]:1", "tcp://127.1:1",
	        "tcp://256.0.0.1:1", "tcp://example.org:1", "tls://*", "tls://x:1", "fd://a:b",
	        "fd:///a", "unix://", "unix:///", "unix://relative", "unix:///run/"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(addresses); i++) {
		char line[128];
		char start[128];
		(void)snprintf(line, sizeof(line), "--listen=%s", addresses[i]);
		(void)snprintf(
		        start, sizeof(start), "--listen: '%s' is not accepted: ", addresses[i]);
		if (read_line(line) != -EINVAL) {
			fail_msg("'%s' is accepted as an address to listen on", addresses[i]);
		}
		error[strlen(start)] = '\0';
		assert_string_equal(error, start);
	}
	expect_refused("--listen tls://*:1",
	        "tls://*:1 needs a certificate and its key: set TLS_CERT and TLS_KEY, or write "
	        "'tls: "
	        "{cert: FILE, key: FILE}' at the listener in the file");
	expect_refused("--listen tcp://*:1 --listen tcp://*:1",
	        "--listen: 'tcp://*:1' is not accepted: it is given twice");
}

static void too_many_or_too_long_listeners_are_refused(void **state)
{
	char list[CONFIG_LISTEN_MAX + 64] = "";
	struct text text = text_over(list, sizeof(list) - 1);

	(void)state;
	for (unsigned i = 1; i <= CONFIG_LISTENERS_MAX; i++) {
		text_add_format(&text, "%stcp://*:%u", i > 1 ? "," : "", i);
	}
	assert_int_equal(setenv("LISTEN", list, 1), 0);
	expect_accepted("");
	assert_int_equal(config.listener_count, CONFIG_LISTENERS_MAX);
	text_add(&text, SLICE(",tcp://*:99"));
	expect_variable_refused("LISTEN", list, "LISTEN: there are more than 16 addresses");

	memset(list, ' ', sizeof(list) - 1);
	memcpy(list, "tcp://*:1,", 10);
	memset(list + 10, 'x', CONFIG_LISTEN_MAX);
	list[10 + CONFIG_LISTEN_MAX] = '\0';
	expect_variable_refused("LISTEN", list, "LISTEN: it is longer than 2047 bytes");
}

static void a_socket_path_that_fits_no_socket_address_is_refused(void **state)
{
	char path[109] = "/";

	(void)state;
	memset(path + 1, 'p', 106);
	assert_int_equal(setenv("SOCKET_PATH", path, 1), 0);
	expect_accepted("");
	assert_string_equal(config.engine.path, path);

	path[107] = 'p';
	assert_int_equal(setenv("SOCKET_PATH", path, 1), 0);
	assert_int_equal(read_line(""), -EINVAL);
	assert_non_null(strstr(error, "at most 107 bytes"));
}

static void the_engines_socket_cannot_be_a_listener(void **state)
{
	(void)state;
	expect_refused("--listen unix:///s --upstream /s",
	        "'/s' is both the address of a listener and the Engine's socket (--upstream)");
	expect_refused("--listen unix:///proc/self/root/tmp/s --upstream /tmp/s",
	        "'/tmp/s' is both the address of a listener and the Engine's socket (--upstream)");
	expect_accepted("--listen unix:///tmp/a/s --upstream /tmp/s");
}

static void numbers_out_of_range_are_refused_with_the_range(void **state)
{
	(void)state;
	expect_refused(
	        "--port 0", "--port: '0' is not accepted: PORT is a whole number from 1 to 65535");
	expect_refused("--port 65536",
	        "--port: '65536' is not accepted: PORT is a whole number from 1 to 65535");
	expect_refused("--workers 65",
	        "--workers: '65' is not accepted: COUNT is a whole number from 0 to 64");
	expect_refused("--workers -1",
	        "--workers: '-1' is not accepted: COUNT is a whole number from 0 to 64");
	expect_refused("--max-head 4095",
	        "--max-head: '4095' is not accepted: BYTES is a whole number from 4096 to 1048576");
	expect_refused("--head-timeout 10s",
	        "--head-timeout: '10s' is not accepted: SECONDS is a whole number from 1 to 3600");
	expect_refused("--shutdown-grace=",
	        "--shutdown-grace: '' is not accepted: SECONDS is a whole number from 0 to 3600");
	expect_refused("--max-connections 99999999999999999999999",
	        "--max-connections: '99999999999999999999999' is not accepted: COUNT is a whole "
	        "number from "
	        "1 to 1000000");
	expect_variable_refused("WORKERS", " 2",
	        "WORKERS: ' 2' is not accepted: COUNT is a whole number from 0 to 64");
}

static void words_that_are_none_are_refused_with_the_choice(void **state)
{
	(void)state;
	expect_refused("--log-level loud", "--log-level: 'loud' is not accepted: give debug, info, "
	                                   "notice, warning, err, crit, alert "
	                                   "or emerg");
	expect_refused(
	        "--log-format xml", "--log-format: 'xml' is not accepted: give text or json");
	expect_refused("--upstream docker.sock",
	        "--upstream: 'docker.sock' is not accepted: give the Engine's unix socket as an "
	        "absolute path or as unix:///PATH, or tcp://HOST:PORT or tls://HOST:PORT");
	expect_accepted("--log-format JSON");
	assert_int_equal(config.log_format, LOG_JSON);
}

static void a_key_that_no_field_can_carry_is_refused_and_never_shown(void **state)
{
	char key[CONFIG_API_KEY_MAX + 2];

	(void)state;
	expect_variable_refused("API_KEY", "secret\r\nx: y",
	        "API_KEY: byte 7 of its value is a control byte (0x0d), which a header field "
	        "cannot carry");
	expect_variable_refused("API_KEY", "secret\x7f",
	        "API_KEY: byte 7 of its value is a control byte (0x7f), which a header field "
	        "cannot carry");
	expect_variable_refused(
	        "API_KEY", " secret", "API_KEY: its value begins or ends with a space or a tab");
	expect_variable_refused(
	        "API_KEY", "secret\t", "API_KEY: its value begins or ends with a space or a tab");

	memset(key, 'k', sizeof(key));
	key[CONFIG_API_KEY_MAX + 1] = '\0';
	expect_variable_refused(
	        "API_KEY", key, "API_KEY: its value has 4097 bytes; at most 4096 are accepted");
	key[CONFIG_API_KEY_MAX] = '\0';
	assert_int_equal(setenv("API_KEY", key, 1), 0);
	expect_accepted("");
	assert_int_equal(strlen(config.api_key), CONFIG_API_KEY_MAX);

	expect_refused("--api-key=secret",
	        "--api-key: there is no such option: set API_KEY in the environment");
}

static void what_is_unknown_is_named_with_what_was_meant(void **state)
{
	(void)state;
	expect_refused("--worker 3", "unknown option '--worker'; did you mean '--workers'?");
	expect_refused("-workers 3", "unknown option '-workers'; did you mean '--workers'?");
	expect_refused(
	        "--log_level=x", "unknown option '--log_level'; did you mean '--log-level'?");
	expect_refused(
	        "--socket-path /x", "unknown option '--socket-path'; did you mean '--upstream'?");
	expect_refused("-p 80", "unknown option '-p'; --help lists what there is");
	expect_refused("--frobnicate", "unknown option '--frobnicate'; --help lists what there is");
	expect_refused(
	        "healthcheckk", "unknown command 'healthcheckk'; did you mean 'healthcheck'?");
	expect_refused("serve", "unknown command 'serve'; --help lists what there is");
	expect_refused("run run", "'run' is one argument too many; --help lists what there is");
	expect_refused("-- --port", "unknown command '--port'; --help lists what there is");
	expect_refused("--port", "--port: its value is missing: give --port PORT");
	expect_refused("explain --body", "--body: its value is missing: give --body FILE");
	expect_refused("explain --client", "--client: its value is missing: give --client NAME");
	expect_refused("hash-key --policy open", "--policy: hash-key takes --salt, nothing else");
	expect_refused(
	        "hash-key abc", "'abc' is one argument too many; --help lists what there is");
	expect_refused("explain",
	        "explain: the request is missing: give 'METHOD /path?query', such "
	        "as 'GET /containers/json'");
	expect_refused("convert --from", "--from: its value is missing: give --from tecnativa, "
	                                 "linuxserver, wollomatic or cetusguard");
	expect_refused("convert --service", "--service: its value is missing: give --service NAME");
	expect_refused("convert --service a --service b", "--service: it is given twice");
	expect_refused("--port 1 --port 2", "--port: it is given twice");
}

static void a_hostile_value_cannot_write_to_the_terminal_or_fill_it(void **state)
{
	char line[600];

	(void)state;
	expect_refused("--log-format \x1b[31m\n",
	        "--log-format: '\\u001b[31m\\u000a' is not accepted: give text or json");

	(void)snprintf(line, sizeof(line), "--log-format %0500d", 0);
	assert_int_equal(read_line(line), -EINVAL);
	assert_true(strlen(error) < 400);
	assert_non_null(strstr(error, "000...' is not accepted: give text or json"));
}

static void the_verbs_are_told_apart(void **state)
{
	(void)state;
	expect_accepted("run");
	assert_int_equal(config.verb, CONFIG_RUN);
	expect_accepted("healthcheck");
	assert_int_equal(config.verb, CONFIG_HEALTHCHECK);
	assert_null(config.health_address);
	expect_accepted("--port 1 healthcheck -- tcp://127.0.0.1:3277");
	assert_int_equal(config.verb, CONFIG_HEALTHCHECK);
	assert_string_equal(config.health_address, "tcp://127.0.0.1:3277");
	assert_int_equal(config.port, 1);
	expect_refused("healthcheck localhost",
	        "healthcheck: 'localhost' is not accepted: give "
	        "tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH or, for a listener, fd://NAME");
}

static void help_and_version_work_in_a_broken_environment(void **state)
{
	(void)state;
	assert_int_equal(setenv("PORT", "none", 1), 0);
	expect_accepted("--help");
	assert_int_equal(config.verb, CONFIG_HELP);
	expect_accepted("run -h");
	assert_int_equal(config.verb, CONFIG_HELP);
	expect_accepted("--version");
	assert_int_equal(config.verb, CONFIG_VERSION);
	expect_accepted("-V");
	assert_int_equal(config.verb, CONFIG_VERSION);
}

/* What config_print_help() prints. */
static void capture_help(char *help, size_t size)
{
	FILE *file = tmpfile();
	const int out = dup(STDOUT_FILENO);

	assert_non_null(file);
	assert_true(out >= 0);
	(void)fflush(stdout);
	assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
	config_print_help();
	(void)fflush(stdout);
	assert_true(dup2(out, STDOUT_FILENO) >= 0);
	(void)close(out);
	rewind(file);
	help[fread(help, 1, size - 1, file)] = '\0';
	(void)fclose(file);
}

static void help_names_every_flag_variable_and_default(void **state)
{
	static char help[16384];
#define OPTION(member, flag, variable, type, change, preset, ...) {flag, variable, preset},
	static const char *const rows[][3] = {
#include "config/options.def"
	};
#undef OPTION

	(void)state;
	capture_help(help, sizeof(help));
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		for (unsigned j = 0; j < ARRAY_LEN(rows[i]); j++) {
			if (rows[i][j] != NULL && strstr(help, rows[i][j]) == NULL) {
				fail_msg("--help does not say '%s'", rows[i][j]);
			}
		}
	}
	assert_non_null(strstr(help, "healthcheck [ADDR]"));
}

static void help_fits_a_terminal(void **state)
{
	static char help[16384];
	unsigned blank = 0;
	unsigned full = 0;

	(void)state;
	capture_help(help, sizeof(help));
	struct slice rest = slice_of(help);
	struct slice line;
	while (slice_next(&rest, '\n', &line)) {
		if (line.len > 98 || (line.len > 0 && line.ptr[line.len - 1] == ' ')) {
			fail_msg("a line of --help: '%.*s'", SLICE_FMT(line));
		}
		blank = line.len == 0 ? blank + 1 : 0;
		assert_true(blank <= 1 || rest.len == 0);
		full += line.len > 80 && slice_starts_with(line, SLICE("      ")) ? 1 : 0;
	}
	assert_non_null(strstr(help, "\n      AUTH BUILD COMMIT "));
	assert_true(full >= 5); /* the names of switches go on as far as there is room */
}

static void lists_of_names_have_ceilings(void **state)
{
	static char names[4096];
	char line[1024] = "--policy traefik";
	size_t len = strlen(line);

	(void)state;
	while (len < 9 + 256) {
		len += (size_t)snprintf(line + len, sizeof(line) - len, ",traefik");
	}
	expect_refused(line, "--policy: the names of policies are longer than 255 bytes");
	for (unsigned i = 0; i < 257; i++) {
		(void)strcat(names, i == 0 ? "system.ping" : ",system.ping");
	}
	expect_variable_refused("ALLOW", names, "ALLOW: there are more than 256 names");
}

/* What the policy of the only listener makes of "GET /path": the rule, "deny", or "denied by none".
 */
static const char *decide(const char *request_line)
{
	static struct docker_request request;
	struct docker_target target = {.path = slice_of(request_line)};
	struct policy_scratch *scratch = policy_scratch_new();

	assert_true(slice_next(&target.path, ' ', &target.method));
	assert_int_equal(docker_route(&target, &request), DOCKER_OK);
	const struct verdict verdict = policy_judge(config.listeners[0].policy, &request, scratch);
	policy_scratch_free(scratch);
	return verdict.allowed ? verdict.rule : "deny";
}

static void policies_are_united(void **state)
{
	(void)state;
	expect_accepted("--policy traefik,dozzle");
	assert_string_equal(policy_name(config.listeners[0].policy), "traefik,dozzle");
	assert_string_not_equal(decide("GET /containers/x/logs"), "deny");
	assert_string_equal(decide("POST /containers/create"), "deny");
	expect_accepted("--policy traefik");
	assert_string_equal(decide("GET /containers/x/logs"), "deny");

	assert_int_equal(setenv("POLICY", " traefik , dozzle", 1), 0);
	expect_accepted("");
	assert_string_equal(policy_name(config.listeners[0].policy), "traefik,dozzle");
	assert_int_equal(setenv("POLICY", "traefik,open", 1), 0);
	expect_accepted("");
	assert_string_equal(policy_name(config.listeners[0].policy), "open");
	expect_variable_refused("POLICY", "traefik,dozle",
	        "POLICY: no policy or preset is called 'dozle'; did you mean 'dozzle'?");
	expect_variable_refused("POLICY", "gitlab",
	        "POLICY: no policy or preset is called 'gitlab'; did you mean 'gitlab-runner'?");
	expect_variable_refused("POLICY", "runner",
	        "POLICY: no policy or preset is called 'runner'; there are act-runner, "
	        "ci-runner, forgejo-runner, gitlab-runner");
	expect_variable_refused("POLICY", "traefik,",
	        "POLICY: no name stands in front of or behind one of the commas");
}

static void operations_are_added_to_a_policy(void **state)
{
	(void)state;
	expect_accepted("--policy traefik --allow container.logs,image.pull");
	assert_string_equal(policy_name(config.listeners[0].policy), "traefik+ALLOW");
	assert_string_equal(decide("GET /containers/x/logs"), "--allow=container.logs,image.pull");
	assert_string_not_equal(decide("GET /containers/json"), "deny");
	assert_string_equal(decide("POST /containers/create"), "deny");
	assert_null(config.warnings);

	char memory[256];
	struct text advice = text_over(memory, sizeof(memory));
	static struct docker_request request;
	const struct docker_target create = {
	        .method = SLICE("POST"), .path = SLICE("/containers/create")};
	assert_int_equal(docker_route(&create, &request), DOCKER_OK);
	policy_advise(config.listeners[0].policy, &request, &advice);
	assert_slice("advice", text_slice(&advice),
	        SLICE("add container.create to --allow; that is enough to become root on the "
	              "host"));

	const struct docker_target unknown = {.method = SLICE("GET"), .path = SLICE("/nothing")};
	assert_int_equal(docker_route(&unknown, &request), DOCKER_OK);
	advice.len = 0;
	policy_advise(config.listeners[0].policy, &request, &advice);
	assert_slice("advice", text_slice(&advice),
	        SLICE("write a rule for its path into a file for CONFIG"));

	assert_int_equal(setenv("ALLOW", "container.list", 1), 0);
	assert_int_equal(setenv("POLICY", "traefik,diun", 1), 0);
	expect_accepted("");
	assert_string_equal(policy_name(config.listeners[0].policy), "traefik,diun");
	assert_string_equal(config.warnings->text,
	        "ALLOW=container.list adds nothing: policy 'traefik,diun' allows it already");
}

static void operations_alone_are_all_that_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(setenv("ALLOW", "container.list, container.logs", 1), 0);
	expect_accepted("");
	assert_string_equal(policy_name(config.listeners[0].policy), "ALLOW");
	assert_string_equal(
	        decide("GET /containers/x/logs"), "ALLOW=container.list, container.logs");
	assert_string_equal(decide("GET /_ping"), "deny");
	assert_string_equal(decide("GET /x/y"), "deny");
	expect_variable_refused("ALLOW", "container.log",
	        "ALLOW: 'container.log' fits no operation; did you mean 'container.logs'?");
	expect_variable_refused("ALLOW", "",
	        "ALLOW is empty. Nothing else says what clients may do: set POLICY (open allows "
	        "everything), a section switch or CONFIG");
	assert_int_equal(setenv("ALLOW", "*", 1), 0);
	expect_accepted("");
	assert_string_equal(config.warnings->text,
	        "ALLOW=*: every client may do everything and is root on the host");
}

static void a_workspace_is_a_list_of_paths(void **state)
{
	static const char form[] = "give absolute paths on the Engine's host, without '.', '..', "
	                           "empty segments and colons, separated by commas";
	static const char *const wrong[][2] = {
	        {"work", "work"},
	        {"/srv/work,", ""},
	        {"/srv/../etc", "/srv/../etc"},
	        {"/srv//work", "/srv//work"},
	        {"/srv/./work", "/srv/./work"},
	        {"/srv/a:/srv/b", "/srv/a:/srv/b"},
	        {"/srv/a,~/b", "~/b"},
	};
	char message[512];

	(void)state;
	assert_int_equal(setenv("POLICY", "agent", 1), 0);
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		(void)snprintf(message, sizeof(message),
		        "WORKSPACE: '%s' in '%s' is not accepted: %s", wrong[i][1], wrong[i][0],
		        form);
		expect_variable_refused("WORKSPACE", wrong[i][0], message);
	}
	expect_refused("--workspace /",
	        "--workspace: '/' in '/' is not accepted: it is the whole host: whoever mounts it "
	        "is root there");
	expect_refused("--workspace=", "--workspace: its value is missing: give --workspace PATHS");
	expect_accepted("--workspace=/srv/a,/srv/b/");
	assert_string_equal(config.workspace_option, "--workspace");
	assert_null(config.warnings);
}

static void a_workspace_does_not_hold_the_engines_socket(void **state)
{
	static const char *const holders[] = {
	        "/run", "/var/run", "/var", "/run/podman", "/var/run/docker.sock"};
	char message[256];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(holders); i++) {
		(void)snprintf(message, sizeof(message),
		        "WORKSPACE: '%s' is not accepted: the Engine's socket is there: whoever "
		        "mounts it is root on the host",
		        holders[i]);
		expect_variable_refused("WORKSPACE", holders[i], message);
	}
	expect_refused("--workspace /srv/work,/home/me/ --upstream /home/me/run/docker.sock",
	        "--workspace: '/home/me' is not accepted: the Engine's socket is there: whoever "
	        "mounts it is root on the host");
	expect_accepted("--workspace /srv/work,/run/docker-socket-proxy/tests.sock --policy agent");
}

static void a_workspace_that_no_policy_uses_is_warned_of(void **state)
{
	(void)state;
	assert_int_equal(setenv("WORKSPACE", "/srv/work", 1), 0);
	expect_accepted("--policy traefik");
	assert_string_equal(config.warnings->text,
	        "WORKSPACE=/srv/work does not count: no policy in use has $WORKSPACE in "
	        "'create.bind_sources'");
	expect_accepted("--policy traefik,gitlab-runner");
	assert_null(config.warnings);
	expect_accepted("--policy portainer"); /* which lifts the block that it extends */
	assert_non_null(config.warnings);
}

static void a_folder_of_the_host_that_no_policy_uses_is_warned_of(void **state)
{
	(void)state;
	assert_int_equal(setenv("HOST_ROOT", "/usr", 1), 0);
	expect_accepted("--policy traefik");
	assert_string_equal(config.warnings->text,
	        "HOST_ROOT=/usr does not count: no policy in use lists paths in "
	        "'create.bind_sources', and links are followed in these alone");
	expect_accepted("--policy agent"); /* $WORKSPACE stands for nothing */
	assert_non_null(config.warnings);
	expect_accepted("--policy traefik,agent --workspace /srv/work");
	assert_null(config.warnings);
}

static void operations_are_added_to_switches(void **state)
{
	(void)state;
	assert_int_equal(setenv("ALLOW", "image.pull", 1), 0);
	assert_int_equal(setenv("CONTAINERS", "1", 1), 0);
	expect_accepted("");
	assert_string_equal(policy_name(config.listeners[0].policy), "switches+ALLOW");
	assert_string_equal(decide("GET /containers/json"), "CONTAINERS=1");
	assert_string_equal(decide("GET /images/json"), "deny");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(defaults_are_the_documented_ones, empty_environment),
	        cmocka_unit_test_setup(
	                every_flag_reaches_its_member_in_both_spellings, empty_environment),
	        cmocka_unit_test_setup(every_variable_reaches_its_member, empty_environment),
	        cmocka_unit_test_setup(a_flag_counts_before_its_variable, empty_environment),
	        cmocka_unit_test_setup(an_empty_variable_is_not_set, empty_environment),
	        cmocka_unit_test_setup(
	                an_empty_variable_that_is_to_restrict_stops_the_start, empty_environment),
	        cmocka_unit_test_setup(the_host_s_files_are_in_a_folder, empty_environment),
	        cmocka_unit_test_setup(an_environment_of_slips_fits_one_line, empty_environment),
	        cmocka_unit_test_setup(switches_have_a_port_of_their_own, empty_environment),
	        cmocka_unit_test_setup(an_empty_switch_is_0, empty_environment),
	        cmocka_unit_test_setup(a_former_name_counts_as_the_switch, empty_environment),
	        cmocka_unit_test_setup(docker_host_counts_last, empty_environment),
	        cmocka_unit_test_setup(
	                an_engine_behind_tcp_has_a_name_or_an_address, empty_environment),
	        cmocka_unit_test_setup(a_listener_is_not_the_engine_behind_tcp, empty_environment),
	        cmocka_unit_test_setup(listeners_repeat_on_the_line_and_are_a_list_in_the_variable,
	                empty_environment),
	        cmocka_unit_test_setup(
	                malformed_addresses_to_listen_on_are_refused, empty_environment),
	        cmocka_unit_test_setup(
	                too_many_or_too_long_listeners_are_refused, empty_environment),
	        cmocka_unit_test_setup(
	                a_socket_path_that_fits_no_socket_address_is_refused, empty_environment),
	        cmocka_unit_test_setup(the_engines_socket_cannot_be_a_listener, empty_environment),
	        cmocka_unit_test_setup(
	                numbers_out_of_range_are_refused_with_the_range, empty_environment),
	        cmocka_unit_test_setup(
	                words_that_are_none_are_refused_with_the_choice, empty_environment),
	        cmocka_unit_test_setup(a_key_that_no_field_can_carry_is_refused_and_never_shown,
	                empty_environment),
	        cmocka_unit_test_setup(
	                what_is_unknown_is_named_with_what_was_meant, empty_environment),
	        cmocka_unit_test_setup(
	                a_hostile_value_cannot_write_to_the_terminal_or_fill_it, empty_environment),
	        cmocka_unit_test_setup(the_verbs_are_told_apart, empty_environment),
	        cmocka_unit_test_setup(
	                help_and_version_work_in_a_broken_environment, empty_environment),
	        cmocka_unit_test_setup(policies_are_united, empty_environment),
	        cmocka_unit_test_setup(operations_are_added_to_a_policy, empty_environment),
	        cmocka_unit_test_setup(operations_alone_are_all_that_is_allowed, empty_environment),
	        cmocka_unit_test_setup(a_workspace_is_a_list_of_paths, empty_environment),
	        cmocka_unit_test_setup(
	                a_workspace_does_not_hold_the_engines_socket, empty_environment),
	        cmocka_unit_test_setup(
	                a_workspace_that_no_policy_uses_is_warned_of, empty_environment),
	        cmocka_unit_test_setup(
	                a_folder_of_the_host_that_no_policy_uses_is_warned_of, empty_environment),
	        cmocka_unit_test_setup(operations_are_added_to_switches, empty_environment),
	        cmocka_unit_test_setup(
	                help_names_every_flag_variable_and_default, empty_environment),
	        cmocka_unit_test(help_fits_a_terminal),
	        cmocka_unit_test_setup(lists_of_names_have_ceilings, empty_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
