/* SPDX-License-Identifier: MIT */
/*
 * outcome — every way in which a request can end; each is a row of outcomes.def.
 *
 * The gate decides for some outcomes, a session finds the others, and the log
 * records all of them.
 */
#ifndef OUTCOME_OUTCOME_H
#define OUTCOME_OUTCOME_H

#include <stdbool.h>

enum outcome {
#define OUTCOME(name, status, ender, word, text) OUTCOME_##name,
#include "outcome/outcomes.def"
#undef OUTCOME
	OUTCOME_COUNT,
};

/* What the verdict on a request is called, for metrics and records. */
enum verdict_word {
	VERDICT_ALLOW,      /* it was forwarded */
	VERDICT_DENY,       /* refused because of who sends it, what it asks for, or a limit */
	VERDICT_WOULD_DENY, /* forwarded by a policy that only observes */
	VERDICT_ERROR,      /* malformed, too slow, or the Engine failed */
	VERDICT_WORDS,
};

/* `observed`: a policy that only observes would have denied it. */
enum verdict_word outcome_verdict(enum outcome outcome, bool observed);
/* "would-deny". */
const char *verdict_word(enum verdict_word word);

/* Who ended an exchange. */
enum ender {
	ENDER_NOBODY, /* it came to its end */
	ENDER_PROXY,
	ENDER_ENGINE,
	ENDER_CLIENT,
};

/* The status of the local response; 0: there is no local response. */
unsigned outcome_status(enum outcome outcome);
enum ender outcome_ender(enum outcome outcome);
/* "proxy", "engine", "client"; NULL for nobody. */
const char *ender_word(enum ender ender);
/* A word such as "denied" or "head_timeout", for the log and for metrics. */
const char *outcome_word(enum outcome outcome);
/* A sentence for the client and the log; NULL: none. */
const char *outcome_text(enum outcome outcome);

#endif
