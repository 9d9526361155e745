/* SPDX-License-Identifier: MIT */
/*
 * Judges bodies as the proxy does, for oracle.go, which compares them with what Go's
 * encoding/json reads.
 *
 *     judge [BLOCKS.yaml]       a map of blocks; without it `create: {}` and `exec: {}`
 *
 * A frame on standard input is the letter of an operation, the length of the body in 4 bytes, the
 * highest first, and the body. The frame that answers begins with 'A', and the body that would go
 * to the Engine follows; or with 'R', and the reasons follow, one a line. Judges until the end of
 * its input.
 */
#include "base/file.h"
#include "inspect/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BLOCKS_MAX = 64 * 1024,
	REASONS_MAX = 64 * 1024,
	INPUT_MAX = 256 * 1024,
	OUTPUT_MAX = 256 * 1024,
	FRAME_HEAD = 5,
};

static const struct judged {
	char letter;
	const char *method;
	const char *path;
} judged[] = {
        {'C', "POST", "/v1.41/containers/create"},
        {'U', "POST", "/v1.41/containers/app/update"},
        {'E', "POST", "/v1.41/containers/app/exec"},
        {'V', "POST", "/v1.41/volumes/create"},
        {'N', "POST", "/v1.41/networks/create"},
        {'J', "POST", "/v1.41/networks/ci/connect"},
        {'S', "POST", "/v1.41/services/create"},
};

static struct docker_request requests[ARRAY_LEN(judged)];
static const struct constraints *blocks[INSPECT_BLOCK_COUNT];
static struct inspect_memory memory;

static void fail(const char *why)
{
	(void)fprintf(stderr, "judge: %s\n", why);
	exit(1);
}

/* ── The policy ──────────────────────────────────────────────────────────── */

static void read_blocks(const char *path)
{
	static char bytes[BLOCKS_MAX] = "{create: {}, exec: {}}";
	static struct arena arena;
	static char error[FAULT_MAX];
	const struct yaml_node *root = NULL;
	const ssize_t len =
	        path == NULL ? (ssize_t)strlen(bytes) : file_read(path, bytes, sizeof(bytes));

	if (len < 0) {
		fail("cannot read the blocks");
	}
	if (yaml_read((struct slice){bytes, (size_t)len}, path == NULL ? "standard" : path, &arena,
	            &root, error) < 0) {
		fail(error);
	}
	for (unsigned i = 0; i < INSPECT_BLOCK_COUNT; i++) {
		const struct yaml_node *map = yaml_find(root, inspect_block_name(i));
		if (map != NULL &&
		        constraints_read(i, map, &(struct inspect_setting){.is_preset = false},
		                &arena, &blocks[i], error) < 0) {
			fail(error);
		}
	}
}

static void route_all(void)
{
	for (unsigned i = 0; i < ARRAY_LEN(judged); i++) {
		const struct docker_target target = {
		        .method = slice_of(judged[i].method),
		        .path = slice_of(judged[i].path),
		        .has_body = true,
		};
		if (docker_route(&target, &requests[i]) != DOCKER_OK ||
		        inspect_operation_of(requests[i].id) == NULL) {
			fail("an operation is not in the tables");
		}
	}
}

/* ── Frames ──────────────────────────────────────────────────────────────── */

/* Exactly `len` bytes; false: the input ends before the first. */
static bool take(char *bytes, size_t len)
{
	static char input[INPUT_MAX];
	static size_t at;
	static size_t end;
	size_t done = 0;

	while (done < len) {
		if (at == end) {
			/* Whoever waits for answers sends nothing more until they come. */
			(void)fflush(stdout);
			const ssize_t got = read(STDIN_FILENO, input, sizeof(input));
			if (got < 0 || (got == 0 && done > 0)) {
				fail("the input ends in the middle of a frame");
			}
			if (got == 0) {
				return false;
			}
			at = 0;
			end = (size_t)got;
		}
		const size_t some = end - at < len - done ? end - at : len - done;
		memcpy(bytes + done, input + at, some);
		done += some;
		at += some;
	}
	return true;
}

static void answer(char letter, struct slice bytes)
{
	const unsigned char head[FRAME_HEAD] = {(unsigned char)letter,
	        (unsigned char)(bytes.len >> 24), (unsigned char)(bytes.len >> 16),
	        (unsigned char)(bytes.len >> 8), (unsigned char)bytes.len};

	if (fwrite(head, 1, sizeof(head), stdout) != sizeof(head) ||
	        fwrite(bytes.ptr, 1, bytes.len, stdout) != bytes.len) {
		fail("cannot write");
	}
}

static void answer_refused(const struct findings *findings)
{
	static char reasons[REASONS_MAX];
	struct text text = text_over(reasons, sizeof(reasons));

	for (unsigned i = 0; i < findings->count && i < INSPECT_FINDINGS_MAX; i++) {
		findings_add_sentence(findings, i, FINDINGS_SENDER, &text);
		text_add_char(&text, '\n');
	}
	answer('R', text_slice(&text));
}

static void judge(unsigned number, struct slice body)
{
	static struct findings findings;
	const struct inspect_operation *operation = inspect_operation_of(requests[number].id);
	struct slice rewritten;

	findings_begin(&findings, blocks[inspect_operation_block(operation)]);
	if (findings.constraints == NULL) {
		fail("a block is missing");
	}
	if (!inspect_request(operation, &requests[number], &findings)) {
		fail("an operation is refused whatever its body");
	}
	rewritten = inspect_body(operation, &requests[number], body, &memory, &findings);
	if (findings.count > 0) {
		answer_refused(&findings);
	} else {
		answer('A', rewritten);
	}
}

static unsigned number_of(char letter)
{
	for (unsigned i = 0; i < ARRAY_LEN(judged); i++) {
		if (judged[i].letter == letter) {
			return i;
		}
	}
	fail("a frame has an unknown letter");
	return 0;
}

int main(int argc, char **argv)
{
	static char body[INSPECT_BODY_MAX];
	static char output[OUTPUT_MAX];
	char head[FRAME_HEAD];

	(void)setvbuf(stdout, output, _IOFBF, sizeof(output));
	read_blocks(argc > 1 ? argv[1] : NULL);
	route_all();
	while (take(head, sizeof(head))) {
		const unsigned char *digits = (const unsigned char *)head + 1;
		const size_t len = (size_t)digits[0] << 24 | (size_t)digits[1] << 16 |
		                   (size_t)digits[2] << 8 | digits[3];
		if (len > sizeof(body) || (len > 0 && !take(body, len))) {
			fail("a body is too long, or missing");
		}
		judge(number_of(head[0]), (struct slice){body, len});
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
