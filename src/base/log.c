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

static _Thread_local struct {
	void (*call)(void *context);
	void *context;
} before;

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

void log_precede(void (*call)(void *context), void *context)
{
	before.call = call;
	before.context = context;
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

/* ` name=value`, or `,"name":"value"`. */
static void add_field(struct text *line, const struct log_field *field)
{
	const bool json = settings.format == LOG_JSON;
	const bool quoted = json && !field->is_number;

	if (field->value.len == 0 || (field->in_message && !json)) {
		return;
	}
	text_add(line, json ? SLICE(",\"") : SLICE(" "));
	text_add(line, slice_of(field->name));
	text_add(line, json ? SLICE("\":") : SLICE("="));
	text_add(line, quoted ? SLICE("\"") : SLICE(""));
	if (json) {
		text_add_json(line, field->value);
	} else {
		text_add(line, field->value);
	}
	text_add(line, quoted ? SLICE("\"") : SLICE(""));
}

/* The whole of it or nothing. */
static void try_field(struct text *line, const struct log_field *field)
{
	struct text with = *line;

	add_field(&with, field);
	if (!with.overflow) {
		*line = with;
	}
}

bool log_event(
        enum log_level level, struct slice message, const struct log_field *fields, unsigned count)
{
	enum { MESSAGE_MAX = PIPE_BUF / 2 };
	const bool json = settings.format == LOG_JSON;
	char memory[PIPE_BUF]; /* as much as a pipe that is ready takes without blocking */

	if (!log_enabled(level)) {
		return true;
	}
	if (before.call != NULL) {
		before.call(before.context);
	}
	struct text line = text_over(memory, sizeof(memory) - 3); /* room for "}\n behind */
	log_begin(&line, level, clock_realtime_ns());
	message.len = message.len < MESSAGE_MAX ? message.len : MESSAGE_MAX;
	if (json) {
		text_add(&line, SLICE("\"message\":\""));
		text_add_json(&line, message);
	} else {
		text_add(&line, message);
	}
	line.cap = sizeof(memory) - 2;
	text_add(&line, json ? SLICE("\"") : SLICE(""));
	line.overflow = false;
	for (unsigned i = 0; i < count; i++) {
		try_field(&line, &fields[i]);
	}
	line.cap = sizeof(memory);
	text_add(&line, json ? SLICE("}\n") : SLICE("\n"));
	/* A reader that does not keep up costs the line. */
	return log_write(text_slice(&line)) > 0;
}

bool log_line(enum log_level level, const char *format, ...)
{
	char message[PIPE_BUF / 2];
	va_list arguments;

	if (!log_enabled(level)) {
		return true;
	}
	va_start(arguments, format);
	(void)vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return log_event(level, slice_of(message), NULL, 0);
}
