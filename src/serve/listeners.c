/* SPDX-License-Identifier: MIT */
/* The sockets that clients connect to. */
#include "net/listener.h"

#include "base/log.h"
#include "serve/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int failed(const struct config_listener *listener, int error)
{
	char memory[512];
	struct text why = text_over(memory, sizeof(memory));

	listener_explain(listener->address, error, &why);
	log_line(LOG_CRIT, "cannot listen on %s: %.*s", listener->address,
	        SLICE_FMT(text_slice(&why)));
	return error;
}

static bool is_unix(const struct config_listener *listener)
{
	return address_path(listener->address) != NULL;
}

bool listeners_are_free(const struct config *config)
{
	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		const int fd = is_unix(listener)
		                       ? 0
		                       : listener_open(listener->address, listener->mode, false);
		if (fd < 0) {
			(void)failed(listener, fd);
			return false;
		}
		if (fd > 0) {
			(void)close(fd);
		}
	}
	return true;
}

int listeners_open(const struct config_listener *listener, int first)
{
	int fd;

	if (first < 0 || !is_unix(listener)) {
		fd = listener_open(listener->address, listener->mode, true);
	} else {
		fd = fcntl(first, F_DUPFD_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fd;
	}
	return fd < 0 ? failed(listener, fd) : fd;
}

void listeners_remove(const struct config *config, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (is_unix(&config->listeners[i])) {
			/* The folder may be closed to us now. */
			(void)unlink(address_path(config->listeners[i].address));
		}
	}
}
