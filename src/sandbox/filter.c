/* SPDX-License-Identifier: MIT */
/*
 * The list calls.def as a program of the kernel's packet filter (seccomp(2)).
 *
 * libseccomp would make such programs too, and take 24 KiB that stay, where an idle process may
 * have 3 MiB in all. The rows are few and every argument is compared in one way, so that each row
 * is at most a dozen instructions here.
 */
#include "base/log.h"
#include "sandbox/internal.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/close_range.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE    AUDIT_ARCH_X86_64
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define ARCHITECTURE    AUDIT_ARCH_AARCH64
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#else
#error "sandbox/filter.c: add the architecture: its AUDIT_ARCH, and where a call returns its result"
#endif

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* si_code; libc has it since 2.38 */
#endif

/* Names that not every architecture or libc has. */
#define NO_CALL UINT32_MAX
#ifndef __NR_access
#define __NR_access NO_CALL
#endif
#ifndef __NR_chmod
#define __NR_chmod NO_CALL
#endif
#ifndef __NR_epoll_wait
#define __NR_epoll_wait NO_CALL
#endif
#ifndef __NR_poll
#define __NR_poll NO_CALL
#endif
#ifndef __NR_open
#define __NR_open NO_CALL
#endif
#ifndef __NR_stat
#define __NR_stat  NO_CALL
#define __NR_lstat NO_CALL
#endif
#ifndef __NR_readlink
#define __NR_readlink NO_CALL
#endif
#ifndef __NR_unlink
#define __NR_unlink NO_CALL
#endif
#ifndef __NR_mkdir
#define __NR_mkdir    NO_CALL
#define __NR_access   NO_CALL
#define __NR_getdents NO_CALL
#endif
#ifndef __NR_rseq
#define __NR_rseq NO_CALL
#endif
#ifndef __NR_clone3
#define __NR_clone3 435 /* on every architecture */
#endif

/* ── The rows ────────────────────────────────────────────────────────────── */

enum { CONDITIONS_MAX = 3 };

struct condition {
	uint32_t argument, mask, value;
	bool holds_if_own; /* in place of `value` */
};

struct row {
	uint32_t call;
	uint32_t action;
	struct condition conditions[CONDITIONS_MAX]; /* mask 0: no more */
};

#define KIND ((uint32_t) ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	        CLONE_NEWPID | CLONE_NEWNET | CLONE_VFORK)
#define IS(number, wanted)                                                                         \
	{                                                                                          \
		.argument = (number), .mask = UINT32_MAX, .value = (uint32_t)(wanted)              \
	}
#define NONE(number, bits)                                                                         \
	{                                                                                          \
		.argument = (number), .mask = (uint32_t)(bits)                                     \
	}
#define SOME(number, bits, wanted)                                                                 \
	{                                                                                          \
		.argument = (number), .mask = (uint32_t)(bits), .value = (uint32_t)(wanted)        \
	}
#define OWN(number)                                                                                \
	{                                                                                          \
		.argument = (number), .mask = UINT32_MAX, .holds_if_own = true                     \
	}

#define ROW(name, result, ...)                                                                     \
	{.call = __NR_##name, .action = (result), .conditions = {__VA_ARGS__}},
#define ANY                                                                                        \
	{                                                                                          \
		.mask = 0                                                                          \
	}
#define CALL(name)         ROW(name, SECCOMP_RET_ALLOW, ANY)
#define CALL_IF(name, ...) ROW(name, SECCOMP_RET_ALLOW, __VA_ARGS__)
#define CALL_LACKS(name)   ROW(name, SECCOMP_RET_ERRNO | ENOSYS, ANY)
#define CALL_FAILS(name)   ROW(name, SECCOMP_RET_ERRNO | EPERM, ANY)
static const struct row rows[] = {
#include "sandbox/calls.def"
};

/* ── The program ─────────────────────────────────────────────────────────── */

enum {
	/* Compare, three for each condition, return, load again. */
	ROW_LEN_MAX = 3 + 3 * CONDITIONS_MAX,
	PROGRAM_MAX = 5 + ARRAY_LEN(rows) * ROW_LEN_MAX,
};

struct program {
	unsigned short len;
	struct sock_filter list[PROGRAM_MAX];
};

static void add(
        struct program *program, unsigned code, uint32_t value, unsigned if_true, unsigned if_false)
{
	ASSERT(program->len < PROGRAM_MAX);
	program->list[program->len++] =
	        (struct sock_filter){(uint16_t)code, (uint8_t)if_true, (uint8_t)if_false, value};
}

static void add_load(struct program *program, size_t offset)
{
	add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void add_return(struct program *program, uint32_t action)
{
	add(program, BPF_RET | BPF_K, action, 0, 0);
}

static unsigned count_conditions(const struct row *row)
{
	unsigned count = 0;

	while (count < CONDITIONS_MAX && row->conditions[count].mask != 0) {
		count++;
	}
	return count;
}

/* Both architectures are little-endian: the lower half of an argument is its front. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arguments of a filter");

/* Three instructions, which go on if the condition holds, and else leave out `rest` more. */
static void add_condition(struct program *program, const struct condition *condition, unsigned rest)
{
	const uint32_t value = condition->holds_if_own ? (uint32_t)getpid() : condition->value;

	add_load(program,
	        offsetof(struct seccomp_data, args) + condition->argument * sizeof(uint64_t));
	add(program, BPF_ALU | BPF_AND | BPF_K, condition->mask, 0, 0);
	add(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, rest);
}

/* The number of the call is loaded, before and after. */
static void add_row(struct program *program, const struct row *row)
{
	const unsigned count = count_conditions(row);

	add(program, BPF_JMP | BPF_JEQ | BPF_K, row->call, 0, count == 0 ? 1 : 3 * count + 2);
	for (unsigned i = 0; i < count; i++) {
		add_condition(program, &row->conditions[i], 3 * (count - i - 1) + 1);
	}
	add_return(program, row->action);
	if (count > 0) {
		add_load(program, offsetof(struct seccomp_data, nr));
	}
}

/* Calls of other architectures have other numbers: int 0x80 of a program for x86-64. Those of x32
 * have a bit that no row has. */
static void make(struct program *program)
{
	add_load(program, offsetof(struct seccomp_data, arch));
	add(program, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	add_return(program, SECCOMP_RET_KILL_PROCESS);
	add_load(program, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].call != NO_CALL) {
			add_row(program, &rows[i]);
		}
	}
#ifdef SANDBOX_KILL
	add_return(program, SECCOMP_RET_KILL_PROCESS);
#else
	add_return(program, SECCOMP_RET_TRAP);
#endif
}

/* ── A call that is refused ──────────────────────────────────────────────── */

enum { CALLS_SAID = 512 }; /* from here on, one line for all */

static atomic_bool said[CALLS_SAID];

/* The signal that SECCOMP_RET_TRAP sends in place of the call, which then returns EPERM. */
static void refuse(int number, siginfo_t *signal, void *memory)
{
	ucontext_t *context = memory;
	const unsigned call = (unsigned)signal->si_syscall;
	const int error = errno;
	char bytes[256];
	struct text message = text_over(bytes, sizeof(bytes));

	(void)number;
	if (signal->si_code != SYS_SECCOMP) {
		return; /* somebody sent it */
	}
	if (!atomic_exchange(&said[call < CALLS_SAID ? call : CALLS_SAID - 1], true)) {
		text_add(&message, SLICE("sandbox: refused system call "));
		text_add_u64(&message, call);
		text_add(&message, SLICE(" (ausyscall says its name), which serving does not need: "
		                         "the proxy was attacked, or this is a defect of it; "
		                         "further ones of this number are not logged"));
		log_in_handler(LOG_ERR, text_slice(&message));
	}
	RESULT(context) = (__typeof__(RESULT(context)))-EPERM;
	errno = error;
}

/* ── Loading ─────────────────────────────────────────────────────────────── */

/* 0, -ENOSYS or another -errno. Kernels before 4.14 cannot be asked, and count as without filters;
 * so do emulators. */
static int ask_for_filters(void)
{
	const uint32_t action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
		return 0;
	}
	return kernel_lacks(errno) ? -ENOSYS : -errno;
}

int filter_load(void)
{
	const struct sigaction action = {.sa_sigaction = refuse, .sa_flags = SA_SIGINFO};
	struct program program = {0};

	const int r = ask_for_filters();
	if (r < 0) {
		return r;
	}
	if (sigaction(SIGSYS, &action, NULL) < 0) {
		return -errno;
	}
	make(&program);
	const struct sock_fprog load = {.len = program.len, .filter = program.list};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &load) < 0 ? -errno : 0;
}
