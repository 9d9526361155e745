/* SPDX-License-Identifier: MIT */
#include "health/target.h"

#include "base/file.h"
#include "config/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	COMMAND_LINE_MAX = 64 * 1024, /* bytes */
	ARGUMENTS_MAX = 256,
};

static const char program_name[] = "docker-socket-proxy";

/* ── Addresses ───────────────────────────────────────────────────────────── */

static int parse(const char *address, struct targets *targets, char error[FAULT_MAX])
{
	const struct slice text = slice_of(address);
	union address *first = &targets->addresses[0];

	targets->count = 1;
	if (text_keep(targets->name, sizeof(targets->name) - 1, text) < text.len ||
	        address_parse(text, first) != NULL) {
		return fault_set(error, NOWHERE,
		        "'%s' is neither tcp://HOST:PORT, tls://HOST:PORT nor unix:///PATH",
		        text_show(text).text);
	}
	if (address_is_any(first) || slice_starts_with(text, SLICE("tcp://localhost:"))) {
		const in_port_t port = first->ip6.sin6_port; /* at the same place in both */
		*first = (union address){.ip4 = {.sin_family = AF_INET,
		                                 .sin_port = port,
		                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
		targets->addresses[targets->count++] =
		        (union address){.ip6 = {.sin6_family = AF_INET6,
		                                .sin6_port = port,
		                                .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
	}
	return 0;
}

static bool is_loopback(const union address *address)
{
	if (address->any.sa_family == AF_INET) {
		return ntohl(address->ip4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->ip6.sin6_addr);
}

/* Whether a listener accepts what is sent to `target`. */
static bool accepts(const char *listener, const union address *target)
{
	union address own;

	if (address_parse(slice_of(listener), &own) != NULL) {
		return false;
	}
	if (address_is_any(&own)) {
		return is_loopback(target) && own.ip4.sin_port == target->ip4.sin_port;
	}
	return own.any.sa_family == target->any.sa_family &&
	       memcmp(&own, target, address_len(target)) == 0;
}

/* ── The listeners of the proxy ──────────────────────────────────────────── */

/* Leave the addresses at which a listener of the proxy accepts. */
static int keep_own(const struct config *config, struct targets *targets, char error[FAULT_MAX])
{
	unsigned kept = 0;

	for (unsigned i = 0; i < targets->count; i++) {
		unsigned k = 0;
		while (k < config->listener_count &&
		        !accepts(config->listeners[k].address, &targets->addresses[i])) {
			k++;
		}
		targets->addresses[kept] = targets->addresses[i];
		kept += k < config->listener_count;
	}
	targets->count = kept;
	return kept > 0 ? 0
	                : fault_set(error, NOWHERE,
	                          "%s is not checked: the proxy listens on %s%s, and checks in its "
	                          "container reach no other address",
	                          targets->name, config->listeners[0].address,
	                          config->listener_count > 1 ? " and others" : "");
}

static bool names_program(const char *word)
{
	const char *slash = strrchr(word, '/');

	return strcmp(slash == NULL ? word : slash + 1, program_name) == 0;
}

/* The words of process 1 from the name of the program on, since an init has its own name in front;
 * 0: it is another program, or this process. */
static int read_words(char line[COMMAND_LINE_MAX], char *words[ARGUMENTS_MAX])
{
	const ssize_t len =
	        getpid() == 1 ? 0 : file_read("/proc/1/cmdline", line, COMMAND_LINE_MAX - 1);
	int count = 0;

	for (char *word = line; word < line + len && count < ARGUMENTS_MAX;
	        word += strlen(word) + 1) {
		if (count > 0 || names_program(word)) {
			words[count++] = word;
		}
	}
	return count;
}

/* One with an address of its own; rather a plain one, for a listener of TLS may demand a
 * certificate, and says less then. */
static const char *choose(const struct config *config)
{
	const char *secure = NULL;

	for (unsigned i = 0; i < config->listener_count; i++) {
		const char *address = config->listeners[i].address;
		if (address_passed(address) != NULL) {
			continue;
		}
		if (!address_is_tls(address)) {
			return address;
		}
		secure = secure != NULL ? secure : address;
	}
	return secure != NULL ? secure : config->listeners[0].address;
}

int targets_find(const char *address, bool own, struct targets *ret_targets, char error[FAULT_MAX])
{
	char line[COMMAND_LINE_MAX] = ""; /* zeros: a NUL is behind the last word */
	char environment_alone[] = "docker-socket-proxy";
	char *words[ARGUMENTS_MAX] = {environment_alone};
	struct config config = {.listener_count = 0};
	const int count = read_words(line, words);

	*ret_targets = (struct targets){.count = 0};
	if (address != NULL && !own && count == 0) {
		return parse(address, ret_targets, error);
	}
	int r = config_read(count == 0 ? 1 : count, words, &config, error);
	if (r == 0) {
		r = parse(address != NULL ? address : choose(&config), ret_targets, error);
	}
	if (r == 0) {
		r = keep_own(&config, ret_targets, error);
	}
	config_free(&config);
	return r;
}

/* ── The admin listener of the proxy ─────────────────────────────────────── */

/*
 * 0; -ENOENT: the configuration has none; or -EINVAL. A fault behind the address does not count: a
 * running proxy is asked because of it.
 */
static int find_admin(int argc, char *words[], struct targets *targets, char **ret_certificate,
        char error[FAULT_MAX])
{
	struct config config = {.listener_count = 0};
	const struct config_listener *admin = &config.admin.listener;
	int r = config_read(argc, words, &config, error);

	if (admin->address != NULL) {
		r = parse(admin->address, targets, error);
	} else if (r == 0) {
		r = -ENOENT;
	}
	if (r == 0 && admin->tls.pair_count > 0) {
		*ret_certificate = strdup(admin->tls.pairs[0].cert);
	}
	config_free(&config);
	return r;
}

int targets_find_admin(const char *address, const char *file, struct targets *ret_targets,
        char **ret_certificate, char error[FAULT_MAX])
{
	char line[COMMAND_LINE_MAX] = "";
	char program[] = "docker-socket-proxy";
	char option[] = "--config";
	char *own[ARGUMENTS_MAX] = {program};
	char *words[ARGUMENTS_MAX];
	int count = 1;

	*ret_targets = (struct targets){.count = 0};
	*ret_certificate = NULL;
	if (address != NULL) {
		return parse(address, ret_targets, error);
	}
	if (file != NULL) {
		own[count++] = option;
		own[count++] = (char *)(uintptr_t)file;
	}
	int r = find_admin(count, own, ret_targets, ret_certificate, error);
	if (r < 0 && file == NULL && (count = read_words(line, words)) > 0) {
		r = find_admin(count, words, ret_targets, ret_certificate, error);
	}
	return r != -ENOENT ? r
	                    : fault_set(error, NOWHERE,
	                              "there is no admin listener in the configuration: give ADDR, "
	                              "or ADMIN=ADDR as the running proxy has it");
}
