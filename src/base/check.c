/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *condition)
{
	(void)fprintf(
	        stderr, "docker-socket-proxy: internal error: %s:%d: %s\n", file, line, condition);
	abort();
}

void *check_memory(void *memory)
{
	if (memory == NULL) {
		(void)fputs("docker-socket-proxy: out of memory\n", stderr);
		_exit(EXIT_FAILURE);
	}
	return memory;
}
