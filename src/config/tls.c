/* SPDX-License-Identifier: MIT */
/*
 * TLS of listeners: the key `tls` of the file, and TLS_CERT, TLS_KEY and TLS_CLIENT_CA.
 */
#include "config/options.h"

#include "address/address.h"
#include "yaml/write.h"

#include <errno.h>
#include <stdio.h>

/* The key `tls` that is being read. */
struct tls_reader {
	struct reader *reader;
	struct tls_settings *settings;
	struct tls_pair *pair; /* of `cert` and `key` */
	bool demands;          /* client_cert is given */
};

bool config_listener_is_tls(const struct config_listener *listener)
{
	return address_is_tls(listener->address) || listener->tls.pair_count > 0;
}

/* ── The file ────────────────────────────────────────────────────────────── */

/* A file that is named without a folder in front is beside the configuration. */
static int read_path(struct tls_reader *tls, const struct yaml_node *node, const char **ret_path)
{
	struct config *config = tls->reader->config;
	const struct slice folder = slice_before_last(config->file, '/');
	char path[4096 + 1];

	if (yaml_expect(node, YAML_TEXT, "the name of a PEM file", tls->reader->error) < 0) {
		return -EINVAL;
	}
	if (node->text.ptr[0] == '/' || strchr(config->file, '/') == NULL) {
		*ret_path = node->text.ptr;
		return 0;
	}
	(void)snprintf(path, sizeof(path), "%.*s/%s", SLICE_FMT(folder), node->text.ptr);
	*ret_path = arena_copy(&config->arena, slice_of(path));
	return *ret_path != NULL ? 0 : arena_fault(&config->arena, tls->reader->error);
}

static int read_cert(void *context, const struct yaml_node *node)
{
	struct tls_reader *tls = context;

	return read_path(tls, node, &tls->pair->cert);
}

static int read_key(void *context, const struct yaml_node *node)
{
	struct tls_reader *tls = context;

	return read_path(tls, node, &tls->pair->key);
}

static const struct yaml_shape pem_shape = {.words = "the name of a PEM file"};

static const struct yaml_key pair_keys[] = {
        {"cert", read_cert, &pem_shape},
        {"key", read_key, &pem_shape},
};
static const struct yaml_shape pair_shape = {
        YAML_KEYS(pair_keys),
        .words = "a pair",
        .name = "pair",
        .required = "cert key",
};
static const struct yaml_shape pairs_shape = {
        .kind = YAML_SHAPE_LIST,
        .words = "a list of pairs, such as - {cert: a.pem, key: a-key.pem}",
        .item = &pair_shape,
};

static int check_pair(const struct tls_reader *tls, const struct yaml_node *map)
{
	return tls->pair->cert != NULL && tls->pair->key != NULL
	               ? 0
	               : fault_set(tls->reader->error, map->place,
	                         "'%s' is missing: a listener of TLS has a certificate and its "
	                         "key, "
	                         "such as {cert: server.pem, key: server-key.pem}",
	                         tls->pair->cert == NULL ? "cert" : "key");
}

static int read_certs(void *context, const struct yaml_node *list)
{
	struct tls_reader *tls = context;

	if (yaml_expect(list, YAML_LIST, pairs_shape.words, tls->reader->error) < 0) {
		return -EINVAL;
	}
	if (yaml_count(list) > TLS_PAIRS_MAX) {
		return fault_set(tls->reader->error, list->place, "'certs' has more than %d pairs",
		        TLS_PAIRS_MAX);
	}
	for (const struct yaml_node *map = list->first; map != NULL; map = map->next) {
		tls->pair = &tls->settings->pairs[tls->settings->pair_count++];
		if (yaml_read_map(map, &pair_shape, tls, tls->reader->error) < 0 ||
		        check_pair(tls, map) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_client_ca(void *context, const struct yaml_node *node)
{
	struct tls_reader *tls = context;

	return read_path(tls, node, &tls->settings->ca);
}

static int read_crl(void *context, const struct yaml_node *node)
{
	struct tls_reader *tls = context;

	return read_path(tls, node, &tls->settings->crl);
}

static int read_client_cert(void *context, const struct yaml_node *node)
{
	struct tls_reader *tls = context;
	const bool is_text = node->kind == YAML_TEXT;

	tls->demands = true;
	tls->settings->optional = is_text && slice_equal(node->text, SLICE("optional"));
	if (tls->settings->optional || (is_text && slice_equal(node->text, SLICE("required")))) {
		return 0;
	}
	return fault_set(tls->reader->error, node->place,
	        "'client_cert' is required or optional; found %s", yaml_found(node).text);
}

static const struct yaml_shape client_cert_shape = {
        .words = "whether clients must present a certificate", .choices = "required optional"};

/* Those of `cert` and `key` are read into the first pair. */
static const struct yaml_key tls_keys[] = {
        {"cert", read_cert, &pem_shape},
        {"key", read_key, &pem_shape},
        {"certs", read_certs, &pairs_shape},
        {"client_ca", read_client_ca, &pem_shape},
        {"client_cert", read_client_cert, &client_cert_shape},
        {"crl", read_crl, &pem_shape},
};
const struct yaml_shape config_listener_tls_shape = {
        YAML_KEYS(tls_keys), .words = "tls", .name = "listener_tls"};

int config_read_listener_tls(
        struct reader *reader, struct config_listener *listener, const struct yaml_node *map)
{
	struct tls_settings *settings = &listener->tls;
	struct tls_reader tls = {.reader = reader, .settings = settings, .pair = settings->pairs};
	const bool single = yaml_find(map, "cert") != NULL || yaml_find(map, "key") != NULL;

	if (!address_is_tls(listener->address) && address_passed(listener->address) == NULL) {
		return fault_set(reader->error, map->place,
		        "'tls' is for addresses tls://HOST:PORT and fd://NAME; this one is '%s'",
		        listener->address);
	}
	if (single && yaml_find(map, "certs") != NULL) {
		return fault_set(reader->error, map->place,
		        "'cert' and 'certs' are both given: put the pair of 'cert' first into "
		        "'certs'");
	}
	if (yaml_read_map(map, &config_listener_tls_shape, &tls, reader->error) < 0) {
		return -EINVAL;
	}
	if (settings->pair_count == 0) {
		settings->pair_count = 1;
		tls.pair = settings->pairs;
	}
	if (check_pair(&tls, map) < 0) {
		return -EINVAL;
	}
	if (settings->ca == NULL && (tls.demands || settings->crl != NULL)) {
		return fault_set(reader->error, map->place,
		        "'%s' needs a 'client_ca': the authorities whose certificates are accepted",
		        tls.demands ? "client_cert" : "crl");
	}
	listener->tls_place = map->place;
	return 0;
}

/* ── The Engine ──────────────────────────────────────────────────────────── */

static const struct yaml_shape name_shape = {.words = "the name in the Engine's certificate"};

static int read_name(void *context, const struct yaml_node *node)
{
	struct tls_reader *tls = context;

	tls->settings->name = node->text.ptr;
	return yaml_expect(node, YAML_TEXT, name_shape.words, tls->reader->error);
}

static const struct yaml_key engine_keys[] = {
        {"ca", read_client_ca, &pem_shape},
        {"cert", read_cert, &pem_shape},
        {"key", read_key, &pem_shape},
        {"name", read_name, &name_shape},
};
const struct yaml_shape config_engine_tls_shape = {
        YAML_KEYS(engine_keys), .words = "tls", .name = "upstream_tls"};

int config_read_engine_tls(
        struct reader *reader, struct config_engine *engine, const struct yaml_node *map)
{
	struct tls_settings *settings = &engine->tls;
	struct tls_reader tls = {.reader = reader, .settings = settings, .pair = settings->pairs};

	if (!engine->is_tls) {
		return fault_set(reader->error, map->place,
		        "'tls' is for an Engine at tls://HOST:PORT; this one is '%s'",
		        engine->text != NULL ? engine->text : "without an address");
	}
	if (yaml_read_map(map, &config_engine_tls_shape, &tls, reader->error) < 0) {
		return -EINVAL;
	}
	if (settings->ca == NULL) {
		return fault_set(reader->error, map->place,
		        "'ca' is missing: the authority of the Engine's certificate");
	}
	if ((tls.pair->cert == NULL) != (tls.pair->key == NULL)) {
		return fault_set(reader->error, map->place,
		        "'%s' is missing: a certificate and its key belong together",
		        tls.pair->cert == NULL ? "cert" : "key");
	}
	settings->pair_count = tls.pair->cert != NULL;
	engine->tls_place = map->place;
	return 0;
}

/* ── The environment ─────────────────────────────────────────────────────── */

static int check_environment(struct reader *reader, unsigned used)
{
	const struct config *config = reader->config;
	const char *given = config->tls_cert != NULL  ? "TLS_CERT"
	                    : config->tls_key != NULL ? "TLS_KEY"
	                                              : "TLS_CLIENT_CA";

	if (config->tls_cert == NULL && config->tls_key == NULL && config->tls_client_ca == NULL) {
		return 0;
	}
	if (config->tls_cert == NULL || config->tls_key == NULL) {
		return fault_set(reader->error, NOWHERE,
		        "%s is set without %s: a listener of TLS has a certificate and its key",
		        given, config->tls_cert == NULL ? "TLS_CERT" : "TLS_KEY");
	}
	return used > 0 ? 0
	                : fault_set(reader->error, NOWHERE,
	                          "%s has no effect: no listener is a tls:// address without a "
	                          "certificate of its own; give tls://HOST:PORT, or unset it",
	                          given);
}

/* ── Transports ──────────────────────────────────────────────────────────── */

/* What the setting is called: in the file, in the environment. */
static const char *const names[][2] = {
        [TLS_CERT] = {"cert", "TLS_CERT"},
        [TLS_KEY] = {"key", "TLS_KEY"},
        [TLS_CA] = {"client_ca", "TLS_CLIENT_CA"},
        [TLS_CRL] = {"crl", "crl"},
        [TLS_NAME] = {"name", "name"},
};

struct warner {
	struct config *config;
	const struct config_listener *listener;
};

static const char *name_of(const struct config_listener *listener, enum tls_setting setting)
{
	return names[setting][listener->tls_place.file == NULL];
}

static void warn(void *context, const struct tls_fault *warning)
{
	const struct warner *warner = context;
	const struct place place = warner->listener->tls_place;
	char where[320] = "";

	if (place.file != NULL) {
		(void)snprintf(where, sizeof(where), "%.256s:%u: ", place.file, place.line);
	}
	config_warn(warner->config, "%s%s: %s", where, name_of(warner->listener, warning->setting),
	        warning->text);
}

static int make_transport(struct reader *reader, struct config_listener *listener)
{
	struct warner warner = {.config = reader->config, .listener = listener};
	struct tls_fault fault;

	if (listener->tls.pair_count == 0) {
		return fault_set(reader->error, listener->place,
		        "%s needs a certificate and its key: set TLS_CERT and TLS_KEY, or write "
		        "'tls: {cert: FILE, key: FILE}' at the listener in the file",
		        listener->address);
	}
	if (tls_server_new(&listener->tls, warn, &warner, &listener->transport, &fault) < 0) {
		return fault_set(reader->error, listener->tls_place, "%s: %s",
		        name_of(listener, fault.setting), fault.text);
	}
	return 0;
}

/* Conditions on certificates that nobody can present would deny for ever. */
static int check_conditions(struct reader *reader)
{
	const struct config *config = reader->config;

	for (unsigned i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].tls.ca != NULL) {
			return 0;
		}
	}
	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct client *client = &config->clients.list[i];
		if (match_asks_certificate(&client->match)) {
			return fault_set(reader->error, client->place,
			        "client '%s' is known by a certificate, and no listener asks for "
			        "one: "
			        "give a tls:// listener a 'client_ca'",
			        client->name);
		}
	}
	return 0;
}

static void use_environment(const struct config *config, struct config_listener *listener)
{
	listener->tls = (struct tls_settings){
	        .pairs = {{config->tls_cert, config->tls_key}},
	        .pair_count = config->tls_key != NULL,
	        .ca = config->tls_client_ca,
	};
}

int config_make_transports(struct reader *reader)
{
	struct config *config = reader->config;
	unsigned used = 0;

	for (unsigned i = 0; i < config->listener_count; i++) {
		struct config_listener *listener = &config->listeners[i];
		if (!address_is_tls(listener->address)) {
			continue;
		}
		if (listener->tls.pair_count == 0 && config->tls_cert != NULL) {
			use_environment(config, listener);
			used++;
		}
	}
	struct config_listener *admin = &config->admin.listener;
	if (admin->address != NULL && address_is_tls(admin->address) &&
	        admin->tls.pair_count == 0 && config->tls_cert != NULL) {
		use_environment(config, admin);
		used++;
	}
	if (check_environment(reader, used) < 0 || check_conditions(reader) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < config->listener_count && config->verb != CONFIG_HEALTHCHECK;
	        i++) {
		if (config_listener_is_tls(&config->listeners[i]) &&
		        make_transport(reader, &config->listeners[i]) < 0) {
			return -EINVAL;
		}
	}
	return admin->address != NULL && address_is_tls(admin->address) &&
	                       config->verb != CONFIG_HEALTHCHECK
	               ? make_transport(reader, admin)
	               : 0;
}

/* ── Writing ─────────────────────────────────────────────────────────────── */

/* The key and its value, behind a comma unless it is the first; NULL: nothing. */
static void add_file(struct text *text, const char *key, const char *file)
{
	if (file != NULL) {
		const bool first = text->len == 0 || text->ptr[text->len - 1] == '{';
		text_add_format(text, "%s%s: ", first ? "" : ", ", key);
		yaml_add_quoted(text, slice_of(file));
	}
}

void config_add_listener_tls(const struct tls_settings *settings, struct text *text)
{
	text_add(text, SLICE("{certs: ["));
	for (unsigned i = 0; i < settings->pair_count; i++) {
		text_add(text, i == 0 ? SLICE("{") : SLICE(", {"));
		add_file(text, "cert", settings->pairs[i].cert);
		add_file(text, "key", settings->pairs[i].key);
		text_add(text, SLICE("}"));
	}
	text_add(text, SLICE("]"));
	add_file(text, "client_ca", settings->ca);
	add_file(text, "crl", settings->crl);
	text_add(text, settings->optional ? SLICE(", client_cert: optional}") : SLICE("}"));
}

void config_add_engine_tls(const struct tls_settings *settings, struct text *text)
{
	text_add(text, SLICE("{"));
	add_file(text, "ca", settings->ca);
	if (settings->pair_count > 0) {
		add_file(text, "cert", settings->pairs[0].cert);
		add_file(text, "key", settings->pairs[0].key);
	}
	add_file(text, "name", settings->name);
	text_add(text, SLICE("}"));
}
