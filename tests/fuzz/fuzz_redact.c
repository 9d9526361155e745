/* SPDX-License-Identifier: MIT */
/*
 * Answers that are redacted. The first byte chooses what is hidden, the second where the input is
 * cut. Wherever that is, the output is the same; what the machine reads to the end is JSON if the
 * input was, and no string under a name that is hidden comes out.
 */
#include "base/check.h"
#include "fuzz.h"
#include "redact/redact.h"

#include <stdlib.h>

static struct redact_plan plan;
static struct redaction redaction;

static void choose(uint8_t byte)
{
	static const char *const operations[] = {"container.inspect", "system.events",
	        "container.top", "volume.list", "libpod.container.mount", "unknown"};

	plan = (struct redact_plan){.wishes = {.kinds = (byte & 31U) | REDACT_ENV}};
	if ((plan.wishes.kinds & REDACT_LABELS) != 0) {
		plan.wishes.labels[plan.wishes.label_count++] = SLICE("a*");
	}
	redact_plan_make(&plan);
	ASSERT(redaction_of(&plan, operations[byte % ARRAY_LEN(operations)], true, &redaction));
}

struct run {
	struct redactor redactor;
	char *output;
	size_t len;
	size_t consumed;
	bool bad;
};

/* All of a piece, with as little room at a time as `room`, in memory of its own. */
static void feed(struct run *run, const uint8_t *bytes, size_t len, size_t room)
{
	char *own = malloc(len > 0 ? len : 1);

	ASSERT(own != NULL);
	if (len > 0) {
		memcpy(own, bytes, len);
	}
	struct slice in = {own, len};
	while (in.len > 0 && !run->bad) {
		const struct redact_result result =
		        redactor_rewrite(&run->redactor, in, run->output + run->len, room);
		ASSERT(result.consumed <= in.len && result.produced <= room);
		ASSERT(result.bad || result.consumed + result.produced > 0);
		run->len += result.produced;
		run->consumed += result.consumed;
		run->bad = result.bad;
		in = slice_behind(in, result.consumed);
	}
	free(own);
}

static void begin(struct run *run, size_t len)
{
	*run = (struct run){.output = malloc(16 * len + 1024)};
	ASSERT(run->output != NULL);
	redactor_begin(&run->redactor, &redaction, true);
}

/* What was redacted is redacted again to itself: nothing is left to hide. */
static void check_again(const struct run *first)
{
	struct run again;

	begin(&again, first->len);
	feed(&again, (const uint8_t *)first->output, first->len, 4096);
	ASSERT(!again.bad && again.consumed == first->len);
	ASSERT(again.len == first->len && memcmp(again.output, first->output, first->len) == 0);
	ASSERT(redactor_may_end(&again.redactor) == redactor_may_end(&first->redactor));
	free(again.output);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct run whole;
	struct run cut;

	if (len < 2) {
		return 0;
	}
	choose(bytes[0]);
	const size_t at = (size_t)bytes[1] * (len - 2) / 255;
	bytes += 2;
	len -= 2;
	begin(&whole, len);
	begin(&cut, len);
	feed(&whole, bytes, len, 4096);
	feed(&cut, bytes, at, REDACT_STEP_MAX);
	feed(&cut, bytes + at, len - at, REDACT_STEP_MAX);
	ASSERT(whole.bad == cut.bad && whole.consumed == cut.consumed);
	ASSERT(whole.len == cut.len && memcmp(whole.output, cut.output, whole.len) == 0);
	if (!whole.bad) {
		check_again(&whole);
	}
	free(whole.output);
	free(cut.output);
	return 0;
}
