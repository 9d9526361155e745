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
typedef char char16 __attribute__((vector_size(16)));

static inline bytes16 bytes16_load(const char *at)
{
	bytes16 bytes;

	memcpy(&bytes, at, sizeof(bytes));
	return bytes;
}

/* Eight bytes as they stand. */
static inline uint64_t bytes8_load(const char *at)
{
	uint64_t bytes;

	memcpy(&bytes, at, sizeof(bytes));
	return bytes;
}

/* A bit for each byte of `found`, the lowest for the first: bytes are 0 or 0xff, as comparisons
 * make them. */
static inline unsigned bytes16_bits(bytes16 found)
{
#ifdef __SSE2__
	/* The instruction for it, which compilers do not find. */
	return (unsigned)__builtin_ia32_pmovmskb128((char16)found);
#else
	const uint64_t lowest = 0x0101010101010101, gather = 0x0102040810204080;
	uint64_t words[2];

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");
	memcpy(words, &found, sizeof(words));
	/* The product has bit 0 of byte i at 56 + i: no two of its terms meet. */
	return (unsigned)((words[0] & lowest) * gather >> 56) |
	       (unsigned)((words[1] & lowest) * gather >> 56) << 8;
#endif
}

/* The index of the first byte of `found` that is not zero; 16 if all bytes are zero. */
static inline unsigned bytes16_first(bytes16 found)
{
	return (unsigned)__builtin_ctz(bytes16_bits(found) | 1U << 16);
}

#endif
