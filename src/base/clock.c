/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec now = {0};

	(void)clock_gettime(id, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_realtime_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

void clock_add_timestamp(struct text *text, int64_t realtime_ns)
{
	const time_t seconds = (time_t)(realtime_ns / NS_PER_S);
	struct tm utc;

	if (gmtime_r(&seconds, &utc) == NULL) {
		return;
	}
	text_add_digits(text, (uint64_t)utc.tm_year + 1900, 4);
	text_add_char(text, '-');
	text_add_digits(text, (uint64_t)utc.tm_mon + 1, 2);
	text_add_char(text, '-');
	text_add_digits(text, (uint64_t)utc.tm_mday, 2);
	text_add_char(text, 'T');
	text_add_digits(text, (uint64_t)utc.tm_hour, 2);
	text_add_char(text, ':');
	text_add_digits(text, (uint64_t)utc.tm_min, 2);
	text_add_char(text, ':');
	text_add_digits(text, (uint64_t)utc.tm_sec, 2);
	text_add_char(text, '.');
	text_add_digits(text, (uint64_t)(realtime_ns % NS_PER_S / NS_PER_MS), 3);
	text_add_char(text, 'Z');
}
