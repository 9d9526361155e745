/* SPDX-License-Identifier: MIT */
#include "base/hash.h"
#include "base/text.h"
#include "pulse/pulse.h"

#include <pthread.h>
#include <stdlib.h>

enum { HEADS = 1024 };

struct pulses {
	pthread_mutex_t lock; /* taken for a snapshot, and to look at numbers */
	struct pulse **heads; /* NULL: there was none so far */
	struct pulse *const *shown;
	unsigned shown_count;
};

struct pulses *pulses_new(void)
{
	struct pulses *pulses = calloc(1, sizeof(*pulses));

	if (pulses != NULL) {
		(void)pthread_mutex_init(&pulses->lock, NULL);
	}
	return pulses;
}

void pulses_free(struct pulses *pulses)
{
	if (pulses != NULL) {
		(void)pthread_mutex_destroy(&pulses->lock);
		free(pulses->heads);
		free(pulses);
	}
}

static struct pulse **head_of(struct pulses *pulses, struct slice name)
{
	return &pulses->heads[hash_bytes(HASH_START, name) % HEADS];
}

static struct pulse *make(struct slice name, struct slice address)
{
	const size_t size = name.len + address.len + 2;
	struct pulse *pulse = calloc(1, sizeof(*pulse) + size);

	if (pulse != NULL) {
		struct text text = text_over(pulse->name, size);
		text_add(&text, name);
		text_add_char(&text, '\0');
		pulse->text = pulse->name + text.len;
		text_add(&text, address);
	}
	return pulse;
}

static bool is_of(const struct pulse *pulse, struct slice name, struct slice address)
{
	return slice_equal(slice_of(pulse->name), name) &&
	       slice_equal(slice_of(pulse->text), address);
}

/* Under the lock. */
static struct pulse *find(struct pulses *pulses, struct slice name, struct slice address)
{
	if (pulses->heads == NULL) {
		pulses->heads = calloc(HEADS, sizeof(struct pulse *));
	}
	if (pulses->heads == NULL) {
		return NULL;
	}
	struct pulse **head = head_of(pulses, name);
	struct pulse *pulse = *head;
	while (pulse != NULL && !is_of(pulse, name, address)) {
		pulse = pulse->next;
	}
	if (pulse == NULL && (pulse = make(name, address)) != NULL) {
		pulse->next = *head;
		*head = pulse;
	}
	return pulse;
}

struct pulse *pulses_take(struct pulses *pulses, const char *name, const char *text)
{
	(void)pthread_mutex_lock(&pulses->lock);
	struct pulse *pulse = find(pulses, slice_of(name), slice_of(text));
	if (pulse != NULL) {
		pulse->references++;
	}
	(void)pthread_mutex_unlock(&pulses->lock);
	return pulse;
}

/* Under the lock. */
static void forget(struct pulses *pulses, struct pulse *pulse)
{
	struct pulse **at = head_of(pulses, slice_of(pulse->name));

	while (*at != pulse) {
		at = &(*at)->next;
	}
	*at = pulse->next;
	free(pulse);
}

void pulses_give(struct pulses *pulses, struct pulse *pulse)
{
	if (pulse == NULL) {
		return;
	}
	(void)pthread_mutex_lock(&pulses->lock);
	ASSERT(pulse->references > 0);
	if (--pulse->references == 0) {
		forget(pulses, pulse);
	}
	(void)pthread_mutex_unlock(&pulses->lock);
}

/* ── Numbers for operators ───────────────────────────────────────────────── */

void pulses_show(struct pulses *pulses, struct pulse *const *list, unsigned count)
{
	(void)pthread_mutex_lock(&pulses->lock);
	pulses->shown = list;
	pulses->shown_count = count;
	(void)pthread_mutex_unlock(&pulses->lock);
}

unsigned pulses_count(struct pulses *pulses)
{
	if (pulses == NULL) {
		return 0;
	}
	(void)pthread_mutex_lock(&pulses->lock);
	const unsigned count = pulses->shown_count;
	(void)pthread_mutex_unlock(&pulses->lock);
	return count;
}

static void sample(const struct pulse *pulse, struct pulse_sample *ret_sample)
{
	*ret_sample = (struct pulse_sample){
	        .view = pulse_look(pulse),
	        .failures = pulse_failures(pulse),
	};
	(void)text_keep(ret_sample->name, PULSE_NAME_MAX, slice_of(pulse->name));
}

bool pulses_sample(struct pulses *pulses, unsigned number, struct pulse_sample *ret_sample)
{
	if (pulses == NULL) {
		return false;
	}
	(void)pthread_mutex_lock(&pulses->lock);
	const bool found = number < pulses->shown_count && pulses->shown[number] != NULL;
	if (found) {
		sample(pulses->shown[number], ret_sample);
	}
	(void)pthread_mutex_unlock(&pulses->lock);
	return found;
}
