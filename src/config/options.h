/* SPDX-License-Identifier: MIT */
/*
 * options — options.def as a table, and what its reader and that of the file
 * share. Private to config/.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include "base/slice.h"
#include "config/config.h"

enum option_type {
	OPTION_FILE,
	OPTION_POLICY,
	OPTION_OPERATIONS, /* these three, as flags, are not empty */
	OPTION_ADDRESSES,
	OPTION_BIND,
	OPTION_SWITCH,
	OPTION_SOCKET,
	OPTION_DOCKER_HOST,
	OPTION_SECRET,
	OPTION_NUMBER,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FORMAT,
};

/* When the value of an option can change. */
enum option_change {
	OPTION_START, /* with the next start */
	OPTION_LIVE,  /* while the program runs */
};

struct config_option {
	const char *flag; /* NULL: environment only */
	const char *variable;
	const char *fallback; /* the default, as text; NULL: none */
	const char *argument; /* what --help calls the value */
	const char *help;
	size_t member; /* offset in struct config */
	enum option_type type;
	enum option_change change;
	unsigned min;
	unsigned max;
};

/* How many rows the table has. */
enum {
#define OPTION(...) +1
	CONFIG_OPTION_COUNT = 0
#include "config/options.def"
#undef OPTION
};

extern const struct config_option config_options[CONFIG_OPTION_COUNT];

struct reader {
	struct config *config;
	char *error;
	bool given[CONFIG_OPTION_COUNT];
	bool verb_given;
};

/* NAME: 'VALUE' is not accepted: ACCEPTED. -EINVAL. */
int config_refuse(struct reader *reader, const char *name, const char *value, const char *accepted);
/* Set the option's member; `name` is what messages call it. */
int config_read_value(struct reader *reader, const struct config_option *option, const char *name,
        const char *value) MUST_USE;
/* What is wrong with the address of the Engine's socket, or NULL and its path. */
const char *config_engine_problem(const char *value, const char **ret_path);
/* The command line: verb, flags, and what the verb wants besides. */
int config_read_arguments(struct reader *reader, int argc, char *const argv[]) MUST_USE;
/* A new listener, to be filled. */
int config_add_listener(struct reader *reader, const char *name, const char *address,
        struct config_listener **ret_listener) MUST_USE;
/* Variables of options and section switches; after the command line. */
int config_read_environment(struct reader *reader) MUST_USE;
/*
 * Variables that are set to restrict and that nothing reads: -EINVAL where this would leave
 * open what they were to close, else a warning. After the file.
 */
int config_check_environment(struct reader *reader) MUST_USE;
/* The compiled policy of this name, or of these names with commas between them, which it unites. */
int config_find_policy(struct reader *reader, struct slice names, struct place place,
        struct policy **ret_policy) MUST_USE;
/* The policy of listeners that have none, and config->policy; the last step. */
int config_choose_policy(struct reader *reader) MUST_USE;
/* Warn of what is hardly meant so; after everything else. */
void config_review(struct config *config);
/* One more sentence for config->warnings; without memory, config->arena knows. */
void config_warn(struct config *config, const char *format, ...) PRINTF_LIKE(2, 3);
/* CONFIG_DEFAULT_FILE, where no file is named and this one is there. */
void config_use_default_file(struct config *config);
/* Whether this option, or another row of the same member, was given: here, or in the file. */
bool config_is_given(const struct reader *reader, const struct config_option *option);
/* Set the option of a member, unless it is given; what it then is was valid before. */
void config_give(struct reader *reader, size_t member, const char *value);
/* Read reader->config->file; what was given already stays. */
int config_read_file(struct reader *reader) MUST_USE;

#endif
