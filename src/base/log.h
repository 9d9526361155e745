/* SPDX-License-Identifier: MIT */
/*
 * log — lines for people, on standard error, one write each.
 *
 * Level and format are set once at start-up, before threads exist. They, and the
 * call of log_precede(), are the only mutable globals of the program. The lines of
 * requests are written by audit/.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/check.h"
#include "base/text.h"

/* syslog's severities (RFC 5424 §6.2.1), most severe first. */
enum log_level {
	LOG_EMERG,
	LOG_ALERT,
	LOG_CRIT,
	LOG_ERR,
	LOG_WARNING,
	LOG_NOTICE,
	LOG_INFO,
	LOG_DEBUG,
};

enum log_format {
	LOG_TEXT,
	LOG_JSON,
};

/* 0 and *ret_level, or -EINVAL. `err` and `error`, `warn` and `warning` are the same. */
int log_level_parse(struct slice word, enum log_level *ret_level) MUST_USE;

void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
enum log_format log_form(void);

/*
 * Call `call` in this thread before each line, so that lines that wait in a batch
 * are written first and all lines are in the order of time. NULL: call nothing.
 */
void log_precede(void (*call)(void *context), void *context);

/* Append the start of a line, time and level, in the format of log_setup(). */
void log_begin(struct text *text, enum log_level level, int64_t realtime_ns);
/*
 * Write up to PIPE_BUF bytes of whole lines to standard error. Returns the bytes
 * written; 0 if the write would block.
 */
size_t log_write(struct slice lines) MUST_USE;
/* A field of a line: in JSON a member, in text ` name=value` after the message. */
struct log_field {
	const char *name;
	struct slice value; /* len 0: the field is omitted */
	bool is_number;
	bool in_message; /* the message contains it: omitted in text */
};
/*
 * Write one line with fields. Fields that do not fit into PIPE_BUF bytes are omitted. False if the
 * line is lost, because standard error would block.
 */
bool log_event(
        enum log_level level, struct slice message, const struct log_field *fields, unsigned count);
/* Write one line; the message is cut at 2 KiB. False if the line is lost, as above. */
bool log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
