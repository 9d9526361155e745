/* SPDX-License-Identifier: MIT */
/* sources — one function for each proxy that settings come from. Private to convert/. */
#ifndef CONVERT_SOURCES_H
#define CONVERT_SOURCES_H

#include "convert/draft.h"
#include "convert/input.h"

/* Settings that the original has, besides switches of switches/; up to a row without names. */
extern const struct known_setting convert_switched_settings[];
extern const struct known_setting convert_wollomatic_settings[];
extern const struct known_setting convert_cetusguard_settings[];

/* Write what `input` says to `draft`. 0, or -EINVAL with a message in draft->error. */
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
