/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static struct {
	enum log_level level;
	enum log_format format;
} settings = {.level = LOG_INFO, .format = LOG_TEXT};

static pthread_mutex_t one_writer = PTHREAD_MUTEX_INITIALIZER;

static const char *const level_names[] = {
        [LOG_EMERG] = "emerg",
        [LOG_ALERT] = "alert",
        [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",
        [LOG_WARNING] = "warning",
        [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
};

int log_level_parse(struct slice word, enum log_level *ret_level)
{
	for (unsigned i = 0; i < ARRAY_LEN(level_names); i++) {
		if (slice_equal_nocase(word, slice_of(level_names[i]))) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	if (slice_equal_nocase(word, SLICE("error"))) {
		*ret_level = LOG_ERR;
		return 0;
	}
	if (slice_equal_nocase(word, SLICE("warn"))) {
		*ret_level = LOG_WARNING;
		return 0;
	}
	return -EINVAL;
}

void log_setup(enum log_level level, enum log_format format)
{
	settings.level = level;
	settings.format = format;
}

bool log_enabled(enum log_level level)
{
	return level <= settings.level;
}

enum log_format log_form(void)
{
	return settings.format;
}

void log_begin(struct text *text, enum log_level level, int64_t realtime_ns)
{
	const bool json = settings.format == LOG_JSON;

	text_add(text, json ? SLICE("{\"time\":\"") : SLICE(""));
	clock_add_timestamp(text, realtime_ns);
	text_add(text, json ? SLICE("\",\"level\":\"") : SLICE(" "));
	text_add(text, slice_of(level_names[level]));
	text_add(text, json ? SLICE("\",") : SLICE(" "));
}

/* A pipe that is ready takes PIPE_BUF at once, but from one writer: the next would wait. */
size_t log_write(struct slice lines)
{
	struct pollfd output = {.fd = STDERR_FILENO, .events = POLLOUT};
	ssize_t n = 0;

	(void)pthread_mutex_lock(&one_writer);
	if (poll(&output, 1, 0) == 1 && (output.revents & POLLOUT) != 0) {
		n = write(STDERR_FILENO, lines.ptr, lines.len);
	}
	(void)pthread_mutex_unlock(&one_writer);
	return n > 0 ? (size_t)n : 0;
}

bool log_line(enum log_level level, const char *format, ...)
{
	char message[PIPE_BUF / 2];
	char memory[PIPE_BUF]; /* as much as a pipe that is ready takes without blocking */
	va_list arguments;

	if (!log_enabled(level)) {
		return true;
	}
	va_start(arguments, format);
	(void)vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);

	struct text line = text_over(memory, sizeof(memory) - 3); /* room for "}\n behind */
	log_begin(&line, level, clock_realtime_ns());
	if (settings.format == LOG_JSON) {
		text_add(&line, SLICE("\"message\":\""));
		text_add_json(&line, slice_of(message));
	} else {
		text_add(&line, slice_of(message));
	}
	const struct slice tail = settings.format == LOG_JSON ? SLICE("\"}\n") : SLICE("\n");
	memcpy(memory + line.len, tail.ptr, tail.len);
	/* A reader that does not keep up costs the line. */
	return log_write((struct slice){memory, line.len + tail.len}) > 0;
}
