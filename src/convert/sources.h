/* SPDX-License-Identifier: MIT */
/* sources — one function for each of the other proxies. Private to convert/. */
#ifndef CONVERT_SOURCES_H
#define CONVERT_SOURCES_H

#include "convert/draft.h"
#include "convert/input.h"

/* The settings of the original, except those of switches/; a row without names ends them. */
extern const struct known_setting convert_switched_settings[];
extern const struct known_setting convert_wollomatic_settings[];
extern const struct known_setting convert_cetusguard_settings[];

/* Convert `input` to `draft`. 0, or -EINVAL with a message in draft->error. */
int convert_tecnativa(struct input *input, struct draft *draft) MUST_USE;
int convert_linuxserver(struct input *input, struct draft *draft) MUST_USE;
int convert_wollomatic(struct input *input, struct draft *draft) MUST_USE;
int convert_cetusguard(struct input *input, struct draft *draft) MUST_USE;

/* Allow methods by a pattern over the whole path with its API version, in the syntax of Go. */
struct pattern_rule {
	const char *const *methods;
	unsigned method_count;
	const char *pattern;
	struct place place;
};
int convert_pattern_rule(struct draft *draft, const struct pattern_rule *rule) MUST_USE;

#endif
