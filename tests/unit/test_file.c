/* SPDX-License-Identifier: MIT */
/*
 * The file of --config: what it sets, and for every mistake the one line that
 * names where it is, what it is and what would be accepted.
 */
#include "cases.h"

#include "config/config.h"
#include "yaml/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct config config;
static char error[FAULT_MAX];
static char path[] = "/tmp/file-test-XXXXXX";

static int make_file(void **state)
{
	(void)state;
	const int fd = mkstemp(path);
	(void)clearenv();
	return fd < 0 || close(fd) < 0 ? -1 : 0;
}

static int remove_file(void **state)
{
	(void)state;
	config_free(&config);
	return unlink(path);
}

static void write_file(struct slice text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
	assert_int_equal(fclose(file), 0);
}

static int read_with(struct slice text, const char *flag, const char *value)
{
	char *const argv[] = {(char[]){"docker-socket-proxy"}, (char[]){"-c"}, path,
	        (char *)(uintptr_t)flag, (char *)(uintptr_t)value};

	config_free(&config);
	write_file(text);
	memset(error, 'x', sizeof(error) - 1);
	return config_read(flag == NULL ? 3 : 5, argv, &config, error);
}

static void expect_accepted(const char *text)
{
	if (read_with(slice_of(text), NULL, NULL) < 0) {
		fail_msg("refused: %s", error);
	}
}

/* `message` is what follows the name of the file: ":3: …". */
static void expect_bytes_refused(struct slice text, const char *message)
{
	assert_int_equal(read_with(text, NULL, NULL), -EINVAL);
	if (strncmp(error, path, strlen(path)) != 0) {
		fail_msg("the file is not named: %s", error);
	}
	assert_string_equal(error + strlen(path), message);
}

/* ── What it sets ────────────────────────────────────────────────────────── */

static void every_key_reaches_its_member(void **state)
{
	(void)state;
	expect_accepted("listeners:\n"
	                "  - address: tcp://127.0.0.1:1\n"
	                "    policy: ci\n"
	                "  - {address: 'unix:///run/a.sock', mode: 600, browsers: true}\n"
	                "upstream:\n"
	                "  address: unix:///run/engine.sock\n"
	                "policy: read-only\n"
	                "policies:\n"
	                "  ci:\n"
	                "    extends: [read-only]\n"
	                "    mode: observe\n"
	                "    rules:\n"
	                "      - allow: {operations: [container.*], methods: [GET], path: /c.*}\n");
	assert_int_equal(config.listener_count, 2);
	assert_string_equal(config.listeners[0].address, "tcp://127.0.0.1:1");
	assert_string_equal(policy_name(config.listeners[0].policy), "ci");
	assert_true(policy_observes(config.listeners[0].policy));
	assert_int_equal(config.listeners[0].mode, 0660);
	assert_false(config.listeners[0].browsers);
	assert_string_equal(config.listeners[1].address, "unix:///run/a.sock");
	assert_string_equal(policy_name(config.listeners[1].policy), "read-only");
	assert_int_equal(config.listeners[1].mode, 0600);
	assert_true(config.listeners[1].browsers);
	assert_string_equal(config.engine.path, "/run/engine.sock");
	assert_string_equal(config.engine.option, "upstream.address");
}

static void a_listener_without_a_policy_denies_everything(void **state)
{
	(void)state;
	expect_accepted("listeners: [{address: 'tcp://*:1'}]");
	assert_string_equal(policy_name(config.listeners[0].policy), "deny");
	expect_accepted("upstream: {address: /run/e.sock}");
	assert_int_equal(config.listener_count, 1);
	assert_string_equal(config.listeners[0].address, "tcp://*:3277");
	assert_string_equal(policy_name(config.listeners[0].policy), "deny");
}

static void policies_of_the_file_are_united_by_their_names(void **state)
{
	char wanted[256];

	(void)state;
	expect_accepted("listeners: [{address: 'tcp://*:1', policy: 'a, traefik'}]\n"
	                "policies:\n"
	                "  a: {rules: [{allow: [container.logs]}]}\n");
	assert_string_equal(policy_name(config.listeners[0].policy), "a,traefik");
	(void)snprintf(wanted, sizeof(wanted),
	        ":1: 'a' cannot be united with other policies, because it has a deny rule (%s:4): "
	        "write a policy that extends them in the intended order",
	        path);
	expect_bytes_refused(SLICE("policy: traefik,a\n"
	                           "policies:\n"
	                           "  a: {rules: [\n"
	                           "    {deny: [container.logs]}, {allow: [container.*]}]}\n"),
	        wanted);
}

static void operations_are_added_where_the_file_names_no_policy(void **state)
{
	const struct slice text = SLICE("listeners:\n"
	                                "  - {address: 'tcp://*:1', policy: traefik}\n"
	                                "  - {address: 'tcp://*:2'}\n"
	                                "policy: ci\n"
	                                "policies:\n"
	                                "  ci: {mode: observe, rules: [{deny: [image.list]}]}\n");

	(void)state;
	assert_int_equal(read_with(text, "--allow", "image.list,image.pull"), 0);
	assert_string_equal(policy_name(config.listeners[0].policy), "traefik");
	assert_string_equal(policy_name(config.listeners[1].policy), "ci+ALLOW");
	assert_true(policy_observes(config.listeners[1].policy));

	assert_int_equal(read_with(SLICE("listeners: [{address: 'tcp://*:1', policy: traefik}]\n"),
	                         "--allow", "image.pull"),
	        0);
	assert_string_equal(policy_name(config.listeners[0].policy), "traefik");
	assert_non_null(strstr(config.warnings->text, "--allow=image.pull does not count"));
	/* A policy of that name is another. */
	assert_int_equal(read_with(SLICE("policies: {ALLOW: {rules: [{allow: [image.list]}]}}\n"),
	                         "--allow", "image.pull"),
	        0);
	assert_non_null(strstr(config.warnings->text, "policy 'ALLOW' is not used"));
	/* What the file denies, and nothing else, is opened. */
	assert_int_equal(read_with(SLICE("upstream: {address: /e}\n"), "--allow", "image.pull"), 0);
	assert_string_equal(policy_name(config.listeners[0].policy), "ALLOW");
}

/* The warnings, one a line, the name of the file left out. */
static const char *warnings(void)
{
	static char memory[4096];
	struct text text = text_over(memory, sizeof(memory) - 1);

	for (const struct config_warning *w = config.warnings; w != NULL; w = w->next) {
		const bool named = strncmp(w->text, path, strlen(path)) == 0;
		text_add_format(&text, "%s\n", w->text + (named ? strlen(path) : 0));
	}
	memory[text.len] = '\0';
	return memory;
}

static void what_is_hardly_meant_so_is_warned_of(void **state)
{
	(void)state;
	expect_accepted("listeners:\n"
	                "  - {address: 'unix:///run/a.sock', mode: '0666', policy: a}\n"
	                "  - {address: 'unix:///run/b.sock', mode: '0660', policy: a}\n"
	                "policies:\n"
	                "  a:\n"
	                "    extends: [base]\n"
	                "    rules:\n"
	                "      - deny: [container.*]\n"
	                "      - allow: [container.list]\n"
	                "      - allow: [image.list, container.list]\n"
	                "  base: {extends: [base-of-base]}\n"
	                "  base-of-base: {rules: [{allow: [network.list]}]}\n"
	                "  lonely: {rules: [{allow: [image.list]}]}\n");
	assert_string_equal(warnings(),
	        "unix:///run/a.sock: mode 0666: every user who reaches the file may connect; 0660 "
	        "admits only its group\n"
	        ":9: 'allow: [container.list]' never decides: 'deny: [container.*]' comes before "
	        "it\n"
	        ":13: policy 'lonely' is not used by any listener or client\n");
}

static void a_host_root_that_no_policy_uses_is_warned_of(void **state)
{
	static const struct {
		const char *block;
		bool uses;
	} cases[] = {
	        {"", false},
	        {"    create: {}\n", false},
	        {"    create: {bind_sources: any}\n", false},
	        {"    create: {socket: 'unix:///run/p.sock'}\n", false},
	        {"    create: {bind_sources: [/srv]}\n", true},
	};
	char memory[1024];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct text text = text_over(memory, sizeof(memory));
		text_add_format(&text,
		        "host_root: /usr\n"
		        "listeners: [{address: 'unix:///run/p.sock', policy: p}]\n"
		        "policies:\n"
		        "  p:\n"
		        "    rules: [{allow: [container.create]}]\n"
		        "%s",
		        cases[i].block);
		assert_int_equal(read_with(text_slice(&text), NULL, NULL), 0);
		assert_string_equal(warnings(),
		        cases[i].uses ? ""
		                      : ":1: host_root=/usr does not count: no policy in use lists "
		                        "paths in 'create.bind_sources', and links are followed in "
		                        "these alone\n");
	}
}

static void warnings_of_rules_have_a_ceiling(void **state)
{
	char memory[1024];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	text_add(&text, SLICE("policy: a\npolicies:\n  a:\n    rules:\n      - allow: ['*']\n"));
	for (unsigned i = 0; i < 10; i++) {
		text_add(&text, SLICE("      - allow: [image.list]\n"));
	}
	assert_int_equal(read_with(text_slice(&text), NULL, NULL), 0);
	assert_non_null(strstr(warnings(), ":13: 'allow: [image.list]' never decides"));
	assert_null(strstr(warnings(), ":14:"));
	assert_non_null(strstr(warnings(), "policy 'a' has 2 more rules that never decide"));
}

static void what_is_given_elsewhere_counts_before_the_file(void **state)
{
	const struct slice text = SLICE("listeners: [{address: 'tcp://*:1', policy: traefik}]\n"
	                                "upstream: {address: /run/file.sock}\n"
	                                "policy: deny\n");

	(void)state;
	assert_int_equal(read_with(text, "--listen", "tcp://*:2"), 0);
	assert_int_equal(config.listener_count, 1);
	assert_string_equal(config.listeners[0].address, "tcp://*:2");
	assert_string_equal(policy_name(config.listeners[0].policy), "deny");
	assert_int_equal(read_with(text, "--upstream", "/run/flag.sock"), 0);
	assert_string_equal(config.engine.path, "/run/flag.sock");
	/* What a listener of the file is given stays with it. */
	assert_int_equal(read_with(text, "--policy", "open"), 0);
	assert_string_equal(policy_name(config.listeners[0].policy), "traefik");
	assert_string_equal(policy_name(config.policy), "open");

	assert_int_equal(setenv("POLICY", "read-only", 1), 0);
	assert_int_equal(setenv("SOCKET_PATH", "/run/variable.sock", 1), 0);
	assert_int_equal(setenv("LISTEN", "tcp://*:3,tcp://*:4", 1), 0);
	assert_int_equal(read_with(text, NULL, NULL), 0);
	assert_int_equal(config.listener_count, 2);
	assert_string_equal(policy_name(config.listeners[1].policy), "read-only");
	assert_string_equal(config.engine.path, "/run/variable.sock");
	(void)clearenv();
}

/* ── Mistakes ────────────────────────────────────────────────────────────── */

static void mistakes_name_file_line_and_remedy(void **state)
{
	static const char *const cases[][2] = {
	        /* the document */
	        {"", ":1: the file has no content"},
	        {"# only this\n", ":1: the file has no content"},
	        {"upstream: {address: [/e]}\n",
	                ":1: 'address' is the Engine's address, "
	                "unix:///PATH, tcp://HOST:PORT or tls://HOST:PORT; found a list"},
	        {"policy: open\n\"po\\x01\": deny\n", ":2: a text has a control byte (0x01)"},
	        {"policy: open\n---\npolicy: deny\n",
	                ":2: a second document begins; one file holds one"},
	        {"policy: open\npolicies: {}\npolicy: deny\n",
	                ":3: key 'policy' is given twice; the first is in line 1"},
	        {"policies:\n  a: &x {rules: []}\n",
	                ":2: anchors (&x) are not supported: write the value where it is needed; "
	                "for a compose file 'docker compose config' does that"},
	        {"policy: open\nlisteners: []\n",
	                ":2: 'listeners' is an empty list; remove the key to listen on PORT on all "
	                "interfaces"},
	        {"policies:\n  a: {rules: [{allow: [*x]}]}\n",
	                ":2: a word that begins with '*' is an alias in YAML, which is not "
	                "supported here: put a glob in quotes, '*.list'"},
	        {"policies:\n  a:\n    rules:\n      - allow: [*.list]\n",
	                ":4: a word that begins with '*' is an alias in YAML, which is not "
	                "supported here: put a glob in quotes, '*.list'"},
	        {"policy: !secret x\n", ":1: tags (!secret) are not supported"},
	        {"policies:\n\tci: {}\n",
	                ":2: YAML does not allow tabs as indentation: use spaces"},
	        {"policy: \"a\\0b\"\n", ":1: a text has a control byte (0x00)"},
	        {"a: [\n", ":2: this is not YAML: did not find expected node content while "
	                   "parsing a flow node"},
	        {"{[a]: b}\n", ":1: a key is plain text, not a list or a map"},
	        {"[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]\n",
	                ":1: lists and maps are nested more than 16 deep"},
	        {"policy: \"\xff\"\n", ":1: the text is not UTF-8: invalid leading UTF-8 octet"},
	        {"policies:\n  a: {}\n b: {}\n",
	                ":3: this is not YAML: did not find expected key while "
	                "parsing a block mapping"},
	        {"just text\n", ":1: expected the configuration, which is a map, such as "
	                        "{listeners: ...}; found 'just text'"},
	        /* brackets that end an unquoted text */
	        {"policies:\n  a:\n    rules:\n      - allow: {methods: [GET], path: "
	         "/plugins/[a-z]+/json}\n",
	                ":4: a text with brackets or braces inside {} needs single quotes: path: "
	                "'/plugins/[a-z]+/json'"},
	        {"policies:\n  a:\n    rules:\n      - allow: {path: /a{1,3}/[^/]*, methods: [GET, "
	         "HEAD]} # why\n",
	                ":4: a text with brackets or braces inside {} needs single quotes: path: "
	                "'/a{1,3}/[^/]*'"},
	        {"policies:\n  a:\n    rules:\n      - deny: {path: /a/[a-z]+ # all, methods: "
	         "[GET]}\n",
	                ":4: a text with brackets or braces inside {} needs single quotes: path: "
	                "'/a/[a-z]+'"},
	        {"policies:\n  a:\n    rules:\n      - deny: {path: /a/[a-z]+\t#}\n",
	                ":4: a text with brackets or braces inside {} needs single quotes: path: "
	                "'/a/[a-z]+'"},
	        {"policies:\n  a:\n    rules:\n      - allow: {versioned_path: /v1[.]41/info}\n",
	                ":4: a text with brackets or braces inside {} needs single quotes: "
	                "versioned_path: '/v1[.]41/info'"},
	        {"policies:\n  a:\n    rules:\n      - allow: {path: /a[\n",
	                ":4: a text with brackets or braces inside {} needs single quotes: path: "
	                "'/a['"},
	        {"# \u00e4\u20ac\npolicies:\n  a: {rules: [{allow: {path: /a[b]}}]}\n",
	                ":3: a text with brackets or braces inside {} needs single quotes: path: "
	                "'/a[b]'"},
	        {"policies:\n  a: {rules: [{allow: {path: 'x'[a]}}]}\n",
	                ":2: this is not YAML: did not find expected ',' or '}' while parsing a "
	                "flow mapping"},
	        /* the top */
	        {"polices: {}\n",
	                ":1: unknown key 'polices' in the configuration; did you mean 'policies'?"},
	        {"metrics: {}\n",
	                ":1: unknown key 'metrics' in the configuration; there are listeners, "
	                "upstream, engines, policies, policy, host_root, log_level, limits, admin, "
	                "audit, "
	                "clients, "
	                "label_prefix, watch"},
	        {"label_prefix: x\n",
	                ":1: 'label_prefix' lets labels choose among the 'policies' of "
	                "the file, and there are none"},
	        {"label_prefix: [x]\npolicies: {a: {extends: [open]}}\n",
	                ":1: 'label_prefix' is the prefix of a label, such as docker-socket-proxy; "
	                "found a list"},
	        {"label_prefix: null\npolicies: {a: {extends: [open]}}\n",
	                ":1: 'label_prefix' is the prefix of a label: leave it out if no label "
	                "chooses"},
	        {"label_prefix: No\npolicies: {a: {extends: [open]}}\n",
	                ":1: 'label_prefix' is the prefix of a label: leave it out if no label "
	                "chooses"},
	        {"label_prefix: a=b\npolicies: {a: {extends: [open]}}\n",
	                ":1: 'label_prefix' has letters, digits, '-', '_', '.' and '/'"},
	        {"label_prefix: ~\npolicies: {a: {extends: [open]}}\n",
	                ":1: 'label_prefix' has letters, digits, '-', '_', '.' and '/'"},
	        /* clients */
	        {"clients: ci\n", ":1: 'clients' is a list of clients; found 'ci'"},
	        {"clients: [ci]\n", ":1: expected a client, such as {name: ci, match: {cidr: "
	                            "192.0.2.0/24}, policy: read-only}; found 'ci'"},
	        {"clients: [{name: ci, policy: open}]\n",
	                ":1: a client needs a 'match': {name: ci, match: {cidr: 192.0.2.0/24}, "
	                "policy: read-only}"},
	        {"clients: [{name: ci, match: {cidr: 192.0.2.1}}]\n",
	                ":1: a client needs a 'policy': {name: ci, match: {cidr: 192.0.2.0/24}, "
	                "policy: read-only}"},
	        {"clients: [{match: {cidr: 192.0.2.1}, policy: open}]\n",
	                ":1: a client needs a 'name': {name: ci, match: {cidr: 192.0.2.0/24}, "
	                "policy: read-only}"},
	        {"clients: [{name: 'a b', match: {cidr: 192.0.2.1}, policy: open}]\n",
	                ":1: name: 'a b' is not accepted: a name has letters, digits, '-', '_' "
	                "and '.', and begins with a letter or digit"},
	        {"clients:\n- {name: a, match: {uid: 0}, policy: open}\n- {name: a, match: {uid: "
	         "1}, policy: open}\n",
	                ":3: two clients have the name 'a'"},
	        {"clients:\n- {name: a, match: {uid: 0}, policy: opne}\n",
	                ":2: no policy or preset is called 'opne'; did you mean 'open'?"},
	        {"clients:\n- {name: a, match: {uid: 0}, policy: open, until: "
	         "2027-02-30T18:00:00Z}\n",
	                ":2: 'until' is a time in UTC, such as 2027-01-31T18:00:00Z; found "
	                "'2027-02-30T18:00:00Z'"},
	        {"clients:\n- {name: a, match: {uid: 0}, policy: open, until: 2027-02-03}\n",
	                ":2: 'until' is a time in UTC, such as 2027-01-31T18:00:00Z; found "
	                "'2027-02-03'"},
	        {"clients:\n- {name: a, match: {listener: edge}, policy: open}\n",
	                ":2: listener: 'edge' is not accepted: no listener has this 'name'"},
	        {"listeners:\n- {address: 'tcp://*:1', name: a}\n- {address: 'tcp://*:2', name: "
	         "a}\n",
	                ":3: two listeners have the name 'a'"},
	        {"policy: [a]\n", ":1: 'policy' is the name of a policy or preset; found a list"},
	        {"policy:\n", ":1: 'policy' is the name of a policy or preset; found nothing"},
	        {"\npolicy: traefk\n", ":2: no policy or preset is called 'traefk'; did you mean "
	                               "'traefik'?"},
	        /* listeners */
	        {"listeners: tcp://*:1\n",
	                ":1: 'listeners' is a list of listeners, such as - address: tcp://*:3277; "
	                "found 'tcp://*:1'"},
	        {"listeners:\n  - tcp://*:1\n", ":2: expected a listener, which is a map, such as "
	                                        "{address: ...}; found 'tcp://*:1'"},
	        {"listeners:\n  - policy: open\n", ":2: a listener needs an 'address': "
	                                           "tcp://HOST:PORT, tls://HOST:PORT, "
	                                           "unix:///PATH or fd://NAME"},
	        {"listeners:\n  - address:\n      - a\n",
	                ":2: 'address' is tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH or "
	                "fd://NAME; found a list"},
	        {"listeners:\n  - address: tcp://*\n",
	                ":2: address: 'tcp://*' is not accepted: the port is missing: give "
	                "HOST:PORT"},
	        {"listeners:\n  - policy: open\n    address: tls://*:1\n",
	                ":3: tls://*:1 needs a certificate and its key: set TLS_CERT and TLS_KEY, "
	                "or "
	                "write 'tls: {cert: FILE, key: FILE}' at the listener in the file"},
	        {"listeners:\n  - address: tcp://*:1\n  - address: tcp://*:1\n",
	                ":3: address: 'tcp://*:1' is not accepted: it is given twice"},
	        {"listeners:\n  - address: tcp://*:1\n    policy: ci\n",
	                ":3: no policy or preset is called 'ci'; did you mean 'ci-runner'?"},
	        {"listeners:\n  - address: tcp://*:1\n    polcy: open\n",
	                ":3: unknown key 'polcy' in a listener; did you mean 'policy'?"},
	        {"listeners:\n  - address: tcp://*:1\n    port: 2\n",
	                ":3: unknown key 'port' in a listener; there are address, name, policy, "
	                "engine, mode, browsers, tls"},
	        {"listeners:\n  - address: tcp://*:1\n    tls: {}\n",
	                ":3: 'tls' is for addresses tls://HOST:PORT and fd://NAME; this one is "
	                "'tcp://*:1'"},
	        {"listeners:\n  - address: tcp://*:1\n    mode: '0660'\n",
	                ":3: 'mode' is for addresses that are unix sockets; this one is "
	                "'tcp://*:1'"},
	        {"listeners:\n  - address: unix:///a\n    mode: rw\n",
	                ":3: 'mode' is the mode of the socket's file in octal, such as \"0660\"; "
	                "found 'rw'"},
	        {"listeners:\n  - address: unix:///a\n    mode: '1777'\n",
	                ":3: 'mode' is the mode of the socket's file in octal, such as \"0660\"; "
	                "found '1777'"},
	        {"listeners:\n  - address: tcp://*:1\n    browsers: yes\n",
	                ":3: 'browsers' is true or false; found 'yes'"},
	        /* upstream */
	        {"upstream: [/a]\n",
	                ":1: expected upstream, which is a map, such as {address: ...}; "
	                "found a list"},
	        {"upstream:\n  socket: /a\n",
	                ":2: unknown key 'socket' in upstream; there are address, tls"},
	        {"upstream:\n  address: ssh://a:1\n",
	                ":2: address: 'ssh://a:1' is not accepted: ssh:// is not spoken: use "
	                "tls://HOST:PORT, or unix:///PATH on its host"},
	        /* policies: the rest is in test_policy.c */
	        {"policies: []\n", ":1: 'policies' is a map of policies by their names; found a "
	                           "list"},
	        {"policies:\n  ci: open\n", ":2: expected a policy, which is a map, such as "
	                                    "{description: ...}; found 'open'"},
	        {"policies:\n  'c i': {}\n",
	                ":2: 'c i' is no name for a policy: give 1 to 64 letters, digits, '-', "
	                "'_' and '.'"},
	        {"policies:\n  open: {}\n", ":2: policy 'open' is built in: choose another name"},
	        {"policies:\n  traefik: {}\n", ":2: 'traefik' is a preset: choose another name"},
	        {"policies:\n  unused:\n    extends: [nothing-like-it]\n",
	                ":3: no policy or preset is called 'nothing-like-it'; --help lists the "
	                "presets"},
	        {"policies:\n  a:\n    rules:\n      - allow: [container.inspct]\n",
	                ":4: 'container.inspct' fits no operation; did you mean "
	                "'container.inspect'?"},
	        {"policies:\n  a:\n    redact: [environment]\n",
	                ":3: 'environment' is not accepted in 'redact': give env, args, "
	                "labels:PATTERN, mounts, options, tokens"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		expect_bytes_refused(slice_of(cases[i][0]), cases[i][1]);
	}
}

static void sizes_have_ceilings(void **state)
{
	static char big[YAML_SIZE_MAX + 2];
	struct text text;

	(void)state;
	memset(big, '#', sizeof(big) - 1);
	expect_bytes_refused((struct slice){big, YAML_SIZE_MAX + 1},
	        ":1: the file is longer than 1048576 bytes");

	text = text_over(big, sizeof(big));
	text_add_format(&text, "policy: %0*d\n", YAML_TEXT_MAX + 1, 0);
	expect_bytes_refused(text_slice(&text), ":1: a text is longer than 8192 bytes");

	text = text_over(big, sizeof(big));
	text_add(&text, SLICE("policies:\n"));
	for (unsigned i = 0; i <= YAML_KEYS_MAX; i++) {
		text_add_format(&text, "  p%u: {}\n", i);
	}
	expect_bytes_refused(text_slice(&text), ":4098: a map has more than 4096 keys");

	text = text_over(big, sizeof(big));
	for (unsigned i = 0; i <= YAML_NODES_MAX; i++) {
		text_add(&text, SLICE("- a\n"));
	}
	expect_bytes_refused(text_slice(&text), ":65536: there are more than 65536 values");

	text = text_over(big, sizeof(big));
	text_add(&text, SLICE("listeners:\n"));
	for (unsigned i = 1; i <= CONFIG_LISTENERS_MAX + 1; i++) {
		text_add_format(&text, "  - address: tcp://*:%u\n", i);
	}
	expect_bytes_refused(text_slice(&text), ":18: address: there are more than 16 addresses");
}

/* Each of the policies has 1000 steps for every request id. */
static void policies_have_a_ceiling_of_memory(void **state)
{
	static char big[YAML_SIZE_MAX / 8];
	struct text text = text_over(big, sizeof(big));

	(void)state;
	text_add(&text, SLICE("policies:\n  rules:\n    rules:\n"));
	for (unsigned i = 0; i < POLICY_RULES_MAX; i++) {
		text_add(&text, SLICE("      - deny: {path: '/.*x'}\n"));
	}
	for (unsigned i = 0; i < 30; i++) {
		text_add_format(&text, "  p%u: {extends: rules}\n", i);
	}
	assert_false(text.overflow);
	assert_int_equal(read_with(text_slice(&text), NULL, NULL), -EINVAL);
	assert_string_equal(error,
	        "the configuration needs more than 64 MiB of memory: it has too many policies "
	        "with too many rules");
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	char *const argv[] = {(char[]){"docker-socket-proxy"}, (char[]){"--config=/nonexistent/x"}};

	(void)state;
	config_free(&config);
	assert_int_equal(config_read(2, argv, &config, error), -EINVAL);
	assert_string_equal(error, "/nonexistent/x: cannot be read: No such file or directory");
	char *const folder[] = {(char[]){"docker-socket-proxy"}, (char[]){"--config=/tmp"}};
	config_free(&config);
	assert_int_equal(config_read(2, folder, &config, error), -EINVAL);
	assert_string_equal(error,
	        "/tmp: cannot be read: it is a directory: Docker makes one if the file to mount "
	        "is missing on the host");
}

static void the_engine_is_not_one_of_the_files_listeners(void **state)
{
	(void)state;
	const struct slice text = SLICE("listeners: [{address: 'unix:///run/a.sock'}]\n"
	                                "upstream: {address: /run/a.sock}\n");
	assert_int_equal(read_with(text, NULL, NULL), -EINVAL);
	assert_string_equal(error,
	        "'/run/a.sock' is both the address of a listener and the Engine's "
	        "socket (upstream.address)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_key_reaches_its_member),
	        cmocka_unit_test(a_listener_without_a_policy_denies_everything),
	        cmocka_unit_test(policies_of_the_file_are_united_by_their_names),
	        cmocka_unit_test(operations_are_added_where_the_file_names_no_policy),
	        cmocka_unit_test(what_is_hardly_meant_so_is_warned_of),
	        cmocka_unit_test(a_host_root_that_no_policy_uses_is_warned_of),
	        cmocka_unit_test(warnings_of_rules_have_a_ceiling),
	        cmocka_unit_test(what_is_given_elsewhere_counts_before_the_file),
	        cmocka_unit_test(mistakes_name_file_line_and_remedy),
	        cmocka_unit_test(sizes_have_ceilings),
	        cmocka_unit_test(policies_have_a_ceiling_of_memory),
	        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
	        cmocka_unit_test(the_engine_is_not_one_of_the_files_listeners),
	};

	return cmocka_run_group_tests_name("file", tests, make_file, remove_file);
}
