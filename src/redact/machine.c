/* SPDX-License-Identifier: MIT */
/*
 * The redactor: a machine over bytes that can stop behind any of them. Bytes that
 * stay are copied as they came; only the values of names that count are decoded.
 */
#include "redact/table.h"

enum state {
	DOCUMENT, /* between documents */
	VALUE,
	ELEMENT_OR_END, /* behind a bracket */
	NAME,
	NAME_OR_END, /* behind a brace */
	COLON,
	BEHIND, /* a value */
	LITERAL,
	NUMBER,
	IN_NAME,
	KEPT,   /* a string that stays */
	FRONT,  /* a string that stays up to its separator, at most */
	HIDING, /* a string that does not, before its first byte */
	HIDDEN,
	ESCAPE,
	HEX,
	REFUSED,
};

#define HIDDEN_WORD "redacted"
_Static_assert(sizeof(HIDDEN_WORD) < REDACT_STEP_MAX, "a step writes the word, and a byte");

/* What a container makes of the shape of the value that it is. */
static const uint8_t shape_in_array[REDACT_SHAPE_COUNT] = {
        [REDACT_KEEP] = REDACT_KEEP,
        [REDACT_STRINGS] = REDACT_STRINGS,
        [REDACT_VALUES] = REDACT_VALUES,
        [REDACT_LABELED] = REDACT_LABELED,
        [REDACT_PROCESSES] = REDACT_CELLS,
        [REDACT_CELLS] = REDACT_CELL,
        [REDACT_CELL] = REDACT_STRINGS,
        [REDACT_ACTION] = REDACT_STRINGS,
};
static const uint8_t shape_in_object[REDACT_SHAPE_COUNT] = {
        [REDACT_KEEP] = REDACT_KEEP,
        [REDACT_STRINGS] = REDACT_STRINGS,
        [REDACT_VALUES] = REDACT_STRINGS,
        [REDACT_LABELED] = REDACT_LABELED,
        [REDACT_PROCESSES] = REDACT_STRINGS,
        [REDACT_CELLS] = REDACT_STRINGS,
        [REDACT_CELL] = REDACT_STRINGS,
        [REDACT_ACTION] = REDACT_STRINGS,
};

/* Columns of `ps -ef` before the command, and of podman's own list. */
enum { COLUMNS_AS_USUAL = 7 };

/* Where the rewriting reads and writes. */
struct cursor {
	const char *from;
	const char *end;
	struct text out;
};

/* ── Names ───────────────────────────────────────────────────────────────── */

static struct slice name_of(const struct redactor *redactor)
{
	return (struct slice){redactor->name, redactor->name_len};
}

static void begin_name(struct redactor *redactor)
{
	redactor->name_len = 0;
}

static void forget_name(struct redactor *redactor)
{
	redactor->name_len = REDACT_NAME_MAX + 1;
}

static void add_to_name(struct redactor *redactor, struct slice bytes)
{
	struct text text = text_over(redactor->name, REDACT_NAME_MAX);

	if (redactor->name_len > REDACT_NAME_MAX) {
		return;
	}
	text.len = redactor->name_len;
	text_add(&text, bytes);
	redactor->name_len = (unsigned)text.len;
	if (text.overflow) {
		forget_name(redactor);
	}
}

/* Whether the row stands within what this container is the value of. */
static bool is_within(const struct redact_plan *plan, struct slice parent, uint8_t container)
{
	if (parent.len == 0) {
		return true;
	}
	if (container == ROW_ROOT) {
		return slice_equal(parent, SLICE("/"));
	}
	return container != ROW_NONE && slice_equal(parent, plan->names[container]);
}

/* The row of the name, and the shape of its value. */
static void look_up(struct redactor *redactor, const struct redact_level *level)
{
	const struct redaction *redaction = redactor->redaction;
	const struct redact_plan *plan = redaction->plan;
	const struct slice name = name_of(redactor);

	redactor->row = ROW_NONE;
	redactor->shape = REDACT_KEEP;
	if (name.len == 0 || name.len > REDACT_NAME_MAX) {
		return;
	}
	for (unsigned next = plan->first[name_hash(name)]; next != 0; next = plan->next[next - 1]) {
		const unsigned row = next - 1;
		if (!slice_equal(plan->names[row], name)) {
			continue;
		}
		redactor->row = redactor->row == ROW_NONE ? (uint8_t)row : redactor->row;
		if (redaction_uses(redaction, row) && redact_rows[row].shape != REDACT_KEEP &&
		        is_within(plan, plan->parents[row], level->name)) {
			redactor->shape = (uint8_t)redact_rows[row].shape;
			return;
		}
	}
}

/* A label that is not wholly known is hidden. */
static bool hides_label(const struct redactor *redactor)
{
	const struct redact_wishes *wishes = &redactor->redaction->plan->wishes;

	return wishes->label_count > 0 && (redactor->name_len > REDACT_NAME_MAX ||
	                                          redact_fits_label(wishes, name_of(redactor)));
}

/* The name of a member is whole. */
static void end_name(struct redactor *redactor)
{
	const struct redact_level *level = &redactor->levels[redactor->depth];

	redactor->state = COLON;
	if (level->shape == REDACT_KEEP) {
		look_up(redactor, level);
		return;
	}
	redactor->row = ROW_NONE;
	redactor->shape = REDACT_STRINGS;
	if (level->shape == REDACT_LABELED && !hides_label(redactor)) {
		redactor->shape = REDACT_KEEP;
	}
}

/* ── Values ──────────────────────────────────────────────────────────────── */

static void begin_document(struct redactor *redactor)
{
	redactor->state = DOCUMENT;
	redactor->row = ROW_ROOT;
	redactor->shape = REDACT_KEEP;
	for (unsigned row = 0; row < redact_row_count; row++) {
		if (redaction_uses(redactor->redaction, row) && redact_rows[row].path[0] == '/' &&
		        redact_rows[row].path[1] == '\0') {
			redactor->shape = (uint8_t)redact_rows[row].shape;
		}
	}
}

void redactor_begin(struct redactor *redactor, const struct redaction *redaction, bool top_as_usual)
{
	redactor->redaction = redaction;
	redactor->top_as_usual = top_as_usual;
	redactor->depth = 0;
	begin_document(redactor);
}

static void end_value(struct redactor *redactor)
{
	if (redactor->depth == 0) {
		begin_document(redactor);
	} else {
		redactor->state = BEHIND;
	}
}

static void open_container(struct redactor *redactor, bool array)
{
	if (redactor->depth == REDACT_DEPTH_MAX) {
		redactor->state = REFUSED;
		return;
	}
	struct redact_level *level = &redactor->levels[++redactor->depth];
	*level = (struct redact_level){
	        .array = array,
	        .shape = array ? shape_in_array[redactor->shape] : shape_in_object[redactor->shape],
	        .name = redactor->row,
	};
	redactor->column = 0;
	redactor->shape = level->shape; /* of elements; names of members say theirs */
	redactor->state = array ? ELEMENT_OR_END : NAME_OR_END;
}

static void close_container(struct redactor *redactor, bool array)
{
	if (redactor->levels[redactor->depth].array != array) {
		redactor->state = REFUSED;
		return;
	}
	redactor->depth--;
	end_value(redactor);
}

static bool hides_cell(const struct redactor *redactor)
{
	return !redactor->top_as_usual || redactor->column >= COLUMNS_AS_USUAL;
}

/* By its shape. */
static void open_string(struct redactor *redactor)
{
	static const uint8_t states[REDACT_SHAPE_COUNT] = {
	        [REDACT_KEEP] = KEPT,
	        [REDACT_STRINGS] = HIDING,
	        [REDACT_VALUES] = FRONT,
	        [REDACT_LABELED] = FRONT,
	        [REDACT_PROCESSES] = HIDING,
	        [REDACT_CELLS] = HIDING,
	        [REDACT_CELL] = HIDING,
	        [REDACT_ACTION] = FRONT,
	};

	begin_name(redactor);
	redactor->state = states[redactor->shape];
	if (redactor->shape == REDACT_CELL && !hides_cell(redactor)) {
		redactor->state = KEPT;
	}
}

static void open_literal(struct redactor *redactor, const char *rest)
{
	redactor->literal = rest;
	redactor->state = LITERAL;
}

static bool is_of_number(char c)
{
	return ascii_is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static void open_value(struct redactor *redactor, char c)
{
	switch (c) {
	case '"':
		open_string(redactor);
		break;
	case '{':
		open_container(redactor, false);
		break;
	case '[':
		open_container(redactor, true);
		break;
	case 't':
		open_literal(redactor, "rue");
		break;
	case 'f':
		open_literal(redactor, "alse");
		break;
	case 'n':
		open_literal(redactor, "ull");
		break;
	default:
		redactor->state = c == '-' || ascii_is_digit(c) ? NUMBER : REFUSED;
		break;
	}
}

static void next_part(struct redactor *redactor)
{
	const struct redact_level *level = &redactor->levels[redactor->depth];

	if (!level->array) {
		redactor->state = NAME;
		return;
	}
	redactor->state = VALUE;
	redactor->shape = level->shape;
	redactor->row = level->name;
	redactor->column++;
}

/* ── Bytes between values ────────────────────────────────────────────────── */

/* A record separator stands between documents (RFC 7464). */
static bool is_space(const struct redactor *redactor, char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r' ||
	       (c == 0x1e && redactor->state == DOCUMENT);
}

static void step_name_begins(struct redactor *redactor, char c)
{
	begin_name(redactor);
	redactor->state = c == '"' ? IN_NAME : REFUSED;
}

static void step_behind(struct redactor *redactor, char c)
{
	if (c == ',') {
		next_part(redactor);
	} else if (c == '}' || c == ']') {
		close_container(redactor, c == ']');
	} else {
		redactor->state = REFUSED;
	}
}

static void step_structure(struct redactor *redactor, char c)
{
	if (is_space(redactor, c)) {
		return;
	}
	if ((redactor->state == ELEMENT_OR_END && c == ']') ||
	        (redactor->state == NAME_OR_END && c == '}')) {
		close_container(redactor, c == ']');
		return;
	}
	switch (redactor->state) {
	case NAME:
	case NAME_OR_END:
		step_name_begins(redactor, c);
		break;
	case COLON:
		redactor->state = c == ':' ? VALUE : REFUSED;
		break;
	case BEHIND:
		step_behind(redactor, c);
		break;
	default:
		open_value(redactor, c);
		break;
	}
}

/* ── Strings ─────────────────────────────────────────────────────────────── */

/* Bytes before the first quote or backslash, eight at a time. */
static size_t plain_run(const char *at, size_t len)
{
	const uint64_t ones = 0x0101010101010101U;
	const uint64_t highs = 0x8080808080808080U;
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t bytes;
		memcpy(&bytes, at + i, sizeof(bytes));
		const uint64_t quotes = bytes ^ (ones * '"');
		const uint64_t slashes = bytes ^ (ones * '\\');
		const uint64_t found =
		        (((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes)) & highs;
		if (found != 0) {
			break;
		}
	}
	while (i < len && at[i] != '"' && at[i] != '\\') {
		i++;
	}
	return i;
}

static size_t available(const struct cursor *cursor)
{
	const size_t in = (size_t)(cursor->end - cursor->from);
	const size_t room = cursor->out.cap - cursor->out.len;

	return in < room ? in : room;
}

static void copy(struct cursor *cursor, size_t len)
{
	text_add(&cursor->out, (struct slice){cursor->from, len});
	cursor->from += len;
}

/* One byte. */
static inline void pass(struct cursor *cursor)
{
	char *at = text_take(&cursor->out, 1);

	if (LIKELY(at != NULL)) {
		*at = *cursor->from++;
	}
}

/* A quote or a backslash, in a state of strings. */
static void end_run(struct redactor *redactor, char c)
{
	if (c == '\\') {
		redactor->behind = (uint8_t)redactor->state;
		redactor->state = ESCAPE;
	} else if (redactor->state == IN_NAME) {
		end_name(redactor);
	} else {
		end_value(redactor);
	}
}

/* A string that stays. */
static void step_kept(struct redactor *redactor, struct cursor *cursor)
{
	const size_t most = available(cursor);
	const size_t len = plain_run(cursor->from, most);

	copy(cursor, len);
	if (len < most) {
		const char c = *cursor->from;
		pass(cursor);
		end_run(redactor, c);
	}
}

static void step_name(struct redactor *redactor, struct cursor *cursor)
{
	const char *begin = cursor->from;
	const size_t most = available(cursor);
	const size_t len = plain_run(begin, most);

	add_to_name(redactor, (struct slice){begin, len});
	copy(cursor, len);
	if (len < most) {
		pass(cursor);
		end_run(redactor, begin[len]);
	}
}

static void step_hidden(struct redactor *redactor, struct cursor *cursor)
{
	const size_t most = (size_t)(cursor->end - cursor->from);
	const size_t len = plain_run(cursor->from, most);

	cursor->from += len;
	if (len < most) {
		const char c = *cursor->from;
		if (c == '"') {
			pass(cursor);
		} else {
			cursor->from++;
		}
		end_run(redactor, c);
	}
}

/* The first byte says whether there is something to hide. */
static void step_hiding(struct redactor *redactor, struct cursor *cursor)
{
	if (*cursor->from == '"') {
		pass(cursor);
		end_value(redactor);
		return;
	}
	if (redactor->shape == REDACT_ACTION) {
		text_add(&cursor->out, SLICE(" "));
	}
	text_add(&cursor->out, SLICE(HIDDEN_WORD));
	redactor->state = HIDDEN;
}

/* Whether what is behind the separator stays. */
static bool keeps_back(const struct redactor *redactor)
{
	if (redactor->shape == REDACT_LABELED) {
		return !hides_label(redactor);
	}
	return redactor->shape == REDACT_ACTION &&
	       slice_equal(name_of(redactor), SLICE("health_status"));
}

/* One byte, decoded, of a string that stays up to its separator. */
static void add_to_front(struct redactor *redactor, char c)
{
	const char separator = redactor->shape == REDACT_ACTION ? ':' : '=';

	if (c != separator) {
		add_to_name(redactor, (struct slice){&c, 1});
		return;
	}
	redactor->state = keeps_back(redactor) ? KEPT : HIDING;
}

static void step_front(struct redactor *redactor, struct cursor *cursor)
{
	const char c = *cursor->from;

	pass(cursor);
	if (c == '"' || c == '\\') {
		end_run(redactor, c);
	} else {
		add_to_front(redactor, c);
	}
}

/* ── Escapes ─────────────────────────────────────────────────────────────── */

/* A decoded byte of a name, or of a string whose front counts. */
static void add_decoded(struct redactor *redactor, char c)
{
	redactor->state = redactor->behind;
	if (redactor->state == FRONT) {
		add_to_front(redactor, c);
	} else if (redactor->state == IN_NAME) {
		add_to_name(redactor, (struct slice){&c, 1});
	}
}

static void copy_unless_hidden(struct redactor *redactor, struct cursor *cursor)
{
	if (redactor->behind == HIDDEN) {
		cursor->from++;
	} else {
		pass(cursor);
	}
}

static void step_escape(struct redactor *redactor, struct cursor *cursor)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char c = *cursor->from;
	const char *at = c == '\0' ? NULL : strchr(letters, c);

	if (c != 'u' && at == NULL) {
		redactor->state = REFUSED;
		return;
	}
	copy_unless_hidden(redactor, cursor);
	if (c == 'u') {
		redactor->state = HEX;
		redactor->digits = 0;
		redactor->character = 0;
	} else {
		add_decoded(redactor, meant[at - letters]);
	}
}

/* A character outside ASCII, which no separator is. The Engine escapes none that its labels have,
 * but line separators; what is escaped nevertheless makes the name unknown. */
static void add_character(struct redactor *redactor)
{
	if (redactor->character < 0x80) {
		add_decoded(redactor, (char)redactor->character);
		return;
	}
	redactor->state = redactor->behind;
	forget_name(redactor);
}

static void step_hex(struct redactor *redactor, struct cursor *cursor)
{
	const int digit = ascii_hex_value(*cursor->from);

	if (digit < 0) {
		redactor->state = REFUSED;
		return;
	}
	copy_unless_hidden(redactor, cursor);
	redactor->character = redactor->character * 16 + (unsigned)digit;
	if (++redactor->digits == 4) {
		add_character(redactor);
	}
}

/* ── Scalars ─────────────────────────────────────────────────────────────── */

static void step_literal(struct redactor *redactor, struct cursor *cursor)
{
	if (*cursor->from != *redactor->literal) {
		redactor->state = REFUSED;
		return;
	}
	pass(cursor);
	if (*++redactor->literal == '\0') {
		end_value(redactor);
	}
}

/* Its end is only seen at what follows it. */
static void step_number(struct redactor *redactor, struct cursor *cursor)
{
	if (is_of_number(*cursor->from)) {
		pass(cursor);
	} else {
		end_value(redactor);
	}
}

/* ── The machine ─────────────────────────────────────────────────────────── */

static void step(struct redactor *redactor, struct cursor *cursor)
{
	switch (redactor->state) {
	case IN_NAME:
		step_name(redactor, cursor);
		break;
	case KEPT:
		step_kept(redactor, cursor);
		break;
	case FRONT:
		step_front(redactor, cursor);
		break;
	case HIDING:
		step_hiding(redactor, cursor);
		break;
	case HIDDEN:
		step_hidden(redactor, cursor);
		break;
	case ESCAPE:
		step_escape(redactor, cursor);
		break;
	case HEX:
		step_hex(redactor, cursor);
		break;
	case LITERAL:
		step_literal(redactor, cursor);
		break;
	case NUMBER:
		step_number(redactor, cursor);
		break;
	default:
		step_structure(redactor, *cursor->from);
		if (redactor->state != REFUSED) {
			pass(cursor);
		}
		break;
	}
}

struct redact_result redactor_rewrite(
        struct redactor *redactor, struct slice in, char *out, size_t room)
{
	struct cursor cursor = {
	        .from = in.ptr, .end = in.ptr + in.len, .out = text_over(out, room)};

	while (redactor->state != REFUSED && cursor.from < cursor.end &&
	        cursor.out.cap - cursor.out.len >= REDACT_STEP_MAX) {
		step(redactor, &cursor);
	}
	return (struct redact_result){
	        .consumed = (size_t)(cursor.from - in.ptr),
	        .produced = cursor.out.len,
	        .bad = redactor->state == REFUSED,
	};
}

bool redactor_may_end(const struct redactor *redactor)
{
	return redactor->depth == 0 && (redactor->state == DOCUMENT || redactor->state == NUMBER);
}
