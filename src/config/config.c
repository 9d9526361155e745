/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include "address/address.h"
#include "base/nearest.h"
#include "config/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const struct config_option config_options[CONFIG_OPTION_COUNT] = {
#define OPTION(target, on_line, in_environment, kind, default_text, least, most, value, text)      \
	{                                                                                          \
	        .flag = (on_line),                                                                 \
	        .variable = (in_environment),                                                      \
	        .preset = (default_text),                                                          \
	        .argument = (value),                                                               \
	        .help = (text),                                                                    \
	        .member = offsetof(struct config, target),                                         \
	        .type = OPTION_##kind,                                                             \
	        .min = (least),                                                                    \
	        .max = (most),                                                                     \
	},
#include "config/options.def"
#undef OPTION
};

/* One line: the option or variable, the value, what is accepted. */
static int refuse(struct reader *reader, const char *name, struct slice value, const char *accepted)
{
	return fault_set(reader->error, NOWHERE, "%s: '%s' is not accepted: %s", name,
	        text_show(value).text, accepted);
}

static int read_number(struct reader *reader, const struct config_option *option, const char *name,
        const char *value, unsigned *ret_number)
{
	uint64_t number;

	if (slice_to_u64(slice_of(value), option->max, &number) < 0 || number < option->min) {
		return fault_set(reader->error, NOWHERE,
		        "%s: '%s' is not accepted: %s is a whole number from %u to %u", name,
		        text_show(slice_of(value)).text, option->argument, option->min,
		        option->max);
	}
	*ret_number = (unsigned)number;
	return 0;
}

int config_add_listener(struct reader *reader, const char *name, const char *address,
        struct config_listener **ret_listener)
{
	struct config *config = reader->config;
	union address parsed;
	const char *problem = address_parse(slice_of(address), &parsed);

	if (problem != NULL) {
		return refuse(reader, name, slice_of(address), problem);
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		if (strcmp(config->listeners[i].address, address) == 0) {
			return refuse(reader, name, slice_of(address), "it is given twice");
		}
	}
	if (config->listener_count == CONFIG_LISTENERS_MAX) {
		return fault_set(reader->error, NOWHERE, "%s: there are more than %d addresses",
		        name, CONFIG_LISTENERS_MAX);
	}
	*ret_listener = &config->listeners[config->listener_count++];
	**ret_listener = (struct config_listener){.address = address, .mode = CONFIG_SOCKET_MODE};
	return 0;
}

static int read_listener_list(struct reader *reader, const char *name, const char *value)
{
	struct slice rest = slice_of(value);
	struct slice element;
	struct config_listener *listener;

	if (rest.len >= CONFIG_LISTEN_MAX) {
		return fault_set(reader->error, NOWHERE, "%s: it is longer than %d bytes", name,
		        CONFIG_LISTEN_MAX - 1);
	}
	while (slice_next(&rest, ',', &element)) {
		const char *address = arena_copy(&reader->config->arena, slice_trim(element));
		if (config_add_listener(reader, name, address, &listener) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_socket(struct reader *reader, const char *name, const char *value)
{
	const char *path = value[0] == '/' ? value : address_path(value);

	if (path == NULL) {
		return refuse(reader, name, slice_of(value),
		        "give the Engine's unix socket as an absolute path or as unix:///PATH");
	}
	const char *problem = address_path_problem(slice_of(path));
	if (problem != NULL) {
		return refuse(reader, name, slice_of(value), problem);
	}
	reader->config->socket_path = path;
	reader->config->socket_option = name;
	return 0;
}

static int read_docker_host(struct reader *reader, const char *name, const char *value)
{
	if (address_path(value) == NULL) {
		return refuse(reader, name, slice_of(value),
		        "only a unix socket can be the Engine's address here: give unix:///PATH, "
		        "or set "
		        "SOCKET_PATH, which counts before it");
	}
	return read_socket(reader, name, value);
}

/* A field value (RFC 9110 §5.5); its text never appears in a message. */
static int read_secret(struct reader *reader, const char *name, const char *value)
{
	const struct slice secret = slice_of(value);

	if (secret.len > CONFIG_API_KEY_MAX) {
		return fault_set(reader->error, NOWHERE,
		        "%s: its value has %zu bytes; at most %d are accepted", name, secret.len,
		        CONFIG_API_KEY_MAX);
	}
	if (slice_trim(secret).len != secret.len) {
		return fault_set(reader->error, NOWHERE,
		        "%s: its value begins or ends with a space or a tab", name);
	}
	for (size_t i = 0; i < secret.len; i++) {
		const unsigned char c = (unsigned char)secret.ptr[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return fault_set(reader->error, NOWHERE,
			        "%s: byte %zu of its value is a control byte (0x%02x), which a "
			        "header field "
			        "cannot carry",
			        name, i + 1, (unsigned)c);
		}
	}
	reader->config->api_key = value;
	return 0;
}

static int read_log_format(struct reader *reader, const char *name, const char *value)
{
	if (strcmp(value, "text") == 0) {
		reader->config->log_format = LOG_TEXT;
	} else if (strcmp(value, "json") == 0) {
		reader->config->log_format = LOG_JSON;
	} else {
		return refuse(reader, name, slice_of(value), "give text or json");
	}
	return 0;
}

/* "1", "off" … */
static int read_switch(struct reader *reader, const char *name, const char *value, bool *ret_on)
{
	enum switch_value on;

	if (!switches_read_value(slice_of(value), &on)) {
		return refuse(reader, name, slice_of(value),
		        "give 1, true, yes or on, or 0, false, no or off");
	}
	*ret_on = on == SWITCH_ON;
	return 0;
}

static int read_value(struct reader *reader, const struct config_option *option, const char *name,
        const char *value)
{
	void *member = (char *)reader->config + option->member;
	struct config_listener *listener;
	unsigned number = 0;

	switch (option->type) {
	case OPTION_TEXT:
		*(const char **)member = value;
		return 0;
	case OPTION_POLICY:
		reader->config->policy_name = value;
		reader->config->policy_option = name;
		return 0;
	case OPTION_ADDRESSES:
		return name == option->flag ? config_add_listener(reader, name, value, &listener)
		                            : read_listener_list(reader, name, value);
	case OPTION_SOCKET:
		return read_socket(reader, name, value);
	case OPTION_DOCKER_HOST:
		return read_docker_host(reader, name, value);
	case OPTION_SECRET:
		return read_secret(reader, name, value);
	case OPTION_NUMBER:
		return read_number(reader, option, name, value, member);
	case OPTION_PORT:
		if (read_number(reader, option, name, value, &number) < 0) {
			return -EINVAL;
		}
		*(uint16_t *)member = (uint16_t)number;
		return 0;
	case OPTION_SWITCH:
		return read_switch(reader, name, value, member);
	case OPTION_LOG_LEVEL:
		if (log_level_parse(slice_of(value), member) < 0) {
			return refuse(reader, name, slice_of(value),
			        "give debug, info, notice, warning, err, crit, alert or emerg");
		}
		return 0;
	case OPTION_LOG_FORMAT:
		return read_log_format(reader, name, value);
	}
	ASSERT(false); /* every type is above */
	return -EINVAL;
}

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
			        "%s: this is only taken from the environment, as %s",
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
			return refuse(reader, "healthcheck", slice_of(word), problem);
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
	if (slice_equal(flag, SLICE("--client"))) {
		return fault_set(reader->error, NOWHERE,
		        "--client: this version does not tell clients apart; say which "
		        "policy is meant with --policy NAME");
	}
	if (value == NULL) {
		return fault_set(
		        reader->error, NOWHERE, "--body: its value is missing: give --body FILE");
	}
	reader->config->body_file = value;
	return 0;
}

/* The one flag of `convert`. */
static int read_convert_flag(struct reader *reader, const char *value)
{
	if (value == NULL) {
		return fault_set(reader->error, NOWHERE,
		        "--from: its value is missing: give --from " CONFIG_SOURCES);
	}
	if (reader->config->source != NULL) {
		return fault_set(reader->error, NOWHERE, "--from: it is given twice");
	}
	reader->config->source = value;
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
	if (reader->config->verb == CONFIG_CONVERT && slice_equal(flag, SLICE("--from"))) {
		return read_convert_flag(reader, value) < 0 ? -EINVAL : used;
	}
	if (option == NULL) {
		return fail_unknown(reader, "option", flag);
	}
	if (value == NULL || (value[0] == '\0' && option->type <= OPTION_POLICY)) {
		return fault_set(reader->error, NOWHERE, "%s: its value is missing: give %s %s",
		        option->flag, option->flag, option->argument);
	}
	bool *given = &reader->given[option - config_options];
	if (*given && option->type != OPTION_ADDRESSES) {
		return fault_set(reader->error, NOWHERE, "%s: it is given twice", option->flag);
	}
	*given = true;
	if (read_value(reader, option, option->flag, value) < 0) {
		return -EINVAL;
	}
	return used;
}

static bool is_one_of(const char *argument, const char *brief, const char *flag)
{
	return strcmp(argument, brief) == 0 || strcmp(argument, flag) == 0;
}

static int read_arguments(struct reader *reader, int argc, char *const argv[])
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

/* Whether this option, or another row of the same member, was given already: here, or in the file.
 */
static bool is_given(const struct reader *reader, const struct config_option *option)
{
	if (option->type == OPTION_SOCKET && reader->config->socket_path != NULL) {
		return true;
	}
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (reader->given[i] && config_options[i].member == option->member) {
			return true;
		}
	}
	return false;
}

static int read_environment(struct reader *reader)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct config_option *option = &config_options[i];
		const char *value = getenv(option->variable);

		if (value == NULL || value[0] == '\0' || is_given(reader, option)) {
			continue;
		}
		reader->given[i] = true;
		if (read_value(reader, option, option->variable, value) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

void config_give(struct reader *reader, size_t member, const char *value)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct config_option *option = &config_options[i];
		if (option->member == member && !is_given(reader, option)) {
			reader->given[i] = true;
			const int code = read_value(reader, option, option->variable, value);
			ASSERT(code == 0);
		}
	}
}

static int read_defaults(struct reader *reader)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct config_option *option = &config_options[i];

		if (option->preset != NULL && !is_given(reader, option) &&
		        read_value(reader, option, "default", option->preset) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* ── Put together ────────────────────────────────────────────────────────── */

static void add_default_listener(struct config *config)
{
	enum { ADDRESS_MAX = sizeof("tcp://0.0.0.0:65535") };
	char *address = arena_take(&config->arena, ADDRESS_MAX);

	(void)snprintf(address, ADDRESS_MAX, "tcp://%s:%u", config->ipv4_only ? "0.0.0.0" : "*",
	        config->port);
	config->listeners[config->listener_count++] =
	        (struct config_listener){.address = address, .mode = CONFIG_SOCKET_MODE};
}

/* A proxy that is its own Engine would forward to itself for ever. */
static int check_loop(struct reader *reader)
{
	const struct config *config = reader->config;

	for (unsigned i = 0; i < config->listener_count; i++) {
		const char *path = address_path(config->listeners[i].address);
		if (path != NULL && strcmp(path, config->socket_path) == 0) {
			return fault_set(reader->error, NOWHERE,
			        "'%s' is both an address to listen on and the Engine's socket (%s)",
			        text_show(slice_of(config->socket_path)).text,
			        config->socket_option);
		}
	}
	return 0;
}

static void use_policy(struct config *config, const struct policy *policy)
{
	config->policy = policy;
	for (unsigned i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].policy == NULL || config->verb == CONFIG_LEARN) {
			config->listeners[i].policy = policy;
		}
	}
}

static int build_switches(struct reader *reader)
{
	struct config *config = reader->config;
	struct policy *policy = NULL;

	if (switches_build(config->policies, &config->switches, &policy, reader->error) < 0) {
		return -EINVAL;
	}
	use_policy(config, policy);
	return 0;
}

static bool every_listener_has_a_policy(const struct config *config)
{
	for (unsigned i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].policy == NULL) {
			return false;
		}
	}
	return true;
}

/* --policy and POLICY do not open what the file closes, and whoever gave them is told. */
static void warn_of_policy_without_use(struct config *config)
{
	const bool is_given =
	        config->policy_option != NULL && strcmp(config->policy_option, "default") != 0;

	if (is_given && (config->verb == CONFIG_RUN || config->verb == CONFIG_CHECK) &&
	        every_listener_has_a_policy(config)) {
		(void)snprintf(config->warning, CONFIG_WARNING_MAX,
		        "%s=%.64s does not count: every listener in %.128s names its policy",
		        config->policy_option, config->policy_name, config->file);
	}
}

static void warn_of_port_without_use(const struct reader *reader)
{
	struct config *config = reader->config;

	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (reader->given[i] && config_options[i].type == OPTION_PORT) {
			(void)snprintf(config->warning, CONFIG_WARNING_MAX,
			        "PORT=%u does not count: addresses to listen on are given",
			        config->port);
		}
	}
}

/* The policy of listeners that the file gives none. */
static int choose_policy(struct reader *reader)
{
	struct config *config = reader->config;
	struct policy *policy = NULL;

	if (config->switch_name != NULL && config->verb != CONFIG_LEARN) {
		return build_switches(reader);
	}
	if (config->policy_name == NULL) {
		config->policy_name = config->file == NULL ? "open" : "deny";
		config->policy_option = "default";
	}
	if (config->verb == CONFIG_LEARN) {
		config->policy_name = "open"; /* it has to see what would be asked next */
	}
	if (policy_set_find(config->policies, slice_of(config->policy_name), config->policy_place,
	            &policy, reader->error) < 0 ||
	        policy_seal(policy, reader->error) < 0) {
		return -EINVAL;
	}
	warn_of_policy_without_use(config);
	use_policy(config, policy);
	return 0;
}

/* Nothing that is given is ignored: `convert` asks for no settings of this program. */
static int check_convert(struct reader *reader)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (reader->given[i]) {
			return fault_set(reader->error, NOWHERE,
			        "%s: convert takes --from SOURCE and a file, nothing else",
			        config_options[i].flag);
		}
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
	if (config->verb == CONFIG_EXPLAIN && config->request[0] == NULL) {
		return fault_set(reader->error, NOWHERE,
		        "explain: the request is missing: give 'METHOD /path?query', "
		        "such as 'GET /containers/json'");
	}
	return 0;
}

/* Who asks for keys must not get a proxy that serves everyone. */
static int refuse_client_keys(struct reader *reader)
{
	const char *file = getenv("CLIENT_KEYS_FILE");

	if (file == NULL || file[0] == '\0') {
		return 0;
	}
	return fault_set(reader->error, NOWHERE,
	        "CLIENT_KEYS_FILE=%s: this version cannot ask callers for a key: unset it, and let "
	        "only those reach the proxy who may",
	        text_show(slice_of(file)).text);
}

int config_read(int argc, char *const argv[], struct config *ret_config, char error[FAULT_MAX])
{
	struct reader reader = {.config = ret_config, .error = error};

	*ret_config = (struct config){.verb = CONFIG_RUN};
	error[0] = '\0';
	if (read_arguments(&reader, argc, argv) < 0) {
		return -EINVAL;
	}
	/* These two have to work whatever else is wrong. */
	if (ret_config->verb == CONFIG_HELP || ret_config->verb == CONFIG_VERSION) {
		return 0;
	}
	if (check_arguments(&reader) < 0) {
		return -EINVAL;
	}
	if (ret_config->verb == CONFIG_CONVERT) {
		return 0; /* another program's settings are of no concern to it, whatever they are
		           */
	}
	if (read_environment(&reader) < 0 || config_read_switches(&reader) < 0) {
		return -EINVAL;
	}
	if (refuse_client_keys(&reader) < 0) {
		return -EINVAL;
	}
	ret_config->policies = policy_set_new();
	if (ret_config->file != NULL && config_read_file(&reader) < 0) {
		return -EINVAL;
	}
	if (ret_config->listener_count > 0) {
		warn_of_port_without_use(&reader);
	}
	if (read_defaults(&reader) < 0) {
		return -EINVAL;
	}
	if (ret_config->listener_count == 0) {
		add_default_listener(ret_config);
	}
	return check_loop(&reader) < 0 || choose_policy(&reader) < 0 ? -EINVAL : 0;
}

void config_free(struct config *config)
{
	policy_set_free(config->policies);
	arena_free(&config->arena);
	*config = (struct config){.verb = CONFIG_RUN};
}
