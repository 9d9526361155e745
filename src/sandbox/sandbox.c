/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "sandbox/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define REMEDY "SANDBOX=off starts without it"

void sandbox_prepare(struct sandbox *ret_sandbox, bool on, bool binds_anywhere)
{
	*ret_sandbox = (struct sandbox){.on = on, .binds_anywhere = binds_anywhere, .ruleset = -1};
	if (on) {
		landlock_prepare(ret_sandbox);
	}
}

bool kernel_lacks(int error)
{
	return error == ENOSYS || error == EOPNOTSUPP || error == EINVAL || error == EPERM ||
	       error == EACCES;
}

static int failed(const char *what, int error)
{
	log_line(LOG_CRIT,
	        "cannot enter the sandbox: %s: %s; SANDBOX=off starts "
	        "without it",
	        what, strerrordesc_np(-error));
	return error;
}

/* The one line: what holds, and what the kernel lacks. */
static void say(const struct sandbox *sandbox, bool has_filter)
{
	const bool has_landlock = sandbox->abi > 0;
	const bool whole = has_filter && sandbox->abi >= SANDBOX_ABI_WHOLE;
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, has_filter ? SLICE("seccomp") : SLICE(""));
	text_add(&text, has_filter && has_landlock ? SLICE(", ") : SLICE(""));
	landlock_describe(sandbox, &text);
	if (!has_filter && !has_landlock) {
		text_add(&text, SLICE("the user and no_new_privs alone"));
	}
	if (!has_filter || !has_landlock) {
		text_add(&text, SLICE("; this kernel, or what it runs in, lacks "));
		text_add(&text, has_filter ? SLICE("") : SLICE("seccomp filters"));
		text_add(&text, has_filter || has_landlock ? SLICE("") : SLICE(" and "));
		text_add(&text, has_landlock ? SLICE("") : SLICE("Landlock"));
	}
	log_line(whole ? LOG_INFO : LOG_NOTICE, "sandbox: %.*s", SLICE_FMT(text_slice(&text)));
}

/* The order is that of what each takes away: the filter refuses the calls of all before it. */
static int confine(struct sandbox *sandbox)
{
	int r = sandbox->error;

	if (r < 0) {
		return failed("Landlock takes no rule", r);
	}
	r = geteuid() == 0 ? user_drop_capabilities() : 0;
	if (r < 0) {
		return failed("capabilities stay", r);
	}
	r = landlock_enforce(sandbox);
	if (r < 0) {
		return failed("Landlock does not begin", r);
	}
	r = filter_load();
	if (r < 0 && r != -ENOSYS) {
		return failed("seccomp takes no filter", r);
	}
	say(sandbox, r == 0);
	return 0;
}

int sandbox_enter(struct sandbox *sandbox, const char *socket_path)
{
	int r = user_leave_root(sandbox, socket_path);

	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		r = -errno;
		log_line(LOG_ERR, "cannot set no_new_privs: %s", strerrordesc_np(-r));
	}
	if (r == 0 && sandbox->on) {
		r = confine(sandbox);
	} else if (r == 0) {
		log_line(LOG_NOTICE, "sandbox: off (SANDBOX)");
	}
	sandbox_abandon(sandbox);
	return r;
}

void sandbox_abandon(struct sandbox *sandbox)
{
	if (sandbox->ruleset >= 0) {
		(void)close(sandbox->ruleset);
		sandbox->ruleset = -1;
	}
}
