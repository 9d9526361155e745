/* SPDX-License-Identifier: MIT */
#include "identity/identity.h"

#include "base/hash.h"

#include <arpa/inet.h>

/* The bytes that tell hosts apart; none for unix sockets. */
static struct slice host_of(const union address *address)
{
	if (address->any.sa_family == AF_INET) {
		return (struct slice){
		        (const char *)&address->ip4.sin_addr, sizeof(address->ip4.sin_addr)};
	}
	if (address->any.sa_family == AF_INET6) {
		return (struct slice){
		        (const char *)&address->ip6.sin6_addr, sizeof(address->ip6.sin6_addr)};
	}
	return (struct slice){"", 0};
}

struct caller caller_from(unsigned listener, const union address *peer)
{
	struct caller caller = {.listener = listener, .address = *peer};

	if (peer->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer->ip6.sin6_addr)) {
		caller.address = (union address){
		        .ip4 = {.sin_family = AF_INET, .sin_port = peer->ip6.sin6_port}};
		memcpy(&caller.address.ip4.sin_addr, &peer->ip6.sin6_addr.s6_addr[12],
		        sizeof(caller.address.ip4.sin_addr));
	}
	return caller;
}

bool caller_same_host(const struct caller *a, const struct caller *b)
{
	return a->address.any.sa_family == b->address.any.sa_family &&
	       slice_equal(host_of(&a->address), host_of(&b->address));
}

struct caller caller_site(const struct caller *caller)
{
	enum { INTERFACE_AT = 8 };
	struct caller site = *caller;

	if (site.address.any.sa_family == AF_INET6) {
		memset(&site.address.ip6.sin6_addr.s6_addr[INTERFACE_AT], 0,
		        sizeof(site.address.ip6.sin6_addr) - INTERFACE_AT);
	}
	return site;
}

bool caller_same_user(const struct caller *a, const struct caller *b)
{
	return caller_same_host(a, b) && a->peer.uid == b->peer.uid &&
	       (a->peer.group_count == 0) == (b->peer.group_count == 0);
}

unsigned caller_hash(const struct caller *caller)
{
	return hash_bytes(HASH_START ^ caller->address.any.sa_family, host_of(&caller->address));
}

/* Two digits of a number below 100. */
static inline char *add_pair(char *at, unsigned value)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
	                            "25262728293031323334353637383940414243444546474849"
	                            "50515253545556575859606162636465666768697071727374"
	                            "75767778798081828384858687888990919293949596979899";

	memcpy(at, pairs + 2 * (size_t)value, 2);
	return at + 2;
}

/* Decimal, of a number below 256; returns where it ends. */
static inline char *add_octet(char *at, unsigned value)
{
	if (value < 10) {
		*at = (char)('0' + value);
		return at + 1;
	}
	if (value >= 100) {
		const bool two = value >= 200;
		*at++ = two ? '2' : '1';
		value -= two ? 200 : 100;
	}
	return add_pair(at, value);
}

/* The same below 100000. */
static inline char *add_port(char *at, unsigned value)
{
	const unsigned high = value / 100;

	if (value < 100) {
		return add_octet(at, value);
	}
	if (high >= 100) {
		*at++ = (char)('0' + high / 100);
		at = add_pair(at, high % 100);
	} else {
		at = add_octet(at, high);
	}
	return add_pair(at, value % 100);
}

/* By hand, since each request has a line: inet_ntop() would cost a tenth of its instructions. */
static void add_ip4(const struct sockaddr_in *ip4, bool with_port, struct text *text)
{
	enum { IP4_NAME_MAX = sizeof("255.255.255.255:65535") - 1 };
	const unsigned char *bytes = (const unsigned char *)&ip4->sin_addr;
	char *name = text_take(text, IP4_NAME_MAX);
	char *at = name;

	if (name == NULL) {
		return;
	}
	for (unsigned i = 0; i < 4; i++) {
		at = add_octet(at, bytes[i]);
		*at++ = i < 3 ? '.' : ':';
	}
	at = with_port ? add_port(at, ntohs(ip4->sin_port)) : at - 1;
	text->len -= IP4_NAME_MAX - (size_t)(at - name);
}

static void add_ip6(const struct sockaddr_in6 *ip6, bool with_port, struct text *text)
{
	char host[INET6_ADDRSTRLEN] = "?";

	(void)inet_ntop(AF_INET6, &ip6->sin6_addr, host, sizeof(host));
	text_add(text, SLICE("["));
	text_add(text, slice_of(host));
	text_add(text, SLICE("]"));
	if (with_port) {
		text_add(text, SLICE(":"));
		text_add_u64(text, ntohs(ip6->sin6_port));
	}
}

static void add_address(const union address *address, bool with_port, struct text *text)
{
	if (address->any.sa_family == AF_INET) {
		add_ip4(&address->ip4, with_port, text);
	} else if (address->any.sa_family == AF_INET6) {
		add_ip6(&address->ip6, with_port, text);
	} else {
		text_add(text, SLICE("unix"));
	}
}

void caller_add_name(const struct caller *caller, struct text *text)
{
	add_address(&caller->address, true, text);
}

void caller_add_host(const struct caller *caller, struct text *text)
{
	add_address(&caller->address, false, text);
}
