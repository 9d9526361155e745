/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/log.h"
#include "trail/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BYTES_SIZE = 96 << 10, /* lines with hashes, at most */
	OWN_SIZE = RECORD_LINE_MAX + 1,
	QUEUE_SIZE = 1 << 20,
	/* Where places are kept for all requests in progress. Only what is used is touched. */
	QUEUE_KEPT_SIZE = 32 << 20,
	END_S = 4, /* for the thread to end */
};

/* ── Targets ─────────────────────────────────────────────────────────────── */

#define WANTED                                                                                     \
	"the absolute path of a file, - for standard output, unix:///PATH or syslog:///dev/log"

static const char *check_socket(const char *path)
{
	const struct sockaddr_un *address = NULL;

	return strlen(path) < sizeof(address->sun_path)
	               ? NULL
	               : "the path of a unix socket has at most 107 bytes";
}

const char *trail_read_target(const char *text, struct trail_target *ret_target)
{
	static const struct {
		struct slice prefix;
		enum trail_kind kind;
	} rows[] = {
	        {SLICE_INIT("unix:///"), TRAIL_SOCKET},
	        {SLICE_INIT("syslog:///"), TRAIL_SYSLOG},
	};

	*ret_target = (struct trail_target){TRAIL_FILE, text, text};
	if (strcmp(text, "-") == 0) {
		ret_target->kind = TRAIL_OUTPUT;
		return NULL;
	}
	if (strcmp(text, "/dev/log") == 0 || strcmp(text, "unix:///dev/log") == 0) {
		*ret_target = (struct trail_target){TRAIL_SYSLOG, text, "/dev/log"};
		return NULL;
	}
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const struct slice prefix = rows[i].prefix;
		if (slice_starts_with(slice_of(text), prefix)) {
			ret_target->kind = rows[i].kind;
			ret_target->path = strchr(text, ':') + 3;
			return check_socket(ret_target->path);
		}
	}
	return text[0] == '/' && text[1] != '\0' && text[strlen(text) - 1] != '/' ? NULL
	                                                                          : "give " WANTED;
}

/* ── Life ────────────────────────────────────────────────────────────────── */

static const struct output_verbs *verbs_for(enum trail_kind kind)
{
	static const struct output_verbs *const verbs[] = {
	        [TRAIL_NOWHERE] = NULL,
	        [TRAIL_FILE] = &output_file,
	        [TRAIL_OUTPUT] = &output_stdout,
	        [TRAIL_SOCKET] = &output_socket,
	        [TRAIL_SYSLOG] = &output_socket,
	};

	return verbs[kind];
}

static void free_memory(struct trail *trail)
{
	for (unsigned i = 0; i < trail->queue_count; i++) {
		queue_free(trail->queues[i]);
	}
	if (trail->wake >= 0) {
		(void)close(trail->wake);
	}
	feed_done(&trail->feed);
	free(trail->queues);
	free(trail->target_text);
	free(trail->own.ptr);
	free(trail->bytes.ptr);
	free(trail);
}

/* The configuration that names the target may go with a reload. False without memory. */
static bool keep_target(struct trail *trail)
{
	struct trail_target *target = &trail->settings.target;

	if (target->kind == TRAIL_NOWHERE) {
		return true;
	}
	trail->target_text = strdup(target->text);
	return trail->target_text != NULL && trail_read_target(trail->target_text, target) == NULL;
}

struct trail *trail_new(const struct trail_settings *settings)
{
	struct trail *trail = calloc(1, sizeof(*trail));

	if (trail == NULL) {
		return NULL;
	}
	trail->settings = *settings;
	trail->verbs = verbs_for(settings->target.kind);
	trail->output.target = &trail->settings.target;
	trail->output.fd = -1;
	trail->chain_size = UINT64_MAX;
	trail->clock.second = -1;
	feed_init(&trail->feed);
	trail->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	trail->queues = calloc(settings->queues_max, sizeof(void *));
	if (trail->verbs != NULL) {
		trail->own = text_over(malloc(OWN_SIZE), OWN_SIZE);
		trail->bytes = text_over(malloc(BYTES_SIZE), BYTES_SIZE);
	}
	if (!keep_target(trail) || trail->wake < 0 || trail->queues == NULL ||
	        (trail->verbs != NULL && (trail->own.ptr == NULL || trail->bytes.ptr == NULL))) {
		free_memory(trail);
		return NULL;
	}
	atomic_store(&trail->wanted, trail->verbs != NULL);
	atomic_store(&trail->works, true);
	return trail;
}

struct trail_queue *trail_add_queue(struct trail *trail, struct loop *loop)
{
	struct trail_queue *queue =
	        queue_new(trail, loop, trail->settings.denies ? QUEUE_KEPT_SIZE : QUEUE_SIZE);

	ASSERT(trail->queue_count < trail->settings.queues_max);
	if (queue != NULL) {
		trail->queues[trail->queue_count++] = queue;
	}
	return queue;
}

int trail_start(struct trail *trail, struct text *ret_text)
{
	struct writer_start start = {.trail = trail, .ret_text = ret_text};

	(void)sem_init(&start.begun, 0, 0);
	const int error = pthread_create(&trail->thread, NULL, writer_run, &start);
	if (error != 0) {
		text_add_format(ret_text, "cannot start a thread: %s", strerrordesc_np(error));
		(void)sem_destroy(&start.begun);
		return -error;
	}
	while (sem_wait(&start.begun) < 0) {
		/* A signal came. */
	}
	(void)sem_destroy(&start.begun);
	trail->runs = start.error == 0;
	if (!trail->runs) {
		(void)pthread_join(trail->thread, NULL);
	}
	return start.error;
}

static bool join(struct trail *trail)
{
	const int64_t until_ns = clock_realtime_ns() + END_S * NS_PER_S;
	const struct timespec until = {until_ns / NS_PER_S, until_ns % NS_PER_S};

	atomic_store(&trail->stopping, true);
	trail_wake(trail);
	return pthread_timedjoin_np(trail->thread, NULL, &until) == 0;
}

bool trail_free(struct trail *trail)
{
	if (trail == NULL) {
		return true;
	}
	if (trail->runs && !join(trail)) {
		log_line(LOG_ERR,
		        "audit: the last records could not be written to '%.512s' in time",
		        trail->settings.target.text);
		return false;
	}
	if (trail->verbs != NULL && !trail_is_empty(trail)) {
		log_line(LOG_ERR, "audit: the last records could not be written to '%.512s'",
		        trail->settings.target.text);
	}
	free_memory(trail);
	return true;
}

void trail_wake(const struct trail *trail)
{
	(void)eventfd_write(trail->wake, 1);
}

void trail_reopen(struct trail *trail)
{
	if (trail != NULL && trail->verbs != NULL) {
		atomic_store(&trail->reopening, true);
		trail_wake(trail);
	}
}

bool trail_works(const struct trail *trail)
{
	return atomic_load(&trail->works);
}

uint64_t trail_lost(const struct trail *trail)
{
	return atomic_load(&trail->lost);
}

const struct trail_settings *trail_settings(const struct trail *trail)
{
	return &trail->settings;
}
