/* SPDX-License-Identifier: MIT */
/*
 * How often a denial gets a line in the log: once a minute for each client and
 * operation, with how many it stands for, and never more than the table holds.
 */
#include "callers.h"
#include "cases.h"

#include "audit/denials.h"

#include "base/clock.h"

static struct denials denials;
static const char A[] = "192.0.2.1:1000";
static const char B[] = "192.0.2.2:1000";
static const int64_t start_ns = 1000 * NS_PER_S;

static int forget(void **state)
{
	(void)state;
	memset(&denials, 0, sizeof(denials));
	denials_init(&denials);
	return 0;
}

static uint64_t deny(double seconds, const char *client, const char *operation)
{
	const struct caller caller = caller_named(client);

	return denials_count(
	        &denials, start_ns + (int64_t)(seconds * NS_PER_S), &caller, operation, false, 0);
}

static void the_first_is_due_and_then_one_a_minute(void **state)
{
	(void)state;
	assert_int_equal(deny(0, A, "secret.list"), 1);
	assert_int_equal(deny(1, A, "secret.list"), 0);
	assert_int_equal(deny(59.9, A, "secret.list"), 0);
	assert_int_equal(deny(60, A, "secret.list"), 3);
	assert_int_equal(deny(61, A, "secret.list"), 0);
	assert_int_equal(deny(500, A, "secret.list"), 2);
}

static void clients_operations_and_modes_count_apart(void **state)
{
	(void)state;
	assert_int_equal(deny(0, A, "secret.list"), 1);
	assert_int_equal(deny(0, B, "secret.list"), 1);
	assert_int_equal(deny(0, A, "config.list"), 1);
	const struct caller caller = caller_named(A);
	assert_int_equal(denials_count(&denials, start_ns, &caller, "secret.list", true, 0), 1);
	/* Other reasons of the same operation have a line of their own. */
	assert_int_equal(
	        denials_count(&denials, start_ns, &caller, "container.create", false, 7), 1);
	assert_int_equal(
	        denials_count(&denials, start_ns, &caller, "container.create", false, 8), 1);
	assert_int_equal(
	        denials_count(&denials, start_ns, &caller, "container.create", false, 7), 0);
	assert_int_equal(deny(1, A, "secret.list"), 0);
	assert_int_equal(deny(1, B, "secret.list"), 0);
}

/* Of a caller's address only the port is another one each time, and it is no part of the key. */
static void a_host_counts_whatever_its_ports(void **state)
{
	(void)state;
	assert_int_equal(deny(0, "192.0.2.1:1", "secret.list"), 1);
	assert_int_equal(deny(1, "192.0.2.1:2", "secret.list"), 0);
	assert_int_equal(deny(1, "[::ffff:192.0.2.1]:3", "secret.list"), 0);
	assert_int_equal(deny(0, "[2001:db8::1]:1", "secret.list"), 1);
	assert_int_equal(deny(1, "[2001:db8::1]:2", "secret.list"), 0);
	assert_int_equal(deny(0, "unix", "secret.list"), 1);
	assert_int_equal(deny(1, "unix", "secret.list"), 0);
}

/* Who comes with ever new addresses makes lines, but no memory, and others keep their minute. */
static void the_table_has_a_ceiling_and_the_oldest_makes_room(void **state)
{
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 10 * DENIALS_SETS * DENIALS_WAYS; i++) {
		(void)snprintf(name, sizeof(name), "192.0.%u.%u:1", i / 256, i % 256);
		assert_int_equal(deny(i / 1000.0, name, "secret.list"), 1);
	}
	assert_int_equal(deny(11, name, "secret.list"), 0);
	assert_int_equal(deny(11, "192.0.0.0:9", "secret.list"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(the_first_is_due_and_then_one_a_minute, forget),
	        cmocka_unit_test_setup(clients_operations_and_modes_count_apart, forget),
	        cmocka_unit_test_setup(a_host_counts_whatever_its_ports, forget),
	        cmocka_unit_test_setup(the_table_has_a_ceiling_and_the_oldest_makes_room, forget),
	};

	return cmocka_run_group_tests_name("denials", tests, NULL, NULL);
}
