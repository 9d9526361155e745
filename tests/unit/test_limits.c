/* SPDX-License-Identifier: MIT */
/* Limits: how they are read and inherited; accounts: the rate, what is held, hosts beyond the
 * table. */
#include "callers.h"
#include "cases.h"

#include "base/clock.h"
#include "limits/accounts.h"

static struct arena arena;
static struct accounts *accounts;

static int make(void **state)
{
	(void)state;
	accounts = accounts_new();
	return accounts == NULL ? -1 : 0;
}

static int free_all(void **state)
{
	(void)state;
	accounts_free(accounts);
	arena_free(&arena);
	return 0;
}

/* ── Reading ─────────────────────────────────────────────────────────────── */

static int read_limits(
        const char *text, enum limits_whose whose, struct limits *ret_limits, char error[FAULT_MAX])
{
	const struct yaml_node *root = NULL;

	if (yaml_read(slice_of(text), "ci.yaml", &arena, &root, error) < 0) {
		return -1;
	}
	return limits_read_map(root, whose, ret_limits, error);
}

static struct limits limits_of(const char *text)
{
	char error[FAULT_MAX] = "";
	struct limits limits;

	if (read_limits(text, LIMITS_ENTRY, &limits, error) < 0) {
		fail_msg("%s: %s", text, error);
	}
	return limits;
}

static void refuses(const char *text, enum limits_whose whose, const char *wanted)
{
	char error[FAULT_MAX] = "";
	struct limits limits;

	assert_that(text, read_limits(text, whose, &limits, error) < 0);
	assert_string_equal(error, wanted);
}

static void what_is_wrong_is_said(void **state)
{
	static const char *const counts[] = {"0", "-1", "many", "1000001", "4 ", "1k", ""};
	static const char *const rates[] = {
	        "0/s", "200", "/s", "200/d", "1.5/s", "1000001/s", "1/ s"};
	static const char *const sizes[] = {
	        "0", "0m", "m", "1x", "9223372036854775808", "8388608t"};
	char text[64];
	char wanted[256];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		(void)snprintf(text, sizeof(text), "{builds: '%s'}", counts[i]);
		(void)snprintf(wanted, sizeof(wanted),
		        "ci.yaml:1: 'builds' is a whole number from 1 to 1000000, or none; found "
		        "%s%s%s",
		        counts[i][0] != '\0' ? "'" : "nothing", counts[i],
		        counts[i][0] != '\0' ? "'" : "");
		refuses(text, LIMITS_EACH, wanted);
	}
	for (unsigned i = 0; i < ARRAY_LEN(rates); i++) {
		(void)snprintf(text, sizeof(text), "{rate: '%s'}", rates[i]);
		(void)snprintf(wanted, sizeof(wanted),
		        "ci.yaml:1: 'rate' is a number of requests from 1 to 1000000 in a second, "
		        "a "
		        "minute or an hour, such as 200/s, 600/m or 1000/h, or none; found '%s'",
		        rates[i]);
		refuses(text, LIMITS_EACH, wanted);
	}
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		(void)snprintf(text, sizeof(text), "{body: '%s'}", sizes[i]);
		(void)snprintf(wanted, sizeof(wanted),
		        "ci.yaml:1: 'body' is a number of bytes above 0, such as 512m or 16g, or "
		        "none; "
		        "found '%s'",
		        sizes[i]);
		refuses(text, LIMITS_EACH, wanted);
	}
	refuses("{stream: 1}", LIMITS_EACH,
	        "ci.yaml:1: unknown key 'stream' in limits; did you mean 'streams'?");
	refuses("{connections: 1}", LIMITS_TOTAL,
	        "ci.yaml:1: 'connections' is no limit of 'total': --max-connections is that of all "
	        "clients together");
	refuses("{body: 1m}", LIMITS_TOTAL,
	        "ci.yaml:1: 'body' is no limit of 'total': it is one of each request");
}

static void total_is_of_no_single_client(void **state)
{
	char error[FAULT_MAX] = "";
	struct limits limits;

	(void)state;
	assert_int_equal(read_limits("{total: {builds: 1}}", LIMITS_EACH, &limits, error), 0);
	assert_false(limits_any(&limits));
	assert_true(read_limits("{total: {builds: 1}}", LIMITS_ENTRY, &limits, error) < 0);
	assert_true(read_limits("{total: {builds: 1}}", LIMITS_TOTAL, &limits, error) < 0);
}

static void values_are_read(void **state)
{
	(void)state;
	assert_int_equal(limits_of("{builds: 4}").of[LIMIT_BUILDS].value, 4);
	assert_int_equal(limits_of("{rate: 200/s}").of[LIMIT_RATE].value, 5 * NS_PER_MS);
	assert_int_equal(limits_of("{rate: 30/m}").of[LIMIT_RATE].value, 2 * NS_PER_S);
	assert_int_equal(limits_of("{rate: 30/h}").period_ns, 3600 * NS_PER_S);
	assert_int_equal(limits_of("{body: 1000}").of[LIMIT_BODY].value, 1000);
	assert_int_equal(limits_of("{body: 16G}").of[LIMIT_BODY].value, INT64_C(16) << 30);
	assert_int_equal(limits_of("{body: none}").of[LIMIT_BODY].value, 0);
}

static void an_entry_has_what_it_leaves_out_from_the_others(void **state)
{
	const struct limits all = limits_of("{connections: 5, rate: 10/m, builds: 2}");
	struct limits own = limits_of("{connections: none, builds: 9}");
	char memory[128];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	limits_inherit(&own, &all);
	limits_add(&own, &text);
	assert_slice("inherited", text_slice(&text), SLICE("rate 10/m, builds 9"));
	assert_int_equal(own.period_ns, 60 * NS_PER_S);
}

/* ── The rate ────────────────────────────────────────────────────────────── */

static unsigned ask_until_refused(
        struct account *account, const struct limits *limits, int64_t now_ns, int64_t *ret_wait_ns)
{
	struct holding holding = {.limits = 0};
	unsigned passed = 0;

	while (holding_take(&holding, account, limits, 1U << LIMIT_RATE, now_ns, ret_wait_ns) ==
	        LIMIT_COUNT) {
		passed++;
	}
	assert_int_equal(holding.limits, 0);
	return passed;
}

static void the_rate_allows_a_period_at_once_and_then_what_time_brings(void **state)
{
	static const char *const rates[] = {
	        "{rate: 3/s}", "{rate: 7/m}", "{rate: 1/h}", "{rate: 200/s}"};
	static const unsigned counts[] = {3, 7, 1, 200};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rates); i++) {
		const struct limits limits = limits_of(rates[i]);
		struct account account = {.paid_ns = 0};
		const int64_t cost_ns = (int64_t)limits.of[LIMIT_RATE].value;
		int64_t now_ns = 1000 * NS_PER_S;
		int64_t wait_ns = 0;
		assert_int_equal(ask_until_refused(&account, &limits, now_ns, &wait_ns), counts[i]);
		assert_true(wait_ns > 0 && wait_ns <= cost_ns);
		now_ns += wait_ns - 1;
		int64_t rest_ns = 0;
		assert_int_equal(ask_until_refused(&account, &limits, now_ns, &rest_ns), 0);
		assert_int_equal(rest_ns, 1);
		assert_int_equal(ask_until_refused(&account, &limits, now_ns + 1, &rest_ns), 1);
		now_ns += 10 * limits.period_ns; /* no more is saved than a period */
		assert_int_equal(ask_until_refused(&account, &limits, now_ns, &rest_ns), counts[i]);
	}
}

/* ── Accounts ────────────────────────────────────────────────────────────── */

static struct account *take(const char *host, int64_t now_ns)
{
	const struct caller caller = caller_named(host);

	return accounts_take_host(accounts, &caller, now_ns);
}

static void hosts_and_clients_have_accounts_of_their_own(void **state)
{
	struct account *a = take("192.0.2.1:1", 0);
	struct account *b = take("192.0.2.1:2", 0);
	struct account *c = take("[2001:db8::1]:1", 0);
	struct account *d = take("[2001:db8::ffff:1]:1", 0);
	struct account *e = take("[2001:db8:0:1::1]:1", 0);
	struct account *f = accounts_take_client(accounts, "192.0.2.1", 0);
	struct caller user = {.address = {.any = {.sa_family = AF_UNIX}}};

	(void)state;
	user.peer = (struct unix_peer){.uid = 1000, .group_count = 1};
	struct account *g = accounts_take_host(accounts, &user, 0);
	user.peer.uid = 1001;
	struct account *h = accounts_take_host(accounts, &user, 0);
	assert_ptr_equal(a, b);
	assert_ptr_equal(c, d);
	assert_ptr_not_equal(c, e);
	assert_ptr_not_equal(a, f);
	assert_ptr_not_equal(g, h);
	struct account *const all[] = {a, b, c, d, e, f, g, h};
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		accounts_give(accounts, all[i]);
	}
}

static void what_is_held_is_given_back(void **state)
{
	const struct limits limits = limits_of("{requests: 2, streams: 1}");
	const unsigned wanted = 1U << LIMIT_REQUESTS | 1U << LIMIT_STREAMS | 1U << LIMIT_BUILDS;
	struct account *account = take("192.0.2.7:1", 0);
	struct holding first = {.limits = 0};
	struct holding second = {.limits = 0};
	int64_t wait_ns = 0;

	(void)state;
	assert_int_equal(holding_take(&first, account, &limits, wanted, 0, &wait_ns), LIMIT_COUNT);
	assert_int_equal(
	        holding_take(&second, account, &limits, wanted, 0, &wait_ns), LIMIT_STREAMS);
	assert_int_equal(account_held(account, LIMIT_REQUESTS), 2);
	assert_int_equal(account_held(account, LIMIT_STREAMS), 1);
	assert_int_equal(account_held(account, LIMIT_BUILDS), 0);
	holding_give(&second);
	holding_give(&second);
	holding_give(&first);
	assert_int_equal(account_held(account, LIMIT_REQUESTS), 0);
	assert_int_equal(account_held(account, LIMIT_STREAMS), 0);
	/* It lasts after all, also if another one has come to the limit meanwhile; and only once.
	 */
	assert_int_equal(holding_take(&second, account, &limits, wanted, 0, &wait_ns), LIMIT_COUNT);
	holding_keep(&first);
	holding_keep(&first);
	assert_int_equal(account_held(account, LIMIT_STREAMS), 2);
	holding_give(&first);
	holding_give(&second);
	assert_int_equal(account_held(account, LIMIT_STREAMS), 0);
	accounts_give(accounts, account);
}

/* Nobody gets more by coming from many addresses, or by leaving and coming back. */
static void hosts_beyond_the_table_share_an_account(void **state)
{
	static struct account *taken[ACCOUNTS_MAX];
	const struct limits limits = limits_of("{rate: 1/h}");
	const int64_t now_ns = 100 * NS_PER_S;
	const int64_t later_ns = now_ns + 3600 * NS_PER_S;
	char name[32];
	int64_t wait_ns = 0;

	(void)state;
	accounts_free(accounts);
	accounts = accounts_new();
	for (unsigned i = 0; i < ACCOUNTS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "10.0.%u.%u:1", i / 256, i % 256);
		taken[i] = take(name, now_ns);
		assert_ptr_not_equal(taken[i], &accounts->others);
	}
	assert_ptr_equal(take("192.0.2.1:1", now_ns), &accounts->others);
	assert_ptr_equal(take("192.0.2.2:1", now_ns), &accounts->others);
	accounts_give(accounts, &accounts->others);
	accounts_give(accounts, &accounts->others);
	assert_int_equal(ask_until_refused(taken[0], &limits, now_ns, &wait_ns), 1);
	for (unsigned i = 0; i < ACCOUNTS_MAX; i++) {
		accounts_give(accounts, taken[i]);
	}
	/* The first one owes an hour. */
	assert_ptr_equal(take("192.0.2.1:1", now_ns), &accounts->others);
	struct account *again = take("10.0.0.0:1", now_ns);
	assert_ptr_equal(again, taken[0]);
	assert_int_equal(ask_until_refused(again, &limits, now_ns, &wait_ns), 0);
	struct account *vacant = take("192.0.2.1:1", now_ns);
	assert_ptr_equal(vacant, taken[1]);
	assert_ptr_equal(take("192.0.2.1:1", later_ns), vacant);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_wrong_is_said),
	        cmocka_unit_test(total_is_of_no_single_client),
	        cmocka_unit_test(values_are_read),
	        cmocka_unit_test(an_entry_has_what_it_leaves_out_from_the_others),
	        cmocka_unit_test(the_rate_allows_a_period_at_once_and_then_what_time_brings),
	        cmocka_unit_test(hosts_and_clients_have_accounts_of_their_own),
	        cmocka_unit_test(what_is_held_is_given_back),
	        cmocka_unit_test(hosts_beyond_the_table_share_an_account),
	};

	return cmocka_run_group_tests(tests, make, free_all);
}
