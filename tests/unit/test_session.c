/* SPDX-License-Identifier: MIT */
/* Sessions between scripted peers: what goes where, and when it ends. */
#include "cases.h"
#include "stage.h"

#include "base/clock.h"

#include <errno.h>

#define GET_A      "GET /containers/a/json HTTP/1.1\r\nHost: x\r\n\r\n"
#define SENT_A     "GET /containers/a/json HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define POST_3     "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
#define SENT_3     "POST /images/load HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
#define RESPONSE_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define DIAL_LIMIT (10 * NS_PER_S)

static struct stage stage;

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
	        ON_STAGE(a_connection_in_progress_is_waited_for),
	        ON_STAGE(one_that_never_comes_is_a_504),
	        ON_STAGE(one_that_is_refused_late_is_a_502),
	        ON_STAGE(a_full_queue_is_tried_again_and_then_a_504),
	        ON_STAGE(what_we_are_short_of_is_a_503),
	        ON_STAGE(health_is_a_dial),
	        ON_STAGE(a_tunnel_ends_by_halves),
	        ON_STAGE(long_chunks_are_spliced_and_come_out_whole),
	};

	return cmocka_run_group_tests(tests, allow_all, forget);
}
