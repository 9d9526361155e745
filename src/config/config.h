/* SPDX-License-Identifier: MIT */
/*
 * config — what the user asked for, validated, in one immutable struct.
 *
 * Precedence: flag, then environment, then file, then default. Every option is
 * one row of config/options.def, from which parsing, --help and the checks of
 * range come; every key of the file is a row of a table in config/file.c. A
 * value that cannot be understood is an error that names the option or
 * FILE:LINE, the value and what is accepted; nothing is guessed and nothing is
 * ignored.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "policy/policy.h"
#include "switches/switches.h"

enum {
	CONFIG_LISTENERS_MAX = 16,
	CONFIG_API_KEY_MAX = 4096,
	CONFIG_LISTEN_MAX = 2048,  /* bytes of the variable LISTEN */
	CONFIG_WARNING_MAX = 512,  /* bytes of one, its NUL included; what is longer is cut */
	CONFIG_SOCKET_MODE = 0660, /* of the file of a unix socket, where nothing else is said */
};

/* The file that is read where no other is named and this one is there. */
#define CONFIG_DEFAULT_FILE "/etc/docker-socket-proxy/proxy.yaml"

/* What `convert` converts from, as a sentence names it. */
#define CONFIG_SOURCES      "tecnativa, linuxserver, wollomatic or cetusguard"

enum config_verb {
	CONFIG_RUN,
	CONFIG_LEARN,
	CONFIG_CHECK,
	CONFIG_EXPLAIN,
	CONFIG_CONVERT,
	CONFIG_HEALTHCHECK,
	CONFIG_HELP,
	CONFIG_VERSION,
};

/* Where clients connect, and what holds for those who do. */
struct config_listener {
	const char *address;         /* as given, e.g. tcp://127.0.0.1:3277 */
	const struct policy *policy; /* compiled */
	unsigned mode;               /* of a unix socket's file */
	bool browsers;               /* requests of browsers are let through */
	struct place place;          /* file NULL: not from the file */
};

/* A sentence about settings that do not do what they may be meant to. */
struct config_warning {
	struct config_warning *next;
	const char *text;
};

struct config {
	enum config_verb verb;
	bool verb_alone; /* the command line is the verb and nothing else */
	struct config_listener listeners[CONFIG_LISTENERS_MAX]; /* at least one */
	unsigned listener_count;
	unsigned port;
	bool ipv4_only;     /* on `port` */
	bool loopback_only; /* on `port` */
	const char *file;   /* NULL: none */
	/* Where it was named: "--config", "CONFIG", or its own name. */
	const char *file_option;
	/* The policy of listeners for which the file names none, and where it was named. */
	const char *policy_name;
	const char *policy_option; /* "--policy", "POLICY", "default"; NULL: the file */
	struct place policy_place;
	const struct policy *policy; /* compiled */
	/* Operations to be allowed besides; NULL: none. And "--allow" or "ALLOW". */
	const char *allow;
	const char *allow_option;
	struct policy_set *policies; /* those of the file are compiled */
	/* What the environment says of sections; they replace POLICY. */
	struct switches switches;
	const char *switch_name;         /* one that is set and counts; NULL: none */
	struct config_warning *warnings; /* to be logged; NULL: none */
	/* The Engine's unix socket, an absolute path. */
	const char *socket_path;
	/* Where that came from: "--upstream", "SOCKET_PATH", "DOCKER_HOST" or "default". */
	const char *socket_option;
	const char *api_key; /* NULL: none */
	/* Argument of `healthcheck`; NULL: derived from the listeners. */
	const char *health_address;
	/* Arguments of `explain`: METHOD and target, one word or two. */
	const char *request[2];
	const char *body_file; /* NULL: none */
	/* Arguments of `convert`: --from, and a file or "-". */
	const char *source;
	const char *source_file;
	const char *source_service; /* of a compose file; NULL: by its image */
	unsigned workers;           /* 0: as many as CPUs may be used, at most 4 */
	unsigned max_connections;
	unsigned max_head;       /* bytes */
	unsigned head_timeout;   /* seconds */
	unsigned shutdown_grace; /* seconds */
	enum log_level log_level;
	enum log_format log_format;
	struct arena arena; /* of what was read from the file and LISTEN */
};

/*
 * Read the command line, the environment and the file. 0, or -EINVAL with a
 * complete sentence in `error`; config_free() in either case. Strings are
 * borrowed from argv and environment.
 */
int config_read(
        int argc, char *const argv[], struct config *ret_config, char error[FAULT_MAX]) MUST_USE;
void config_free(struct config *config);

/* What --help prints, made from options.def. */
void config_print_help(void);

#endif
