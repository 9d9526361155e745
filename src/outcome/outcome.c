/* SPDX-License-Identifier: MIT */
#include "outcome/outcome.h"

#include <stddef.h>

static const struct {
	unsigned status;
	enum ender ender;
	const char *word;
	const char *text;
} outcomes[] = {
#define OUTCOME(name, status, ender, word, text)                                                   \
	[OUTCOME_##name] = {status, ENDER_##ender, word, text},
#include "outcome/outcomes.def"
#undef OUTCOME
};

unsigned outcome_status(enum outcome outcome)
{
	return outcomes[outcome].status;
}

enum ender outcome_ender(enum outcome outcome)
{
	return outcomes[outcome].ender;
}

const char *ender_word(enum ender ender)
{
	static const char *const words[] = {
	        [ENDER_PROXY] = "proxy",
	        [ENDER_ENGINE] = "engine",
	        [ENDER_CLIENT] = "client",
	};

	return words[ender];
}

const char *outcome_word(enum outcome outcome)
{
	return outcomes[outcome].word;
}

const char *outcome_text(enum outcome outcome)
{
	return outcomes[outcome].text;
}

/* ── Verdicts ────────────────────────────────────────────────────────────── */

/* What is neither forwarded nor listed is an error. */
static const enum outcome denials[] = {
        OUTCOME_BROWSER,
        OUTCOME_NO_KEY,
        OUTCOME_BAD_KEY,
        OUTCOME_SLOWED,
        OUTCOME_KEY_WANTED,
        OUTCOME_DENIED,
        OUTCOME_ENGINE_DENIED,
        OUTCOME_ENGINE_UNNAMED,
        OUTCOME_NOT_FOUND,
        OUTCOME_TOO_MANY_OBJECTS,
        OUTCOME_LIMIT_CONNECTIONS,
        OUTCOME_LIMIT_RATE,
        OUTCOME_LIMIT_REQUESTS,
        OUTCOME_LIMIT_STREAMS,
        OUTCOME_LIMIT_BUILDS,
        OUTCOME_LIMIT_BODY,
};

/* Forwarded, and ended by the proxy later. */
static bool was_forwarded(enum outcome outcome)
{
	return outcome == OUTCOME_FORWARDED || outcome == OUTCOME_HEALTHY ||
	       outcome == OUTCOME_ENGINES || outcome == OUTCOME_CLIENT_ENDED ||
	       outcome == OUTCOME_CLIENT_STOPPED || outcome == OUTCOME_CLOSED_BY_OPERATOR ||
	       outcome == OUTCOME_REVOKED;
}

enum verdict_word outcome_verdict(enum outcome outcome, bool observed)
{
	if (was_forwarded(outcome)) {
		return observed ? VERDICT_WOULD_DENY : VERDICT_ALLOW;
	}
	for (unsigned i = 0; i < sizeof(denials) / sizeof(denials[0]); i++) {
		if (denials[i] == outcome) {
			return VERDICT_DENY;
		}
	}
	return VERDICT_ERROR;
}

const char *verdict_word(enum verdict_word word)
{
	static const char *const words[] = {
	        [VERDICT_ALLOW] = "allow",
	        [VERDICT_DENY] = "deny",
	        [VERDICT_WOULD_DENY] = "would-deny",
	        [VERDICT_ERROR] = "error",
	};

	return words[word];
}
