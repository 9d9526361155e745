/* SPDX-License-Identifier: MIT */
/*
 * Names of certificates: a kind, a pattern, a line break, a name. And the same bytes as a
 * certificate in DER. A pattern without a star fits only its own text, whatever the case of a DNS
 * name; and a star never stands for more than one part.
 */
#include "fuzz.h"
#include "identity/certificate.h"

#include "base/check.h"

#include <openssl/x509.h>
#include <string.h>

static size_t count(struct slice text, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		n += text.ptr[i] == c;
	}
	return n;
}

static void check_name(enum certificate_kind kind, struct slice pattern, struct slice name)
{
	if (certificate_pattern_problem(kind, pattern) != NULL ||
	        !certificate_name_fits(kind, pattern, name)) {
		return;
	}
	const char separator = kind == CERTIFICATE_DNS ? '.' : '/';
	ASSERT(kind == CERTIFICATE_CN || count(pattern, separator) == count(name, separator));
	if (kind == CERTIFICATE_CN || count(pattern, '*') == 0) {
		ASSERT(kind == CERTIFICATE_DNS ? slice_equal_nocase(pattern, name)
		                               : slice_equal(pattern, name));
	}
}

static void check_certificate(const uint8_t *bytes, size_t len)
{
	const unsigned char *at = bytes;
	X509 *x509 = d2i_X509(NULL, &at, (long)len);
	struct certificate *certificate = x509 == NULL ? NULL : certificate_new(x509);

	for (unsigned i = 0; certificate != NULL && i < certificate->count; i++) {
		const struct slice name = certificate->names[i].text;
		ASSERT(name.len > 0 && memchr(name.ptr, '\0', name.len) == NULL);
		ASSERT(certificate_has(certificate, certificate->names[i].kind, name) ==
		        certificate->complete);
	}
	certificate_free(certificate);
	X509_free(x509);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *text = (const char *)bytes;
	const char *cut = len > 1 ? memchr(text + 1, '\n', len - 1) : NULL;

	check_certificate(bytes, len);
	if (cut != NULL) {
		check_name((enum certificate_kind)(bytes[0] % 3), slice_between(text + 1, cut),
		        slice_between(cut + 1, text + len));
	}
	return 0;
}
