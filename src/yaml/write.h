/* SPDX-License-Identifier: MIT */
/*
 * write — values as YAML, such that a reader gets the same values back.
 *
 * A value must be one line without control bytes: callers check text from outside.
 */
#ifndef YAML_WRITE_H
#define YAML_WRITE_H

#include "base/text.h"

/* In single quotes, where nothing but the quote itself is special. */
void yaml_add_quoted(struct text *text, struct slice s);
/* As it is where YAML reads it so, in braces too; else in quotes. */
void yaml_add_word(struct text *text, struct slice s);
/* "[container.list, '*.inspect']": words in one line, in quotes where they need them. */
void yaml_add_list(struct text *text, const char *const *words, unsigned count);
/*
 * A sentence as lines of "# …" behind `indent`, of at most 96 columns where it has spaces. Bytes
 * that are no printable ASCII become question marks, so that none of them ends a line.
 */
void yaml_add_comment(struct text *text, const char *indent, struct slice sentence);

#endif
