/* SPDX-License-Identifier: MIT */
/*
 * Whole sessions between scripted peers. The input is a script: what each side
 * sends in which pieces, how much it takes, and where connections end.
 *
 *   arbitrary bytes   both sides send what the input says. Every request that
 *                     the Engine sees parses, is canonical and is allowed.
 *   marked bytes      both sides speak HTTP, with bodies of one letter for each
 *                     request. No letter is found in another request or response;
 *                     and where nobody fails, every request has its response.
 *
 * Either way every session ends once its peers have, and all memory is home.
 */
#include "fuzz.h"
#include "input.h"
#include "stage.h"

#include "base/clock.h"
#include "http/http.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	CLIENTS_MAX = 3,
	REQUESTS_MAX = 6, /* of a client with marked bytes */
	ROUNDS_MAX = 200,
	IDLE_ROUNDS = 3, /* in which nobody wrote anything */
};

static const char *const allowed[] = {"container.list", "container.attach", "exec.start",
        "image.load", "image.build", "system.*", NULL};

/* What an Engine connection with marked bytes still has to say. */
struct voice {
	char *bytes;
	size_t len;
	size_t said;
	bool closes;
	bool early; /* the last response came before its request was complete */
};

static struct stage stage;
static struct script *clients[CLIENTS_MAX];
static unsigned client_count;
static unsigned request_count[CLIENTS_MAX];
static struct voice voices[SCRIPTS_MAX];
static struct http_field fields[HTTP_FIELDS_MAX];
static struct docker_request routed;
static bool failed; /* somebody ended or reset a connection before all was said */

/* ── What the Engine sees ────────────────────────────────────────────────── */

/* A request in what was written to the Engine. */
struct seen {
	struct http_request request;
	size_t len; /* with its body, or 0: it is not all there */
	size_t head_len;
	bool raw; /* what follows may be bytes of a tunnel */
};

/* The length of the chunked body at the front; 0: it is not all there. */
static size_t chunked_len(struct slice bytes, char *ret_letter, bool *ret_mixed)
{
	struct http_chunks chunks = {.bare = true};
	char *copy = malloc(bytes.len + 1);

	ASSERT(copy != NULL);
	memcpy(copy, bytes.ptr, bytes.len);
	const struct http_chunks_result result = http_chunks_rewrite(&chunks, copy, bytes.len);
	ASSERT(result.progress != HTTP_BAD);
	for (size_t i = 0; i < result.produced; i++) {
		*ret_mixed |= *ret_letter != 0 && copy[i] != *ret_letter;
		*ret_letter = copy[i];
	}
	free(copy);
	return result.progress == HTTP_DONE ? result.consumed : 0;
}

static size_t plain_len(struct slice bytes, uint64_t len, char *ret_letter, bool *ret_mixed)
{
	const size_t there = bytes.len < len ? bytes.len : (size_t)len;

	for (size_t i = 0; i < there; i++) {
		*ret_mixed |= *ret_letter != 0 && bytes.ptr[i] != *ret_letter;
		*ret_letter = bytes.ptr[i];
	}
	return there;
}

/* False: no whole head is there. `letter` is that of its body. */
static bool see_request(struct slice bytes, struct seen *seen, char *letter, bool *mixed)
{
	struct http_scan scan = {0};

	*seen = (struct seen){.len = 0};
	const enum http_progress progress = http_scan_head(&scan, bytes);
	ASSERT(progress != HTTP_BAD);
	if (progress != HTTP_DONE) {
		return false;
	}
	const struct slice head = {bytes.ptr, scan.head_len};
	ASSERT(http_request_parse(head, fields, &seen->request) == HTTP_OK);
	seen->head_len = scan.head_len;
	const struct http_head *parsed = &seen->request.head;
	const struct slice body = slice_behind(bytes, scan.head_len);
	if (parsed->framing == HTTP_CHUNKED) {
		const size_t len = chunked_len(body, letter, mixed);
		seen->len = len > 0 ? scan.head_len + len : 0;
	} else {
		const uint64_t len = parsed->framing == HTTP_LENGTH ? parsed->content_length : 0;
		const size_t there = plain_len(body, len, letter, mixed);
		seen->len = there == len ? scan.head_len + there : 0;
	}
	return true;
}

static void check_allowed(struct seen *seen)
{
	const struct http_request *request = &seen->request;
	const struct docker_target target = {
	        .method = request->method,
	        .path = request->path,
	        .query = request->query,
	        .has_body =
	                request->head.framing == HTTP_CHUNKED || request->head.content_length > 0,
	};

	ASSERT(docker_route(&target, &routed) == DOCKER_OK);
	ASSERT(slice_equal(routed.path, request->path));
	ASSERT(policy_judge(stage.policy, &routed, stage.worker->gate.judging).allowed);
	ASSERT(http_check_type(request) == HTTP_OK);
	ASSERT(http_check_browser(request) == HTTP_OK);
	const struct docker_endpoint *endpoint = docker_endpoint(routed.id);
	seen->raw = endpoint != NULL && (endpoint->traits & DOCKER_HIJACK) != 0;
}

static void check_engine(const struct script *engine)
{
	struct slice rest = script_got(engine);
	struct seen seen;
	char letter = 0;
	bool mixed = false;

	while (rest.len > 0 && see_request(rest, &seen, &letter, &mixed)) {
		check_allowed(&seen);
		if (seen.raw || seen.len == 0) {
			return;
		}
		rest = slice_behind(rest, seen.len);
	}
}

/* ── Marked bytes ────────────────────────────────────────────────────────── */

static size_t body_len(unsigned byte)
{
	return byte < 192 ? byte : (size_t)(byte - 191) * (byte - 191) * 16;
}

static char letter_of(unsigned client, unsigned request)
{
	return (char)('A' + client * REQUESTS_MAX + request);
}

static void say(char **bytes, size_t *len, struct slice more)
{
	*bytes = realloc(*bytes, *len + more.len + 1);
	ASSERT(*bytes != NULL);
	memcpy(*bytes + *len, more.ptr, more.len);
	*len += more.len;
}

static void say_body(char **bytes, size_t *len, char letter, size_t body, bool chunked)
{
	static char letters[256 * 1024];
	char line[32];
	const size_t half = body / 3;
	const size_t parts[] = {half, body - half};

	memset(letters, letter, body);
	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		const struct slice part = {letters, parts[i]};
		(void)snprintf(line, sizeof(line), "%zX;x=y\r\n", part.len);
		if (chunked && part.len > 0) {
			say(bytes, len, slice_of(line));
		}
		say(bytes, len, part);
		if (chunked && part.len > 0) {
			say(bytes, len, SLICE("\r\n"));
		}
	}
	if (chunked) {
		say(bytes, len, SLICE("0\r\nTrailer: x\r\n\r\n"));
	}
}

static void say_request(char **bytes, size_t *len, char letter, unsigned kind, size_t body)
{
	char head[128];

	switch (kind % 4) {
	case 0:
		(void)snprintf(head, sizeof(head),
		        "GET /containers/json?x=%c HTTP/1.1\r\nHost: h\r\n\r\n", letter);
		say(bytes, len, slice_of(head));
		break;
	case 1:
		(void)snprintf(head, sizeof(head),
		        "POST /images/load?x=%c HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
		        letter, body);
		say(bytes, len, slice_of(head));
		say_body(bytes, len, letter, body, false);
		break;
	default:
		(void)snprintf(head, sizeof(head),
		        "POST /build?x=%c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
		        "chunked\r\n\r\n",
		        letter);
		say(bytes, len, slice_of(head));
		say_body(bytes, len, letter, body, true);
		break;
	}
}

static void say_response(struct voice *voice, char letter, unsigned kind, size_t body)
{
	char head[128];

	switch (kind % 4) {
	case 0:
	case 1:
		(void)snprintf(head, sizeof(head),
		        "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", body,
		        kind % 8 == 1 ? "Connection: close\r\n" : "");
		voice->closes = kind % 8 == 1;
		say(&voice->bytes, &voice->len, slice_of(head));
		say_body(&voice->bytes, &voice->len, letter, body, false);
		break;
	case 2:
		say(&voice->bytes, &voice->len,
		        SLICE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
		              "Transfer-Encoding: chunked\r\n\r\n"));
		say_body(&voice->bytes, &voice->len, letter, body, true);
		break;
	default:
		voice->closes = true;
		say(&voice->bytes, &voice->len, SLICE("HTTP/1.1 200 OK\r\n\r\n"));
		say_body(&voice->bytes, &voice->len, letter, body, false);
		break;
	}
}

/* The first request without a response of the Engine; false: there is none. */
static bool look(const struct script *engine, struct seen *seen)
{
	const struct slice rest = slice_behind(script_got(engine), engine->looked_at);
	char letter = 0;
	bool mixed = false;

	if (rest.len == 0 || !see_request(rest, seen, &letter, &mixed)) {
		return false;
	}
	ASSERT(!mixed && seen->request.query.len == 3);
	ASSERT(letter == 0 || letter == seen->request.query.ptr[2]);
	return true;
}

/* The letter of the next request to respond to, `early` without waiting for its end; 0: none. */
static char next_mark(struct script *engine, struct voice *voice, bool early)
{
	struct seen seen;

	if (voice->early) {
		if (!look(engine, &seen) || seen.len == 0) {
			return 0;
		}
		engine->looked_at += seen.len;
		voice->early = false;
	}
	if (!look(engine, &seen) || (seen.len == 0 && !early)) {
		return 0;
	}
	engine->looked_at += seen.len;
	voice->early = seen.len == 0;
	return seen.request.query.ptr[2];
}

/* The Engine responds to what it has read, in one piece. */
static void speak(struct script *engine, unsigned kind, size_t body, size_t piece)
{
	struct voice *voice = &voices[engine - stage.net.scripts];

	if (voice->said == voice->len) {
		const char mark = voice->closes ? 0 : next_mark(engine, voice, (kind & 16) != 0);
		if (mark == 0) {
			return;
		}
		say_response(voice, mark, kind, body);
		failed |= voice->early && voice->closes; /* the rest of the request is lost */
	}
	const size_t left = voice->len - voice->said;
	const struct slice bytes = {voice->bytes + voice->said, piece < left ? piece : left};
	voice->said += bytes.len;
	script_arrive(engine, bytes);
	if (voice->said == voice->len && voice->closes) {
		script_end(engine);
	}
}

/* Every response has the letter of its request, in the order of the requests. */
static void check_client(const struct script *client, unsigned number)
{
	struct slice rest = script_got(client);
	unsigned responses = 0;

	while (rest.len > 0) {
		struct http_scan scan = {0};
		struct http_response response;
		char letter = 0;
		bool mixed = false;
		const enum http_progress progress = http_scan_head(&scan, rest);
		ASSERT(progress != HTTP_BAD);
		if (progress != HTTP_DONE) {
			break;
		}
		const struct slice head = {rest.ptr, scan.head_len};
		ASSERT(http_response_parse(head, fields, false, &response) == HTTP_OK);
		rest = slice_behind(rest, scan.head_len);
		if (response.status < 200) {
			continue;
		}
		ASSERT(response.status == 200 || failed);
		size_t len = rest.len;
		if (response.status != 200) {
			break; /* one of ours, which closes */
		}
		if (response.head.framing == HTTP_CHUNKED) {
			len = chunked_len(rest, &letter, &mixed);
			ASSERT(len > 0 || failed);
		} else {
			const bool until_close = response.head.framing == HTTP_UNTIL_CLOSE;
			len = plain_len(rest,
			        until_close ? UINT64_MAX : response.head.content_length, &letter,
			        &mixed);
		}
		ASSERT(!mixed && responses < request_count[number]);
		ASSERT(letter == 0 || letter == letter_of(number, responses));
		responses++;
		if (len == 0 && response.head.framing == HTTP_CHUNKED) {
			break;
		}
		rest = slice_behind(rest, len);
		if (response.head.framing == HTTP_UNTIL_CLOSE || !response.head.keep_alive) {
			return;
		}
	}
	ASSERT(failed || responses == request_count[number]);
}

/* ── The script ──────────────────────────────────────────────────────────── */

static struct script *pick_engine(unsigned byte)
{
	unsigned count = 0;

	for (unsigned i = 0; i < stage.net.count; i++) {
		count += stage.net.scripts[i].connects ? 1 : 0;
	}
	if (count == 0) {
		return NULL;
	}
	unsigned wanted = byte % count;
	unsigned i = stage.net.count;
	while (i-- > 0) { /* 0 is the newest */
		if (stage.net.scripts[i].connects && wanted-- == 0) {
			break;
		}
	}
	return &stage.net.scripts[i];
}

static size_t bytes_written(void)
{
	size_t sum = 0;

	for (unsigned i = 0; i < stage.net.count; i++) {
		sum += stage.net.scripts[i].got_len;
	}
	return sum;
}

/* Whoever is left does all that it still has to do; `ends`: and says that this is all. */
static void play_round(bool marked, bool ends)
{
	for (unsigned i = 0; i < stage.net.count; i++) {
		struct script *script = &stage.net.scripts[i];
		script_handshake(script, 0);
		script_give_room(script, SIZE_MAX / 2);
		if (marked && script->connects) {
			speak(script, 0, i, SIZE_MAX);
		} else if (ends) {
			script_end(script);
		}
	}
	stage_pass(&stage, marked ? 25 * NS_PER_MS : 31 * NS_PER_S);
}

/* Until every session has ended. */
static void play_out(bool marked)
{
	unsigned idle = 0;

	for (unsigned round = 0; round < ROUNDS_MAX && !stage_is_empty(&stage); round++) {
		const size_t before = bytes_written();
		play_round(marked, !marked || idle > IDLE_ROUNDS);
		idle = bytes_written() == before ? idle + 1 : 0;
	}
	if (!stage_is_empty(&stage)) { /* what waits for a deadline alone */
		stage_pass(&stage, 301 * NS_PER_S);
	}
	ASSERT(stage_is_empty(&stage));
}

static void fail_one(unsigned byte)
{
	struct script *engine = pick_engine(byte / 4);
	struct script *client = clients[byte / 4 % client_count];

	failed = true;
	if (byte % 4 < 2 && engine != NULL) {
		(byte % 2 == 0 ? script_end : script_reset)(engine);
	} else if (byte % 4 >= 2) {
		(byte % 2 == 0 ? script_end : script_reset)(client);
	}
}

/* One step that both kinds of script have. */
static void step(struct input *input, unsigned what)
{
	const unsigned byte = next(input);
	struct script *engine = pick_engine(byte);

	switch (what) {
	case 0:
		script_give_room(clients[byte % client_count], next(input) * 64 + 1);
		break;
	case 1:
		if (engine != NULL) {
			script_give_room(engine, next(input) * 64 + 1);
		}
		break;
	case 2:
		fail_one(byte);
		break;
	case 3:
		stage.net.handshake = byte % 2 == 0 ? 0 : -EAGAIN;
		if (engine != NULL) {
			script_handshake(engine, 0);
		}
		break;
	case 4:
		stage.net.connect_error = byte % 4 == 3 ? -EAGAIN : 0;
		stage_pass(&stage, 20 * NS_PER_MS);
		break;
	default:
		stage_turn(&stage);
		break;
	}
}

static void add_client(void)
{
	if (client_count < CLIENTS_MAX && stage.net.count < SCRIPTS_MAX) {
		clients[client_count++] = stage_client(&stage);
	}
}

static void play_arbitrary(struct input *input)
{
	while (input->len > 0) {
		const unsigned what = next(input);
		const size_t len = (size_t)next(input) * (what >= 128 ? 16 : 1);
		struct script *engine = pick_engine(what / 16);
		switch (what % 16) {
		case 0:
		case 1:
		case 2:
		case 3:
			script_arrive(clients[what / 16 % client_count], next_bytes(input, len));
			break;
		case 4:
		case 5:
		case 6:
		case 7:
			if (engine != NULL) {
				script_arrive(engine, next_bytes(input, len));
			}
			break;
		case 8:
			add_client();
			break;
		case 9:
			stage_pass(&stage, (int64_t)len * 100 * NS_PER_MS);
			break;
		default:
			step(input, what % 16 - 10);
			break;
		}
	}
}

static void play_marked(struct input *input)
{
	char *said[CLIENTS_MAX] = {NULL};
	size_t lens[CLIENTS_MAX] = {0};
	size_t at[CLIENTS_MAX] = {0};

	add_client();
	for (unsigned c = 0; c < client_count; c++) {
		request_count[c] = next(input) % (REQUESTS_MAX + 1);
		for (unsigned r = 0; r < request_count[c]; r++) {
			const unsigned kind = next(input);
			say_request(
			        &said[c], &lens[c], letter_of(c, r), kind, body_len(next(input)));
		}
	}
	while (input->len > 0) {
		const unsigned what = next(input);
		const unsigned c = what / 16 % client_count;
		struct script *engine = pick_engine(what / 16);
		const unsigned byte = next(input);
		size_t piece = body_len(byte) + 1;
		if (what % 16 < 5) {
			piece = piece < lens[c] - at[c] ? piece : lens[c] - at[c];
			if (piece > 0) {
				script_arrive(clients[c], (struct slice){said[c] + at[c], piece});
			}
			at[c] += piece;
		} else if (what % 16 < 10) {
			if (engine != NULL) {
				speak(engine, next(input), body_len(next(input)), piece);
			}
		} else {
			step(input, what % 16 - 10);
		}
	}
	for (unsigned c = 0; c < client_count; c++) {
		if (lens[c] > at[c]) {
			script_arrive(clients[c], (struct slice){said[c] + at[c], lens[c] - at[c]});
		}
		free(said[c]);
	}
}

static void reset_all(void)
{
	for (unsigned i = 0; i < SCRIPTS_MAX; i++) {
		free(voices[i].bytes);
		voices[i] = (struct voice){.bytes = NULL};
	}
	memset(request_count, 0, sizeof(request_count));
	client_count = 0;
	failed = false;
}

static void play(struct input input, enum script_company company)
{
	const unsigned setup = next(&input);
	const bool marked = (setup & 1) != 0;

	stage_init(&stage);
	script_company = company;
	stage.net.splices = (setup & 2) != 0;
	stage.net.takes_pages = (setup & 4) != 0;
	stage.net.room = (setup & 8) != 0 ? 100 : SIZE_MAX / 2;
	add_client();
	(marked ? play_marked : play_arbitrary)(&input);
	stage.net.connect_error = 0;
	play_out(marked);
	for (unsigned i = 0; i < stage.net.count; i++) {
		if (stage.net.scripts[i].connects) {
			check_engine(&stage.net.scripts[i]);
		}
	}
	for (unsigned c = 0; marked && c < client_count; c++) {
		check_client(clients[c], c);
	}
	stage_done(&stage);
	reset_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (stage.policies == NULL) {
		stage_allow(&stage, allowed);
	}
	play((struct input){bytes, len}, COMPANY_NONE);
	play((struct input){bytes, len}, COMPANY_HERE);
	return 0;
}
