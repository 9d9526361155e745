/* SPDX-License-Identifier: MIT */
/*
 * fault — a sentence about an error in a setting, with its place. Every reader of
 * configuration fails with one of these.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/check.h"

enum { FAULT_MAX = 1024 }; /* bytes, its NUL included; what is longer is cut */

/* A line of a file, from 1; file NULL: nowhere, the program made it. */
struct place {
	const char *file;
	unsigned line;
};

#define NOWHERE ((struct place){NULL, 0})

/* Write the sentence, "FILE:LINE: " in front unless it is nowhere. -EINVAL, to be returned. */
int fault_set(char fault[FAULT_MAX], struct place place, const char *format, ...) PRINTF_LIKE(3, 4);
/* The sentence that there is no memory. -EINVAL, to be returned. */
int fault_memory(char fault[FAULT_MAX]);

#endif
