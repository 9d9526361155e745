/* SPDX-License-Identifier: MIT */
#include "identity/identity.h"

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

/* FNV-1a. */
unsigned caller_hash(const struct caller *caller)
{
	const struct slice host = host_of(&caller->address);
	unsigned hash = 2166136261U ^ caller->address.any.sa_family;

	for (size_t i = 0; i < host.len; i++) {
		hash = (hash ^ (unsigned char)host.ptr[i]) * 16777619U;
	}
	return hash;
}

/* By hand, since each request has a line: inet_ntop() takes four times as long. */
static void add_ip4(const struct sockaddr_in *ip4, struct text *text)
{
	const unsigned char *bytes = (const unsigned char *)&ip4->sin_addr;

	for (unsigned i = 0; i < 4; i++) {
		text_add(text, i > 0 ? SLICE(".") : SLICE(""));
		text_add_u64(text, bytes[i]);
	}
}

static void add_ip6(const struct sockaddr_in6 *ip6, struct text *text)
{
	char host[INET6_ADDRSTRLEN] = "?";

	(void)inet_ntop(AF_INET6, &ip6->sin6_addr, host, sizeof(host));
	text_add(text, SLICE("["));
	text_add(text, slice_of(host));
	text_add(text, SLICE("]"));
}

void caller_add_host(const struct caller *caller, struct text *text)
{
	if (caller->address.any.sa_family == AF_INET) {
		add_ip4(&caller->address.ip4, text);
	} else if (caller->address.any.sa_family == AF_INET6) {
		add_ip6(&caller->address.ip6, text);
	} else {
		text_add(text, SLICE("unix"));
	}
}

void caller_add_name(const struct caller *caller, struct text *text)
{
	const union address *address = &caller->address;

	caller_add_host(caller, text);
	if (address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6) {
		text_add(text, SLICE(":"));
		text_add_u64(
		        text, ntohs(address->any.sa_family == AF_INET ? address->ip4.sin_port
		                                                      : address->ip6.sin6_port));
	}
}
