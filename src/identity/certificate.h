/* SPDX-License-Identifier: MIT */
/*
 * certificate — what a verified certificate says of its owner, as values, and how the
 * configuration speaks of it.
 *
 * A name that holds a NUL byte is no name. A certificate with more names than there is room for
 * fits nothing at all, rather than by the names that came first.
 */
#ifndef IDENTITY_CERTIFICATE_H
#define IDENTITY_CERTIFICATE_H

#include "base/check.h"
#include "base/slice.h"

enum {
	CERTIFICATE_NAMES_MAX = 64,
	CERTIFICATE_BYTES_MAX = 8192,     /* of all names */
	CERTIFICATE_FINGERPRINT_LEN = 32, /* bytes of a SHA-256 */
};

enum certificate_kind {
	CERTIFICATE_CN,  /* the common name of the subject, if it has one alone */
	CERTIFICATE_DNS, /* subjectAltName dNSName */
	CERTIFICATE_URI, /* subjectAltName uniformResourceIdentifier */
};

struct certificate_name {
	enum certificate_kind kind;
	struct slice text;
};

struct certificate {
	bool complete; /* false: it has too many names, and fits nothing */
	unsigned char fingerprint[CERTIFICATE_FINGERPRINT_LEN]; /* SHA-256 of its DER */
	unsigned count;
	struct certificate_name names[];
};

struct x509_st;

/* NULL without memory. */
struct certificate *certificate_new(const struct x509_st *x509) MUST_USE;
/* `certificate` may be NULL. */
void certificate_free(struct certificate *certificate);

/* ── Comparing ───────────────────────────────────────────────────────────── */

/* Whether one of its names of this kind fits, by the function below. `certificate` may be NULL. */
bool certificate_has(
        const struct certificate *certificate, enum certificate_kind kind, struct slice pattern);
bool certificate_is(const struct certificate *certificate,
        const unsigned char fingerprint[CERTIFICATE_FINGERPRINT_LEN]);

/*
 * CN: the same bytes. DNS: the same name, whatever the case of its letters; *.example.org in a
 * pattern fits names with one more label, which is no star. URI: the same bytes; a star in a
 * pattern is one whole segment of the path, which is not empty, and neither . nor .. .
 */
bool certificate_name_fits(enum certificate_kind kind, struct slice pattern, struct slice name);

/* The fault of a pattern, as the end of a sentence; NULL if it has none. */
const char *certificate_pattern_problem(enum certificate_kind kind, struct slice pattern);
/* Read 64 hexadecimal digits, with or without colons between the bytes. NULL; or the fault, as
 * above. */
const char *certificate_fingerprint_read(
        struct slice text, unsigned char ret_fingerprint[CERTIFICATE_FINGERPRINT_LEN]);

#endif
