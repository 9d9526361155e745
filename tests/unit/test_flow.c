/* SPDX-License-Identifier: MIT */
/* One direction between scripted streams: which way bytes go, and what comes out. */
#include "cases.h"
#include "script.h"

#include "flow/flow.h"

#include <errno.h>

enum { HEADROOM = 256, KIB = 1024, BODY_MAX = 1024 * KIB };

static struct script_net net;
static struct loop loop;
static struct flow_lender lender;
static struct flow flow;
static struct stream source_stream;
static struct stream sink_stream;
static struct script *source;
static struct script *sink;
static char body[BODY_MAX];

static struct slice front(size_t len)
{
	return (struct slice){body, len};
}

static void ignore(struct stream *stream)
{
	(void)stream;
}

static struct script *connected(struct stream *stream)
{
	const union address address = {.any = {.sa_family = AF_UNIX}};

	assert_int_equal(net.transport.connect(&net.transport, stream, &loop, &address, ignore), 0);
	return &net.scripts[net.count - 1];
}

/* `pages`: the sink takes them; `splices`: both have the verbs for it. */
static void begin(bool splices, bool pages)
{
	script_net_init(&net);
	net.splices = splices;
	net.takes_pages = pages;
	memset(body, 'b', sizeof(body));
	flow = (struct flow){.buffer = NULL};
	lender = (struct flow_lender){.pipe_count = 0};
	buffer_lender_init(&lender.buffers, HEADROOM, BUFFER_LARGE_SIZE, 2, 2);
	source = connected(&source_stream);
	sink = connected(&sink_stream);
}

static void end(void)
{
	flow_reset(&flow, &lender);
	stream_close(&source_stream);
	stream_close(&sink_stream);
	flow_lender_done(&lender);
	script_net_done(&net);
}

/* As flow_move(), and the short end of a message at once. */
static enum flow_result move(void)
{
	const enum flow_result result = flow_move(&flow, &lender, &source_stream, &sink_stream);

	return result == FLOW_READY ? flow_send(&flow, &sink_stream, false) : result;
}

/* The way of a body of that length. */
static enum flow_way way_of(bool splices, bool pages, size_t len)
{
	begin(splices, pages);
	flow_start(&flow, HTTP_LENGTH, len);
	script_arrive(source, front(len / 2));
	assert_int_equal(move(), FLOW_WAIT);
	const enum flow_way way = flow.way;
	script_arrive(source, front(len - len / 2));
	enum flow_result result = move();
	while (result == FLOW_YIELD) {
		result = move();
	}
	assert_int_equal(result, FLOW_COMPLETE);
	assert_slice("body", script_got(sink), front(len));
	assert_int_equal(flow.data, len);
	end();
	return way;
}

static void the_way_is_chosen_by_the_length_and_the_sink(void **state)
{
	(void)state;
	assert_int_equal(way_of(true, true, 1 * KIB), FLOW_SMALL);
	assert_int_equal(way_of(true, true, 16 * KIB), FLOW_SPLICED);
	assert_int_equal(way_of(true, true, 800 * KIB), FLOW_SPLICED);
	assert_int_equal(way_of(true, false, 1 * KIB), FLOW_SMALL);
	assert_int_equal(way_of(true, false, 40 * KIB), FLOW_SPLICED);
	assert_int_equal(way_of(true, false, 800 * KIB), FLOW_LARGE);
}

static void without_the_verbs_nothing_is_spliced(void **state)
{
	(void)state;
	assert_int_equal(way_of(false, true, 16 * KIB), FLOW_SMALL);
	assert_int_equal(way_of(false, true, 800 * KIB), FLOW_LARGE);
	assert_int_equal(way_of(false, false, 40 * KIB), FLOW_SMALL);
}

static void a_source_that_fills_small_buffers_gets_large_ones(void **state)
{
	(void)state;
	begin(true, false);
	flow_start(&flow, HTTP_UNTIL_CLOSE, 0);
	script_arrive(source, front(100 * KIB));
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(flow.way, FLOW_LARGE);
	script_arrive(source, front(1 * KIB)); /* it slows down */
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(flow.way, FLOW_SMALL);
	assert_int_equal(sink->got_len, 101 * KIB);
	assert_null(flow.buffer); /* nothing is in flight */
	script_end(source);
	assert_int_equal(move(), FLOW_SOURCE_END);
	end();
}

static void what_stands_between_spliced_chunks_is_read_by_itself(void **state)
{
	(void)state;
	begin(true, true);
	flow_start(&flow, HTTP_CHUNKED, 0);
	script_arrive(source, SLICE("04000;x=y\r\n"));
	assert_int_equal(move(), FLOW_WAIT);
	script_arrive(source, front(16 * KIB));
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(flow.way, FLOW_FRAMED);
	script_arrive(source, SLICE("\r\n2\r\nbb\r\n0\r\n\r\n"));
	assert_int_equal(move(), FLOW_COMPLETE);
	assert_int_equal(
	        sink->got_len, strlen("4000\r\n") + 16 * KIB + strlen("\r\n2\r\nbb\r\n0\r\n\r\n"));
	assert_true(slice_ends_with(script_got(sink), SLICE("b\r\n2\r\nbb\r\n0\r\n\r\n")));
	assert_int_equal(flow.data, 16 * KIB + 2);
	end();
}

static void what_was_in_order_before_is_sent(void **state)
{
	(void)state;
	begin(true, true);
	flow_start(&flow, HTTP_CHUNKED, 0);
	script_arrive(source, SLICE("2\r\nbb\r\nno chunk\r\n"));
	assert_int_equal(move(), FLOW_MALFORMED);
	assert_slice("before", script_got(sink), SLICE("2\r\nbb\r\n"));
	end();
}

static void what_belongs_to_the_next_message_stays(void **state)
{
	(void)state;
	begin(true, true);
	flow_start(&flow, HTTP_LENGTH, 2);
	script_arrive(source, SLICE("bbnext"));
	assert_int_equal(move(), FLOW_COMPLETE);
	assert_slice("body", script_got(sink), SLICE("bb"));
	assert_slice("next", flow_unjudged(&flow), SLICE("next"));
	end();
}

static void a_slow_sink_gets_all_in_the_end(void **state)
{
	(void)state;
	begin(true, true);
	sink->room = 0;
	flow_start(&flow, HTTP_LENGTH, 20 * KIB);
	script_arrive(source, front(20 * KIB));
	for (unsigned i = 0; i < 19; i++) {
		assert_int_equal(move(), FLOW_WAIT);
		script_give_room(sink, KIB);
	}
	script_give_room(sink, 2 * KIB);
	assert_int_equal(move(), FLOW_COMPLETE);
	assert_slice("body", script_got(sink), front(20 * KIB));
	end();
}

static void whose_end_it_is_is_told(void **state)
{
	(void)state;
	begin(true, true);
	flow_start(&flow, HTTP_LENGTH, 5);
	script_reset(source);
	assert_int_equal(move(), FLOW_SOURCE_LOST);
	end();
	begin(true, true);
	flow_start(&flow, HTTP_LENGTH, 5);
	script_arrive(source, SLICE("bb"));
	script_reset(sink);
	assert_int_equal(move(), FLOW_SINK_LOST);
	end();
}

static void the_short_end_of_a_message_is_left_to_the_caller(void **state)
{
	(void)state;
	begin(true, true);
	flow_start(&flow, HTTP_LENGTH, 20 * KIB + 2);
	script_arrive(source, front(20 * KIB));
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(sink->got_len, 20 * KIB); /* what does not end it is sent */
	script_arrive(source, front(2));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
		        flow_move(&flow, &lender, &source_stream, &sink_stream), FLOW_READY);
		assert_int_equal(sink->got_len, 20 * KIB);
	}
	assert_int_equal(flow_send(&flow, &sink_stream, false), FLOW_COMPLETE);
	assert_int_equal(sink->got_len, 20 * KIB + 2);
	assert_int_equal(flow_move(&flow, &lender, &source_stream, &sink_stream), FLOW_COMPLETE);
	end();
}

static void a_longer_end_is_sent(void **state)
{
	(void)state;
	begin(true, true);
	flow_start(&flow, HTTP_LENGTH, 4 * KIB + 1);
	script_arrive(source, front(4 * KIB + 1));
	assert_int_equal(flow_move(&flow, &lender, &source_stream, &sink_stream), FLOW_COMPLETE);
	end();
}

static void one_that_never_ends_lets_others_have_their_turn(void **state)
{
	(void)state;
	begin(true, false);
	flow_start(&flow, HTTP_UNTIL_CLOSE, 0);
	for (unsigned i = 0; i < 8; i++) {
		script_arrive(source, front(BODY_MAX));
	}
	assert_int_equal(move(), FLOW_YIELD);
	assert_in_range(sink->got_len, 1, 8 * BODY_MAX - 1);
	end();
}

static void what_is_dropped_is_read_and_goes_nowhere(void **state)
{
	(void)state;
	begin(true, true);
	flow_start(&flow, HTTP_LENGTH, 100 * KIB);
	flow_drop(&flow, &lender);
	script_arrive(source, front(100 * KIB));
	assert_int_equal(move(), FLOW_COMPLETE);
	assert_int_equal(sink->got_len, 0);
	end();
}

static void middling_bodies_are_spliced_into_tcp_and_others_not(void **state)
{
	(void)state;
	assert_int_equal(way_of(true, false, 60 * KIB), FLOW_SPLICED);
	assert_int_equal(way_of(true, false, 60 * KIB + 1), FLOW_LARGE);
	assert_int_equal(way_of(true, true, 60 * KIB + 1), FLOW_SPLICED);
	assert_int_equal(way_of(false, false, 60 * KIB), FLOW_SMALL);
	assert_int_equal(way_of(false, false, 60 * KIB + 1), FLOW_LARGE);
	assert_int_equal(way_of(true, true, 8 * KIB - 1), FLOW_SMALL);
}

/* TCP would wait for more of it: it does so while more is there, and never for what comes later. */
static void what_follows_at_once_goes_with_it(void **state)
{
	(void)state;
	begin(true, false);
	flow_start(&flow, HTTP_LENGTH, 40 * KIB);
	script_arrive(source, front(20 * KIB));
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(sink->got_len, 20 * KIB);
	assert_false(sink->held);
	script_arrive(source, front(20 * KIB));
	assert_int_equal(move(), FLOW_COMPLETE);
	assert_false(sink->held);
	end();
}

static void the_head_of_a_spliced_body_goes_with_it(void **state)
{
	(void)state;
	begin(true, false);
	flow_start(&flow, HTTP_CHUNKED, 0);
	script_arrive(source, SLICE("4000\r\n"));
	sink->room = 3; /* so that the rest of the size is looked at on its way */
	assert_int_equal(move(), FLOW_WAIT);
	script_arrive(source, front(16 * KIB));
	assert_true(sink->got_len == 3);
	script_give_room(sink, 3);
	assert_int_equal(move(), FLOW_WAIT);
	assert_slice("size", script_got(sink), SLICE("4000\r\n"));
	assert_true(sink->held); /* data follows at once */
	script_give_room(sink, 64 * KIB);
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(sink->got_len, 6 + 16 * KIB);
	assert_false(sink->held); /* nothing does */
	script_arrive(source, SLICE("\r\n0\r\n\r\n"));
	assert_int_equal(move(), FLOW_COMPLETE);
	assert_false(sink->held);
	end();
}

/* The few bytes that end a chunk come next: TCP waits for them with the end of the data. */
static void the_end_of_a_chunk_goes_with_its_data(void **state)
{
	(void)state;
	begin(true, false);
	flow_start(&flow, HTTP_CHUNKED, 0);
	script_arrive(source, SLICE("4000\r\n"));
	assert_int_equal(move(), FLOW_WAIT);
	sink->room = 8 * KIB;
	script_arrive(source, front(16 * KIB));
	assert_int_equal(move(), FLOW_WAIT);
	script_arrive(source, SLICE("\r\n0\r\n\r\n"));
	script_give_room(sink, 8 * KIB);
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(sink->got_len, 6 + 16 * KIB);
	assert_true(sink->held);
	script_give_room(sink, 64 * KIB);
	assert_int_equal(move(), FLOW_COMPLETE);
	assert_false(sink->held);
	end();
}

#define TEN     "bbbbbbbbbb"
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

/* Small chunks are read many at once: only what stands between spliced ones is read by itself. */
static void framing_is_read_by_itself_after_splicing_alone(void **state)
{
	(void)state;
	begin(true, true);
	flow_start(&flow, HTTP_CHUNKED, 0);
	script_arrive(source, SLICE("46\r\n" SEVENTY "\r\n"));
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(source->reads, 1);
	script_arrive(source, SLICE("4000\r\n"));
	assert_int_equal(move(), FLOW_WAIT);
	script_arrive(source, front(16 * KIB));
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(flow.way, FLOW_FRAMED);
	script_arrive(source, SLICE("\r\n2\r\nb"));
	assert_int_equal(move(), FLOW_WAIT);
	assert_int_equal(flow.way, FLOW_SMALL);
	end();
}

static void bytes_into_a_unix_socket_are_never_held(void **state)
{
	(void)state;
	begin(true, true);
	flow_start(&flow, HTTP_CHUNKED, 0);
	script_arrive(source, SLICE("4000\r\n"));
	sink->room = 3;
	assert_int_equal(move(), FLOW_WAIT);
	script_arrive(source, front(16 * KIB));
	script_give_room(sink, 3);
	assert_int_equal(move(), FLOW_WAIT);
	assert_slice("size", script_got(sink), SLICE("4000\r\n"));
	assert_false(sink->held);
	end();
}

/* A message that is skipped is complete when all of it had been read. */
static void what_is_skipped_may_be_complete(void **state)
{
	static const struct {
		enum http_framing framing;
		size_t length;
		struct slice bytes;
		bool complete;
		struct slice next;
	} rows[] = {
	        {HTTP_LENGTH, 3, SLICE_INIT("abcnext"), true, SLICE_INIT("next")},
	        {HTTP_LENGTH, 3, SLICE_INIT("ab"), false, SLICE_INIT("")},
	        {HTTP_LENGTH, 3, SLICE_INIT(""), false, SLICE_INIT("")},
	        {HTTP_LENGTH, 0, SLICE_INIT("next"), true, SLICE_INIT("next")},
	        {HTTP_NO_BODY, 0, SLICE_INIT("next"), true, SLICE_INIT("next")},
	        {HTTP_CHUNKED, 0, SLICE_INIT("1\r\na\r\n0\r\n\r\nnext"), true, SLICE_INIT("next")},
	        {HTTP_CHUNKED, 0, SLICE_INIT("1\r\na\r\n0\r\n"), false, SLICE_INIT("")},
	        {HTTP_CHUNKED, 0, SLICE_INIT("x\r\n"), false, SLICE_INIT("x\r\n")},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		begin(true, true);
		script_arrive(source, rows[i].bytes);
		const ssize_t n = flow_read(&flow, &lender, &source_stream, SIZE_MAX);
		assert_int_equal(n, rows[i].bytes.len == 0 ? -EAGAIN : (ssize_t)rows[i].bytes.len);
		flow_start(&flow, rows[i].framing, rows[i].length);
		flow_skip(&flow, &lender);
		assert_int_equal(flow.complete, rows[i].complete);
		if (rows[i].complete) {
			assert_slice("next", flow_unjudged(&flow), rows[i].next);
		}
		assert_true(flow_is_sent(&flow));
		assert_int_equal(flow_send(&flow, &sink_stream, false), FLOW_COMPLETE);
		assert_int_equal(sink->got_len, 0);
		end();
	}
}

/* What a sink does not take stays in the buffer, which has an end. */
static void a_buffer_that_is_full_waits_for_the_sink(void **state)
{
	(void)state;
	begin(false, false);
	sink->room = 0;
	flow_start(&flow, HTTP_UNTIL_CLOSE, 0);
	script_arrive(source, front(BODY_MAX));
	enum flow_result result = move();
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(result, FLOW_WAIT);
		result = move();
	}
	assert_true(source->read < BODY_MAX);
	for (unsigned i = 0; i < 8 * 1024 && sink->got_len < BODY_MAX; i++) {
		script_give_room(sink, 1 * KIB);
		assert_true(move() == FLOW_WAIT || sink->got_len == BODY_MAX);
	}
	assert_slice("all", script_got(sink), front(BODY_MAX));
	end();
}

static void takes(const char *wanted, size_t taken)
{
	assert_int_equal(flow_take(&flow, &lender, &source_stream), FLOW_COMPLETE);
	assert_slice("taken", buffer_to_send(flow.buffer), slice_of(wanted));
	buffer_sent(flow.buffer, taken);
}

/* Half a line of framing came with data of which only a part is taken. */
static void what_is_taken_may_stop_before_half_a_line_of_framing(void **state)
{
	(void)state;
	begin(false, false);
	flow_start(&flow, HTTP_CHUNKED, 0);
	flow.chunks.bare = true;
	script_arrive(source, SLICE("3\r\nabc\r\n5"));
	takes("abc", 1);
	takes("bc", 2);
	assert_int_equal(flow_take(&flow, &lender, &source_stream), FLOW_WAIT);
	script_arrive(source, SLICE("\r\nhello\r\n0\r\n\r\n"));
	takes("hello", 5);
	assert_true(flow_is_over(&flow));
	end();
}

/* Nobody judges what is read ahead: it stays, up to the end of the buffer. */
static void reading_ahead_ends_with_the_buffer(void **state)
{
	ssize_t n = 0;
	size_t total = 0;

	(void)state;
	begin(false, false);
	for (unsigned i = 0; i < 2; i++) {
		script_arrive(source, front(BODY_MAX));
	}
	while ((n = flow_read(&flow, &lender, &source_stream, SIZE_MAX)) > 0) {
		total += (size_t)n;
	}
	assert_int_equal(n, -ENOBUFS);
	assert_int_equal(flow_unjudged(&flow).len, total);
	assert_in_range(total, BUFFER_LARGE_SIZE - 2 * HEADROOM, BUFFER_LARGE_SIZE);
	flow_start(&flow, HTTP_UNTIL_CLOSE, 0);
	assert_true(move() == FLOW_WAIT || move() == FLOW_WAIT); /* it goes on once it is judged */
	assert_int_equal(sink->got_len, 2 * BODY_MAX);
	end();
}

static void pipes_are_kept_for_the_next(void **state)
{
	(void)state;
	begin(true, true);
	for (unsigned i = 0; i < 3; i++) {
		flow_start(&flow, HTTP_LENGTH, 16 * KIB);
		script_arrive(source, front(16 * KIB));
		assert_int_equal(move(), FLOW_COMPLETE);
		assert_true(flow.pipe.open);
		flow_release(&flow, &lender);
		assert_false(flow.pipe.open);
		assert_int_equal(lender.pipe_count, 1);
	}
	/* One with bytes in it is of no use to others. */
	sink->room = 0;
	flow_start(&flow, HTTP_LENGTH, 16 * KIB);
	script_arrive(source, front(16 * KIB));
	assert_int_equal(move(), FLOW_WAIT);
	flow_release(&flow, &lender);
	assert_true(flow.pipe.open);
	flow_reset(&flow, &lender);
	assert_false(flow.pipe.open);
	assert_int_equal(lender.pipe_count, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_way_is_chosen_by_the_length_and_the_sink),
	        cmocka_unit_test(without_the_verbs_nothing_is_spliced),
	        cmocka_unit_test(a_source_that_fills_small_buffers_gets_large_ones),
	        cmocka_unit_test(what_stands_between_spliced_chunks_is_read_by_itself),
	        cmocka_unit_test(what_was_in_order_before_is_sent),
	        cmocka_unit_test(what_belongs_to_the_next_message_stays),
	        cmocka_unit_test(a_slow_sink_gets_all_in_the_end),
	        cmocka_unit_test(whose_end_it_is_is_told),
	        cmocka_unit_test(the_short_end_of_a_message_is_left_to_the_caller),
	        cmocka_unit_test(a_longer_end_is_sent),
	        cmocka_unit_test(one_that_never_ends_lets_others_have_their_turn),
	        cmocka_unit_test(what_is_dropped_is_read_and_goes_nowhere),
	        cmocka_unit_test(middling_bodies_are_spliced_into_tcp_and_others_not),
	        cmocka_unit_test(what_follows_at_once_goes_with_it),
	        cmocka_unit_test(the_head_of_a_spliced_body_goes_with_it),
	        cmocka_unit_test(the_end_of_a_chunk_goes_with_its_data),
	        cmocka_unit_test(framing_is_read_by_itself_after_splicing_alone),
	        cmocka_unit_test(bytes_into_a_unix_socket_are_never_held),
	        cmocka_unit_test(what_is_skipped_may_be_complete),
	        cmocka_unit_test(a_buffer_that_is_full_waits_for_the_sink),
	        cmocka_unit_test(what_is_taken_may_stop_before_half_a_line_of_framing),
	        cmocka_unit_test(reading_ahead_ends_with_the_buffer),
	        cmocka_unit_test(pipes_are_kept_for_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
