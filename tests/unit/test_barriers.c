/* SPDX-License-Identifier: MIT */
/*
 * What seccomp and Landlock stop, tried from inside: each attempt in a process of its own, once
 * without the sandbox, where it must work, and once with it, where it must not.
 */
#include "cases.h"

#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef INSTRUMENTED
#define HAS_TOOLS true
#else
#define HAS_TOOLS false
#endif

#ifdef SANDBOX_KILL
#define KILLS true
#else
#define KILLS false
#endif

enum { PATH_SIZE = 120, LOG_SIZE = 4096 };

/* A configuration, a file beside its folder, and the ports that are allowed and that are not. */
static char folder[PATH_SIZE - 40];
static char conf[PATH_SIZE];
static char settings[PATH_SIZE];
static char outside[PATH_SIZE];
static int listening[2]; /* sockets at `allowed` and `other` */
static uint16_t allowed;
static uint16_t other;
static uint16_t unbound;
static char logged[LOG_SIZE];

/* ── The place ───────────────────────────────────────────────────────────── */

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	        .sin_port = htons(port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int bind_to(uint16_t port)
{
	const struct sockaddr_in address = loopback(port);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		return -1;
	}
	return fd;
}

static uint16_t listen_anywhere(int *ret_fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	*ret_fd = bind_to(0);
	assert_true(*ret_fd >= 0);
	assert_int_equal(listen(*ret_fd, 64), 0);
	assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

static void write_file(const char *path)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a: b\n", 5), 5);
	assert_int_equal(close(fd), 0);
}

static int set_up(void **state)
{
	int free_port;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/test-barriers-XXXXXX");
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) < 0) {
		return -1;
	}
	(void)snprintf(conf, sizeof(conf), "%s/conf", folder);
	(void)snprintf(settings, sizeof(settings), "%s/conf/proxy.yaml", folder);
	(void)snprintf(outside, sizeof(outside), "%s/secret", folder);
	if (mkdir(conf, 0755) < 0) {
		return -1;
	}
	write_file(settings);
	write_file(outside);
	allowed = listen_anywhere(&listening[0]);
	other = listen_anywhere(&listening[1]);
	unbound = listen_anywhere(&free_port);
	return close(free_port);
}

static int tear_down(void **state)
{
	(void)state;
	(void)close(listening[0]);
	(void)close(listening[1]);
	(void)unlink(settings);
	(void)unlink(outside);
	return rmdir(conf) == 0 ? rmdir(folder) : -1;
}

/* ── Attempts ────────────────────────────────────────────────────────────── */

static bool opens(const char *path, int flags)
{
	const int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0) {
		(void)close(fd);
	}
	return fd >= 0;
}

static bool reads_outside(void)
{
	return opens(outside, O_RDONLY);
}

static bool reads_the_machine(void)
{
	return opens("/etc/passwd", O_RDONLY);
}

static bool lists_a_folder(void)
{
	return opens(folder, O_RDONLY | O_DIRECTORY);
}

static bool writes_the_configuration(void)
{
	return opens(settings, O_WRONLY);
}

static bool makes_a_file(void)
{
	char path[PATH_SIZE + 8];

	(void)snprintf(path, sizeof(path), "%s/new", conf);
	return opens(path, O_WRONLY | O_CREAT) && unlink(path) == 0;
}

static bool removes_a_file(void)
{
	return unlink(outside) == 0 && opens(outside, O_WRONLY | O_CREAT);
}

static bool connects(uint16_t port)
{
	const struct sockaddr_in address = loopback(port);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

static bool connects_elsewhere(void)
{
	return connects(other);
}

static bool connects_by_sending(void)
{
	const struct sockaddr_in address = loopback(other);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && sendto(fd, "", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
	                          (const struct sockaddr *)&address, sizeof(address)) >= 0;
}

static bool binds_elsewhere(void)
{
	return bind_to(unbound) >= 0;
}

static bool connects_to_an_abstract_socket(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(sa_family_t) + 1 + 10;
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "dsp-%06u", other);
	return fd >= 0 && connect(fd, (const struct sockaddr *)&address, len) == 0;
}

static bool opens_socket(int family, int type, int protocol)
{
	return socket(family, type | SOCK_CLOEXEC, protocol) >= 0;
}

static bool opens_a_netlink_socket(void)
{
	return opens_socket(AF_NETLINK, SOCK_RAW, 0);
}

static bool opens_a_packet_socket(void)
{
	return opens_socket(AF_PACKET, SOCK_RAW, 0);
}

static bool opens_a_raw_socket(void)
{
	return opens_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static bool opens_multipath_tcp(void)
{
	return opens_socket(AF_INET, SOCK_STREAM, 262);
}

static bool executes(void)
{
	char *const arguments[] = {(char[]){"true"}, NULL};

	/* It has the exit code of an attempt that worked. */
	(void)execv("/bin/true", arguments);
	return false;
}

static bool forks(void)
{
	const pid_t child = fork();

	if (child == 0) {
		_exit(0);
	}
	return child > 0;
}

static bool forks_by_the_new_call(void)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, size, tls;
	} order = {.exit_signal = SIGCHLD};
	const long child = syscall(435, &order, sizeof(order));

	if (child == 0) {
		_exit(0);
	}
	return child > 0;
}

static bool is_traced(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool reads_its_parents_memory(void)
{
	char byte;
	struct iovec here = {&byte, 1};
	struct iovec there = {folder, 1};

	return syscall(SYS_process_vm_readv, getppid(), &here, 1, &there, 1, 0) == 1;
}

static bool signals_its_parent(void)
{
	return kill(getppid(), 0) == 0;
}

static bool signals_its_parent_by_thread(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0;
}

static bool mounts(void)
{
	return mount("none", folder, "tmpfs", 0, NULL) == 0 && umount(folder) == 0;
}

static bool changes_root(void)
{
	return chroot("/") == 0;
}

static bool leaves_its_namespace(void)
{
	return unshare(CLONE_NEWNS) == 0;
}

static bool makes_a_user_namespace(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

/* These need arguments that are right to work; a kernel that looks at them has let them in. */
static bool is_let_in(long result)
{
	return result >= 0 || (errno != EPERM && errno != ENOSYS);
}

static bool loads_bpf(void)
{
	return is_let_in(syscall(SYS_bpf, -1, NULL, 0));
}

static bool makes_an_io_uring(void)
{
	return is_let_in(syscall(SYS_io_uring_setup, 1, NULL));
}

static bool loads_a_kernel(void)
{
	return is_let_in(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

static bool loads_a_module(void)
{
	return is_let_in(syscall(SYS_init_module, NULL, 0, NULL));
}

static bool asks_for_keys(void)
{
	return is_let_in(syscall(SYS_keyctl, 0, -3, 0));
}

static bool watches_performance(void)
{
	return is_let_in(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}

static bool handles_page_faults(void)
{
	return is_let_in(syscall(SYS_userfaultfd, ~0U));
}

static bool changes_its_user(void)
{
	return setuid(getuid()) == 0;
}

static bool takes_a_signal(void)
{
	return signal(SIGUSR1, SIG_IGN) != SIG_ERR;
}

static bool makes_memory_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool takes_executable_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

enum needs {
	ANYTHING,
	LANDLOCK = 1, /* at least this version of its ABI */
	LANDLOCK_TCP = 4,
	LANDLOCK_SCOPE = 6,
};

static const struct attempt {
	bool (*works)(void);
	const char *name;
	int needs;    /* of the kernel to be stopped */
	bool depends; /* whether it works without the sandbox depends on the machine */
	bool tooled;  /* sanitizers do it, too */
	bool listed;  /* calls.def has a row by which it fails: no build is killed for it */
} attempts[] = {
#define ATTEMPT(function, ...)                                                                     \
	{                                                                                          \
		.works = (function), .name = #function, __VA_ARGS__                                \
	}
        ATTEMPT(reads_outside, .needs = LANDLOCK),
        ATTEMPT(reads_the_machine, .needs = LANDLOCK),
        ATTEMPT(lists_a_folder, .needs = LANDLOCK),
        ATTEMPT(writes_the_configuration, .tooled = true),
        ATTEMPT(makes_a_file, .tooled = true),
        ATTEMPT(removes_a_file, .needs = LANDLOCK),
        ATTEMPT(connects_elsewhere, .needs = LANDLOCK_TCP),
        ATTEMPT(connects_by_sending, .depends = true),
        ATTEMPT(binds_elsewhere, .needs = LANDLOCK_TCP),
        ATTEMPT(connects_to_an_abstract_socket, .needs = LANDLOCK_SCOPE),
        ATTEMPT(opens_a_netlink_socket, 0),
        ATTEMPT(opens_a_packet_socket, .depends = true),
        ATTEMPT(opens_a_raw_socket, .depends = true),
        ATTEMPT(opens_multipath_tcp, .depends = true),
        ATTEMPT(executes, .tooled = true),
        ATTEMPT(forks, .tooled = true),
        ATTEMPT(forks_by_the_new_call, .depends = true, .listed = true),
        ATTEMPT(is_traced, .tooled = true),
        ATTEMPT(reads_its_parents_memory, .depends = true),
        ATTEMPT(signals_its_parent, .tooled = true),
        ATTEMPT(signals_its_parent_by_thread, .tooled = true),
        ATTEMPT(mounts, .depends = true),
        ATTEMPT(changes_root, .depends = true),
        ATTEMPT(leaves_its_namespace, .depends = true),
        ATTEMPT(makes_a_user_namespace, .depends = true),
        ATTEMPT(loads_bpf, .depends = true),
        ATTEMPT(makes_an_io_uring, .depends = true),
        ATTEMPT(loads_a_kernel, .depends = true),
        ATTEMPT(loads_a_module, .depends = true),
        ATTEMPT(asks_for_keys, .depends = true),
        ATTEMPT(watches_performance, .depends = true),
        ATTEMPT(handles_page_faults, .depends = true),
        ATTEMPT(changes_its_user, 0),
        ATTEMPT(takes_a_signal, .tooled = true),
        ATTEMPT(makes_memory_executable, 0),
        ATTEMPT(takes_executable_memory, .tooled = true, .listed = true),
};

/* ── Trying ──────────────────────────────────────────────────────────────── */

static int landlock_abi(void)
{
	const long abi = syscall(444, NULL, 0, 1);

	return abi < 0 ? 0 : (int)abi;
}

static bool has_filters(void)
{
	const uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static int enter(bool on)
{
	struct sandbox sandbox;

	sandbox_prepare(&sandbox, on, false);
	sandbox_allow_file(&sandbox, settings);
	sandbox_allow_socket(&sandbox, settings);
	sandbox_allow_bind(&sandbox, allowed);
	sandbox_allow_connect(&sandbox, allowed);
	/* Staying who it is, so that nothing but the sandbox stops it. */
	return sandbox_enter(&sandbox, "/nowhere");
}

enum result { REFUSED = 7, WORKED = 0, NOT_ENTERED = 9, KILLED = 10 };

/* What becomes of an attempt; its log is in `logged`. */
static enum result try(bool (*works)(void), void (*prepare)(void), bool on)
{
	int ends[2];
	int status;
	size_t len = 0;
	ssize_t n;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)fflush(NULL);
	const pid_t child = fork();
	if (child == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		if (prepare != NULL) {
			prepare();
		}
		if (enter(on) < 0) {
			_exit(NOT_ENTERED);
		}
		_exit(works() ? WORKED : REFUSED);
	}
	assert_true(child > 0);
	(void)close(ends[1]);
	while ((n = read(ends[0], logged + len, sizeof(logged) - 1 - len)) > 0) {
		len += (size_t)n;
	}
	logged[len] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
		return KILLED; /* by the filter: what it refuses otherwise is handled */
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) {
		return REFUSED; /* a kernel that does not have the way in */
	}
	return WIFEXITED(status) ? (enum result)WEXITSTATUS(status) : NOT_ENTERED;
}

static void expect(const struct attempt *attempt, bool on, enum result wanted)
{
	const enum result result = try(attempt->works, NULL, on);

	if (result != wanted) {
		fail_msg("%s %s: %d\n%s", attempt->name, on ? "with the sandbox" : "without",
		        result, logged);
	}
}

/* Of the test's own, so that connecting to it leaves the domain. */
static int listen_abstract(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "dsp-%06u", other);
	assert_int_equal(
	        bind(fd, (const struct sockaddr *)&address, sizeof(sa_family_t) + 1 + 10), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static bool is_stopped(const struct attempt *attempt)
{
	return attempt->needs > ANYTHING ? landlock_abi() >= attempt->needs : has_filters();
}

/* With -Dsandbox_kill=true a call that calls.def lacks ends the program. */
static enum result end_of(const struct attempt *attempt)
{
	return KILLS && attempt->needs == ANYTHING && !attempt->listed ? KILLED : REFUSED;
}

static void what_serving_does_not_need_works_without_the_sandbox_alone(void **state)
{
	(void)state;
	/* An emulator of processes, which does not have what is tried either. */
	if (!has_filters() && landlock_abi() == 0) {
		skip();
	}
	const int abstract = listen_abstract();
	for (unsigned i = 0; i < ARRAY_LEN(attempts); i++) {
		const struct attempt *attempt = &attempts[i];
		if (!attempt->depends) {
			expect(attempt, false, WORKED);
		}
		if (is_stopped(attempt) && !(HAS_TOOLS && attempt->tooled)) {
			expect(attempt, true, end_of(attempt));
		}
	}
	(void)close(abstract);
}

/* ── What goes on ────────────────────────────────────────────────────────── */

static bool reads_settings(void)
{
	return opens(settings, O_RDONLY);
}

static void *do_nothing(void *argument)
{
	return argument;
}

static bool starts_a_thread(void)
{
	pthread_t id;

	return pthread_create(&id, NULL, do_nothing, NULL) == 0 && pthread_join(id, NULL) == 0;
}

static bool connects_to_the_engine(void)
{
	return connects(allowed);
}

static bool looks_at_paths(void)
{
	struct stat found;

	/* As hostfs/ does. */
	return stat(outside, &found) == 0 && opens(outside, O_PATH | O_NOFOLLOW);
}

static bool makes_and_removes_a_socket(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/s", conf);
	return bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
	       unlink(address.sun_path) == 0;
}

static void what_serving_needs_works_inside(void **state)
{
	static bool (*const needed[])(void) = {
	        reads_settings,
	        starts_a_thread,
	        connects_to_the_engine,
	        looks_at_paths,
	        makes_and_removes_a_socket,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(needed); i++) {
		assert_int_equal(try(needed[i], NULL, true), WORKED);
		assert_null(strstr(logged, "refused"));
	}
}

/* ── A file that is replaced ─────────────────────────────────────────────── */

static char data[2][PATH_SIZE]; /* folders, and the file in each */
static char inner[2][PATH_SIZE];
static char link_path[PATH_SIZE]; /* to one of the folders */
static int ask[2];
static int answer[2];

/* As Kubernetes does it: proxy.yaml is a link to ..data/proxy.yaml, and ..data one to a folder. */
static void link_settings(void)
{
	assert_int_equal(unlink(settings), 0);
	(void)snprintf(link_path, sizeof(link_path), "%.80s/..data", conf);
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(data[i], sizeof(data[i]), "%.80s/..%u", conf, i);
		(void)snprintf(inner[i], sizeof(inner[i]), "%.90s/proxy.yaml", data[i]);
	}
	assert_int_equal(mkdir(data[0], 0755), 0);
	write_file(inner[0]);
	assert_int_equal(symlink("..0", link_path), 0);
	assert_int_equal(symlink("..data/proxy.yaml", settings), 0);
}

static void unlink_settings(void)
{
	(void)unlink(settings);
	(void)unlink(link_path);
	for (unsigned i = 0; i < 2; i++) {
		(void)unlink(inner[i]);
		(void)rmdir(data[i]);
	}
	write_file(settings);
}

static void replace_settings(void)
{
	if (unlink(settings) < 0) {
		_exit(1);
	}
	write_file(settings);
	_exit(0);
}

static void replace_folder(void)
{
	char next[PATH_SIZE];

	(void)snprintf(next, sizeof(next), "%.80s/..next", conf);
	if (mkdir(data[1], 0755) < 0) {
		_exit(1);
	}
	write_file(inner[1]);
	if (symlink("..1", next) < 0 || rename(next, link_path) < 0 || unlink(inner[0]) < 0) {
		_exit(1);
	}
	_exit(0);
}

/* A process outside of the sandbox, which replaces when it is asked. */
static void with_a_replacer(void (*replace)(void))
{
	char byte;

	if (pipe2(ask, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0) {
		_exit(NOT_ENTERED);
	}
	if (fork() == 0) {
		(void)close(answer[0]);
		(void)close(ask[1]);
		if (read(ask[0], &byte, 1) == 1) {
			replace();
		}
		_exit(1);
	}
	(void)close(answer[1]);
}

static void with_a_replacer_of_the_file(void)
{
	with_a_replacer(replace_settings);
}

static void with_a_replacer_of_the_folder(void)
{
	with_a_replacer(replace_folder);
}

static bool reads_what_was_replaced(void)
{
	char byte;

	/* The other process ends when it has replaced: the end of the pipe. */
	return write(ask[1], "", 1) == 1 && read(answer[0], &byte, 1) == 0 &&
	       opens(settings, O_RDONLY) && !opens(outside, O_RDONLY);
}

static void a_file_that_is_replaced_inside_its_folder_is_read(void **state)
{
	(void)state;
	if (landlock_abi() == 0) {
		skip();
	}
	assert_int_equal(try(reads_what_was_replaced, with_a_replacer_of_the_file, true), WORKED);
	link_settings();
	const enum result result =
	        try(reads_what_was_replaced, with_a_replacer_of_the_folder, true);
	const bool replaced = access(inner[0], F_OK) < 0 && access(inner[1], F_OK) == 0;
	unlink_settings();
	assert_int_equal(result, WORKED);
	assert_true(replaced);
}

/* ── The log ─────────────────────────────────────────────────────────────── */

static bool unshares_twice(void)
{
	const bool first = unshare(CLONE_NEWNS) < 0 && errno == EPERM;

	return first && unshare(CLONE_NEWNS) < 0 && errno == EPERM;
}

static void a_refused_call_fails_and_is_logged_once(void **state)
{
	char line[64];

	(void)state;
	if (KILLS || !has_filters()) {
		skip();
	}
	(void)snprintf(line, sizeof(line), "sandbox: refused system call %d ", SYS_unshare);
	assert_int_equal(try(unshares_twice, NULL, true), WORKED);
	const char *first = strstr(logged, line);
	assert_non_null(first);
	assert_null(strstr(first + 1, line));
}

static void a_refused_call_ends_the_program_in_builds_for_tests(void **state)
{
	(void)state;
	if (!KILLS || !has_filters()) {
		skip();
	}
	assert_int_equal(try(unshares_twice, NULL, true), KILLED);
}

static bool does_nothing(void)
{
	return true;
}

static void the_start_says_what_holds(void **state)
{
	(void)state;
	assert_int_equal(try(does_nothing, NULL, true), WORKED);
	assert_non_null(strstr(logged, "sandbox: "));
	if (has_filters() && landlock_abi() >= LANDLOCK_SCOPE) {
		assert_non_null(strstr(logged, "info sandbox: seccomp, Landlock ABI "));
		assert_non_null(strstr(logged, " (files, TCP, abstract sockets, signals)\n"));
	}
	assert_int_equal(try(does_nothing, NULL, false), WORKED);
	assert_non_null(strstr(logged, "notice sandbox: off"));
}

/* ── Kernels that lack it ────────────────────────────────────────────────── */

/* Make calls fail, as a kernel or a filter around the program does. 0: no second call. */
static void refuse_calls(uint32_t first, uint32_t second, uint32_t error)
{
	struct sock_filter list[] = {
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {ARRAY_LEN(list), list};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
		_exit(NOT_ENTERED);
	}
}

static void without_both(void)
{
	refuse_calls(444, SYS_seccomp, ENOSYS);
}

static void forbidden_both(void)
{
	refuse_calls(444, SYS_seccomp, EPERM);
}

static void without_landlock(void)
{
	refuse_calls(444, UINT32_MAX, EOPNOTSUPP);
}

static void without_rules(void)
{
	refuse_calls(445, UINT32_MAX, ENOMEM);
}

static void without_restriction(void)
{
	refuse_calls(446, UINT32_MAX, E2BIG);
}

static void a_kernel_that_lacks_it_serves_and_it_is_said(void **state)
{
	(void)state;
	if (!has_filters()) {
		skip();
	}
	assert_int_equal(try(does_nothing, without_both, true), WORKED);
	assert_non_null(
	        strstr(logged, "notice sandbox: the user and no_new_privs alone; this kernel, "
	                       "or what it runs in, lacks seccomp filters and Landlock"));
	assert_int_equal(try(does_nothing, forbidden_both, true), WORKED);
	assert_non_null(strstr(logged, "lacks seccomp filters and Landlock"));
	assert_int_equal(try(does_nothing, without_landlock, true), WORKED);
	assert_non_null(strstr(logged, "notice sandbox: seccomp; this kernel, or what it runs in, "
	                               "lacks Landlock"));
}

static void what_fails_otherwise_ends_the_start(void **state)
{
	(void)state;
	if (!has_filters() || landlock_abi() == 0) {
		skip();
	}
	assert_int_equal(try(does_nothing, without_rules, true), NOT_ENTERED);
	assert_non_null(strstr(logged, "crit cannot enter the sandbox: Landlock takes no rule: "
	                               "Cannot allocate memory; SANDBOX=off"));
	assert_int_equal(try(does_nothing, without_restriction, true), NOT_ENTERED);
	assert_non_null(strstr(logged, "Landlock does not begin"));
}

/* ── Other numbers of calls ──────────────────────────────────────────────── */

#ifdef __x86_64__
static bool calls_as_x32(void)
{
	return syscall(0x40000000 | SYS_getpid) > 0;
}

static bool calls_as_i386(void)
{
	enum { GETPID = 20 };
	long result = GETPID;

	__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
	return result > 0;
}

/* A kernel without these calls answers with a fault, which cmocka would handle. */
static void with_own_faults(void)
{
	(void)signal(SIGSEGV, SIG_DFL);
}

static void calls_of_other_architectures_are_refused(void **state)
{
	(void)state;
	if (!has_filters()) {
		skip();
	}
	assert_int_equal(try(calls_as_x32, NULL, true), KILLS ? KILLED : REFUSED);
	const enum result i386 = try(calls_as_i386, with_own_faults, true);
	assert_true(i386 == KILLED || i386 == REFUSED);
}
#endif

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        IN_PLACE(what_serving_does_not_need_works_without_the_sandbox_alone),
	        IN_PLACE(what_serving_needs_works_inside),
	        IN_PLACE(a_file_that_is_replaced_inside_its_folder_is_read),
	        IN_PLACE(a_refused_call_fails_and_is_logged_once),
	        IN_PLACE(a_refused_call_ends_the_program_in_builds_for_tests),
	        IN_PLACE(the_start_says_what_holds),
	        IN_PLACE(a_kernel_that_lacks_it_serves_and_it_is_said),
	        IN_PLACE(what_fails_otherwise_ends_the_start),
#ifdef __x86_64__
	        IN_PLACE(calls_of_other_architectures_are_refused),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
