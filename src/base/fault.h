/* SPDX-License-Identifier: MIT */
/*
 * fault — the error of a setting: one sentence, with the place in the file. Every
 * function that reads configuration reports errors as a fault.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/check.h"

enum { FAULT_MAX = 1024 }; /* bytes with the NUL; a longer sentence is cut */

/* A line of a file, counted from 1. file is NULL for a value that is not from a file. */
struct place {
	const char *file;
	unsigned line;
};

#define NOWHERE ((struct place){NULL, 0})

/* Write the sentence, after "FILE:LINE: " unless `place` is NOWHERE. Returns -EINVAL, for the
 * caller to return. */
int fault_set(char fault[FAULT_MAX], struct place place, const char *format, ...) PRINTF_LIKE(3, 4);
/* The sentence that there is no memory. -EINVAL, to be returned. */
int fault_memory(char fault[FAULT_MAX]);

#endif
