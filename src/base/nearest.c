/* SPDX-License-Identifier: MIT */
#include "base/nearest.h"

static unsigned least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance of two short words; a big number when they are long. */
static unsigned word_distance(struct slice a, struct slice b)
{
	unsigned row[NEAREST_LEN_MAX + 1];

	if (a.len > NEAREST_LEN_MAX || b.len > NEAREST_LEN_MAX) {
		return UINT32_MAX;
	}
	for (unsigned j = 0; j <= b.len; j++) {
		row[j] = j;
	}
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			const unsigned replaced = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
			diagonal = row[j];
			row[j] = least_of(replaced, least_of(row[j], row[j - 1]) + 1);
		}
	}
	return row[b.len];
}

struct nearest nearest_to(struct slice word)
{
	/* A third of the word may be wrong, up to four changes. */
	const unsigned allowed = word.len < 5 ? 1 : word.len < 9 ? 2 : word.len < 12 ? 3 : 4;

	return (struct nearest){.word = word, .least = allowed + 1};
}

void nearest_try(struct nearest *nearest, struct slice candidate)
{
	const unsigned distance = word_distance(nearest->word, candidate);

	if (distance < nearest->least) {
		nearest->least = distance;
		nearest->best = candidate;
	}
}
