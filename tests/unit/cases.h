/* SPDX-License-Identifier: MIT */
/* What every unit test includes: cmocka and what it needs before it. */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"

/* The same bytes, with both in the message when they are not. */
#define assert_slice(what, got, wanted)                                                            \
	do {                                                                                       \
		const struct slice got_ = (got);                                                   \
		const struct slice wanted_ = (wanted);                                             \
		if (!slice_equal(got_, wanted_)) {                                                 \
			fail_msg("%s: got \"%.*s\", wanted \"%.*s\"", what, SLICE_FMT(got_),       \
			        SLICE_FMT(wanted_));                                               \
		}                                                                                  \
	} while (0)

#define assert_that(what, condition)                                                               \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fail_msg("%s: not so: %s", what, #condition);                              \
		}                                                                                  \
	} while (0)

#endif
