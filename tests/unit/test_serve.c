/* SPDX-License-Identifier: MIT */
/* A server with its threads, from inside: it takes another snapshot over while it serves. */
#include "address/address.h"
#include "base/log.h"
#include "cases.h"
#include "serve/internal.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 10 };

static char folder[64];
static char listen_address[128];
static char engine_path[128];
static int engine; /* a listening socket */
static pthread_t serving;
static char fault[FAULT_MAX];

/* ── Snapshots that say when they are freed ──────────────────────────────── */

static sem_t freed;
static void (*really_free)(struct snapshot *);

static void free_and_say(struct snapshot *snapshot)
{
	really_free(snapshot);
	(void)sem_post(&freed);
}

static struct snapshot *watched(struct snapshot *snapshot)
{
	really_free = snapshot->free;
	snapshot->free = free_and_say;
	return snapshot;
}

static void wait_for_free(void)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	assert_int_equal(sem_timedwait(&freed, &until), 0);
}

static bool was_freed(void)
{
	return sem_trywait(&freed) == 0;
}

/* ── A server ────────────────────────────────────────────────────────────── */

static struct config *configuration_for(
        const char *verb, const char *policy, const char *workers, const char *grace)
{
	struct config *config = calloc(1, sizeof(*config));
	char error[FAULT_MAX];
	const char *const argv[] = {"docker-socket-proxy", verb, "--listen", listen_address,
	        "--upstream", engine_path, "--policy", policy, "--workers", workers,
	        "--shutdown-grace", grace};

	assert_non_null(config);
	assert_int_equal(
	        config_read(ARRAY_LEN(argv), (char *const *)(uintptr_t)argv, config, error), 0);
	return config;
}

static struct config *configuration(const char *policy, const char *workers, const char *grace)
{
	return configuration_for("run", policy, workers, grace);
}

static struct snapshot *snapshot_of(const struct server *server, const char *policy)
{
	struct snapshot *snapshot = snapshot_new(
	        configuration(policy, "1", "0"), server->shared.accounts, server->snapshot);

	assert_non_null(snapshot);
	return snapshot;
}

static void *serve_in_thread(void *server)
{
	threads_run(server);
	return NULL;
}

static struct server *start(const char *policy, const char *workers, const char *grace)
{
	struct server *server = server_new(configuration(policy, workers, grace));

	assert_non_null(server);
	assert_true(threads_make(server));
	(void)watched(server->snapshot);
	assert_true(threads_start(server));
	assert_int_equal(pthread_create(&serving, NULL, serve_in_thread, server), 0);
	return server;
}

static void wait_for_end(struct server *server)
{
	assert_int_equal(pthread_join(serving, NULL), 0);
	listeners_remove(server);
	server_free(server);
}

static void stop(struct server *server)
{
	threads_stop(server);
	wait_for_end(server);
}

/* ── Both ends of it ─────────────────────────────────────────────────────── */

static int with_patience(int fd)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

static int client(void)
{
	const union address address = address_of_path(slice_of(address_path(listen_address)));
	const int fd = with_patience(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	assert_int_equal(connect(fd, &address.any, address_len(&address)), 0);
	return fd;
}

static void say(int fd, const char *words)
{
	assert_int_equal(write(fd, words, strlen(words)), (ssize_t)strlen(words));
}

static void ask(int fd)
{
	say(fd, "GET /v1.41/containers/json HTTP/1.1\r\nHost: docker\r\n\r\n");
}

/* Read until `end` has come. */
static void expect(int fd, const char *begin, const char *end)
{
	char bytes[4096] = "";
	size_t len = 0;

	while (strstr(bytes, end) == NULL) {
		const ssize_t n = read(fd, bytes + len, sizeof(bytes) - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
		bytes[len] = '\0';
	}
	assert_memory_equal(bytes, begin, strlen(begin));
}

static void expect_denied(int fd)
{
	expect(fd, "HTTP/1.1 403 ", "by policy 'deny'");
}

/* The Engine has a request. */
static int engine_asked(void)
{
	const int fd = with_patience(accept(engine, NULL, NULL));

	expect(fd, "GET /v1.41/containers/json", "\r\n\r\n");
	return fd;
}

static void engine_responds(int fd)
{
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlist");
}

/* ── What is tested ──────────────────────────────────────────────────────── */

static void a_request_under_way_ends_by_its_own_snapshot(void **state)
{
	struct server *server = start("open", "1", "0");
	const int early = client();

	(void)state;
	ask(early);
	const int asked = engine_asked();
	assert_true(server_adopt(server, snapshot_of(server, "deny"), fault));

	const int late = client();
	ask(late);
	expect_denied(late);
	assert_false(was_freed()); /* the early request may still ask it */

	engine_responds(asked);
	expect(early, "HTTP/1.1 200 OK\r\n", "list");
	wait_for_free();
	ask(early);
	expect_denied(early);

	(void)close(early);
	(void)close(late);
	(void)close(asked);
	stop(server);
}

static void every_thread_adopts_it(void **state)
{
	struct server *server = start("open", "4", "0");

	(void)state;
	assert_true(server_adopt(server, snapshot_of(server, "deny"), fault));
	wait_for_free(); /* that no thread uses it any more */
	for (unsigned i = 0; i < 32; i++) {
		const int fd = client();
		ask(fd);
		expect_denied(fd);
		(void)close(fd);
	}
	stop(server);
}

static void a_newer_snapshot_replaces_one_that_nobody_took(void **state)
{
	struct server *server = server_new(configuration("open", "2", "0"));

	(void)state;
	assert_non_null(server);
	assert_true(threads_make(server));
	assert_true(server_adopt(server, watched(snapshot_of(server, "open")), fault));
	assert_true(server_adopt(server, snapshot_of(server, "deny"), fault));
	assert_true(was_freed());
	assert_true(threads_start(server));
	assert_int_equal(pthread_create(&serving, NULL, serve_in_thread, server), 0);
	const int fd = client();
	ask(fd);
	expect_denied(fd);
	(void)close(fd);
	stop(server);
}

static void a_message_to_a_thread_that_ended_is_not_lost(void **state)
{
	struct server *server = start("open", "2", "0");

	(void)state;
	threads_stop(server);
	assert_int_equal(pthread_join(serving, NULL), 0);
	assert_true(server_adopt(server, watched(snapshot_of(server, "deny")), fault));
	listeners_remove(server);
	server_free(server);
	assert_true(was_freed());
	assert_true(was_freed()); /* both */
}

static void notes_are_taken_once_a_snapshot_wants_it(void **state)
{
	struct server *server = start("open", "1", "0");
	struct snapshot *learning = snapshot_new(configuration_for("learn", "open", "1", "0"),
	        server->shared.accounts, server->snapshot);

	(void)state;
	assert_non_null(learning);
	assert_null(server->shared.learn);
	assert_true(server_adopt(server, learning, fault));
	wait_for_free();
	const int fd = client();
	ask(fd);
	const int asked = engine_asked();
	engine_responds(asked);
	expect(fd, "HTTP/1.1 200 OK\r\n", "list");
	assert_non_null(server->shared.learn);
	(void)close(fd);
	(void)close(asked);
	stop(server);
}

static void the_grace_is_that_of_the_snapshot_of_today(void **state)
{
	struct server *server = start("open", "1", "600");
	const int fd = client();

	(void)state;
	ask(fd);
	const int asked = engine_asked();
	assert_true(server_adopt(server, snapshot_of(server, "open"), fault));
	threads_stop(server);
	expect(fd, "HTTP/1.1 503 ", "shutting down");
	(void)close(fd);
	(void)close(asked);
	wait_for_end(server);
	assert_true(was_freed());
}

static unsigned open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(directory);
	while (readdir(directory) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		count++;
	}
	(void)closedir(directory);
	return count;
}

static void a_start_that_fails_leaves_nothing_behind(void **state)
{
	const unsigned before = open_files();
	struct config *config = configuration("open", "3", "0");
	struct config_listener *second = &config->listeners[config->listener_count++];

	(void)state;
	*second = config->listeners[0];
	second->address = "unix:///proc/docker.sock"; /* where nobody can listen */
	struct server *server = server_new(config);
	assert_non_null(server);
	(void)watched(server->snapshot);
	assert_false(threads_make(server));
	listeners_remove(server);
	server_free(server);
	assert_true(was_freed());
	assert_int_equal(open_files(), before);
}

/* ── Around them ─────────────────────────────────────────────────────────── */

static int set_up(void **state)
{
	(void)state;
	log_setup(LOG_EMERG, LOG_TEXT);
	(void)clearenv();
	(void)snprintf(folder, sizeof(folder), "/tmp/test-serve-XXXXXX");
	if (mkdtemp(folder) == NULL || sem_init(&freed, 0, 0) < 0) {
		return -1;
	}
	(void)snprintf(listen_address, sizeof(listen_address), "unix://%s/listen.sock", folder);
	(void)snprintf(engine_path, sizeof(engine_path), "%s/engine.sock", folder);
	const union address address = address_of_path(slice_of(engine_path));
	engine = with_patience(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	return bind(engine, &address.any, address_len(&address)) < 0 ? -1 : listen(engine, 16);
}

static int tear_down(void **state)
{
	(void)state;
	(void)close(engine);
	(void)unlink(engine_path);
	(void)sem_destroy(&freed);
	return rmdir(folder);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CASE(a_request_under_way_ends_by_its_own_snapshot),
	        CASE(every_thread_adopts_it),
	        CASE(a_newer_snapshot_replaces_one_that_nobody_took),
	        CASE(a_message_to_a_thread_that_ended_is_not_lost),
	        CASE(notes_are_taken_once_a_snapshot_wants_it),
	        CASE(the_grace_is_that_of_the_snapshot_of_today),
	        CASE(a_start_that_fails_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
