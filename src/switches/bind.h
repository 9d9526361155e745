/* SPDX-License-Identifier: MIT */
/*
 * bind — BIND_CONFIG, which Tecnativa's proxy hands to HAProxy as it is: the words
 * of a `bind` line (HAProxy's configuration manual, §5.1).
 *
 *   127.0.0.1:2375     /run/proxy.sock mode 660     :::2375 v4v6
 *
 * What is plain is translated. All else is refused: it may be what restricts.
 */
#ifndef SWITCHES_BIND_H
#define SWITCHES_BIND_H

#include "base/check.h"
#include "base/slice.h"

enum {
	BIND_ADDRESSES_MAX = 16,
	BIND_ADDRESS_MAX = 128, /* bytes of one, its NUL included */
};

struct bind {
	char addresses[BIND_ADDRESSES_MAX][BIND_ADDRESS_MAX]; /* tcp://HOST:PORT or unix://PATH */
	unsigned count;
	unsigned mode; /* of the files of unix sockets, where has_mode */
	bool has_mode;
};

/*
 * NULL, or why `words` are refused, and which word of them it is. The addresses are not
 * checked beyond their form.
 */
const char *bind_read(struct slice words, struct bind *ret_bind, struct slice *ret_word) MUST_USE;

#endif
