/* SPDX-License-Identifier: MIT */
/*
 * What people read when the Engine's socket cannot be opened. Real sockets in a
 * temporary folder, really connected to; other users are processes of their
 * own, which only root can make.
 */
#include "cases.h"

#include "upstream/diagnosis.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 100, MESSAGE_SIZE = 2048 };

static char folder[PATH_SIZE];
static char said[MESSAGE_SIZE];

/* A path in the test's folder. */
struct path {
	char text[PATH_SIZE];
};

static struct path path_of(const char *name)
{
	struct path path;

	(void)snprintf(path.text, sizeof(path.text), "%.60s/%.30s", folder, name);
	return path;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	assert_true(strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	return address;
}

/* A socket that nobody listens on. */
static void make_socket(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	const struct sockaddr_un address = address_of(path);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(chown(path, uid, gid), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void add_diagnosis(struct text *text, const char *path, int error)
{
	const union address engine = address_of_path(slice_of(path));

	upstream_diagnose(text, &engine, "unix://the-socket", error);
}

/* Connect and have the failure diagnosed into `message`; the length. */
static size_t connect_and_diagnose(const char *path, char message[MESSAGE_SIZE])
{
	const struct sockaddr_un address = address_of(path);
	struct text text = text_over(message, MESSAGE_SIZE - 1);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
		text_add(&text, SLICE("(connected)"));
	} else {
		add_diagnosis(&text, path, errno);
	}
	(void)close(fd);
	message[text.len] = '\0';
	return text.overflow ? 0 : text.len;
}

static const char *diagnose(const char *path)
{
	assert_true(connect_and_diagnose(path, said) > 0);
	return said;
}

/* Who looks: another user, with `count` further groups. */
struct user {
	uid_t uid;
	gid_t gid;
	size_t count;
	gid_t groups[20];
};

static const struct user unprivileged = {.uid = 65532, .gid = 65532};

/* The same, as said by a process of that user. */
static const char *diagnose_as(const struct user *user, const char *path)
{
	int ends[2];
	int status;
	ssize_t n;
	size_t len = 0;

	if (geteuid() != 0) {
		skip();
	}
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	const pid_t child = fork();
	if (child == 0) {
		char message[MESSAGE_SIZE];
		if (setgroups(user->count, user->groups) < 0 ||
		        setresgid(user->gid, user->gid, user->gid) < 0 ||
		        setresuid(user->uid, user->uid, user->uid) < 0) {
			end_child(1);
		}
		const size_t size = connect_and_diagnose(path, message);
		end_child(size > 0 && write(ends[1], message, size) == (ssize_t)size ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(close(ends[1]), 0);
	while ((n = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0) {
		len += (size_t)n;
	}
	said[len] = '\0';
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return said;
}

/* "cannot open PATH: " and the rest, which may name the folder as %s. */
static void expect(const char *heard, const char *path, const char *format, ...) PRINTF_LIKE(3, 4);
static void expect(const char *heard, const char *path, const char *format, ...)
{
	char wanted[MESSAGE_SIZE];
	va_list arguments;

	const int start = snprintf(wanted, sizeof(wanted), "cannot open %s: ", path);
	va_start(arguments, format);
	(void)vsnprintf(wanted + start, sizeof(wanted) - (size_t)start, format, arguments);
	va_end(arguments);
	assert_string_equal(heard, wanted);
}

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/test-diagnosis-XXXXXX");
	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	return chmod(folder, 0755);
}

static int remove_folder(void **state)
{
	static const char *const names[] = {
	        "closed/s", "closed", "s", "link", "mounted", "file", "directory"};

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct path path = path_of(names[i]);
		if (unlink(path.text) < 0) {
			(void)rmdir(path.text);
		}
	}
	return rmdir(folder);
}

static void a_group_that_is_missing_is_named_with_the_line_that_adds_it(void **state)
{
	const struct path path = path_of("s");
	const struct user with_others = {
	        .uid = 1000, .gid = 100, .count = 3, .groups = {5, 27, 4294967294U}};

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	make_socket(path.text, 0, 998, 0660);
	expect(diagnose_as(&unprivileged, path.text), path.text,
	        "permission denied: it belongs to 0:998 with mode 0660, and this process is "
	        "65532:65532 "
	        "(groups: none); start the container with `--group-add 998` (compose: `group_add: "
	        "[\"998\"]`) or with `--user 65532:998` (compose: `user: \"65532:998\"`)");
	expect(diagnose_as(&with_others, path.text), path.text,
	        "permission denied: it belongs to 0:998 with mode 0660, and this process is "
	        "1000:100 "
	        "(groups: 5 27 4294967294); start the container with `--group-add 998` (compose: "
	        "`group_add: [\"998\"]`) or with `--user 1000:998` (compose: `user: "
	        "\"1000:998\"`)");
}

static void the_named_line_really_opens_the_socket(void **state)
{
	const struct path path = path_of("s");
	const struct user with_group = {.uid = 65532, .gid = 65532, .count = 1, .groups = {998}};
	const struct user as_group = {.uid = 65532, .gid = 998};

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	make_socket(path.text, 0, 998, 0660);
	/* Nobody listens: with the permission there the next reason shows. */
	expect(diagnose_as(&with_group, path.text), path.text,
	        "no program listens there: the Engine is not running");
	expect(diagnose_as(&as_group, path.text), path.text,
	        "no program listens there: the Engine is not running");
}

static void many_groups_are_cut(void **state)
{
	const struct path path = path_of("s");
	struct user user = {.uid = 65532, .gid = 65532, .count = 17};

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	for (unsigned i = 0; i < user.count; i++) {
		user.groups[i] = 100 + i;
	}
	make_socket(path.text, 0, 998, 0660);
	assert_non_null(strstr(diagnose_as(&user, path.text),
	        "(groups: 100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 ...); "
	        "start the container with `--group-add 998`"));
}

static void a_socket_that_only_its_owner_may_open_asks_for_the_owner(void **state)
{
	const struct path path = path_of("s");
	const struct user in_group = {.uid = 65532, .gid = 65532, .count = 1, .groups = {1000}};

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	make_socket(path.text, 1000, 1000, 0600);
	expect(diagnose_as(&unprivileged, path.text), path.text,
	        "permission denied: it belongs to 1000:1000 with mode 0600, and this process is "
	        "65532:65532 (groups: none); only its owner may: start the container with `--user "
	        "1000:1000` (compose: `user: \"1000:1000\"`)");
	expect(diagnose_as(&in_group, path.text), path.text,
	        "permission denied: it belongs to 1000:1000 with mode 0600, and this process is "
	        "65532:65532 (groups: 1000); only its owner may: start the container with `--user "
	        "1000:1000` (compose: `user: \"1000:1000\"`)");
}

static void an_owner_without_the_right_is_told_to_correct_the_mode(void **state)
{
	const struct path path = path_of("s");
	const struct user owner = {.uid = 1000, .gid = 1000};

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	make_socket(path.text, 1000, 998, 0060);
	expect(diagnose_as(&owner, path.text), path.text,
	        "permission denied: it belongs to 1000:998 with mode 0060, and this process is "
	        "1000:1000 "
	        "(groups: none); correct its mode on the host");
	assert_int_equal(chmod(path.text, 0), 0);
	assert_non_null(strstr(diagnose_as(&unprivileged, path.text),
	        "(groups: none); correct its mode on the host"));
}

static void an_id_that_is_not_mapped_asks_for_the_hosts_user_namespace(void **state)
{
	const struct path paths[] = {path_of("s"), path_of("owner"), path_of("group")};

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	make_socket(paths[0].text, 65534, 65534, 0660);
	make_socket(paths[1].text, 65534, 998, 0660);
	make_socket(paths[2].text, 1000, 65534, 0660);
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		assert_non_null(strstr(diagnose_as(&unprivileged, paths[i].text),
		        "start the container with `--userns host`"));
		(void)unlink(paths[i].text);
	}
}

static void a_mode_that_would_allow_it_points_at_what_else_forbids_it(void **state)
{
	const struct path path = path_of("s");

	(void)state;
	make_socket(path.text, geteuid(), getegid(), 0600);
	/* There is no security module here, but its errno can be produced. */
	struct text text = text_over(said, sizeof(said) - 1);
	add_diagnosis(&text, path.text, EACCES);
	said[text.len] = '\0';
	assert_non_null(strstr(said, "this mode permits it: an access list (see `getfacl`) or a "
	                             "security module denies it"));
	assert_non_null(strstr(said, "`--security-opt label=disable`"));
}

static void a_closed_directory_on_the_way_is_named_instead_of_the_socket(void **state)
{
	const struct path closed = path_of("closed");
	const struct path path = path_of("closed/s");
	const struct path link = path_of("link");

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	assert_int_equal(mkdir(closed.text, 0700), 0);
	make_socket(path.text, 0, 998, 0666);
	assert_int_equal(chown(closed.text, 0, 777), 0);
	assert_int_equal(chmod(closed.text, 0750), 0);
	expect(diagnose_as(&unprivileged, path.text), path.text,
	        "permission denied: this process may not search the directory %s, a part of the "
	        "path: it "
	        "belongs to "
	        "0:777 with mode 0750, and this process is 65532:65532 (groups: none); start the "
	        "container "
	        "with `--group-add 777` (compose: `group_add: [\"777\"]`) or with `--user "
	        "65532:777` "
	        "(compose: `user: \"65532:777\"`)",
	        closed.text);

	assert_int_equal(symlink(path.text, link.text), 0);
	expect(diagnose_as(&unprivileged, link.text), link.text,
	        "permission denied: it is a symbolic link to %s, and this process may not search a "
	        "directory of that path",
	        path.text);
}

static void a_path_where_nothing_is_asks_for_the_engine_or_the_mount(void **state)
{
	const struct path path = path_of("s");
	const struct path link = path_of("link");

	(void)state;
	expect(diagnose(path.text), path.text,
	        "it does not exist: the Engine is not running, or its socket is not mounted into "
	        "this "
	        "container (`-v /var/run/docker.sock:%s`)",
	        path.text);
	assert_int_equal(symlink("/nowhere/docker.sock", link.text), 0);
	expect(diagnose(link.text), link.text,
	        "it is a symbolic link to /nowhere/docker.sock, which does not exist: the Engine "
	        "is "
	        "not "
	        "running, or its socket is not mounted into this container (`-v "
	        "/var/run/docker.sock:%s`)",
	        link.text);
}

static void an_engine_that_is_down_is_called_that(void **state)
{
	const struct path path = path_of("s");

	(void)state;
	make_socket(path.text, geteuid(), getegid(), 0660);
	expect(diagnose(path.text), path.text,
	        "no program listens there: the Engine is not running");
}

static const char it_is_a_directory[] =
        "it is a directory: the socket did not exist when the container was created, and Docker "
        "made a directory as the source of the bind mount; remove the directory on the host, "
        "start the Engine, then create this container again";
static const char it_is_no_socket[] = "it is not a socket; mount the Engine's socket there";

static void a_directory_or_file_in_the_sockets_place_is_called_that(void **state)
{
	const struct path directory = path_of("directory");
	const struct path file = path_of("file");

	(void)state;
	assert_int_equal(mkdir(directory.text, 0755), 0);
	expect(diagnose(directory.text), directory.text, "%s", it_is_a_directory);
	assert_int_equal(close(open(file.text, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)), 0);
	expect(diagnose(file.text), file.text, "%s", it_is_no_socket);
}

/* connect(2) tells this user EACCES, but no right on a directory makes a socket of it. */
static void the_type_is_told_before_the_permission(void **state)
{
	const struct path directory = path_of("directory");
	const struct path file = path_of("file");

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	assert_int_equal(mkdir(directory.text, 0755), 0);
	expect(diagnose_as(&unprivileged, directory.text), directory.text, "%s", it_is_a_directory);
	assert_int_equal(close(open(file.text, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
	expect(diagnose_as(&unprivileged, file.text), file.text, "%s", it_is_no_socket);
}

/* In a mount namespace of its own: 0 when both sentences are right, 2 when mounting is forbidden.
 */
static int watch_mount_go_stale(const char *path, const char *mounted)
{
	char message[MESSAGE_SIZE];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	        mount(path, mounted, NULL, MS_BIND, NULL) < 0) {
		return 2;
	}
	if (connect_and_diagnose(mounted, message) == 0 ||
	        strstr(message, "no program listens there") == NULL) {
		return 1;
	}
	/* The Engine restarts: away with the old socket. */
	if (unlink(path) < 0 || connect_and_diagnose(mounted, message) == 0) {
		return 1;
	}
	return strstr(message, "the mounted socket is stale: the Engine was restarted and made a "
	                       "new socket; restart this container") != NULL
	               ? 0
	               : 1;
}

static void a_mount_that_went_stale_is_recognised(void **state)
{
	const struct path path = path_of("s");
	const struct path mounted = path_of("mounted");
	int status;

	(void)state;
	make_socket(path.text, geteuid(), getegid(), 0660);
	assert_int_equal(close(open(mounted.text, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)), 0);
	const pid_t child = fork();
	if (child == 0) {
		end_child(watch_mount_go_stale(path.text, mounted.text));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2) {
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void other_errors_are_in_words(void **state)
{
	struct text text = text_over(said, sizeof(said) - 1);

	(void)state;
	add_diagnosis(&text, "/s", EIO);
	text_add_char(&text, '|');
	add_diagnosis(&text, "/s", EAGAIN);
	text_add_char(&text, '|');
	add_diagnosis(&text, "/s", 99999);
	said[text.len] = '\0';
	assert_string_equal(said,
	        "cannot open /s: Input/output error|cannot open /s: the Engine does not accept "
	        "connections fast enough: its queue is full|cannot open /s: unknown error");
}

static void what_the_proxy_is_short_of_is_not_the_engines_fault(void **state)
{
	struct text text = text_over(said, sizeof(said) - 1);

	(void)state;
	add_diagnosis(&text, "/s", EMFILE);
	text_add_char(&text, '|');
	add_diagnosis(&text, "/s", ENOBUFS);
	said[text.len] = '\0';
	assert_string_equal(said,
	        "cannot open /s: the proxy has no descriptor left for the connection; raise the "
	        "limit of open files (ulimit -n)|cannot open /s: the proxy has no memory left for "
	        "the connection");
}

static void a_tcp_address_is_named(void **state)
{
	struct text text = text_over(said, sizeof(said) - 1);
	union address engine;

	(void)state;
	assert_null(address_parse(SLICE("tcp://192.0.2.1:2375"), &engine));
	upstream_diagnose(&text, &engine, "tcp://192.0.2.1:2375", ECONNREFUSED);
	text_add_char(&text, '|');
	upstream_diagnose(&text, &engine, "tcp://192.0.2.1:2375", ETIMEDOUT);
	text_add_char(&text, '|');
	upstream_diagnose(&text, &engine, "tcp://engine:2375", EHOSTUNREACH);
	text_add_char(&text, '|');
	engine.any.sa_family = AF_UNSPEC;
	upstream_diagnose(&text, &engine, "tcp://engine:2375", EADDRNOTAVAIL);
	said[text.len] = '\0';
	assert_string_equal(said,
	        "cannot connect to tcp://192.0.2.1:2375: no program listens there: the Engine is "
	        "not "
	        "running, or does not listen on this address and port|cannot connect to "
	        "tcp://192.0.2.1:2375: nothing answers: the host is down, or a firewall drops the "
	        "packets|cannot connect to tcp://engine:2375 (192.0.2.1:2375): no way leads there: "
	        "the "
	        "host is down, or the proxy is not in a network with it|cannot connect to "
	        "tcp://engine:2375: the name has no address, neither in /etc/hosts nor in DNS: "
	        "give the "
	        "name as the network of the proxy knows it, or an IP address");
}

static void a_text_without_room_is_left_in_order(void **state)
{
	const struct path path = path_of("s");

	(void)state;
	make_socket(path.text, geteuid(), getegid(), 0600);
	struct text whole = text_over(said, sizeof(said));
	add_diagnosis(&whole, path.text, EACCES);
	for (size_t room = 0; room < whole.len; room++) {
		struct text text = text_over(said, room);
		memset(said, '#', sizeof(said));
		add_diagnosis(&text, path.text, EACCES);
		assert_true(text.len <= room);
		assert_true(text.overflow);
		assert_int_equal(said[room], '#');
	}
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        IN_FOLDER(a_group_that_is_missing_is_named_with_the_line_that_adds_it),
	        IN_FOLDER(the_named_line_really_opens_the_socket),
	        IN_FOLDER(many_groups_are_cut),
	        IN_FOLDER(a_socket_that_only_its_owner_may_open_asks_for_the_owner),
	        IN_FOLDER(an_owner_without_the_right_is_told_to_correct_the_mode),
	        IN_FOLDER(an_id_that_is_not_mapped_asks_for_the_hosts_user_namespace),
	        IN_FOLDER(a_mode_that_would_allow_it_points_at_what_else_forbids_it),
	        IN_FOLDER(a_closed_directory_on_the_way_is_named_instead_of_the_socket),
	        IN_FOLDER(a_path_where_nothing_is_asks_for_the_engine_or_the_mount),
	        IN_FOLDER(an_engine_that_is_down_is_called_that),
	        IN_FOLDER(a_directory_or_file_in_the_sockets_place_is_called_that),
	        IN_FOLDER(the_type_is_told_before_the_permission),
	        IN_FOLDER(a_mount_that_went_stale_is_recognised),
	        IN_FOLDER(other_errors_are_in_words),
	        cmocka_unit_test(what_the_proxy_is_short_of_is_not_the_engines_fault),
	        cmocka_unit_test(a_tcp_address_is_named),
	        IN_FOLDER(a_text_without_room_is_left_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
