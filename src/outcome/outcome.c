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
