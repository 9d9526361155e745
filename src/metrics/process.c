/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says of this process. The files of /proc are opened at the start, and read again
 * for each scrape: later the process may not be allowed to open them.
 */
#include "metrics/internal.h"

#include "base/clock.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

void process_open(struct process *process)
{
	process->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	process->files = opendir("/proc/self/fd");
	process->started_ns = clock_realtime_ns();
}

void process_close(struct process *process)
{
	if (process->statm >= 0) {
		(void)close(process->statm);
	}
	if (process->files != NULL) {
		(void)closedir(process->files);
	}
}

int64_t process_cpu_us(void)
{
	struct rusage usage = {0};

	(void)getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
	       usage.ru_stime.tv_usec;
}

/* proc(5): pages of all memory, and of resident memory. */
uint64_t process_memory(const struct process *process, bool resident)
{
	char bytes[128];
	uint64_t pages = 0;
	const ssize_t n = process->statm < 0 ? 0 : pread(process->statm, bytes, sizeof(bytes), 0);
	struct slice rest = {bytes, n > 0 ? (size_t)n : 0};
	struct slice word = {"", 0};

	for (unsigned i = 0; i <= (unsigned)resident && slice_next(&rest, ' ', &word); i++) {
	}
	for (size_t i = 0; i < word.len && word.ptr[i] >= '0' && word.ptr[i] <= '9'; i++) {
		pages = pages * 10 + (uint64_t)(word.ptr[i] - '0');
	}
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Linux 6.2 and later have the number as the size of the folder; earlier ones list each. */
uint64_t process_files(const struct process *process)
{
	struct stat folder;
	uint64_t count = 0;

	if (process->files == NULL) {
		return 0;
	}
	if (fstat(dirfd(process->files), &folder) == 0 && folder.st_size > 0) {
		return (uint64_t)folder.st_size;
	}
	rewinddir(process->files);
	while (readdir(process->files) != NULL) { /* lint: only the thread that renders reads it */
		count++;
	}
	return count > 2 ? count - 2 : 0; /* `.` and `..` */
}

uint64_t process_files_max(void)
{
	struct rlimit files = {0};

	return getrlimit(RLIMIT_NOFILE, &files) == 0 ? (uint64_t)files.rlim_cur : 0;
}
