/* SPDX-License-Identifier: MIT */
/*
 * pulse — whether an Engine is up, and which member of a group is to be asked.
 *
 * What is known of an Engine is one word, which each thread reads without a lock, and which is
 * written when it becomes another one. A connection that cannot be had makes an Engine down at
 * once. Only answers to GET /_ping make it up again, two in a row, so that an Engine that comes and
 * goes does not take a group with it each time. An Engine that accepts connections is down when two
 * probes in a row have failed: one may be late because the Engine has much to do.
 *
 * A pulse belongs to a name and an address of the configuration, and outlives reloads: an Engine
 * with another address begins anew.
 */
#ifndef PULSE_PULSE_H
#define PULSE_PULSE_H

#include "base/check.h"
#include "base/slice.h"

#include <stdatomic.h>
#include <stdint.h>

enum pulse_trouble {
	TROUBLE_NONE, /* also: what failed was not the Engine's fault */
#define TROUBLE(name, word, avoided, text) TROUBLE_##name,
#include "pulse/troubles.def"
#undef TROUBLE
	TROUBLES,
};

enum pulse_state {
	PULSE_UNKNOWN, /* nothing was asked yet */
	PULSE_UP,
	PULSE_DOWN,
};

enum {
	PULSE_RISE = 2, /* answers in a row that make an Engine up again */
	PULSE_FALL = 2, /* probes in a row without an answer that make it down */
};

struct pulse {
	_Atomic uint64_t word;  /* state, trouble, count, time: pulse.c */
	atomic_ullong failures; /* connections that could not be had */
	/* Of the thread that probes alone. */
	bool probed; /* a probe is under way */
	/* Under the lock of the table. */
	unsigned references;
	struct pulse *next; /* with the same hash */
	const char *text;   /* the address as the configuration has it */
	char name[];        /* the text stands behind it */
};

/* What is known at one moment. */
struct pulse_view {
	enum pulse_state state;
	enum pulse_trouble trouble; /* of PULSE_DOWN */
	int64_t since_ns;           /* realtime, in whole milliseconds; 0: not known */
};

/* Of NULL nothing is known. */
struct pulse_view pulse_look(const struct pulse *pulse);
/* In GET /engines, and the end of a sentence; of TROUBLE_NONE both are NULL. */
const char *pulse_word(enum pulse_trouble trouble);
const char *pulse_text(enum pulse_trouble trouble);
/* Connections that could not be had. */
static inline uint64_t pulse_failures(const struct pulse *pulse)
{
	return atomic_load_explicit(&pulse->failures, memory_order_relaxed);
}
/* Whether a group rather asks another member. */
bool pulse_is_avoided(const struct pulse *pulse);

/* What a negative errno of connecting says of the Engine; `tls`: tls_is_at_fault() of the
 * connection. */
enum pulse_trouble pulse_trouble_of(int error, bool tls);
/* Whether another member of a group may have the request: no byte of it was sent. */
bool pulse_may_move(enum pulse_trouble trouble);

/* ── What happens; from any thread, `pulse` may be NULL ──────────────────── */

/* A new connection is there. */
void pulse_connected(struct pulse *pulse);
/* There is none; TROUBLE_NONE says nothing of the Engine. The log has a line when it becomes down.
 */
void pulse_failed(struct pulse *pulse, enum pulse_trouble trouble);
/* A probe has had an answer, or failed over a connection that was there. */
void pulse_answered(struct pulse *pulse);
void pulse_missed(struct pulse *pulse, enum pulse_trouble trouble);

/* ── Groups ──────────────────────────────────────────────────────────────── */

enum { PULSE_NOBODY = 32 };

/*
 * The member to ask: the first that is not avoided, else the first, of those that are not among the
 * bits `tried`. `members` may be NULL: nothing is known of them. PULSE_NOBODY: all were tried.
 */
unsigned pulse_choose(struct pulse *const members[], unsigned count, unsigned tried);

/* ── The table: who has which pulse ──────────────────────────────────────── */

struct pulses;

/* NULL without memory. */
struct pulses *pulses_new(void) MUST_USE;
/* All must have been given back. `pulses` may be NULL. */
void pulses_free(struct pulses *pulses);
/* The pulse of the Engine, until pulses_give(). NULL without memory. */
struct pulse *pulses_take(struct pulses *pulses, const char *name, const char *text) MUST_USE;
/* `pulse` may be NULL. */
void pulses_give(struct pulses *pulses, struct pulse *pulse);

/* Show those in metrics from now on, with whose references the list stays until others are shown.
 */
void pulses_show(struct pulses *pulses, struct pulse *const *list, unsigned count);

enum { PULSE_NAME_MAX = 64 };

struct pulse_sample {
	struct pulse_view view;
	uint64_t failures;
	char name[PULSE_NAME_MAX + 1]; /* a longer one is cut */
};

/* `pulses` may be NULL: none are shown. */
unsigned pulses_count(struct pulses *pulses);
/* False: there is none with this number. */
bool pulses_sample(struct pulses *pulses, unsigned number, struct pulse_sample *ret_sample);

#endif
