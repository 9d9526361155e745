/* SPDX-License-Identifier: MIT */
#include "identity/key.h"

/*
 * OpenSSL 3 deprecates SHA256_Init() and its like for EVP, which looks the algorithm up in a
 * provider. That allocates for each digest and keeps 1.9 MiB from the first one on, and where there
 * is no memory at the start it crashes (3.0).
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

static void digest(struct slice salt, struct slice text, unsigned char ret_digest[KEY_DIGEST_LEN])
{
	SHA256_CTX context;

	(void)SHA256_Init(&context);
	(void)SHA256_Update(&context, salt.ptr, salt.len);
	(void)SHA256_Update(&context, text.ptr, text.len);
	(void)SHA256_Final(ret_digest, &context);
}

static struct slice salt_of(const struct key_hash *hash)
{
	return (struct slice){(const char *)hash->salt, hash->salted ? KEY_SALT_LEN : 0};
}

/* ── Comparing ───────────────────────────────────────────────────────────── */

/* It takes the same time wherever they differ. So does CRYPTO_memcmp(), a byte at a time: 234
 * instructions for each client. */
static bool digests_equal(
        const unsigned char a[KEY_DIGEST_LEN], const unsigned char b[KEY_DIGEST_LEN])
{
	uint64_t differing = 0;

	for (size_t i = 0; i < KEY_DIGEST_LEN; i += sizeof(uint64_t)) {
		uint64_t of_a;
		uint64_t of_b;
		memcpy(&of_a, a + i, sizeof(of_a));
		memcpy(&of_b, b + i, sizeof(of_b));
		differing |= of_a ^ of_b;
	}
	return differing == 0;
}

void key_present(struct slice text, struct key *ret_key)
{
	ret_key->text = text;
	ret_key->usable = text.len > 0 && text.len <= KEY_MAX;
	if (ret_key->usable) {
		digest(SLICE(""), text, ret_key->digest);
	}
}

bool key_fits(const struct key *key, const struct key_hash *hash)
{
	unsigned char salted[KEY_DIGEST_LEN];

	if (!key->usable) {
		return false;
	}
	if (!hash->salted) {
		return digests_equal(key->digest, hash->digest);
	}
	digest(salt_of(hash), key->text, salted);
	return digests_equal(salted, hash->digest);
}

/* ── Spelling ────────────────────────────────────────────────────────────── */

const char *key_problem(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] <= ' ' || text.ptr[i] > '~') {
			return "a key has only visible ASCII characters, because it is sent in a "
			       "header field";
		}
	}
	if (text.len == 0) {
		return "it is empty: 'openssl rand -base64 32' makes a key";
	}
	return text.len > KEY_MAX ? "a key has at most 4096 characters" : NULL;
}

void key_hash_make(
        struct slice text, const unsigned char salt[KEY_SALT_LEN], struct key_hash *ret_hash)
{
	*ret_hash = (struct key_hash){.salted = salt != NULL};
	if (salt != NULL) {
		memcpy(ret_hash->salt, salt, KEY_SALT_LEN);
	}
	digest(salt_of(ret_hash), text, ret_hash->digest);
}

static bool read_hex(struct slice text, unsigned char *bytes, size_t len)
{
	if (text.len != 2 * len) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		const int high = ascii_hex_value(text.ptr[2 * i]);
		const int low = ascii_hex_value(text.ptr[2 * i + 1]);
		if (high < 0 || low < 0) {
			return false;
		}
		bytes[i] = (unsigned char)(16 * high + low);
	}
	return true;
}

/* What sha256sum prints of a file that is empty, because something before it failed. */
static bool is_empty_hash(struct slice text)
{
	return slice_equal_nocase(text, SLICE("e3b0c44298fc1c149afbf4c8996fb924"
	                                      "27ae41e4649b934ca495991b7852b855"));
}

const char *key_hash_read(struct slice text, struct key_hash *ret_hash)
{
	const char *colon = memchr(text.ptr, ':', text.len);

	*ret_hash = (struct key_hash){.salted = colon != NULL};
	if (colon != NULL) {
		if (!read_hex(slice_between(text.ptr, colon), ret_hash->salt, KEY_SALT_LEN)) {
			return "the salt in front of ':' has 32 hexadecimal digits: give the line "
			       "that 'docker-socket-proxy hash-key' prints";
		}
		text = slice_between(colon + 1, text.ptr + text.len);
	}
	if (is_empty_hash(text)) {
		return "it is the hash of an empty text: give the line that 'docker-socket-proxy "
		       "hash-key' prints for a key";
	}
	return read_hex(text, ret_hash->digest, KEY_DIGEST_LEN)
	               ? NULL
	               : "a SHA-256 has 64 hexadecimal digits: give the line that "
	                 "'docker-socket-proxy hash-key' prints";
}

bool key_hash_equal(const struct key_hash *a, const struct key_hash *b)
{
	return a->salted == b->salted && memcmp(a->salt, b->salt, KEY_SALT_LEN) == 0 &&
	       memcmp(a->digest, b->digest, KEY_DIGEST_LEN) == 0;
}

static void add_hex(const unsigned char *bytes, size_t len, struct text *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		text_add_char(text, digits[bytes[i] >> 4]);
		text_add_char(text, digits[bytes[i] & 15]);
	}
}

void key_hash_add(const struct key_hash *hash, struct text *text)
{
	if (hash->salted) {
		add_hex(hash->salt, KEY_SALT_LEN, text);
		text_add_char(text, ':');
	}
	add_hex(hash->digest, KEY_DIGEST_LEN, text);
}
