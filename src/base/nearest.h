/* SPDX-License-Identifier: MIT */
/*
 * nearest — the word that was probably meant, for "did you mean '…'?".
 *
 * The caller tries candidates one after the other. `best` is the candidate with
 * the fewest changed letters, if they are few enough for a typing mistake. It is
 * borrowed from the caller.
 */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include "base/slice.h"

enum { NEAREST_LEN_MAX = 64 }; /* bytes; a longer word has no near candidate */

struct nearest {
	struct slice word;
	unsigned least;    /* changes of `best`, or one more than accepted */
	struct slice best; /* ptr NULL: none so far */
};

struct nearest nearest_to(struct slice word);
void nearest_try(struct nearest *nearest, struct slice candidate);

#endif
