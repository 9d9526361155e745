/* SPDX-License-Identifier: MIT */
/* quota — at most so many in a second, such as lines of the log, and how many were left out. */
#ifndef BASE_QUOTA_H
#define BASE_QUOTA_H

#include "base/clock.h"

/* Zero at first. */
struct quota {
	int64_t since_ns; /* this second began */
	unsigned taken;   /* in this second */
	unsigned left_out;
};

/* Whether this second has room for a further one, of `most`. */
static inline bool quota_take(struct quota *quota, unsigned most, int64_t now_ns)
{
	if (now_ns >= quota->since_ns + NS_PER_S) {
		quota->since_ns = now_ns;
		quota->taken = 0;
	}
	if (quota->taken == most) {
		quota->left_out++;
		return false;
	}
	quota->taken++;
	return true;
}

/* How many were left out since the last call. */
static inline unsigned quota_left_out(struct quota *quota)
{
	const unsigned left_out = quota->left_out;

	quota->left_out = 0;
	return left_out;
}

#endif
