/* SPDX-License-Identifier: MIT */
/*
 * input — the settings of another proxy as one list. Private to convert/.
 *
 * Variables of an env file, flags, lines of rules; compose.h reads a compose file into the same
 * list.
 */
#ifndef CONVERT_INPUT_H
#define CONVERT_INPUT_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/slice.h"

enum {
	INPUT_SIZE_MAX = 256 * 1024,
	INPUT_SETTINGS_MAX = 1000,
};

enum setting_kind {
	SETTING_VARIABLE, /* of the environment */
	SETTING_FLAG,     /* name without its dashes; value "" where there was none */
	SETTING_RULE,     /* a line of a rules file; no name */
	SETTING_LABEL,    /* of a container, in `service` */
};

struct setting {
	enum setting_kind kind;
	const char *name;
	const char *value;
	const char *service; /* of a label */
	struct place place;
};

/* A setting of the original, with one or two names. */
struct known_setting {
	const char *flag;
	const char *variable;
	const char *note; /* its counterpart, behind its name and value; NULL: said elsewhere */
	bool alone;       /* a flag that takes no value */
	bool numbered;    /* SP_ALLOW_GET_1 is SP_ALLOW_GET */
};

struct input {
	struct arena *arena;
	const char *file;    /* its name in messages */
	const char *image;   /* part of the original's image name, "wollomatic/socket-proxy" */
	const char *service; /* of a compose file: the one to choose, later the chosen one; NULL: by
	                        image */
	bool takes_rules;    /* a file of rules is one of its forms */
	const struct known_setting *known; /* up to a row without names */
	struct setting settings[INPUT_SETTINGS_MAX];
	unsigned count;
	struct slice pending; /* a flag that waits for its value; ptr NULL: none does */
	struct place pending_place;
	char *error;
};

/* All that return an int: 0, or -EINVAL and a message in input->error. */

int input_add(struct input *input, enum setting_kind kind, struct slice name, struct slice value,
        struct place place) MUST_USE;

/* Lines of NAME=value, where the value may be in quotes; of flags, split as a shell splits them; of
 * rules. */
int input_read_variables(struct input *input, struct slice bytes) MUST_USE;
int input_read_flags(struct input *input, struct slice bytes) MUST_USE;
int input_read_rules(struct input *input, struct slice lines, struct place place) MUST_USE;

/*
 * The words of a command line one by one, or one line, split as a shell splits it: "-name=value",
 * "--name=value", "-name value", and "-name" if the flag takes no value. Call input_end_flags()
 * after the last word.
 */
int input_add_flag(struct input *input, struct slice word, struct place place) MUST_USE;
int input_add_flags(struct input *input, struct slice line, struct place place) MUST_USE;
int input_end_flags(struct input *input) MUST_USE;

/* The row of a flag or a variable; NULL: the original has no such setting. */
const struct known_setting *input_known(const struct input *input, const struct setting *setting);

/* The last flag of the row that `name` names, otherwise its last variable; NULL: neither is given.
 */
const struct setting *input_find(const struct input *input, const char *name);
/* The value of this setting, or `preset` if it is not given or empty. */
const char *input_value(const struct input *input, const char *name, const char *preset);
/* The place of this setting; the first line of the input if it is not given. */
struct place input_place(const struct input *input, const char *name);
/* 1, t, T, TRUE, true, True: true for Go's strconv.ParseBool; also "" of a flag. */
bool input_is_true(const struct input *input, const char *name);

/* Of the name of an environment variable. */
static inline bool input_is_name_char(char c)
{
	return ascii_is_alnum(c) || c == '_';
}
/* Whether a line is NAME=value or `export NAME=value`. */
bool input_is_variable(struct slice line);

#endif
