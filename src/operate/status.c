/* SPDX-License-Identifier: MIT */
/* The verb status. */
#include "operate/operate.h"

#include "operate/document.h"
#include "operate/fetch.h"
#include "operate/print.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	TIMEOUT_S = 10,
	COLUMNS = 80, /* of a terminal that does not say */
	ROWS = 24,
	WATCH_MS = 1000,
	PATH_MAX_LEN = 256,
};

/* ── One answer ──────────────────────────────────────────────────────────── */

static int fail(const char *problem)
{
	(void)fprintf(stderr, "status: %s\n", problem);
	return EXIT_FAILURE;
}

/* What the answer says in place of what was asked for. */
static void explain(const struct answer *answer, char error[FAULT_MAX])
{
	struct text text = text_over(error, FAULT_MAX - 1);

	document_add_message(answer, &text);
	error[text.len] = '\0';
}

/* False: `error` says why. */
static bool get_state(
        const struct place_to_ask *place, struct answer *ret_answer, char error[FAULT_MAX])
{
	if (fetch(place, "GET", SLICE("/api/state"), TIMEOUT_S, ret_answer, error) < 0) {
		return false;
	}
	if (ret_answer->status != 200) {
		explain(ret_answer, error);
	}
	return ret_answer->status == 200;
}

static int print_json(const struct answer *answer)
{
	const size_t len = answer->body.len;

	return fwrite(answer->body.ptr, 1, len, stdout) == len && fflush(stdout) == 0
	               ? EXIT_SUCCESS
	               : EXIT_FAILURE;
}

/* False: it is another document. */
static bool print_page(
        const struct config_request *asked, const struct answer *answer, struct page *page)
{
	struct json_document document;
	const struct json_node *root = document_read(&document, answer);
	const bool good = root != NULL && root->type == JSON_OBJECT;

	if (good && asked->streams) {
		print_streams(page, root);
	} else if (good) {
		print_state(page, root);
	}
	document_free(&document);
	return good;
}

/* What is asked for, on the page. False: `error` says why there is none. */
static bool print(const struct config_request *asked, const struct place_to_ask *place,
        struct page *page, char error[FAULT_MAX])
{
	struct answer answer = {.memory = NULL};
	bool good = get_state(place, &answer, error);

	if (good && !print_page(asked, &answer, page)) {
		(void)fault_set(error, NOWHERE, "the answer is not the JSON of /api/state");
		good = false;
	}
	answer_free(&answer);
	return good;
}

static bool wants_colour(void)
{
	const char *no_colour = getenv("NO_COLOR"); /* https://no-color.org */

	return (no_colour == NULL || no_colour[0] == '\0') && isatty(STDOUT_FILENO) == 1;
}

static int show(const struct config_request *asked, const struct place_to_ask *place)
{
	struct page page = {.out = stdout, .colour = wants_colour()};
	struct answer answer = {.memory = NULL};
	char error[FAULT_MAX];
	int code = EXIT_SUCCESS;

	if (!asked->json) {
		code = print(asked, place, &page, error) ? EXIT_SUCCESS : fail(error);
		return fflush(stdout) == 0 ? code : EXIT_FAILURE;
	}
	code = get_state(place, &answer, error) ? print_json(&answer) : fail(error);
	answer_free(&answer);
	return code;
}

/* ── Again and again ─────────────────────────────────────────────────────── */

/* The size of the terminal, at this moment. */
static void measure(struct page *page)
{
	struct winsize size = {.ws_col = 0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0) {
		size = (struct winsize){.ws_col = COLUMNS, .ws_row = ROWS};
	}
	page->columns = size.ws_col;
	page->rows = size.ws_row - 1U; /* the cursor stands in the last one */
}

/* Over what is there, of which nothing is left: without a moment in which the screen is empty. */
static void draw(const char *lines)
{
	(void)fputs("\033[H", stdout);
	for (const char *line = lines; *line != '\0';) {
		const size_t len = strcspn(line, "\n");
		(void)fprintf(stdout, "%.*s\033[K\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
	(void)fputs("\033[J", stdout);
}

/* A proxy that is away for a moment is shown so. False: standard output is gone. */
static bool redraw(
        const struct config_request *asked, const struct place_to_ask *place, bool is_terminal)
{
	struct page page = {.colour = wants_colour()};
	char error[FAULT_MAX];
	char *lines = NULL;
	size_t len = 0;

	if (is_terminal) {
		measure(&page);
	}
	page.out = open_memstream(&lines, &len);
	if (page.out == NULL) {
		return false;
	}
	if (!print(asked, place, &page, error)) {
		print_problem(&page, slice_of(error));
	}
	(void)fclose(page.out);
	if (is_terminal) {
		draw(lines);
	} else {
		(void)fprintf(stdout, "%s\n", lines);
	}
	free(lines);
	return fflush(stdout) == 0;
}

/* Whether a signal that ends the program has come within the time. */
static bool is_over(int signals)
{
	struct pollfd poll_for = {.fd = signals, .events = POLLIN};

	return poll(&poll_for, 1, WATCH_MS) != 0;
}

static int watch_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* The other screen, without a cursor; what was on the terminal comes back at the end. */
static int watch(const struct config_request *asked, const struct place_to_ask *place)
{
	const bool is_terminal = isatty(STDOUT_FILENO) == 1;
	const int signals = watch_signals();
	bool good = true;

	if (signals < 0) {
		return fail(strerrordesc_np(errno));
	}
	(void)fputs(is_terminal ? "\033[?1049h\033[?25l" : "", stdout);
	do {
		good = redraw(asked, place, is_terminal);
	} while (good && !is_over(signals));
	(void)fputs(is_terminal ? "\033[?25h\033[?1049l" : "", stdout);
	(void)fflush(stdout);
	(void)close(signals);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Who may not ask is told so at once. */
static int try_and_watch(const struct config_request *asked, const struct place_to_ask *place)
{
	struct answer answer = {.memory = NULL};
	char error[FAULT_MAX];
	const bool good = get_state(place, &answer, error);

	answer_free(&answer);
	return good ? watch(asked, place) : fail(error);
}

/* ── Ending a stream ─────────────────────────────────────────────────────── */

static int close_stream(const struct config_request *asked, const struct place_to_ask *place)
{
	struct answer answer = {.memory = NULL};
	char error[FAULT_MAX];
	char memory[PATH_MAX_LEN];
	struct text path = text_over(memory, sizeof(memory));
	int code = EXIT_SUCCESS;

	text_add(&path, SLICE("/api/streams/"));
	text_add_encoded(&path, slice_of(asked->stream), "");
	text_add(&path, SLICE("/close"));
	if (path.overflow) {
		return fail("there is no such stream");
	}
	if (fetch(place, "POST", text_slice(&path), TIMEOUT_S, &answer, error) < 0) {
		code = fail(error);
	} else if (answer.status != 204) {
		explain(&answer, error);
		code = fail(error);
	}
	answer_free(&answer);
	return code;
}

int operate_status(const struct config *config)
{
	const struct config_request *asked = &config->asked;
	struct place_to_ask place;
	char error[FAULT_MAX];
	int code = EXIT_FAILURE;

	if (!place_find(asked, config->file, &place, error)) {
		code = fail(error);
	} else if (asked->closes) {
		code = close_stream(asked, &place);
	} else {
		code = asked->watch ? try_and_watch(asked, &place) : show(asked, &place);
	}
	place_free(&place);
	return code;
}
