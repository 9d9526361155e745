/* SPDX-License-Identifier: MIT */
/* Callers for tests, by their names. */
#ifndef TESTS_CALLERS_H
#define TESTS_CALLERS_H

#include "cases.h"

#include "identity/identity.h"

#include <stdio.h>

/* Of "192.0.2.1:4711", "[2001:db8::1]:4711" or "unix". */
static struct caller caller_named(const char *name)
{
	union address address = {.any = {.sa_family = AF_UNIX}};
	char url[sizeof("tcp://") + 64];

	(void)snprintf(url, sizeof(url), "tcp://%s", name);
	if (strcmp(name, "unix") != 0) {
		assert_null(address_parse(slice_of(url), &address));
	}
	return caller_from(0, &address);
}

#endif
