/* SPDX-License-Identifier: MIT */
/* capture — the lines of the log, which go into a pipe meanwhile. */
#ifndef TESTS_CAPTURE_H
#define TESTS_CAPTURE_H

#include "cases.h"

#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

enum { CAPTURE_MAX = 1 << 20 };

struct capture {
	int real_stderr;
	int reader;
	char said[CAPTURE_MAX]; /* what capture_read() found last */
};

static inline void capture_begin(struct capture *capture)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	capture->real_stderr = dup(STDERR_FILENO);
	capture->reader = ends[0];
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	(void)close(ends[1]);
	log_setup(LOG_INFO, LOG_TEXT);
}

static inline void capture_read(struct capture *capture)
{
	const ssize_t n = read(capture->reader, capture->said, sizeof(capture->said) - 1);

	capture->said[n > 0 ? n : 0] = '\0';
}

static inline void capture_end(struct capture *capture)
{
	(void)dup2(capture->real_stderr, STDERR_FILENO);
	(void)close(capture->real_stderr);
	(void)close(capture->reader);
}

#endif
