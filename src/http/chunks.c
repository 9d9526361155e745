/* SPDX-License-Identifier: MIT */
/*
 * Chunk framing as a table: a row for each state, a column for each kind of
 * byte. A size line is left in the input until it is whole, and only then
 * written anew over its own bytes: so the output cannot overtake the input,
 * wherever the input was cut.
 */
#include "http/head.h"

enum state {
	START, /* the first size line; as an entry of the table: refused */
	SIZE,
	EXTENSION,
	EXTENSION_NAME,
	EXTENSION_EQUALS,
	EXTENSION_TOKEN,
	EXTENSION_QUOTED,
	EXTENSION_ESCAPE,
	EXTENSION_QUOTED_END,
	SIZE_CR,
	NEXT, /* any further size line; the last of the states of size lines */
	SIZED,
	DATA,
	DATA_END,
	DATA_CR,
	TRAILER,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_CR,
	LAST_CR,
	FINISHED,
	REFUSED,
	STATE_COUNT,
};

enum column {
	OTHER,
	HEX,
	TOKEN,
	TEXT,
	SEMICOLON,
	EQUALS,
	COLON,
	QUOTE,
	BACKSLASH,
	CR,
	LF,
	COLUMN_COUNT,
};

/* clang-format off */
#define ANY_TOKEN(state) [HEX] = (state), [TOKEN] = (state)
/* Quotes and backslashes mean something where this is not all there is. */
#define ANY_TEXT(state) \
	ANY_TOKEN(state), [TEXT] = (state), [SEMICOLON] = (state), [EQUALS] = (state), \
		[COLON] = (state)

static const unsigned char table[STATE_COUNT][COLUMN_COUNT] = {
	/* RFC 9112 section 7.1: 1*HEXDIG, and no white space around it. */
	[START] = {[HEX] = SIZE},
	[NEXT] = {[HEX] = SIZE},
	[SIZE] = {[HEX] = SIZE, [SEMICOLON] = EXTENSION, [CR] = SIZE_CR},
	/* Section 7.1.1, without the "bad" white space: a line another reader may
	 * end elsewhere is refused, though none of it is passed on. */
	[EXTENSION] = {ANY_TOKEN(EXTENSION_NAME)},
	[EXTENSION_NAME] = {ANY_TOKEN(EXTENSION_NAME), [EQUALS] = EXTENSION_EQUALS,
		[SEMICOLON] = EXTENSION, [CR] = SIZE_CR},
	[EXTENSION_EQUALS] = {ANY_TOKEN(EXTENSION_TOKEN), [QUOTE] = EXTENSION_QUOTED},
	[EXTENSION_TOKEN] = {ANY_TOKEN(EXTENSION_TOKEN), [SEMICOLON] = EXTENSION, [CR] = SIZE_CR},
	[EXTENSION_QUOTED] = {ANY_TEXT(EXTENSION_QUOTED), [QUOTE] = EXTENSION_QUOTED_END,
		[BACKSLASH] = EXTENSION_ESCAPE},
	[EXTENSION_ESCAPE] = {ANY_TEXT(EXTENSION_QUOTED), [QUOTE] = EXTENSION_QUOTED,
		[BACKSLASH] = EXTENSION_QUOTED},
	[EXTENSION_QUOTED_END] = {[SEMICOLON] = EXTENSION, [CR] = SIZE_CR},
	/* RFC 9112 section 2.2: CRLF and nothing else ends a line. */
	[SIZE_CR] = {[LF] = SIZED},
	[DATA_END] = {[CR] = DATA_CR},
	[DATA_CR] = {[LF] = NEXT},
	/* Section 7.1.2: field lines, as strict as in a head. */
	[TRAILER] = {ANY_TOKEN(TRAILER_NAME), [CR] = LAST_CR},
	[TRAILER_NAME] = {ANY_TOKEN(TRAILER_NAME), [COLON] = TRAILER_VALUE},
	[TRAILER_VALUE] = {ANY_TEXT(TRAILER_VALUE), [QUOTE] = TRAILER_VALUE,
		[BACKSLASH] = TRAILER_VALUE, [CR] = TRAILER_CR},
	[TRAILER_CR] = {[LF] = TRAILER},
	[LAST_CR] = {[LF] = FINISHED},
};
/* clang-format on */

/* Bytes that lead here belong to the output: CRLF behind data and at the very end. */
static const bool is_kept[STATE_COUNT] = {
        [DATA_CR] = true, [NEXT] = true, [LAST_CR] = true, [FINISHED] = true};

static enum column column_of(char c)
{
	switch (c) {
	case '\r':
		return CR;
	case '\n':
		return LF;
	case ';':
		return SEMICOLON;
	case '=':
		return EQUALS;
	case ':':
		return COLON;
	case '"':
		return QUOTE;
	case '\\':
		return BACKSLASH;
	default:
		break;
	}
	if (byte_is(c, BYTE_HEX)) {
		return HEX;
	}
	if (byte_is(c, BYTE_TOKEN)) {
		return TOKEN;
	}
	return byte_is(c, BYTE_VALUE) ? TEXT : OTHER;
}

enum { DIGITS_MAX = 16 }; /* leading zeros count */

static void add_digit(struct http_chunks *chunks, char c)
{
	const unsigned value = ((unsigned)c & 0xf) + (c > '9' ? 9 : 0); /* of a byte that is HEX */

	chunks->digits++;
	chunks->remaining = chunks->remaining << 4 | value;
	/* RFC 9112 section 7.1 warns of overflow: some readers are signed. */
	if (chunks->digits > DIGITS_MAX || chunks->remaining > INT64_MAX) {
		chunks->state = REFUSED;
	}
}

/* One byte that is not data. */
static void step(struct http_chunks *chunks, char c)
{
	const unsigned next = table[chunks->state][column_of(c)];

	chunks->state = next == START ? REFUSED : next;
	if (next == SIZE) {
		add_digit(chunks, c);
	}
}

/* Where the rewriting reads and writes; `to` is never behind `from`. */
struct cursor {
	const char *from;
	const char *end;
	char *to;
	uint64_t data;
};

/* The shortest spelling: no longer than the one that was read. */
static void write_size(struct cursor *cursor, uint64_t size)
{
	unsigned shift = 0;

	while (size >> shift > 0xf) {
		shift += 4;
	}
	for (;; shift -= 4) {
		*cursor->to++ = "0123456789abcdef"[size >> shift & 0xf];
		if (shift == 0) {
			break;
		}
	}
	*cursor->to++ = '\r';
	*cursor->to++ = '\n';
}

static void finish_size_line(struct http_chunks *chunks, struct cursor *cursor)
{
	cursor->from += chunks->line_len;
	if (!chunks->bare) {
		write_size(cursor, chunks->remaining);
	}
	chunks->state = chunks->remaining > 0 ? DATA : TRAILER;
	chunks->line_len = 0;
	chunks->digits = 0;
}

/* False when the line is not whole yet: it stays in the input, looked at so far as `line_len`. */
static bool take_size_line(struct http_chunks *chunks, struct cursor *cursor)
{
	const size_t available = (size_t)(cursor->end - cursor->from);

	ASSERT(chunks->line_len <= available);
	while (chunks->line_len < available) {
		step(chunks, cursor->from[chunks->line_len++]);
		if (chunks->state == SIZED) {
			finish_size_line(chunks, cursor);
			return true;
		}
		if (chunks->line_len == HTTP_CHUNK_LINE_MAX) {
			chunks->state = REFUSED;
		}
		if (chunks->state == REFUSED) {
			return true;
		}
	}
	return false;
}

static void take_data(struct http_chunks *chunks, struct cursor *cursor)
{
	const size_t available = (size_t)(cursor->end - cursor->from);
	const size_t len = chunks->remaining < available ? (size_t)chunks->remaining : available;

	if (cursor->to != cursor->from) {
		memmove(cursor->to, cursor->from, len);
	}
	cursor->from += len;
	cursor->to += len;
	cursor->data += len;
	http_chunks_skip(chunks, len);
}

/* The ends of lines behind data, and trailer fields: the former stay, the latter go. */
static void take_byte(struct http_chunks *chunks, struct cursor *cursor)
{
	const char c = *cursor->from;

	step(chunks, c);
	if (chunks->state == REFUSED) {
		return;
	}
	cursor->from++;
	if (is_kept[chunks->state]) {
		if (!chunks->bare) {
			*cursor->to++ = c;
		}
	} else if (chunks->state >= TRAILER && ++chunks->trailer_len > HTTP_TRAILERS_MAX) {
		chunks->state = REFUSED;
	}
}

/* False when more input is needed for another step. */
static bool advance(struct http_chunks *chunks, struct cursor *cursor)
{
	if (chunks->state <= NEXT) {
		return take_size_line(chunks, cursor);
	}
	if (chunks->state == DATA) {
		take_data(chunks, cursor);
	} else {
		take_byte(chunks, cursor);
	}
	return true;
}

static enum http_progress progress_of(const struct http_chunks *chunks)
{
	if (chunks->state == FINISHED) {
		return HTTP_DONE;
	}
	return chunks->state == REFUSED ? HTTP_BAD : HTTP_MORE;
}

struct http_chunks_result http_chunks_rewrite(struct http_chunks *chunks, char *bytes, size_t len)
{
	struct cursor cursor = {.from = bytes, .end = bytes + len, .to = bytes};

	while (cursor.from < cursor.end && progress_of(chunks) == HTTP_MORE &&
	        advance(chunks, &cursor)) {
	}
	return (struct http_chunks_result){
	        .progress = progress_of(chunks),
	        .consumed = (size_t)(cursor.from - bytes),
	        .produced = (size_t)(cursor.to - bytes),
	        .data = cursor.data,
	};
}

bool http_chunks_may_end(const struct http_chunks *chunks)
{
	return (chunks->state == START || chunks->state == NEXT) && chunks->line_len == 0;
}

uint64_t http_chunks_opaque(const struct http_chunks *chunks)
{
	return chunks->state == DATA ? chunks->remaining : 0;
}

void http_chunks_skip(struct http_chunks *chunks, uint64_t len)
{
	ASSERT(len <= http_chunks_opaque(chunks));
	chunks->remaining -= len;
	if (chunks->state == DATA && chunks->remaining == 0) {
		chunks->state = DATA_END;
	}
}
