/* SPDX-License-Identifier: MIT */
/*
 * Who the program is after it started as root: each case in a process of its
 * own, since there is no way back. Only root can run these.
 */
#include "cases.h"

#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

enum { PATH_SIZE = 100, LOG_SIZE = 2048 };

static char folder[PATH_SIZE];
static char path[PATH_SIZE + 8]; /* the socket in it */
static char logged[LOG_SIZE];

/* Who a process is; what a child tells. */
struct self {
	int result; /* of sandbox_enter() */
	uid_t uid[3];
	gid_t gid[3];
	int group_count;
	gid_t groups[4];
	int no_new_privs;
	bool root_again;   /* setresuid(0, 0, 0) works */
	bool has_bounding; /* CAP_SYS_ADMIN is in the bounding set */
	bool connects;     /* the socket may be opened */
};

static struct self self;

static int try_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	const int r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	const int error = errno;
	(void)close(fd);
	return r == 0 ? 0 : error;
}

static void look_at_self(struct self *ret_self)
{
	(void)getresuid(&ret_self->uid[0], &ret_self->uid[1], &ret_self->uid[2]);
	(void)getresgid(&ret_self->gid[0], &ret_self->gid[1], &ret_self->gid[2]);
	ret_self->group_count = getgroups(4, ret_self->groups);
	ret_self->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	ret_self->has_bounding = prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 1;
	ret_self->connects = try_connect() != EACCES;
	ret_self->root_again = setresuid(0, 0, 0) == 0;
}

/* Enter the sandbox in a child, after `prepare`; fills `self` and `logged`. */
static void enter(void (*prepare)(void))
{
	int ends[2];
	int log_ends[2];
	int status;
	size_t len = 0;
	ssize_t n;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(pipe2(log_ends, O_CLOEXEC), 0);
	const pid_t child = fork();
	if (child == 0) {
		struct self told = {0};
		(void)dup2(log_ends[1], STDERR_FILENO);
		if (prepare != NULL) {
			prepare();
		}
		struct sandbox off;
		sandbox_prepare(&off, false, false);
		told.result = sandbox_enter(&off, path);
		look_at_self(&told);
		end_child(write(ends[1], &told, sizeof(told)) == sizeof(told) ? 0 : 1);
	}
	assert_true(child > 0);
	(void)close(ends[1]);
	(void)close(log_ends[1]);
	assert_int_equal(read(ends[0], &self, sizeof(self)), sizeof(self));
	while ((n = read(log_ends[0], logged + len, sizeof(logged) - 1 - len)) > 0) {
		len += (size_t)n;
	}
	logged[len] = '\0';
	(void)close(ends[0]);
	(void)close(log_ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void make_socket(uid_t uid, gid_t gid, mode_t mode)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(fd);
	assert_int_equal(chown(path, uid, gid), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/test-sandbox-XXXXXX");
	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	(void)snprintf(path, sizeof(path), "%s/s", folder);
	return chmod(folder, 0755);
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	(void)rmdir(path);
	return rmdir(folder);
}

static void need_root(void)
{
	if (geteuid() != 0) {
		skip();
	}
}

static void expect_dropped(void)
{
	assert_int_equal(self.result, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(self.uid[i], 65532);
		assert_int_equal(self.gid[i], 65532);
	}
	assert_int_equal(self.no_new_privs, 1);
	assert_false(self.root_again);
	assert_false(self.has_bounding);
	assert_true(self.connects);
	assert_non_null(strstr(logged, "started as root, now running as 65532:65532"));
}

static void expect_root_with(const char *reason)
{
	assert_int_equal(self.result, 0);
	assert_int_equal(self.uid[0], 0);
	assert_int_equal(self.uid[1], 0);
	assert_int_equal(self.gid[1], 0);
	assert_int_equal(self.no_new_privs, 1);
	assert_non_null(strstr(logged, "staying root (0:0): "));
	assert_non_null(strstr(logged, reason));
}

static void root_keeps_nothing_but_the_sockets_group(void **state)
{
	(void)state;
	need_root();
	make_socket(0, 998, 0660);
	enter(NULL);
	expect_dropped();
	assert_int_equal(self.group_count, 1);
	assert_int_equal(self.groups[0], 998);
	assert_non_null(strstr(logged, "with group 998, "));
}

static void a_socket_open_to_all_needs_no_group(void **state)
{
	(void)state;
	need_root();
	make_socket(0, 0, 0666);
	enter(NULL);
	expect_dropped();
	assert_int_equal(self.group_count, 0);
}

static void a_socket_of_roots_group_is_opened_with_that_and_it_is_said(void **state)
{
	(void)state;
	need_root();
	make_socket(0, 0, 0660);
	enter(NULL);
	expect_dropped();
	assert_int_equal(self.group_count, 1);
	assert_int_equal(self.groups[0], 0);
	assert_non_null(strstr(logged, "root's group, since the socket belongs to it"));
}

static void in_groups_5_and_6(void)
{
	static const gid_t groups[] = {5, 6};

	if (setgroups(2, groups) < 0) {
		end_child(1);
	}
}

static void a_socket_for_root_alone_keeps_root_with_its_groups(void **state)
{
	(void)state;
	need_root();
	make_socket(0, 0, 0600);
	enter(in_groups_5_and_6);
	expect_root_with("only its owner can open it");
	assert_true(self.connects);
	assert_int_equal(self.group_count, 2);
	assert_int_equal(self.groups[0], 5);
	assert_int_equal(self.groups[1], 6);
}

static void a_closed_directory_keeps_root(void **state)
{
	(void)state;
	need_root();
	make_socket(0, 998, 0660);
	assert_int_equal(chmod(folder, 0700), 0);
	enter(NULL);
	expect_root_with("a directory in its path");
	assert_true(self.connects);
}

static void without_a_socket_there_is_no_group_to_take(void **state)
{
	(void)state;
	need_root();
	enter(NULL);
	expect_root_with("the group of the Engine's socket is unknown: ");
	assert_int_equal(mkdir(path, 0755), 0);
	enter(NULL);
	expect_root_with("is a directory");
}

static void without_setuid(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capset, &header, none) < 0) {
		end_child(1);
	}
}

static void root_without_capabilities_serves_as_it_is(void **state)
{
	(void)state;
	need_root();
	make_socket(0, 998, 0660);
	enter(without_setuid);
	expect_root_with("give the container the capabilities SETUID and SETGID");
	assert_true(self.connects);
}

static void as_somebody_else(void)
{
	const gid_t group = 998;

	if (setgroups(1, &group) < 0 || setresgid(1000, 1000, 1000) < 0 ||
	        setresuid(1000, 1000, 1000) < 0) {
		end_child(1);
	}
}

static void anyone_else_stays_that(void **state)
{
	(void)state;
	need_root();
	make_socket(0, 998, 0660);
	enter(as_somebody_else);
	assert_int_equal(self.result, 0);
	assert_int_equal(self.uid[1], 1000);
	assert_int_equal(self.gid[1], 1000);
	assert_int_equal(self.group_count, 1);
	assert_int_equal(self.no_new_privs, 1);
	assert_true(self.connects);
	assert_non_null(strstr(logged, "running as 1000:1000"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        IN_FOLDER(root_keeps_nothing_but_the_sockets_group),
	        IN_FOLDER(a_socket_open_to_all_needs_no_group),
	        IN_FOLDER(a_socket_of_roots_group_is_opened_with_that_and_it_is_said),
	        IN_FOLDER(a_socket_for_root_alone_keeps_root_with_its_groups),
	        IN_FOLDER(a_closed_directory_keeps_root),
	        IN_FOLDER(without_a_socket_there_is_no_group_to_take),
	        IN_FOLDER(root_without_capabilities_serves_as_it_is),
	        IN_FOLDER(anyone_else_stays_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
