/* SPDX-License-Identifier: MIT */
#include "certs/issue.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum {
	VERSION_3 = 2,     /* RFC 5280 §4.1.2.1 */
	SERIAL_BITS = 159, /* RFC 5280 §4.1.2.2: positive, at most 20 bytes */
	EARLIER_S = 3600,  /* clocks differ */
};

struct extension {
	int nid;
	const char *value; /* as in openssl's configuration; x509v3_config(5) */
};

static const struct extension of_authority[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"},
};

static const struct extension of_server[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "serverAuth"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
};

static const struct extension of_client[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "clientAuth"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
};

/* ── Fields of a certificate ─────────────────────────────────────────────── */

static bool set_serial(X509 *certificate)
{
	BIGNUM *number = BN_new();
	const bool done = number != NULL &&
	                  BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
	                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;

	BN_free(number);
	return done;
}

static bool set_name(X509 *certificate, const char *name)
{
	return X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
	               MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1;
}

/* Not longer than `issuer`, which may be NULL. */
static bool set_validity(X509 *certificate, const X509 *issuer, unsigned days)
{
	ASN1_TIME *end = X509_getm_notAfter(certificate);

	if (X509_gmtime_adj(X509_getm_notBefore(certificate), -EARLIER_S) == NULL ||
	        X509_time_adj_ex(end, (int)days, 0, NULL) == NULL) {
		return false;
	}
	return issuer == NULL || ASN1_TIME_compare(end, X509_get0_notAfter(issuer)) <= 0 ||
	       X509_set1_notAfter(certificate, X509_get0_notAfter(issuer)) == 1;
}

static bool add_extension(X509 *certificate, X509V3_CTX *context, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, context, nid, value);
	const bool done = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return done;
}

static bool add_extensions(
        X509 *certificate, X509 *issuer, const struct extension *list, size_t count)
{
	X509V3_CTX context;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	for (size_t i = 0; i < count; i++) {
		if (!add_extension(certificate, &context, list[i].nid, list[i].value)) {
			return false;
		}
	}
	return true;
}

/* ── Issuing ─────────────────────────────────────────────────────────────── */

/* A certificate with a key, a number and a name, for the caller to complete and sign. */
static bool begin(struct identity_pair *pair, const char *name)
{
	*pair = (struct identity_pair){.certificate = X509_new(), .key = EVP_EC_gen("P-256")};
	return pair->certificate != NULL && pair->key != NULL &&
	       X509_set_version(pair->certificate, VERSION_3) == 1 &&
	       X509_set_pubkey(pair->certificate, pair->key) == 1 &&
	       set_serial(pair->certificate) && set_name(pair->certificate, name);
}

static bool sign(struct identity_pair *pair, const struct identity_pair *authority)
{
	return X509_set_issuer_name(
	               pair->certificate, X509_get_subject_name(authority->certificate)) == 1 &&
	       X509_sign(pair->certificate, authority->key, EVP_sha256()) > 0;
}

bool issue_authority(unsigned days, struct identity_pair *ret_authority)
{
	struct identity_pair *pair = ret_authority;
	unsigned char random[4];
	char name[ISSUE_NAME_MAX];

	/* Two authorities with one name would be taken for each other. */
	if (RAND_bytes(random, sizeof(random)) != 1) {
		*pair = (struct identity_pair){NULL, NULL};
		return false;
	}
	(void)snprintf(name, sizeof(name), "docker-socket-proxy CA %02x%02x%02x%02x", random[0],
	        random[1], random[2], random[3]);
	return begin(pair, name) &&
	       set_validity(pair->certificate, NULL,
	               days > ISSUE_AUTHORITY_DAYS ? days : ISSUE_AUTHORITY_DAYS) &&
	       add_extensions(pair->certificate, pair->certificate, of_authority,
	               ARRAY_LEN(of_authority)) &&
	       sign(pair, pair);
}

bool issue_certificate(const struct identity_pair *authority, const char *name,
        const char *alternatives, unsigned days, struct identity_pair *ret_pair)
{
	struct identity_pair *pair = ret_pair;
	X509 *issuer = authority->certificate;
	const struct extension other = {NID_subject_alt_name, alternatives};

	return begin(pair, name) && set_validity(pair->certificate, issuer, days) &&
	       (alternatives == NULL
	                       ? add_extensions(
	                                 pair->certificate, issuer, of_client, ARRAY_LEN(of_client))
	                       : add_extensions(pair->certificate, issuer, of_server,
	                                 ARRAY_LEN(of_server)) &&
	                                 add_extensions(pair->certificate, issuer, &other, 1)) &&
	       sign(pair, authority);
}

void identity_pair_free(struct identity_pair *pair)
{
	X509_free(pair->certificate);
	EVP_PKEY_free(pair->key);
	*pair = (struct identity_pair){NULL, NULL};
}

/* ── Reading an authority ────────────────────────────────────────────────── */

/* A key with a password is not asked for it. NOLINTNEXTLINE(readability-non-const-parameter) */
static int no_password(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return -1;
}

static int unreadable(const char *path, const char *why, char error[FAULT_MAX])
{
	return fault_set(error, NOWHERE, "certs: %.512s: %s", path, why);
}

/* Why these two are not an authority that can sign, as the end of a sentence; NULL: they are. */
static const char *authority_problem(const struct identity_pair *authority)
{
	if (X509_check_private_key(authority->certificate, authority->key) != 1) {
		return "the key is not that of the certificate beside it";
	}
	if (X509_check_ca(authority->certificate) != 1) {
		return "the certificate beside it is not that of a certificate authority";
	}
	if (X509_cmp_current_time(X509_get0_notAfter(authority->certificate)) <= 0) {
		return "the certificate authority has expired: make a new one in another folder";
	}
	return NULL;
}

int issue_read_authority(const char *certificate, const char *key,
        struct identity_pair *ret_authority, char error[FAULT_MAX])
{
	BIO *certificates = BIO_new_file(certificate, "r");
	BIO *keys = BIO_new_file(key, "r");
	const char *problem = NULL;

	*ret_authority = (struct identity_pair){NULL, NULL};
	if (certificates != NULL) {
		ret_authority->certificate =
		        PEM_read_bio_X509(certificates, NULL, no_password, NULL);
	}
	if (keys != NULL) {
		ret_authority->key = PEM_read_bio_PrivateKey(keys, NULL, no_password, NULL);
	}
	BIO_free(certificates);
	BIO_free(keys);
	ERR_clear_error();
	if (ret_authority->certificate == NULL) {
		return unreadable(certificate, "it cannot be read as a certificate", error);
	}
	problem = ret_authority->key == NULL ? "it cannot be read as a key without a password"
	                                     : authority_problem(ret_authority);
	return problem == NULL ? 0 : unreadable(key, problem, error);
}

/* ── Writing ─────────────────────────────────────────────────────────────── */

/* The bytes in `bio`, which is freed. */
static struct slice take_bytes(BIO *bio, bool written)
{
	char *bytes = NULL;
	const long len = written ? BIO_get_mem_data(bio, &bytes) : 0;
	char *copy = len > 0 ? OPENSSL_memdup(bytes, (size_t)len) : NULL;

	if (len > 0) {
		OPENSSL_cleanse(bytes, (size_t)len);
	}
	BIO_free(bio);
	return (struct slice){copy, copy == NULL ? 0 : (size_t)len};
}

struct slice issue_write_certificate(const struct identity_pair *pair)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return take_bytes(bio, bio != NULL && PEM_write_bio_X509(bio, pair->certificate) == 1);
}

struct slice issue_write_key(const struct identity_pair *pair)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return take_bytes(bio, bio != NULL && PEM_write_bio_PrivateKey(bio, pair->key, NULL, NULL,
	                                              0, NULL, NULL) == 1);
}
