/* SPDX-License-Identifier: MIT */
/*
 * visible — what others have sent, as strings of JSON that people read on a terminal.
 *
 * Letters of all languages stay. What could end the string is escaped, and so is what a terminal
 * would obey: controls, directions of writing, what has no width. NUL, and bytes that are no UTF-8,
 * become U+FFFD.
 */
#ifndef BASE_VISIBLE_H
#define BASE_VISIBLE_H

#include "base/text.h"

/* Append the inside of the string. */
void visible_add(struct text *text, struct slice s);
/* Append the character at the front of `s`, which is not empty. Returns its bytes. */
size_t visible_add_next(struct text *text, struct slice s);

#endif
