/* SPDX-License-Identifier: MIT */
/* What every unit test includes: cmocka and what it needs before it. */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/slice.h"

/* End a process that a test forked, with what it ran for tools/coverage. */
#ifdef COUNTED
void __gcov_dump(void);
#endif

static inline _Noreturn void end_child(int code)
{
#ifdef COUNTED
	__gcov_dump();
#endif
	_exit(code);
}

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
