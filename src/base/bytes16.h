/* SPDX-License-Identifier: MIT */
/*
 * bytes16 — sixteen bytes at a time, in vectors of the compiler. Scanning every
 * byte of heads, paths and log lines is half of the cost of a small request in
 * user space.
 */
#ifndef BASE_BYTES16_H
#define BASE_BYTES16_H

#include <stdint.h>
#include <string.h>

typedef unsigned char bytes16 __attribute__((vector_size(16)));

static inline bytes16 bytes16_load(const char *at)
{
	bytes16 bytes;

	memcpy(&bytes, at, sizeof(bytes));
	return bytes;
}

/* The index of the first byte of `found` that is not zero; 16 if all bytes are zero. */
static inline unsigned bytes16_first(bytes16 found)
{
	uint64_t words[2];

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");
	memcpy(words, &found, sizeof(words));
	if (words[0] != 0) {
		return (unsigned)__builtin_ctzll(words[0]) / 8;
	}
	return words[1] != 0 ? 8 + (unsigned)__builtin_ctzll(words[1]) / 8 : 16;
}

#endif
