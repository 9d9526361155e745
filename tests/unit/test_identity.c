/* SPDX-License-Identifier: MIT */
/*
 * Callers: one host is one host however it came, and names are spelled so that
 * people find them with grep.
 */
#include "callers.h"
#include "cases.h"

#include <arpa/inet.h>

static void is_named(const char *name, const char *wanted, const char *host)
{
	const struct caller caller = caller_named(name);
	char memory[ADDRESS_NAME_MAX];
	struct text text = text_over(memory, sizeof(memory));

	caller_add_name(&caller, &text);
	assert_slice(name, text_slice(&text), slice_of(wanted));
	text = text_over(memory, sizeof(memory));
	caller_add_host(&caller, &text);
	assert_slice(name, text_slice(&text), slice_of(host));
	assert_false(text.overflow);
}

static void names_have_one_spelling(void **state)
{
	(void)state;
	is_named("192.0.2.1:4711", "192.0.2.1:4711", "192.0.2.1");
	is_named("1.10.100.255:1", "1.10.100.255:1", "1.10.100.255");
	is_named("255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255");
	is_named("[2001:db8:0:0::1]:10", "[2001:db8::1]:10", "[2001:db8::1]");
	is_named("[::ffff:192.0.2.99]:100", "192.0.2.99:100", "192.0.2.99");
	is_named("unix", "unix", "unix");
}

/* As inet_ntop() and printf() have them. */
static void numbers_are_right(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= UINT16_MAX; i++) {
		union address address = {
		        .ip4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)i)}};
		char host[INET_ADDRSTRLEN];
		char wanted[ADDRESS_NAME_MAX];
		char memory[ADDRESS_NAME_MAX];
		struct text text = text_over(memory, sizeof(memory));

		address.ip4.sin_addr.s_addr = htonl(i * 65537U);
		const struct caller caller = caller_from(0, &address);
		caller_add_name(&caller, &text);
		(void)inet_ntop(AF_INET, &address.ip4.sin_addr, host, sizeof(host));
		(void)snprintf(wanted, sizeof(wanted), "%s:%u", host, i);
		assert_slice("name", text_slice(&text), slice_of(wanted));
	}
}

static void are_one_host(const char *one, const char *other, bool wanted)
{
	const struct caller a = caller_named(one);
	const struct caller b = caller_named(other);

	assert_that(one, caller_same_host(&a, &b) == wanted);
	assert_that(one, !wanted || caller_hash(&a) == caller_hash(&b));
}

static void a_host_is_one_whatever_the_port(void **state)
{
	(void)state;
	are_one_host("192.0.2.1:1", "192.0.2.1:2", true);
	are_one_host("192.0.2.1:1", "[::ffff:192.0.2.1]:2", true);
	are_one_host("192.0.2.1:1", "192.0.2.2:1", false);
	are_one_host("[2001:db8::1]:1", "[2001:db8::1]:2", true);
	are_one_host("[2001:db8::1]:1", "[2001:db8::2]:1", false);
	are_one_host("[::192.0.2.1]:1", "192.0.2.1:1", false);
	are_one_host("unix", "unix", true);
	are_one_host("unix", "192.0.2.1:1", false);
}

static void what_does_not_fit_is_not_written(void **state)
{
	const struct caller caller = caller_named("192.0.2.1:4711");
	char memory[8] = "";
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	caller_add_name(&caller, &text);
	assert_true(text.overflow);
	assert_int_equal(text.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_have_one_spelling),
	        cmocka_unit_test(numbers_are_right),
	        cmocka_unit_test(a_host_is_one_whatever_the_port),
	        cmocka_unit_test(what_does_not_fit_is_not_written),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
