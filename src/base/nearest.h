/* SPDX-License-Identifier: MIT */
/*
 * nearest — the word that was probably meant, for "did you mean '…'?".
 *
 * Candidates are tried one after the other; `best` is the one with the fewest
 * changes, if they are few enough for a slip of the hand. It is borrowed.
 */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include "base/slice.h"

enum { NEAREST_LEN_MAX = 64 }; /* bytes of a word; longer ones are near to nothing */

struct nearest {
	struct slice word;
	unsigned least;    /* fewer changes than this */
	struct slice best; /* ptr NULL: none so far */
};

struct nearest nearest_to(struct slice word);
void nearest_try(struct nearest *nearest, struct slice candidate);

#endif
