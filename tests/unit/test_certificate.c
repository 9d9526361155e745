/* SPDX-License-Identifier: MIT */
/* What the configuration says of certificates, and whether a name fits it. */
#include "cases.h"

#include "identity/certificate.h"

static void names_fit(void **state)
{
	static const struct {
		enum certificate_kind kind;
		const char *pattern;
		const char *name;
		bool fits;
	} cases[] = {
	        {CERTIFICATE_CN, "ops", "ops", true},
	        {CERTIFICATE_CN, "ops", "Ops", false},
	        {CERTIFICATE_CN, "ops", "ops ", false},
	        {CERTIFICATE_CN, "*", "ops", false},
	        {CERTIFICATE_DNS, "ci.example.org", "CI.Example.ORG", true},
	        {CERTIFICATE_DNS, "ci.example.org", "xci.example.org", false},
	        {CERTIFICATE_DNS, "ci.example.org", "ci.example.org.", false},
	        {CERTIFICATE_DNS, "*.example.org", "ci.example.org", true},
	        {CERTIFICATE_DNS, "*.example.org", "CI.EXAMPLE.org", true},
	        {CERTIFICATE_DNS, "*.example.org", "a.ci.example.org", false},
	        {CERTIFICATE_DNS, "*.example.org", "example.org", false},
	        {CERTIFICATE_DNS, "*.example.org", ".example.org", false},
	        {CERTIFICATE_DNS, "*.example.org", "*.example.org", true},
	        {CERTIFICATE_DNS, "ci.example.org", "*.example.org", false},
	        {CERTIFICATE_DNS, "*.example.org", "c*.example.org", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/a", "spiffe://td/ns/a", true},
	        {CERTIFICATE_URI, "spiffe://td/ns/a", "spiffe://td/ns/A", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/*", "spiffe://td/ns/a", true},
	        {CERTIFICATE_URI, "spiffe://td/ns/*", "spiffe://td/ns/", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/*", "spiffe://td/ns", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/*", "spiffe://td/ns/a/b", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/*", "spiffe://td/ns/a/", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/*", "spiffe://td/ns/..", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/*", "spiffe://td/ns/.", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/*", "spiffe://td/ns/a?b", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/*", "spiffe://td/ns/a#b", false},
	        {CERTIFICATE_URI, "spiffe://td/*/sa/*", "spiffe://td/a/sa/b", true},
	        {CERTIFICATE_URI, "spiffe://td/*/sa/*", "spiffe://td/a/b/sa/c", false},
	        {CERTIFICATE_URI, "spiffe://td/*/sa/*", "spiffe://TD/a/sa/b", false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		if (certificate_name_fits(cases[i].kind, slice_of(cases[i].pattern),
		            slice_of(cases[i].name)) != cases[i].fits) {
			fail_msg("%s: %s", cases[i].pattern, cases[i].name);
		}
	}
}

static void patterns_that_cannot_be(void **state)
{
	static const struct {
		enum certificate_kind kind;
		const char *pattern;
		bool good;
	} cases[] = {
	        {CERTIFICATE_CN, "", false},
	        {CERTIFICATE_CN, "any text: *", true},
	        {CERTIFICATE_DNS, "*.example.org", true},
	        {CERTIFICATE_DNS, "*", false},
	        {CERTIFICATE_DNS, "*.", false},
	        {CERTIFICATE_DNS, "*.*.org", false},
	        {CERTIFICATE_DNS, "a*.example.org", false},
	        {CERTIFICATE_DNS, "ci.*.org", false},
	        {CERTIFICATE_DNS, ".example.org", false},
	        {CERTIFICATE_DNS, "", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/*/sa/x", true},
	        {CERTIFICATE_URI, "https://example.org", true},
	        {CERTIFICATE_URI, "spiffe://*/ns", false},
	        {CERTIFICATE_URI, "*://td/ns", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/a*", false},
	        {CERTIFICATE_URI, "spiffe://td/ns/**", false},
	        {CERTIFICATE_URI, "td/ns", false},
	        {CERTIFICATE_URI, "", false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		const char *problem =
		        certificate_pattern_problem(cases[i].kind, slice_of(cases[i].pattern));
		if ((problem == NULL) != cases[i].good) {
			fail_msg("%s: %s", cases[i].pattern, problem == NULL ? "good" : problem);
		}
	}
}

static void fingerprints(void **state)
{
	static const char digits[] =
	        "00112233445566778899AABBccddeeff00112233445566778899aabbccddeeff";
	unsigned char read[CERTIFICATE_FINGERPRINT_LEN];
	char text[3 * CERTIFICATE_FINGERPRINT_LEN + 1] = "";
	struct certificate certificate = {.complete = true};

	(void)state;
	assert_null(certificate_fingerprint_read(slice_of(digits), read));
	assert_int_equal(read[1], 0x11);
	assert_int_equal(read[10], 0xaa);
	memcpy(certificate.fingerprint, read, sizeof(read));
	assert_true(certificate_is(&certificate, read));
	for (unsigned i = 0; i < CERTIFICATE_FINGERPRINT_LEN; i++) {
		memcpy(text + 3 * (size_t)i, digits + 2 * (size_t)i, 2);
		text[3 * i + 2] = ':';
	}
	text[sizeof(text) - 2] = '\0';
	memset(read, 0, sizeof(read));
	assert_null(certificate_fingerprint_read(slice_of(text), read));
	assert_true(certificate_is(&certificate, read));
	read[31] ^= 1;
	assert_false(certificate_is(&certificate, read));
	assert_false(certificate_is(NULL, read));
	certificate.complete = false;
	assert_false(certificate_is(&certificate, certificate.fingerprint));
	assert_non_null(certificate_fingerprint_read((struct slice){digits, 63}, read));
	assert_non_null(certificate_fingerprint_read((struct slice){digits, 62}, read));
	assert_non_null(certificate_fingerprint_read(SLICE(""), read));
	text[0] = 'g';
	assert_non_null(certificate_fingerprint_read(slice_of(text), read));
	char longer[70] = "";
	memcpy(longer, digits, 64);
	longer[64] = '0';
	assert_non_null(certificate_fingerprint_read(slice_of(longer), read));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_fit),
	        cmocka_unit_test(patterns_that_cannot_be),
	        cmocka_unit_test(fingerprints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
