/* SPDX-License-Identifier: MIT */
/* How many threads and connections the machine has room for. */
#include "serve/internal.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

enum {
	THREADS_DEFAULT_MAX = 4,
	RESERVED_FILES = 64, /* listeners, epoll, pipes, standard streams */
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

unsigned sizing_bodies(const struct config *config)
{
	enum { BODIES_MAX = 32 }; /* by all threads together; 1 MiB and a head each */
	const unsigned threads = sizing_threads(config);

	return threads < BODIES_MAX ? BODIES_MAX / threads : 1;
}

unsigned sizing_connections(const struct config *config)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
		return config->max_connections;
	}
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	const rlim_t possible = files.rlim_cur > 2 * RESERVED_FILES
	                                ? files.rlim_cur - RESERVED_FILES
	                                : files.rlim_cur / 2;
	return possible < config->max_connections ? (unsigned)possible : config->max_connections;
}
