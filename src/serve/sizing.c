/* SPDX-License-Identifier: MIT */
/* How many threads and connections the machine has room for. */
#include "serve/internal.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

enum {
	THREADS_DEFAULT_MAX = 4,
	RESERVED_FILES = 64,       /* listeners, epoll, pipes, standard streams */
	DESCRIPTORS_MAX = 4000000, /* more than connections of either kind can be */
};

/* CPUs the cgroup grants, rounded up; UINT32_MAX without a quota. */
static unsigned cgroup_cpus(void)
{
	FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
	unsigned long quota = 0;
	unsigned long period = 0;

	if (file == NULL) {
		return UINT32_MAX;
	}
	const int found = fscanf(file, "%lu %lu", &quota, &period);
	(void)fclose(file);
	if (found != 2 || quota == 0 || period == 0) {
		return UINT32_MAX; /* "max 100000" */
	}
	return (unsigned)((quota + period - 1) / period);
}

static unsigned usable_cpus(void)
{
	cpu_set_t set;
	const unsigned granted = cgroup_cpus();

	if (sched_getaffinity(0, sizeof(set), &set) < 0) {
		return 1;
	}
	const unsigned count = (unsigned)CPU_COUNT(&set);
	return count < granted ? count : granted;
}

unsigned sizing_threads(const struct config *config)
{
	const unsigned cpus = usable_cpus();

	if (config->workers > 0) {
		return config->workers;
	}
	return cpus < THREADS_DEFAULT_MAX ? cpus : THREADS_DEFAULT_MAX;
}

/* Shares of what all threads together may have. */
enum {
	BODIES_MAX = 32,  /* 1 MiB and a head each */
	LARGE_MAX = 1024, /* 256 KiB or a head each */
};

unsigned sizing_bodies(const struct config *config)
{
	const unsigned threads = sizing_threads(config);

	return threads < BODIES_MAX ? BODIES_MAX / threads : 1;
}

unsigned sizing_large(const struct config *config)
{
	return LARGE_MAX / sizing_threads(config);
}

unsigned sizing_descriptors(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
		return DESCRIPTORS_MAX;
	}
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	const rlim_t possible = files.rlim_cur > 2 * RESERVED_FILES
	                                ? files.rlim_cur - RESERVED_FILES
	                                : files.rlim_cur / 2;
	return possible < DESCRIPTORS_MAX ? (unsigned)possible : DESCRIPTORS_MAX;
}
