/* SPDX-License-Identifier: MIT */
/*
 * convert — the settings of another socket proxy as a configuration of this one.
 *
 * Reads what people have: a compose file, an env file, a file of flags, or
 * CetusGuard's rules. Writes YAML that lets the same requests through. What the
 * original said without its author meaning it gets a comment; what has no
 * counterpart here gets one that begins with NOT CONVERTED, and wherever leaving
 * it out would open something, that is closed.
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

/* CONVERT_SOURCE_COUNT: none is called that. */
enum convert_source convert_find_source(struct slice name);

struct convert_order {
	enum convert_source source;
	const char *file;    /* its path, "-" for standard input; or what messages call the bytes */
	const char *service; /* of a compose file; NULL: the one that has the original's image */
};

/*
 * Write the YAML of `bytes` to `output` and warnings, a line each, to `warnings`. 0, or -EINVAL
 * with a sentence in `error`, and then nothing was written.
 */
int convert_bytes(const struct convert_order *order, struct slice bytes, FILE *output,
        FILE *warnings, char error[FAULT_MAX]) MUST_USE;

/* The same of the bytes of order->file. */
int convert_run(const struct convert_order *order, FILE *output, FILE *warnings,
        char error[FAULT_MAX]) MUST_USE;

#endif
