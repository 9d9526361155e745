/* SPDX-License-Identifier: MIT */
/* The base library: slices, text, pools, buffers, clocks, lists, log lines. */
#include "cases.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/pool.h"
#include "base/quota.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ── slice ───────────────────────────────────────────────────────────────── */

static void slices_compare(void **state)
{
	(void)state;
	assert_true(slice_equal(SLICE(""), (struct slice){"x", 0}));
	assert_false(slice_equal(SLICE("a"), SLICE("ab")));
	assert_true(slice_equal_nocase(SLICE("Host-1"), SLICE("hOST-1")));
	assert_false(slice_equal_nocase(SLICE("a"), SLICE("b")));
	/* Only letters have a case: these pairs differ in the same bit. */
	assert_false(slice_equal_nocase(SLICE("@"), SLICE("`")));
	assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
	assert_false(slice_equal_nocase(SLICE("\xc4"), SLICE("\xe4")));
	assert_true(slice_starts_with(SLICE("abc"), SLICE("ab")));
	assert_false(slice_starts_with(SLICE("a"), SLICE("ab")));
	assert_true(slice_ends_with(SLICE("abc"), SLICE("bc")));
	assert_false(slice_ends_with(SLICE("c"), SLICE("bc")));
}

static void slices_are_cut(void **state)
{
	struct slice rest = SLICE("a,,b,");
	struct slice element;

	(void)state;
	assert_slice("trim", slice_trim(SLICE(" \t a b \t")), SLICE("a b"));
	assert_slice("trim of blanks", slice_trim(SLICE(" \t ")), SLICE(""));
	assert_true(slice_next(&rest, ',', &element));
	assert_slice("first", element, SLICE("a"));
	assert_true(slice_next(&rest, ',', &element));
	assert_slice("empty", element, SLICE(""));
	assert_true(slice_next(&rest, ',', &element));
	assert_slice("third", element, SLICE("b"));
	assert_true(slice_next(&rest, ',', &element));
	assert_slice("behind the last separator", element, SLICE(""));
	assert_false(slice_next(&rest, ',', &element));
}

static void numbers_are_plain_digits(void **state)
{
	static const struct {
		struct slice s;
		uint64_t max;
		int result;
		uint64_t value;
	} rows[] = {
	        {SLICE_INIT("0"), 9, 0, 0},
	        {SLICE_INIT("007"), 9, 0, 7},
	        {SLICE_INIT("18446744073709551615"), UINT64_MAX, 0, UINT64_MAX},
	        {SLICE_INIT("18446744073709551616"), UINT64_MAX, -ERANGE, 0},
	        {SLICE_INIT("99999999999999999999999"), UINT64_MAX, -ERANGE, 0},
	        {SLICE_INIT("10"), 9, -ERANGE, 0},
	        {SLICE_INIT(""), 9, -EINVAL, 0},
	        {SLICE_INIT("+1"), 9, -EINVAL, 0},
	        {SLICE_INIT("-1"), 9, -EINVAL, 0},
	        {SLICE_INIT(" 1"), 9, -EINVAL, 0},
	        {SLICE_INIT("1x"), 9, -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t value = 0;
		assert_int_equal(slice_to_u64(rows[i].s, rows[i].max, &value), rows[i].result);
		assert_that(rows[i].s.ptr, rows[i].result != 0 || value == rows[i].value);
	}
}

/* ── text ────────────────────────────────────────────────────────────────── */

static void text_stops_at_its_end(void **state)
{
	char memory[4];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	text_add(&text, SLICE("abc"));
	assert_false(text.overflow);
	text_add(&text, SLICE("de"));
	assert_true(text.overflow);
	text_add(&text, SLICE("f")); /* it would fit, but there would be a hole before it */
	assert_slice("text", text_slice(&text), SLICE("abc"));
}

/* What is copied are the bytes in front, and no byte outside the room is touched. */
static size_t plain_of(struct slice s, size_t room)
{
	char memory[64];

	(void)memset(memory, '#', sizeof(memory));
	struct text text = text_over(memory + 1, room);
	const size_t len = text_add_plain(&text, s);
	assert_int_equal(text.len, len);
	assert_false(text.overflow);
	assert_memory_equal(text.ptr, s.ptr, len);
	assert_int_equal(memory[0], '#');
	assert_int_equal(memory[1 + room], '#');
	return len;
}

static void what_json_escapes_is_found_at_every_place(void **state)
{
	static const char special[] = {'\0', '\n', 0x1f, '"', '\\', 0x7f, (char)0x80, (char)0xff};
	char memory[50];

	(void)state;
	for (size_t len = 0; len <= sizeof(memory); len++) {
		(void)memset(memory, 'a', sizeof(memory));
		assert_int_equal(plain_of((struct slice){memory, len}, len), len);
		assert_int_equal(plain_of((struct slice){memory, len}, len / 2), len / 2);
		for (size_t at = len; at-- > 0;) {
			/* What stands behind it makes no difference. */
			memory[at] = special[(at + len) % sizeof(special)];
			assert_int_equal(plain_of((struct slice){memory, len}, len), at);
		}
	}
}

static void text_spells_numbers_and_json(void **state)
{
	char memory[256];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	text_add_u64(&text, 0);
	text_add_char(&text, ' ');
	text_add_u64(&text, UINT64_MAX);
	text_add_char(&text, ' ');
	text_add_digits(&text, 7, 3);
	text_add_format(&text, " %s-%d", "x", -1);
	assert_slice("numbers", text_slice(&text), SLICE("0 18446744073709551615 007 x--1"));

	text = text_over(memory, sizeof(memory));
	text_add_json(&text, SLICE("a\"\\\n\x7f\xc3/"));
	assert_slice("JSON", text_slice(&text), SLICE("a\\\"\\\\\\u000a\\u007f?/"));

	text = text_over(memory, sizeof(memory));
	text_add_encoded(&text, SLICE("aZ9-._~ /:\0%\xc3"), "/");
	assert_slice("encoded", text_slice(&text), SLICE("aZ9-._~%20/%3A%00%25%C3"));

	text = text_over(memory, 4);
	text_add_format(&text, "%s", "abcd");
	assert_true(text.overflow);
}

/* ── pool ────────────────────────────────────────────────────────────────── */

static void a_pool_lends_up_to_its_ceiling(void **state)
{
	struct pool pool;

	(void)state;
	pool_init(&pool, 64, 2, 1);
	void *first = pool_take(&pool);
	void *second = pool_take(&pool);
	assert_non_null(first);
	assert_non_null(second);
	assert_null(pool_take(&pool));
	pool_give(&pool, first);
	pool_give(&pool, second);
	pool_give(&pool, NULL);
	assert_int_equal(pool.lent, 0);
	assert_int_equal(pool.kept, 1); /* a burst leaves nothing behind */
	assert_ptr_equal(pool_take(&pool), first);
	pool_give(&pool, first);
	pool_done(&pool);
}

static void what_nobody_borrows_goes_back(void **state)
{
	enum { OBJECTS = 100, SIZE = 300 };
	struct pool pool;
	void *objects[OBJECTS];

	(void)state;
	pool_init(&pool, SIZE, OBJECTS, 8);
	for (unsigned i = 0; i < OBJECTS; i++) {
		objects[i] = pool_take(&pool);
		assert_non_null(objects[i]);
		memset(objects[i], (int)i, SIZE);
	}
	const unsigned slabs = pool.slab_count;
	assert_true(slabs > 1 && slabs < OBJECTS);
	assert_int_equal(pool_trim(&pool, slabs), 0); /* all of it is lent */
	for (unsigned i = 1; i < OBJECTS; i++) {
		pool_give(&pool, objects[i]);
	}
	assert_int_equal(pool.slab_count, slabs); /* not at once */
	assert_int_equal(pool_trim(&pool, 1), 1);
	assert_int_equal(pool_trim(&pool, slabs), slabs - 2);
	assert_int_equal(pool.slab_count, 1);
	char expected[SIZE] = {0};
	assert_memory_equal(objects[0], expected, SIZE); /* the one that is still lent */
	void *other = pool_take(&pool);
	assert_int_equal(pool.slab_count, 1); /* lent from where one is lent already */
	pool_give(&pool, other);
	pool_give(&pool, objects[0]);
	pool_done(&pool);
}

static void an_object_larger_than_a_page_has_its_own_slab(void **state)
{
	struct pool pool;

	(void)state;
	pool_init(&pool, 3 * 4096 - POOL_OVERHEAD, 2, 0);
	assert_int_equal(pool.slab_size, 3 * 4096);
	assert_int_equal(pool.slab_objects, 1);
	void *first = pool_take(&pool);
	void *second = pool_take(&pool);
	memset(first, 1, 3 * 4096 - POOL_OVERHEAD);
	memset(second, 2, 3 * 4096 - POOL_OVERHEAD);
	pool_give(&pool, first);
	assert_int_equal(pool_trim(&pool, 2), 1);
	pool_give(&pool, second);
	pool_done(&pool);
}

/* Lines of a cache are few for objects that all begin at the same offset in a page. */
static void objects_of_slabs_are_shifted(void **state)
{
	enum { LINE = 64, SIZE = 4096 - 3 * LINE, COUNT = 4 };
	struct pool pool;
	char *objects[COUNT];

	(void)state;
	pool_init(&pool, SIZE, COUNT, 0);
	assert_int_equal(pool.slab_objects, 1);
	for (unsigned i = 0; i < COUNT; i++) {
		objects[i] = pool_take(&pool);
		assert_non_null(objects[i]);
		memset(objects[i], (int)i, SIZE); /* to its end, which is in the slab */
		assert_int_equal((uintptr_t)objects[i] % 4096, POOL_OVERHEAD + i % 3 * LINE);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		pool_give(&pool, objects[i]);
	}
	pool_done(&pool);
}

/* ── buffer ──────────────────────────────────────────────────────────────── */

enum { HEADROOM = 64 };

static void put(struct buffer *buffer, struct slice bytes)
{
	assert_true(bytes.len <= buffer_room(buffer));
	memcpy(buffer_tail(buffer), bytes.ptr, bytes.len);
	buffer_append(buffer, bytes.len);
}

static void a_rewritten_head_stands_before_its_body(void **state)
{
	struct buffer_lender lender;
	struct buffer *buffer = NULL;

	(void)state;
	buffer_lender_init(&lender, HEADROOM, BUFFER_LARGE_SIZE, 4, 4);
	assert_true(buffer_borrow(&lender, &buffer));
	assert_true(buffer_is_empty(buffer));
	put(buffer, SLICE("headbody"));
	assert_true(buffer_replace(buffer, 4, SLICE("a longer "), SLICE("head ")));
	assert_slice("to send", buffer_to_send(buffer), SLICE("a longer head "));
	assert_slice("to judge", buffer_to_judge(buffer), SLICE("body"));
	assert_ptr_equal(buffer_to_send(buffer).ptr + 14, buffer_to_judge(buffer).ptr);
	const size_t room = buffer_room(buffer);
	buffer_make_room(&lender, buffer); /* not over what is to be sent */
	assert_int_equal(buffer_room(buffer), room);
	buffer_sent(buffer, 14);
	buffer_make_room(&lender, buffer);
	assert_slice("moved to the front", buffer_to_judge(buffer), SLICE("body"));
	assert_int_equal(buffer_room(buffer), room + 4);
	buffer_return(&lender, &buffer);
	assert_null(buffer);
	buffer_lender_done(&lender);
}

/* One buffer with `bytes` to judge. */
static struct buffer *lent(struct buffer_lender *lender, struct slice bytes)
{
	struct buffer *buffer = NULL;

	buffer_lender_init(lender, HEADROOM, BUFFER_LARGE_SIZE, 4, 4);
	assert_true(buffer_borrow(lender, &buffer));
	put(buffer, bytes);
	return buffer;
}

static void bytes_are_kept_and_skipped(void **state)
{
	struct buffer_lender lender;
	struct buffer *buffer = lent(&lender, SLICE("gone4\r\ndata\r\nnext"));

	(void)state;
	buffer_skip(buffer, 4);
	assert_true(buffer_can_keep(buffer));
	buffer_keep(buffer, 7, 7);
	buffer_sent(buffer, 1);
	buffer_keep(buffer, 2, 1); /* one run with what is ready */
	assert_slice("to send", buffer_to_send(buffer), SLICE("\r\ndata\r"));
	assert_slice("to judge", buffer_to_judge(buffer), SLICE("next"));
	assert_false(buffer_can_keep(buffer)); /* a gap of one byte */
	buffer_sent(buffer, 7);
	assert_true(buffer_can_keep(buffer));
	buffer_keep(buffer, 4, 4);
	assert_slice("after the gap", buffer_to_send(buffer), SLICE("next"));
	buffer_return(&lender, &buffer);
	buffer_lender_done(&lender);
}

static void bytes_are_sent_once_more(void **state)
{
	struct buffer_lender lender;
	struct buffer *buffer = lent(&lender, SLICE("headnext"));

	(void)state;
	assert_true(buffer_replace(buffer, 4, SLICE("written"), SLICE("")));
	buffer_sent(buffer, 5);
	buffer_unsend(buffer, 7);
	assert_slice("again", buffer_to_send(buffer), SLICE("written"));
	assert_slice("to judge", buffer_to_judge(buffer), SLICE("next"));
	buffer_return(&lender, &buffer);
	buffer_lender_done(&lender);
}

static void bytes_are_dropped(void **state)
{
	struct buffer_lender lender;
	struct buffer *buffer = lent(&lender, SLICE("kept, dropped"));

	(void)state;
	buffer_keep(buffer, 4, 4);
	buffer_drop_to_judge(&lender, buffer);
	put(buffer, SLICE("more"));
	buffer_keep(buffer, 4, 4);
	assert_slice("behind it", buffer_to_send(buffer), SLICE("keptmore"));
	buffer_drop_to_send(buffer);
	assert_true(buffer_is_empty(buffer));
	buffer_return(&lender, &buffer);
	buffer_lender_done(&lender);
}

static void a_head_that_grew_too_much_is_not_sent(void **state)
{
	static const char big[HEADROOM + 5];
	struct buffer_lender lender;
	struct buffer *buffer = NULL;

	(void)state;
	buffer_lender_init(&lender, HEADROOM, BUFFER_LARGE_SIZE, 4, 4);
	assert_true(buffer_borrow(&lender, &buffer));
	put(buffer, SLICE("head"));
	const size_t room = buffer_room(buffer);
	assert_false(buffer_replace(
	        buffer, 4, (struct slice){big, HEADROOM + 5}, (struct slice){big, room}));
	/* What stands behind the head moves on. */
	buffer_append(buffer, 0);
	put(buffer, SLICE("next"));
	assert_true(buffer_replace(buffer, 4, (struct slice){big, HEADROOM}, SLICE("12345678")));
	assert_int_equal(buffer_to_send(buffer).len, HEADROOM + 8);
	assert_slice("next", buffer_to_judge(buffer), SLICE("next"));
	buffer_return(&lender, &buffer);
	buffer_lender_done(&lender);
}

static void a_buffer_grows_with_its_content(void **state)
{
	struct buffer_lender lender;
	struct buffer *buffer = NULL;
	struct buffer *other = NULL;

	(void)state;
	buffer_lender_init(&lender, HEADROOM, BUFFER_LARGE_SIZE, 1, 1);
	assert_true(buffer_borrow(&lender, &buffer));
	assert_false(buffer_borrow(&lender, &other)); /* the ceiling */
	put(buffer, SLICE("content"));
	const size_t room = buffer_room(buffer);
	assert_true(buffer_grow(&lender, &buffer));
	assert_true(buffer_room(buffer) > room);
	assert_slice("content", buffer_to_judge(buffer), SLICE("content"));
	assert_false(buffer_grow(&lender, &buffer));
	assert_true(buffer_borrow(&lender, &other)); /* the small one is home */
	buffer_return(&lender, &other);
	buffer_return(&lender, &buffer);
	buffer_return(&lender, &buffer);
	buffer_lender_done(&lender);
}

/* ── clock, list ─────────────────────────────────────────────────────────── */

static void time_is_written_as_rfc_3339(void **state)
{
	char memory[64];
	struct text text = text_over(memory, sizeof(memory));

	(void)state;
	clock_add_timestamp(&text, 1769862896 * NS_PER_S + 7 * NS_PER_MS + 999);
	assert_slice("time", text_slice(&text), SLICE("2026-01-31T12:34:56.007Z"));
	const int64_t before = clock_monotonic_ns();
	assert_true(clock_monotonic_ns() >= before);
	assert_true(clock_realtime_ns() > INT64_C(1700000000) * NS_PER_S);
}

static void a_quota_counts_what_it_leaves_out(void **state)
{
	const int64_t start_ns = 7 * NS_PER_S;
	struct quota quota = {0};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		assert_true(quota_take(&quota, 2, start_ns + i) == (i < 2));
	}
	assert_false(quota_take(&quota, 2, start_ns + NS_PER_S - 1));
	assert_true(quota_take(&quota, 2, start_ns + NS_PER_S));
	assert_int_equal(quota_left_out(&quota), 4);
	assert_int_equal(quota_left_out(&quota), 0);
	assert_true(quota_take(&quota, 2, start_ns + NS_PER_S + 1));
	assert_false(quota_take(&quota, 2, start_ns + NS_PER_S + 2));
	assert_int_equal(quota_left_out(&quota), 1);
}

static void a_list_keeps_its_order(void **state)
{
	struct list list;
	struct list a;
	struct list b;
	struct list c;

	(void)state;
	list_init(&list);
	list_init(&a);
	list_remove(&a); /* on no list: fine */
	assert_true(list_empty(&list));
	list_append(&list, &b);
	list_append(&list, &c);
	list_prepend(&list, &a);
	assert_ptr_equal(list.next, &a);
	assert_ptr_equal(a.next, &b);
	assert_ptr_equal(list.prev, &c);
	list_remove(&b);
	assert_ptr_equal(a.next, &c);
	assert_true(list_empty(&b));
	list_remove(&a);
	list_remove(&c);
	assert_true(list_empty(&list));
}

/* ── log ─────────────────────────────────────────────────────────────────── */

static void levels_have_syslogs_words(void **state)
{
	static const char *const words[] = {
	        "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
	enum log_level level = LOG_INFO;

	(void)state;
	for (unsigned i = LOG_EMERG; i <= LOG_DEBUG; i++) {
		assert_int_equal(log_level_parse(slice_of(words[i]), &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse(SLICE("Error"), &level), 0);
	assert_int_equal(level, LOG_ERR);
	assert_int_equal(log_level_parse(SLICE("warn"), &level), 0);
	assert_int_equal(level, LOG_WARNING);
	assert_int_equal(log_level_parse(SLICE("verbose"), &level), -EINVAL);
}

/* What goes to standard error while one line is logged. */
static struct slice logged(char *memory, size_t cap, enum log_level level, const char *message)
{
	int ends[2];
	const int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	log_line(level, "%s", message);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	(void)close(ends[1]);
	const ssize_t len = read(ends[0], memory, cap);
	(void)close(ends[0]);
	assert_true(len >= 0);
	return (struct slice){memory, (size_t)len};
}

static void a_log_line_is_one_line(void **state)
{
	char memory[16384];
	char *flood = malloc(10000);

	(void)state;
	log_setup(LOG_INFO, LOG_TEXT);
	assert_int_equal(logged(memory, sizeof(memory), LOG_DEBUG, "quiet").len, 0);
	struct slice line = logged(memory, sizeof(memory), LOG_ERR, "it broke");
	const struct slice behind_time = {line.ptr + 24, line.len - 24};
	assert_slice("text", behind_time, SLICE(" err it broke\n"));

	log_setup(LOG_DEBUG, LOG_JSON);
	assert_int_equal(log_form(), LOG_JSON);
	line = logged(memory, sizeof(memory), LOG_DEBUG, "a \"b\"\nc");
	assert_true(slice_starts_with(line, SLICE("{\"time\":\"2")));
	assert_true(slice_ends_with(
	        line, SLICE("Z\",\"level\":\"debug\",\"message\":\"a \\\"b\\\"\\u000ac\"}\n")));

	/* Longer than any line may be: cut, and still one line. */
	assert_non_null(flood);
	memset(flood, 'x', 9999);
	flood[9999] = '\0';
	log_setup(LOG_INFO, LOG_TEXT);
	line = logged(memory, sizeof(memory), LOG_INFO, flood);
	assert_true(line.len > 2000 && line.len <= 4096);
	assert_true(slice_ends_with(line, SLICE("x\n")));
	free(flood);
}

static void an_arena_gives_aligned_zeroes_of_any_size(void **state)
{
	struct arena arena = {.chunks = NULL};
	char *first = arena_take(&arena, 1);

	(void)state;
	for (unsigned i = 1; i < 200; i++) {
		unsigned char *piece = arena_take(&arena, i * 37);
		assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
		for (unsigned j = 0; j < i * 37; j++) {
			assert_int_equal(piece[j], 0);
		}
		memset(piece, 0xff, i * 37);
	}
	unsigned char *big = arena_take(&arena, 1 << 20);
	assert_int_equal(big[(1 << 20) - 1], 0);
	assert_int_equal(*first, 0);
	assert_string_equal(arena_copy(&arena, SLICE("text")), "text");
	assert_string_equal(arena_copy(&arena, (struct slice){NULL, 0}), "");
	arena_free(&arena);
	assert_null(arena.chunks);
}

static void an_arena_remembers_what_it_did_not_give(void **state)
{
	struct arena arena = {.chunks = NULL};
	char error[FAULT_MAX] = "";

	(void)state;
	assert_non_null(arena_take(&arena, ARENA_MAX / 2));
	assert_int_equal(arena_check(&arena, error), 0);
	assert_null(arena_take(&arena, ARENA_MAX / 2 + 1));
	assert_non_null(arena_take(&arena, 1));
	assert_int_equal(arena_check(&arena, error), -EINVAL);
	assert_non_null(strstr(error, "needs more than 64 MiB"));
	arena_free(&arena);
	assert_int_equal(arena_check(&arena, error), 0);
}

static const char *nearest_of(const char *word)
{
	static const char *const words[] = {
	        "container.list", "container.stop", "image.list", "ps", "stats", "start"};
	struct nearest nearest = nearest_to(slice_of(word));

	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		nearest_try(&nearest, slice_of(words[i]));
	}
	return nearest.best.ptr;
}

static void the_nearest_word_is_a_slip_away(void **state)
{
	(void)state;
	assert_string_equal(nearest_of("container.lst"), "container.list");
	assert_string_equal(nearest_of("contianer.list"), "container.list");
	assert_string_equal(nearest_of("images.list"), "image.list");
	assert_string_equal(nearest_of("p"), "ps");
	/* Words that are long are like no other. */
	struct nearest nearest = nearest_to(
	        SLICE("a-name-that-is-much-longer-than-names-are-as-a-rule-and-has-no-end"));
	nearest_try(&nearest,
	        SLICE("a-name-that-is-much-longer-than-names-are-as-a-rule-and-has-no-enf"));
	assert_int_equal(nearest.best.len, 0);
	assert_string_equal(nearest_of("strat"), "start");
	assert_null(nearest_of("volume.prune"));
	assert_null(nearest_of("xy"));
	assert_null(nearest_of("container.container.container.container.container.container.list"));
}

static void shown_text_is_one_line_that_fits(void **state)
{
	char big[1000];

	(void)state;
	assert_string_equal(text_show(SLICE("a\nb\x1b\xff")).text, "a\\u000ab\\u001b?");
	memset(big, '\n', sizeof(big));
	const struct text_shown shown = text_show((struct slice){big, sizeof(big)});
	assert_true(strlen(shown.text) < sizeof(shown.text));
	assert_true(slice_ends_with(slice_of(shown.text), SLICE("\\u000a...")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_json_escapes_is_found_at_every_place),
	        cmocka_unit_test(an_arena_gives_aligned_zeroes_of_any_size),
	        cmocka_unit_test(an_arena_remembers_what_it_did_not_give),
	        cmocka_unit_test(the_nearest_word_is_a_slip_away),
	        cmocka_unit_test(shown_text_is_one_line_that_fits),
	        cmocka_unit_test(slices_compare),
	        cmocka_unit_test(slices_are_cut),
	        cmocka_unit_test(numbers_are_plain_digits),
	        cmocka_unit_test(text_stops_at_its_end),
	        cmocka_unit_test(text_spells_numbers_and_json),
	        cmocka_unit_test(a_pool_lends_up_to_its_ceiling),
	        cmocka_unit_test(what_nobody_borrows_goes_back),
	        cmocka_unit_test(an_object_larger_than_a_page_has_its_own_slab),
	        cmocka_unit_test(objects_of_slabs_are_shifted),
	        cmocka_unit_test(a_rewritten_head_stands_before_its_body),
	        cmocka_unit_test(bytes_are_kept_and_skipped),
	        cmocka_unit_test(bytes_are_sent_once_more),
	        cmocka_unit_test(bytes_are_dropped),
	        cmocka_unit_test(a_head_that_grew_too_much_is_not_sent),
	        cmocka_unit_test(a_buffer_grows_with_its_content),
	        cmocka_unit_test(time_is_written_as_rfc_3339),
	        cmocka_unit_test(a_quota_counts_what_it_leaves_out),
	        cmocka_unit_test(a_list_keeps_its_order),
	        cmocka_unit_test(levels_have_syslogs_words),
	        cmocka_unit_test(a_log_line_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
