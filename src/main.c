/* SPDX-License-Identifier: MIT */
/*
 * main — argv → configuration → listeners → privileges → run.
 */
#include "address/address.h"
#include "audit/denials.h"
#include "base/log.h"
#include "config/config.h"
#include "convert/convert.h"
#include "explain/explain.h"
#include "health/health.h"
#include "learn/learn.h"
#include "net/listener.h"
#include "net/loop.h"
#include "sandbox/sandbox.h"
#include "session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	EXIT_USAGE = 2,
	WORKERS_MAX = 64,
	WORKERS_DEFAULT_MAX = 4,
	RESERVED_FILES = 64, /* listeners, epoll, pipes, standard streams */
	HEAP_OBJECT_MAX = 128 * 1024,
};

struct program {
	struct config config;
	struct worker_settings settings;
	atomic_uint connections;
	struct denials denials;
	unsigned worker_count;
	struct worker *workers[WORKERS_MAX];
	pthread_t threads[WORKERS_MAX]; /* [0] is unused: it is the main one */
	sigset_t stop_signals;
	struct watch signal_watch;                /* a signalfd */
	int unix_listeners[CONFIG_LISTENERS_MAX]; /* of TCP addresses -1 */
};

/* ── How many ────────────────────────────────────────────────────────────── */

/* CPUs the cgroup grants, rounded up; UINT_MAX without a quota. */
static unsigned cgroup_cpus(void)
{
	FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
	unsigned long quota = 0;
	unsigned long period = 0;

	if (file == NULL) {
		return UINT32_MAX;
	}
	const int found = fscanf(file, "%lu %lu", &quota, &period);
	(void)fclose(file);
	if (found != 2 || quota == 0 || period == 0) {
		return UINT32_MAX; /* "max 100000" */
	}
	return (unsigned)((quota + period - 1) / period);
}

static unsigned usable_cpus(void)
{
	cpu_set_t set;
	const unsigned granted = cgroup_cpus();

	if (sched_getaffinity(0, sizeof(set), &set) < 0) {
		return 1;
	}
	const unsigned count = (unsigned)CPU_COUNT(&set);
	return count < granted ? count : granted;
}

static unsigned count_workers(const struct config *config)
{
	const unsigned cpus = usable_cpus();

	if (config->workers > 0) {
		return config->workers;
	}
	return cpus < WORKERS_DEFAULT_MAX ? cpus : WORKERS_DEFAULT_MAX;
}

/*
 * An idle connection holds one descriptor, one with a request two: where the
 * limit is too low for that, dialling fails and the answer says so.
 */
static unsigned count_connections(const struct config *config)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
		return config->max_connections;
	}
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	const rlim_t possible = files.rlim_cur > 2 * RESERVED_FILES
	                                ? files.rlim_cur - RESERVED_FILES
	                                : files.rlim_cur / 2;
	return possible < config->max_connections ? (unsigned)possible : config->max_connections;
}

/* ── Listeners ───────────────────────────────────────────────────────────── */

static int open_listener(const struct config_listener *listener, bool shared)
{
	const int fd = listener_open(listener->address, listener->mode, shared);

	if (fd < 0) {
		log_line(LOG_CRIT, "cannot listen on %s: %s", listener->address,
		        fd == -EINVAL ? "expected tcp://HOST:PORT or unix:///PATH"
		                      : strerrordesc_np(-fd));
	}
	return fd;
}

/* Somebody else on the port is an error, which SO_REUSEPORT alone would hide. */
static bool ports_are_free(struct program *program)
{
	for (unsigned i = 0; i < program->config.listener_count; i++) {
		const struct config_listener *listener = &program->config.listeners[i];
		if (address_path(listener->address) != NULL) {
			continue;
		}
		const int fd = open_listener(listener, false);
		if (fd < 0) {
			return false;
		}
		(void)close(fd);
	}
	return true;
}

/* Each worker has its own TCP sockets; the one unix socket of a path is shared by all. */
static int open_worker_listener(struct program *program, unsigned i)
{
	const struct config_listener *listener = &program->config.listeners[i];

	if (address_path(listener->address) == NULL) {
		return open_listener(listener, true);
	}
	if (program->unix_listeners[i] < 0) {
		program->unix_listeners[i] = open_listener(listener, false);
	}
	return fcntl(program->unix_listeners[i], F_DUPFD_CLOEXEC, 0);
}

static bool learns(const struct config *config, const struct config_listener *listener)
{
	return config->verb == CONFIG_LEARN || policy_observes(listener->policy);
}

static bool make_worker(struct program *program, struct worker **ret_worker)
{
	struct worker_listener listeners[CONFIG_LISTENERS_MAX];
	const unsigned count = program->config.listener_count;

	for (unsigned i = 0; i < count; i++) {
		const struct config_listener *configured = &program->config.listeners[i];
		listeners[i] = (struct worker_listener){
		        .fd = open_worker_listener(program, i),
		        .transport = &transport_plain,
		        .policy = configured->policy,
		        .learns = learns(&program->config, configured),
		        .browsers = configured->browsers,
		};
		if (listeners[i].fd < 0) {
			return false;
		}
	}
	const int error = worker_new(&program->settings, listeners, count, ret_worker);
	if (error < 0) {
		log_line(LOG_CRIT, "cannot start a worker: %s", strerrordesc_np(-error));
	}
	return error == 0;
}

static bool make_workers(struct program *program)
{
	for (unsigned i = 0; i < program->config.listener_count; i++) {
		program->unix_listeners[i] = -1;
	}
	program->worker_count = count_workers(&program->config);
	for (unsigned i = 0; i < program->worker_count; i++) {
		if (!make_worker(program, &program->workers[i])) {
			return false;
		}
	}
	for (unsigned i = 0; i < program->config.listener_count; i++) {
		if (program->unix_listeners[i] >= 0) {
			(void)close(program->unix_listeners[i]);
		}
	}
	return true;
}

/* ── Running ─────────────────────────────────────────────────────────────── */

static void *work(void *argument)
{
	const int error = worker_run(argument);

	if (error < 0) {
		log_line(LOG_CRIT, "a worker failed: %s", strerrordesc_np(-error));
		_exit(EXIT_FAILURE);
	}
	return NULL;
}

/*
 * The first worker runs in the main thread: where it is the only one, there is
 * one thread, and then libc and kernel leave the locks of every call out.
 */
static bool start_threads(struct program *program)
{
	for (unsigned i = 1; i < program->worker_count; i++) {
		const int error =
		        pthread_create(&program->threads[i], NULL, work, program->workers[i]);
		if (error != 0) {
			log_line(LOG_CRIT, "cannot start a thread: %s", strerrordesc_np(error));
			return false;
		}
	}
	return true;
}

/* Before anyone can connect, and before threads, which inherit it. */
static void block_signals(sigset_t *stop_signals)
{
	/* A shell ignores SIGINT in what it puts in the background: the second would be lost. */
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(stop_signals);
	(void)sigaddset(stop_signals, SIGTERM);
	(void)sigaddset(stop_signals, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, stop_signals, NULL);
}

/* While they still listen: later, a file of that name may be a successor's. */
static void remove_sockets(const struct config *config)
{
	for (unsigned i = 0; i < config->listener_count; i++) {
		const char *path = address_path(config->listeners[i].address);
		if (path != NULL) {
			(void)unlink(path); /* the folder may be closed to us now */
		}
	}
}

/* In the loop of the first worker. A second signal ends the program at once. */
static void signal_came(struct watch *watch, uint32_t events)
{
	struct program *program = CONTAINER_OF(watch, struct program, signal_watch);
	struct signalfd_siginfo signal = {0};

	(void)events;
	if (read(watch->fd, &signal, sizeof(signal)) != sizeof(signal)) {
		return;
	}
	loop_remove(worker_loop(program->workers[0]), watch);
	log_line(LOG_NOTICE, "%s: stopping, streams may go on for %u s",
	        signal.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT", program->config.shutdown_grace);
	(void)pthread_sigmask(SIG_UNBLOCK, &program->stop_signals, NULL);
	remove_sockets(&program->config);
	for (unsigned i = 0; i < program->worker_count; i++) {
		worker_stop(program->workers[i]);
	}
}

static bool watch_signals(struct program *program)
{
	program->signal_watch = (struct watch){
	        .fd = signalfd(-1, &program->stop_signals, SFD_NONBLOCK | SFD_CLOEXEC),
	        .ready = signal_came,
	};
	if (program->signal_watch.fd >= 0 &&
	        loop_add(worker_loop(program->workers[0]), &program->signal_watch, EPOLLIN) == 0) {
		return true;
	}
	log_line(LOG_CRIT, "cannot wait for signals: %s", strerrordesc_np(errno));
	return false;
}

static void serve(struct program *program)
{
	(void)work(program->workers[0]);
	for (unsigned i = 1; i < program->worker_count; i++) {
		(void)pthread_join(program->threads[i], NULL);
	}
	for (unsigned i = 0; i < program->worker_count; i++) {
		worker_free(program->workers[i]);
	}
	denials_finish(&program->denials);
	log_line(LOG_NOTICE, "stopped");
}

/* Which policy holds where, and what is dangerous about it. */
static void announce_policy(const struct config_listener *listener)
{
	const char *name = policy_name(listener->policy);

	if (strcmp(name, "open") == 0) {
		log_line(LOG_WARNING,
		        "%s: policy 'open': everyone who reaches it may do everything: access to "
		        "the Engine is root on the host",
		        listener->address);
	} else if (strcmp(name, "deny") == 0) {
		log_line(LOG_WARNING,
		        "%s: no policy is given, so that everything is denied; give the listener a "
		        "'policy', or --policy NAME",
		        listener->address);
	} else {
		log_line(policy_observes(listener->policy) ? LOG_WARNING : LOG_NOTICE,
		        "%s: policy '%s'%s", listener->address, name,
		        policy_observes(listener->policy)
		                ? ", mode observe: what it denies is let through and recorded"
		                : "");
	}
	if (listener->browsers) {
		log_line(LOG_WARNING,
		        "%s: browsers: true: pages of any site can make requests in the name of "
		        "whoever opens them",
		        listener->address);
	}
}

static void announce(const struct program *program)
{
	for (unsigned i = 0; i < program->config.listener_count; i++) {
		const struct config_listener *listener = &program->config.listeners[i];
		log_line(LOG_NOTICE,
		        "docker-socket-proxy " VERSION
		        ": listening on %s, forwarding to unix://%s, %u worker%s",
		        listener->address, program->config.socket_path, program->worker_count,
		        program->worker_count == 1 ? "" : "s");
		announce_policy(listener);
	}
	if (program->config.verb == CONFIG_LEARN) {
		log_line(LOG_NOTICE, "learning: everything is allowed, whatever policy is given; "
		                     "SIGINT (Ctrl-C) or SIGTERM ends it and prints the policy");
	}
	if (program->config.api_key != NULL) {
		log_line(LOG_NOTICE, "API_KEY is added to forwarded requests as x-api-key; it does "
		                     "not authenticate clients");
	}
}

static bool somebody_learns(const struct config *config)
{
	for (unsigned i = 0; i < config->listener_count; i++) {
		if (learns(config, &config->listeners[i])) {
			return true;
		}
	}
	return false;
}

static void print_learned(const struct program *program)
{
	const struct config *config = &program->config;
	struct learn_listener listeners[CONFIG_LISTENERS_MAX];
	unsigned count = 0;

	if (program->settings.learn == NULL) {
		return;
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		if (learns(config, listener)) {
			listeners[count++] =
			        (struct learn_listener){listener->address, listener->mode};
		}
	}
	const struct learn_setting setting = {
	        .listeners = listeners,
	        .listener_count = count,
	        .other_count = config->listener_count - count,
	        .socket_path = config->socket_path,
	};
	learn_print(program->settings.learn, &setting, config->policies, stdout);
	learn_free(program->settings.learn);
}

static int run(struct program *program)
{
	const struct config *config = &program->config;

	program->settings = (struct worker_settings){
	        .engine_transport = &transport_plain,
	        .engine = address_of_path(slice_of(config->socket_path)),
	        .api_key = config->api_key,
	        .max_connections = count_connections(config),
	        .max_head = config->max_head,
	        .head_timeout = config->head_timeout,
	        .shutdown_grace = config->shutdown_grace,
	        .connections = &program->connections,
	        .denials = &program->denials,
	};
	/*
	 * Said explicitly, it stays: of itself libc raises it at the first free(), and what large
	 * buffers leave in the heap between others is never given back. There is one thread yet.
	 */
	(void)mallopt(M_MMAP_THRESHOLD, HEAP_OBJECT_MAX); /* NOLINT(concurrency-mt-unsafe) */
	block_signals(&program->stop_signals);
	denials_init(&program->denials);
	if (somebody_learns(config)) {
		program->settings.learn = learn_new();
		if (program->settings.learn == NULL) {
			log_line(LOG_CRIT, "cannot learn: out of memory");
			return EXIT_FAILURE;
		}
	}
	if (!ports_are_free(program) || !make_workers(program) || !watch_signals(program) ||
	        sandbox_enter(config->socket_path) < 0 || !start_threads(program)) {
		return EXIT_FAILURE;
	}
	announce(program);
	serve(program);
	print_learned(program);
	return EXIT_SUCCESS;
}

static int convert(const struct config *config)
{
	char error[FAULT_MAX];
	const enum convert_source source = convert_find_source(slice_of(config->source));

	if (source == CONVERT_SOURCE_COUNT) {
		(void)fprintf(stderr,
		        "docker-socket-proxy: --from: '%s' is not accepted: give " CONFIG_SOURCES
		        "\n",
		        text_show(slice_of(config->source)).text);
		return EXIT_USAGE;
	}
	if (convert_run(source, config->source_file, stdout, stderr, error) < 0) {
		(void)fprintf(stderr, "docker-socket-proxy: %s\n", error);
		return EXIT_USAGE;
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Closed by the parent, they would be opened next for a connection, which would get the log. */
static bool keep_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) != fd) {
			return false;
		}
	}
	return true;
}

int main(int argc, char *argv[])
{
	static struct program program;
	char error[FAULT_MAX];

	if (!keep_standard_streams()) {
		return EXIT_FAILURE;
	}
	if (config_read(argc, argv, &program.config, error) < 0) {
		(void)fprintf(stderr, "docker-socket-proxy: %s\n", error);
		return EXIT_USAGE;
	}
	log_setup(program.config.log_level, program.config.log_format);
	if (program.config.warning[0] != '\0' && program.config.verb != CONFIG_HEALTHCHECK) {
		log_line(LOG_WARNING, "%s", program.config.warning);
	}
	switch (program.config.verb) {
	case CONFIG_HELP:
		config_print_help();
		return EXIT_SUCCESS;
	case CONFIG_VERSION:
		(void)puts("docker-socket-proxy " VERSION);
		return EXIT_SUCCESS;
	case CONFIG_HEALTHCHECK:
		return health_check(program.config.health_address != NULL
		                            ? program.config.health_address
		                            : program.config.listeners[0].address);
	case CONFIG_CHECK:
		return explain_configuration(&program.config);
	case CONFIG_EXPLAIN:
		return explain_request(&program.config);
	case CONFIG_CONVERT:
		return convert(&program.config);
	case CONFIG_LEARN:
	case CONFIG_RUN:
		return run(&program);
	}
	return EXIT_FAILURE;
}
