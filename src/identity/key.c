/* SPDX-License-Identifier: MIT */
#include "identity/key.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

/* ── SHA-256 ─────────────────────────────────────────────────────────────── */

/* The algorithm is looked up once: each look-up would cost more than the digest of a key. */
struct hasher {
	EVP_MD *sha256;
	EVP_MD_CTX *context;
};

struct hasher *hasher_new(void)
{
	struct hasher *hasher = calloc(1, sizeof(*hasher));

	if (hasher == NULL) {
		return NULL;
	}
	hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	hasher->context = EVP_MD_CTX_new();
	if (hasher->sha256 == NULL || hasher->context == NULL) {
		hasher_free(hasher);
		return NULL;
	}
	return hasher;
}

void hasher_free(struct hasher *hasher)
{
	if (hasher != NULL) {
		EVP_MD_CTX_free(hasher->context);
		EVP_MD_free(hasher->sha256);
		free(hasher);
	}
}

static bool digest(struct hasher *hasher, struct slice salt, struct slice text,
        unsigned char ret_digest[KEY_DIGEST_LEN])
{
	return EVP_DigestInit_ex2(hasher->context, hasher->sha256, NULL) == 1 &&
	       EVP_DigestUpdate(hasher->context, salt.ptr, salt.len) == 1 &&
	       EVP_DigestUpdate(hasher->context, text.ptr, text.len) == 1 &&
	       EVP_DigestFinal_ex(hasher->context, ret_digest, NULL) == 1;
}

static struct slice salt_of(const struct key_hash *hash)
{
	return (struct slice){(const char *)hash->salt, hash->salted ? KEY_SALT_LEN : 0};
}

/* ── Comparing ───────────────────────────────────────────────────────────── */

void key_present(struct hasher *hasher, struct slice text, struct key *ret_key)
{
	ret_key->text = text;
	ret_key->hasher = hasher;
	ret_key->usable = hasher != NULL && text.len > 0 && text.len <= KEY_MAX &&
	                  digest(hasher, SLICE(""), text, ret_key->digest);
}

bool key_fits(const struct key *key, const struct key_hash *hash)
{
	unsigned char salted[KEY_DIGEST_LEN];

	if (!key->usable) {
		return false;
	}
	if (!hash->salted) {
		return CRYPTO_memcmp(key->digest, hash->digest, KEY_DIGEST_LEN) == 0;
	}
	return digest(key->hasher, salt_of(hash), key->text, salted) &&
	       CRYPTO_memcmp(salted, hash->digest, KEY_DIGEST_LEN) == 0;
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

bool key_hash_make(struct hasher *hasher, struct slice text, const unsigned char salt[KEY_SALT_LEN],
        struct key_hash *ret_hash)
{
	*ret_hash = (struct key_hash){.salted = salt != NULL};
	if (salt != NULL) {
		memcpy(ret_hash->salt, salt, KEY_SALT_LEN);
	}
	return digest(hasher, salt_of(ret_hash), text, ret_hash->digest);
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
