/* SPDX-License-Identifier: MIT */
#include "keys/keys.h"

#include "identity/key.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static int fail(const char *problem)
{
	(void)fprintf(stderr, "docker-socket-proxy: hash-key: %s\n", problem);
	return EXIT_USAGE;
}

/* Up to `max` bytes, until one of the signals comes; a longer text is cut behind it, so that it is
 * noticed. */
static size_t read_all(int signals, char *bytes, size_t max)
{
	struct pollfd ready[] = {
	        {.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < max && memchr(bytes, '\n', len) == NULL) {
		if (poll(ready, ARRAY_LEN(ready), -1) < 0 || ready[1].revents != 0) {
			return 0;
		}
		n = read(STDIN_FILENO, bytes + len, max - len);
		len += n > 0 ? (size_t)n : 0;
	}
	return len;
}

/* The signals that a terminal sends, and those that end a program. */
static sigset_t signals_of_terminal(void)
{
	static const int numbers[] = {SIGINT, SIGQUIT, SIGTSTP, SIGTERM, SIGHUP};
	sigset_t set;

	(void)sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
		(void)sigaddset(&set, numbers[i]);
	}
	return set;
}

/* What is typed at a terminal is not shown. A signal takes effect when the terminal shows again
 * what is typed: it is the user's shell that goes on there. */
static size_t read_hidden(char *bytes, size_t max)
{
	const sigset_t set = signals_of_terminal();
	sigset_t unblocked;
	struct termios before;

	if (tcgetattr(STDIN_FILENO, &before) < 0) {
		return read_all(-1, bytes, max);
	}
	struct termios hidden = before;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	(void)pthread_sigmask(SIG_BLOCK, &set, &unblocked);
	const int signals = signalfd(-1, &set, SFD_CLOEXEC);
	(void)fputs("key: ", stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	const size_t len = read_all(signals, bytes, max);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	(void)fputs("\n", stderr);
	(void)pthread_sigmask(SIG_SETMASK, &unblocked, NULL);
	if (signals >= 0) {
		(void)close(signals);
	}
	return len;
}

static struct slice without_line_end(struct slice text)
{
	text.len -= slice_ends_with(text, SLICE("\n"));
	text.len -= slice_ends_with(text, SLICE("\r"));
	return text;
}

static int print_hash(struct slice key, bool salted)
{
	unsigned char salt[KEY_SALT_LEN];
	char memory[KEY_HASH_TEXT_MAX];
	struct text text = text_over(memory, sizeof(memory));
	struct key_hash hash;

	if (salted && getrandom(salt, sizeof(salt), 0) != sizeof(salt)) {
		return fail("the system gives no random numbers");
	}
	key_hash_make(key, salted ? salt : NULL, &hash);
	key_hash_add(&hash, &text);
	printf("%.*s\n", SLICE_FMT(text_slice(&text)));
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int keys_hash(bool salted)
{
	char bytes[KEY_MAX + 3]; /* a line end, and a byte too many */
	const size_t len = read_hidden(bytes, sizeof(bytes));
	const struct slice key = without_line_end((struct slice){bytes, len});
	const char *problem = key_problem(key);
	const int code = problem != NULL ? fail(problem) : print_hash(key, salted);
	if (problem == NULL && key.len < KEY_SHORT) {
		(void)fprintf(stderr,
		        "docker-socket-proxy: hash-key: the key has fewer than %d characters and "
		        "can be "
		        "guessed: 'openssl rand -base64 32' makes a key\n",
		        KEY_SHORT);
	}

	explicit_bzero(bytes, sizeof(bytes));
	return code;
}
