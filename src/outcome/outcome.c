/* SPDX-License-Identifier: MIT */
#include "outcome/outcome.h"

#include <stddef.h>

static const struct {
	unsigned status;
	const char *word;
	const char *text;
} outcomes[] = {
#define OUTCOME(name, status, word, text) [OUTCOME_##name] = {status, word, text},
#include "outcome/outcomes.def"
#undef OUTCOME
};

unsigned outcome_status(enum outcome outcome)
{
	return outcomes[outcome].status;
}

const char *outcome_word(enum outcome outcome)
{
	return outcomes[outcome].word;
}

const char *outcome_text(enum outcome outcome)
{
	return outcomes[outcome].text;
}
