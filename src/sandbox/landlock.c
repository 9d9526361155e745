/* SPDX-License-Identifier: MIT */
/*
 * Landlock (landlock(7)), by its system calls: libc has no functions for them, and headers of an
 * older kernel do not have all of its constants.
 *
 * It decides when a file is opened, made or removed, not when it is used. It does not see what is
 * opened with O_PATH, stat() and readlink(): hostfs/ needs no rule. Connecting to a unix socket
 * that has a path is not restricted either, by no version that is used here.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every architecture, as all calls since Linux 5.1. */
enum {
	CALL_CREATE_RULESET = 444,
	CALL_ADD_RULE = 445,
	CALL_RESTRICT_SELF = 446,
	ASK_VERSION = 1U << 0, /* LANDLOCK_CREATE_RULESET_VERSION */
	RULE_PATH = 1,         /* LANDLOCK_RULE_PATH_BENEATH */
	RULE_PORT = 2,         /* LANDLOCK_RULE_NET_PORT */
};

/* struct landlock_ruleset_attr of ABI 6; older kernels take the front of it. */
struct ruleset {
	uint64_t files, ports, scopes;
};
/* struct landlock_path_beneath_attr and landlock_net_port_attr. */
struct path_rule {
	uint64_t rights;
	int32_t folder;
} __attribute__((packed));
struct port_rule {
	uint64_t rights, port;
};

/* LANDLOCK_ACCESS_FS_*, LANDLOCK_ACCESS_NET_* and LANDLOCK_SCOPE_* */
enum {
	WRITE_FILE = 1U << 1,
	READ_FILE = 1U << 2,
#ifdef INSTRUMENTED
	READ_DIR = 1U << 3,
#endif
	REMOVE_FILE = 1U << 5,
	MAKE_REG = 1U << 8,
	MAKE_SOCK = 1U << 9,
	TRUNCATE = 1U << 14, /* since ABI 3 */
	BIND_TCP = 1U << 0,
	CONNECT_TCP = 1U << 1,
	ABSTRACT_SOCKETS = 1U << 0,
	SIGNALS = 1U << 1,
};

/* What each version of the ABI brought. All of it is refused but for what a rule allows. */
static const struct version {
	int abi;
	struct ruleset refuses;
} versions[] = {
        {1, {.files = (1U << 13) - 1}}, /* EXECUTE to MAKE_SYM */
        {2, {.files = 1U << 13}},       /* REFER */
        {3, {.files = 1U << 14}},       /* TRUNCATE */
        {4, {.ports = BIND_TCP | CONNECT_TCP}},
        {5, {.files = 1U << 15}}, /* IOCTL_DEV */
        {6, {.scopes = ABSTRACT_SOCKETS | SIGNALS}},
};

/* ── The set of rules ────────────────────────────────────────────────────── */

static void keep_error(struct sandbox *sandbox, int error)
{
	if (sandbox->error == 0) {
		sandbox->error = -error;
	}
}

static void allow(struct sandbox *sandbox, const char *path, uint64_t rights)
{
	if (sandbox->ruleset < 0) {
		return;
	}
	const int place = open(path, O_PATH | O_CLOEXEC);
	const struct path_rule rule = {rights, place};
	if (place < 0) {
		/* What cannot be found now is not read later; but what is lacking here, is. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			keep_error(sandbox, errno);
		}
		return;
	}
	/* EBADFD: a pipe, such as /dev/fd/63 of a shell, which no rule is needed for. */
	if (syscall(CALL_ADD_RULE, sandbox->ruleset, RULE_PATH, &rule, 0) < 0 && errno != EBADFD) {
		keep_error(sandbox, errno);
	}
	(void)close(place);
}

void landlock_prepare(struct sandbox *sandbox)
{
	const long abi = syscall(CALL_CREATE_RULESET, NULL, 0, ASK_VERSION);
	struct ruleset refuses = {0};

	if (abi < 0 && !kernel_lacks(errno)) {
		keep_error(sandbox, errno);
	}
	if (abi <= 0) {
		return;
	}
	for (unsigned i = 0; i < ARRAY_LEN(versions) && versions[i].abi <= abi; i++) {
		refuses.files |= versions[i].refuses.files;
		refuses.ports |= versions[i].refuses.ports;
		refuses.scopes |= versions[i].refuses.scopes;
	}
	refuses.ports &= sandbox->binds_anywhere ? ~(uint64_t)BIND_TCP : ~(uint64_t)0;
	/* Bytes that are zero may be more than the kernel knows. */
	const long ruleset = syscall(CALL_CREATE_RULESET, &refuses, sizeof(refuses), 0);
	if (ruleset < 0) {
		keep_error(sandbox, errno);
		return;
	}
	sandbox->abi = (int)abi;
	sandbox->ruleset = (int)ruleset;
#ifdef INSTRUMENTED
	/* gcov writes what it counted; sanitizers read what the process is made of. */
	allow(sandbox, BUILD_FOLDER, refuses.files);
	allow(sandbox, "/proc", READ_FILE | READ_DIR);
#endif
}

/* ── Files ───────────────────────────────────────────────────────────────── */

/* Below these is too much to be read for the sake of one file. */
static const char *const wide_folders[] = {"/", "/boot", "/dev", "/etc", "/home", "/media", "/mnt",
        "/opt", "/proc", "/root", "/run", "/srv", "/sys", "/tmp", "/usr", "/usr/local", "/var",
        "/var/lib", "/var/tmp"};

static bool is_wide(const char *folder)
{
	for (unsigned i = 0; i < ARRAY_LEN(wide_folders); i++) {
		if (strcmp(folder, wide_folders[i]) == 0) {
			return true;
		}
	}
	/* What belongs to a user. */
	return strncmp(folder, "/home/", 6) == 0 && strchr(folder + 6, '/') == NULL;
}

/* The folder of a path, without symbolic links. False: it is not there. */
static bool find_folder(const char *path, char folder[static PATH_MAX])
{
	char memory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, slash == NULL ? SLICE(".") : slice_between(path, slash + 1));
	text_add_char(&text, '\0');
	return !text.overflow && realpath(memory, folder) != NULL;
}

static void allow_folder_of(struct sandbox *sandbox, const char *path)
{
	char folder[PATH_MAX];

	if (find_folder(path, folder) && !is_wide(folder)) {
		allow(sandbox, folder, READ_FILE);
	}
}

void sandbox_allow_file(struct sandbox *sandbox, const char *path)
{
	char target[PATH_MAX];

	if (path == NULL || sandbox->ruleset < 0) {
		return;
	}
	allow(sandbox, path, READ_FILE);
	allow_folder_of(sandbox, path);
	if (realpath(path, target) != NULL) {
		allow_folder_of(sandbox, target);
	}
}

void sandbox_allow_folder(struct sandbox *sandbox, const char *path)
{
	if (path != NULL) {
		allow(sandbox, path, READ_FILE);
	}
}

void sandbox_allow_socket(struct sandbox *sandbox, const char *path)
{
	char folder[PATH_MAX];

	if (path != NULL && find_folder(path, folder)) {
		allow(sandbox, folder, MAKE_SOCK | REMOVE_FILE);
	}
}

void sandbox_allow_record(struct sandbox *sandbox, const char *path)
{
	const uint64_t cutting = sandbox->abi >= 3 ? TRUNCATE : 0;
	char folder[PATH_MAX];

	if (path != NULL && find_folder(path, folder)) {
		allow(sandbox, folder, READ_FILE | WRITE_FILE | MAKE_REG | cutting);
	}
}

/* ── TCP ─────────────────────────────────────────────────────────────────── */

static void allow_port(struct sandbox *sandbox, uint16_t port, uint64_t rights)
{
	const struct port_rule rule = {rights, port};

	if (sandbox->ruleset >= 0 && sandbox->abi >= SANDBOX_ABI_TCP &&
	        syscall(CALL_ADD_RULE, sandbox->ruleset, RULE_PORT, &rule, 0) < 0) {
		keep_error(sandbox, errno);
	}
}

void sandbox_allow_bind(struct sandbox *sandbox, uint16_t port)
{
	if (!sandbox->binds_anywhere) {
		allow_port(sandbox, port, BIND_TCP);
	}
}

void sandbox_allow_connect(struct sandbox *sandbox, uint16_t port)
{
	allow_port(sandbox, port, CONNECT_TCP);
}

/* ── Holding ─────────────────────────────────────────────────────────────── */

int landlock_enforce(struct sandbox *sandbox)
{
	if (sandbox->ruleset < 0) {
		return 0;
	}
	return syscall(CALL_RESTRICT_SELF, sandbox->ruleset, 0) < 0 ? -errno : 0;
}

void landlock_describe(const struct sandbox *sandbox, struct text *text)
{
	if (sandbox->abi > 0) {
		const char *tcp = sandbox->binds_anywhere ? ", TCP connections" : ", TCP";
		text_add_format(text, "Landlock ABI %d (files%s%s)", sandbox->abi,
		        sandbox->abi >= SANDBOX_ABI_TCP ? tcp : "",
		        sandbox->abi >= SANDBOX_ABI_WHOLE ? ", abstract sockets, signals" : "");
	}
}
