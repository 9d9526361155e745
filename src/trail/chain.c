/* SPDX-License-Identifier: MIT */
/*
 * chain — each line has the SHA-256 of the line before it, in hexadecimal digits, as its last
 * member: ,"prev":"…"}. The hash is of the bytes of that line without its newline. `null` stands
 * where a chain begins. No value of a client can look like this member: their quotes are escaped.
 */
#include "trail/internal.h"

/* See identity/key.c on why this is not EVP. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

_Static_assert((int)CHAIN_DIGEST_LEN == (int)SHA256_DIGEST_LENGTH, "the hash is SHA-256");

#define FIELD ",\"prev\":"

void chain_set(struct chain *chain, struct slice line)
{
	SHA256_CTX context;

	(void)SHA256_Init(&context);
	(void)SHA256_Update(&context, line.ptr, line.len);
	(void)SHA256_Final(chain->digest, &context);
	chain->known = true;
}

bool chain_equal(const struct chain *a, const struct chain *b)
{
	return a->known == b->known &&
	       (!a->known || memcmp(a->digest, b->digest, sizeof(a->digest)) == 0);
}

void chain_add_hex(const struct chain *chain, struct text *text)
{
	static const char hex[] = "0123456789abcdef";

	for (unsigned i = 0; i < CHAIN_DIGEST_LEN; i++) {
		text_add_char(text, hex[chain->digest[i] >> 4]);
		text_add_char(text, hex[chain->digest[i] & 15]);
	}
}

void chain_add(const struct chain *chain, struct slice line, struct text *text)
{
	text_add(text, (struct slice){line.ptr, line.len - 1});
	if (!chain->known) {
		text_add(text, SLICE(FIELD "null}"));
		return;
	}
	text_add(text, SLICE(FIELD "\""));
	chain_add_hex(chain, text);
	text_add(text, SLICE("\"}"));
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool chain_read(struct slice line, struct chain *ret_chain)
{
	const struct slice begins = SLICE(FIELD "null}");
	const struct slice front = SLICE(FIELD "\"");

	ret_chain->known = false;
	if (slice_ends_with(line, begins)) {
		return true;
	}
	if (line.len < front.len + CHAIN_HEX_LEN + 2 || !slice_ends_with(line, SLICE("\"}"))) {
		return false;
	}
	const char *digits = line.ptr + line.len - 2 - CHAIN_HEX_LEN;
	if (!slice_equal((struct slice){digits - front.len, front.len}, front)) {
		return false;
	}
	for (unsigned i = 0; i < CHAIN_DIGEST_LEN; i++) {
		const int high = digit_of(digits[2 * i]);
		const int low = digit_of(digits[2 * i + 1]);
		if (high < 0 || low < 0) {
			return false;
		}
		ret_chain->digest[i] = (unsigned char)(high << 4 | low);
	}
	ret_chain->known = true;
	return true;
}
