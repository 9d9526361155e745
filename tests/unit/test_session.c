/* SPDX-License-Identifier: MIT */
/* Sessions between scripted peers: what goes where, and when it ends. */
#include "capture.h"
#include "cases.h"
#include "stage.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

#define GET_A      "GET /containers/a/json HTTP/1.1\r\nHost: x\r\n\r\n"
#define SENT_A     "GET /containers/a/json HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define POST_3     "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
#define SENT_3     "POST /images/load HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
#define RESPONSE_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define DIAL_LIMIT (10 * NS_PER_S)
#define MOVE_LIMIT (2 * NS_PER_S)

static struct stage stage;

/* ── Allocations that fail ───────────────────────────────────────────────── */

static bool is_without_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return is_without_memory ? NULL : __real_calloc(count, size);
}

/* ── The stage ───────────────────────────────────────────────────────────── */

static int begin(void **state)
{
	(void)state;
	stage_init(&stage);
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < stage.net.count; i++) {
		script_end(&stage.net.scripts[i]);
	}
	stage_pass(&stage, 301 * NS_PER_S);
	stage_done(&stage);
	return 0;
}

static bool responded(const struct script *client, const char *status_line)
{
	return slice_starts_with(script_got(client), slice_of(status_line));
}

static void a_request_and_its_response_pass(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	script_arrive(client, SLICE(GET_A));
	struct script *engine = stage_engine(&stage);
	assert_non_null(engine);
	assert_slice("request", script_got(engine), SLICE(SENT_A));
	script_arrive(engine, SLICE(RESPONSE_2));
	assert_slice("response", script_got(client), SLICE(RESPONSE_2));
}

static void single_bytes_make_the_same(void **state)
{
	const struct slice request = SLICE(POST_3 "abc");
	const struct slice response = SLICE(RESPONSE_2);
	struct script *client = stage_client(&stage);

	(void)state;
	for (size_t i = 0; i < request.len; i++) {
		script_arrive(client, (struct slice){request.ptr + i, 1});
	}
	struct script *engine = stage_engine(&stage);
	assert_slice("request", script_got(engine), SLICE(SENT_3 "abc"));
	for (size_t i = 0; i < response.len; i++) {
		script_arrive(engine, (struct slice){response.ptr + i, 1});
	}
	assert_slice("response", script_got(client), response);
}

static void an_engine_that_takes_single_bytes_gets_all(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage.net.room = 0;
	script_arrive(client, SLICE(POST_3 "abc"));
	struct script *engine = stage_engine(&stage);
	for (unsigned i = 0; i < 100; i++) {
		script_give_room(engine, 1);
	}
	assert_slice("request", script_got(engine), SLICE(SENT_3 "abc"));
}

static void an_idle_connection_is_reused(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	script_arrive(client, SLICE(GET_A GET_A));
	struct script *engine = stage_engine(&stage);
	script_arrive(engine, SLICE(RESPONSE_2));
	stage_turn(&stage);
	assert_int_equal(stage.net.connected, 1);
	assert_slice("both", script_got(engine), SLICE(SENT_A SENT_A));
	script_arrive(engine, SLICE(RESPONSE_2));
	assert_slice("responses", script_got(client), SLICE(RESPONSE_2 RESPONSE_2));
}

static void a_dead_idle_connection_costs_no_request(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	script_arrive(client, SLICE(GET_A));
	struct script *first = stage_engine(&stage);
	script_arrive(first, SLICE(RESPONSE_2));
	first->ended = true; /* the kernel has not said so yet */
	script_arrive(client, SLICE(GET_A));
	first->ended = false;
	script_end(first);
	struct script *second = stage_engine(&stage);
	assert_ptr_not_equal(first, second);
	assert_true(first->closed);
	assert_slice("again", script_got(second), SLICE(SENT_A));
	script_arrive(second, SLICE(RESPONSE_2));
	assert_slice("responses", script_got(client), SLICE(RESPONSE_2 RESPONSE_2));
}

/* One dead connection is bad luck; others that are idle are as old. */
static void a_request_that_is_sent_again_gets_a_new_connection(void **state)
{
	struct script *clients[] = {stage_client(&stage), stage_client(&stage)};
	struct script *engines[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		script_arrive(clients[i], SLICE(GET_A));
		engines[i] = stage_engine(&stage);
	}
	for (unsigned i = 0; i < 2; i++) {
		script_arrive(engines[i], SLICE(RESPONSE_2));
		engines[i]->ended = true; /* the kernel has not said so yet */
	}
	script_arrive(clients[0], SLICE(GET_A));
	struct script *asked = engines[engines[1]->got_len > strlen(SENT_A)];
	assert_int_equal(asked->got_len, 2 * strlen(SENT_A));
	asked->ended = false;
	script_end(asked);
	assert_int_equal(stage.net.connected, 3);
	assert_slice("again", script_got(stage_engine(&stage)), SLICE(SENT_A));
}

static void a_connection_in_progress_is_waited_for(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage.net.handshake = -EAGAIN;
	script_arrive(client, SLICE(GET_A));
	struct script *engine = stage_engine(&stage);
	stage_pass(&stage, DIAL_LIMIT - 1);
	assert_slice("nothing yet", script_got(engine), SLICE(""));
	script_handshake(engine, 0);
	assert_slice("request", script_got(engine), SLICE(SENT_A));
}

static void one_that_never_comes_is_a_504(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage.net.handshake = -EAGAIN;
	script_arrive(client, SLICE(GET_A));
	stage_pass(&stage, DIAL_LIMIT);
	assert_true(responded(client, "HTTP/1.1 504 "));
	assert_true(stage_engine(&stage)->closed);
}

static void without_memory_for_the_next_member_the_former_one_is_waited_for(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage_group(&stage);
	stage.net.handshake = -EAGAIN;
	script_arrive(client, SLICE(GET_A));
	struct script *first = stage_engine(&stage);
	is_without_memory = true;
	stage_pass(&stage, MOVE_LIMIT);
	is_without_memory = false;
	assert_false(first->closed);
	assert_ptr_equal(stage_engine(&stage), first);
	stage_pass(&stage, DIAL_LIMIT);
	struct script *second = stage_engine(&stage);
	assert_true(first->closed);
	assert_ptr_not_equal(second, first);
	script_handshake(second, 0);
	assert_slice("request", script_got(second), SLICE(SENT_A));
}

static void without_memory_for_the_next_member_a_refusal_is_told(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage_group(&stage);
	stage.net.handshake = -EAGAIN;
	script_arrive(client, SLICE(GET_A));
	is_without_memory = true;
	script_handshake(stage_engine(&stage), -ECONNREFUSED);
	is_without_memory = false;
	assert_true(responded(client, "HTTP/1.1 502 "));
}

static void one_that_is_refused_late_is_a_502(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage.net.handshake = -EAGAIN;
	script_arrive(client, SLICE(GET_A));
	script_handshake(stage_engine(&stage), -ECONNREFUSED);
	assert_true(responded(client, "HTTP/1.1 502 "));
}

static void a_full_queue_is_tried_again_and_then_a_504(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *other = stage_client(&stage);

	(void)state;
	stage.net.connect_error = -EAGAIN;
	script_arrive(client, SLICE(GET_A));
	for (int64_t waited = 0; waited < DIAL_LIMIT; waited += 20 * NS_PER_MS) {
		assert_slice("nothing yet", script_got(client), SLICE(""));
		stage_pass(&stage, 20 * NS_PER_MS);
	}
	assert_true(responded(client, "HTTP/1.1 504 "));
	script_arrive(other, SLICE(GET_A));
	stage.net.connect_error = 0;
	stage_pass(&stage, 20 * NS_PER_MS);
	assert_slice("request", script_got(stage_engine(&stage)), SLICE(SENT_A));
}

static void what_we_are_short_of_is_a_503(void **state)
{
	static const int errors[] = {-EMFILE, -ENFILE, -ENOMEM, -ENOBUFS};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
		struct script *client = stage_client(&stage);
		stage.net.connect_error = errors[i];
		script_arrive(client, SLICE(GET_A));
		assert_true(responded(client, "HTTP/1.1 503 "));
	}
}

static void health_is_a_dial(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage.net.handshake = -EAGAIN;
	script_arrive(client, SLICE("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_slice("nothing yet", script_got(client), SLICE(""));
	script_handshake(stage_engine(&stage), 0);
	assert_true(responded(client, "HTTP/1.1 200 "));
	assert_slice("nothing was asked", script_got(stage_engine(&stage)), SLICE(""));
	assert_true(stage_engine(&stage)->closed);
	script_arrive(client, SLICE("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"));
	client->got_len = 0;
	stage_pass(&stage, DIAL_LIMIT);
	assert_true(responded(client, "HTTP/1.1 503 "));
}

static void a_tunnel_ends_by_halves(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	script_arrive(client, SLICE("POST /containers/a/attach?stream=1 HTTP/1.1\r\nHost: x\r\n"
	                            "Upgrade: tcp\r\nConnection: Upgrade\r\n\r\n"));
	struct script *engine = stage_engine(&stage);
	script_arrive(engine,
	        SLICE("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"));
	engine->got_len = client->got_len = 0;
	script_arrive(client, SLICE("in"));
	script_end(client);
	assert_slice("in", script_got(engine), SLICE("in"));
	assert_true(engine->finished);
	assert_false(client->finished);
	script_arrive(engine, SLICE("out"));
	script_end(engine);
	assert_slice("out", script_got(client), SLICE("out"));
	assert_true(client->finished);
}

static void long_chunks_are_spliced_and_come_out_whole(void **state)
{
	static char data[100 * 1024];

	(void)state;
	stage.net.splices = true;
	struct script *client = stage_client(&stage);
	memset(data, 'd', sizeof(data));
	script_arrive(client, SLICE("POST /images/load HTTP/1.1\r\nHost: x\r\n"
	                            "Transfer-Encoding: chunked\r\n\r\n"));
	struct script *engine = stage_engine(&stage);
	engine->got_len = 0;
	for (unsigned i = 0; i < 2; i++) {
		script_arrive(client, SLICE("19000\r\n"));
		script_arrive(client, (struct slice){data, sizeof(data)});
		script_arrive(client, SLICE("\r\n"));
		stage_turn(&stage);
	}
	script_arrive(client, SLICE("0\r\n\r\n"));
	stage_turn(&stage);
	const size_t each = strlen("19000\r\n") + sizeof(data) + 2;
	assert_int_equal(engine->got_len, 2 * each + 5);
	assert_true(slice_starts_with(slice_behind(script_got(engine), each), SLICE("19000\r\n")));
	assert_slice("the end", slice_behind(script_got(engine), 2 * each), SLICE("0\r\n\r\n"));
}

/* What follows a response, and was not asked for, would be taken for the next one. */
static void a_connection_that_says_more_is_not_reused(void **state)
{
	static char data[40 * 1024];

	(void)state;
	stage.net.splices = true;
	struct script *client = stage_client(&stage);
	memset(data, 'd', sizeof(data));
	script_arrive(client, SLICE(GET_A));
	struct script *engine = stage_engine(&stage);
	script_arrive(engine, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 40960\r\n\r\n"));
	script_arrive(engine, (struct slice){data, sizeof(data) / 2});
	assert_false(engine->closed);
	memcpy(data + sizeof(data) / 2, "HTTP/1.1", 8);
	script_arrive(engine, (struct slice){data, sizeof(data) / 2 + 8});
	stage_turn(&stage);
	assert_true(engine->closed);
	assert_false(client->closed);
}

/* ── Malformed responses, and what the client gets in their place ────────── */

#define CLOSING "Connection: close\r\n"

static bool got(const struct script *script, const char *words)
{
	return script->got != NULL &&
	       memmem(script->got, script->got_len, words, strlen(words)) != NULL;
}

/* A client's request, and the connection on which the Engine got it. */
static struct script *ask(struct script *client, const char *request)
{
	script_arrive(client, slice_of(request));
	struct script *engine = stage_engine(&stage);
	assert_non_null(engine);
	assert_false(engine->closed);
	return engine;
}

static void respond(struct script *engine, const char *bytes)
{
	script_arrive(engine, slice_of(bytes));
	stage_turn(&stage);
}

static void responses_that_cannot_be_used_are_502(void **state)
{
	static const struct {
		const char *request;
		const char *response;
		const char *message;
	} rows[] = {
	        {GET_A, "HTTP/1.1 2OO OK\r\n\r\n", "the Engine's response is malformed"},
	        {GET_A, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
	                "the Engine's response is malformed"},
	        {GET_A, "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
	                "the head of the Engine's response is malformed or too large"},
	        {GET_A, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
	                "the Engine switched to a protocol that the client did not ask for"},
	        {"POST /containers/a/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
	         "Upgrade: tcp\r\n\r\n",
	                "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: udp\r\n\r\n",
	                "the Engine switched to a protocol that the client did not ask for"},
	        {"POST /containers/a/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
	         "Upgrade: tcp\r\n\r\n",
	                "HTTP/1.1 101 UPGRADED\r\n\r\n",
	                "the Engine switched to a protocol that the client did not ask for"},
	        {"POST /containers/a/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
	         "Upgrade: tcp,,x\r\n\r\n",
	                "HTTP/1.1 101 UPGRADED\r\n\r\n", "did not ask for"},
	        {"POST /exec/a/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
	         "Upgrade: tcp\r\nContent-Length: 2\r\n\r\n{",
	                "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
	                "the Engine took over the connection before it had the whole request"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct script *client = stage_client(&stage);
		struct script *engine = ask(client, rows[i].request);
		respond(engine, rows[i].response);
		assert_that(rows[i].response, responded(client, "HTTP/1.1 502 Bad Gateway\r\n"));
		assert_true(got(client, rows[i].message));
		assert_true(engine->closed); /* nobody knows where its next response begins */
	}
}

static void a_head_without_end_is_a_502(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);
	static char filler[1024];

	(void)state;
	memset(filler, 'f', sizeof(filler));
	respond(engine, "HTTP/1.1 200 OK\r\nX: ");
	for (unsigned i = 0; i < 63; i++) {
		script_arrive(engine, (struct slice){filler, sizeof(filler)});
	}
	assert_slice("nothing yet", script_got(client), SLICE(""));
	script_arrive(engine, (struct slice){filler, sizeof(filler)});
	assert_true(responded(client, "HTTP/1.1 502 "));
}

static void the_largest_head_passes(void **state)
{
	static char head[64 * 1024 + 1];
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);
	const int len = snprintf(head, sizeof(head),
	        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: %0*d\r\n\r\n",
	        (int)sizeof(head) - 1 -
	                (int)strlen("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: \r\n\r\n"),
	        0);

	(void)state;
	assert_int_equal(len, 64 * 1024);
	respond(engine, head);
	assert_true(responded(client, "HTTP/1.1 200 OK\r\n"));
	assert_int_equal(client->got_len, len);
}

static void an_engine_that_says_nothing_is_a_502(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	script_end(ask(client, GET_A)); /* a connection of its own: it is not sent again */
	stage_turn(&stage);
	assert_true(responded(client, "HTTP/1.1 502 "));
	assert_int_equal(stage.net.connected, 1);
	script_reset(ask(client, POST_3 "abc"));
	assert_true(got(client, "the Engine closed the connection without a response"));
}

static void only_what_may_be_sent_twice_is(void **state)
{
	static const struct {
		const char *request;
		bool again;
	} rows[] = {
	        {GET_A, true},
	        {"HEAD /containers/a/json HTTP/1.1\r\nHost: x\r\n\r\n", true},
	        {"POST /containers/a/start HTTP/1.1\r\nHost: x\r\n\r\n", false},
	        {"GET /containers/a/attach/ws HTTP/1.1\r\nHost: x\r\n\r\n", false},
	        {"GET /containers/a/json HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1", false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct script *client = stage_client(&stage);
		respond(ask(client, GET_A), RESPONSE_2);
		client->got_len = 0;
		struct script *reused = ask(client, rows[i].request);
		const unsigned before = stage.net.connected;
		script_end(reused);
		stage_turn(&stage);
		assert_int_equal(stage.net.connected, before + (rows[i].again ? 1 : 0));
		assert_int_equal(responded(client, "HTTP/1.1 502 "), !rows[i].again);
		if (rows[i].again) { /* and not a third time */
			script_end(stage_engine(&stage));
			assert_true(responded(client, "HTTP/1.1 502 "));
			assert_int_equal(stage.net.connected, before + 1);
		}
	}
}

/* Once a byte of the response has come the Engine has the request. */
static void a_response_that_has_begun_is_not_asked_for_again(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	respond(ask(client, GET_A), RESPONSE_2);
	client->got_len = 0;
	struct script *engine = ask(client, GET_A);
	respond(engine, "HTTP/1.1 2");
	script_end(engine);
	assert_true(responded(client, "HTTP/1.1 502 "));
	assert_int_equal(stage.net.connected, 1);
}

/* ── Interim responses ─────────────────────────────────────────────────────── */

#define INTERIM "HTTP/1.1 100 Continue\r\n\r\n"

static void interim_responses_pass(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	respond(engine, INTERIM INTERIM);
	assert_slice("interim", script_got(client), SLICE(INTERIM INTERIM));
	respond(engine, RESPONSE_2);
	assert_slice("all", script_got(client), SLICE(INTERIM INTERIM RESPONSE_2));
	assert_false(client->finished);
}

static void one_that_waits_for_a_slow_client_comes_first(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	client->room = 0;
	respond(engine, INTERIM RESPONSE_2);
	assert_slice("nothing", script_got(client), SLICE(""));
	script_give_room(client, 3);
	assert_slice("a little", script_got(client), SLICE("HTT"));
	script_give_room(client, 1000);
	stage_turn(&stage);
	assert_slice("all", script_got(client), SLICE(INTERIM RESPONSE_2));
}

static void an_old_client_gets_none(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, "GET /containers/a/json HTTP/1.0\r\n\r\n");

	(void)state;
	respond(engine, INTERIM RESPONSE_2);
	assert_slice("only the response", script_got(client),
	        SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" CLOSING "\r\nok"));
	assert_true(client->finished);
}

static void a_hundred_are_enough(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		respond(engine, INTERIM);
	}
	assert_int_equal(client->got_len, 100 * strlen(INTERIM));
	client->got_len = 0;
	respond(engine, INTERIM);
	assert_true(responded(client, "HTTP/1.1 502 "));
}

/* ── How long a connection lasts ─────────────────────────────────────────── */

static void who_is_silent_is_dropped(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage_pass(&stage, 300 * NS_PER_S - 1);
	assert_false(client->closed);
	respond(ask(client, GET_A), RESPONSE_2);
	stage_pass(&stage, 300 * NS_PER_S - 1);
	assert_false(client->closed);
	stage_pass(&stage, 1);
	assert_true(client->closed);
	assert_slice("no word", script_got(client), SLICE(RESPONSE_2));
}

static void a_head_that_does_not_end_is_a_408(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	script_arrive(client, SLICE("GET /containers/a/json HTTP/1.1\r\n"));
	stage_pass(&stage, 10 * NS_PER_S - 1);
	script_arrive(client, SLICE("X: y\r\n")); /* gains nothing */
	assert_slice("nothing yet", script_got(client), SLICE(""));
	stage_pass(&stage, 1);
	assert_true(responded(client, "HTTP/1.1 408 "));
	assert_true(client->finished);
	stage_pass(&stage, 5 * NS_PER_S - 1);
	assert_false(client->closed); /* it may still read */
	stage_pass(&stage, 1);
	assert_true(client->closed);
}

static void a_client_that_does_not_take_a_local_response_is_dropped(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	client->room = 10;
	script_arrive(client, SLICE("GET / HTTP/3\r\n\r\n"));
	assert_slice("a part", script_got(client), SLICE("HTTP/1.1 4"));
	stage_pass(&stage, 30 * NS_PER_S - 1);
	assert_false(client->closed);
	stage_pass(&stage, 1);
	assert_true(client->closed);
}

static void the_rest_of_a_request_after_an_early_response_is_taken(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, POST_3 "a");

	(void)state;
	respond(engine, RESPONSE_2);
	assert_slice("response", script_got(client), SLICE(RESPONSE_2));
	stage_pass(&stage, 30 * NS_PER_S - 1);
	script_arrive(client, SLICE("bc" GET_A));
	stage_turn(&stage);
	assert_slice("both", script_got(engine), SLICE(SENT_3 "abc" SENT_A));
	respond(engine, RESPONSE_2);
	assert_slice("responses", script_got(client), SLICE(RESPONSE_2 RESPONSE_2));
}

static void a_rest_that_does_not_come_ends_the_connection(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, POST_3 "a");

	(void)state;
	respond(engine, RESPONSE_2);
	stage_pass(&stage, 30 * NS_PER_S);
	assert_true(client->closed);
	assert_true(engine->closed);
}

static void an_engine_that_closes_early_does_not_get_the_rest(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, POST_3 "a");

	(void)state;
	respond(engine, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n" CLOSING "\r\n");
	assert_slice("response", script_got(client),
	        SLICE("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n" CLOSING "\r\n"));
	assert_true(engine->closed);
	assert_true(client->finished);
	script_arrive(client, SLICE("bc"));
	script_end(client);
	assert_true(client->closed);
}

static void who_wants_no_more_gets_no_more(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine =
	        ask(client, "GET /containers/a/json HTTP/1.1\r\nHost: x\r\n" CLOSING "\r\n" GET_A);

	(void)state;
	respond(engine, RESPONSE_2);
	assert_slice("one request", script_got(engine), SLICE(SENT_A));
	assert_slice("response", script_got(client),
	        SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" CLOSING "\r\nok"));
	assert_true(client->finished);
}

static void an_old_client_can_ask_to_be_kept(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, "GET /containers/a/json HTTP/1.0\r\n"
	                                    "Connection: keep-alive\r\n\r\n");

	(void)state;
	respond(engine, RESPONSE_2);
	assert_slice("response", script_got(client),
	        SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"));
	assert_false(client->finished);
}

/* Only the client's end would say that a body has ended: it must not be one when it is cut. */
static void a_body_that_is_cut_ends_with_a_reset(void **state)
{
	static const struct {
		const char *request;
		const char *head;
		bool cut;
	} rows[] = {
	        {GET_A, "HTTP/1.1 200 OK\r\n\r\nsome", true},
	        {"GET /containers/a/json HTTP/1.0\r\n\r\n",
	                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n", true},
	        {GET_A, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
	                false},
	        {GET_A, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome", false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct script *client = stage_client(&stage);
		struct script *engine = ask(client, rows[i].request);
		respond(engine, rows[i].head);
		script_reset(engine);
		stage_turn(&stage);
		assert_that(rows[i].head, client->closed);
		assert_that(rows[i].head, client->cut == rows[i].cut);
		assert_that(rows[i].head, !client->finished);
	}
}

static void a_body_that_ends_with_the_connection_ends(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	respond(engine, "HTTP/1.1 200 OK\r\n\r\nsome");
	assert_false(client->finished);
	script_end(engine);
	stage_turn(&stage);
	assert_true(client->finished);
	assert_false(client->cut);
	assert_slice("all", script_got(client), SLICE("HTTP/1.1 200 OK\r\n" CLOSING "\r\nsome"));
}

/* unix(7): who closes with unread bytes ends the connection with an error. */
static void an_engine_that_has_not_read_all_may_end_with_an_error(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage.net.room = strlen(SENT_3) + 1;
	struct script *engine = ask(client, POST_3 "abc");
	respond(engine, "HTTP/1.1 400 Bad\r\n\r\nsome");
	script_reset(engine);
	stage_turn(&stage);
	assert_slice("all", script_got(client), SLICE("HTTP/1.1 400 Bad\r\n" CLOSING "\r\nsome"));
	assert_true(client->finished);
	assert_false(client->cut);
}

static void a_body_that_is_too_short_is_no_end(void **state)
{
	static const char *const heads[] = {
	        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome",
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(heads); i++) {
		struct script *client = stage_client(&stage);
		struct script *engine = ask(client, GET_A);
		respond(engine, heads[i]);
		script_end(engine);
		stage_turn(&stage);
		assert_true(client->closed);
		assert_false(client->finished);
		assert_slice("what came", script_got(client), slice_of(heads[i]));
	}
}

static void malformed_chunks_go_no_further(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	respond(engine, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n");
	assert_slice("what was in order", script_got(client),
	        SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"));
	assert_true(client->closed);
	struct script *other = stage_client(&stage);
	script_arrive(other, SLICE("POST /images/load HTTP/1.1\r\nHost: x\r\n"
	                           "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n"));
	engine = stage_engine(&stage);
	stage_turn(&stage);
	assert_true(responded(other, "HTTP/1.1 400 "));
	assert_true(engine->closed);
	assert_true(slice_ends_with(script_got(engine), SLICE("\r\n\r\n1\r\na\r\n")));
}

/* ── The client's end ────────────────────────────────────────────────────── */

static void the_engine_learns_that_its_client_has_ended(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	script_end(client);
	assert_true(engine->finished);
	assert_false(client->closed);
	respond(engine, RESPONSE_2);
	assert_slice("response", script_got(client), SLICE(RESPONSE_2));
	assert_true(client->closed);
	assert_true(engine->closed); /* it takes no other request */
}

static void it_learns_so_on_a_reused_connection(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	respond(ask(client, GET_A), RESPONSE_2);
	struct script *engine = ask(client, GET_A);
	assert_int_equal(stage.net.connected, 1);
	script_end(client);
	assert_true(engine->finished);
}

/* Unless the request may be sent again: then its bytes are kept where they are. */
static void what_follows_a_request_is_read_meanwhile(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	script_arrive(client, SLICE(GET_A));
	assert_int_equal(client->read, client->arrived_len);
	respond(engine, RESPONSE_2);
	respond(engine, RESPONSE_2);
	engine = ask(client, GET_A);
	assert_int_equal(stage.net.connected, 1);
	script_arrive(client, SLICE(GET_A));
	assert_int_equal(client->read, client->arrived_len - strlen(GET_A));
}

static void requests_that_wait_keep_the_end_from_it(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A GET_A);

	(void)state;
	script_end(client);
	assert_false(engine->finished);
	respond(engine, RESPONSE_2);
	engine = stage_engine(&stage);
	stage_turn(&stage);
	assert_true(engine->finished); /* behind the second there is none */
	respond(engine, RESPONSE_2);
	assert_slice("responses", script_got(client), SLICE(RESPONSE_2 RESPONSE_2));
	assert_true(client->closed);
}

static void half_a_request_does_not(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A "GET /conta");

	(void)state;
	script_end(client);
	assert_true(engine->finished);
	respond(engine, RESPONSE_2);
	assert_slice("response", script_got(client), SLICE(RESPONSE_2));
	assert_true(client->closed);
}

static void a_client_that_is_gone_ends_it_all(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	script_reset(client);
	assert_true(engine->closed);
	assert_true(client->closed);
	client = stage_client(&stage);
	engine = ask(client, POST_3 "a");
	script_reset(client);
	assert_true(engine->closed);
	client = stage_client(&stage);
	engine = ask(client, GET_A);
	respond(engine, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome");
	script_reset(client);
	assert_true(engine->closed);
}

static void an_end_in_a_body_is_no_request(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, POST_3 "a");

	(void)state;
	script_end(client);
	stage_turn(&stage);
	assert_true(engine->closed);
	assert_true(client->closed);
}

static void an_end_before_the_response_is_over_keeps_nothing(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	script_arrive(client, SLICE("GET /conta"));
	script_end(client);
	assert_true(client->closed);
	assert_null(stage_engine(&stage));
}

/* ── Tunnels ─────────────────────────────────────────────────────────────── */

#define EXEC                                                                                       \
	"POST /exec/a/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"        \
	"Content-Length: 2\r\n\r\n{}"
#define SWITCHED "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
#define RAW      "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"

static struct script *tunnel(struct script *client, const char *head)
{
	struct script *engine = ask(client, EXEC);

	respond(engine, head);
	assert_true(client->got_len > 0);
	client->got_len = engine->got_len = 0;
	return engine;
}

static void bytes_pass_both_ways(void **state)
{
	static const char *const heads[] = {SWITCHED, RAW};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(heads); i++) {
		struct script *client = stage_client(&stage);
		struct script *engine = tunnel(client, heads[i]);
		script_arrive(client, SLICE("GET / HTTP/1.1\r\n\r\n\r\n"));
		script_arrive(engine, SLICE("\x00\xff\r\n"));
		assert_slice("in", script_got(engine), SLICE("GET / HTTP/1.1\r\n\r\n\r\n"));
		assert_slice("out", script_got(client), SLICE("\x00\xff\r\n"));
		stage_pass(&stage, 3600 * NS_PER_S); /* silence is no end */
		script_arrive(client, SLICE("more"));
		assert_true(slice_ends_with(script_got(engine), SLICE("more")));
		script_end(engine);
		script_end(client);
		assert_true(client->closed);
		assert_true(engine->closed);
	}
}

/* The end stands behind the input: told first, it would end the command before its input. */
static void the_end_of_early_input_follows_it(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, EXEC "early");

	(void)state;
	script_end(client);
	assert_false(engine->finished);
	respond(engine, SWITCHED);
	assert_true(slice_ends_with(script_got(engine), SLICE("{}early")));
	assert_true(engine->finished);
}

static void what_came_early_is_the_tunnels(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	struct script *engine = ask(client, EXEC "early");
	respond(engine, SWITCHED "first");
	assert_slice("response", script_got(client), SLICE(SWITCHED "first"));
	assert_true(slice_ends_with(script_got(engine), SLICE("{}early")));
}

static void an_engine_that_is_gone_ends_the_tunnel(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = tunnel(client, SWITCHED);

	(void)state;
	script_arrive(engine, SLICE("last"));
	script_reset(engine);
	stage_turn(&stage);
	assert_slice("last words", script_got(client), SLICE("last"));
	assert_true(client->finished);
	assert_true(engine->closed);
	stage_pass(&stage, 5 * NS_PER_S);
	assert_true(client->closed);
}

static void a_client_that_is_gone_ends_the_tunnel(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = tunnel(client, SWITCHED);

	(void)state;
	script_reset(client);
	assert_true(engine->closed);
	assert_true(client->closed);
	client = stage_client(&stage);
	engine = tunnel(client, SWITCHED);
	engine->room = 0;
	script_arrive(client, SLICE("what nobody takes"));
	script_reset(client);
	assert_true(engine->closed);
}

/* Its last words are still to come, though it takes no more. */
static void an_engine_that_takes_no_more_may_still_speak(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = tunnel(client, SWITCHED);

	(void)state;
	client->room = 0;
	engine->deaf = true;
	script_arrive(engine, SLICE("last"));
	script_end(engine);
	script_arrive(client, SLICE("nobody reads this"));
	assert_false(client->closed);
	script_give_room(client, 100);
	assert_slice("last words", script_got(client), SLICE("last"));
	assert_true(client->finished);
}

static void the_head_of_an_attach_ends_its_request(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, "POST /containers/a/attach HTTP/1.1\r\nHost: x\r\n"
	                                    "Connection: Upgrade\r\nUpgrade: tcp\r\n"
	                                    "Content-Length: 3\r\n\r\nabc");

	(void)state;
	assert_false(got(engine, "abc"));
	assert_true(got(engine, "\r\nContent-Length: 0\r\n"));
	assert_true(slice_ends_with(script_got(engine), SLICE("\r\n\r\n")));
	respond(engine, SWITCHED);
	engine->got_len = 0;
	script_arrive(client, SLICE("in"));
	assert_slice("in", script_got(engine), SLICE("in"));
}

/* ── Idle connections to the Engine ──────────────────────────────────────── */

static void an_idle_one_is_kept_for_a_minute(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	respond(engine, RESPONSE_2);
	stage_pass(&stage, 60 * NS_PER_S - 1);
	assert_false(engine->closed);
	stage_pass(&stage, 1);
	assert_true(engine->closed);
}

/* A read that fills all the room says nothing of what else is there. */
static void one_that_may_be_readable_is_looked_at(void **state)
{
	static char bytes[4096 + 1];
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);
	const int head_len = (int)strlen("HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n");
	const int body = (int)sizeof(bytes) - 1 - head_len;

	(void)state;
	assert_int_equal(
	        snprintf(bytes, sizeof(bytes), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%*s",
	                body, body, ""),
	        4096);
	respond(engine, bytes);
	assert_int_equal(client->got_len, 4096);
	assert_false(engine->closed);
	assert_ptr_equal(ask(client, GET_A), engine);
}

static void one_that_speaks_out_of_turn_is_closed(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	respond(engine, RESPONSE_2 "HTTP/1.1 200 OK\r\n");
	assert_slice("response", script_got(client), SLICE(RESPONSE_2));
	assert_true(engine->closed);
	engine = ask(client, GET_A);
	respond(engine, RESPONSE_2);
	assert_false(engine->closed);
	script_arrive(engine, SLICE("HTTP/1.1 200 OK\r\n"));
	assert_true(engine->closed);
	engine = ask(client, GET_A);
	respond(engine, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" CLOSING "\r\nok");
	assert_true(engine->closed);
	assert_false(client->finished); /* the Engine's connection ends, not this one */
}

/* ── The end of the proxy ────────────────────────────────────────────────── */

static void stop(void)
{
	worker_stop(stage.worker);
	stage_turn(&stage);
}

/* Clients have been there for longer than newcomers. */
static void age(void)
{
	stage_pass(&stage, 2 * NS_PER_S);
}

static void idle_clients_go_at_once_and_others_get_responses(void **state)
{
	struct script *idle = stage_client(&stage);
	struct script *busy = stage_client(&stage);
	struct script *late = stage_client(&stage);
	struct script *lingering = stage_client(&stage);

	(void)state;
	script_arrive(lingering, SLICE("GET / HTTP/3\r\n\r\n"));
	assert_true(lingering->finished);
	struct script *engine = ask(busy, GET_A);
	script_arrive(late, SLICE("GET /containers/a/json HTTP/1.1\r\n"));
	age();
	stop();
	assert_true(idle->closed);
	assert_true(lingering->closed);
	assert_false(busy->closed);
	assert_false(late->closed);
	respond(engine, RESPONSE_2);
	assert_slice("response", script_got(busy),
	        SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" CLOSING "\r\nok"));
	respond(ask(late, "Host: x\r\n\r\n"), RESPONSE_2);
	assert_slice("of a request that began before", script_got(late),
	        SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" CLOSING "\r\nok"));
	script_end(late);
	assert_false(worker_loop(stage.worker)->stopped);
	script_end(busy);
	stage_turn(&stage);
	assert_true(worker_loop(stage.worker)->stopped);
}

static void newcomers_have_a_second_to_ask(void **state)
{
	struct script *asks = stage_client(&stage);
	struct script *silent = stage_client(&stage);

	(void)state;
	stop();
	assert_false(asks->closed);
	assert_false(silent->closed);
	respond(ask(asks, GET_A), RESPONSE_2);
	assert_true(asks->finished);
	script_end(asks);
	age();
	assert_true(silent->closed);
	stage_turn(&stage);
	assert_true(worker_loop(stage.worker)->stopped);
}

static void a_worker_without_clients_stops_at_once(void **state)
{
	(void)state;
	respond(ask(stage_client(&stage), GET_A), RESPONSE_2);
	age();
	stop();
	assert_true(worker_loop(stage.worker)->stopped);
	assert_true(stage_engine(&stage)->closed);
}

static void after_the_grace_everyone_is_dismissed(void **state)
{
	struct script *slow = stage_client(&stage);
	struct script *waiting = stage_client(&stage);
	struct script *reading = stage_client(&stage);

	(void)state;
	script_arrive(slow, SLICE("GET /containers/a/json HTTP/1.1\r\n"));
	struct script *engine = ask(reading, GET_A);
	respond(engine, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome");
	(void)ask(waiting, GET_A);
	stop();
	stage_pass(&stage, 5 * NS_PER_S - 1);
	assert_slice("nothing yet", script_got(slow), SLICE(""));
	stage_pass(&stage, 1);
	assert_true(responded(slow, "HTTP/1.1 503 "));
	assert_true(responded(waiting, "HTTP/1.1 503 "));
	assert_true(got(waiting, "before the Engine responded"));
	assert_true(reading->closed);
	stage_pass(&stage, NS_PER_S - 1);
	assert_false(slow->closed);
	stage_pass(&stage, 1);
	assert_true(slow->closed);
	assert_true(waiting->closed);
	assert_true(worker_loop(stage.worker)->stopped);
}

/* ── Much of it ──────────────────────────────────────────────────────────── */

static char filler[1024 * 1024];

static struct slice much(size_t len)
{
	memset(filler, 'x', sizeof(filler));
	return (struct slice){filler, len};
}

/* Also when it lasts longer than unused memory is kept, and nobody comes after it. */
static void memory_is_given_back_when_all_is_over(void **state)
{
	struct worker *worker = stage.worker;
	const struct pool *const pools[] = {&worker->session_pool, &worker->exchange_pool,
	        &worker->upstreams.connections, &worker->lender.buffers.small,
	        &worker->lender.buffers.large};
	struct script *clients[] = {stage_client(&stage), stage_client(&stage)};

	(void)state;
	clients[0]->room = 1000; /* it holds a large buffer, and the other a small one */
	clients[1]->room = 10;
	respond(ask(clients[1], GET_A), RESPONSE_2);
	struct script *engine = ask(clients[0], GET_A);
	respond(engine, "HTTP/1.1 200 OK\r\nContent-Length: 800000\r\n\r\n");
	script_arrive(engine, much(100000));
	stage_pass(&stage, 15 * NS_PER_S);
	for (unsigned i = 0; i < ARRAY_LEN(pools); i++) {
		assert_true(pools[i]->slab_count > 0);
	}
	script_reset(clients[0]);
	script_reset(clients[1]);
	stage_pass(&stage, 15 * NS_PER_S);
	stage_pass(&stage, 15 * NS_PER_S);
	for (unsigned i = 0; i < ARRAY_LEN(pools); i++) {
		assert_int_equal(pools[i]->slab_count, 0);
	}
}

/* Requests may wait behind this one, as far as a buffer holds them; what is no request hides
 * nothing. */
static void what_is_no_request_does_not_hide_the_end(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, POST_3 "abc");

	(void)state;
	script_arrive(client, much(512 * 1024));
	assert_true(client->read < 512 * 1024);
	assert_false(engine->finished);
	script_end(client);
	assert_true(engine->finished);
	respond(engine, RESPONSE_2);
	assert_true(responded(client, RESPONSE_2 "HTTP/1.1 431 ")); /* to what is no request */
}

static void what_comes_after_a_refusal_is_thrown_away(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	script_arrive(client, SLICE("GET / HTTP/3\r\n\r\n"));
	assert_true(responded(client, "HTTP/1.1 4"));
	for (unsigned i = 0; i < 3; i++) {
		script_arrive(client, much(sizeof(filler)));
	}
	stage_turn(&stage);
	assert_int_equal(client->read, client->arrived_len);
	script_end(client);
	assert_true(client->closed);
}

static void a_client_that_is_lost_while_the_engine_takes_nothing_ends_it(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage.net.room = 10;
	struct script *engine = ask(client, "POST /images/load HTTP/1.1\r\nHost: x\r\n"
	                                    "Content-Length: 1000000\r\n\r\n");
	script_arrive(client, much(999999));
	script_reset(client);
	assert_true(client->closed);
	assert_true(engine->closed);
	assert_int_equal(engine->got_len, 10);
}

/* What follows the head of an attach is input: chunks that are none wait for the response. */
static void early_bytes_of_an_attach_wait_for_the_response(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, "POST /containers/a/attach HTTP/1.1\r\nHost: x\r\n"
	                                    "Transfer-Encoding: chunked\r\n\r\nno chunk\r\n");

	(void)state;
	assert_false(client->closed);
	assert_false(got(engine, "no chunk"));
	respond(engine, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	assert_true(responded(client, "HTTP/1.1 404 "));
	assert_true(client->finished);
	assert_false(got(engine, "no chunk"));
}

/* ── The log ───────────────────────────────────────────────────────────── */

static struct capture capture;

/* What was logged since capture_begin(). */
static void capture_all(void)
{
	stage_pass(&stage, NS_PER_S);
	log_setup(LOG_EMERG, LOG_TEXT);
	capture_read(&capture);
	capture_end(&capture);
}

/* Nothing more is lent. */
static void exhaust(struct pool *pool)
{
	pool->max = pool->lent;
}

static void a_body_that_is_cut_is_logged_with_the_bytes_that_came(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	capture_begin(&capture);
	respond(engine, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome");
	script_reset(engine);
	stage_turn(&stage);
	capture_all();
	assert_non_null(strstr(capture.said, " status=200 bytes=4 "));
}

#define NO_MEMORY "reason=\"the proxy has no memory left: the connection is closed\"\n"

static void no_memory_for_the_first_bytes_is_logged(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	exhaust(&stage.worker->lender.buffers.small);
	capture_begin(&capture);
	script_arrive(client, SLICE(GET_A));
	capture_all();
	assert_true(client->closed);
	assert_int_equal(client->got_len, 0);
	assert_non_null(strstr(capture.said, "method=- path=- status=0 bytes=0 ms=0.000 client="));
	assert_non_null(strstr(capture.said, NO_MEMORY));
}

static void no_memory_for_an_exchange_is_logged(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	exhaust(&stage.worker->exchange_pool);
	capture_begin(&capture);
	script_arrive(client, SLICE(GET_A));
	capture_all();
	assert_true(client->closed);
	assert_non_null(strstr(capture.said, NO_MEMORY));
}

static void no_memory_for_a_response_is_logged_with_its_request(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	exhaust(&stage.worker->lender.buffers.small);
	capture_begin(&capture);
	respond(engine, RESPONSE_2);
	capture_all();
	assert_true(client->closed);
	assert_non_null(strstr(capture.said, "method=GET path=/containers/a/json status=0 "));
	assert_non_null(strstr(capture.said, NO_MEMORY));
}

static void no_memory_for_a_local_response_is_logged_with_its_request(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	stage.net.connect_error = -ECONNREFUSED;
	script_arrive(client, SLICE("GET /containers/a/json HT"));
	exhaust(&stage.worker->lender.buffers.small);
	capture_begin(&capture);
	script_arrive(client, SLICE("TP/1.1\r\nHost: x\r\n\r\n"));
	capture_all();
	assert_true(client->closed);
	assert_int_equal(client->got_len, 0);
	assert_non_null(strstr(capture.said, "method=GET path=/containers/a/json status=0 "));
	assert_non_null(strstr(capture.said, NO_MEMORY));
}

static void no_memory_for_a_body_is_logged_with_the_status(void **state)
{
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_A);

	(void)state;
	respond(engine, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome");
	exhaust(&stage.worker->lender.buffers.small);
	capture_begin(&capture);
	script_arrive(engine, SLICE("more"));
	capture_all();
	assert_true(client->closed);
	assert_non_null(strstr(capture.said, "method=GET path=/containers/a/json status=200 "));
	assert_non_null(strstr(capture.said, NO_MEMORY));
}

/* ── Look-ups ────────────────────────────────────────────────────────────── */

#define LOOKUP_LIMIT (30 * NS_PER_S)
#define GET_MINE     "GET /containers/mine/json HTTP/1.1\r\nHost: x\r\n\r\n"
#define ANSWER(id)                                                                                 \
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 55\r\n\r\n"          \
	"{\"Id\":\"" id "\",\"Config\":{\"Labels\":{\"team\":\"ci\"}}}"

/* Everything is allowed, of the objects with the label. */
static const struct policy *scoped(const char *name)
{
	static const char *const everything[] = {"*", NULL};
	static const struct scope scope = {.count = 1, .labels = {{"team", "ci"}}};
	const struct policy_match match = {.operations = everything};
	const struct place place = {.file = "test"};
	struct policy *policy = NULL;
	char error[FAULT_MAX];

	if (policy_new(stage.policies, slice_of(name), place, &policy, error) < 0 ||
	        policy_add_rule(policy, true, &match, "allow", place, error) < 0) {
		fail_msg("%s", error);
	}
	policy_scope_to(policy, &scope);
	if (policy_compile(policy, error) < 0) {
		fail_msg("%s", error);
	}
	return policy;
}

static void a_question_has_thirty_seconds_whatever_trickles(void **state)
{
	(void)state;
	stage.snapshot.listeners[0].gate.policy = scoped("first");
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_MINE);
	assert_true(slice_starts_with(script_got(engine), SLICE("GET /containers/mine/json ")));
	const size_t asked = engine->got_len;

	stage_pass(&stage, LOOKUP_LIMIT - 1);
	respond(engine, "HTTP/1.1 200 OK\r\n"); /* gains nothing */
	assert_slice("nothing yet", script_got(client), SLICE(""));
	stage_pass(&stage, 1);
	assert_true(responded(client, "HTTP/1.1 504 "));
	assert_true(engine->closed);
	assert_int_equal(engine->got_len, asked); /* the request itself was not sent */
}

static void a_look_up_moves_on_as_soon_as_a_request_does(void **state)
{
	(void)state;
	stage_group(&stage);
	stage.snapshot.listeners[0].gate.policy = scoped("group");
	stage.net.handshake = -EAGAIN;
	struct script *client = stage_client(&stage);
	const struct script *first = ask(client, GET_MINE);
	for (int64_t waited = 0; waited < MOVE_LIMIT; waited += 20 * NS_PER_MS) {
		assert_false(first->closed);
		stage_pass(&stage, 20 * NS_PER_MS);
	}
	struct script *second = stage_engine(&stage);
	assert_true(first->closed);
	assert_ptr_not_equal(first, second);
	script_handshake(second, 0);
	assert_true(slice_starts_with(script_got(second), SLICE("GET /containers/mine/json ")));
}

static void a_look_up_that_is_refused_moves_on(void **state)
{
	(void)state;
	stage_group(&stage);
	stage.snapshot.listeners[0].gate.policy = scoped("refused");
	stage.net.handshake = -EAGAIN;
	struct script *client = stage_client(&stage);
	struct script *first = ask(client, GET_MINE);
	stage.net.handshake = 0;
	script_handshake(first, -ECONNREFUSED);
	struct script *second = stage_engine(&stage);
	assert_ptr_not_equal(first, second);
	assert_true(slice_starts_with(script_got(second), SLICE("GET /containers/mine/json ")));
	second->got_len = 0;
	respond(second, ANSWER("0123456789ab"));
	stage_turn(&stage);
	assert_true(
	        slice_starts_with(script_got(second), SLICE("GET /containers/0123456789ab/json ")));
}

static void a_look_up_of_one_engine_has_ten_seconds_for_its_connection(void **state)
{
	(void)state;
	stage.snapshot.listeners[0].gate.policy = scoped("slow");
	stage.net.handshake = -EAGAIN;
	struct script *client = stage_client(&stage);
	(void)ask(client, GET_MINE);
	for (int64_t waited = 0; waited < DIAL_LIMIT; waited += 20 * NS_PER_MS) {
		assert_slice("nothing yet", script_got(client), SLICE(""));
		stage_pass(&stage, 20 * NS_PER_MS);
	}
	assert_true(responded(client, "HTTP/1.1 504 "));
	assert_non_null(strstr(script_got(client).ptr, "in time"));
}

/* The default Engine is at that path from now on. */
static void move_engine(const char *path)
{
	struct engine_places *places = engine_places_new(1, 1);

	assert_non_null(places);
	places->list[0] =
	        (struct engine_place){.id = 0, .address = address_of_path(slice_of(path))};
	worker_move_engines(stage.worker, places);
}

static void an_engine_that_moves_during_a_look_up_does_not_get_the_request(void **state)
{
	(void)state;
	stage.snapshot.listeners[0].gate.policy = scoped("moves");
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_MINE);
	move_engine("/elsewhere.sock");
	engine->got_len = 0;
	respond(engine, ANSWER("0123456789ab"));
	assert_true(responded(client, "HTTP/1.1 502 "));
	assert_non_null(strstr(script_got(client).ptr, "has moved"));
	assert_slice("the former one", script_got(engine), SLICE(""));
	assert_int_equal(stage.net.connected, 1);
}

static void an_engine_that_moves_before_a_request_is_asked_where_it_is(void **state)
{
	(void)state;
	stage.snapshot.listeners[0].gate.policy = scoped("moved");
	struct script *client = stage_client(&stage);
	move_engine("/elsewhere.sock");
	struct script *engine = ask(client, GET_MINE);
	respond(engine, ANSWER("0123456789ab"));
	assert_true(slice_starts_with(script_got(stage_engine(&stage)), SLICE("GET /containers/")));
	assert_slice("no response yet", script_got(client), SLICE(""));
}

static void the_engine_has_all_its_time_for_the_request_itself(void **state)
{
	(void)state;
	stage.snapshot.listeners[0].gate.policy = scoped("second");
	struct script *client = stage_client(&stage);
	struct script *engine = ask(client, GET_MINE);

	stage_pass(&stage, LOOKUP_LIMIT - 1);
	engine->got_len = 0;
	respond(engine, ANSWER("0123456789ab"));
	engine = stage_engine(&stage);
	assert_true(
	        slice_starts_with(script_got(engine), SLICE("GET /containers/0123456789ab/json ")));
	stage_pass(&stage, 3600 * NS_PER_S);
	respond(engine, RESPONSE_2);
	assert_slice("response", script_got(client), SLICE(RESPONSE_2));
}

/* ── Denials ─────────────────────────────────────────────────────────────── */

static const struct policy *nothing_allowed(void)
{
	const struct place place = {.file = "test"};
	struct policy *policy = NULL;
	char error[FAULT_MAX];

	if (policy_set_find(stage.policies, SLICE("deny"), place, &policy, error) < 0 ||
	        policy_compile(policy, error) < 0) {
		fail_msg("%s", error);
	}
	return policy;
}

static void a_denied_request_leaves_the_connection_in_order(void **state)
{
	(void)state;
	struct script *client = stage_client(&stage);
	stage.snapshot.listeners[0].gate.policy = nothing_allowed();
	script_arrive(client, SLICE(POST_3 "abc"));
	assert_true(responded(client, "HTTP/1.1 403 "));
	assert_false(client->held);
	assert_false(client->finished);
	client->got_len = 0;
	script_arrive(client, SLICE(POST_3 "a")); /* all of it is to be read first */
	assert_true(responded(client, "HTTP/1.1 403 "));
	assert_true(client->finished);
	assert_null(stage_engine(&stage));
	const size_t before = client->got_len;
	script_arrive(client, SLICE("bc" GET_A));
	assert_int_equal(client->got_len, before);
}

/* Whether nobody was told yet that the listener's clients are denied that. */
static bool is_news(const char *method, const char *path, bool observed)
{
	const struct caller caller = {.address = {.any = {.sa_family = AF_UNIX}}};
	const struct docker_target target = {.method = slice_of(method), .path = slice_of(path)};
	static struct docker_request request;

	assert_int_equal(docker_route(&target, &request), DOCKER_OK);
	return denials_count(&stage.shared.denials, worker_loop(stage.worker)->now_ns, &caller,
	               docker_operation_name(request.id), observed, 0) > 0;
}

static void denials_are_reported_and_what_is_allowed_is_not(void **state)
{
	const struct place place = {.file = "test"};
	struct policy *watching = NULL;
	char error[FAULT_MAX];

	(void)state;
	struct script *client = stage_client(&stage);
	respond(ask(client, GET_A), RESPONSE_2);
	assert_true(is_news("GET", "/containers/a/json", false));
	stage.snapshot.listeners[0].gate.policy = nothing_allowed();
	script_arrive(client, SLICE(POST_3 "abc"));
	assert_false(is_news("POST", "/images/load", false));

	assert_int_equal(policy_new(stage.policies, SLICE("watching"), place, &watching, error), 0);
	policy_observe(watching);
	assert_int_equal(policy_compile(watching, error), 0);
	stage.snapshot.listeners[0].gate.policy = watching;
	assert_true(is_news("GET", "/info", true));
	(void)ask(client, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_false(is_news("GET", "/version", true));
}

static void a_denied_head_has_no_body(void **state)
{
	struct script *client = stage_client(&stage);

	(void)state;
	script_arrive(client, SLICE("HEAD /containers/a/json HTTP/1.1\r\nHost: x\r\n"
	                            "Origin: http://evil\r\n\r\n"));
	assert_true(responded(client, "HTTP/1.1 403 "));
	assert_true(slice_ends_with(script_got(client), SLICE("\r\n\r\n")));
	assert_true(client->finished);
}

static int allow_all(void **state)
{
	static const char *const everything[] = {"*", NULL};

	(void)state;
	stage_allow(&stage, everything);
	return 0;
}

static int forget(void **state)
{
	(void)state;
	stage_forget(&stage);
	return 0;
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        ON_STAGE(a_request_and_its_response_pass),
	        ON_STAGE(single_bytes_make_the_same),
	        ON_STAGE(an_engine_that_takes_single_bytes_gets_all),
	        ON_STAGE(an_idle_connection_is_reused),
	        ON_STAGE(a_dead_idle_connection_costs_no_request),
	        ON_STAGE(a_request_that_is_sent_again_gets_a_new_connection),
	        ON_STAGE(a_connection_in_progress_is_waited_for),
	        ON_STAGE(one_that_never_comes_is_a_504),
	        ON_STAGE(without_memory_for_the_next_member_the_former_one_is_waited_for),
	        ON_STAGE(without_memory_for_the_next_member_a_refusal_is_told),
	        ON_STAGE(one_that_is_refused_late_is_a_502),
	        ON_STAGE(a_full_queue_is_tried_again_and_then_a_504),
	        ON_STAGE(what_we_are_short_of_is_a_503),
	        ON_STAGE(health_is_a_dial),
	        ON_STAGE(a_tunnel_ends_by_halves),
	        ON_STAGE(a_connection_that_says_more_is_not_reused),
	        ON_STAGE(long_chunks_are_spliced_and_come_out_whole),
	        ON_STAGE(responses_that_cannot_be_used_are_502),
	        ON_STAGE(a_head_without_end_is_a_502),
	        ON_STAGE(the_largest_head_passes),
	        ON_STAGE(an_engine_that_says_nothing_is_a_502),
	        ON_STAGE(only_what_may_be_sent_twice_is),
	        ON_STAGE(a_response_that_has_begun_is_not_asked_for_again),
	        ON_STAGE(interim_responses_pass),
	        ON_STAGE(one_that_waits_for_a_slow_client_comes_first),
	        ON_STAGE(an_old_client_gets_none),
	        ON_STAGE(a_hundred_are_enough),
	        ON_STAGE(who_is_silent_is_dropped),
	        ON_STAGE(a_head_that_does_not_end_is_a_408),
	        ON_STAGE(a_client_that_does_not_take_a_local_response_is_dropped),
	        ON_STAGE(the_rest_of_a_request_after_an_early_response_is_taken),
	        ON_STAGE(a_rest_that_does_not_come_ends_the_connection),
	        ON_STAGE(a_question_has_thirty_seconds_whatever_trickles),
	        ON_STAGE(a_look_up_moves_on_as_soon_as_a_request_does),
	        ON_STAGE(a_look_up_that_is_refused_moves_on),
	        ON_STAGE(a_look_up_of_one_engine_has_ten_seconds_for_its_connection),
	        ON_STAGE(an_engine_that_moves_during_a_look_up_does_not_get_the_request),
	        ON_STAGE(an_engine_that_moves_before_a_request_is_asked_where_it_is),
	        ON_STAGE(the_engine_has_all_its_time_for_the_request_itself),
	        ON_STAGE(an_engine_that_closes_early_does_not_get_the_rest),
	        ON_STAGE(who_wants_no_more_gets_no_more),
	        ON_STAGE(an_old_client_can_ask_to_be_kept),
	        ON_STAGE(a_body_that_is_cut_ends_with_a_reset),
	        ON_STAGE(a_body_that_ends_with_the_connection_ends),
	        ON_STAGE(an_engine_that_has_not_read_all_may_end_with_an_error),
	        ON_STAGE(a_body_that_is_too_short_is_no_end),
	        ON_STAGE(malformed_chunks_go_no_further),
	        ON_STAGE(the_engine_learns_that_its_client_has_ended),
	        ON_STAGE(it_learns_so_on_a_reused_connection),
	        ON_STAGE(what_follows_a_request_is_read_meanwhile),
	        ON_STAGE(requests_that_wait_keep_the_end_from_it),
	        ON_STAGE(half_a_request_does_not),
	        ON_STAGE(a_client_that_is_gone_ends_it_all),
	        ON_STAGE(an_end_in_a_body_is_no_request),
	        ON_STAGE(an_end_before_the_response_is_over_keeps_nothing),
	        ON_STAGE(bytes_pass_both_ways),
	        ON_STAGE(the_end_of_early_input_follows_it),
	        ON_STAGE(what_came_early_is_the_tunnels),
	        ON_STAGE(an_engine_that_is_gone_ends_the_tunnel),
	        ON_STAGE(a_client_that_is_gone_ends_the_tunnel),
	        ON_STAGE(an_engine_that_takes_no_more_may_still_speak),
	        ON_STAGE(the_head_of_an_attach_ends_its_request),
	        ON_STAGE(an_idle_one_is_kept_for_a_minute),
	        ON_STAGE(one_that_may_be_readable_is_looked_at),
	        ON_STAGE(one_that_speaks_out_of_turn_is_closed),
	        ON_STAGE(idle_clients_go_at_once_and_others_get_responses),
	        ON_STAGE(newcomers_have_a_second_to_ask),
	        ON_STAGE(a_worker_without_clients_stops_at_once),
	        ON_STAGE(after_the_grace_everyone_is_dismissed),
	        ON_STAGE(memory_is_given_back_when_all_is_over),
	        ON_STAGE(what_is_no_request_does_not_hide_the_end),
	        ON_STAGE(what_comes_after_a_refusal_is_thrown_away),
	        ON_STAGE(a_client_that_is_lost_while_the_engine_takes_nothing_ends_it),
	        ON_STAGE(early_bytes_of_an_attach_wait_for_the_response),
	        ON_STAGE(a_body_that_is_cut_is_logged_with_the_bytes_that_came),
	        ON_STAGE(no_memory_for_the_first_bytes_is_logged),
	        ON_STAGE(no_memory_for_an_exchange_is_logged),
	        ON_STAGE(no_memory_for_a_response_is_logged_with_its_request),
	        ON_STAGE(no_memory_for_a_local_response_is_logged_with_its_request),
	        ON_STAGE(no_memory_for_a_body_is_logged_with_the_status),
	        ON_STAGE(a_denied_request_leaves_the_connection_in_order),
	        ON_STAGE(denials_are_reported_and_what_is_allowed_is_not),
	        ON_STAGE(a_denied_head_has_no_body),
	};

	const int alone = cmocka_run_group_tests_name("alone", tests, allow_all, forget);
	script_company = COMPANY_ELSEWHERE;
	return alone + cmocka_run_group_tests_name("in rounds", tests, allow_all, forget);
}
