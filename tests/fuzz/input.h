/* SPDX-License-Identifier: MIT */
/* The input of a fuzz target that is a script: read from its front, zeros behind its end. */
#ifndef TESTS_INPUT_H
#define TESTS_INPUT_H

#include "base/slice.h"

struct input {
	const uint8_t *at;
	size_t len;
};

static inline unsigned next(struct input *input)
{
	if (input->len == 0) {
		return 0;
	}
	input->len--;
	return *input->at++;
}

/* Fewer, where there are fewer. */
static inline struct slice next_bytes(struct input *input, size_t len)
{
	const size_t n = len < input->len ? len : input->len;
	const struct slice bytes = {(const char *)input->at, n};

	input->at += n;
	input->len -= n;
	return bytes;
}

#endif
