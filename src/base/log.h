/* SPDX-License-Identifier: MIT */
/*
 * log — lines for people, on standard error.
 *
 * All threads write into one batch, so that lines are in the order of time. A line
 * of the program is written at once, and what waits in front of it; the lines of
 * requests (audit/) wait for more of them. A reader that does not keep up costs
 * lines, not time: how many were lost is written once it reads again.
 *
 * The format is set once at start-up, before threads exist; the level may change
 * later. They and the batch are the only mutable globals of the program.
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

/* Whether standard error is a file, which takes larger pieces than a pipe, is looked at here. */
void log_setup(enum log_level level, enum log_format format);
/* From any thread, at any time. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
enum log_format log_form(void);

/* Append the start of a line, time and level, in the format of log_setup(). */
void log_begin(struct text *text, enum log_level level, int64_t realtime_ns);

/*
 * Append the line that `add` writes to the batch. `add` takes the time itself, for no
 * other thread appends meanwhile; it may neither block nor log. A line that does not fit
 * is lost and counted. Returns whether the caller must call log_flush() soon, because no
 * other caller will.
 */
bool log_append(void (*add)(void *context, struct text *batch), void *context) MUST_USE;
/* Write the batch as far as its reader takes it. Returns whether the caller must call again. */
bool log_flush(void);
/* Lines that were lost since the start. */
unsigned long log_lost(void);

/* A field of a line: in JSON a member, in text ` name=value` after the message. */
struct log_field {
	const char *name;
	struct slice value; /* len 0: the field is omitted */
	bool is_number;
	bool in_message; /* the message contains it: omitted in text */
};
/*
 * Write one line with fields. A value with spaces is in quotes, in text too. Fields that do not fit
 * into PIPE_BUF bytes are omitted, and a line that the reader does not take waits in the batch.
 */
void log_event(enum log_level level, struct slice message, const struct log_field *fields,
        unsigned count) SELDOM;
/*
 * Write one line in the handler of a signal, past the batch and its lock. It may wait for who reads
 * standard error: for what happens once.
 */
void log_in_handler(enum log_level level, struct slice message);
/* Write one line; the message is cut at 2 KiB. */
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3) SELDOM;

#endif
