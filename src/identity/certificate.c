/* SPDX-License-Identifier: MIT */
#include "identity/certificate.h"

#include "base/ascii.h"
#include "base/text.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* ── Reading ─────────────────────────────────────────────────────────────── */

/* A certificate that is being read: its names stand behind the table of them. */
struct filler {
	struct certificate *certificate;
	struct text bytes;
};

static void add_name(struct filler *filler, enum certificate_kind kind, struct slice name)
{
	struct certificate *certificate = filler->certificate;
	const char *copy = filler->bytes.ptr + filler->bytes.len;

	if (name.len == 0 || memchr(name.ptr, '\0', name.len) != NULL) {
		return;
	}
	text_add(&filler->bytes, name);
	if (filler->bytes.overflow || certificate->count == CERTIFICATE_NAMES_MAX) {
		certificate->complete = false;
		return;
	}
	certificate->names[certificate->count++] =
	        (struct certificate_name){.kind = kind, .text = {copy, name.len}};
}

/* Of several, readers take the first or the last: none counts. */
static void add_common_name(struct filler *filler, const X509 *x509)
{
	const X509_NAME *subject = X509_get_subject_name(x509);
	const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;

	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) {
		return;
	}
	const int len = ASN1_STRING_to_UTF8(
	        &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (len > 0) {
		add_name(filler, CERTIFICATE_CN, (struct slice){(const char *)text, (size_t)len});
	}
	OPENSSL_free(text);
}

static void add_alternative_name(struct filler *filler, const GENERAL_NAME *name)
{
	int type = 0;
	const ASN1_STRING *text = GENERAL_NAME_get0_value(name, &type);

	if (type == GEN_DNS || type == GEN_URI) {
		add_name(filler, type == GEN_DNS ? CERTIFICATE_DNS : CERTIFICATE_URI,
		        (struct slice){(const char *)ASN1_STRING_get0_data(text),
		                (size_t)ASN1_STRING_length(text)});
	}
}

static void add_alternative_names(struct filler *filler, const X509 *x509)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		add_alternative_name(filler, sk_GENERAL_NAME_value(names, i));
	}
	GENERAL_NAMES_free(names);
}

/* What is in use, in memory of its own: a connection keeps it. */
static struct certificate *shrink(const struct filler *filler)
{
	const struct certificate *full = filler->certificate;
	const size_t table_len = sizeof(*full) + full->count * sizeof(full->names[0]);
	struct certificate *small = malloc(table_len + filler->bytes.len);

	if (small == NULL) {
		return NULL;
	}
	struct text text = text_over((char *)small, table_len + filler->bytes.len);
	text_add(&text, (struct slice){(const char *)full, table_len});
	text_add(&text, text_slice(&filler->bytes));
	for (unsigned i = 0; i < full->count; i++) {
		small->names[i].text.ptr =
		        (char *)small + table_len + (full->names[i].text.ptr - filler->bytes.ptr);
	}
	return small;
}

struct certificate *certificate_new(const struct x509_st *x509)
{
	const size_t table_len = sizeof(struct certificate) +
	                         CERTIFICATE_NAMES_MAX * sizeof(struct certificate_name);
	struct certificate *full = calloc(1, table_len + CERTIFICATE_BYTES_MAX);
	struct filler filler = {.certificate = full};
	unsigned len = 0;

	if (full == NULL) {
		return NULL;
	}
	filler.bytes = text_over((char *)full + table_len, CERTIFICATE_BYTES_MAX);
	full->complete = X509_digest(x509, EVP_sha256(), full->fingerprint, &len) == 1;
	add_common_name(&filler, x509);
	add_alternative_names(&filler, x509);
	ERR_clear_error();
	struct certificate *small = shrink(&filler);
	free(full);
	return small;
}

void certificate_free(struct certificate *certificate)
{
	free(certificate);
}

/* ── Comparing ───────────────────────────────────────────────────────────── */

static bool is_label(struct slice label)
{
	return label.len > 0 && memchr(label.ptr, '*', label.len) == NULL;
}

static bool dns_fits(struct slice pattern, struct slice name)
{
	const char *dot = memchr(name.ptr, '.', name.len);

	if (slice_equal_nocase(pattern, name)) {
		return true;
	}
	return slice_skip(&pattern, SLICE("*")) && dot != NULL &&
	       is_label(slice_between(name.ptr, dot)) &&
	       slice_equal_nocase(pattern, slice_between(dot, name.ptr + name.len));
}

/* Whether a star may stand for it. */
static bool is_segment(struct slice segment)
{
	for (size_t i = 0; i < segment.len; i++) {
		if (strchr("?#*", segment.ptr[i]) != NULL) {
			return false;
		}
	}
	return segment.len > 0 && !slice_equal(segment, SLICE(".")) &&
	       !slice_equal(segment, SLICE(".."));
}

static bool uri_fits(struct slice pattern, struct slice name)
{
	struct slice wanted;
	struct slice segment;

	if (slice_equal(pattern, name)) {
		return true;
	}
	while (pattern.ptr != NULL && slice_next(&pattern, '/', &wanted)) {
		if (!slice_next(&name, '/', &segment)) {
			return false;
		}
		if (!(slice_equal(wanted, SLICE("*")) ? is_segment(segment)
		                                      : slice_equal(wanted, segment))) {
			return false;
		}
	}
	return !slice_next(&name, '/', &segment);
}

bool certificate_name_fits(enum certificate_kind kind, struct slice pattern, struct slice name)
{
	switch (kind) {
	case CERTIFICATE_DNS:
		return dns_fits(pattern, name);
	case CERTIFICATE_URI:
		return uri_fits(pattern, name);
	case CERTIFICATE_CN:
	default:
		return slice_equal(pattern, name);
	}
}

bool certificate_has(
        const struct certificate *certificate, enum certificate_kind kind, struct slice pattern)
{
	for (unsigned i = 0; certificate != NULL && certificate->complete && i < certificate->count;
	        i++) {
		const struct certificate_name *name = &certificate->names[i];
		if (name->kind == kind && certificate_name_fits(kind, pattern, name->text)) {
			return true;
		}
	}
	return false;
}

bool certificate_is(const struct certificate *certificate,
        const unsigned char fingerprint[CERTIFICATE_FINGERPRINT_LEN])
{
	return certificate != NULL && certificate->complete &&
	       memcmp(certificate->fingerprint, fingerprint, CERTIFICATE_FINGERPRINT_LEN) == 0;
}

/* ── Patterns ────────────────────────────────────────────────────────────── */

static const char *dns_problem(struct slice pattern)
{
	(void)slice_skip(&pattern, SLICE("*."));
	for (size_t i = 0; i < pattern.len; i++) {
		const char c = pattern.ptr[i];
		if (!ascii_is_alnum(c) && strchr("-_.", c) == NULL) {
			return "give a DNS name such as ci.example.org, or *.example.org for all "
			       "names with one label in front of example.org";
		}
	}
	return pattern.len == 0 || pattern.ptr[0] == '.' ? "the name has an empty label" : NULL;
}

/* Scheme and authority, then a path. */
static const char *uri_problem(struct slice pattern)
{
	static const char form[] = "give a URI such as spiffe://example.org/ci; a segment of its "
	                           "path may be *, which stands for one segment";
	struct slice segment;

	for (unsigned i = 0; slice_next(&pattern, '/', &segment); i++) {
		const bool has_star = memchr(segment.ptr, '*', segment.len) != NULL;
		if ((i == 0 && (segment.len < 2 || segment.ptr[segment.len - 1] != ':')) ||
		        (has_star && (i < 3 || segment.len > 1))) {
			return form;
		}
	}
	return NULL;
}

const char *certificate_pattern_problem(enum certificate_kind kind, struct slice pattern)
{
	switch (kind) {
	case CERTIFICATE_DNS:
		return dns_problem(pattern);
	case CERTIFICATE_URI:
		return uri_problem(pattern);
	case CERTIFICATE_CN:
	default:
		return pattern.len == 0 ? "the name is empty" : NULL;
	}
}

const char *certificate_fingerprint_read(
        struct slice text, unsigned char ret_fingerprint[CERTIFICATE_FINGERPRINT_LEN])
{
	static const char form[] = "give the SHA-256 of the certificate, 64 hexadecimal digits: "
	                           "openssl x509 -in FILE -noout -fingerprint -sha256";

	for (unsigned i = 0; i < CERTIFICATE_FINGERPRINT_LEN; i++) {
		if (i > 0) {
			(void)slice_skip(&text, SLICE(":"));
		}
		const int high = text.len < 2 ? -1 : ascii_hex_value(text.ptr[0]);
		const int low = text.len < 2 ? -1 : ascii_hex_value(text.ptr[1]);
		if (high < 0 || low < 0) {
			return form;
		}
		ret_fingerprint[i] = (unsigned char)(16 * high + low);
		text = slice_behind(text, 2);
	}
	return text.len == 0 ? NULL : form;
}
