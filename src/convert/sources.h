/* SPDX-License-Identifier: MIT */
/*
 * sources — one function for each proxy that settings come from. Private to convert/.
 */
#ifndef CONVERT_SOURCES_H
#define CONVERT_SOURCES_H

#include "convert/input.h"

/* Write what `input` says to `draft`. 0, or -EINVAL with a message in draft->error. */
int convert_tecnativa(struct input *input, struct draft *draft) MUST_USE;
int convert_linuxserver(struct input *input, struct draft *draft) MUST_USE;
int convert_wollomatic(struct input *input, struct draft *draft) MUST_USE;
int convert_cetusguard(struct input *input, struct draft *draft) MUST_USE;

/* A rule of methods and a pattern over the whole path, API version included. */
struct pattern_rule {
	const char *const *methods;
	unsigned method_count;
	const char *pattern;
	struct place place;
};
int convert_pattern_rule(struct draft *draft, const struct pattern_rule *rule) MUST_USE;

/*
 * Say it of a flag that is not in `flags`, and of a variable that begins with
 * `prefix` and goes on like none of them: a typing error, most likely, and what
 * it was to open or to close is not converted.
 */
struct known_settings {
	const char *prefix; /* of variables, "SP_" */
	const char *const *flags;
	unsigned flag_count;
};
void convert_note_unknown(
        struct draft *draft, const struct known_settings *known, const struct setting *setting);

/* Say it where the policy lets GET …/attach/ws through and POST …/attach not. */
void convert_note_attach(struct draft *draft);

/*
 * A host and a port as the address of a listener, with "*" for no host and for
 * those that mean all interfaces.
 */
const char *convert_tcp_address(struct arena *arena, struct slice host, struct slice port);
bool convert_is_loopback(struct slice host);
bool convert_is_port(struct slice port);

#endif
