/* SPDX-License-Identifier: MIT */
/*
 * bind — BIND_CONFIG, which Tecnativa's proxy passes to HAProxy unchanged: the words
 * of a `bind` line (HAProxy's configuration manual, §5.1).
 *
 *   127.0.0.1:2375     /run/proxy.sock mode 660     :::2375 v4v6
 *
 * Addresses, `mode`, `v4v6` and `v6only` are translated. All other words are refused,
 * because they may restrict.
 */
#ifndef SWITCHES_BIND_H
#define SWITCHES_BIND_H

#include "base/check.h"
#include "base/slice.h"

enum {
	BIND_ADDRESSES_MAX = 16,
	BIND_ADDRESS_MAX = 128, /* bytes with the NUL */
};

struct bind {
	char addresses[BIND_ADDRESSES_MAX][BIND_ADDRESS_MAX]; /* tcp://HOST:PORT or unix://PATH */
	unsigned count;
	unsigned mode; /* of the files of unix sockets, if has_mode */
	bool has_mode;
};

/*
 * NULL on success; else the reason to refuse `words`, and the word in *ret_word. Addresses are
 * checked only for their form.
 */
const char *bind_read(struct slice words, struct bind *ret_bind, struct slice *ret_word) MUST_USE;

#endif
