/* SPDX-License-Identifier: MIT */
/* Listening sockets: what they are opened with, what is in their way, and what is said of that. */
#include "cases.h"

#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/test-listener-XXXXXX");
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
	static const char *const names[] = {"a.sock", "b", "s"};
	char path[128];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/d", folder);
	(void)rmdir(path);
	return rmdir(folder);
}

/* unix:///FOLDER/name */
static const char *address_in_folder(const char *name)
{
	static char address[128];

	(void)snprintf(address, sizeof(address), "unix://%s/%s", folder, name);
	return address;
}

static int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static union address name_of(int fd)
{
	union address address = {0};
	socklen_t len = sizeof(address);

	assert_int_equal(getsockname(fd, &address.any, &len), 0);
	return address;
}

/* tcp://HOST:PORT, with a port that nobody has. */
static const char *unused_address(const char *host)
{
	static char text[64];
	const struct sockaddr_in any = {.sin_family = AF_INET};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
	const union address address = name_of(fd);
	(void)close(fd);
	(void)snprintf(text, sizeof(text), "tcp://%s:%u", host, ntohs(address.ip4.sin_port));
	return text;
}

/* tcp://HOST:PORT, with the port that `fd` has. */
static const char *address_of(int fd, const char *host)
{
	static char text[64];
	const union address address = name_of(fd);

	(void)snprintf(text, sizeof(text), "tcp://%s:%u", host, ntohs(address.ip4.sin_port));
	return text;
}

static int connect_to(int fd)
{
	union address address = name_of(fd);
	const int client = socket(address.any.sa_family, SOCK_STREAM, 0);

	assert_true(client >= 0);
	assert_int_equal(connect(client, &address.any, address_len(&address)), 0);
	return client;
}

static int must_open(const char *address, unsigned mode, bool shared)
{
	const int fd = listener_open(address, mode, shared);

	if (fd < 0) {
		fail_msg("%s: %s", address, strerror(-fd));
	}
	return fd;
}

static bool has_ip6(void)
{
	return address_has_ip6_loopback(0);
}

static void is_private_and_never_waits(int fd)
{
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

/* ── TCP ─────────────────────────────────────────────────────────────────── */

static void connections_notice_a_peer_that_is_gone(void **state)
{
	const int fd = must_open(unused_address("127.0.0.1"), 0, true);
	const int client = connect_to(fd);
	const int accepted = accept(fd, NULL, NULL);

	(void)state;
	is_private_and_never_waits(fd);
	assert_int_equal(option_of(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option_of(accepted, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option_of(accepted, IPPROTO_TCP, TCP_KEEPIDLE), 60);
	assert_int_equal(option_of(accepted, IPPROTO_TCP, TCP_KEEPINTVL), 15);
	assert_int_equal(option_of(accepted, IPPROTO_TCP, TCP_KEEPCNT), 8);
	(void)close(accepted);
	(void)close(client);
	(void)close(fd);
}

static void an_address_can_be_shared_by_those_who_want_it(void **state)
{
	const int fd = must_open(unused_address("127.0.0.1"), 0, true);
	const int other = must_open(address_of(fd, "127.0.0.1"), 0, true);

	(void)state;
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEPORT), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_int_equal(listener_open(address_of(fd, "127.0.0.1"), 0, false), -EADDRINUSE);
	(void)close(other);
	(void)close(fd);
}

/* It only asks whether the address is free: who connected to it would be reset. */
static void one_that_is_not_shared_takes_nobody(void **state)
{
	const int fd = must_open(unused_address("127.0.0.1"), 0, false);

	(void)state;
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEPORT), 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
	(void)close(fd);
}

static void all_interfaces_are_both_families(void **state)
{
	(void)state;
	if (!has_ip6()) {
		skip();
	}
	const int fd = must_open(unused_address("*"), 0, true);
	assert_int_equal(name_of(fd).any.sa_family, AF_INET6);
	assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	(void)close(fd);
}

static void one_ip6_address_is_no_ip4_address(void **state)
{
	(void)state;
	if (!has_ip6()) {
		skip();
	}
	const int fd = must_open(unused_address("[::1]"), 0, true);
	assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	(void)close(fd);
}

static void an_address_of_another_machine_is_refused(void **state)
{
	(void)state;
	assert_int_equal(listener_open(unused_address("192.0.2.1"), 0, true), -EADDRNOTAVAIL);
	if (has_ip6()) {
		assert_int_equal(
		        listener_open(unused_address("[2001:db8::1]"), 0, true), -EADDRNOTAVAIL);
	}
	assert_int_equal(listener_open("http://x", 0, true), -EINVAL);
	assert_int_equal(listener_open("tcp://127.0.0.1:x", 0, true), -EINVAL);
}

static void no_descriptor_is_lost_on_the_way(void **state)
{
	const int listener = must_open(address_in_folder("a.sock"), 0600, true);
	const int before = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	(void)close(before);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(listener_open(unused_address("192.0.2.1"), 0, true) < 0);
		assert_true(listener_open(address_in_folder("x/b.sock"), 0600, true) < 0);
		assert_true(listener_open(address_in_folder("a.sock"), 0600, true) < 0);
	}
	const int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(after, before);
	(void)close(after);
	(void)close(listener);
}

/* ── Unix ────────────────────────────────────────────────────────────────── */

static mode_t mode_of(const char *address)
{
	struct stat found;

	assert_int_equal(stat(address_path(address), &found), 0);
	return found.st_mode;
}

static void a_socket_has_the_mode_that_was_asked_for(void **state)
{
	static const mode_t modes[] = {0600, 0660, 0666, 0640};
	const mode_t before = umask(027);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		const int fd = must_open(address_in_folder("s"), modes[i], true);
		is_private_and_never_waits(fd);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
		assert_int_equal(mode_of(address_in_folder("s")), S_IFSOCK | modes[i]);
		(void)close(connect_to(fd));
		(void)close(fd);
	}
	assert_int_equal(umask(before), 027); /* the process's own is as it was */
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	const char *address = address_in_folder("s");
	const int fd = must_open(address, 0600, true);

	(void)state;
	assert_int_equal(listener_open(address, 0600, true), -EADDRINUSE);
	assert_int_equal(mode_of(address), S_IFSOCK | 0600);
	(void)close(fd);
	const int next = must_open(address, 0640, true);
	assert_int_equal(mode_of(address), S_IFSOCK | 0640);
	(void)close(next);
}

static void what_is_no_socket_stays(void **state)
{
	const char *address = address_in_folder("b");
	const int file = open(address_path(address), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_true(file >= 0);
	(void)close(file);
	assert_int_equal(listener_open(address, 0666, true), -EADDRINUSE);
	assert_int_equal(mode_of(address), S_IFREG | 0600);
}

static void a_queue_that_is_full_is_live(void **state)
{
	const char *address = address_in_folder("s");
	const union address parsed = address_of_path(slice_of(address_path(address)));
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, &parsed.any, address_len(&parsed)), 0);
	assert_int_equal(listen(fd, 0), 0);
	const int client = connect_to(fd);
	assert_int_equal(listener_open(address, 0600, true), -EADDRINUSE);
	(void)close(client);
	(void)close(fd);
}

/* ── What is said ────────────────────────────────────────────────────────── */

static void says(const char *address, int error, const char *words)
{
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	listener_explain(address, error, &text);
	assert_slice(address, text_slice(&text), slice_of(words));
}

static void what_is_in_the_way_of_a_name_is_told(void **state)
{
	char address[128];

	(void)state;
	says("tcp://127.0.0.1:1", -EINVAL, "expected tcp://HOST:PORT or unix:///PATH");
	says("tcp://127.0.0.1:1", -EADDRINUSE, "Address already in use");
	says("tcp://127.0.0.1:1", -EACCES, "Permission denied");
	says("tcp://127.0.0.1:1", -EADDRNOTAVAIL, "Cannot assign requested address");

	what_is_no_socket_stays(state);
	says(address_in_folder("b"), -EADDRINUSE,
	        "the path is a file, not a socket: give another path");
	(void)snprintf(address, sizeof(address), "%s", address_in_folder("d"));
	assert_int_equal(mkdir(address_path(address), 0700), 0);
	says(address, -EADDRINUSE, "the path is a directory, not a socket: give another path");
	(void)close(must_open(address_in_folder("s"), 0600, true));
	says(address_in_folder("s"), -EADDRINUSE,
	        "Address already in use: another program listens there");
	says(address_in_folder("gone"), -EADDRINUSE,
	        "Address already in use: another program listens there");
	says(address_in_folder("s"), -EMFILE, "Too many open files");
}

static void what_permissions_do_not_explain_is_the_sandbox(void **state)
{
	(void)state;
	says(address_in_folder("a.sock"), -EACCES,
	        "the sandbox lets sockets be made in the folders alone that had one at the start, "
	        "and "
	        "in /run/docker-socket-proxy: restart the program");
}

static void what_is_wrong_with_the_folder_is_told(void **state)
{
	static const int errors[] = {-EPERM, -ENOENT};
	char words[512];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
		(void)snprintf(words, sizeof(words),
		        "user %u:%u may not create files in %s (owner %u:%u, mode 0700): run chown "
		        "%u:%u on it; in a container, give "
		        "unix:///run/docker-socket-proxy/NAME.sock, in the folder of the image for "
		        "sockets",
		        geteuid(), getegid(), folder, geteuid(), getegid(), geteuid(), getegid());
		says(address_in_folder("a.sock"), errors[i], words);
		(void)snprintf(words, sizeof(words), "%s/none: No such file or directory", folder);
		says(address_in_folder("none/a.sock"), errors[i], words);
	}
	(void)snprintf(words, sizeof(words),
	        "%s is read-only: mount a volume there; the image has the folder "
	        "/run/docker-socket-proxy for sockets",
	        folder);
	says(address_in_folder("a.sock"), -EROFS, words);
	says("unix:///a.sock", -EROFS,
	        "/ is read-only: mount a volume there; the image has the folder "
	        "/run/docker-socket-proxy for sockets");
}

/* ── Addresses ───────────────────────────────────────────────────────────── */

static void is_called(const char *host, bool mapped, const char *name)
{
	char said[ADDRESS_NAME_MAX];
	union address address;
	char text[64];

	(void)snprintf(text, sizeof(text), "tcp://%s:4711", host);
	assert_null(address_parse(slice_of(text), &address));
	if (mapped) {
		assert_int_equal(
		        inet_pton(AF_INET6, "::ffff:192.0.2.1", &address.ip6.sin6_addr), 1);
	}
	address_name(&address, said);
	assert_string_equal(said, name);
}

static void peers_are_called_by_their_addresses(void **state)
{
	const union address path = address_of_path(SLICE("/run/a.sock"));
	char said[ADDRESS_NAME_MAX];

	(void)state;
	is_called("192.0.2.1", false, "192.0.2.1:4711");
	is_called("[2001:db8::1]", false, "[2001:db8::1]:4711");
	/* A client of IPv4 at a socket for both. */
	is_called("[::]", true, "192.0.2.1:4711");
	address_name(&path, said);
	assert_string_equal(said, "unix");
	assert_int_equal(listener_open("unix:///a\x01", 0600, true), -EINVAL);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(connections_notice_a_peer_that_is_gone),
	        cmocka_unit_test(an_address_can_be_shared_by_those_who_want_it),
	        cmocka_unit_test(one_that_is_not_shared_takes_nobody),
	        cmocka_unit_test(all_interfaces_are_both_families),
	        cmocka_unit_test(one_ip6_address_is_no_ip4_address),
	        cmocka_unit_test(an_address_of_another_machine_is_refused),
	        IN_FOLDER(no_descriptor_is_lost_on_the_way),
	        IN_FOLDER(a_socket_has_the_mode_that_was_asked_for),
	        IN_FOLDER(a_stale_socket_is_replaced_and_a_live_one_is_not),
	        IN_FOLDER(what_is_no_socket_stays),
	        IN_FOLDER(a_queue_that_is_full_is_live),
	        IN_FOLDER(what_is_in_the_way_of_a_name_is_told),
	        IN_FOLDER(what_is_wrong_with_the_folder_is_told),
	        IN_FOLDER(what_permissions_do_not_explain_is_the_sandbox),
	        cmocka_unit_test(peers_are_called_by_their_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
