/* SPDX-License-Identifier: MIT */
/*
 * key — keys of clients: what a request presents, and what the configuration keeps of it.
 *
 * The configuration keeps the SHA-256 of a key, or the SHA-256 of a salt and the key. Comparing
 * takes the same time whatever the digest is. A key is neither logged nor forwarded.
 */
#ifndef IDENTITY_KEY_H
#define IDENTITY_KEY_H

#include "base/check.h"
#include "base/text.h"

#include <stdbool.h>

enum {
	KEY_DIGEST_LEN = 32, /* bytes of a SHA-256 */
	KEY_SALT_LEN = 16,
	KEY_SHORT = 16, /* bytes of a key; one with fewer can be guessed */
	KEY_MAX = 4096,
	KEY_HASH_TEXT_MAX = 2 * KEY_SALT_LEN + 1 + 2 * KEY_DIGEST_LEN,
};

/* What the configuration keeps: DIGEST, or SALT:DIGEST, in hexadecimal. */
struct key_hash {
	bool salted;
	unsigned char salt[KEY_SALT_LEN];
	unsigned char digest[KEY_DIGEST_LEN];
};

/* The key that a request presents. */
struct key {
	struct slice text;
	bool usable;                          /* it has 1 to KEY_MAX bytes, and a digest */
	unsigned char digest[KEY_DIGEST_LEN]; /* without salt */
};

/* Hash a key that was presented. One that is empty or too long fits no hash. */
void key_present(struct slice text, struct key *ret_key);
/* A number by which most keys that do not fit a hash without salt can be told from it. */
static inline uint64_t key_mark(const unsigned char digest[KEY_DIGEST_LEN])
{
	uint64_t mark;

	memcpy(&mark, digest, sizeof(mark));
	return mark;
}

/* Whether `hash` is of this key. */
bool key_fits(const struct key *key, const struct key_hash *hash);

/* The fault of a text that is to be a key, as the end of a sentence; NULL if it has none. */
const char *key_problem(struct slice text);
/* The hash of a key; `salt` NULL: without. */
void key_hash_make(
        struct slice text, const unsigned char salt[KEY_SALT_LEN], struct key_hash *ret_hash);
/* Read DIGEST or SALT:DIGEST. NULL; or the fault, as the end of a sentence. */
const char *key_hash_read(struct slice text, struct key_hash *ret_hash);
bool key_hash_equal(const struct key_hash *a, const struct key_hash *b);
/* Append DIGEST or SALT:DIGEST. */
void key_hash_add(const struct key_hash *hash, struct text *text);

#endif
