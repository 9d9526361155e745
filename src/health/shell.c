/* SPDX-License-Identifier: MIT */
#include "health/tool.h"

#include "base/text.h"
#include "health/health.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
	LINE_LEN_MAX = 4096, /* bytes */
	WORDS_MAX = 64,      /* of one command */
	REDIRECTS_MAX = 8,
};

/* The commands of the line. */
enum part {
	CHECK,
	FILTER,  /* behind | */
	FAILURE, /* behind || */
	PART_COUNT,
};

struct command {
	char *words[WORDS_MAX + 1]; /* the last is NULL */
	int count;
};

/* `to` in place of `from`; -1: /dev/null. */
struct redirect {
	int from;
	int to;
};

struct line {
	struct slice rest; /* not read yet */
	struct text words; /* of all commands, a NUL behind each */
	char memory[LINE_LEN_MAX + WORDS_MAX];
	enum part part; /* to which the next word belongs */
	struct command commands[PART_COUNT];
	struct redirect redirects[REDIRECTS_MAX];
	unsigned redirect_count;
};

/* ── Reading ─────────────────────────────────────────────────────────────── */

static bool skip(struct line *line, struct slice text)
{
	return slice_skip(&line->rest, text);
}

static bool add_redirect(struct line *line, int from, int to)
{
	if (line->redirect_count == REDIRECTS_MAX) {
		return false;
	}
	line->redirects[line->redirect_count++] = (struct redirect){from, to};
	return true;
}

/* What stands behind '>': &1, &2 or /dev/null. */
static bool read_redirect(struct line *line, int from)
{
	(void)skip(line, SLICE(">")); /* appending to nothing */
	if (skip(line, SLICE("&1"))) {
		return add_redirect(line, from, STDOUT_FILENO);
	}
	if (skip(line, SLICE("&2"))) {
		return add_redirect(line, from, STDERR_FILENO);
	}
	line->rest = slice_trim(line->rest);
	return skip(line, SLICE("/dev/null")) && add_redirect(line, from, -1);
}

/* Bytes that mean something else to a shell than themselves. */
static bool is_special(char c, char quote)
{
	return strchr(quote == '\'' ? "" : quote == '"' ? "$`\\" : " \t\n$`\\;&|<>()#", c) != NULL;
}

/* A word, of which any part may stand in quotes. */
static bool read_word(struct line *line)
{
	struct command *command = &line->commands[line->part];
	char *word = line->words.ptr + line->words.len;
	char quote = '\0';
	size_t i = 0;

	for (; i < line->rest.len && !is_special(line->rest.ptr[i], quote); i++) {
		const char c = line->rest.ptr[i];
		if (quote == '\0' ? c == '\'' || c == '"' : c == quote) {
			quote = quote == '\0' ? c : '\0';
		} else {
			text_add_char(&line->words, c);
		}
	}
	text_add_char(&line->words, '\0');
	line->rest = slice_behind(line->rest, i);
	if (i == 0 || quote != '\0' || line->words.overflow || command->count == WORDS_MAX) {
		return false;
	}
	command->words[command->count++] = word;
	return true;
}

/* The words that follow belong to `part`. */
static bool begin(struct line *line, enum part part)
{
	const bool may = part > line->part && line->commands[line->part].count > 0;

	line->part = part;
	return may;
}

static bool read_token(struct line *line)
{
	if (skip(line, SLICE("||"))) {
		return begin(line, FAILURE);
	}
	if (skip(line, SLICE("|"))) {
		return begin(line, FILTER);
	}
	if (skip(line, SLICE("2>"))) {
		return read_redirect(line, STDERR_FILENO);
	}
	if (skip(line, SLICE("&>"))) {
		return read_redirect(line, STDOUT_FILENO) &&
		       add_redirect(line, STDERR_FILENO, STDOUT_FILENO);
	}
	if (skip(line, SLICE("1>")) || skip(line, SLICE(">"))) {
		return read_redirect(line, STDOUT_FILENO);
	}
	return read_word(line);
}

static bool read_line(struct line *line)
{
	bool good = true;

	line->words = text_over(line->memory, sizeof(line->memory));
	while (good) {
		while (skip(line, SLICE(" ")) || skip(line, SLICE("\t")) ||
		        skip(line, SLICE("\n"))) {
		}
		if (line->rest.len == 0) {
			return true;
		}
		good = read_token(line);
	}
	return false;
}

/* ── Understanding ───────────────────────────────────────────────────────── */

static bool word_is(const struct command *command, int i, const char *word)
{
	return i < command->count && strcmp(command->words[i], word) == 0;
}

/* grep [-q] WORD, or no filter; *ret_wanted is WORD or NULL. */
static bool read_filter(const struct line *line, const char **ret_wanted)
{
	const struct command *filter = &line->commands[FILTER];
	const int at = word_is(filter, 1, "-q") ? 2 : 1;

	*ret_wanted = filter->count == at + 1 ? filter->words[at] : NULL;
	return filter->count == 0 ||
	       (word_is(filter, 0, "grep") && *ret_wanted != NULL && *ret_wanted[0] != '-');
}

/* exit [N], false, or nothing; *ret_code: the exit code where the check fails. */
static bool read_failure(const struct line *line, uint64_t *ret_code)
{
	const struct command *failure = &line->commands[FAILURE];
	const bool is_exit = word_is(failure, 0, "exit");

	return failure->count == 0 ||
	       (failure->count == 1 && (is_exit || word_is(failure, 0, "false"))) ||
	       (failure->count == 2 && is_exit &&
	               slice_to_u64(slice_of(failure->words[1]), UINT8_MAX, ret_code) == 0);
}

static bool is_healthcheck(const struct command *check)
{
	return strcmp(tool_name(check->words[0]), "docker-socket-proxy") == 0 &&
	       check->count <= 3 && word_is(check, 1, "healthcheck");
}

/* *ret_wanted: what the response has to contain, or NULL. */
static bool read_check(struct line *line, const char **ret_wanted, uint64_t *ret_failure)
{
	const struct command *check = &line->commands[CHECK];

	return read_line(line) && line->commands[line->part].count > 0 &&
	       read_filter(line, ret_wanted) && read_failure(line, ret_failure) &&
	       (tool_exists(check->words[0]) || (is_healthcheck(check) && *ret_wanted == NULL));
}

/* ── Running ─────────────────────────────────────────────────────────────── */

static void redirect(const struct line *line)
{
	for (unsigned i = 0; i < line->redirect_count; i++) {
		const struct redirect *row = &line->redirects[i];
		const int fd = row->to >= 0 ? row->to : open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			(void)dup2(fd, row->from);
		}
	}
}

int shell_run(int argc, char *argv[])
{
	struct line line = {.part = CHECK};
	struct command *check = &line.commands[CHECK];
	const char *wanted = NULL;
	uint64_t failure = 1;

	line.rest = argc == 3 && strcmp(argv[1], "-c") == 0 ? slice_of(argv[2]) : SLICE("");
	if (!read_check(&line, &wanted, &failure)) {
		(void)fprintf(stderr,
		        "sh: this image has no shell; of sh -c it understands one health check: "
		        "wget, curl -f, nc -z or docker-socket-proxy healthcheck with plain words, "
		        ">/dev/null, 2>&1, | grep -q WORD, || exit 1. Or leave the check out: the "
		        "image has its own\n");
		return 1;
	}
	redirect(&line);
	const int code = tool_exists(check->words[0]) ? tool_run(check->count, check->words, wanted)
	                                              : health_check(check->words[2]);
	return code != 0 ? (int)failure : 0;
}
