/* SPDX-License-Identifier: MIT */
/*
 * Every request of tests/corpus through the gate, the writer and chunk framing: accepted or refused
 * as its .want file says, in any pieces, when it comes again too, and written as it says. The wire
 * tests show the same of the whole program.
 */
#include "callers.h"
#include "cases.h"
#include "feed.h"
#include "gate/gate.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static const char api_key[] = "corpus-key";
static struct gate_config config = {.max_head = FEED_HEAD_MAX};
static struct recall *recall;
static unsigned recalled; /* requests that were not read again */

/* ── Files ───────────────────────────────────────────────────────────────── */

static struct slice read_file(const char *name, const char *suffix)
{
	char path[4096];
	size_t len = 0;
	size_t cap = 1 << 20;
	char *bytes = malloc(cap);

	(void)snprintf(path, sizeof(path), "%s/%s%s", CORPUS, name, suffix);
	FILE *file = fopen(path, "rbe");
	assert_non_null(bytes);
	if (file == NULL) {
		free(bytes);
		fail_msg("cannot read %s", path);
		return (struct slice){NULL, 0};
	}
	len = fread(bytes, 1, cap, file);
	assert_that(name, feof(file));
	(void)fclose(file);
	return (struct slice){bytes, len};
}

static void free_file(struct slice bytes)
{
	free((void *)(uintptr_t)bytes.ptr);
}

/* ── One request of a case ───────────────────────────────────────────────── */

struct replay {
	const char *name;
	struct slice rest; /* of the request file */
	size_t step;
	struct slice want; /* of the .want file */
	struct feed feed;
	struct gate_scratch gate;
	const struct http_request *head; /* as the gate has it when it comes again */
	struct slice written;            /* as it goes to the Engine */
	char memory[FEED_HEAD_MAX + 4096];
	char again[FEED_HEAD_MAX + 4096];
	struct fed_body body;
};

/* The next line of the .want file if it starts with `key`, without it. */
static bool next_line(struct replay *replay, const char *key, struct slice *ret_value)
{
	struct slice rest = replay->want;
	struct slice line;

	do {
		replay->want = rest;
		if (rest.ptr == NULL || !slice_next(&rest, '\n', &line)) {
			return false;
		}
	} while (line.len == 0 || line.ptr[0] == '#');
	if (!slice_starts_with(line, slice_of(key))) {
		return false;
	}
	replay->want = rest;
	*ret_value = (struct slice){line.ptr + strlen(key), line.len - strlen(key)};
	if (ret_value->len > 0 && ret_value->ptr[0] == ' ') {
		ret_value->ptr++;
		ret_value->len--;
	}
	return true;
}

static void consume(struct replay *replay, size_t len)
{
	replay->rest.ptr += len;
	replay->rest.len -= len;
}

/* Cuts the body off; true unless its framing is malformed. */
static bool take_body(struct replay *replay)
{
	const struct http_head *head = &replay->feed.request.head;

	if (head->framing == HTTP_CHUNKED) {
		feed_body(&replay->body, replay->rest, 0, replay->step, true, false);
		consume(replay, replay->body.consumed);
		return replay->body.progress != HTTP_BAD;
	}
	const size_t len = head->framing == HTTP_LENGTH ? (size_t)head->content_length : 0;
	assert_that(replay->name, len <= replay->rest.len);
	replay->body =
	        (struct fed_body){.bytes = malloc(len + 1), .len = len, .progress = HTTP_DONE};
	assert_non_null(replay->body.bytes);
	memcpy(replay->body.bytes, replay->rest.ptr, len);
	consume(replay, len);
	return true;
}

/* 0, or the status that the head is refused with, before any policy is asked. */
static unsigned judge_head(struct replay *replay)
{
	const struct caller caller = caller_named("unix");
	struct gate_decision decision = {.action = GATE_NEED_HEAD};

	for (unsigned turn = 0; turn < 3; turn++) {
		const struct gate_decision before = decision;
		struct http_scan scan = {0};
		const struct gate_question question = {
		        .caller = &caller, .bytes = replay->rest, .scan = &scan};
		decision = gate_decide(&config, &question, &replay->gate);
		assert_that(replay->name, decision.action != GATE_NEED_HEAD);
		assert_that(replay->name, turn == 0 || (decision.outcome == before.outcome &&
		                                               decision.reason == before.reason));
	}
	recalled += decision.recalled != NULL;
	replay->head = decision.head;
	return decision.request != NULL ? 0 : outcome_status(decision.outcome);
}

static void write_head(struct replay *replay)
{
	struct text text = text_over(replay->memory, sizeof(replay->memory));
	const struct docker_endpoint *row = docker_endpoint(replay->gate.request.id);
	const struct http_request_options options = {.api_key = slice_of(api_key),
	        .upgrade = row != NULL && (row->traits & DOCKER_HIJACK) != 0};

	struct text again = text_over(replay->again, sizeof(replay->again));

	http_request_write(&text, &replay->feed.request, replay->gate.request.path, &options);
	assert_that(replay->name, !text.overflow);
	replay->written = text_slice(&text);
	http_request_write(&again, replay->head, replay->gate.request.path, &options);
	assert_slice(replay->name, text_slice(&again), replay->written);
}

/* How many lines of the written head have this name, and this value too if there is one. */
static unsigned count_lines(struct slice head, struct slice name, const struct slice *value)
{
	unsigned count = 0;
	struct slice line;

	(void)slice_next(&head, '\n', &line);
	while (slice_next(&head, '\n', &line)) {
		const char *colon = line.len > 0 ? memchr(line.ptr, ':', line.len) : NULL;
		if (colon == NULL || !slice_equal_nocase(slice_between(line.ptr, colon), name)) {
			continue;
		}
		const struct slice rest = slice_between(colon + 1, line.ptr + line.len - 1);
		count += value == NULL || slice_equal(slice_trim(rest), *value);
	}
	return count;
}

static void check_header(const struct replay *replay, struct slice wanted)
{
	const char *colon = memchr(wanted.ptr, ':', wanted.len);

	assert_non_null(colon);
	const struct slice name = slice_between(wanted.ptr, colon);
	const struct slice value = slice_trim(slice_between(colon + 1, wanted.ptr + wanted.len));
	if (count_lines(replay->written, name, &value) == 0) {
		fail_msg("%s: '%.*s' does not reach the Engine", replay->name, SLICE_FMT(wanted));
	}
}

/* In place: \r, \n and \\ are escapes. */
static struct slice unescape(char *bytes, struct slice escaped)
{
	size_t len = 0;

	for (size_t i = 0; i < escaped.len; i++) {
		char c = escaped.ptr[i];
		if (c == '\\' && i + 1 < escaped.len) {
			c = escaped.ptr[++i];
			c = c == 'r' ? '\r' : c == 'n' ? '\n' : c;
		}
		bytes[len++] = c;
	}
	return (struct slice){bytes, len};
}

static void check_lines(struct replay *replay)
{
	const char *name = replay->name;
	const struct slice key = slice_of(api_key);
	const struct slice host = SLICE("localhost");
	char bytes[4096];
	struct slice body = {bytes, 0};
	struct slice line;

	assert_that(name, count_lines(replay->written, SLICE("host"), NULL) == 1);
	assert_that(name, count_lines(replay->written, SLICE("host"), &host) == 1);
	assert_that(name, count_lines(replay->written, SLICE("x-api-key"), NULL) == 1);
	assert_that(name, count_lines(replay->written, SLICE("x-api-key"), &key) == 1);
	if (next_line(replay, "forward:", &line)) {
		const char *end = memchr(replay->written.ptr, '\r', replay->written.len);
		assert_slice(name, slice_between(replay->written.ptr, end), line);
	}
	for (;;) {
		if (next_line(replay, "header:", &line)) {
			check_header(replay, line);
		} else if (next_line(replay, "absent:", &line)) {
			assert_that(name, count_lines(replay->written, line, NULL) == 0);
		} else if (next_line(replay, "body:", &line)) {
			assert_that(name, line.len < sizeof(bytes));
			body = unescape(bytes, line);
		} else {
			break;
		}
	}
	assert_slice(name, ((struct slice){replay->body.bytes, replay->body.len}), body);
}

static void accept_request(struct replay *replay)
{
	if (replay->feed.error != HTTP_OK || replay->feed.incomplete) {
		fail_msg("%s: refused: %s", replay->name, http_error_text(replay->feed.error));
	}
	assert_that(replay->name, judge_head(replay) == 0);
	write_head(replay);
	consume(replay, replay->feed.len);
	assert_that(replay->name, take_body(replay));
	assert_that(replay->name, replay->body.progress == HTTP_DONE);
	check_lines(replay);
	fed_body_done(&replay->body);
}

static void refuse_request(struct replay *replay, struct slice how)
{
	const bool in_body = slice_ends_with(how, SLICE(" body"));

	if (!in_body) {
		uint64_t status = 0;
		how.len -= slice_ends_with(how, SLICE(" head")) ? strlen(" head") : 0;
		assert_that(replay->name, slice_to_u64(how, 599, &status) == 0);
		assert_that(replay->name, judge_head(replay) == status);
		return;
	}
	assert_that(replay->name, judge_head(replay) == 0);
	consume(replay, replay->feed.len);
	assert_that(replay->name, !take_body(replay));
	fed_body_done(&replay->body);
}

static void replay_case(const char *name, struct slice request, struct slice want, size_t step)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	struct slice line = {NULL, 0};
	bool refused = false;
	unsigned count = 0;

	assert_non_null(replay);
	*replay = (struct replay){.name = name, .rest = request, .step = step, .want = want};
	replay->gate.recall = recall;
	while (!refused) {
		const bool accepted = next_line(replay, "accept", &line);
		refused = !accepted && next_line(replay, "refuse", &line);
		if (!accepted && !refused) {
			break;
		}
		feed_request(&replay->feed, replay->rest, step);
		if (accepted) {
			accept_request(replay);
		} else {
			refuse_request(replay, line);
		}
		feed_free(&replay->feed);
		count++;
	}
	assert_that(name, count > 0);
	assert_that(name, !next_line(replay, "", &line));
	assert_that(name, refused || replay->rest.len == 0);
	free(replay);
}

static bool replay_file(const char *file)
{
	char name[256];
	const char *suffix = strstr(file, ".req");

	if (suffix == NULL || suffix[4] != '\0') {
		return false;
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)(suffix - file), file);
	const struct slice request = read_file(name, ".req");
	const struct slice want = read_file(name, ".want");
	replay_case(name, request, want, SIZE_MAX / 2);
	replay_case(name, request, want, request.len < 4096 ? 1 : 4093);
	free_file(request);
	free_file(want);
	return true;
}

/* A listener that denies: what is refused here is refused before it is asked. */
static int listen_strictly(void **state)
{
	const struct place nowhere = {NULL, 0};
	struct policy *policy = NULL;
	char error[FAULT_MAX];

	*state = policy_set_new();
	if (policy_set_find(*state, SLICE("deny"), nowhere, &policy, error) < 0) {
		return -1;
	}
	config.policy = policy;
	recall = recall_new();
	return recall == NULL ? -1 : policy_compile(policy, error);
}

static int stop_listening(void **state)
{
	policy_set_free(*state);
	recall_free(recall);
	return 0;
}

static void every_case_comes_out_as_it_says(void **state)
{
	unsigned count = 0;
	const struct dirent *entry;
	DIR *folder = opendir(CORPUS);

	(void)state;
	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		count += replay_file(entry->d_name);
	}
	(void)closedir(folder);
	assert_that("the corpus is there", count > 100);
	assert_that("some are remembered", recalled > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                every_case_comes_out_as_it_says, listen_strictly, stop_listening),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
