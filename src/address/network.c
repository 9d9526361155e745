/* SPDX-License-Identifier: MIT */
#include "address/network.h"

#include "base/text.h"

#include <arpa/inet.h>

static void unmap(struct network *network)
{
	struct in6_addr address;

	memcpy(&address, network->bytes, sizeof(address));
	if (network->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address) && network->bits >= 96) {
		network->family = AF_INET;
		network->bits -= 96;
		memmove(network->bytes, network->bytes + 12, 4);
	}
}

/* The bits of byte `at` that are in front of the first `bits` bits' end. */
static unsigned char mask_of(unsigned bits, unsigned at)
{
	if (bits >= 8 * (at + 1)) {
		return 0xff;
	}
	if (bits <= 8 * at) {
		return 0;
	}
	return (unsigned char)(0xff00U >> (bits - 8 * at));
}

bool network_has_host(const struct network *network)
{
	const unsigned len = network->family == AF_INET ? 4 : 16;

	for (unsigned i = 0; i < len; i++) {
		if ((network->bytes[i] & ~mask_of(network->bits, i) & 0xff) != 0) {
			return true;
		}
	}
	return false;
}

static bool read_address(struct slice text, struct network *network)
{
	char memory[INET6_ADDRSTRLEN] = "";

	if (text_keep(memory, sizeof(memory) - 1, text) != text.len) {
		return false;
	}
	network->family = memchr(text.ptr, ':', text.len) == NULL ? AF_INET : AF_INET6;
	network->bits = network->family == AF_INET ? 32 : 128;
	return inet_pton(network->family, memory, network->bytes) == 1;
}

const char *network_parse(struct slice text, struct network *ret_network)
{
	const char *slash = memchr(text.ptr, '/', text.len);
	const struct slice address = slash == NULL ? text : slice_between(text.ptr, slash);
	uint64_t bits = 0;

	if (!read_address(address, ret_network)) {
		return "give an IPv4 or IPv6 address, or ADDRESS/BITS such as 192.0.2.0/24";
	}
	if (slash != NULL) {
		const struct slice number = slice_between(slash + 1, text.ptr + text.len);
		if (slice_to_u64(number, ret_network->bits, &bits) < 0) {
			return "BITS in ADDRESS/BITS is a whole number up to 32 for IPv4, up to "
			       "128 for IPv6";
		}
		ret_network->bits = (unsigned)bits;
	}
	unmap(ret_network);
	return NULL;
}

static bool has(const struct network *network, int family, const unsigned char *bytes)
{
	if (family != network->family) {
		return false;
	}
	for (unsigned i = 0; 8 * i < network->bits; i++) {
		if (((bytes[i] ^ network->bytes[i]) & mask_of(network->bits, i)) != 0) {
			return false;
		}
	}
	return true;
}

bool network_has(const struct network *network, const union address *address)
{
	const unsigned char *bytes = network->family == AF_INET
	                                     ? (const unsigned char *)&address->ip4.sin_addr
	                                     : (const unsigned char *)&address->ip6.sin6_addr;

	return has(network, address->any.sa_family, bytes);
}

bool network_covers(const struct network *network, const struct network *other)
{
	return network->bits <= other->bits && has(network, other->family, other->bytes);
}
