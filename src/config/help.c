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

	printf("\nPresets for --policy and POLICY. 'check --policy NAME' prints what a preset "
	       "allows.\n\n");
	for (unsigned i = 0; i < policy_preset_count; i++) {
		print_word(policy_presets[i].name, &column);
	}
	printf("\n");
}

static void print_section_switches(void)
{
	printf("\n"
	       "Section switches, only in the environment. If one of them is set, the switches\n"
	       "replace POLICY.\n"
	       "Values: 1, true, yes or on; 0, false, no or off. Empty means 0.\n"
	       "\n"
	       "  1 allows GET and HEAD in this part of the API; POST=1 adds the other methods.\n"
	       "  Default: 1 for EVENTS, PING, VERSION, LIBPOD_PING and LIBPOD_VERSION, else 0\n");
	print_switches(SWITCH_SECTION, 0);
	printf("  1 allows every method in the sections that are 1. Default: 0\n");
	print_switches(SWITCH_POST, 0);
	printf("  1 allows and 0 denies this method in the sections that are 1.\n"
	       "  Default: the value of POST\n");
	print_switches(SWITCH_METHOD, 0);
	printf("  1 allows this action, whatever its section and POST are. RESTARTS means stop,\n"
	       "  restart and kill. Default: 0, and the action follows its section and POST\n");
	print_switches(SWITCH_OPERATIONS, SWITCH_OPENS);
	printf("  1 allows this action, whatever its section and POST are; 0 denies the action,\n"
	       "  whatever else is set. Default: the action follows its section and POST\n");
	print_switches(SWITCH_OPERATIONS, SWITCH_OPENS | SWITCH_CLOSES);
	printf("  0 denies this part of a section.\n"
	       "  Default: the part follows its section and POST\n");
	print_switches(SWITCH_OPERATIONS, SWITCH_CLOSES);
}

static const char usage[] =
        "docker-socket-proxy " VERSION ": a filtering proxy for the Docker Engine's unix "
        "socket.\n"
        "\n"
        "Usage:\n"
        "  docker-socket-proxy [run] [OPTION]... [--takeover unix:///PATH]\n"
        "  docker-socket-proxy check [OPTION]...\n"
        "  docker-socket-proxy explain [OPTION]... [--client NAME] [--server-name NAME] [--body "
        "FILE]\n"
        "                              'METHOD /path?query'\n"
        "  docker-socket-proxy learn [OPTION]...\n"
        "  docker-socket-proxy healthcheck [ADDR]\n"
        "  docker-socket-proxy convert --from SOURCE [--service NAME] [FILE]\n"
        "  docker-socket-proxy hash-key [--salt]\n"
        "  docker-socket-proxy certs DIR [--host NAME|IP]... [--client NAME]... [--days N]\n"
        "  docker-socket-proxy schema\n"
        "  docker-socket-proxy verify-audit FILE...\n"
        "  docker-socket-proxy status [ADDR] [--json | --watch] [-c FILE] [--key-file FILE] [--ca "
        "FILE]\n"
        "  docker-socket-proxy status streams [ADDR] [OPTION]...\n"
        "  docker-socket-proxy status close ID [ADDR] [OPTION]...\n"
        "  docker-socket-proxy reload [ADDR] [-c FILE] [--key-file FILE] [--ca FILE]\n"
        "\n";

static const char commands[] =
        "Commands:\n"
        "  run            forward requests until SIGTERM or SIGINT. This is the default command.\n"
        "                 --takeover unix:///PATH: take the listening sockets of the process that\n"
        "                 has its admin listener (ADMIN) there; it serves its open connections "
        "and\n"
        "                 streams until they end, at most --drain-timeout, and no connection is\n"
        "                 refused. Both run as the same user, or the new one as root\n"
        "  check          print the listeners, the policies and the operations that they allow.\n"
        "                 Exit status: 0; 2 if the configuration is wrong\n"
        "  explain        print whether a request is allowed, which rule decides, and what would\n"
        "                 allow the request. --body FILE: the request has this body.\n"
        "                 --client NAME: this client of the file sends it.\n"
        "                 --server-name NAME: over TLS, to this name ('sni' of an Engine).\n"
        "                 Exit status: 0 if the request is allowed, 1 if it is denied\n"
        "  learn          allow every request and record the operations of each client. SIGINT or\n"
        "                 SIGTERM ends learning and prints the smallest configuration that allows\n"
        "                 these operations, and the presets that allow them\n"
        "  healthcheck    ask a running proxy for its health. Default for ADDR: the first\n"
        "                 listener in the options of this command, else the first listener of\n"
        "                 process 1, the proxy of a container.\n"
        "                 tcp://HOST:PORT/engines/NAME asks for one of several Engines.\n"
        "                 Exit status: 0 if the proxy and its Engine respond, else 1\n"
        "  convert        print the settings of another proxy as YAML for --config.\n"
        "                 SOURCE is " CONFIG_SOURCES ".\n"
        "                 FILE is a compose file, an env file, a file of flags or CetusGuard's\n"
        "                 rules. Default: standard input.\n"
        "                 --service NAME: the service of the compose file\n"
        "  hash-key       read a key from standard input and print its hash for 'key_sha256' of\n"
        "                 a client, or for CLIENT_KEYS_FILE. --salt: with a random salt\n"
        "  certs          make a certificate authority in DIR, a certificate for the server (the\n"
        "                 proxy or dockerd) and one for a client, with the file names of Docker's\n"
        "                 documentation: DIR is a DOCKER_CERT_PATH. If DIR has an authority, it\n"
        "                 signs what is asked for. No file is overwritten.\n"
        "                 --host NAME|IP: name or address of the server, beside localhost.\n"
        "                 Default: the name of this machine.\n"
        "                 --client NAME: a client, in the folder DIR/NAME.\n"
        "                 --days N: 1 to 36500, how long certificates are valid. Default: 365\n"
        "  schema         print the JSON Schema of the file of --config, by which editors "
        "complete\n"
        "                 and check it. Needs no running proxy\n"
        "  verify-audit   print whether lines of audit records were changed, removed, added or\n"
        "                 moved since they were written, and which. Needs records with a chain:\n"
        "                 'audit: {path: FILE, chain: true}' in the file of --config. Several\n"
        "                 files: the oldest first. FILE - is standard input.\n"
        "                 Exit status: 0 if the chain is whole, 1 if it is broken, 2 if a file\n"
        "                 cannot be read\n";

static const char commands_to_operate[] =
        "  status         print what a running proxy does: configuration, Engine, clients, "
        "limits,\n"
        "                 streams, and the newest denials with what would allow each.\n"
        "                 Needs an admin listener: a proxy that was started with ADMIN, or with\n"
        "                 'admin' in its file. ADDR is its address. Default: ADMIN, else that of\n"
        "                 the file, else that of process 1, the proxy of a container.\n"
        "                 --json: as JSON. --watch: again each second.\n"
        "                 status streams lists what lasts; status close ID ends one of them.\n"
        "                 --key-file FILE: the key for a tcp:// or tls:// address, else the "
        "variable\n"
        "                 ADMIN_KEY. --ca FILE: certificate of a tls:// listener or its "
        "authority.\n"
        "                 Exit status: 0; 1 if there is no answer; 2 for a wrong argument\n"
        "  reload         let a running proxy read its configuration again, and print how it "
        "ended.\n"
        "                 Needs an admin listener; without one, send SIGHUP. ADDR, --key-file, "
        "--ca:\n"
        "                 as of status. Exit status: 0; 1 with the error if the former\n"
        "                 configuration stays; 2 for a wrong argument\n"
        "\n"
        "Options. An option overrides its variable, a variable overrides the file, and the file\n"
        "overrides the default. Several Engines: 'engines' in the file.\n";

static const char others[] = "\n"
                             "  -h, --help       print this help\n"
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
        "  docker-socket-proxy explain -c proxy.yaml --client ci 'POST /images/create'\n"
        "  docker-socket-proxy explain -c proxy.yaml --client ops 'GET /engines/node-1/info'\n"
        "  openssl rand -base64 32 | tee ci.key | docker-socket-proxy hash-key\n"
        "  docker-socket-proxy certs certs --host proxy.example.org --host 192.0.2.1\n"
        "  docker-socket-proxy certs certs --client ci --client ops\n"
        "  docker-socket-proxy learn --listen tcp://127.0.0.1:3277 > proxy.yaml\n"
        "  docker-socket-proxy convert --from tecnativa docker-compose.yml > proxy.yaml\n"
        "  ADMIN=unix:///run/docker-socket-proxy/admin.sock docker-socket-proxy\n"
        "  docker-socket-proxy run --takeover unix:///run/docker-socket-proxy/admin.sock\n"
        "  AUDIT=/var/log/docker-socket-proxy/audit.jsonl docker-socket-proxy\n"
        "  docker-socket-proxy verify-audit audit.jsonl.1 audit.jsonl\n"
        "  docker-socket-proxy schema > docker-socket-proxy.schema.json\n"
        "  docker-socket-proxy status --watch\n"
        "  docker-socket-proxy status streams unix:///run/docker-socket-proxy/admin.sock\n"
        "  docker-socket-proxy status close 5d1c0f3a9b7e2c44\n"
        "  docker exec proxy /docker-socket-proxy status\n"
        "  docker-socket-proxy reload unix:///run/docker-socket-proxy/admin.sock\n"
        "  docker-socket-proxy healthcheck tcp://127.0.0.1:3277\n";

void config_print_help(void)
{
	printf("%s%s%s", usage, commands, commands_to_operate);
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		print_option(&config_options[i]);
	}
	printf("%s", others);
	print_presets();
	print_section_switches();
	printf("%s", examples);
}
