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

static int fail_by_answer(const struct answer *answer)
{
	char memory[REPORT_MAX];
	struct text text = text_over(memory, sizeof(memory) - 1);

	document_add_message(answer, &text);
	memory[text.len] = '\0';
	return fail(memory);
}

/* 0, or the exit code after a line on standard error. */
static int get_state(const struct place_to_ask *place, struct answer *ret_answer)
{
	char error[FAULT_MAX];

	if (fetch(place, "GET", SLICE("/api/state"), TIMEOUT_S, ret_answer, error) < 0) {
		return fail(error);
	}
	return ret_answer->status == 200 ? EXIT_SUCCESS : fail_by_answer(ret_answer);
}

static int print_json(const struct answer *answer)
{
	const size_t len = answer->body.len;

	return fwrite(answer->body.ptr, 1, len, stdout) == len && fflush(stdout) == 0
	               ? EXIT_SUCCESS
	               : EXIT_FAILURE;
}

static int print_page(
        const struct config_request *asked, const struct answer *answer, struct page *page)
{
	struct json_document document;
	const struct json_node *root = document_read(&document, answer);
	int code = EXIT_SUCCESS;

	if (root == NULL || root->type != JSON_OBJECT) {
		code = fail("the answer is not the JSON of /api/state");
	} else if (asked->streams) {
		print_streams(page, root);
	} else {
		print_state(page, root);
	}
	document_free(&document);
	return fflush(page->out) == 0 ? code : EXIT_FAILURE;
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
	int code = get_state(place, &answer);

	if (code == EXIT_SUCCESS) {
		code = asked->json ? print_json(&answer) : print_page(asked, &answer, &page);
	}
	answer_free(&answer);
	return code;
}

/* ── Again and again ─────────────────────────────────────────────────────── */

static void measure(struct page *page)
{
	struct winsize size = {.ws_col = 0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0) {
		size = (struct winsize){.ws_col = COLUMNS, .ws_row = ROWS};
	}
	page->columns = size.ws_col;
	page->rows = size.ws_row - 1U; /* the cursor stands in the last one */
	page->printed = 0;
}

/* Over what was there, of which nothing is left: without a moment in which the screen is empty. */
static int redraw(const struct config_request *asked, const struct place_to_ask *place)
{
	struct answer answer = {.memory = NULL};
	struct page page = {.colour = wants_colour()};
	char *drawn = NULL;
	size_t len = 0;
	int code = get_state(place, &answer);

	measure(&page);
	page.out = code == EXIT_SUCCESS ? open_memstream(&drawn, &len) : NULL;
	if (page.out != NULL) {
		code = print_page(asked, &answer, &page);
		(void)fclose(page.out);
		(void)fputs("\033[H", stdout);
		for (const char *line = drawn; *line != '\0';) {
			const size_t size = strcspn(line, "\n");
			(void)fprintf(stdout, "%.*s\033[K\n", (int)size, line);
			line += size + (line[size] == '\n');
		}
		(void)fputs("\033[J", stdout);
		(void)fflush(stdout);
		free(drawn);
	}
	answer_free(&answer);
	return code;
}

/* Whether a signal that ends the program has come within the time. */
static bool is_over(int signals)
{
	struct pollfd poll_for = {.fd = signals, .events = POLLIN};

	return poll(&poll_for, 1, WATCH_MS) != 0;
}

/* The other screen, without a cursor; what was on the terminal comes back at the end. */
static int watch(const struct config_request *asked, const struct place_to_ask *place)
{
	sigset_t set;
	int code = EXIT_SUCCESS;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	const int signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0) {
		return fail(strerrordesc_np(errno));
	}
	(void)fputs("\033[?1049h\033[?25l\033[2J", stdout);
	do {
		code = redraw(asked, place);
	} while (code == EXIT_SUCCESS && !is_over(signals));
	(void)fputs("\033[?25h\033[?1049l", stdout);
	(void)fflush(stdout);
	(void)close(signals);
	return code;
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
		code = fail_by_answer(&answer);
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
		code = asked->watch ? watch(asked, &place) : show(asked, &place);
	}
	place_free(&place);
	return code;
}
