/* SPDX-License-Identifier: MIT */
#include "health/shell.h"

#include "base/arena.h"
#include "base/text.h"
#include "health/health.h"
#include "health/tool.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
	LINE_LEN_MAX = 4096, /* bytes */
	WORDS_MAX = 64,
	REDIRECTS_MAX = 8,
};

/* One word of the line, or one operator. */
struct token {
	char *text;
	bool is_operator; /* | or || */
};

/* `to` in place of `from`; -1: /dev/null. */
struct redirect {
	int from;
	int to;
};

struct line {
	struct slice rest; /* not read yet */
	struct arena arena;
	struct token tokens[WORDS_MAX + 1]; /* the last is empty */
	unsigned count;
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
	while (skip(line, SLICE(" "))) {
	}
	return skip(line, SLICE("/dev/null")) && add_redirect(line, from, -1);
}

static bool add_token(struct line *line, struct slice text, bool is_operator)
{
	if (line->count == WORDS_MAX) {
		return false;
	}
	line->tokens[line->count++] =
	        (struct token){check_memory(arena_copy(&line->arena, text)), is_operator};
	return true;
}

/* Bytes that mean something else to a shell than themselves. */
static bool is_special(char c, char quote)
{
	return strchr(quote == '\''   ? "'"
	               : quote == '"' ? "\"$`\\"
	                              : " \t\n'\"$`\\;&|<>()#",
	               c) != NULL;
}

/* The plain bytes at the front, as they are within `quote`; '\0': outside of quotes. */
static struct slice take_plain(struct line *line, char quote)
{
	size_t len = 0;

	while (len < line->rest.len && !is_special(line->rest.ptr[len], quote)) {
		len++;
	}
	const struct slice plain = {line->rest.ptr, len};
	line->rest = slice_behind(line->rest, len);
	return plain;
}

/* A word, of which any part may stand in quotes. */
static bool read_word(struct line *line)
{
	char memory[LINE_LEN_MAX];
	struct text word = text_over(memory, sizeof(memory));
	const char *begin = line->rest.ptr;

	for (;;) {
		text_add(&word, take_plain(line, '\0'));
		const char quote = line->rest.len > 0 ? line->rest.ptr[0] : '\0';
		if (quote != '\'' && quote != '"') {
			break;
		}
		line->rest = slice_behind(line->rest, 1);
		text_add(&word, take_plain(line, quote));
		if (line->rest.len == 0 || line->rest.ptr[0] != quote) {
			return false;
		}
		line->rest = slice_behind(line->rest, 1);
	}
	return line->rest.ptr != begin && !word.overflow &&
	       add_token(line, text_slice(&word), false);
}

static bool read_token(struct line *line)
{
	if (skip(line, SLICE("||"))) {
		return add_token(line, SLICE("||"), true);
	}
	if (skip(line, SLICE("|"))) {
		return add_token(line, SLICE("|"), true);
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
	for (;;) {
		while (skip(line, SLICE(" ")) || skip(line, SLICE("\t")) ||
		        skip(line, SLICE("\n"))) {
		}
		if (line->rest.len == 0) {
			return true;
		}
		if (!read_token(line)) {
			return false;
		}
	}
}

/* ── Understanding ───────────────────────────────────────────────────────── */

struct command {
	char *words[WORDS_MAX + 1];
	int count;
	const char *wanted; /* by grep; NULL: there is none */
	int failure;        /* exit code; -1: that of the command */
};

/* Whether the next token is this operator or, with `is_operator` false, this word; then it is
 * taken. */
static bool take(struct line *line, unsigned *at, const char *text, bool is_operator)
{
	const struct token *token = &line->tokens[*at];

	if (*at == line->count || token->is_operator != is_operator ||
	        strcmp(token->text, text) != 0) {
		return false;
	}
	(*at)++;
	return true;
}

/* grep [-q] WORD */
static bool take_grep(struct line *line, unsigned *at, struct command *command)
{
	if (!take(line, at, "grep", false)) {
		return false;
	}
	(void)take(line, at, "-q", false);
	if (*at == line->count || line->tokens[*at].is_operator ||
	        line->tokens[*at].text[0] == '-') {
		return false;
	}
	command->wanted = line->tokens[(*at)++].text;
	return true;
}

/* exit N, or false */
static bool take_failure(struct line *line, unsigned *at, struct command *command)
{
	uint64_t code = 1;

	if (take(line, at, "exit", false)) {
		if (*at < line->count &&
		        slice_to_u64(slice_of(line->tokens[(*at)++].text), UINT8_MAX, &code) < 0) {
			return false;
		}
	} else if (!take(line, at, "false", false)) {
		return false;
	}
	command->failure = (int)code;
	return true;
}

static bool understand(struct line *line, struct command *command)
{
	unsigned at = 0;

	while (at < line->count && !line->tokens[at].is_operator) {
		command->words[command->count++] = line->tokens[at++].text;
	}
	if (take(line, &at, "|", true) && !take_grep(line, &at, command)) {
		return false;
	}
	if (take(line, &at, "||", true) && !take_failure(line, &at, command)) {
		return false;
	}
	return command->count > 0 && at == line->count;
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

static bool is_healthcheck(const struct command *command)
{
	return strcmp(tool_name(command->words[0]), "docker-socket-proxy") == 0 &&
	       command->count >= 2 && command->count <= 3 &&
	       strcmp(command->words[1], "healthcheck") == 0;
}

static int run(const struct line *line, struct command *command)
{
	int code = 1;

	redirect(line);
	if (is_healthcheck(command)) {
		code = health_check(command->words[2]);
	} else {
		code = tool_run(command->count, command->words, command->wanted);
	}
	return code != 0 && command->failure >= 0 ? command->failure : code;
}

static bool is_known(const struct command *command)
{
	return tool_exists(tool_name(command->words[0])) ||
	       (is_healthcheck(command) && command->wanted == NULL);
}

int shell_run(int argc, char *argv[])
{
	struct line line = {.count = 0};
	struct command command = {.failure = -1};
	int code = 1;

	if (argc == 3 && strcmp(argv[1], "-c") == 0) {
		line.rest = slice_of(argv[2]);
	}
	if (read_line(&line) && understand(&line, &command) && is_known(&command)) {
		code = run(&line, &command);
	} else {
		(void)fprintf(stderr,
		        "sh: this image has no shell; of sh -c it understands one health check: "
		        "wget, curl -f, nc -z or docker-socket-proxy healthcheck with plain words, "
		        ">/dev/null, 2>&1, | grep -q WORD, || exit 1. Or leave the check out: the "
		        "image has its own\n");
	}
	arena_free(&line.arena);
	return code;
}
