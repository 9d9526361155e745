/* SPDX-License-Identifier: MIT */
/*
 * outcome — every way in which a request can end: one row of outcomes.def each.
 *
 * The gate decides for some of them, a session meets the others, and the log
 * names them all.
 */
#ifndef OUTCOME_OUTCOME_H
#define OUTCOME_OUTCOME_H

enum outcome {
#define OUTCOME(name, status, word, text) OUTCOME_##name,
#include "outcome/outcomes.def"
#undef OUTCOME
	OUTCOME_COUNT,
};

/* Of the proxy's own response; 0: there is none. */
unsigned outcome_status(enum outcome outcome);
/* "denied", "head_timeout": in the log, and as the label of a metric. */
const char *outcome_word(enum outcome outcome);
/* A sentence for the client and for the log; NULL: there is nothing to say. */
const char *outcome_text(enum outcome outcome);

#endif
