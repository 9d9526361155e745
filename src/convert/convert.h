/* SPDX-License-Identifier: MIT */
/*
 * convert — the settings of another socket proxy as a configuration of this one.
 *
 * Reads a compose file, an env file, a file of flags, or CetusGuard's rules.
 * Writes YAML that allows the same requests. A setting whose effect its author
 * may not have intended gets a comment. A setting without a counterpart gets a
 * comment that begins with NOT CONVERTED; if its absence would open something,
 * the result closes that.
 */
#ifndef CONVERT_CONVERT_H
#define CONVERT_CONVERT_H

#include "base/fault.h"
#include "base/slice.h"

#include <stdio.h>

enum convert_source {
	CONVERT_TECNATIVA,
	CONVERT_LINUXSERVER,
	CONVERT_WOLLOMATIC,
	CONVERT_CETUSGUARD,
	CONVERT_SOURCE_COUNT,
};

/* CONVERT_SOURCE_COUNT: no proxy has this name. */
enum convert_source convert_find_source(struct slice name);

struct convert_order {
	enum convert_source source;
	const char *file;    /* its path, "-" for standard input; for convert_bytes() a name for
	                        messages */
	const char *service; /* of a compose file; NULL: the one with the original's image */
};

/*
 * Write the YAML of `bytes` to `output`, and warnings to `warnings`, one line each. 0, or -EINVAL
 * with a sentence in `error`; then nothing is written.
 */
int convert_bytes(const struct convert_order *order, struct slice bytes, FILE *output,
        FILE *warnings, char error[FAULT_MAX]) MUST_USE;

/* The same of the bytes of order->file. */
int convert_run(const struct convert_order *order, FILE *output, FILE *warnings,
        char error[FAULT_MAX]) MUST_USE;

#endif
