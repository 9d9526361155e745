/* SPDX-License-Identifier: MIT */
#include "health/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
	COMMAND_LINE_MAX = 64 * 1024, /* bytes */
	ARGUMENTS_MAX = 256,
};

static const char program_name[] = "docker-socket-proxy";

/* ── Addresses ───────────────────────────────────────────────────────────── */

struct targets targets_of(struct slice address)
{
	struct targets targets = {.count = 0};
	union address *first = &targets.addresses[0];

	if (address_parse(address, first) != NULL) {
		return targets;
	}
	targets.count = 1;
	if (!address_is_any(first) && !slice_starts_with(address, SLICE("tcp://localhost:"))) {
		return targets;
	}
	/* The port is at the same place in both. */
	targets.addresses[targets.count++] =
	        (union address){.ip6 = {.sin6_family = AF_INET6,
	                                .sin6_port = first->ip6.sin6_port,
	                                .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
	*first = (union address){.ip4 = {.sin_family = AF_INET,
	                                 .sin_port = first->ip6.sin6_port,
	                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	return targets;
}

static bool is_loopback(const union address *address)
{
	if (address->any.sa_family == AF_INET) {
		return ntohl(address->ip4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->ip6.sin6_addr);
}

/* Whether a TCP listener accepts what is sent to `target`. */
static bool accepts(const char *listener, const union address *target)
{
	union address own;

	if (address_parse(slice_of(listener), &own) != NULL || own.any.sa_family == AF_UNIX ||
	        own.ip4.sin_port != target->ip4.sin_port) {
		return false;
	}
	if (address_is_any(&own)) {
		return is_loopback(target);
	}
	return own.any.sa_family == target->any.sa_family &&
	       memcmp(&own, target, address_len(target)) == 0;
}

struct targets targets_own(const struct targets *targets, const struct config *config)
{
	struct targets own = {.count = 0};

	for (unsigned i = 0; i < targets->count; i++) {
		for (unsigned k = 0; k < config->listener_count; k++) {
			if (accepts(config->listeners[k].address, &targets->addresses[i])) {
				own.addresses[own.count++] = targets->addresses[i];
				break;
			}
		}
	}
	return own;
}

/* ── The program that serves ─────────────────────────────────────────────── */

/* Read the command line of process 1 into zeroed memory, a NUL behind each word; bytes read. */
static size_t read_command_line(char memory[COMMAND_LINE_MAX])
{
	const int fd = open("/proc/1/cmdline", O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	for (ssize_t n = fd < 0 ? 0 : 1; n > 0 && len < COMMAND_LINE_MAX - 1; len += (size_t)n) {
		n = read(fd, memory + len, COMMAND_LINE_MAX - 1 - len);
		n = n < 0 ? 0 : n;
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	return len;
}

static bool names_program(const char *word)
{
	const char *slash = strrchr(word, '/');

	return strcmp(slash == NULL ? word : slash + 1, program_name) == 0;
}

/* The words from the program's name on: an init has its own name in front. */
static int split_words(char *line, size_t len, char *words[ARGUMENTS_MAX])
{
	int count = 0;

	for (char *word = line; word < line + len && count < ARGUMENTS_MAX;
	        word += strlen(word) + 1) {
		if (count > 0 || names_program(word)) {
			words[count++] = word;
		}
	}
	return count;
}

int config_of_server(struct arena *arena, struct config *ret_config, char error[FAULT_MAX])
{
	char *line = arena_take(arena, COMMAND_LINE_MAX);
	char *words[ARGUMENTS_MAX] = {arena_copy(arena, slice_of(program_name))};
	int count = 0;

	if (arena_check(arena, error) < 0) {
		return -EINVAL;
	}
	if (getpid() != 1) {
		count = split_words(line, read_command_line(line), words);
	}
	return config_read(count > 0 ? count : 1, words, ret_config, error);
}
