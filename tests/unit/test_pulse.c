/* SPDX-License-Identifier: MIT */
/* Health of Engines: what makes one down and up again; which member of a group is asked; who has
 * which pulse. */
#include "cases.h"

#include "pulse/pulse.h"

#include <errno.h>
#include <pthread.h>

static struct pulses *pulses;
static struct pulse *a, *b, *c;

static int make(void **state)
{
	(void)state;
	pulses = pulses_new();
	if (pulses == NULL) {
		return -1;
	}
	a = pulses_take(pulses, "a", "tcp://10.0.0.1:2375");
	b = pulses_take(pulses, "b", "tcp://10.0.0.2:2375");
	c = pulses_take(pulses, "c", "tcp://10.0.0.3:2375");
	return a == NULL || b == NULL || c == NULL ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	pulses_give(pulses, a);
	pulses_give(pulses, b);
	pulses_give(pulses, c);
	pulses_free(pulses);
	return 0;
}

static enum pulse_state state_of(const struct pulse *pulse)
{
	return pulse_look(pulse).state;
}

/* ── One Engine ──────────────────────────────────────────────────────────── */

static void test_nothing_is_known_before_the_first_connection(void **state)
{
	(void)state;
	assert_int_equal(state_of(a), PULSE_UNKNOWN);
	assert_int_equal(pulse_look(a).since_ns, 0);
	pulse_connected(a);
	assert_int_equal(state_of(a), PULSE_UP);
	assert_true(pulse_look(a).since_ns > 0);
}

static void test_a_refused_connection_makes_it_down_at_once(void **state)
{
	(void)state;
	pulse_connected(a);
	pulse_failed(a, TROUBLE_REFUSED);
	assert_int_equal(state_of(a), PULSE_DOWN);
	assert_int_equal(pulse_look(a).trouble, TROUBLE_REFUSED);
	assert_int_equal(atomic_load(&a->failures), 1);
}

static void test_two_answers_in_a_row_make_it_up_again(void **state)
{
	(void)state;
	pulse_failed(a, TROUBLE_REFUSED);
	pulse_answered(a);
	assert_int_equal(state_of(a), PULSE_DOWN);
	pulse_failed(a, TROUBLE_REFUSED); /* begins the row anew */
	pulse_answered(a);
	assert_int_equal(state_of(a), PULSE_DOWN);
	pulse_answered(a);
	assert_int_equal(state_of(a), PULSE_UP);
	assert_int_equal(pulse_look(a).trouble, TROUBLE_NONE);
}

static void test_a_connection_alone_makes_it_not_up_again(void **state)
{
	(void)state;
	pulse_failed(a, TROUBLE_REFUSED);
	pulse_connected(a);
	pulse_connected(a);
	assert_int_equal(state_of(a), PULSE_DOWN);
}

static void test_one_late_answer_makes_it_not_down(void **state)
{
	(void)state;
	pulse_connected(a);
	pulse_missed(a, TROUBLE_SILENT);
	assert_int_equal(state_of(a), PULSE_UP);
	pulse_answered(a);
	pulse_missed(a, TROUBLE_SILENT);
	assert_int_equal(state_of(a), PULSE_UP);
	pulse_missed(a, TROUBLE_ERROR);
	assert_int_equal(state_of(a), PULSE_DOWN);
	assert_int_equal(pulse_look(a).trouble, TROUBLE_ERROR);
	assert_int_equal(atomic_load(&a->failures), 0);
}

static void test_an_engine_that_never_answered_is_down_after_two_probes(void **state)
{
	(void)state;
	pulse_missed(a, TROUBLE_SILENT);
	assert_int_equal(state_of(a), PULSE_UNKNOWN);
	pulse_missed(a, TROUBLE_SILENT);
	assert_int_equal(state_of(a), PULSE_DOWN);
}

static void test_another_reason_keeps_the_time(void **state)
{
	(void)state;
	pulse_failed(a, TROUBLE_REFUSED);
	const int64_t since_ns = pulse_look(a).since_ns;
	pulse_failed(a, TROUBLE_TIMEOUT);
	assert_int_equal(pulse_look(a).trouble, TROUBLE_TIMEOUT);
	assert_int_equal(pulse_look(a).since_ns, since_ns);
}

static void test_what_the_proxy_lacks_says_nothing_of_the_engine(void **state)
{
	const int errors[] = {EAGAIN, EMFILE, ENFILE, ENOMEM, ENOBUFS};

	(void)state;
	pulse_connected(a);
	for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
		assert_int_equal(pulse_trouble_of(-errors[i], false), TROUBLE_NONE);
		pulse_failed(a, pulse_trouble_of(-errors[i], false));
	}
	assert_int_equal(state_of(a), PULSE_UP);
	assert_int_equal(atomic_load(&a->failures), 0);
}

static void test_each_error_has_its_trouble(void **state)
{
	static const struct {
		int error;
		const char *word;
	} cases[] = {
	        {ECONNREFUSED, "refused"},
	        {ENOENT, "refused"},
	        {EHOSTUNREACH, "unreachable"},
	        {EADDRNOTAVAIL, "no_address"},
	        {ETIMEDOUT, "timeout"},
	        {ECONNRESET, "cut"},
	        {EACCES, "forbidden"},
	        {EINVAL, "failed"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		const enum pulse_trouble trouble = pulse_trouble_of(-cases[i].error, false);
		assert_string_equal(pulse_word(trouble), cases[i].word);
		assert_true(pulse_may_move(trouble));
		assert_non_null(pulse_text(trouble));
	}
	assert_null(pulse_word(TROUBLE_NONE));
}

static void test_without_a_pulse_nothing_happens(void **state)
{
	(void)state;
	pulse_connected(NULL);
	pulse_failed(NULL, TROUBLE_REFUSED);
	pulse_answered(NULL);
	pulse_missed(NULL, TROUBLE_SILENT);
	assert_int_equal(pulse_look(NULL).state, PULSE_UNKNOWN);
}

/* ── Groups ──────────────────────────────────────────────────────────────── */

static void test_a_group_asks_the_first_member_that_is_not_down(void **state)
{
	struct pulse *const members[] = {a, b, c};

	(void)state;
	assert_int_equal(pulse_choose(members, 3, 0), 0);
	pulse_failed(a, TROUBLE_REFUSED);
	assert_int_equal(pulse_choose(members, 3, 0), 1);
	pulse_failed(b, TROUBLE_TIMEOUT);
	assert_int_equal(pulse_choose(members, 3, 0), 2);
}

static void test_a_group_of_which_all_are_down_asks_each_once(void **state)
{
	struct pulse *const members[] = {a, b};

	(void)state;
	pulse_failed(a, TROUBLE_REFUSED);
	pulse_failed(b, TROUBLE_REFUSED);
	assert_int_equal(pulse_choose(members, 2, 0), 0);
	assert_int_equal(pulse_choose(members, 2, 1), 1);
	assert_int_equal(pulse_choose(members, 2, 3), PULSE_NOBODY);
}

static void test_a_member_that_was_tried_is_not_asked_again(void **state)
{
	struct pulse *const members[] = {a, b};

	(void)state;
	assert_int_equal(pulse_choose(members, 2, 1), 1);
}

static void test_a_wrong_certificate_is_not_hidden_by_another_member(void **state)
{
	struct pulse *const members[] = {a, b};

	(void)state;
	pulse_failed(a, pulse_trouble_of(-EPROTO, true));
	assert_int_equal(state_of(a), PULSE_DOWN);
	assert_false(pulse_may_move(TROUBLE_TLS));
	assert_int_equal(pulse_choose(members, 2, 0), 0);
}

/* ── The table ───────────────────────────────────────────────────────────── */

static void test_an_engine_keeps_its_pulse_and_another_address_begins_anew(void **state)
{
	(void)state;
	pulse_failed(a, TROUBLE_REFUSED);
	struct pulse *same = pulses_take(pulses, "a", "tcp://10.0.0.1:2375");
	struct pulse *moved = pulses_take(pulses, "a", "tcp://10.0.0.9:2375");
	assert_ptr_equal(same, a);
	assert_ptr_not_equal(moved, a);
	assert_int_equal(state_of(moved), PULSE_UNKNOWN);
	pulses_give(pulses, same);
	pulses_give(pulses, moved);
	assert_int_equal(state_of(a), PULSE_DOWN);
}

static void test_what_is_shown_is_what_was_said(void **state)
{
	struct pulse *const list[] = {b, NULL};
	struct pulse_sample sample;

	(void)state;
	assert_int_equal(pulses_count(NULL), 0);
	assert_false(pulses_sample(NULL, 0, &sample));
	assert_int_equal(pulses_count(pulses), 0);
	pulse_failed(b, TROUBLE_REFUSED);
	pulses_show(pulses, list, 2);
	assert_int_equal(pulses_count(pulses), 2);
	assert_true(pulses_sample(pulses, 0, &sample));
	assert_string_equal(sample.name, "b");
	assert_int_equal(sample.view.state, PULSE_DOWN);
	assert_int_equal(sample.failures, 1);
	assert_false(pulses_sample(pulses, 1, &sample));
	assert_false(pulses_sample(pulses, 2, &sample));
}

/* ── Threads ─────────────────────────────────────────────────────────────── */

static void *fail_and_answer(void *argument)
{
	for (unsigned i = 0; i < 20000; i++) {
		pulse_failed(argument, i % 2 == 0 ? TROUBLE_REFUSED : TROUBLE_TIMEOUT);
		pulse_connected(argument);
		pulse_answered(argument);
		pulse_missed(argument, TROUBLE_SILENT);
	}
	return NULL;
}

static void test_threads_that_disagree_lose_no_failure(void **state)
{
	pthread_t threads[3];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, fail_and_answer, a), 0);
	}
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	assert_int_equal(atomic_load(&a->failures), 60000);
	pulse_answered(a);
	pulse_answered(a);
	assert_int_equal(state_of(a), PULSE_UP);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, make, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CASE(test_nothing_is_known_before_the_first_connection),
	        CASE(test_a_refused_connection_makes_it_down_at_once),
	        CASE(test_two_answers_in_a_row_make_it_up_again),
	        CASE(test_a_connection_alone_makes_it_not_up_again),
	        CASE(test_one_late_answer_makes_it_not_down),
	        CASE(test_an_engine_that_never_answered_is_down_after_two_probes),
	        CASE(test_another_reason_keeps_the_time),
	        CASE(test_what_the_proxy_lacks_says_nothing_of_the_engine),
	        CASE(test_each_error_has_its_trouble),
	        CASE(test_without_a_pulse_nothing_happens),
	        CASE(test_a_group_asks_the_first_member_that_is_not_down),
	        CASE(test_a_group_of_which_all_are_down_asks_each_once),
	        CASE(test_a_member_that_was_tried_is_not_asked_again),
	        CASE(test_a_wrong_certificate_is_not_hidden_by_another_member),
	        CASE(test_an_engine_keeps_its_pulse_and_another_address_begins_anew),
	        CASE(test_what_is_shown_is_what_was_said),
	        CASE(test_threads_that_disagree_lose_no_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
