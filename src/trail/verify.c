/* SPDX-License-Identifier: MIT */
/* The verb `verify-audit`: whether each line has the hash of the line before it. */
#include "trail/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	BROKEN = 1,
	UNREADABLE = 2,
	LINE_MAX_READ = 64 << 10, /* a longer line is no record */
	PROBLEMS_SAID = 20,
};

/* All files in a row. */
struct verifier {
	const char *file;
	uint64_t number; /* of the line, in its file */
	uint64_t lines, unchained, problems;
	bool begun;           /* a line had a hash */
	struct chain former;  /* of the line before */
	struct chain earlier; /* of the line before that */
};

static void complain(struct verifier *verifier, const char *problem)
{
	if (verifier->problems++ < PROBLEMS_SAID) {
		printf("%s:%llu: %s\n", verifier->file, (unsigned long long)verifier->number,
		        problem);
	}
}

/* Where the chain begins, which the files alone do not say. */
static void note_begin(const struct verifier *verifier, const struct chain *chain)
{
	char memory[CHAIN_HEX_LEN];
	struct text text = text_over(memory, sizeof(memory));

	if (!chain->known) {
		printf("%s:%llu: the chain begins here\n", verifier->file,
		        (unsigned long long)verifier->number);
		return;
	}
	chain_add_hex(chain, &text);
	printf("%s:%llu: the line before is in none of these files; its SHA-256 is %.*s\n",
	        verifier->file, (unsigned long long)verifier->number, SLICE_FMT(text_slice(&text)));
}

static const char *problem_with(const struct verifier *verifier, const struct chain *said)
{
	if (chain_equal(said, &verifier->former)) {
		return NULL;
	}
	if (!said->known) {
		return "the chain begins anew: lines in front of this one were removed or added";
	}
	return verifier->earlier.known && chain_equal(said, &verifier->earlier)
	               ? "the line before this one was added or moved: this one has the hash of "
	                 "the line before that"
	               : "the line before this one was changed, or lines between the two were "
	                 "removed or moved: its hash is another one";
}

static void see_line(struct verifier *verifier, struct slice line)
{
	struct chain said = {.known = false};
	const bool chained = chain_read(line, &said);

	verifier->number++;
	verifier->lines++;
	const bool is_first = !verifier->begun && verifier->lines == 1;
	/* The program was started with a new file. */
	const bool is_new = !said.known && (verifier->number == 1 || !verifier->begun);
	if (!chained && !verifier->begun) {
		verifier->unchained++;
	} else if (!chained) {
		complain(verifier, "the line has no hash (\"prev\"), and those before it have");
	} else if (is_first || is_new) {
		note_begin(verifier, &said);
	} else {
		const char *problem = problem_with(verifier, &said);
		if (problem != NULL) {
			complain(verifier, problem);
		}
	}
	verifier->begun = verifier->begun || chained;
	verifier->earlier = verifier->former;
	chain_set(&verifier->former, line);
}

/* The next line, without its newline. False: there are no more. */
static bool next_line(
        FILE *stream, char memory[LINE_MAX_READ], struct slice *ret_line, bool *ret_whole)
{
	size_t len = 0;
	int c = getc(stream);

	if (c == EOF) {
		return false;
	}
	for (; c != EOF && c != '\n'; c = getc(stream)) {
		if (len < LINE_MAX_READ) {
			memory[len] = (char)c;
		}
		len += len < LINE_MAX_READ;
	}
	*ret_whole = c == '\n';
	*ret_line = (struct slice){memory, len};
	return true;
}

static void see_file(struct verifier *verifier, FILE *stream)
{
	char memory[LINE_MAX_READ];
	struct slice line;
	bool whole = true;

	verifier->number = 0;
	while (next_line(stream, memory, &line, &whole)) {
		see_line(verifier, line);
		if (!whole) {
			complain(verifier, "the file ends within this line: it was cut");
		} else if (line.len == LINE_MAX_READ) {
			complain(verifier, "the line is longer than any record");
		}
	}
}

/* False: it cannot be read. */
static bool verify_file(struct verifier *verifier, const char *file)
{
	FILE *stream = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");

	verifier->file = file;
	if (stream == NULL) {
		(void)fprintf(stderr, "docker-socket-proxy: %s: cannot be read: %s\n", file,
		        strerrordesc_np(errno));
		return false;
	}
	errno = 0;
	see_file(verifier, stream);
	const bool read = ferror(stream) == 0;
	if (!read) {
		(void)fprintf(stderr, "docker-socket-proxy: %s: cannot be read: %s\n", file,
		        strerrordesc_np(errno));
	}
	if (stream != stdin) {
		(void)fclose(stream);
	}
	return read;
}

static int conclude(const struct verifier *verifier)
{
	if (!verifier->begun) {
		printf("no line has a hash: the record is written without a chain (audit.chain)\n");
		return BROKEN;
	}
	if (verifier->unchained > 0) {
		printf("%llu lines in front of the chain have no hash: nothing is known of them\n",
		        (unsigned long long)verifier->unchained);
	}
	if (verifier->problems > 0) {
		printf("broken: %llu of %llu lines\n", (unsigned long long)verifier->problems,
		        (unsigned long long)verifier->lines);
		return BROKEN;
	}
	printf("whole: %llu lines\n", (unsigned long long)verifier->lines);
	return EXIT_SUCCESS;
}

int trail_verify(unsigned count, const char *const files[])
{
	struct verifier verifier = {.begun = false};

	for (unsigned i = 0; i < count; i++) {
		if (!verify_file(&verifier, files[i])) {
			return UNREADABLE;
		}
	}
	const int status = conclude(&verifier);
	return fflush(stdout) == 0 ? status : UNREADABLE;
}
