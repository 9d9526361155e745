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
	        "learn", "convert", "healthcheck"};
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

static int read_word(struct reader *reader, const char *word)
{
	struct config *config = reader->config;

	if (!reader->verb_given) {
		return read_verb(reader, word);
	}
	if (config->verb == CONFIG_HEALTHCHECK && config->health_address == NULL) {
		union address parsed;
		const char *problem = address_parse(slice_of(word), &parsed);
		if (problem != NULL) {
			return config_refuse(reader, "healthcheck", word, problem);
		}
		config->health_address = word;
		return 0;
	}
	if (config->verb == CONFIG_EXPLAIN && config->request[1] == NULL) {
		config->request[config->request[0] != NULL ? 1 : 0] = word;
		return 0;
	}
	if (config->verb == CONFIG_CONVERT && config->source_file == NULL) {
		config->source_file = word;
		return 0;
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

/* Flags of `explain` alone. */
static bool is_explain_flag(struct slice flag)
{
	return slice_equal(flag, SLICE("--client")) || slice_equal(flag, SLICE("--body"));
}

static int read_explain_flag(struct reader *reader, struct slice flag, const char *value)
{
	const bool is_client = slice_equal(flag, SLICE("--client"));
	const char **place = is_client ? &reader->config->client_name : &reader->config->body_file;

	if (value == NULL || value[0] == '\0') {
		return fault_set(reader->error, NOWHERE, "%.*s: its value is missing: give %s",
		        SLICE_FMT(flag), is_client ? "--client NAME" : "--body FILE");
	}
	*place = value;
	return 0;
}

/* Where a flag of `convert` alone goes; NULL: it is none. */
static const char **convert_flag(struct config *config, struct slice flag)
{
	if (slice_equal(flag, SLICE("--service"))) {
		return &config->source_service;
	}
	return slice_equal(flag, SLICE("--from")) ? &config->source : NULL;
}

static int read_convert_flag(struct reader *reader, struct slice flag, const char *value)
{
	const char **place = convert_flag(reader->config, flag);

	if (value == NULL || value[0] == '\0') {
		return fault_set(reader->error, NOWHERE, "%.*s: its value is missing: give %s",
		        SLICE_FMT(flag),
		        place == &reader->config->source ? "--from " CONFIG_SOURCES
		                                         : "--service NAME");
	}
	if (*place != NULL) {
		return fault_set(
		        reader->error, NOWHERE, "%.*s: it is given twice", SLICE_FMT(flag));
	}
	*place = value;
	return 0;
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

	if (reader->config->verb == CONFIG_EXPLAIN && is_explain_flag(flag)) {
		return read_explain_flag(reader, flag, value) < 0 ? -EINVAL : used;
	}
	if (reader->config->verb == CONFIG_CONVERT && convert_flag(reader->config, flag) != NULL) {
		return read_convert_flag(reader, flag, value) < 0 ? -EINVAL : used;
	}
	if (reader->config->verb == CONFIG_HASH_KEY && slice_equal(flag, SLICE("--salt"))) {
		reader->config->salted = true;
		return 1;
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

static int check_arguments(struct reader *reader)
{
	struct config *config = reader->config;

	if (config->verb == CONFIG_CONVERT) {
		return check_convert(reader);
	}
	if (config->verb == CONFIG_HASH_KEY) {
		return check_alone(reader, "hash-key takes --salt, nothing else");
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
