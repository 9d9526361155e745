/* SPDX-License-Identifier: MIT */
/*
 * Variables that somebody set to restrict, and that this program does not read:
 * which stop the start, which are a warning, and what is said of them.
 */
#include "cases.h"

#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLIENTS                                                                                    \
	" Nothing else says what clients may do: set POLICY (open allows everything), a "          \
	"section switch or CONFIG"
#define LISTENING                                                                                  \
	" Nothing else says where to listen: set LISTEN (tcp://*:3277, if all interfaces are "     \
	"meant)"
#define FILES                                                                                      \
	" Nothing else says where the proxy sees the host's files: set HOST_ROOT (/host), or "     \
	"unset it"
#define WOLLOMATIC                                                                                 \
	"a variable of wollomatic's socket-proxy; 'docker-socket-proxy convert --from "            \
	"wollomatic' converts its settings to a file for CONFIG"
#define CETUSGUARD                                                                                 \
	"a variable of CetusGuard; 'docker-socket-proxy convert --from cetusguard' converts its "  \
	"settings to a file for CONFIG"
#define SECTION_READ                                                                               \
	"no variable of this program: CONTAINERS=1 allows GET and HEAD below /containers, and "    \
	"so on"
#define SWITCHED                                                                                   \
	"no variable of this program: CONTAINERS=1 allows GET and HEAD below /containers, POST=1 " \
	"the other methods; what is not 1 is denied"
#define NO_DENY     "no variable can deny requests: write 'deny' rules into a file for CONFIG"
#define UNKNOWN     "there is no such variable; --help lists the variables"
#define MEANT(name) "there is no such variable; did you mean " name "?"

struct foreign_case {
	const char *environment; /* "A=1 B=2" */
	const char *line;
	const char *refusal; /* NULL: it starts */
	const char *warning; /* the last one; NULL: none */
};

static const struct foreign_case cases[] = {
        /* Other proxies' variables. Several that say the same get one sentence. */
        {"SP_ALLOW_GET=x", "", "SP_ALLOW_GET: " WOLLOMATIC "." CLIENTS, NULL},
        {"SP_LISTENIP=y", "", "SP_LISTENIP=y: " WOLLOMATIC "." LISTENING, NULL},
        {"SP_ALLOW_GET=x SP_LISTENIP=y CETUSGUARD_RULES=z", "",
                "SP_ALLOW_GET, SP_LISTENIP=y: " WOLLOMATIC ". CETUSGUARD_RULES: " CETUSGUARD
                "." CLIENTS "." LISTENING,
                NULL},
        {"SP_ALLOW_GET=x CETUSGUARD_RULES=z SP_A=", "",
                "SP_ALLOW_GET, SP_A: " WOLLOMATIC ". CETUSGUARD_RULES: " CETUSGUARD "." CLIENTS,
                NULL},
        {"SP_ALLOW_GET=x", "--policy traefik", NULL, "SP_ALLOW_GET: " WOLLOMATIC},
        {"SP_ALLOW_GET=x CONTAINERS=1", "", NULL, "SP_ALLOW_GET: " WOLLOMATIC},
        {"SP_ALLOW_GET=x ALLOW=container.list", "", NULL, "SP_ALLOW_GET: " WOLLOMATIC},
        {"SP_ALLOW_GET=x", "learn", NULL, "SP_ALLOW_GET: " WOLLOMATIC},
        {"SP_LISTENIP=y", "--listen tcp://*:1", NULL, "SP_LISTENIP=y: " WOLLOMATIC},
        {"SP_LISTENIP=y LOOPBACK=1", "", NULL, "SP_LISTENIP=y: " WOLLOMATIC},
        {"SP_LISTENIP=y", "--policy traefik", "SP_LISTENIP=y: " WOLLOMATIC "." LISTENING, NULL},
        {"SP_ALLOW_GET=x", "healthcheck", NULL, NULL},
        {"XSP_ALLOW_GET=x SP=1 CETUS=1", "", NULL, NULL},

        /* What closes nothing is named, one after the other. */
        {"CONTAINERS=1 POST=1 ALLOW_START=0 ALLOW_STOP=0", "", NULL,
                "ALLOW_START=0, ALLOW_STOP=0: this closes nothing: other switches allow it"},

        /* Methods, and the words that people put in front of a switch or behind it. */
        {"GET=0", "", "GET=0: " SWITCHED "." CLIENTS, NULL},
        {"HEAD=0", "--policy traefik", NULL, "HEAD=0: " SWITCHED},
        {"NO_EXEC=1", "", "NO_EXEC: " SWITCHED "." CLIENTS, NULL},
        {"DISABLE_POST=1 EXEC_DENY=1", "", "DISABLE_POST, EXEC_DENY: " SWITCHED "." CLIENTS, NULL},
        {"NO_PROXY=x NO_=1 _DENY=1 NO_EXECUTION=1 ENABLE_X=1", "", NULL, NULL},

        /* A pattern of any switch, with its own ending and something before it. */
        {"CONTAINERS_READ=1", "", "CONTAINERS_READ: " SECTION_READ "." CLIENTS, NULL},
        {"CONTAINERS_READ=1", "--policy traefik", NULL, "CONTAINERS_READ: " SECTION_READ},
        {"FOO_READ=1", "", NULL, NULL},
        {"_READ=1", "", NULL, NULL},
        {"ALLOW_START_READ=1", "", "ALLOW_START_READ: " SECTION_READ "." CLIENTS, NULL},
        {"CONTAINERS_READX=1", "", NULL, NULL},

        /* Such spellings occur, and in them the name counts, as written. */
        {"sp-allow-get=x", "", "sp-allow-get: " WOLLOMATIC "." CLIENTS, NULL},
        {"Polcy=open", "", "Polcy=open: " MEANT("POLICY") CLIENTS, NULL},
        {"disable-exec=1", "", "disable-exec: " SWITCHED "." CLIENTS, NULL},
        {"az_polcyz=1", "", NULL, NULL},
        {"a_name_that_is_so_long_that_it_is_like_no_other_and_is_read_as_it_is_written=1", "", NULL,
                NULL},

        /* What cannot be done stops the start whatever else is set. */
        {"DENY=x", "--policy traefik", "DENY=x: " NO_DENY, NULL},
        {"DENY_X=x", "learn", "DENY_X: " NO_DENY, NULL},

        /* Names that people expect: the one that is meant, unless it is set. */
        {"POLICY_FILE=/x", "", "POLICY_FILE=/x: " MEANT("CONFIG") CLIENTS, NULL},
        {"PRESET=x", "--policy open", NULL, "PRESET=x: " MEANT("POLICY")},
        {"PRESET=x POLICY=traefik", "", NULL, "PRESET=x: " UNKNOWN},
        {"PROXY_POLICY=read-only", "", "PROXY_POLICY=read-only: " MEANT("POLICY") CLIENTS, NULL},
        {"HOSTROOT=/host", "", "HOSTROOT=/host: " MEANT("HOST_ROOT") FILES, NULL},
        {"HOST_ROT=/host", "--policy open", "HOST_ROT=/host: " MEANT("HOST_ROOT") FILES, NULL},
        {"HOST_ROT=/host", "--policy agent --workspace /srv --host-root /usr", NULL,
                "HOST_ROT=/host: " MEANT("HOST_ROOT")},
        {"HOST_PORT=80 HTTP_ROOT=/srv", "", NULL, NULL},
        {"DSP_POLICY=x", "", "DSP_POLICY=x: " MEANT("POLICY") CLIENTS, NULL},
        {"PRESET=x POLICY=traefik POLICIES=y", "", NULL, "POLICIES=y: " UNKNOWN},

        /* Slips in the names of options: of those alone that restrict something. */
        {"LISTN=tcp://*:1", "", "LISTN=tcp://*:1: " MEANT("LISTEN") LISTENING, NULL},
        {"LISTN=tcp://*:1 CONTAINERS=1", "", "LISTN=tcp://*:1: " MEANT("LISTEN") LISTENING, NULL},
        {"LISTN=tcp://*:1 LISTEN=tcp://127.0.0.1:1", "", NULL, "LISTN=tcp://*:1: " UNKNOWN},
        {"LOG_LEVL=debug", "", NULL, NULL},
        {"WORKRS=many", "", NULL, NULL},

        /* Slips in the names of switches, which have the values of switches. */
        {"ALLOW_STRAT=0", "", "ALLOW_STRAT=0: " MEANT("ALLOW_START") CLIENTS, NULL},
        {"ALLOW_IMAGE=1", "", "ALLOW_IMAGE=1: " MEANT("IMAGES") CLIENTS, NULL},
        {"ALLOW_QQQQQQQ=1", "", "ALLOW_QQQQQQQ=1: " UNKNOWN "." CLIENTS, NULL},
        {"LIBPOD_ALLOW_POD_STRT=1", "",
                "LIBPOD_ALLOW_POD_STRT=1: " MEANT("LIBPOD_ALLOW_POD_START") CLIENTS, NULL},
        {"LIBPOD_POD=1", "", "LIBPOD_POD=1: " MEANT("LIBPOD_PODS") CLIENTS, NULL},
        {"LIBPOD_POD=maybe", "", "LIBPOD_POD=maybe: " MEANT("LIBPOD_PODS") CLIENTS, NULL},
        {"CONTAINER=1", "", "CONTAINER=1: " MEANT("CONTAINERS") CLIENTS, NULL},
        {"PRT=1", "", "PRT=1: " MEANT("PORT") CLIENTS, NULL},
        {"PRT=1 PORT=1", "", "PRT=1: " MEANT("PUT") CLIENTS, NULL},

        /* Beside other switches a slip that can be nothing else stops the start, or one to close.
         */
        {"CONTAINER=1 CONTAINERS=1", "", NULL, "CONTAINER=1: " UNKNOWN},
        {"CONTAINER=0 CONTAINERS=1", "", "CONTAINER=0: " UNKNOWN, NULL},
        {"ALLOW_STRAT=1 CONTAINERS=1", "", "ALLOW_STRAT=1: " MEANT("ALLOW_START"), NULL},
        {"IMAGE=1 CONTAINERS=1", "", NULL, "IMAGE=1: " MEANT("IMAGES")},
        {"PRT=1 CONTAINERS=1", "", NULL, "PRT=1: " MEANT("PORT")},
};

static int read_case(const struct foreign_case *foreign, struct config *config, char *error)
{
	char words[512];
	char *argv[8] = {(char[]){"docker-socket-proxy"}};
	int argc = 1;
	char *rest = words;

	assert_int_equal(clearenv(), 0);
	(void)snprintf(words, sizeof(words), "%s", foreign->environment);
	for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
		char *value = strchr(word, '=');
		*value = '\0';
		assert_int_equal(setenv(word, value + 1, 1), 0);
	}
	(void)snprintf(words, sizeof(words), "%s", foreign->line);
	rest = words;
	for (char *word = strsep(&rest, " "); word != NULL && word[0] != '\0';
	        word = strsep(&rest, " ")) {
		argv[argc++] = word;
	}
	return config_read(argc, argv, config, error);
}

static void each_is_what_was_meant(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct config config = {0};
		char error[FAULT_MAX] = "";
		const int r = read_case(&cases[i], &config, error);
		const char *refusal = cases[i].refusal == NULL ? "" : cases[i].refusal;
		assert_slice(cases[i].environment, slice_of(error), slice_of(refusal));
		assert_int_equal(r, cases[i].refusal == NULL ? 0 : -EINVAL);
		if (r == 0) {
			const char *warning = NULL;
			for (const struct config_warning *at = config.warnings; at != NULL;
			        at = at->next) {
				warning = at->text;
			}
			assert_slice(cases[i].environment, slice_of(warning == NULL ? "" : warning),
			        slice_of(cases[i].warning == NULL ? "" : cases[i].warning));
		}
		config_free(&config);
	}
}

/* More slips than are kept are no harm, and no reason to start. */
static void a_hundred_slips_stop_the_start(void **state)
{
	struct config config = {0};
	char error[FAULT_MAX];
	char name[32];

	(void)state;
	assert_int_equal(clearenv(), 0);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "SP_%u", i);
		assert_int_equal(setenv(name, "x", 1), 0);
	}
	char *argv[] = {(char[]){"docker-socket-proxy"}};
	assert_int_equal(config_read(1, argv, &config, error), -EINVAL);
	assert_non_null(strstr(error, "SP_0, SP_1, "));
	assert_non_null(strstr(error, ", SP_63: "));
	config_free(&config);
}

static void what_does_not_fit_is_cut_visibly(void **state)
{
	struct config config = {0};
	char error[FAULT_MAX];
	char name[32];

	(void)state;
	assert_int_equal(clearenv(), 0);
	for (unsigned i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "ALLOW_SOMETHING_%u", i);
		assert_int_equal(setenv(name, "1", 1), 0);
	}
	char *argv[] = {(char[]){"docker-socket-proxy"}};
	assert_int_equal(config_read(1, argv, &config, error), -EINVAL);
	assert_true(slice_ends_with(slice_of(error), SLICE("...")));
	config_free(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_is_what_was_meant),
	        cmocka_unit_test(a_hundred_slips_stop_the_start),
	        cmocka_unit_test(what_does_not_fit_is_cut_visibly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
