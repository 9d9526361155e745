/* SPDX-License-Identifier: MIT */
/*
 * ascii — classes of ASCII bytes, independent of the locale.
 */
#ifndef BASE_ASCII_H
#define BASE_ASCII_H

#include <stdbool.h>

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A letter or a digit. */
static inline bool ascii_is_alnum(char c)
{
	return ascii_is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* The value of a hexadecimal digit; -1 for any other byte. */
static inline int ascii_hex_value(char c)
{
	const char lower = (char)(c | 0x20); /* no other byte becomes one of these letters */

	if (ascii_is_digit(c)) {
		return c - '0';
	}
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The elements of a table with a row for each byte: of(0), of(1) and so on up to of(255). */
#define ASCII_TABLE(of)                                                                            \
	ASCII_TABLE_64(of, 0), ASCII_TABLE_64(of, 64), ASCII_TABLE_64(of, 128),                    \
	        ASCII_TABLE_64(of, 192)
#define ASCII_TABLE_64(of, c)                                                                      \
	ASCII_TABLE_16(of, c), ASCII_TABLE_16(of, (c) + 16), ASCII_TABLE_16(of, (c) + 32),         \
	        ASCII_TABLE_16(of, (c) + 48)
#define ASCII_TABLE_16(of, c)                                                                      \
	ASCII_TABLE_4(of, c), ASCII_TABLE_4(of, (c) + 4), ASCII_TABLE_4(of, (c) + 8),              \
	        ASCII_TABLE_4(of, (c) + 12)
#define ASCII_TABLE_4(of, c) of(c), of((c) + 1), of((c) + 2), of((c) + 3)

#endif
