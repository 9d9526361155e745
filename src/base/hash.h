/* SPDX-License-Identifier: MIT */
/* hash — FNV-1a of 32 bits, for tables and for telling topics apart; nothing that an attacker must
 * not make collide. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

#define HASH_START 2166136261U

static inline uint32_t hash_byte(uint32_t hash, unsigned char byte)
{
	return (hash ^ byte) * 16777619U;
}

static inline uint32_t hash_bytes(uint32_t hash, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		hash = hash_byte(hash, (unsigned char)bytes.ptr[i]);
	}
	return hash;
}

#endif
