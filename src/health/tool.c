/* SPDX-License-Identifier: MIT */
#include "health/tool.h"

#include "base/text.h"
#include "health/probe.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

enum {
	TIMEOUT_S = 30,   /* what the Engine gives a check that says nothing else */
	NO_STATUS = 1000, /* every status is a good one */
	HOST_NAME_LEN = 64,
};

/* ── Options ─────────────────────────────────────────────────────────────── */

/*
 * An option is known by its letter, which means the same in every tool that has
 * it. Letters that take_option() does not list only change how a transfer looks
 * or is tried again: they are accepted, and mean nothing.
 */
enum {
	SPIDER = 'p',
	NOTHING = 'q',
};

static const struct option words[] = {
        {"output-document", required_argument, NULL, 'O'},
        {"timeout", required_argument, NULL, 'T'},
        {"connect-timeout", required_argument, NULL, 'T'},
        {"read-timeout", required_argument, NULL, 'T'},
        {"spider", no_argument, NULL, SPIDER},
        {"quiet", no_argument, NULL, NOTHING},
        {"no-verbose", no_argument, NULL, NOTHING},
        {"server-response", no_argument, NULL, NOTHING},
        {"no-check-certificate", no_argument, NULL, NOTHING},
        {"no-cache", no_argument, NULL, NOTHING},
        {"no-proxy", no_argument, NULL, NOTHING},
        {"tries", required_argument, NULL, NOTHING},
        {"proxy", required_argument, NULL, NOTHING},
        {"output", required_argument, NULL, 'o'},
        {"max-time", required_argument, NULL, 'm'},
        {"fail", no_argument, NULL, 'f'},
        {"fail-with-body", no_argument, NULL, 'f'},
        {"request", required_argument, NULL, 'X'},
        {"head", no_argument, NULL, 'I'},
        {"silent", no_argument, NULL, NOTHING},
        {"show-error", no_argument, NULL, NOTHING},
        {"no-progress-meter", no_argument, NULL, NOTHING},
        {"location", no_argument, NULL, NOTHING},
        {"insecure", no_argument, NULL, NOTHING},
        {"ipv4", no_argument, NULL, NOTHING},
        {"retry", required_argument, NULL, NOTHING},
        {NULL, 0, NULL, 0},
};

struct tool {
	const char *letters; /* for getopt: ':' behind those that have a value */
	struct probe preset; /* how it asks where no option says otherwise */
};

static const struct tool tools[] = {
        {"qSnvcO:T:t:Y:", {.who = "wget", .method = "GET", .bad_status = 400}},
        {"fsSLkv46gNo:m:X:I",
                {.who = "curl", .method = "GET", .bad_status = NO_STATUS, .print = true}},
        {"zvn46w:", {.who = "nc"}},
};

static bool complain(const struct probe *probe, const char *what, const char *why)
{
	(void)fprintf(stderr, "%s: %s: %s\n", probe->who, what, why);
	return false;
}

static bool take_output(struct probe *probe, const char *file)
{
	probe->print = strcmp(file, "-") == 0;
	return probe->print || strcmp(file, "/dev/null") == 0 ||
	       complain(probe, file, "this image's tools write no files; give - or /dev/null");
}

static bool take_timeout(struct probe *probe, const char *value)
{
	uint64_t seconds = 0;

	if (slice_to_u64(slice_of(value), UINT16_MAX, &seconds) < 0 || seconds == 0) {
		return complain(probe, value, "give a whole number of seconds");
	}
	probe->timeout_s = (unsigned)seconds;
	return true;
}

static bool take_method(struct probe *probe, const char *method)
{
	probe->method = method;
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
	       complain(probe, method, "a health check has the method GET or HEAD");
}

static bool take_option(struct probe *probe, int letter, const char *value)
{
	switch (letter) {
	case 'O':
	case 'o':
		return take_output(probe, value);
	case 'T':
	case 'm':
	case 'w':
		return take_timeout(probe, value);
	case 'X':
		return take_method(probe, value);
	case 'I':
		return take_method(probe, "HEAD");
	case 'f':
		probe->bad_status = 400;
		return true;
	case 'z':
		probe->connect_only = true;
		return true;
	case SPIDER:
		probe->print = false;
		return true;
	default:
		return letter != '?'; /* getopt has said why */
	}
}

/* ── Where ───────────────────────────────────────────────────────────────── */

/* The name of this container, which its Engine chose or compose's `hostname`. */
static bool is_host_name(struct slice host)
{
	char name[HOST_NAME_LEN + 1] = "";

	return gethostname(name, HOST_NAME_LEN) == 0 && slice_equal_nocase(host, slice_of(name));
}

/* tcp://HOST:PORT as text with a NUL. */
static void add_address(struct text *address, struct slice host, struct slice port)
{
	const bool bare_ip6 = memchr(host.ptr, ':', host.len) != NULL && host.ptr[0] != '[';

	host = is_host_name(host) ? SLICE("localhost") : host;
	text_add_format(address, bare_ip6 ? "tcp://[%.*s]:%.*s" : "tcp://%.*s:%.*s",
	        SLICE_FMT(host), SLICE_FMT(port));
	text_add_char(address, '\0');
}

/* http://HOST:PORT/PATH; curl and wget take it without the scheme as well. */
static bool take_url(struct probe *probe, const char *url, struct text *address)
{
	struct slice host = slice_of(url);
	struct slice port = SLICE("80");

	(void)slice_skip(&host, SLICE("http://"));
	const size_t host_len = strcspn(host.ptr, "/");
	probe->path = host_len < host.len ? slice_behind(host, host_len) : SLICE("/");
	host.len = host_len;
	for (const char *c = url; *c != '\0'; c++) {
		if (*c <= ' ' || *c >= 0x7f) {
			return complain(probe, url, "give http://HOST:PORT/PATH");
		}
	}
	const char *colon = memrchr(host.ptr, ':', host.len);
	if (colon != NULL && host.ptr[host.len - 1] != ']') {
		port = slice_between(colon + 1, host.ptr + host.len);
		host = slice_between(host.ptr, colon);
	}
	add_address(address, host, port);
	return true;
}

static bool take_operands(struct probe *probe, int count, char *operands[], struct text *address)
{
	if (probe->method != NULL) {
		return count == 1 ? take_url(probe, operands[0], address)
		                  : complain(probe, "http://HOST:PORT/PATH", "give one URL");
	}
	if (count != 2 || !probe->connect_only) {
		return complain(probe, "-z HOST PORT", "this nc only tells whether a port is open");
	}
	add_address(address, slice_of(operands[0]), slice_of(operands[1]));
	return true;
}

/* ── From outside ────────────────────────────────────────────────────────── */

const char *tool_name(const char *program)
{
	const char *slash = strrchr(program, '/');

	return slash == NULL ? program : slash + 1;
}

static const struct tool *find_tool(const char *program)
{
	for (unsigned i = 0; i < ARRAY_LEN(tools); i++) {
		if (strcmp(tools[i].preset.who, tool_name(program)) == 0) {
			return &tools[i];
		}
	}
	return NULL;
}

bool tool_exists(const char *program)
{
	return find_tool(program) != NULL;
}

int tool_run(int argc, char *argv[], const char *wanted)
{
	const struct tool *tool = find_tool(argv[0]);
	char memory[TARGET_NAME_MAX];
	struct text address = text_over(memory, sizeof(memory));
	struct targets targets;
	char error[FAULT_MAX] = "the URL is too long";
	int letter = 0;

	ASSERT(tool != NULL);
	struct probe probe = tool->preset;
	probe.wanted = wanted;
	probe.timeout_s = TIMEOUT_S;
	/* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while ((letter = getopt_long(argc, argv, tool->letters, words, NULL)) != -1) {
		if (!take_option(&probe, letter, optarg)) {
			return 1;
		}
	}
	if (!take_operands(&probe, argc - optind, argv + optind, &address)) {
		return 1;
	}
	if (address.overflow || targets_find(memory, true, &targets, error) < 0) {
		(void)fprintf(stderr, "%s: %s\n", probe.who, error);
		return 1;
	}
	return probe_run(&probe, &targets);
}
