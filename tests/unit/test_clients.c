/* SPDX-License-Identifier: MIT */
/*
 * Clients: conditions as they are read, whom they fit, and what is said of them; keys; hosts whose
 * keys are wrong.
 */
#include "callers.h"
#include "cases.h"

#include "base/clock.h"
#include "identity/attempts.h"

#define ZEROS  "00000000000000000000000000000000"
#define DIGEST "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" /* "secret" */

static struct arena arena;
static int free_all(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static int read_match(const char *text, struct match *ret_match, char error[FAULT_MAX])
{
	static const char *const listeners[] = {"main", NULL, "edge"};
	const struct match_names names = {listeners, ARRAY_LEN(listeners)};
	const struct yaml_node *root = NULL;

	if (yaml_read(slice_of(text), "ci.yaml", &arena, &root, error) < 0) {
		return -1;
	}
	return match_read(root, &names, &arena, ret_match, error);
}

static struct match match_of(const char *text)
{
	char error[FAULT_MAX] = "";
	struct match match;

	if (read_match(text, &match, error) < 0) {
		fail_msg("%s: %s", text, error);
	}
	return match;
}

/* ── Reading ─────────────────────────────────────────────────────────────── */

static void refuses(const char *text, const char *wanted)
{
	char error[FAULT_MAX] = "";
	struct match match;

	assert_that(text, read_match(text, &match, error) < 0);
	assert_string_equal(error, wanted);
}

static void what_is_wrong_is_said(void **state)
{
	(void)state;
	refuses("{}",
	        "ci.yaml:1: 'match' has no condition, and would fit everybody: what everybody "
	        "may do is the policy of the listener");
	refuses("{cidr: []}", "ci.yaml:1: 'cidr' is a list of 1 to 256 values");
	refuses("{cdir: 192.0.2.1}",
	        "ci.yaml:1: unknown key 'cdir' in match; did you mean 'cidr'?");
	refuses("{cidr: {a: b}}", "ci.yaml:1: 'cidr' is an address or a network, such as "
	                          "192.0.2.0/24 or 2001:db8::/32, or a list of these; found a map");
	refuses("{cidr: 192.0.2.1/24}",
	        "ci.yaml:1: cidr: '192.0.2.1/24' is not accepted: the address has bits behind the "
	        "first BITS: for a network they are 0, for one address leave /BITS out");
	refuses("{cidr: ['192.0.2.0/24', '192.0.2.0/33']}",
	        "ci.yaml:1: cidr: '192.0.2.0/33' is not accepted: BITS in ADDRESS/BITS is a whole "
	        "number up to 32 for IPv4, up to 128 for IPv6");
	refuses("{cidr: '::1/129'}",
	        "ci.yaml:1: cidr: '::1/129' is not accepted: BITS in ADDRESS/BITS is a whole "
	        "number up to 32 for IPv4, up to 128 for IPv6");
	refuses("{cidr: 192.0.2.0/}",
	        "ci.yaml:1: cidr: '192.0.2.0/' is not accepted: BITS in ADDRESS/BITS is a whole "
	        "number up to 32 for IPv4, up to 128 for IPv6");
	for (unsigned i = 0; i < 6; i++) {
		static const char *const bad[] = {
		        "192.0.2", "192.0.2.0.1", "localhost", "192.0.02.1", "[::1]", "/24"};
		char text[64];
		char wanted[256];
		(void)snprintf(text, sizeof(text), "{cidr: '%s'}", bad[i]);
		(void)snprintf(wanted, sizeof(wanted),
		        "ci.yaml:1: cidr: '%s' is not accepted: give an IPv4 or IPv6 address, or "
		        "ADDRESS/BITS such as 192.0.2.0/24",
		        bad[i]);
		refuses(text, wanted);
	}
	refuses("{listener: other}",
	        "ci.yaml:1: listener: 'other' is not accepted: no listener has this 'name'");
	refuses("{uid: root}",
	        "ci.yaml:1: uid: 'root' is not accepted: give a number: 'id -u NAME' prints that "
	        "of a user, 'getent group NAME' that of a group; a name can be another user in a "
	        "container");
	refuses("{gid: 4294967295}",
	        "ci.yaml:1: gid: '4294967295' is not accepted: give a number: 'id -u NAME' prints "
	        "that of a user, 'getent group NAME' that of a group; a name can be another user "
	        "in a container");
}

/* A map without a condition would fit everybody. */
static void a_group_has_conditions(void **state)
{
	(void)state;
	refuses("{container: {}}", "ci.yaml:1: 'container' in match has no condition");
	refuses("{container: edge}", "ci.yaml:1: expected container, which is a map, such as "
	                             "{label: ...}; found 'edge'");
	refuses("{container: {labels: a}}",
	        "ci.yaml:1: unknown key 'labels' in container; did you mean 'label'?");
	refuses("{label: a}",
	        "ci.yaml:1: 'label' stands in 'container', not in 'match', such as container: "
	        "{label: ...}");
	refuses("{container: {uid: 0}}", "ci.yaml:1: 'uid' stands in 'match', not in 'container', "
	                                 "such as match: {uid: ...}");
	refuses("{address: 192.0.2.1}",
	        "ci.yaml:1: unknown key 'address' in match; there are listener, uid, gid, cidr, "
	        "key_sha256, cert, container");
	refuses("{container: {label: '=b'}}",
	        "ci.yaml:1: label: '=b' is not accepted: give NAME or NAME=VALUE");
}

/* A key that was written in place of its hash must not stand in a message. */
static void a_key_is_in_no_message(void **state)
{
	(void)state;
	refuses("{key_sha256: secret}",
	        "ci.yaml:1: key_sha256: the value is not accepted: a SHA-256 has 64 hexadecimal "
	        "digits: give the line that 'docker-socket-proxy hash-key' prints");
	refuses("{key_sha256: 'ab:" DIGEST "'}",
	        "ci.yaml:1: key_sha256: the value is not accepted: the salt in front of ':' has 32 "
	        "hexadecimal digits: give the line that 'docker-socket-proxy hash-key' prints");
	refuses("{key_sha256: '" ZEROS ":" ZEROS "'}",
	        "ci.yaml:1: key_sha256: the value is not accepted: a SHA-256 has 64 hexadecimal "
	        "digits: give the line that 'docker-socket-proxy hash-key' prints");
}

/* ── Whom it fits ────────────────────────────────────────────────────────── */

static struct caller peer_of(uid_t uid, gid_t gid, gid_t other)
{
	struct caller caller = caller_named("unix");

	caller.peer =
	        (struct unix_peer){.pid = 1, .uid = uid, .group_count = 2, .groups = {gid, other}};
	return caller;
}

static void fits(const char *text, const struct caller *caller, bool wanted)
{
	const struct match match = match_of(text);
	const struct sender sender = {.caller = caller};

	assert_that(text, (match_holds(&match, &sender) == MATCH_YES) == wanted);
}

static void addresses_and_networks(void **state)
{
	static const struct {
		const char *text, *name;
		bool fits;
	} cases[] = {
	        {"{cidr: 192.0.2.7}", "192.0.2.7:1", true},
	        {"{cidr: 192.0.2.7}", "192.0.2.8:1", false},
	        {"{cidr: 192.0.2.0/24}", "192.0.2.255:1", true},
	        {"{cidr: 192.0.2.0/24}", "192.0.3.0:1", false},
	        {"{cidr: 192.0.2.128/25}", "192.0.2.127:1", false},
	        {"{cidr: 192.0.2.128/25}", "192.0.2.128:1", true},
	        {"{cidr: 192.0.2.2/31}", "192.0.2.3:1", true},
	        {"{cidr: 192.0.2.2/31}", "192.0.2.4:1", false},
	        {"{cidr: 0.0.0.0/0}", "203.0.113.9:1", true},
	        {"{cidr: 0.0.0.0/0}", "[2001:db8::1]:1", false},
	        {"{cidr: '::/0'}", "203.0.113.9:1", false},
	        {"{cidr: '::/0'}", "[2001:db8::1]:1", true},
	        {"{cidr: '2001:db8::/33'}", "[2001:db8:7fff::1]:1", true},
	        {"{cidr: '2001:db8::/33'}", "[2001:db8:8000::1]:1", false},
	        {"{cidr: '::ffff:192.0.2.0/120'}", "192.0.2.9:1", true},
	        {"{cidr: '::ffff:192.0.2.9'}", "[::ffff:192.0.2.9]:1", true},
	        {"{cidr: 192.0.2.9}", "[::ffff:192.0.2.9]:1", true},
	        {"{cidr: 192.0.2.9}", "[::192.0.2.9]:1", false},
	        {"{cidr: [198.51.100.0/24, 192.0.2.9]}", "192.0.2.9:1", true},
	        {"{cidr: 0.0.0.0/0}", "unix", false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		const struct caller caller = caller_named(cases[i].name);
		fits(cases[i].text, &caller, cases[i].fits);
	}
}

static void users_and_groups(void **state)
{
	const struct caller tcp = caller_named("192.0.2.1:1");
	const struct caller unknown = caller_named("unix"); /* nothing is known of the peer */
	const struct caller peer = peer_of(1000, 100, 998);

	(void)state;
	fits("{uid: 1000}", &peer, true);
	fits("{uid: [0, 1000]}", &peer, true);
	fits("{uid: 0}", &peer, false);
	fits("{gid: 100}", &peer, true);
	fits("{gid: 998}", &peer, true);
	fits("{gid: 0}", &peer, false);
	fits("{uid: 1000, gid: 0}", &peer, false);
	fits("{uid: 0}", &tcp, false);
	fits("{gid: 0}", &tcp, false);
	fits("{uid: 0}", &unknown, false);
	fits("{gid: 0}", &unknown, false);
}

static void listeners_by_name(void **state)
{
	struct caller caller = caller_named("192.0.2.1:1");

	(void)state;
	fits("{listener: main}", &caller, true);
	fits("{listener: edge}", &caller, false);
	caller.listener = 2;
	fits("{listener: [main, edge]}", &caller, true);
	fits("{listener: edge, cidr: 192.0.2.1}", &caller, true);
	fits("{listener: edge, cidr: 192.0.2.2}", &caller, false);
}

/* ── Keys ────────────────────────────────────────────────────────────────── */

/* ── Containers ──────────────────────────────────────────────────────────── */

static struct slice keep(struct container *container, const char *text)
{
	struct slice kept;

	assert_true(container_keep(container, slice_of(text), &kept));
	return kept;
}

static void add_label(struct container *container, const char *name, const char *value)
{
	container->labels[container->label_count++] =
	        (struct container_label){keep(container, name), keep(container, value)};
}

static void holds(
        const char *text, const struct container *container, bool asked, enum match_result wanted)
{
	const struct caller caller = caller_named("198.51.100.9:1");
	const struct sender sender = {
	        .caller = &caller, .container = container, .container_asked = asked};
	const struct match match = match_of(text);

	assert_true(match_asks_container(&match));
	assert_that(text, match_holds(&match, &sender) == wanted);
}

static void containers(void **state)
{
	static struct container edge;
	static const struct {
		const char *text;
		enum match_result wanted;
	} rows[] = {
	        {"{container: {name: edge-1}}", MATCH_YES},
	        {"{container: {name: /edge-1}}", MATCH_YES},
	        {"{container: {name: [a, edge-1]}}", MATCH_YES},
	        {"{container: {name: edge}}", MATCH_NO},
	        {"{container: {label: role}}", MATCH_YES},
	        {"{container: {label: role=edge}}", MATCH_YES},
	        {"{container: {label: role=}}", MATCH_NO},
	        {"{container: {label: empty=}}", MATCH_YES},
	        {"{container: {label: role=edge2}}", MATCH_NO},
	        {"{container: {label: Role=edge}}", MATCH_NO},
	        {"{container: {label: odd=a=b}}", MATCH_YES},
	        {"{container: {image: traefik}}", MATCH_NO},
	        {"{container: {image: 'traefik:*'}}", MATCH_YES},
	        {"{container: {image: 'docker.io/library/traefik:v3'}}", MATCH_YES},
	        {"{container: {image: 'example.com/traefik:v3'}}", MATCH_NO},
	        {"{container: {project: web}}", MATCH_YES},
	        {"{container: {service: proxy, project: web}}", MATCH_YES},
	        {"{container: {service: proxy, project: other}}", MATCH_NO},
	        {"{container: {service: prox}}", MATCH_NO},
	        {"{cidr: 198.51.100.9, container: {service: proxy}}", MATCH_YES},
	        {"{cidr: 198.51.100.8, container: {service: proxy}}", MATCH_NO},
	};

	(void)state;
	container_begin(&edge);
	edge.name = keep(&edge, "edge-1");
	edge.image = keep(&edge, "traefik:v3");
	add_label(&edge, "role", "edge");
	add_label(&edge, "empty", "");
	add_label(&edge, "odd", "a=b");
	add_label(&edge, "com.docker.compose.project", "web");
	add_label(&edge, "com.docker.compose.service", "proxy");
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		holds(rows[i].text, &edge, true, rows[i].wanted);
		holds(rows[i].text, NULL, true, MATCH_NO);
	}
	holds("{container: {name: edge-1}}", NULL, false, MATCH_UNKNOWN);
	holds("{cidr: 198.51.100.9, container: {name: edge-1}}", NULL, false, MATCH_UNKNOWN);
	holds("{cidr: 198.51.100.8, container: {name: edge-1}}", NULL, false, MATCH_NO);
}

static void a_container_has_a_ceiling(void **state)
{
	static struct container full;
	static char text[CONTAINER_TEXT_MAX];
	struct slice kept;

	(void)state;
	memset(text, 'x', sizeof(text));
	container_begin(&full);
	assert_true(container_keep(&full, (struct slice){text, sizeof(text)}, &kept));
	assert_int_equal(kept.len, sizeof(text));
	assert_true(container_keep(&full, SLICE(""), &kept));
	assert_false(container_keep(&full, SLICE("x"), &kept));
}

static void a_key_fits_its_hash_alone(void **state)
{
	const struct caller caller = caller_named("192.0.2.1:1");
	const struct match plain = match_of("{key_sha256: " DIGEST "}");
	struct key key;
	struct sender sender = {.caller = &caller, .key = &key};

	(void)state;
	key_present(SLICE("secret"), &key);
	assert_int_equal(match_holds(&plain, &sender), MATCH_YES);
	key_present(SLICE("secreT"), &key);
	assert_int_equal(match_holds(&plain, &sender), MATCH_NO);
	key_present(SLICE(DIGEST), &key); /* the hash is no key */
	assert_int_equal(match_holds(&plain, &sender), MATCH_NO);
	key_present(SLICE(""), &key);
	assert_int_equal(match_holds(&plain, &sender), MATCH_NO);
	sender.key = NULL;
	assert_int_equal(match_holds(&plain, &sender), MATCH_NO);
	assert_true(match_misses_key(&plain, &sender));
}

static void hashes_are_read_as_they_are_printed(void **state)
{
	static const unsigned char salt[KEY_SALT_LEN] = {0x00, 0xff, 0x10};
	char memory[KEY_HASH_TEXT_MAX];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct text text = text_over(memory, sizeof(memory));
		struct key_hash hash;
		struct key_hash again;
		struct key key;
		key_hash_make(SLICE("secret"), i == 0 ? NULL : salt, &hash);
		key_hash_add(&hash, &text);
		assert_false(text.overflow);
		assert_null(key_hash_read(text_slice(&text), &again));
		key_present(SLICE("secret"), &key);
		assert_true(key_fits(&key, &again));
		key_present(SLICE("secreT"), &key);
		assert_false(key_fits(&key, &again));
	}
}

/* ── The list ────────────────────────────────────────────────────────────── */

static void the_first_whose_conditions_hold(void **state)
{
	const struct client list[] = {
	        {.name = "far", .match = match_of("{cidr: 198.51.100.0/24}"), .until_s = INT64_MAX},
	        {.name = "guest", .match = match_of("{cidr: 192.0.2.0/24}"), .until_s = 100},
	        {.name = "ci",
	                .match = match_of("{cidr: 192.0.2.0/24, key_sha256: " DIGEST "}"),
	                .until_s = INT64_MAX},
	};
	struct clients clients = {.count = ARRAY_LEN(list), .list = list, .has_keys = true};
	const struct caller near = caller_named("192.0.2.1:1");
	const struct caller stranger = caller_named("203.0.113.1:1");
	const struct client *client;
	struct key key;
	struct sender sender = {.caller = &near, .now_s = 99};
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	assert_int_equal(clients_find(&clients, &sender, &client), IDENTIFIED_CLIENT);
	assert_string_equal(client->name, "guest");
	sender.now_s = 100;
	assert_int_equal(clients_find(&clients, &sender, &client), IDENTIFIED_NOBODY);
	assert_null(client);
	assert_true(clients_want_key(&clients, &sender, NULL));
	clients_add_tried(&clients, &sender, &text);
	assert_slice("tried", text_slice(&text),
	        SLICE("far: cidr 198.51.100.0/24; guest: it has ended; ci: key"));
	key_present(SLICE("wrong-key"), &key);
	sender.key = &key;
	assert_int_equal(clients_find(&clients, &sender, &client), IDENTIFIED_BAD_KEY);
	key_present(SLICE("secret"), &key);
	assert_int_equal(clients_find(&clients, &sender, &client), IDENTIFIED_CLIENT);
	assert_string_equal(client->name, "ci");
	/* The right key from the wrong place tells nothing. */
	sender.caller = &stranger;
	assert_int_equal(clients_find(&clients, &sender, &client), IDENTIFIED_BAD_KEY);
	sender.key = NULL;
	assert_false(clients_want_key(&clients, &sender, NULL));
	clients.must_be_known = true;
	assert_int_equal(clients_find(&clients, &sender, &client), IDENTIFIED_NO_KEY);
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
	const struct client list[] = {
	        {.name = "a", .match = match_of("{uid: 0}"), .until_s = INT64_MAX},
	        {.name = "b", .match = match_of("{uid: [1, 2]}"), .until_s = INT64_MAX},
	};
	const struct clients clients = {.count = ARRAY_LEN(list), .list = list};
	const struct caller caller = caller_named("192.0.2.1:1");
	const struct sender sender = {.caller = &caller};
	char memory[12];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	clients_add_tried(&clients, &sender, &text);
	assert_slice("tried", text_slice(&text), SLICE("a: uid 0"));
}

static void a_sender_is_described_in_the_words_of_the_conditions(void **state)
{
	const struct caller caller = {.peer = {.uid = 7, .group_count = 2, .groups = {8, 9}}};
	struct container container;
	struct sender sender = {.caller = &caller, .container = &container};
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	container_begin(&container);
	container.name = SLICE("web");
	container.label_count = 1;
	container.labels[0] =
	        (struct container_label){SLICE("com.docker.compose.service"), SLICE("front")};
	sender_add(&sender, &text);
	assert_slice("sender", text_slice(&text),
	        SLICE("uid 7, gid 8, container name web, compose service front"));
}

/* ── Wrong keys ──────────────────────────────────────────────────────────── */

static void ten_wrong_keys_then_one_a_second(void **state)
{
	static struct attempts attempts;
	const struct caller host = caller_named("192.0.2.1:1");
	const struct caller port = caller_named("192.0.2.1:2");
	const struct caller other = caller_named("192.0.2.2:1");
	const struct client met = {.name = "met"};
	const struct client stranger = {.name = "stranger"};
	int64_t now_ns = 1000 * NS_PER_S;
	struct slowdown slowdown;

	(void)state;
	attempts_init(&attempts);
	attempts_met(&attempts, now_ns, &host, &met);
	for (unsigned i = 0; i < ATTEMPTS_BURST; i++) {
		slowdown = attempts_look(&attempts, now_ns, i % 2 == 0 ? &host : &port);
		assert_false(slowdown.slowed);
		assert_true(client_may_present(&stranger, &slowdown));
		attempts_missed(&attempts, now_ns, &host);
	}
	slowdown = attempts_look(&attempts, now_ns, &port);
	assert_true(slowdown.slowed);
	assert_true(client_may_present(&met, &slowdown));
	assert_false(client_may_present(&stranger, &slowdown));
	slowdown = attempts_look(&attempts, now_ns, &other);
	assert_false(slowdown.slowed);
	now_ns += NS_PER_S - 1;
	slowdown = attempts_look(&attempts, now_ns, &host);
	assert_true(slowdown.slowed);
	now_ns += 1;
	slowdown = attempts_look(&attempts, now_ns, &host);
	assert_false(slowdown.slowed);
	attempts_missed(&attempts, now_ns, &host);
	slowdown = attempts_look(&attempts, now_ns, &host);
	assert_true(slowdown.slowed);
}

static void an_ipv6_network_has_ten_wrong_keys(void **state)
{
	static struct attempts attempts;
	const int64_t now_ns = 5 * NS_PER_S;
	const struct caller neighbour = caller_named("[2001:db8:0:1::beef]:1");
	const struct caller elsewhere = caller_named("[2001:db8:0:2::1]:1");
	char name[64];

	(void)state;
	attempts_init(&attempts);
	for (unsigned i = 0; i < ATTEMPTS_BURST; i++) {
		(void)snprintf(name, sizeof(name), "[2001:db8:0:1::%x]:1", i + 1);
		const struct caller caller = caller_named(name);
		assert_false(attempts_look(&attempts, now_ns, &neighbour).slowed);
		attempts_missed(&attempts, now_ns, &caller);
	}
	assert_true(attempts_look(&attempts, now_ns, &neighbour).slowed);
	assert_false(attempts_look(&attempts, now_ns, &elsewhere).slowed);
}

/* Far more hosts than entries: the table stays as it is, and who guesses goes on being counted. */
static void many_hosts_have_a_ceiling(void **state)
{
	static struct attempts attempts;
	const int64_t now_ns = 5 * NS_PER_S;
	char name[64];

	(void)state;
	attempts_init(&attempts);
	for (unsigned i = 0; i < 4 * ATTEMPTS_SETS * ATTEMPTS_WAYS; i++) {
		(void)snprintf(
		        name, sizeof(name), "10.%u.%u.%u:1", i >> 16, (i >> 8) & 255, i & 255);
		const struct caller caller = caller_named(name);
		attempts_missed(&attempts, now_ns + i, &caller);
	}
	const struct caller host = caller_named("192.0.2.1:1");
	for (unsigned i = 0; i < ATTEMPTS_BURST; i++) {
		attempts_missed(&attempts, now_ns + NS_PER_S, &host);
	}
	assert_true(attempts_look(&attempts, now_ns + NS_PER_S, &host).slowed);
}

static void what_is_no_key_fits_nothing(void **state)
{
	static char large[KEY_MAX + 1];
	struct key_hash hash;
	struct key key;

	(void)state;
	memset(large, 'k', sizeof(large));
	for (size_t len = 0; len <= sizeof(large); len += len == 0 ? KEY_MAX : 1) {
		key_hash_make((struct slice){large, len}, NULL, &hash);
		key_present((struct slice){large, len}, &key);
		assert_int_equal(key_fits(&key, &hash), len == KEY_MAX);
	}
}

static void one_match_covers_another(void **state)
{
	static const struct {
		const char *match;
		const char *other;
		bool covers;
	} cases[] = {
	        {"{cidr: 10.0.0.0/8}", "{cidr: 10.1.0.0/16}", true},
	        {"{cidr: 10.0.0.0/8}", "{cidr: [10.1.0.0/16, 10.2.0.1], uid: 7}", true},
	        {"{cidr: 10.0.0.0/8}", "{cidr: [10.1.0.0/16, 11.0.0.1]}", false},
	        {"{cidr: 10.1.0.0/16}", "{cidr: 10.0.0.0/8}", false},
	        {"{cidr: '::ffff:10.0.0.0/104'}", "{cidr: 10.1.0.0/16}", true},
	        {"{cidr: '::/0'}", "{cidr: 10.1.0.0/16}", false},
	        {"{cidr: 10.0.0.0/8, uid: 7}", "{cidr: 10.0.0.0/8}", false},
	        {"{uid: [7, 8]}", "{uid: 8}", true},
	        {"{uid: 8}", "{uid: [7, 8]}", false},
	        {"{listener: main}", "{listener: main, gid: 1}", true},
	        {"{listener: main}", "{gid: 1}", false},
	        {"{key_sha256: " DIGEST "}", "{key_sha256: " DIGEST ", uid: 1}", true},
	        {"{key_sha256: " DIGEST "}", "{key_sha256: '" ZEROS ":" DIGEST "'}", false},
	        {"{container: {project: web}}", "{container: {project: web, service: app}}", true},
	        {"{container: {project: web}}", "{container: {service: web}}", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct match match = match_of(cases[i].match);
		const struct match other = match_of(cases[i].other);
		if (match_covers(&match, &other) != cases[i].covers) {
			fail_msg("%s, %s", cases[i].match, cases[i].other);
		}
	}
}

/* What is written is read as the same conditions. */
static void a_match_is_written_as_it_is_read(void **state)
{
	static const char *const matches[] = {
	        "{listener: ['main', 'edge'], uid: ['7'], gid: ['1', '2'], cidr: ['10.0.0.0/8', "
	        "'2001:db8::/32'], key_sha256: ['" DIGEST "', '" ZEROS ":" DIGEST "'], container: "
	        "{label: ['a=b', 'it''s'], image: ['nginx:*'], project: ['web']}}",
	        "{cidr: ['10.0.0.1']}",
	        "{container: {name: ['app']}}",
	        "{cert: {cn: ['ci'], dns: ['*.example.org'], uri: ['spiffe://example.org/ci']}, "
	        "container: {service: ['app']}}",
	        "{gid: ['3'], cert: {cn: ['ci']}}",
	        "{cert: {fingerprint: ['" DIGEST
	        "'], cn: ['ops', 'it''s'], dns: ['*.example.org'], "
	        "uri: ['spiffe://example.org/*']}}",
	        "{uid: ['7'], cert: {cn: ['ops']}, container: {name: ['app']}}",
	};
	char memory[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(matches); i++) {
		const struct match match = match_of(matches[i]);
		struct text text = text_over(memory, sizeof(memory) - 1);
		match_write(&match, &text);
		memory[text.len] = '\0';
		assert_string_equal(memory, matches[i]);
		const struct match again = match_of(memory);
		assert_true(match_covers(&match, &again) && match_covers(&again, &match));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_wrong_is_said),
	        cmocka_unit_test(a_group_has_conditions),
	        cmocka_unit_test(a_key_is_in_no_message),
	        cmocka_unit_test(addresses_and_networks),
	        cmocka_unit_test(users_and_groups),
	        cmocka_unit_test(listeners_by_name),
	        cmocka_unit_test(containers),
	        cmocka_unit_test(a_container_has_a_ceiling),
	        cmocka_unit_test(a_key_fits_its_hash_alone),
	        cmocka_unit_test(hashes_are_read_as_they_are_printed),
	        cmocka_unit_test(the_first_whose_conditions_hold),
	        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
	        cmocka_unit_test(a_sender_is_described_in_the_words_of_the_conditions),
	        cmocka_unit_test(ten_wrong_keys_then_one_a_second),
	        cmocka_unit_test(an_ipv6_network_has_ten_wrong_keys),
	        cmocka_unit_test(many_hosts_have_a_ceiling),
	        cmocka_unit_test(what_is_no_key_fits_nothing),
	        cmocka_unit_test(one_match_covers_another),
	        cmocka_unit_test(a_match_is_written_as_it_is_read),
	};

	return cmocka_run_group_tests_name("clients", tests, NULL, free_all);
}
