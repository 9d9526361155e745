/* SPDX-License-Identifier: MIT */
#include "config/options.h"
#include "policy/presets.h"

#include <stdio.h>

static void print_option(const struct config_option *option)
{
	if (option->flag != NULL) {
		printf("\n  %s %s", option->flag, option->argument);
	} else {
		printf("\n  %s=%s", option->variable, option->argument);
	}
	printf("    [environment%s%s", option->flag != NULL ? ": " : " only",
	        option->flag != NULL ? option->variable : "");
	if (option->fallback != NULL) {
		printf("; default: %s", option->fallback);
	}
	if (option->type == OPTION_NUMBER) {
		printf("; %u to %u", option->min, option->max);
	}
	printf("]\n");

	struct slice rest = slice_of(option->help);
	struct slice line;
	while (slice_next(&rest, '\n', &line)) {
		printf("      %.*s\n", SLICE_FMT(line));
	}
}

/* One more word of an indented list; `column` begins at 0. */
static void print_word(const char *word, size_t *column)
{
	enum { COLUMNS = 96, INDENT = 5 };
	const size_t len = strlen(word) + 1;

	if (*column == 0 || *column + len > COLUMNS) {
		printf("%s%*s", *column == 0 ? "" : "\n", INDENT, "");
		*column = INDENT;
	}
	printf(" %s", word);
	*column += len;
}

/* The variables of one kind, and of switches of operations those with these effects. */
static void print_switches(enum switch_kind kind, unsigned effects)
{
	size_t column = 0;

	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const struct switch_row *row = switches_row(number);
		if (row->kind == kind && row->effects == effects) {
			print_word(row->variable, &column);
		}
	}
	printf("\n");
}

static void print_presets(void)
{
	size_t column = 0;

	printf("\nPresets, for --policy and POLICY; check --policy NAME prints what one "
	       "allows:\n\n");
	for (unsigned i = 0; i < policy_preset_count; i++) {
		print_word(policy_presets[i].name, &column);
	}
	printf("\n");
}

static void print_section_switches(void)
{
	printf("\n"
	       "Section switches, only in the environment; any one of them set replaces POLICY.\n"
	       "1, true, yes or on; 0, false, no or off; off is the default unless said "
	       "otherwise:\n"
	       "\n"
	       "  GET and HEAD in a part of the API; any method with POST=1. EVENTS, PING, "
	       "VERSION,\n"
	       "  LIBPOD_PING and LIBPOD_VERSION are on by default\n");
	print_switches(SWITCH_SECTION, 0);
	printf("  any method in the sections that are on\n");
	print_switches(SWITCH_POST, 0);
	printf("  this method in the sections that are on: 1 allows it, 0 denies it; as POST when "
	       "not set\n");
	print_switches(SWITCH_METHOD, 0);
	printf("  one action, whatever its section and POST are (RESTARTS: stop, restart, kill)\n");
	print_switches(SWITCH_OPERATIONS, SWITCH_OPENS);
	printf("  the same, and 0 denies it whatever else is on\n");
	print_switches(SWITCH_OPERATIONS, SWITCH_OPENS | SWITCH_CLOSES);
	printf("  not this, although its section is on, when it is 0\n");
	print_switches(SWITCH_OPERATIONS, SWITCH_CLOSES);
}

static const char usage[] =
        "docker-socket-proxy " VERSION ": an HTTP front onto the Docker Engine's unix socket.\n"
        "\n"
        "Usage:\n"
        "  docker-socket-proxy [run] [OPTION]...\n"
        "  docker-socket-proxy check [OPTION]...\n"
        "  docker-socket-proxy explain [OPTION]... [--body FILE] 'METHOD /path?query'\n"
        "  docker-socket-proxy learn [OPTION]...\n"
        "  docker-socket-proxy healthcheck [ADDR]\n"
        "  docker-socket-proxy convert --from SOURCE [--service NAME] [FILE]\n"
        "\n"
        "Commands:\n"
        "  run            forward requests until SIGTERM or SIGINT; what happens without a "
        "command\n"
        "  check          print what the configuration means: listeners, policies and what "
        "each "
        "allows;\n"
        "                 exit 2 when it is wrong\n"
        "  explain        print whether a request is allowed, by which rule, and what would "
        "allow it;\n"
        "                 exit 0 when it is, 1 when not. --body FILE: the request has this "
        "body\n"
        "  learn          allow everything, note what each client asks for, and at the end "
        "(SIGINT or\n"
        "                 SIGTERM) print the smallest configuration that allows it, and "
        "presets that do\n"
        "  healthcheck    exit 0 when a running proxy and its Engine answer, 1 when not; "
        "ADDR is\n"
        "                 where to ask; without it what the options here say it listens on, and\n"
        "                 without those too where process 1 does, which is a container's proxy\n"
        "  convert        print another proxy's settings as YAML for --config; SOURCE is\n"
        "                 " CONFIG_SOURCES ";\n"
        "                 FILE a compose file, an env file, flags or CetusGuard's rules; "
        "without "
        "it\n"
        "                 standard input. --service NAME: this service of the compose file\n"
        "\n"
        "Options; a flag counts before the environment, the environment before the file, "
        "and that\n"
        "before the default:\n";

static const char others[] = "\n"
                             "  -h, --help       print this\n"
                             "  -V, --version    print the version\n";

static const char examples[] =
        "\n"
        "Examples:\n"
        "  docker-socket-proxy\n"
        "  docker-socket-proxy --listen tcp://127.0.0.1:3277 --listen "
        "unix:///run/proxy/docker.sock\n"
        "  PORT=2375 SOCKET_PATH=/run/user/1000/docker.sock docker-socket-proxy\n"
        "  docker-socket-proxy --policy traefik\n"
        "  docker-socket-proxy check -c proxy.yaml\n"
        "  docker-socket-proxy explain --policy read-only 'POST /containers/create'\n"
        "  docker-socket-proxy learn --listen tcp://127.0.0.1:3277 > proxy.yaml\n"
        "  docker-socket-proxy convert --from tecnativa docker-compose.yml > proxy.yaml\n"
        "  docker-socket-proxy healthcheck tcp://127.0.0.1:3277\n";

void config_print_help(void)
{
	printf("%s", usage);
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		print_option(&config_options[i]);
	}
	printf("%s", others);
	print_presets();
	print_section_switches();
	printf("%s", examples);
}
