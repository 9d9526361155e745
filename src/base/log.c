/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	atomic_uint level; /* enum log_level */
	enum log_format format;
} settings = {.level = LOG_INFO, .format = LOG_TEXT};

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

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&settings.level, level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return level <= atomic_load_explicit(&settings.level, memory_order_relaxed);
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

/* ── Lines with fields ───────────────────────────────────────────────────── */

/* ` name=value`, or `,"name":"value"`. */
static void add_field(struct text *line, const struct log_field *field)
{
	const bool json = settings.format == LOG_JSON;
	const bool has_spaces = memchr(field->value.ptr, ' ', field->value.len) != NULL;
	const bool quoted = json ? !field->is_number : has_spaces;

	if (field->value.len == 0 || (field->in_message && !json)) {
		return;
	}
	text_add(line, json ? SLICE(",\"") : SLICE(" "));
	text_add(line, slice_of(field->name));
	text_add(line, json ? SLICE("\":") : SLICE("="));
	text_add(line, quoted ? SLICE("\"") : SLICE(""));
	if (json || quoted) {
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

struct event {
	enum log_level level;
	struct slice message;
	const struct log_field *fields;
	unsigned count;
};

static void add_event(void *context, struct text *lines)
{
	const struct event *event = context;
	const bool json = settings.format == LOG_JSON;
	char bytes[PIPE_BUF];

	struct text line = text_over(bytes, sizeof(bytes) - 3); /* room for "}\n behind */
	log_begin(&line, event->level, clock_realtime_ns());
	if (json) {
		text_add(&line, SLICE("\"message\":\""));
		text_add_json(&line, event->message);
	} else {
		text_add(&line, event->message);
	}
	line.cap = sizeof(bytes) - 2;
	text_add(&line, json ? SLICE("\"") : SLICE(""));
	line.overflow = false;
	for (unsigned i = 0; i < event->count; i++) {
		try_field(&line, &event->fields[i]);
	}
	line.cap = sizeof(bytes);
	text_add(&line, json ? SLICE("}\n") : SLICE("\n"));
	text_add(lines, (struct slice){bytes, line.len});
}

/* ── The batch ───────────────────────────────────────────────────────────── */

enum {
	BATCH_MAX = 128 * 1024,
	/* A pipe that is ready takes PIPE_BUF at once, but from one writer: the next would wait. */
	PIPE_WRITE_MAX = PIPE_BUF,
	FILE_WRITE_MAX = 64 * 1024,
};

static char memory[BATCH_MAX];

static struct {
	pthread_mutex_t lock;
	struct text lines;
	unsigned long lost;     /* since the last line about it */
	unsigned long lost_all; /* since the start */
	bool awaited;           /* a caller of log_append() will call log_flush() */
	bool to_file;           /* which always takes what it is given, or fails */
	size_t write_max;       /* bytes of one write */
} batch = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .lines = {.ptr = memory, .cap = sizeof(memory)},
        .write_max = PIPE_WRITE_MAX,
};

static void look_at_output(void)
{
	struct stat found;

	batch.to_file = fstat(STDERR_FILENO, &found) == 0 && S_ISREG(found.st_mode);
	batch.write_max = batch.to_file ? FILE_WRITE_MAX : PIPE_WRITE_MAX;
}

void log_setup(enum log_level level, enum log_format format)
{
	log_set_level(level);
	settings.format = format;
	look_at_output();
}

/* Whole lines, as many as are sure not to block; at least one. */
static size_t write_len(const struct text *lines)
{
	if (lines->len <= batch.write_max) {
		return lines->len;
	}
	const char *end = memrchr(lines->ptr, '\n', batch.write_max);
	return end == NULL ? batch.write_max : (size_t)(end - lines->ptr) + 1;
}

/* False when the reader takes no more. */
static bool write_some(struct text *lines)
{
	struct pollfd output = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (!batch.to_file && (poll(&output, 1, 0) != 1 || (output.revents & POLLOUT) == 0)) {
		return false;
	}
	const ssize_t n = write(STDERR_FILENO, lines->ptr, write_len(lines));
	if (n <= 0) {
		return false;
	}
	lines->len -= (size_t)n;
	memmove(lines->ptr, lines->ptr + n, lines->len);
	return true;
}

static void append(void (*add)(void *context, struct text *batch), void *context)
{
	const size_t before = batch.lines.len;

	add(context, &batch.lines);
	if (batch.lines.overflow) {
		batch.lines = text_over(memory, sizeof(memory));
		batch.lines.len = before;
		batch.lost++;
		batch.lost_all++;
	}
}

static void add_lost(void *context, struct text *lines)
{
	char words[128];
	struct text message = text_over(words, sizeof(words));

	(void)context;
	text_add_u64(&message, batch.lost);
	text_add(&message, SLICE(" lines of the log were lost: standard error is not read"));
	struct event event = {LOG_WARNING, {words, message.len}, NULL, 0};
	add_event(&event, lines);
}

static void flush(void)
{
	while (batch.lines.len > 0 && write_some(&batch.lines)) {
		if (batch.lines.len == 0 && batch.lost > 0) {
			append(add_lost, NULL);
			batch.lost = 0;
		}
	}
}

bool log_append(void (*add)(void *context, struct text *batch), void *context)
{
	(void)pthread_mutex_lock(&batch.lock);
	const size_t before = batch.lines.len;
	append(add, context);
	if (before < batch.write_max && batch.lines.len >= batch.write_max) {
		flush();
	}
	const bool first = !batch.awaited;
	batch.awaited = true;
	(void)pthread_mutex_unlock(&batch.lock);
	return first;
}

unsigned long log_lost(void)
{
	(void)pthread_mutex_lock(&batch.lock);
	const unsigned long lost = batch.lost_all;
	(void)pthread_mutex_unlock(&batch.lock);
	return lost;
}

bool log_flush(void)
{
	(void)pthread_mutex_lock(&batch.lock);
	flush();
	const bool left = batch.lines.len > 0;
	batch.awaited = left;
	(void)pthread_mutex_unlock(&batch.lock);
	return left;
}

void log_event(
        enum log_level level, struct slice message, const struct log_field *fields, unsigned count)
{
	enum { MESSAGE_MAX = PIPE_BUF / 2 };
	const size_t len = message.len < MESSAGE_MAX ? message.len : MESSAGE_MAX;
	struct event event = {level, {message.ptr, len}, fields, count};

	if (!log_enabled(level)) {
		return;
	}
	(void)pthread_mutex_lock(&batch.lock);
	append(add_event, &event);
	flush();
	(void)pthread_mutex_unlock(&batch.lock);
}

void log_line(enum log_level level, const char *format, ...)
{
	char message[PIPE_BUF / 2];
	va_list arguments;

	if (!log_enabled(level)) {
		return;
	}
	va_start(arguments, format);
	(void)vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	log_event(level, slice_of(message), NULL, 0);
}

/* Nothing here takes memory or a lock: write(2) alone. */
void log_in_handler(enum log_level level, struct slice message)
{
	char bytes[PIPE_BUF];
	struct text line = text_over(bytes, sizeof(bytes));
	struct event event = {level, message, NULL, 0};

	if (log_enabled(level)) {
		add_event(&event, &line);
		if (write(STDERR_FILENO, line.ptr, line.len) < 0) {
			return; /* there is nobody to tell */
		}
	}
}
