/* SPDX-License-Identifier: MIT */
/*
 * keys — the verb `hash-key`: what the configuration keeps of a key.
 */
#ifndef KEYS_KEYS_H
#define KEYS_KEYS_H

#include <stdbool.h>

/*
 * Read a key from standard input, without its line end, and print its hash; a terminal does not
 * show what is typed. `salted`: with a random salt. Returns the exit status: 0, or 2 for a key that
 * is not accepted.
 */
int keys_hash(bool salted);

#endif
