/* SPDX-License-Identifier: MIT */
/*
 * What the start alone has used goes back to the system: code and tables that read configurations,
 * compile patterns and verify certificates. Pages of the program's file come back when they are
 * touched, from the page cache.
 */
#include "serve/internal.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that nobody writes, of the program alone: a static one has no others. */
static int drop_pages(struct dl_phdr_info *program, size_t size, void *context)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size, (void)context;
	for (unsigned i = 0; i < program->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &program->dlpi_phdr[i];
		const uintptr_t begin = (program->dlpi_addr + segment->p_vaddr) & ~(page - 1);
		const uintptr_t end = program->dlpi_addr + segment->p_vaddr + segment->p_memsz;
		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0) {
			(void)madvise((void *)begin, end - begin, MADV_DONTNEED);
		}
	}
	return 1; /* the program is the first */
}

void settle(void)
{
	(void)malloc_trim(0);
	(void)dl_iterate_phdr(drop_pages, NULL);
}
