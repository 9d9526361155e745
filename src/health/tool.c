/* SPDX-License-Identifier: MIT */
#include "health/tool.h"

#include "base/clock.h"
#include "health/client.h"
#include "health/target.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

enum {
	TIMEOUT_S = 30,    /* what the Engine gives a check that says nothing else */
	ADDRESS_MAX = 300, /* bytes of tcp://HOST:PORT */
	REQUEST_MAX = 2560,
	HOST_NAME_LEN = 64,
};

/* What is asked, and what counts as an answer. */
struct probe {
	const char *tool;
	const char *url; /* as given; of nc HOST */
	struct slice host;
	struct slice port;
	struct slice path;
	const char *method;
	const char *wanted; /* in the body; NULL: anything */
	unsigned timeout_s;
	bool any_status;   /* an answer will do, whatever its status */
	bool connect_only; /* nothing is sent: nc */
	bool zero_io;      /* -z of nc was given */
	bool print;        /* the body, to standard output */
};

/* ── Options ─────────────────────────────────────────────────────────────── */

/* What an option means here. Those that only change how a download looks or is tried again mean
 * nothing. */
enum {
	NOTHING = 1000,
	OUTPUT,
	TIMEOUT,
	SPIDER,
	FAIL,
	METHOD,
	HEAD,
	ZERO_IO,
};

/* A letter stands for what its row says. */
struct letter {
	char letter;
	int meaning;
};

struct tool {
	const char *name;
	const char *options; /* for getopt: letters, ':' behind those that have a value */
	const struct letter *letters;
	const struct option *words;
	/* How it asks where no option says otherwise. */
	struct probe preset;
};

static const struct letter wget_letters[] = {{'O', OUTPUT}, {'T', TIMEOUT}, {'\0', NOTHING}};
static const struct option wget_words[] = {
        {"output-document", required_argument, NULL, OUTPUT},
        {"timeout", required_argument, NULL, TIMEOUT},
        {"connect-timeout", required_argument, NULL, TIMEOUT},
        {"read-timeout", required_argument, NULL, TIMEOUT},
        {"spider", no_argument, NULL, SPIDER},
        {"quiet", no_argument, NULL, NOTHING},
        {"no-verbose", no_argument, NULL, NOTHING},
        {"server-response", no_argument, NULL, NOTHING},
        {"no-check-certificate", no_argument, NULL, NOTHING},
        {"no-cache", no_argument, NULL, NOTHING},
        {"no-proxy", no_argument, NULL, NOTHING},
        {"tries", required_argument, NULL, NOTHING},
        {"proxy", required_argument, NULL, NOTHING},
        {NULL, 0, NULL, 0},
};

static const struct letter curl_letters[] = {
        {'o', OUTPUT}, {'m', TIMEOUT}, {'f', FAIL}, {'X', METHOD}, {'I', HEAD}, {'\0', NOTHING}};
static const struct option curl_words[] = {
        {"output", required_argument, NULL, OUTPUT},
        {"max-time", required_argument, NULL, TIMEOUT},
        {"connect-timeout", required_argument, NULL, TIMEOUT},
        {"fail", no_argument, NULL, FAIL},
        {"fail-with-body", no_argument, NULL, FAIL},
        {"request", required_argument, NULL, METHOD},
        {"head", no_argument, NULL, HEAD},
        {"silent", no_argument, NULL, NOTHING},
        {"show-error", no_argument, NULL, NOTHING},
        {"no-progress-meter", no_argument, NULL, NOTHING},
        {"location", no_argument, NULL, NOTHING},
        {"insecure", no_argument, NULL, NOTHING},
        {"ipv4", no_argument, NULL, NOTHING},
        {"retry", required_argument, NULL, NOTHING},
        {NULL, 0, NULL, 0},
};

static const struct letter nc_letters[] = {{'z', ZERO_IO}, {'w', TIMEOUT}, {'\0', NOTHING}};
static const struct option nc_words[] = {{NULL, 0, NULL, 0}};

static const struct tool tools[] = {
        {"wget", "qSnvcO:T:t:Y:", wget_letters, wget_words, {.method = "GET"}},
        {"curl", "fsSLkv46gNo:m:X:I", curl_letters, curl_words,
                {.method = "GET", .any_status = true, .print = true}},
        {"nc", "zvn46w:", nc_letters, nc_words, {.connect_only = true}},
};

static const struct tool *find_tool(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(tools); i++) {
		if (strcmp(tools[i].name, name) == 0) {
			return &tools[i];
		}
	}
	return NULL;
}

static bool complain(const struct probe *probe, const char *what, const char *why)
{
	(void)fprintf(stderr, "%s: %s: %s\n", probe->tool, what, why);
	return false;
}

static bool take_option(struct probe *probe, int meaning, const char *value)
{
	uint64_t seconds = 0;

	switch (meaning) {
	case OUTPUT:
		probe->print = strcmp(value, "-") == 0;
		return probe->print || strcmp(value, "/dev/null") == 0 ||
		       complain(probe, value,
		               "this image's tools write no files; give - or /dev/null");
	case TIMEOUT:
		if (slice_to_u64(slice_of(value), UINT16_MAX, &seconds) < 0 || seconds == 0) {
			return complain(probe, value, "give a whole number of seconds");
		}
		probe->timeout_s = (unsigned)seconds;
		return true;
	case SPIDER:
		probe->print = false;
		return true;
	case FAIL:
		probe->any_status = false;
		return true;
	case HEAD:
		probe->method = "HEAD";
		return true;
	case METHOD:
		probe->method = value;
		return strcmp(value, "GET") == 0 || strcmp(value, "HEAD") == 0 ||
		       complain(probe, value, "a health check has the method GET or HEAD");
	case ZERO_IO:
		probe->zero_io = true;
		return true;
	case NOTHING:
		return true;
	default:
		return false; /* getopt has said why */
	}
}

static int meaning_of(const struct tool *tool, int option)
{
	const struct letter *row = tool->letters;

	if (option >= NOTHING || option == '?') {
		return option;
	}
	while (row->letter != '\0' && row->letter != option) {
		row++;
	}
	return row->meaning;
}

/* ── Where ───────────────────────────────────────────────────────────────── */

/* http://HOST:PORT/PATH; curl and wget take it without the scheme as well. */
static bool take_url(struct probe *probe, const char *url)
{
	struct slice rest = slice_of(url);

	probe->url = url;
	(void)slice_skip(&rest, SLICE("http://"));
	const char *slash = memchr(rest.ptr, '/', rest.len);
	const size_t authority_len = slash == NULL ? rest.len : (size_t)(slash - rest.ptr);
	struct slice authority = {rest.ptr, authority_len};

	probe->path = slash == NULL ? SLICE("/") : slice_behind(rest, authority_len);
	for (const char *c = url; *c != '\0'; c++) {
		if (*c <= ' ' || *c >= 0x7f || *c == '@' || *c == '#') {
			return complain(probe, url, "give http://HOST:PORT/PATH");
		}
	}
	const char *colon = memrchr(authority.ptr, ':', authority.len);
	if (colon == NULL || authority.ptr[authority.len - 1] == ']') {
		probe->host = authority;
		probe->port = SLICE("80");
		return true;
	}
	probe->host = slice_between(authority.ptr, colon);
	probe->port = slice_between(colon + 1, authority.ptr + authority.len);
	return true;
}

static bool take_operands(struct probe *probe, int count, char *operands[])
{
	if (!probe->connect_only) {
		return count == 1 ? take_url(probe, operands[0])
		                  : complain(probe, "http://HOST:PORT/PATH", "give one URL");
	}
	if (count != 2) {
		return complain(probe, "-z HOST PORT", "give a host and a port");
	}
	probe->url = operands[0];
	probe->host = slice_of(operands[0]);
	probe->port = slice_of(operands[1]);
	return true;
}

/* The name of this container, which its Engine chose or compose's `hostname`. */
static bool is_host_name(struct slice host)
{
	char name[HOST_NAME_LEN + 1] = "";

	return gethostname(name, HOST_NAME_LEN) == 0 && slice_equal_nocase(host, slice_of(name));
}

static struct targets find_targets(const struct probe *probe)
{
	const struct slice host = is_host_name(probe->host) ? SLICE("localhost") : probe->host;
	const bool bare_ip6 =
	        host.len > 0 && host.ptr[0] != '[' && memchr(host.ptr, ':', host.len) != NULL;
	char memory[ADDRESS_MAX];
	struct text address = text_over(memory, sizeof(memory));

	text_add_format(&address, bare_ip6 ? "tcp://[%.*s]:%.*s" : "tcp://%.*s:%.*s",
	        SLICE_FMT(host), SLICE_FMT(probe->port));
	if (host.len == 0 || address.overflow) {
		return (struct targets){.count = 0};
	}
	return targets_of(text_slice(&address));
}

static bool find_own(const struct probe *probe, struct targets *ret_own)
{
	struct arena arena = {.chunks = NULL};
	struct config config = {.listener_count = 0};
	char error[FAULT_MAX] = "";
	const struct targets targets = find_targets(probe);

	if (config_of_server(&arena, &config, error) == 0) {
		*ret_own = targets_own(&targets, &config);
	}
	if (error[0] != '\0') {
		(void)complain(probe, probe->url, error);
	} else if (ret_own->count == 0) {
		(void)fprintf(stderr,
		        "%s: %s port %.*s: not asked: the proxy listens on %s%s, and this image's "
		        "tools ask nobody else\n",
		        probe->tool, probe->url, SLICE_FMT(probe->port),
		        config.listeners[0].address,
		        config.listener_count > 1 ? " and others" : "");
	}
	config_free(&config);
	arena_free(&arena);
	return ret_own->count > 0;
}

/* ── Asking ──────────────────────────────────────────────────────────────── */

static bool write_out(struct slice bytes)
{
	return fwrite(bytes.ptr, 1, bytes.len, stdout) == bytes.len;
}

/* What has come of the body, and what still comes. */
static int print_body(int fd, const struct client_answer *answer, int64_t deadline)
{
	char memory[CLIENT_ANSWER_MAX];
	ssize_t n = 0;

	if (!write_out(client_body(answer))) {
		return 1;
	}
	while ((n = client_read(fd, memory, sizeof(memory), deadline)) > 0) {
		if (!write_out((struct slice){memory, (size_t)n})) {
			return 1;
		}
	}
	return n == 0 && fflush(stdout) == 0 ? 0 : 1;
}

static bool contains(struct slice body, const char *wanted)
{
	return memmem(body.ptr, body.len, wanted, strlen(wanted)) != NULL;
}

static int judge(
        const struct probe *probe, int fd, const struct client_answer *answer, int64_t deadline)
{
	if (answer->status == 0) {
		(void)complain(probe, probe->url, "the answer is not HTTP");
		return 1;
	}
	if (!probe->any_status && answer->status >= 400) {
		client_print_refusal(probe->tool, probe->url, answer);
		return 1;
	}
	if (probe->wanted != NULL) {
		return contains(client_body(answer), probe->wanted) ? 0 : 1;
	}
	return probe->print ? print_body(fd, answer, deadline) : 0;
}

static int ask(const struct probe *probe, int fd, int64_t deadline)
{
	char memory[REQUEST_MAX];
	struct text request = text_over(memory, sizeof(memory));
	struct client_answer answer;

	/* An HTTP/1.0 client is sent no chunks. */
	text_add_format(&request, "%s %.*s HTTP/1.0\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
	        probe->method, SLICE_FMT(probe->path));
	if (request.overflow) {
		(void)complain(probe, probe->url, "the URL is too long");
		return 1;
	}
	const int r = client_ask(fd, text_slice(&request),
	        probe->wanted != NULL ? CLIENT_ALL : CLIENT_HEAD, &answer, deadline);
	if (r < 0) {
		(void)complain(probe, probe->url, strerrordesc_np(-r));
		return 1;
	}
	return judge(probe, fd, &answer, deadline);
}

static int run(const struct probe *probe)
{
	const int64_t deadline = clock_monotonic_ns() + probe->timeout_s * NS_PER_S;
	struct targets own = {.count = 0};

	if (!find_own(probe, &own)) {
		return 1;
	}
	const int fd = client_connect(own.addresses, own.count, deadline);
	if (fd < 0) {
		(void)complain(probe, probe->url, strerrordesc_np(-fd));
		return 1;
	}
	const int code = probe->connect_only ? 0 : ask(probe, fd, deadline);
	(void)close(fd);
	return code;
}

/* ── From outside ────────────────────────────────────────────────────────── */

const char *tool_name(const char *program)
{
	const char *slash = strrchr(program, '/');

	return slash == NULL ? program : slash + 1;
}

bool tool_exists(const char *name)
{
	return find_tool(name) != NULL;
}

int tool_run(int argc, char *argv[], const char *wanted)
{
	const struct tool *tool = find_tool(tool_name(argv[0]));
	ASSERT(tool != NULL);
	struct probe probe = tool->preset;
	int option = 0;

	probe.tool = tool->name;
	probe.wanted = wanted;
	probe.timeout_s = TIMEOUT_S;
	/* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while ((option = getopt_long(argc, argv, tool->options, tool->words, NULL)) != -1) {
		if (!take_option(&probe, meaning_of(tool, option), optarg)) {
			return 1;
		}
	}
	if (probe.connect_only && !probe.zero_io) {
		(void)complain(&probe, "-z",
		        "this nc only tells whether a port is open; give -z HOST PORT");
		return 1;
	}
	return take_operands(&probe, argc - optind, argv + optind) ? run(&probe) : 1;
}
