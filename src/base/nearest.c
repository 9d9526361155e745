/* SPDX-License-Identifier: MIT */
#include "base/nearest.h"

static unsigned least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters are wrong, too many, missing or swapped with the next; a big number when the
 * words are long. */
static unsigned word_distance(struct slice a, struct slice b)
{
	unsigned memory[3][NEAREST_LEN_MAX + 1];

	if (a.len > NEAREST_LEN_MAX || b.len > NEAREST_LEN_MAX) {
		return UINT32_MAX;
	}
	for (unsigned j = 0; j <= b.len; j++) {
		memory[0][j] = j;
	}
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned *row = memory[i % 3];
		const unsigned *above = memory[(i + 2) % 3];
		const unsigned *above_that = memory[(i + 1) % 3];
		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			const unsigned replaced = above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
			row[j] = least_of(replaced, least_of(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] &&
			        a.ptr[i - 2] == b.ptr[j - 1]) {
				row[j] = least_of(row[j], above_that[j - 2] + 1);
			}
		}
	}
	return memory[a.len % 3][b.len];
}

struct nearest nearest_to(struct slice word)
{
	/* A third of the word may be wrong, up to four changes. */
	const unsigned allowed = word.len < 5 ? 1 : word.len < 9 ? 2 : word.len < 12 ? 3 : 4;

	return (struct nearest){.word = word, .least = allowed + 1};
}

void nearest_try(struct nearest *nearest, struct slice candidate)
{
	const size_t a = nearest->word.len;
	const size_t b = candidate.len;

	if ((a > b ? a - b : b - a) >= nearest->least) {
		return; /* as many changes at least */
	}
	const unsigned distance = word_distance(nearest->word, candidate);
	if (distance < nearest->least) {
		nearest->least = distance;
		nearest->best = candidate;
	}
}
