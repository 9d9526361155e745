/* SPDX-License-Identifier: MIT */
/*
 * config — the settings of the user, checked, in one immutable struct.
 *
 * Precedence: option, then environment, then file, then default. Every option is
 * one row of config/options.def; parsing, --help and the checks of ranges use the
 * row. Every key of the file is a row of a table in config/file.c. A value that
 * is not understood is an error, which names the option or FILE:LINE, the value
 * and what is accepted. Nothing is guessed or ignored.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "address/address.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "engines/engines.h"
#include "identity/clients.h"
#include "limits/limits.h"
#include "net/tls.h"
#include "policy/policy.h"
#include "switches/switches.h"
#include "trail/trail.h"

enum {
	CONFIG_LISTENERS_MAX = 16,
	CONFIG_API_KEY_MAX = 4096,
	CONFIG_LISTEN_MAX = 2048, /* bytes of the variable LISTEN */
	CONFIG_WARNING_MAX = 512, /* bytes with the NUL; a longer warning is cut */
	CONFIG_WORDS_MAX = 32,
	CONFIG_SOCKET_MODE = 0660, /* default mode of a unix socket's file */
	CONFIG_ADMIN_MODE = 0600,  /* that of the admin listener */
	CONFIG_ADMIN_KEYS_MAX = 64,
};

/* The file that is read if no file is named and this file exists. */
#define CONFIG_DEFAULT_FILE "/etc/docker-socket-proxy/proxy.yaml"

/* The sources of `convert`, as part of a sentence. */
#define CONFIG_SOURCES      "tecnativa, linuxserver, wollomatic or cetusguard"

enum config_verb {
	CONFIG_RUN,
	CONFIG_LEARN,
	CONFIG_CHECK,
	CONFIG_EXPLAIN,
	CONFIG_CONVERT,
	CONFIG_HEALTHCHECK,
	CONFIG_HASH_KEY,
	CONFIG_CERTS,
	CONFIG_SCHEMA,
	CONFIG_VERIFY_AUDIT,
	CONFIG_STATUS,
	CONFIG_RELOAD,
	CONFIG_HELP,
	CONFIG_VERSION,
};

/* An address for clients, and the settings for clients that connect there. */
struct config_listener {
	const char *address;         /* as given, such as tcp://127.0.0.1:3277 */
	const char *name;            /* NULL: none */
	const struct policy *policy; /* compiled */
	unsigned mode;               /* of a unix socket's file */
	bool browsers;               /* accept requests of browsers */
	/* The number of the Engine that requests mean which name none; ENGINE_NONE: none. */
	unsigned engine;
	struct place place;          /* NOWHERE if not from the file */
	struct tls_settings tls;     /* without a pair: none, or those of the environment */
	struct place tls_place;      /* NOWHERE: of the environment */
	struct transport *transport; /* of TLS; NULL: plain */
};

/* Whether the listener speaks TLS: by its address; passed sockets by their `tls` in the file. */
bool config_listener_is_tls(const struct config_listener *listener);

/* Where operators look at the running program; never a listener for clients. */
struct config_admin {
	struct config_listener listener; /* `address` NULL: there is none */
	const char *option;              /* "ADMIN", or "admin.address" */
	/* Those of the keys by which operators are known at tcp:// and tls:// addresses. */
	const struct key_hash *keys;
	unsigned key_count;
};

/* Where audit records go. */
struct config_audit {
	struct trail_target target; /* `kind` TRAIL_NOWHERE: they are not kept */
	const char *option;         /* "AUDIT", or "audit.path" */
	struct place place;
	bool denies;  /* on_failure: deny */
	bool chained; /* chain: true */
};

/* Where an Engine is, or a group of Engines. */
struct config_engine {
	const char *name; /* that of `upstream` is ENGINE_DEFAULT_NAME */
	/* Numbers of the Engines of a group; 0: it is an Engine. Of a group all below is empty. */
	unsigned member_count;
	const uint16_t *members;
	/* unix:///PATH or tcp://HOST:PORT; NULL: not read yet, or there is no default Engine. */
	const char *text;
	/* The setting that gave it: "--upstream", "SOCKET_PATH", "DOCKER_HOST",
	 * "upstream.address" or "default"; of `engines`, "engines.NAME". */
	const char *option;
	const char *path; /* of a unix socket, absolute; else NULL */
	const char *host; /* as given, without brackets; NULL: a unix socket */
	bool is_name;     /* `host` is to be resolved, with `port`; else `address` is known */
	bool is_tls;
	uint16_t port; /* 0 until defaults are set: Docker's 2375, with TLS 2376 */
	union address address;
	struct tls_settings tls;     /* of the file, or of DOCKER_CERT_PATH */
	struct place place;          /* of the entry of `engines`; else NOWHERE */
	struct place tls_place;      /* NOWHERE: not of the file */
	struct transport *transport; /* of TLS; NULL: plain */
};

/* The values of a flag that can be repeated. */
struct config_words {
	unsigned count;
	const char *list[CONFIG_WORDS_MAX];
};

/* Arguments of `status` and `reload`, which ask a running program. */
struct config_request {
	const char *address;  /* of its admin listener; NULL: as it is configured */
	bool streams;         /* `status streams` */
	bool closes;          /* `status close ID` */
	const char *stream;   /* ID */
	bool json;            /* as it comes */
	bool watch;           /* again and again */
	const char *key_file; /* NULL: none */
	const char *ca_file;  /* NULL: none */
};

/* A sentence about a setting that is valid and probably a mistake. */
struct config_warning {
	struct config_warning *next;
	const char *text;
};

struct config {
	/* The command line of config_read(), to read all of it again. */
	char *const *argv;
	int64_t read_ns; /* when that began, since 1970 */
	int argc;
	enum config_verb verb;
	bool verb_alone;         /* the command line has only the verb */
	bool watch;              /* reload when a file changes */
	bool sandbox;            /* seccomp and Landlock */
	bool salted;             /* of `hash-key` */
	bool listens_by_default; /* no address was given */
	bool ipv4_only;          /* on `port` */
	bool loopback_only;      /* on `port` */
	struct config_listener listeners[CONFIG_LISTENERS_MAX]; /* at least one */
	unsigned listener_count;
	unsigned port;
	const char *file;     /* NULL: none */
	char file_sha256[65]; /* of its bytes, in hexadecimal; "": there is none */
	/* "--config", "CONFIG", or the name of the default file. */
	const char *file_option;
	/* The policy of listeners without a policy in the file, and the setting that names it. */
	const char *policy_name;
	const char *policy_option; /* "--policy", "POLICY", "default"; NULL: the file */
	struct place policy_place;
	const struct policy *policy; /* compiled */
	/* Additional operations, NULL: none; and "--allow" or "ALLOW". */
	const char *allow;
	const char *allow_option;
	/* Paths for $WORKSPACE, separated by commas, NULL: none; and "--workspace" or "WORKSPACE".
	 */
	const char *workspace;
	const char *workspace_option;
	/* The folder in which the proxy sees the host's files, NULL: none; a descriptor of it, or
	 * -1 (`host_root_fd`); and "--host-root", "HOST_ROOT", or "host_root" with its place. */
	const char *host_root;
	const char *host_root_option;
	struct place host_root_place;
	struct limits limits;       /* of each client whose entry has no others */
	struct limits total_limits; /* of all clients together */
	struct clients clients;
	struct client *client_list; /* that of `clients`, while it is read */
	/* Docker's variables about an Engine behind TCP; NULL: not set, or empty. */
	const char *docker_tls_verify;
	const char *docker_cert_path;
	/* PEM files of the environment; NULL: none. */
	const char *tls_cert;
	const char *tls_key;
	const char *tls_client_ca;
	/* The file of keys, NULL: none; and "--client-keys" or "CLIENT_KEYS_FILE". */
	const char *keys_file;
	const char *keys_option;
	struct policy_set *policies; /* those of the file are compiled */
	/* The section switches of the environment; they replace POLICY. */
	struct switches switches;
	const char *switch_name;            /* a switch that is set and has an effect; NULL: none */
	struct config_warning *warnings;    /* to be logged; NULL: none */
	struct config_engine engine;        /* number 0 */
	struct config_engine *more_engines; /* those of `engines`, from number 1 on */
	unsigned engine_count;              /* of numbers: 1, if there are no `engines` */
	bool has_engines;                   /* `engines` is in the file */
	struct engines engines;             /* the same by name, if it is */
	struct config_admin admin;
	struct config_audit audit;
	const char *api_key; /* NULL: none */
	/* Argument of `healthcheck`; NULL: derived from the listeners. */
	const char *health_address;
	struct config_request asked;
	/* Arguments of `certs`: the folder, --host, --client, and the text of --days, NULL: none.
	 */
	const char *cert_folder;
	struct config_words cert_hosts;
	struct config_words cert_clients;
	const char *cert_days;
	struct config_words audit_files; /* arguments of `verify-audit` */
	const char *client_name;         /* of `explain`; NULL: none */
	const char *server_name;         /* the same: for which TLS is asked */
	/* Arguments of `explain`: METHOD and target, one word or two. */
	const char *request[2];
	const char *body_file; /* NULL: none */
	/* Arguments of `convert`: --from, and a file or "-". */
	const char *source;
	const char *source_file;
	const char *source_service; /* of a compose file; NULL: chosen by its image */
	int host_root_fd;
	unsigned workers; /* 0: one for each usable CPU, at most 4 */
	unsigned max_connections;
	unsigned max_head;       /* bytes */
	unsigned head_timeout;   /* seconds */
	unsigned shutdown_grace; /* seconds */
	unsigned drain_timeout;  /* seconds */
	const char *takeover;    /* the address of the process to take over from; NULL: none */
	enum log_level log_level;
	enum log_format log_format;
	struct arena arena; /* owns the values of the file and of LISTEN */
};

/*
 * Read the command line, the environment and the file. 0, or -EINVAL with a
 * complete sentence in `error`. Call config_free() in either case. Strings are
 * borrowed from argv and the environment.
 */
int config_read(
        int argc, char *const argv[], struct config *ret_config, char error[FAULT_MAX]) MUST_USE;
void config_free(struct config *config);

/*
 * Whether a program that runs with `former` may go on with `next`, which was read from the same
 * command line. 0, or -EINVAL with a sentence that names the setting and both values: a START
 * option of options.def is another one.
 */
int config_check_change(
        const struct config *former, const struct config *next, char error[FAULT_MAX]) MUST_USE;
/* Call `see` with the name of each file that was read, the configuration first. One may come
 * several times. */
void config_each_file(
        const struct config *config, void (*see)(void *context, const char *file), void *context);

/* The policies by which requests are judged, those of listeners first; NULL: there are no more. A
 * policy may be there several times. */
const struct policy *config_policy(const struct config *config, unsigned number);
/* The Engine with this number, below `engine_count`. */
const struct config_engine *config_engine_at(const struct config *config, unsigned number);
/* The client of this name; NULL: there is none. */
const struct client *config_find_client(const struct config *config, struct slice name);

/* Append the value of `tls` of a listener, and of the Engine, as they stand in a file. */
void config_add_listener_tls(const struct tls_settings *settings, struct text *text);
void config_add_engine_tls(const struct tls_settings *settings, struct text *text);

/* Print --help, from options.def. */
void config_print_help(void);
/* Print the JSON Schema of the file, from the tables that read it. */
void config_print_schema(void);

#endif
