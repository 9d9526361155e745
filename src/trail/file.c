/* SPDX-License-Identifier: MIT */
/*
 * A file of records. It is opened to append, never through a symbolic link, and found again when
 * another file has its name. What stands behind its last newline is the torn line of a process that
 * ended or of a disk that was full: it is cut off, so that every line is a record.
 *
 * Two processes write one file while one takes over from the other, and what looks torn may be a
 * line that the other one writes just now. So whoever writes or cuts has the file locked, with
 * flock(2). Whoever may read the file can hold that lock, too, and must not stop the record: after
 * a moment it is written without the lock, and nothing is cut.
 */
#include "base/clock.h"
#include "base/log.h"
#include "trail/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum {
	MODE = 0640,
	ROOM_MIN = 1 << 20, /* bytes; a disk with less counts as full */
	ROOM_SHARE = 8,     /* of a small disk, this part */
	LOCK_WAIT_MS = 500,
	LOCK_STEP_MS = 1,  /* between two looks at the lock */
	LOCK_AGAIN_S = 60, /* from a wait in vain to the next wait */
	/* sandbox/calls.def has the same. O_RDWR: the last line has to be read. */
	FLAGS = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
};

void output_close(struct output *output)
{
	if (output->fd >= 0) {
		(void)close(output->fd);
	}
	output->fd = -1;
	output->waits = output->is_torn = output->is_locked = false;
	output->skip = output->pending = 0;
}

/* ── The end of the file ─────────────────────────────────────────────────── */

/* The last bytes, up to `size`. */
static struct slice read_end(
        const struct output *output, uint64_t size, char memory[RECORD_LINE_MAX])
{
	const uint64_t len = size < RECORD_LINE_MAX ? size : RECORD_LINE_MAX;
	const ssize_t n = pread(output->fd, memory, len, (off_t)(size - len));

	return (struct slice){memory, n == (ssize_t)len ? (size_t)n : 0};
}

/* Behind the last newline; NULL: there is none in the slice. */
static const char *behind_newline(struct slice bytes)
{
	const char *newline = memrchr(bytes.ptr, '\n', bytes.len);

	return newline == NULL ? NULL : newline + 1;
}

/* Cut off the last bytes of the file. Where they cannot be, a newline ends them. */
static void cut(struct output *output, size_t torn)
{
	if (output->is_locked && ftruncate(output->fd, (off_t)(output->size - torn)) == 0) {
		output->size -= torn;
	} else {
		output->is_torn = true;
	}
}

static void mend(struct output *output)
{
	char memory[RECORD_LINE_MAX];
	const struct slice end = read_end(output, output->size, memory);
	const char *torn = behind_newline(end);

	if (end.len == 0 || end.ptr[end.len - 1] == '\n') {
		return;
	}
	/* A line of somebody else's is left alone. */
	if (torn == NULL && end.len < output->size) {
		output->is_torn = true;
		return;
	}
	torn = torn == NULL ? end.ptr : torn;
	const size_t len = (size_t)(end.ptr + end.len - torn);
	const struct slice begin = SLICE("{\"time\":\"");
	const size_t same = len < begin.len ? len : begin.len;
	if (memcmp(torn, begin.ptr, same) != 0) {
		output->is_torn = true;
		return;
	}
	cut(output, len);
	log_line(LOG_WARNING, "audit: '%.512s' ended within a line: its last %zu bytes were %s",
	        output->target->path, len,
	        output->is_torn ? "left, and a newline ends them" : "cut off");
}

struct slice file_last_line(const struct output *output, char memory[RECORD_LINE_MAX])
{
	struct slice end = read_end(output, output->size, memory);

	if (end.len == 0 || end.ptr[end.len - 1] != '\n') {
		return (struct slice){NULL, 0};
	}
	end.len--;
	const char *begin = behind_newline(end);
	if (begin == NULL && output->size > RECORD_LINE_MAX) {
		return (struct slice){NULL, 0};
	}
	return begin == NULL ? end : slice_between(begin, end.ptr + end.len);
}

/* ── The lock ────────────────────────────────────────────────────────────── */

static bool has_waited(const struct output *output, int64_t now_ns)
{
	return output->contended_ns != 0 && now_ns - output->contended_ns < LOCK_AGAIN_S * NS_PER_S;
}

/* One look at least. A reader who takes it again and again delays little. */
static bool wait_for_lock(const struct output *output)
{
	const struct timespec step = {.tv_nsec = LOCK_STEP_MS * NS_PER_MS};
	const int64_t begun_ns = clock_monotonic_ns();
	const int64_t until_ns =
	        has_waited(output, begun_ns) ? begun_ns : begun_ns + LOCK_WAIT_MS * NS_PER_MS;

	while (flock(output->fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || clock_monotonic_ns() >= until_ns) {
			return false;
		}
		(void)nanosleep(&step, NULL);
	}
	return true;
}

/* Whether another process has written there, or cut, since this one did. */
static void see_others(struct output *output)
{
	struct stat found;

	if (fstat(output->fd, &found) == 0 && (uint64_t)found.st_size != output->size) {
		output->size = (uint64_t)found.st_size;
		output->is_torn = false;
		mend(output);
	}
}

void file_lock(struct output *output)
{
	output->is_locked = wait_for_lock(output);
	const int64_t now_ns = clock_monotonic_ns();
	if (!output->is_locked && !has_waited(output, now_ns)) {
		output->contended_ns = now_ns;
		log_line(LOG_WARNING,
		        "audit: '%.512s' cannot be locked (flock), because another process holds "
		        "the lock or the file system has none: records are written all the same",
		        output->target->path);
	}
	see_others(output);
}

void file_unlock(struct output *output)
{
	if (output->is_locked) {
		(void)flock(output->fd, LOCK_UN);
	}
	output->is_locked = false;
}

/* What is on its way while the disk fills is to fit, too. */
bool file_is_full(const struct output *output)
{
	struct statfs found;

	if (fstatfs(output->fd, &found) < 0 || found.f_blocks == 0) {
		return false; /* not known */
	}
	const uint64_t block = (uint64_t)found.f_bsize;
	const uint64_t share = (uint64_t)found.f_blocks * block / ROOM_SHARE;
	return (uint64_t)found.f_bavail * block < (share < ROOM_MIN ? share : ROOM_MIN);
}

/* ── Opening ─────────────────────────────────────────────────────────────── */

static const char *problem_of(mode_t mode)
{
	if (S_ISDIR(mode)) {
		return "it is a directory: give a file in it";
	}
	return S_ISREG(mode) ? NULL
	                     : "it is no regular file: give a file, - for standard output, or "
	                       "unix:///PATH for a socket";
}

static void explain(struct text *text, int error, const char *problem)
{
	text_add(text, slice_of(problem != NULL ? problem : strerrordesc_np(error)));
	if (problem == NULL && (error == EACCES || error == EPERM)) {
		text_add_format(text,
		        ": user %u, as whom the proxy runs, must be able to write there, and to "
		        "make files in the folder when the file is rotated",
		        (unsigned)geteuid());
	}
	if (problem == NULL && error == ELOOP) {
		text_add(text, SLICE(", which is not followed: give the file itself"));
	}
	if (problem == NULL && error == ENOENT) {
		text_add(text, SLICE(": the folder must be there"));
	}
}

static int fail(struct output *output, int error, const char *problem, struct text *ret_text)
{
	explain(ret_text, error, problem);
	output_close(output);
	return -error;
}

static int open_file(struct output *output, struct text *ret_text)
{
	struct stat found;

	/* Not FLAGS alone: a FIFO would be opened, and must be refused. */
	output->fd = open(output->target->path, FLAGS, MODE);
	if (output->fd < 0) {
		const mode_t mode = errno == EISDIR ? S_IFDIR : errno == ENXIO ? S_IFSOCK : S_IFREG;
		return fail(output, errno, problem_of(mode), ret_text);
	}
	if (fstat(output->fd, &found) < 0) {
		return fail(output, errno, NULL, ret_text);
	}
	if (!S_ISREG(found.st_mode)) {
		return fail(output, EINVAL, problem_of(found.st_mode), ret_text);
	}
	output->device = found.st_dev;
	output->inode = found.st_ino;
	output->size = UINT64_MAX; /* not known: the end is looked at */
	file_lock(output);
	file_unlock(output);
	return 0;
}

static bool is_current(const struct output *output)
{
	struct stat found;

	return stat(output->target->path, &found) == 0 && found.st_dev == output->device &&
	       found.st_ino == output->inode;
}

/* ── Writing ─────────────────────────────────────────────────────────────── */

/* What was written of the last line is taken back. If somebody without the lock has written behind
 * it, these bytes are not the last ones: file_lock() sees to that. */
static ssize_t keep_lines(struct output *output, struct slice written)
{
	const char *end = behind_newline(written);
	const size_t whole = end == NULL ? 0 : (size_t)(end - written.ptr);
	struct stat found;

	if (whole < written.len && fstat(output->fd, &found) == 0 &&
	        (uint64_t)found.st_size == output->size) {
		cut(output, written.len - whole);
	}
	return whole > 0 ? (ssize_t)whole : -ENOSPC;
}

static ssize_t write_file(struct output *output, struct slice lines)
{
	if (output->is_torn) {
		if (write(output->fd, "\n", 1) < 0) {
			return -errno;
		}
		output->is_torn = false;
		output->size++;
	}
	const ssize_t n = write(output->fd, lines.ptr, lines.len);
	if (n < 0) {
		return -errno;
	}
	output->size += (uint64_t)n;
	return (size_t)n == lines.len ? n
	                              : keep_lines(output, (struct slice){lines.ptr, (size_t)n});
}

const struct output_verbs output_file = {open_file, is_current, write_file};
