/* SPDX-License-Identifier: MIT */
/*
 * What comes of a start and of a reload when memory runs out: for every N, the N-th allocation
 * fails between the arguments and the snapshot that threads adopt. Each ends with a sentence, and
 * nothing is left behind. Linked with --wrap, so that allocations of libyaml and PCRE2 fail too.
 */
#include "base/log.h"
#include "cases.h"
#include "serve/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	ALLOCATIONS_MIN = 4, /* that any settings take; less: --wrap does not work */
	ALLOCATIONS_MAX = 5000,
};

/* ── Allocations that fail ───────────────────────────────────────────────── */

static unsigned countdown; /* 1: the next one fails; 0: none does */
static bool failed;
static long live; /* allocations that are not freed */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

static bool fails(void)
{
	const bool now = countdown == 1;

	countdown -= countdown > 0;
	failed = failed || now;
	errno = now ? ENOMEM : errno;
	return now;
}

static void *counted(void *memory)
{
	live += memory != NULL;
	return memory;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : counted(__real_calloc(count, size));
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : counted(__real_strdup(text));
}

void *__wrap_realloc(void *memory, size_t size)
{
	if (fails()) {
		return NULL;
	}
	live += memory == NULL;
	return __real_realloc(memory, size);
}

void __wrap_free(void *memory)
{
	live -= memory != NULL;
	__real_free(memory);
}

/* ── Settings ────────────────────────────────────────────────────────────── */

static char folder[64];
static char listen_path[96];
static char listen_address[128];
static char file_path[96];
static char keys_path[96];

static const char keys[] = "ci:correct-horse-battery-staple\n"
                           "ops:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f\n";

static const char file[] =
        "listeners:\n"
        "  - {address: 'unix://%s', name: main, policy: mine, mode: '0660', "
        "browsers: true}\n"
        "policies:\n"
        "  mine:\n"
        "    extends: [read-only, other]\n"
        "    rules:\n"
        "      - deny: {path: '/plugins/[a-z]+/json', methods: [GET]}\n"
        "      - allow: {path: /containers/json}\n"
        "      - allow: {versioned_path: '/v1\\.(4[0-9])+/info'}\n"
        "      - allow: [container.list, 'image.*']\n"
        "      - allow: [container.list]\n"
        "  other:\n"
        "    mode: observe\n"
        "    scope: {owner: true}\n"
        "    rules:\n"
        "      - deny: [\"container.\\x63reate\"]\n"
        "limits: {rate: 5/s, total: {streams: 9}}\n"
        "clients:\n"
        "  - {name: near, match: {uid: [0, 1], listener: main}, policy: other, limits: "
        "{builds: 1}}\n"
        "  - {name: far, match: {cidr: '2001:db8::/32', container: {label: [a, "
        "b=c]}}, policy: mine}\n";

static const struct settings {
	const char *name;
	const char *arguments[8];    /* behind the program's name, up to NULL */
	const char *variables[4][2]; /* up to NULL */
} all_settings[] = {
        {"one policy", {"--upstream", "/nowhere.sock"}, {{"LISTEN", listen_address}}},
        {"a file", {"--config", file_path, "--workers", "2"}, {{NULL}}},
        {"keys", {"--client-keys", keys_path, "--policy", "agent"}, {{"LISTEN", listen_address}}},
        {"keys and a file", {"--client-keys", keys_path, "--config", file_path}, {{NULL}}},
        {"switches", {NULL},
                {{"LISTEN", listen_address}, {"CONTAINERS", "1"}, {"ALLOW_RESUME", "0"}}},
        {"two presets", {"--policy", "traefik,dozzle", "--allow", "container.logs,exec.*"},
                {{"BIND_CONFIG", listen_path}, {"PORT", "1"}, {"POST", "1"}}},
        {"learning", {"learn", "--listen", listen_address}, {{NULL}}},
};

static void set_environment(const struct settings *settings)
{
	(void)clearenv();
	for (unsigned i = 0; i < ARRAY_LEN(settings->variables); i++) {
		if (settings->variables[i][0] != NULL) {
			(void)setenv(settings->variables[i][0], settings->variables[i][1], 1);
		}
	}
}

/* The configuration of these settings, on the heap; NULL without memory. */
static struct config *read_config(const struct settings *settings)
{
	const char *words[ARRAY_LEN(settings->arguments) + 1] = {"docker-socket-proxy"};
	struct config *config = calloc(1, sizeof(*config));
	char error[FAULT_MAX] = "";
	int count = 1;

	for (const char *const *at = settings->arguments; *at != NULL; at++) {
		words[count++] = *at;
	}
	if (config == NULL) {
		return NULL;
	}
	if (config_read(count, (char *const *)(uintptr_t)words, config, error) < 0) {
		if (strstr(error, "out of memory: raise the memory limit") == NULL) {
			fail_msg("%s: \"%s\"", settings->name, error);
		}
		config_free(config);
		free(config);
		return NULL;
	}
	return config;
}

static struct accounts *accounts;

static struct snapshot *read_snapshot(const struct settings *settings, const struct server *running)
{
	struct config *config = read_config(settings);

	return config == NULL
	               ? NULL
	               : snapshot_new(config, running == NULL ? accounts : running->shared.accounts,
	                         running == NULL ? NULL : running->snapshot);
}

/* ── Attempts ────────────────────────────────────────────────────────────── */

/* Whether it succeeded; a failure leaves nothing. */
typedef bool attempt_function(const struct settings *settings, struct server *running);

static bool make_snapshot(const struct settings *settings, struct server *running)
{
	struct snapshot *snapshot = read_snapshot(settings, running);

	snapshot_unref(snapshot);
	return snapshot != NULL;
}

static bool start(const struct settings *settings, struct server *running)
{
	struct config *config = read_config(settings);
	struct server *server = config == NULL ? NULL : server_new(config);
	const bool made = server != NULL && threads_make(server);

	(void)running;
	if (server != NULL) {
		server_free(server);
	}
	return made;
}

static bool reload(const struct settings *settings, struct server *running)
{
	struct snapshot *former = running->snapshot;
	char fault[FAULT_MAX];
	struct snapshot *snapshot = read_snapshot(settings, running);
	const bool adopted = snapshot != NULL && server_adopt(running, snapshot, fault);

	assert_true(running->snapshot == (adopted ? snapshot : former));
	return adopted;
}

/* `keeps`: what a success makes stays. */
static void fail_every_allocation(attempt_function *attempt, const struct settings *settings,
        struct server *running, bool keeps)
{
	unsigned nth = 0;

	set_environment(settings);
	do {
		const long before = live;
		failed = false;
		countdown = ++nth;
		const bool done = attempt(settings, running);
		countdown = 0;
		if (live != before && !(done && keeps)) {
			fail_msg("%s, allocation %u: %ld are left", settings->name, nth,
			        live - before);
		}
		assert_true(done || failed);
	} while (failed && nth < ALLOCATIONS_MAX);
	assert_true(nth > ALLOCATIONS_MIN && nth < ALLOCATIONS_MAX);
}

/* ── Tests ───────────────────────────────────────────────────────────────── */

static void a_snapshot_is_made_or_leaves_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(all_settings); i++) {
		fail_every_allocation(make_snapshot, &all_settings[i], NULL, false);
	}
}

static void a_start_succeeds_or_leaves_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(all_settings); i++) {
		fail_every_allocation(start, &all_settings[i], NULL, false);
	}
}

/* All settings have one listener, as what is reloaded has. */
static void a_reload_that_fails_changes_nothing(void **state)
{
	const long before = live;

	(void)state;
	set_environment(&all_settings[1]);
	struct server *server = server_new(read_config(&all_settings[1]));
	assert_non_null(server);
	assert_true(threads_make(server));
	for (unsigned i = 0; i < ARRAY_LEN(all_settings); i++) {
		fail_every_allocation(reload, &all_settings[i], server, true);
	}
	server_free(server);
	assert_int_equal(live, before);
}

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/test-memory.XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(listen_path, sizeof(listen_path), "%s/listen.sock", folder);
	(void)snprintf(listen_address, sizeof(listen_address), "unix://%s", listen_path);
	(void)snprintf(file_path, sizeof(file_path), "%s/proxy.yaml", folder);
	(void)snprintf(keys_path, sizeof(keys_path), "%s/keys", folder);
	FILE *written = fopen(file_path, "we");
	assert_non_null(written);
	assert_true(fprintf(written, file, listen_path) > 0);
	assert_int_equal(fclose(written), 0);
	written = fopen(keys_path, "we");
	assert_non_null(written);
	assert_true(fputs(keys, written) >= 0);
	assert_int_equal(fclose(written), 0);
	accounts = accounts_new();
	assert_non_null(accounts);
	log_setup(LOG_EMERG, LOG_TEXT);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(listen_path);
	(void)unlink(file_path);
	(void)unlink(keys_path);
	accounts_free(accounts);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_snapshot_is_made_or_leaves_nothing),
	        cmocka_unit_test(a_start_succeeds_or_leaves_nothing),
	        cmocka_unit_test(a_reload_that_fails_changes_nothing),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
