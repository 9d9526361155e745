/* SPDX-License-Identifier: MIT */
#include "upstream/resolve.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>

enum {
	ANSWER_MAX = 8192, /* bytes of a DNS message that is read */
	RCODE_AT = 3,      /* RFC 1035 section 4.1.1 */
	RCODE_BITS = 0x0f,
	SERVER_SECONDS = 1,
	ROUNDS = 2, /* over all servers */
	LINE_MAX_LEN = 1024,
};

/* ── Collecting ──────────────────────────────────────────────────────────── */

static void keep(struct resolved *found, const union address *address)
{
	if (found->count < RESOLVE_MAX) {
		found->list[found->count++] = *address;
	}
}

static void keep_binary(struct resolved *found, int family, const void *binary, uint16_t port)
{
	union address address = {.any = {.sa_family = (sa_family_t)family}};

	address.ip4.sin_port = htons(port); /* at the same place in both */
	if (family == AF_INET) {
		memcpy(&address.ip4.sin_addr, binary, sizeof(address.ip4.sin_addr));
	} else {
		memcpy(&address.ip6.sin6_addr, binary, sizeof(address.ip6.sin6_addr));
	}
	keep(found, &address);
}

/* ── /etc/hosts ──────────────────────────────────────────────────────────── */

/* The next word of a line; empty at its end. */
static struct slice next_word(struct slice *line)
{
	size_t begin = 0;
	size_t end;

	while (begin < line->len && strchr(" \t\r\n", line->ptr[begin]) != NULL) {
		begin++;
	}
	for (end = begin; end < line->len && strchr(" \t\r\n", line->ptr[end]) == NULL;) {
		end++;
	}
	const struct slice word = {line->ptr + begin, end - begin};
	*line = slice_behind(*line, end);
	return word;
}

/* hosts(5): ADDRESS NAME... # comment */
static void read_line(const char *text, struct slice host, uint16_t port, struct resolved *found)
{
	struct slice line = {text, strcspn(text, "#")};
	unsigned char binary[sizeof(struct in6_addr)];
	char address[INET6_ADDRSTRLEN] = "";
	const struct slice first = next_word(&line);

	if (first.len >= sizeof(address)) {
		return;
	}
	(void)text_keep(address, sizeof(address) - 1, first);
	const int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, address, binary) != 1) {
		return;
	}
	for (struct slice name = next_word(&line); name.len > 0; name = next_word(&line)) {
		if (slice_equal_nocase(name, host)) {
			keep_binary(found, family, binary, port);
			return;
		}
	}
}

int resolve_in_file(const char *file, const char *host, uint16_t port, struct resolved *ret_found)
{
	FILE *hosts = fopen(file, "re");
	char line[LINE_MAX_LEN];

	*ret_found = (struct resolved){.count = 0};
	while (hosts != NULL && fgets(line, sizeof(line), hosts) != NULL) {
		read_line(line, slice_of(host), port, ret_found);
	}
	if (hosts != NULL) {
		(void)fclose(hosts);
	}
	return ret_found->count > 0 ? 0 : -ENOENT;
}

/* ── DNS ─────────────────────────────────────────────────────────────────── */

/* The addresses among the answers of a message. */
static void read_answers(
        const unsigned char *message, int len, int family, uint16_t port, struct resolved *found)
{
	const uint16_t type = family == AF_INET ? ns_t_a : ns_t_aaaa;
	const size_t size = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	ns_msg handle;
	ns_rr record;

	if (ns_initparse(message, len, &handle) < 0) {
		return;
	}
	for (int i = 0; i < ns_msg_count(handle, ns_s_an); i++) {
		if (ns_parserr(&handle, ns_s_an, i, &record) == 0 && ns_rr_type(record) == type &&
		        ns_rr_rdlen(record) == size) {
			keep_binary(found, family, ns_rr_rdata(record), port);
		}
	}
}

/* As resolve_host(); 0 also if there is no address of this family. */
static int ask(struct __res_state *dns, const char *host, int family, uint16_t port,
        struct resolved *found)
{
	unsigned char message[ANSWER_MAX] = {0};
	const int len = res_nsearch(dns, host, ns_c_in, family == AF_INET ? ns_t_a : ns_t_aaaa,
	        message, sizeof(message));

	if (len > 0) {
		read_answers(message, len < ANSWER_MAX ? len : ANSWER_MAX, family, port, found);
		return 0;
	}
	if (dns->res_h_errno == HOST_NOT_FOUND || dns->res_h_errno == NO_DATA) {
		return 0;
	}
	/* The last response is there even if it is an error: SERVFAIL, REFUSED. */
	return (message[RCODE_AT] & RCODE_BITS) != 0 ? -EIO : -EAGAIN;
}

static int resolve_by_dns(const char *host, uint16_t port, struct resolved *found)
{
	struct __res_state dns = {0};

	if (res_ninit(&dns) < 0) {
		return -EAGAIN;
	}
	dns.retrans = SERVER_SECONDS;
	dns.retry = ROUNDS;
	const int error = ask(&dns, host, AF_INET, port, found);
	const int error6 = error == -EAGAIN ? error : ask(&dns, host, AF_INET6, port, found);
	res_nclose(&dns);
	if (found->count > 0) {
		return 0;
	}
	if (error == 0 && error6 == 0) {
		return -ENOENT;
	}
	return error6 < 0 ? error6 : error;
}

int resolve_host(const char *host, uint16_t port, struct resolved *ret_found)
{
	return resolve_in_file("/etc/hosts", host, port, ret_found) == 0
	               ? 0
	               : resolve_by_dns(host, port, ret_found);
}
