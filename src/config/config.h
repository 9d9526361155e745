/* SPDX-License-Identifier: MIT */
/*
 * config — what the user asked for, validated, in one immutable struct.
 *
 * Precedence: flag, then environment, then default. Every option is one row of
 * config/options.def, from which parsing, --help and the checks of range come.
 * A value that cannot be understood is an error that names the option, the
 * value and what is accepted; nothing is guessed and nothing is ignored.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/check.h"
#include "base/log.h"

enum {
	CONFIG_LISTENERS_MAX = 16,
	CONFIG_ERROR_MAX = 1024, /* bytes of an error message */
	CONFIG_API_KEY_MAX = 4096,
	CONFIG_LISTEN_MAX = 2048, /* bytes of the variable LISTEN */
};

enum config_verb {
	CONFIG_RUN,
	CONFIG_HEALTHCHECK,
	CONFIG_HELP,
	CONFIG_VERSION,
};

struct config {
	enum config_verb verb;
	/* Addresses as given, e.g. tcp://127.0.0.1:3277; none: `port` on all interfaces. */
	const char *listen[CONFIG_LISTENERS_MAX];
	unsigned listen_count;
	uint16_t port;
	/* The Engine's unix socket, an absolute path. */
	const char *socket_path;
	/* Where that came from: "--upstream", "SOCKET_PATH", "DOCKER_HOST" or "default". */
	const char *socket_option;
	const char *api_key; /* NULL: none */
	/* Argument of `healthcheck`; NULL: derived from the listeners. */
	const char *health_address;
	unsigned workers; /* 0: as many as CPUs may be used, at most 4 */
	unsigned max_connections;
	unsigned max_head;       /* bytes */
	unsigned head_timeout;   /* seconds */
	unsigned shutdown_grace; /* seconds */
	enum log_level log_level;
	enum log_format log_format;
	/* What the variable LISTEN holds, cut at its commas. */
	char listen_memory[CONFIG_LISTEN_MAX];
};

/*
 * Read the command line and the environment. 0, or -EINVAL with a complete
 * sentence in `error`. Strings are borrowed from argv and environment, and
 * `listen` may point into `listen_memory`: do not copy the struct.
 */
int config_read(int argc, char *const argv[], struct config *ret_config,
        char error[CONFIG_ERROR_MAX]) MUST_USE;

/* What --help prints, made from options.def. */
void config_print_help(void);

#endif
