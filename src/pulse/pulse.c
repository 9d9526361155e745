/* SPDX-License-Identifier: MIT */
#include "pulse/pulse.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>

/*
 * The word: two bits of the state; six that count probes, good ones of an Engine that is down and
 * failed ones of another; eight of the trouble; the rest is the time in milliseconds.
 */
enum {
	STATE_BITS = 2,
	COUNT_BITS = 6,
	TROUBLE_BITS = 8,
	TROUBLE_SHIFT = STATE_BITS + COUNT_BITS,
	TIME_SHIFT = TROUBLE_SHIFT + TROUBLE_BITS,
};

_Static_assert(TROUBLES <= 1 << TROUBLE_BITS, "each trouble has its number in the word");

static const struct {
	const char *word;
	const char *text;
	bool avoided;
} troubles[TROUBLES] = {
#define TROUBLE(name, word, avoided, text) [TROUBLE_##name] = {word, text, avoided},
#include "pulse/troubles.def"
#undef TROUBLE
};

static enum pulse_state state_of(uint64_t word)
{
	return (enum pulse_state)(word & ((1 << STATE_BITS) - 1));
}

static unsigned count_of(uint64_t word)
{
	return (unsigned)(word >> STATE_BITS & ((1 << COUNT_BITS) - 1));
}

static enum pulse_trouble trouble_of(uint64_t word)
{
	return (enum pulse_trouble)(word >> TROUBLE_SHIFT & ((1 << TROUBLE_BITS) - 1));
}

/* The same with another count. */
static uint64_t with_count(uint64_t word, unsigned count)
{
	return (word & ~((uint64_t)((1 << COUNT_BITS) - 1) << STATE_BITS)) | (uint64_t)count
	                                                                             << STATE_BITS;
}

static uint64_t word_now(enum pulse_state state, enum pulse_trouble trouble)
{
	const uint64_t now_ms = (uint64_t)(clock_realtime_ns() / NS_PER_MS);

	return now_ms << TIME_SHIFT | (uint64_t)trouble << TROUBLE_SHIFT | (uint64_t)state;
}

/* ── What is known ───────────────────────────────────────────────────────── */

struct pulse_view pulse_look(const struct pulse *pulse)
{
	const uint64_t word =
	        pulse == NULL ? 0 : atomic_load_explicit(&pulse->word, memory_order_relaxed);

	return (struct pulse_view){
	        .state = state_of(word),
	        .trouble = trouble_of(word),
	        .since_ns = (int64_t)(word >> TIME_SHIFT) * NS_PER_MS,
	};
}

const char *pulse_word(enum pulse_trouble trouble)
{
	return troubles[trouble].word;
}

const char *pulse_text(enum pulse_trouble trouble)
{
	return troubles[trouble].text;
}

bool pulse_is_avoided(const struct pulse *pulse)
{
	const uint64_t word = atomic_load_explicit(&pulse->word, memory_order_relaxed);

	return state_of(word) == PULSE_DOWN && troubles[trouble_of(word)].avoided;
}

bool pulse_may_move(enum pulse_trouble trouble)
{
	return troubles[trouble].avoided;
}

/* Those without a row are FAILED. */
static const struct {
	int error;
	enum pulse_trouble trouble;
} errors[] = {
        /* What the proxy lacks, and a queue that is full, are no fault of the Engine. */
        {EAGAIN, TROUBLE_NONE},
        {EMFILE, TROUBLE_NONE},
        {ENFILE, TROUBLE_NONE},
        {ENOMEM, TROUBLE_NONE},
        {ENOBUFS, TROUBLE_NONE},
        {ECONNREFUSED, TROUBLE_REFUSED},
        {ENOENT, TROUBLE_REFUSED},
        {ENOTSOCK, TROUBLE_REFUSED},
        {EHOSTUNREACH, TROUBLE_UNREACHABLE},
        {ENETUNREACH, TROUBLE_UNREACHABLE},
        {EHOSTDOWN, TROUBLE_UNREACHABLE},
        {ENETDOWN, TROUBLE_UNREACHABLE},
        {EADDRNOTAVAIL, TROUBLE_NO_ADDRESS},
        {ETIMEDOUT, TROUBLE_TIMEOUT},
        {ECONNRESET, TROUBLE_CUT},
        {ECONNABORTED, TROUBLE_CUT},
        {EPIPE, TROUBLE_CUT},
        {EACCES, TROUBLE_FORBIDDEN},
        {EPERM, TROUBLE_FORBIDDEN},
        {EPROTO, TROUBLE_TLS},
};

enum pulse_trouble pulse_trouble_of(int error, bool tls)
{
	if (tls) {
		return TROUBLE_TLS;
	}
	for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
		if (errors[i].error == -error) {
			return errors[i].trouble;
		}
	}
	return TROUBLE_FAILED;
}

/* ── What happens ────────────────────────────────────────────────────────── */

/* Put `next` in the place of `*word`. False: another thread was faster, and `*word` is what it
 * wrote. */
/* NOLINTNEXTLINE(readability-non-const-parameter): it is written to */
static bool put(struct pulse *pulse, uint64_t *word, uint64_t next)
{
	return atomic_compare_exchange_strong_explicit(
	        &pulse->word, word, next, memory_order_relaxed, memory_order_relaxed);
}

void pulse_connected(struct pulse *pulse)
{
	uint64_t word = 0;

	/* The first that is known of it. Most find something there, and only look. */
	if (pulse != NULL &&
	        UNLIKELY(atomic_load_explicit(&pulse->word, memory_order_relaxed) == 0)) {
		(void)put(pulse, &word, word_now(PULSE_UP, TROUBLE_NONE));
	}
}

static void fall(struct pulse *pulse, enum pulse_trouble trouble)
{
	uint64_t word = atomic_load_explicit(&pulse->word, memory_order_relaxed);

	do {
		if (state_of(word) == PULSE_DOWN && trouble_of(word) == trouble &&
		        count_of(word) == 0) {
			return;
		}
		if (state_of(word) == PULSE_DOWN) { /* since the same time, for another reason */
			const uint64_t since = word >> TIME_SHIFT << TIME_SHIFT;
			if (put(pulse, &word,
			            since | (uint64_t)trouble << TROUBLE_SHIFT | PULSE_DOWN)) {
				return;
			}
			continue;
		}
		if (put(pulse, &word, word_now(PULSE_DOWN, trouble))) {
			log_line(LOG_ERR, "the Engine '%s' (%s) is down: %s", pulse->name,
			        pulse->text, troubles[trouble].text);
			return;
		}
	} while (true);
}

void pulse_failed(struct pulse *pulse, enum pulse_trouble trouble)
{
	if (pulse != NULL && trouble != TROUBLE_NONE) {
		(void)atomic_fetch_add_explicit(&pulse->failures, 1, memory_order_relaxed);
		fall(pulse, trouble);
	}
}

void pulse_answered(struct pulse *pulse)
{
	uint64_t word =
	        pulse == NULL ? 0 : atomic_load_explicit(&pulse->word, memory_order_relaxed);
	bool done = pulse == NULL;

	while (!done) {
		const bool down = state_of(word) == PULSE_DOWN;
		const unsigned good = count_of(word) + 1;
		if (state_of(word) == PULSE_UP) {
			done = count_of(word) == 0 || put(pulse, &word, with_count(word, 0));
		} else if (down && good < PULSE_RISE) {
			done = put(pulse, &word, with_count(word, good));
		} else {
			done = put(pulse, &word, word_now(PULSE_UP, TROUBLE_NONE));
			if (done && down) {
				log_line(LOG_INFO, "the Engine '%s' (%s) is up again", pulse->name,
				        pulse->text);
			}
		}
	}
}

void pulse_missed(struct pulse *pulse, enum pulse_trouble trouble)
{
	uint64_t word =
	        pulse == NULL ? 0 : atomic_load_explicit(&pulse->word, memory_order_relaxed);
	bool done = pulse == NULL;

	while (!done) {
		const unsigned failed = count_of(word) + 1;
		if (state_of(word) == PULSE_DOWN || failed >= PULSE_FALL) {
			fall(pulse, trouble);
			return;
		}
		done = put(pulse, &word, with_count(word, failed));
	}
}

/* ── Groups ──────────────────────────────────────────────────────────────── */

unsigned pulse_choose(struct pulse *const members[], unsigned count, unsigned tried)
{
	unsigned avoided = PULSE_NOBODY;

	for (unsigned i = 0; i < count; i++) {
		if ((tried >> i & 1) != 0) {
			continue;
		}
		if (members[i] == NULL || !pulse_is_avoided(members[i])) {
			return i;
		}
		avoided = avoided == PULSE_NOBODY ? i : avoided;
	}
	return avoided;
}
