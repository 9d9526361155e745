/* SPDX-License-Identifier: MIT */
/*
 * input — what somebody has written for another proxy. Private to convert/.
 *
 * Four forms come in, and are told apart by their first line that says
 * something: a compose file (YAML), an env file (NAME=value), flags (-name=value)
 * and CetusGuard's rules. What comes out is one list of settings.
 */
#ifndef CONVERT_INPUT_H
#define CONVERT_INPUT_H

#include "convert/draft.h"
#include "yaml/yaml.h"

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

struct input {
	struct arena *arena;
	const char *file;    /* as messages call it */
	const char *image;   /* part of the peer's image name, "wollomatic/socket-proxy" */
	const char *service; /* that was chosen from a compose file; NULL: it was none */
	bool takes_rules;    /* a file of rules is one of its forms */
	/* Flags that take no value of their own. */
	const char *const *switches;
	unsigned switch_count;
	struct setting settings[INPUT_SETTINGS_MAX];
	unsigned count;
	struct draft *draft; /* for comments and errors */
};

/* Read `bytes` into input->settings; the other members are given. */
int input_read(struct input *input, struct slice bytes) MUST_USE;

/* Lines of CetusGuard's rules. */
int input_read_rules(struct input *input, struct slice lines, struct place place) MUST_USE;

/* The last flag or, without one, variable of these names; NULL: neither. */
const struct setting *input_find(const struct input *input, const char *flag, const char *variable);
/* The value of that, or `preset` where there is none or it is empty. */
const char *input_value(
        const struct input *input, const char *flag, const char *variable, const char *preset);
/* Where it is; the head of the input where there is none. */
struct place input_place(const struct input *input, const char *flag, const char *variable);
/* 1, t, T, TRUE, true, True: what Go's strconv.ParseBool takes for true; "" of a flag, too. */
bool input_is_true(const struct setting *setting);

/* ── For the forms, each in a file of its own or in input.c ─────────────── */

/* A compose file. */
int input_read_compose(struct input *input, struct slice bytes) MUST_USE;
/* One more setting; a label's `service` is left to the caller. */
int input_add(struct input *input, enum setting_kind kind, struct slice name, struct slice value,
        struct place place) MUST_USE;

/* The words of a command line. */
struct words {
	struct slice words[INPUT_SETTINGS_MAX];
	struct place places[INPUT_SETTINGS_MAX];
	unsigned count;
};
int input_add_word(
        struct input *input, struct words *words, struct slice word, struct place place) MUST_USE;
/* All of a line, cut as a shell cuts it. */
int input_add_line(
        struct input *input, struct words *words, struct slice line, struct place place) MUST_USE;
/* Each as a setting: "-name=value", "--name=value", "-name value", and of switches "-name". */
int input_add_flags(struct input *input, const struct words *words) MUST_USE;

/* Of a variable of the environment. */
static inline bool input_is_name_char(char c)
{
	return ascii_is_alnum(c) || c == '_';
}

#endif
