/* SPDX-License-Identifier: MIT */
/*
 * main — argv → configuration → the verb that was asked for.
 */
#include "base/log.h"
#include "certs/certs.h"
#include "config/config.h"
#include "convert/convert.h"
#include "explain/explain.h"
#include "health/health.h"
#include "keys/keys.h"
#include "operate/operate.h"
#include "serve/serve.h"
#include "trail/trail.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static int print_help(struct config *config)
{
	(void)config;
	config_print_help();
	return EXIT_SUCCESS;
}

static int print_version(struct config *config)
{
	(void)config;
	(void)puts("docker-socket-proxy " VERSION);
	return EXIT_SUCCESS;
}

static int healthcheck(struct config *config)
{
	/* Said with nothing else, the verb asks what process 1 serves. */
	return health_check(config->verb_alone || config->health_address != NULL
	                            ? config->health_address
	                            : config->listeners[0].address);
}

static int convert(struct config *config)
{
	char error[FAULT_MAX];
	const struct convert_order order = {
	        .source = convert_find_source(slice_of(config->source)),
	        .file = config->source_file,
	        .service = config->source_service,
	};

	if (order.source == CONVERT_SOURCE_COUNT) {
		(void)fprintf(stderr,
		        "docker-socket-proxy: --from: '%s' is not accepted: give " CONFIG_SOURCES
		        "\n",
		        text_show(slice_of(config->source)).text);
		return EXIT_USAGE;
	}
	if (convert_run(&order, stdout, stderr, error) < 0) {
		(void)fprintf(stderr, "docker-socket-proxy: %s\n", error);
		return EXIT_USAGE;
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check(struct config *config)
{
	return explain_configuration(config);
}

static int explain(struct config *config)
{
	return explain_request(config);
}

static int hash_key(struct config *config)
{
	return keys_hash(config->salted);
}

static int certs(struct config *config)
{
	uint64_t days = 365;
	char error[FAULT_MAX];

	if (config->cert_days != NULL &&
	        (slice_to_u64(slice_of(config->cert_days), CERTS_DAYS_MAX, &days) < 0 ||
	                days == 0)) {
		(void)fprintf(stderr,
		        "docker-socket-proxy: --days: '%s' is not accepted: give a whole number "
		        "from 1 "
		        "to %d\n",
		        text_show(slice_of(config->cert_days)).text, CERTS_DAYS_MAX);
		return EXIT_USAGE;
	}
	const struct certs_order order = {
	        .folder = config->cert_folder,
	        .host_count = config->cert_hosts.count,
	        .hosts = config->cert_hosts.list,
	        .client_count = config->cert_clients.count,
	        .clients = config->cert_clients.list,
	        .days = (unsigned)days,
	};
	if (certs_make(&order, stdout, error) < 0) {
		(void)fprintf(stderr, "docker-socket-proxy: %s\n", error);
		return EXIT_USAGE;
	}
	return EXIT_SUCCESS;
}

static int status(struct config *config)
{
	return operate_status(config);
}

static int reload(struct config *config)
{
	return operate_reload(config);
}

static int print_schema(struct config *config)
{
	(void)config;
	config_print_schema();
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int verify_audit(struct config *config)
{
	return trail_verify(config->audit_files.count, config->audit_files.list);
}

/* What each verb does with a configuration of its own; its value is the exit status. */
static int (*const verbs[])(struct config *config) = {
        [CONFIG_HELP] = print_help,
        [CONFIG_VERSION] = print_version,
        [CONFIG_RUN] = serve,
        [CONFIG_LEARN] = serve,
        [CONFIG_HASH_KEY] = hash_key,
        [CONFIG_CERTS] = certs,
        [CONFIG_SCHEMA] = print_schema,
        [CONFIG_VERIFY_AUDIT] = verify_audit,
        [CONFIG_STATUS] = status,
        [CONFIG_RELOAD] = reload,
        [CONFIG_CHECK] = check,
        [CONFIG_EXPLAIN] = explain,
        [CONFIG_CONVERT] = convert,
        [CONFIG_HEALTHCHECK] = healthcheck,
};

/* Closed by the parent, they would be opened next for a connection, which would get the log. */
static bool keep_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) != fd) {
			return false;
		}
	}
	return true;
}

static void log_warnings(const struct config *config)
{
	if (config->verb == CONFIG_HEALTHCHECK) {
		return;
	}
	for (const struct config_warning *w = config->warnings; w != NULL; w = w->next) {
		log_line(LOG_WARNING, "%s", w->text);
	}
}

int main(int argc, char *argv[])
{
	static struct config *config; /* for a verb that leaves it to the end of the program */
	char error[FAULT_MAX];

	if (!keep_standard_streams()) {
		return EXIT_FAILURE;
	}
	config = check_memory(calloc(1, sizeof(*config)));
	if (argc > 0 && health_is_tool(argv[0])) {
		return health_run_tool(argc, argv);
	}
	if (config_read(argc, argv, config, error) < 0) {
		(void)fprintf(stderr, "docker-socket-proxy: %s\n", error);
		return EXIT_USAGE;
	}
	log_setup(config->log_level, config->log_format);
	log_warnings(config);
	return verbs[config->verb](config);
}
