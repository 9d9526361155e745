/* SPDX-License-Identifier: MIT */
/*
 * The address of the Engine: --upstream, SOCKET_PATH, DOCKER_HOST, `upstream` of the file.
 */
#include "address/address.h"
#include "config/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	PORT_PLAIN = 2375, /* docker's, where an address has none */
	PORT_TLS = 2376,
	HOST_LEN_MAX = 253,
};

/* ── Reading ─────────────────────────────────────────────────────────────── */

/* "HOST", "HOST:PORT", "[IPv6]" or "[IPv6]:PORT" in two; an empty port: there is none. */
static void split(struct slice authority, struct slice *ret_host, struct slice *ret_port)
{
	*ret_host = *ret_port = SLICE("");
	if (authority.ptr == NULL || authority.len == 0) {
		return;
	}
	const char *end = authority.ptr + authority.len;
	const char *bracket = memrchr(authority.ptr, ']', authority.len);
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

static struct slice without_brackets(struct slice host)
{
	if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
		host = (struct slice){host.ptr + 1, host.len - 2};
	}
	return host;
}

static const char *read_host(
        struct reader *reader, struct slice host, struct config_engine *ret_engine)
{
	char text[HOST_LEN_MAX + sizeof("tcp://:1")];
	const bool fits = host.len > 0 && host.len <= HOST_LEN_MAX;

	(void)snprintf(
	        text, sizeof(text), "tcp://%.*s:1", SLICE_FMT(host)); /* the port comes later */
	ret_engine->is_name = !fits || address_parse(slice_of(text), &ret_engine->address) != NULL;
	if (ret_engine->is_name && !is_name(host)) {
		return "HOST in HOST:PORT is a name, an IPv4 address or an IPv6 address in "
		       "brackets";
	}
	if (ret_engine->is_name) {
		ret_engine->address = (union address){.any = {.sa_family = AF_UNSPEC}};
	}
	ret_engine->host = arena_copy(&reader->config->arena, without_brackets(host));
	return !ret_engine->is_name && address_is_any(&ret_engine->address)
	               ? "give the address of one host: the Engine's"
	               : NULL;
}

static const char *read_tcp(
        struct reader *reader, struct slice authority, struct config_engine *ret_engine)
{
	struct slice host;
	struct slice digits;
	uint64_t port = 0;

	split(authority, &host, &digits);
	if (host.len < authority.len &&
	        (slice_to_u64(digits, UINT16_MAX, &port) < 0 || port == 0)) {
		return "PORT in HOST:PORT is a whole number from 1 to 65535, and nothing follows "
		       "it";
	}
	ret_engine->port = (uint16_t)port;
	return read_host(reader, host, ret_engine);
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

#define ADDRESS_WORDS                                                                              \
	"give the Engine's unix socket as an absolute path or as unix:///PATH, or "                \
	"tcp://HOST:PORT or tls://HOST:PORT"

/* What was probably meant by an address of another form. */
static const char *suggest(struct reader *reader, struct slice value)
{
	static const struct {
		struct slice front;
		const char *instead;
	} forms[] = {
	        {SLICE_INIT("https://"), "tls://"},
	        {SLICE_INIT("http://"), "tcp://"},
	};
	struct slice rest = value;
	const char *front = strstr(value.ptr, "://") == NULL ? "tcp://" : NULL;
	struct config_engine ignored = {.text = value.ptr};
	char memory[HOST_LEN_MAX + 128];

	if (slice_starts_with(value, SLICE("ssh://"))) {
		return "ssh:// is not spoken: use tls://HOST:PORT, or unix:///PATH on its host";
	}
	for (unsigned i = 0; front == NULL && i < ARRAY_LEN(forms); i++) {
		front = slice_skip(&rest, forms[i].front) ? forms[i].instead : NULL;
	}
	if (front == NULL || memchr(rest.ptr, ':', rest.len) == NULL ||
	        read_tcp(reader, rest, &ignored) != NULL) {
		return ADDRESS_WORDS;
	}
	(void)snprintf(memory, sizeof(memory), "did you mean %s%.*s?", front, SLICE_FMT(rest));
	const char *words = arena_copy(&reader->config->arena, slice_of(memory));
	return words != NULL ? words : ADDRESS_WORDS;
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
	ret_engine->is_tls = slice_skip(&rest, SLICE("tls://"));
	if (ret_engine->is_tls || slice_skip(&rest, SLICE("tcp://"))) {
		return read_tcp(reader, rest, ret_engine);
	}
	return suggest(reader, slice_of(value));
}

/* ── TLS ─────────────────────────────────────────────────────────────────── */

/* A file of DOCKER_CERT_PATH, or of .docker in HOME; NULL after a fault. */
static const char *docker_file(struct reader *reader, const char *name)
{
	struct config *config = reader->config;
	const char *home = getenv("HOME");
	char path[4096 + 64];

	if (config->docker_cert_path == NULL && (home == NULL || home[0] != '/')) {
		(void)fault_set(reader->error, NOWHERE,
		        "%s (%s) needs the certificate of the Engine's authority: set "
		        "DOCKER_CERT_PATH "
		        "to the folder of ca.pem, cert.pem and key.pem, or write "
		        "'upstream: {address: %s, tls: {ca: FILE}}' into the file",
		        config->engine.text, config->engine.option, config->engine.text);
		return NULL;
	}
	(void)snprintf(path, sizeof(path), "%.4000s%s/%s",
	        config->docker_cert_path != NULL ? config->docker_cert_path : home,
	        config->docker_cert_path != NULL ? "" : "/.docker", name);
	const char *copy = arena_copy(&config->arena, slice_of(path));
	if (copy == NULL) {
		(void)arena_fault(&config->arena, reader->error);
	}
	return copy;
}

/* docker leaves the client's certificate out if neither file is there. */
static int use_docker_files(struct reader *reader, struct tls_settings *settings)
{
	const char *ca = docker_file(reader, "ca.pem");
	const char *cert = ca != NULL ? docker_file(reader, "cert.pem") : NULL;
	const char *key = cert != NULL ? docker_file(reader, "key.pem") : NULL;
	struct stat found;

	if (key == NULL) {
		return -EINVAL;
	}
	*settings = (struct tls_settings){.pairs = {{cert, key}}, .ca = ca};
	settings->pair_count = stat(cert, &found) == 0 || stat(key, &found) == 0;
	return 0;
}

/* What messages about TLS with an Engine need. */
struct warner {
	struct config *config;
	const struct config_engine *engine;
};

static const char *tls_name(const struct warner *warner, enum tls_setting setting)
{
	static const char *const names[] = {[TLS_CERT] = "cert",
	        [TLS_KEY] = "key",
	        [TLS_CA] = "ca",
	        [TLS_CRL] = "crl",
	        [TLS_NAME] = "name"};

	if (warner->engine->tls_place.file != NULL) {
		return names[setting];
	}
	return warner->config->docker_cert_path != NULL
	               ? "DOCKER_CERT_PATH"
	               : "DOCKER_CERT_PATH is not set, and .docker in HOME stands for it";
}

static void warn(void *context, const struct tls_fault *warning)
{
	const struct warner *warner = context;

	config_warn(warner->config, "%s: %s", tls_name(warner, warning->setting), warning->text);
}

/* Of an Engine for which the same files were read; NULL: none. */
static const struct transport *find_shared(
        const struct config *config, const struct config_engine *engine)
{
	for (unsigned i = 0; i < config->engine_count; i++) {
		const struct config_engine *other = config_engine_at(config, i);
		if (other != engine && other->transport != NULL &&
		        tls_same_files(&other->tls, &engine->tls)) {
			return other->transport;
		}
	}
	return NULL;
}

static int make_transport(struct reader *reader, struct config_engine *engine)
{
	struct warner warner = {reader->config, engine};
	struct tls_fault fault;

	if (engine->tls.ca == NULL && use_docker_files(reader, &engine->tls) < 0) {
		return -EINVAL;
	}
	if (engine->tls.name == NULL) {
		engine->tls.name = engine->host;
	}
	const struct transport *shared = find_shared(reader->config, engine);
	const int made =
	        shared != NULL
	                ? tls_client_named(shared, engine->tls.name, &engine->transport, &fault)
	                : tls_client_new(&engine->tls, warn, &warner, &engine->transport, &fault);
	if (made < 0) {
		return fault_set(reader->error, engine->tls_place, "%s: %s",
		        tls_name(&warner, fault.setting), fault.text);
	}
	return 0;
}

/* Docker's programs disagree about one variable without the other: the command line then speaks no
 * TLS, and the libraries do not verify the Engine. */
static int check_docker_variables(struct reader *reader)
{
	struct config *config = reader->config;
	const bool is_unix = config->engine.path != NULL;

	if (is_unix && config->docker_tls_verify != NULL) {
		config_warn(config, "DOCKER_TLS_VERIFY does not count: the Engine is %s",
		        config->engine.text);
	}
	return !is_unix && !config->engine.is_tls && config->docker_cert_path != NULL &&
	                       config->docker_tls_verify == NULL
	               ? fault_set(reader->error, NOWHERE,
	                         "DOCKER_CERT_PATH is set without DOCKER_TLS_VERIFY: set "
	                         "DOCKER_TLS_VERIFY=1 to speak TLS with %s, or unset both",
	                         config->engine.text)
	               : 0;
}

static void set_port(struct config_engine *engine)
{
	if (engine->port == 0) {
		engine->port = engine->is_tls ? PORT_TLS : PORT_PLAIN;
	}
	if (!engine->is_name) {
		engine->address.ip4.sin_port = htons(engine->port); /* at the same place in both */
	}
}

static int complete_default(struct reader *reader)
{
	struct config *config = reader->config;
	struct config_engine *engine = &config->engine;

	engine->name = ENGINE_DEFAULT_NAME;
	if (engine->text == NULL) {
		return 0;
	}
	if (check_docker_variables(reader) < 0) {
		return -EINVAL;
	}
	if (engine->path != NULL) {
		return 0;
	}
	engine->is_tls |= config->docker_tls_verify != NULL;
	set_port(engine);
	return engine->is_tls ? make_transport(reader, engine) : 0;
}

/* Docker's variables are for the Engine of `upstream`. */
static int complete_entry(struct reader *reader, struct config_engine *engine)
{
	if (engine->member_count > 0 || engine->path != NULL) {
		return 0;
	}
	set_port(engine);
	if (engine->is_tls && engine->tls.ca == NULL) {
		return fault_set(reader->error, engine->place,
		        "'%s' needs the certificate of the Engine's authority: write "
		        "'%s: {address: %s, tls: {ca: FILE}}'",
		        engine->name, engine->name, engine->text);
	}
	return engine->is_tls ? make_transport(reader, engine) : 0;
}

int config_complete_engines(struct reader *reader)
{
	struct config *config = reader->config;

	if (config->verb == CONFIG_HEALTHCHECK) {
		return 0;
	}
	if (complete_default(reader) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 1; i < config->engine_count; i++) {
		if (complete_entry(reader, &config->more_engines[i - 1]) < 0) {
			return -EINVAL;
		}
	}
	return 0;
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

bool config_same_place(const char *a, const char *b)
{
	const char *path_a = address_path(a);
	const char *path_b = address_path(b);
	union address address[2];

	if (path_a != NULL || path_b != NULL) {
		return path_a != NULL && path_b != NULL && is_same_socket(path_a, path_b);
	}
	return address_parse(slice_of(a), &address[0]) == NULL &&
	       address_parse(slice_of(b), &address[1]) == NULL &&
	       (address_leads_to(&address[0], &address[1]) ||
	               address_leads_to(&address[1], &address[0]));
}

static bool is_at(const struct config_engine *engine, const char *listener)
{
	const char *path = address_path(listener);
	union address address;

	if (engine->text == NULL) {
		return false;
	}

	if (path != NULL || engine->path != NULL) {
		return path != NULL && engine->path != NULL && is_same_socket(path, engine->path);
	}
	return !engine->is_name && address_parse(slice_of(listener), &address) == NULL &&
	       address_leads_to(&engine->address, &address);
}

const struct config_engine *config_engine_behind(const struct config *config, const char *listener)
{
	for (unsigned i = 0; i < config->engine_count; i++) {
		if (is_at(config_engine_at(config, i), listener)) {
			return config_engine_at(config, i);
		}
	}
	return NULL;
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
		const struct config_engine *engine = config_engine_behind(config, address);
		if (engine != NULL) {
			return fault_set(reader->error, NOWHERE,
			        "'%s' is both the address of a listener and the Engine's %s (%s)",
			        text_show(slice_of(engine->path != NULL ? engine->path
			                                                : engine->text))
			                .text,
			        engine->path != NULL ? "socket" : "address", engine->option);
		}
	}
	return 0;
}
