/* SPDX-License-Identifier: MIT */
/*
 * What this machine asks for a system call, and for each page that a program touches between two of
 * them: where the kernel isolates its page tables and the processor has no PCID, each system call
 * flushes the TLB, and every page is looked up again.
 *
 *     misses        prints nanoseconds: of a system call; of each page of data; of each page of
 * code
 *
 * A page costs what 64 lines on 64 pages cost more than 64 lines side by side.
 */
#include "bench.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE   4096
#define LINE   64
#define COUNT  64
#define CALLS  20000
#define ROUNDS 15

static unsigned char *map(void)
{
	const size_t size = (size_t)(COUNT + 1) * 3 * PAGE;
	unsigned char *memory = mmap(
	        NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || madvise(memory, size, MADV_NOHUGEPAGE) < 0) {
		die("mmap");
	}
	return memory;
}

/* The lines differ in their sets of the cache, on pages of their own too. */
static size_t place(unsigned i, bool spread)
{
	return spread ? (size_t)i * 3 * PAGE + (size_t)i * LINE % PAGE : (size_t)i * LINE;
}

/* Code that visits the lines one after the other: 20 times nop, jmp to the next one; at last ret.
 */
static void write_code(unsigned char *memory, bool spread)
{
	for (unsigned i = 0; i < COUNT; i++) {
		unsigned char *line = memory + place(i, spread);
		const int32_t distance = (int32_t)(place(i + 1, spread) - place(i, spread)) - 25;
		memset(line, 0x90, 20);
		line[20] = i + 1 < COUNT ? 0xe9 : 0xc3;
		memcpy(line + 21, &distance, sizeof(distance));
	}
}

static void touch_data(unsigned char *memory, bool spread)
{
	for (unsigned i = 0; i < COUNT; i++) {
		((volatile unsigned char *)memory)[place(i, spread)]++;
	}
}

static void touch_code(unsigned char *memory, bool spread)
{
	void (*visit)(void);

	(void)spread;
	memcpy(&visit, &memory, sizeof(visit));
	visit();
}

static void touch_nothing(unsigned char *memory, bool spread)
{
	(void)memory, (void)spread;
}

/* Nanoseconds of a system call and what follows it. */
static double cost(void (*touch)(unsigned char *, bool), unsigned char *memory, bool spread)
{
	const uint64_t begin = now_ns();

	for (unsigned i = 0; i < CALLS; i++) {
		(void)syscall(SYS_getppid);
		touch(memory, spread);
	}
	return (double)(now_ns() - begin) / CALLS;
}

static double least(double a, double b)
{
	return a < b ? a : b;
}

/* The best rounds of both, taken by turns. */
static double page_cost(void (*touch)(unsigned char *, bool), bool code)
{
	unsigned char *spread = map();
	unsigned char *dense = map();
	double best[2] = {1e18, 1e18};

	if (code) {
		write_code(spread, true);
		write_code(dense, false);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		best[0] = least(best[0], cost(touch, dense, false));
		best[1] = least(best[1], cost(touch, spread, true));
	}
	return (best[1] - best[0]) / COUNT;
}

static double call_cost(void)
{
	double best = 1e18;

	for (unsigned round = 0; round < ROUNDS; round++) {
		best = least(best, cost(touch_nothing, NULL, false));
	}
	return best;
}

int main(void)
{
#ifdef __x86_64__
	printf("system call %.0f ns, page of data %.1f ns, page of code %.1f ns\n", call_cost(),
	        page_cost(touch_data, false), page_cost(touch_code, true));
#else
	printf("system call %.0f ns, page of data %.1f ns\n", call_cost(),
	        page_cost(touch_data, false));
	(void)write_code, (void)touch_code;
#endif
	return 0;
}
