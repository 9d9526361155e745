/* SPDX-License-Identifier: MIT */
/*
 * Files of the audit record, as the verb `verify-audit` reads them. Behind the first two bytes, the
 * input is a file; and its lines, chained as the program chains them, are a whole file, in which a
 * changed byte is found.
 */
#include "fuzz.h"

#include "trail/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024, WHOLE = 0, BROKEN = 1 };

/* What the verb prints goes nowhere. */
static int verify(struct slice bytes)
{
	char path[32];
	const char *const files[] = {path};
	const int file = memfd_create("record", MFD_CLOEXEC);
	const int kept = dup(STDOUT_FILENO);
	const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	ASSERT(file >= 0 && kept >= 0 && nowhere >= 0);
	ASSERT(write(file, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	ASSERT(fflush(stdout) == 0 && dup2(nowhere, STDOUT_FILENO) >= 0);
	const int status = trail_verify(1, files);
	ASSERT(fflush(stdout) == 0 && dup2(kept, STDOUT_FILENO) >= 0);
	(void)close(kept);
	(void)close(nowhere);
	(void)close(file);
	return status;
}

/* A line as record_write() makes it ends with a brace. */
static void add_line(struct chain *chain, struct slice content, struct text *text)
{
	char memory[FILE_MAX];
	struct text line = text_over(memory, sizeof(memory));
	const size_t begin = text->len;

	text_add(&line, SLICE("{\"reason\":"));
	text_add(&line, content);
	text_add_char(&line, '}');
	chain_add(chain, text_slice(&line), text);
	chain_set(chain, (struct slice){text->ptr + begin, text->len - begin});
	text_add_char(text, '\n');
}

/* How many bytes the lines in front of the last one have. */
static size_t chain_lines(struct slice lines, struct text *text)
{
	struct chain chain = {.known = false};
	struct slice line;
	size_t last = 0;

	while (slice_next(&lines, '\n', &line)) {
		last = text->len;
		add_line(&chain, line, text);
	}
	return last;
}

static void check_chain(unsigned at, struct slice lines)
{
	static char memory[16 * FILE_MAX];
	struct text text = text_over(memory, sizeof(memory));
	const size_t last = chain_lines(lines, &text);

	if (text.overflow) {
		return;
	}
	ASSERT(verify(text_slice(&text)) == WHOLE);
	char *changed = last > 0 ? &memory[at % last] : NULL;
	if (changed != NULL && *changed != '\n') {
		*changed = *changed == 'x' ? 'y' : 'x';
		ASSERT(verify(text_slice(&text)) == BROKEN);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= 2 && size < FILE_MAX / 2) {
		const struct slice bytes = {(const char *)data + 2, size - 2};
		const int status = verify(bytes);
		ASSERT(status == WHOLE || status == BROKEN);
		check_chain(data[0] + 256U * data[1], bytes);
	}
	return 0;
}
