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

void caller_add_name(const struct caller *caller, struct text *text)
{
	char name[ADDRESS_NAME_MAX];

	address_name(&caller->address, name);
	text_add(text, slice_of(name));
}

void caller_add_host(const struct caller *caller, struct text *text)
{
	char name[ADDRESS_NAME_MAX];

	address_name(&caller->address, name);
	const char *port = strrchr(name, ':');
	text_add(text, port == NULL ? slice_of(name) : slice_between(name, port));
}
