/* SPDX-License-Identifier: MIT */
/*
 * audit — one line per request in the log's batch, never blocking the loop.
 *
 * The batch is written when it is long, or soon after its first line. See base/log.h
 * for a reader that does not keep up.
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include "base/log.h"
#include "identity/identity.h"
#include "net/loop.h"
#include "outcome/outcome.h"

enum {
	AUDIT_METHOD_MAX = 16,
	AUDIT_PATH_MAX = 256,
	AUDIT_NAME_MAX = 128, /* of an image and of a name each */
};

/* What a request came to. Methods, paths and names that are longer are cut. */
struct audit_record {
	unsigned method_len;
	unsigned path_len;
	unsigned name_len;
	unsigned image_len;
	unsigned status;
	uint64_t bytes; /* of the response's body */
	/* Monotonic, of turns of the loop: when the head was whole, when the proxy turned to the
	 * Engine, when it had a connection, when it had the head of the final response. 0: it did
	 * not come to that. */
	int64_t started_ns;
	int64_t dialled_ns;
	int64_t connected_ns;
	int64_t responded_ns;
	bool quiet;            /* worth a line at debug level only */
	const char *operation; /* NULL: it was not understood */
	const char *engine;    /* among several: that it means; NULL: none, or there is one alone */
	const char *member;    /* of that group, which was asked; NULL: it is no group */
	const char *client;    /* that sent it; NULL: none that is known by a name */
	const char *policy;    /* that judged it; NULL: none did */
	bool observed;         /* it would have been denied */
	const char *rule;      /* that denied, or would have; NULL: none did */
	enum outcome outcome;
	enum ender ender;   /* if the outcome does not say it; NOBODY: it does */
	const char *reason; /* literal, in place of the outcome's text; NULL: that says it */
	/* The words stand last: as many bytes as their lengths say, and whatever behind them. */
	char method[AUDIT_METHOD_MAX];
	char path[AUDIT_PATH_MAX];
	char name[AUDIT_NAME_MAX]; /* what the query names, see docker_add_name() */
	char image[AUDIT_NAME_MAX];
};

struct audit {
	struct loop *loop;
	struct timer_queue queue;
	struct timer timer;
	int64_t second; /* in which `start` was made */
	size_t start_len;
	char *fraction;  /* the milliseconds in `start` */
	char start[128]; /* of a line, up to its method; the label behind it takes 48 bytes */
};

void audit_init(struct audit *audit, struct loop *loop);
/* `peer`: caller_add_name() of the client. */
void audit_write(struct audit *audit, const struct audit_record *record, struct slice peer);
/* No more is written here: write what waits. */
void audit_done(struct audit *audit);

#endif
