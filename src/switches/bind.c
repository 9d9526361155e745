/* SPDX-License-Identifier: MIT */
#include "switches/bind.h"

#include <stdio.h>

/* The next word; false at the end. */
static bool next_word(struct slice *rest, struct slice *ret_word)
{
	do {
		if (!slice_next(rest, ' ', ret_word)) {
			return false;
		}
	} while (ret_word->len == 0);
	return true;
}

#define ALL      "tcp://*" /* with IPv4 */
#define ALL_IPV4 "tcp://0.0.0.0"

/* ── Addresses ───────────────────────────────────────────────────────────── */

static const char *add_address(struct bind *bind, const char *front, struct slice address)
{
	if (bind->count == BIND_ADDRESSES_MAX) {
		return "there are more than 16 addresses";
	}
	const int len = snprintf(bind->addresses[bind->count], BIND_ADDRESS_MAX, "%s%.*s", front,
	        SLICE_FMT(address));
	if (len < 0 || len >= BIND_ADDRESS_MAX) {
		return "it is too long";
	}
	bind->count++;
	return NULL;
}

/*
 * HAProxy takes what is behind the last colon for the port, brackets or none around the rest.
 * `everywhere` is what no host means.
 */
static const char *read_tcp(struct bind *bind, struct slice text, const char *everywhere)
{
	const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;

	if (colon == NULL) {
		return "give HOST:PORT, or the path of a unix socket";
	}
	const struct slice host = slice_between(text.ptr, colon);
	if (host.len == 0 || slice_equal(host, SLICE("*"))) {
		return add_address(bind, everywhere, slice_between(colon, text.ptr + text.len));
	}
	if (slice_equal(host, SLICE("::")) || slice_equal(host, SLICE("[::]"))) {
		return add_address(bind, ALL, slice_between(colon, text.ptr + text.len));
	}
	if (host.ptr[0] == '[' || memchr(host.ptr, ':', host.len) == NULL) {
		return add_address(bind, "tcp://", text);
	}
	char bracketed[BIND_ADDRESS_MAX];
	(void)snprintf(bracketed, sizeof(bracketed), "[%.*s]%.*s", SLICE_FMT(host),
	        SLICE_FMT(slice_between(colon, text.ptr + text.len)));
	return add_address(bind, "tcp://", slice_of(bracketed));
}

static const char *read_address(struct bind *bind, struct slice text)
{
	if (text.len > 0 && text.ptr[0] == '/') {
		return add_address(bind, "unix://", text);
	}
	if (slice_skip(&text, SLICE("unix@"))) {
		return add_address(bind, "unix://", text);
	}
	if (slice_skip(&text, SLICE("ipv6@"))) {
		return read_tcp(bind, text, ALL);
	}
	if (slice_skip(&text, SLICE("ipv4@"))) {
		return read_tcp(bind, text, ALL_IPV4);
	}
	return memchr(text.ptr, '@', text.len) != NULL ? "this kind of address is not supported"
	                                               : read_tcp(bind, text, ALL_IPV4);
}

static const char *read_addresses(struct bind *bind, struct slice list, struct slice *ret_word)
{
	const char *problem = NULL;

	while (problem == NULL && slice_next(&list, ',', ret_word)) {
		problem = read_address(bind, *ret_word);
	}
	return problem;
}

/* ── Parameters ──────────────────────────────────────────────────────────── */

static const char *read_mode(struct bind *bind, struct slice *rest, struct slice *word)
{
	bool good = next_word(rest, word) && word->len <= 4;

	bind->mode = 0;
	for (size_t i = 0; good && i < word->len; i++) {
		good = word->ptr[i] >= '0' && word->ptr[i] <= '7';
		bind->mode = bind->mode * 8 + (unsigned)(word->ptr[i] - '0');
	}
	bind->has_mode = true;
	return good && bind->mode <= 0777 ? NULL : "the mode is octal, such as 660";
}

/* All interfaces with IPv6 have IPv4 here as well. */
static const char *check_ipv6_only(const struct bind *bind)
{
	for (unsigned i = 0; i < bind->count; i++) {
		if (slice_starts_with(slice_of(bind->addresses[i]), SLICE(ALL))) {
			return "a listener on all IPv6 interfaces accepts IPv4 too; give an "
			       "address";
		}
	}
	return NULL;
}

const char *bind_read(struct slice words, struct bind *ret_bind, struct slice *ret_word)
{
	const char *problem = NULL;

	*ret_bind = (struct bind){.count = 0};
	*ret_word = words;
	if (!next_word(&words, ret_word)) {
		return "give HOST:PORT, or the path of a unix socket";
	}
	struct slice list = *ret_word;
	problem = read_addresses(ret_bind, list, ret_word);
	while (problem == NULL && next_word(&words, ret_word)) {
		if (slice_equal(*ret_word, SLICE("mode"))) {
			problem = read_mode(ret_bind, &words, ret_word);
		} else if (slice_equal(*ret_word, SLICE("v6only"))) {
			problem = check_ipv6_only(ret_bind);
		} else if (!slice_equal(*ret_word, SLICE("v4v6"))) {
			problem = "only an address, 'mode', 'v4v6' and 'v6only' of HAProxy's bind "
			          "are supported; use LISTEN or CONFIG";
		}
	}
	return problem;
}
