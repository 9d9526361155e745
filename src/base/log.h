/* SPDX-License-Identifier: MIT */
/*
 * log — lines for people, on standard error, one write each.
 *
 * The level and the form are set once at start-up, before threads exist; they and
 * what precedes the lines of a thread are the mutable globals of the program. Requests are not
 * logged here: see audit/, which never blocks.
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
 * From now on `call` is called in this thread in front of each line, so that lines that
 * wait elsewhere are written first and all are in the order of time. NULL: no more.
 */
void log_precede(void (*call)(void *context), void *context);

/* The start of a line: time and level, in the form that is set up. */
void log_begin(struct text *text, enum log_level level, int64_t realtime_ns);
/*
 * Up to PIPE_BUF bytes of whole lines to standard error; how many were taken, 0
 * when it would block: nothing here ever waits for a reader.
 */
size_t log_write(struct slice lines) MUST_USE;
/* A field of a line: in JSON by its name, in text ` name=value` behind the message. */
struct log_field {
	const char *name;
	struct slice value; /* len 0: the field is left out */
	bool is_number;
	bool in_message; /* the message says it already: text leaves it out */
};
/*
 * One line with fields, which a collector need not cut out of the message. Those that do not fit
 * into PIPE_BUF bytes are left out. False: the line is lost, since standard error would block.
 */
bool log_event(
        enum log_level level, struct slice message, const struct log_field *fields, unsigned count);
/* One line, its message cut at 2 KiB; false: it is lost, since standard error would block. */
bool log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
