/* SPDX-License-Identifier: MIT */
/*
 * The address of the Engine: --upstream, SOCKET_PATH, DOCKER_HOST, `upstream` of the file.
 */
#include "address/address.h"
#include "config/options.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	PORT_PLAIN = 2375, /* docker's, where an address has none */
	HOST_LEN_MAX = 253,
};

#define ACCEPTED                                                                                   \
	"give the Engine's unix socket as an absolute path or as unix:///PATH, or tcp://HOST:PORT"

/* ── Reading ─────────────────────────────────────────────────────────────── */

/* "HOST", "HOST:PORT", "[IPv6]" or "[IPv6]:PORT" in two; an empty port: there is none. */
static void split(struct slice authority, struct slice *ret_host, struct slice *ret_port)
{
	const char *end = authority.ptr + authority.len;
	const char *bracket = authority.len > 0 ? memrchr(authority.ptr, ']', authority.len) : NULL;
	const char *from = bracket != NULL ? bracket : authority.ptr;
	const char *colon = memchr(from, ':', (size_t)(end - from));

	*ret_host = slice_between(authority.ptr, colon != NULL ? colon : end);
	*ret_port = colon != NULL ? slice_between(colon + 1, end) : SLICE("");
}

/* RFC 1123 §2.1, with underscores, which names of containers have. */
static bool is_name(struct slice host)
{
	bool has_letter = false;

	for (size_t i = 0; i < host.len; i++) {
		const char c = host.ptr[i];
		if (!ascii_is_alnum(c) && (i == 0 || (c != '-' && c != '.' && c != '_'))) {
			return false;
		}
		has_letter |= ascii_is_alnum(c) && !ascii_is_digit(c);
	}
	return has_letter && host.len <= HOST_LEN_MAX;
}

static const char *read_host(
        struct reader *reader, struct slice host, uint64_t port, struct config_engine *ret_engine)
{
	char text[HOST_LEN_MAX + sizeof("tcp://:65535")];

	(void)snprintf(text, sizeof(text), "tcp://%.*s:%u", SLICE_FMT(host), (unsigned)port);
	if (host.len > 0 && host.len <= HOST_LEN_MAX &&
	        address_parse(slice_of(text), &ret_engine->address) == NULL) {
		return address_is_any(&ret_engine->address)
		               ? "give the address of one host: the Engine's"
		               : NULL;
	}
	if (!is_name(host)) {
		return "HOST in tcp://HOST:PORT is a name, an IPv4 address or an IPv6 address in "
		       "brackets";
	}
	ret_engine->host = arena_copy(&reader->config->arena, host);
	ret_engine->port = (uint16_t)port;
	return NULL;
}

static const char *read_tcp(
        struct reader *reader, struct slice authority, struct config_engine *ret_engine)
{
	struct slice host;
	struct slice digits;
	uint64_t port = PORT_PLAIN;

	split(authority, &host, &digits);
	const bool has_port = host.len < authority.len;
	if (has_port && (slice_to_u64(digits, UINT16_MAX, &port) < 0 || port == 0)) {
		return "PORT in tcp://HOST:PORT is a whole number from 1 to 65535, and nothing "
		       "follows it";
	}
	return read_host(reader, host, port, ret_engine);
}

static const char *read_unix(
        struct reader *reader, const char *path, struct config_engine *ret_engine)
{
	const char *problem = address_path_problem(slice_of(path));
	char text[sizeof("unix://") + sizeof(ret_engine->address.path.sun_path)];

	if (problem == NULL) {
		(void)snprintf(text, sizeof(text), "unix://%s", path);
		ret_engine->path = path;
		ret_engine->address = address_of_path(slice_of(path));
		ret_engine->text = arena_copy(&reader->config->arena, slice_of(text));
	}
	return problem;
}

const char *config_read_engine(
        struct reader *reader, const char *value, struct config_engine *ret_engine)
{
	const char *path = value[0] == '/' ? value : address_path(value);
	struct slice rest = slice_of(value);

	*ret_engine = (struct config_engine){.text = value};
	if (path != NULL) {
		return read_unix(reader, path, ret_engine);
	}
	if (slice_skip(&rest, SLICE("tcp://"))) {
		return read_tcp(reader, rest, ret_engine);
	}
	return ACCEPTED;
}

/* ── Loops ───────────────────────────────────────────────────────────────── */

/* What a directory is called does not matter: /var/run is /run. */
static bool is_same_folder(struct slice a, struct slice b)
{
	char path[2][128];
	struct stat found[2];
	const struct slice folders[2] = {a, b};

	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path[i], sizeof(path[i]), "%.*s/", SLICE_FMT(folders[i]));
		if (stat(path[i], &found[i]) < 0) {
			return slice_equal(a, b);
		}
	}
	return found[0].st_dev == found[1].st_dev && found[0].st_ino == found[1].st_ino;
}

/* The listener's file need not be there yet. */
static bool is_same_socket(const char *a, const char *b)
{
	const struct slice folder_a = slice_before_last(a, '/');
	const struct slice folder_b = slice_before_last(b, '/');

	return strcmp(a + folder_a.len, b + folder_b.len) == 0 &&
	       is_same_folder(folder_a, folder_b);
}

static bool is_engine(const struct config_engine *engine, const char *listener)
{
	const char *path = address_path(listener);
	union address address;

	if (path != NULL || engine->path != NULL) {
		return path != NULL && engine->path != NULL && is_same_socket(path, engine->path);
	}
	return engine->host == NULL && address_parse(slice_of(listener), &address) == NULL &&
	       address_leads_to(&engine->address, &address);
}

/*
 * A proxy that is its own Engine would forward to itself for ever. Names are not resolved here, and
 * passed sockets not known: serve/ looks again.
 */
int config_check_loop(struct reader *reader)
{
	const struct config *config = reader->config;

	for (unsigned i = 0; i < config->listener_count; i++) {
		const char *address = config->listeners[i].address;
		if (is_engine(&config->engine, address)) {
			return fault_set(reader->error, NOWHERE,
			        "'%s' is both the address of a listener and the Engine's %s (%s)",
			        text_show(
			                slice_of(config->engine.path != NULL ? config->engine.path
			                                                     : config->engine.text))
			                .text,
			        config->engine.path != NULL ? "socket" : "address",
			        config->engine.option);
		}
	}
	return 0;
}
