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

/* Exactly two digits, up to `max`. */
static bool take_pair(struct slice *text, unsigned max, int *ret_value)
{
	uint64_t value = 0;

	if (text->len < 2 || slice_to_u64((struct slice){text->ptr, 2}, max, &value) < 0) {
		return false;
	}
	*ret_value = (int)value;
	*text = slice_behind(*text, 2);
	return true;
}

/* "2027-01-31T18:00:00"; the rest of `text` stays. */
static bool take_time(struct slice *text, struct tm *time)
{
	int century = 0;

	if (!take_pair(text, 99, &century) || !take_pair(text, 99, &time->tm_year) ||
	        !slice_skip(text, SLICE("-")) || !take_pair(text, 12, &time->tm_mon) ||
	        !slice_skip(text, SLICE("-")) || !take_pair(text, 31, &time->tm_mday) ||
	        !slice_skip(text, SLICE("T")) || !take_pair(text, 23, &time->tm_hour) ||
	        !slice_skip(text, SLICE(":")) || !take_pair(text, 59, &time->tm_min) ||
	        !slice_skip(text, SLICE(":")) || !take_pair(text, 59, &time->tm_sec)) {
		return false;
	}
	time->tm_year += 100 * century - 1900;
	time->tm_mon -= 1;
	return true;
}

/* ".123", up to nine digits, as nanoseconds. */
static bool take_fraction(struct slice *text, unsigned *ret_ns)
{
	unsigned digits = 0;

	*ret_ns = 0;
	if (!slice_skip(text, SLICE("."))) {
		return true;
	}
	for (; text->len > 0 && ascii_is_digit(text->ptr[0]); digits++) {
		*ret_ns = digits < 9 ? *ret_ns * 10 + (unsigned)(text->ptr[0] - '0') : *ret_ns;
		*text = slice_behind(*text, 1);
	}
	for (unsigned i = digits; i < 9; i++) {
		*ret_ns *= 10;
	}
	return digits > 0;
}

bool clock_read(struct slice text, int64_t *ret_seconds, unsigned *ret_ns)
{
	struct tm time = {.tm_isdst = 0};

	if (!take_time(&text, &time) || (ret_ns != NULL && !take_fraction(&text, ret_ns)) ||
	        !slice_equal(text, SLICE("Z"))) {
		return false;
	}
	const struct tm read = time;
	*ret_seconds = timegm(&time);
	return *ret_seconds > 0 && read.tm_mon == time.tm_mon && read.tm_mday == time.tm_mday;
}
