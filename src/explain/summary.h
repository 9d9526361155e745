/* SPDX-License-Identifier: MIT */
/* summary — what a policy grants, operation by operation. Private to explain/. */
#ifndef EXPLAIN_SUMMARY_H
#define EXPLAIN_SUMMARY_H

#include "policy/policy.h"

/* What the policy grants to the rows of one operation, and their traits. */
struct summary {
	bool some;    /* at least one row, at least for some paths */
	bool all;     /* every row, for all paths */
	bool covered; /* by a block */
	unsigned traits;
};

struct summary explain_summarize(const struct policy *policy, const char *operation);

/* "container" of "container.list": everything before the last dot. */
struct slice explain_noun(const char *operation);
/* Whether an earlier id has the same name; the same noun. */
bool explain_is_repeated(unsigned id);
bool explain_noun_is_repeated(unsigned id);

struct config_engine;

/* Print where an Engine is that is no group: with the port that is asked, also where the file has
 * none. In configuration.c. */
void explain_print_address(const struct config_engine *engine);

#endif
