/* SPDX-License-Identifier: MIT */
/*
 * write — YAML output that reads back as the same values.
 *
 * The values must be one line without control bytes; the caller checks values of other programs.
 */
#ifndef YAML_WRITE_H
#define YAML_WRITE_H

#include "base/text.h"

/* Append `s` in single quotes, in which only the quote is special. */
void yaml_add_quoted(struct text *text, struct slice s);
/* Append `s` without quotes if YAML reads it as the same text, in braces too; else in quotes. */
void yaml_add_word(struct text *text, struct slice s);
/* "[container.list, '*.inspect']": words in one line, in quotes if they need quotes. */
void yaml_add_list(struct text *text, const char *const *words, unsigned count);
/*
 * Append a sentence as lines of "# …" after `indent`, broken at spaces to at most 96 columns. Bytes
 * that are not printable ASCII become question marks, so that no byte ends the line.
 */
void yaml_add_comment(struct text *text, const char *indent, struct slice sentence);

#endif
