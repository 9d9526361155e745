/* SPDX-License-Identifier: MIT */
/*
 * The load generator: a docker client without the client. It sends the heads that docker 28 sends
 * over TCP, on a fixed number of connections that stay open, as many requests as it is told and
 * no longer than it is told, and decodes every response: one that has another status, another
 * length or a broken framing is an error, never a fast success.
 *
 *   load http PORT METHOD PATH [options]   measure; one line of JSON on stdout
 *   load hold PORT METHOD PATH [options]   open connections, one request on each, and hold them
 *   load start PORT METHOD PATH --log FILE [--cpu N] -- PROGRAM ARGUMENT...
 *                                          from exec to the first response, in ms
 *
 * `http` and `hold` say "ready" once they are warmed up or connected, and go on when a line
 * arrives on stdin: whoever reads the CPU clock of the proxy does it in between.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS       256
#define HEAD_CEILING 16384

struct options {
	uint16_t port;
	const char *method;
	const char *path;
	uint64_t connections;
	uint64_t in_flight; /* requests at the same time; 0: one per connection */
	uint64_t requests;
	uint64_t warm_up;
	uint64_t seconds;
	uint64_t upload;
	uint64_t expect; /* bytes of body in a response; 0: any */
	uint64_t cpu;
	uint64_t receive_buffer; /* SO_RCVBUF; 0: as the kernel tunes it */
	bool upload_chunked;
	bool check;
	bool silent;       /* hold: connect only */
	const char *field; /* sent with each request, without its line end; NULL: none */
	const char *log;
	char **program;
};

struct connection {
	int fd;
	bool busy;
	bool in_body;
	bool close_after;
	bool no_body; /* response to HEAD */
	uint64_t started;
	struct sending sending;
	struct body body;
	char *head; /* a head that came in pieces */
	size_t head_length;
	char text[128]; /* the start of the response to an upload */
	size_t text_length;
	struct connection *next_idle;
};

static struct options options = {
        .connections = 1, .requests = 1, .seconds = 60, .cpu = UINT64_MAX, .warm_up = 0};
static struct message request;
static struct connection *connections;
static struct connection *idle_first;
static struct connection *idle_last;
static char scratch[SCRATCH_SIZE];
static int poller;

static uint64_t issued;
static uint64_t completed;
static uint64_t errors;
static uint64_t reconnects;
static uint64_t body_bytes;
static uint64_t quota;
static uint32_t *latencies; /* ns/16, so that four bytes hold a minute */

/* ---- What is sent. ---- */

/* Field by field what docker 28 sends to tcp://, in its order. */
static void request_make(void)
{
	char framing[128] = "";
	char *head;
	int made;

	if (options.upload > 0 && options.upload_chunked) {
		snprintf(framing, sizeof(framing),
		        "Transfer-Encoding: chunked\r\nContent-Type: application/x-tar\r\n");
	} else if (options.upload > 0) {
		snprintf(framing, sizeof(framing),
		        "Content-Length: %llu\r\nContent-Type: application/x-tar\r\n",
		        (unsigned long long)options.upload);
	}
	made = asprintf(&head,
	        "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
	        "User-Agent: Docker-Client/28.2.2 (linux)\r\n%s%s%sAccept-Encoding: gzip\r\n\r\n",
	        options.method, options.path, (unsigned)options.port, framing,
	        options.field == NULL ? "" : options.field, options.field == NULL ? "" : "\r\n");
	if (made < 0) {
		die("asprintf");
	}
	request = (struct message){.head = head, .head_length = (size_t)made};
	if (options.upload > 0) {
		request.block = block_make(options.upload_chunked, &request.block_length);
		request.blocks = options.upload / BLOCK_BODY;
		request.tail = "0\r\n\r\n";
		request.tail_length = options.upload_chunked ? 5 : 0;
	}
}

/* ---- Connections. ---- */

static int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	        .sin_port = htons(options.port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int receive_buffer = (int)options.receive_buffer;
	int one = 1;

	if (fd < 0) {
		die("socket");
	}
	if (receive_buffer > 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
	}
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void connection_open(struct connection *connection)
{
	struct epoll_event event = {
	        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection};

	connection->fd = dial();
	if (connection->fd < 0) {
		die("connect");
	}
	epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event);
}

static void connection_idle(struct connection *connection)
{
	connection->busy = false;
	connection->next_idle = NULL;
	if (idle_first == NULL) {
		idle_first = connection;
	} else {
		idle_last->next_idle = connection;
	}
	idle_last = connection;
}

static void connection_send(struct connection *connection)
{
	/* A failed send() is not yet an error: an early response may be waiting to be read. */
	if (connection->sending.left > 0 &&
	        sending_go_on(&connection->sending, connection->fd) == SENT_FAILED) {
		connection->sending.left = 0;
	}
}

static void requests_start(void)
{
	uint64_t most = options.in_flight > 0 ? options.in_flight : options.connections;

	while (idle_first != NULL && issued < quota && issued - completed < most) {
		struct connection *connection = idle_first;

		idle_first = connection->next_idle;
		issued++;
		connection->busy = true;
		connection->in_body = false;
		connection->head_length = 0;
		connection->text_length = 0;
		connection->no_body = strcmp(options.method, "HEAD") == 0;
		connection->started = now_ns();
		sending_start(&connection->sending, &request);
		connection_send(connection);
	}
}

/* ---- Responses. ---- */

static void connection_again(struct connection *connection)
{
	close(connection->fd);
	reconnects++;
	connection_open(connection);
}

static void response_failed(struct connection *connection, const char *why)
{
	if (errors++ == 0) {
		fprintf(stderr, "load: %s %s: %s\n", options.method, options.path, why);
	}
	completed++;
	connection->sending.left = 0;
	connection_again(connection);
	connection_idle(connection);
}

/* The stand-in Engine says how much it swallowed. */
static bool upload_confirmed(const struct connection *connection)
{
	char expected[96];
	int length = snprintf(expected, sizeof(expected), "{\"bytes\":%llu,\"broken\":false}\n",
	        (unsigned long long)options.upload);

	return connection->text_length == (size_t)length &&
	       memcmp(connection->text, expected, (size_t)length) == 0;
}

static void response_done(struct connection *connection)
{
	if (options.upload > 0 && !upload_confirmed(connection)) {
		response_failed(connection, "the Engine did not get the body that was sent");
		return;
	}
	if (options.expect > 0 && connection->body.read != options.expect) {
		response_failed(connection, "the body has another length");
		return;
	}
	if (completed < options.requests) {
		latencies[completed] = (uint32_t)((now_ns() - connection->started) / 16);
	}
	completed++;
	body_bytes += connection->body.read;
	if (connection->close_after) {
		connection_again(connection);
	}
	connection_idle(connection);
}

static size_t response_begin(struct connection *connection, const char *data, size_t length)
{
	size_t used = head_length(data, length);
	struct framing framing;

	if (used == 0) {
		return 0;
	}
	if (strncmp(data, "HTTP/1.1 200 ", 13) != 0) {
		char line[64];

		snprintf(line, sizeof(line), "the response is \"%.*s\"", (int)strcspn(data, "\r"),
		        data);
		response_failed(connection, line);
		return used;
	}
	framing = head_framing(data, used);
	if (!framing.chunked && !framing.has_length && !connection->no_body) {
		response_failed(connection, "a response without a length");
		return used;
	}
	connection->close_after = framing.close;
	connection->in_body = true;
	body_start(&connection->body, framing.chunked && !connection->no_body,
	        connection->no_body ? 0 : framing.length, options.check && options.upload == 0);
	return used;
}

static size_t response_body(struct connection *connection, const char *data, size_t length)
{
	size_t used = body_feed(&connection->body, data, length);

	if (options.upload > 0) {
		size_t room = sizeof(connection->text) - connection->text_length;
		size_t part = used < room ? used : room;

		memcpy(connection->text + connection->text_length, data, part);
		connection->text_length += part;
	}
	return used;
}

static void head_hold(struct connection *connection, const char *data, size_t length)
{
	if (length > HEAD_CEILING) {
		response_failed(connection, "a response whose head does not end");
		return;
	}
	if (connection->head == NULL) {
		connection->head = must_alloc(HEAD_CEILING);
	}
	memmove(connection->head, data, length);
	connection->head_length = length;
}

static void response_feed(struct connection *connection, const char *data, size_t length)
{
	while (connection->busy) {
		size_t used = connection->in_body ? response_body(connection, data, length)
		                                  : response_begin(connection, data, length);

		if (!connection->busy) {
			return;
		}
		if (!connection->in_body) {
			head_hold(connection, data, length);
			return;
		}
		data += used;
		length -= used;
		if (connection->body.broken) {
			response_failed(connection, "the body is broken");
		} else if (connection->body.state == BODY_DONE) {
			if (length > 0) {
				response_failed(connection, "bytes after the response");
			} else {
				response_done(connection);
			}
		} else if (length == 0) {
			return;
		}
	}
}

static void connection_read(struct connection *connection, bool ended)
{
	while (connection->busy) {
		size_t held = connection->in_body ? 0 : connection->head_length;
		ssize_t got = recv(connection->fd, scratch + held, sizeof(scratch) - held, 0);

		if (got < 0 && errno == EAGAIN) {
			return;
		}
		if (got <= 0) {
			response_failed(connection, "closed before the response was complete");
			return;
		}
		if (held > 0) {
			memcpy(scratch, connection->head, held);
			connection->head_length = 0;
		}
		response_feed(connection, scratch, (size_t)got + held);
		if ((size_t)got < sizeof(scratch) - held && !ended) {
			return;
		}
	}
}

static void connection_event(struct connection *connection, uint32_t events)
{
	if (!connection->busy) {
		/* An idle connection that the proxy gave up. */
		if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
			connection_again(connection);
		}
		return;
	}
	if (events & EPOLLOUT) {
		connection_send(connection);
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		connection_read(connection, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
	}
}

/* ---- Phases. ---- */

static void phase_run(uint64_t count)
{
	uint64_t allowed = options.seconds * 1000000000u;
	uint64_t began = now_ns();

	issued = 0;
	completed = 0;
	body_bytes = 0;
	quota = count;
	requests_start();
	while (completed < issued) {
		struct epoll_event events[EVENTS];
		int ready = epoll_wait(poller, events, EVENTS, 1000);

		for (int i = 0; i < ready; i++) {
			connection_event(events[i].data.ptr, events[i].events);
		}
		if (now_ns() - began > allowed) {
			quota = issued;
		}
		if (now_ns() - began > 2 * allowed) {
			fprintf(stderr, "load: out of time after %llu of %llu requests\n",
			        (unsigned long long)completed, (unsigned long long)count);
			errors += issued - completed;
			return;
		}
		requests_start();
	}
}

static void connections_open(void)
{
	connections = must_alloc(options.connections * sizeof(*connections));
	for (uint64_t i = 0; i < options.connections; i++) {
		connection_open(&connections[i]);
		connection_idle(&connections[i]);
	}
}

static void wait_for_word(void)
{
	char word[16];

	printf("ready\n");
	fflush(stdout);
	if (read(STDIN_FILENO, word, sizeof(word)) <= 0) {
		exit(1);
	}
}

static int latency_compare(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left;
	uint32_t b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

static double latency_us(uint64_t count, double share)
{
	uint64_t index = (uint64_t)((double)count * share);

	return count == 0 ? 0 : latencies[index < count ? index : count - 1] * 16 / 1000.0;
}

static int http_run(void)
{
	uint64_t started;
	double seconds;

	connections_open();
	phase_run(options.warm_up);
	wait_for_word();
	started = now_ns();
	phase_run(options.requests);
	seconds = (double)(now_ns() - started) / 1e9;
	qsort(latencies, completed, sizeof(*latencies), latency_compare);
	printf("{\"requests\":%llu,\"seconds\":%.6f,\"errors\":%llu,\"reconnects\":%llu,"
	       "\"bytes\":%llu,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
	        (unsigned long long)completed, seconds, (unsigned long long)errors,
	        (unsigned long long)reconnects,
	        (unsigned long long)(options.upload > 0 ? options.upload * completed : body_bytes),
	        latency_us(completed, 0.50), latency_us(completed, 0.99));
	return errors > 0;
}

static int hold_run(void)
{
	connections_open();
	if (!options.silent) {
		phase_run(options.connections);
	}
	wait_for_word();
	printf("{\"connections\":%llu,\"errors\":%llu,\"reconnects\":%llu}\n",
	        (unsigned long long)options.connections, (unsigned long long)errors,
	        (unsigned long long)reconnects);
	return errors > 0;
}

/* ---- From exec to the first response. ---- */

static pid_t program_start(void)
{
	int log = open(options.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	pid_t child;

	if (log < 0) {
		die(options.log);
	}
	child = vfork();
	if (child == 0) {
		if (options.cpu != UINT64_MAX) {
			cpu_set_t cpus;

			CPU_ZERO(&cpus);
			CPU_SET((int)options.cpu, &cpus);
			sched_setaffinity(0, sizeof(cpus), &cpus);
		}
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		execvp(options.program[0], options.program);
		_exit(127);
	}
	close(log);
	return child;
}

static bool first_response(pid_t child)
{
	struct timespec pause = {.tv_nsec = 50000};
	size_t length = 0;
	ssize_t got;
	int fd;

	while ((fd = dial()) < 0) {
		if (waitpid(child, NULL, WNOHANG) != 0) {
			return false;
		}
		nanosleep(&pause, NULL);
	}
	fcntl(fd, F_SETFL, 0);
	if (send(fd, request.head, request.head_length, MSG_NOSIGNAL) < 0) {
		return false;
	}
	while (head_length(scratch, length) == 0) {
		got = recv(fd, scratch + length, sizeof(scratch) - length, 0);
		if (got <= 0) {
			return false;
		}
		length += (size_t)got;
	}
	close(fd);
	return strncmp(scratch, "HTTP/1.1 200 ", 13) == 0;
}

static int start_run(void)
{
	uint64_t started = now_ns();
	pid_t child = program_start();
	bool responded = first_response(child);
	double ms = (double)(now_ns() - started) / 1e6;

	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
	if (!responded) {
		fprintf(stderr, "load: no response, see %s\n", options.log);
		return 1;
	}
	printf("{\"ms\":%.3f}\n", ms);
	return 0;
}

/* ---- Options. ---- */

static bool option_number(const char *name, const char *value)
{
	static const struct {
		const char *name;
		uint64_t *target;
	} numbers[] = {
	        {"--connections", &options.connections},
	        {"--in-flight", &options.in_flight},
	        {"--requests", &options.requests},
	        {"--warm-up", &options.warm_up},
	        {"--seconds", &options.seconds},
	        {"--upload", &options.upload},
	        {"--expect", &options.expect},
	        {"--cpu", &options.cpu},
	        {"--receive-buffer", &options.receive_buffer},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (strcmp(name, numbers[i].name) == 0 && value != NULL) {
			*numbers[i].target = parse_number(name, value);
			return true;
		}
	}
	return false;
}

static bool option_flag(const char *name)
{
	options.upload_chunked |= strcmp(name, "--chunked") == 0;
	options.check |= strcmp(name, "--check") == 0;
	options.silent |= strcmp(name, "--silent") == 0;
	return strcmp(name, "--chunked") == 0 || strcmp(name, "--check") == 0 ||
	       strcmp(name, "--silent") == 0;
}

static void options_read(int argc, char **argv)
{
	options.port = (uint16_t)parse_number("PORT", argv[2]);
	options.method = argv[3];
	options.path = argv[4];
	for (int i = 5; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			options.program = argv + i + 1;
			return;
		}
		if (strcmp(argv[i], "--log") == 0 && i + 1 < argc) {
			options.log = argv[++i];
		} else if (strcmp(argv[i], "--field") == 0 && i + 1 < argc) {
			options.field = argv[++i];
		} else if (option_number(argv[i], argv[i + 1])) {
			i++;
		} else if (!option_flag(argv[i])) {
			fprintf(stderr, "load: unknown option %s\n", argv[i]);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: load http|hold|start PORT METHOD PATH [OPTION...]\n");
		return 2;
	}
	options_read(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	pattern_init();
	request_make();
	latencies = must_alloc((options.requests + 1) * sizeof(*latencies));
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (strcmp(argv[1], "http") == 0) {
		return http_run();
	}
	if (strcmp(argv[1], "hold") == 0) {
		return hold_run();
	}
	if (strcmp(argv[1], "start") == 0 && options.program != NULL && options.log != NULL) {
		return start_run();
	}
	fprintf(stderr, "load: unknown mode %s\n", argv[1]);
	return 2;
}
