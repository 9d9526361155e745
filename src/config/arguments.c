/* SPDX-License-Identifier: MIT */
/* The command line. */
#include "address/address.h"
#include "base/nearest.h"
#include "config/options.h"

#include <errno.h>

/* ── What was meant ──────────────────────────────────────────────────────── */

/* The flag or command that was probably meant; ptr NULL: none. */
static struct slice meant_by(struct slice word)
{
	static const char *const others[] = {"--help", "--version", "run", "check", "explain",
	        "learn", "convert", "healthcheck", "hash-key", "certs", "schema", "status",
	        "reload", "verify-audit"};
	struct nearest nearest = nearest_to(word);

	for (unsigned i = 0; i < CONFIG_OPTION_COUNT + ARRAY_LEN(others); i++) {
		const char *candidate = i < CONFIG_OPTION_COUNT ? config_options[i].flag
		                                                : others[i - CONFIG_OPTION_COUNT];
		if (candidate != NULL && !slice_equal(word, slice_of(candidate))) {
			nearest_try(&nearest, slice_of(candidate));
		}
	}
	return nearest.best;
}

/* Whether `flag` is a variable's name written like a flag: --api-key, API_KEY. */
static bool is_spelling_of(struct slice flag, const char *variable)
{
	if (flag.len != strlen(variable) + 2) {
		return false;
	}
	for (size_t i = 2; i < flag.len; i++) {
		const char c = flag.ptr[i] == '-' ? '_' : flag.ptr[i];
		if (ascii_lower(c) != ascii_lower(variable[i - 2])) {
			return false;
		}
	}
	return true;
}

static int fail_unknown(struct reader *reader, const char *what, struct slice word)
{
	struct slice meant = meant_by(word);

	for (unsigned i = 0; meant.ptr == NULL && i < CONFIG_OPTION_COUNT; i++) {
		if (!is_spelling_of(word, config_options[i].variable)) {
			continue;
		}
		if (config_options[i].flag == NULL) {
			return fault_set(reader->error, NOWHERE,
			        "%s: there is no such option: set %s in the environment",
			        text_show(word).text, config_options[i].variable);
		}
		if (!slice_equal(word, slice_of(config_options[i].flag))) {
			meant = slice_of(config_options[i].flag);
		}
	}
	if (meant.ptr != NULL) {
		return fault_set(reader->error, NOWHERE, "unknown %s '%s'; did you mean '%.*s'?",
		        what, text_show(word).text, SLICE_FMT(meant));
	}
	return fault_set(reader->error, NOWHERE, "unknown %s '%s'; --help lists what there is",
	        what, text_show(word).text);
}

/* ── Words ───────────────────────────────────────────────────────────────── */

static int read_verb(struct reader *reader, const char *word)
{
	static const struct {
		const char *word;
		enum config_verb verb;
	} verbs[] = {
	        {"run", CONFIG_RUN},
	        {"learn", CONFIG_LEARN},
	        {"check", CONFIG_CHECK},
	        {"explain", CONFIG_EXPLAIN},
	        {"convert", CONFIG_CONVERT},
	        {"healthcheck", CONFIG_HEALTHCHECK},
	        {"hash-key", CONFIG_HASH_KEY},
	        {"certs", CONFIG_CERTS},
	        {"schema", CONFIG_SCHEMA},
	        {"verify-audit", CONFIG_VERIFY_AUDIT},
	        {"status", CONFIG_STATUS},
	        {"reload", CONFIG_RELOAD},
	};

	reader->verb_given = true;
	for (unsigned i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(word, verbs[i].word) == 0) {
			reader->config->verb = verbs[i].verb;
			return 0;
		}
	}
	return fail_unknown(reader, "command", slice_of(word));
}

static int add_word(
        struct reader *reader, const char *name, struct config_words *words, const char *word)
{
	if (words->count == CONFIG_WORDS_MAX) {
		return fault_set(reader->error, NOWHERE, "%s: it is given more than %d times", name,
		        CONFIG_WORDS_MAX);
	}
	words->list[words->count++] = word;
	return 0;
}

static int read_address(
        struct reader *reader, const char *verb, const char *word, const char **ret_address)
{
	union address parsed;
	const char *problem = address_parse(slice_of(word), &parsed);

	if (problem != NULL) {
		return config_refuse(reader, verb, word, problem);
	}
	*ret_address = word;
	return 0;
}

/* The same, or with the Engine that is asked: tcp://HOST:PORT/engines/NAME. */
static int read_health_address(struct reader *reader, const char *word)
{
	struct config *config = reader->config;
	struct slice front;
	struct slice name;

	if (!address_split_engine(word, &front, &name)) {
		return read_address(reader, "healthcheck", word, &config->health_address);
	}
	const char *copy = arena_copy(&config->arena, front);
	if (copy == NULL) {
		return arena_fault(&config->arena, reader->error);
	}
	if (read_address(reader, "healthcheck", copy, &config->health_address) < 0) {
		return -EINVAL;
	}
	config->health_address = word;
	return 0;
}

/* "streams", "close ID", and an address. */
static int read_status_word(struct reader *reader, const char *word)
{
	struct config_request *asked = &reader->config->asked;
	const bool first = !asked->streams && !asked->closes && asked->address == NULL;

	if (first && strcmp(word, "streams") == 0) {
		asked->streams = true;
		return 0;
	}
	if (first && strcmp(word, "close") == 0) {
		asked->closes = true;
		return 0;
	}
	if (asked->closes && asked->stream == NULL) {
		asked->stream = word;
		return 0;
	}
	return read_address(reader, "status", word, &asked->address);
}

static int read_word(struct reader *reader, const char *word)
{
	struct config *config = reader->config;

	if (!reader->verb_given) {
		return read_verb(reader, word);
	}
	if (config->verb == CONFIG_HEALTHCHECK && config->health_address == NULL) {
		return read_health_address(reader, word);
	}
	if (config->verb == CONFIG_STATUS && config->asked.address == NULL) {
		return read_status_word(reader, word);
	}
	if (config->verb == CONFIG_RELOAD && config->asked.address == NULL) {
		return read_address(reader, "reload", word, &config->asked.address);
	}
	if (config->verb == CONFIG_EXPLAIN && config->request[1] == NULL) {
		config->request[config->request[0] != NULL ? 1 : 0] = word;
		return 0;
	}
	if (config->verb == CONFIG_CONVERT && config->source_file == NULL) {
		config->source_file = word;
		return 0;
	}
	if (config->verb == CONFIG_CERTS && config->cert_folder == NULL) {
		config->cert_folder = word;
		return 0;
	}
	if (config->verb == CONFIG_VERIFY_AUDIT) {
		return add_word(reader, "verify-audit", &config->audit_files, word);
	}
	return fault_set(reader->error, NOWHERE,
	        "'%s' is one argument too many; --help lists what there is",
	        text_show(slice_of(word)).text);
}

/* ── Flags ───────────────────────────────────────────────────────────────── */

/* The option that `flag` names, or NULL. */
static const struct config_option *find_option(struct slice flag)
{
	if (slice_equal(flag, SLICE("-c"))) {
		flag = SLICE("--config");
	}
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (config_options[i].flag != NULL &&
		        slice_equal(flag, slice_of(config_options[i].flag))) {
			return &config_options[i];
		}
	}
	return NULL;
}

/* Flags of one verb alone. */
static const struct verb_flag {
	enum config_verb verb;
	enum { TAKES_NOTHING, TAKES_ONE, TAKES_SEVERAL } takes; /* the type of the member */
	const char *flag;
	const char *value; /* as part of a sentence */
	size_t member;     /* offset in struct config */
} verb_flags[] = {
        {CONFIG_RUN, TAKES_ONE, "--takeover", "unix:///PATH", offsetof(struct config, takeover)},
        {CONFIG_EXPLAIN, TAKES_ONE, "--client", "NAME", offsetof(struct config, client_name)},
        {CONFIG_EXPLAIN, TAKES_ONE, "--server-name", "NAME", offsetof(struct config, server_name)},
        {CONFIG_EXPLAIN, TAKES_ONE, "--body", "FILE", offsetof(struct config, body_file)},
        {CONFIG_CONVERT, TAKES_ONE, "--from", CONFIG_SOURCES, offsetof(struct config, source)},
        {CONFIG_CONVERT, TAKES_ONE, "--service", "NAME", offsetof(struct config, source_service)},
        {CONFIG_HASH_KEY, TAKES_NOTHING, "--salt", NULL, offsetof(struct config, salted)},
        {CONFIG_CERTS, TAKES_SEVERAL, "--host", "NAME or IP", offsetof(struct config, cert_hosts)},
        {CONFIG_CERTS, TAKES_SEVERAL, "--client", "NAME", offsetof(struct config, cert_clients)},
        {CONFIG_CERTS, TAKES_ONE, "--days", "N", offsetof(struct config, cert_days)},
        {CONFIG_STATUS, TAKES_NOTHING, "--json", NULL, offsetof(struct config, asked.json)},
        {CONFIG_STATUS, TAKES_NOTHING, "--watch", NULL, offsetof(struct config, asked.watch)},
        {CONFIG_STATUS, TAKES_ONE, "--key-file", "FILE", offsetof(struct config, asked.key_file)},
        {CONFIG_STATUS, TAKES_ONE, "--ca", "FILE", offsetof(struct config, asked.ca_file)},
        {CONFIG_RELOAD, TAKES_ONE, "--key-file", "FILE", offsetof(struct config, asked.key_file)},
        {CONFIG_RELOAD, TAKES_ONE, "--ca", "FILE", offsetof(struct config, asked.ca_file)},
};

static const struct verb_flag *find_verb_flag(enum config_verb verb, struct slice flag)
{
	for (unsigned i = 0; i < ARRAY_LEN(verb_flags); i++) {
		if (verb_flags[i].verb == verb && slice_equal(flag, slice_of(verb_flags[i].flag))) {
			return &verb_flags[i];
		}
	}
	return NULL;
}

static int set_once(struct reader *reader, const char *flag, const char **member, const char *value)
{
	if (*member != NULL) {
		return fault_set(reader->error, NOWHERE, "%s: it is given twice", flag);
	}
	*member = value;
	return 0;
}

/* 0 or -EINVAL. */
static int read_verb_flag(struct reader *reader, const struct verb_flag *flag, const char *value)
{
	void *member = (char *)reader->config + flag->member;

	if (flag->takes == TAKES_NOTHING) {
		*(bool *)member = true;
		return 0;
	}
	if (value == NULL || value[0] == '\0') {
		return fault_set(reader->error, NOWHERE, "%s: its value is missing: give %s %s",
		        flag->flag, flag->flag, flag->value);
	}
	return flag->takes == TAKES_SEVERAL ? add_word(reader, flag->flag, member, value)
	                                    : set_once(reader, flag->flag, member, value);
}

/*
 * One flag and its value, which is behind '=' or in `next`; returns the number
 * of arguments used up, or -EINVAL.
 */
static int read_flag(struct reader *reader, const char *argument, const char *next)
{
	const char *equals = strchr(argument, '=');
	const struct slice flag =
	        equals != NULL ? slice_between(argument, equals) : slice_of(argument);
	const struct config_option *option = find_option(flag);
	const char *value = equals != NULL ? equals + 1 : next;
	const int used = equals != NULL ? 1 : 2;

	const struct verb_flag *own = find_verb_flag(reader->config->verb, flag);
	if (own != NULL) {
		return read_verb_flag(reader, own, value) < 0          ? -EINVAL
		       : own->takes == TAKES_NOTHING && equals == NULL ? 1
		                                                       : used;
	}
	if (option == NULL) {
		return fail_unknown(reader, "option", flag);
	}
	if (value == NULL || (value[0] == '\0' && option->type <= OPTION_PATHS)) {
		return fault_set(reader->error, NOWHERE, "%s: its value is missing: give %s %s",
		        option->flag, option->flag, option->argument);
	}
	bool *given = &reader->given[option - config_options];
	if (*given && option->type != OPTION_ADDRESSES) {
		return fault_set(reader->error, NOWHERE, "%s: it is given twice", option->flag);
	}
	*given = true;
	if (config_read_value(reader, option, option->flag, value) < 0) {
		return -EINVAL;
	}
	return used;
}

/* ── The whole ───────────────────────────────────────────────────────────── */

static bool is_one_of(const char *argument, const char *brief, const char *flag)
{
	return strcmp(argument, brief) == 0 || strcmp(argument, flag) == 0;
}

static int read_words(struct reader *reader, int argc, char *const argv[])
{
	bool flags = true;

	for (int i = 1; i < argc;) {
		int used = 1;
		if (!flags || argv[i][0] != '-' || argv[i][1] == '\0') {
			used = read_word(reader, argv[i]) < 0 ? -EINVAL : 1;
		} else if (strcmp(argv[i], "--") == 0) {
			flags = false;
		} else if (is_one_of(argv[i], "-h", "--help")) {
			reader->config->verb = CONFIG_HELP;
			return 0;
		} else if (is_one_of(argv[i], "-V", "--version")) {
			reader->config->verb = CONFIG_VERSION;
			return 0;
		} else {
			used = read_flag(reader, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
		}
		if (used < 0) {
			return used;
		}
		i += used;
	}
	return 0;
}

/* Nothing that is given is ignored: the verb asks for no settings of this program. */
static int check_alone(struct reader *reader, const char *accepted)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (reader->given[i]) {
			return fault_set(
			        reader->error, NOWHERE, "%s: %s", config_options[i].flag, accepted);
		}
	}
	return 0;
}

static int check_convert(struct reader *reader)
{
	if (check_alone(reader, "convert takes --from SOURCE, --service NAME and a file, nothing "
	                        "else") < 0) {
		return -EINVAL;
	}
	if (reader->config->source == NULL) {
		return fault_set(reader->error, NOWHERE,
		        "convert: --from is missing: give --from " CONFIG_SOURCES);
	}
	if (reader->config->source_file == NULL) {
		reader->config->source_file = "-";
	}
	return 0;
}

static int check_certs(struct reader *reader)
{
	const struct config *config = reader->config;

	if (check_alone(reader, "certs takes DIR, --host, --client and --days, nothing else") < 0) {
		return -EINVAL;
	}
	return config->cert_folder != NULL && config->cert_folder[0] != '\0'
	               ? 0
	               : fault_set(reader->error, NOWHERE,
	                         "certs: the folder is missing: give 'certs DIR'");
}

static int check_verify_audit(struct reader *reader)
{
	if (check_alone(reader, "verify-audit takes files, nothing else") < 0) {
		return -EINVAL;
	}
	return reader->config->audit_files.count > 0
	               ? 0
	               : fault_set(reader->error, NOWHERE,
	                         "verify-audit: the file is missing: give 'verify-audit FILE...'");
}

static int check_takeover(struct reader *reader, const char *value)
{
	union address parsed;

	return address_path(value) != NULL && address_parse(slice_of(value), &parsed) == NULL
	               ? 0
	               : config_refuse(reader, "--takeover", value,
	                         "give unix:///PATH, the address of the admin listener of the "
	                         "process whose sockets are taken over");
}

/* The file, which may say where the admin listener is, is the only setting that counts. */
static int check_request(struct reader *reader)
{
	const struct config_request *asked = &reader->config->asked;

	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (reader->given[i] && config_options[i].member != offsetof(struct config, file)) {
			return fault_set(reader->error, NOWHERE,
			        "%s: status and reload ask a running proxy: they take ADDR, "
			        "--config, --key-file and --ca",
			        config_options[i].flag);
		}
	}
	if (asked->closes && asked->stream == NULL) {
		return fault_set(reader->error, NOWHERE,
		        "status close: the stream is missing: give its ID as 'status streams' "
		        "prints it");
	}
	if (asked->json && asked->watch) {
		return fault_set(reader->error, NOWHERE, "--json: it does not go with --watch");
	}
	return 0;
}

static int check_arguments(struct reader *reader)
{
	struct config *config = reader->config;

	if (config->takeover != NULL && check_takeover(reader, config->takeover) < 0) {
		return -EINVAL;
	}
	if (config->verb == CONFIG_CONVERT) {
		return check_convert(reader);
	}
	if (config->verb == CONFIG_CERTS) {
		return check_certs(reader);
	}
	if (config->verb == CONFIG_HASH_KEY) {
		return check_alone(reader, "hash-key takes --salt, nothing else");
	}
	if (config->verb == CONFIG_SCHEMA) {
		return check_alone(reader, "schema takes nothing");
	}
	if (config->verb == CONFIG_VERIFY_AUDIT) {
		return check_verify_audit(reader);
	}
	if (config->verb == CONFIG_STATUS || config->verb == CONFIG_RELOAD) {
		return check_request(reader);
	}
	if (config->verb == CONFIG_EXPLAIN && config->request[0] == NULL) {
		return fault_set(reader->error, NOWHERE,
		        "explain: the request is missing: give 'METHOD /path?query', "
		        "such as 'GET /containers/json'");
	}
	return 0;
}

int config_read_arguments(struct reader *reader, int argc, char *const argv[])
{
	reader->config->verb_alone = argc == 2;
	return read_words(reader, argc, argv) < 0 ? -EINVAL : check_arguments(reader);
}
